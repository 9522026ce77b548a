"""A line for each domain that was checked: for pipes, logs and mails."""

from collections.abc import Iterator, Sequence
from typing import TextIO

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.shown import printable


class Lines:
    """Writes each domain as it comes."""

    def __init__(self, out: TextIO, *, quiet: bool, at_once: bool = True) -> None:
        """With ``quiet``, domains without a problem are left out.

        ``at_once`` is whether each goes out by itself, as if DNS may keep the next one waiting.
        """
        self._out = out
        self._quiet = quiet
        self._at_once = at_once

    def add(self, checked: Checked) -> None:
        """Write one domain and what was noticed there."""
        if self._quiet and checked.severity == Severity.OK:
            return
        self._out.write(checked.written(_problems if self._quiet else _everything))
        if self._at_once:
            self._out.flush()

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Write nothing more; troubles go to standard error."""


def _everything(checked: Checked) -> str:
    return "".join(_lines(checked, quiet=False))


def _problems(checked: Checked) -> str:
    return "".join(_lines(checked, quiet=True))


def _lines(checked: Checked, *, quiet: bool) -> Iterator[str]:
    diagnosis = checked.diagnosis
    told: list[tuple[Severity, str, str]] = [
        (diagnosis.severity, diagnosis.status, diagnosis.reason)
    ]
    told += [(notice.severity, notice.kind, notice.reason) for notice in checked.notices]
    for severity, what, reason in told:
        if not (quiet and severity == Severity.OK):
            yield "\t".join(map(printable, (subject(checked), what, reason))) + "\n"


def subject(checked: Checked) -> str:
    """Return the domain and, if the request is for its wildcard, that too."""
    domain = checked.domain
    return f"{domain},*.{domain}" if checked.wildcard else domain
