"""Proving control of a domain: dns-persist-01, and dns-01 (RFC 8555, section 8.4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from . import caa, lookup, record
from .jws import b64url
from .objects import Challenge
from .offers import caa_identities
from .options import Options
from .problem import Problem


@dataclass
class Attempt:
    """One look at DNS; ``found`` and ``ttl`` are filled in even when it fails later."""

    found: tuple[bytes, ...] = ()
    ttl: int = 0
    accepted: record.Accepted | None = None


def validate(
    attempt: Attempt, challenge: Challenge, options: Options, dns_server: tuple[str, int], at: float
) -> None:
    """Raises Problem when the domain's control is not proven; notes what it saw in ``attempt``."""
    authorization = challenge.authorization
    if challenge.type == "dns-persist-01":
        _dns_persist_01(attempt, challenge, options, dns_server, at)
    elif challenge.type == "dns-01":
        _dns_01(attempt, challenge, dns_server)
    else:
        raise Problem("serverInternal", f"this CA offers {challenge.type} but cannot validate it")
    if options.check_caa:
        caa.check(
            dns_server,
            authorization.domain,
            wildcard=authorization.wildcard,
            identities=caa_identities(options),
            account_url=authorization.account.url,
            method=challenge.type,
        )


def authorization_expires(attempt: Attempt, options: Options, now: datetime) -> datetime:
    """-02, section 4.1, item 5: not later than persistUntil."""
    expires = now + options.authorization_lifetime
    until = attempt.accepted.persist_until if attempt.accepted else None
    # Compared as numbers: persistUntil may lie beyond what a datetime can hold.
    if until is None or not options.hashes_account_uri or until >= expires.timestamp():
        return expires
    return datetime.fromtimestamp(until, timezone.utc)


def reusable_until(attempt: Attempt, options: Options, now: datetime) -> datetime | None:
    """-00 and -01, section 7.8: the record's TTL; -02 has no such limit."""
    if attempt.accepted is None or options.hashes_account_uri:
        return None
    return now + timedelta(seconds=attempt.ttl)


def _dns_persist_01(
    attempt: Attempt, challenge: Challenge, options: Options, dns_server: tuple[str, int], at: float
) -> None:
    authorization = challenge.authorization
    account = authorization.account
    if challenge.offer is None:
        raise Problem("serverInternal", "a dns-persist-01 challenge without an offer")
    thumbprints = [key.thumbprint for key in account.keys]
    attempt.found, attempt.ttl = lookup.txt(dns_server, f"{record.LABEL}.{authorization.domain}")
    attempt.accepted = record.authorising_record(
        attempt.found,
        challenge.offer,
        domain=authorization.domain,
        account_url=account.url,
        thumbprints=thumbprints if options.key_retention else thumbprints[:1],
        wildcard=authorization.wildcard,
        at=at,
    )


def _dns_01(attempt: Attempt, challenge: Challenge, dns_server: tuple[str, int]) -> None:
    authorization = challenge.authorization
    name = f"_acme-challenge.{authorization.domain}"
    key_authorization = f"{challenge.members['token']}.{authorization.account.thumbprint}"
    expected = b64url(hashlib.sha256(key_authorization.encode("ascii")).digest())
    attempt.found, attempt.ttl = lookup.txt(dns_server, name)
    if not attempt.found:
        raise Problem("unauthorized", f"no TXT record at {name}")
    if expected.encode("ascii") not in attempt.found:
        raise Problem("unauthorized", f"no TXT record at {name} is {expected}")
