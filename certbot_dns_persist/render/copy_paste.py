"""Prepared records for a person, to copy into the form of a DNS service."""

from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord
from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.txt import to_copy


def render(records: Sequence[PreparedRecord]) -> str:
    """Return a block for each record, with a remark on what is there already."""
    return "\n\n".join(map(_block, records)) + "\n"


def _block(record: PreparedRecord) -> str:
    copied = to_copy(
        f"For {' and '.join(record.domains)}:",
        record.aliases,
        record.name,
        record.zone,
        record.ttl,
        record.value,
    )
    return "\n".join([copied, *(f"  {line}" for line in _remarks(record))])


def _remarks(record: PreparedRecord) -> list[str]:
    lines = []
    if record.there:
        lines.append("It is there already: there is nothing to do.")
    elif len(record.authorized) == len(record.domains):
        lines.append("A record there authorises already; this would replace it or go beside it.")
    elif record.authorized:
        lines.append(f"A record there authorises {' and '.join(record.authorized)} already.")
    if record.beside:
        lines.append("Leave the other values at that name; they do no harm:")
        lines += [f'  "{printable(value)}"' for value in record.beside]
    return lines
