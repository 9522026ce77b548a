"""Name servers that are odd, as small ones of users are: they answer some questions otherwise."""

from collections.abc import Callable, Mapping

import dns.flags
import dns.message
import dns.name
import dns.rrset
from dns.message import Message
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from .nameserver import Nameserver

Oddity = Callable[[Message], Message | None]
"""Returns the answer to a question, or ``None`` where the answer is an ordinary one."""


class Odd(Nameserver):
    """Answers some questions in a way of its own, and others without authority."""

    oddity: Oddity | None = None
    without_authority = False

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        answer = self.oddity(query) if self.oddity else None
        ordinary = super().respond(wire, udp=udp)  # which also counts the question
        if answer is not None:
            return bytes(answer.to_wire())
        if ordinary is not None and self.without_authority:
            return ordinary[:2] + bytes([ordinary[2] & ~(dns.flags.AA >> 8)]) + ordinary[3:]
        return ordinary


def only_txt(rcode: Rcode, *, below: str) -> Oddity:
    """Answer nothing but TXT: with ``rcode``, and without an SOA record."""
    return refuse({kind: rcode for kind in RdataType if kind != RdataType.TXT}, below=below)


def refuse(rcodes: Mapping[RdataType, Rcode], *, below: str = ".") -> Oddity:
    """Answer questions of these types with these codes, at that name and below."""

    def answer(query: Message) -> Message | None:
        (question,) = query.question
        if question.rdtype not in rcodes:
            return None
        if not question.name.is_subdomain(dns.name.from_text(below)):
            return None
        made = dns.message.make_response(query)
        made.set_rcode(rcodes[RdataType.make(question.rdtype)])
        made.flags |= dns.flags.AA
        return made

    return answer


def alias_at(apex: str) -> Oddity:
    """Answer with an alias for everything at a zone's top."""

    def answer(query: Message) -> Message | None:
        (question,) = query.question
        if question.name != dns.name.from_text(apex):
            return None
        made = dns.message.make_response(query)
        made.flags |= dns.flags.AA
        made.answer.append(dns.rrset.from_text(question.name, 1, "IN", "CNAME", "elsewhere.test."))
        return made

    return answer
