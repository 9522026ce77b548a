"""Azure DNS, through Azure Resource Manager (https://learn.microsoft.com/rest/api/dns/).

Keys in the credentials file, each with the prefix ``dns_persist_azure_``, or ``dns_azure_`` as in
the files of certbot-dns-azure:

=====================================  ==========================================================
``sp_client_id``                       a service principal, with ``tenant_id``
``tenant_id``                          its tenant
``sp_client_secret``                   its secret; or instead of that
``sp_certificate_path``                the path of its certificate with its key
``msi_client_id``                      a managed identity that was assigned to this machine
``msi_system_assigned``                ``true``: the machine's own managed identity
``use_cli_credentials``                ``true``: whoever is signed in to ``az``
``use_workload_identity_credentials``  ``true``: that of this Kubernetes pod
``environment``                        ``AzurePublicCloud`` (default),
                                       ``AzureUSGovernmentCloud`` or ``AzureChinaCloud``
``zone1``, ``zone2``, …                ``DOMAIN:/subscriptions/ID/resourceGroups/NAME``
``subscription_id``                    instead of these, to look for zones in it
=====================================  ==========================================================

Nothing is asked for credentials that these keys do not name. ``azure-identity`` turns them into
access tokens.

The service has record sets: all TXT records at a name, with one TTL. It changes a set only if its
ETag is still the one that we read (``If-Match``), and creates one only if there is none; if another
program was faster, we start again.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL
from certbot_dns_persist.providers.common import missing_package
from certbot_dns_persist.providers.http import (
    FailedError,
    HttpProvider,
    RacedError,
    Text,
    Texts,
    Zone,
)
from certbot_dns_persist.providers.interface import Settings
from certbot_dns_persist.value.txt import from_octets, from_strings, relative, to_octets, to_strings

_VERSION = {"api-version": "2018-05-01"}
_CLOUDS = {
    "azurepubliccloud": ("https://management.azure.com", "login.microsoftonline.com"),
    "azureusgovernmentcloud": ("https://management.usgovcloudapi.net", "login.microsoftonline.us"),
    "azurechinacloud": ("https://management.chinacloudapi.cn", "login.chinacloudapi.cn"),
}
_GROUP = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)"
    r"(?:/providers/Microsoft\.Network/dnsZones/([^/]+))?(/TXT/[^/]+)?/?",
    re.IGNORECASE,
)
_KINDS = {
    "sp_client_id": "a service principal",
    "msi_client_id": "a managed identity",
    "msi_system_assigned": "the machine's managed identity",
    "use_cli_credentials": "who is signed in to az",
    "use_workload_identity_credentials": "the workload identity",
}

_Page = tuple[str, Mapping[str, str] | None]
"""The path of a request, and its query if that is not in there."""


class Azure(HttpProvider):
    """The DNS zones that one identity may change."""

    LABEL = "azure"
    SERVICE = "Azure DNS"
    URL = _CLOUDS["azurepubliccloud"][0]
    HINT = "Look at https://status.azure.com"
    TTLS = (1, MAX_TTL)
    KEYS = frozenset(
        {
            *_KINDS,
            "sp_client_secret",
            "sp_certificate_path",
            "tenant_id",
            "environment",
            "subscription_id",
            "api_url",
            "zone",
            *(f"zone{number}" for number in range(100)),
        }
    )

    def __init__(self, settings: Settings) -> None:
        """Check the settings, as :class:`HttpProvider` does."""
        self._cloud, self._authority = _CLOUDS["azurepubliccloud"]
        super().__init__(settings)
        self._subscription = self._get("subscription_id")
        places = [self._place(key) for key in sorted(settings.credentials) if "zone" in key]
        self._places = dict(places)
        if len(self._places) < len(places):
            raise errors.ConfigurationError(
                f"Two keys like {self._key('zone1')} in {self._file} name the same zone. Remove "
                "the one that does not serve it."
            )
        if not self._places and not self._subscription:
            raise errors.ConfigurationError(
                f"The provider azure needs to know where the zones are: put "
                f"{self._key('subscription_id')} = ID into {self._file}, or for each zone a line "
                f"{self._key('zone1')} = example.com:/subscriptions/ID/resourceGroups/NAME"
            )
        self._kind = self._checked_kind()
        self._hide(self._get("sp_client_secret"))
        self._credential = self._new_credential()

    def _checked_url(self) -> str:
        environment = self._get("environment").lower() or "azurepubliccloud"
        if environment not in _CLOUDS:
            raise errors.ConfigurationError(
                f"{self._key('environment')} in {self._file} must be AzurePublicCloud, "
                "AzureUSGovernmentCloud or AzureChinaCloud."
            )
        self._cloud, self._authority = _CLOUDS[environment]
        return self._cloud if not self._get("api_url") else super()._checked_url()

    def _place(self, key: str) -> tuple[str, str]:
        """Return a domain and the path of its zone."""
        domain, _, resource = self._get(key).partition(":")
        found = _GROUP.fullmatch(resource.strip())
        if not found or not domain:
            raise errors.ConfigurationError(
                f"{self._key(key)} in {self._file} must be a zone, a colon and its resource group, "
                "as in example.com:/subscriptions/ID/resourceGroups/NAME"
            )
        subscription, group, zone, record = found.groups()
        domain = domain.strip().rstrip(".").lower()
        if record or (zone or domain).lower() != domain:
            raise errors.ConfigurationError(
                f"{self._key(key)} in {self._file} leads to another zone or record. That is "
                "what a CNAME at _validation-persist.DOMAIN is for: we write where it points to. "
                "Name the zone itself here, and the zone of that target."
            )
        return domain, _zone_path(subscription, group, domain)

    def _checked_kind(self) -> str:
        """Return the key that says which kind of credentials to use."""
        given = [
            key for key in _KINDS if (self._get(key) if key.endswith("_id") else self._flag(key))
        ]
        if len(given) != 1:
            raise errors.ConfigurationError(
                f"The provider azure needs one of {', '.join(map(self._key, _KINDS))} in "
                f"{self._file}; there {'are ' + ' and '.join(given) if given else 'is none'}."
            )
        if given == ["sp_client_id"]:
            proof = [key for key in ("sp_client_secret", "sp_certificate_path") if self._get(key)]
            if len(proof) != 1 or not self._get("tenant_id"):
                raise errors.ConfigurationError(
                    f"{self._key('sp_client_id')} in {self._file} needs {self._key('tenant_id')}, "
                    f"and either {self._key('sp_client_secret')} or "
                    f"{self._key('sp_certificate_path')}."
                )
        return given[0]

    def _new_credential(self) -> Any:
        for logger in ("azure", "msal"):
            logging.getLogger(logger).setLevel(logging.CRITICAL)
        try:
            from azure import identity
        except ImportError as error:
            raise missing_package("azure", "azure-identity") from error
        tenant, client = self._get("tenant_id"), self._get(self._kind)
        secret = self._get("sp_client_secret")
        once: dict[str, Any] = {"retry_total": 0}  # we try again ourselves
        try:
            if self._kind == "use_cli_credentials":
                return identity.AzureCliCredential(tenant_id=tenant)
            if self._kind == "use_workload_identity_credentials":
                return identity.WorkloadIdentityCredential(
                    **once, **({"tenant_id": tenant} if tenant else {})
                )
            if self._kind.startswith("msi_"):
                return identity.ManagedIdentityCredential(
                    client_id=client if self._kind == "msi_client_id" else None, **once
                )
            if secret:
                return identity.ClientSecretCredential(
                    tenant, client, secret, authority=self._authority, **once
                )
            return identity.CertificateCredential(
                tenant,
                client,
                self._get("sp_certificate_path"),
                authority=self._authority,
                **once,
            )
        except (ValueError, OSError) as error:
            problem = type(error).__name__
        # Outside the except clause, so that no exception is chained: it may quote the key.
        raise errors.ConfigurationError(
            f"The credentials for azure in {self._file} ({_KINDS[self._kind]}) cannot be used "
            f"({problem}). Compare them with what az ad sp create-for-rbac printed."
        )

    def _headers(self) -> Mapping[str, str]:
        from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

        found: Exception
        may_pass = False
        try:
            token = self._credential.get_token(f"{self._cloud}/.default").token
            self._hide(token)
            return {"Authorization": f"Bearer {token}"}
        except (ServiceRequestError, ServiceResponseError, ValueError) as error:
            may_pass, found = True, error  # not reached, or a page of HTML
        except (AzureError, OSError) as error:
            found = error
        if may_pass:
            self._credential = self._new_credential()  # this one repeats an error for a minute
        # Its code (AADSTS7000215: an invalid secret) tells the most, and nothing secret.
        code = re.search(r"AADSTS\d+", str(found))
        words = f"gives no access token ({code[0] if code else type(found).__name__})"
        advice = (
            "Check this machine's network, and HTTPS_PROXY if it needs a proxy"
            if may_pass
            else f"Check {self._whose}: whether it exists and its secret has not expired; and "
            "whether this machine's clock is right"
        )
        raise FailedError(words, advice, may_pass=may_pass) from None

    def _said(self, body: Any) -> tuple[str, str]:
        error = body.get("error", body)
        return str(error["code"]), str(error["message"])

    def _advice(self, failed: FailedError) -> str:
        if failed.code == "ScopeLocked":
            return "A lock forbids changes there: see az lock list"
        if failed.status in (401, 403):
            return (
                f"Give {self._whose} the role DNS Zone Contributor for that zone, or the one in "
                "examples/azure-role.json of certbot-dns-persist (az role assignment create). A "
                "new role takes some minutes to count"
            )
        return super()._advice(failed)

    @property
    def _whose(self) -> str:
        return f"{_KINDS[self._kind]} that {self._file} names"

    def _zones_called(self, name: str) -> list[Zone]:
        if name in self._places:
            try:
                rows = [self._request("GET", self._places[name], query=_VERSION)]
            except FailedError as failed:
                if failed.status == 404:
                    return []
                raise
        elif self._subscription:
            rows = self._listed
        else:
            rows = []
        with self._documented():
            zones = [Zone(row["name"], row["id"], row) for row in rows]
            return [zone for zone in zones if zone.name.lower() == name and _zone_id(zone.id)]

    @property
    def _listed(self) -> list[Any]:
        """The zones of the subscription."""
        if self._all is None:
            start = f"/subscriptions/{quote(self._subscription, safe='')}"
            path = f"{start}/providers/Microsoft.Network/dnszones"
            first: _Page = (path, _VERSION)
            self._all = self._pages(self._fetch, first)
        return self._all

    _all: list[Any] | None = None

    def _fetch(self, page: _Page) -> tuple[list[Any], _Page | None]:
        answer = self._request("GET", page[0], query=page[1])
        with self._documented():
            rows, link = answer["value"], answer.get("nextLink")
            if not link:
                return rows, None
            parts = urlsplit(link)
            if parts.netloc != urlsplit(self._url).netloc:  # it would get the access token
                raise ValueError
            return rows, (f"{parts.path}?{parts.query}", None)

    def _unserved(self, zone: Zone) -> str | None:
        if zone.row.get("properties", {}).get("zoneType") == "Private":
            return "it is private, so no CA sees it"
        return None

    def _how_to_choose(self) -> str:
        return (
            "Compare their name servers (az network dns zone list) with the domain's NS records, "
            f"and put the one that serves it into {self._file}: {self._key('zone1')} = "
            "DOMAIN:/subscriptions/ID/resourceGroups/NAME"
        )

    def _read(self, zone: Zone, name: str) -> Texts:
        try:
            row = self._request("GET", self._set(zone, name), query=_VERSION)
        except FailedError as failed:
            if failed.status == 404 and failed.code in ("NotFound", "ResourceNotFound"):
                return Texts()
            raise
        with self._documented():
            ttl = int(row["properties"]["TTL"])
            found = row["properties"].get("TXTRecords") or []
            records = [Text(_joined(each["value"]), ttl, each) for each in found]
            return Texts(records, {"etag": row["etag"], **row})

    def _insert(self, zone: Zone, name: str, value: str, ttl: int, found: Texts) -> None:
        text = {"value": [from_octets(string) for string in to_strings(value)]}
        records = [record.row for record in found.records]
        self._put(zone, name, found, [*records, text], ttl)

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        left = [record.row for record in found.records if record.value != value]
        self._put(zone, name, found, left, 0)

    def _put(self, zone: Zone, name: str, found: Texts, records: list[Any], ttl: int) -> None:
        """Have exactly these records, if the set is still as it was ``found``."""
        condition = {"If-Match": found.row["etag"]} if found.row else {"If-None-Match": "*"}
        properties: dict[str, Any] = {"TTL": ttl, "TXTRecords": records}
        if found.row:
            before = found.row["properties"]
            properties["TTL"] = before["TTL"]
            properties |= {"metadata": before["metadata"]} if before.get("metadata") else {}
        try:
            self._request(
                "PUT" if records else "DELETE",
                self._set(zone, name),
                query=_VERSION,
                body={"properties": properties} if records else None,
                headers=condition,
            )
        except FailedError as failed:
            if failed.status != 412:
                raise
            raced = RacedError(failed)
        else:
            return
        raise raced

    def _set(self, zone: Zone, name: str) -> str:
        return f"{zone.id}/TXT/{quote(relative(name, zone.name), safe='')}"


def _zone_path(subscription: str, group: str, zone: str) -> str:
    parts = [quote(part, safe="") for part in (subscription, group, zone)]
    return (
        f"/subscriptions/{parts[0]}/resourceGroups/{parts[1]}"
        f"/providers/Microsoft.Network/dnsZones/{parts[2]}"
    )


def _zone_id(path: str) -> bool:
    """Whether an answer's id of a zone is one, as it becomes part of a URL."""
    return bool(re.fullmatch(r"(/[\w.()-]+)+", path)) and ".." not in path


def _joined(strings: list[str]) -> str:
    return from_strings(to_octets(string) for string in strings)
