"""Results as a table, for a terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import SEVERITIES, Severity
from certbot_dns_persist.shown import printable

COLOURS = {
    Severity.OK: "green",
    Severity.WARNING: "yellow",
    Severity.UNKNOWN: "magenta",
    Severity.CRITICAL: "red",
}

#: If there are more rows than this, only those with a problem are shown.
MOST_ROWS = 200


class OnScreen:
    """Shows one table at the end, and the totals."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        """With ``quiet``, only domains with a problem get a row."""
        self._console = console
        self._quiet = quiet
        self._fine: list[Checked] = []
        self._others: list[Checked] = []
        self._statuses: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()

    def add(self, checked: Checked) -> None:
        """Add one domain."""
        self._statuses[checked.diagnosis.status] += 1
        self._kinds.update(n.kind for n in checked.notices if n.severity != Severity.OK)
        if checked.severity != Severity.OK:
            self._others.append(checked)
        elif not self._quiet and len(self._fine) <= MOST_ROWS:
            self._fine.append(checked)

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Show the table."""
        fine = [] if len(self._fine) > MOST_ROWS else self._fine
        # The worst last: that is what stays on the screen.
        rows = [*fine, *sorted(self._others, key=lambda each: SEVERITIES.index(each.severity))]
        if rows:
            self._console.print(_table(rows))
            self._show_notices(rows)
        counted = ", ".join(f"{count} {status}" for status, count in self._statuses.most_common())
        noticed = ", ".join(f"{count} {kind}" for kind, count in self._kinds.most_common())
        if counted:
            total = self._statuses.total()
            domains = "domain" if total == 1 else "domains"
            also = f" Besides: {noticed}." if noticed else ""
            self._console.print(f"{total} {domains}: {counted}.{also}", highlight=False)

    def _show_notices(self, rows: Sequence[Checked]) -> None:
        """Show the notices below the table, where they have the whole width."""
        for checked in rows:
            told = [n for n in checked.notices if not (self._quiet and n.severity == Severity.OK)]
            if told:
                self._console.print(Text(f"\n{checked.subject.request.domain}", style="bold"))
            for notice in sorted(told, key=lambda n: -SEVERITIES.index(n.severity)):
                head = Text(f"{notice.kind}: ", style=COLOURS[notice.severity])
                text = head.append(printable(notice.reason), style="default")
                self._console.print(Padding(text, (0, 0, 0, 2)), highlight=False)
        if any(checked.notices for checked in rows):
            self._console.print()


def _status(checked: Checked) -> Text:
    """Return the status, and the number of notices of each kind; the worst first."""
    kinds = Counter((n.severity, n.kind) for n in checked.notices if n.severity != Severity.OK)
    told: list[tuple[Severity, str]] = [(checked.diagnosis.severity, checked.diagnosis.status)]
    told += [
        (severity, f"{kind} ({count})" if count > 1 else kind)
        for (severity, kind), count in kinds.items()
    ]
    told.sort(key=lambda each: -SEVERITIES.index(each[0]))
    return Text("\n").join(Text(words, style=COLOURS[severity]) for severity, words in told)


def _table(rows: Sequence[Checked]) -> Table:
    # Two columns, so that a reason has room for a name or a URL even on 80 columns.
    table = Table(show_lines=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Domain, and what it means", overflow="fold")
    for checked in rows:
        diagnosis = checked.diagnosis
        table.add_row(
            _status(checked),
            Text.assemble(
                (printable(_domains(checked)), "bold"), "\n", printable(diagnosis.reason)
            ),
        )
    return table


def _domains(checked: Checked) -> str:
    request = checked.subject.request
    return f"{request.domain}, *.{request.domain}" if request.wildcard else request.domain
