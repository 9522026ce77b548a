"""Who we are to the CA: the account URL, the key's thumbprint, the hashed account URI."""

import base64
import dataclasses
import hashlib
import json
import os
import urllib.parse
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from certbot_dns_persist.errors import AccountError

if TYPE_CHECKING:  # it brings all of cryptography, which only who has a key needs
    from josepy.jwk import JWK

_HASHES = {"sha-256": hashlib.sha256}

# RFC 7518 section 6: what a private key has beside the public one.
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth"}

#: Stands for the domain in a hashed account URI that serves every domain (section 4.1 item 3).
ANY_DOMAIN = "*"


@dataclasses.dataclass(frozen=True)
class Account:
    """An ACME account as the records know it; nothing here is secret."""

    url: str
    """The ACME account URL (RFC 8555 section 7.3)."""

    thumbprint: str
    """Unpadded base64url of the SHA-256 JWK thumbprint (RFC 7638) of the current key."""


def read_account(directory: Path) -> Account:
    """Return the account that Certbot keeps in ``directory`` (regr.json and private_key.json).

    Raises :class:`~certbot_dns_persist.errors.AccountError` when a file is missing or damaged.
    """
    # To tell whether a private key holds together takes longer than all else that is done here.
    url, key = _read_account(directory, without=_PRIVATE_MEMBERS)
    return Account(url=url, thumbprint=thumbprint(key))


def read_key(directory: Path) -> "JWK":
    """Return the private key of the account that Certbot keeps in ``directory``.

    Raises :class:`~certbot_dns_persist.errors.AccountError` when it is missing or damaged.
    """
    return _read_account(directory)[1]


def read_accounts(directory: Path) -> dict[str, Account]:
    """Return the accounts that Certbot keeps in ``directory``, by Certbot's id of each.

    Raises :class:`~certbot_dns_persist.errors.AccountError` when one of them is damaged.
    """
    try:
        places = sorted(place for place in directory.iterdir() if place.is_dir())
    except OSError:  # no account yet, or none that this user may see
        return {}
    return {place.name: read_account(place) for place in places}


def closed_directory(config_dir: Path) -> Path | None:
    """Return the directory that keeps this user from Certbot's accounts, ``None`` if none does."""
    accounts = config_dir / "accounts"
    try:
        next(accounts.iterdir(), None)
    except PermissionError:
        above = [place for place in reversed(accounts.parents) if not os.access(place, os.X_OK)]
        return next(iter(above), accounts)
    except OSError:  # no account yet
        pass
    return None


def accounts_directory(config_dir: Path, server: str) -> Path:
    """Return where Certbot keeps the accounts at the CA whose ACME directory is ``server``."""
    url = urllib.parse.urlsplit(server)
    return config_dir / "accounts" / f"{url.netloc}{url.path}"


def _read_account(directory: Path, *, without: Collection[str] = ()) -> "tuple[str, JWK]":
    from josepy.errors import DeserializationError
    from josepy.jwk import JWK

    try:
        url = str(json.loads(_read(directory / "regr.json"))["uri"])
        members = dict(json.loads(_read(directory / "private_key.json")))
        wanted = {name: members[name] for name in members if name not in without}
        return url, JWK.json_loads(json.dumps(wanted))
    except (ValueError, KeyError, TypeError, DeserializationError) as error:
        raise AccountError(
            f"Certbot's account in {directory} cannot be used: its regr.json or private_key.json "
            "is damaged. Restore the directory from a backup, or choose another account with "
            "--account."
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AccountError(
            f"Certbot's account file {path} cannot be read: {error.strerror}. The records name "
            "the account, so it is needed; restore it from a backup, or choose another account "
            "with --account."
        ) from error


def thumbprint(key: "JWK") -> str:
    """Return the unpadded base64url SHA-256 JWK thumbprint of ``key`` (RFC 7638), 43 octets."""
    return _base64url(key.thumbprint())


def hashed_account_uri(
    prefix: str, *, domain: str, thumbprint: str, account_url: str, algorithm: str = "sha-256"
) -> str:
    """Return the hashed account URI (draft-02 section 4.1 item 3).

    ``prefix`` is the directory's accountHashPrefix; ``domain`` the normalised FQDN at which the
    record stands, without ``_validation-persist``, or ``"*"`` for the form that serves every
    domain; ``thumbprint`` the 43 characters of the account key's thumbprint; ``account_url`` the
    ACME account URL. Raises :class:`ValueError` for an algorithm that we do not know, and for
    inputs that are not of that form.
    """
    if algorithm not in _HASHES:
        raise ValueError(f"unknown hash algorithm {algorithm!r}; known: {', '.join(_HASHES)}")
    if len(thumbprint) != 43:
        raise ValueError(f"a thumbprint has 43 characters, not {len(thumbprint)}")
    octets = domain.encode("ascii")
    if not 1 <= len(octets) <= 255:
        raise ValueError(f"a domain name has 1 to 255 octets, not {len(octets)}")
    message = bytes([len(octets)]) + octets + thumbprint.encode("ascii")
    digest = _HASHES[algorithm](message + account_url.encode("ascii")).digest()
    return f"{prefix}{algorithm}/{_base64url(digest)}"


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
