"""What is published, and not to be seen from here: split views, late servers, undelegated zones."""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import StartPebble
from support import bind as bind_support
from support.acme_ca import TestCa
from support.aws import Aws
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, failed, ok
from support.foreign import add_lineage
from support.issued import FOREIGN
from support.nameserver import Nameserver
from support.need import need
from support.pebble import ISSUER, Pebble
from support.views import HiddenPrimary, Views

from certbot_dns_persist.record import validation_domain_name

DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
SOON = "--dns-persist-propagation-seconds=1"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    need(not bind_support.missing(), str(bind_support.missing()))
    with Views(tmp_path_factory.mktemp("named") / "views") as running:
        yield running


@pytest.fixture
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HiddenPrimary]:
    need(not bind_support.missing(), str(bind_support.missing()))
    with HiddenPrimary(tmp_path_factory.mktemp("hidden")) as running:
        yield running


def outcomes(certbot: Certbot) -> list[tuple[str, str]]:
    """Return what the log says was done, and what came of it."""
    return [(line["action"], line["result"]) for line in certbot.journal()]


def noted(certbot: Certbot) -> list[str]:
    """Return the values that are noted as standing."""
    return [record["value"] for record in (certbot.records() or {"records": []})["records"]]


@pytest.mark.parametrize("what", ["key", "address"])
def test_in_a_split_view_the_ca_decides_and_revoking_finds_the_record(
    views: Views, start_pebble: StartPebble, tmp_path: Path, what: str
) -> None:
    """What decides on the view is the key of the update, or the address that it comes from."""
    domain = f"{what}.{DOMAIN}"
    name = validation_domain_name(domain)
    views.add_txt(name, FOREIGN[0])
    before = views.server.records(DOMAIN, views.outside)
    ca = start_pebble(f"{views.outside}:53")
    certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.ca_bundle)
    server = {"key": views.inside, "address": views.outside}[what]
    credentials = views.key.write_credentials(tmp_path / "dns.ini", server, 53)
    options = [
        f"--dns-persist-resolvers={views.inside}",
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={credentials}",
        SOON,
    ]

    done = certbot.certonly(*options, "-d", domain)
    assert done.returncode == 0, done.output
    shown = done.output

    value = f"{ISSUER}; accounturi={certbot.account_url}"
    (added,) = views.server.records(DOMAIN, views.outside) - before
    assert added == f'{name}. 1 IN TXT "{value}"'  # with the TTL of what stands there
    assert views.values(name) == sorted([FOREIGN[0], value])
    assert views.server.values(name) == []
    assert "rfc2136 has the records, but after 1 seconds they cannot be seen" in shown
    assert "split view" in shown
    assert "--dns-persist-resolvers" in shown
    assert outcomes(certbot) == [("add", "ok")]
    assert noted(certbot) == [value]

    companion = Companion(certbot)
    subject = ["-d", domain, "--yes", f"--server={certbot.server}", *options]
    again = ok(companion("publish", *subject))
    assert "cannot be seen from here" in again.error
    assert "The records are published, but not all of them can be seen" in again.out
    ok(companion("prune", *subject))
    assert views.values(name) == sorted([FOREIGN[0], value])
    assert noted(certbot) == [value]

    rotated = failed(companion("rotate", *subject, "--dns-persist-valid-for=90"))
    assert "rfc2136 has the records, but after 1 seconds they cannot be seen" in rotated.error
    assert f"The new record at {name} is published, but cannot be seen from here" in rotated.error
    assert "remove the old ones with: certbot-dns-persist prune" in rotated.error
    (longer,) = {*views.values(name)} - {FOREIGN[0], value}
    assert noted(certbot) == [value, longer]

    unable = failed(companion("revoke", *subject, f"--dns-persist-credentials={tmp_path / 'no'}"))
    assert "the provider cannot say" in unable.error
    assert noted(certbot) == [value, longer]
    revoked = ok(companion("revoke", *subject))
    for each in (value, longer):
        assert f"- {each} (revoked)" in revoked.out
    assert views.server.records(DOMAIN, views.outside) == before
    assert noted(certbot) == []
    assert "nothing to revoke" in ok(companion("revoke", *subject)).out


def test_in_a_split_view_a_certificate_moves_once_its_provider_has_the_record(
    views: Views, start_pebble: StartPebble, tmp_path: Path
) -> None:
    domain = f"moving.{DOMAIN}"
    ca = start_pebble(f"{views.outside}:53")
    certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.ca_bundle)
    value = f"{ISSUER}; accounturi={certbot.register()}"
    credentials = views.key.write_credentials(tmp_path / "dns.ini", views.inside, 53)
    saved = {"authenticator": "dns-rfc2136", "dns_rfc2136_credentials": str(credentials)}
    add_lineage(certbot, "moving", [domain], saved)
    resolvers = f"--dns-persist-resolvers={views.inside}"

    done = ok(Companion(certbot)("migrate", "--all", "--yes", resolvers, SOON))
    assert "rfc2136 has the records, but after 1 seconds they cannot be seen" in done.error
    assert certbot.renewal("moving")["authenticator"] == "dns-persist"
    assert views.values(validation_domain_name(domain)) == [value]
    renewed = certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output
    assert views.values(validation_domain_name(domain)) == [value]


def test_in_a_split_view_the_ca_decides_on_dns_01_too(views: Views, tmp_path: Path) -> None:
    before = views.server.records(DOMAIN, views.outside)
    credentials = views.key.write_credentials(tmp_path / "dns.ini", views.inside, 53)
    with TestCa(dns=(views.outside, 53), challenges=["dns-01"]) as ca:
        certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)
        done = certbot.certonly(
            f"--dns-persist-resolvers={views.inside}",
            "--dns-persist-provider=rfc2136",
            f"--dns-persist-credentials={credentials}",
            "--dns-persist-fallback=dns-01",
            SOON,
            *("-d", f"fallback.{DOMAIN}"),
        )
    assert done.returncode == 0, done.output
    assert "rfc2136 has the records, but after 1 seconds they cannot be seen" in done.output
    assert "The CA looks for itself, and decides." in done.output
    assert outcomes(certbot) == [("add", "ok"), ("remove", "ok")]
    assert views.server.records(DOMAIN, views.outside) == before


def test_a_program_that_ends_well_proves_nothing(
    nameserver: Nameserver, nameserver_pebble: Pebble, tmp_path: Path, reading: list[str]
) -> None:
    certbot = Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )
    script = tmp_path / "publish"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(stat.S_IRWXU)
    options = [*reading, "--dns-persist-provider=script", f"--dns-persist-script={script}", SOON]
    certbot.register()

    done = certbot.certonly(*options, "-d", DOMAIN)
    assert done.returncode == 1, done.output
    shown = done.output

    assert "is in doubt: script reported success" in shown
    assert "After 1 seconds these servers do not serve the records" in shown
    doubt = "in doubt: no server showed it within 1 seconds"
    assert outcomes(certbot) == [("add", "ok"), ("add", doubt)]
    value = f"{ISSUER}; accounturi={certbot.account_url}"
    assert noted(certbot) == [value]

    companion = Companion(certbot)
    subject = ["-d", DOMAIN, "--server", certbot.server]
    left = failed(companion("revoke", *subject, "--yes", *options))
    assert f'{NAME} TXT "{value}" is noted as published (through script)' in left.error
    assert "script cannot tell" in left.error
    kept = ok(companion("prune", *subject, "--yes", *options))
    assert "it stays noted" in kept.out
    assert noted(certbot) == [value]


def test_what_a_late_secondary_forwards_is_published_for_all_names_at_once(
    hidden: HiddenPrimary, start_pebble: StartPebble, tmp_path: Path
) -> None:
    ca = start_pebble(f"{hidden.secondary.address}:53")
    certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.ca_bundle)
    companion, value = Companion(certbot), f"{ISSUER}; accounturi={certbot.register()}"
    domains = [f"{label}.{DOMAIN}" for label in "abc"]
    names = [validation_domain_name(each) for each in domains]
    credentials = hidden.key.write_credentials(
        tmp_path / "forward.ini", hidden.secondary.address, 53
    )
    ordering = [
        *(option for each in domains for option in ("-d", each)),
        f"--dns-persist-resolvers={hidden.secondary.address}",
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={credentials}",
        SOON,
    ]
    options = [*ordering, f"--server={certbot.server}", "--yes"]
    before = hidden.primary.records(DOMAIN)

    began = time.monotonic()
    shown = ok(companion("publish", *options))

    assert time.monotonic() - began < 20
    assert "a secondary, a hidden primary" in shown.error
    published = before | {f'{name}. 300 IN TXT "{value}"' for name in names}
    assert hidden.primary.records(DOMAIN) == published
    assert [hidden.secondary.values(name) for name in names] == [[]] * 3
    assert outcomes(certbot) == [("add", "ok")] * 3
    assert noted(certbot) == [value] * 3

    # An order publishes nothing again, and leaves it to the CA, which cannot see the records yet.
    ordered = certbot.certonly(*ordering)
    assert ordered.returncode == 1, ordered.output
    output = " ".join(ordered.output.split())
    assert output.count("rfc2136 has the records, but after 1 seconds they cannot be seen") == 1
    for each, name in zip(domains, names, strict=True):
        assert f"{each}: The provider has the record at {name}, but no server" in output
    assert "Publish it" not in output
    assert hidden.primary.records(DOMAIN) == published
    assert noted(certbot) == [value] * 3

    # What the secondary does not show may stand all the same.
    left = failed(companion("revoke", *options))
    assert "rfc2136 cannot tell" in left.error
    assert noted(certbot) == [value] * 3
    hidden.catch_up()
    ok(companion("publish", *options))
    still = failed(companion("revoke", *options))
    assert f'{names[0]} TXT "{value}" is still served by' in still.error
    assert [hidden.primary.values(name) for name in names] == [[]] * 3
    assert noted(certbot) == []


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    with Aws() as running:
        running.pending = 0
        yield running


def test_a_zone_at_route_53_that_nobody_delegates_to_is_told_before_the_write(
    aws: Aws, bind: Bind, certbot: Certbot, companion: Companion, domain: str
) -> None:
    inner = f"sub.{domain}"
    name = validation_domain_name(inner)
    zone = aws.add_zone(inner)
    aws.create(zone, name, *(f'"{value}"' for value in FOREIGN))
    certbot.register()
    options = [
        f"--dns-persist-resolvers={bind.resolver.address}",
        "--dns-persist-provider=route53",
        SOON,
    ]

    done = certbot.certonly(*options, "-d", inner, env=aws.variables)
    assert done.returncode == 1, done.output  # the CA has looked, too
    shown = done.output

    value = f"{ISSUER}; accounturi={certbot.account_url}"
    differs = f"route53 writes {name} to its zone {inner}, but in DNS"
    assert f"the name is in the zone {DOMAIN}" in " ".join(shown.split())
    assert shown.index(differs) < shown.index("route53 has the records")
    assert aws.written(zone, name) == sorted(f'"{each}"' for each in [*FOREIGN, value])
    assert bind.primary.values(name) == []
    assert outcomes(certbot) == [("add", "ok")]
    assert noted(certbot) == [value]

    subject = ["-d", inner, f"--server={certbot.server}", "--yes", *options]
    ok(companion("prune", *subject, env=aws.variables))
    assert noted(certbot) == [value]
    left = failed(companion("revoke", *subject, "--dns-persist-provider=manual"))
    assert "manual cannot tell" in left.error
    assert noted(certbot) == [value]
    ok(companion("revoke", *subject, env=aws.variables))
    assert aws.written(zone, name) == sorted(f'"{each}"' for each in FOREIGN)
    assert noted(certbot) == []
