"""A small Azure: DNS zones in Azure Resource Manager, and the endpoint for a managed identity."""

import time
from collections import Counter
from typing import Any

from certbot_dns_persist.value.txt import from_octets, to_octets, to_strings

from .http_api import ApiError, HttpApi, Request, Row

ACCESS = "hushhush-azure"
PROOF = "hushhush-identity"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/web"


class AzureApi(HttpApi):
    """https://learn.microsoft.com/rest/api/dns/, as far as it is about TXT records."""

    identity_is_gone = False
    link_elsewhere = False
    """Whether a listing goes on at another host."""
    legacy = False
    """Whether the zones are private."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._versions: Counter[str] = Counter()
        self.metadata: dict[str, Row] = {}
        """Of the sets, by name."""
        super().__init__(*arguments, **options)

    @property
    def keys(self) -> dict[str, str]:
        """What a credentials file has, on a machine with a managed identity."""
        return {
            "msi_system_assigned": "true",
            "subscription_id": SUBSCRIPTION,
            "api_url": self.url,
        }

    @property
    def variables(self) -> dict[str, str]:
        """What such a machine has in its environment, if it is an App Service."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi", "IDENTITY_HEADER": PROOF}

    def do(self, request: Request) -> Any:
        if request.parts == ["msi"]:
            assert request.headers["X-IDENTITY-HEADER"] == PROOF
            if self.identity_is_gone:
                raise ApiError(400, {"error": "invalid_request", "message": "Identity not found"})
            end = str(int(time.time()) + 3600)
            return {"access_token": ACCESS, "expires_on": end, "token_type": "Bearer"}
        if request.headers.get("Authorization") != f"Bearer {ACCESS}":
            raise _error(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if self.read_only and request.method != "GET":
            words = "The client does not have authorization to perform action 'TXT/write'"
            raise _error(403, "AuthorizationFailed", words)
        assert request.query["api-version"] == "2018-05-01"
        match request.method, request.parts:
            case "GET", [*_, "dnszones"]:
                return self._list(request)
            case "GET", [*_, "dnsZones", zone]:
                if zone not in self.zones:
                    raise _error(404, "ResourceNotFound", f"The Resource {zone} was not found.")
                return self._zone(zone)
            case method, [*_, "dnsZones", zone, "TXT", relative]:
                name = self.absolute(relative, zone)
                return self._set(method, name, request)
        raise AssertionError(request)

    def _list(self, request: Request) -> Row:
        start = int(request.query.get("$skiptoken", 0))
        end = start + self.page
        host = "http://127.0.0.9" if self.link_elsewhere else self.url
        path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/dnszones"
        link = f"{host}{path}?api-version=2018-05-01&$skiptoken={end}"
        more = {"nextLink": link} if end < len(self.zones) else {}
        return {"value": [self._zone(zone) for zone in self.zones[start:end]], **more}

    def _zone(self, name: str) -> Row:
        kind = {"zoneType": "Private" if self.legacy else "Public"}
        path = f"{GROUP}/providers/Microsoft.Network/dnsZones/{name}"
        return {"id": path, "name": name, "properties": kind}

    def _set(self, method: str, name: str, request: Request) -> Any:
        found = self.at(name)
        match, none = request.headers.get("If-Match"), request.headers.get("If-None-Match")
        if (match and match != self._etag(name)) or (none and found):
            words = "The condition in the If-Match header was not satisfied."
            raise _error(412, "PreconditionFailed", words)
        if method == "GET" and not found:
            raise _error(404, "NotFound", "The resource record does not exist.")
        if method in ("PUT", "DELETE"):
            for record in found:
                self.records.remove(record)
            properties = (request.body or {}).get("properties", {})
            for each in properties.get("TXTRecords", ()):
                assert all(len(to_octets(string)) <= 255 for string in each["value"])
                self.add(name, "".join(each["value"]), properties["TTL"])
            self.metadata[name] = properties.get("metadata", {})
            self._versions[name] += 1
            self.keep_in_step(name)
        return self._row(name) if self.at(name) else None

    def _row(self, name: str) -> Row:
        found = self.at(name)
        texts = [{"value": [from_octets(s) for s in to_strings(r.value)]} for r in found]
        properties = {"TTL": found[0].ttl, "TXTRecords": texts}
        if self.metadata.get(name):
            properties["metadata"] = self.metadata[name]
        return {"name": name, "etag": self._etag(name), "properties": properties}

    def _etag(self, name: str) -> str:
        return f"{self._versions[name]}-{sum(record.id for record in self.at(name))}"


def _error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"error": {"code": code, "message": message}})
