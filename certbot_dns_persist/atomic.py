"""Files that are replaced at once: whoever reads one reads all of what was there, or all that is.

Not even a crash leaves half of one: what is new is on the disk before it takes the name.
"""

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path


def replace_file(path: Path, octets: bytes, *, mode: int | None = None) -> None:
    """Make ``octets`` all that the file ``path`` holds, or that it leads to by symbolic links.

    A file that was there passes on its mode, its extended attributes and, as far as this user may
    set them, its owner and group; a new one is for its owner alone. ``mode`` is for the
    permissions to be these in either case. Raises :class:`OSError` when it cannot be written: then
    the file is as it was, and nothing else is left in its directory.
    """
    if path.is_symlink():
        path = path.resolve()  # else it stays as it is: parents of a relative one may be closed
    # Readers of a directory, as node exporters are, pass over hidden files and other suffixes.
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            with contextlib.suppress(FileNotFoundError):
                _keep(path, new, descriptor)
            if mode is not None:
                os.fchmod(descriptor, mode)
            left = memoryview(octets)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(path)
    except BaseException:  # a signal's handler may raise anything, anywhere
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    _sync_directory(path.parent)


def _keep(old: Path, new: Path, descriptor: int) -> None:
    """Give the file ``new``, which is open as ``descriptor``, what the file ``old`` has."""
    status = old.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    shutil.copystat(old, new)  # after the owner: to change that takes bits of the mode away


def _sync_directory(path: Path) -> None:
    """Have the disk know which file has the name, where file systems can tell it."""
    try:
        directory = os.open(path, os.O_RDONLY)
    except PermissionError:  # one may write there, but not list it
        return
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(directory)
