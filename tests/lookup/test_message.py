"""What is read of answers, compared with what dnspython reads of the whole message."""

import struct

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbot_dns_persist.lookup.message import Answer, NotAnAnswer, Question

ID = b"\x12\x34"
NAME = "_validation-persist.n1.example.test."

labels = st.text("abz01-_", min_size=1, max_size=12)
names = st.lists(labels, min_size=0, max_size=3).map(lambda each: ".".join([*each, "test."]))


def question(name: str = NAME) -> Question:
    return Question(dns.name.from_text(name).labels, dns.rdatatype.TXT)


def response(name: str = NAME) -> dns.message.Message:
    query = dns.message.from_wire(question(name).to_wire(ID, edns=True))
    made = dns.message.make_response(query)
    made.flags |= dns.flags.AA
    return made


def add(section: list[dns.rrset.RRset], owner: str, kind: str, *data: str) -> None:
    section.append(dns.rrset.from_text(owner, 300, "IN", kind, *data))


def answered(kind: str, data: str) -> dns.message.Message:
    made = response()
    add(made.answer, NAME, kind, data)
    return made


def values(answer: Answer) -> list[str]:
    assert answer.plain is not None
    return list(answer.plain.values)


@given(
    name=names.map("_validation-persist.".__add__),
    texts=st.lists(st.text("xyz", max_size=300), max_size=3, unique=True),
    apex=names,
    kind=st.sampled_from(["NS ns.test.", "SOA ns.test. h.test. 1 2 3 4 5"]),
    compressed=st.booleans(),
)
def test_values_and_zone_are_those_that_the_message_shows(
    name: str, texts: list[str], apex: str, kind: str, compressed: bool
) -> None:
    made = response(name)
    for text in texts:
        chunks = [text[at : at + 255] for at in range(0, len(text), 255)] or [""]
        add(made.answer, name, "TXT", " ".join(f'"{chunk}"' for chunk in chunks))
    add(made.authority, apex, *kind.split(" ", 1))
    wire = made.to_wire(max_size=65535)
    if not compressed:
        wire = _spell_out(made)
    answer = question(name).read(wire)
    asked, zone = dns.name.from_text(name), dns.name.from_text(apex)
    if answer.plain is None:
        assert [str(r.owner) for r in answer.records] == [name] * len(texts)
        assert [r.owner for r in answer.authority] == [zone]
    else:
        assert values(answer) == texts
        assert answer.plain.zone is not None
        assert dns.name.Name(asked.labels[answer.plain.zone :]) == zone


def _spell_out(message: dns.message.Message) -> bytes:
    """Return the message without any pointer, as some servers write it."""
    sections = [message.answer, message.authority]
    wire = struct.pack("!HHHHHH", message.id, message.flags, 1, *map(_count, sections), 0)
    wire += (message.question[0].name.to_wire() or b"") + b"\0\x10\0\1"
    for section in sections:
        for rrset in section:
            for rdata in rrset:
                data = rdata.to_wire() or b""
                wire += (rrset.name.to_wire() or b"") + struct.pack(
                    "!HHIH", rrset.rdtype, rrset.rdclass, rrset.ttl, len(data)
                )
                wire += data
    return wire


def _count(section: list[dns.rrset.RRset]) -> int:
    return sum(len(rrset) for rrset in section)


@pytest.mark.parametrize("other", ["n1.example.test.", "n2.example.test."])
def test_a_name_spelled_out_in_one_answer_is_not_taken_for_another_name(other: str) -> None:
    """The octets after the question are the same for both names, their meaning is not."""
    seen = []
    for name in ("n1.example.test.", "n2.example.test."):
        made = response(f"_validation-persist.{name}")
        add(made.authority, other, "SOA", "ns.test. h.test. 1 2 3 4 5")
        answer = question(f"_validation-persist.{name}").read(_spell_out(made))
        assert answer.plain is None
        seen.append(str(answer.authority[0].owner))
    assert seen == [other, other]


def test_other_case_in_the_answer_is_the_same_name() -> None:
    made = response()
    add(made.answer, NAME, "TXT", "value")
    wire = made.to_wire().replace(b"example", b"eXAMPLE")
    assert values(question().read(wire)) == ["value"]


def test_an_answer_with_an_alias_is_read_record_by_record() -> None:
    made = response()
    add(made.answer, NAME, "CNAME", "target.test.")
    add(made.answer, "target.test.", "TXT", "value")
    answer = question().read(made.to_wire())
    assert answer.plain is None
    assert [str(record.owner) for record in answer.records] == [NAME, "target.test."]


def test_the_whole_rcode_is_read() -> None:
    made = response()
    made.use_edns(0)
    made.set_rcode(dns.rcode.BADVERS)
    assert question().read(made.to_wire()).rcode == dns.rcode.BADVERS


def test_an_error_without_the_question_is_an_answer() -> None:
    wire = ID + struct.pack("!H", dns.flags.QR | dns.rcode.FORMERR) + bytes(8)
    assert question().read(wire).rcode == dns.rcode.FORMERR


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        ID,
        b"\xff" * 40,
        question().to_wire(ID, edns=True),
        response("_validation-persist.n2.example.test.").to_wire(),
        response().to_wire()[:-5],
        ID + struct.pack("!H", dns.flags.QR) + bytes(8),
        answered("TXT", "value").to_wire().replace(b"\xc0\x0c\0\x10\0\1", b"\xc0\x0c\0\x10\0\3"),
        answered("A", "192.0.2.1").to_wire().replace(b"\xc0\x0c\0\1\0\1", b"\xc0\x0c\0\1\0\5"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(wire: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        question().read(wire)
