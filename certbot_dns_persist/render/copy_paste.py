"""Prepared records for a person, to copy into whatever the DNS service has for it."""

from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord
from certbot_dns_persist.value.txt import printable, to_copy


def render(records: Sequence[PreparedRecord]) -> str:
    """Return a block for each record, with what is there already."""
    return "\n\n".join(map(_block, records)) + "\n"


def _block(record: PreparedRecord) -> str:
    copied = to_copy(
        f"For {' and '.join(record.domains)}:",
        record.aliases,
        record.name,
        record.ttl,
        record.value,
    )
    return "\n".join([copied, *(f"  {line}" for line in _remarks(record))])


def _remarks(record: PreparedRecord) -> list[str]:
    lines = []
    if record.there:
        lines.append("It stands there already: there is nothing to do.")
    elif len(record.authorized) == len(record.domains):
        lines.append("What stands there authorises already; this would replace or go beside it.")
    elif record.authorized:
        lines.append(f"What stands there authorises {' and '.join(record.authorized)} already.")
    if record.beside:
        lines.append("Leave what else stands at that name; it does no harm:")
        lines += [f'  "{printable(value)}"' for value in record.beside]
    return lines
