"""Reports that go into a file: complete, or not there at all."""

import os
from pathlib import Path

from certbot_dns_persist.atomic import replace_file
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
    try:
        replace_file(path, octets, mode=mode)
    except OSError as error:
        raise ConfigurationError(
            f"{option} {path.resolve()} cannot be written: {error.strerror}."
        ) from error
