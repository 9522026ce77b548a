"""What a CA wants in the records: what its challenge states, and what to expect before one."""

import dataclasses
from typing import Any

import pytest

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.challenge import DNSPersist01
from certbot_dns_persist.ca.directory import Directory
from certbot_dns_persist.ca.terms import Terms, expected_terms, stated_terms
from certbot_dns_persist.errors import ChallengeError, DirectoryError

URL = "https://ca.example/dir"
ACCOUNT = Account("https://ca.example/acct/1", "x" * 43)
STATED = "https://ca.example/other/1"
PREFIX = "https://ca.example/hash/"


def expected(noted: Terms | None = None, **members: object) -> Terms:
    return expected_terms(Directory(URL, **members), noted, ACCOUNT)  # type: ignore[arg-type]


def test_without_a_hash_prefix_the_account_url_is_expected_unless_another_uri_was_stated() -> None:
    listed = ("b.example", "a.example")
    assert expected(caa_identities=listed) == Terms(("a.example", "b.example"), ACCOUNT.url)
    noted = Terms(("b.example",), STATED)
    assert expected(noted, caa_identities=listed) == Terms(("b.example",), STATED)


def test_with_a_hash_prefix_only_hashed_uris_are_expected_unless_both_were_taken() -> None:
    members: dict[str, Any] = {
        "issuer_domain_names": ("a.example",),
        "account_hash_prefix": PREFIX,
    }
    assert expected(**members) == Terms(("a.example",), None, PREFIX)
    before = Terms(("a.example",), ACCOUNT.url)  # of draft -01, from which the CA has moved on
    assert expected(before, **members) == Terms(("a.example",), None, PREFIX)
    both = Terms(("a.example",), ACCOUNT.url, "https://ca.example/old/")
    assert expected(both, **members) == Terms(("a.example",), ACCOUNT.url, PREFIX)


def test_names_that_were_offered_count_beside_the_directorys_while_they_are_listed() -> None:
    noted = Terms(("a.example", "gone.example", "more.example"), None, PREFIX)
    found = expected(
        noted,
        issuer_domain_names=("a.example",),
        caa_identities=("a.example", "more.example", "never.example"),
        account_hash_prefix=PREFIX,
    )
    assert found.issuer_domain_names == ("a.example", "more.example")


def test_what_was_offered_counts_where_the_directory_lists_nothing() -> None:
    assert expected(Terms(("a.example",), None)).issuer_domain_names == ("a.example",)


def test_a_directory_without_names_is_no_ground_for_a_record() -> None:
    with pytest.raises(DirectoryError, match="has no issuer-domain-name"):
        expected()


def test_what_was_offered_counts_only_while_the_directory_lists_it() -> None:
    noted = Terms(("gone.example",), None)
    assert expected(noted, caa_identities=("a.example",)).issuer_domain_names == ("a.example",)


def test_identities_that_cannot_be_compared_say_nothing_of_what_is_offered() -> None:
    noted = Terms(("a.example",), STATED)
    found = expected(noted, caa_identities=("xn--b-eha.example",), comparable=False)
    assert found.issuer_domain_names == ("a.example",)


def test_the_names_that_the_directory_promises_go_before_those_that_it_only_lists() -> None:
    found = expected(issuer_domain_names=("a.example",), caa_identities=("b.example", "a.example"))
    assert found.issuer_domain_names == ("a.example",)


def test_without_a_hash_prefix_any_more_the_plain_uri_that_was_noted_counts() -> None:
    noted = Terms(("a.example",), STATED, PREFIX)
    assert expected(noted) == Terms(("a.example",), STATED)
    assert expected(Terms(("a.example",), None, PREFIX)) == Terms(("a.example",), ACCOUNT.url)


OLD = {"issuer-domain-names": ["b.example", "a.example"]}
NEW = {"issuerDomainNames": ["b.example", "a.example"]}
OFFERED = ("a.example", "b.example")


def stated(members: dict[str, Any], **directory: object) -> Terms:
    ca = Directory(URL, **directory)  # type: ignore[arg-type]
    return stated_terms(challenge(members), "d.example", ACCOUNT, lambda: ca)


def challenge(members: dict[str, Any]) -> DNSPersist01:
    made = DNSPersist01.from_json({"type": "dns-persist-01", **members})
    assert isinstance(made, DNSPersist01)
    return made


@pytest.mark.parametrize(
    ("members", "terms"),
    [
        (OLD, Terms(OFFERED, ACCOUNT.url)),
        (OLD | {"accounturi": STATED}, Terms(OFFERED, STATED)),
        (NEW, Terms(OFFERED, None, PREFIX)),
        (NEW | {"accounturi": STATED}, Terms(OFFERED, STATED, PREFIX)),
        (NEW | OLD, Terms(OFFERED, ACCOUNT.url, PREFIX)),
        (NEW | OLD | {"accounturi": STATED}, Terms(OFFERED, STATED, PREFIX)),
    ],
)
def test_the_members_of_a_challenge_tell_which_forms_of_the_account_uri_it_takes(
    members: dict[str, Any], terms: Terms
) -> None:
    assert stated(members, account_hash_prefix=PREFIX) == terms


def test_the_directory_is_not_asked_for_by_a_challenge_of_an_older_draft() -> None:
    def ask() -> Directory:
        raise DirectoryError("it was asked for")

    assert stated_terms(challenge(OLD), "d.example", ACCOUNT, ask) == Terms(OFFERED, ACCOUNT.url)
    with pytest.raises(DirectoryError, match="it was asked for"):
        stated_terms(challenge(NEW), "d.example", ACCOUNT, ask)


def test_a_challenge_for_hashed_uris_alone_needs_a_prefix_in_the_directory() -> None:
    with pytest.raises(ChallengeError, match=f"d.example needs a hashed account URI.*{URL} has no"):
        stated(NEW)
    assert stated(NEW | OLD) == Terms(OFFERED, ACCOUNT.url)


def test_a_challenge_that_contradicts_the_directory_is_refused() -> None:
    with pytest.raises(ChallengeError, match=r"lacks c\.example"):
        stated(NEW, issuer_domain_names=("c.example",), account_hash_prefix=PREFIX)


@pytest.mark.parametrize(
    ("members", "words"),
    [({}, "neither issuerDomainNames nor"), (OLD | {"accounturi": "a b"}, "accounturi 'a b'")],
)
def test_a_malformed_challenge_states_no_terms(members: dict[str, Any], words: str) -> None:
    with pytest.raises(ChallengeError, match=f"for d.example is malformed.*{words}"):
        stated(members)


def test_equal_terms_count_once() -> None:
    terms = Terms(OFFERED, STATED)
    assert len({terms, dataclasses.replace(terms)}) == 1
