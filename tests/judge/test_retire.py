"""Which records of ours may go, and which never do."""

import dataclasses
import itertools

import pytest
from test_plan import REQUEST, URI

from certbot_dns_persist.judge.retire import (
    is_bare,
    needed_by,
    not_needed,
    ours,
    prunable,
    superfluous,
)
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found, ServerAnswer
from certbot_dns_persist.request.request import AccountUris, ValidationRequest

AT = 1_800_000_000
PLAIN = f"ca.example; accounturi={URI}"
WIDE = f"{PLAIN}; policy=wildcard"
ENDS = f"{PLAIN}; persistUntil={AT + 86400}"
ENDED = f"{PLAIN}; persistUntil={AT - 1}"
FOREIGN = [
    f"ca.example; accounturi={URI}0",
    f"other.example; accounturi={URI}",
    f"ca.example; accounturi={URI}; broken",
    f"ca.example; accounturi={URI}0; persistUntil=1",
    "v=spf1 -all",
]

HASHED, SHARED, OLD_KEY = "acme:sha-256/bound", "acme:sha-256/shared", "acme:sha-256/old"
HASHING = dataclasses.replace(
    REQUEST,
    account_uris=AccountUris(
        HASHED,
        (SHARED,),
        (OLD_KEY,),
        bound=frozenset({HASHED, OLD_KEY}),
        shared=frozenset({SHARED}),
    ),
)


def standing(*values: str, request: ValidationRequest = REQUEST, lagging: bool = False) -> Standing:
    answers = [ServerAnswer("ns1", "192.0.2.1", tuple(values))]
    if lagging:
        answers.append(ServerAnswer("ns2", "192.0.2.2", values[:1]))
    found = Found(REQUEST.name, REQUEST.name, "example.com", tuple(answers))
    return Standing(request, found, AT)


@pytest.mark.parametrize("mine", [[], [PLAIN], [PLAIN, WIDE, ENDS, ENDED]])
def test_what_is_not_ours_is_never_among_what_may_go(mine: list[str]) -> None:
    now = standing(*FOREIGN, *mine)
    assert ours(now) == mine
    assert not set(prunable(now)) & set(FOREIGN)


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        ([PLAIN], {}),
        ([ENDED], {ENDED: "expired"}),
        ([PLAIN, ENDS], {ENDS: "superseded"}),
        ([PLAIN, WIDE], {PLAIN: "superseded"}),
        # One is for more names, the other for longer.
        ([PLAIN, f"{WIDE}; persistUntil={AT + 86400}"], {}),
        ([PLAIN, WIDE, ENDS, ENDED], {PLAIN: "superseded", ENDS: "superseded", ENDED: "expired"}),
    ],
)
def test_what_another_one_does_as_well_may_go(values: list[str], gone: dict[str, str]) -> None:
    assert prunable(standing(*values)) == gone


def test_of_two_that_do_the_same_one_stays() -> None:
    both = dataclasses.replace(REQUEST, issuer_domain_names=("ca.example", "ca2.example"))
    twin = PLAIN.replace("ca.example;", "ca2.example;")
    assert list(prunable(standing(PLAIN, twin, request=both))) == [PLAIN]


def test_what_some_server_does_not_have_replaces_nothing() -> None:
    assert prunable(standing(ENDS, PLAIN, lagging=True)) == {}


def test_a_form_that_the_ca_does_not_accept_goes_once_another_one_authorises() -> None:
    plain = f"ca.example; accounturi={REQUEST.account_url}"
    assert prunable(standing(plain, request=HASHING)) == {}
    new = f"ca.example; accounturi={HASHED}"
    assert prunable(standing(plain, new, request=HASHING)) == {
        plain: "in a form that the CA does not accept"
    }


def test_the_current_key_replaces_an_earlier_one_but_not_what_serves_other_domains() -> None:
    new, old, shared = (f"ca.example; accounturi={uri}" for uri in (HASHED, OLD_KEY, SHARED))
    assert prunable(standing(new, old, shared, request=HASHING)) == {old: "superseded"}


def test_what_is_marked_as_replaced_goes_when_it_is_not_needed() -> None:
    of_another_account = FOREIGN[0]
    assert prunable(standing(of_another_account), [of_another_account]) == {}
    assert prunable(standing(PLAIN, of_another_account), [of_another_account]) == {
        of_another_account: "replaced"
    }


def test_who_needs_a_record_is_known() -> None:
    now = standing(PLAIN, ENDED)
    assert needed_by([now], REQUEST.name, [PLAIN]) == [now]
    assert needed_by([now], REQUEST.name, [ENDED]) == []
    for elsewhere in ("0.example", "elsewhere.example"):
        assert needed_by([now], elsewhere, [PLAIN]) == []
    assert needed_by([standing(ENDED)], REQUEST.name, [ENDED]) == []


def test_an_expired_record_replaces_nothing_and_is_expired_even_when_marked() -> None:
    ended = f"{WIDE}; persistUntil={AT - 1}"
    assert prunable(standing(PLAIN, ended), [ended]) == {ended: "expired"}
    assert prunable(standing(ended, PLAIN), [PLAIN]) == {ended: "expired"}
    assert prunable(standing(ENDED, PLAIN, ENDS)) == {ENDED: "expired", ENDS: "superseded"}


def test_of_what_is_marked_only_that_goes_without_which_the_request_is_authorised() -> None:
    assert prunable(standing(PLAIN, WIDE), [PLAIN, WIDE]) == {PLAIN: "replaced"}
    assert prunable(standing(PLAIN, WIDE), [PLAIN]) == {PLAIN: "replaced"}
    assert prunable(standing(PLAIN), ["ca.example; accounturi=elsewhere"]) == {}


def test_two_forms_that_do_not_serve_the_same_names_do_not_replace_each_other() -> None:
    bound, shared = (f"ca.example; accounturi={uri}" for uri in (HASHED, SHARED))
    assert prunable(standing(bound, shared, request=HASHING)) == {}


@pytest.mark.parametrize("uri", ["acme:sha-256/a", "acme:sha-256/z", SHARED])
def test_an_earlier_keys_record_is_only_replaced_by_one_that_is_published_now(uri: str) -> None:
    uris = HASHING.account_uris
    request = dataclasses.replace(
        HASHING,
        account_uris=dataclasses.replace(
            uris, outdated=(OLD_KEY, uri), bound=uris.bound | {uri} - uris.shared
        ),
    )
    old, other = f"ca.example; accounturi={OLD_KEY}", f"ca.example; accounturi={uri}"
    assert prunable(standing(old, other, request=request)) == {}


def test_a_record_that_is_not_published_now_replaces_a_shorter_one_of_the_same_uri() -> None:
    old = f"ca.example; accounturi={OLD_KEY}"
    ends = f"{old}; persistUntil={AT + 86400}"
    assert prunable(standing(old, ends, request=HASHING)) == {ends: "superseded"}


def test_who_needs_a_record_needs_none_beside_another_one() -> None:
    now, narrow = standing(PLAIN, WIDE), standing(PLAIN)
    assert needed_by([now, narrow], REQUEST.name, [PLAIN]) == [narrow]
    assert needed_by([now, narrow], REQUEST.name, [PLAIN, WIDE]) == [now, narrow]
    assert needed_by([], REQUEST.name, [PLAIN]) == []


SOME, SOME_WIDE = f"{PLAIN}; a.b=c", f"CA.example.; accounturi={URI}; policy=wildcard"


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        ([SOME], {}),
        ([SOME, SOME_WIDE], {}),
        ([PLAIN, SOME], {SOME: "superseded"}),
        ([SOME, PLAIN], {SOME: "superseded"}),
        ([SOME_WIDE, PLAIN], {}),
        ([SOME_WIDE, WIDE], {SOME_WIDE: "superseded"}),
    ],
)
def test_a_record_that_some_cas_refuse_takes_the_place_of_no_other(
    values: list[str], gone: dict[str, str]
) -> None:
    assert ours(standing(*values)) == values
    assert prunable(standing(*values)) == gone


def test_a_record_that_a_ca_may_accept_is_needed() -> None:
    now = standing(SOME)
    assert needed_by([now], REQUEST.name, [SOME]) == [now]
    assert needed_by([standing(SOME, PLAIN)], REQUEST.name, [SOME]) == []


def test_whoever_looks_chooses_the_same_of_several_that_do_the_same() -> None:
    names = ("ca.example", "ca2.example", "ca3.example")
    asked = dataclasses.replace(REQUEST, issuer_domain_names=names)
    for order in itertools.permutations(f"{name}; accounturi={URI}" for name in names):
        gone = prunable(standing(*order, request=asked))
        assert sorted(gone) == [f"{name}; accounturi={URI}" for name in names[:2]]


def test_a_record_is_needed_if_one_server_has_no_other() -> None:
    lagging = standing(PLAIN, WIDE, lagging=True)
    assert needed_by([lagging], REQUEST.name, [WIDE]) == []
    assert needed_by([lagging], REQUEST.name, [PLAIN]) == [lagging]
    assert needed_by([lagging], "elsewhere.example", [PLAIN]) == []


def test_of_several_values_those_that_nobody_needs_may_go() -> None:
    theirs = dataclasses.replace(REQUEST, account_uris=AccountUris(f"{URI}0"))
    there = standing(PLAIN, FOREIGN[0], request=theirs)
    values = [PLAIN, FOREIGN[0]]
    assert not_needed([there], REQUEST.name, values) == ([PLAIN], [there])
    assert not_needed([], REQUEST.name, values) == (values, [])


def test_what_one_certificate_no_longer_needs_stays_for_another_at_the_same_name() -> None:
    """Each was replaced by the other's account at some time, and both are marked."""
    theirs = dataclasses.replace(REQUEST, account_uris=AccountUris(f"{URI}0"))
    marked = [PLAIN, FOREIGN[0]]
    mine, other = standing(*marked), standing(*marked, request=theirs)
    assert superfluous([mine], [], marked) == {FOREIGN[0]: "replaced"}
    assert superfluous([mine], [other], marked) == {}
    assert superfluous([mine, other], [], marked) == {}


def test_a_name_is_bare_without_the_last_record_of_ours() -> None:
    now = standing(*FOREIGN, PLAIN, WIDE)
    assert is_bare([now], [PLAIN, WIDE], [])
    assert not is_bare([now], [PLAIN], [])
    assert not is_bare([now], [PLAIN, WIDE], [FOREIGN[0]])
    assert is_bare([standing(WIDE)], [PLAIN, WIDE], [PLAIN])  # the plain one went before
