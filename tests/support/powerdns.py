"""PowerDNS with its HTTP API, and what stands between it and a test to make it fail.

::

    with Powerdns(directory, "example.test") as powerdns:
        powerdns.faults.reset = "after"
"""

import functools
import json
import sqlite3
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dns.message
import dns.query
import dns.rdatatype

from certbot_dns_persist.value.txt import quoted, unquoted

from .http_api import ApiError, HttpApi, Request, Row
from .process import Process, claim_address, find_program, free_port, release_address
from .zones import Key

API_KEY = "hushhush-powerdns"
_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


@functools.cache
def missing() -> str | None:
    """Return why PowerDNS cannot run here; ``None`` if it can."""
    if not find_program("pdns_server") or not _SCHEMA.exists():
        return "PowerDNS with SQLite (pdns-server, pdns-backend-sqlite3) is not installed"
    return None


class Powerdns(HttpApi):
    """A server with zones, on an address of its own, from construction to :meth:`stop`.

    Its API is reached through ``url``, which fails as :class:`~.http_api.Faults` say, and behaves
    like another ``version``; or directly, as ``direct_url``.
    """

    def __init__(self, directory: Path, *zones: str, kind: str = "Native") -> None:
        super().__init__()
        self.version = ""
        """A newer one to behave like. From 4.9.12 and 5.0.2 on it adds and removes single records,
        and from 5.0 on it shows disabled records of one name."""
        self.address = claim_address()
        self.port = free_port(self.address)
        """Of its DNS."""
        self.direct_url = f"http://{self.address}:{(web := free_port(self.address))}"
        database = directory / "pdns.sqlite3"
        with sqlite3.connect(database) as tables:
            tables.executescript(_SCHEMA.read_text())
        tables.close()
        # The path of a socket has a hundred characters at most.
        self._sockets = tempfile.TemporaryDirectory(prefix="pdns", dir="/tmp")
        settings = {
            "launch": "gsqlite3",
            "gsqlite3-database": database,
            "gsqlite3-pragma-synchronous": 0,
            "dnsupdate": "yes",
            "api": "yes",
            "api-key": API_KEY,
            "webserver-address": self.address,
            "webserver-port": web,
            "local-address": self.address,
            "local-port": self.port,
            "socket-dir": self._sockets.name,
            "config-dir": directory,
            "cache-ttl": 0,
            "negquery-cache-ttl": 0,
            "query-cache-ttl": 0,
            "zone-cache-refresh-interval": 0,
        }
        arguments = [f"--{key}={value}" for key, value in settings.items()]
        self._process = Process(
            [str(find_program("pdns_server")), "--daemon=no", "--guardian=no", *arguments],
            log=directory / "pdns.log",
        )
        self._process.wait_until(self._answers)
        for zone in zones:
            body = {"name": f"{zone}.", "kind": kind, "nameservers": [f"ns1.{zone}."]}
            if kind == "Slave":
                body = {"name": f"{zone}.", "kind": kind, "masters": ["127.0.0.9"]}

            self._ask("POST", "/api/v1/servers/localhost/zones", body)

    def stop(self) -> None:
        super().stop()
        self._process.stop()
        release_address(self.address)
        self._sockets.cleanup()

    @property
    def keys(self) -> dict[str, str]:
        """What a credentials file has."""
        return {"api_url": self.url, "api_key": API_KEY}

    def add_key(self, key: Key, *zones: str) -> None:
        """Let a key change ``zones`` by dynamic updates, and no other key."""
        body = {"name": key.name, "algorithm": key.algorithm, "key": key.secret}
        self._ask("POST", "/api/v1/servers/localhost/tsigkeys", body)
        for zone in zones:
            allowed = {"kind": "TSIG-ALLOW-DNSUPDATE", "metadata": [key.name]}
            self._ask("POST", f"/api/v1/servers/localhost/zones/{zone}./metadata", allowed)

    def put(self, zone: str, name: str, values: list[str], *, disabled: str = "") -> None:
        """Make these the only values at a name, and one more that is not served."""
        records = [{"content": quoted(value), "disabled": False} for value in values]
        records += [{"content": quoted(disabled), "disabled": True}] if disabled else []
        row = {"name": f"{name}.", "type": "TXT", "ttl": 300, "changetype": "REPLACE"}
        body = {"rrsets": [{**row, "records": records}]}
        self._ask("PATCH", f"/api/v1/servers/localhost/zones/{zone}.", body)

    def put_alias(self, zone: str, name: str, target: str) -> None:
        """Make a name an alias (CNAME)."""
        row = {"name": f"{name}.", "type": "CNAME", "ttl": 300, "changetype": "REPLACE"}
        body = {"rrsets": [{**row, "records": [{"content": f"{target}.", "disabled": False}]}]}
        self._ask("PATCH", f"/api/v1/servers/localhost/zones/{zone}.", body)

    def contents(self, zone: str) -> dict[str, list[str]]:
        """Return the TXT records of a zone by name, sorted; what is disabled ends with that."""
        rows = self._ask("GET", f"/api/v1/servers/localhost/zones/{zone}.")["rrsets"]
        return {
            row["name"].rstrip("."): sorted(
                unquoted(record["content"]) + " (disabled)" * record["disabled"]
                for record in row["records"]
            )
            for row in rows
            if row["type"] == "TXT"
        }

    def rrset(self, zone: str, name: str) -> Row:
        """Return the TXT records at a name as the API shows them."""
        path = f"/api/v1/servers/localhost/zones/{zone}."
        rows = self._ask("GET", path)["rrsets"]
        found: list[Row] = [r for r in rows if (r["name"], r["type"]) == (f"{name}.", "TXT")]
        return found[0] if found else {}

    def values(self, name: str) -> list[str]:
        """Return the TXT values that it serves, sorted."""
        query = dns.message.make_query(name, "TXT")
        answer = dns.query.tcp(query, self.address, timeout=5, port=self.port)
        rdatas: list[Any] = [
            rdata for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT for rdata in rrset
        ]
        return sorted(b"".join(rdata.strings).decode() for rdata in rdatas)

    def answered(self, request: Request) -> Any:
        """Do what a request asks; the server itself sees that nobody disturbs another."""
        query, body = dict(request.query), request.body
        if self.version and request.parts[-2:] == ["servers", "localhost"]:
            return {"type": "Server", "id": "localhost", "version": self.version}
        name = query.get("rrset_name", "")
        with_disabled = query.pop("include_disabled", "") == "true" and self.version >= "5"
        if with_disabled:
            query = {}
        if self.version and body:
            body = {"rrsets": self._replacements(body["rrsets"], request.parts[-1].rstrip("."))}
        path = "/" + "/".join(request.parts) + (f"?{urlencode(query)}" if query else "")
        answer = self._ask(request.method, path, body, request.headers.get("X-API-Key", ""))
        if with_disabled:
            answer["rrsets"] = [row for row in answer["rrsets"] if row["name"] == name]
        return answer

    def _replacements(self, rows: list[Row], zone: str) -> list[Row]:
        """Return changes of which those that add or remove one record are of the whole set."""
        changed: dict[str, Row] = {}
        for row in rows:
            name, kind = row["name"], row["changetype"]
            if kind in ("EXTEND", "PRUNE"):
                (record,) = row["records"]
                found = changed.get(name) or self.rrset(zone, name.rstrip("."))
                # As it does: those that are disabled are not seen, and gone after a change.
                there = [each for each in found.get("records", ()) if not each["disabled"]]
                others = [each for each in there if each["content"] != record["content"]]
                records = [*others, record] if kind == "EXTEND" else others
                row = {**row, "changetype": "REPLACE", "records": records}
            changed[name] = row
        return [*changed.values()]

    def _answers(self) -> bool:
        try:
            self._ask("GET", "/api/v1/servers/localhost")
        except OSError:
            return False
        return True

    def _ask(self, method: str, path: str, body: Any = None, key: str = API_KEY) -> Any:
        asked = urllib.request.Request(  # noqa: S310
            self.direct_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": key, "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=20) as answer:
                sent = answer.read()
        except urllib.error.HTTPError as error:
            sent = error.read()
            try:
                found = json.loads(sent)
            except ValueError:
                found = {"error": sent.decode()}
            raise ApiError(error.code, found) from error
        return json.loads(sent) if sent else None
