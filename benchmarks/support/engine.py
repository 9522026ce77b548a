"""Looks names up as check does, and does nothing with what DNS holds.

    engine.py FILE RESOLVER QUERIES_PER_SECOND

It is run by the Python of the installation that is measured.
"""

import sys
from collections.abc import Iterator

from certbot_dns_persist.lookup.session import Address, Around, Lookup


def main(file: str, resolver: str, queries_per_second: str) -> None:
    def domains() -> Iterator[str]:
        with open(file) as lines:  # noqa: PTH123 - pathlib is memory, too
            yield from map(str.strip, lines)

    lookup = Lookup([Address(resolver)], queries_per_second=float(queries_per_second))
    inspected = lookup.inspect(domains(), caa=False, around=Around.FEW, elsewhere=True)
    assert all(each.found.values for each in inspected)


if __name__ == "__main__":
    main(*sys.argv[1:])
