"""DNS messages as a look-up needs them: a question in octets, and what an answer says.

dnspython writes the questions and reads every name and record, but only those that a look-up uses:
a whole ``dns.message.Message`` for each question and each answer takes five times as long, and a
look-up asks for thousands of names at once.
"""

import dataclasses
import functools
import struct
from typing import Any, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from certbot_dns_persist.value.txt import from_strings

#: Octets that a UDP answer may have without fragmentation on common paths.
EDNS_PAYLOAD = 1232

_HEADER = struct.Struct("!HHHHHH")  # RFC 1035 section 4.1.1
_RECORD = struct.Struct("!HHIH")  # after a record's owner, section 4.1.3
_NAME_OF_QUESTION = b"\xc0\x0c"  # a pointer to the name, section 4.1.4
_NO_LABEL = b"\x40"  # never at the start of a label
_LENGTHS = [bytes([length]) for length in range(64)]  # the octet before a label, section 3.1

# Plain numbers: arithmetic with dnspython's enumerations is slow.
_QR, _AA, _TC, _AD = (int(getattr(dns.flags, name)) for name in ("QR", "AA", "TC", "AD"))
_TXT, _OPT = int(dns.rdatatype.TXT), int(dns.rdatatype.OPT)
_IN = int(dns.rdataclass.IN)
_NS, _SOA = int(dns.rdatatype.NS), int(dns.rdatatype.SOA)
_ADDRESSES = {int(dns.rdatatype.A), int(dns.rdatatype.AAAA)}

# A server that cannot read the question may leave it out of the answer.
_WITHOUT_QUESTION = {
    int(dns.rcode.FORMERR),
    int(dns.rcode.SERVFAIL),
    int(dns.rcode.NOTIMP),
    int(dns.rcode.REFUSED),
}

# Answers that differ only in the name are read once.
_PLAIN_ANSWERS = 1000


class NotAnAnswer(Exception):
    """The octets are not an answer to the question."""


class Record(NamedTuple):
    """One record of an answer."""

    owner: dns.name.Name
    rdtype: int
    data: dns.rdata.Rdata | None
    """``None`` in the authority section, where the owner tells all, except for NS records."""


class Plain(NamedTuple):
    """An answer that has TXT records of the requested name, or none, and nothing else."""

    values: tuple[str, ...]
    """The TXT values, each joined from its strings."""
    zone: int | None
    """How many labels of the name come before those of the zone that the answer shows."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a server answers."""

    rcode: int
    flags: int
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    plain: Plain | None = None
    """Set instead of the records where that is all there is to them."""
    glue: tuple[Record, ...] = ()
    """The addresses that come with a referral."""
    negative_ttl: int | None = None
    """Seconds for which a cache keeps that there is nothing (RFC 2308 section 5), if it may."""
    ttl: int = 0
    """Seconds for which a cache keeps the TXT records of the answer."""

    @property
    def usable(self) -> bool:
        """Whether it says what there is, even if that is nothing."""
        return self.rcode in (0, 3)  # NOERROR, NXDOMAIN

    @property
    def rcode_text(self) -> str:
        return dns.rcode.to_text(dns.rcode.Rcode.make(self.rcode))

    @property
    def authoritative(self) -> bool:
        return bool(self.flags & _AA)

    @property
    def authentic(self) -> bool:
        """Whether a validating resolver has verified it (RFC 4035 section 3.2.3)."""
        return bool(self.flags & _AD)

    @property
    def truncated(self) -> bool:
        return bool(self.flags & _TC)


class Question:
    """A question to a server."""

    __slots__ = ("_asked", "_frames", "_kind", "_lengths", "_name", "_rest", "recursive")

    def __init__(
        self,
        name: tuple[bytes, ...],
        kind: dns.rdatatype.RdataType,
        *,
        recursive: bool = False,
        checking_disabled: bool = False,
        first_labels: int = 2,
    ) -> None:
        """``name`` is a name's labels.

        The first ``first_labels`` of them may differ between answers that are otherwise equal.
        """
        self.recursive = recursive
        self._lengths = bytes(map(len, name[:first_labels]))
        self._rest = _HEADER.size + sum(self._lengths) + len(self._lengths)
        self._name = b"".join([_LENGTHS[len(label)] + label for label in name])
        self._kind = int(kind)
        self._frames = _frames(self._kind, recursive, checking_disabled)
        self._asked = (self._name + self._frames[True][1]).lower()

    def to_wire(self, message_id: bytes, *, edns: bool) -> bytes:
        """Return the message to send."""
        head, middle, tail = self._frames[edns]
        return b"".join((message_id, head, self._name, middle, tail))

    def read(self, wire: bytes) -> Answer:
        """Return what ``wire`` says.

        Raises :class:`NotAnAnswer` if it is not an answer to this question, or not a message.
        """
        try:
            return self._read(wire)
        except (struct.error, dns.exception.DNSException, IndexError, ValueError) as error:
            raise NotAnAnswer(type(error).__name__) from error

    def _read(self, wire: bytes) -> Answer:
        asked = self._asked
        end = _HEADER.size + len(asked)
        if wire[_HEADER.size : end].lower() != asked or wire[4:6] != b"\0\1":
            _, flags, questions, *_ = _HEADER.unpack_from(wire)
            if flags & _QR and questions == 0 and flags & 0xF in _WITHOUT_QUESTION:
                return Answer(flags & 0xF, flags)
            raise NotAnAnswer("another question")
        if self._kind == _TXT:
            plain = _read_plain(self._lengths, wire[2:12], wire[self._rest :])
            if plain is not None:
                return plain
        return _read(wire, end)


def _read(wire: bytes, at: int) -> Answer:
    _, flags, _, answers, authorities, additional = _HEADER.unpack_from(wire)
    rcode = flags & 0xF
    if not flags & _QR:
        raise NotAnAnswer("no response")
    if flags & _TC:
        return Answer(rcode, flags)
    records, authority = [], []
    glue: list[Record] = []
    negative_ttl, kept = None, 0
    for _ in range(answers):
        owner, length = dns.name.from_wire(wire, at)
        rdtype, rdclass, ttl, start, at = _record(wire, at + length)
        if rdtype == _TXT:
            kept = max(kept, ttl)
        records.append(Record(owner, rdtype, _data(wire, rdclass, rdtype, start, at)))
    for _ in range(authorities):
        owner, length = dns.name.from_wire(wire, at)
        rdtype, rdclass, ttl, start, at = _record(wire, at + length)
        data = _data(wire, rdclass, rdtype, start, at) if rdtype == _NS else None
        authority.append(Record(owner, rdtype, data))
        if rdtype == _SOA:
            negative_ttl = ttl
    if not answers:  # errors bring none
        rcode |= _extended_rcode(wire, at, additional)
        if authority and not flags & _AA:
            glue = _read_glue(wire, at, additional)
    return Answer(
        rcode,
        flags,
        tuple(records),
        tuple(authority),
        glue=tuple(glue),
        negative_ttl=negative_ttl,
        ttl=kept,
    )


def _read_glue(wire: bytes, at: int, additional: int) -> list[Record]:
    """Return the addresses in the additional section."""
    glue = []
    for _ in range(additional):
        owner, length = dns.name.from_wire(wire, at)
        rdtype, rdclass, _, start, at = _record(wire, at + length)
        if rdtype in _ADDRESSES:
            glue.append(Record(owner, rdtype, _data(wire, rdclass, rdtype, start, at)))
    return glue


@functools.lru_cache(_PLAIN_ANSWERS)
def _read_plain(lengths: bytes, header: bytes, rest: bytes) -> Answer | None:
    """Return what an answer says about TXT of a name, whatever its first labels, if plain.

    ``lengths`` are those of the first labels; ``rest`` is the message from the question's next
    label. In a zone, many answers differ only in the first labels: where records belong to the
    name, servers point to it in the question (RFC 1035 section 4.1.4). ``None`` if the answer
    contains more, so that the name itself is needed.
    """
    start = _HEADER.size + sum(lengths) + len(lengths)
    wire = _NO_LABEL * start + rest
    try:
        zone, length = dns.name.from_wire(wire, start)
        flags, _, answers, authorities, additional = struct.unpack("!HHHHH", header)
        if not flags & _QR or flags & _TC:
            return None
        at = start + length + 4
        values, kept = [], 0
        for _ in range(answers):
            if wire[at : at + 2] != _NAME_OF_QUESTION:
                return None
            rdtype, rdclass, ttl, start, at = _record(wire, at + 2)
            if rdtype != _TXT:
                return None
            kept = max(kept, ttl)
            values.append(text_value(_data(wire, rdclass, rdtype, start, at)))
        shown = negative_ttl = None
        for _ in range(authorities):
            owner, length = dns.name.from_wire(wire, at)
            rdtype, _, ttl, _, at = _record(wire, at + length)
            if rdtype == _SOA:
                negative_ttl = ttl
            if rdtype in (_NS, _SOA):
                # A referral names the servers, which are to be known.
                if not zone.is_subdomain(owner) or not (flags & _AA or rdtype == _SOA):
                    return None
                shown = len(lengths) + len(zone.labels) - len(owner.labels)
        rcode = flags & 0xF
        if not answers:
            rcode |= _extended_rcode(wire, at, additional)
        plain = Plain(tuple(values), shown)
        return Answer(rcode, flags, plain=plain, negative_ttl=negative_ttl, ttl=kept)
    except (struct.error, dns.exception.DNSException, NotAnAnswer):
        return None


def _extended_rcode(wire: bytes, at: int, records: int) -> int:
    """Return the upper bits of the rcode from the additional section (RFC 6891 section 6.1.3)."""
    for _ in range(records):
        _, length = dns.name.from_wire(wire, at)
        rdtype, _, ttl, _, at = _record(wire, at + length)
        if rdtype == _OPT:
            return ttl >> 24 << 4
    return 0


def _record(wire: bytes, at: int) -> tuple[int, int, int, int, int]:
    """Return type, class and TTL of a record, and where its data begins and ends."""
    rdtype, rdclass, ttl, length = _RECORD.unpack_from(wire, at)
    at += _RECORD.size
    if at + length > len(wire):
        raise NotAnAnswer("cut off")
    return rdtype, rdclass, ttl, at, at + length


def _data(wire: bytes, rdclass: int, rdtype: int, start: int, end: int) -> Any:
    if rdclass != _IN:  # we asked for IN, and data of another class has other attributes
        raise NotAnAnswer("another class")
    return dns.rdata.from_wire(
        dns.rdataclass.IN,
        dns.rdatatype.RdataType.make(rdtype),
        wire,
        start,
        end - start,
    )


def text_value(data: Any) -> str:
    """Return the value of a TXT record, joined from its strings."""
    return from_strings(data.strings)


@functools.cache
def _frames(
    kind: int, recursive: bool, checking_disabled: bool
) -> list[tuple[bytes, bytes, bytes]]:
    """Return all of a question except its id and name: without EDNS, and with it.

    The parts come before the name, after the name, and after the question.
    """
    frames = []
    for edns in (-1, 0):
        query = dns.message.make_query(
            dns.name.root,
            dns.rdatatype.RdataType.make(kind),
            use_edns=edns,
            payload=EDNS_PAYLOAD,
        )
        # AD in a question says that we understand it in an answer (RFC 6840 section 5.7).
        query.flags = dns.flags.RD | dns.flags.AD if recursive else dns.flags.Flag(0)
        if checking_disabled:
            query.flags |= dns.flags.CD
        wire = query.to_wire()
        name = _HEADER.size + len(dns.name.root.to_wire() or b"")
        frames.append((wire[2 : _HEADER.size], wire[name : name + 4], wire[name + 4 :]))
    return frames
