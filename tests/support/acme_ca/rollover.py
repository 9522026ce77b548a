"""Account key rollover (RFC 8555, section 7.3.5) for an account of Certbot, which cannot do it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from acme import client, jws, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.jwa import RS256
from josepy.jwk import JWK, JWKRSA


def roll_over_certbot_account(
    account: Path, directory_url: str, ca_certificate: Path, *, rename: bool = False
) -> Path:
    """Gives the account a new RSA key, at the CA and in its ``private_key.json``.

    ``account`` is its directory (``…/accounts/SERVER/directory/ID``), ``ca_certificate`` is what
    the CA's HTTPS is trusted with. Returns where the account is now.

    Certbot computes the ID from the key. It still finds the account under the old ID, but then
    notes the new one in the renewal file, so that the renewal after that finds no account.
    ``rename`` gives the directory the new ID; then ``account`` in existing renewal files has to
    follow before the next renewal.
    """
    old_key = JWK.json_loads((account / "private_key.json").read_text())
    new_key = JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    regr = messages.RegistrationResource.json_loads((account / "regr.json").read_text())
    roll_over(old_key, new_key, regr, directory_url, ca_certificate)

    temporary = account / "private_key.json.new"
    temporary.touch(mode=0o400)
    temporary.chmod(0o600)
    temporary.write_text(new_key.json_dumps())
    temporary.chmod(0o400)  # as Certbot leaves it
    temporary.replace(account / "private_key.json")
    return account.rename(account.with_name(certbot_account_id(new_key))) if rename else account


def roll_over(
    old_key: JWK,
    new_key: JWK,
    regr: messages.RegistrationResource,
    directory_url: str,
    ca_certificate: Path,
) -> None:
    """The keyChange request alone; raises acme.messages.Error when the CA refuses."""
    net = client.ClientNetwork(old_key, account=regr, user_agent="acme-ca-test-rollover")
    net.verify_ssl = str(ca_certificate)  # type: ignore[assignment]  # requests takes a path too
    directory = client.ClientV2.get_directory(directory_url, net)
    url = directory["keyChange"]
    payload = {"account": regr.uri, "oldKey": old_key.public_key().to_json()}
    inner = jws.JWS.sign(json.dumps(payload).encode(), key=new_key, alg=RS256, nonce=None, url=url)
    net.post(url, inner, new_nonce_url=directory["newNonce"])


def certbot_account_id(key: JWKRSA) -> str:
    """What Certbot calls an account: the MD5 of its public key in PEM."""
    pem = key.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.md5(pem, usedforsecurity=False).hexdigest()
