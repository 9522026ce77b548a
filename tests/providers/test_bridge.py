"""Real Certbot DNS plugins behind the bridge, each with its own service, real or small.

The services publish what they are told in ``nameserver``, and that is what the bridge looks at.
Where a plugin's service has to be somewhere else than in life, the plugin is told so by its own
configuration or environment.
"""

import dataclasses
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.exception
import dns.rdata
import dns.resolver
import pytest
from certbot.errors import PluginError, SignalExit
from conftest import KEY
from support.bind import Bind
from support.certbot import PROGRAM, Certbot
from support.cloudflare_api import CloudflareApi
from support.inwx_api import InwxApi
from support.nameserver import Nameserver, Zones, serving
from support.pebble import ISSUER

from certbot_dns_persist.errors import ConfigurationError, ProviderError
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.providers import loader
from certbot_dns_persist.providers.bridge import Bridge
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.record import validation_domain_name

NAME = "_validation-persist.www.example.com"
OURS = "ca.example; accounturi=https://ca.example/acct/1; persistUntil=1830000000"
THEIRS = "other.example; accounturi=https://other.example/acct/9"
LONG = f"ca.example; accounturi=https://ca.example/acct/{'1' * 300}"
SECRET = "hush/hush+1"

Observe = Callable[[str], Served]


# The services


class Api:
    """A service with an HTTP API, for tests to make misbehave; it publishes in ``zones``."""

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.requests: list[str] = []
        self.complaint: str | None = None
        """Every request is answered with this error."""
        self._http = _HttpServer(self)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> Any:
        """Return what is sent as JSON. A ``KeyError`` is a 404, a ``ValueError`` a 422."""
        raise NotImplementedError

    def seed(self, name: str, *values: str) -> None:
        """Let these values be there."""
        self.zones.set_values(name, values)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class PowerDns(Api):
    """The HTTP API of PowerDNS: whole record sets, contents as in a zone file."""

    def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> Any:
        api, version, servers, server, zones, zone = path
        assert (api, version, servers) == ("api", "v1", "servers")
        assert (server, zones) == ("localhost", "zones")
        origin = zone.rstrip(".")
        if origin not in {str(known).rstrip(".") for known in self.zones.zones}:
            raise KeyError(zone)
        if method == "PATCH":
            for rrset in body["rrsets"]:
                assert (rrset["type"], rrset["changetype"]) == ("TXT", "REPLACE")
                values = [_from_zone_file(record["content"]) for record in rrset["records"]]
                self.zones.set_values(rrset["name"], values)
            return ""
        contents = [{"content": _quoted(value), "disabled": False} for value in self.values(origin)]
        rrset = {"name": f"{NAME}.", "type": "TXT", "ttl": 1, "records": contents}
        return {"kind": "Native", "rrsets": [rrset] if contents else []}

    def values(self, origin: str) -> list[str]:
        return self.zones.values(NAME) if f".{NAME}".endswith(f".{origin}") else []


class Desec(Api):
    """The API of deSEC: whole record sets, contents as in a zone file."""

    def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> Any:
        match method, path:
            case "GET", ["domains", ""]:
                return [
                    {"name": str(zone).rstrip("."), "minimum_ttl": 3600}
                    for zone in self.zones.zones
                    if f".{query['owns_qname']}.".endswith(f".{zone}")
                ]
            case "GET", ["domains", zone, "rrsets", subname, "TXT", ""]:
                values = self.zones.values(f"{subname.removesuffix('...')}.{zone}")
                if not values:
                    raise KeyError(subname)
                return {"records": [_quoted(value) for value in values]}
            case "PUT", ["domains", zone, "rrsets", ""]:
                for rrset in body:
                    values = [_from_zone_file(content) for content in rrset["records"]]
                    self.zones.set_values(f"{rrset['subname']}.{zone}", values)
                return body
        raise KeyError(path)


class Dnsimple(Api):
    """The API of DNSimple, as far as Lexicon uses it: records one by one."""

    def __init__(self, zones: Zones) -> None:
        super().__init__(zones)
        self.records: list[dict[str, Any]] = []
        self.published: Callable[[str], str | None] = lambda content: content
        """What DNS serves for a record's content."""
        self.keeps_others = True
        """Whether the other records of a name stay when one is added or deleted."""
        self.delay = 0.0
        """Seconds from an addition until it is served."""

    def seed(self, name: str, *values: str) -> None:
        for value in values:
            self._add(name, value)
        self._publish(name)

    def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> Any:
        match method, path:
            case "GET", ["accounts"]:
                return {"data": [{"id": 7, "plan_identifier": "solo", "email": "a@b.example"}]}
            case "GET", ["7", "domains"]:
                names = [str(zone).rstrip(".") for zone in self.zones.zones]
                found = [name for name in names if query["name_like"] in name]
                return {"data": [{"id": name} for name in found]}
            case "GET", ["7", "zones", zone, "records"]:
                name = f"{query['name']}.{zone}"
                rows = [row for row in self.records if row["at"] == name]
                return {"data": [{**row, "priority": None, "type": "TXT"} for row in rows]}
            case "POST", ["7", "zones", zone, "records"]:
                name = f"{body['name']}.{zone}"
                if not self.keeps_others:
                    self.records = [row for row in self.records if row["at"] != name]
                row = self._add(name, body["content"])
                threading.Timer(self.delay, self._publish, [name]).start()
                return {"data": row}
            case "DELETE", ["7", "zones", zone, "records", number]:
                (gone,) = (row for row in self.records if row["id"] == int(number))
                self.records.remove(gone)
                if not self.keeps_others:
                    self.records = [row for row in self.records if row["at"] != gone["at"]]
                self._publish(gone["at"])
                return None
        raise KeyError(path)

    def _add(self, name: str, content: str) -> dict[str, Any]:
        relative = name.removesuffix(".example.com")
        number = len(self.requests) * 100 + len(self.records)
        row = {"id": number, "at": name, "name": relative, "content": content, "ttl": 60}
        self.records.append(row)
        return row

    def _publish(self, name: str) -> None:
        contents = [row["content"] for row in self.records if row["at"] == name]
        values = [self.published(content) for content in contents]
        self.zones.set_values(name, [value for value in values if value is not None])


class _Cloudflare(CloudflareApi):
    """Cloudflare, seeded as the other services are."""

    def seed(self, name: str, *values: str) -> None:
        for value in values:
            self.add(name, value)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: Api) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _HttpHandler)


class _HttpHandler(BaseHTTPRequestHandler):
    server: _HttpServer

    def do_GET(self) -> None:
        api, url = self.server.api, urlsplit(self.path)
        api.requests.append(f"{self.command} {url.path}")
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if api.complaint is not None:
            return self._send(403, api.complaint)
        try:
            path = url.path.removeprefix("/").split("/")
            answer = api.answer(self.command, path, query, json.loads(sent or b"null"))
        except KeyError as error:
            return self._send(404, str(error))
        except (ValueError, dns.exception.DNSException) as error:
            return self._send(422, str(error))
        return self._send(200, "" if answer is None else json.dumps(answer))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Keep the test's output clean."""

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


def _quoted(value: str) -> str:
    return f'"{value}"'


def _from_zone_file(content: str) -> str:
    rdata: Any = dns.rdata.from_text("IN", "TXT", content)
    octets: bytes = b"".join(rdata.strings)
    return octets.decode()


# What tests take


@dataclasses.dataclass
class Made:
    """A bridge to a plugin, and the service behind it."""

    bridge: Bridge
    service: Any


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the plugins reach the services here, whatever proxy the machine uses."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def nameserver() -> Iterator[Nameserver]:
    """Resolver and server of zones whose top level Lexicon's list of such knows."""
    with serving("example.com", "child.example.com", keys=[KEY]) as running:
        yield running


@pytest.fixture
def told() -> list[str]:
    """What the user was told."""
    return []


@pytest.fixture
def observe(nameserver: Nameserver) -> Observe:
    """What the publisher hands to providers."""
    lookup = Lookup([Address(nameserver.address, nameserver.port)], port=nameserver.port)

    def observe(name: str) -> Served:
        found = lookup.find([name])[name]
        if found.trouble:
            raise ProviderError(f"{name} cannot be looked up: {found.trouble}.")
        servers = {str(answer): answer.values or () for answer in found.answers}
        return Served(found.values, found.zone, servers)

    return observe


MakeBridge = Callable[..., Bridge]


@pytest.fixture
def bridge(tmp_path: Path, observe: Observe, told: list[str]) -> MakeBridge:
    """Make a bridge: ``bridge("dns-desec", "dns_desec_token = …", {"option": "value"})``."""

    def bridge(
        plugin: str,
        file: str | None = None,
        options: Mapping[str, str] | None = None,
        observe: Observe = observe,
    ) -> Bridge:
        path = None
        if file is not None:
            path = tmp_path / "dns.ini"
            path.touch(mode=0o600)
            path.write_text(file)
        credentials = {"propagation_seconds": "5", **(options or {})}
        settings = Settings(credentials, str(path) if path else None, told.append, observe)
        return Bridge(settings, plugin)

    return bridge


Run = Callable[[Callable[[Zones], Any]], Any]


@pytest.fixture
def run(nameserver: Nameserver) -> Iterator[Run]:
    """Start a service that publishes in ``nameserver``; it ends with the test."""
    running = []

    def run(service: Callable[[Zones], Any]) -> Any:
        running.append(service(nameserver.zones))
        return running[-1]

    yield run
    for each in running:
        each.stop()


@pytest.fixture
def desec(
    bridge: MakeBridge, run: Run, nameserver: Nameserver, monkeypatch: pytest.MonkeyPatch
) -> Made:
    # It follows aliases through the system's resolver.
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [nameserver.address], nameserver.port
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    service = run(Desec)
    file = f"dns_desec_endpoint = {service.url}\ndns_desec_token = {SECRET}\n"
    return Made(bridge("dns-desec", file), service)


@pytest.fixture
def dnsimple(bridge: MakeBridge, run: Run, monkeypatch: pytest.MonkeyPatch) -> Made:
    service = run(Dnsimple)
    monkeypatch.setenv("LEXICON_DNSIMPLE_API_ENDPOINT", service.url)
    return Made(bridge("dns-dnsimple", f"dns_dnsimple_token = {SECRET}\n"), service)


@dataclasses.dataclass
class Seeded:
    """A service that is the nameserver itself."""

    zones: Zones

    def seed(self, name: str, *values: str) -> None:
        self.zones.set_values(name, values)


@pytest.fixture
def rfc2136(bridge: MakeBridge, nameserver: Nameserver, tmp_path: Path) -> Made:
    file = KEY.write_credentials(tmp_path / "key.ini", nameserver.address, nameserver.port)
    return Made(bridge("dns-rfc2136", file.read_text()), Seeded(nameserver.zones))


@pytest.fixture
def cloudflare(bridge: MakeBridge, run: Run, monkeypatch: pytest.MonkeyPatch) -> Made:
    service = run(lambda zones: _Cloudflare("example.com", mirror=zones))
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", service.url)
    file = f"dns_cloudflare_api_token = {service.token('example.com')}\n"
    return Made(bridge("dns-cloudflare", file), service)


@pytest.fixture
def pdns(bridge: MakeBridge, run: Run) -> Made:
    service = run(PowerDns)
    file = (
        f"dns_pdns_endpoint = {service.url}\n"
        f"dns_pdns_api_key = {SECRET}\n"
        "dns_pdns_server_id = localhost\n"
        "dns_pdns_disable_notify = true\n"
    )
    return Made(bridge("dns-pdns", file), service)


@pytest.fixture
def inwx(bridge: MakeBridge, run: Run) -> Made:
    service = run(InwxApi)
    file = (
        f"dns_inwx_url = {service.url}\n"
        "dns_inwx_username = user\n"
        f"dns_inwx_password = {SECRET}\n"
        f"dns_inwx_shared_secret = {SECRET}\n"
    )
    # As Certbot saves it, and migrate hands it on.
    return Made(bridge("dns-inwx", file, {"follow_cnames": "False"}), service)


@pytest.fixture(params=["cloudflare", "desec", "dnsimple", "inwx", "pdns", "rfc2136"])
def made(request: pytest.FixtureRequest) -> Made:
    """A bridge to each of the plugins."""
    made: Made = request.getfixturevalue(request.param)
    return made


# Adding and removing.


def test_a_value_comes_and_goes_and_those_beside_it_stay(
    made: Made, nameserver: Nameserver
) -> None:
    made.service.seed(NAME, THEIRS)

    made.bridge.add_value(NAME, OURS, 300)
    assert nameserver.values(NAME) == sorted([OURS, THEIRS])
    assert sorted(made.bridge.list_values(NAME)) == nameserver.values(NAME)
    assert made.bridge.zone_for(NAME) == "example.com"

    made.bridge.remove_value(NAME, OURS)
    assert nameserver.values(NAME) == [THEIRS]


def test_a_value_that_is_there_is_not_added_and_one_that_is_not_is_not_removed(
    dnsimple: Made,
) -> None:
    dnsimple.service.seed(NAME, OURS, THEIRS)

    dnsimple.bridge.add_value(NAME, OURS, 300)
    dnsimple.bridge.remove_value(NAME, OURS + "1")

    # Lexicon's gehirn, for one, deletes every record of a name when it does not find the value.
    assert dnsimple.service.requests == []


def test_a_plugin_finds_the_zone_of_the_record_wherever_the_domain_is(
    dnsimple: Made, nameserver: Nameserver
) -> None:
    name = "www-example-com.proofs.child.example.com"

    dnsimple.bridge.add_value(name, OURS, 300)

    assert dnsimple.bridge.zone_for(name) == "child.example.com"
    assert "POST /7/zones/child.example.com/records" in dnsimple.service.requests
    assert nameserver.values(name) == [OURS]


def test_the_plugins_ttl_is_told_once(rfc2136: Made, told: list[str]) -> None:
    assert rfc2136.bridge.add_value(NAME, OURS, 300) == 120
    assert rfc2136.bridge.add_value("child." + NAME, OURS, 300) == 120
    assert len(told) == 1
    assert "dns-rfc2136" in told[0]
    assert "120 seconds instead of 300" in told[0]


def test_a_bridge_of_its_own_removes_what_another_added(made: Made, bridge: MakeBridge) -> None:
    made.bridge.add_value(NAME, OURS, 300)
    file = Path(str(made.bridge._settings.credentials_file)).read_text()
    another = bridge(made.bridge._name, file, made.bridge._settings.credentials)

    if made.bridge._name == "dns-inwx":
        # It keeps, for the life of the process, what it needs to find a record again.
        type(another._plugin).nameCache.clear()
        with pytest.raises(ProviderError, match=r"cannot remove .*: KeyError"):
            another.remove_value(NAME, OURS)
        return
    another.remove_value(NAME, OURS)
    assert made.bridge.list_values(NAME) == []


# What plugins and services make of a value.


def test_rfc2136_is_given_the_value_in_quotes_at_once(
    rfc2136: Made, nameserver: Nameserver
) -> None:
    rfc2136.bridge.add_value(NAME, OURS, 300)
    rfc2136.bridge.remove_value(NAME, OURS)
    assert nameserver.updates == ["NOERROR", "NOERROR"]


@pytest.mark.parametrize("value", [LONG, 'quotes " and \\ and ; and  blanks', "caf\u00e9"])
def test_rfc2136_takes_any_value(rfc2136: Made, nameserver: Nameserver, value: str) -> None:
    rfc2136.bridge.add_value(NAME, value, 300)
    assert nameserver.values(NAME) == [value]
    rfc2136.bridge.remove_value(NAME, value)
    assert nameserver.values(NAME) == []


def test_a_value_that_is_cut_at_its_blanks_is_tried_in_quotes(
    dnsimple: Made, nameserver: Nameserver
) -> None:
    dnsimple.service.published = _from_zone_file
    dnsimple.service.seed(NAME, _quoted(THEIRS))

    dnsimple.bridge.add_value(NAME, OURS, 300)
    assert nameserver.values(NAME) == sorted([OURS, THEIRS])

    dnsimple.service.requests.clear()
    dnsimple.bridge.add_value(f"two.{NAME}", OURS, 300)
    dnsimple.bridge.remove_value(NAME, OURS)
    assert nameserver.values(f"two.{NAME}") == [OURS]
    assert nameserver.values(NAME) == [THEIRS]
    assert sum(line.startswith("POST") for line in dnsimple.service.requests) == 1


def test_a_removal_in_a_process_of_its_own_finds_out_about_the_quotes(
    dnsimple: Made, nameserver: Nameserver, bridge: MakeBridge
) -> None:
    dnsimple.service.published = _from_zone_file
    dnsimple.service.seed(NAME, _quoted(OURS), _quoted(THEIRS))
    another = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})

    another.remove_value(NAME, OURS)

    assert nameserver.values(NAME) == [THEIRS]


def test_a_value_that_no_form_saves_is_taken_back_and_both_are_shown(
    dnsimple: Made, nameserver: Nameserver
) -> None:
    dnsimple.service.published = lambda content: content[:40]
    dnsimple.service.seed(NAME, THEIRS[:30])

    with pytest.raises(ProviderError) as caught:
        dnsimple.bridge.add_value(NAME, OURS, 300)

    message = str(caught.value)
    assert f"did not write the TXT record {NAME} in the zone example.com" in message
    assert f'Expected:\n  "{OURS}"\n' in message
    assert f'Served:\n  "{OURS[:40]}"\n  ""{OURS[:39]}"' in message
    assert "It was removed again. Use another provider" in message
    assert nameserver.values(NAME) == [THEIRS[:30]]


def test_what_cannot_be_taken_back_is_shown(
    dnsimple: Made, nameserver: Nameserver, bridge: MakeBridge
) -> None:
    def published(content: str) -> str:
        dnsimple.service.complaint = "closed"
        return content[:40]

    dnsimple.service.published = published
    impatient = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})

    with pytest.raises(ProviderError) as caught:
        impatient.add_value(NAME, OURS, 300)

    assert f'It could not be removed again. Please remove:\n  {NAME}  "{OURS[:40]}"' in str(
        caught.value
    )
    assert nameserver.values(NAME) == [OURS[:40]]


def test_a_value_too_long_for_the_plugin_is_its_error(desec: Made, nameserver: Nameserver) -> None:
    with pytest.raises(ProviderError, match=r"cannot add the TXT record .*status 422"):
        desec.bridge.add_value(NAME, LONG, 300)
    assert nameserver.values(NAME) == []


def test_a_slow_service_is_waited_for(dnsimple: Made, nameserver: Nameserver) -> None:
    dnsimple.service.delay = 1.5
    dnsimple.bridge.add_value(NAME, OURS, 300)
    assert nameserver.values(NAME) == [OURS]


def test_a_service_that_says_yes_and_does_nothing_is_found_out(
    dnsimple: Made, bridge: MakeBridge
) -> None:
    dnsimple.service.published = lambda content: None
    impatient = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})

    with pytest.raises(ProviderError) as caught:
        impatient.add_value(NAME, OURS, 300)

    message = str(caught.value)
    assert "reported success, but 1 seconds later no server serves" in message
    assert f'"{OURS}"' in message
    assert "set dns_persist_plugin_propagation_seconds in " in message
    assert "It was removed again." in message
    assert dnsimple.service.records == []


def test_a_record_that_is_not_removed_is_an_error(dnsimple: Made, bridge: MakeBridge) -> None:
    dnsimple.service.published = lambda content: content.lower()
    dnsimple.service.seed(NAME, OURS.upper())
    impatient = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})

    with pytest.raises(ProviderError, match=r"did not remove the TXT record .* still served there"):
        impatient.remove_value(NAME, OURS.lower())


def test_only_the_first_of_many_names_is_waited_for(dnsimple: Made, nameserver: Nameserver) -> None:
    names = [f"n{number}.{NAME}" for number in range(5)]
    dnsimple.bridge.add_value(names[0], OURS, 300)
    queries = nameserver.queries.total()

    for name in names[1:]:
        dnsimple.bridge.add_value(name, OURS, 300)

    each = nameserver.queries.total() - queries
    assert [nameserver.values(name) for name in names] == [[OURS]] * 5
    assert each <= 4 * 8  # one look at each: its zone, servers, addresses and values


# Other people's records.


def test_records_that_a_write_destroys_are_shown_and_no_more_are_put_at_risk(
    dnsimple: Made, nameserver: Nameserver, bridge: MakeBridge
) -> None:
    dnsimple.service.keeps_others = False
    dnsimple.service.seed(NAME, THEIRS, "v=spf1 -all")
    dnsimple.service.seed(f"two.{NAME}", THEIRS)
    bridged = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})

    with pytest.raises(ProviderError) as caught:
        bridged.add_value(NAME, OURS, 300)
    message = str(caught.value)
    assert f'added the TXT record {NAME} with the value "{OURS}" in the zone example.com' in message
    assert f'other values there vanished with that:\n  "{THEIRS}"\n  "v=spf1 -all"\n' in message
    assert "Restore them" in message

    with pytest.raises(ProviderError, match=f"Nothing was changed at two.{NAME}"):
        bridged.add_value(f"two.{NAME}", OURS, 300)
    assert nameserver.values(f"two.{NAME}") == [THEIRS]

    bridged.add_value(f"three.{NAME}", OURS, 300)
    assert nameserver.values(f"three.{NAME}") == [OURS]


def test_a_name_without_others_proves_nothing_about_one_with_them(
    dnsimple: Made, bridge: MakeBridge
) -> None:
    dnsimple.service.keeps_others = False
    dnsimple.service.seed(NAME, THEIRS)
    bridged = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})
    bridged.add_value(f"empty.{NAME}", OURS, 300)

    with pytest.raises(ProviderError, match="other values there vanished"):
        bridged.add_value(NAME, OURS, 300)


def test_records_that_a_removal_destroys_are_shown(
    dnsimple: Made, nameserver: Nameserver, bridge: MakeBridge
) -> None:
    dnsimple.service.seed(NAME, OURS, THEIRS)
    dnsimple.service.keeps_others = False
    bridged = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", {"propagation_seconds": "1"})

    with pytest.raises(ProviderError, match=r"removed .* other values there vanished"):
        bridged.remove_value(NAME, OURS)
    assert nameserver.values(NAME) == []


def test_a_secondary_that_lags_does_not_hide_what_was_destroyed(
    dnsimple: Made, nameserver: Nameserver, bridge: MakeBridge, observe: Observe
) -> None:
    dnsimple.service.keeps_others = False
    dnsimple.service.seed(NAME, THEIRS)

    def two_servers(name: str) -> Served:
        primary = observe(name)
        return Served([*primary.values, THEIRS], primary.zone, {**primary.servers, "ns2": [THEIRS]})

    options = {"propagation_seconds": "1"}
    bridged = bridge("dns-dnsimple", "dns_dnsimple_token = t\n", options, two_servers)
    with pytest.raises(ProviderError, match="other values there vanished"):
        bridged.add_value(NAME, OURS, 300)


# What plugins say.


def test_a_plugins_words_are_passed_on_without_secrets(desec: Made) -> None:
    desec.service.complaint = f"no, {SECRET} (hush%2Fhush%2B1) is not known"
    with pytest.raises(ProviderError) as caught:
        desec.bridge.add_value(NAME, OURS, 300)

    message = str(caught.value)
    assert "dns-desec (certbot-dns-desec " in message
    assert f"cannot add the TXT record {NAME} in the zone example.com" in message
    assert "Could not authenticate against deSEC API" in message
    assert "no, *** (***) is not known" in message
    assert "dns.ini" in message
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_a_plugins_words_are_short_and_of_one_line(desec: Made) -> None:
    desec.service.complaint = f"\x1b[2Jgone\nAll is well.{'x' * 9999}"
    with pytest.raises(ProviderError) as caught:
        desec.bridge.add_value(NAME, OURS, 300)
    message = str(caught.value)
    assert len(message) < 1000
    assert message.isprintable()


def test_a_signal_while_a_plugin_works_is_no_fault_of_the_plugin(
    desec: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certbot's handlers raise an error that the plugin, too, may take for its own."""

    def end(*_: object) -> None:
        raise SignalExit

    def wrap(*_: object) -> None:
        try:
            end()
        except Exception as error:
            raise PluginError("the service failed") from error

    for method in (end, wrap):
        monkeypatch.setattr(desec.bridge._plugin, "_perform", method)
        with pytest.raises(SignalExit):
            desec.bridge.add_value(NAME, OURS, 300)


def test_where_the_service_is_is_not_hidden(pdns: Made) -> None:
    pdns.service.complaint = "closed"
    with pytest.raises(ProviderError) as caught:
        pdns.bridge.add_value(NAME, OURS, 300)
    assert f"403 Client Error: Forbidden for url: {pdns.service.url}/" in str(caught.value)


def test_a_failed_addition_is_not_removed_later(dnsimple: Made) -> None:
    dnsimple.service.complaint = "closed"
    with pytest.raises(ProviderError):
        dnsimple.bridge.add_value(NAME, OURS, 300)
    dnsimple.service.requests.clear()

    dnsimple.bridge.remove_value(NAME, OURS)

    assert dnsimple.service.requests == []


def test_a_zone_that_cannot_be_looked_up_is_not_written_to(
    dnsimple: Made, nameserver: Nameserver
) -> None:
    nameserver.faults.drop = 1
    with pytest.raises(ProviderError, match="cannot be looked up"):
        dnsimple.bridge.add_value(NAME, OURS, 300)
    assert dnsimple.service.requests == []


# Configuration.


def refusal(make: Callable[[], Bridge]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_missing_key_is_named_with_the_file(bridge: MakeBridge) -> None:
    message = refusal(lambda: bridge("dns-desec", f"dns_desec_tokem = {SECRET}\n"))
    assert "dns-desec (certbot-dns-desec " in message
    assert 'Property "dns_desec_token" not found' in message
    assert "dns.ini" in message


def test_without_a_file_the_option_is_named_and_nobody_is_asked(bridge: MakeBridge) -> None:
    message = refusal(lambda: bridge("dns-desec"))
    assert "needs its option credentials (deSEC credentials INI file)" in message
    assert "--dns-persist-credentials FILE" in message


def test_our_own_keys_may_stand_in_the_plugins_file(bridge: MakeBridge) -> None:
    bridge("dns-desec", "dns_desec_token = t\ndns_persist_plugin_propagation_seconds = 9\n")


def test_the_plugin_may_have_a_file_of_its_own(bridge: MakeBridge, tmp_path: Path) -> None:
    own = tmp_path / "own.ini"
    own.touch(mode=0o600)
    own.write_text("dns_desec_token = t\n")
    bridge("dns-desec", "# nothing\n", {"credentials": str(own)})

    message = refusal(lambda: bridge("dns-desec", "", {"credentials": str(tmp_path / "none")}))
    assert f"File not found: {tmp_path / 'none'}" in message


def test_an_unknown_option_is_answered_with_the_known_ones(bridge: MakeBridge) -> None:
    message = refusal(lambda: bridge("dns-desec", "dns_desec_token = t", {"endpoint": SECRET}))
    assert "has no option for dns_persist_plugin_endpoint in " in message
    assert "dns_persist_plugin_propagation_seconds, dns_persist_plugin_credentials" in message


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", ""])
def test_the_wait_is_a_number(bridge: MakeBridge, value: str) -> None:
    options = {"propagation_seconds": value}
    message = refusal(lambda: bridge("dns-desec", "dns_desec_token = t", options))
    assert "dns_persist_plugin_propagation_seconds" in message
    assert "whole number of seconds" in message


# Plugins that nobody can bridge, and how they are found.

PLUGIN = """\
from certbot import interfaces
from certbot.plugins import common, dns_common

class Plugin(dns_common.DNSAuthenticator):
    description = "A plugin."

    @classmethod
    def add_parser_arguments(cls, add):
        super().add_parser_arguments(add)
        add("token")
        add("zone-id", type=int)
        add("loud", action="store_true")

    def more_info(self): return ""

    def _setup_credentials(self):
        self._configure("token", "API token")
        self.seen = self.conf("token"), self.conf("zone-id"), self.conf("loud")

    def _perform(self, domain, name, value): pass
    def _cleanup(self, domain, name, value): pass
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with the Certbot plugin ``dns-local-test``."""

    def install(
        source: str = PLUGIN,
        distribution: str = "certbot-dns-local-test",
        plugin: str = "dns-local-test",
        group: str = "certbot.plugins",
    ) -> None:
        module = distribution.replace("-", "_")
        metadata = tmp_path / module / f"{module}-1.2.3.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2.3\n"
        )
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{plugin} = {module}:Plugin\n")
        (tmp_path / module / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path / module))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_options_of_the_plugin_come_from_the_file(bridge: MakeBridge, install: Install) -> None:
    install()
    options = {"token": "t", "zone_id": "7", "loud": "true"}
    assert bridge("dns-local-test", None, options)._plugin.seen == ("t", 7, True)
    options = {"token": "-t", "loud": "false"}
    assert bridge("dns-local-test", None, options)._plugin.seen == ("-t", None, False)


@pytest.mark.parametrize(("text", "read"), [("False", False), ("", False), ("true", True)])
def test_false_is_false_also_for_an_option_that_takes_any_text_for_true(
    bridge: MakeBridge, install: Install, text: str, read: bool
) -> None:
    install(PLUGIN.replace("type=int", "type=bool"))
    options = {"token": "t", "zone_id": text}
    assert bridge("dns-local-test", None, options)._plugin.seen == ("t", read, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"zone_id": "7"}, "needs its option token (API token). Add a line "),
        ({"token": "t", "loud": "loudly"}, "dns.ini must be true or false"),
        ({"token": "t", "zone_id": SECRET}, "--dns-local-test-zone-id: invalid int value"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    bridge: MakeBridge, install: Install, options: dict[str, str], words: str
) -> None:
    install()
    assert words in refusal(lambda: bridge("dns-local-test", "", options))


def test_the_usual_wait_is_what_the_plugins_authors_say_but_not_too_short(
    observe: Observe, install: Install
) -> None:
    def patience(plugin: str) -> int:
        return Bridge(Settings({"token": "t"}, None, print, observe), plugin)._patience

    install()
    assert patience("dns-local-test") == 120
    slow = PLUGIN.replace("add_parser_arguments(add)\n", "add_parser_arguments(add, 900)\n")
    install(slow, "certbot-dns-slow", "dns-slow")
    assert patience("dns-slow") == 900


def test_a_plugin_of_the_old_group_is_found(bridge: MakeBridge, install: Install) -> None:
    install(group="letsencrypt.plugins")
    assert "dns-local-test" in loader.available()
    bridge("dns-local-test", None, {"token": "t"})


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "def more_info",
            "def perform(self, achalls): pass\n    def more_info",
            "it overrides Certbot's perform()",
        ),
        (
            "def more_info",
            "def cleanup(self, achalls): pass\n    def more_info",
            "it overrides Certbot's cleanup()",
        ),
        (
            "dns_common.DNSAuthenticator",
            "common.Plugin, interfaces.Authenticator",
            "it is not based on Certbot's DNSAuthenticator",
        ),
        ("class Plugin", "import nothing_of_that_name\nclass Plugin", "ModuleNotFoundError"),
        ("    def _cleanup", "    def cleanup_too", "TypeError"),
    ],
)
def test_a_plugin_that_cannot_be_told_what_to_write_is_refused(
    bridge: MakeBridge, install: Install, old: str, new: str, reason: str
) -> None:
    install(PLUGIN.replace(old, new))
    message = refusal(lambda: bridge("dns-local-test", None, {"token": "t"}))
    assert "The Certbot plugin dns-local-test (certbot-dns-local-test 1.2.3) cannot be " in message
    assert reason in message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dns-route53", "Use --dns-persist-provider route53"),
        ("dns-multi", "ignores the value that it is given"),
        ("dns-standalone", "only while Certbot runs"),
        ("dns-persist", "it is this plugin itself"),
        ("dns-ionos", "removes all TXT records of a name"),
        ("dns-porkbun", "it writes at _acme-challenge"),
        ("acme-dns", "43 characters"),
    ],
)
def test_a_plugin_that_would_do_harm_is_refused_with_the_reason(
    bridge: MakeBridge, name: str, reason: str
) -> None:
    message = refusal(lambda: bridge(name, ""))
    assert f"The Certbot plugin {name} cannot be used as a provider: " in message
    assert reason in message


def test_a_plugin_of_the_same_name_from_another_package_is_another_one(
    bridge: MakeBridge, install: Install
) -> None:
    install(distribution="certbot-ionos-by-others", plugin="dns-ionos")
    made = bridge("dns-ionos", None, {"token": "t"})
    assert made.identity() == "the Certbot plugin dns-ionos (certbot-ionos-by-others 1.2.3)"


def test_what_we_know_is_tried_out_only_in_another_major_version(
    rfc2136: Made, bridge: MakeBridge, install: Install
) -> None:
    assert rfc2136.bridge.identity() is None
    install(distribution="certbot-dns-bunny", plugin="dns-bunny")  # 1.2.3, and we know 3.0.0
    made = bridge("dns-bunny", None, {"token": "t"})
    assert made.identity() == "the Certbot plugin dns-bunny (certbot-dns-bunny 1.2.3)"


@pytest.mark.parametrize("name", ["auth", "certbot-local:auth"])
def test_a_plugin_of_any_name_is_bridged_by_it(
    bridge: MakeBridge, install: Install, observe: Observe, name: str
) -> None:
    install(distribution="certbot-local", plugin="auth")
    assert "auth" in loader.available()
    settings = Settings({"token": "t"}, None, print, observe)
    assert isinstance(loader.load(name, settings), Bridge)
    assert not {"apache", "nginx", "standalone", "webroot"} & {*loader.available()}


def test_a_plugin_that_knows_only_the_domain_is_given_that(
    bridge: MakeBridge, install: Install, nameserver: Nameserver
) -> None:
    by_domain = PLUGIN.replace(
        "def _perform(self, domain, name, value): pass",
        """def _perform(self, domain, name, value):
        self.asked = getattr(self, "asked", []) + [domain]
        if domain != "www.example.com":
            raise ValueError("no such zone")
        self.zones.set_values(name, [value])""",
    )
    install(by_domain)
    made = bridge("dns-local-test", None, {"token": "t"})
    made._plugin.zones = nameserver.zones
    made.add_value(NAME, OURS, 300)
    assert nameserver.values(NAME) == [OURS]
    assert made._plugin.asked == ["example.com", "www.example.com"]


def test_two_packages_with_one_plugin_get_no_credentials(
    bridge: MakeBridge, install: Install
) -> None:
    install()
    install(distribution="evil-twin")
    message = refusal(lambda: bridge("dns-local-test", None, {"token": "t"}))
    assert "certbot-dns-local-test 1.2.3, evil-twin 1.2.3" in message


def test_a_plugin_that_is_not_installed_is_answered_with_those_that_are(
    bridge: MakeBridge,
) -> None:
    message = refusal(lambda: bridge("dns-nobody"))
    assert "There is no Certbot plugin dns-nobody" in message
    assert "dns-rfc2136" in message


def test_the_loader_bridges_what_it_has_no_provider_for(observe: Observe, tmp_path: Path) -> None:
    assert {"dns-desec", "dns-rfc2136", "rfc2136"} <= set(loader.available())
    assert "dns-persist" not in loader.available()
    file = KEY.write_credentials(tmp_path / "key.ini", "192.0.2.53", 53)
    provider = loader.load("dns-rfc2136", Settings({}, str(file), print, observe))
    assert isinstance(provider, Bridge)


# The whole of it.


def test_certbot_gets_a_certificate_through_a_bridged_plugin(
    certbot: Certbot, bind: Bind, bind_credentials: Path, domain: str
) -> None:
    options = [
        *("--dns-persist-provider", "dns-rfc2136"),
        *("--dns-persist-credentials", str(bind_credentials)),
        *("--dns-persist-resolvers", bind.resolver.address),
    ]
    certbot.program = PROGRAM
    if "dns-rfc2136" not in certbot.run("plugins").output:
        pytest.skip(f"{certbot.program} has no plugin dns-rfc2136")
    name = validation_domain_name(domain)
    bind.add_txt(name, THEIRS)

    tried = certbot.certonly(*options, "--dry-run", "-d", domain)
    assert tried.returncode == 0, tried.output
    assert bind.primary.values(name) == [THEIRS]
    bind.settle()  # or what the secondary still serves would be taken for a record that stands

    done = certbot.certonly(*options, "-d", domain)
    assert done.returncode == 0, done.output
    ours = f"{ISSUER}; accounturi={certbot.account_url}"
    assert bind.primary.values(name) == sorted([ours, THEIRS])
    assert certbot.certificate(domain).names == [domain]
    assert [(line["action"], line["provider"], line["zone"]) for line in certbot.journal()] == [
        ("add", "dns-rfc2136", "example.test"),
        ("remove", "dns-rfc2136", "example.test"),
        ("add", "dns-rfc2136", "example.test"),
    ]

    bind_credentials.unlink()
    updates = bind.primary.update_count()
    renewed = certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output
    assert bind.primary.update_count() == updates
