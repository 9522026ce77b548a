"""Who we are to the CA: the thumbprint and the hashed account URI."""

import base64
import dataclasses
import functools
import hashlib
import struct
from collections.abc import Callable
from typing import Any

import josepy
import pytest
import support.hypothesis_profile  # noqa: F401
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import example, given
from hypothesis import strategies as st
from josepy.jwk import JWKEC, JWKRSA
from support.keys import rsa_key

from certbot_dns_persist.account import (
    ANY_DOMAIN,
    Account,
    hashed_account_uri,
    thumbprint,
)
from certbot_dns_persist.record import normalize_domain_name

KEY = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
URL = "https://ca.example/acct/123"
PREFIX = "https://ca.example/account-hash/"


@pytest.mark.parametrize(
    ("domain", "digest"),
    [
        ("example.com", "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"),
        (ANY_DOMAIN, "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"),
    ],
)
def test_the_drafts_test_vectors(domain: str, digest: str) -> None:
    uri = hashed_account_uri(PREFIX, domain=domain, thumbprint=KEY, account_url=URL)
    assert uri == f"{PREFIX}sha-256/{digest}"


KEYS: list[tuple[Callable[[], Any], Any]] = [
    (functools.partial(rsa_key, 2048), JWKRSA),
    (functools.partial(rsa_key, 3072), JWKRSA),
    (functools.partial(ec.generate_private_key, ec.SECP256R1()), JWKEC),
    (functools.partial(ec.generate_private_key, ec.SECP384R1()), JWKEC),
]
if hasattr(josepy, "JWKOKP"):
    KEYS += [(ed25519.Ed25519PrivateKey.generate, josepy.JWKOKP)]
"""What makes a key, and the type of its JWK."""

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--"
)
idn_labels = st.text("äöüéñжщλσ東京", min_size=1, max_size=10)
domains = st.lists(labels | idn_labels, min_size=1, max_size=5).map(".".join)
urls = st.from_regex(r"https://[a-z]{1,20}\.example/[!-~]{0,80}", fullmatch=True)


@given(domains, st.sampled_from(KEYS), urls)
@example("grüne.example", KEYS[0], URL)
@example("a" * 63 + ".example", KEYS[3], URL)
def test_the_hash_equals_one_that_is_computed_otherwise(
    domain: str, made: tuple[Callable[[], Any], Any], url: str
) -> None:
    make, kind = made
    jwk = kind(key=(key := make()))
    name = normalize_domain_name(domain)
    expected = hashlib.sha256()
    expected.update(struct.pack("B", len(name)))
    expected.update(name.encode())
    expected.update(jwk_thumbprint(key))
    expected.update(url.encode())
    digest = base64.b64encode(expected.digest(), b"-_").decode().replace("=", "")
    uri = hashed_account_uri(PREFIX, domain=name, thumbprint=thumbprint(jwk), account_url=url)
    assert uri == PREFIX + "sha-256/" + digest
    assert normalize_domain_name(domain.upper() + ".") == name


@pytest.mark.parametrize("domain", ["EXAMPLE.com.", "example.com.", "Example.COM", "example。com"])
def test_one_domain_has_one_hash_however_it_is_written(domain: str) -> None:
    written, normal = (
        hashed_account_uri(PREFIX, domain=name, thumbprint=KEY, account_url=URL)
        for name in (domain, "example.com")
    )
    assert written == normal


def jwk_thumbprint(key: Any) -> bytes:
    """RFC 7638 by hand: the required members, sorted, without blanks."""

    def number(value: int, octets: int) -> str:
        return encode(value.to_bytes(octets, "big"))

    def encode(octets: bytes) -> str:
        return base64.urlsafe_b64encode(octets).decode().rstrip("=")

    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        n = public.public_numbers()
        members = {"e": number(n.e, 3), "kty": "RSA", "n": number(n.n, (key.key_size + 7) // 8)}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        n, size = public.public_numbers(), key.key_size // 8
        crv = f"P-{key.key_size}"
        members = {"crv": crv, "kty": "EC", "x": number(n.x, size), "y": number(n.y, size)}
    else:
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": encode(raw)}
    text = "{" + ",".join(f'"{name}":"{value}"' for name, value in members.items()) + "}"
    return encode(hashlib.sha256(text.encode()).digest()).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": "md5"}, "unknown hash algorithm 'md5'; known: sha-256"),
        ({"thumbprint": "x" * 42}, "a thumbprint has 43 characters, not 42"),
        ({"thumbprint": "x" * 44}, "a thumbprint has 43 characters, not 44"),
        ({"domain": ""}, "'' is not a domain name"),
        ({"domain": "a." * 126 + "bc"}, "254 octets, more than the 253 allowed"),
        ({"domain": "*.a.test"}, "is not a domain name"),
    ],
)
def test_inputs_that_are_not_of_the_form_are_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hashed_account_uri(
            PREFIX, **{"domain": "a.test", "thumbprint": KEY, "account_url": URL, **change}
        )


@pytest.mark.parametrize("name", ["a", "a." * 126 + "b"])
def test_the_octets_of_a_domain_name_are_counted_in_one_octet(name: str) -> None:
    octets = len(name)
    digest = hashlib.sha256(bytes([octets]) + f"{name}{KEY}{URL}".encode()).digest()
    uri = hashed_account_uri("", domain=name, thumbprint=KEY, account_url=URL)
    assert base64.urlsafe_b64decode(uri.removeprefix("sha-256/") + "=") == digest


def test_equal_accounts_count_once() -> None:
    account = Account(URL, KEY)
    assert len({account, dataclasses.replace(account)}) == 1
