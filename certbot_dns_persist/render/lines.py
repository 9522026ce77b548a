"""A line for each domain that was checked: for pipes, logs and mails."""

from collections.abc import Sequence
from typing import TextIO

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.value.txt import printable


class Lines:
    """Writes each as it comes."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        """With ``quiet``, what is as it should be is not mentioned."""
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
        print(*map(printable, parts), sep="\t", file=self._out, flush=True)

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Nothing is left to say; troubles go to standard error."""


def subject(checked: Checked) -> str:
    """Return the domain and, when its wildcard is meant as well, that."""
    request = checked.subject.request
    return f"{request.domain},*.{request.domain}" if request.wildcard else request.domain
