"""DigitalOcean, through its API (https://docs.digitalocean.com/reference/api/).

Keys in the credentials file, each with the prefix ``dns_persist_digitalocean_``, or
``dns_digitalocean_`` as in the files of certbot-dns-digitalocean:

=========  ======================================================================================
``token``  a personal access token with the scopes ``domain:read``, ``domain:create`` (which adds
           records) and ``domain:delete`` (which removes them)
=========  ======================================================================================

The service has one object per record, so we never write to other records.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL
from certbot_dns_persist.providers.http import FailedError, HttpProvider, Text, Texts, Zone
from certbot_dns_persist.providers.interface import Settings
from certbot_dns_persist.value.txt import relative, unquoted

_TOKENS = "https://cloud.digitalocean.com/account/api/tokens"
_PAGE = 200  # records an answer, the most


class Digitalocean(HttpProvider):
    """The domains of one DigitalOcean team."""

    LABEL = "digitalocean"
    SERVICE = "DigitalOcean"
    URL = "https://api.digitalocean.com"
    HINT = "Look at https://status.digitalocean.com"
    TTLS = (30, MAX_TTL)
    KEYS = frozenset({"token", "api_url"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, as :class:`HttpProvider` does."""
        super().__init__(settings)
        self._token = self._secret("token")
        if not self._token:
            raise errors.ConfigurationError(
                f"The provider digitalocean needs {self._key('token')} in {self._file}. Create it "
                f"at {_TOKENS} with the scopes domain:read, domain:create and domain:delete."
            )

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _said(self, body: Any) -> tuple[str, str]:
        return str(body["id"]), str(body["message"])

    def _advice(self, failed: FailedError) -> str:
        if failed.status == 401:
            return f"The token in {self._file} is unknown, deleted or expired: see {_TOKENS}"
        if failed.status == 403:
            return (
                f"The token in {self._file} may not do that: it needs the scopes domain:read, "
                f"domain:create and domain:delete; see {_TOKENS}"
            )
        if failed.status == 429:
            return (
                "DigitalOcean takes 5000 requests an hour and 250 a minute for each token. Try "
                "again later, or find out what else uses this one"
            )
        return super()._advice(failed)

    @property
    def _whose(self) -> str:
        return f"the token in {self._file}"

    def _zones_called(self, name: str) -> list[Zone]:
        try:
            answer = self._request("GET", f"/v2/domains/{quote(name, safe='')}")
        except FailedError as failed:
            if failed.status == 404 and failed.code == "not_found":
                return []
            raise
        with self._documented():
            found = answer["domain"]["name"]
            return [Zone(found, quote(found, safe=""), answer["domain"])]

    def _read(self, zone: Zone, name: str) -> Texts:
        def fetch(page: int) -> tuple[list[Any], int | None]:
            answer = self._request(
                "GET",
                f"/v2/domains/{zone.id}/records",
                query={"type": "TXT", "name": name, "per_page": str(_PAGE), "page": str(page)},
            )
            with self._documented():
                more = "next" in (answer.get("links") or {}).get("pages", {})
                return answer["domain_records"], page + 1 if more else None

        rows = self._pages(fetch, 1)
        here = relative(name, zone.name)
        with self._documented():
            return Texts(
                [
                    Text(unquoted(row["data"]), int(row["ttl"]), int(row["id"]))
                    for row in rows
                    if row["type"] == "TXT" and row["name"].lower() == here
                ]
            )

    def _insert(self, zone: Zone, name: str, value: str, ttl: int, found: Texts) -> None:
        ttl = found.records[0].ttl if found.records else ttl  # a set has one (RFC 2181 section 5.2)
        body = {"type": "TXT", "name": relative(name, zone.name), "data": value, "ttl": ttl}
        answer = self._request("POST", f"/v2/domains/{zone.id}/records", body=body)
        with self._documented():
            number, made = int(answer["domain_record"]["id"]), answer["domain_record"]["data"]
            as_meant = unquoted(made) == value
        if not as_meant:
            raise self._mangled(zone, number, self._quoted(str(made)))

    def _mangled(self, zone: Zone, number: int, made: str) -> FailedError:
        """Remove what was made of a value, as it may authorise somebody; return what to raise.

        Not to be tried again, as that would make another one.
        """
        try:
            self._remove(zone, number)
        except FailedError as failed:
            return FailedError(
                f"made another value of it, which could not be removed ({failed.words}): {made}",
                f"Remove the record {number} of {zone.name} there, as a CA may accept it, and "
                "choose another way to publish this value",
            )
        return FailedError(
            f"made another value of it, which we removed: {made}",
            "It cannot hold this value; choose another way to publish it",
        )

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        for record in found.having(value):
            self._remove(zone, record.row)

    def _remove(self, zone: Zone, number: int) -> None:
        try:
            self._request("DELETE", f"/v2/domains/{zone.id}/records/{number}")
        except FailedError as failed:
            if failed.status != 404:  # somebody else was faster, or our answer was lost
                raise
