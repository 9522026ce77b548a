"""A live view, at a terminal, of which server has which record."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from certbot_dns_persist.lookup import ServerAnswer
from certbot_dns_persist.plan import Standing

if TYPE_CHECKING:
    from rich.table import Table

Show = Callable[[Sequence[Standing], float], None]


@contextlib.contextmanager
def watching(terminal: bool) -> Iterator[Show]:
    """Yield a function that shows standings and the seconds left; silent without a terminal."""
    if not terminal:
        yield lambda standings, left: None
        return
    from rich.live import Live

    with Live(auto_refresh=False, transient=True) as view:
        yield lambda standings, left: view.update(_table(standings, left), refresh=True)


def _table(standings: Sequence[Standing], left: float) -> "Table":
    from rich.table import Table

    table = Table(
        title=f"Waiting for DNS, at most {int(left) // 60}:{int(left) % 60:02} more. "
        "Ctrl-C stops; nothing is lost.",
        title_justify="left",
    )
    table.add_column("Name", overflow="fold")
    table.add_column("Server", overflow="fold")
    table.add_column("Record")
    for standing in standings:
        if standing.everywhere:
            continue
        name = standing.found.canonical_name
        for server in standing.found.servers:
            table.add_row(name, str(server), _state(standing, server))
            name = ""
        if standing.found.trouble:
            table.add_row(name, "", standing.found.trouble)
    return table


def _state(standing: Standing, server: ServerAnswer) -> str:
    if server.values is None:
        return server.trouble or ""
    if server in standing.lagging:
        return "not there" if not server.values else "none that authorises"
    return "there"
