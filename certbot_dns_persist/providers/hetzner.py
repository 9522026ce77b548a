"""Hetzner's DNS, through the Cloud API (https://docs.hetzner.cloud/reference/cloud#zones).

Keys in the credentials file, each with the prefix ``dns_persist_hetzner_``, or ``dns_hetzner_`` as
in the files of other Certbot plugins for Hetzner's Cloud API:

=============  ==================================================================================
``api_token``  an API token of the project that has the zones, with *Read & Write*
=============  ==================================================================================

The API adds single records to a set, and removes single records from it, so we never write to
other records. Each change is an action that we watch to its end. Tokens of the former DNS console
(``dns.hetzner.com``) are not for this API.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL
from certbot_dns_persist.providers.http import FailedError, HttpProvider, Text, Texts, Zone
from certbot_dns_persist.providers.interface import Settings
from certbot_dns_persist.value.txt import quoted, relative, unquoted
from certbot_dns_persist.wait import look_until

_CONSOLE = "https://console.hetzner.com"
_ACTION = 60.0  # seconds that an action may take


class Hetzner(HttpProvider):
    """The zones of one project in Hetzner's cloud."""

    LABEL = "hetzner"
    SERVICE = "Hetzner"
    URL = "https://api.hetzner.cloud/v1"
    HINT = "Look at https://status.hetzner.com, and at the zone in " + _CONSOLE
    TTLS = (60, MAX_TTL)
    KEYS = frozenset({"api_token", "cloud_api_token", "api_url"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, as :class:`HttpProvider` does."""
        super().__init__(settings)
        # certbot-dns-hetzner-cloud calls it dns_hetzner_cloud_api_token.
        self._token = self._secret("api_token", "cloud_api_token")
        if not self._token:
            raise errors.ConfigurationError(
                f"The provider hetzner needs {self._key('api_token')} in {self._file}. Create it "
                f"in the project that has the zone ({_CONSOLE}, Security, API tokens), with Read & "
                "Write."
            )

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _said(self, body: Any) -> tuple[str, str]:
        return str(body["error"]["code"]), str(body["error"]["message"])

    def _advice(self, failed: FailedError) -> str:
        if failed.status == 401:
            return (
                f"The API token in {self._file} is unknown or was deleted: create one in the "
                f"project that has the zone ({_CONSOLE}, Security, API tokens). Tokens of the "
                "former dns.hetzner.com do not work here"
            )
        if failed.code == "token_readonly" or failed.status == 403:
            return (
                f"The API token in {self._file} may not do that: create one with Read & Write in "
                f"the project that has the zone ({_CONSOLE}, Security, API tokens)"
            )
        if failed.code == "protected":
            return f"The record set is protected from changes: lift that in {_CONSOLE}"
        return super()._advice(failed)

    @property
    def _whose(self) -> str:
        return f"the API token in {self._file}"

    def _zones_called(self, name: str) -> list[Zone]:
        answer = self._request("GET", "/zones", query={"name": name})
        with self._documented():
            return [Zone(row["name"], str(int(row["id"])), row) for row in answer["zones"]]

    def _unserved(self, zone: Zone) -> str | None:
        if zone.row.get("mode") == "secondary":
            return "it is a secondary: what it has comes from another server"
        return None

    def _read(self, zone: Zone, name: str) -> Texts:
        try:
            answer = self._request("GET", self._set(zone, name))
        except FailedError as failed:
            if failed.status == 404 and failed.code == "not_found":
                return Texts()
            raise
        with self._documented():
            row = answer["rrset"]
            ttl = int(zone.row["ttl"] if row["ttl"] is None else row["ttl"])
            records = [Text(unquoted(each["value"]), ttl, each["value"]) for each in row["records"]]
            return Texts(records, row)

    def _insert(self, zone: Zone, name: str, value: str, ttl: int, found: Texts) -> None:
        body: dict[str, Any] = {"records": [{"value": quoted(value)}]}
        if not found.row:
            body["ttl"] = ttl
        self._act(zone, name, "add_records", body)

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        records = [{"value": record.row} for record in found.having(value)]
        self._act(zone, name, "remove_records", {"records": records})

    def _act(self, zone: Zone, name: str, what: str, body: Any) -> None:
        """Have a change made, and wait for its end."""
        answer = self._request("POST", f"{self._set(zone, name)}/actions/{what}", body=body)

        def look() -> Any:
            with self._documented():
                number = int(answer["action"]["id"])
            found = self._request("GET", f"/actions/{number}")
            with self._documented():
                return found["action"]

        with self._documented():
            action = answer["action"]
            if action["status"] == "running":
                action = look_until(
                    look, lambda now: now["status"] != "running", _ACTION, pauses=(0.2, 2.0)
                )
            if action["status"] == "error":
                code, said = action["error"]["code"], action["error"]["message"]
                failed = FailedError(self._quoted(f"could not do it: {said} ({code})"), self.HINT)
            elif action["status"] == "success":
                return
            else:
                failed = FailedError(f"has not done it after {_ACTION:g} seconds", self.HINT)
        raise failed

    def _set(self, zone: Zone, name: str) -> str:
        where = quote(relative(name, zone.name), safe="@")
        return f"/zones/{zone.id}/rrsets/{where}/TXT"
