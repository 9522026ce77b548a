"""One certificate whose names are at six services, and one at PowerDNS, with the real Certbot.

End to end, because here Certbot itself, the sections of a credentials file, each service's zone and
DNS must agree. Renewals ask no service.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY, StartPebble
from support.azure_api import AzureApi
from support.certbot import Certbot
from support.cloudflare_api import CloudflareApi
from support.digitalocean_api import DigitaloceanApi
from support.google_api import GoogleApi
from support.hetzner_api import HetznerApi
from support.http_api import HttpApi
from support.nameserver import Nameserver, serving
from support.need import need
from support.powerdns import Powerdns, missing

from certbot_dns_persist.record import validation_domain_name

ZONES = {
    "cloudflare": "cloud.test",
    "rfc2136": "bind.test",
    "hetzner": "hetzner.test",
    "digitalocean": "ocean.test",
    "google": "google.test",
    "azure": "azure.test",
}
FOREIGN = "other.example; accounturi=https://other.example/9"


@pytest.fixture
def nameserver() -> Iterator[Nameserver]:
    """What all the services' name servers serve, and the primary of ``bind.test``."""
    with serving(*ZONES.values(), keys=[KEY]) as running:
        yield running


@pytest.fixture
def cloudflare(nameserver: Nameserver) -> Iterator[CloudflareApi]:
    with CloudflareApi(ZONES["cloudflare"], mirror=nameserver.zones) as running:
        yield running


@pytest.fixture
def azure(nameserver: Nameserver) -> Iterator[AzureApi]:
    with AzureApi(ZONES["azure"], mirror=nameserver.zones) as running:
        yield running


@pytest.fixture
def google(nameserver: Nameserver) -> Iterator[GoogleApi]:
    with GoogleApi(ZONES["google"], mirror=nameserver.zones) as running:
        yield running


@pytest.fixture
def hetzner(nameserver: Nameserver) -> Iterator[HetznerApi]:
    with HetznerApi(ZONES["hetzner"], mirror=nameserver.zones) as running:
        yield running


@pytest.fixture
def digitalocean(nameserver: Nameserver) -> Iterator[DigitaloceanApi]:
    with DigitaloceanApi(ZONES["digitalocean"], mirror=nameserver.zones) as running:
        yield running


@pytest.fixture
def apis(
    azure: AzureApi, google: GoogleApi, hetzner: HetznerApi, digitalocean: DigitaloceanApi
) -> dict[str, HttpApi]:
    return {"azure": azure, "google": google, "hetzner": hetzner, "digitalocean": digitalocean}


@pytest.fixture
def keys(
    tmp_path: Path,
    nameserver: Nameserver,
    cloudflare: CloudflareApi,
    azure: AzureApi,
    google: GoogleApi,
    hetzner: HetznerApi,
    digitalocean: DigitaloceanApi,
) -> dict[str, dict[str, Any]]:
    """What each provider's keys in a credentials file are."""
    account = google.write_service_account(tmp_path / "google.json")
    return {
        "cloudflare": {"api_token": cloudflare.token("cloud.test")},
        "rfc2136": {
            "server": nameserver.address,
            "port": nameserver.port,
            "name": KEY.name,
            "secret": KEY.secret,
        },
        "google": {"service_account": account, "api_url": google.url},
        "hetzner": hetzner.keys,
        "digitalocean": digitalocean.keys,
        "azure": azure.keys,
    }


@pytest.fixture
def credentials(tmp_path: Path, keys: dict[str, dict[str, Any]]) -> Path:
    lines = []
    for name, zone in ZONES.items():
        lines += [f"[{zone}]", f"dns_persist_provider = {name}"]
        lines += [f"dns_persist_{name}_{key} = {value}" for key, value in keys[name].items()]
    return write_private(tmp_path / "dns.ini", lines)


def write_private(path: Path, lines: list[str]) -> Path:
    path.touch(0o600)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_one_certificate_for_names_at_six_services_is_renewed_without_any(
    tmp_path: Path,
    nameserver: Nameserver,
    cloudflare: CloudflareApi,
    azure: AzureApi,
    apis: dict[str, HttpApi],
    credentials: Path,
    start_pebble: StartPebble,
) -> None:
    env = azure.variables | {"CLOUDFLARE_BASE_URL": cloudflare.url, "no_proxy": "127.0.0.1"}
    pebble = start_pebble(nameserver.endpoint)
    certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle, env=env)
    options = [
        f"--dns-persist-credentials={credentials}",
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
    ]
    for provider, api in apis.items():
        api.add(validation_domain_name(ZONES[provider]), FOREIGN)
    done = certbot.certonly(*options, "-d", ",".join(ZONES.values()))
    assert done.returncode == 0, done.output
    ours = f"pebble.test; accounturi={certbot.account_url}"
    for provider, zone in ZONES.items():
        before = [FOREIGN] if provider in apis else []
        assert nameserver.values(validation_domain_name(zone)) == sorted([*before, ours])
    assert {(line["provider"], line["zone"]) for line in certbot.journal()} == set(ZONES.items())

    credentials.unlink()
    services: list[Any] = [cloudflare, *apis.values()]
    asked = [len(service.requests) for service in services]
    renewed = certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output
    assert [len(service.requests) for service in services] == asked


@pytest.mark.parametrize("provider", ["azure", "digitalocean", "google", "hetzner"])
def test_a_service_alone_brings_a_certificate_that_is_renewed_without_credentials(
    tmp_path: Path,
    nameserver: Nameserver,
    azure: AzureApi,
    apis: dict[str, HttpApi],
    keys: dict[str, dict[str, Any]],
    start_pebble: StartPebble,
    provider: str,
) -> None:
    """Two runs of Certbot each, for what the certificate of all services does not show: the
    provider is named by the option, and its keys have no section.
    """
    zone, api = ZONES[provider], apis[provider]
    name = validation_domain_name(zone)
    api.add(name, FOREIGN)
    lines = [f"dns_persist_{provider}_{key} = {value}" for key, value in keys[provider].items()]
    path = write_private(tmp_path / "dns.ini", lines)
    pebble = start_pebble(nameserver.endpoint)
    env = azure.variables | {"no_proxy": "127.0.0.1"}
    certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle, env=env)
    options = [
        f"--dns-persist-provider={provider}",
        f"--dns-persist-credentials={path}",
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
    ]
    done = certbot.certonly(*options, "-d", f"{zone},*.{zone}")
    assert done.returncode == 0, done.output
    ours = f"pebble.test; accounturi={certbot.account_url}; policy=wildcard"
    assert nameserver.values(name) == sorted([FOREIGN, ours])

    path.unlink()
    asked = len(api.requests)
    renewed = certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output
    assert len(api.requests) == asked
    assert nameserver.values(name) == sorted([FOREIGN, ours])


def test_powerdns_serves_what_its_api_was_told(tmp_path: Path, start_pebble: StartPebble) -> None:
    need(not missing(), str(missing()))
    with Powerdns(tmp_path, "example.test") as powerdns:
        name = validation_domain_name("example.test")
        powerdns.put("example.test", name, [FOREIGN])
        endpoint = f"{powerdns.address}:{powerdns.port}"
        pebble = start_pebble(endpoint)
        certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)
        lines = [f"dns_powerdns_{key} = {value}" for key, value in powerdns.keys.items()]
        path = write_private(tmp_path / "dns.ini", lines)
        options = [
            "--dns-persist-provider=powerdns",
            f"--dns-persist-credentials={path}",
            f"--dns-persist-resolvers={endpoint}",
            "--dns-persist-check=resolver",
        ]
        done = certbot.certonly(*options, "-d", "example.test,*.example.test")
        assert done.returncode == 0, done.output
        ours = f"pebble.test; accounturi={certbot.account_url}; policy=wildcard"
        assert powerdns.values(name) == sorted([FOREIGN, ours])
        path.unlink()
        assert certbot.renew("--force-renewal").returncode == 0
