"""The audit as one page for a browser, which loads nothing from elsewhere.

The page builds its table from data inside it. What DNS holds may be hostile: it is embedded as JSON
without any character that HTML interprets, and is shown as text only. Each string is stored once,
with placeholders for what differs from domain to domain, so that a thousand domains fit into a few
hundred kilobytes.
"""

import base64
import hashlib
import html
import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import SEVERITIES, Severity
from certbot_dns_persist.judge.notice import Notice
from certbot_dns_persist.record import format_time
from certbot_dns_persist.render.as_json import server_status
from certbot_dns_persist.render.evidence import Evidence
from certbot_dns_persist.shown import printable

TEMPLATE = Path(__file__).with_name("report.html")

#: How many domains are listed for browsers that run no script, and characters for each.
MOST_LISTED = 50
_MOST_CHARACTERS = 300

# From the private use area: ``printable`` leaves none of these in a text.
_DOMAIN, _VALUE, _ACCOUNT, _END, _END_TIME = "\ue000\ue001\ue002\ue003\ue004"

_VERDICTS = {
    Severity.OK: "All is well: {count}, and no record that should not be there.",
    Severity.WARNING: "{grave} of {count} should be looked at.",
    Severity.UNKNOWN: "Not everything could be checked; {grave} of {count} should be looked at.",
    Severity.CRITICAL: "{grave} of {count} should be looked at, {critical} of them now.",
}


class Html:
    """Collects results, and writes the page at the end."""

    def __init__(
        self, write: Callable[[bytes], None], *, at: int, evidence: Evidence | None = None
    ) -> None:
        """``write`` takes the page at the end.

        ``at`` is when the audit began, in UNIX seconds.
        """
        self._write = write
        self._at = at
        self._evidence = evidence
        self._strings: dict[str, int] = {}
        self._records: list[list[Any]] = []
        self._severities: Counter[Severity] = Counter()
        self._listed: list[tuple[str, str]] = []

    def add(self, checked: Checked) -> None:
        """Add one domain."""
        if self._evidence is not None:
            self._evidence.add(checked)
        severity = checked.severity
        self._severities[severity] += 1
        if severity != Severity.OK and len(self._listed) < MOST_LISTED:
            told = [n.reason for n in checked.notices if n.severity != Severity.OK]
            told = (
                told
                if checked.diagnosis.severity == Severity.OK
                else [checked.diagnosis.reason, *told]
            )
            text = printable(" ".join(told))
            if len(text) > _MOST_CHARACTERS:
                text = f"{text[:_MOST_CHARACTERS]}…"
            self._listed.append((checked.subject.request.domain, text))
        self._records.append(self._row(checked))

    def _row(self, checked: Checked) -> list[Any]:
        request, standing, diagnosis = checked.subject.request, checked.standing, checked.diagnosis
        account = printable(request.account_uris.published)
        evaluation, end = standing.evaluation, checked.end
        marks = {account: _ACCOUNT}
        if end is not None:
            marks |= {str(end): _END, format_time(end): _END_TIME}
        marks[request.domain] = _DOMAIN

        def kept(text: str | None, value: str | None = None) -> int:
            if text is None:
                return -1
            text = printable(text)
            for part, mark in ({printable(value): _VALUE, **marks} if value else marks).items():
                text = text.replace(part, mark)
            return self._kept(text)

        cut = account.rfind("/") + 1

        def notice(one: Notice) -> list[int]:
            return [
                kept(one.kind),
                SEVERITIES.index(one.severity),
                kept(one.name),
                kept(one.value),
                kept(one.reason, one.value),
            ]

        canonical = standing.found.canonical_name
        return [
            request.domain,
            # Apart from what comes before it, as only the hash at the end differs.
            [self._kept(account[:cut]), account[cut:]],
            1 * request.wildcard + 2 * standing.accepted,
            kept(diagnosis.status),
            SEVERITIES.index(diagnosis.severity),
            SEVERITIES.index(checked.severity),
            kept(diagnosis.reason),
            kept(canonical if canonical != request.name else None),
            kept(request.server or None),
            end,
            kept(checked.expected_value),
            [[kept(f.value), kept(f.verdict), kept(f.reason)] for f in evaluation.findings],
            [[kept(str(s)), kept(server_status(standing, s))] for s in standing.found.servers],
            [notice(one) for one in checked.notices],
        ]

    def _kept(self, text: str) -> int:
        """Return the number of a string, which is stored once."""
        return self._strings.setdefault(text, len(self._strings))

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Write the page."""
        data = {
            "at": self._at,
            "errors": [printable(trouble) for trouble in troubles],
            "strings": list(self._strings),
            "records": self._records,
        }
        host = socket.gethostname() if self._evidence is None else self._evidence.host
        page = _page(
            {
                "title": html.escape(f"dns-persist-01 on {host}"),
                "host": html.escape(host),
                "facts": self._facts(),
                "moment": format_time(self._at),
                "when": format_time(self._at).replace("T", " ").replace("Z", " UTC"),
                "severity": severity,
                "verdict": html.escape(self._verdict(severity)),
                "noscript": self._noscript(troubles),
                "data": _as_script_data(data),
            }
        )
        self._write(page.encode())

    def _facts(self) -> str:
        facts = self._evidence.facts() if self._evidence is not None else []
        told = [
            (term, "".join(f"<dd>{html.escape(printable(line))}</dd>\n" for line in lines))
            for term, lines in facts
        ]
        return "".join(f"<dt>{term}</dt>{lines}" for term, lines in told)

    def _verdict(self, severity: Severity) -> str:
        total = self._severities.total()
        return _VERDICTS[severity].format(
            count=f"{total:,} domain{'' if total == 1 else 's'}",
            grave=f"{total - self._severities[Severity.OK]:,}",
            critical=f"{self._severities[Severity.CRITICAL]:,}",
        )

    def _noscript(self, troubles: Sequence[str]) -> str:
        counted = ", ".join(f"{self._severities[each]:,} {each}" for each in reversed(SEVERITIES))
        rows = [(trouble, "could not be checked") for trouble in map(printable, troubles)]
        rows += self._listed
        items = "\n".join(
            f"<li><strong>{html.escape(domain)}</strong>: {html.escape(told)}</li>"
            for domain, told in rows
        )
        left = self._severities.total() - self._severities[Severity.OK] - len(self._listed)
        more = f"<p>And {left:,} more domains.</p>" if left else ""
        return f"<p>{counted}.</p>\n<ul>{items}</ul>{more}"


def _page(parts: dict[str, str]) -> str:
    template = TEMPLATE.read_text(encoding="utf-8")
    (style,) = re.findall(r"<style>(.*?)</style>", template, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
    # Only the page's own style and script run, by their hashes, and nothing is fetched.
    parts["csp"] = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return re.sub(r"@([a-z]+)@", lambda mark: parts[mark[1]], template)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _as_script_data(data: Any) -> str:
    """Return JSON that cannot end the script element around it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
