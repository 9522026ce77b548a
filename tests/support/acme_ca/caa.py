"""CAA: RFC 8659, with the accounturi and validationmethods parameters of RFC 8657."""

from __future__ import annotations

from collections.abc import Sequence

from . import lookup
from .problem import Problem
from .record import MalformedValue, normalised, parse_issue_value

_CRITICAL = 128
_KNOWN_TAGS = ("issue", "issuewild", "iodef")


def check(
    dns_server: tuple[str, int],
    domain: str,
    *,
    wildcard: bool,
    identities: Sequence[str],
    account_url: str,
    method: str,
) -> None:
    """Raises Problem ``caa`` when the relevant record set forbids issuance, ``dns`` on failure."""
    at, records = _relevant(dns_server, domain)
    for flags, tag, _ in records:
        if flags & _CRITICAL and tag.lower() not in _KNOWN_TAGS:
            raise Problem("caa", f"CAA at {at} has the unknown critical property {tag}")
    issue = [value for _, tag, value in records if tag.lower() == "issue"]
    issuewild = [value for _, tag, value in records if tag.lower() == "issuewild"]
    relevant = issuewild if wildcard and issuewild else issue
    if not relevant:
        return
    refusals = []
    for value in relevant:
        refusal = _refusal(value, identities, account_url, method)
        if refusal is None:
            return
        refusals.append(refusal)
    raise Problem("caa", f"CAA at {at} forbids issuance: " + "; ".join(refusals))


def _relevant(
    dns_server: tuple[str, int], domain: str
) -> tuple[str, tuple[tuple[int, str, bytes], ...]]:
    """RFC 8659, section 3: the first name upwards that has any CAA record, and its records."""
    labels = domain.split(".")
    for start in range(len(labels)):
        name = ".".join(labels[start:])
        if records := lookup.caa(dns_server, name):
            return name, records
    return domain, ()


def _refusal(value: bytes, identities: Sequence[str], account_url: str, method: str) -> str | None:
    """Why a property does not authorise, or None when it does."""
    shown = value.decode("ascii", "backslashreplace")
    try:
        issuer, parameters = parse_issue_value(value)
    except MalformedValue as fault:
        return f"{shown!r} is malformed ({fault})"  # RFC 8659, section 4.2: as if it named nobody
    if not issuer or issuer not in {normalised(identity) for identity in identities}:
        return f"{shown!r} is not for this CA"
    accounts = [text for tag, text in parameters if tag == "accounturi"]
    methods = [text for tag, text in parameters if tag == "validationmethods"]
    # RFC 8657, sections 3 and 4: a parameter given more than once can be satisfied by nobody.
    if len(accounts) > 1 or len(methods) > 1:
        return f"{shown!r} has a parameter more than once"
    if accounts and accounts[0] != account_url:
        return f"{shown!r} is for another account than {account_url}"
    if methods and method not in methods[0].split(","):
        return f"{shown!r} does not allow the method {method}"
    return None
