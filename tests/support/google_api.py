"""A small Google Cloud DNS, with the service that gives access tokens to service accounts."""

import functools
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certbot_dns_persist.value.txt import quoted, unquoted

from .http_api import ApiError, HttpApi, Request, Row
from .nameserver import Zones

ACCESS = "hushhush-google"
PROJECT = "some-project"
ACCOUNT = "certbot@some-project.iam.gserviceaccount.com"


@functools.cache
def _key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


class GoogleApi(HttpApi):
    """https://cloud.google.com/dns/docs/reference/rest/v1, as far as it is about TXT records."""

    private = False
    """Whether the zones are private."""
    twice = False
    """Whether there are two of each."""
    account_is_gone = False

    def __init__(self, *zones: str, mirror: Zones | None = None) -> None:
        super().__init__(*zones, mirror=mirror)
        self.aliases: set[str] = set()
        """Names that have a CNAME."""
        self.forbidden: set[str] = set()
        """Names that a condition of the account's role does not allow to be changed."""

    def write_service_account(self, path: Path) -> Path:
        """Write the file that Google's console gives for a new key of a service account."""
        path.touch(0o600)
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": PROJECT,
                    "private_key_id": "1",
                    "private_key": _key(),
                    "client_email": ACCOUNT,
                    "token_uri": f"{self.url}/token",
                }
            )
        )
        return path

    def do(self, request: Request) -> Any:
        if request.parts == ["token"]:
            assert request.form["grant_type"].endswith("jwt-bearer")
            if self.account_is_gone:
                raise ApiError(400, {"error": "invalid_grant", "error_description": "Not found"})
            return {"access_token": ACCESS, "expires_in": 3600, "token_type": "Bearer"}
        if request.headers.get("Authorization") != f"Bearer {ACCESS}":
            raise _error(401, "authError", "Invalid Credentials")
        if self.read_only and request.method != "GET":
            raise _error(403, "forbidden", "Forbidden")
        assert request.parts[:4] == ["dns", "v1", "projects", PROJECT]
        match request.method, request.parts[4:]:
            case "GET", ["managedZones"]:
                return self._zones(request)
            case "GET", ["managedZones", zone, "rrsets"]:
                assert zone.removesuffix("-2").replace("-", ".") in self.zones
                return self._rrsets(request)
            case "POST", ["managedZones", _, "changes"]:
                return self._change(request.body)
        raise AssertionError(request)

    def _zones(self, request: Request) -> Row:
        rows = [
            {
                "id": str(number),
                "name": name.replace(".", "-") + more,
                "dnsName": f"{name}.",
                "visibility": "private" if self.private else "public",
            }
            for number, name in enumerate(self.zones)
            for more in ("", "-2")[: 1 + self.twice]
            if f"{name}." == request.query["dnsName"]
        ]
        return self._paged("managedZones", rows, request)

    def _rrsets(self, request: Request) -> Row:
        named = request.query.get("name")
        names = [named.rstrip(".")] if named else sorted({each.name for each in self.records})
        rows = [row for name in names if (row := self._rrset(name))]
        if not named:
            first = {"name": f"{self.zones[0]}.", "type": "NS", "ttl": 21600, "rrdatas": ["ns."]}
            rows.insert(0, first)
        return self._paged("rrsets", rows, request)

    def _paged(self, kind: str, rows: list[Row], request: Request) -> Row:
        start = int(request.query.get("pageToken", 0))
        end = start + min(self.page, int(request.query.get("maxResults", self.page)))
        token = {"nextPageToken": str(end)} if end < len(rows) else {}
        return {kind: rows[start:end], **token}

    def _rrset(self, name: str) -> Row | None:
        found = self.at(name)
        if not found:
            return None
        return {
            "kind": "dns#resourceRecordSet",
            "name": f"{name}.",
            "type": "TXT",
            "ttl": found[0].ttl,
            "rrdatas": [quoted(record.value) for record in found],
            "signatureRrdatas": [],
        }

    def _change(self, body: Row) -> Row:
        changed = [*body.get("deletions", ()), *body.get("additions", ())]
        if not self.forbidden.isdisjoint(row["name"].rstrip(".") for row in changed):
            raise _error(403, "forbidden", "Forbidden")
        for row in body.get("deletions", ()):
            found = self._rrset(row["name"].rstrip("."))
            where = "'entity.change.deletions[0]'"
            if found is None:
                raise _error(404, "notFound", f"The {where} resource was not found")
            if (found["ttl"], sorted(found["rrdatas"])) != (row["ttl"], sorted(row["rrdatas"])):
                raise _error(412, "conditionNotMet", f"Precondition not met for {where}")
        gone = {row["name"] for row in body.get("deletions", ())}
        for row in body.get("additions", ()):
            if row["name"] not in gone and self._rrset(row["name"].rstrip(".")):
                where = "'entity.change.additions[0]'"
                raise _error(409, "alreadyExists", f"The resource {where} already exists")
        for number, row in enumerate(body.get("additions", ())):
            if row["name"].rstrip(".") in self.aliases:
                words = "is invalid because the DNS name has a CNAME resource record set"
                where = f"The resource record set 'entity.change.additions[{number}]'"
                raise _error(400, "cnameResourceRecordSetConflict", f"{where} {words} conflicting")
        for row in body.get("deletions", ()):
            for record in self.at(row["name"].rstrip(".")):
                self.records.remove(record)
            self.keep_in_step(row["name"].rstrip("."))
        for row in body.get("additions", ()):
            for text in row["rrdatas"]:
                self.add(row["name"].rstrip("."), unquoted(text), row["ttl"])
        return {"kind": "dns#change", "id": "1", "status": "pending"}


def _error(status: int, reason: str, message: str) -> ApiError:
    fault = {"message": message, "domain": "global", "reason": reason}
    return ApiError(status, {"error": {"code": status, "message": message, "errors": [fault]}})
