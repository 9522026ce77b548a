"""Many names at once: what they share, and what bad networks and servers do to them."""

import contextlib
import itertools
import resource
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from support.nameserver import Nameserver, Zones
from support.process import claim_address, free_port, release_address
from support.zones import zone_text

from certbot_dns_persist.lookup import background, pace, transport
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.lookup.session import Address, Lookup


class Timed(Nameserver):
    """Keeps when each question came."""

    times: list[float]

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.__dict__.setdefault("times", []).append(time.monotonic())
        return super().respond(wire, udp=udp)


class Old(Nameserver):
    """Is from before EDNS."""

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        if query.edns < 0:
            return super().respond(wire, udp=udp)
        self.queries["EDNS", ""] += 1
        response = dns.message.make_response(dns.message.from_wire(query.to_wire()))
        response.use_edns(False)
        response.set_rcode(dns.rcode.FORMERR)
        return response.to_wire()


class Mute(Nameserver):
    """Truncates what it answers, and by TCP is silent about the zone ``mute.test``."""

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.faults.truncate = True
        return super().respond(wire, udp=udp) if udp or b"mute" not in wire else None


class Empty(Nameserver):
    """Truncates what it answers, and by TCP sends messages of no octets."""

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.faults.truncate = True
        return super().respond(wire, udp=udp) if udp else b""


class Nowhere(Nameserver):
    """Says with authority, if told to, that all names are one alias, and that no zone is there."""

    shows_no_zone = False

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        if not self.shows_no_zone:
            return super().respond(wire, udp=udp)
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        (about,) = query.question
        if about.rdtype == dns.rdatatype.TXT:
            alias = dns.rrset.from_text(about.name, 1, "IN", "CNAME", "nowhere.invalid.")
            response.answer.append(alias)
        return bytes(response.to_wire())


class Stretching(Nameserver):
    """Redirects all names below ``stretched.test`` to names that there cannot be, if told to."""

    stretches = False

    def respond(self, wire: bytes, *, udp: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        zone = dns.name.from_text("stretched.test")
        if not (self.stretches and query.question[0].name.is_subdomain(zone)):
            return super().respond(wire, udp=udp)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        target = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 40}.test."
        response.answer.append(dns.rrset.from_text(zone, 1, "IN", "DNAME", target))
        return bytes(response.to_wire())


class Net:
    """Servers on addresses of their own, each with its zones, and a resolver that knows all."""

    def __init__(
        self, zones: Mapping[str, Iterable[int]], *, kind: type[Nameserver] = Nameserver
    ) -> None:
        """``zones`` maps origins to the numbers of their servers; parents delegate to children."""
        count = 1 + max(number for numbers in zones.values() for number in numbers)
        self._addresses = [claim_address() for _ in range(count)]
        port = free_port(self._addresses[0])
        hosts = {
            origin: {f"ns{number}": [self._addresses[number]] for number in numbers}
            for origin, numbers in zones.items()
        }
        texts = {
            origin: zone_text(
                origin,
                hosts[origin],
                delegations={o: h for o, h in hosts.items() if o.endswith("." + origin)},
            )
            for origin in zones
        }
        self.servers = [
            kind(
                Zones.from_text(*(texts[o] for o, numbers in zones.items() if number in numbers)),
                address=address,
                port=port,
                seed=number,
            )
            for number, address in enumerate(self._addresses)
        ]
        self.resolver = Nameserver(Zones.from_text(*texts.values()), resolver=True)

    def lookup(self, **options: Any) -> Lookup:
        resolver = Address(self.resolver.address, self.resolver.port)
        return Lookup([resolver], port=self.servers[0].port, **options)

    def find(self, *domains: str) -> dict[str, Found]:
        found = self.lookup().find([f"_validation-persist.{domain}" for domain in domains])
        return {name.removeprefix("_validation-persist."): each for name, each in found.items()}

    def put(self, domain: str, *values: str) -> None:
        for server in self.servers:
            zone = server.zones.closest(dns.name.from_text(domain))
            if zone is not None:
                server.zones.set_values(f"_validation-persist.{domain}", values)

    def asked(self, server: Nameserver, kind: str) -> list[str]:
        """The names of which ``server`` was asked for records of ``kind``."""
        return [name for name, rdtype in server.queries.elements() if rdtype == kind]

    def stop(self) -> None:
        for server in [*self.servers, self.resolver]:
            server.stop()
        for address in self._addresses:
            release_address(address)


@contextlib.contextmanager
def net(
    zones: Mapping[str, Iterable[int]], *, kind: type[Nameserver] = Nameserver
) -> Iterator[Net]:
    running = Net(zones, kind=kind)
    try:
        yield running
    finally:
        running.stop()


def numbered(count: int, below: str = "example.test") -> list[str]:
    return [f"n{number}.{below}" for number in range(count)]


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


# What names share


def test_the_zone_of_one_name_is_that_of_its_siblings() -> None:
    with net({"example.test": [0]}) as world:
        world.servers[0].zones.set_values("www.n0.example.test", ["n0 exists"])
        world.resolver.zones.set_values("www.n0.example.test", ["n0 exists"])
        found = world.find(*numbered(200))
        assert {each.zone for each in found.values()} == {"example.test"}
        assert set(world.asked(world.resolver, "SOA")) == {"n0.example.test"}


def test_names_that_do_not_exist_tell_nothing_of_their_siblings() -> None:
    """The zone of a registry looks the same."""
    with net({"example.test": [0]}) as world:
        found = world.find(*numbered(50))
        assert {each.zone for each in found.values()} == {"example.test"}
        assert set(world.asked(world.resolver, "SOA")) == set(numbered(50))


def test_a_zone_further_down_on_the_same_servers_is_not_missed() -> None:
    """Its own servers are asked, of which one may lag."""
    with net({"example.test": [0], "child.example.test": [0, 1]}) as world:
        for value in ([], ["there"]):
            world.put("n0.example.test", "makes the zone known")
            world.resolver.zones.set_values("_validation-persist.n0.example.test", ["there"])
            world.put("child.example.test", *value)
            world.put("www.child.example.test", *value)
            world.servers[1].zones.set_values("_validation-persist.child.example.test", ["old"])
            found = world.find("n0.example.test", "child.example.test", "www.child.example.test")
            assert found["n0.example.test"].zone == "example.test"
            for name in ("child.example.test", "www.child.example.test"):
                assert found[name].zone == "child.example.test"
                assert len(found[name].answers) == 2
            values = {tuple(answer.values or ()) for answer in found["child.example.test"].answers}
            assert values == {tuple(value), ("old",)}


def test_a_zone_further_down_on_other_servers_is_found_by_referral() -> None:
    with net({"example.test": [0], "child.example.test": [1]}) as world:
        world.put("n0.example.test", "makes the zone known")
        world.resolver.zones.set_values("_validation-persist.n0.example.test", ["there"])
        world.put("child.example.test", "there")
        found = world.find("n0.example.test", "child.example.test")["child.example.test"]
        assert (found.zone, found.values) == ("child.example.test", ["there"])
        assert [answer.server for answer in found.servers] == ["ns1.child.example.test"]


def test_the_zones_of_registries_are_not_asked_for_names() -> None:
    zones = {f"z{number}.co.test": [1] for number in range(60)}
    with net({"test": [0], "co.test": [0], **zones}) as world:
        found = world.find(*zones)
        assert {each.zone for each in found.values()} == set(zones)
        assert not world.asked(world.servers[0], "TXT")
        found = world.find("unregistered.co.test", "nothing.co.test", *zones)
        assert {each.zone for each in found.values()} == {"co.test", *zones}
        assert len(set(world.asked(world.servers[0], "TXT"))) == 2


def test_a_server_that_holds_a_zone_delegated_to_nobody_is_believed() -> None:
    with net({"example.test": [0]}) as world:
        stale = zone_text("n1.example.test", {"ns": ["127.0.0.1"]})
        (zone,) = Zones.from_text(stale).zones.values()
        world.servers[0].zones.zones[zone.origin] = zone
        world.put("n1.example.test", "there")
        found = world.find(*numbered(3))["n1.example.test"]
        assert (found.zone, found.values, found.trouble) == ("example.test", ["there"], None)


def test_many_aliases_of_one_name_ask_for_it_once() -> None:
    with net({"example.test": [0], "other.test": [1]}) as world:
        text = "\n".join(
            f"_validation-persist.n{number} CNAME proof.other.test." for number in range(30)
        )
        zone = zone_text("example.test", {"ns0": [world.servers[0].address]}, text)
        world.servers[0].zones.zones.update(Zones.from_text(zone).zones)
        world.servers[1].zones.set_values("proof.other.test", ["there"])
        found = world.find(*numbered(30))
        assert {tuple(each.values) for each in found.values()} == {("there",)}
        # Sent again only when the answer is late.
        assert world.servers[1].queries["proof.other.test", "TXT"] < 5


def test_caa_records_of_shared_ancestors_are_asked_for_once() -> None:
    with net({"example.test": [0]}) as world:
        for domain in numbered(50):
            world.put(domain, "there")
        assert len(list(world.lookup().inspect(numbered(50)))) == 50
        asked = world.asked(world.resolver, "CAA")
        assert set(asked) == {*numbered(50), "example.test", "test"}
        assert asked.count("example.test") < 5  # sent again only when the answer is late


def test_a_server_that_redirects_to_names_that_are_too_long_is_named() -> None:
    with net({"stretched.test": [0, 1]}, kind=Stretching) as world:
        world.put("stretched.test", "there")
        first = world.servers[0]
        assert isinstance(first, Stretching)
        first.stretches = True
        found = world.find("stretched.test")["stretched.test"]
        assert found.values == ["there"]
        (silent,) = found.silent
        assert silent.trouble == "redirects by DNAME to a name that is too long"


def test_an_alias_at_the_top_of_a_zone_does_not_disturb_other_names() -> None:
    own = "_validation-persist.own.example.test"
    with net({"example.test": [0], own: [1]}, kind=Nowhere) as world:
        world.put("n0.example.test", "makes the zone known")
        world.resolver.zones.set_values("_validation-persist.n0.example.test", ["there"])
        odd = world.servers[1]
        assert isinstance(odd, Nowhere)
        odd.shows_no_zone = True
        found = world.find("n0.example.test", "own.example.test", "n1.example.test")
        assert found["own.example.test"].values == []
        assert any("no zone holds invalid" in each for each in found["own.example.test"].warnings)
        assert not found["n1.example.test"].trouble


# One after the other


def test_results_come_in_order_while_domains_are_drawn_as_needed() -> None:
    with net({"example.test": [0]}) as world:
        drawn = 0

        def domains() -> Iterator[str]:
            nonlocal drawn
            for drawn in itertools.count(1):
                yield f"n{drawn}.example.test"

        inspections = world.lookup(queries_per_second=1e6).inspect(domains(), caa=False)
        seen = [inspection.domain for inspection in itertools.islice(inspections, 100)]
        inspections.close()  # type: ignore[attr-defined]
        assert seen == [f"n{number}.example.test" for number in range(1, 101)]
        assert drawn <= 100 + background.MAX_WAITING


def test_a_slow_name_holds_up_neither_the_others_nor_the_order() -> None:
    with net({"example.test": [0], "slow.test": [1]}) as world:
        world.servers[1].faults.delay = 1.0
        domains = ["slow.test", *numbered(50)]
        seen = [each.domain for each in world.lookup().inspect(domains, caa=False)]
        assert seen == domains


def test_who_takes_long_over_a_result_does_not_make_servers_look_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 0.6)
    with net({"example.test": [0]}) as world:
        world.servers[0].faults.drop = 0.3
        inspections = world.lookup().inspect(numbered(60), caa=False)
        for number, inspection in enumerate(inspections):
            assert not inspection.found.silent
            if number % 20 == 0:
                threading.Event().wait(0.7)  # what a person does with the first results


def test_no_socket_is_left_open() -> None:
    with net({"example.test": [0]}) as world:
        before = open_files()
        inspections = world.lookup().inspect(numbered(100), caa=False)
        next(inspections)
        assert open_files() < before + 15
        inspections.close()  # type: ignore[attr-defined]
        world.find(*numbered(20))
        assert open_files() == before


# Polite


def test_no_server_is_asked_more_often_than_allowed() -> None:
    with net({"example.test": [0, 1]}, kind=Timed) as world:
        world.lookup(queries_per_second=100).find(
            [f"_validation-persist.{domain}" for domain in numbered(150)]
        )
        for server in world.servers:
            assert isinstance(server, Timed)
            assert len(server.times) >= 150
            # Sent within a second, and so received, give or take what waits on the way.
            assert all(
                late - early > 0.9
                for early, late in zip(server.times, server.times[100:], strict=False)
            )


def test_a_server_from_before_edns_is_asked_without_from_then_on() -> None:
    with net({"example.test": [0]}, kind=Old) as world:
        world.put("n1.example.test", "there")
        names = [f"_validation-persist.{domain}" for domain in numbered(3)]
        assert world.lookup().find(names)[names[1]].values == ["there"]
        before = world.servers[0].queries["EDNS", ""]
        assert 1 <= before <= 3


def test_an_answer_by_tcp_may_take_longer_than_one_by_udp() -> None:
    with net({"example.test": [0]}) as world:
        world.put("n1.example.test", "there")
        world.find(*numbered(10))
        world.servers[0].faults.truncate = True
        world.servers[0].faults.delay = 0.6
        found = world.find(*numbered(10))
        assert found["n1.example.test"].values == ["there"]
        assert not any(each.silent for each in found.values())


def test_what_waits_for_its_turn_by_tcp_is_asked_once() -> None:
    with net({"example.test": [0]}) as world:
        world.servers[0].faults.truncate = True
        world.servers[0].faults.delay = 0.25
        names = [f"_validation-persist.{domain}" for domain in numbered(30)]
        world.lookup(queries_per_second=30).find(names)
        # Once by UDP, once by TCP; sent again only when the answer is late, as on a busy machine.
        assert 60 <= sum(world.servers[0].queries[name, "TXT"] for name in names) < 90


def test_servers_that_keep_connections_waiting_do_not_use_up_the_time_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 1.0)
    monkeypatch.setattr(transport, "_MAX_CONNECTIONS", 8)
    with net({"mute.test": [0], "example.test": [1]}, kind=Mute) as world:
        found = world.find(*numbered(20, "mute.test"), *numbered(20))
        for domain, each in found.items():
            assert bool(each.warnings) == domain.endswith("mute.test"), each


def test_a_server_that_is_silent_by_tcp_is_found_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 3.0)
    with net({"mute.test": [0]}, kind=Mute) as world:
        start = time.monotonic()
        found = world.find(*numbered(200, "mute.test"))
        assert time.monotonic() - start < 30
        for each in found.values():
            assert len(each.warnings) == 1, each
            assert "does not answer by TCP within 3 seconds" in each.warnings[0]


def test_an_empty_message_by_tcp_is_no_answer() -> None:
    with net({"example.test": [0]}, kind=Empty) as world:
        (warning,) = world.find("example.test")["example.test"].warnings
        assert "gives no valid answer" in warning


def test_a_server_that_truncates_and_then_hangs_up_does_not_stop_the_look_up() -> None:
    with net({"example.test": [0, 1]}) as world:
        world.servers[1].faults.truncate = world.servers[1].faults.hang_up = True
        for found in world.find(*numbered(200)).values():
            (silent,) = found.silent
            assert silent.server == "ns1.example.test"
            assert silent.trouble == "cannot be reached by TCP: closed without an answer"


def test_a_lack_of_sockets_is_told_of_those_names_that_need_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 2.0)
    with net({"example.test": [0]}) as world:
        world.servers[0].faults.truncate = True
        world.servers[0].faults.delay = 0.3  # so that there are many connections at once
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = {int(path.name) for path in Path("/dev/fd").iterdir()}
        free = (number for number in itertools.count() if number not in used)
        tenth = next(itertools.islice(free, 10, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (tenth, limits[1]))
        try:
            found = world.find(*numbered(30))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        warnings = "\n".join(warning for each in found.values() for warning in each.warnings)
        assert "cannot be reached by TCP: Too many open files" in warnings


def test_who_sends_without_end_is_not_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_AT_ONCE", 10)
    seen: list[str] = []
    receiver = transport._Socket(socket.AF_INET, lambda *_: None, lambda _, why: seen.append(why))
    with receiver.socket, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.socket.bind(("127.0.0.1", 0))
        for _ in range(25):
            sender.sendto(b"unasked", receiver.socket.getsockname())
        counts = []
        for _ in range(3):
            receiver.read()
            counts.append(len(seen))
    assert counts == [10, 20, 25]


# Lost packets and dead servers


def test_lost_packets_change_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    # Time for many attempts, also where the processor is busy.
    monkeypatch.setattr(pace, "PATIENCE", 20)
    with net({"example.test": [0, 1, 2]}) as world:
        for number, domain in enumerate(numbered(200)):
            if number % 2:
                world.put(domain, "there")
        for server in [*world.servers, world.resolver]:
            server.faults.drop = 0.1
        # These servers share one interpreter with us: what they cannot keep up with is no loss.
        names = [f"_validation-persist.{domain}" for domain in numbered(200)]
        answers = world.lookup(queries_per_second=200).find(names)
        for number, found in enumerate(answers.values()):
            assert not found.silent, found
            assert found.values == (["there"] if number % 2 else []), found


def test_a_dead_server_is_found_dead_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MIN_SILENCE", 0.7)
    monkeypatch.setattr(pace, "SILENCE", 0.7)
    with net({"example.test": [0, 1, 2]}) as world:
        for domain in numbered(400):
            world.put(domain, "there")
        world.servers[1].faults.drop = 1.0
        start = time.monotonic()
        for found in world.find(*numbered(400)).values():
            assert found.values == ["there"]
            (silent,) = found.silent
            assert silent.server == "ns1.example.test"
            assert silent.trouble == "does not answer within 0.7 seconds"
        assert time.monotonic() - start < 20


def test_a_burst_of_loss_does_not_make_a_server_dead() -> None:
    with net({"example.test": [0, 1]}) as world:
        world.servers[1].faults.drop = 1.0
        cure = threading.Timer(0.3, world.servers[1].heal)
        cure.start()
        for found in world.find(*numbered(100)).values():
            assert not found.silent
        cure.join()


def test_a_server_that_was_dead_is_heard_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SILENCE", 0.3)
    monkeypatch.setattr(pace, "PROBE_AFTER", 0.1)
    with net({"example.test": [0, 1]}) as world:
        world.servers[1].faults.drop = 1.0
        inspections = world.lookup(queries_per_second=200).inspect(
            (f"n{number}.example.test" for number in itertools.count()), caa=False
        )
        assert next(inspections).found.silent
        world.servers[1].heal()
        assert any(not each.found.silent for each in itertools.islice(inspections, 4000))
        inspections.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("delays", [(0.0, 0.4), (0.2, 0.7), (1.0, 1.0)])
def test_a_slow_server_is_heard(delays: tuple[float, float]) -> None:
    """It may be the slower, the slower the others are: then the way to them may be long."""
    with net({"example.test": [0, 1]}) as world:
        for server, delay in zip(world.servers, delays, strict=True):
            server.faults.delay = delay
        for found in world.find(*numbered(40)).values():
            assert not found.silent


@pytest.mark.long
def test_a_resolver_is_not_dead_while_the_servers_behind_it_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 1.0)
    monkeypatch.setattr(pace, "SILENCE", 0.3)
    zones = Zones.from_text(
        zone_text("example.test", {"ns1": ["127.0.0.1"]}, "_validation-persist TXT value")
    )
    with Nameserver(zones, resolver=True) as server:
        # It answers for what it serves, and never comes back from where others lead it.
        server.faults.below, server.faults.drop = "lost", 1.0
        reader = Lookup([Address(server.address, server.port)], port=server.port)
        lost = [f"n{number}.lost" for number in range(40)]
        seen = {each.domain: each for each in reader.inspect([*lost, "example.test"], caa=False)}
    assert seen["example.test"].found.values == ["value"]
    assert all(seen[domain].found.trouble for domain in lost)
