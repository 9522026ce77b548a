"""TXT records in a JSON file: ``dns_persist_jsonfile_path`` and ``…_zone`` in the credentials."""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

from zope.interface import implementer

from certbot_dns_persist.errors import ConfigurationError, ProviderError
from certbot_dns_persist.providers.interface import IProvider


@implementer(IProvider)
class JsonFile:
    """The file maps each name to the list of its values."""

    writes = True

    def __init__(self, settings):
        try:
            self._path = Path(settings.credentials["path"]).resolve()
            self._zone = settings.credentials["zone"]
        except KeyError as error:
            raise ConfigurationError(
                f"dns_persist_jsonfile_{error.args[0]} is missing in "
                f"{settings.credentials_file or 'the file for --dns-persist-credentials'}."
            ) from None

    def zone_for(self, name):
        if not f".{name}".endswith(f".{self._zone}"):
            raise ProviderError(f"{name} is not in {self._zone}, the zone of {self._path}.")
        return self._zone

    def list_values(self, name):
        with self._file_errors():
            return self._read().get(name, [])

    def add_value(self, name, value, ttl):
        self._change(name, lambda values: values if value in values else [*values, value])
        return ttl

    def remove_value(self, name, value):
        self._change(name, lambda values: [v for v in values if v != value])

    def _change(self, name, change):
        # The lock is a separate file, because the file of records is replaced: a crash while
        # writing it in place would lose the records of others.
        with self._file_errors(), Path(f"{self._path}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = self._read()
            records[name] = change(records.get(name, []))
            new = Path(f"{self._path}.new")
            try:
                with new.open("w") as file:
                    shutil.copymode(self._path, new)
                    json.dump(records, file)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self._path)
            finally:
                new.unlink(missing_ok=True)

    def _read(self):
        return json.loads(self._path.read_text())

    @contextlib.contextmanager
    def _file_errors(self):
        try:
            yield
        except (OSError, ValueError) as error:
            raise ProviderError(f"The records in {self._path} cannot be used: {error}.") from error
