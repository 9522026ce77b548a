"""A small DNS server: authoritative or a resolver, takes updates, and fails on request.

For machines without BIND, for the demo, and for everything that BIND cannot be made to do wrong::

    zones = Zones.from_text(zone_text("example.test", {"ns1": ["127.0.0.1"]}))
    with Nameserver(zones, keys=[key]) as server:
        server.faults.delay = 2.0

Servers that share one :class:`Zones` are a primary and its perfect secondaries. A resolver that
shares it answers as if it had walked down from the root.
"""

import contextlib
import dataclasses
import random
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.tsig
import dns.update
import dns.zone
from dns.name import Name
from dns.rcode import Rcode
from dns.rdata import Rdata
from dns.rdataclass import ANY, IN, NONE
from dns.rdataset import Rdataset
from dns.rdatatype import RdataType
from dns.rrset import RRset

from .process import can_bind_port_53, claim_address, free_port, release_address
from .stoppable import Stoppable
from .zones import Key, topmost, zone_text

Node = dict[RdataType, Rdataset]
"""The record sets of one name. A set is never changed, only replaced: copies stay as they are."""

CNAME_LIMIT = 16
"""How many CNAMEs are followed for one question."""

PLAIN_UDP = 512
"""The longest UDP answer to a client without EDNS (RFC 1035 section 4.2.1)."""

FUDGE = 300
"""How many seconds a signature may be away from our clock (RFC 8945 section 10)."""


class Zone:
    """The records of one zone."""

    def __init__(self, origin: Name, nodes: dict[Name, Node]) -> None:
        self.origin = origin
        self.nodes = nodes

    @classmethod
    def from_text(cls, text: str) -> "Zone":
        """Read a zone file that begins with ``$ORIGIN``."""
        zone = dns.zone.from_text(text, relativize=False)
        assert zone.origin is not None
        nodes = {name: {rds.rdtype: rds for rds in node} for name, node in zone.nodes.items()}
        return cls(zone.origin, nodes)

    def copy(self) -> "Zone":
        return Zone(self.origin, {name: dict(node) for name, node in self.nodes.items()})

    def get(self, name: Name, rdtype: RdataType) -> RRset | None:
        """Return the record set there; ``None`` if there is none."""
        rdataset = self.nodes.get(name, {}).get(rdtype)
        return None if rdataset is None else _rrset(name, rdataset)

    def soa(self) -> RRset:
        soa = self.get(self.origin, RdataType.SOA)
        assert soa is not None
        return soa

    def serial(self) -> int:
        return int(self.soa()[0].serial)

    def put(self, name: Name, rdtype: RdataType, ttl: int, rdatas: Iterable[Rdata]) -> None:
        """Replace a record set; with no records, remove it."""
        rdatas = list(rdatas)
        if rdatas:
            rdataset = dns.rdataset.from_rdata_list(ttl, rdatas)
            self.nodes.setdefault(name, {})[rdtype] = rdataset
        elif name in self.nodes:
            self.nodes[name].pop(rdtype, None)
            if not self.nodes[name]:
                del self.nodes[name]

    def answer(self, name: Name, rdtype: RdataType, reply: "Reply") -> Name | None:
        """Add the answer to a question to ``reply``; return the name to continue with, if any."""
        path = [Name(name.labels[cut:]) for cut in range(len(name) - len(self.origin) - 1, -1, -1)]
        for above in path:  # from just below the origin down to the name itself
            if nameservers := self.get(above, RdataType.NS):
                self._refer(nameservers, reply)
                return None
            dname = self.get(above, RdataType.DNAME)
            if dname and above != name:
                target = name.relativize(above).derelativize(_target(dname))
                cname = dns.rrset.from_text(name, dname.ttl, IN, RdataType.CNAME, target.to_text())
                reply.answer += [dname, cname]
                return target
        node = self._node(name)
        if node is None:
            reply.rcode = Rcode.NXDOMAIN
            reply.authority.append(self.soa())
            return None
        wanted = node.values() if rdtype == RdataType.ANY else filter(None, [node.get(rdtype)])
        found = [_rrset(name, rds) for rds in wanted]
        reply.answer += found
        if not found and RdataType.CNAME in node:
            cname = _rrset(name, node[RdataType.CNAME])
            reply.answer.append(cname)
            return _target(cname)
        if not found:
            reply.authority.append(self.soa())
        return None

    def _refer(self, nameservers: RRset, reply: "Reply") -> None:
        """Refer to the servers of a child zone, with their addresses."""
        reply.referral = True
        reply.authority.append(nameservers)
        for nameserver in nameservers:
            glue = (self.get(nameserver.target, t) for t in (RdataType.A, RdataType.AAAA))
            reply.additional += filter(None, glue)

    def _node(self, name: Name) -> Node | None:
        """Return the records of a name, empty if there are only names below; ``None`` if none."""
        if name in self.nodes:
            return self.nodes[name]
        if any(known.is_subdomain(name) for known in self.nodes):
            return {}
        encloser = name.parent()
        while not any(known.is_subdomain(encloser) for known in self.nodes):
            encloser = encloser.parent()
        return self.nodes.get(Name((b"*", *encloser.labels)))


class Zones:
    """Zones that are served, by one server or by several."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self.zones = {zone.origin: zone for zone in zones}
        self.lock = threading.Lock()

    @classmethod
    def from_text(cls, *texts: str) -> "Zones":
        """Read zone files; :func:`tests.support.zones.zone_text` writes them."""
        return cls(map(Zone.from_text, texts))

    def copy(self) -> "Zones":
        with self.lock:
            return Zones([zone.copy() for zone in self.zones.values()])

    def closest(self, name: Name) -> Zone | None:
        """Return the zone that a name would be in."""
        while name not in self.zones:
            if name == dns.name.root:
                return None
            name = name.parent()
        return self.zones[name]

    def values(self, name: str) -> list[str]:
        """Return the TXT values at a name, sorted."""
        at = dns.name.from_text(name)
        with self.lock:
            zone = self.closest(at)
            found = zone.get(at, RdataType.TXT) if zone else None
        return sorted(b"".join(rdata.strings).decode() for rdata in found or ())

    def records(self) -> set[str]:
        """Return all that the zones hold, as text, but for their SOA."""
        with self.lock:
            return {
                f"{owner} {rdtype.name} {rdata.to_text()}"
                for zone in self.zones.values()
                for owner, node in zone.nodes.items()
                for rdtype, rdataset in node.items()
                for rdata in rdataset
                if rdtype != RdataType.SOA
            }

    def set_values(self, name: str, values: Iterable[str], ttl: int = 1) -> None:
        """Make these the TXT values at a name, whatever was there, and without any update."""
        at = dns.name.from_text(name)
        with self.lock:
            zone = self.closest(at)
            assert zone is not None, f"{name} is in none of the zones"
            zone.put(at, RdataType.TXT, ttl, map(txt, values))
            _bump(zone)


@dataclasses.dataclass
class Faults:
    """How a server fails, until :meth:`Nameserver.heal`; all of it can be combined."""

    below: str = "."
    """Only questions about this name and names below it are affected."""
    rdtype: str | None = None
    """Only questions of this type are."""
    delay: float = 0.0
    """Seconds before each answer."""
    drop: float = 0.0
    """The share of questions that are not answered; 1 is a dead server."""
    rcode: Rcode | None = None
    """The answer is this error and nothing else."""
    noerror: bool = False
    """A name that does not exist is answered like one that has no records."""
    lame: bool = False
    """Knows nothing of the zone: an empty answer without authority."""
    truncate: bool = False
    """Every UDP answer is truncated."""
    hang_up: bool = False
    """TCP connections close after a question, without an answer."""
    lie: Sequence[str] | None = None
    """The TXT values of every name."""
    wrong_id: bool = False
    """Answers carry another message's id."""
    garbage: bool = False
    """Answers are no DNS messages."""
    bogus: bool = False
    """Acts as a validating resolver in front of a badly signed zone: SERVFAIL, unless CD is set."""
    clock_offset: float = 0.0
    """Seconds that our clock is ahead when a signature is checked."""


@dataclasses.dataclass
class Reply:
    """The sections of an answer while they are found."""

    rcode: Rcode = Rcode.NOERROR
    referral: bool = False
    answer: list[RRset] = dataclasses.field(default_factory=list)
    authority: list[RRset] = dataclasses.field(default_factory=list)
    additional: list[RRset] = dataclasses.field(default_factory=list)


class Nameserver(Stoppable):
    """A DNS server on one address and port, UDP and TCP, from construction until :meth:`stop`."""

    def __init__(
        self,
        zones: Zones,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        keys: Sequence[Key] = (),
        resolver: bool = False,
        seed: int = 0,
    ) -> None:
        """Serve ``zones``; updates signed with one of ``keys`` may change them.

        ``resolver``: offer recursion, within these zones.
        """
        self.zones = zones
        self.address = address
        self.port = port or free_port(address)
        self.faults = Faults()
        self.queries: Counter[tuple[str, str]] = Counter()
        """How many questions there were for each (name, type)."""
        self.updates: list[str] = []
        """The result of each update, oldest first: ``NOERROR``, ``NXRRSET``, ``BADKEY`` …"""
        self._keyring = {key.name: key for key in (key.for_dnspython() for key in keys)}
        self._root = _root_zone(zones) if resolver else None
        self._frozen: Zones | None = None
        self._random = random.Random(seed)  # noqa: S311
        self._servers = [make(self) for make in (_TCPServer, _UDPServer)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Address and port in one, as Pebble and ``--dns-persist-resolvers`` take it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def values(self, name: str) -> list[str]:
        """Return the TXT values that stand at a name, faults aside."""
        return (self._frozen or self.zones).values(name)

    def freeze(self) -> None:
        """Become a secondary that lags: serve what is there now, until :meth:`catch_up`."""
        self._frozen = self.zones.copy()

    def catch_up(self) -> None:
        self._frozen = None

    def heal(self) -> None:
        """End all faults."""
        self.faults = Faults()
        self.catch_up()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        """Return the answer to one message; ``None`` is no answer."""
        try:
            query, signed = _parse(wire)
        except (dns.exception.DNSException, ValueError):
            return wire[:2] + struct.pack("!H", 0x8000 | Rcode.FORMERR) + bytes(8)
        if query.flags & dns.flags.QR or not query.question:
            return None
        about = query.question[0]
        faulty = about.name.is_subdomain(dns.name.from_text(self.faults.below)) and (
            self.faults.rdtype in (None, dns.rdatatype.to_text(about.rdtype))
        )
        faults = self.faults if faulty else Faults()
        if self._random.random() < faults.drop:
            return None
        if faults.delay:
            time.sleep(faults.delay)
        failure = self._check_signature(wire, faults) if signed else Rcode.NOERROR
        if failure:
            answer = self._refuse_signature(wire, query, failure, faults)
        else:
            if signed:
                query = dns.message.from_wire(wire, keyring=self._keyring)
            if isinstance(query, dns.update.UpdateMessage):
                answer = self._update(query, faults)
            else:
                answer = self._query(query, faults, udp=udp)
        if faults.wrong_id:
            answer = struct.pack("!H", query.id ^ 0xFFFF) + answer[2:]
        return answer[:4] + b"\xff" * 30 if faults.garbage else answer

    def _query(self, query: dns.message.Message, faults: Faults, *, udp: bool) -> bytes:
        name, rdtype = query.question[0].name, RdataType.make(query.question[0].rdtype)
        self.queries[name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(rdtype)] += 1
        recursive = self._root is not None and bool(query.flags & dns.flags.RD)
        response = dns.message.make_response(query, recursion_available=self._root is not None)
        if faults.bogus and not query.flags & dns.flags.CD:
            response.set_rcode(Rcode.SERVFAIL)
        elif faults.rcode is not None:
            response.set_rcode(faults.rcode)
        elif not faults.lame:
            reply = self._look_up(name, rdtype, recursive=recursive)
            if faults.lie is not None and rdtype == RdataType.TXT:
                lies = dns.rrset.from_rdata_list(name, 1, list(map(txt, faults.lie)))
                reply = Reply(answer=[lies])
            absent = faults.noerror and reply.rcode == Rcode.NXDOMAIN
            response.set_rcode(Rcode.NOERROR if absent else reply.rcode)
            response.answer, response.authority = reply.answer, reply.authority
            response.additional = reply.additional
            ours = reply.answer or not reply.referral  # of the first name (RFC 1035 section 4.1.1)
            if not recursive and ours and reply.rcode != Rcode.REFUSED:
                response.flags |= dns.flags.AA
        wire = response.to_wire(max_size=65535)
        if udp and (faults.truncate or len(wire) > max(query.payload, PLAIN_UDP)):
            response.answer, response.authority, response.additional = [], [], []
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        return wire

    def _look_up(self, name: Name, rdtype: RdataType, *, recursive: bool) -> Reply:
        zones = self._frozen or self.zones
        reply = Reply()
        with zones.lock:
            for _ in range(CNAME_LIMIT):
                zone = zones.closest(name) or (self._root if recursive else None)
                if zone is None:  # a CNAME to elsewhere is a complete answer, too
                    reply.rcode = Rcode.NOERROR if reply.answer else Rcode.REFUSED
                    return reply
                target = zone.answer(name, rdtype, reply)
                if reply.referral and recursive:  # to a server that we do not know
                    return Reply(rcode=Rcode.SERVFAIL)
                if target is None:
                    return reply
                name = target
        return Reply(rcode=Rcode.SERVFAIL)

    def _update(self, query: dns.update.UpdateMessage, faults: Faults) -> bytes:
        """Do an update, if it is signed (RFC 2136 section 3)."""
        if faults.rcode is not None:
            rcode = faults.rcode
        elif not query.had_tsig:
            rcode = Rcode.REFUSED
        else:
            with self.zones.lock:
                rcode = _apply(self.zones, query)
        self.updates.append(rcode.name)
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        return bytes(response.to_wire())

    def _check_signature(self, wire: bytes, faults: Faults) -> Rcode:
        """Return what is wrong with a message's signature."""
        try:
            dns.message.from_wire(wire, keyring=self._keyring)
        except (dns.message.UnknownTSIGKey, dns.tsig.BadKey, dns.tsig.BadAlgorithm):
            return Rcode.BADKEY
        except dns.tsig.BadSignature:
            return Rcode.BADSIG
        except dns.tsig.BadTime:
            return Rcode.BADTIME
        off = abs(_signature(wire)[1].time_signed - time.time() - faults.clock_offset)
        return Rcode.BADTIME if off > FUDGE else Rcode.NOERROR

    def _refuse_signature(
        self, wire: bytes, query: dns.message.Message, error: Rcode, faults: Faults
    ) -> bytes:
        """Return NOTAUTH with a TSIG record that says why (RFC 8945 section 5.2).

        It is signed for BADTIME, otherwise not.
        """
        if isinstance(query, dns.update.UpdateMessage):
            self.updates.append(dns.rcode.to_text(error, tsig=True))
        owner, their = _signature(wire)
        response = dns.message.make_response(query)
        response.set_rcode(Rcode.NOTAUTH)
        if error == Rcode.BADTIME:
            now = int(time.time() + faults.clock_offset).to_bytes(6, "big")
            key = self._keyring[owner]
            response.use_tsig(key, key.name, FUDGE, query.id, error, now, key.algorithm)
            response.request_mac = their.mac
            return bytes(response.to_wire())
        answer = bytearray(response.to_wire())
        answer[10:12] = struct.pack("!H", 1)  # the one additional record
        when = struct.pack("!Q", their.time_signed)[2:] + struct.pack("!H", FUDGE)
        nothing = struct.pack("!HHHH", 0, query.id, error, 0)  # no MAC, no other data
        rdata = _wire(their.algorithm) + when + nothing
        header = struct.pack("!HHIH", RdataType.TSIG, ANY, 0, len(rdata))
        return bytes(answer) + _wire(owner) + header + rdata


@contextlib.contextmanager
def serving(
    *origins: str, keys: Sequence[Key], records: str = "", port_53: bool = True
) -> Iterator[Nameserver]:
    """Run a resolver that is also the primary, and the only server, of zones with ``records``.

    With ``port_53``, and if we may use it, the zones' own server can be asked. That is what orders
    do before they publish, and they wait for it where nobody answers.
    """
    with contextlib.ExitStack() as stack:
        address, port = "127.0.0.1", 0
        if port_53 and can_bind_port_53():
            address, port = claim_address(), 53
            stack.callback(release_address, address)
        zones = Zones.from_text(*(zone_text(each, {"ns1": [address]}, records) for each in origins))
        server = Nameserver(zones, address=address, port=port, keys=keys, resolver=True)
        yield stack.enter_context(server)


def txt(value: str) -> Rdata:
    """Return a TXT record's data, in as many strings as it needs."""
    octets = value.encode()
    strings = [octets[start : start + 255] for start in range(0, len(octets), 255)]
    return dns.rdtypes.ANY.TXT.TXT(IN, RdataType.TXT, strings or [b""])


def _rrset(name: Name, rdataset: Rdataset) -> RRset:
    return dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))


def _target(rrset: RRset) -> Name:
    """Return where a CNAME or DNAME leads."""
    target: Name = rrset[0].target
    return target


def _wire(name: Name) -> bytes:
    """Return a name as it stands in a message, uncompressed."""
    return name.to_wire() or b""


def _parse(wire: bytes) -> tuple[dns.message.Message, bool]:
    """Return a message without its signature, and whether there is one; it is not checked."""
    message = dns.message.from_wire(wire, continue_on_error=True)
    faults = [error.exception for error in message.errors]
    for fault in faults:
        if not isinstance(fault, dns.message.UnknownTSIGKey):
            raise fault
    return message, bool(faults)


def _signature(wire: bytes) -> tuple[Name, Any]:
    """Return the TSIG record of a message that has one: the key's name, and the data."""
    at = 12
    for _ in range(struct.unpack("!H", wire[4:6])[0]):
        at += dns.name.from_wire(wire, at)[1] + 4
    while True:  # it is the last record
        name, length = dns.name.from_wire(wire, at)
        at += length + 10
        rdtype, rdclass, _, length = struct.unpack("!HHIH", wire[at - 10 : at])
        if rdtype == RdataType.TSIG:
            return name, dns.rdata.from_wire(rdclass, rdtype, wire, at, length)
        at += length


def _root_zone(zones: Zones) -> Zone:
    """Return the root that a resolver starts from: it knows of our zones and of nothing else."""
    origins = topmost([origin.to_text() for origin in zones.zones])
    nowhere = {"ns1": ["127.0.0.1"]}
    return Zone.from_text(zone_text(".", nowhere, delegations=dict.fromkeys(origins, nowhere)))


def _bump(zone: Zone) -> None:
    soa = zone.soa()
    serial = soa[0].serial % 0xFFFFFFFF + 1
    zone.put(zone.origin, RdataType.SOA, soa.ttl, [soa[0].replace(serial=serial)])


def _apply(zones: Zones, query: dns.update.UpdateMessage) -> Rcode:
    """Apply an update that is allowed, completely or not at all (RFC 2136 sections 3.1 to 3.4)."""
    zone = zones.zones.get(query.zone[0].name)
    if zone is None:
        return Rcode.NOTAUTH
    if not all(rrset.name.is_subdomain(zone.origin) for rrset in query.prerequisite + query.update):
        return Rcode.NOTZONE
    failure = _check_prerequisites(zone, query.prerequisite)
    if failure:
        return failure
    changed = zone.copy()
    for change in query.update:
        _change(changed, change)
    if changed.nodes != zone.nodes:
        _bump(changed)
        zone.nodes = changed.nodes
    return Rcode.NOERROR


def _check_prerequisites(zone: Zone, prerequisites: Sequence[RRset]) -> Rcode:
    """Return the rcode for the first prerequisite that fails (RFC 2136 section 3.2)."""
    exact: dict[tuple[Name, RdataType], set[Rdata]] = {}
    for rrset in prerequisites:
        node = zone.nodes.get(rrset.name, {})
        any_type = rrset.rdtype == RdataType.ANY
        present = bool(node) if any_type else rrset.rdtype in node
        if rrset.deleting == ANY and not present:
            return Rcode.NXDOMAIN if any_type else Rcode.NXRRSET
        if rrset.deleting == NONE and present:
            return Rcode.YXDOMAIN if any_type else Rcode.YXRRSET
        if rrset.deleting is None:
            exact.setdefault((rrset.name, rrset.rdtype), set()).update(rrset)
    for (name, rdtype), rdatas in exact.items():
        if set(zone.get(name, rdtype) or ()) != rdatas:
            return Rcode.NXRRSET
    return Rcode.NOERROR


def _change(zone: Zone, change: RRset) -> None:
    """Apply one line of an update (RFC 2136 section 3.4.2), unless it would break the zone."""
    name, rdtype = change.name, change.rdtype
    node = zone.nodes.get(name, {})
    apex = name == zone.origin
    if change.deleting == ANY:
        for each in list(node) if rdtype == RdataType.ANY else [rdtype]:
            if not (apex and each in (RdataType.SOA, RdataType.NS)):
                zone.put(name, each, 0, [])
        return
    there = node.get(rdtype)
    if change.deleting == NONE:
        rest = [rdata for rdata in there or () if rdata not in change]
        vital = rdtype == RdataType.SOA or (apex and rdtype == RdataType.NS and not rest)
        if there and not vital:
            zone.put(name, rdtype, there.ttl, rest)
        return
    if rdtype == RdataType.CNAME:
        clash = bool(node.keys() - {rdtype})
        there = None  # there is but one
    else:
        clash = RdataType.CNAME in node
    older = rdtype == RdataType.SOA and (not apex or change[0].serial <= zone.serial())
    if rdtype == RdataType.SOA:
        there = None
    if not clash and not older:
        zone.put(name, rdtype, change.ttl, dict.fromkeys([*(there or ()), *change]))


class _TCPServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, nameserver: Nameserver) -> None:
        self.nameserver = nameserver
        self.address_family = _family(nameserver.address)
        super().__init__((nameserver.address, nameserver.port), _TCPHandler)


class _UDPServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, nameserver: Nameserver) -> None:
        self.nameserver = nameserver
        self.address_family = _family(nameserver.address)
        super().__init__((nameserver.address, nameserver.port), _UDPHandler)


class _TCPHandler(socketserver.StreamRequestHandler):
    server: _TCPServer

    def handle(self) -> None:
        while len(length := self.rfile.read(2)) == 2:
            wire = self.rfile.read(struct.unpack("!H", length)[0])
            if self.server.nameserver.faults.hang_up:
                return
            answer = self.server.nameserver.respond(wire, udp=False)
            if answer is not None:
                self.wfile.write(struct.pack("!H", len(answer)) + answer)


class _UDPHandler(socketserver.BaseRequestHandler):
    server: _UDPServer

    def handle(self) -> None:
        wire, sock = self.request
        answer = self.server.nameserver.respond(wire, udp=True)
        if answer is not None:
            with contextlib.suppress(OSError):  # stopped meanwhile
                sock.sendto(answer, self.client_address)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
