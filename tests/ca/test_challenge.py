"""The challenge object: its shapes, what is malformed, and the response that starts the CA."""

from typing import Any

import pytest
from acme import challenges, messages

from certbot_dns_persist.ca.challenge import DNSPersist01, DNSPersist01Response
from certbot_dns_persist.errors import ChallengeError

BODY = {"type": "dns-persist-01", "url": "https://ca.example/chall/1", "status": "pending"}


def decode(**members: Any) -> DNSPersist01:
    json = BODY | {name.replace("_", "-"): value for name, value in members.items()}
    chall = messages.ChallengeBody.from_json(json).chall
    assert isinstance(chall, DNSPersist01)
    return chall


def test_acme_decodes_the_challenge_to_our_class() -> None:
    assert isinstance(decode(), challenges.KeyAuthorizationChallenge)


def test_the_response_is_true_and_its_body_is_the_empty_object() -> None:
    response = DNSPersist01Response(key_authorization="")
    assert response
    assert response.json_dumps() == "{}"


@pytest.mark.parametrize("member", ["issuer_domain_names", "issuerDomainNames"])
def test_the_issuers_are_read_in_either_spelling_and_sorted(member: str) -> None:
    assert decode(**{member: ["b.test", "a.test"]}).issuer_domain_names("d.test") == (
        "a.test",
        "b.test",
    )


def test_the_stated_account_uri_is_kept_verbatim() -> None:
    assert decode(accounturi="https://CA.example/%41").stated_account_uri("d.test") == (
        "https://CA.example/%41"
    )
    assert decode().stated_account_uri("d.test") is None


@pytest.mark.parametrize("member", ["issuer_domain_names", "issuerDomainNames"])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "is empty"),
        ([f"ca{i}.test" for i in range(11)], "has 11 names, more than the 10 allowed"),
        ("ca.test", "is not a list but 'ca.test'"),
        ({"a": 1}, "is not a list"),
        ([1], "has 1, which is not a string"),
        (["CA.test"], "has 'CA.test', which is not a lowercase A-label name"),
        (["ca.test."], "without trailing dot \\('ca.test' would be\\)"),
        (["grün.test"], "'xn--grn-ioa.test' would be"),
        (["ca..test"], "cannot be used"),
        ([""], "cannot be used"),
        (["a b.test"], "cannot be used"),
        ([".".join(["a" * 60] * 5)], "has a name of 304 octets, more than the 253 allowed"),
    ],
)
def test_a_malformed_list_of_issuers_is_refused_with_its_fault(
    member: str, names: Any, words: str
) -> None:
    with pytest.raises(ChallengeError, match=words) as error:
        decode(**{member: names}).issuer_domain_names("d.test")
    assert str(error.value).startswith("The CA's dns-persist-01 challenge for d.test is malformed:")


def test_a_challenge_without_issuers_is_refused() -> None:
    with pytest.raises(ChallengeError, match="neither issuerDomainNames nor issuer-domain-names"):
        decode().issuer_domain_names("d.test")


@pytest.mark.parametrize("uri", ["", "a b", "a;b", "ä", 1, ["x"]])
def test_an_account_uri_that_no_record_can_hold_is_refused(uri: Any) -> None:
    with pytest.raises(ChallengeError, match="cannot be part of a record"):
        decode(accounturi=uri).stated_account_uri("d.test")
