"""Runs a command and writes what it took, as JSON, to a file.

    measured.py FILE COMMAND [ARGUMENT ...]

A process of its own, as small as possible: Linux counts the memory of the process that starts a
command as the command's.
"""

import json
import os
import subprocess
import sys
import time


def main(file: str, *command: str) -> int:
    start = time.monotonic()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    taken = {
        "seconds": seconds,
        "processor": usage.ru_utime + usage.ru_stime,
        "megabytes": usage.ru_maxrss / 1024,
    }
    with open(file, "w") as out:  # noqa: PTH123 - pathlib is memory, too
        json.dump(taken, out)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
