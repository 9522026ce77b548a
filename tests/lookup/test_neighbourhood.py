"""Which wildcards are around a record, asked of the zones' own servers and of nobody else."""

from collections.abc import Iterator, Mapping

import dns.message
import dns.name
import pytest
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support import bind as bind_support
from support import dnssec
from support.bind import Bind
from support.dnssec import Signatures
from support.nameserver import Nameserver, Zones, txt
from support.need import need
from support.process import claim_address, free_port, release_address
from support.zones import zone_text

from certbot_dns_persist.lookup.found import Found, Neighbourhood
from certbot_dns_persist.lookup.neighbourhood import FEW_KINDS
from certbot_dns_persist.lookup.session import Address, Around, Lookup
from certbot_dns_persist.record import validation_domain_name

RECORDS = """\
* A 192.0.2.1
* SRV 0 0 443 mx.other.test.
www A 192.0.2.2
both A 192.0.2.3
*.both A 192.0.2.3
*.both SRV 0 0 443 mx.other.test.
both SRV 0 0 443 mx.other.test.
*.mail MX 10 mx.other.test.
host.empty A 192.0.2.4
_validation-persist CNAME proof
_validation-persist.www CNAME proof.other.test.
_validation-persist.both CNAME _validation-persist.both.other.test.
_validation-persist.host.empty CNAME host._proofs.other.test.
old DNAME other.test.
"""
OTHER = "* TXT any\nproof TXT one\n"


class World:
    """A server of some zones, and a resolver that shares them."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        self._address = claim_address()
        port = free_port(self._address)
        self.zones = Zones([])
        self.serve(zones)
        self.server = Nameserver(self.zones, address=self._address, port=port)
        self.resolver = Nameserver(self.zones, resolver=True)

    def serve(self, zones: Mapping[str, str]) -> None:
        """Serve these zones, by their origins, and no others."""
        texts = [zone_text(origin, {"ns1": [self._address]}, zones[origin]) for origin in zones]
        self.zones.zones = Zones.from_text(*texts).zones

    def lookup(self, *, authoritative: bool = True) -> Lookup:
        resolver = Address(self.resolver.address, self.resolver.port)
        return Lookup([resolver], authoritative=authoritative, port=self.server.port)

    def around(self, domain: str, *, authoritative: bool = True) -> Neighbourhood:
        """Return what is around the record to come for a domain."""
        lookup = self.lookup(authoritative=authoritative)
        name = validation_domain_name(domain)
        return lookup.neighbourhoods(lookup.find([name]).values())[name]

    def stop(self) -> None:
        self.server.stop()
        self.resolver.stop()
        release_address(self._address)


@pytest.fixture
def world() -> Iterator[World]:
    running = World({"example.test": RECORDS, "other.test": OTHER})
    yield running
    running.stop()


def hidden(around: Neighbourhood) -> list[str]:
    assert around.trouble is None
    return [level.name for level in around.levels if level.by_wildcard]


@pytest.mark.parametrize("noerror", [False, True])
@pytest.mark.parametrize(
    ("domain", "names"),
    [
        ("new.example.test", ["new.example.test"]),
        ("a.b.example.test", ["a.b.example.test", "b.example.test"]),
        ("a.both.example.test", ["a.both.example.test"]),
        ("a.mail.example.test", ["a.mail.example.test"]),
        ("a.www.example.test", []),  # nothing is below www, and it has no wildcard
        ("mail.example.test", []),  # an empty non-terminal, by its own wildcard
        ("empty.example.test", []),
        ("new.empty.example.test", []),
    ],
)
def test_a_name_is_hidden_that_does_not_exist_and_that_a_wildcard_answers_for(
    world: World, domain: str, names: list[str], noerror: bool
) -> None:
    """Also where NOERROR is the answer for every name, whether it exists or not."""
    world.server.faults.noerror = noerror
    around = world.around(domain)
    assert hidden(around) == names
    assert around.place == validation_domain_name(domain)


@pytest.mark.parametrize(
    ("domain", "place", "names"),
    [
        ("example.test", "proof.example.test", ["proof.example.test"]),
        ("www.example.test", "proof.other.test", []),
        ("both.example.test", "_validation-persist.both.other.test", ["both.other.test"]),
        ("host.empty.example.test", "host._proofs.other.test", []),  # no name of a host
        ("x.old.example.test", "_validation-persist.x.other.test", ["x.other.test"]),
    ],
)
def test_an_alias_that_somebody_made_is_followed_and_hides_names_at_its_target(
    world: World, domain: str, place: str, names: list[str]
) -> None:
    around = world.around(domain)
    assert (around.place, hidden(around)) == (place, names)


def test_no_resolver_is_asked_for_a_name_at_random_nor_for_one_that_is_not_there(
    world: World,
) -> None:
    assert hidden(world.around("a.b.example.test"))
    asked = {name for name, _ in world.resolver.queries}
    assert asked <= {"a.b.example.test", "b.example.test", "example.test", "ns1.example.test"}
    random = {name for name, _ in world.server.queries if name.endswith(".b.example.test")}
    assert len(random) > 3


def test_what_the_zone_s_own_servers_do_not_say_is_not_asked_elsewhere(world: World) -> None:
    world.server.faults.below, world.server.faults.lame = "example.test", True
    for domain in ("example.test", "www.example.test"):
        around = world.around(domain, authoritative=False)
        # At the top of a zone there is nothing to hide; unless an alias leads elsewhere.
        assert "no server of example.test could be asked" in (around.trouble or "")
    world.zones.zones[dns.name.from_text("example.test.")].put(
        dns.name.from_text("_validation-persist.example.test."), RdataType.CNAME, 1, []
    )
    assert world.around("example.test", authoritative=False).trouble is None


@pytest.mark.parametrize(
    ("domain", "place"),
    [("a.example.test", "_validation-persist.a.example.test"), ("b.example.test", "b.other.test")],
)
def test_resolvers_tell_whether_a_wildcard_makes_an_alias_where_no_server_can_be_asked(
    world: World, domain: str, place: str
) -> None:
    """They know already that the name of the record is there."""
    world.serve(
        {
            "example.test": "* CNAME lb.other.test.\n_validation-persist.b CNAME b.other.test.\n",
            "other.test": OTHER,
        }
    )
    world.server.faults.drop = 1.0
    around = world.around(domain, authoritative=False)
    assert "no server of example.test could be asked" in (around.trouble or "")
    assert (around.place, around.synthesized) == (place, domain.startswith("a."))


def test_no_resolver_is_asked_beside_a_name_that_is_no_alias(world: World) -> None:
    world.serve({"example.test": ""})
    world.server.faults.drop = 1.0
    assert world.around("a.example.test", authoritative=False).trouble
    asked = {name for name, _ in world.resolver.queries if name.endswith(".a.example.test")}
    assert asked == {"_validation-persist.a.example.test"}


def test_a_server_that_knows_few_types_is_asked_for_those_that_it_knows(world: World) -> None:
    world.server.faults.rdtype, world.server.faults.rcode = "SRV", Rcode.NOTIMP
    (level,) = world.around("new.example.test").levels
    assert ([record.rdtype for record in level.own], level.by_wildcard) == (["A"], True)


@pytest.mark.parametrize(("noerror", "asked"), [(False, 1), (True, len(FEW_KINDS))])
def test_names_with_one_parent_share_the_questions_about_what_is_beside_them(
    world: World, noerror: bool, asked: int
) -> None:
    """One, of a server that says where there is no name; and where the name is the zone's, none."""
    world.server.faults.noerror = noerror
    world.zones.zones = Zones.from_text(
        *(zone_text(origin, {"ns1": [world.server.address]}) for origin in ("example.test",))
    ).zones
    domains = ["example.test", *(f"n{i}.example.test" for i in range(40))]
    for domain in domains:
        world.zones.set_values(validation_domain_name(domain), ["value"])
    list(world.lookup().inspect(domains, caa=False))
    known = set(world.server.queries)
    found = list(world.lookup().inspect(domains, caa=False, around=Around.FEW))
    for each in found:
        name = each.found.name
        assert each.neighbourhood == Neighbourhood(name, name, "example.test")
    assert len(set(world.server.queries) - known) == asked


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    need(not bind_support.missing(), str(bind_support.missing()))
    need(not dnssec.missing(), str(dnssec.missing()))
    zones = {"signed.test": "* A 192.0.2.1\n*.a A 192.0.2.1\na A 192.0.2.1\n"}
    directory = tmp_path_factory.mktemp("signed")
    with Bind(directory, zones, signed={"signed.test": Signatures.GOOD}) as running:
        yield running


@pytest.mark.parametrize(
    ("domain", "names"), [("new.signed.test", ["new.signed.test"]), ("a.signed.test", [])]
)
def test_bind_says_of_a_signed_zone_what_a_record_would_hide(
    signed: Bind, domain: str, names: list[str]
) -> None:
    lookup = Lookup([Address(signed.resolver.address)])
    before = len(signed.resolver.queries())
    (around,) = lookup.neighbourhoods([nothing(domain)]).values()
    assert hidden(around) == names
    asked = {name for name, _ in signed.resolver.queries()[before:]}
    assert asked <= {domain, "signed.test", "ns1.signed.test", "ns2.signed.test"}


def nothing(domain: str) -> Found:
    name = validation_domain_name(domain)
    return Found(name, name, None, ())


# Any zones at all.

LABELS = st.sampled_from(["a", "b", "*"])
TARGETS = ["a", "b.a", "c", "x.other.test.", "y.x.other.test.", "@"]
KIND_AND_DATA = st.one_of(
    st.tuples(st.just("A"), st.just("192.0.2.1")),
    st.tuples(st.just("TXT"), st.just("text")),
    st.tuples(st.just("MX"), st.just("10 mx.other.test.")),
    st.tuples(st.just("CNAME"), st.sampled_from(TARGETS)),
    st.tuples(st.just("DNAME"), st.sampled_from(["x.other.test.", "c"])),
    st.tuples(st.just("NS"), st.just("ns.elsewhere.invalid.")),
)


@st.composite
def owners(draw: st.DrawFn) -> str:
    labels = draw(st.lists(st.sampled_from("ab"), min_size=0, max_size=2))
    first = draw(st.sampled_from(["", "*", "*", "_validation-persist", "*._validation-persist"]))
    owner = ".".join([*([first] if first else []), *labels])
    return owner or "a"


@st.composite
def zones(draw: st.DrawFn) -> dict[str, str]:
    below = draw(st.sampled_from([(), (), ("a.example.test",), ("a.b.example.test",)]))
    return {origin: draw(zone()) for origin in ("example.test", "other.test", *below)}


@st.composite
def zone(draw: st.DrawFn) -> str:
    records: dict[str, dict[str, str]] = {}
    for owner, (kind, data) in draw(st.lists(st.tuples(owners(), KIND_AND_DATA), max_size=7)):
        if kind in ("DNAME", "NS") and (owner.startswith("*") or owner.startswith("_")):
            continue  # nobody says what they mean there
        if kind in ("CNAME", "DNAME", "NS"):
            records[owner] = {kind: data}
        elif not {"CNAME", "DNAME", "NS"} & records.get(owner, {}).keys():
            records.setdefault(owner, {})[kind] = data
    return "".join(
        f"{owner} {kind} {data}\n" for owner, sets in records.items() for kind, data in sets.items()
    )


PROBED = [
    f"{host}.{origin}."
    for origin in ("example.test", "other.test", "x.other.test")
    for host in ("a", "b", "c", "b.a", "c.a", "a.b", "c.b", "b.c", "a.b.a", "c.b.a", "c.c.b")
]


def answers(server: Nameserver) -> dict[tuple[str, str], list[RRset]]:
    """Return what is answered for a number of names, aliases followed.

    Among them are the names of the records for other domains.
    """
    found = {}
    asked = [(name, kind) for name in PROBED for kind in ("A", "MX", "TXT")]
    for name, kind in [*asked, *((validation_domain_name(name), "TXT") for name in PROBED)]:
        wire = server.respond(dns.message.make_query(name, kind).to_wire(), udp=False)
        assert wire is not None
        found[name, kind] = dns.message.from_wire(wire).answer
    return found


@pytest.fixture(scope="module")
def any_world() -> Iterator[World]:
    running = World({"example.test": "", "other.test": ""})
    yield running
    running.stop()


def publish_and_compare(world: World, served: dict[str, str], domain: str) -> None:
    """Publish what is planned; compare what is answered for all other names before and after."""
    world.serve(served)
    around = world.around(domain)
    if around.trouble is not None:  # as below a delegation to nowhere
        return
    before = answers(world.server)
    place = dns.name.from_text(around.place)
    zone = world.zones.closest(place)
    assert zone is not None
    assert zone.get(place, RdataType.CNAME) is None, served
    beside = zone.get(place, RdataType.TXT) or ()
    zone.put(place, RdataType.TXT, 1, [*beside, txt("record")])
    after = answers(world.server)

    def leads_there(name: str) -> bool:
        """Whether a name is the record's or below it, or an alias of one."""
        answer = before[name, "TXT"]
        aliases = [rrset[0].target for rrset in answer if rrset.rdtype == RdataType.CNAME]
        return any(each.is_subdomain(place) for each in [dns.name.from_text(name), *aliases])

    changed = [
        (name, kind)
        for (name, kind), answer in before.items()
        if answer != after[name, kind] and not leads_there(name)
    ]
    names = hidden(around)
    event(f"hides {len(names)} names, {len(served)} zones")
    if not names:
        assert not changed, (served, around)
    elif f"{names[-1]}." in PROBED and names[-1] != around.place:
        assert changed, (served, around)


ANY = (
    zones(),
    st.sampled_from(["example.test", *(f"{a}.example.test" for a in ("a", "b.a", "c.b"))]),
)


@given(*ANY)
@settings(max_examples=20)
def test_in_any_zone_a_record_changes_no_other_name_unless_that_was_said(
    any_world: World, served: dict[str, str], domain: str
) -> None:
    publish_and_compare(any_world, served, domain)


@pytest.mark.long
@given(*ANY)
@settings(max_examples=100)
def test_in_many_zones_a_record_changes_no_other_name_unless_that_was_said(
    any_world: World, served: dict[str, str], domain: str
) -> None:
    publish_and_compare(any_world, served, domain)
