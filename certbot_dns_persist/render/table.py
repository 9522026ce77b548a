"""A table of what was checked, at a terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from certbot_dns_persist.checkup import Checked
from certbot_dns_persist.diagnose import SEVERITIES
from certbot_dns_persist.render.text import printable

COLOURS = {"ok": "green", "warning": "yellow", "unknown": "magenta", "critical": "red"}

#: More rows than this are shown only for what is not as it should be.
MOST_ROWS = 200


class OnScreen:
    """Shows one table at the end, and what the numbers are."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        """With ``quiet``, only what is not as it should be gets a row."""
        self._console = console
        self._quiet = quiet
        self._fine: list[Checked] = []
        self._others: list[Checked] = []
        self._statuses: Counter[str] = Counter()

    def add(self, checked: Checked) -> None:
        """Keep one domain for the table."""
        self._statuses[checked.diagnosis.status] += 1
        if checked.severity != "ok":
            self._others.append(checked)
        elif not self._quiet and len(self._fine) <= MOST_ROWS:
            self._fine.append(checked)

    def conclude(self, severity: str, troubles: Sequence[str]) -> None:
        """Show the table."""
        fine = [] if len(self._fine) > MOST_ROWS else self._fine
        # The gravest last: that is where the eye is, and what has not scrolled away.
        rows = [*fine, *sorted(self._others, key=lambda each: SEVERITIES.index(each.severity))]
        if rows:
            self._console.print(_table(rows))
        counted = ", ".join(f"{count} {status}" for status, count in self._statuses.most_common())
        if counted and not (self._quiet and not rows):
            total = self._statuses.total()
            domains = "domain" if total == 1 else "domains"
            self._console.print(f"{total} {domains}: {counted}.", highlight=False)


def _table(rows: Sequence[Checked]) -> Table:
    # Two columns, so that a reason has room for a name or a URL even where there are 80 characters.
    table = Table(show_lines=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Domain, and what it means", overflow="fold")
    for checked in rows:
        diagnosis = checked.diagnosis
        table.add_row(
            Text(diagnosis.status, style=COLOURS[diagnosis.severity]),
            Text.assemble((_domains(checked), "bold"), "\n", printable(diagnosis.reason)),
        )
        for notice in checked.notices:
            table.add_row(
                Text(notice.kind, style=COLOURS[notice.severity]), Text(printable(notice.reason))
            )
    return table


def _domains(checked: Checked) -> str:
    request = checked.subject.request
    return f"{request.domain}, *.{request.domain}" if request.wildcard else request.domain
