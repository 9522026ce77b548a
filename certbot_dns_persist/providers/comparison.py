"""What a change did, from what the authoritative servers served before and serve now.

Pure: who looks, and how long, is in :mod:`~.watched`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from certbot_dns_persist.providers.interface import Served
from certbot_dns_persist.shown import printable

#: What is known when no server could be asked.
UNSEEN = Served([], None)


def by_server(served: Served) -> Mapping[str, Sequence[str]]:
    """Return the values by server; those of an unnamed one if nobody says which."""
    if served is UNSEEN or served.servers:
        return served.servers
    return {"": served.values}


def changed(before: Served, now: Served, value: str, *, present: bool) -> set[str]:
    """Return the servers that now serve ``value`` and did not before; reversed if not present."""

    def serving(served: Served) -> set[str]:
        return {server for server, values in by_server(served).items() if value in values}

    if present:
        return serving(now) - serving(before)
    return (serving(before) - serving(now)) & by_server(now).keys()


def as_meant(before: Served, now: Served, value: str, *, present: bool) -> bool:
    """Whether every server that answered before and answers now shows the change."""
    shown = by_server(now)
    both = by_server(before).keys() & shown.keys()
    return bool(both) and all((value in shown[server]) == present for server in both)


def lost(before: Served, now: Served, value: str) -> list[str]:
    """Return the values other than ``value`` that vanished from any server that answers."""
    shown = by_server(now)
    return sorted(
        {
            other
            for server, values in by_server(before).items()
            for other in values
            if server in shown and other != value and other not in shown[server]
        }
    )


def others(served: Served, value: str) -> list[str]:
    """Return the values there that are not ``value``."""
    return [other for other in served.values if other != value]


def resembling(value: str, now: Served, known: Iterable[str]) -> list[str]:
    """Return the new values that look like ``value`` cut off, in pieces or with quotes."""
    meant = _bare(value)
    return [
        other
        for other in now.values
        if other != value and other not in known and _bare(other) and meant.startswith(_bare(other))
    ]


def _bare(value: str) -> str:
    return re.sub(r'[\s"\\]', "", value).casefold()


def in_zone(served: Served) -> str:
    """Return the words that name the zone, for after a record's name."""
    return f" in the zone {served.zone}" if served.zone else ""


def listed(values: Iterable[str]) -> str:
    """Return the values for a message, one a line."""
    return "\n".join(f'  "{printable(value)}"' for value in values) or "  (nothing)"
