"""One set of tests for every provider: what the contract promises, on the real thing each."""

import dataclasses
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from support.at_once import at_once
from support.aws import Aws
from support.azure_api import AzureApi
from support.bind import Bind
from support.cloudflare_api import CloudflareApi
from support.digitalocean_api import DigitaloceanApi
from support.google_api import GoogleApi
from support.hetzner_api import HetznerApi
from support.http_api import HttpApi
from support.knot import Knot
from support.knot import missing as knot_missing
from support.nameserver import Nameserver, Zones
from support.need import need
from support.powerdns import Powerdns
from support.powerdns import missing as powerdns_missing
from support.zones import Key, zone_text
from zope.interface.verify import verifyObject

from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.providers import credentials, loader
from certbot_dns_persist.providers.interface import (
    Addition,
    IManyProvider,
    IProvider,
    Provider,
    Served,
    Settings,
)

OURS = "ca.example; accounturi=https://ca.example/acct/1; policy=wildcard"
FOREIGN = ["other.example; accounturi=https://other.example/1", "v=spf1 -all"]
PLUGINS_OWN_TTLS = (120,)
"""Bridged plugins have their own idea of a TTL."""
IDLE = Key("idle-key", KEY.secret)
ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Service:
    """A provider, the name that a test may use, and what stands there without the provider."""

    make: Callable[[], Provider]
    name: str
    put: Callable[[list[str]], object]
    """Make these the only values at the name, as others would."""
    values: Callable[[], list[str]]
    """Sorted."""


def _rfc2136(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    bind: Bind = request.getfixturevalue("bind")
    name = f"_validation-persist.{request.getfixturevalue('domain')}"
    path = str(request.getfixturevalue("bind_credentials"))
    keys = credentials.read(path).keys("rfc2136", name)

    def put(values: list[str]) -> None:
        bind.delete_txt(name)
        for value in values:
            bind.add_txt(name, value)

    return Service(
        lambda: loader.load("rfc2136", Settings(keys, path, print)),
        name,
        put,
        lambda: bind.primary.values(name),
    )


def _rfc2136_at(
    server: Knot | Powerdns, domain: str, put: Callable[[str, list[str]], object]
) -> Service:
    name = f"_validation-persist.{domain}"
    keys = {
        "server": server.address,
        "port": str(server.port),
        "name": KEY.name,
        "secret": KEY.secret,
    }
    return Service(
        lambda: loader.load("rfc2136", Settings(keys, None, print)),
        name,
        lambda values: put(name, values),
        lambda: server.values(name),
    )


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    need(not knot_missing(), str(knot_missing()))
    with Knot(tmp_path_factory.mktemp("knot"), "example.test", writer=KEY, idle=IDLE) as running:
        yield running


def _rfc2136_at_knot(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    server: Knot = request.getfixturevalue("knot")

    def put(name: str, values: list[str]) -> None:
        for value in values:
            server.add_txt(name, value)

    return _rfc2136_at(server, request.getfixturevalue("domain"), put)


@pytest.fixture(scope="module")
def updated_powerdns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Powerdns]:
    need(not powerdns_missing(), str(powerdns_missing()))
    with Powerdns(tmp_path_factory.mktemp("powerdns"), "example.test") as running:
        running.add_key(KEY, "example.test")
        yield running


def _rfc2136_at_powerdns(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    server: Powerdns = request.getfixturevalue("updated_powerdns")
    domain = request.getfixturevalue("domain")
    return _rfc2136_at(server, domain, lambda name, these: server.put("example.test", name, these))


def _cloudflare_api(
    request: pytest.FixtureRequest, stack: ExitStack
) -> tuple[CloudflareApi, Zones]:
    """Return Cloudflare's API, which its SDK finds, and what Cloudflare's servers would serve."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    zones = Zones.from_text(zone_text("example.test", {"ns1": ["127.0.0.1"]}))
    api = stack.enter_context(CloudflareApi("example.test", mirror=zones))
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", api.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    return api, zones


def _cloudflare(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    api, _ = _cloudflare_api(request, stack)
    name = "_validation-persist.example.test"
    keys = {"api_token": api.token("example.test")}

    def put(values: list[str]) -> None:
        for value in values:
            api.add(name, f'"{value}"')

    return Service(
        lambda: loader.load("cloudflare", Settings(keys, None, print)),
        name,
        put,
        lambda: api.values(name),
    )


def _route53(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    monkeypatch = request.getfixturevalue("monkeypatch")
    for variable in os.environ:
        if variable.startswith("AWS_"):
            monkeypatch.delenv(variable)
    monkeypatch.setattr("certbot_dns_persist.providers.route53._POLL", 0.01)
    zones = Zones.from_text(zone_text("example.test", {"ns1": ["127.0.0.1"]}))
    aws = stack.enter_context(Aws(zones))
    for variable, value in aws.variables.items():
        monkeypatch.setenv(variable, value)
    zone = aws.add_zone("example.test")
    name = "_validation-persist.example.test"
    return Service(
        lambda: loader.load("route53", Settings({}, None, print)),
        name,
        lambda values: aws.create(zone, name, *(f'"{value}"' for value in values)),
        lambda: zones.values(name),
    )


def _powerdns(request: pytest.FixtureRequest, stack: ExitStack, *, version: str = "") -> Service:
    need(not powerdns_missing(), str(powerdns_missing()))
    directory: Path = request.getfixturevalue("tmp_path")
    server = stack.enter_context(Powerdns(directory, "example.test"))
    server.version = version
    name = "_validation-persist.example.test"
    return Service(
        lambda: loader.load("powerdns", Settings(server.keys, None, print)),
        name,
        lambda values: server.put("example.test", name, values),
        lambda: server.values(name),
    )


def _newer_powerdns(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    return _powerdns(request, stack, version="5.0.2")


def _over_http(provider: str, api: HttpApi, keys: dict[str, str]) -> Service:
    name = "_validation-persist.example.test"

    def put(values: list[str]) -> None:
        for value in values:
            api.add(name, value)

    return Service(
        lambda: loader.load(provider, Settings(keys, None, print)),
        name,
        put,
        lambda: api.values(name),
    )


def _hetzner(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    api = stack.enter_context(HetznerApi("example.test"))
    return _over_http("hetzner", api, api.keys)


def _digitalocean(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    api = stack.enter_context(DigitaloceanApi("example.test"))
    api.page = 2
    return _over_http("digitalocean", api, api.keys)


def _google(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    api = stack.enter_context(GoogleApi("example.test"))
    account = api.write_service_account(request.getfixturevalue("tmp_path") / "google.json")
    keys = {"service_account": str(account), "api_url": api.url}
    return _over_http("google", api, keys)


def _azure(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    api = stack.enter_context(AzureApi("other.test", "more.test", "example.test"))
    api.page = 2
    for variable, value in api.variables.items():
        request.getfixturevalue("monkeypatch").setenv(variable, value)
    return _over_http("azure", api, api.keys)


def _script(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    nameserver: Nameserver = request.getfixturevalue("nameserver")
    name = "_validation-persist.example.test"
    request.getfixturevalue("monkeypatch").setenv("PYTHONPATH", str(ROOT / "tests"))
    key: Path = request.getfixturevalue("tmp_path") / "key"
    key.write_text("\n".join([nameserver.address, str(nameserver.port), KEY.name, KEY.secret]))
    program = ROOT / "tests" / "support" / "update_txt.py"
    command = shlex.join([sys.executable, str(program), str(key)])

    def observe(name: str) -> Served:
        return Served(nameserver.values(name), "example.test")

    return Service(
        lambda: loader.load("script", Settings({"command": command}, None, print, observe)),
        name,
        lambda values: nameserver.zones.set_values(name, values),
        lambda: nameserver.values(name),
    )


def _example_package(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    path = ROOT / "examples" / "provider-package" / "certbot_dns_persist_jsonfile.py"
    spec = importlib.util.spec_from_file_location("certbot_dns_persist_jsonfile", path)
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    name = "_validation-persist.example.test"
    records: Path = request.getfixturevalue("tmp_path") / "records.json"
    records.write_text("{}")
    keys = {"path": str(records), "zone": "example.test"}
    return Service(
        lambda: module.JsonFile(Settings(keys, None, print)),
        name,
        lambda values: records.write_text(json.dumps({name: values})),
        lambda: sorted(json.loads(records.read_text()).get(name, [])),
    )


def _bridge_rfc2136(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    """certbot-dns-rfc2136 itself; what stands is asked of BIND's servers."""
    service = _rfc2136(request, stack)
    bind: Bind = request.getfixturevalue("bind")
    path = str(request.getfixturevalue("bind_credentials"))

    def observe(name: str) -> Served:
        found = Lookup([Address(bind.resolver.address)]).find([name])[name]
        servers = {str(answer): answer.values or () for answer in found.answers}
        return Served(found.values, found.zone, servers)

    def values() -> list[str]:
        bind.settle()
        return bind.primary.values(service.name)

    settings = Settings({}, path, print, observe)
    return Service(lambda: loader.load("dns-rfc2136", settings), service.name, service.put, values)


def _bridge_cloudflare(request: pytest.FixtureRequest, stack: ExitStack) -> Service:
    """certbot-dns-cloudflare itself; what stands is what Cloudflare's servers would serve."""
    api, zones = _cloudflare_api(request, stack)
    name = "_validation-persist.example.test"
    path: Path = request.getfixturevalue("tmp_path") / "cloudflare.ini"
    path.touch(0o600)
    path.write_text(f"dns_cloudflare_api_token = {api.token('example.test')}\n")

    def observe(name: str) -> Served:
        values = zones.values(name)
        return Served(values, "example.test", {"ns1": values})

    def put(values: list[str]) -> None:
        for value in values:
            api.add(name, value)

    settings = Settings({}, str(path), print, observe)
    return Service(
        lambda: loader.load("dns-cloudflare", settings), name, put, lambda: api.values(name)
    )


SERVICES = {
    "rfc2136": _rfc2136,
    "rfc2136-at-knot": _rfc2136_at_knot,
    "rfc2136-at-powerdns": _rfc2136_at_powerdns,
    "cloudflare": _cloudflare,
    "route53": _route53,
    "powerdns": _powerdns,
    "newer-powerdns": _newer_powerdns,
    "hetzner": _hetzner,
    "digitalocean": _digitalocean,
    "google": _google,
    "azure": _azure,
    "script": _script,
    "example-package": _example_package,
    "bridge-rfc2136": _bridge_rfc2136,
    "bridge-cloudflare": _bridge_cloudflare,
}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with ExitStack() as stack:
        yield SERVICES[request.param](request, stack)


def test_it_keeps_the_interface(service: Service) -> None:
    assert verifyObject(IProvider, service.make())
    assert service.make().writes is True


def test_it_tells_the_zone_of_a_name(service: Service) -> None:
    assert service.make().zone_for(service.name) == "example.test"


def test_nothing_stands_at_a_name_that_nobody_used(service: Service) -> None:
    assert service.make().list_values(service.name) == []


def test_add_add_again_list_remove_and_remove_again(service: Service) -> None:
    provider = service.make()
    assert provider.add_value(service.name, OURS, 300) in (300, *PLUGINS_OWN_TTLS)
    assert service.values() == [OURS]
    provider.add_value(service.name, OURS, 300)
    assert service.values() == provider.list_values(service.name) == [OURS]
    provider.remove_value(service.name, OURS)
    assert service.values() == provider.list_values(service.name) == []
    provider.remove_value(service.name, OURS)
    assert service.values() == []


def test_foreign_values_are_there_before_between_and_after(service: Service) -> None:
    service.put(FOREIGN)
    provider = service.make()
    assert sorted(provider.list_values(service.name)) == sorted(FOREIGN)
    provider.add_value(service.name, OURS, 300)
    assert service.values() == sorted([*FOREIGN, OURS])
    provider.remove_value(service.name, OURS + "; other=value")
    assert service.values() == sorted([*FOREIGN, OURS])
    provider.remove_value(service.name, OURS)
    assert service.values() == sorted(FOREIGN)


def test_a_value_of_300_octets_comes_and_goes(service: Service) -> None:
    service.put(FOREIGN)
    long = f"{OURS}; x={'1' * 300}"
    provider = service.make()
    provider.add_value(service.name, long, 300)
    assert service.values() == sorted([*FOREIGN, long])
    assert sorted(provider.list_values(service.name)) == sorted([*FOREIGN, long])
    provider.remove_value(service.name, long)
    assert service.values() == sorted(FOREIGN)


def test_writers_at_once_lose_nothing(service: Service) -> None:
    service.put(FOREIGN)
    values = [f"{OURS}; n={number}" for number in range(5)]
    providers = [service.make() for _ in values]
    at_once(5, lambda number: providers[number].add_value(service.name, values[number], 300))
    assert service.values() == sorted([*FOREIGN, *values])
    for value in values:
        service.make().remove_value(service.name, value)
    assert service.values() == sorted(FOREIGN)


@pytest.mark.parametrize(
    "service",
    [
        *("rfc2136", "rfc2136-at-knot", "rfc2136-at-powerdns", "route53", "cloudflare"),
        *("powerdns", "newer-powerdns", "google"),
    ],
    indirect=True,
)
def test_many_are_added_as_one_is_and_what_fails_keeps_no_other_back(service: Service) -> None:
    provider: Any = service.make()
    assert IManyProvider.providedBy(provider)
    service.put(FOREIGN)
    more = f"more.{service.name}"
    outside = "_validation-persist.example.invalid"
    additions = [
        Addition(outside, OURS, 300),
        Addition(service.name, OURS, 300),
        Addition(more, OURS, 300),
        Addition(service.name, f"{OURS}; policy=wildcard", 300),
        Addition(service.name, FOREIGN[0], 300),
    ]
    refused, *used = provider.add_many(additions)
    assert isinstance(refused, ProviderError)
    assert "example.invalid" in str(refused)
    assert all(isinstance(ttl, int) for ttl in used)
    assert service.values() == sorted([*FOREIGN, OURS, f"{OURS}; policy=wildcard"])
    assert provider.list_values(more) == [OURS]
    assert provider.add_many(additions[1:]) == used
    assert provider.add_many([]) == []
