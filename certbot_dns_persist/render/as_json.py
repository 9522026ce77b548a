"""Results as JSON, in the form that ``check-schema.json`` beside this file describes.

Each is written as it comes, so that ten thousand domains need no more memory than ten.
"""

import json
from collections.abc import Sequence
from typing import Any, TextIO

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import ServerAnswer
from certbot_dns_persist.record import format_time
from certbot_dns_persist.render.evidence import Evidence
from certbot_dns_persist.value.txt import as_utf8

#: The version of the form: of what is in it, nothing is renamed, removed or given another meaning.
VERSION = 1


class Json:
    """One JSON object."""

    def __init__(
        self,
        out: TextIO,
        *,
        at: int,
        untold: Sequence[str] = (),
        evidence: Evidence | None = None,
    ) -> None:
        """``at`` is when the check began, in UNIX seconds; ``untold`` is what nobody looked at."""
        self._out = out
        self._evidence = evidence
        self._separator = "\n"
        out.write(f'{{"version": {VERSION}, "checked_at": "{format_time(at)}", ')
        if evidence is not None:
            out.write(f"{_members(evidence.begun())}, ")
        out.write(f'"untold": {json.dumps(untold)}, "records": [' if untold else '"records": [')

    def add(self, checked: Checked) -> None:
        """Write one record."""
        if self._evidence is not None:
            self._evidence.add(checked)
        self._out.write(f"{self._separator}  {checked.written(_dumped)}")
        self._separator = ",\n"

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Write what is only known at the end."""
        ended = self._evidence.ended() if self._evidence is not None else {}
        last = {**ended, "errors": list(troubles), "status": severity}
        self._out.write(f"\n], {_members(last)}}}\n")


def _members(some: dict[str, Any]) -> str:
    """Return the members of an object, without its braces."""
    return json.dumps(some)[1:-1]


def _dumped(checked: Checked) -> str:
    return json.dumps(record(checked))


def record(checked: Checked) -> dict[str, Any]:
    """Return one record as the schema defines it."""
    request, standing = checked.standing.request, checked.standing
    return {
        "domain": request.domain,
        "name": request.name,
        "canonical_name": standing.found.canonical_name,
        "wildcard": request.wildcard,
        "server": request.server or None,
        "account_uri": request.account_uris.published,
        "status": checked.diagnosis.status,
        "reason": as_utf8(checked.diagnosis.reason),
        "persist_until": _end(checked),
        "expected_value": checked.expected_value,
        "found": [
            {
                "value": as_utf8(finding.value),
                "verdict": finding.verdict,
                "reason": as_utf8(finding.reason),
            }
            # Servers rotate their answers.
            for finding in sorted(standing.evaluation.findings, key=lambda found: found.value)
        ],
        "nameservers": [
            {
                "name": server.server,
                "address": server.address,
                "status": server_status(standing, server),
            }
            for server in standing.found.servers
        ],
        "notices": [
            {
                "code": notice.kind,
                "text": as_utf8(notice.reason),
                "kind": notice.kind,
                "severity": notice.severity,
                "name": notice.name,
                "value": None if notice.value is None else as_utf8(notice.value),
                "reason": as_utf8(notice.reason),
            }
            for notice in checked.notices
        ],
    }


def _end(checked: Checked) -> str | None:
    shown = None if checked.end is None else format_time(checked.end)
    # RFC 3339 has years up to 9999; a record that lasts longer may as well never expire.
    return shown if shown and shown.endswith("Z") else None


def server_status(standing: Standing, server: ServerAnswer) -> str:
    """Return the state of one server, as the schema names it; it can only lag behind others."""
    if server.values is None:
        return "unreachable"
    if server not in standing.lagging:
        return "ok"
    return "lagging" if standing.accepted else "missing"
