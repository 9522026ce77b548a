"""Looking repeatedly, at growing intervals, until all is well or time is up."""

import time
from collections.abc import Callable
from typing import TypeVar

#: Seconds between two looks.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0

_T = TypeVar("_T")


def look_until(
    look: Callable[[], _T],
    done: Callable[[_T], bool],
    seconds: float,
    show: Callable[[_T, float], None] | None = None,
    *,
    pauses: tuple[float, float] = (FIRST_PAUSE, LONGEST_PAUSE),
    after: float = 0.0,
) -> _T:
    """Return the first look that is ``done``, or the last one if ``seconds`` have passed.

    It looks at least once. ``show`` gets each look that does not do, and the seconds left.
    ``pauses`` are the first and the longest seconds between two looks, ``after`` those before the
    first look.
    """
    deadline = time.monotonic() + seconds
    if after:
        time.sleep(min(after, seconds))
    pause, longest = pauses
    while True:
        now = look()
        left = deadline - time.monotonic()
        if left <= 0 or done(now):
            return now
        if show is not None:
            show(now, left)
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest)
