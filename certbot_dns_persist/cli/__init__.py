"""The command ``certbot-dns-persist``, for everything except issuing. One file per command."""

import sys
from collections.abc import Sequence

from certbot_dns_persist.errors import cannot_be_imported


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status, which is 3 if it cannot be imported."""
    try:
        from certbot_dns_persist.cli import program
    except Exception as error:  # noqa: BLE001 - an import runs other people's code
        print(cannot_be_imported(error), file=sys.stderr)
        return 3
    return program.main(arguments)
