"""Files that the command line names, to read them."""

import argparse
import os
import re
import sys
from pathlib import Path

from certbot_dns_persist import files
from certbot_dns_persist.errors import UsageError

#: Also what ``<(command)`` stands for in a shell.
_OPENED = re.compile("-|/dev/stdin|/(?:dev|proc/self)/fd/([0-9]+)")


def opened(path: str) -> int:
    """Open the file that the user names, or what the shell has opened for us."""
    if standing := _OPENED.fullmatch(path):
        return os.dup(int(standing[1] or sys.stdin.fileno()))
    with files.opened(files.followed(Path(path)), os.O_RDONLY) as descriptor:
        return os.dup(descriptor)


def require_one_reader(args: argparse.Namespace) -> None:
    """Raise :class:`~certbot_dns_persist.errors.UsageError` if two options want standard input."""
    answers = [each.rpartition("=")[2] for each in getattr(args, "answers", ())]
    ways = {"--answers": answers} | {
        f"--{name.replace('_', '-')}": [getattr(args, name, None)]
        for name in ("from_file", "known_accounts", "since")
    }
    readers = [option for option, paths in ways.items() for path in paths if path == "-"]
    if len(readers) > 1:
        raise UsageError(f"Standard input can be read only once, not by {' and '.join(readers)}.")
