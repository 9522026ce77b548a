"""Orders in zones as people have them, with the real Certbot, and the CA behind the same DNS.

Each needs to be end to end, as it shows that what we see is what the CA sees. Zones with wildcards
are in ``test_wildcards.py``, split views and late servers in ``test_unseen.py``, values between
the validators in ``test_between_validators.py``, slips in ``test_slips.py``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import KEY, StartPebble
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from support import bind as bind_support
from support import dnssec
from support.bind import Bind, Server
from support.certbot import Certbot, Result
from support.companion import Companion
from support.dnssec import Signatures
from support.nameserver import Nameserver, Zones
from support.need import need
from support.odd import Odd, alias_at, only_txt, refuse
from support.pebble import ISSUER, Pebble
from support.process import can_bind_port_53, can_mount, claim_address, release_address
from support.relay import Relay
from support.stoppable import Stoppable
from support.zones import zone_text

from certbot_dns_persist.record import validation_domain_name

SOON = "--dns-persist-propagation-seconds=1"


def noted(certbot: Certbot) -> list[str]:
    """Return the values that are noted as standing."""
    return [record["value"] for record in (certbot.records() or {"records": []})["records"]]


def said(done: Result, returncode: int) -> str:
    """Return what a run said, on one line, after its exit status."""
    assert done.returncode == returncode, done.output
    return " ".join(done.output.split())


def certbot_of(directory: Path, ca: Pebble) -> Certbot:
    certbot = Certbot(directory / "certbot", ca.directory_url, ca.ca_bundle)
    certbot.register()
    return certbot


# Zones that cannot be found as usual.

APEX, SOA, LAME, ONLY_TXT, TINY = ZONES = [
    f"{zone}.test" for zone in ("apex", "soa", "lame", "only", "tiny")
]


class OddWorld(Stoppable):
    """A BIND with the root, a BIND as resolver, and a small odd server for each zone."""

    def __init__(self, directory: Path) -> None:
        self._addresses: list[str] = []
        self.zones = Zones([])
        self._running: list[Stoppable | Server] = []
        self.odd = {zone: self._serve(zone) for zone in ZONES}
        child = validation_domain_name(TINY)
        self.odd[child] = self._serve(child)
        hosts = {zone: {"ns1": [server.address]} for zone, server in self.odd.items()}
        parent = zone_text(TINY, hosts[TINY], delegations={child: hosts[child]})
        self.odd[TINY].zones.zones |= Zones.from_text(parent).zones
        root, resolver = (
            Server(directory / role, self._claim(), KEY) for role in ("root", "resolver")
        )
        delegations = {zone: hosts[zone] for zone in ZONES}
        text = zone_text(".", {"ns1": [root.address]}, delegations=delegations)
        (directory / "root" / "root.zone").write_text(text)
        hints = f". 3600 NS ns1.\nns1. 3600 A {root.address}\n"
        (directory / "resolver" / "root.hints").write_text(hints)
        self._running += [root, resolver]
        self.resolver = resolver
        try:
            root.start("recursion no;", 'zone "." { type primary; file "root.zone"; };')
            resolver.start(
                "recursion yes; dnssec-validation no; allow-query { any; }; max-cache-ttl 1;",
                'zone "." { type hint; file "root.hints"; };',
            )
        except BaseException:
            self.stop()
            raise

    def _claim(self) -> str:
        self._addresses.append(claim_address())
        return self._addresses[-1]

    def _serve(self, zone: str) -> Odd:
        address = self._claim()
        text = zone_text(zone, {"ns1": [address]}, "www A 192.0.2.1")
        server = Odd(Zones.from_text(text), address=address, port=53)
        self._running.append(server)
        return server

    def publish(self, value: str) -> None:
        for zone, server in self.odd.items():
            name = zone if zone == validation_domain_name(TINY) else validation_domain_name(zone)
            if zone != TINY:
                server.zones.set_values(name, [value])

    def records(self) -> set[str]:
        return set().union(*(server.zones.records() for server in self.odd.values()))

    def stop(self) -> None:
        for each in self._running:
            each.stop()
        while self._addresses:
            release_address(self._addresses.pop())


@pytest.fixture
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddWorld]:
    need(not bind_support.missing(), str(bind_support.missing()))
    with OddWorld(tmp_path_factory.mktemp("odd")) as running:
        running.odd[APEX].oddity = alias_at(APEX)
        running.odd[SOA].oddity = refuse({RdataType.SOA: Rcode.REFUSED})
        running.odd[LAME].without_authority = True
        running.odd[ONLY_TXT].oddity = only_txt(Rcode.NXDOMAIN, below=ONLY_TXT)
        child = validation_domain_name(TINY)
        running.odd[child].oddity = only_txt(Rcode.REFUSED, below=child)
        yield running


def test_a_record_that_resolvers_serve_is_enough_where_zones_cannot_be_found(
    odd: OddWorld, start_pebble: StartPebble, tmp_path: Path
) -> None:
    certbot = certbot_of(tmp_path, start_pebble(f"{odd.resolver.address}:53"))
    odd.publish(f"{ISSUER}; accounturi={certbot.account_url}")
    before = odd.records()
    resolver = f"--dns-persist-resolvers={odd.resolver.address}"

    shown = said(certbot.certonly(resolver, "-d", ",".join(ZONES)), 0)

    assert certbot.certificate(ZONES[0]).names == sorted(ZONES)
    assert odd.records() == before
    assert (certbot.journal(), noted(certbot)) == ([], [])
    not_found = "The authoritative servers cannot be found: "
    for zone in (APEX, ONLY_TXT):
        assert f"{not_found}the zone {zone} has no name servers in DNS." in shown
    assert LAME in shown.partition(APEX)[2].partition("Successfully")[0]
    assert shown.count("The resolvers were asked instead") == 3
    checked = Companion(certbot)("check", "--all", resolver, "--json", "--no-caa").report
    statuses = {record["domain"]: record["status"] for record in checked["records"]}
    assert statuses == {zone: "ok" if zone in (SOA, TINY) else "unreachable" for zone in ZONES}


# Resolvers that remember what they were told.


class Blocked(Stoppable):
    """A zone whose servers answer nobody here, a resolver that may ask them, and a primary."""

    def __init__(self, directory: Path) -> None:
        self._addresses = [claim_address() for _ in range(3)]
        self.primary = Server(directory / "primary", self._addresses[0], KEY)
        self.resolver = Server(directory / "resolver", self._addresses[1], KEY)
        self._public: Relay | None = None
        hosts = {"ns1": [self._addresses[2]]}
        for zone, file, delegations in ((".", "root", {DOMAIN: hosts}), (DOMAIN, DOMAIN, None)):
            text = zone_text(zone, hosts, delegations=delegations, ttl=HOUR)
            (directory / "primary" / f"{file}.zone").write_text(text)
        try:
            self.primary.start(
                f"recursion no; allow-query {{ !{STRANGERS}; any; }};",
                'zone "." { type primary; file "root.zone"; };\n'
                f'zone "{DOMAIN}" {{ type primary; file "{DOMAIN}.zone";'
                f" allow-update {{ key {KEY.name}; }}; }};",
            )
            self.resolver.start(
                "recursion yes; dnssec-validation no; allow-query { any; }; forward only;"
                f" forwarders {{ 127.0.0.1 port {self.primary.port}; }};",
                "",
            )
            target = ("127.0.0.1", self.primary.port)
            self._public = Relay(self._addresses[2], 53, target, STRANGERS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._public is not None:
            self._public.stop()
        self.resolver.stop()
        self.primary.stop()
        while self._addresses:
            release_address(self._addresses.pop())


DOMAIN, HOUR, STRANGERS = "example.test", 3600, "127.0.0.3"


@pytest.fixture
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocked]:
    need(not bind_support.missing(), str(bind_support.missing()))
    with Blocked(tmp_path_factory.mktemp("blocked")) as running:
        yield running


def test_where_only_a_resolver_may_be_asked_that_denies_the_record_for_an_hour_the_ca_decides(
    blocked: Blocked, start_pebble: StartPebble, tmp_path: Path
) -> None:
    certbot = certbot_of(tmp_path, start_pebble(f"{blocked.primary.address}:53"))
    credentials = KEY.write_credentials(tmp_path / "dns.ini", blocked.primary.address, 53)
    host = f"www.{DOMAIN}"
    options = [
        f"--dns-persist-resolvers={blocked.resolver.address}",
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={credentials}",
        SOON,
        *("-d", f"{DOMAIN},{host}"),
    ]
    before = blocked.primary.records(DOMAIN)

    shown = said(certbot.certonly(*options), 1)
    assert f"No authoritative server of {DOMAIN} could be asked" in shown
    assert f"Whether a wildcard answers for {host} now" in shown
    assert "could not be checked" in shown
    assert f"add: --dns-persist-may-hide {host}" in shown
    assert blocked.primary.records(DOMAIN) == before
    assert (certbot.journal(), noted(certbot)) == ([], [])

    shown = said(certbot.certonly(*options, f"--dns-persist-may-hide={host}"), 0)
    assert re.search("may repeat that answer for 3[56][0-9][0-9] seconds", shown)
    assert "We wait for 1 seconds, and look at their end" in shown
    assert "rfc2136 has the records, but after 1 seconds they cannot be seen from here" in shown
    assert "The CA looks for itself, and decides." in shown
    value = f"{ISSUER}; accounturi={certbot.account_url}"
    names = {validation_domain_name(domain) for domain in (DOMAIN, host)}
    added = blocked.primary.records(DOMAIN) - before
    assert added == {f'{name}. 300 IN TXT "{value}"' for name in names}
    assert {blocked.resolver.ask(name, "TXT").rcode() for name in names} == {Rcode.NXDOMAIN}
    assert {(line["name"], line["result"]) for line in certbot.journal()} == {
        (name, "ok") for name in names
    }
    assert noted(certbot) == [value] * 2


CDN, SIGNED = "cdn.test", "signed.test"


@pytest.fixture
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """Signed zones with wildcards; and a validating resolver that uses proofs again (RFC 8198)."""
    need(not bind_support.missing(), str(bind_support.missing()))
    need(not dnssec.missing(), str(dnssec.missing()))
    zones = {
        SIGNED: "* A 192.0.2.80\nwww A 192.0.2.81\nlb A 192.0.2.82\n",
        CDN: f"* CNAME lb.{SIGNED}.\n",
    }
    with Bind(
        tmp_path_factory.mktemp("signed"),
        zones,
        max_cache_seconds=300,
        signed=dict.fromkeys(zones, Signatures.KEPT_UP),
        ttl=300,
    ) as running:
        yield running


def test_in_signed_zones_nothing_is_hidden_and_no_proof_denies_the_record_to_the_ca(
    signed: Bind, start_pebble: StartPebble, tmp_path: Path
) -> None:
    """The CA asks the resolver that we ask, and that remembers."""
    certbot = certbot_of(tmp_path, start_pebble(f"{signed.resolver.address}:53"))
    credentials = signed.key.write_credentials(tmp_path / "dns.ini", signed.primary.address, 53)
    options = [
        f"--dns-persist-resolvers={signed.resolver.address}",
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={credentials}",
    ]
    before = {zone: signed.primary.records(zone) for zone in (SIGNED, CDN)}
    hosts = [f"www.{SIGNED}", CDN]

    shown = said(certbot.certonly(*options, "-d", f"new.{SIGNED},x.y.{CDN},{','.join(hosts)}"), 1)
    assert f"The wildcard *.{SIGNED} answers for new.{SIGNED} now" in shown
    assert f"The wildcard *.{CDN} answers for x.y.{CDN}, y.{CDN} now" in shown
    assert f"x.y.{CDN}. IN CNAME lb.{SIGNED}." in shown
    assert {zone: signed.primary.records(zone) for zone in before} == before
    assert certbot.journal() == []

    said(certbot.certonly(*options, "-d", ",".join(hosts)), 0)
    names = [validation_domain_name(host) for host in hosts]
    added = [signed.primary.records(zone) - before[zone] for zone in before]
    assert [{line.split()[0] for line in lines} for lines in added] == [{f"{n}."} for n in names]
    assert noted(certbot) == [f"{ISSUER}; accounturi={certbot.account_url}"] * 2

    # What the look did not ask would have been enough: such a proof denies the next record. This
    # resolver does not use each proof again, but most.
    def denies(number: int) -> bool:
        """Whether the resolver denies a new record, after a question about another name."""
        other, name = f"b{number}.lb.{SIGNED}", validation_domain_name(f"a{number}.lb.{SIGNED}")
        assert signed.resolver.ask(other, "SOA").rcode() == Rcode.NXDOMAIN
        signed.add_txt(name, "value")
        return signed.resolver.ask(name, "TXT").rcode() == Rcode.NXDOMAIN

    assert any(map(denies, range(10)))


# The machine's resolvers.


class WithResolvers(Certbot):
    """Certbot where a file of ours is the machine's ``resolv.conf``."""

    file: Path

    def command(self, *arguments: str | Path) -> list[str]:
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        inside = ["unshare", "--mount", "sh", "-c", mount, str(self.file)]
        return [*inside, *super().command(*arguments)]


def test_an_order_asks_the_resolver_that_the_c_library_would_ask(
    bind: Bind, pebble: Pebble, bind_credentials: Path, domain: str, tmp_path: Path
) -> None:
    need(can_mount(), "no file can be mounted over another one here")
    certbot = WithResolvers(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)
    certbot.file = tmp_path / "resolv.conf"
    good = f"nameserver {bind.resolver.address}\n"
    text = f"# R\xe9solveur\nnameserver dns.google\nnameserver fe80::1\n{good}options ndots:x\n"
    certbot.file.write_text(text, "latin-1")
    before = bind.primary.records(DOMAIN)
    options = ["--dns-persist-provider=rfc2136", f"--dns-persist-credentials={bind_credentials}"]

    shown = said(certbot.certonly(*options, "-d", domain), 0)

    unusable = "of /etc/resolv.conf cannot be used:"
    assert shown.count(f"Line 2 {unusable} dns.google is not an IP address. It is skipped.") == 1
    assert shown.count(f"Line 3 {unusable} fe80::1 is link-local") == 1
    assert shown.count(unusable) == 2
    (added,) = bind.primary.records(DOMAIN) - before
    assert added.startswith(f"{validation_domain_name(domain)}. ")
    assert [line["result"] for line in certbot.journal()] == ["ok"]
    assert len(noted(certbot)) == 1


# What strangers may cost.


@pytest.mark.long
def test_a_zone_with_a_thousand_addresses_and_long_values_stops_no_order(
    start_pebble: StartPebble, tmp_path: Path
) -> None:
    """How much is sent, and how long values take, is measured elsewhere."""
    need(can_bind_port_53(), "nameservers cannot use port 53 of other loopback addresses")
    address = claim_address()
    hosts = {"ns00": [address]} | {
        f"ns{number:02}": [f"127.88.{number}.{last}" for last in range(1, 26)]
        for number in range(1, 40)
    }
    zones = Zones.from_text(zone_text(DOMAIN, hosts))
    name = validation_domain_name(DOMAIN)
    with Nameserver(zones, address=address, port=53, resolver=True) as server:
        certbot = certbot_of(tmp_path, start_pebble(server.endpoint))
        value = f"{ISSUER}; accounturi={certbot.account_url}"
        long = ["x" * 16_000, f"{ISSUER}; accounturi={'a=' * 8_000}", "u\u0323\u0301" * 3_000]
        zones.set_values(name, [value, *long])
        before = zones.records()

        shown = said(certbot.certonly(f"--dns-persist-resolvers={address}", "-d", DOMAIN), 0)

        assert zones.records() == before
        assert (certbot.journal(), noted(certbot)) == ([], [])
    release_address(address)
    assert f"Of the name servers of {DOMAIN}, these are not asked: ns01.{DOMAIN} (127." in shown
    assert "is beyond the first 20 addresses) and 473 more." in shown  # 456 addresses, 20 servers
    assert len(shown) < 8_000
