"""Whether a run of ours, that noted something, is still going on.

Each run that notes anything keeps a file of its own locked. The kernel drops the lock when its
process ends, however it does, and that works between containers, where process ids do not.
"""

import atexit
import contextlib
import fcntl
import functools
import os
import secrets
from pathlib import Path


class Run:
    """This process, for one folder."""

    def __init__(self, folder: Path) -> None:
        """Make nothing yet."""
        self._folder = folder
        self._id: str | None = None

    @property
    def id(self) -> str:
        """The name of this run, of which others can tell that it goes on.

        Raises :class:`OSError` if nothing can be written there.
        """
        if self._id is None:
            self._id = self._begin()
        return self._id

    def _begin(self) -> str:
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for left in self._folder.glob("*.lock"):
            has_ended(self._folder, left.stem)  # which removes it
        while True:
            name = secrets.token_hex(8)
            path = self._folder / f"{name}.lock"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)  # open until the process ends
            with contextlib.suppress(OSError):  # without locks, nobody can tell that it goes on
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # nobody has taken it for one that was left
                atexit.register(_remove, path)
                return name
            os.close(descriptor)


def has_ended(folder: Path, name: str) -> bool:
    """Whether the process of the run ``name`` has ended; its file is removed then."""
    path = folder / f"{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:  # we cannot tell
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    else:
        _remove(path)
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@functools.cache
def run_of(folder: Path) -> Run:
    """Return this process's run for ``folder``."""
    return Run(folder)
