"""Commands timed against each other, in one run on one machine.

They take turns, so that what else the machine does falls on all of them alike.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence


def medians(
    commands: Mapping[str, Sequence[str]], runs: int, env: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Return each command's median seconds of ``runs`` runs, after one that warms it up.

    Raises :class:`subprocess.CalledProcessError` when one fails.
    """
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(
                command, env={**os.environ, **(env or {})}, check=True, capture_output=True
            )
            if turn:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
