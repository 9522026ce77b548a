"""A base class for what runs from construction until it is stopped, as a context manager."""

from types import TracebackType
from typing import TypeVar

_Self = TypeVar("_Self", bound="Stoppable")


class Stoppable:
    """Stops at the end of a ``with``."""

    def stop(self) -> None:
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
