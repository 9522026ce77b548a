"""Runs coroutines for synchronous callers: an event loop in a thread of its own.

The thread is there because of signals. Their handlers run in the main thread, between any two
instructions, and Certbot's raise an exception; if that happened inside a callback, asyncio would
log it and continue. Here no callback runs in the main thread, where the caller waits: what a
handler raises ends the wait, and so the loop. Also, the caller's thread may run a loop already, and
can have only one; and answers are received while the caller is busy.
"""

import asyncio
import contextlib
import functools
import itertools
import queue
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar, cast

#: Coroutines at once, including those whose results wait for an earlier one.
MAX_UNDER_WAY = 500
MAX_WAITING = 4000

# Fewer items than this wait for more while others are in progress.
_MIN_BATCH = 50
# Seconds after which we notice a signal that another thread than the main one received.
_POLL = 0.2

_T = TypeVar("_T")
_R = TypeVar("_R")

_Work = Callable[[_T], Coroutine[Any, Any, _R]]


def in_order(
    items: Iterable[_T], session: Callable[[], AbstractContextManager[_Work[_T, _R]]]
) -> Iterator[_R]:
    """Yield what the coroutine for each of ``items`` returns, in their order.

    ``session`` is entered within the loop, and yields a function that makes a coroutine from an
    item. Items are taken in the caller's thread as there is room, so there may be any number.
    """
    source = iter(items)
    drawn = yielded = 0
    more = True
    background: _Background[_T, _R] | None = None
    try:
        with _signals_waiting():
            background = _Background(session)
        results = background.results
        while more or yielded < drawn:
            background.collect()
            room = min(MAX_UNDER_WAY + len(results), MAX_WAITING) - (drawn - yielded)
            if more and room >= _MIN_BATCH:
                batch = list(itertools.islice(source, room))
                more = len(batch) == room
                drawn += len(batch)
                background.add(batch)
            if yielded in results:
                outcome = results.pop(yielded)
                yielded += 1
                yield outcome.result()
            elif yielded < drawn:
                background.collect(wait=True)
    finally:
        if background is not None:
            with _signals_waiting():
                background.stop()


@contextlib.contextmanager
def _signals_waiting() -> Iterator[None]:
    """Let signals wait: what a handler raises would leave half a thread or half a loop.

    A thread that is started meanwhile takes no signals at all.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Outcome(Generic[_R]):
    """What a coroutine has returned or raised.

    Its task stays in the loop's thread: asyncio keeps a weak set of all tasks, whose Python code
    runs where a task is deleted, and what a signal's handler raises in such code is lost.
    """

    def __init__(self, task: "asyncio.Task[_R]") -> None:
        self._error = task.exception()
        self._value = None if self._error else task.result()

    def result(self) -> _R:
        if self._error is not None:
            raise self._error
        return cast(_R, self._value)


class _Background(Generic[_T, _R]):
    """A thread with an event loop."""

    def __init__(self, session: Callable[[], AbstractContextManager[_Work[_T, _R]]]) -> None:
        self.results: dict[int, _Outcome[_R]] = {}
        """What the coroutines that have ended returned or raised, by number."""
        self._session = session
        self._work: _Work[_T, _R]
        self._serving = False
        self._loop = asyncio.new_event_loop()
        self._served = self._loop.create_task(self._serve())
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._numbers = itertools.count()
        self._finished: dict[int, _Outcome[_R]] = {}
        self._batches: queue.SimpleQueue[dict[int, _Outcome[_R]]] = queue.SimpleQueue()
        # A daemon, so that a generator that is never closed does not keep the interpreter running
        self._thread = threading.Thread(target=self._run, name="look-up", daemon=True)
        self._thread.start()

    # In the caller's thread

    def add(self, items: list[_T]) -> None:
        """Run the coroutines for ``items``; their results are numbered from 0."""
        self._loop.call_soon_threadsafe(self._start_tasks, items)

    def collect(self, *, wait: bool = False) -> None:
        """Collect the results that are ready; with ``wait``, wait for at least one."""
        while wait or not self._batches.empty():
            try:
                self.results.update(self._batches.get(timeout=_POLL))
                wait = False
            except queue.Empty:
                if self._served.done():  # too early, so something is wrong
                    self._served.result()

    def stop(self) -> None:
        """End all coroutines, the thread and the loop."""
        self._loop.call_soon_threadsafe(self._stop)
        # The garbage collector closes a forgotten generator in any thread.
        if self._thread is not threading.current_thread():
            self._thread.join()
            self._loop.close()
            del self._served  # here, for the same reason as with results

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
        if not self._finished:  # hand over all that finish in this turn of the loop together
            self._loop.call_soon(self._hand_over)
        self._finished[number] = _Outcome(task)

    def _hand_over(self) -> None:
        self._batches.put(self._finished)
        self._finished = {}

    def _stop(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End with the exception of a callback, which asyncio would only log."""
        error = context.get("exception")
        if "handle" in context and error is not None and not self._end.done():
            self._end.set_exception(error)
        else:
            loop.default_exception_handler(context)
