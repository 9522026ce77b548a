"""Files for reports, which are complete or do not exist."""

import os
from pathlib import Path

from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.errors import ConfigurationError


class OutputFile:
    """The file that an option of the command line names."""

    def __init__(self, option: str, path: Path, *, mode: int | None = None) -> None:
        """Check that it can be written.

        ``mode`` is its permissions; ``None`` keeps those of an existing file, and lets only the
        owner read a new one. Raises
        :class:`~certbot_dns_persist.errors.ConfigurationError` if it cannot be written.
        """
        self._option = option
        self._path = path
        self._mode = mode
        directory = path.absolute().parent
        if path.is_symlink():  # as /dev/stdout; others may lead anywhere, and we may be root
            why = "it is a symbolic link, which we do not follow; name the file itself"
        elif path.exists() and not path.is_file():  # as /dev/null, which must not be replaced
            why = "it is not a regular file"
        elif not directory.is_dir():
            why = f"there is no directory {directory}"
        elif not os.access(directory, os.W_OK | os.X_OK):
            why = f"the directory {directory} is not writable"
        else:
            return
        raise ConfigurationError(f"{option} {path} cannot be written: {why}.")

    def write(self, octets: bytes) -> None:
        """Write all of it, so that no reader ever sees half.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError`.
        """
        try:
            replace_file(self._path, octets, mode=self._mode)
        except OSError as error:
            raise ConfigurationError(
                f"{self._option} {self._path.absolute()} cannot be written: {error.strerror}."
            ) from error
