"""Coroutines for callers that are none: an event loop in a thread of its own.

The thread is for the sake of signals. Their handlers run in the main thread, between any two
instructions, and those of Certbot raise an exception: raised within a callback, asyncio would log
it and go on. Here no callback runs in the main thread, where the caller waits: what a handler
raises ends the waiting, which ends the loop. Also, the caller may run a loop already, of which
there can be only one in a thread; and answers are received while the caller is busy.
"""

import asyncio
import contextlib
import functools
import itertools
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

#: Coroutines at once, and those whose results may wait for an earlier one's.
MAX_UNDER_WAY = 500
MAX_WAITING = 4000

# Fewer items are not handed to the loop at once while others are under way.
_MIN_BATCH = 50
# Seconds after which a signal is noticed that was delivered to another thread than the main one.
_POLL = 0.2

_T = TypeVar("_T")
_R = TypeVar("_R")

_Work = Callable[[_T], Coroutine[Any, Any, _R]]


def in_order(
    items: Iterable[_T], session: Callable[[], AbstractContextManager[_Work[_T, _R]]]
) -> Iterator[_R]:
    """Yield what the coroutine for each of ``items`` returns, in their order.

    ``session`` is entered within the loop, and gives what makes a coroutine of an item. The items
    are drawn in the caller's thread as there is room for more, so there may be any number of them.
    """
    source = iter(items)
    drawn = yielded = 0
    more = True
    background = _Background(session)
    results = background.results
    try:
        background.start()
        while more or yielded < drawn:
            background.collect()
            room = min(MAX_UNDER_WAY + len(results), MAX_WAITING) - (drawn - yielded)
            if more and room >= _MIN_BATCH:
                batch = list(itertools.islice(source, room))
                more = len(batch) == room
                drawn += len(batch)
                background.add(batch)
            if yielded in results:
                task = results.pop(yielded)
                yielded += 1
                yield task.result()
            elif yielded < drawn:
                background.collect(wait=True)
    finally:
        background.stop()


class _Background(Generic[_T, _R]):
    """A thread with an event loop."""

    def __init__(self, session: Callable[[], AbstractContextManager[_Work[_T, _R]]]) -> None:
        self.results: dict[int, asyncio.Task[_R]] = {}
        """What has finished, by number."""
        self._session = session
        self._work: _Work[_T, _R]
        self._served: asyncio.Task[None]
        self._serving = False
        self._loop = asyncio.new_event_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._numbers = itertools.count()
        self._finished: dict[int, asyncio.Task[_R]] = {}
        self._batches: queue.SimpleQueue[dict[int, asyncio.Task[_R]]] = queue.SimpleQueue()
        # A daemon, so that a generator that nobody closes does not keep the interpreter from ending
        self._thread = threading.Thread(target=self._run, name="look-up", daemon=True)

    # In the caller's thread

    def start(self) -> None:
        self._served = self._loop.create_task(self._serve())
        self._thread.start()

    def add(self, items: list[_T]) -> None:
        """Let the coroutines for ``items`` run; their results are numbered from 0 on."""
        self._loop.call_soon_threadsafe(self._start_tasks, items)

    def collect(self, *, wait: bool = False) -> None:
        """Take up the results that are there by now; ``wait`` until there is one."""
        while wait or not self._batches.empty():
            try:
                self.results.update(self._batches.get(timeout=_POLL))
                wait = False
            except queue.Empty:
                if self._served.done():  # which it is before its time only if something is wrong
                    self._served.result()

    def stop(self) -> None:
        """End all coroutines, the thread and the loop."""
        self._loop.call_soon_threadsafe(self._stop)
        # A generator that nobody closes is closed in any thread, by the collector of garbage.
        if self._thread is not threading.current_thread():
            if self._thread.is_alive():
                self._thread.join()
            self._loop.close()

    # In the loop's thread

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # for `collect` to raise
            self._loop.run_until_complete(self._served)

    async def _serve(self) -> None:
        self._loop.set_exception_handler(self._handle)
        try:
            with self._session() as self._work:
                self._serving = True
                await self._end
        finally:
            self._serving = False
            others = asyncio.all_tasks() - {self._served}
            for task in others:
                task.cancel()
            if others:
                await asyncio.wait(others)

    def _start_tasks(self, items: list[_T]) -> None:
        if not self._serving:
            return
        for item, number in zip(items, self._numbers, strict=False):
            task = self._loop.create_task(self._work(item))
            task.add_done_callback(functools.partial(self._finish, number))

    def _finish(self, number: int, task: asyncio.Task[_R]) -> None:
        if not self._serving:
            return
        if not self._finished:  # all that finish in this turn of the loop go together
            self._loop.call_soon(self._hand_over)
        self._finished[number] = task

    def _hand_over(self) -> None:
        self._batches.put(self._finished)
        self._finished = {}

    def _stop(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End with what a callback raises, which asyncio would only log."""
        error = context.get("exception")
        if "handle" in context and error is not None and not self._end.done():
            self._end.set_exception(error)
        else:
            loop.default_exception_handler(context)
