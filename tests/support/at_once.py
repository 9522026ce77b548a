"""Work that several threads do at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_SECONDS = 200.0


def at_once(count: int, work: Callable[[int], object]) -> None:
    """Call ``work`` with 0, 1, … in as many threads, which start together; raise what it raises."""
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait(_SECONDS)
        work(number)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(run, number) for number in range(count)]:
            done.result(_SECONDS)
