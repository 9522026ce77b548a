"""Locks of names, so that one process at a time looks at a name and changes its records.

The locks are the kernel's (flock): one ends with the process that holds it, however that ends. What
is locked is the name where a record is written, as several domains may be aliases of it.

There are ``FILES`` files, and names share them. With a file for each name, a big installation would
have thousands, and none could be removed: another process may have opened it to lock it. Names that
share a file wait for each other for the seconds that a change takes.
"""

import contextlib
import fcntl
import hashlib
import os
import socket
import stat
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from certbot_dns_persist.errors import Busy, CannotLock
from certbot_dns_persist.record import format_time

FILES = 64

#: How long to wait for another process, and how often to look, in seconds.
SECONDS, PAUSE = 120.0, 0.05

#: How much of a lock file to read, in octets.
_SHOWN = 500


class Locks:
    """The locks of one Certbot installation."""

    def __init__(self, directory: Path, seconds: float | None = None) -> None:
        """Open nothing yet. ``seconds`` is how long to wait for another process."""
        self._directory = directory
        self._seconds = SECONDS if seconds is None else seconds
        self._held: set[int] = set()

    @contextlib.contextmanager
    def hold(self, names: Collection[str]) -> Iterator[None]:
        """Hold the locks of ``names``; those that this object holds already are held longer.

        All processes take them in the same order, so that no two wait for each other. Raises
        :class:`~certbot_dns_persist.errors.Busy` if another process holds one too long, and
        :class:`~certbot_dns_persist.errors.CannotLock` if nothing can be locked here.
        """
        deadline = time.monotonic() + self._seconds
        with contextlib.ExitStack() as held:
            for number, name in sorted({_number(name): name for name in names}.items()):
                if number not in self._held:
                    held.enter_context(self._one(number, name, deadline))
            yield

    @contextlib.contextmanager
    def _one(self, number: int, name: str, deadline: float) -> Iterator[None]:
        file = self._open(f"{number:02}.lock")
        try:
            self._lock(file, name, deadline)
            _write(file, f"{_this_process()}\n")
            self._held.add(number)
            try:
                yield
            finally:
                self._held.remove(number)
                _write(file, "")
        finally:
            os.close(file)  # this unlocks it

    def _open(self, name: str) -> int:
        """Open a lock file, and follow no link there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                file = os.open(name, flags, 0o600, dir_fd=directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise self._cannot(name, str(error.strerror)) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise self._cannot(name, "it is not a regular file")
        return file

    def _lock(self, file: int, name: str, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise self._busy(file, name) from error
                time.sleep(PAUSE)
            except OSError as error:  # a file system without locks
                raise self._cannot(f"{_number(name):02}.lock", str(error.strerror)) from error
            else:
                return

    def _busy(self, file: int, name: str) -> Busy:
        with contextlib.suppress(OSError):
            holder = os.pread(file, _SHOWN, 0).decode(errors="replace").strip()
        who = holder if holder.isprintable() and holder else "another process"
        return Busy(
            f"{name} is being changed by {who}, and has been for more than {self._seconds:g} "
            "seconds. Run the same command again when that has ended; if it hangs, end it first."
        )

    def _cannot(self, name: str, why: str) -> CannotLock:
        return CannotLock(
            f"{self._directory / name} cannot be locked ({why}), so another process may change the "
            "same records at the same time."
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
