"""The small nameserver does right, and wrong on request."""

from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import pytest
from dns.rcode import Rcode
from support.nameserver import Nameserver, Zones, txt
from support.need import need_ipv6
from support.zones import Key, zone_text

NAME = "_validation-persist.example.test"
KEY = Key("key", "c2VjcmV0IG9mIHRoaXMgZmlsZQ==")

RECORDS = """
www CNAME there.other.test.
tree DNAME other.test.
*.wild TXT wild
deep.down TXT deep
"""


@pytest.fixture
def server() -> Iterator[Nameserver]:
    here = {"ns1": ["127.0.0.1"]}
    zones = Zones.from_text(
        zone_text("example.test", here, RECORDS, delegations={"child.example.test": here}),
        zone_text("other.test", here, "there TXT hello"),
    )
    with Nameserver(zones, keys=[KEY], resolver=True) as running:
        yield running


def ask(
    server: Nameserver, name: str, rdtype: str = "TXT", *, flags: int = dns.flags.RD
) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, flags=flags)
    return dns.query.udp(query, server.address, port=server.port, timeout=0.5)


def strings(response: dns.message.Message) -> list[str]:
    rrsets = [rrset for rrset in response.answer if rrset.rdtype == dns.rdatatype.TXT]
    return [rdata.strings[0].decode() for rrset in rrsets for rdata in rrset]


def send(server: Nameserver, update: dns.update.UpdateMessage) -> Rcode:
    return dns.query.tcp(update, server.address, port=server.port, timeout=5).rcode()


def signed(key: Key = KEY, zone: str = "example.test") -> dns.update.UpdateMessage:
    return dns.update.UpdateMessage(zone, keyring=key.for_dnspython())


@pytest.mark.parametrize(
    ("name", "rcode", "values"),
    [
        ("www.example.test", Rcode.NOERROR, ["hello"]),
        ("there.tree.example.test", Rcode.NOERROR, ["hello"]),
        ("a.b.wild.example.test", Rcode.NOERROR, ["wild"]),
        ("down.example.test", Rcode.NOERROR, []),
        ("nothing.example.test", Rcode.NXDOMAIN, []),
        ("test", Rcode.NOERROR, []),
        ("elsewhere", Rcode.NXDOMAIN, []),
    ],
)
def test_the_resolver_answers_for_all_its_zones(
    server: Nameserver, name: str, rcode: Rcode, values: list[str]
) -> None:
    response = ask(server, name)
    assert (response.rcode(), strings(response)) == (rcode, values)
    assert response.flags & dns.flags.RA
    assert not response.flags & dns.flags.AA
    assert server.queries[name, "TXT"] == 1


def test_without_recursion_it_is_authoritative_and_refers_to_child_zones(
    server: Nameserver,
) -> None:
    assert ask(server, "example.test", "SOA", flags=0).flags & dns.flags.AA
    assert ask(server, "elsewhere", flags=0).rcode() == Rcode.REFUSED
    referral = ask(server, "a.child.example.test", flags=0)
    assert not referral.flags & dns.flags.AA
    types = [rrset.rdtype for rrset in referral.authority + referral.additional]
    assert types == [dns.rdatatype.NS, dns.rdatatype.A]


def test_an_update_whose_prerequisites_hold_is_done_and_others_are_not(server: Nameserver) -> None:
    update = signed()
    update.absent(f"{NAME}.", "TXT")
    update.add(f"{NAME}.", 300, txt("a; b"))
    assert (send(server, update), send(server, update)) == (Rcode.NOERROR, Rcode.YXRRSET)
    assert server.values(NAME) == ["a; b"]
    update = signed()
    update.present(f"{NAME}.", txt("a; b"))
    update.delete(f"{NAME}.", txt("a; b"))
    assert (send(server, update), send(server, update)) == (Rcode.NOERROR, Rcode.NXRRSET)
    assert server.values(NAME) == []
    assert server.updates == ["NOERROR", "YXRRSET", "NOERROR", "NXRRSET"]


def test_an_update_that_is_not_allowed_is_told_why(server: Nameserver) -> None:
    with pytest.raises(dns.tsig.PeerBadKey):
        send(server, signed(Key("unknown", KEY.secret)))
    with pytest.raises(dns.tsig.PeerBadSignature):
        send(server, signed(Key(KEY.name, "bm90IHRoZSBzZWNyZXQ=")))
    server.faults.clock_offset = 3600
    with pytest.raises(dns.tsig.PeerBadTime):
        send(server, signed())
    server.heal()
    assert send(server, dns.update.UpdateMessage("example.test")) == Rcode.REFUSED
    assert send(server, signed(zone="unknown.test")) == Rcode.NOTAUTH
    outside = signed()
    outside.add("there.other.test.", 1, txt("x"))
    assert send(server, outside) == Rcode.NOTZONE
    assert server.updates == ["BADKEY", "BADSIG", "BADTIME", "REFUSED", "NOTAUTH", "NOTZONE"]


def test_a_signed_question_gets_a_signed_answer(server: Nameserver) -> None:
    query = dns.message.make_query("there.other.test", "TXT")
    query.use_tsig(KEY.for_dnspython())
    answer = dns.query.tcp(query, server.address, port=server.port, timeout=5)
    assert (strings(answer), answer.had_tsig) == (["hello"], True)


def test_a_frozen_server_does_not_show_updates_until_it_catches_up(server: Nameserver) -> None:
    with Nameserver(server.zones) as secondary:
        secondary.freeze()
        server.zones.set_values(NAME, ["new"])
        assert (strings(ask(server, NAME)), strings(ask(secondary, NAME))) == (["new"], [])
        secondary.catch_up()
        assert strings(ask(secondary, NAME)) == ["new"]


def test_faults_last_until_healed(server: Nameserver) -> None:
    server.zones.set_values(NAME, ["right"])
    server.faults.lie = ["wrong"]
    assert strings(ask(server, NAME)) == ["wrong"]
    server.heal()
    assert strings(ask(server, NAME)) == ["right"]
    server.faults.truncate = True
    assert ask(server, NAME).flags & dns.flags.TC
    server.heal()
    server.faults.lame = True
    assert not ask(server, NAME, flags=0).answer
    server.heal()
    server.faults.rcode = Rcode.SERVFAIL
    server.faults.below = "example.test"
    assert ask(server, NAME).rcode() == Rcode.SERVFAIL
    assert ask(server, "there.other.test").rcode() == Rcode.NOERROR
    server.heal()
    server.faults.bogus = True
    assert ask(server, NAME).rcode() == Rcode.SERVFAIL
    assert strings(ask(server, NAME, flags=dns.flags.RD | dns.flags.CD)) == ["right"]


@pytest.mark.parametrize(
    "fault", [{"drop": 1.0}, {"delay": 0.7}, {"wrong_id": True}, {"garbage": True}]
)
def test_some_faults_leave_no_answer(server: Nameserver, fault: dict[str, float]) -> None:
    for name, value in fault.items():
        setattr(server.faults, name, value)
    with pytest.raises((dns.exception.DNSException, dns.query.BadResponse)):
        ask(server, NAME)


def test_it_speaks_ipv6(server: Nameserver) -> None:
    need_ipv6()
    with Nameserver(server.zones, address="::1") as six:
        assert six.endpoint == f"[::1]:{six.port}"
        assert strings(ask(six, "there.other.test", flags=0)) == ["hello"]
