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
"""

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import is_loopback
from certbot_dns_persist.providers.http import (
    FailedError,
    HttpProvider,
    Text,
    Texts,
    Zone,
)
from certbot_dns_persist.providers.interface import Settings
from certbot_dns_persist.shown import logger_of
from certbot_dns_persist.value.txt import quoted, unquoted

logger = logger_of(__name__)

_replacing = threading.Lock()
"""Held while a set is read and replaced."""


class Powerdns(HttpProvider):
    """The zones of one PowerDNS server."""

    LABEL = "powerdns"
    SERVICE = "PowerDNS"
    URL = ""
    HINT = "Look at the server's log (journalctl -u pdns)"
    KEYS = frozenset({"api_url", "api_key", "server_id"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, as :class:`HttpProvider` does."""
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

    def _read(self, zone: Zone, name: str) -> Texts:
        return self._set(zone, name, {"rrset_name": f"{name}.", "rrset_type": "TXT"})

    def _read_to_replace(self, zone: Zone, name: str) -> Texts:
        """Return the TXT records at ``name``, their ``row`` with those that are disabled.

        Only an answer with the whole zone has these.
        """
        return self._set(zone, name, {})

    def _set(self, zone: Zone, name: str, query: Mapping[str, str]) -> Texts:
        answer = self._request("GET", self._path("zones", zone.id), query=query)
        here = f"{name}."
        with self._documented():
            for row in answer["rrsets"]:
                if row["type"] == "TXT" and row["name"].lower() == here:
                    ttl = int(row["ttl"])
                    records = [
                        Text(unquoted(record["content"]), ttl, record)
                        for record in row["records"]
                        if not record.get("disabled")
                    ]
                    return Texts(records, row)
        return Texts()

    def _insert(self, zone: Zone, name: str, value: str, ttl: int, found: Texts) -> None:
        record = {"content": quoted(value), "disabled": False}
        with _replacing:
            found = self._read_to_replace(zone, name)
            there = found.row["records"] if found.row else []
            ttl = int(found.row["ttl"]) if there else ttl  # comments may be there without records
            if not found.having(value):
                self._put(zone, name, "EXTEND", [record], there, [*there, record], ttl)

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        with _replacing:
            found = self._read_to_replace(zone, name)
            gone = [record.row for record in found.having(value)]
            if gone:
                there = found.row["records"]
                left = [record for record in there if record not in gone]
                self._put(zone, name, "PRUNE", gone, there, left, int(found.row["ttl"]))

    def _put(
        self,
        zone: Zone,
        name: str,
        kind: str,
        each: list[Any],
        there: list[Any],
        left: list[Any],
        ttl: int,
    ) -> None:
        """Add or remove ``each`` singly, or else replace what is ``there`` with what is ``left``.

        Beside records that are disabled we always replace: a server that changes a single record
        drops them.
        """
        singly = self._singly and not any(record.get("disabled") for record in there)
        if not (singly and all(self._patched(zone, name, kind, [one], ttl) for one in each)):
            self._patched(zone, name, "REPLACE", left, ttl)

    def _patched(self, zone: Zone, name: str, kind: str, records: list[Any], ttl: int) -> bool:
        """Change the set; return whether the server knows this ``kind`` of change."""
        row = {
            "name": f"{name}.",
            "type": "TXT",
            "ttl": ttl,
            "changetype": kind,
            "records": records,
        }
        try:
            self._request("PATCH", self._path("zones", zone.id), body={"rrsets": [row]})
        except FailedError as failed:
            unknown = failed.status in (400, 422) and "changetype" in failed.words.lower()
            if kind == "REPLACE" or not unknown:
                raise
            self._singly = False
            return False
        return True

    def _path(self, *parts: str) -> str:
        return "/".join((f"/api/v1/servers/{self._server}", *parts))
