"""Commands timed against each other, in one run on one machine.

They take turns, so that other load on the machine affects all of them alike.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence


def medians(
    commands: Mapping[str, Sequence[str]], runs: int, env: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Return each command's median time in seconds of ``runs`` runs, after one to warm it up.

    If one fails, exits with its output.
    """
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            done = subprocess.run(
                command, env={**os.environ, **(env or {})}, check=False, capture_output=True
            )
            seconds = time.perf_counter() - began
            assert done.returncode == 0, f"{command}\n{done.stdout!r}\n{done.stderr!r}"
            if turn:
                taken[name].append(seconds)
    return {name: statistics.median(each) for name, each in taken.items()}
