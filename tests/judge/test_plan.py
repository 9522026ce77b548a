"""What stands and what is to change: judged without any server."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
import support.hypothesis_profile  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.plan import Plan, make_plans, reaches_as_far, supersedes
from certbot_dns_persist.judge.standing import Standing, ends_soon
from certbot_dns_persist.lookup.found import Found, ServerAnswer
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import ValidationRecord, evaluate
from certbot_dns_persist.request.request import AccountUris, ValidationRequest

NOW = 1_800_000_000
DAY = 86400
URI = "https://ca.example/acct/1"
OPTIONS = Options(providers=("rfc2136",))
REQUEST = ValidationRequest(
    domain="example.com",
    wildcard=False,
    server="https://ca.example/dir",
    issuer_domain_names=("a.example", "ca.example"),
    account_url=URI,
    account_uris=AccountUris(URI),
)


def standing(*per_server: list[str] | None, wildcard: bool = False, **found: str) -> Standing:
    servers = tuple(
        ServerAnswer(f"ns{i}", f"192.0.2.{i}", None if values is None else tuple(values))
        for i, values in enumerate(per_server, 1)
    )
    name = found.get("canonical_name", REQUEST.name)
    return Standing(
        dataclasses.replace(REQUEST, wildcard=wildcard),
        Found(REQUEST.name, name, "example.com", servers),
        NOW,
    )


def ours(**fields: Any) -> str:
    record = ValidationRecord("ca.example", URI)
    return dataclasses.replace(record, **fields).to_value()


def retired(*values: str, wildcard: bool = False, options: Options = OPTIONS) -> tuple[str, ...]:
    (plan,) = make_plans([standing([*values], wildcard=wildcard)], options, "")
    return plan.retire


def test_a_record_on_some_servers_is_there_but_not_everywhere() -> None:
    partly = standing([ours()], [])
    assert partly.authorized
    assert not partly.everywhere
    assert [server.server for server in partly.lagging] == ["ns2"]


def test_a_silent_server_does_not_count() -> None:
    assert standing([ours()], None).everywhere
    assert not standing(None, None).everywhere


def test_what_goes_is_not_counted_as_standing() -> None:
    assert not standing([ours()]).without([ours()]).authorized


def test_our_narrower_record_is_superseded_by_a_wider_one() -> None:
    assert retired(ours(), wildcard=True) == (ours(),)


def test_an_expired_record_of_ours_is_superseded() -> None:
    old = ours(persist_until=NOW - 1, policy="wildcard")
    assert retired(old) == (old,)


def test_a_wider_or_longer_record_of_ours_is_never_given_up_for_less() -> None:
    bounded = dataclasses.replace(OPTIONS, valid_for=10)
    wide, long = ours(policy="wildcard"), ours(persist_until=NOW + 20 * DAY)
    assert retired(wide, long, options=bounded) == ()


@pytest.mark.parametrize(
    "value",
    [
        ValidationRecord("other.example", URI).to_value(),
        ValidationRecord("ca.example", URI + "0").to_value(),
        ValidationRecord("ca.example", URI.upper(), persist_until=1).to_value(),
        f"ca.example; accounturi={URI}; accounturi={URI}",
        f"ca.example; accounturi={URI};",
        URI,
    ],
)
def test_what_is_not_surely_ours_is_left_alone(value: str) -> None:
    assert retired(value, wildcard=True) == ()


@given(
    st.lists(
        st.builds(
            ValidationRecord,
            st.sampled_from(["a.example", "ca.example", "other.example"]),
            st.sampled_from([URI, URI + "0", "urn:x"]),
            st.sampled_from([None, "wildcard"]),
            st.none() | st.integers(NOW - 3, NOW + 40 * DAY),
        ),
        max_size=5,
    ),
    st.booleans(),
    st.none() | st.integers(1, 30),
)
def test_nothing_loses_its_authorisation_by_a_plan(
    records: list[ValidationRecord], wildcard: bool, valid_for: int | None
) -> None:
    """Whoever was authorised before a plan is so after it, for as long and as widely."""
    values = [record.to_value() for record in records]
    options = dataclasses.replace(OPTIONS, valid_for=valid_for)
    (plan,) = make_plans([standing(values, wildcard=wildcard)], options, "")
    after = {*values, plan.value} - set(plan.retire)
    assert REQUEST.evaluate(after, NOW).authorized
    for record, wide, at in itertools.product(
        records, (False, True), (NOW, NOW + 15 * DAY, NOW + 39 * DAY)
    ):
        if authorizes(values, record, wide, at):
            assert authorizes(after, record, wide, at)


def authorizes(values: Iterable[str], like: ValidationRecord, wildcard: bool, at: int) -> bool:
    """Whether the CA and account that ``like`` names are authorised by ``values``."""
    names = REQUEST.issuer_domain_names
    return evaluate(
        values,
        issuer_domain_names=names
        if like.issuer_domain_name in names
        else [like.issuer_domain_name],
        account_uris=[like.account_uri],
        wildcard=wildcard,
        at=at,
    ).authorized


HASHED = AccountUris(
    published="bound-new",
    current=("shared-new",),
    outdated=("bound-old", "shared-old", URI),
    bound=frozenset({"bound-new", "bound-old"}),
    shared=frozenset({"shared-new", "shared-old"}),
)
SHARED = dataclasses.replace(HASHED, published="shared-new", current=("bound-new",))


@pytest.mark.parametrize(
    ("uris", "old", "goes"),
    [
        (HASHED, "bound-old", True),
        (HASHED, "shared-old", False),
        (HASHED, URI, False),
        (SHARED, "bound-old", True),
        (SHARED, "shared-old", True),
        (SHARED, URI, False),
    ],
)
def test_a_record_that_may_serve_other_domains_goes_only_for_one_that_serves_all(
    uris: AccountUris, old: str, goes: bool
) -> None:
    value = ours(account_uri=old)
    place = standing([value])
    place = dataclasses.replace(place, request=dataclasses.replace(REQUEST, account_uris=uris))
    assert place.outdated
    (plan,) = make_plans([place], OPTIONS, "")
    assert plan.record.account_uri == uris.published
    assert plan.improves
    assert plan.retire == ((value,) if goes else ())


def test_a_current_record_of_either_form_is_not_outdated() -> None:
    for uri in ("bound-new", "shared-new"):
        place = standing([ours(account_uri=uri), ours(account_uri="bound-old")])
        place = dataclasses.replace(
            place, request=dataclasses.replace(REQUEST, account_uris=HASHED)
        )
        assert place.authorized
        assert not place.outdated


def test_a_bound_that_somebody_has_set_is_kept_when_the_form_changes() -> None:
    place = standing([ours(account_uri=URI, persist_until=NOW + 9 * DAY)])
    place = dataclasses.replace(place, request=dataclasses.replace(REQUEST, account_uris=HASHED))
    (plan,) = make_plans([place], OPTIONS, "")
    assert plan.record.persist_until == NOW + 9 * DAY


def test_names_that_lead_to_one_place_share_a_record_wide_enough_for_all() -> None:
    one, two = (
        standing([], canonical_name="x.example"),
        standing([], wildcard=True, canonical_name="x.example"),
    )
    (plan,) = make_plans([one, two], OPTIONS, "")
    assert (plan.name, plan.record.policy) == ("x.example", "wildcard")


@pytest.mark.parametrize(
    ("values", "issuer"),
    [
        ([], "a.example"),
        ([f"ca.example; accounturi={URI}; persistUntil=1"], "ca.example"),
        ([f"ca.example; accounturi={URI}0"], "ca.example"),
        (
            [f"ca.example; accounturi={URI}0", f"a.example; accounturi={URI}; persistUntil=1"],
            "a.example",
        ),
        ([f"other.example; accounturi={URI}"], "a.example"),
    ],
)
def test_the_issuer_is_the_one_that_has_a_record_else_the_first(
    values: list[str], issuer: str
) -> None:
    (plan,) = make_plans([standing(values)], OPTIONS, "")
    assert plan.record.issuer_domain_name == issuer


def test_an_end_that_has_passed_is_not_published() -> None:
    with pytest.raises(ConfigurationError, match="2023-11-14T22:13:20Z, which is in the past"):
        make_plans([standing([])], dataclasses.replace(OPTIONS, until=1700000000), "")


@pytest.mark.parametrize(
    ("left", "valid_for", "soon"),
    [
        (29 * DAY, None, True),
        (31 * DAY, None, False),
        (29 * DAY, 90, True),
        (31 * DAY, 90, False),
        (29 * DAY, 30, False),
    ],
)
def test_a_record_ends_soon_when_less_than_a_third_is_left(
    left: int, valid_for: int | None, soon: bool
) -> None:
    options = dataclasses.replace(OPTIONS, valid_for=valid_for)
    assert ends_soon(standing([ours(persist_until=NOW + left)]), options) is soon


def test_the_last_of_several_ends_counts() -> None:
    assert standing([ours(persist_until=NOW + 1), ours(persist_until=NOW + 9)]).end == NOW + 9
    assert standing([ours(persist_until=NOW + 1), ours()]).end is None
    assert standing([]).end is None


def plan_of(until: int | None, *standings: Standing) -> Plan:
    record = ValidationRecord("ca.example", URI, None, until)
    return Plan("x.example", record, 300, standings, (), "why")


@pytest.mark.parametrize(
    ("until", "ends", "improves"),
    [
        (NOW + 9, [NOW + 8], True),
        (NOW + 9, [NOW + 9], False),
        (NOW + 9, [NOW + 10], False),
        (NOW + 9, [None], False),
        (None, [None], False),
        (NOW + 9, [NOW + 1, NOW + 8], True),
        (NOW + 9, [NOW + 1, NOW + 9], False),
        (NOW + 9, [NOW + 1, None], False),
    ],
)
def test_a_later_end_than_everything_that_stands_improves_it(
    until: int | None, ends: list[int | None], improves: bool
) -> None:
    standings = [standing([ours(persist_until=end)]) for end in ends]
    assert plan_of(until, *standings).improves is improves


@pytest.mark.parametrize(
    ("standing_uris", "improves"),
    [(["bound-new"], False), ([URI], True), (["bound-new", URI], True)],
)
def test_a_newer_form_than_something_that_stands_improves_it(
    standing_uris: list[str], improves: bool
) -> None:
    request = dataclasses.replace(REQUEST, account_uris=HASHED)
    standings = [
        dataclasses.replace(standing([ours(account_uri=uri)]), request=request)
        for uri in standing_uris
    ]
    assert plan_of(None, *standings).improves is improves


def test_a_plan_names_what_it_is_for() -> None:
    plan = plan_of(NOW, standing([]), standing([], wildcard=True))
    assert plan.subjects == "example.com, example.com and *.example.com"
    assert plan.requests == [REQUEST, dataclasses.replace(REQUEST, wildcard=True)]
    assert plan.value == f"ca.example; accounturi={URI}; persistUntil={NOW}"


def test_a_plan_keeps_the_ttl_the_reason_and_the_end_of_the_aliases() -> None:
    place = standing([], canonical_name="x.example")
    (plan,) = make_plans([place], dataclasses.replace(OPTIONS, ttl=77), "because")
    assert (plan.name, plan.ttl, plan.reason) == ("x.example", 77, "because")
    assert plan.standings == (place,)
    assert plan.record == ValidationRecord("a.example", URI)


def test_names_that_lead_elsewhere_or_take_another_uri_have_records_of_their_own() -> None:
    here, there = standing([]), standing([], canonical_name="x.example")
    other = dataclasses.replace(
        here, request=dataclasses.replace(REQUEST, account_uris=AccountUris("urn:other"))
    )
    plans = make_plans([here, there, other, here], OPTIONS, "")
    assert [(p.name, p.record.account_uri, p.standings) for p in plans] == [
        (REQUEST.name, URI, (here, here)),
        ("x.example", URI, (there,)),
        (REQUEST.name, "urn:other", (other,)),
    ]


@pytest.mark.parametrize(
    ("options", "stands", "until"),
    [
        (OPTIONS, None, None),
        (OPTIONS, NOW + 5, NOW + 5),
        (dataclasses.replace(OPTIONS, until=NOW + 1), NOW + 5, NOW + 1),
        (dataclasses.replace(OPTIONS, valid_for=2), NOW + 5, NOW + 2 * DAY),
    ],
)
def test_the_options_set_the_end_else_it_is_the_one_that_stands(
    options: Options, stands: int | None, until: int | None
) -> None:
    (plan,) = make_plans([standing([ours(persist_until=stands)])], options, "")
    assert plan.record.persist_until == until


@pytest.mark.parametrize("end", [None, NOW + 9 * DAY])
def test_only_to_shorten_a_record_takes_the_place_of_one_that_lasts_longer(end: int | None) -> None:
    exact, wide = ours(persist_until=end), ours(persist_until=end, policy="wildcard")
    options = dataclasses.replace(OPTIONS, until=NOW + DAY)
    (plan,) = make_plans([standing([exact, wide])], options, "")
    assert plan.retire == ()
    (plan,) = make_plans([standing([exact, wide])], options, "", shorten=True)
    assert plan.retire == (exact,)  # the other is for more names
    (plan,) = make_plans([standing([exact, wide], wildcard=True)], options, "", shorten=True)
    assert plan.retire == (exact, wide)


@pytest.mark.parametrize("until", [NOW - 1, NOW])
def test_an_end_at_this_second_has_passed(until: int) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{REQUEST.domain} needs a new record at {REQUEST.name}"
    ):
        make_plans([standing([])], dataclasses.replace(OPTIONS, until=until), "")


def test_the_issuer_that_is_wanted_is_taken_when_the_ca_offers_it() -> None:
    place = standing([ours()])
    for issuer in REQUEST.issuer_domain_names:
        options = dataclasses.replace(OPTIONS, issuer_domain_name=issuer)
        (plan,) = make_plans([place], options, "")
        assert plan.record.issuer_domain_name == issuer
    options = dataclasses.replace(OPTIONS, issuer_domain_name="other.example")
    with pytest.raises(
        ConfigurationError, match=r"not among .* example\.com: a\.example, ca\.example"
    ):
        make_plans([place], options, "")


def test_each_value_is_retired_once_from_wherever_it_stands() -> None:
    (old, older) = (ours(persist_until=NOW - 1), ours(persist_until=NOW - 2))
    places = [standing([old], [older, old]), standing([older])]
    (plan,) = make_plans(places, OPTIONS, "")
    assert plan.retire == (old, older)


@pytest.mark.parametrize(
    ("new", "old", "reaches"),
    [
        ((None, None), (None, None), True),
        ((None, None), (None, NOW), True),
        ((None, NOW), (None, None), False),
        ((None, NOW), (None, NOW - 1), True),
        ((None, NOW), (None, NOW), True),
        ((None, NOW), (None, NOW + 1), False),
        ((None, None), ("wildcard", None), False),
        (("wildcard", None), (None, None), True),
        (("wildcard", None), ("wildcard", None), True),
        (("wildcard", NOW), (None, NOW + 1), False),
        ((None, NOW + 1), ("wildcard", NOW), False),
    ],
)
def test_a_record_reaches_as_far_as_one_that_is_no_wider_and_no_longer(
    new: tuple[str | None, int | None], old: tuple[str | None, int | None], reaches: bool
) -> None:
    one, other = (ValidationRecord("ca.example", URI, *each) for each in (new, old))
    assert reaches_as_far(one, other) is reaches


@pytest.mark.parametrize(
    ("old", "superseded"),
    [
        (ValidationRecord("ca.example", URI, None, NOW + 9), True),
        (ValidationRecord("a.example", URI), True),
        (ValidationRecord("ca.example", URI), False),  # the new one itself
        (ValidationRecord("ca.example", URI, "wildcard"), False),
        (ValidationRecord("ca.example", URI, "wildcard", NOW), False),
        (ValidationRecord("ca.example", URI, "wildcard", NOW - 1), True),
        (ValidationRecord("other.example", URI, None, NOW - 1), False),
        (ValidationRecord("ca.example", URI + "0", None, NOW - 1), False),
    ],
)
def test_a_new_record_supersedes_ours_that_expired_or_that_authorise_nothing_more(
    old: ValidationRecord, superseded: bool
) -> None:
    value = old.to_value()
    assert supersedes(ValidationRecord("ca.example", URI), value, standing([value])) is superseded


def test_nothing_supersedes_what_cannot_be_read() -> None:
    value = f"ca.example; accounturi={URI}; persistUntil=x"
    assert not supersedes(ValidationRecord("ca.example", URI), value, standing([value]))


def test_equal_plans_count_once() -> None:
    assert len({plan_of(NOW, standing([])), plan_of(NOW, standing([]))}) == 1


@pytest.mark.parametrize(
    ("value", "until"),
    [
        (f"ca.example.; accounturi={URI}", None),
        (f"ca.example.; accounturi={URI}; persistUntil={NOW + DAY}", NOW + DAY),
        (ours(persist_until=2**63 - 1), None),
    ],
)
def test_what_some_cas_refuse_is_replaced_by_its_canonical_form(
    value: str, until: int | None
) -> None:
    now = standing([value])
    (plan,) = make_plans([now], OPTIONS, "")
    assert plan.improves
    assert plan.value == ours(persist_until=until)
    assert plan.retire == (value,)
    assert standing([plan.value]).authorized
