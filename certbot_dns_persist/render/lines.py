"""A line for each domain that was checked: for pipes, logs and mails."""

from collections.abc import Sequence
from typing import TextIO

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.shown import printable


class Lines:
    """Writes each domain as it comes."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        """With ``quiet``, domains without a problem are left out."""
        self._out = out
        self._quiet = quiet

    def add(self, checked: Checked) -> None:
        """Write one domain and what was noticed there."""
        diagnosis = checked.diagnosis
        told: list[tuple[Severity, str, str]] = [
            (diagnosis.severity, diagnosis.status, diagnosis.reason)
        ]
        told += [(notice.severity, notice.kind, notice.reason) for notice in checked.notices]
        for severity, what, reason in told:
            if not (self._quiet and severity == Severity.OK):
                self._write(subject(checked), what, reason)

    def _write(self, *parts: str) -> None:
        self._out.write("\t".join(map(printable, parts)) + "\n")
        self._out.flush()

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Write nothing more; troubles go to standard error."""


def subject(checked: Checked) -> str:
    """Return the domain and, if the request is for its wildcard, that too."""
    request = checked.subject.request
    return f"{request.domain},*.{request.domain}" if request.wildcard else request.domain
