"""What DNS says of a request at one moment, and what a server that lacks its record serves."""

import dataclasses

import pytest
from test_plan import DAY, NOW, OPTIONS, REQUEST, URI, ours, standing

from certbot_dns_persist.judge.standing import ends_soon, lasts_too_long
from certbot_dns_persist.lookup.found import ServerAnswer
from certbot_dns_persist.request.request import AccountUris

OTHER_CA = f"other.example; accounturi={URI}"
OTHER_ACCOUNT = f"ca.example; accounturi={URI}0"
MALFORMED = "ca.example; accounturi="
EXPIRED = ours(persist_until=NOW - 1)


@pytest.mark.parametrize(
    ("per_server", "lagging"),
    [
        ([], []),
        ([[ours()]], []),
        ([[ours()], [EXPIRED, ours()]], []),
        ([[ours()], None], []),
        ([[EXPIRED], [ours()], [], None], ["ns1", "ns3"]),
        ([[ours(persist_until=NOW)], [ours(policy="wildcard")]], []),
        ([[OTHER_ACCOUNT], [MALFORMED]], ["ns1", "ns2"]),
    ],
)
def test_a_server_lags_that_answers_without_a_record_that_authorises(
    per_server: list[list[str] | None], lagging: list[str]
) -> None:
    now = standing(*per_server)
    assert [server.server for server in now.lagging] == lagging


@pytest.mark.parametrize(
    ("per_server", "authorized", "everywhere"),
    [
        ([], False, False),
        ([None], False, False),
        ([[]], False, False),
        ([[ours()], None], True, True),
        ([[ours()], [ours()]], True, True),
        ([[ours()], [EXPIRED]], True, False),
    ],
)
def test_a_record_is_everywhere_when_every_server_that_answers_has_one(
    per_server: list[list[str] | None], authorized: bool, everywhere: bool
) -> None:
    now = standing(*per_server)
    assert (now.authorized, now.everywhere) == (authorized, everywhere)


def test_a_wildcard_is_authorised_by_a_wildcard_record_only() -> None:
    assert not standing([ours()], wildcard=True).authorized
    assert standing([ours(policy="wildcard")], wildcard=True).authorized


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "serves no record"),
        ([OTHER_CA], "does not serve a record that authorises"),
        ([OTHER_ACCOUNT], "does not serve a record that authorises"),
        ([EXPIRED], "serves a record that expired: its persistUntil was 2027-01-15T07:59:59Z"),
        ([MALFORMED], "serves a record that the mandatory accounturi is empty"),
        ([MALFORMED, EXPIRED], "serves a record that expired: "),
        ([OTHER_ACCOUNT, MALFORMED], "serves a record that the mandatory accounturi is empty"),
        ([OTHER_CA, EXPIRED, ours(persist_until=NOW - DAY)], "2027-01-15T07:59:59Z"),
    ],
)
def test_a_server_is_faulted_for_our_record_else_a_malformed_one_else_for_none(
    values: list[str], words: str
) -> None:
    assert words in standing(values).why_not(ServerAnswer("ns1", "192.0.2.1", tuple(values)))


def test_a_record_without_the_wildcard_that_is_asked_for_is_faulted_for_it() -> None:
    server = ServerAnswer("ns1", "192.0.2.1", (ours(),))
    assert standing([ours()], wildcard=True).why_not(server) == (
        "serves a record that lacks policy=wildcard, which a wildcard name needs"
    )


def test_a_server_that_gives_no_answer_is_faulted_for_its_trouble() -> None:
    silent = ServerAnswer("ns1", "192.0.2.1", None)
    assert standing(None).why_not(silent) == "gives no answer"
    refusing = dataclasses.replace(silent, trouble="answers REFUSED")
    assert standing(None).why_not(refusing) == "answers REFUSED"


@pytest.mark.parametrize(
    ("uris", "outdated"),
    [
        ([], False),
        (["new"], False),
        (["other"], False),
        (["old"], True),
        (["old", "older"], True),
        (["old", "new"], False),
        (["old", "other"], True),
    ],
)
def test_what_stands_is_outdated_when_every_record_that_authorises_is(
    uris: list[str], outdated: bool
) -> None:
    request = dataclasses.replace(REQUEST, account_uris=AccountUris("new", (), ("old", "older")))
    now = standing([ours(account_uri=uri) for uri in uris])
    assert dataclasses.replace(now, request=request).outdated is outdated


def test_without_some_values_every_server_keeps_the_others_and_the_silent_stay_silent() -> None:
    now = standing([ours(), EXPIRED], [EXPIRED], None)
    left = now.without([EXPIRED])
    assert [server.values for server in left.found.servers] == [(ours(),), (), None]
    assert (left.request, left.at, left.found.name) == (now.request, now.at, now.found.name)


@pytest.mark.parametrize(
    ("seconds", "valid_for", "soon"),
    [
        (30 * DAY - 1, None, True),
        (30 * DAY, None, False),
        (30 * DAY - 1, 90, True),
        (30 * DAY, 90, False),
        (10 * DAY - 1, 30, True),
        (10 * DAY, 30, False),
        (80 * 3600 - 1, 10, True),
        (80 * 3600, 10, False),
        (1, None, True),
        (-1, None, False),
    ],
)
def test_a_record_ends_soon_within_thirty_days_or_a_third_of_its_time(
    seconds: int, valid_for: int | None, soon: bool
) -> None:
    options = dataclasses.replace(OPTIONS, valid_for=valid_for)
    assert ends_soon(standing([ours(persist_until=NOW + seconds)]), options) is soon


def test_a_record_without_an_end_does_not_end_soon() -> None:
    assert not ends_soon(standing([ours()]), OPTIONS)
    assert not ends_soon(standing([]), OPTIONS)


def test_equal_standings_count_once() -> None:
    assert len({standing([ours()]), standing([ours()])}) == 1


SOME = f"ca.example.; accounturi={URI}"


@pytest.mark.parametrize(
    ("per_server", "accepted", "doubtful", "lagging"),
    [
        ([[]], False, False, 1),
        ([[EXPIRED]], False, False, 1),
        ([[SOME], [SOME]], True, True, 0),
        ([[SOME], []], True, True, 1),
        ([[SOME], [ours()]], True, False, 1),
        ([[ours()]], True, False, 0),
    ],
)
def test_what_some_cas_accept_counts_if_nothing_better_stands_and_is_never_everywhere(
    per_server: list[list[str]], accepted: bool, doubtful: bool, lagging: int
) -> None:
    now = standing(*per_server)
    assert (now.accepted, now.doubtful, len(now.lagging)) == (accepted, doubtful, lagging)
    assert now.everywhere is (now.authorized and not lagging)


@pytest.mark.parametrize(
    ("options", "end", "too_long"),
    [
        ({}, None, False),
        ({"until": NOW + 5}, None, True),
        ({"until": NOW + 5}, NOW + 6, True),
        ({"until": NOW + 5}, NOW + 5, False),
        ({"valid_for": 2}, None, True),
        ({"valid_for": 2}, NOW + 2 * DAY, False),
        ({"valid_for": 2}, NOW + 2 * DAY + 1, True),
    ],
)
def test_a_record_lasts_too_long_if_it_ends_later_than_is_asked_for(
    options: dict[str, int], end: int | None, too_long: bool
) -> None:
    asked = dataclasses.replace(OPTIONS, **options)  # type: ignore[arg-type]
    assert lasts_too_long(standing([ours(persist_until=end)]), asked) is too_long
    assert not lasts_too_long(standing([]), asked)
