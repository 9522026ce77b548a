"""TXT records in a JSON file: ``dns_persist_jsonfile_path`` and ``…_zone`` in the credentials."""

import fcntl
import json
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
            self._path = Path(settings.credentials["path"])
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
        return self._change(name, lambda values: values)

    def add_value(self, name, value, ttl):
        self._change(name, lambda values: values if value in values else [*values, value])
        return ttl

    def remove_value(self, name, value):
        self._change(name, lambda values: [v for v in values if v != value])

    def _change(self, name, change):
        try:
            with self._path.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                records = json.load(file)
                records[name] = change(records.get(name, []))
                file.seek(0)
                json.dump(records, file)
                file.truncate()
                return records[name]
        except (OSError, ValueError) as error:
            raise ProviderError(f"The records in {self._path} cannot be used: {error}.") from error
