"""Coroutines that wait for answers of DNS servers, and nothing else.

A small part of what asyncio does, for thousands of coroutines that live for one question each:
with asyncio's tasks and timers a look-up takes more than twice as long.
"""

from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

_T = TypeVar("_T")

Waiting = tuple[Coroutine[Any, Any, Any], "Promise[Any]"]


class Unanswered(Exception):
    """No usable answer; str() says from whom and why."""


class Promise(Generic[_T]):
    """What a coroutine may await: a value that is there already or will be.

    Coroutines that wait go on when :meth:`Coroutines.run` is called next.
    """

    __slots__ = ("_error", "_ready", "_value", "_waiting", "done")

    def __init__(self, ready: deque[Waiting]) -> None:
        self.done = False
        self._ready = ready
        self._value: _T | None = None
        self._error: Unanswered | None = None
        self._waiting: list[Waiting] | None = None

    def settle(self, value: _T) -> None:
        self._value = value
        self._finish()

    def fail(self, error: Unanswered) -> None:
        self._error = error
        self._finish()

    def wake(self, waiting: Waiting) -> None:
        """Let a coroutine go on once this is done."""
        if self.done:
            self._ready.append(waiting)
        elif self._waiting is None:
            self._waiting = [waiting]
        else:
            self._waiting.append(waiting)

    def result(self) -> _T:
        if self._error is not None:
            # Raised for each that waits: without this, every traceback would hold all earlier ones.
            raise self._error.with_traceback(None)
        return cast(_T, self._value)

    def __await__(self) -> Generator["Promise[Any]", None, _T]:
        if not self.done:
            yield self
        return self.result()

    def _finish(self) -> None:
        self.done = True
        if self._waiting is not None:
            self._ready.extend(self._waiting)
            self._waiting = None


class Coroutines:
    """Coroutines under way; they await promises made here and raise only ``Unanswered``."""

    def __init__(self) -> None:
        self.unfinished = 0
        self._ready: deque[Waiting] = deque()

    def promise(self) -> Promise[Any]:
        return Promise(self._ready)

    def start(self, coroutine: Coroutine[Any, Any, _T]) -> Promise[_T]:
        """Run ``coroutine`` as far as it goes now; return its result to be."""
        promise: Promise[_T] = Promise(self._ready)
        self.unfinished += 1
        self._step(coroutine, promise)
        return promise

    def run(self) -> None:
        """Let every coroutine go on for which something has come."""
        ready = self._ready
        while ready:
            self._step(*ready.popleft())

    def _step(self, coroutine: Coroutine[Any, Any, Any], promise: Promise[Any]) -> None:
        try:
            awaited: Promise[Any] = coroutine.send(None)
        except StopIteration as stop:
            self.unfinished -= 1
            promise.settle(stop.value)
        except Unanswered as error:
            self.unfinished -= 1
            promise.fail(error)
        else:
            awaited.wake((coroutine, promise))
