"""What articles told people to publish before there was a standard."""

import pytest

from certbot_dns_persist.record import parse_record
from certbot_dns_persist.value.obsolete import MOST_CHARACTERS, NAMES, recognize

URI = "https://acme-v02.api.letsencrypt.org/acme/acct/1"
NEEDED = f"letsencrypt.org; accounturi={URI}; persistUntil=1798761600"


@pytest.mark.parametrize(
    "value",
    [
        f"v=acme-persist-01; ca=letsencrypt.org; account={URI}; exp=2027-01-01T00:00:00Z",
        f"v=acme-persist-01;ca=letsencrypt.org;account={URI};exp=2027-01-01",
        f'"v=acme-persist-01; ca=letsencrypt.org; account={URI}; exp=1798761600"',
        f"exp=2027-01-01T01:00:00+01:00; account={URI}; ca=LetsEncrypt.org.",
        f"ca letsencrypt.org; account {URI}; exp 2027-01-01T00:00:00Z",
        f"v=acme-persist-01 ca=letsencrypt.org account={URI} exp=2027-01-01T00:00:00Z",
        f'ca="letsencrypt.org", account="{URI}", exp="2027-01-01T00:00:00Z"',
        "v=acme-persist-01; ca=https://acme-v02.api.letsencrypt.org/directory; "
        f"account={URI}; exp=2027-01-01T00:00:00Z",
        f"acme-challenge=persist; ca=letsencrypt; account={URI}; policy=exact; "
        "persistUntil=2027-01-01T00:00:00Z",
        f"letsencrypt.org; account={URI}; exp=2027-01-01T00:00:00Z",
        f"letsencrypt.org; accounturi={URI}; persistUntil=2027-01-01T00:00:00Z",
    ],
)
def test_a_value_that_says_all_is_turned_into_the_record_that_is_needed(value: str) -> None:
    old = recognize(value)
    assert old is not None
    assert old.needed == NEEDED
    assert old.record == parse_record(NEEDED)
    assert not old.problems


@pytest.mark.parametrize(
    ("value", "needed", "problem"),
    [
        (
            "v=acme-persist-01; ca=letsencrypt.org; account=12345",
            "letsencrypt.org; accounturi=<account-uri>",
            "given as '12345'",
        ),
        (
            f"v=acme-persist-01; account={URI}; policy=wildcard",
            f"<issuer-domain-name>; accounturi={URI}; policy=wildcard",
            "which CA",
        ),
        (
            "v=acme-persist-01; ca=letsencrypt.org",
            "letsencrypt.org; accounturi=<account-uri>",
            "which account",
        ),
        (
            f"v=acme-persist-01; ca=https://acme.example/directory; account={URI}",
            f"<issuer-domain-name>; accounturi={URI}",
            "caaIdentities",
        ),
        (
            f"v=acme-persist-01; ca=ca.example; account={URI}; exp=next year",
            f"ca.example; accounturi={URI}",
            "given as 'next year'",
        ),
        (
            f"v=acme-persist-01; ca=ca.example; account={URI}; exp=2027-01-01T00:00:00",
            f"ca.example; accounturi={URI}",
            "not a date with a time zone",
        ),
        ("v=acme-persist-01", "<issuer-domain-name>; accounturi=<account-uri>", "which account"),
    ],
)
def test_what_cannot_be_taken_over_is_said(value: str, needed: str, problem: str) -> None:
    old = recognize(value)
    assert old is not None
    assert old.needed == needed
    assert problem in " ".join(old.problems)


@pytest.mark.parametrize(
    "value", ["evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", '"token=abc"', "token: 4711"]
)
def test_a_token_names_neither_ca_nor_account(value: str) -> None:
    old = recognize(value)
    assert old is not None
    assert "token" in old.form
    assert old.record is None


@pytest.mark.parametrize(
    "value",
    [
        f"letsencrypt.org; accounturi={URI}",
        f"letsencrypt.org; accounturi={URI}; exp=2027-01-01; ca=x",
        f"letsencrypt.org; accounturi={URI}; persistUntil=-1; policy",
        "letsencrypt.org",
        "v=DMARC1; p=none; rua=mailto:somebody@example.test",
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ",
        "v=spf1 include:example.test -all",
        "google-site-verification=evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ",
        "",
        ";",
    ],
)
def test_anything_else_is_not_taken_for_an_old_form(value: str) -> None:
    assert recognize(value) is None


def test_the_names_of_old_are_known() -> None:
    assert set(NAMES) == {"_acme-persist", "_persist-challenge"}


@pytest.mark.parametrize("padding", [" ", ",", "; x=1"])
def test_what_is_longer_than_any_article_has_it_is_not_read(padding: str) -> None:
    value = f"v=acme-persist-01; ca=letsencrypt.org; account={URI}"
    assert recognize(value.ljust(MOST_CHARACTERS)) is not None
    assert recognize(value + padding * 64_000) is None
