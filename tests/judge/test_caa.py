"""CAA: what forbids a certificate although the record is perfect (RFC 8659, RFC 8657)."""

import dataclasses

import pytest
from test_plan import REQUEST, URI

from certbot_dns_persist.judge.caa import forbids

WILD = dataclasses.replace(REQUEST, wildcard=True)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [(0, "iodef", "mailto:a@example.com")],
        [(0, "issue", "ca.example")],
        [(0, "ISSUE", " CA.example. ")],
        [(0, "issue", "other.example"), (0, "issue", "ca.example")],
        [(0, "issue", f"ca.example; accounturi={URI}")],
        [(0, "issue", "ca.example; validationmethods=dns-01,dns-persist-01")],
        [(128, "issue", "ca.example")],
        [(0, "issuewild", "other.example")],
        [(0, "issue", "ca.example;")],
        [(0, "issue", "ca.example; policy=ev; policy=ov")],
        [(0, "tbs", "x")],
    ],
)
def test_caa_records_that_allow(records: list[tuple[int, str, str]]) -> None:
    assert forbids(records, REQUEST) is None


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([(0, "issue", ";")], "does not name this CA"),
        ([(0, "issue", "other.example")], "does not name this CA"),
        ([(0, "issue", f"ca.example; accounturi={URI}0")], "is for an account other than"),
        ([(0, "issue", "ca.example; validationmethods=dns-01")], "does not list dns-persist-01"),
        ([(128, "tbs", "x")], "critical property 'tbs'"),
        ([(128, "contactemail", "a@b")], "critical property 'contactemail'"),
        ([(0, "issue", "ca.example; accounturi")], "is malformed"),
        ([(0, "issue", "ca.example; validationmethods=dns-persist-01, dns-01")], "is malformed"),
        ([(0, "issue", f"ca.example; accounturi={URI}; accounturi={URI}")], "a parameter twice"),
    ],
)
def test_caa_records_that_forbid(records: list[tuple[int, str, str]], words: str) -> None:
    assert words in (forbids(records, REQUEST) or "")


def test_issuewild_governs_wildcards_and_issue_their_base_name() -> None:
    wild_only = [(0, "issue", "ca.example"), (0, "issuewild", "other.example")]
    assert forbids(wild_only, REQUEST) is None
    assert "CAA issuewild" in (forbids(wild_only, WILD) or "")
    assert "CAA issue" in (forbids([(0, "issue", "other.example")], WILD) or "")


def test_the_names_that_are_asked_for_tell_which_of_the_two_matter() -> None:
    only_wild = [(0, "issue", ";"), (0, "issuewild", "ca.example")]
    never_wild = [(0, "issue", "ca.example"), (0, "issuewild", ";")]
    base, wildcard = REQUEST.domain, f"*.{REQUEST.domain}"
    assert forbids(only_wild, WILD, [wildcard]) is None
    assert forbids(only_wild, WILD, [base, wildcard])
    assert forbids(never_wild, WILD, [base]) is None
    assert forbids(never_wild, WILD, [wildcard])
