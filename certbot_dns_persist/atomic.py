"""Files that are replaced atomically: a reader gets the whole old content or the whole new one.

A crash does not leave half a file either: the new content is on the disk before it gets the name.
"""

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path


def replace_file(path: Path, octets: bytes, *, mode: int | None = None) -> None:
    """Replace the content of the file ``path`` with ``octets``; a link is not followed.

    A file that exists keeps its mode, its extended attributes and, as far as this user may set
    them, its owner and group; a new one is for its owner alone. ``mode`` sets the permissions in
    either case. Raises :class:`OSError` if it cannot be written, or ``path`` is a link: then the
    file is as it was, and nothing else is left in its directory.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    # Programs that read whole directories, such as node exporters, ignore hidden files and other
    # suffixes.
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
    sync_directory(path.parent)


def _keep(old: Path, new: Path, descriptor: int) -> None:
    """Copy the attributes of the file ``old`` to ``new``, which is open as ``descriptor``."""
    status = old.lstat()
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    shutil.copystat(old, new)  # after the owner: changing that clears bits of the mode


def sync_directory(path: Path) -> None:
    """Flush what was renamed or made in ``path`` to the disk, if the file system supports that."""
    try:
        directory = os.open(path, os.O_RDONLY)
    except PermissionError:  # a directory that we may write but not list
        return
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(directory)
