"""The signed envelope of every ACME request: RFC 8555, section 6.2, and the keys in it.

Own code down to the signature, on purpose: the CA is a second opinion on what a client built with
acme and josepy sends.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .problem import Problem

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
#: For each ``alg``: the key type and curve that it goes with, and its hash.
_ALGORITHMS: dict[str, tuple[str, str | None, hashes.HashAlgorithm | None]] = {
    "RS256": ("RSA", None, hashes.SHA256()),
    "ES256": ("EC", "P-256", hashes.SHA256()),
    "ES384": ("EC", "P-384", hashes.SHA384()),
    "ES512": ("EC", "P-521", hashes.SHA512()),
    "EdDSA": ("OKP", "Ed25519", None),
}


@dataclass(frozen=True)
class Jwk:
    """A public key: what was sent, what it means, and its RFC 7638 thumbprint."""

    members: tuple[tuple[str, str], ...]
    key: PublicKey

    @property
    def thumbprint(self) -> str:
        """43 characters: unpadded base64url of SHA-256 over the required members, sorted."""
        canonical = json.dumps(dict(self.members), sort_keys=True, separators=(",", ":"))
        return b64url(hashlib.sha256(canonical.encode("ascii")).digest())

    def to_json(self) -> dict[str, str]:
        return dict(self.members)

    @classmethod
    def from_json(cls, jwk: Any) -> Jwk:
        """Raises Problem ``badPublicKey`` or ``malformed``."""
        if not isinstance(jwk, dict):
            raise Problem("malformed", "jwk is not a JSON object")
        if private := sorted({"d", "p", "q", "dp", "dq", "qi", "k"} & jwk.keys()):
            raise Problem("malformed", f"jwk holds private members: {', '.join(private)}")
        try:
            key = _public_key(jwk)
        except (KeyError, TypeError, ValueError) as error:
            raise Problem("badPublicKey", f"not a usable public key: {error!r}") from error
        required = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
        names = required.get(jwk["kty"], ("crv", "kty", "x"))
        return cls(tuple((name, jwk[name]) for name in names), key)


@dataclass(frozen=True)
class Jws:
    """A request whose signature has been checked."""

    header: dict[str, Any]
    payload: bytes
    jwk: Jwk

    @property
    def is_post_as_get(self) -> bool:
        """RFC 8555, section 6.3: the payload is the empty octet string; ``{}`` is not."""
        return self.payload == b""

    def json(self) -> dict[str, Any]:
        """The payload as an object; raises Problem ``malformed``."""
        try:
            payload = json.loads(self.payload)
        except ValueError as error:
            raise Problem("malformed", f"the payload is not JSON: {error}") from error
        if not isinstance(payload, dict):
            raise Problem("malformed", "the payload is not a JSON object")
        return payload


@dataclass(frozen=True)
class Unverified:
    """A JWS taken apart: the key to check it with is still to be found."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes

    def verified_by(self, jwk: Jwk) -> Jws:
        """Raises Problem ``malformed`` when the signature is not that key's."""
        algorithm = self.header["alg"]
        kty, crv, hash_ = _ALGORITHMS[algorithm]
        members = jwk.to_json()
        if members["kty"] != kty or members.get("crv") != crv:
            raise Problem("malformed", f"alg {algorithm} does not go with this key")
        try:
            _verify(jwk.key, hash_, self.signature, self.signing_input)
        except (InvalidSignature, ValueError) as error:
            raise Problem("malformed", "the signature is not valid") from error
        return Jws(self.header, self.payload, jwk)


def parse(body: Any) -> Unverified:
    """Takes apart the flattened JSON serialization; raises Problem."""
    if isinstance(body, bytes):
        try:
            body = json.loads(body)
        except ValueError as error:
            raise Problem("malformed", f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Problem("malformed", "the body is not a JSON object")
    if "header" in body:
        raise Problem("malformed", "a JWS here must not have an unprotected header")
    if set(body) != {"protected", "payload", "signature"}:
        raise Problem("malformed", "not a JWS in flattened JSON serialization")
    try:
        protected, payload, signature = (
            b64url_decode(body[name]) for name in ("protected", "payload", "signature")
        )
        header = json.loads(protected)
    except ValueError as error:
        raise Problem("malformed", f"not a JWS: {error}") from error
    if not isinstance(header, dict):
        raise Problem("malformed", "the protected header is not a JSON object")
    if "crit" in header or "b64" in header:
        raise Problem("malformed", "crit and b64 are not for ACME")
    if not isinstance(header.get("url"), str):
        raise Problem("malformed", 'the protected header has no "url"')
    if ("jwk" in header) == ("kid" in header):
        raise Problem("malformed", "exactly one of jwk and kid must be in the protected header")
    if not isinstance(header.get("alg"), str) or header["alg"] not in _ALGORITHMS:
        raise Problem(
            "badSignatureAlgorithm",
            f"alg {header.get('alg')!r} is not accepted",
            algorithms=list(_ALGORITHMS),
        )
    signing_input = f"{body['protected']}.{body['payload']}".encode("ascii")
    return Unverified(header, payload, signing_input, signature)


def b64url(octets: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def b64url_decode(text: Any) -> bytes:
    """Strict: no padding, no other characters, no stray bits; raises ValueError."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url without padding")
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from error
    if b64url(octets) != text:
        raise ValueError("base64url with stray bits at the end")
    return octets


def _public_key(jwk: dict[str, Any]) -> PublicKey:
    """RFC 7518, section 6: integers without leading zeros, coordinates of full length."""
    if jwk["kty"] == "RSA":
        n, e = (b64url_decode(jwk[name]) for name in ("n", "e"))
        if n[:1] == b"\0" or e[:1] == b"\0":
            raise ValueError("an integer with leading zeros")
        key = rsa.RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big")).public_key()
        if not 2048 <= key.key_size <= 4096:
            raise ValueError(f"an RSA key of {key.key_size} bits")
        return key
    if jwk["kty"] == "EC":
        curve = _CURVES[jwk["crv"]]()
        x, y = (b64url_decode(jwk[name]) for name in ("x", "y"))
        if {len(x), len(y)} != {(curve.key_size + 7) // 8}:
            raise ValueError("a coordinate of the wrong length")
        return ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve
        ).public_key()
    if jwk["kty"] == "OKP" and jwk["crv"] == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(b64url_decode(jwk["x"]))
    raise ValueError(f"a key of type {jwk['kty']!r}")


def _verify(
    key: PublicKey, hash_: hashes.HashAlgorithm | None, signature: bytes, message: bytes
) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, message)
        return
    if hash_ is None:
        raise ValueError("this key needs a hash")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hash_)
        return
    size = (key.curve.key_size + 7) // 8  # RFC 7518, section 3.4: r and s, each of full length
    if len(signature) != 2 * size:
        raise ValueError("an ECDSA signature of the wrong length")
    r, s = (int.from_bytes(part, "big") for part in (signature[:size], signature[size:]))
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hash_))
