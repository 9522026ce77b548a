"""DNSSEC as BIND does it: signed zones, and a resolver that checks the signatures."""

from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest
from support import bind as bind_support
from support import dnssec
from support.bind import Server
from support.dnssec import Signatures, sign
from support.need import need
from support.process import claim_address, release_address, wait_until
from support.zones import Key, zone_text

from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.lookup.session import Address, Lookup

KEY = Key("test-key", "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzISE=")
SIGNED = {
    "good.test": Signatures.GOOD,
    "forged.test": Signatures.GOOD,  # and changed afterwards
    "expired.test": Signatures.EXPIRED,
    "distrusted.test": Signatures.OTHER_KEY,
}
RECORDS = "_validation-persist TXT value\n_validation-persist.www TXT value\nmissing A 192.0.2.1"


class World:
    """A server of signed zones, good and bad, and the resolver that trusts their keys."""

    def __init__(self, directory: Path) -> None:
        self._addresses = [claim_address(), claim_address()]
        self.server = Server(directory / "server", self._addresses[0], KEY)
        self.resolver = Server(directory / "resolver", self._addresses[1], KEY)
        zones = directory / "server"
        hosts = {"ns1": [self.server.address]}
        for origin in (*SIGNED, "plain.test"):
            (zones / f"{origin}.zone").write_text(_avoid_loops(zone_text(origin, hosts, RECORDS)))
        anchors = [
            sign(zones / f"{origin}.zone", origin, signatures)
            for origin, signatures in SIGNED.items()
        ]
        forged = zones / "forged.test.zone"
        forged.write_text(forged.read_text().replace('"value"', '"other"'))
        delegations = dict.fromkeys([*SIGNED, "plain.test"], hosts)
        root = zone_text(".", hosts, delegations=delegations)
        (zones / "root.zone").write_text(_avoid_loops(root))
        (directory / "resolver" / "root.hints").write_text(
            f". 3600 NS ns1.\nns1. 3600 A {self.server.address}\n"
        )
        try:
            self.server.start(
                "recursion no; dnssec-validation no;",
                "".join(
                    f'zone "{origin}" {{ type primary; file "{name}.zone"; }};\n'
                    for origin, name in [(".", "root"), *((each, each) for each in delegations)]
                ),
            )
            self.resolver.start(
                "recursion yes; allow-query { any; }; dnssec-validation yes;"
                " synth-from-dnssec yes; servfail-ttl 0;",
                'zone "." { type hint; file "root.hints"; };\n'
                f"trust-anchors {{ {' '.join(anchors)} }};",
            )
        except BaseException:
            self.stop()
            raise

    def inspect(self, *domains: str, authoritative: bool = True) -> dict[str, Inspection]:
        reader = Lookup([Address(self.resolver.address)], authoritative=authoritative)
        return {each.domain: each for each in reader.inspect(domains, caa=False)}

    def stop(self) -> None:
        self.server.stop()
        self.resolver.stop()
        for address in self._addresses:
            release_address(address)


def _avoid_loops(zone: str) -> str:
    """Let what a zone has last, and the server of the unsigned zone have a name elsewhere.

    Otherwise a BIND that validates sees a loop when asked for that server's address.
    """
    lasting = zone.replace("$TTL 1\n", "$TTL 300\n").replace(" 86400 1\n", " 86400 300\n")
    return lasting.replace("ns1.plain.test.", "ns1.good.test.")


def learn_the_server(world: World) -> None:
    """Let the resolver know the server's address: to BIND, that is a loop for the first second."""

    def known() -> bool:
        looks = [world.inspect("good.test", "plain.test", authoritative=a) for a in (True, False)]
        return not any(
            each.found.trouble or each.found.warnings for look in looks for each in look.values()
        )

    wait_until(known, "the resolver knows the server")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need(not bind_support.missing(), str(bind_support.missing()))
    need(not dnssec.missing(), str(dnssec.missing()))
    running = World(tmp_path_factory.mktemp("dnssec"))
    learn_the_server(running)
    yield running
    running.stop()


@pytest.mark.parametrize("authoritative", [True, False])
@pytest.mark.parametrize("domain", ["good.test", "www.good.test", "plain.test"])
def test_good_signatures_and_none_at_all_are_not_bogus(
    world: World, domain: str, authoritative: bool
) -> None:
    seen = world.inspect(domain, authoritative=authoritative)[domain]
    assert (seen.bogus, seen.found.values, seen.found.trouble) == (False, ["value"], None)
    assert not seen.found.warnings


@pytest.mark.parametrize("authoritative", [True, False])
@pytest.mark.parametrize("zone", ["distrusted.test", "expired.test", "forged.test"])
def test_signatures_that_do_not_verify_are_bogus(
    world: World, zone: str, authoritative: bool
) -> None:
    """By a DS record of another key, by their age, and for one record that was changed."""
    domains = [zone, f"www.{zone}", "good.test"]
    seen = world.inspect(*domains, authoritative=authoritative)
    assert [seen[domain].bogus for domain in domains] == [True, True, False]
    for domain in domains[:2]:
        assert seen[domain].found.values or "DNSSEC" in (seen[domain].found.trouble or "")


def test_a_resolver_is_asked_for_a_signed_record_only_when_it_stands_there(world: World) -> None:
    before = len(world.resolver.queries())
    world.inspect("www.good.test", "missing.good.test", "plain.test")
    asked = {name for name, kind in world.resolver.queries()[before:] if kind == "TXT"}
    assert asked == {"_validation-persist.www.good.test"}


def denies_unasked(world: World, name: str) -> bool:
    """Whether the resolver denies a name by a proof that it has, without asking the server."""
    before = len(world.server.queries())
    answer = world.resolver.ask(name, "TXT")
    assert answer.rcode() == dns.rcode.NXDOMAIN
    return (name, "TXT") not in world.server.queries()[before:]


@pytest.mark.parametrize("domain", ["new.good.test", "host.new.good.test", "missing.good.test"])
def test_a_look_leaves_no_proof_in_the_resolver_that_denies_the_record(
    world: World, domain: str
) -> None:
    """A CA with the same resolver would get it after the record is there (RFC 8198)."""
    world.resolver.control("flush")
    learn_the_server(world)
    for name in (domain, f"a.{domain}"):
        (seen,) = world.inspect(name).values()
        found = seen.found
        assert (found.values, found.trouble, found.zone) == ([], None, "good.test"), found
        assert not found.warnings
    world.inspect("www.good.test", "good.test")  # whose records stand, and whose CAA do not
    assert not denies_unasked(world, f"_validation-persist.{domain}")
    # It does so after the question that a look does not ask.
    world.resolver.ask(f"other.{domain}", "SOA")
    assert denies_unasked(world, f"_validation-persist.other.{domain}")
