"""The real SDK against a small Cloudflare: the traps of the API, and the words for each failure."""

import gzip
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from certbot.errors import SignalExit
from support.at_once import at_once
from support.certbot import Certbot
from support.cloudflare_api import WRITES, CloudflareApi, Faults
from support.nameserver import Nameserver
from support.pebble import ISSUER, Pebble
from support.process import free_port
from support.raw_http import HEAD, dripping, serving, whole

from certbot_dns_persist.errors import ConfigurationError, OutcomeUnknown, ProviderError
from certbot_dns_persist.providers import credentials, loader
from certbot_dns_persist.providers.cloudflare import Cloudflare
from certbot_dns_persist.providers.interface import Addition, Seen, Served, Settings

NAME = "_validation-persist.example.test"
OURS = "ca.example; accounturi=https://ca.example/acct/1; persistUntil=1830000000"
THEIRS = [
    "other.example; accounturi=https://other.example/acct/9",
    'quoted "9" and \\ back',
    f"{OURS}1",
]
OLD = "v=spf1 -all"
"""A value that stands there without quotes, as Cloudflare kept it in former times."""

FOREIGN = sorted([*THEIRS, OLD])
EMAIL = "hostmaster@example.test"
NEVER_A_TOKEN = "cfut_this-is-well-formed-and-nobody-has-it-12345"

MODULE = "certbot_dns_persist.providers.cloudflare"

Make = Callable[..., Cloudflare]


@pytest.fixture(autouse=True)
def _without_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TOKEN", "KEY", "USER_SERVICE_KEY"):
        monkeypatch.delenv(f"CLOUDFLARE_API_{variable}", raising=False)
    for variable in ("CLOUDFLARE_EMAIL", "CLOUDFLARE_CUSTOM_HEADERS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.http._PAUSES", (0.01, 0.02, 0.04))
    monkeypatch.setattr(f"{MODULE}._SETTLE", 0.0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudflareApi]:
    """Cloudflare with the user's zones, and what others have at ``NAME``."""
    with CloudflareApi("example.test", "child.example.test", "other.test") as running:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", running.url)
        for value in THEIRS:
            running.add(NAME, quoted(value))
        running.add(NAME, OLD)
        running.add(NAME, "192.0.2.1", "A")
        yield running


@pytest.fixture
def token(api: CloudflareApi) -> str:
    """An API token that is confined to one zone."""
    return api.token("example.test")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, for which the clock goes on and nobody waits."""
    pauses: list[float] = []
    now = time.monotonic
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr("time.monotonic", lambda: now() + sum(pauses))
    return pauses


@pytest.fixture
def told() -> list[str]:
    """What the user was told."""
    return []


@pytest.fixture
def make(token: str, told: list[str]) -> Make:
    """Make a provider; arguments replace its credentials."""

    def make(**other: str) -> Cloudflare:
        found = other or {"api_token": token}
        return Cloudflare(Settings(found, "/etc/cloudflare.ini", told.append))

    return make


@pytest.fixture
def provider(make: Make) -> Cloudflare:
    return make()


def quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def fails(call: Callable[[], object], words: str, *secrets: str) -> str:
    """Assert a :class:`ProviderError` with these words and none of the secrets; return it."""
    with pytest.raises(ProviderError, match=words) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value))
    for secret in secrets:
        assert secret not in shown
    assert "During handling" not in shown
    assert "direct cause" not in shown
    return str(caught.value)


# Adding, listing, removing.


def test_add_add_again_list_remove_and_remove_again(
    provider: Cloudflare, api: CloudflareApi, told: list[str]
) -> None:
    assert sorted(provider.list_values(NAME)) == FOREIGN
    before = list(api.records)

    assert provider.add_value(NAME, OURS, 300) == 300
    assert provider.add_value(NAME, OURS, 300) == 300
    assert sorted(provider.list_values(NAME)) == api.values(NAME) == sorted([*FOREIGN, OURS])
    assert api.records[-1]["content"] == f'"{OURS}"'

    provider.remove_value(NAME, OURS)
    provider.remove_value(NAME, OURS)
    assert api.records == before
    assert [request.split()[0] for request in api.requests].count("POST") == 1
    assert [request.split()[0] for request in api.requests].count("DELETE") == 1
    assert told == []


def test_a_name_that_does_not_exist_has_no_values(provider: Cloudflare) -> None:
    assert provider.list_values("not.there.example.test") == []
    provider.remove_value("not.there.example.test", OURS)


@pytest.mark.parametrize(
    "value",
    [
        'quotes " and \\ and ; and  blanks',
        '"wholly quoted"',
        "\\065 is no escape",
        "caf\u00e9",
        "x" * 255,
        "y" * 256,
        "z" * 300,
        "\u00e9" * 150,
        "\\" * 255 + '"' * 300,
    ],
)
def test_any_value_comes_back_as_it_was(
    provider: Cloudflare, api: CloudflareApi, value: str
) -> None:
    provider.add_value(NAME, value, 300)
    assert value in provider.list_values(NAME)
    assert api.values(NAME) == sorted([*FOREIGN, value])

    provider.remove_value(NAME, value)
    assert api.values(NAME) == FOREIGN


def test_a_value_over_255_octets_is_written_as_several_strings(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    provider.add_value(NAME, "v" * 300, 300)
    assert api.records[-1]["content"] == f'"{"v" * 255}" "{"v" * 45}"'


@pytest.mark.parametrize(
    "content",
    [OURS, f'"{OURS}"', f'"{OURS[:9]}" "{OURS[9:]}"', f'"{OURS[:9]}"  "" "{OURS[9:]}" '],
)
def test_however_a_value_is_quoted_it_is_the_same_value(
    provider: Cloudflare, api: CloudflareApi, content: str
) -> None:
    api.add(NAME, content)

    assert OURS in provider.list_values(NAME)
    provider.add_value(NAME, OURS, 300)
    assert api.values(NAME) == sorted([*FOREIGN, OURS])
    provider.remove_value(NAME, OURS)
    assert api.values(NAME) == FOREIGN


def test_one_string_that_is_too_long_is_read_as_it_stands(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    name = "long.example.test"
    api.add(name, f'"{"w" * 300}"')
    assert provider.list_values(name) == ["w" * 300]


def test_content_that_comes_back_without_quotes_is_recognised(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    api.unquoted = True
    provider.add_value(NAME, "u" * 300, 300)
    provider.add_value(NAME, "u" * 300, 300)
    assert api.values(NAME).count("u" * 300) == 1
    provider.remove_value(NAME, "u" * 300)
    assert api.values(NAME) == FOREIGN


@pytest.mark.parametrize("content", ['"', '"open', 'a "b" c', '"a" b', '"a\\"'])
def test_content_that_is_not_wholly_quoted_is_read_as_it_stands(
    provider: Cloudflare, api: CloudflareApi, content: str
) -> None:
    api.add("odd.example.test", content)
    assert provider.list_values("odd.example.test") == [content]


def test_all_pages_are_read(provider: Cloudflare, api: CloudflareApi) -> None:
    for number in range(5):
        api.add(NAME, f'"more {number}"')
    api.per_page = 2
    many = api.values(NAME)

    assert sorted(provider.list_values(NAME)) == many
    provider.add_value(NAME, OURS, 300)
    provider.add_value(NAME, OURS, 300)
    provider.remove_value(NAME, OURS)
    assert api.values(NAME) == many


def test_no_more_requests_are_made_than_needed(provider: Cloudflare, api: CloudflareApi) -> None:
    provider.add_value(NAME, OURS, 300)
    assert [request.split("/")[-1] for request in api.requests] == [
        *["zones"] * 2,
        *["dns_records"] * 3,  # look, add, look
    ]


# Other people's records.


def test_four_writers_at_once_lose_nothing(make: Make, api: CloudflareApi) -> None:
    for number in range(4):
        api.add(NAME, f'"old {number}"')
    providers = [make() for _ in range(4)]

    def write(number: int) -> None:
        providers[number].add_value(NAME, f"new {number}", 300)
        providers[number].add_value(NAME, OURS, 300)
        providers[number].remove_value(NAME, f"old {number}")

    at_once(4, write)

    expected = [*FOREIGN, OURS, *(f"new {number}" for number in range(4))]
    assert api.values(NAME) == sorted(expected)


@pytest.mark.parametrize("change", ["add_value", "remove_value"])
def test_somebody_who_is_faster_does_no_harm(
    provider: Cloudflare, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    adding = change == "add_value"
    if not adding:
        api.add(NAME, quoted(OURS))
    do = api.do

    def after_another(method: str, *rest: Any) -> Any:
        if method in WRITES:
            do(method, *rest)
        return do(method, *rest)

    monkeypatch.setattr(api, "do", after_another)
    getattr(provider, change)(NAME, OURS, *[300][: int(adding)])
    assert api.values(NAME) == sorted([*FOREIGN, *[OURS][: int(adding)]])


def test_nothing_is_added_beside_an_alias(provider: Cloudflare, api: CloudflareApi) -> None:
    api.add("alias.example.test", "target.example.net", "CNAME")
    assert provider.list_values("alias.example.test") == []
    provider.remove_value("alias.example.test", OURS)
    fails(
        lambda: provider.add_value("alias.example.test", OURS, 300),
        r"alias\.example\.test in the zone example\.test at Cloudflare.*target\.example\.net",
    )


# Which TTL.


@pytest.mark.parametrize(
    ("asked", "enterprise", "used"),
    [
        (0, False, 60),
        (1, False, 60),
        (30, False, 60),
        (60, False, 60),
        (86400, False, 86400),
        (86401, False, 86400),
        (1, True, 30),
        (45, True, 45),
    ],
)
def test_a_ttl_that_is_not_allowed_becomes_the_nearest_and_the_user_is_told(
    provider: Cloudflare,
    api: CloudflareApi,
    told: list[str],
    asked: int,
    enterprise: bool,
    used: int,
) -> None:
    api.enterprise = enterprise
    assert provider.add_value(NAME, OURS, asked) == used
    assert api.records[-1]["ttl"] == used
    if used == asked:
        assert told == []
    else:
        assert len(told) == 1
        assert f"{NAME} is {used} seconds instead of {asked}" in told[0]


@pytest.mark.parametrize(("stands", "means"), [(1, 300), (7200, 7200)])
def test_a_record_that_is_there_keeps_its_ttl(
    provider: Cloudflare, api: CloudflareApi, told: list[str], stands: int, means: int
) -> None:
    api.add(NAME, quoted(OURS), ttl=stands)
    assert provider.add_value(NAME, OURS, 600) == means
    assert api.records[-1]["ttl"] == stands
    assert len(told) == 1
    assert f"{means} seconds instead of 600" in told[0]


# Finding the zone.


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("example.test", "example.test"),
        ("EXAMPLE.test", "example.test"),
        (NAME, "example.test"),
        ("_validation-persist.child.example.test", "child.example.test"),
        ("_validation-persist.deep.child.example.test", "child.example.test"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_the_zone_is_the_most_specific_that_the_token_is_for(
    make: Make, api: CloudflareApi, strict: bool, name: str, zone: str
) -> None:
    api.strict_listing = strict
    provider = make(api_token=api.token("example.test", "child.example.test"))
    assert provider.zone_for(name) == zone


@pytest.mark.parametrize("strict", [False, True])
def test_a_token_that_is_confined_to_one_zone_is_enough(
    provider: Cloudflare, api: CloudflareApi, strict: bool
) -> None:
    api.strict_listing = strict
    assert provider.add_value(NAME, OURS, 300) == 300
    assert api.values(NAME) == sorted([*FOREIGN, OURS])


@pytest.mark.parametrize(
    ("strict", "words"),
    [
        (False, r"zone of _v\.other\.test.*API token in /etc/cloudflare\.ini.*_v\.other\.test, "),
        (True, r"the zone of _v\.other\.test \(trying other\.test\): .*403.*Zone / DNS / Edit"),
    ],
)
def test_a_zone_that_the_token_is_not_for_is_named(
    provider: Cloudflare, api: CloudflareApi, token: str, strict: bool, words: str
) -> None:
    api.strict_listing = strict
    fails(lambda: provider.add_value("_v.other.test", OURS, 300), words, token)


@pytest.mark.parametrize("status", ["pending", "moved"])
def test_a_zone_that_cloudflare_does_not_serve_is_not_written_to(
    make: Make, api: CloudflareApi, status: str
) -> None:
    api.add_zone("new.example.test", status)
    api.add_zone("idle.test", status)
    api.add_zone("idle.test", status)
    provider = make(api_token=api.token("example.test", "new.example.test", "idle.test"))

    assert provider.zone_for("a.new.example.test") == "example.test"
    fails(lambda: provider.add_value("a.idle.test", OURS, 300), f"zone idle.test .* {status}")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("partial", "other name servers serve it"),
        ("secondary", "copies it from another server"),
        ("internal", "only resolvers in the account's own networks"),
    ],
)
def test_a_zone_whose_records_no_ca_sees_is_not_written_to(
    make: Make, api: CloudflareApi, kind: str, words: str
) -> None:
    api.add_zone("www.example.test", kind=kind)
    api.add_zone("alone.test", kind=kind)
    provider = make(api_token=api.token("example.test", "www.example.test", "alone.test"))

    assert provider.zone_for("a.www.example.test") == "example.test"
    said = rf"zone alone\.test for a\.alone\.test, but its type is {kind}: .*{words}"
    fails(lambda: provider.add_value("a.alone.test", OURS, 300), said)
    assert [row for row in api.records if row["name"].endswith("alone.test")] == []


def test_a_zone_that_waits_may_be_on_hold_in_another_account(
    make: Make, api: CloudflareApi
) -> None:
    api.add_zone("held.test", "pending")
    provider = make(api_token=api.token("held.test"))
    fails(lambda: provider.add_value("a.held.test", OURS, 300), "a zone hold of another account")


@pytest.mark.parametrize("served", ["example.test", "child.example.test", None])
def test_of_nested_zones_the_one_that_dns_asks_is_written_to(
    api: CloudflareApi, served: str | None
) -> None:
    """Cloudflare has both; whether the inner one is delegated only DNS knows."""
    name = "_validation-persist.child.example.test"

    def observe(asked: str) -> Served:
        assert asked == name
        if served is None:
            raise ProviderError("no name server answers")
        return Served([], served)

    keys = {"api_token": api.token("example.test", "child.example.test")}
    provider = Cloudflare(Settings(keys, None, print, observe))
    provider.add_value(name, OURS, 300)
    ids = {zone["name"]: zone["id"] for zone in api.zones}
    assert api.at(name)[0]["zone"] == ids[served or "child.example.test"]
    assert provider.zone_for(name) == (served or "child.example.test")


def test_a_record_of_ours_says_so_and_one_of_others_stays_as_it_is(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    """The plan Free takes 100 characters."""
    api.add(NAME, quoted(OURS))
    before = [dict(row) for row in api.records]
    provider.add_value(NAME, OURS, 300)
    assert api.records == before  # also without a comment

    provider.add_value(NAME, "another", 300)
    assert api.records[:-1] == before
    assert "certbot-dns-persist" in api.records[-1]["comment"]
    assert len(api.records[-1]["comment"]) <= 100


def test_a_token_of_an_account_is_managed_elsewhere_than_a_users(
    make: Make, api: CloudflareApi
) -> None:
    provider = make(api_token=api.token("example.test", of_account=True))
    provider.add_value(NAME, OURS, 300)
    unknown = make(api_token=NEVER_A_TOKEN.replace("cfut", "cfat"))
    said = fails(lambda: unknown.list_values(NAME), r"/:account/api-tokens")
    assert "/accounts/ACCOUNT_ID/tokens/verify" in said


@pytest.mark.parametrize(("there", "size"), [(0, 4081), (2, 3000)])
def test_what_is_too_long_is_told_with_the_limits(
    provider: Cloudflare, api: CloudflareApi, there: int, size: int
) -> None:
    name = "_v.example.test"
    for letter in "ab"[:there]:
        api.add(name, letter * 3000)
    before = api.values(name)
    words = "4,096 octets a record, and 8,192 characters"
    fails(lambda: provider.add_value(name, "x" * size, 300), words)
    assert api.values(name) == before


# Many names at once.


NAMES = [f"_validation-persist.{number}.example.test" for number in range(120)]


def in_one_zone(api: CloudflareApi, told: list[str]) -> Cloudflare:
    """Return a provider that knows from DNS which zone the names are in."""
    keys = {"api_token": api.token("example.test")}
    return Cloudflare(
        Settings(keys, None, told.append, lambda name: Served([], "example.test")),
    )


def test_many_names_are_looked_at_in_one_listing_and_added_in_one_batch(
    api: CloudflareApi, told: list[str]
) -> None:
    for name in NAMES[:60]:
        api.add(name, quoted(THEIRS[0]))
    before = list(api.records)
    provider = in_one_zone(api, told)

    seen = provider.look_at_many(NAMES)
    assert seen == [Seen("example.test", THEIRS[:1])] * 60 + [Seen("example.test", [])] * 60
    assert provider.add_many([Addition(name, OURS, 300) for name in NAMES]) == [300] * 120
    for name in NAMES:
        assert OURS in api.values(name)
    assert [row for row in api.records if row in before] == before
    assert [request.split()[0] for request in api.requests].count("POST") == 1
    assert len(api.requests) <= 7  # the zone, the batch, and pages of 100 records

    asked = len(api.requests)
    assert provider.add_many([Addition(name, OURS, 300) for name in NAMES]) == [300] * 120
    assert len(api.requests) - asked == 2
    assert told == []


def test_more_than_a_batch_takes_are_added_in_several(api: CloudflareApi, told: list[str]) -> None:
    additions = [Addition(f"_v.{number}.example.test", OURS, 300) for number in range(201)]
    assert in_one_zone(api, told).add_many(additions) == [300] * 201
    assert [request for request in api.requests if request.startswith("POST")] == [
        f"POST /zones/{api.zones[0]['id']}/dns_records/batch",
        f"POST /zones/{api.zones[0]['id']}/dns_records",
    ]


def test_one_that_cannot_be_added_does_not_keep_the_others_away(
    make: Make, api: CloudflareApi
) -> None:
    api.add(NAMES[1], "www.other.test", "CNAME")
    provider = make(api_token=api.token("example.test", "other.test"))
    names = [*NAMES[:3], "_v.other.test", "_v.nobodys.test"]
    outcomes = provider.add_many([Addition(name, OURS, 300) for name in names])
    assert outcomes[0] == outcomes[2] == outcomes[3] == 300
    assert "is an alias (CNAME) for www.other.test" in str(outcomes[1])
    assert "Cannot find the zone of _v.nobodys.test" in str(outcomes[4])
    assert [api.values(name) for name in names] == [[OURS], [], [OURS], [OURS], []]

    seen = provider.look_at_many(names)
    assert seen[3] == Seen("other.test", [OURS])
    assert "Cannot find the zone of _v.nobodys.test" in str(seen[4])


def test_a_quota_ends_where_it_ends(api: CloudflareApi, told: list[str]) -> None:
    api.quota = len(api.records) + 2
    outcomes = in_one_zone(api, told).add_many([Addition(name, OURS, 300) for name in NAMES[:4]])
    assert outcomes[:2] == [300, 300]
    for outcome in outcomes[2:]:
        assert "(81045)" in str(outcome)
        assert "Free: 200" in str(outcome)


@pytest.mark.parametrize("reset", ["before", "after"])
def test_a_batch_whose_answer_is_lost_does_no_harm(
    api: CloudflareApi, told: list[str], reset: Literal["before", "after"]
) -> None:
    api.faults = Faults(methods=WRITES, times=1, reset=reset)
    outcomes = in_one_zone(api, told).add_many([Addition(name, OURS, 300) for name in NAMES[:3]])
    assert outcomes == [300] * 3
    assert [api.values(name) for name in NAMES[:3]] == [[OURS]] * 3
    assert len([row for row in api.records if row["content"] == quoted(OURS)]) == 3


def test_a_batch_that_may_not_be_written_is_tried_once(make: Make, api: CloudflareApi) -> None:
    provider = make(api_token=api.token("example.test", edit=False))
    outcomes = provider.add_many([Addition(name, OURS, 300) for name in NAMES[:3]])
    assert all("Zone / DNS / Edit" in str(outcome) for outcome in outcomes)
    assert [request.split()[0] for request in api.requests].count("POST") == 1


def test_a_batch_that_is_only_said_to_be_done_is_found_out(
    api: CloudflareApi, told: list[str]
) -> None:
    api.faults = Faults(methods=WRITES, pretend=True)
    outcomes = in_one_zone(api, told).add_many([Addition(name, OURS, 300) for name in NAMES[:3]])
    assert all("accepted, but not made" in str(outcome) for outcome in outcomes)


def test_somebody_who_is_faster_than_a_batch_does_no_harm(
    api: CloudflareApi, told: list[str]
) -> None:
    def be_faster() -> None:
        api.meanwhile = lambda: None
        api.records.append(
            {
                **{"name": NAMES[2], "type": "TXT", "content": quoted(OURS), "ttl": 300},
                **{"id": "f" * 32, "zone": api.zones[0]["id"]},
            }
        )

    api.meanwhile = be_faster
    outcomes = in_one_zone(api, told).add_many([Addition(name, OURS, 300) for name in NAMES[:3]])
    assert outcomes == [300] * 3
    assert [api.values(name) for name in NAMES[:3]] == [[OURS]] * 3


def test_of_two_zones_of_one_name_the_active_one_is_taken(make: Make, api: CloudflareApi) -> None:
    api.add_zone("twice.test", "pending")
    api.add_zone("twice.test")
    make(api_token=api.token("twice.test")).add_value("a.twice.test", OURS, 300)
    assert api.records[-1]["zone"] == api.zones[-1]["id"]


# Who we are.


def test_email_and_global_key_are_taken_instead_of_a_token(make: Make, api: CloudflareApi) -> None:
    provider = make(email=EMAIL, api_key=api.global_key(EMAIL))
    assert provider.add_value("_v.other.test", OURS, 300) == 300


@pytest.mark.parametrize(
    "variables",
    [
        {"CLOUDFLARE_EMAIL": "other@example.test", "CLOUDFLARE_API_KEY": "0" * 37},
        {"CLOUDFLARE_EMAIL": "other@example.test"},
        {"CLOUDFLARE_API_TOKEN": NEVER_A_TOKEN},
    ],
)
def test_credentials_in_the_environment_do_not_get_in_the_way(
    make: Make, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert sorted(make().list_values(NAME)) == FOREIGN
    assert sorted(make(email=EMAIL, api_key=api.global_key(EMAIL)).list_values(NAME)) == FOREIGN


def test_secrets_are_not_logged_whatever_the_sdk_logs(
    make: Make, api: CloudflareApi, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = api.global_key(EMAIL)
    with caplog.at_level("DEBUG"):
        for provider in (make(), make(email=EMAIL, api_key=key)):
            provider.add_value(NAME, OURS, 300)
            api.faults = Faults(reset="before", times=1)
            provider.remove_value(NAME, OURS)
    assert "/dns_records" in caplog.text
    assert token not in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"api_token": NEVER_A_TOKEN}, r"Invalid access token \(9109\).*revoked or expired"),
        ({"api_token": "too-short"}, r"\(6003\); .*\(6111\).*copy it again"),
        ({"email": EMAIL, "api_key": "f" * 37}, r"\(9103\).*do not belong together"),
        ({"email": EMAIL, "api_key": "not-hex"}, r"\(6003\); .*\(6103\).*copy it again"),
    ],
)
def test_wrong_credentials_are_told_by_what_is_wrong_with_them(
    make: Make, api: CloudflareApi, found: dict[str, str], words: str
) -> None:
    message = fails(lambda: make(**found).add_value(NAME, OURS, 300), words, *found.values())
    assert f"zone of {NAME}" in message
    assert "/etc/cloudflare.ini" in message
    assert "Cloudflare at 127.0.0.1 answered 40" in message
    assert api.values(NAME) == FOREIGN


def test_a_token_that_may_only_read_is_told_what_it_lacks(make: Make, api: CloudflareApi) -> None:
    reader = api.token("example.test", edit=False)
    provider = make(api_token=reader)
    assert sorted(provider.list_values(NAME)) == FOREIGN
    words = rf"add a TXT record at {NAME} in the zone example\.test.*\(10000\).*Zone / DNS / Edit"
    fails(lambda: provider.add_value(NAME, OURS, 300), words, reader)
    fails(lambda: provider.remove_value(NAME, OLD), r"\(10000\).*Zone / DNS / Edit", reader)
    assert api.values(NAME) == FOREIGN


# Failures that stay.


@pytest.mark.parametrize(
    ("status", "code", "message", "words"),
    [
        (403, 9109, "Cannot use the access token from location: 192.0.2.9", "IP address filter"),
        (403, 10000, "Authentication error", "Zone / DNS / Edit"),
        (401, 10001, "Unable to authenticate request", "Zone / DNS / Edit"),
        (403, 0, "", "answered 403.*Zone / DNS / Edit"),
        (400, 81045, "The record quota has been exceeded.", r"\(81045\).*its plan.*Free: 200"),
        (403, 1054, "This zone is on hold.", r"\(1054\).*on hold, or not active"),
        (401, 1000, "Invalid API Token", r"unknown, revoked.*/profile/.*/user/tokens/verify"),
        (400, 9207, "Record exceeds the maximum size", r"\(9207\).*4,096 octets a record"),
        (400, 0, "", r"answered 400\. Look at the zone"),
        (503, 0, "", "answered 503.*cloudflarestatus"),
        (521, 1000, "Origin down", "answered 521.*cloudflarestatus"),
        (429, 971, "Please wait", "answered 429.*1200 requests in five minutes"),
    ],
)
@pytest.mark.parametrize("call", ["list_values", "add_value", "remove_value"])
def test_every_error_comes_with_its_code_and_advice(
    provider: Cloudflare,
    api: CloudflareApi,
    token: str,
    call: str,
    status: int,
    code: int,
    message: str,
    words: str,
) -> None:
    provider.zone_for(NAME)
    api.faults = Faults(status=status, code=code, message=message)
    arguments = {"list_values": (), "add_value": (OURS, 300), "remove_value": (OLD,)}[call]
    said = fails(lambda: getattr(provider, call)(NAME, *arguments), words, token)
    assert f"at {NAME} in the zone example.test: Cloudflare at 127.0.0.1" in said
    assert api.values(NAME) == FOREIGN


def test_a_secret_that_an_answer_quotes_is_not_shown(
    provider: Cloudflare,
    api: CloudflareApi,
    token: str,
    told: list[str],
    slept: list[float],
) -> None:
    api.faults = Faults(status=429, code=1, message=f"Who is {token}", retry_after=200)
    fails(lambda: provider.list_values(NAME), r"Who is \(secret\)", token)
    assert slept == [200.0]
    assert len(told) == 1
    assert "Who is (secret)" in told[0]


@pytest.mark.parametrize(
    "fault",
    [
        {"body": b"<html>Sign in to the hotel's network", "content_type": "text/html"},
        {"body": b"{", "content_type": "application/json"},
        {"body": b""},
        {"body": b"null"},
        {"body": b"[]"},
        {"body": b'{"success": true}'},
        {"body": b'{"success": true, "result": {}}'},
        {"body": b'{"success": true, "result": [1]}'},
        {"body": b'{"success": true, "result": [{"id": 1, "name": "example.test"}]}'},
        {"body": b'{"success": true, "result": [], "result_info": {"total_pages": "x"}}'},
        {"body": b'{"success": true, "result": [], "result_info": {"total_pages": Infinity}}'},
        {"body": b'{"result": ' + b"[" * 100_000},
        {"status": 307},
        {"body": b'{"success": true, "result": [{"type": "TXT", "name": null}]}'},
    ],
)
@pytest.mark.parametrize("zone_is_known", [False, True])
def test_an_answer_that_is_not_documented_is_an_error_and_changes_nothing(
    provider: Cloudflare,
    api: CloudflareApi,
    token: str,
    fault: dict[str, Any],
    zone_is_known: bool,
) -> None:
    if zone_is_known:
        provider.zone_for(NAME)
    api.faults = Faults(**fault)
    words = "does not document: .*CLOUDFLARE_BASE_URL"
    fails(lambda: provider.list_values(NAME), words, token)
    fails(lambda: provider.add_value(NAME, OURS, 300), words, token)
    fails(lambda: provider.remove_value(NAME, OLD), words, token)
    assert api.values(NAME) == FOREIGN


def test_what_comes_back_for_another_name_is_left_alone(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    provider.zone_for(NAME)
    api.add("other.example.test", quoted(OURS))
    api.faults = Faults(
        methods=["GET"],
        body=b'{"success": true, "result": [{"id": "%s", "type": "TXT", "ttl": 300, '
        b'"name": "other.example.test", "content": "%s"}]}'
        % (api.records[-1]["id"].encode(), OURS.encode()),
    )
    provider.remove_value(NAME, OURS)
    assert api.values("other.example.test") == [OURS]


def test_the_answer_to_a_change_is_not_relied_on(provider: Cloudflare, api: CloudflareApi) -> None:
    api.faults = Faults(methods=WRITES, body=b"{")
    assert provider.add_value(NAME, OURS, 300) == 300
    provider.remove_value(NAME, OURS)
    assert api.values(NAME) == FOREIGN


def test_an_api_that_only_says_that_it_did_is_found_out(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    api.faults = Faults(methods=WRITES, pretend=True)
    fails(lambda: provider.add_value(NAME, OURS, 300), f"at {NAME} .*accepted, but not made")
    fails(lambda: provider.remove_value(NAME, OLD), f"at {NAME} .*accepted, but not made")
    assert api.values(NAME) == FOREIGN


# Failures that pass.


@pytest.mark.parametrize(
    "fault",
    [
        {"reset": "before"},
        {"reset": "after"},
        {"status": 500},
        {"status": 502},
        {"status": 524, "code": 1, "message": "A timeout occurred"},
        {"status": 408},
        {"status": 409},
        {"status": 429},
    ],
)
@pytest.mark.parametrize("methods", [{"GET"}, WRITES])
@pytest.mark.parametrize("times", [1, 3])
def test_a_failure_that_passes_does_no_harm(
    provider: Cloudflare, api: CloudflareApi, fault: dict[str, Any], methods: set[str], times: int
) -> None:
    api.faults = Faults(methods=methods, times=times, **fault)
    assert provider.add_value(NAME, OURS, 300) == 300
    assert api.faults.times == 0 or fault == {"reset": "after"}
    assert api.values(NAME) == sorted([*FOREIGN, OURS])

    api.faults = Faults(methods=methods, times=times, **fault)
    provider.remove_value(NAME, OURS)
    assert api.values(NAME) == FOREIGN


@pytest.mark.parametrize("methods", [{"GET"}, WRITES])
def test_an_answer_that_comes_too_late_does_no_harm(
    make: Make, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch, methods: set[str]
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.cloudflare._TIMEOUT", 0.3)
    provider = make()
    api.faults = Faults(methods=methods, times=1, delay=1.0)
    assert provider.add_value(NAME, OURS, 300) == 300
    api.faults = Faults(methods=methods, times=1, delay=1.0)
    provider.remove_value(NAME, OURS)
    assert api.values(NAME) == FOREIGN


def test_an_api_that_never_answers_in_time_is_named(
    make: Make, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.cloudflare._TIMEOUT", 0.1)
    api.faults = Faults(delay=0.5)
    words = r"zone of example\.test .* Cloudflare at 127.0.0.1 gave no answer within 0.1 seconds"
    fails(lambda: make().add_value("example.test", OURS, 300), words, token)


def test_a_network_that_is_down_is_told(
    make: Make, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", f"http://127.0.0.1:{free_port()}/client/v4")
    words = r"cannot be reached \(.*Connection refused\).*HTTPS_PROXY"
    fails(lambda: make().add_value(NAME, OURS, 300), words, token)


def test_a_proxy_of_the_environment_is_used(
    make: Make, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.is_loopback", lambda host: True)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", "http://cloudflare.invalid/client/v4")
    monkeypatch.setenv("http_proxy", api.url)
    assert sorted(make().list_values(NAME)) == FOREIGN


def test_the_wait_that_cloudflare_asks_for_is_kept(
    provider: Cloudflare, api: CloudflareApi, slept: list[float], told: list[str]
) -> None:
    api.faults = Faults(status=429, code=971, message="Slow down", retry_after=299, times=1)
    assert provider.add_value(NAME, OURS, 300) == 300
    assert slept == [299.0]
    assert len(told) == 1
    assert "Slow down (971)" in told[0]
    assert "Waiting 299 seconds" in told[0]


@pytest.mark.parametrize(("asked", "waits"), [(3600, 0), (200, 1), (1, 3)])
def test_nobody_waits_for_ever(
    provider: Cloudflare,
    api: CloudflareApi,
    slept: list[float],
    token: str,
    asked: int,
    waits: int,
) -> None:
    api.faults = Faults(status=429, retry_after=asked)
    words = f"answered 429, and asks to retry after {asked} seconds.*Try again later"
    fails(lambda: provider.zone_for("example.test"), words, token)
    assert slept == [asked] * waits


def test_an_answer_without_end_is_not_read_to_its_end(
    make: Make, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make()
    provider.zone_for(NAME)
    drip = dripping(HEAD + b"Content-Length: 1000\r\n\r\n", b" ")
    with serving(drip) as url, monkeypatch.context() as patch:
        patch.setenv("CLOUDFLARE_BASE_URL", url)
        patch.setattr(f"{MODULE}._WHOLE", 0.2)
        fails(lambda: make().zone_for(NAME), "gave no whole answer within 0.2 seconds")
    monkeypatch.setattr(f"{MODULE}._MOST_OCTETS", 1000)
    api.faults = Faults(body=b" " * 1001)
    fails(lambda: provider.list_values(NAME), "does not document: more than 1000 octets")


def test_an_answer_that_grows_when_it_is_unpacked_is_not_read_to_its_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(b" " * 2**25)
    with serving(whole(packed, b"Content-Encoding: gzip")) as url:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", url)
        fails(lambda: make().zone_for(NAME), "more than 16777216 octets")


def test_pages_that_never_end_are_not_all_asked_for(
    provider: Cloudflare, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.zone_for(NAME)
    api.requests.clear()
    api.faults = Faults(body=b'{"result": [], "result_info": {"total_pages": 1000000000}}')
    with monkeypatch.context() as patch:
        patch.setattr(f"{MODULE}._MOST_PAGES", 5)
        fails(lambda: provider.list_values(NAME), r"pages without end \(5 so far\)")
    assert len(api.requests) == 5
    monkeypatch.setattr(f"{MODULE}._LISTING", -1.0)
    fails(lambda: provider.list_values(NAME), r"pages without end \(0 so far\)")


def test_the_words_of_an_error_are_short_and_of_one_line(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    api.faults = Faults(status=400, code=1, message="Zone\n\x1b[31m" + "x" * 100_000)
    message = fails(lambda: provider.list_values(NAME), "answered 400: Zone")
    assert len(message) < 1000
    assert message.isprintable()


def test_a_redirection_is_told_and_the_credentials_go_nowhere_else(
    make: Make, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = api.global_key(EMAIL)
    elsewhere = f"Location: {api.url}/zones?name=example.test".encode()
    redirection = b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n" + elsewhere
    with serving(lambda client: client.sendall(redirection + b"\r\n\r\n")) as url:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", url)
        provider = make(email=EMAIL, api_key=key)
        words = r"a redirection \(status 307\)\. Check that nothing in between"
        fails(lambda: provider.zone_for("example.test"), words, key)
    assert api.requests == []


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("reset", ["before", "after"])
def test_a_change_whose_outcome_nobody_sees_is_called_unknown(
    provider: Cloudflare, api: CloudflareApi, many: bool, reset: Literal["before", "after"]
) -> None:
    """Nothing answers from the change on."""
    provider.zone_for(NAME)

    def vanish() -> None:
        api.faults = Faults(reset="before")

    api.faults = Faults(methods=WRITES, reset=reset)
    if reset == "after":
        api.meanwhile = vanish
    additions = [Addition(NAME, OURS, 300), Addition(f"a.{NAME}", OURS, 300)]
    for outcome in provider.add_many(additions if many else additions[:1]):
        assert isinstance(outcome, OutcomeUnknown)


def test_a_change_that_is_refused_or_never_sent_is_not_called_unknown(
    provider: Cloudflare, api: CloudflareApi
) -> None:
    api.faults = Faults(reset="before")
    with pytest.raises(ProviderError) as unsent:
        provider.add_value(NAME, OURS, 300)
    api.faults = Faults(methods=WRITES, status=403)
    with pytest.raises(ProviderError) as refused:
        provider.add_value(NAME, OURS, 300)
    for caught in (unsent, refused):
        assert not isinstance(caught.value, OutcomeUnknown)


# Settings.


@pytest.mark.parametrize("url", ["http://api.cloudflare.invalid/client/v4", "http://192.0.2.1/"])
def test_an_api_elsewhere_must_be_asked_with_tls(
    make: Make, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", url)
    with pytest.raises(ConfigurationError, match="CLOUDFLARE_BASE_URL must begin with https://"):
        make()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, r"_api_token \(or .*_email and .*_api_key\) in /etc/cloudflare\.ini.*Zone / DNS"),
        ({"api_token": " "}, "needs dns_persist_cloudflare_api_token"),
        ({"email": EMAIL}, r"needs dns_persist_cloudflare_api_key .*/etc/cloudflare\.ini"),
        ({"api_key": "f" * 37}, "needs dns_persist_cloudflare_email "),
        ({"api_token": "t" * 40, "email": EMAIL}, r"/etc/cloudflare\.ini has two kinds"),
        ({"api_token": "t" * 40, "api_key": "f" * 37}, "Delete dns_persist_cloudflare_email"),
        ({"api_token": f"Bearer {'t' * 40}"}, "_api_token in /etc/cloudflare.ini contains blanks"),
        ({"api_token": f"{'t' * 20}\n{'t' * 20}"}, "without 'Bearer' or line breaks"),
        ({"api_token": "t" * 39 + "\u2026"}, "_api_token in /etc/cloudflare.ini contains blanks"),
        ({"email": EMAIL, "api_key": "f\u00e9"}, "_api_key in /etc/cloudflare.ini contains blanks"),
    ],
)
def test_settings_that_cannot_be_used_are_named_with_their_file_and_not_shown(
    found: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Cloudflare(Settings(found, "/etc/cloudflare.ini", print))
    shown = "".join(traceback.format_exception(caught.value))
    assert "tttt" not in shown
    assert "ffff" not in shown


def test_without_a_file_the_option_for_it_is_named() -> None:
    with pytest.raises(ConfigurationError, match="--dns-persist-credentials"):
        Cloudflare(Settings({}, None, print))


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "gopher://user:pass-phrase@proxy"), ("CLOUDFLARE_BASE_URL", "http://[::1")],
)
def test_an_environment_that_the_sdk_cannot_use_is_told_without_a_proxys_password(
    make: Make, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        make()
    assert "pass-phrase" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_sdk_is_named_with_the_extra_that_brings_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cloudflare", None)
    with pytest.raises(
        ConfigurationError, match=r"pip install 'certbot-dns-persist\[cloudflare\]'"
    ):
        make()


def test_the_sdk_is_not_imported_before_the_provider_is_made() -> None:
    module = "certbot_dns_persist.providers.cloudflare"
    code = f"import sys, {module}; sys.exit('cloudflare' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("prefix", ["dns_cloudflare", "dns_persist_cloudflare"])
def test_a_credentials_file_of_certbots_plugin_works_as_it_is(
    api: CloudflareApi, token: str, tmp_path: Path, prefix: str
) -> None:
    path = tmp_path / "cloudflare.ini"
    path.touch(mode=0o600)
    path.write_text(f"# Cloudflare API token used by Certbot\n{prefix}_api_token = {token}\n")
    found = credentials.read(str(path)).keys("cloudflare", NAME)
    provider = loader.load("cloudflare", Settings(found, str(path), print))
    assert sorted(provider.list_values(NAME)) == FOREIGN


# All of it.


def test_a_first_certificate_and_its_renewal_without_credentials(
    tmp_path: Path, nameserver: Nameserver, nameserver_pebble: Pebble
) -> None:
    certbot = Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )
    with CloudflareApi("example.test", "other.test", mirror=nameserver.zones) as api:
        token = api.token("example.test")
        for value in THEIRS:
            api.add(NAME, quoted(value))
        file = tmp_path / "cloudflare.ini"
        file.touch(mode=0o600)
        file.write_text(f"dns_cloudflare_api_token = {token}\n")
        options = [
            *("--dns-persist-provider", "cloudflare"),
            *("--dns-persist-credentials", str(file)),
            *("--dns-persist-resolvers", nameserver.endpoint),
            *("--dns-persist-check", "resolver"),
        ]
        env = {"CLOUDFLARE_BASE_URL": api.url}

        first = certbot.certonly(*options, "-d", "example.test", env=env)

        assert first.returncode == 0, first.output
        record = f"{ISSUER}; accounturi={certbot.account_url}"
        assert nameserver.values(NAME) == api.values(NAME) == sorted([*THEIRS, record])
        (line,) = certbot.journal()
        assert (line["action"], line["name"], line["value"]) == ("add", NAME, record)
        assert (line["provider"], line["zone"], line["ttl"]) == ("cloudflare", "example.test", 300)
        assert token not in first.output + first.log

        file.unlink()
        requests, serial = len(api.requests), certbot.certificate("example.test").serial
        renewal = certbot.renew("--force-renewal", env=env)

        assert renewal.returncode == 0, renewal.output
        assert certbot.certificate("example.test").serial != serial
        assert len(api.requests) == requests
        assert nameserver.values(NAME) == sorted([*THEIRS, record])


def test_a_signal_during_a_request_is_no_fault_of_the_service(
    provider: Cloudflare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK takes every exception for one of the connection."""

    def end(*_: object) -> None:
        raise SignalExit

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", end)
    with pytest.raises(SignalExit):
        provider.list_values(NAME)
