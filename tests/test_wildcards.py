"""Zones with wildcards, end to end: no site goes dark for a record, and no permission widens."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import StartPebble
from support import bind as bind_support
from support.acme_ca import TestCa
from support.aws import Aws
from support.bind import Bind
from support.certbot import Certbot, Result
from support.cloudflare_api import CloudflareApi
from support.companion import Companion, Done
from support.nameserver import Nameserver, Zones
from support.need import need
from support.pebble import ISSUER, Pebble
from support.process import can_bind_port_53, claim_address, release_address
from support.zones import zone_text

from certbot_dns_persist.record import validation_domain_name

ZONES = {
    "hosts.test": '* A 192.0.2.80\n* MX 10 mx\n* CAA 0 iodef "mailto:ca@hosts.test"\n',
    "deep.test": "* A 192.0.2.80\n*.a A 192.0.2.81\n",
    "named.test": "* A 192.0.2.80\nwww A 192.0.2.80\n*.www A 192.0.2.80\n",
    "cdn.test": "* CNAME lb.cloud.test.\n",
    "spare.test": "",
    "top.spare.test": "* CNAME @\n",
    "lost.test": "* CNAME lb.cloud.invalid.\n",
    "txt.test": '* TXT "v=spf1 -all"\n',
    "cloud.test": "lb A 192.0.2.9\n",
}
PERMITTED = "--dns-persist-may-hide"


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    need(not bind_support.missing(), str(bind_support.missing()))
    with Bind(tmp_path_factory.mktemp("bind"), ZONES) as running:
        yield running


@pytest.fixture(scope="module")
def pebble(bind: Bind, start_pebble: StartPebble) -> Pebble:
    return start_pebble(f"{bind.resolver.address}:53")


@pytest.fixture
def certbot(tmp_path: Path, pebble: Pebble) -> Certbot:
    made = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)
    made.register()
    return made


def answers(bind: Bind, *names: str) -> list[list[str]]:
    return [
        sorted(
            line
            for rrset in bind.primary.ask(name, kind).answer
            for line in rrset.to_text().splitlines()
        )
        for name in names
        for kind in ("A", "MX", "CAA", "TXT")
    ]


def refused(done: Result | Done, *words: str) -> str:
    assert done.returncode == 1, done.output
    said = " ".join(done.output.split())
    for each in words:
        assert each in said, done.output
    return done.output


def ok(done: Result | Done) -> str:
    assert done.returncode == 0, done.output
    return done.output


def lines_to_copy(output: str) -> list[str]:
    return re.findall(r"^    (\S+ IN .*)$", output, re.MULTILINE)


def test_a_host_that_a_wildcard_serves_stays_until_it_has_records_of_its_own(
    certbot: Certbot, bind: Bind, bind_reading: list[str], bind_writing: list[str], tmp_path: Path
) -> None:
    host = "www.hosts.test"
    around = [host, f"x.{host}", f"*.{host}", "other.hosts.test", "x.other.hosts.test"]
    before, served = bind.primary.records("hosts.test"), answers(bind, *around)
    companion = Companion(certbot)
    asked = ["-d", host]
    said = (
        f"The wildcard *.hosts.test answers for {host} now",
        f"{host}. IN A 192.0.2.80",
        f"*.{host}. IN MX 10 mx.hosts.test.",
        "get a certificate for *.hosts.test",
        f"{PERMITTED} {host}",
    )
    shown = refused(certbot.certonly(*bind_writing, *asked), *said)
    refused(certbot.certonly(*bind_writing, *asked, "--dry-run"), *said, "This was only a trial")
    refused(certbot.certonly(*bind_reading, *asked), *said)
    asked += ["--server", certbot.server]
    for more in (["--dry-run"], ["--yes"]):
        refused(companion("publish", *asked, *bind_writing, *more), *said)
    refused(companion("rotate", *asked, *bind_writing, "--dry-run"), *said)
    for form in ("text", "nsupdate"):
        done = companion("record", *asked, *bind_reading, "--format", form)
        refused(done, *said)
        assert done.out == ""
    assert bind.primary.records("hosts.test") == before
    assert certbot.journal() == []

    copied = lines_to_copy(shown)
    commands = [f"update add {line.replace(' IN ', ' 1 IN ')}\n" for line in copied]
    bind.nsupdate(f"zone hosts.test\n{''.join(commands)}send\n", tmp_path)
    ok(certbot.certonly(*bind_writing, *asked[:2]))
    name = validation_domain_name(host)
    (value,) = bind.primary.values(name)
    assert value == f"{ISSUER}; accounturi={certbot.account_url}"
    after = bind.primary.records("hosts.test") - before
    assert {line.split()[0] for line in after} == {f"{host}.", f"*.{host}.", f"{name}."}
    assert answers(bind, *around) == served
    report = companion("check", *asked, *bind_reading, "--json").report
    assert (report["status"], report["records"][0]["notices"]) == ("ok", [])


def test_a_host_may_be_hidden_by_name_and_check_and_audit_say_so(
    certbot: Certbot, bind: Bind, bind_reading: list[str], bind_writing: list[str]
) -> None:
    host = "x.b.deep.test"
    before = bind.primary.records("deep.test")
    asked = ["-d", host]
    refused(
        certbot.certonly(*bind_writing, *asked, PERMITTED, host),
        f"{PERMITTED} {host},b.deep.test",
    )
    assert bind.primary.records("deep.test") == before
    ok(certbot.certonly(*bind_writing, *asked, f"{PERMITTED}={host},B.deep.test."))
    (added,) = bind.primary.records("deep.test") - before
    assert added.startswith(f"{validation_domain_name(host)}. ")
    assert certbot.renewal(host)["dns_persist_may_hide"] == f'"{host},B.deep.test."'
    bind.delete_txt(validation_domain_name(host))
    ok(certbot.renew("--force-renewal"))  # which publishes again

    companion = Companion(certbot)
    for command in ("check", "audit"):
        done = companion(command, *asked, *bind_reading, "--json", "--server", certbot.server)
        (notice,) = done.report["records"][0]["notices"]
        assert (done.returncode, notice["code"], notice["name"]) == (1, "hides-host", host)
        assert f"{host}. IN A 192.0.2.80" in notice["text"]
    done = companion("check", *asked, *bind_reading, "--server", certbot.server)
    assert done.out.splitlines()[1].split("\t")[:2] == [host, "hides-host"]


@pytest.mark.parametrize(
    ("zone", "host"),
    [
        ("deep.test", "a.deep.test"),  # exists, as *.a does
        ("named.test", "www.named.test"),  # exists, and all wildcards have the same address
        ("named.test", "named.test"),
    ],
)
def test_a_name_that_exists_hides_nothing(
    certbot: Certbot, bind: Bind, bind_writing: list[str], zone: str, host: str
) -> None:
    around = [host, f"x.{host}", f"x.y.{host}", f"other.{zone}", f"x.other.{zone}"]
    before, served = bind.primary.records(zone), answers(bind, *around)
    ok(certbot.certonly(*bind_writing, "-d", host))
    (added,) = bind.primary.records(zone) - before
    assert added.startswith(f"{validation_domain_name(host)}. ")
    assert answers(bind, *around) == served


@pytest.mark.parametrize("zone", ["cdn.test", "top.spare.test", "lost.test", "txt.test"])
def test_an_alias_by_a_wildcard_is_not_followed_and_permits_nobody_else(
    certbot: Certbot, bind: Bind, bind_reading: list[str], bind_writing: list[str], zone: str
) -> None:
    zones = ["cloud.test", zone]
    before = [bind.primary.records(each) for each in zones]
    printed = ok(
        Companion(certbot)("record", "-d", zone, *bind_reading, "--server", certbot.server)
    )
    name = validation_domain_name(zone)
    assert f"Name:   {name}\n" in printed
    assert "spf1" not in printed
    ok(certbot.certonly(*bind_writing, "-d", f"{zone},*.{zone}"))
    added = [bind.primary.records(each) - known for each, known in zip(zones, before, strict=True)]
    assert added[0] == set()
    assert {line.split()[0] for line in added[1]} == {f"{name}."}
    (noted,) = certbot.journal()
    assert (noted["name"], noted["zone"], noted["result"]) == (name, zone, "ok")
    done = certbot.certonly(*bind_reading, "-d", f"secret.{zone},a.b.{zone}")
    refused(done, f"The wildcard *.{zone} answers for a.b.{zone}, b.{zone}, secret.{zone} now")
    assert Companion(certbot)("check", "--all", *bind_reading).returncode == 0


def test_a_record_that_a_wildcard_spreads_is_remarked_on(
    certbot: Certbot, bind: Bind, bind_reading: list[str]
) -> None:
    value = f"{ISSUER}; accounturi={certbot.account_url}"
    bind.add_txt("lb.cloud.test", value)
    ok(certbot.certonly(*bind_reading, "-d", "sub.cdn.test"))  # the CA counts it, so we do
    companion = Companion(certbot)
    done = companion("check", "-d", "sub.cdn.test", *bind_reading, "--json")
    (notice,) = done.report["records"][0]["notices"]
    assert (done.returncode, notice["code"], notice["value"]) == (1, "permits-others", value)
    assert notice["name"] == "lb.cloud.test"
    bind.delete_txt("lb.cloud.test")


def test_the_fallback_to_dns_01_hides_nothing_and_follows_no_wildcard(
    tmp_path: Path, bind: Bind, bind_writing: list[str]
) -> None:
    with TestCa(dns=(bind.resolver.address, 53)) as ca:
        ca.change(challenges=["dns-01"])
        certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)
        fallback = ["--dns-persist-fallback", "dns-01"]
        before = {zone: bind.primary.records(zone) for zone in ZONES}
        host = "api.hosts.test"
        done = certbot.certonly(*bind_writing, *fallback, "-d", host)
        refused(done, f"The wildcard *.hosts.test answers for {host} now", f"{PERMITTED} {host}")
        ok(certbot.certonly(*bind_writing, *fallback, "-d", "cdn.test"))
        assert [line["name"] for line in certbot.journal()] == ["_acme-challenge.cdn.test"] * 2
        assert {zone: bind.primary.records(zone) for zone in ZONES} == before


@pytest.fixture
def small(start_pebble: StartPebble) -> Iterator[tuple[Nameserver, Pebble]]:
    """A nameserver of ours where the zones' own servers are asked, and a CA that asks it."""
    need(can_bind_port_53(), "nameservers cannot use port 53 of other loopback addresses")
    address = claim_address()
    zones = Zones.from_text(
        *(zone_text(zone, {"ns1": [address]}, ZONES[zone]) for zone in (*AT_SERVICES, "cloud.test"))
    )
    with Nameserver(zones, address=address, port=53, resolver=True) as running:
        yield running, start_pebble(running.endpoint)
    release_address(address)


AT_SERVICES = ("cdn.test", "deep.test")


@contextlib.contextmanager
def cloudflare(zones: Zones, directory: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    with CloudflareApi(*AT_SERVICES, mirror=zones) as api:
        file = directory / "cloudflare.ini"
        file.touch(mode=0o600)
        file.write_text(f"dns_cloudflare_api_token = {api.token(*AT_SERVICES)}\n")
        api.add("*.cdn.test", "lb.cloud.test", "CNAME")
        options = ["--dns-persist-provider=cloudflare", f"--dns-persist-credentials={file}"]
        yield options, {"CLOUDFLARE_BASE_URL": api.url}


@contextlib.contextmanager
def route53(zones: Zones, directory: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    with Aws() as aws:
        for zone in AT_SERVICES:
            aws.add_zone(zone)
        aws.served, aws.pending = zones, 0
        yield ["--dns-persist-provider=route53"], aws.variables


@pytest.mark.parametrize(("service", "noerror"), [(cloudflare, True), (route53, False)])
def test_a_service_s_zones_keep_what_their_wildcards_answer(
    small: tuple[Nameserver, Pebble], tmp_path: Path, service: Callable[..., Any], noerror: bool
) -> None:
    """With a wildcard above and below, an alias, and NOERROR for names that do not exist."""
    nameserver, ca = small
    nameserver.faults.noerror = noerror
    certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.ca_bundle)
    certbot.register()
    record = f"{ISSUER}; accounturi={certbot.account_url}"
    before = nameserver.zones.records()
    hidden, harmless = ["www.cdn.test", "x.b.deep.test"], ["cdn.test", "a.deep.test"]
    with service(nameserver.zones, tmp_path) as (options, env):
        options.append(f"--dns-persist-resolvers={nameserver.address}")
        done = certbot.certonly(*options, "-d", ",".join([*hidden, *harmless]), env=env)
        refused(
            done,
            "The wildcard *.cdn.test answers for www.cdn.test now",
            "The wildcard *.deep.test answers for x.b.deep.test, b.deep.test now",
            "b.deep.test. IN A 192.0.2.80",
        )
        assert nameserver.zones.records() == before
        assert certbot.journal() == []
        ok(certbot.certonly(*options, "-d", ",".join(harmless), env=env))
    names = [validation_domain_name(domain) for domain in harmless]
    assert nameserver.zones.records() - before == {f'{name}. TXT "{record}"' for name in names}
    assert {line["name"] for line in certbot.journal()} == {*names}
    assert {each["name"] for each in certbot.records()["records"]} == {*names}
