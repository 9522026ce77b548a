"""PowerDNS Authoritative Server, through its HTTP API.

Keys in the credentials file, each with the prefix ``dns_persist_powerdns_``, or ``dns_powerdns_``
as in the files of certbot-dns-powerdns:

=============  ==================================================================================
``api_url``    where the API is, such as ``https://ns1.example.net:8081``
``api_key``    the server's ``api-key``
``server_id``  for what stands in between (default: ``localhost``)
=============  ==================================================================================

From 4.9.12 and 5.0.2 on, the server adds and removes single records (``EXTEND``, ``PRUNE``). An
older one only replaces all records of a name, and knows no condition for it: if another machine
changes the same name in the same moment, what it wrote may be lost. So do we where some record of
the name is disabled, as a change of a single one would drop that. On this machine, one process at
a time changes a name. Where that is not enough, use the provider ``rfc2136``: PowerDNS takes
dynamic updates, which have conditions.

All records that are missing in a zone are added in one request. Before 5.0, only an answer with the
whole zone has the records that are disabled, so that is read before each change.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import is_loopback
from certbot_dns_persist.providers.http import (
    OTHER_SHAPE,
    FailedError,
    HttpManyProvider,
    Text,
    Texts,
    Zone,
)
from certbot_dns_persist.providers.interface import Addition, Settings
from certbot_dns_persist.shown import logger_of
from certbot_dns_persist.value.txt import quoted, unquoted

logger = logger_of(__name__)

_FEW = 3  # names that are read one by one rather than with the whole zone

_replacing = threading.Lock()
"""Held while sets are read and replaced."""


class Powerdns(HttpManyProvider):
    """The zones of one PowerDNS server."""

    LABEL = "powerdns"
    SERVICE = "PowerDNS"
    URL = ""
    HINT = "Look at the server's log (journalctl -u pdns)"
    KEYS = frozenset({"api_url", "api_key", "server_id"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, as :class:`HttpManyProvider` does."""
        super().__init__(settings)
        self._api_key = self._secret("api_key")
        if not self._api_key:
            raise errors.ConfigurationError(
                f"The provider powerdns needs {self._key('api_key')} in {self._file}: what api-key "
                "is in the server's pdns.conf."
            )
        parts = urlsplit(self._url)
        if parts.scheme == "http" and not is_loopback(str(parts.hostname)):
            logger.warning(
                "The API key of PowerDNS goes to %s without TLS, so whoever sees that traffic can "
                "change every zone there. Put a proxy that speaks TLS before the server, and its "
                "https:// URL as %s into %s; or run this on the server itself.",
                self._url,
                self._key("api_url"),
                self._file,
            )
        self._server = quote(self._get("server_id") or "localhost", safe="")
        self._singly = True
        """Whether the server can add and remove single records, as far as we know."""

    def _checked_url(self) -> str:
        if not self._get("api_url"):
            raise errors.ConfigurationError(
                f"The provider powerdns needs {self._key('api_url')} in {self._file}: where the "
                "server's HTTP API is, such as https://ns1.example.net:8081 (webserver-address "
                "and webserver-port in its pdns.conf)."
            )
        return super()._checked_url().removesuffix("/api/v1")

    def _may_be_plain(self, parts: Any) -> bool:
        return bool(parts.scheme == "http")  # the server itself speaks no TLS before 5.0

    def _headers(self) -> Mapping[str, str]:
        return {"X-API-Key": self._api_key}

    def _said(self, body: Any) -> tuple[str, str]:
        return "", str(body["error"])

    def _advice(self, failed: FailedError) -> str:
        if failed.status == 401:
            return (
                f"Compare {self._key('api_key')} in {self._file} with api-key in the server's "
                "pdns.conf; that must also have api=yes, and webserver-allow-from this machine"
            )
        if failed.status == 404:
            return (
                f"Check {self._key('api_url')} and {self._key('server_id')} in {self._file}, and "
                "that the server's pdns.conf has api=yes"
            )
        if "pre-existing" in failed.words:
            return "If the name is an alias (CNAME), the record belongs where that leads"
        return super()._advice(failed)

    def _zones_called(self, name: str) -> list[Zone]:
        rows = self._request("GET", self._path("zones"), query={"zone": f"{name}."})
        with self._documented():
            return [Zone(row["name"].rstrip("."), row["id"], row) for row in rows]

    def _unserved(self, zone: Zone) -> str | None:
        kind = str(zone.row.get("kind", "")).capitalize()
        if kind in ("Slave", "Consumer"):
            return (
                f"its kind is {kind}: what it has comes from another server, where it can be "
                "changed"
            )
        return None

    def _read_many(self, zone: Zone, names: Sequence[str]) -> dict[str, Texts]:
        if len(names) > _FEW:
            return self._read_whole(zone, names)
        return {name: self._read_one(zone, name) for name in names}

    def _read_to_replace(self, zone: Zone, names: Sequence[str]) -> dict[str, Texts]:
        """Return the TXT records at ``names``, with those that are disabled in their ``row``."""
        return (self._read_many if self._shows_disabled else self._read_whole)(zone, names)

    def _read_one(self, zone: Zone, name: str) -> Texts:
        query = {"rrset_name": f"{name}.", "rrset_type": "TXT", "include_disabled": "true"}
        return self._sets(zone, [name], query)[name]

    def _read_whole(self, zone: Zone, names: Sequence[str]) -> dict[str, Texts]:
        return self._sets(zone, names, {})

    def _sets(self, zone: Zone, names: Sequence[str], query: Mapping[str, str]) -> dict[str, Texts]:
        answer = self._request("GET", self._path("zones", zone.id), query=query)
        with self._documented():
            sets = {row["name"].lower(): row for row in answer["rrsets"] if row["type"] == "TXT"}
            found = {name: sets.get(f"{name}.") for name in names}
            return {name: _texts(row) if row else Texts() for name, row in found.items()}

    @functools.cached_property
    def _shows_disabled(self) -> bool:
        """Whether an answer about one name has its disabled records, as from 5.0 on."""
        try:
            return int(self._request("GET", self._path())["version"].partition(".")[0]) >= 5
        except (FailedError, *OTHER_SHAPE):  # as from something in between
            return False

    def _insert_many(
        self, zone: Zone, additions: Sequence[Addition], found: Mapping[str, Texts]
    ) -> None:
        def changes(now: Mapping[str, Texts]) -> Iterator[_Change]:
            for name, value, ttl in additions:
                if not now[name].having(value):
                    yield _Change(name, now[name], ttl, added=[_record(value)])

        self._make(zone, [each.name for each in additions], changes)

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        def changes(now: Mapping[str, Texts]) -> Iterator[_Change]:
            if gone := [record.row for record in now[name].having(value)]:
                yield _Change(name, now[name], removed=gone)

        self._make(zone, [name], changes)

    def _make(
        self,
        zone: Zone,
        names: Sequence[str],
        changes: Callable[[Mapping[str, Texts]], Iterable["_Change"]],
    ) -> None:
        """Make all ``changes`` of what is at ``names``, or none."""
        with _replacing:
            while True:
                wanted = changes(self._read_to_replace(zone, names))
                rows = [row for change in wanted for row in change.rows(singly=self._singly)]
                if not rows or self._patched(zone, rows):
                    return

    def _patched(self, zone: Zone, rows: Sequence[Any]) -> bool:
        """Change sets; return whether the server knows these kinds of change."""
        try:
            self._request("PATCH", self._path("zones", zone.id), body={"rrsets": rows})
        except FailedError as failed:
            unknown = failed.status in (400, 422) and "changetype" in failed.words.lower()
            if not (self._singly and unknown):
                raise
            self._singly = False
            return False
        return True

    def _path(self, *parts: str) -> str:
        return "/".join((f"/api/v1/servers/{self._server}", *parts))


@dataclasses.dataclass(frozen=True)
class _Change:
    """Records to add to those at a name, or to remove from them."""

    name: str
    there: Texts
    ttl: int = 0
    """Of what is added, if nothing is there."""
    added: Sequence[Any] = ()
    removed: Sequence[Any] = ()

    def rows(self, *, singly: bool) -> list[Any]:
        """Return what the API takes: each record by itself if ``singly``, else the whole set.

        Beside records that are disabled it is always the set: a server that changes a single
        record drops them.
        """
        there = self.there.row["records"] if self.there.row else []
        # Comments may be there without records.
        same = {
            "name": f"{self.name}.",
            "type": "TXT",
            "ttl": int(self.there.row["ttl"]) if there else self.ttl,
        }
        if singly and not any(record.get("disabled") for record in there):
            kinds = {"EXTEND": self.added, "PRUNE": self.removed}
            return [
                {**same, "changetype": kind, "records": [record]}
                for kind, records in kinds.items()
                for record in records
            ]
        left = [record for record in there if record not in self.removed]
        return [{**same, "changetype": "REPLACE", "records": [*left, *self.added]}]


def _record(value: str) -> Any:
    return {"content": quoted(value), "disabled": False}


def _texts(row: Any) -> Texts:
    """Return the TXT records of a set as the API shows it; those that are disabled are none."""
    ttl = int(row["ttl"])
    records = [
        Text(unquoted(record["content"]), ttl, record)
        for record in row["records"]
        if not record.get("disabled")
    ]
    return Texts(records, row)
