"""A small Cloudflare: the part of its API that deals with zones and DNS records.

It answers as https://developers.cloudflare.com/api/ says, keeps its records, and fails on
request::

    with CloudflareApi("example.test") as cloudflare:
        token = cloudflare.token("example.test")
        cloudflare.faults.reset = "after"

Every change is also made in the :class:`~.nameserver.Zones` that it is given, so that a
nameserver serves what the API was told.
"""

import dataclasses
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import dns.rdata
from dns.rdataclass import IN
from dns.rdatatype import TXT

from .nameserver import Zones
from .stoppable import Stoppable

ROOT = "/client/v4"
ANY = frozenset({"GET", "POST", "DELETE"})
WRITES = frozenset({"POST", "DELETE"})

Row = dict[str, Any]
"""A zone or a record, as JSON."""


@dataclasses.dataclass
class Faults:
    """How the API fails, until ``CloudflareApi.faults`` is replaced; all can be combined."""

    methods: Collection[str] = ANY
    """Only these requests fail."""
    times: int | None = None
    """How many of them fail; ``None`` for all."""
    status: int = 0
    """Answer with this status, an error, instead of doing anything."""
    code: int = 0
    message: str = ""
    """The error that goes with it; without a code, the answer is a page of HTML."""
    retry_after: int | None = None
    """Seconds, sent with it."""
    reset: Literal["", "before", "after"] = ""
    """Reset the connection before, or after, doing what was asked, instead of answering."""
    delay: float = 0.0
    """Seconds between doing what was asked and answering."""
    body: bytes | None = None
    """Do what was asked, and send this instead of the answer."""
    content_type: str = "application/json"
    """Of ``body``."""
    pretend: bool = False
    """Answer that it is done, and do nothing; for ``WRITES``."""


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: int, message: str, chain: Row | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.fault: Row = {"code": code, "message": message}
        if chain:
            self.fault["error_chain"] = [chain]


@dataclasses.dataclass(frozen=True)
class Access:
    """What some credentials may do."""

    zones: Collection[str]
    edit: bool = True


class CloudflareApi(Stoppable):
    """One user's zones at Cloudflare, on a port of 127.0.0.1, from construction to :meth:`stop`."""

    def __init__(self, *zones: str, mirror: Zones | None = None) -> None:
        """Have these zones; make changes of TXT records in ``mirror`` too."""
        self.faults = Faults()
        self.unquoted = False
        """Return the content of TXT records as in older versions, without quotes."""
        self.per_page = 100
        """The most results in one answer, whatever the request says."""
        self.enterprise = False
        """Whether the zones may have TTLs from 30 on."""
        self.strict_listing = False
        """Refuse a token's search for zones that it is not for, instead of finding none."""
        self.quota: int | None = None
        """How many records a zone may have."""
        self.meanwhile: Callable[[], None] = lambda: None
        """Called before each change, as by somebody who is faster."""
        self.requests: list[str] = []
        """Method and path of each request, without its query, oldest first."""
        self.zones: list[Row] = []
        self.records: list[Row] = []
        self._mirror = mirror
        self._access: dict[str, Access] = {}  # by what stands in the headers
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        for zone in zones:
            self.add_zone(zone)
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}{ROOT}"
        """What clients take from ``CLOUDFLARE_BASE_URL``."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # The dashboard: what a person does there.

    def token(self, *zones: str, edit: bool = True, of_account: bool = False) -> str:
        """Make an API token for the DNS records of these zones, of the user or of the account."""
        token = f"{'cfat' if of_account else 'cfut'}_{next(self._ids):036}"
        self._access[f"Bearer {token}"] = Access(zones, edit)
        return token

    def global_key(self, email: str) -> str:
        """Make the global API key of a user, who has all zones."""
        key = f"{next(self._ids):037x}"
        self._access[f"{email} {key}"] = Access([zone["name"] for zone in self.zones])
        return key

    def add_zone(self, name: str, status: str = "active", kind: str = "full") -> None:
        self.zones.append({"id": self._id(), "name": name, "status": status, "type": kind})

    def add(self, name: str, content: str, rdtype: str = "TXT", ttl: int = 1) -> None:
        """Add a record, content as it is: it may be older than today's rules."""
        (zone, *_) = sorted(
            (zone for zone in self.zones if f".{name}".endswith(f".{zone['name']}")),
            key=lambda zone: -len(zone["name"]),
        )
        with self._lock:
            self._put(zone["id"], {"name": name, "type": rdtype, "content": content, "ttl": ttl})

    def values(self, name: str) -> list[str]:
        """Return the TXT values at a name, as DNS has them, sorted."""
        return sorted(text(row["content"]) for row in self.at(name))

    def at(self, name: str) -> list[Row]:
        """Return the TXT records at a name."""
        return [row for row in self.records if row["name"] == name and row["type"] == "TXT"]

    # The API.

    def access(self, headers: Any) -> Access:
        """Return what the credentials in the headers may do; some prevail over others."""
        email, key = headers.get("X-Auth-Email"), headers.get("X-Auth-Key")
        if email or key:
            if not re.fullmatch("[0-9a-f]{37}", key or ""):
                raise _bad_header(6103, "X-Auth-Key")
            if f"{email} {key}" not in self._access:
                raise ApiError(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")
            return self._access[f"{email} {key}"]
        bearer = headers.get("Authorization", "")
        if not re.fullmatch("Bearer [A-Za-z0-9_-]{40,}", bearer):
            raise _bad_header(6111, "Authorization")
        if bearer not in self._access:
            raise ApiError(403, 9109, "Invalid access token")
        return self._access[bearer]

    def do(self, method: str, path: str, query: Row, body: Row, access: Access) -> Row:
        """Do what a request asks; return the answer."""
        with self._lock:
            match method, path.strip("/").split("/"):
                case "GET", ["zones"]:
                    return self._page(self._visible(query, access), query)
                case "GET", ["zones", zone, "dns_records"]:
                    self._check(access, zone)
                    return self._page(list(map(self._shown, self._at(zone, query))), query)
                case "POST", ["zones", zone, "dns_records", "batch"]:
                    self._check(access, zone, edit=True)
                    return _success({"posts": list(map(self._shown, self._batch(zone, body)))})
                case "POST", ["zones", zone, "dns_records"]:
                    self._check(access, zone, edit=True)
                    return _success(self._shown(self._create(zone, body)))
                case "DELETE", ["zones", zone, "dns_records", record]:
                    self._check(access, zone, edit=True)
                    return _success({"id": self._delete(zone, record)})
        raise ApiError(404, 7003, f"Could not route to {path}")

    def _check(self, access: Access, zone_id: str, *, edit: bool = False) -> None:
        names = [zone["name"] for zone in self.zones if zone["id"] == zone_id]
        if not set(names) & set(access.zones) or (edit and not access.edit):
            raise ApiError(403, 10000, "Authentication error")

    def _visible(self, query: Row, access: Access) -> list[Row]:
        found = [zone for zone in self.zones if zone["name"] in access.zones]
        if "name" in query:
            found = [zone for zone in found if zone["name"] == query["name"].lower()]
        if self.strict_listing and ("name" not in query or not found):
            raise ApiError(
                403, 0, "Actor requires permission 'com.cloudflare.api.account.zone.list'"
            )
        return found

    def _at(self, zone_id: str, query: Row) -> list[Row]:
        wanted = {"type": query["type"], "zone": zone_id}
        if "name.exact" in query:
            wanted["name"] = query["name.exact"].lower()
        if "content.exact" in query:
            wanted["content"] = query["content.exact"]
        return [
            row
            for row in self.records
            if row.items() >= wanted.items()
            and row["name"].startswith(query.get("name.startswith", "").lower())
            and row["name"].endswith(query.get("name.endswith", "").lower())
        ]

    def _batch(self, zone_id: str, body: Row) -> list[Row]:
        """Make all changes of a batch, or none."""
        if len(body["posts"]) > 200:
            raise ApiError(400, 9999, "A batch may have 200 records.")
        before = [*self.records]
        try:
            return [self._create(zone_id, post) for post in body["posts"]]
        except ApiError:
            self.records[:] = before
            for post in body["posts"]:
                self._keep_in_step(post["name"].lower())
            raise

    def _create(self, zone_id: str, body: Row) -> Row:
        lowest = 30 if self.enterprise else 60
        if body["ttl"] != 1 and not lowest <= body["ttl"] <= 86400:
            words = f"TTL must be between {lowest} and 86400 seconds, or 1 for Automatic."
            fault = {"code": 9021, "message": words}
            raise ApiError(400, 1004, "DNS Validation Error", fault)
        self.meanwhile()
        if self.quota is not None and len([r for r in self.records if r["zone"] == zone_id]) >= (
            self.quota
        ):
            raise ApiError(400, 81045, "The record quota has been exceeded.")
        beside = [row for row in self.records if row["name"] == body["name"].lower()]
        if any(row["type"] == "CNAME" for row in beside):
            raise ApiError(400, 81054, "A CNAME record with that host already exists.")
        if any(row["type"] == "TXT" and row["content"] == body["content"] for row in beside):
            raise ApiError(400, 81058, "An identical record already exists.")
        if not text(body["content"]):
            raise ApiError(400, 9101, "Content for TXT record is required.")
        if len(text(body["content"]).encode()) > 4080:
            fault = {"code": 9207, "message": "Record exceeds the maximum wire format size."}
            raise ApiError(400, 1004, "DNS Validation Error", fault)
        contents = [row["content"] for row in beside if row["type"] == "TXT"]
        if sum(map(len, [*contents, body["content"]])) > 8192:
            raise ApiError(
                400,
                81000,
                "Combined content of records with this name and type must not exceed 8192 "
                "characters.",
            )
        return self._put(zone_id, body)

    def _put(self, zone_id: str, body: Row) -> Row:
        row = {**body, "id": self._id(), "zone": zone_id, "name": body["name"].lower()}
        self.records.append(row)
        self._keep_in_step(row["name"])
        return row

    def _delete(self, zone_id: str, record_id: str) -> str:
        for row in self.records:
            if (row["id"], row["zone"]) == (record_id, zone_id):
                self.records.remove(row)
                self._keep_in_step(row["name"])
                return record_id
        raise ApiError(404, 81044, "Record does not exist.")

    def _shown(self, row: Row) -> Row:
        """Return a record as the API shows it."""
        shown = {**row, "proxiable": False, "proxied": False, "meta": {}, "tags": []}
        del shown["zone"]
        if self.unquoted and row["type"] == "TXT":
            shown["content"] = text(row["content"])
        return shown

    def _page(self, rows: list[Row], query: Row) -> Row:
        page, asked = int(query.get("page", 1)), int(query.get("per_page", 20))
        per_page = min(asked, self.per_page)
        part = rows[(page - 1) * per_page : page * per_page]
        info = {"page": page, "per_page": per_page, "count": len(part), "total_count": len(rows)}
        return {**_success(part), "result_info": {**info, "total_pages": -(-len(rows) // per_page)}}

    def _keep_in_step(self, name: str) -> None:
        if self._mirror:
            ttls = [row["ttl"] for row in self.at(name)]
            self._mirror.set_values(name, self.values(name), ttl=min(ttls, default=1))

    def _id(self) -> str:
        return f"{next(self._ids):032x}"


def text(content: str) -> str:
    """Return what DNS serves for a TXT record's content: a zone file's, or just the value."""
    if not content.startswith('"'):
        return content
    rdata: Any = dns.rdata.from_text(IN, TXT, content)
    octets: bytes = b"".join(rdata.strings)
    return octets.decode("utf-8", "surrogateescape")


def _bad_header(code: int, header: str) -> ApiError:
    fault = {"code": code, "message": f"Invalid format for {header} header"}
    return ApiError(400, 6003, "Invalid request headers", fault)


def _success(result: Any) -> Row:
    return {"success": True, "errors": [], "messages": [], "result": result}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: CloudflareApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *arguments: Any) -> None:
        """Keep the test's output clean."""

    def _answer(self) -> None:
        api = self.server.api
        url = urlsplit(self.path)  # a whole URL where the client takes us for its proxy
        path = url.path.removeprefix(ROOT)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        api.requests.append(f"{self.command} {path}")
        faults = self._faults(api)
        if faults.reset == "before":
            self._reset()
            return
        if faults.status:
            page = b"<html>" if not faults.code else _envelope(faults.code, faults.message)
            kind = "application/json" if faults.code else "text/html"
            self._send(faults.status, page, kind, faults.retry_after)
            return
        status, answer = 200, b""
        try:
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            access = api.access(self.headers)
            body = json.loads(sent or b"{}")
            done = (
                _success({}) if faults.pretend else api.do(self.command, path, query, body, access)
            )
            answer = json.dumps(done).encode()
        except ApiError as error:
            status, answer = error.status, json.dumps(_failure(error.fault)).encode()
        if faults.delay:
            time.sleep(faults.delay)
        if faults.reset:
            self._reset()
        elif faults.body is not None:
            self._send(200, faults.body, faults.content_type)
        else:
            self._send(status, answer)

    def _faults(self, api: CloudflareApi) -> Faults:
        """Return what to do wrong this time, and count it."""
        faults = api.faults
        if self.command not in faults.methods or faults.times == 0:
            return Faults()
        if faults.times is not None:
            faults.times -= 1
        return faults

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        retry_after: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True


def _envelope(code: int, message: str) -> bytes:
    return json.dumps(_failure({"code": code, "message": message})).encode()


def _failure(fault: Row) -> Row:
    return {"success": False, "errors": [fault], "messages": [], "result": None}
