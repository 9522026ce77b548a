"""What to expect of a CA before it says so: from its directory, and from what it said before."""

from typing import Any

import pytest

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.directory import Directory
from certbot_dns_persist.ca.terms import Terms, expected_terms
from certbot_dns_persist.errors import DirectoryError

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
    with pytest.raises(DirectoryError, match="names no issuer-domain-name"):
        expected()
