"""Prepared records as lines to add to a zone file (RFC 1035 section 5)."""

from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord
from certbot_dns_persist.value.txt import zone_line


def render(records: Sequence[PreparedRecord]) -> str:
    """Return a line for each record, with absolute names, so that it works in any file."""
    return "".join(
        f"; For {' and '.join(record.domains)}\n"
        f"{zone_line(record.name, record.ttl, record.value)}\n"
        for record in records
    )
