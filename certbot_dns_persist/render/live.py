"""A live view, at a terminal, of which server has which record."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import ServerAnswer
from certbot_dns_persist.render.console import console
from certbot_dns_persist.shown import printable

if TYPE_CHECKING:
    from rich.table import Table

Show = Callable[[Sequence[Standing], float], None]


@contextlib.contextmanager
def watching(terminal: bool) -> Iterator[Show]:
    """Yield a function that shows standings and the seconds left.

    It shows nothing without a terminal, or without the package rich.
    """
    try:
        from rich.live import Live
    except ImportError:
        terminal = False
    if not terminal:
        yield lambda standings, left: None
        return
    # Not redirected: that would bring colours back that others put into our messages.
    with Live(
        console=console(),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as view:
        yield lambda standings, left: view.update(
            _table(standings, left, view.console.height), refresh=True
        )


def _table(standings: Sequence[Standing], left: float, height: int) -> "Table":
    """Return a line for each server or, if ``height`` lines are too few, for each name."""
    from rich.table import Table

    table = Table(
        title=f"Waiting for DNS, at most {int(left) // 60}:{int(left) % 60:02} more. "
        "Ctrl-C stops; nothing is lost.",
        title_justify="left",
    )
    table.add_column("Name", overflow="fold")
    table.add_column("Server", overflow="fold")
    table.add_column("Record")
    waiting = [standing for standing in standings if not standing.everywhere]
    room = max(height - 8, 1)
    # A long name or server may take a second line.
    compact = 2 * sum(len(standing.found.servers) for standing in waiting) > room
    for standing in waiting[: room // 2 if compact else None]:
        name, servers = printable(standing.found.canonical_name), standing.found.servers
        if compact and not standing.found.trouble:
            there = len(servers) - len(standing.lagging) - len(standing.found.silent)
            table.add_row(name, f"{there} of {len(servers)} servers", "")
            continue
        for server in servers:
            table.add_row(name, printable(str(server)), printable(_state(standing, server)))
            name = ""
        if standing.found.trouble:
            table.add_row(name, "", printable(standing.found.trouble))
    if compact and len(waiting) > room // 2:
        table.add_row(f"and {len(waiting) - room // 2} more names", "", "")
    return table


def _state(standing: Standing, server: ServerAnswer) -> str:
    if server.values is None or server in standing.lagging:
        return standing.why_not(server)
    return "there"
