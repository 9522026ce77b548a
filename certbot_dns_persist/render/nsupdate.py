"""Prepared records as commands for BIND's ``nsupdate``, which only add records."""

from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord
from certbot_dns_persist.value.txt import zone_line

#: Records in one update: few enough for one DNS message, whatever their length.
_AT_ONCE = 50


def render(records: Sequence[PreparedRecord]) -> str:
    """Return an update for each zone; a server applies an update completely or not at all.

    If the zone is unknown, ``nsupdate`` finds it, for one record at a time.
    """
    zones: dict[str, list[PreparedRecord]] = {}
    lines = []
    for record in records:
        if record.zone is None:
            lines += [*_added(record), "send"]
        else:
            zones.setdefault(record.zone, []).append(record)
    for zone, together in zones.items():
        for start in range(0, len(together), _AT_ONCE):
            lines.append(f"zone {zone}.")
            for record in together[start : start + _AT_ONCE]:
                lines += _added(record)
            lines.append("send")
    return "".join(f"{line}\n" for line in lines)


def _added(record: PreparedRecord) -> list[str]:
    return [
        f"; For {' and '.join(record.domains)}",
        f"update add {zone_line(record.name, record.ttl, record.value)}",
    ]
