"""BIND 9 as a primary, a secondary and a recursive resolver, on loopback addresses of their own.

::

    with Bind(directory, {"example.test": "www A 192.0.2.1"}) as bind:
        bind.primary.add_txt("_validation-persist.example.test", "…")
        bind.resolver.values("_validation-persist.example.test")

The primary also serves the root, and delegates from there, so the resolver walks down from the root
as real ones do, and finds the servers by the NS records and addresses in the zones.
"""

import base64
import contextlib
import functools
import json
import re
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from .bootstrap import CACHE, lock
from .dnssec import Signatures, policy, sign
from .nameserver import txt
from .process import (
    Process,
    can_bind_port_53,
    claim_address,
    find_program,
    free_port,
    release_address,
    wait_until,
)
from .relay import Relay
from .stoppable import Stoppable
from .zones import SHORT, Key, absolute, parent, topmost, zone_text

_CHANGING = {
    dns.rdatatype.from_text(kind)
    for kind in ("SOA", "RRSIG", "NSEC", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534")
}
"""What a server changes by itself; the last is where BIND notes how far its signing is."""

APPARMOR_PROFILE = Path("/etc/apparmor.d/usr.sbin.named")


@functools.cache
def missing() -> str | None:
    """Return why BIND cannot run here; ``None`` if it can."""
    if not find_program("named") or not find_program("rndc"):
        return "BIND 9 (named, rndc) is not installed"
    if not can_bind_port_53():
        return "nameservers cannot use port 53 of other loopback addresses (needs root, and Linux)"
    return None


class Server:
    """One ``named`` with its configuration, data and logs in one directory."""

    def __init__(self, directory: Path, address: str, key: Key) -> None:
        self.address = address
        """Where it is asked, on port 53."""
        self.port = free_port()
        """Where ``named`` itself listens, on 127.0.0.1."""
        self.key = key
        self._directory = directory
        self._statistics_port, self._control_port = free_port(), free_port()
        self._process: Process | None = None
        self._relay: Relay | None = None
        directory.mkdir(parents=True)

    def start(self, options: str, zones: str) -> None:
        """Start with these lines for the ``options`` block, and these ``zone`` statements."""
        self.configure(options, zones)
        log = self._directory / "named.log"
        self._process = Process(
            [_named(), "-f", "-L", log, "-n", "1", "-c", self._directory / "named.conf"],
            log=log,
            cwd=self._directory,
        )
        self._process.wait_until(self._answers)
        self._relay = self._listen()

    def stop(self) -> None:
        if self._relay:
            self._relay.stop()
        if self._process:
            self._process.stop()

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Within the context, answer nothing: connections are refused."""
        assert self._relay is not None
        self._relay.stop()
        self._relay = None
        try:
            yield
        finally:
            self._relay = self._listen()

    def _listen(self) -> Relay:
        return Relay(self.address, 53, ("127.0.0.1", self.port))

    def configure(self, options: str, zones: str) -> None:
        """Write the configuration."""
        path = self._directory / "named.conf"
        path.write_text(
            f"""\
key "{self.key.name}" {{ algorithm {self.key.algorithm}; secret "{self.key.secret}"; }};
controls {{
    inet 127.0.0.1 port {self._control_port} allow {{ any; }} keys {{ "{self.key.name}"; }};
}};
statistics-channels {{ inet 127.0.0.1 port {self._statistics_port}; }};
options {{
    directory "{self._directory}";
    pid-file none;
    session-keyfile none;
    lock-file none;
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    minimal-responses no;
    {options}
}};
logging {{
    channel queries {{ file "queries.log"; print-time yes; }};
    category queries {{ queries; }};
    channel updates {{ file "updates.log"; print-time yes; }};
    category update {{ updates; }};
    category update-security {{ updates; }};
    category security {{ updates; }};
}};
{zones}
"""
        )

    def control(self, *command: str) -> str:
        """Run ``rndc``."""
        path = self._directory / "rndc.key"
        path.write_text(
            f'key "{self.key.name}" {{ algorithm {self.key.algorithm};'
            f' secret "{self.key.secret}"; }};\n'
        )
        where = ["-s", "127.0.0.1", "-p", str(self._control_port), "-k", str(path)]
        done = subprocess.run(
            [str(find_program("rndc")), *where, *command],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, name: str, rdtype: str, address: str = "") -> dns.message.Message:
        """Return the answer to one question, at ``address`` if it is another one."""
        query = dns.message.make_query(name, rdtype)
        response, _ = dns.query.udp_with_fallback(query, address or self.address, timeout=5)
        return response

    def values(self, name: str, address: str = "") -> list[str]:
        """Return the TXT values that this server answers with, at ``address``, sorted."""
        response = self.ask(name, "TXT", address)
        assert response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), response
        answer = response.answer
        found = [rdata for rrset in answer if rrset.rdtype == dns.rdatatype.TXT for rdata in rrset]
        return sorted(b"".join(rdata.strings).decode() for rdata in found)

    def records(self, zone: str, address: str = "") -> set[str]:
        """Return all records of a zone as text, but for its SOA, signatures and proofs."""
        keyring = self.key.for_dnspython()
        transfer = dns.query.xfr(
            address or self.address, zone, keyring={keyring.name: keyring}, relativize=False
        )
        return {
            line
            for message in transfer
            for rrset in message.answer
            if rrset.rdtype not in _CHANGING
            for line in rrset.to_text().splitlines()
        }

    def serial(self, zone: str) -> int | None:
        """Return the version of a zone; ``None`` while the server does not have the zone."""
        answer = self.ask(zone, "SOA").answer
        return int(answer[0][0].serial) if answer else None

    def update_count(self) -> int:
        """Return how many update messages have reached this server, refused ones included."""
        url = f"http://127.0.0.1:{self._statistics_port}/json/v1/server"
        with urllib.request.urlopen(url, timeout=5) as response:
            opcodes: dict[str, int] = json.load(response)["opcodes"]
        return opcodes["UPDATE"]

    def update_log(self) -> str:
        """Return BIND's log of updates: what was changed, and what was refused and why."""
        return self._read("updates.log")

    def queries(self) -> list[tuple[str, str]]:
        """Return the (name, type) of every question that was asked, oldest first."""
        return re.findall(r"query: (\S+) IN (\S+)", self._read("queries.log"))

    def update(self, zone: str) -> dns.update.UpdateMessage:
        """Return an empty, signed update of a zone, to be filled and given to :meth:`send`."""
        return dns.update.UpdateMessage(zone, keyring=self.key.for_dnspython())

    def send(self, update: dns.message.Message) -> None:
        response = dns.query.tcp(update, self.address, timeout=5)
        assert response.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(response.rcode())

    def _answers(self) -> bool:
        query = dns.message.make_query(".", "SOA")
        try:
            dns.query.tcp(query, "127.0.0.1", port=self.port, timeout=2)
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return True

    def _read(self, name: str) -> str:
        path = self._directory / name
        return path.read_text() if path.exists() else ""


class Bind(Stoppable):
    """A primary that takes updates, a secondary and a recursive resolver."""

    def __init__(
        self,
        directory: Path,
        zones: Mapping[str, str],
        *,
        max_cache_seconds: int = 0,
        signed: Mapping[str, Signatures] | None = None,
        policies: Mapping[str, str] | None = None,
        forwarding: bool = False,
        ttl: int = SHORT,
    ) -> None:
        """Start all three in ``directory``.

        ``zones`` maps origins to records (zone file text, relative to the origin); SOA, NS, the
        servers' addresses and the delegation of a zone below another one are added. The resolver
        forgets after ``max_cache_seconds``, also what is not there or failed. ``signed`` says which
        of the zones have DNSSEC signatures, and whether good ones; the resolver insists on them,
        and these zones take no updates, but for those that the server signs. ``policies`` has what
        the key may change of a zone (BIND's ``update-policy``), if that is not all. With
        ``forwarding``, the secondary forwards updates to the primary. ``ttl`` is that of the zones'
        records and of negative answers.
        """
        self._ttl = ttl
        self._signed = signed or {}
        self._policies = policies or {}
        self._forwards = "allow-update-forwarding { any; };" if forwarding else ""
        self.key = Key("test-key", base64.b64encode(secrets.token_bytes(32)).decode())
        self.zones = list(zones)
        self._held_back = False
        self._addresses = [claim_address() for _ in range(3)]
        self.primary, self.secondary, self.resolver = self._servers = [
            Server(directory / role, address, self.key)
            for role, address in zip(
                ("primary", "secondary", "resolver"), self._addresses, strict=True
            )
        ]
        try:
            self._start(directory, zones, max_cache_seconds)
        except BaseException:
            self.stop()
            raise

    def _start(self, directory: Path, zones: Mapping[str, str], max_cache_seconds: int) -> None:
        nameservers = {"ns1": [self.primary.address], "ns2": [self.secondary.address]}
        for origin, records in zones.items():
            children = [child for child in zones if parent(child, self.zones) == origin]
            delegated = dict.fromkeys(children, nameservers)
            text = zone_text(origin, nameservers, records, delegated, ttl=self._ttl)
            (directory / "primary" / f"{origin}.zone").write_text(text)
        root = {"ns1": [self.primary.address]}
        delegations = dict.fromkeys(topmost(self.zones), nameservers)
        text = zone_text(".", root, delegations=delegations, ttl=self._ttl)
        (directory / "primary" / "root.zone").write_text(text)
        anchors = [
            sign(directory / "primary" / f"{origin}.zone", origin, signatures)
            for origin, signatures in self._signed.items()
        ]
        (directory / "resolver" / "root.hints").write_text(
            f". 3600 NS ns1.\nns1. 3600 A {self.primary.address}\n"
        )
        self.primary.start(*self._primary_configuration(notify=True))
        for origin, signatures in self._signed.items():
            if signatures is Signatures.KEPT_UP:
                wait_until(
                    functools.partial(self._is_signed, origin), f"the server has signed {origin}"
                )
        self.secondary.start(
            "recursion no; dnssec-validation no; notify no; serial-query-rate 1000;",
            "\n".join(
                f'zone "{origin}" {{ type secondary; file "{origin}.zone"; primaries'
                f' {{ 127.0.0.1 port {self.primary.port} key "{self.key.name}"; }};'
                f" {self._forwards} }};"
                for origin in self.zones
            ),
        )
        self.resolver.start(
            f"recursion yes; allow-query {{ any; }}; prefetch 0;"
            f" max-cache-ttl {max_cache_seconds}; max-ncache-ttl {max_cache_seconds};"
            f" servfail-ttl {min(max_cache_seconds, 1)};"
            f" dnssec-validation {'yes' if anchors else 'no'};",
            'zone "." { type hint; file "root.hints"; };\n'
            + (f"trust-anchors {{ {' '.join(anchors)} }};" if anchors else ""),
        )
        self.settle()

    def _primary_configuration(self, *, notify: bool) -> tuple[str, str]:
        whom = "explicit" if notify else "no"
        return (
            f"recursion no; dnssec-validation no;"
            f" notify {whom}; notify-delay 0; notify-rate 1000;"
            f" also-notify {{ 127.0.0.1 port {self.secondary.port}; }};"
            f' startup-notify-rate 1000; allow-transfer {{ key "{self.key.name}"; }};',
            'zone "." { type primary; file "root.zone"; notify no; };\n'
            + "\n".join(
                f'zone "{origin}" {{ type primary; file "{origin}.zone";'
                + self._changes(origin)
                + " };"
                for origin in self.zones
            ),
        )

    def _changes(self, origin: str) -> str:
        """Return what the primary's statement of a zone says of who changes it."""
        signatures = self._signed.get(origin)
        if signatures not in (None, Signatures.KEPT_UP):
            return ""
        update = f' allow-update {{ key "{self.key.name}"; }};'
        if origin in self._policies:
            update = f" update-policy {{ {self._policies[origin]} }};"
        return update if signatures is None else f"{update} {policy(origin)}"

    def _is_signed(self, origin: str) -> bool:
        query = dns.message.make_query(origin, "SOA", want_dnssec=True)
        answer = dns.query.tcp(query, self.primary.address, timeout=5).answer
        return any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in answer)

    def hold_back(self) -> None:
        """Let the secondary lag: it hears of no change until :meth:`catch_up`."""
        self.settle()
        self._held_back = True
        self.primary.configure(*self._primary_configuration(notify=False))
        self.primary.control("reconfig")

    def catch_up(self) -> None:
        """Let the secondary follow again, and wait until it has all changes."""
        self._held_back = False
        self.primary.configure(*self._primary_configuration(notify=True))
        self.primary.control("reconfig")
        for origin in self.zones:
            self.primary.control("notify", origin)
        self.settle()

    def add_txt(self, name: str, value: str, ttl: int = 1) -> None:
        """Add a TXT value at a name, by a dynamic update, on all servers."""
        update = self.primary.update(self.zone_of(name))
        update.add(absolute(name), ttl, txt(value))
        self.primary.send(update)
        self.settle()

    def nsupdate(self, commands: str, directory: Path) -> None:
        """Run the real ``nsupdate`` with ``commands`` against the primary; all servers follow."""
        file = directory / "tsig.key"
        file.touch(0o600)
        key = self.key
        file.write_text(
            f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};'
        )
        done = subprocess.run(
            [str(find_program("nsupdate")), "-k", file],
            input=f"server {self.primary.address} 53\n{commands}",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        file.unlink()
        assert done.returncode == 0, done.stderr
        self.settle()

    def delete_txt(self, name: str, value: str | None = None) -> None:
        """Remove one TXT value, or all of them, from a name."""
        update = self.primary.update(self.zone_of(name))
        update.delete(absolute(name), "TXT" if value is None else txt(value))
        self.primary.send(update)
        self.settle()

    def zone_of(self, name: str) -> str:
        """Return the zone that a name is in."""
        zone = name if name in self.zones else parent(name, self.zones)
        assert zone is not None, f"{name} is in none of {self.zones}"
        return zone

    def stop(self) -> None:
        for server in self._servers:
            server.stop()
        while self._addresses:
            release_address(self._addresses.pop())

    def settle(self) -> None:
        """Wait until the secondary, unless it is held back, serves what the primary serves."""
        if self._held_back:
            return

        def same() -> bool:
            return all(
                self.primary.serial(zone) == self.secondary.serial(zone) is not None
                for zone in self.zones
            )

        wait_until(same, "the secondary has caught up")


def _named() -> Path:
    """Return the program to run.

    AppArmor lets ``/usr/sbin/named`` touch its own directories only; a copy has no profile.
    """
    installed = Path(str(find_program("named")))
    if not APPARMOR_PROFILE.exists():
        return installed
    copy = CACHE / "bin" / "named"
    with lock("named"):
        if not copy.exists() or copy.stat().st_mtime != installed.stat().st_mtime:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy2(installed, copy)
    return copy
