"""The providers that ask an HTTP API: what goes wrong, the same for each, and what is special."""

import dataclasses
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.azure_api import GROUP, SUBSCRIPTION, AzureApi
from support.digitalocean_api import DigitaloceanApi
from support.google_api import ACCOUNT, PROJECT, GoogleApi
from support.hetzner_api import HetznerApi
from support.http_api import WRITES, Faults, HttpApi
from support.need import need
from support.powerdns import Powerdns, missing
from support.process import free_port

from certbot_dns_persist.errors import ConfigurationError, OutcomeUnknown, ProviderError
from certbot_dns_persist.providers import credentials, loader
from certbot_dns_persist.providers.http import HttpProvider
from certbot_dns_persist.providers.interface import Addition, Served, Settings

NAME = "_validation-persist.example.test"
OURS = "ca.example; accounturi=https://ca.example/acct/1; persistUntil=1830000000"
FOREIGN = sorted(
    ["other.example; accounturi=https://other.example/9", 'quoted "9" and \\ back', f"{OURS}1"]
)
FILE = "/etc/dns.ini"
HTTP = "certbot_dns_persist.providers.http"


@dataclasses.dataclass
class Service:
    """One service, with foreign values at ``NAME``."""

    provider: str
    api: HttpApi
    keys: dict[str, str]
    told: list[str] = dataclasses.field(default_factory=list)

    def make(self, zone: str | None = None, **other: str) -> Any:
        """Make a provider; ``zone`` is what DNS shows."""

        def observe(name: str) -> Served:
            return Served([], zone)

        keys = {**self.keys, **other}
        return loader.load(self.provider, Settings(keys, FILE, self.told.append, observe))

    def add(self, value: str) -> None:
        if isinstance(self.api, Powerdns):
            self.api.put("example.test", NAME, [*self.api.values(NAME), value])
        else:
            self.api.add(NAME, value)

    def values(self) -> list[str]:
        return self.api.values(NAME)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{HTTP}._PAUSES", (0.01, 0.02, 0.04))
    monkeypatch.setattr(f"{HTTP}._SETTLE", 0.0)
    monkeypatch.setattr(f"{HTTP}._STEP_ASIDE", (0.0, 0.01))
    for variable in [*os.environ]:
        if variable.startswith(("AZURE_", "GOOGLE_", "CLOUDSDK_", "IDENTITY_", "MSI_")):
            monkeypatch.delenv(variable)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def powerdns(tmp_path: Path, stack: ExitStack) -> Service:
    need(not missing(), str(missing()))
    server = stack.enter_context(Powerdns(tmp_path, "example.test"))
    return Service("powerdns", server, server.keys)


@pytest.fixture
def hetzner(stack: ExitStack) -> Service:
    api = stack.enter_context(HetznerApi("example.test"))
    return Service("hetzner", api, api.keys)


@pytest.fixture
def digitalocean(stack: ExitStack) -> Service:
    api = stack.enter_context(DigitaloceanApi("example.test"))
    return Service("digitalocean", api, api.keys)


@pytest.fixture
def google(tmp_path: Path, stack: ExitStack) -> Service:
    api = stack.enter_context(GoogleApi("example.test"))
    account = api.write_service_account(tmp_path / "google.json")
    return Service("google", api, {"service_account": str(account), "api_url": api.url})


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Service:
    api = stack.enter_context(AzureApi("example.test"))
    for variable, value in api.variables.items():
        monkeypatch.setenv(variable, value)
    return Service("azure", api, api.keys)


@pytest.fixture(params=["powerdns", "hetzner", "digitalocean", "google", "azure"])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    for value in FOREIGN:
        found.add(value)
    return found


def fails(call: Callable[[], object], *words: str) -> str:
    """Assert a :class:`ProviderError` with these words, of which nothing is chained; return it."""
    with pytest.raises(ProviderError) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value))
    assert "hushhush" not in shown
    assert "During handling" not in shown
    assert "direct cause" not in shown
    message = str(caught.value)
    for word in words:
        assert word in message
    return message


# The same for each.


def test_a_change_is_made_once_although_its_answer_is_lost(service: Service) -> None:
    provider = service.make()
    assert sorted(provider.list_values(NAME)) == FOREIGN
    service.api.faults = Faults(methods=WRITES, times=1, reset="after")
    provider.add_value(NAME, OURS, 300)
    assert service.values() == sorted([*FOREIGN, OURS])
    service.api.faults = Faults(methods=WRITES, times=1, reset="after")
    provider.remove_value(NAME, OURS)
    assert service.values() == FOREIGN


def test_a_change_whose_outcome_nobody_sees_is_called_unknown(service: Service) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    service.api.faults = Faults(methods=WRITES, reset="before")
    with pytest.raises(OutcomeUnknown):
        provider.add_value(NAME, OURS, 300)

    def vanish() -> None:
        service.api.faults = Faults(reset="before")

    service.api.faults = Faults(methods=WRITES, meanwhile=vanish)
    with pytest.raises(OutcomeUnknown):
        provider.add_value(NAME, OURS, 300)


def test_a_change_that_is_refused_or_never_sent_is_not_called_unknown(service: Service) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    for fault in (Faults(reset="before"), Faults(methods=WRITES, status=400)):
        service.api.faults = fault
        with pytest.raises(ProviderError) as caught:
            provider.add_value(NAME, OURS, 300)
        assert not isinstance(caught.value, OutcomeUnknown)


def test_what_passes_is_tried_again(service: Service) -> None:
    provider = service.make()
    for fault in (Faults(times=3, status=503), Faults(times=2, reset="before")):
        service.api.faults = fault
        provider.add_value(NAME, OURS, 300)
        assert service.values() == sorted([*FOREIGN, OURS])
        provider.remove_value(NAME, OURS)
    assert service.values() == FOREIGN


def test_what_does_not_pass_is_told_with_service_zone_and_what_to_do(service: Service) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    service.api.faults = Faults(status=503)
    message = fails(lambda: provider.add_value(NAME, OURS, 300), NAME, "zone example.test", "503")
    assert type(provider).SERVICE in message
    assert type(provider).HINT in message
    service.api.faults = Faults()
    assert service.values() == FOREIGN


def test_it_waits_as_long_as_the_service_asks_and_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(f"{HTTP}.time.sleep", slept.append)
    provider = service.make()
    provider.zone_for(NAME)
    service.api.faults = Faults(times=1, status=429, headers={"Retry-After": "17"})
    provider.list_values(NAME)
    reset = {"RateLimit-Reset": str(int(time.time()) + 40), "RateLimit-Remaining": "0"}
    service.api.faults = Faults(times=1, status=429, headers=reset)
    provider.list_values(NAME)
    assert slept[0] == 17
    assert 35 <= slept[1] <= 40
    assert "answered 429, and asks to retry after 17 seconds. Waiting 17" in service.told[0]
    service.api.faults = Faults(status=429, headers={"Retry-After": "9999"})
    fails(lambda: provider.list_values(NAME), "9999 seconds")


def test_what_its_api_does_not_document_is_no_empty_list(service: Service) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    for body in (b"<html>Log in</html>", b"[]", b'"no"', b"{}"):
        service.api.faults = Faults(methods={"GET"}, body=body)
        if body == b"{}" and service.provider == "google":
            continue  # that is how Google says that there is nothing
        fails(lambda: provider.list_values(NAME), "does not document", "HTTPS_PROXY")
    service.api.faults = Faults(status=302, headers={"Location": "http://127.0.0.9/"})
    fails(lambda: provider.list_values(NAME), "a redirection (status 302)")
    service.api.faults = Faults()
    assert service.values() == FOREIGN


def test_a_change_that_is_accepted_and_not_made_is_told(service: Service) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    record = {"id": 1, "data": OURS}
    answer = {"action": {"id": 7, "status": "success"}, "domain_record": record, "status": "done"}
    service.api.faults = Faults(methods=WRITES - {"GET"}, pretend=answer)
    if service.provider == "google":
        provider._headers()  # its token, before that is pretended too
    fails(lambda: provider.add_value(NAME, OURS, 300), "accepted the change, but does not show it")
    fails(lambda: provider.remove_value(NAME, FOREIGN[0]), "accepted the change")
    service.api.faults = Faults()
    assert service.values() == FOREIGN


def _refusing(service: Service, said: str) -> Faults:
    """Return how the service answers with an error in these words."""
    error = said if service.provider == "powerdns" else {"code": "no", "message": said}
    return Faults(status=400, error={"error": error, "id": "no", "message": said})


def test_an_answer_that_quotes_the_credentials_is_told_without_them(service: Service) -> None:
    at_work = service.make()
    at_work.zone_for(NAME)  # with its token, if it has to ask for one
    service.api.faults = _refusing(service, f"who is hushhush-{service.provider}?")
    fails(lambda: at_work.list_values(NAME), "answered 400: who is (secret)?")
    # Nor with a part of them, where its words are cut off.
    service.api.faults = _refusing(service, f"{'x' * 494} hushhush-{service.provider}")
    fails(lambda: at_work.list_values(NAME), "x (sec")


def test_the_words_of_an_error_are_short_and_of_one_line(service: Service) -> None:
    at_work = service.make()
    at_work.zone_for(NAME)
    service.api.faults = _refusing(service, f"\x1b[2Jgone\nAll is well.{'x' * 9999}")
    message = fails(lambda: at_work.list_values(NAME), r"answered 400: \x1b[2Jgone All is well.")
    assert len(message) < 1000
    headers = {"Content-Type": f"text/\x1b[2J{'x' * 9999}"}
    service.api.faults = Faults(body=b"<html>", headers=headers)
    message = fails(lambda: at_work.list_values(NAME), "does not document: 6 octets text/")
    assert len(message) < 1000


def test_what_no_program_can_read_is_told_as_undocumented(service: Service) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    for body in (b"[" * 100_000, b'{"rrset": {"ttl": 1e999, "records": []}, "rrsets": 7}'):
        service.api.faults = Faults(methods={"GET"}, body=body)
        if service.provider != "google" or body[:1] == b"[":
            fails(lambda: provider.list_values(NAME), "does not document")
    service.api.faults = Faults(methods={"GET"}, status=400, body=b"[" * 100_000)
    fails(lambda: provider.list_values(NAME), "answered 400. ")


def test_an_answer_without_end_is_not_read_to_its_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = service.make()
    provider.zone_for(NAME)
    service.api.faults = Faults(methods={"GET"}, trickle=True)
    with monkeypatch.context() as patch:
        patch.setattr(f"{HTTP}._WHOLE", 0.2)
        fails(lambda: provider.list_values(NAME), "gave no whole answer within 0.2 seconds")
    monkeypatch.setattr(f"{HTTP}._MOST_OCTETS", 1000)
    service.api.faults = Faults(methods={"GET"}, body=b" " * 1001)
    fails(lambda: provider.list_values(NAME), "more than 1000 octets")


def test_pages_that_never_end_are_not_all_asked_for(
    google: Service, digitalocean: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{HTTP}._MOST_PAGES", 5)
    google.make().zone_for(NAME)
    google.api.requests.clear()
    google.api.faults = Faults(methods={"GET"}, pretend={"nextPageToken": "again"})
    fails(lambda: google.make().zone_for(NAME), "pages without end (2 so far)")
    assert len(google.api.requests) == 3  # one for a token
    at_work = digitalocean.make()
    at_work.zone_for(NAME)
    digitalocean.api.requests.clear()
    more = {"domain_records": [], "links": {"pages": {"next": "https://api.invalid/"}}}
    digitalocean.api.faults = Faults(methods={"GET"}, pretend=more)
    fails(lambda: at_work.list_values(NAME), "pages without end (5 so far)")
    assert len(digitalocean.api.requests) == 5
    monkeypatch.setattr(f"{HTTP}._PATIENCE", -1.0)
    fails(lambda: at_work.list_values(NAME), "pages without end (0 so far)")


def test_credentials_that_may_only_read_are_told(service: Service) -> None:
    if service.provider == "powerdns":
        return  # it has one key, which may do everything
    provider = service.make()
    provider.zone_for(NAME)
    service.api.read_only = True
    fails(lambda: provider.add_value(NAME, OURS, 300), "403", "zone example.test")
    assert service.values() == FOREIGN


def test_where_a_proxy_or_the_service_cannot_be_reached_it_says_why(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://user:hushhush@127.0.0.1:{free_port()}"
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(HttpProvider, "_may_be_plain", lambda self, parts: True)
    provider = service.make(api_url="http://api.service.invalid")
    message = fails(lambda: provider.list_values(NAME), "network")
    assert "Connection refused" in message or "no access token" in message


@pytest.mark.parametrize("provider", ["powerdns", "hetzner", "digitalocean"])
def test_an_api_on_this_machine_is_asked_without_a_proxy(
    provider: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert request.getfixturevalue(provider).make().list_values(NAME) == []


def test_a_file_of_cas_that_is_missing_is_named(
    hetzner: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none/cas.pem")
    provider = hetzner.make(api_url="https://127.0.0.1:1/v1")
    fails(lambda: provider.list_values(NAME), "Hetzner at 127.0.0.1 cannot", "/none/cas.pem")


def test_a_proxy_is_asked_in_place_of_the_service(
    hetzner: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hetzner.add(OURS)
    monkeypatch.setenv("http_proxy", hetzner.api.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(HttpProvider, "_may_be_plain", lambda self, parts: True)
    provider = hetzner.make(api_url="http://api.hetzner.invalid/v1")
    assert provider.list_values(NAME) == [OURS]


def test_a_netrc_of_the_user_does_not_replace_the_credentials(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert sorted(service.make().list_values(NAME)) == FOREIGN


def test_the_ttl_is_the_nearest_that_is_allowed_and_told(service: Service) -> None:
    least, _ = type(service.make()).TTLS
    other = "_validation-persist.www.example.test"
    provider = service.make()
    assert provider.add_value(other, OURS, 0) == least
    assert bool(service.told) == bool(least)
    assert provider.add_value(NAME, OURS, 7200) in (7200, 300)
    provider.remove_value(other, OURS)
    assert provider.list_values(other) == []


def test_a_name_without_a_zone_is_told_with_what_was_looked_for(service: Service) -> None:
    message = fails(lambda: service.make().add_value("_validation-persist.a.invalid", OURS, 300))
    assert "Cannot find the zone of _validation-persist.a.invalid at" in message
    assert FILE in message or "google.json" in message


def test_the_longest_zone_is_taken_unless_dns_shows_another_that_the_service_has(
    service: Service,
) -> None:
    if isinstance(service.api, Powerdns):
        body = {"name": "sub.example.test.", "kind": "Native", "nameservers": ["ns1.example.test."]}
        service.api._ask("POST", "/api/v1/servers/localhost/zones", body)
    else:
        service.api.zones.append("sub.example.test")
    name = "_validation-persist.www.sub.example.test"
    assert service.make().zone_for(name) == "sub.example.test"
    assert service.make(zone="example.test").zone_for(name) == "example.test"
    assert service.make(zone="elsewhere.test").zone_for(name) == "sub.example.test"


def test_without_credentials_it_says_which_to_put_where(service: Service) -> None:
    for key in service.keys.keys() - {"api_url", "service_account"}:
        with pytest.raises(ConfigurationError, match=f"dns_persist_{service.provider}_.*{FILE}"):
            service.make(**{key: ""})


def test_an_api_elsewhere_must_be_asked_with_tls(service: Service) -> None:
    if service.provider == "powerdns":
        return
    for url in (
        "http://192.0.2.1",
        "ftp://example.test",
        "https://a:b@example.test",
        "https://:b@example.test",
        "https://",
    ):
        with pytest.raises(ConfigurationError, match=r"_api_url in .* https://"):
            service.make(api_url=url)


def test_credentials_with_a_line_break_are_not_sent(service: Service) -> None:
    for key in ("api_token", "token", "api_key"):
        if key in service.keys:
            with pytest.raises(ConfigurationError, match="blanks or other invalid characters"):
                service.make(**{key: "Bearer hushhush"})


@pytest.mark.parametrize("provider", ["google", "azure", "hetzner"])
def test_what_became_of_a_value_that_is_not_there_is_told(
    provider: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Service = request.getfixturevalue(provider)
    service.add("v=spf1 -all")

    def add(self: HttpApi, name: str, value: str, ttl: int) -> object:
        return HttpApi.add(self, name, value.partition(";")[0], ttl)

    monkeypatch.setattr(type(service.api), "add", add)
    at_work = service.make()
    words = 'does not show it 0 seconds later; it now shows "ca.example"', "a CA may accept it"
    fails(lambda: at_work.add_value(NAME, OURS, 300), *words)
    assert service.values() == ["ca.example", "v=spf1 -all"]


# Somebody else writes in between.


@pytest.mark.parametrize("provider", ["google", "azure", "hetzner", "digitalocean"])
def test_what_somebody_else_writes_in_between_stands(
    provider: str, request: pytest.FixtureRequest
) -> None:
    service: Service = request.getfixturevalue(provider)
    service.add(FOREIGN[0])
    at_work = service.make()
    at_work.zone_for(NAME)
    others = iter(["one", "two"])

    def meanwhile() -> None:
        for value in others:
            service.add(value)
            break

    service.api.faults = Faults(methods={"POST", "PUT"}, meanwhile=meanwhile)
    at_work.add_value(NAME, OURS, 300)
    at_work.remove_value(NAME, OURS)
    there = set(service.values())
    assert {FOREIGN[0], "one"} <= there
    assert OURS not in there


@pytest.mark.parametrize("provider", ["google", "azure"])
def test_who_is_never_left_alone_gives_up_and_says_so(
    provider: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Service = request.getfixturevalue(provider)
    at_work = service.make()
    at_work.list_values(NAME)
    numbers = iter(range(1000))
    service.api.faults = Faults(
        methods={"POST", "PUT"}, meanwhile=lambda: service.add(f"number {next(numbers)}")
    )
    fails(lambda: at_work.add_value(NAME, OURS, 300), "changed each time that we tried, 50 in all")
    assert len(service.values()) == 50
    monkeypatch.setattr(f"{HTTP}._PATIENCE", -1.0)
    fails(lambda: at_work.add_value(NAME, OURS, 300), "changed each time that we tried, 1 in all")


@pytest.mark.parametrize("provider", ["google", "azure"])
def test_a_refusal_that_nobody_else_caused_is_told_at_once(
    provider: str, request: pytest.FixtureRequest
) -> None:
    service: Service = request.getfixturevalue(provider)
    service.add(FOREIGN[0])
    at_work = service.make()
    at_work.list_values(NAME)
    said = "Precondition not met for 'entity.change.deletions[0]'"
    body = {"error": {"code": "conditionNotMet", "message": said}}
    service.api.faults = Faults(methods={"POST", "PUT"}, status=412, error=body)
    fails(lambda: at_work.add_value(NAME, OURS, 300), "answered 412", "Precondition not met")
    assert len(service.api.requests) < 12


# Many names at once.

MANY = [f"_validation-persist.{number}.example.test" for number in range(20)]
ADDITIONS = [Addition(name, OURS, 300) for name in MANY]


@pytest.fixture(params=["powerdns", "newer powerdns", "google"])
def crowded(request: pytest.FixtureRequest) -> Service:
    """Return a service that takes many names at once, with values of others at every third."""
    found: Service = request.getfixturevalue(request.param.split()[-1])
    server: Any = found.api
    if request.param.startswith("newer"):
        server.version = "5.0.2"
    for name in [*MANY[::3], "example.test", f"more.{MANY[0]}"]:
        if isinstance(server, Powerdns):
            server.put("example.test", name, FOREIGN, disabled="off for now")
        else:
            for value in FOREIGN:
                server.add(name, value, ttl=7200)
    return found


def everything(service: Service) -> dict[str, list[str]]:
    """Return all TXT values of the zone by name, also those that are not served."""
    if isinstance(service.api, Powerdns):
        return service.api.contents("example.test")
    return {name: service.api.values(name) for name in {each.name for each in service.api.records}}


def with_ours(before: dict[str, list[str]], *but: str) -> dict[str, list[str]]:
    """Return what there was, and our value at each of ``MANY`` except some."""
    ours = {name: sorted([*before.get(name, []), OURS]) for name in MANY if name not in but}
    return {**before, **ours}


def writes(service: Service) -> int:
    return sum(not each.startswith("GET") and "token" not in each for each in service.api.requests)


def test_many_names_are_added_in_one_change_and_nothing_else_is_another(crowded: Service) -> None:
    before = everything(crowded)
    provider = crowded.make("example.test")
    provider.zone_for(NAME)
    crowded.api.requests.clear()
    used = provider.add_many(ADDITIONS)
    assert everything(crowded) == with_ours(before)
    assert used == [7200 if crowded.provider == "google" and not n % 3 else 300 for n in range(20)]
    made = writes(crowded)
    assert made == 1 + (crowded.api.__dict__.get("version") == "")  # it has yet to be found old
    assert len(crowded.api.requests) < 10
    assert provider.add_many(ADDITIONS) == used
    assert writes(crowded) == made


def test_many_names_are_looked_at_together(crowded: Service) -> None:
    provider = crowded.make("example.test")
    provider.zone_for(NAME)
    crowded.api.requests.clear()
    outside = "_validation-persist.example.invalid"
    refused, *seen = provider.look_at_many([outside, *MANY, MANY[0]])
    assert "example.invalid" in str(refused)
    assert len([each for each in crowded.api.requests if "zones/" in each.lower()]) == 1
    expected = [FOREIGN if not number % 3 else [] for number in range(20)]
    assert [sorted(each.values) for each in seen] == [*expected, FOREIGN]
    assert {each.zone for each in seen} == {"example.test"}


def test_names_that_are_aliases_keep_no_other_back(crowded: Service) -> None:
    server: Any = crowded.api
    aliases = [MANY[4], MANY[14]]
    for name in aliases:
        if isinstance(server, Powerdns):
            server.put_alias("example.test", name, "elsewhere.test")
        else:
            server.aliases.add(name)
    before = everything(crowded)
    outcomes = dict(zip(MANY, crowded.make("example.test").add_many(ADDITIONS), strict=True))
    assert everything(crowded) == with_ours(before, *aliases)
    for name, outcome in outcomes.items():
        assert isinstance(outcome, ProviderError) == (name in aliases)
    assert f"add a TXT record at {MANY[4]} in the zone example.test" in str(outcomes[MANY[4]])
    assert "CNAME" in str(outcomes[MANY[4]])
    assert writes(crowded) < 25


def test_many_are_added_once_although_the_answer_is_lost(crowded: Service) -> None:
    before = everything(crowded)
    provider = crowded.make("example.test")
    provider.zone_for(NAME)
    crowded.api.faults = Faults(methods={"PATCH", "POST"}, times=1, reset="after")
    if crowded.provider == "google":
        provider._headers()  # its token, whose answer is not the one to be lost
    assert all(isinstance(used, int) for used in provider.add_many(ADDITIONS))
    assert everything(crowded) == with_ours(before)


def test_where_nobody_answers_many_are_not_tried_one_by_one(crowded: Service) -> None:
    provider = crowded.make("example.test")
    provider.zone_for(NAME)
    before = everything(crowded)
    crowded.api.requests.clear()
    crowded.api.faults = Faults(methods={"PATCH", "POST"}, status=503)
    if crowded.provider == "google":
        crowded.api.faults.methods = {"PATCH"}
        provider._headers()
        crowded.api.faults.methods = {"POST"}
    outcomes = provider.add_many(ADDITIONS)
    assert {type(outcome) for outcome in outcomes} == {OutcomeUnknown}
    assert f"{MANY[0]} and 19 more names in the zone example.test" in str(outcomes[0])
    assert writes(crowded) == 4
    assert everything(crowded) == before


def test_many_that_are_accepted_and_not_made_are_told_each(crowded: Service) -> None:
    provider = crowded.make("example.test")
    provider.zone_for(NAME)
    if crowded.provider == "google":
        provider._headers()
    crowded.api.faults = Faults(methods={"PATCH", "POST"}, pretend={"status": "done"})
    for name, outcome in zip(MANY, provider.add_many(ADDITIONS), strict=True):
        assert f"add a TXT record at {name} in the zone" in str(outcome)
        assert "accepted the change, but does not show it" in str(outcome)


@pytest.mark.parametrize("crowded", ["google", "newer powerdns"], indirect=True)
def test_what_somebody_writes_while_many_are_added_stands(crowded: Service) -> None:
    server: Any = crowded.api
    names = iter([MANY[1], MANY[17]])
    before = everything(crowded)

    def meanwhile() -> None:
        for name in names:
            if isinstance(server, Powerdns):
                server.put("example.test", name, ["meanwhile"])
            else:
                server.add(name, "meanwhile")
            break

    provider = crowded.make("example.test")
    provider.zone_for(NAME)
    crowded.api.faults = Faults(methods={"PATCH", "POST"}, meanwhile=meanwhile)
    outcomes = provider.add_many(ADDITIONS)
    assert all(isinstance(outcome, int) for outcome in outcomes)
    others = {MANY[1]: ["meanwhile"], MANY[17]: ["meanwhile"]}
    if crowded.provider == "powerdns":  # which has nothing to try again
        del others[MANY[17]]
    assert everything(crowded) == with_ours({**before, **others})


def test_of_a_hundred_names_at_google_those_stand_that_the_account_may_change(
    google: Service,
) -> None:
    assert isinstance(google.api, GoogleApi)
    names = [f"_validation-persist.n{number}.example.test" for number in range(100)]
    google.api.forbidden.add(names[41])
    google.api.add(names[41], FOREIGN[0])
    others = iter(names[7:9])

    def meanwhile() -> None:
        for name in others:
            google.api.add(name, "meanwhile")
            break

    provider = google.make("example.test")
    provider.zone_for(NAME)
    google.api.faults = Faults(methods={"POST"}, meanwhile=meanwhile)
    outcomes = provider.add_many([Addition(name, OURS, 300) for name in names])
    assert [number for number in range(100) if isinstance(outcomes[number], ProviderError)] == [41]
    assert f"add a TXT record at {names[41]} in the zone example.test" in str(outcomes[41])
    assert "permissions" in str(outcomes[41])
    standing = {name: [OURS] for name in names} | {names[41]: [FOREIGN[0]]}
    standing |= {name: sorted([OURS, "meanwhile"]) for name in names[7:9]}
    assert everything(google) == standing
    assert writes(google) < 25


def test_a_routing_policy_at_google_keeps_no_other_name_back(
    google: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = GoogleApi._rrset

    def with_policy(self: GoogleApi, name: str) -> Any:
        row = plain(self, name)
        if row is not None and name == MANY[0]:
            row["routingPolicy"] = {"wrr": {"items": [{"rrdatas": row.pop("rrdatas")}]}}
        return row

    monkeypatch.setattr(GoogleApi, "_rrset", with_policy)
    google.api.add(MANY[0], FOREIGN[0])
    refused, *used = google.make().add_many(ADDITIONS)
    assert "routing policy" in str(refused)
    assert used == [300] * 19
    assert everything(google) == with_ours({MANY[0]: [FOREIGN[0]]}, MANY[0])
    assert writes(google) == 1


def test_a_zone_of_many_pages_at_google_is_asked_for_a_few_names_one_by_one(
    google: Service,
) -> None:
    for number in range(30):
        google.api.add(f"{number}.example.test", "somebody else's")
    google.api.page = 5
    google.api.add(MANY[0], FOREIGN[0])
    provider = google.make("example.test")
    provider.zone_for(NAME)
    google.api.requests.clear()
    seen = provider.look_at_many(MANY[:3])
    assert [each.values for each in seen] == [[FOREIGN[0]], [], []]
    assert len(google.api.requests) == 6


# PowerDNS.


@pytest.mark.parametrize(("version", "whole"), [("", 3), ("4.9.12", 2), ("5.0.2", 0)])
def test_the_whole_zone_is_only_read_for_what_nothing_else_shows(
    powerdns: Service, version: str, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[Any] = []
    answered = type(powerdns.api).answered

    def watch(self: Any, request: Any) -> Any:
        if request.method == "GET" and request.parts[-1] == "example.test.":
            queries.append(request.query.get("rrset_name"))
        return answered(self, request)

    monkeypatch.setattr(type(powerdns.api), "answered", watch)
    server: Any = powerdns.api
    server.version = version
    provider = powerdns.make("example.test")
    provider.list_values(NAME)
    provider.add_value(NAME, OURS, 300)
    provider.remove_value(NAME, OURS)
    assert queries.count(None) == whole
    assert len(queries) - whole == (7 if version == "5.0.2" else 5)


def test_an_old_server_keeps_what_is_disabled_and_the_ttl(powerdns: Service) -> None:
    server: Any = powerdns.api
    server.put("example.test", NAME, ["v=spf1 -all"], disabled="off for now")
    provider = powerdns.make()
    assert provider.add_value(NAME, OURS, 600) == 300
    provider.remove_value(NAME, OURS)
    records = server.rrset("example.test", NAME)["records"]
    assert sorted((each["content"], each["disabled"]) for each in records) == [
        ('"off for now"', True),
        ('"v=spf1 -all"', False),
    ]


@pytest.mark.parametrize("version", ["4.9.12", "5.0.2"])
def test_a_newer_server_keeps_what_is_disabled(powerdns: Service, version: str) -> None:
    server: Any = powerdns.api
    server.version = version
    server.put("example.test", NAME, ["v=spf1 -all"], disabled="off for now")
    provider = powerdns.make()
    provider.add_value(NAME, OURS, 300)
    assert powerdns.values() == sorted([OURS, "v=spf1 -all"])
    provider.remove_value(NAME, OURS)
    records = server.rrset("example.test", NAME)["records"]
    assert {each["content"]: each["disabled"] for each in records} == {
        '"off for now"': True,
        '"v=spf1 -all"': False,
    }


def test_a_newer_server_is_never_told_to_replace_a_set(powerdns: Service) -> None:
    server: Any = powerdns.api
    server.version = "5.0.2"
    powerdns.add(FOREIGN[0])
    provider = powerdns.make()
    provider.zone_for(NAME)
    server.faults = Faults(methods={"PATCH"}, meanwhile=lambda: powerdns.add("meanwhile"))
    provider.add_value(NAME, OURS, 300)
    assert powerdns.values() == sorted([FOREIGN[0], "meanwhile", OURS])
    server.faults = Faults()
    provider.remove_value(NAME, OURS)
    assert powerdns.values() == sorted([FOREIGN[0], "meanwhile"])


def test_a_secondary_is_not_written_to(tmp_path: Path, stack: ExitStack) -> None:
    need(not missing(), str(missing()))
    server = stack.enter_context(Powerdns(tmp_path, "example.test", kind="Slave"))
    provider = Service("powerdns", server, server.keys).make()
    fails(lambda: provider.add_value(NAME, OURS, 300), "its kind is Slave", "example.test")


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://192.0.2.53:8081", True),
        ("http://[::1]:8081", False),
        ("http://localhost:8081", False),
        ("https://192.0.2.53:8081", False),
    ],
)
def test_a_key_that_crosses_the_network_without_tls_is_warned_of(
    url: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    loader.load("powerdns", Settings({"api_url": url, "api_key": "hushhush"}, FILE, print))
    assert ("whoever sees that traffic" in caplog.text) == warned
    assert "hushhush" not in caplog.text


def test_a_wrong_key_or_url_of_powerdns_is_told_with_the_servers_setting(powerdns: Service) -> None:
    wrong = powerdns.make(api_key="hushhush-wrong")
    fails(lambda: wrong.list_values(NAME), "401", "api-key in the server's pdns.conf")
    elsewhere = powerdns.make(server_id="other")
    fails(lambda: elsewhere.list_values(NAME), "404", "dns_persist_powerdns_server_id")
    with_path = powerdns.make(api_url=f"{powerdns.api.url}/api/v1/")
    assert with_path.list_values(NAME) == []


def test_a_name_that_is_an_alias_is_refused_in_powerdns_own_words(powerdns: Service) -> None:
    server: Any = powerdns.api
    server.put_alias("example.test", NAME, "elsewhere.test")
    fails(lambda: powerdns.make().add_value(NAME, OURS, 300), "answered 422", "CNAME")


# Hetzner.


def test_an_action_at_hetzner_is_watched_to_its_end(hetzner: Service) -> None:
    api: Any = hetzner.api
    api.polls = 3
    hetzner.make().add_value(NAME, OURS, 300)
    assert api.requests.count("GET /v1/actions/7") == 3
    api.action_fails = True
    failing = hetzner.make()
    fails(lambda: failing.add_value(NAME, "another", 300), "could not do it: Action failed")


def test_a_token_or_a_zone_that_hetzner_cannot_use_is_told(hetzner: Service) -> None:
    wrong = hetzner.make(api_token="hushhush-old")
    fails(lambda: wrong.list_values(NAME), "401", "dns.hetzner.com do not work here")
    assert isinstance(hetzner.api, HetznerApi)
    hetzner.api.secondary = True
    fails(lambda: hetzner.make().list_values(NAME), "it is a secondary")


def test_a_zone_in_capitals_and_a_name_with_a_slash_are_at_the_same_place(
    hetzner: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_typed = HetznerApi._zone
    monkeypatch.setattr(
        HetznerApi, "_zone", lambda self, name: {**as_typed(self, name), "name": "Example.TEST"}
    )
    name = "_validation-persist.0/25.example.test"
    provider = hetzner.make()
    assert provider.zone_for(name) == "example.test"
    for each in (NAME, name):
        provider.add_value(each, OURS, 300)
        assert hetzner.api.values(each) == [OURS]


# DigitalOcean.


def test_a_record_at_digitalocean_gets_the_ttl_of_those_beside_it(digitalocean: Service) -> None:
    digitalocean.api.add(NAME, FOREIGN[0], ttl=3600)
    assert digitalocean.make().add_value(NAME, OURS, 300) == 3600
    assert {record.ttl for record in digitalocean.api.at(NAME)} == {3600}
    assert "The TTL at" in digitalocean.told[0]


def test_a_value_that_digitalocean_mangles_is_taken_away_again(digitalocean: Service) -> None:
    assert isinstance(digitalocean.api, DigitaloceanApi)
    digitalocean.add(FOREIGN[0])
    digitalocean.api.mangle = True
    provider = digitalocean.make()
    fails(lambda: provider.add_value(NAME, OURS, 300), "another value of it, which we removed")
    assert digitalocean.values() == [FOREIGN[0]]


def test_a_mangled_value_that_digitalocean_does_not_remove_is_named_and_made_once(
    digitalocean: Service,
) -> None:
    assert isinstance(digitalocean.api, DigitaloceanApi)
    digitalocean.add(FOREIGN[0])
    digitalocean.api.mangle = True
    provider = digitalocean.make()
    provider.zone_for(NAME)
    digitalocean.api.faults = Faults(methods={"DELETE"}, status=503)
    words = "could not be removed (answered 503): ca.example.", "a CA may accept it"
    fails(lambda: provider.add_value(NAME, OURS, 300), *words)
    assert digitalocean.values() == sorted(["ca.example", FOREIGN[0]])


# Google.


def test_the_file_of_a_service_account_is_a_credentials_file(google: Service) -> None:
    path = google.keys["service_account"]
    keys = credentials.read(path).keys("google", NAME)
    provider: Any = loader.load(
        "google", Settings({**keys, "api_url": google.api.url}, path, print)
    )
    provider.add_value(NAME, OURS, 300)
    assert google.values() == [OURS]


def test_application_default_credentials_are_found_and_metadata_is_not_asked(
    google: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("GCE_METADATA_HOST", google.api.url.removeprefix("http://"))
    with pytest.raises(ConfigurationError, match=r"application_default_credentials.json: no such"):
        google.make(service_account="")
    assert google.api.requests == []
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", google.keys["service_account"])
    assert google.make(service_account="").zone_for(NAME) == "example.test"


def test_a_file_that_is_not_googles_is_told_without_its_content(
    google: Service, tmp_path: Path
) -> None:
    path = tmp_path / "broken.json"
    for text in ('{"type": "service_account", "private_key": "hushhush"}', "hushhush", "[]"):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="not what Google writes") as caught:
            google.make(service_account=str(path))
        assert "hushhush" not in "".join(traceback.format_exception(caught.value))


def test_an_account_that_was_deleted_is_told_by_its_file(google: Service) -> None:
    assert isinstance(google.api, GoogleApi)
    google.api.account_is_gone = True
    message = fails(lambda: google.make().list_values(NAME), "no access token", "google.json")
    assert ACCOUNT not in message


def test_googles_way_to_ask_for_patience_is_tried_again(google: Service) -> None:
    provider = google.make()
    provider.zone_for(NAME)
    fault = {"message": "Rate Limit Exceeded", "reason": "rateLimitExceeded"}
    body = {"error": {"code": 403, "message": fault["message"], "errors": [fault]}}
    google.api.faults = Faults(times=2, status=403, error=body)
    assert provider.list_values(NAME) == []


def test_zones_of_google_that_are_private_or_twice_are_not_guessed_at(google: Service) -> None:
    assert isinstance(google.api, GoogleApi)
    google.api.twice = True
    google.api.page = 1
    words = "2 called example.test: example-test, example-test-2", "dns_persist_google_managed_zone"
    fails(lambda: google.make().list_values(NAME), *words)
    google.make(managed_zone="example-test-2").add_value(NAME, OURS, 300)
    assert any("managedZones/example-test-2/changes" in each for each in google.api.requests)
    google.api.private = True
    fails(lambda: google.make().list_values(NAME), "is private, so no CA sees it", "example-test")


def test_google_without_a_project_says_where_to_put_it(google: Service) -> None:
    path = Path(google.keys["service_account"])
    text = path.read_text().replace(f'"project_id": "{PROJECT}", ', "")
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="dns_persist_google_project = ID"):
        google.make()
    assert google.make(project=PROJECT).zone_for(NAME) == "example.test"


def test_values_in_a_routing_policy_of_google_are_seen_and_not_changed(
    google: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = GoogleApi._rrset

    def with_policy(self: GoogleApi, name: str) -> Any:
        row = plain(self, name)
        if row is not None:
            items = [{"weight": 1.0, "rrdatas": [text]} for text in row.pop("rrdatas")]
            row["routingPolicy"] = {"wrr": {"items": items}}
        return row

    monkeypatch.setattr(GoogleApi, "_rrset", with_policy)
    google.add(OURS)
    google.add(FOREIGN[0])
    provider = google.make()
    assert provider.has_value(NAME, OURS)
    fails(lambda: provider.remove_value(NAME, OURS), "routing policy")
    fails(lambda: provider.add_value(NAME, FOREIGN[1], 300), "routing policy")
    assert google.values() == sorted([OURS, FOREIGN[0]])


# Azure.


def test_a_file_of_certbot_dns_azure_is_understood(azure: Service, tmp_path: Path) -> None:
    path = tmp_path / "azure.ini"
    path.write_text(
        f"dns_azure_msi_system_assigned = true\ndns_azure_zone1 = example.test:{GROUP}\n"
    )
    path.chmod(0o600)
    keys = {**credentials.read(str(path)).keys("azure", NAME), "api_url": azure.api.url}
    provider: Any = loader.load("azure", Settings(keys, str(path), print))
    provider.add_value(NAME, OURS, 300)
    assert azure.values() == [OURS]
    fails(lambda: provider.list_values("_validation-persist.other.test"), "Cannot find the zone")


def test_metadata_of_a_set_at_azure_survives(azure: Service) -> None:
    assert isinstance(azure.api, AzureApi)
    azure.add(FOREIGN[0])
    azure.api.metadata[NAME] = {"owner": "mail"}
    provider = azure.make()
    provider.add_value(NAME, OURS, 600)
    provider.remove_value(NAME, OURS)
    assert azure.api.metadata[NAME] == {"owner": "mail"}
    assert azure.values() == [FOREIGN[0]]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"zone1": "example.test"}, "a zone, a colon and its resource group"),
        ({f"zone{n}": f"example.test:{GROUP}{n}" for n in (1, 2)}, "name the same zone"),
        ({"zone1": f"example.test:{GROUP}/providers/Microsoft.Network/dnsZones/b.test"}, "CNAME"),
        ({"environment": "Mars"}, "must be AzurePublicCloud"),
        ({"msi_client_id": "7"}, "needs one of .* there are msi_client_id and msi_system"),
        ({"msi_system_assigned": "yes"}, "must be true or false"),
        ({"msi_system_assigned": "false", "sp_client_id": "7"}, "needs dns_persist_azure_tenant_"),
        ({"subscription_id": ""}, "needs to know where the zones are"),
    ],
)
def test_settings_of_azure_that_cannot_be_used_are_told(
    azure: Service, keys: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        azure.make(**keys)


def test_an_identity_that_is_gone_is_told(azure: Service) -> None:
    assert isinstance(azure.api, AzureApi)
    azure.api.identity_is_gone = True
    fails(lambda: azure.make().list_values(NAME), "no access token", "managed identity", FILE)


def test_a_listing_of_azure_that_leads_elsewhere_is_not_followed(azure: Service) -> None:
    assert isinstance(azure.api, AzureApi)
    azure.api.zones.insert(0, "first.test")
    azure.api.page = 1
    assert azure.make().zone_for(NAME) == "example.test"
    azure.api.link_elsewhere = True
    fails(lambda: azure.make().zone_for(NAME), "does not document")


def test_a_private_zone_of_azure_is_not_written_to(azure: Service) -> None:
    assert isinstance(azure.api, AzureApi)
    azure.api.legacy = True
    fails(lambda: azure.make().list_values(NAME), "it is private, so no CA sees it")


def test_a_service_principal_is_asked_for_where_its_cloud_is(
    azure: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    secret = {"sp_client_secret": "hushhush", "tenant_id": SUBSCRIPTION, "sp_client_id": "7"}
    provider = azure.make(**secret, msi_system_assigned="false")
    fails(lambda: provider.list_values(NAME), "no access token", "a service principal", FILE)
