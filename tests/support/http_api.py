"""A small DNS service with an HTTP API, as a base: its records, its port, and how it fails.

A subclass answers as one service's documentation says::

    with HetznerApi("example.test") as api:
        api.faults.reset = "after"

Every change is also made in the :class:`~.nameserver.Zones` that it is given, so that a
nameserver serves what the API was told.
"""

import contextlib
import dataclasses
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from .nameserver import Zones
from .stoppable import Stoppable

Row = dict[str, Any]
"""An object of the API, as JSON."""

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclasses.dataclass
class Faults:
    """How the API fails, until ``HttpApi.faults`` is replaced; all can be combined."""

    methods: Collection[str] = WRITES | {"GET"}
    """Only these requests fail."""
    times: int | None = None
    """How many of them fail; ``None`` for all."""
    status: int = 0
    """Answer with this status instead of doing anything."""
    error: Any = None
    """What goes with it, as JSON; without it and ``body``, the answer is a page of HTML."""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Sent with it."""
    reset: Literal["", "before", "after"] = ""
    """Reset the connection before, or after, doing what was asked, instead of answering."""
    body: bytes | None = None
    """Do what was asked, and send this instead of the answer."""
    trickle: bool = False
    """Send an answer that never ends, a few octets at a time."""
    pretend: Any = None
    """Answer with this, as JSON, and do nothing."""
    meanwhile: Callable[[], object] | None = None
    """What somebody else does before what was asked is done."""


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    parts: list[str]
    """Of the path."""
    query: Mapping[str, str]
    body: Any
    headers: Any
    form: Mapping[str, str]
    """The body, if it is not JSON."""


@dataclasses.dataclass
class Record:
    """A TXT record."""

    id: int
    name: str
    value: str
    ttl: int


class HttpApi(Stoppable):
    """One customer's zones at a service, on a port of 127.0.0.1, until :meth:`stop`."""

    def __init__(self, *zones: str, mirror: Zones | None = None) -> None:
        """Have these zones; make changes of TXT records in ``mirror`` too."""
        self.zones = list(zones)
        self.faults = Faults()
        self.page = 100
        """The most results in one answer, whatever the request says."""
        self.read_only = False
        """Whether the credentials may only read."""
        self.requests: list[str] = []
        """Method and path of each request, without its query, oldest first."""
        self.records: list[Record] = []
        self._mirror = mirror
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def do(self, request: Request) -> Any:
        """Do what a request asks; return the answer, as JSON, or raise :class:`ApiError`."""
        raise NotImplementedError

    def answered(self, request: Request) -> Any:
        """Do what a request asks while nobody else does anything."""
        with self._lock:
            return self.do(request)

    # The dashboard: what a person does there.

    def add(self, name: str, value: str, ttl: int = 300) -> Record:
        record = Record(next(self._ids), name, value, ttl)
        self.records.append(record)
        self.keep_in_step(name)
        return record

    def remove(self, record: Record) -> None:
        self.records.remove(record)
        self.keep_in_step(record.name)

    def at(self, name: str) -> list[Record]:
        return [record for record in self.records if record.name == name]

    def values(self, name: str) -> list[str]:
        """Return the TXT values at a name, sorted."""
        return sorted(record.value for record in self.at(name))

    def keep_in_step(self, name: str) -> None:
        if self._mirror:
            ttls = [record.ttl for record in self.at(name)]
            self._mirror.set_values(name, self.values(name), ttl=min(ttls, default=1))

    def absolute(self, relative: str, zone: str) -> str:
        return zone if relative == "@" else f"{relative}.{zone}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: HttpApi) -> None:
        self.api = api
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Keep the test's output clean."""

    def _answer(self) -> None:
        api = self.server.api
        url = urlsplit(self.path)  # a whole URL where the client takes us for its proxy
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        api.requests.append(f"{self.command} {url.path}")
        faults = self._faults(api)
        if faults.reset == "before":
            self._reset()
            return
        if faults.trickle:
            self._trickle()
            return
        if faults.status:
            body = json.dumps(faults.error).encode() if faults.error else faults.body or b"<html>"
            self._send(faults.status, body, faults.headers)
            return
        if faults.meanwhile:
            faults.meanwhile()
        status = 200
        try:
            answer = faults.pretend or api.answered(self._request(url, sent))
        except ApiError as error:
            status, answer = error.status, error.body
        if faults.reset:
            self._reset()
        elif faults.body is not None:
            self._send(200, faults.body, {})
        elif answer is None:
            self._send(204, b"", {})
        else:
            self._send(status, json.dumps(answer).encode(), {})

    def _request(self, url: Any, sent: bytes) -> Request:
        def flat(text: str) -> dict[str, str]:
            return {key: values[0] for key, values in parse_qs(text).items()}

        is_form = "urlencoded" in self.headers.get("Content-Type", "")
        return Request(
            self.command,
            [unquote(part) for part in url.path.strip("/").split("/")],
            flat(url.query),
            json.loads(sent) if sent and not is_form else None,
            self.headers,
            flat(sent.decode()) if is_form else {},
        )

    def _faults(self, api: HttpApi) -> Faults:
        """Return what to do wrong this time, and count it."""
        faults = api.faults
        if self.command not in faults.methods or faults.times == 0:
            return Faults()
        if faults.times is not None:
            faults.times -= 1
        return faults

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        kind = "text/html" if body.startswith(b"<") else "application/json"
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2**30))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has gone
            while not self.server.closing.wait(0.02):
                self.wfile.write(b" ")

    def _reset(self) -> None:
        """End the connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True
