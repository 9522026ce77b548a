"""DNS messages as a look-up needs them: a question in octets, and what an answer says.

dnspython writes the questions and reads every name and every record. It does so for what a
look-up goes by and no more: a whole ``dns.message.Message`` for each question and each answer
takes five times as long, and thousands of names are asked for at once.
"""

import dataclasses
import functools
import struct
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

#: What UDP answers may be long without being fragmented on common paths.
EDNS_PAYLOAD = 1232

_HEADER = struct.Struct("!HHHHHH")  # RFC 1035 section 4.1.1
_RECORD = struct.Struct("!HHIH")  # what follows a record's owner, section 4.1.3
_TO_THE_QUESTION = b"\xc0\x0c"  # a pointer to the name in the question, section 4.1.4

# Who cannot read the question may leave it out of the answer.
_WITHOUT_QUESTION = {
    dns.rcode.FORMERR,
    dns.rcode.SERVFAIL,
    dns.rcode.NOTIMP,
    dns.rcode.REFUSED,
}


class NotAnAnswer(Exception):
    """The octets are no answer to the question."""


class Record(NamedTuple):
    """One record of an answer."""

    owner: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    data: dns.rdata.Rdata | None
    """``None`` for records of the authority section: there, the owner tells all."""


@dataclasses.dataclass
class Answer:
    """What a server said."""

    rcode: dns.rcode.Rcode
    flags: int
    records: list[Record] = dataclasses.field(default_factory=list)
    authority: list[Record] = dataclasses.field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether it says what there is, even if that is nothing."""
        return self.rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)

    @property
    def authoritative(self) -> bool:
        return bool(self.flags & dns.flags.AA)

    @property
    def authentic(self) -> bool:
        """Whether a validating resolver vouches for it (RFC 4035 section 3.2.3)."""
        return bool(self.flags & dns.flags.AD)

    @property
    def truncated(self) -> bool:
        return bool(self.flags & dns.flags.TC)


class Question:
    """What is asked of a server."""

    __slots__ = ("_asked", "_checking_disabled", "_kind", "_name", "_recursive", "name")

    def __init__(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        *,
        recursive: bool = False,
        checking_disabled: bool = False,
    ) -> None:
        self.name = name
        self._name = name.to_wire() or b""
        self._kind = kind
        self._recursive = recursive
        self._checking_disabled = checking_disabled
        self._asked = (self._name + _frame(kind, recursive, checking_disabled, True)[1]).lower()

    def to_wire(self, message_id: bytes, *, edns: bool) -> bytes:
        """Return the message to send."""
        head, middle, tail = _frame(self._kind, self._recursive, self._checking_disabled, edns)
        return b"".join((message_id, head, self._name, middle, tail))

    def read(self, wire: bytes) -> Answer:
        """Return what ``wire`` says.

        Raises :class:`NotAnAnswer` when it is not an answer to this question, or no message.
        """
        try:
            return self._read(wire)
        except (struct.error, dns.exception.DNSException, IndexError, ValueError) as error:
            raise NotAnAnswer(type(error).__name__) from error

    def _read(self, wire: bytes) -> Answer:
        _, flags, questions, answers, authorities, additional = _HEADER.unpack_from(wire)
        rcode = flags & 0xF
        if not flags & dns.flags.QR:
            raise NotAnAnswer("no response")
        at = _HEADER.size + len(self._asked)
        if questions != 1 or wire[_HEADER.size : at].lower() != self._asked:
            if questions == 0 and rcode in _WITHOUT_QUESTION:
                return Answer(dns.rcode.Rcode(rcode), flags)
            raise NotAnAnswer("another question")
        if flags & dns.flags.TC:
            return Answer(dns.rcode.Rcode(rcode), flags)
        records, authority = [], []
        for _ in range(answers):
            owner, rdtype, rdclass, _, at, end = self._read_record(wire, at)
            kind = dns.rdatatype.RdataType.make(rdtype)
            data = dns.rdata.from_wire(
                dns.rdataclass.RdataClass.make(rdclass), kind, wire, at, end - at
            )
            records.append(Record(owner, kind, data))
            at = end
        for _ in range(authorities):
            owner, rdtype, _, _, _, at = self._read_record(wire, at)
            authority.append(Record(owner, dns.rdatatype.RdataType.make(rdtype), None))
        # The rest of the rcode (RFC 6891 section 6.1.3); errors bring no records.
        for _ in range(0 if answers else additional):
            _, rdtype, _, ttl, _, at = self._read_record(wire, at)
            if rdtype == dns.rdatatype.OPT:
                rcode |= ttl >> 24 << 4
        return Answer(dns.rcode.Rcode.make(rcode), flags, records, authority)

    def _read_record(self, wire: bytes, at: int) -> tuple[dns.name.Name, int, int, int, int, int]:
        """Return owner, type, class and TTL, and where the record's data begins and ends."""
        if wire.startswith(_TO_THE_QUESTION, at):
            owner, length = self.name, 2
        else:
            owner, length = dns.name.from_wire(wire, at)
        at += length
        rdtype, rdclass, ttl, length = _RECORD.unpack_from(wire, at)
        at += _RECORD.size
        if at + length > len(wire):
            raise NotAnAnswer("cut off")
        return owner, rdtype, rdclass, ttl, at, at + length


@functools.cache
def _frame(
    kind: dns.rdatatype.RdataType, recursive: bool, checking_disabled: bool, edns: bool
) -> tuple[bytes, bytes, bytes]:
    """Return what stands between the id and the name, after the name, and after the question."""
    query = dns.message.make_query(
        dns.name.root, kind, use_edns=0 if edns else -1, payload=EDNS_PAYLOAD
    )
    # Whoever sets AD in a question understands it in an answer (RFC 6840 section 5.7).
    query.flags = dns.flags.RD | dns.flags.AD if recursive else dns.flags.Flag(0)
    if checking_disabled:
        query.flags |= dns.flags.CD
    wire = query.to_wire()
    question = _HEADER.size + len(dns.name.root.to_wire() or b"")
    return wire[2 : _HEADER.size], wire[question : question + 4], wire[question + 4 :]
