"""What must be proven for one name, on a CA's terms."""

import dataclasses

import pytest

from certbot_dns_persist.account import ANY_DOMAIN, Account, hashed_account_uri
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.record import ValidationRecord
from certbot_dns_persist.request.request import (
    AccountUris,
    Proof,
    ValidationRequest,
    make_request,
)

NOW = 1_800_000_000
SERVER = "https://ca.example/dir"
ACCOUNT = Account("https://ca.example/acct/1", "n" * 43)
EARLIER = ["o" * 43, "p" * 43]
PREFIX = "https://ca.example/hash/"
STATED = "https://ca.example/other/1"
URIS = AccountUris(
    "published",
    current=("current",),
    outdated=("outdated",),
    bound=frozenset({"published", "bound"}),
    shared=frozenset({"current", "shared"}),
)
REQUEST = ValidationRequest(
    domain="example.com",
    wildcard=False,
    server=SERVER,
    issuer_domain_names=("a.example", "b.example"),
    account_url=ACCOUNT.url,
    account_uris=URIS,
)


def made(terms: Terms, *, wildcard: bool = False, shared: bool = False) -> ValidationRequest:
    return make_request(
        "example.com",
        wildcard=wildcard,
        shared=shared,
        terms=terms,
        account=ACCOUNT,
        earlier_keys=lambda: EARLIER,
        server=SERVER,
    )


def hashed(domain: str, key: str = ACCOUNT.thumbprint) -> str:
    return hashed_account_uri(PREFIX, domain=domain, thumbprint=key, account_url=ACCOUNT.url)


def test_every_kind_of_uri_is_accepted_and_the_published_one_comes_first() -> None:
    assert URIS.accepted == ("published", "current", "outdated")
    assert AccountUris("published").accepted == ("published",)


@pytest.mark.parametrize(
    ("published", "old", "serves"),
    [
        ("published", "published", True),
        ("published", "bound", True),
        ("published", "shared", False),
        ("published", "outdated", False),
        ("shared", "current", True),
        ("shared", "bound", True),
        ("shared", "outdated", False),
        ("outdated", "shared", False),
    ],
)
def test_a_uri_serves_all_of_itself_of_a_bound_one_and_if_shared_of_another_shared_one(
    published: str, old: str, serves: bool
) -> None:
    assert dataclasses.replace(URIS, published=published).serves_all_of(old) is serves


def test_a_request_is_proven_at_the_validation_domain_name() -> None:
    assert REQUEST.name == "_validation-persist.example.com"


@pytest.mark.parametrize(
    ("record", "wildcard", "authorized"),
    [
        (ValidationRecord("a.example", "published"), False, True),
        (ValidationRecord("b.example", "current"), False, True),
        (ValidationRecord("a.example", "outdated"), False, True),
        (ValidationRecord("a.example", ACCOUNT.url), False, False),
        (ValidationRecord("c.example", "published"), False, False),
        (ValidationRecord("a.example", "published"), True, False),
        (ValidationRecord("a.example", "published", "wildcard"), True, True),
        (ValidationRecord("a.example", "published", None, NOW), False, True),
        (ValidationRecord("a.example", "published", None, NOW - 1), False, False),
    ],
)
def test_a_record_is_judged_by_the_cas_names_the_accepted_uris_the_wildcard_and_the_time(
    record: ValidationRecord, wildcard: bool, authorized: bool
) -> None:
    request = dataclasses.replace(REQUEST, wildcard=wildcard)
    assert request.evaluate([record.to_value()], NOW).authorized is authorized


@pytest.mark.parametrize(
    ("issuer", "uri", "ours"),
    [
        ("a.example", "published", True),
        ("b.example", "current", True),
        ("a.example", "outdated", True),
        ("a.example", ACCOUNT.url, True),
        ("c.example", "published", False),
        ("c.example", ACCOUNT.url, False),
        ("a.example", "bound", False),
        ("a.example", ACCOUNT.url + "0", False),
    ],
)
def test_a_record_is_ours_by_a_name_of_the_ca_and_a_uri_of_the_account(
    issuer: str, uri: str, ours: bool
) -> None:
    assert REQUEST.is_ours(ValidationRecord(issuer, uri)) is ours
    assert REQUEST.is_ours(ValidationRecord(issuer, uri, "wildcard", NOW - 1)) is ours


@pytest.mark.parametrize("wildcard", [False, True])
def test_a_request_keeps_what_it_was_made_from(wildcard: bool) -> None:
    request = made(Terms(("a.example", "b.example"), STATED), wildcard=wildcard)
    assert request.account_uris == AccountUris(
        STATED, current=(ACCOUNT.url,), plain=frozenset({STATED, ACCOUNT.url})
    )
    assert request.account_uris.serves_all_of(ACCOUNT.url)
    assert request.wildcard is wildcard
    assert dataclasses.replace(request, account_uris=URIS, wildcard=False) == REQUEST


def test_without_a_stated_uri_or_a_hash_prefix_the_account_url_is_published() -> None:
    uris = made(Terms(("a.example",), None)).account_uris
    assert uris == AccountUris(ACCOUNT.url, plain=frozenset({ACCOUNT.url}))


def test_earlier_keys_are_not_asked_for_where_nothing_is_hashed() -> None:
    def ask() -> list[str]:
        raise AssertionError

    request = make_request(
        "example.com",
        wildcard=False,
        shared=True,
        terms=Terms(("a.example",), STATED),
        account=ACCOUNT,
        earlier_keys=ask,
        server=SERVER,
    )
    assert request.account_uris.accepted == (STATED, ACCOUNT.url)


def test_with_a_hash_prefix_the_uri_of_this_domain_is_published_and_the_other_form_accepted() -> (
    None
):
    uris = made(Terms(("a.example",), None, PREFIX)).account_uris
    assert uris.published == hashed("example.com")
    assert uris.current == (hashed(ANY_DOMAIN),)


def test_the_uri_for_every_domain_is_published_when_it_is_chosen() -> None:
    uris = made(Terms(("a.example",), None, PREFIX), shared=True).account_uris
    assert uris.published == hashed(ANY_DOMAIN)
    assert uris.current == (hashed("example.com"),)


@pytest.mark.parametrize("shared", [False, True])
def test_uris_of_earlier_keys_are_outdated_and_all_are_known_by_what_they_serve(
    shared: bool,
) -> None:
    uris = made(Terms(("a.example",), None, PREFIX), shared=shared).account_uris
    bound = [hashed("example.com", key) for key in EARLIER]
    for_all = [hashed(ANY_DOMAIN, key) for key in EARLIER]
    assert sorted(uris.outdated) == sorted([*bound, *for_all])
    assert uris.bound == {hashed("example.com"), *bound}
    assert uris.shared == {hashed(ANY_DOMAIN), *for_all}


def test_a_ca_in_transition_accepts_the_plain_uri_which_is_outdated() -> None:
    only = made(Terms(("a.example",), None, PREFIX)).account_uris
    both = made(Terms(("a.example",), STATED, PREFIX)).account_uris
    assert STATED not in only.accepted
    assert both == dataclasses.replace(only, outdated=(*only.outdated, STATED, ACCOUNT.url))


def test_dns_01_is_proven_at_a_name_of_its_own() -> None:
    proof = Proof("example.com", "value", SERVER, ACCOUNT.url)
    assert proof.name == "_acme-challenge.example.com"


@pytest.mark.parametrize("value", [URIS, REQUEST, Proof("a.test", "x", SERVER, ACCOUNT.url)])
def test_equal_ones_count_once(value: object) -> None:
    copy = dataclasses.replace(value)  # type: ignore[type-var]
    assert copy is not value
    assert len({value, copy}) == 1
