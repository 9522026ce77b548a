"""Reports that go into a file: complete, or not there at all."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from certbot_dns_persist.errors import ConfigurationError


def check_writable(option: str, path: Path) -> None:
    """Raise :class:`~certbot_dns_persist.errors.ConfigurationError` when it is in vain to begin."""
    directory = path.resolve().parent
    if path.exists() and not path.is_file():  # as /dev/stdout, which must not be replaced
        why = "it is no regular file"
    elif not directory.is_dir():
        why = f"there is no directory {directory}"
    elif not os.access(directory, os.W_OK | os.X_OK):
        why = f"the directory {directory} may not be written"
    else:
        return
    raise ConfigurationError(f"{option} {path} cannot be written: {why}.")


def replace(option: str, path: Path, octets: bytes, *, mode: int | None) -> None:
    """Write the file ``path`` so that nobody ever reads half of it.

    ``mode`` is its permissions; ``None`` keeps those of a file that is there, and lets nobody but
    its owner read a new one. ``option`` is for the message of
    :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    path = path.resolve()  # the file that a symbolic link leads to, not the link
    if mode is None:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    new = None
    try:
        # Readers of a directory, as node exporters are, pass over hidden files and other suffixes.
        descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            os.fchmod(descriptor, mode)
        Path(new).replace(path)
    except OSError as error:
        if new is not None:
            with contextlib.suppress(OSError):
                Path(new).unlink()
        raise ConfigurationError(f"{option} {path} cannot be written: {error.strerror}.") from error
