"""Replacing the key of an account at a CA that insists on RFC 8555 section 7.3.5."""

from collections.abc import Iterator

import pytest
from acme import messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.jwk import JWK, JWKEC, JWKRSA
from support.acme_ca import TestCa

from certbot_dns_persist.ca import key_change
from certbot_dns_persist.ca.authorization import algorithm
from certbot_dns_persist.ca.key_change import Holder, NotReplaced
from certbot_dns_persist.errors import AccountError, DirectoryError

P256, P384 = (JWKEC(key=ec.generate_private_key(curve())) for curve in (ec.SECP256R1, ec.SECP384R1))
RSA = JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture
def ca(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestCa]:
    with TestCa(dns=("127.0.0.1", 9)) as running:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.root_certificate))
        yield running


def register(ca: TestCa, key: JWK) -> str:
    """Make an account with ``key``; return its URL."""
    network = ClientNetwork(key, alg=algorithm(key))
    directory = ClientV2.get_directory(ca.directory_url, network)
    new = messages.NewRegistration(terms_of_service_agreed=True)
    url: str = ClientV2(directory, network).new_account(new).uri or ""
    return url


@pytest.mark.parametrize(("old", "new"), [(P256, P384), (P384, RSA), (RSA, P256)])
def test_the_ca_takes_the_new_key_of_any_type_and_refuses_the_old_one(
    ca: TestCa, old: JWK, new: JWK
) -> None:
    url = register(ca, old)
    key_change.require_key_change(old, url, ca.directory_url, verify=True)
    assert key_change.holder(old, new, url, ca.directory_url, verify=True) is Holder.OLD
    key_change.change_key(old, new, url, ca.directory_url, verify=True)
    assert key_change.holder(old, new, url, ca.directory_url, verify=True) is Holder.NEW
    with pytest.raises(AccountError, match="does not accept the key in Certbot's files"):
        key_change.require_key_change(old, url, ca.directory_url, verify=True)
    # Told again, as after an interruption: the CA refuses the old key, and has the new one.
    key_change.change_key(old, new, url, ca.directory_url, verify=True)


def test_a_key_that_another_account_has_is_not_taken(ca: TestCa) -> None:
    url, _ = register(ca, P256), register(ca, P384)
    with pytest.raises(NotReplaced, match="another account has the new key"):
        key_change.change_key(P256, P384, url, ca.directory_url, verify=True)
    assert key_change.holder(P256, RSA, url, ca.directory_url, verify=True) is Holder.OLD


def test_an_error_of_the_cas_own_is_no_refusal(ca: TestCa) -> None:
    """It may have replaced the key all the same, and not show that yet."""
    url = register(ca, P256)
    ca.change(key_change="failed")
    with pytest.raises(DirectoryError, match=r"something broke\. It still accepts the old key"):
        key_change.change_key(P256, P384, url, ca.directory_url, verify=True)


def test_if_somebody_else_has_replaced_the_key_neither_is_taken(ca: TestCa) -> None:
    url = register(ca, P256)
    key_change.change_key(P256, RSA, url, ca.directory_url, verify=True)
    assert key_change.holder(P256, P384, url, ca.directory_url, verify=True) is Holder.NEITHER
    with pytest.raises(AccountError, match="accepts neither the old nor the new key"):
        key_change.change_key(P256, P384, url, ca.directory_url, verify=True)


def test_a_ca_that_is_away_has_not_refused(ca: TestCa) -> None:
    url = register(ca, P256)
    ca.change(key_change="absent")
    with pytest.raises(DirectoryError, match="has no keyChange"):
        key_change.require_key_change(P256, url, ca.directory_url, verify=True)
    nowhere = "https://localhost:9/directory"
    with pytest.raises(DirectoryError, match="does not say which key the account"):
        key_change.holder(P256, P384, url, nowhere, verify=True)
    with pytest.raises(DirectoryError, match="does not say which key the account"):
        key_change.change_key(P256, P384, url, nowhere, verify=True)
