"""Accounts that somebody declares as known: by an option, or in a file.

A file has lines, or the JSON that ``inventory list`` and ``inventory show`` print.
"""

import json
from collections.abc import Iterator
from typing import Any

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.inventory.holding import ANOTHER, JSON_VERSION
from certbot_dns_persist.record import is_parameter_value, normalize_domain_name
from certbot_dns_persist.request.known_accounts import KnownAccount

_THUMBPRINT_LENGTH = 43

_KINDS = {"url": str, "thumbprints": list, "uris": list, "former": bool}
"""What each account in JSON has."""


def declared_account(text: str, where: str = "--known-account") -> KnownAccount:
    """Return the account in ``text``: ``URI`` or, if the CA hashes it, ``URL THUMBPRINT``.

    ``where`` says where that stands. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    url, *rest = text.split()[:3] or [""]
    bad = len(rest) > 1 or any(len(r) != _THUMBPRINT_LENGTH for r in rest)
    if not url or not is_parameter_value(url) or bad:
        raise ConfigurationError(
            f"{where} {text!r} is not an account URI. Give it as it is in the record or, "
            "for a CA that hashes it, the account URL, a blank, and the RFC 7638 thumbprint of "
            "the account key, which has 43 characters."
        )
    whose = "an account that was declared as known"
    return KnownAccount(url, whose, tuple(rest), declared=True, source=where.rstrip(":"))


def declared_in(octets: bytes, path: str) -> list[KnownAccount]:
    """Return the accounts in a file's ``octets``; ``path`` is its name.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError`, which names the place.
    """
    try:
        text = octets.decode("utf-8-sig")  # Windows' editors put a byte order mark first
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The accounts in {path} cannot be read: it is not text in UTF-8."
        ) from error
    if text.lstrip()[:1] in ("{", "["):
        return list(_in_json(text, path))
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        account = f" {line}".partition(" #")[0].strip()
        if account:
            found.append(declared_account(account, f"{path}, line {number}:"))
    return found


def _in_json(text: str, path: str) -> Iterator[KnownAccount]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"it is not JSON: {error}") from error
    accounts = document.get("accounts") if isinstance(document, dict) else None
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(accounts, list) or not isinstance(version, int):
        raise _unusable(path, "it has no version, or no accounts")
    if version != JSON_VERSION:
        raise _unusable(path, f"its version is {version}, and this release reads {JSON_VERSION}")
    for number, account in enumerate(accounts):
        yield _account(account, document.get("host"), path, f"accounts[{number}]")


def _account(account: Any, host: Any, path: str, place: str) -> KnownAccount:
    """Return one account; ``host`` is whose all accounts of the document are, if it says so."""
    if not isinstance(account, dict):
        raise _unusable(path, f"{place} is not an object")
    for name, kind in _KINDS.items():
        if type(account.get(name)) is not kind:
            raise _unusable(path, f"{place}.{name} is missing, or not what it should be")
    issuers, prefix = account.get("issuer_domain_names", []), account.get("hash_prefix")
    whose = account.get("host", host)
    thumbprints, uris = account["thumbprints"], account["uris"]
    for name, good in {
        "url": is_parameter_value(account["url"]),
        "uris": all(isinstance(uri, str) and is_parameter_value(uri) for uri in uris),
        "thumbprints": all(
            isinstance(key, str) and len(key) == _THUMBPRINT_LENGTH and is_parameter_value(key)
            for key in thumbprints
        ),
        "issuer_domain_names": isinstance(issuers, list) and all(map(_is_issuer, issuers)),
        "hash_prefix": prefix is None or (isinstance(prefix, str) and is_parameter_value(prefix)),
        "host": whose is None or isinstance(whose, str),
    }.items():
        if not good:
            raise _unusable(path, f"{place}.{name} is not what it should be")
    holder = "a host" if whose in (None, ANOTHER) else f"the host {whose}"
    former = account["former"]
    return KnownAccount(
        account["url"],
        f"a former account of {holder}" if former else f"{holder} in {path}",
        tuple(thumbprints),
        tuple(uris),
        declared=True,
        former=former,
        source=f"{path}, {place}",
        issuer_domain_names=tuple(issuers),
        hash_prefix=prefix or None,
    )


def _is_issuer(name: object) -> bool:
    try:
        return isinstance(name, str) and normalize_domain_name(name) == name
    except ValueError:
        return False


def _unusable(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The accounts in {path} cannot be read: {why}. It has to be what certbot-dns-persist "
        "inventory list or show prints with --json, or a line for each account."
    )
