"""Keeps how long a process sleeps, in seconds, each time on a line of the file ``SLEPT``.

Python imports this at its start, if it is on ``PYTHONPATH`` or in site-packages.
"""

import os
import time

_sleep = time.sleep


def _noted(seconds: float) -> None:
    with open(os.environ["SLEPT"], "a", encoding="ascii") as file:  # noqa: PTH123 - starts fast
        file.write(f"{seconds}\n")
    _sleep(seconds)


if "SLEPT" in os.environ:
    time.sleep = _noted  # type: ignore[assignment]
