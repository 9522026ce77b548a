"""Where authoritative servers or resolvers are odd, what resolvers say of the record itself counts.

Each of these was reported by users of small servers: see the names of the tests.
"""

import contextlib
import dataclasses
from collections.abc import Iterator

import pytest
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from support.nameserver import Zones
from support.odd import Odd, alias_at, only_txt, refuse
from support.process import claim_address, free_port, release_address
from support.zones import zone_text

from certbot_dns_persist.lookup import pace
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.lookup.session import Address, Lookup

VALIDATION = "_validation-persist"
EXAMPLE, TINY = "example.test", f"{VALIDATION}.tiny.example.test"
SOA, NS = RdataType.SOA, RdataType.NS


@dataclasses.dataclass
class World:
    """The servers of ``test``, of ``example.test``, and of one name in it; and a resolver."""

    registry: Odd
    server: Odd
    tiny: Odd
    resolver: Odd

    def find(self, *names: str) -> dict[str, Found]:
        resolver = Address(self.resolver.address, self.resolver.port)
        return Lookup([resolver], port=self.server.port).find(names)

    def ask_about(self, name: str) -> list[str]:
        """The types of which the resolver was asked for records at a name."""
        return [kind for asked, kind in self.resolver.queries if asked == name]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(pace, "PATIENCE", 1.5)
    addresses = [claim_address() for _ in range(3)]
    port = free_port(addresses[0])
    registry, server, tiny = ({"ns1": [address]} for address in addresses)
    texts = [
        zone_text("test", registry, "elsewhere A 192.0.2.1", delegations={EXAMPLE: server}),
        zone_text(
            EXAMPLE,
            server,
            f"www A 192.0.2.1\n{VALIDATION} TXT value\n{VALIDATION}.www TXT value",
            delegations={TINY: tiny},
        ),
        zone_text(TINY, tiny, "@ TXT value"),
    ]
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Odd(Zones.from_text(text), address=address, port=port))
            for text, address in zip(texts, addresses, strict=True)
        ]
        resolver = stack.enter_context(Odd(Zones.from_text(*texts), resolver=True))
        yield World(servers[0], servers[1], servers[2], resolver)
    for address in addresses:
        release_address(address)


def warning(found: Found) -> str:
    """Return the one warning with which the record was found through the resolvers."""
    assert (found.values, found.trouble, found.zone) == (["value"], None, None), found
    (text,) = found.warnings
    assert text.startswith("The authoritative servers cannot be found: ")
    assert text.endswith(". The resolvers were asked instead; their caches may be out of date.")
    return text


def straight(found: Found) -> str | None:
    """Return the zone at whose own servers the record was found, without any warning."""
    assert (found.values, found.trouble, found.warnings) == (["value"], None, ()), found
    assert not found.silent
    return found.zone


APEX, WWW = f"{VALIDATION}.{EXAMPLE}", f"{VALIDATION}.www.{EXAMPLE}"


@pytest.mark.parametrize("name", [APEX, WWW])
@pytest.mark.parametrize(
    "rcode", [Rcode.REFUSED, Rcode.NXDOMAIN, Rcode.SERVFAIL, Rcode.FORMERR, Rcode.NOTIMP]
)
def test_who_answers_no_question_for_the_soa_is_no_trouble(
    world: World, name: str, rcode: Rcode
) -> None:
    """A zone's servers show where it ends, and the resolver is asked for NS records first."""
    world.server.oddity = world.resolver.oddity = refuse({SOA: rcode}, below=EXAMPLE)
    assert straight(world.find(name)[name]) == EXAMPLE


@pytest.mark.parametrize("name", [APEX, WWW])
@pytest.mark.parametrize("rcode", [Rcode.REFUSED, Rcode.SERVFAIL, Rcode.NOERROR, Rcode.NXDOMAIN])
def test_a_zone_whose_servers_answer_nothing_but_txt_is_found_through_the_zone_above(
    world: World, name: str, rcode: Rcode
) -> None:
    world.server.oddity = world.resolver.oddity = only_txt(rcode, below=EXAMPLE)
    assert straight(world.find(name)[name]) == EXAMPLE


def test_an_alias_at_the_top_of_a_zone_does_not_hide_the_zone(world: World) -> None:
    world.server.oddity = world.resolver.oddity = alias_at(EXAMPLE)
    for name, found in world.find(APEX, WWW).items():
        assert straight(found) == EXAMPLE, name


@pytest.mark.parametrize("rcode", [Rcode.REFUSED, Rcode.NXDOMAIN, Rcode.NOERROR, Rcode.SERVFAIL])
def test_a_tiny_server_for_one_name_is_asked_and_no_resolver_about_that_name(
    world: World, rcode: Rcode
) -> None:
    """Such as acme-dns: it has no name servers' names, and its address is in the zone above."""
    world.tiny.oddity = world.resolver.oddity = only_txt(rcode, below=TINY)
    assert straight(world.find(TINY)[TINY]) == TINY
    assert not world.ask_about(TINY)
    assert world.tiny.queries[TINY, "TXT"]


@pytest.mark.parametrize("rcode", [Rcode.REFUSED, Rcode.NOTIMP, Rcode.NOERROR])
def test_a_resolver_that_answers_nothing_for_ns_is_asked_for_the_record(
    world: World, rcode: Rcode
) -> None:
    world.resolver.oddity = refuse({NS: rcode})
    told = {warning(found) for found in world.find(APEX, WWW).values()}
    assert len(told) == 1  # for all names of a zone


def test_servers_without_authority_are_not_believed_and_the_resolvers_are(world: World) -> None:
    world.server.without_authority = True
    found = world.find(APEX)[APEX]
    assert (found.values, found.zone) == (["value"], EXAMPLE)
    (told,) = found.warnings
    assert "is lame: it does not answer" in told
    assert "resolvers were asked instead" in told


@pytest.mark.parametrize("name", [APEX, WWW])
def test_signatures_that_do_not_verify_are_not_worked_around(world: World, name: str) -> None:
    world.resolver.faults.bogus = True
    found = world.find(name)[name]
    assert found.values == []
    assert "its DNSSEC signatures do not verify" in (found.trouble or "")
    assert not world.ask_about(name)


def test_a_domain_that_is_nowhere_is_not_asked_for(world: World) -> None:
    name = f"{VALIDATION}.www.example.invalid"
    found = world.find(name)[name]
    assert "the domain is not in DNS" in (found.trouble or "")
    assert not world.ask_about(name)


def test_it_is_told_for_how_long_resolvers_remember_that_there_is_nothing(world: World) -> None:
    world.resolver.oddity = refuse({NS: Rcode.REFUSED})
    name = f"{VALIDATION}.missing.{EXAMPLE}"
    found = world.find(name, WWW)
    assert (found[name].values, found[name].negative_ttl) == ([], 1)  # as the zone's SOA says
    assert found[WWW].negative_ttl == 0
