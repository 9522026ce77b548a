"""Locks of names, so that one process at a time looks at a name and changes its records.

The locks are the kernel's (flock): one ends with the process that holds it, however that ends. What
is locked is the name where a record is written, as several domains may be aliases of it.

There are at most ``FILES`` files, and names may share one. With a file for each name, there would
be ever more, and none could be removed: another process may have opened it to lock it. Names that
share a file wait for each other as long as a change takes, which may be minutes; so there are many
files, and where changes are slow, a process locks one name at a time.
"""

import contextlib
import hashlib
import os
import socket
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from certbot_dns_persist import files
from certbot_dns_persist.errors import Busy, CannotLock
from certbot_dns_persist.record import format_time

if TYPE_CHECKING:
    from certbot_dns_persist.inventory.locks import FleetLocks

FILES = 4096

#: How long to wait for another process.
SECONDS = 120.0

#: How much of a lock file to read, in octets.
_SHOWN = 500


class Locks:
    """The locks of one Certbot installation."""

    def __init__(
        self, directory: Path, seconds: float | None = None, fleet: "FleetLocks | None" = None
    ) -> None:
        """Open nothing yet. ``seconds`` is how long to wait for another process.

        ``fleet`` keeps other hosts from changing the same names.
        """
        self._fleet = fleet
        self._directory = directory
        self._seconds = SECONDS if seconds is None else seconds
        self._held: set[int] = set()
        self._private = False

    @contextlib.contextmanager
    def hold(self, names: Collection[str], deadline: float | None = None) -> Iterator[None]:
        """Hold the locks of ``names``; those that this object holds already are held longer.

        All processes take them in the same order, so that no two wait for each other.
        ``deadline`` is until when to wait, by :func:`time.monotonic`. Raises
        :class:`~certbot_dns_persist.errors.Busy` if another process holds one too long, and
        :class:`~certbot_dns_persist.errors.CannotLock` if nothing can be locked here.
        """
        deadline = self.deadline() if deadline is None else deadline
        with contextlib.ExitStack() as held:
            numbers = {_number(name): name for name in names}
            new = {n: name for n, name in sorted(numbers.items()) if n not in self._held}
            for number, name in new.items():
                held.enter_context(self._one(number, name, deadline))
            if self._fleet is not None and new:
                left = max(deadline - time.monotonic(), 0.1)
                held.enter_context(self._fleet.hold(new, left))
            yield

    def deadline(self) -> float:
        """Return until when to wait for another process that has a lock now."""
        return time.monotonic() + self._seconds

    @contextlib.contextmanager
    def _one(self, number: int, name: str, deadline: float) -> Iterator[None]:
        path = self._directory / f"{number:04}.lock"
        with contextlib.ExitStack() as stack:
            try:
                if not self._private:
                    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    files.require_private(path)
                    self._private = True
                file = stack.enter_context(files.opened(path, os.O_RDWR | os.O_CREAT))
                try:
                    files.lock(file, max(deadline - time.monotonic(), 0))
                except TimeoutError as error:
                    raise self._busy(file, name) from error
            except OSError as error:
                raise CannotLock(
                    f"{path} cannot be locked ({error.strerror}), so another process may change "
                    "the same records at the same time."
                ) from error
            _write(file, f"{_this_process()}\n")
            self._held.add(number)
            try:
                yield
            finally:
                self._held.remove(number)
                _write(file, "")

    def _busy(self, file: int, name: str) -> Busy:
        holder = ""
        with contextlib.suppress(OSError):
            holder = os.pread(file, _SHOWN, 0).decode(errors="replace").strip()
        who = holder if holder and holder.isprintable() else "another process"
        return Busy(
            f"{name} is being changed by {who}, and has been for more than {self._seconds:g} "
            "seconds. Run the same command again when that has ended; if it hangs, end it first."
        )


def _number(name: str) -> int:
    """Return the number of the file that locks ``name``, the same in every process."""
    normalized = name.rstrip(".").lower().encode()
    return int.from_bytes(hashlib.sha256(normalized).digest()[:8], "big") % FILES


def _this_process() -> str:
    program = Path(sys.argv[0]).name
    since = format_time(int(time.time()))
    return f"{program} (process {os.getpid()} on {socket.gethostname()}, since {since})"


def _write(file: int, text: str) -> None:
    """Replace what a lock file says of its holder, who is only shown in messages."""
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, text.encode(), 0)
