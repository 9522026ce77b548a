"""DNS services with HTTP APIs: small stateful servers that answer as the APIs are documented.

One server stands for all hosts (:class:`Server`): ``plugin_child`` sends here what is meant for
them. An :class:`Api` keeps the records of ``example.com`` as its
service does, and publishes them in the zones of a nameserver.
"""

import dataclasses
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import dns.rdata

from .nameserver import Zones

ZONE = "example.com"


@dataclasses.dataclass
class Call:
    """One request."""

    method: str
    path: list[str]
    """Its segments, without the empty ones."""
    query: dict[str, str]
    body: Any
    """Parsed, if it is JSON or a form; else ``None``."""
    headers: Mapping[str, str]


@dataclasses.dataclass
class Answer:
    """One response that is not simply 200 and JSON."""

    status: int
    body: Any = ""


NOT_FOUND = Answer(404, {"message": "not found"})


@dataclasses.dataclass
class Row:
    """One TXT record of a service."""

    id: int
    name: str
    content: str


class Api:
    """The TXT records of ``example.com`` at one service."""

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.rows: list[Row] = []
        self._next = 100
        self.calls: list[Call] = []

    @staticmethod
    def published(content: str) -> str:
        """Return the value that DNS serves for the content of a record."""
        return content

    @staticmethod
    def stored(value: str) -> str:
        """Return a content that is published as ``value``."""
        return value

    def answer(self, call: Call) -> Any:
        """Return what is sent: an :class:`Answer`, or what is sent as JSON with status 200."""
        raise NotImplementedError

    def seed(self, name: str, *values: str) -> None:
        """Add records, as others do."""
        for value in values:
            self.add(name, self.stored(value))

    def at(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.name == name]

    def add(self, name: str, content: str) -> Row:
        self._next += 1
        row = Row(self._next, name, content)
        self.rows.append(row)
        self._publish(name)
        return row

    def remove(self, row: Row) -> None:
        self.rows.remove(row)
        self._publish(row.name)

    def find(self, identity: str | int) -> Row | None:
        return next((row for row in self.rows if str(row.id) == str(identity)), None)

    def replace(self, name: str, contents: list[str]) -> None:
        for row in self.at(name):
            self.rows.remove(row)
        for content in contents:
            self.add(name, content)
        self._publish(name)

    def _publish(self, name: str) -> None:
        self.zones.set_values(name, [self.published(row.content) for row in self.at(name)])


def absolute(relative: str) -> str:
    return ZONE if relative in ("", "@") else f"{relative}.{ZONE}"


def relative(name: str) -> str:
    return "@" if name == ZONE else name.removesuffix(f".{ZONE}")


def from_zone_file(content: str) -> str:
    """Return the value of what a zone file has: split at blanks, unless it is in quotes."""
    rdata: Any = dns.rdata.from_text("IN", "TXT", re.sub(r'(?<!["\\]);', r"\;", content))
    octets: bytes = b"".join(rdata.strings)
    return octets.decode()


def in_quotes(content: str) -> str:
    """Return the value of a content that must be in quotes; ``ValueError`` if it is not."""
    if not re.fullmatch(r'"[^"]{0,255}"( "[^"]{0,255}")*', content):
        raise ValueError(f"invalid TXT content {content}")
    return "".join(re.findall(r'"([^"]*)"', content))


def quoted(value: str) -> str:
    parts = [value[start : start + 255] for start in range(0, len(value), 255)]
    return " ".join(f'"{part}"' for part in parts)


class Quoted(Api):
    """A service whose contents are strings in quotes, and who refuses others."""

    published = staticmethod(in_quotes)
    stored = staticmethod(quoted)


class Azure(Api):
    """Contents are lists of strings, and a change fails if the set is not what its writer saw."""

    published = staticmethod(lambda content: "".join(json.loads(content)))
    stored = staticmethod(
        lambda value: json.dumps([value[at : at + 255] for at in range(0, len(value), 255)])
    )

    def answer(self, call: Call) -> Any:
        match call.path:
            case [*_, "discovery", "instance"] | [*_, ".well-known", "openid-configuration"]:
                tenant = "https://login.microsoftonline.com/ed1090f3-ab18-4b12-816c-599af8a88cf7"
                return {
                    "tenant_discovery_endpoint": f"{tenant}/v2.0/.well-known/openid-configuration",
                    "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                    "issuer": f"{tenant}/v2.0",
                    "metadata": [],
                }
            case [*_, "token"]:
                return {"token_type": "Bearer", "expires_in": 3600, "access_token": "t"}
            case ["subscriptions", "s", *_, "dnsZones", "example.com", "TXT", name]:
                return self._set(call, absolute(name))
        return NOT_FOUND

    def _set(self, call: Call, name: str) -> Any:
        etag = "-".join(str(row.id) for row in self.at(name))
        if call.method == "GET" and not etag:
            return Answer(404, {"error": {"code": "NotFound", "message": "none"}})
        if call.headers.get("If-Match", etag) != etag or (
            call.headers.get("If-None-Match") == "*" and etag
        ):
            return Answer(412, {"error": {"code": "PreconditionFailed", "message": "changed"}})
        if call.method == "DELETE":
            self.replace(name, [])
            return {}
        if call.method == "PUT":
            records = call.body["properties"]["TXTRecords"]
            self.replace(name, [json.dumps(record["value"]) for record in records])
            etag = "-".join(str(row.id) for row in self.at(name))
        records = [{"value": json.loads(row.content)} for row in self.at(name)]
        shown = {"TTL": 60, "TXTRecords": records}
        return {"id": "i", "name": relative(name), "etag": etag, "properties": shown}


class Bunny(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["dnszone"]:
                return {"Items": [{"Domain": ZONE, "Id": 7}]}
            case "GET", ["dnszone", "7"]:
                return {
                    "Records": [
                        {"Id": r.id, "Type": 3, "Name": relative(r.name), "Value": r.content}
                        for r in self.rows
                    ]
                }
            case "PUT", ["dnszone", "7", "records"]:
                row = self.add(absolute(call.body["Name"]), call.body["Value"])
                return Answer(201, {"Id": row.id})
            case "DELETE", ["dnszone", "7", "records", identity] if row := self.find(identity):  # type: ignore[assignment]
                self.remove(row)
                return Answer(204)
        return NOT_FOUND


class DigitalOcean(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v2", "domains"]:
                return {"domains": [{"name": ZONE, "ttl": 1800}], "links": {}, "meta": {"total": 1}}
            case "GET", ["v2", "domains", "example.com", "records"]:
                rows = [
                    {"id": r.id, "type": "TXT", "name": relative(r.name), "data": r.content}
                    for r in self.rows
                ]
                return {"domain_records": rows, "links": {}, "meta": {"total": len(rows)}}
            case "POST", ["v2", "domains", "example.com", "records"]:
                row = self.add(absolute(call.body["name"]), call.body["data"])
                return Answer(201, {"domain_record": {"id": row.id}})
            case "DELETE", ["v2", "domains", "example.com", "records", identity] if row := (
                self.find(identity)  # type: ignore[assignment]
            ):
                self.remove(row)
                return Answer(204)
        return NOT_FOUND


class Dynu(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v2", "dns"]:
                return {"domains": [{"name": ZONE, "id": 7}]}
            case "GET", ["v2", "dns", "getroot", name] if f".{name}".endswith(f".{ZONE}"):
                return {"domainName": ZONE}
            case "GET", ["v2", "dns", "7", "record"]:
                return {"dnsRecords": [self._shown(row) for row in self.rows]}
            case "POST", ["v2", "dns", "7", "record"]:
                return self._shown(self.add(absolute(call.body["nodeName"]), call.body["textData"]))
            case "DELETE", ["v2", "dns", "7", "record", identity] if row := self.find(identity):
                self.remove(row)
                return {"statusCode": 200}
        return NOT_FOUND

    def _shown(self, row: Row) -> Any:
        return {
            "id": row.id,
            "recordType": "TXT",
            "hostname": row.name,
            "ttl": 60,
            "textData": row.content,
            "content": f'{row.name}. 60 IN TXT "{row.content}"',
        }


class EdgeDns(Quoted):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["config-dns", "v2", "zones", "example.com"]:
                return {"zone": ZONE}
            case method, [
                "config-dns",
                "v2",
                "zones",
                "example.com",
                "names",
                name,
                "types",
                "TXT",
            ]:
                there = self.at(name)
                if method in ("POST", "PUT"):
                    self.replace(name, [self._checked(each) for each in call.body["rdata"]])
                    return Answer(201 if method == "POST" else 200, call.body)
                if not there:
                    return NOT_FOUND
                if method == "DELETE":
                    self.replace(name, [])
                    return Answer(204)
                rdata = [row.content for row in there]
                return {"name": name, "type": "TXT", "ttl": 60, "rdata": rdata}
        return NOT_FOUND

    @staticmethod
    def _checked(content: str) -> str:
        in_quotes(content)
        return content


class Gandi(Api):
    published = staticmethod(from_zone_file)
    stored = staticmethod(quoted)

    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v5", "livedns", "domains", "example.com"]:
                return {"fqdn": ZONE}
            case "GET", ["v5", "livedns", "domains", "example.com", "records", name, "TXT"]:
                if there := self.at(absolute(name)):
                    return {"rrset_values": [row.content for row in there]}
            case "PUT", ["v5", "livedns", "domains", "example.com", "records", name, "TXT"]:
                # It shows each string in quotes, however it was written.
                values = [self._shown(value) for value in call.body["rrset_values"]]
                if len({*values}) < len(values):
                    return Answer(409, {"message": "duplicate values"})
                self.replace(absolute(name), values)
                return Answer(201, {"message": "DNS Record Created"})
        return NOT_FOUND

    @staticmethod
    def _shown(content: str) -> str:
        rdata: Any = dns.rdata.from_text("IN", "TXT", re.sub(r'(?<!["\\]);(?!.*")', r"\;", content))
        return " ".join(f'"{string.decode()}"' for string in rdata.strings)


class GoDaddy(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v1", "domains", "example.com"]:
                return {"domainId": 7}
            case "GET", ["v1", "domains", "example.com", "records"]:
                return [self._shown(row) for row in self.rows]
            case "GET", ["v1", "domains", "example.com", "records", "TXT", name]:
                return [self._shown(row) for row in self.at(absolute(name))]
            case "PUT", ["v1", "domains", "example.com", "records", "TXT", name]:
                self.replace(absolute(name), [each["data"] for each in call.body])
                return None
            case "PUT", ["v1", "domains", "example.com", "records", "TXT"]:
                names = {row.name for row in self.rows} | {absolute(e["name"]) for e in call.body}
                for name in names:
                    values = [e["data"] for e in call.body if absolute(e["name"]) == name]
                    self.replace(name, values)
                return None
        return NOT_FOUND

    def _shown(self, row: Row) -> Any:
        return {"type": "TXT", "name": relative(row.name), "data": row.content, "ttl": 600}


class Google(Api):
    published = staticmethod(from_zone_file)
    stored = staticmethod(quoted)

    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "POST", ["token"]:
                return {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
            case "GET", ["dns", "v1", "projects", "p", "managedZones"]:
                ours = call.query.get("dnsName") == f"{ZONE}."
                zone = {"id": "7", "dnsName": f"{ZONE}.", "visibility": "public"}
                return {"managedZones": [zone] if ours else []}
            case "GET", ["dns", "v1", "projects", "p", "managedZones", "7", "rrsets"]:
                name = call.query["name"].rstrip(".")
                shown = self._set(name)
                return {"rrsets": [shown] if shown["rrdatas"] else []}
            case "POST", ["dns", "v1", "projects", "p", "managedZones", "7", "changes"]:
                return self._change(call.body)
        return NOT_FOUND

    def _set(self, name: str) -> dict[str, Any]:
        rrdatas = [row.content for row in self.at(name)]
        return {"name": f"{name}.", "type": "TXT", "ttl": 60, "rrdatas": rrdatas}

    def _change(self, change: Any) -> Any:
        for gone in change.get("deletions", ()):
            there = self._set(gone["name"].rstrip("."))
            if sorted(gone["rrdatas"]) != sorted(there["rrdatas"]):
                return Answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
        for gone in change.get("deletions", ()):
            self.replace(gone["name"].rstrip("."), [])
        for new in change.get("additions", ()):
            name = new["name"].rstrip(".")
            if self.at(name):
                return Answer(409, {"error": {"code": 409, "message": "alreadyExists"}})
            self.replace(name, [Gandi._shown(content) for content in new["rrdatas"]])
        return {"id": "1", "status": "done"}


class Hetzner(Quoted):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v1", "zones"]:
                zone = {"id": 7, "name": ZONE, "ttl": 60, "mode": "primary", "status": "ok"}
                return {"zones": [zone], "meta": {"pagination": _PAGE}}
            case "GET", ["v1", "actions", "1"]:
                return {"action": _DONE}
            case "GET", ["v1", "zones", _, "rrsets"]:
                name = call.query["name"]
                return {"rrsets": self._sets(name), "meta": {"pagination": _PAGE}}
            case "POST", ["v1", "zones", _, "rrsets", name, "TXT", "actions", "add_records"]:
                there = {row.content for row in self.at(absolute(name))}
                for record in call.body["records"]:
                    in_quotes(record["value"])
                    if record["value"] in there:
                        return Answer(422, {"error": _HETZNER_DUPLICATE})
                    self.add(absolute(name), record["value"])
                return Answer(201, {"action": _DONE})
            case "POST", ["v1", "zones", _, "rrsets", name, "TXT", "actions", "remove_records"]:
                for record in call.body["records"]:
                    found = [r for r in self.at(absolute(name)) if r.content == record["value"]]
                    if not found:
                        return Answer(404, {"error": {"code": "not_found", "message": "none"}})
                    self.remove(found[0])
                return Answer(201, {"action": _DONE})
        return NOT_FOUND

    def _sets(self, name: str) -> list[Any]:
        there = [{"value": row.content, "comment": None} for row in self.at(absolute(name))]
        shown = {"id": f"{name}/TXT", "name": name, "type": "TXT", "zone": 7, "records": there}
        return (
            [{**shown, "ttl": 60, "labels": {}, "protection": {"change": False}}] if there else []
        )


_PAGE = {
    "page": 1,
    "per_page": 50,
    "previous_page": None,
    "next_page": None,
    "last_page": 1,
    "total_entries": 1,
}
_DONE = {"id": 1, "command": "x", "status": "success", "progress": 100, "resources": []}
_HETZNER_DUPLICATE = {"code": "invalid_input", "message": "duplicate value", "details": {}}


class Infomaniak(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["2", "zones", name, "exists"]:
                return _infomaniak(name == ZONE)
            case "POST", ["2", "zones", "example.com", "records"]:
                row = self.add(absolute(call.body["source"]), call.body["target"])
                return _infomaniak({"id": row.id})
            case method, ["2", "zones", "example.com", "records", identity]:
                row = self.find(identity)  # type: ignore[assignment]
                if row is None:
                    error = {"code": "object_not_found", "description": "none"}
                    return Answer(404, {"result": "error", "error": error})
                if method == "DELETE":
                    self.remove(row)
                return _infomaniak({"id": row.id})
        return NOT_FOUND


def _infomaniak(data: Any) -> Any:
    return {"result": "success", "data": data}


class Linode(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v4", "domains"]:
                asked = json.loads(call.headers.get("X-Filter", "{}")).get("domain", ZONE)
                return {"data": [{"id": 7, "domain": ZONE}] if asked == ZONE else [], "pages": 1}
            case "GET", ["v4", "domains", "7", "records"]:
                rows = [
                    {
                        "id": row.id,
                        "type": "TXT",
                        "name": relative(row.name),
                        "target": row.content,
                        "ttl_sec": 60,
                    }
                    for row in self.rows
                ]
                return {"data": rows, "pages": 1}
            case "POST", ["v4", "domains", "7", "records"]:
                return {"id": self.add(absolute(call.body["name"]), call.body["target"]).id}
            case "DELETE", ["v4", "domains", "7", "records", identity] if row := self.find(
                identity
            ):
                self.remove(row)
                return {}
        return NOT_FOUND


class Netcup(Api):
    """Its legacy API: one endpoint, and changes as lists of records."""

    def answer(self, call: Call) -> Any:
        param = call.body["param"]
        if call.body["action"] == "login":
            return _netcup({"apisessionid": "s"})
        if param["domainname"] != ZONE:
            words = "Value in field domainname does not match requirements of type: domainname"
            return {
                "status": "error",
                "statuscode": 4013,
                "shortmessage": "Validation Error.",
                "longmessage": words,
            }
        if call.body["action"] == "updateDnsRecords":
            for record in param["dnsrecordset"]["dnsrecords"]:
                if record.get("deleterecord"):
                    row = self.find(record["id"])
                    assert row
                    self.remove(row)
                else:
                    self.add(absolute(record["hostname"]), record["destination"])
        rows = [
            {
                "id": str(row.id),
                "type": "TXT",
                "hostname": relative(row.name),
                "destination": row.content,
            }
            for row in self.rows
        ]
        return _netcup({"dnsrecords": rows})


def _netcup(data: Any) -> Any:
    return {
        "status": "success",
        "statuscode": 2000,
        "shortmessage": "",
        "longmessage": "",
        "responsedata": data,
    }


class Njalla(Api):
    def answer(self, call: Call) -> Any:
        params = call.body["params"]
        if params["domain"] != ZONE:
            return {"error": {"code": 403, "message": "Permission denied"}}
        match call.body["method"]:
            case "get-domain":
                return {"result": {"name": ZONE}}
            case "list-records":
                rows = [
                    {
                        "id": row.id,
                        "type": "TXT",
                        "name": relative(row.name),
                        "ttl": 60,
                        "content": row.content,
                    }
                    for row in self.rows
                ]
                return {"result": {"records": rows}}
            case "add-record":
                # It takes names with and without the domain.
                name = absolute(relative(params["name"]))
                return {"result": {"id": self.add(name, params["content"]).id}}
            case "remove-record" if row := self.find(params["id"]):
                self.remove(row)
                return {"result": {}}
        return {"error": {"code": 404, "message": "not found"}}


class Nsone(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v1", "zones", "example.com"]:
                return {"id": "z", "records": []}
            case method, ["v1", "zones", "example.com", name, "TXT"]:
                there = self.at(name)
                if method in ("PUT", "POST"):
                    self.replace(name, [each["answer"][0] for each in call.body["answers"]])
                elif not there:
                    return NOT_FOUND
                elif method == "DELETE":
                    self.replace(name, [])
                answers = [{"answer": [row.content]} for row in self.at(name)]
                return {"type": "TXT", "domain": name, "ttl": 60, "answers": answers}
        return NOT_FOUND


class Ovh(Api):
    """It shows contents in quotes if they have blanks, as its zone files do."""

    @staticmethod
    def published(content: str) -> str:
        return in_quotes(content) if content.startswith('"') else content

    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["1.0", "auth", "time"]:
                return 1700000000
            case "GET", ["1.0", "domain", "zone"]:
                return [ZONE]
            case "GET", ["1.0", "domain", "zone", "example.com", "status"]:
                return {"isDeployed": True}
            case "GET", ["1.0", "domain", "zone", "example.com", "record"]:
                name = absolute(call.query.get("subDomain", ""))
                return [row.id for row in self.at(name)]
            case "POST", ["1.0", "domain", "zone", "example.com", "record"]:
                row = self.add(absolute(call.body["subDomain"]), call.body["target"])
                return self._shown(row)
            case "POST", ["1.0", "domain", "zone", "example.com", "refresh"]:
                return None
            case method, ["1.0", "domain", "zone", "example.com", "record", identity] if row := (
                self.find(identity)  # type: ignore[assignment]
            ):
                if method == "DELETE":
                    self.remove(row)
                    return None
                return self._shown(row)
        return NOT_FOUND

    def _shown(self, row: Row) -> Any:
        content = row.content if row.content.startswith('"') else quoted(row.content)
        return {
            "id": row.id,
            "fieldType": "TXT",
            "subDomain": relative(row.name),
            "target": content,
            "ttl": 60,
        }


class Scaleway(Quoted):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["domain", "v2beta1", "dns-zones"]:
                return {"dns_zones": [{"domain": ZONE, "subdomain": ""}]}
            case "PATCH", ["domain", "v2beta1", "dns-zones", "example.com", "records"]:
                for change in call.body["changes"]:
                    for record in change.get("add", {}).get("records", ()):
                        self.add(absolute(record["name"]), record["data"])
                    if gone := change.get("delete", {}).get("id_fields"):
                        for row in self.at(absolute(gone["name"])):
                            if row.content == gone.get("data", row.content):
                                self.remove(row)
                return {"records": []}
        return NOT_FOUND


class Simply(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["2", "my", "products"]:
                return {"products": [{"object": ZONE, "domain": {"name": ZONE}}]}
            case "GET", ["2", "my", "products", "example.com", "dns", "records"]:
                rows = [
                    {
                        "record_id": row.id,
                        "type": "TXT",
                        "name": relative(row.name),
                        "data": row.content,
                    }
                    for row in self.rows
                ]
                return {"records": rows}
            case "POST", ["2", "my", "products", "example.com", "dns", "records"]:
                row = self.add(absolute(relative(call.body["name"])), call.body["data"])
                return {"record": {"id": row.id}}
            case "DELETE", ["2", "my", "products", "example.com", "dns", "records", identity] if (
                row := self.find(identity)  # type: ignore[assignment]
            ):
                self.remove(row)
                return {"status": 200}
        return NOT_FOUND


class Technitium(Api):
    def answer(self, call: Call) -> Any:
        match call.path:
            case ["api", "zones", "list"]:
                return {"status": "ok", "response": {"zones": [{"name": ZONE}]}}
            case ["api", "zones", "records", "add"]:
                self.add(call.query["domain"], call.query["text"])
                return {"status": "ok"}
            case ["api", "zones", "records", "delete"]:
                for row in self.at(call.query["domain"]):
                    if row.content == call.query["text"]:
                        self.remove(row)
                        return {"status": "ok"}
                return {"status": "error", "errorMessage": "no such record"}
            case ["api", "zones", "records", "get"]:
                return {"status": "ok", "response": {"records": []}}
        return NOT_FOUND


class Vultr(Quoted):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v2", "domains"]:
                return {"domains": [{"domain": ZONE}]}
            case "POST", ["v2", "domains", "example.com", "records"]:
                row = self.add(absolute(call.body["name"]), call.body["data"])
                return Answer(201, {"record": {"id": row.id}})
            case "DELETE", ["v2", "domains", "example.com", "records", identity] if row := (
                self.find(identity)  # type: ignore[assignment]
            ):
                self.remove(row)
                return Answer(204)
        return NOT_FOUND


class Websupport(Api):
    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["v1", "user", "self", "zone"]:
                return {"items": [{"name": ZONE}]}
            case "GET", ["v1", "user", "self", "zone", "example.com", "record"]:
                rows = [
                    {"id": r.id, "type": "TXT", "name": relative(r.name), "content": r.content}
                    for r in self.rows
                ]
                return {"items": rows}
            case "POST", ["v1", "user", "self", "zone", "example.com", "record"]:
                row = self.add(absolute(call.body["name"]), call.body["content"])
                return Answer(201, {"status": "success", "item": {"id": row.id}})
            case "DELETE", ["v1", "user", "self", "zone", "example.com", "record", identity] if (
                row := self.find(identity)  # type: ignore[assignment]
            ):
                self.remove(row)
                return {"status": "success"}
        return NOT_FOUND


# Of plugins that are refused, or that we do not know


class Aliyun(Api):
    def answer(self, call: Call) -> Any:
        query = call.query
        match query["Action"]:
            case "DescribeDomains":
                return {"Domains": {"Domain": [{"DomainName": ZONE}]}}
            case "DescribeDomainRecords":
                # The latest first, each whose content contains the key word.
                rows = [
                    {"RecordId": str(row.id), "RR": relative(row.name), "Value": row.content}
                    for row in reversed(self.rows)
                    if query["RRKeyWord"] in relative(row.name)
                    and query.get("ValueKeyWord", "") in row.content
                ]
                return {"DomainRecords": {"Record": rows}}
            case "AddDomainRecord":
                return {"RecordId": str(self.add(absolute(query["RR"]), query["Value"]).id)}
            case "DeleteDomainRecord" if row := self.find(query["RecordId"]):
                self.remove(row)
                return {"RecordId": str(row.id)}
        return Answer(400, {"Code": "Unknown", "Message": "unknown", "RequestId": "r"})


class Cpanel(Api):
    def answer(self, call: Call) -> Any:
        query = call.query
        match query["cpanel_jsonapi_func"]:
            case "fetchzones":
                return _cpanel([{"zones": {ZONE: []}}])
            case "fetchzone_records":
                rows = [
                    {"line": row.id}
                    for row in self.at(query["name"].rstrip("."))
                    if row.content == query["txtdata"]
                ]
                return _cpanel(rows)
            case "add_zone_record":
                self.add(absolute(query["name"]), query["txtdata"])
            case "remove_zone_record" if row := self.find(query["line"]):
                self.remove(row)
        return _cpanel([{"result": {"status": 1, "statusmsg": ""}}])


def _cpanel(data: Any) -> Any:
    return {"cpanelresult": {"data": data}}


class DreamHost(Api):
    """Its API is a CGI program, for which a semicolon separates parameters as an ampersand does."""

    def answer(self, call: Call) -> Any:
        query = call.query
        match query["cmd"]:
            case "dns-add_record":
                self.add(query["record"], query["value"])
            case "dns-remove_record":
                for row in self.at(query["record"]):
                    if row.content == query["value"]:
                        self.remove(row)
        rows = [{"record": r.name, "type": "TXT", "value": r.content} for r in self.rows]
        return {"result": "success", "data": rows}


class Ionos(Api):
    """It shows contents in quotes."""

    def answer(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", ["dns", "v1", "zones"]:
                return [{"id": "z", "name": ZONE}]
            case "GET", ["dns", "v1", "zones", "z"]:
                rows = [
                    {
                        "id": str(row.id),
                        "type": "TXT",
                        "name": row.name,
                        "content": f'"{row.content}"',
                        "ttl": 60,
                        "disabled": False,
                    }
                    for row in self.rows
                ]
                return {"records": rows}
            case "PATCH", ["dns", "v1", "zones", "z"]:
                for name in {record["name"] for record in call.body}:
                    contents = [r["content"] for r in call.body if r["name"] == name]
                    self.replace(name, list(dict.fromkeys(contents)))
                return {}
            case "DELETE", ["dns", "v1", "zones", "z", "records", identity] if row := (
                self.find(identity)
            ):
                self.remove(row)
                return {}
        return NOT_FOUND


class Joker(Api):
    """Its dynamic DNS: one value for a label, and an empty one removes it."""

    def answer(self, call: Call) -> Any:
        name, value = absolute(call.body["label"]), call.body["value"]
        self.replace(name, [value] if value else [])
        return Answer(200, "OK")


class Porkbun(Api):
    def answer(self, call: Call) -> Any:
        match call.path:
            case [*_, "ping"]:
                return {"status": "SUCCESS", "yourIp": "127.0.0.1"}
            case [*_, "dns", "retrieveByNameType", "example.com", "TXT", name]:
                return self._listed(absolute(name))
            case [*_, "dns", "create", "example.com"]:
                row = self.add(absolute(call.body.get("name") or ""), call.body["content"])
                return {"status": "SUCCESS", "id": row.id}
            case [*_, "dns", "delete", "example.com", identity] if row := self.find(identity):  # type: ignore[assignment]
                self.remove(row)
                return {"status": "SUCCESS"}
        return NOT_FOUND

    def _listed(self, name: str) -> Any:
        rows = [
            {
                "id": str(row.id),
                "name": row.name,
                "type": "TXT",
                "content": row.content,
                "ttl": "600",
                "prio": "0",
                "notes": "",
            }
            for row in self.at(name)
        ]
        return {"status": "SUCCESS", "records": rows}


class Server:
    """An HTTP server that answers for the hosts of an :class:`Api`."""

    def __init__(self, api: Api) -> None:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.api = api
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: Api


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        separated = url.query
        if isinstance(self.server.api, DreamHost):
            separated = separated.replace(";", "&").replace("%3B", "&")
        call = Call(
            self.command,
            [unquote(part) for part in url.path.split("/") if part],
            _first(separated),
            _parsed(sent, self.headers.get("Content-Type", "")),
            dict(self.headers),
        )
        try:
            answer = NOT_FOUND  # of what libraries look for elsewhere: they do without
            if not url.path.endswith("public_suffix_list.dat"):
                self.server.api.calls.append(call)
                answer = self.server.api.answer(call)
        except ValueError as error:
            answer = Answer(422, {"message": str(error), "error": {"code": "invalid_input"}})
        if not isinstance(answer, Answer):
            answer = Answer(200, answer)
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.send_response(answer.status)
        kind = "text/plain" if answer.status == 204 else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(text.encode())

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Keep the test's output clean."""


def _first(query: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}


def _parsed(sent: str, kind: str) -> Any:
    if not sent:
        return None
    if "x-www-form-urlencoded" in kind:
        return _first(sent)
    return json.loads(sent)
