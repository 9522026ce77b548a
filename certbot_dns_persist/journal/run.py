"""Whether a run of ours, that noted something, is still going on.

Each run that notes anything keeps a file of its own locked. The kernel drops the lock when its
process ends, however it does, and that works between containers, where process ids do not. On a
file system without locks, a run counts as ended a day after it began.
"""

import atexit
import contextlib
import functools
import os
import secrets
import time
from pathlib import Path

from certbot_dns_persist.files import lock, opened

#: How long a run may take of which nobody can tell that it goes on, in seconds.
_LONGEST = 24 * 3600


class Run:
    """This process, for one folder."""

    def __init__(self, folder: Path) -> None:
        """Make nothing yet."""
        self._folder = folder
        self._id: str | None = None
        self._open = contextlib.ExitStack()  # until the process ends

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
            with contextlib.ExitStack() as file:
                descriptor = file.enter_context(opened(path, os.O_RDWR | os.O_CREAT))
                try:
                    lock(descriptor, 0)
                except TimeoutError:
                    continue  # another process takes it for one that was left, and removes it
                except OSError:
                    pass  # a file system without locks
                if path.exists():
                    self._open = file.pop_all()
                    atexit.register(_remove, path)
                    return name


def has_ended(folder: Path, name: str) -> bool:
    """Whether the process of the run ``name`` has ended; its file is removed then."""
    path = folder / f"{name}.lock"
    try:
        with opened(path, os.O_RDWR) as descriptor:
            try:
                lock(descriptor, 0)
            except TimeoutError:
                return False
            except OSError:  # a file system without locks
                if time.time() - os.fstat(descriptor).st_mtime < _LONGEST:
                    return False
            _remove(path)
    except FileNotFoundError:
        return True
    except OSError:  # we cannot tell
        return False
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@functools.cache
def run_of(folder: Path) -> Run:
    """Return this process's run for ``folder``."""
    return Run(folder)
