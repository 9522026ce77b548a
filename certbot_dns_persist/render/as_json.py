"""What was checked as JSON, of the form that ``check-schema.json`` beside this file describes.

Written as it comes, so that ten thousand domains need no more memory than ten.
"""

import json
from collections.abc import Sequence
from typing import Any, TextIO

from certbot_dns_persist.checkup import Checked
from certbot_dns_persist.lookup import ServerAnswer
from certbot_dns_persist.plan import Standing
from certbot_dns_persist.record import format_time


class Json:
    """One JSON object."""

    def __init__(self, out: TextIO, *, at: int) -> None:
        """``at`` is when the check began, in UNIX seconds."""
        self._out = out
        self._separator = "\n"
        out.write(f'{{"checked_at": "{format_time(at)}", "records": [')

    def add(self, checked: Checked) -> None:
        """Write one record."""
        self._out.write(f"{self._separator}  {json.dumps(record(checked))}")
        self._separator = ",\n"

    def conclude(self, severity: str, troubles: Sequence[str]) -> None:
        """Write what is known only at the end."""
        errors = json.dumps(list(troubles))
        self._out.write(f'\n], "errors": {errors}, "status": {json.dumps(severity)}}}\n')


def record(checked: Checked) -> dict[str, Any]:
    """Return one record as the contract has it."""
    request, standing = checked.standing.request, checked.standing
    ours = [
        f.record for f in standing.evaluation.findings if f.record and request.is_ours(f.record)
    ]
    # Of what authorises or, when nothing does any more, of what did.
    end = (
        standing.end
        if standing.authorized
        else max((r.persist_until or 0 for r in ours), default=0)
    )
    return {
        "domain": request.domain,
        "name": request.name,
        "canonical_name": standing.found.canonical_name,
        "wildcard": request.wildcard,
        "server": request.server or None,
        "account_uri": request.account_uris.published,
        "status": checked.diagnosis.status,
        "reason": checked.diagnosis.reason,
        "persist_until": format_time(end) if end else None,
        "expected_value": checked.expected_value,
        "found": [
            {"value": finding.value, "verdict": finding.verdict, "reason": finding.reason}
            for finding in standing.evaluation.findings
        ],
        "nameservers": [
            {"name": server.server, "address": server.address, "status": _status(standing, server)}
            for server in standing.found.servers
        ],
        "notices": [
            {
                "kind": notice.kind,
                "severity": notice.severity,
                "name": notice.name,
                "value": notice.value,
                "reason": notice.reason,
            }
            for notice in checked.notices
        ],
    }


def _status(standing: Standing, server: ServerAnswer) -> str:
    if server.values is None:
        return "unreachable"
    return "lagging" if server in standing.lagging else "ok"
