"""The ``_validation-persist`` TXT record as this CA reads it: draft section 4.1 to 4.3.

Written from the drafts and RFC 8659, and from nothing else: clients are measured against it.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import idna

from .jws import b64url, b64url_decode
from .problem import Problem

LABEL = "_validation-persist"

_WSP = b" \t"
# RFC 8659, section 4.2. The issuer-domain-name may be followed by ";" and nothing at all.
_TAG = re.compile(rb"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*")
_VALUE = re.compile(rb"[\x21-\x3a\x3c-\x7e]*")
_DOMAIN_LABEL = r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
_DOMAIN = re.compile(rf"{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*")

#: The one hash algorithm that every CA accepts; this one accepts no other.
_HASH_ALGORITHM = "sha-256"
_INT64 = range(-(2**63), 2**63)


class MalformedValue(ValueError):
    """Not an issue-value; the message says where."""


@dataclass(frozen=True)
class Offer:
    """What a challenge, when it was made, promised to accept."""

    issuer_domain_names: tuple[str, ...]
    #: Account URIs in clear: the account URL, in -01 perhaps another. Empty in -02.
    account_uris: tuple[str, ...]
    #: None where hashed account URIs are unknown: -00 and -01.
    account_hash_prefix: str | None


@dataclass(frozen=True)
class Accepted:
    """The record that authorised, and until when it says so (UNIX seconds)."""

    value: str
    persist_until: int | None


def hashed_account_uri(prefix: str, *, domain: str, thumbprint: str, account_url: str) -> str:
    """-02, section 4.1, item 3. ``domain`` is a normalised FQDN, or ``*``."""
    octets = domain.encode("ascii")
    digest = hashlib.sha256(
        bytes([len(octets)]) + octets + thumbprint.encode("ascii") + account_url.encode("ascii")
    ).digest()
    return f"{prefix}{_HASH_ALGORITHM}/{b64url(digest)}"


def normalised(domain: str) -> str:
    """Draft section 9.2: case-folded, NFC, A-labels, no trailing dot; raises ValueError."""
    folded = unicodedata.normalize("NFC", domain.casefold())
    labels = folded.removesuffix(".").split(".")
    return ".".join(
        label if label.isascii() else idna.encode(label).decode("ascii") for label in labels
    )


def parse_issue_value(value: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Issuer domain name and parameters (tags in lower case) of an RFC 8659 issue-value.

    Raises MalformedValue.
    """
    issuer, *parts = (part.strip(_WSP) for part in value.split(b";"))
    if parts == [b""]:
        parts = []  # "ca.example;" has an empty list of parameters; any further ";" needs one
    parameters = []
    for part in parts:
        tag, equals, text = part.partition(b"=")
        tag, text = tag.rstrip(_WSP), text.lstrip(_WSP)
        if not part:
            raise MalformedValue("an empty parameter, or a semicolon at the end")
        if not equals:
            raise MalformedValue(f"a parameter without =: {_shown(part)}")
        if not _TAG.fullmatch(tag):
            raise MalformedValue(f"not a parameter tag: {_shown(tag)}")
        if not _VALUE.fullmatch(text):
            raise MalformedValue(f"characters that a value cannot have: {_shown(part)}")
        parameters.append((tag.decode("ascii").lower(), text.decode("ascii")))
    return _issuer_domain_name(issuer), parameters


def authorising_record(
    values: Iterable[bytes],
    offer: Offer,
    *,
    domain: str,
    account_url: str,
    thumbprints: Sequence[str],
    wildcard: bool,
    at: float,
) -> Accepted:
    """The first value that authorises (section 4.3.2), or a Problem that tells each one's fault.

    ``values`` are the joined strings of each TXT record; ``thumbprints`` those of the account's
    keys, the current one first. The problem is ``malformed`` when a record that names this CA
    cannot be read, else ``unauthorized`` (section 9.3.1).
    """
    malformed: list[str] = []
    unauthorized: list[str] = []
    strangers: list[str] = []
    for value in values:
        shown = _shown(value)
        if not _names_issuer(value, offer.issuer_domain_names):
            strangers.append(shown)  # other CAs' records are ignored, readable or not
            continue
        try:
            known = _known_parameters(parse_issue_value(value)[1])
            persist_until = _persist_until(known.get("persistuntil"))
            _check_account(known["accounturi"], offer, domain, account_url, thumbprints)
        except MalformedValue as fault:
            malformed.append(f"{shown}: {fault}")
            continue
        except _NotAuthorising as fault:
            unauthorized.append(f"{shown}: {fault}")
            continue
        if persist_until is not None and at > persist_until:
            unauthorized.append(f"{shown}: persistUntil {persist_until} has passed at {at:.0f}")
        elif wildcard and known.get("policy", "").lower() != "wildcard":
            unauthorized.append(f"{shown}: a wildcard needs policy=wildcard")
        else:
            return Accepted(value.decode("utf-8"), persist_until)
    where = f"{LABEL}.{domain}"
    if malformed:
        raise Problem("malformed", f"TXT at {where}: " + "; ".join(malformed + unauthorized))
    if unauthorized:
        raise Problem("unauthorized", f"TXT at {where}: " + "; ".join(unauthorized))
    issuers = ", ".join(offer.issuer_domain_names)
    if strangers:
        found = "; ".join(strangers)
        raise Problem("unauthorized", f"TXT at {where}: none is for {issuers}: {found}")
    raise Problem("unauthorized", f"no TXT record at {where}; one for {issuers} was expected")


class _NotAuthorising(Exception):
    """A well-formed record that does not authorise this account."""


def _issuer_domain_name(text: bytes) -> str:
    """Normalised; raises MalformedValue."""
    try:
        name = normalised(text.decode("utf-8"))
    except ValueError as error:
        raise MalformedValue(f"not an issuer domain name: {_shown(text)}") from error
    if name and not _DOMAIN.fullmatch(name):
        raise MalformedValue(f"not an issuer domain name: {_shown(text)}")
    return name


def _names_issuer(value: bytes, issuer_domain_names: Sequence[str]) -> bool:
    """Whether a record is meant for this CA; decided without reading its parameters."""
    try:
        issuer = _issuer_domain_name(value.partition(b";")[0].strip(_WSP))
    except MalformedValue:
        return False
    return issuer in {normalised(name) for name in issuer_domain_names}


def _known_parameters(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those with a meaning; section 4.1, item 1 has the server ignore all others."""
    known: dict[str, str] = {}
    for tag, value in parameters:
        if tag not in ("accounturi", "policy", "persistuntil"):
            continue
        if tag in known:
            raise MalformedValue(f"{tag} more than once")
        known[tag] = value
    if not known.get("accounturi"):
        raise MalformedValue("no accounturi")
    return known


def _persist_until(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"-?0*[0-9]{1,19}", text) or int(text) not in _INT64:
        raise MalformedValue(f"persistUntil is not a UNIX timestamp: {text}")
    return int(text)


def _check_account(
    account_uri: str, offer: Offer, domain: str, account_url: str, thumbprints: Sequence[str]
) -> None:
    """Raises MalformedValue or _NotAuthorising; URIs are compared octet for octet."""
    if account_uri in offer.account_uris:
        return
    prefix = offer.account_hash_prefix
    if prefix is None or (offer.account_uris and not account_uri.startswith(prefix)):
        raise _NotAuthorising(
            f"accounturi {account_uri} is not this account's, {' or '.join(offer.account_uris)}"
        )
    _check_well_formed(account_uri, prefix)

    def expected(name: str, thumbprint: str) -> str:
        return hashed_account_uri(
            prefix, domain=name, thumbprint=thumbprint, account_url=account_url
        )

    for thumbprint in thumbprints:
        if account_uri in (expected(domain, thumbprint), expected("*", thumbprint)):
            return
    raise _NotAuthorising(
        f"accounturi {account_uri} is not this account's, "
        f"{expected(domain, thumbprints[0])} or {expected('*', thumbprints[0])}"
    )


def _check_well_formed(account_uri: str, prefix: str) -> None:
    """Section 9.3.1 lists what makes a hashed account URI malformed."""
    if not account_uri.startswith(prefix):
        raise MalformedValue(f"accounturi {account_uri} does not start with {prefix}")
    algorithm, slash, digest = account_uri.removeprefix(prefix).partition("/")
    if not slash or algorithm != _HASH_ALGORITHM:
        raise MalformedValue(f"hash algorithm {algorithm!r} is not accepted, {_HASH_ALGORITHM} is")
    try:
        length = len(b64url_decode(digest))
    except ValueError as error:
        raise MalformedValue(f"hash value {digest!r}: {error}") from error
    if length != hashlib.sha256().digest_size:
        raise MalformedValue(f"hash value {digest!r} has {length} octets")


def _shown(octets: bytes) -> str:
    """For an error's detail: printable, on one line."""
    return '"' + octets.decode("ascii", "backslashreplace").replace("\n", "\\n") + '"'
