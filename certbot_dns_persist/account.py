"""The ACME account: its URL, its key's thumbprint, its hashed account URI."""

import base64
import dataclasses
import hashlib
from typing import TYPE_CHECKING

from certbot_dns_persist.record import normalize_domain_name

if TYPE_CHECKING:  # it brings all of cryptography, which only who has a key needs
    from josepy.jwk import JWK

_HASHES = {"sha-256": hashlib.sha256}

#: The domain in a hashed account URI that serves every domain (draft section 4.1 item 3).
ANY_DOMAIN = "*"


@dataclasses.dataclass(frozen=True)
class Account:
    """An ACME account, as far as records need it; nothing here is secret."""

    url: str
    """The ACME account URL (RFC 8555 section 7.3)."""

    thumbprint: str
    """Unpadded base64url of the SHA-256 JWK thumbprint (RFC 7638) of the current key."""


def thumbprint(key: "JWK") -> str:
    """Return the unpadded base64url SHA-256 JWK thumbprint of ``key`` (RFC 7638), 43 octets."""
    return _base64url(key.thumbprint())


def hashed_account_uri(
    prefix: str, *, domain: str, thumbprint: str, account_url: str, algorithm: str = "sha-256"
) -> str:
    """Return the hashed account URI (draft section 4.1 item 3).

    ``prefix`` is the directory's accountHashPrefix; ``domain`` the FQDN that the record is for,
    without ``_validation-persist``, or ``"*"`` for the form that serves every domain;
    ``thumbprint`` the 43 characters of the account key's thumbprint; ``account_url`` the ACME
    account URL. We hash the normalised name (draft section 9.2), however ``domain`` is written.
    Raises :class:`ValueError` if the algorithm is unknown, or the thumbprint or the domain is
    invalid.
    """
    if algorithm not in _HASHES:
        raise ValueError(f"unknown hash algorithm {algorithm!r}; known: {', '.join(_HASHES)}")
    if len(thumbprint) != 43:
        raise ValueError(f"a thumbprint has 43 characters, not {len(thumbprint)}")
    name = domain if domain == ANY_DOMAIN else normalize_domain_name(domain)
    octets = name.encode("ascii")
    message = bytes([len(octets)]) + octets + thumbprint.encode("ascii")
    digest = _HASHES[algorithm](message + account_url.encode("ascii")).digest()
    return f"{prefix}{algorithm}/{_base64url(digest)}"


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
