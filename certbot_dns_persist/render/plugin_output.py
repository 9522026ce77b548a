"""What monitoring systems read of a plugin: one line of summary, numbers, then the problems.

The form of Nagios, which Icinga and others have taken over: the first line is what they show, and
what follows ``|`` are numbers (performance data) to draw.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO, cast

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import SEVERITIES, Severity
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.shown import printable

#: How many domains the summary names of each status.
_MOST_NAMES = 3

#: How many characters of problems we keep in memory until the summary is known.
_IN_MEMORY = 1 << 20


class PluginOutput:
    """Writes the summary first, so nothing until the end."""

    def __init__(self, out: TextIO, *, command: str, at: int, warn_days: int) -> None:
        """``command`` is ``check`` or ``audit``; ``at`` is UNIX seconds."""
        self._out = out
        self._service = "DNS-PERSIST" if command == "check" else f"DNS-PERSIST {command.upper()}"
        self._at = at
        self._warn_seconds = warn_days * 86400
        kept = tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8")  # noqa: SIM115
        self._problems = cast(TextIO, kept)
        self._lines = Lines(self._problems, quiet=True, at_once=False)
        self._severities: Counter[Severity] = Counter()
        self._kinds: Counter[tuple[Severity, str]] = Counter()
        self._domains: dict[tuple[Severity, str], list[str]] = {}
        self._ends: int | None = None

    def add(self, checked: Checked) -> None:
        """Count one domain, and keep its problems."""
        self._lines.add(checked)
        self._severities[checked.severity] += 1
        for kind in checked.kinds:
            self._kinds[kind] += 1
            names = self._domains.setdefault(kind, [])
            if len(names) <= _MOST_NAMES:
                names.append(checked.domain)
        if checked.end is not None:
            self._ends = checked.end if self._ends is None else min(checked.end, self._ends)

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Write all of it."""
        told = "; ".join([*self._told(), *self._failed(troubles)])
        numbers = " ".join(self._numbers(len(troubles)))
        self._out.write(f"{self._service} {severity.upper()} - {told} | {numbers}\n")
        self._problems.seek(0)
        for line in self._problems:
            # What follows such a character counts as numbers, whoever wrote it.
            self._out.write(line.replace("|", r"\x7c"))
        self._problems.close()
        self._out.flush()

    def _told(self) -> Iterator[str]:
        """Yield the problems, the worst first, then how many domains have none."""
        bad = [kind for kind in self._kinds if kind[0] is not Severity.OK]
        for kind in sorted(bad, key=lambda kind: (-SEVERITIES.index(kind[0]), kind[1])):
            names, more = self._domains[kind][:_MOST_NAMES], self._kinds[kind] - _MOST_NAMES
            shown = printable(", ".join(names)) + (f" and {more} more" if more > 0 else "")
            yield f"{kind[1]}: {shown}"
        total, fine = self._severities.total(), self._severities[Severity.OK]
        if total:
            yield f"{fine} of {total} domain{'' if total == 1 else 's'} ok"

    def _failed(self, troubles: Sequence[str]) -> list[str]:
        first = [printable(trouble).replace("|", r"\x7c") for trouble in troubles[:1]]
        return first + (
            [f"and {len(troubles) - 1} more error{'s' if len(troubles) > 2 else ''}"]
            if len(troubles) > 1
            else []
        )

    def _numbers(self, errors: int) -> Iterator[str]:
        """Yield the performance data: label, value, unit, limits for a warning, minimum."""
        yield f"domains={self._severities.total()};;;0"
        for severity in SEVERITIES:
            yield f"{severity}={self._severities[severity]};;;0"
        yield f"errors={errors};;;0"
        if self._ends is not None:
            yield f"expires={self._ends - self._at}s;{self._warn_seconds}:"
