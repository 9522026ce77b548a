"""External account binding: RFC 8555, section 7.3.4."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac

from .jws import Jwk, b64url_decode
from .problem import Problem

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "HS256": hashes.SHA256(),
    "HS384": hashes.SHA384(),
    "HS512": hashes.SHA512(),
}


def bound_to(binding: Any, keys: Mapping[str, str], account_key: Jwk, url: str) -> str:
    """The key id of the external account to which ``binding`` ties ``account_key``.

    ``keys`` are the MAC keys by key id, in base64url; ``url`` is newAccount's. Raises Problem.
    """
    if binding is None:
        raise Problem("externalAccountRequired", "a new account must be bound to an external one")
    if not isinstance(binding, dict) or set(binding) != {"protected", "payload", "signature"}:
        raise Problem("malformed", "externalAccountBinding is not a flattened JWS")
    try:
        protected, payload, signature = (
            b64url_decode(binding[name]) for name in ("protected", "payload", "signature")
        )
        header, key = json.loads(protected), json.loads(payload)
    except ValueError as error:
        raise Problem("malformed", f"externalAccountBinding: {error}") from error
    if not isinstance(header, dict) or header.get("alg") not in _HASHES:
        raise Problem("malformed", "externalAccountBinding wants a MAC as its alg")
    if "nonce" in header or header.get("url") != url:
        raise Problem("malformed", "externalAccountBinding wants newAccount's url and no nonce")
    if Jwk.from_json(key).thumbprint != account_key.thumbprint:
        raise Problem("malformed", "externalAccountBinding is for another account key")
    kid = header.get("kid")
    if not isinstance(kid, str) or kid not in keys:
        raise Problem("unauthorized", f"there is no external account {kid}")
    mac = hmac.HMAC(b64url_decode(keys[kid]), _HASHES[header["alg"]])
    mac.update(f"{binding['protected']}.{binding['payload']}".encode("ascii"))
    try:
        mac.verify(signature)
    except InvalidSignature as error:
        raise Problem("unauthorized", f"the MAC is not of {kid}'s key") from error
    return kid
