"""One certificate whose names are at three services, and a zone that two services serve."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import KEY, StartPebble
from support.acme_ca import TestCa
from support.aws import Aws
from support.certbot import Certbot
from support.cloudflare_api import CloudflareApi
from support.nameserver import Nameserver, serving

from certbot_dns_persist.record import validation_domain_name

ZONES = ["cloud.test", "route.test", "bind.test", "both.test"]


@pytest.fixture
def nameserver() -> Iterator[Nameserver]:
    """What all the services' name servers serve, and the primary of ``bind.test``."""
    with serving(*ZONES, keys=[KEY]) as running:
        yield running


@pytest.fixture
def cloudflare(nameserver: Nameserver) -> Iterator[CloudflareApi]:
    with CloudflareApi("cloud.test", "both.test", mirror=nameserver.zones) as running:
        yield running


@pytest.fixture
def aws(nameserver: Nameserver) -> Iterator[Aws]:
    with Aws(nameserver.zones) as running:
        for zone in ("route.test", "both.test"):
            running.add_zone(zone)
        yield running


@pytest.fixture
def certbot(
    tmp_path: Path,
    nameserver: Nameserver,
    cloudflare: CloudflareApi,
    aws: Aws,
    start_pebble: StartPebble,
) -> Certbot:
    pebble = start_pebble(nameserver.endpoint)
    env = aws.variables | {
        "CLOUDFLARE_BASE_URL": cloudflare.url,
        "no_proxy": "127.0.0.1,localhost",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle, env=env)


@pytest.fixture
def credentials(tmp_path: Path, nameserver: Nameserver, cloudflare: CloudflareApi) -> Path:
    path = tmp_path / "dns.ini"
    path.touch(0o600)
    path.write_text(
        f"""
dns_persist_cloudflare_api_token = {cloudflare.token("cloud.test", "both.test")}
[cloud.test]
dns_persist_provider = cloudflare
[route.test]
dns_persist_provider = route53
[both.test]
dns_persist_provider = route53, cloudflare
[bind.test]
dns_persist_provider = rfc2136
dns_persist_rfc2136_server = {nameserver.address}
dns_persist_rfc2136_port = {nameserver.port}
dns_persist_rfc2136_name = {KEY.name}
dns_persist_rfc2136_secret = {KEY.secret}
"""
    )
    return path


@pytest.fixture
def options(credentials: Path, nameserver: Nameserver) -> list[str]:
    return [
        f"--dns-persist-credentials={credentials}",
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
    ]


def test_one_certificate_for_names_at_three_services(
    certbot: Certbot,
    options: list[str],
    credentials: Path,
    nameserver: Nameserver,
    cloudflare: CloudflareApi,
    aws: Aws,
) -> None:
    names = ["cloud.test", "*.route.test", "www.bind.test"]
    done = certbot.certonly(*options, "--dns-persist-may-hide=www.bind.test", "-d", ",".join(names))
    assert done.returncode == 0, done.output
    plain = f"pebble.test; accounturi={certbot.account_url}"
    assert nameserver.values(validation_domain_name("cloud.test")) == [plain]
    assert nameserver.values(validation_domain_name("route.test")) == [f"{plain}; policy=wildcard"]
    assert nameserver.values(validation_domain_name("www.bind.test")) == [plain]
    assert {(line["provider"], line["zone"]) for line in certbot.journal()} == {
        ("cloudflare", "cloud.test"),
        ("route53", "route.test"),
        ("rfc2136", "bind.test"),
    }

    credentials.unlink()
    asked = len(cloudflare.requests), len(aws.requests), len(nameserver.updates)
    done = certbot.renew("--force-renewal", env=dict.fromkeys(aws.variables, ""))
    assert done.returncode == 0, done.output
    assert (len(cloudflare.requests), len(aws.requests), len(nameserver.updates)) == asked
    assert certbot.certificate("cloud.test").names == sorted(names)


def test_a_zone_that_two_services_serve_is_written_at_both(
    certbot: Certbot, options: list[str], cloudflare: CloudflareApi, aws: Aws
) -> None:
    done = certbot.certonly(*options, "-d", "both.test")
    assert done.returncode == 0, done.output
    name = validation_domain_name("both.test")
    value = f"pebble.test; accounturi={certbot.account_url}"
    assert cloudflare.values(name) == [value]
    assert aws.count("ChangeResourceRecordSets") == 1
    assert [line["provider"] for line in certbot.journal()] == ["route53", "cloudflare"]


def test_a_dry_run_takes_its_records_away_at_every_service(
    certbot: Certbot, options: list[str], nameserver: Nameserver
) -> None:
    names = ["cloud.test", "route.test", "bind.test", "both.test"]
    done = certbot.certonly(*options, "--dry-run", "-d", ",".join(names))
    assert done.returncode == 0, done.output
    for name in names:
        assert nameserver.values(validation_domain_name(name)) == []


@pytest.mark.parametrize("zone", ["cloud.test", "route.test", "bind.test"])
def test_the_fallback_to_dns_01_works_with_every_service(
    tmp_path: Path, certbot: Certbot, options: list[str], nameserver: Nameserver, zone: str
) -> None:
    with TestCa(dns=(nameserver.address, nameserver.port), challenges=["dns-01"]) as ca:
        other = Certbot(tmp_path / "other", ca.directory_url, ca.root_certificate, env=certbot.env)
        other.env["REQUESTS_CA_BUNDLE"] = str(ca.root_certificate)
        fallback = ["--dns-persist-fallback", "dns-01"]
        done = other.certonly(*options, *fallback, "-d", f"{zone},*.{zone}")
        assert done.returncode == 0, done.output
    assert nameserver.values(f"_acme-challenge.{zone}") == []


def test_a_name_that_no_section_covers_is_told_with_what_is_covered(
    certbot: Certbot, options: list[str], credentials: Path
) -> None:
    text = credentials.read_text().replace("[bind.test]", "[elsewhere.test]")
    credentials.write_text(text)
    done = certbot.certonly(*options, "-d", "cloud.test", "-d", "bind.test")
    assert done.returncode == 1
    assert "covers _validation-persist.bind.test" in done.output
    assert "[both.test], [cloud.test], [elsewhere.test], [route.test]" in done.output
    # What could be published is; the next run goes on from there.
    assert [line["provider"] for line in certbot.journal()] == ["cloudflare"]


def test_a_misspelt_provider_is_told_with_its_section(
    certbot: Certbot, options: list[str], credentials: Path
) -> None:
    credentials.write_text(credentials.read_text().replace("= rfc2136\n", "= rfc2316\n"))
    done = certbot.certonly(*options, "-d", "bind.test")
    assert done.returncode == 1
    assert f"in [bind.test] of {credentials} names 'rfc2316'" in done.output


def test_one_service_that_refuses_does_not_keep_the_others_from_being_written(
    certbot: Certbot, options: list[str], credentials: Path, nameserver: Nameserver
) -> None:
    credentials.write_text(credentials.read_text().replace(KEY.secret, "d3Jvbmc="))
    done = certbot.certonly(*options, "-d", "cloud.test", "-d", "bind.test")
    assert done.returncode == 1
    assert "BADSIG" in done.output
    assert len(nameserver.values(validation_domain_name("cloud.test"))) == 1
    assert json.dumps(certbot.journal()).count("BADSIG") == 1
