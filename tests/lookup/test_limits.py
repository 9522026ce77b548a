"""Strangers name the servers of their zones: neither all of them are asked, nor everywhere."""

import contextlib
import itertools

import dns.rcode
import pytest
from support.nameserver import Nameserver, Zones
from support.process import claim_address, free_port, release_address
from support.zones import zone_text

from certbot_dns_persist.lookup import limits, session
from certbot_dns_persist.lookup.limits import Host, Reach
from certbot_dns_persist.lookup.session import Address, Lookup

NAME = "_validation-persist.example.test"

ANY = "0.0.0.0"  # noqa: S104
NOWHERE = [
    ANY,
    "224.0.0.251",
    "240.0.0.1",
    "255.255.255.255",
    "169.254.169.254",
    "::",
    "ff02::fb",
    "fe80::1",
    "::ffff:192.0.2.1",
    "64:ff9b::e000:fb",  # 224.0.0.251, as a DNS64 resolver has it
]
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "64:ff9b::a00:1"]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("loopback", [False, True])
def test_servers_are_asked_only_where_they_may_be(private: bool, loopback: bool) -> None:
    reach = Reach(private, lambda: loopback)
    asked = {
        address
        for address in [*NOWHERE, *PRIVATE, *LOOPBACK, *PUBLIC]
        if reach.refusal(address) is None
    }
    assert asked == {*PUBLIC, *(PRIVATE if private else []), *(LOOPBACK if loopback else [])}


def test_each_server_keeps_an_address_before_one_keeps_a_second() -> None:
    many = Host("many", tuple(Address(f"8.8.8.{n}") for n in range(1, 100)))
    few = [Host(f"few{n}", (Address(f"8.8.4.{n}"), Address(f"2606:4700::{n}"))) for n in range(9)]
    unknown = Host("unknown", (), "has no address")
    chosen, left_out = limits.choose("example.com", [many, *few, unknown], [], PUBLIC_ONLY)
    assert [(host.name, len(host.addresses)) for host in chosen] == [
        ("many", 2),
        *((f"few{n}", 2) for n in range(9)),
        ("unknown", 0),
    ]
    beyond = "is beyond the first 20 addresses"
    assert left_out == (
        "Of the name servers of example.com, these are not asked: "
        f"many (8.8.8.3 {beyond}), many (8.8.8.4 {beyond}), many (8.8.8.5 {beyond}) and 94 more."
    )


PUBLIC_ONLY = Reach(private=False, loopback=lambda: False)


def test_what_is_left_out_for_its_address_is_told_first() -> None:
    hosts = [
        Host("ns1", (Address("8.8.8.8"), Address("10.0.0.1"))),
        Host("ns2", (Address("224.0.0.1"),)),
    ]
    chosen, left_out = limits.choose("example.com", hosts, ["ns3"], PUBLIC_ONLY)
    assert chosen == (Host("ns1", (Address("8.8.8.8"),)),)
    assert left_out == (
        "Of the name servers of example.com, these are not asked: ns1 (10.0.0.1 is private), ns2 "
        "(224.0.0.1 is not unicast), ns3 (beyond the first 20 servers)."
    )
    assert limits.choose("example.com", chosen, [], PUBLIC_ONLY) == (chosen, None)


class Counting(Nameserver):
    """Counts the messages that come, and answers none."""

    count = 0

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.count += 1
        return None


@pytest.mark.long
def test_a_zone_with_thousands_of_addresses_costs_no_more_than_another() -> None:
    port = free_port(ANY)
    hosts = {
        f"ns{number:02}": [f"127.88.{number}.{n % 250 + 1}" for n in range(200)]
        for number in range(40)
    }
    zones = Zones.from_text(zone_text("example.test", hosts, "_validation-persist TXT value"))
    with (
        Nameserver(zones, resolver=True) as resolver,
        Counting(zones, address=ANY, port=port) as everywhere,
    ):
        found = Lookup([Address(resolver.address, resolver.port)], port=port).find([NAME])[NAME]
        assert found.values == ["value"]
        # Each is asked until a question's time is over, some four times.
        assert 0 < everywhere.count <= 20 * 5
        assert len(resolver.queries) <= 45
    left_out, instead = found.warnings
    assert left_out.startswith(
        "Of the name servers of example.test, these are not asked: ns00.example.test (127.88.0."
    )
    assert left_out.endswith(" and 3997 more.")
    assert "resolvers were asked instead" in instead


def test_this_machine_is_asked_only_if_a_resolver_there_was_named_or_the_provider_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stub in resolv.conf is on every machine."""
    zones = Zones.from_text(
        zone_text("example.test", {"ns1": ["127.0.0.1"]}, "_validation-persist TXT value")
    )
    with Nameserver(zones, resolver=True) as server:
        here = Address(server.address, server.port)
        monkeypatch.setattr(session, "system_resolvers", lambda: (here,))
        asked = dict.fromkeys([NAME])
        refused = Lookup(port=server.port).find(asked)[NAME]
        assert refused.values == ["value"]
        assert refused.warnings[0] == (
            "Of the name servers of example.test, these are not asked: ns1.example.test (127.0.0.1 "
            "is this machine)."
        )
        assert "resolvers were asked instead" in refused.warnings[1]
        for allowed in (
            Lookup(port=server.port, local=lambda: True),
            Lookup([here], port=server.port),
        ):
            found = allowed.find(asked)[NAME]
            assert (found.values, found.warnings) == (["value"], ())
            assert [answer.server for answer in found.answers] == ["ns1.example.test"]


def test_delegations_are_not_followed_without_end() -> None:
    """Nobody but who makes up names leads from zone to zone through a hundred labels."""
    depth = 24
    addresses = [claim_address() for _ in range(depth)]
    port = free_port(addresses[0])
    origins = [f"{'a.' * level}example.test" for level in range(depth)]
    hosts = [{"ns1": [address]} for address in addresses]
    zones = list(zip(origins, hosts, strict=True))
    texts = [
        zone_text(*zone, delegations=dict([below])) for zone, below in itertools.pairwise(zones)
    ]
    texts.append(zone_text(*zones[-1]))
    name = f"_validation-persist.{origins[-1]}"
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Nameserver(Zones.from_text(text), address=address, port=port))
            for text, address in zip(texts, addresses, strict=True)
        ]
        resolver = stack.enter_context(Nameserver(Zones.from_text(*texts), resolver=True))
        resolver.faults.rdtype, resolver.faults.rcode = "SOA", dns.rcode.REFUSED
        found = Lookup([Address(resolver.address, resolver.port)], port=port).find([name])[name]
        assert found.values == []
        assert 8 < sum(bool(server.queries) for server in servers) <= 20
    for address in addresses:
        release_address(address)
