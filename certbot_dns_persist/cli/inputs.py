"""Files that the command line names, to read them."""

import os
import re
import sys
from pathlib import Path

from certbot_dns_persist import files

#: Also what ``<(command)`` stands for in a shell.
_OPENED = re.compile("-|/dev/stdin|/(?:dev|proc/self)/fd/([0-9]+)")


def opened(path: str) -> int:
    """Open the file that the user names, or what the shell has opened for us."""
    if standing := _OPENED.fullmatch(path):
        return os.dup(int(standing[1] or sys.stdin.fileno()))
    with files.opened(files.followed(Path(path)), os.O_RDONLY) as descriptor:
        return os.dup(descriptor)
