"""What DNS serves at many names, read from servers that behave and from servers that do not."""

import dataclasses
import time
from collections.abc import Iterator

import dns.rcode
import pytest
from support.nameserver import Nameserver, Zones
from support.process import claim_address, free_port, release_address
from support.zones import zone_text

from certbot_dns_persist.lookup import pace
from certbot_dns_persist.lookup.session import Address, Lookup

DOMAIN = "example.test"
NAME = f"_validation-persist.{DOMAIN}"

ALIASES = [
    "_validation-persist.alias CNAME _validation-persist.child.example.test.",
    "_validation-persist.far CNAME proof.other.test.",
    "_validation-persist.loop CNAME loop.other.test.",
    "_validation-persist.dangling CNAME nothing.here.invalid.",
    r"_validation-persist.dotted CNAME proof\.other.test.",
    "old DNAME child.example.test.",
    "www CNAME elsewhere.other.test.",
]


@dataclasses.dataclass
class World:
    """Two servers of ``example.test`` and its child, one of other zones, and a resolver."""

    first: Nameserver
    second: Nameserver
    resolver: Nameserver

    @property
    def servers(self) -> list[Nameserver]:
        return [self.first, self.second]

    def put(self, name: str, *values: str) -> None:
        for server in (*self.servers, self.resolver):
            server.zones.set_values(name, values)

    def lookup(self, *, authoritative: bool = True) -> Lookup:
        resolver = Address(self.resolver.address, self.resolver.port)
        return Lookup([resolver], authoritative=authoritative, port=self.first.port)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up dead servers sooner, so that the test is."""
    monkeypatch.setattr(pace, "PATIENCE", 1.5)


@pytest.fixture
def world() -> Iterator[World]:
    addresses = [claim_address(), claim_address(), claim_address()]
    port = free_port(addresses[0])
    hosts = {"ns1": [addresses[0]], "ns2": [addresses[1]]}
    elsewhere = {"ns": [addresses[2]]}
    own = "_validation-persist.own.example.test"
    here = [
        zone_text(
            "example.test",
            hosts,
            "\n".join(ALIASES),
            {"child.example.test": hosts, own: elsewhere},
        ),
        zone_text("child.example.test", hosts),
    ]
    there = [
        zone_text(own, elsewhere, "@ TXT own"),
        zone_text(
            "other.test",
            elsewhere,
            "proof TXT far\nloop CNAME _validation-persist.loop.example.test.",
        ),
    ]
    with (
        Nameserver(Zones.from_text(*here), address=addresses[0], port=port) as first,
        Nameserver(Zones.from_text(*here), address=addresses[1], port=port) as second,
        Nameserver(Zones.from_text(*there), address=addresses[2], port=port),
        Nameserver(Zones.from_text(*here, *there), resolver=True) as resolver,
    ):
        yield World(first, second, resolver)
    for address in addresses:
        release_address(address)


def test_values_come_from_every_authoritative_server_by_name(world: World) -> None:
    world.put(NAME, "one", "two")
    found = world.lookup().find([NAME])[NAME]
    assert (found.canonical_name, found.zone) == (NAME, "example.test")
    assert {(s.server, tuple(sorted(s.values or ()))) for s in found.servers} == {
        ("ns1.example.test", ("one", "two")),
        ("ns2.example.test", ("one", "two")),
    }


def test_the_resolver_is_never_asked_for_the_name_itself(world: World) -> None:
    """It would remember for a while that nothing is there, and the CA might use the same one."""
    found = world.lookup().find([NAME])[NAME]
    assert found.values == []
    assert NAME not in {name for name, _ in world.resolver.queries}


def test_names_of_one_zone_share_the_search_for_its_servers(world: World) -> None:
    names = [f"_validation-persist.n{i}.example.test" for i in range(50)]
    found = world.lookup().find(names)
    assert all(found[name].zone == "example.test" for name in names)
    # On a busy machine an answer may be late and asked for again.
    assert 1 <= world.resolver.queries["ns1.example.test", "A"] < 5
    assert 1 <= world.resolver.queries["example.test", "NS"] < 5
    for server in world.servers:
        assert 50 <= sum(server.queries[name, "TXT"] for name in names) < 100


@pytest.mark.parametrize(
    ("label", "end", "zone", "values"),
    [
        ("child", "_validation-persist.child.example.test", "child.example.test", []),
        ("alias", "_validation-persist.child.example.test", "child.example.test", []),
        ("far", "proof.other.test", "other.test", ["far"]),
        ("old", "_validation-persist.old.example.test", "example.test", []),
        ("sub.old", "_validation-persist.sub.child.example.test", "child.example.test", []),
        ("www", "_validation-persist.www.example.test", "example.test", []),
        (
            "own",
            "_validation-persist.own.example.test",
            "_validation-persist.own.example.test",
            ["own"],
        ),
    ],
)
def test_aliases_and_zone_cuts_are_followed_to_the_end(
    world: World, label: str, end: str, zone: str, values: list[str]
) -> None:
    name = f"_validation-persist.{label}.example.test"
    if label == "old":
        # A DNAME redirects what is below its owner, which this name is.
        end, zone = "_validation-persist.child.example.test", "child.example.test"
    found = world.lookup().find([name])[name]
    assert (found.trouble, found.canonical_name, found.zone) == (None, end, zone)
    assert found.values == values


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("_validation-persist.loop.example.test", "an alias that never ends"),
        ("_validation-persist.unknown.invalid", "the domain is not in DNS"),
        (f"_validation-persist.{'a' * 64}.test", "cannot stand in DNS"),
        (f"_validation-persist.{'a.' * 120}test", "cannot stand in DNS"),
    ],
)
def test_trouble_with_one_name_is_told_and_does_not_disturb_the_others(
    world: World, name: str, trouble: str
) -> None:
    world.put(NAME, "value")
    found = world.lookup().find([NAME, name])
    assert trouble in (found[name].trouble or "")
    assert found[NAME].values == ["value"]


@pytest.mark.parametrize(
    ("label", "target"),
    [
        ("dangling", "nothing.here.invalid"),
        # A dot within a label, which is not the name of the record at proof.other.test.
        ("dotted", r"proof\.other.test"),
    ],
)
def test_an_alias_for_a_name_outside_dns_has_no_values_and_no_resolver_keeps_it(
    world: World, label: str, target: str
) -> None:
    """As CAs see it; and where a wildcard makes the alias, a record at the name ends it."""
    name = f"_validation-persist.{label}.example.test"
    found = world.lookup().find([name])[name]
    assert (found.values, found.trouble, found.canonical_name) == ([], None, target)
    (warning,) = found.warnings
    assert warning.startswith(f"{name} is an alias for {target}, where nothing can be: ")
    assert "is not in DNS" in warning
    assert not [asked for asked, _ in world.resolver.queries if asked == name]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("faults", "trouble"),
    [
        ({"drop": 1.0}, "does not answer within "),
        ({"rcode": dns.rcode.REFUSED}, "answers REFUSED"),
        ({"rcode": dns.rcode.SERVFAIL}, "answers SERVFAIL"),
        ({"lame": True}, "is lame"),
        ({"wrong_id": True}, "gives no valid answer"),
        ({"garbage": True}, "gives no valid answer"),
        ({"delay": 5.0}, "does not answer within "),
    ],
)
def test_a_bad_server_is_named_and_does_not_hold_up_the_others(
    world: World, faults: dict[str, object], trouble: str
) -> None:
    names = [f"_validation-persist.n{i}.example.test" for i in range(20)]
    world.put(names[0], "value")
    for fault, value in faults.items():
        setattr(world.second.faults, fault, value)
    start = time.monotonic()
    found = world.lookup().find(names)
    assert time.monotonic() - start < 10
    for name in names:
        (silent,) = found[name].silent
        assert silent.server == "ns2.example.test"
        assert world.second.address in silent.address
        assert trouble in (silent.trouble or "")
    assert found[names[0]].values == ["value"]


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_running_is_named(world: World) -> None:
    world.second.stop()
    (silent,) = world.lookup().find([NAME])[NAME].silent
    assert (silent.server, silent.values) == ("ns2.example.test", None)
    assert silent.trouble


def test_servers_that_disagree_are_told_apart(world: World) -> None:
    world.first.zones.set_values(NAME, ["new"])
    found = world.lookup().find([NAME])[NAME]
    assert {(s.server, s.values) for s in found.answers} == {
        ("ns1.example.test", ("new",)),
        ("ns2.example.test", ()),
    }


@pytest.mark.usefixtures("impatient")
def test_lost_packets_are_asked_for_again(world: World) -> None:
    world.put(NAME, "value")
    for server in (*world.servers, world.resolver):
        server.faults.drop = 0.15
    found = [world.lookup().find([NAME])[NAME] for _ in range(5)]
    assert any(f.values == ["value"] for f in found)
    assert all(f.values in ([], ["value"]) and (f.values or f.trouble or f.silent) for f in found)


def test_truncated_answers_are_asked_for_by_tcp(world: World) -> None:
    long = ["x" * 255 + str(i) for i in range(40)]
    world.put(NAME, *long)
    assert sorted(world.lookup().find([NAME])[NAME].values) == sorted(long)
    world.first.faults.truncate = True
    assert len(world.lookup().find([NAME])[NAME].answers) == 2


def test_without_any_authoritative_server_the_resolvers_are_asked_with_a_warning(
    world: World,
) -> None:
    world.put(NAME, "value")
    for server in world.servers:
        server.faults.rcode = dns.rcode.REFUSED
    found = world.lookup().find([NAME])[NAME]
    assert found.values == ["value"]
    (warning,) = found.warnings
    assert "ns1.example.test" in warning
    assert "REFUSED" in warning
    assert "resolvers were asked instead" in warning


def test_the_resolvers_can_be_asked_alone(world: World) -> None:
    world.put("_validation-persist.child.example.test", "value")
    name = "_validation-persist.alias.example.test"
    found = world.lookup(authoritative=False).find([name])[name]
    assert found.canonical_name == "_validation-persist.child.example.test"
    assert [(s.server, s.values) for s in found.servers] == [
        (world.resolver.endpoint, ("value",)),
    ]
    assert not any(server.queries for server in world.servers)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("faults", "trouble"),
    [
        ({"drop": 1.0}, "does not answer"),
        ({"rcode": dns.rcode.SERVFAIL}, "answers SERVFAIL"),
    ],
)
@pytest.mark.parametrize("authoritative", [True, False])
def test_a_resolver_that_fails_is_named(
    world: World, faults: dict[str, object], trouble: str, authoritative: bool
) -> None:
    for fault, value in faults.items():
        setattr(world.resolver.faults, fault, value)
    found = world.lookup(authoritative=authoritative).find([NAME])[NAME]
    assert trouble in (found.trouble or "")
    assert world.resolver.endpoint in (found.trouble or "")


@pytest.mark.usefixtures("impatient")
def test_the_second_resolver_serves_when_the_first_fails(world: World) -> None:
    world.put(NAME, "value")
    dead = Address("127.0.0.1", free_port())
    resolver = Address(world.resolver.address, world.resolver.port)
    found = Lookup([dead, resolver], port=world.first.port).find([NAME])[NAME]
    assert found.values == ["value"]


def test_other_peoples_octets_survive(world: World) -> None:
    world.put(NAME, "grüße")
    assert world.lookup().find([NAME])[NAME].values == ["grüße"]


def test_ipv6_servers_are_asked() -> None:
    zone = zone_text("example.test", {"ns1": ["::1"]}, f"{NAME}. TXT value")
    zones = Zones.from_text(zone)
    with Nameserver(zones, address="::1", resolver=True) as server:
        found = Lookup([Address("::1", server.port)], port=server.port).find([NAME])[NAME]
    assert found.values == ["value"]
    assert found.servers[0].address == f"[::1]:{server.port}"


def test_caa_records_are_found_up_the_tree(world: World) -> None:
    records = '@ CAA 0 issue "ca.example; a=b"\n_validation-persist.a.b TXT value'
    zone = zone_text("example.test", {"ns1": ["127.0.0.1"]}, records)
    with Nameserver(Zones.from_text(zone), resolver=True) as server:
        reader = Lookup([Address(server.address, server.port)], port=server.port)
        (seen,) = reader.inspect(["a.b.example.test"])
        assert seen.caa == ((0, "issue", "ca.example; a=b"),)
        (seen,) = reader.inspect(["a.b.example.test"], caa=False)
        assert seen.caa == ()
        (seen,) = reader.inspect(["c.example.test"])  # where no record stands
        assert seen.caa == ()
        assert ("c.example.test", "CAA") not in server.queries


def test_bogus_signatures_are_told_from_a_failing_server(world: World) -> None:
    def bogus() -> bool:
        (seen,) = world.lookup().inspect([DOMAIN])
        return seen.bogus

    assert not bogus()
    world.resolver.faults.bogus = True
    assert bogus()
    world.resolver.faults.bogus = False
    world.resolver.faults.rcode = dns.rcode.SERVFAIL
    assert not bogus()
