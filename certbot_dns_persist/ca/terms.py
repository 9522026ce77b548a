"""What a CA wants in the records of one account, for any name.

In an order, the challenge says so. Before an order, we derive it from the CA's directory and from
earlier orders, whose terms we have noted.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from certbot_dns_persist.errors import ChallengeError, DirectoryError

if TYPE_CHECKING:  # these import Certbot's ACME client, which not every command needs
    from certbot_dns_persist.account import Account
    from certbot_dns_persist.ca.challenge import DNSPersist01
    from certbot_dns_persist.ca.directory import Directory


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a record must have; at least one of the two forms of the account URI is set."""

    issuer_domain_names: tuple[str, ...]
    """The names that the CA offers, sorted; a record may use any of them."""

    plain: str | None
    """The account URI that the CA accepts without hashing (drafts -00 and -01)."""

    hash_prefix: str | None = None
    """The prefix of hashed account URIs (draft -02)."""


def stated_terms(
    challenge: "DNSPersist01",
    domain: str,
    account: "Account",
    directory: "Callable[[], Directory]",
) -> Terms:
    """Return the terms that ``challenge`` states for ``domain``.

    What the CA sends shows which draft it speaks. ``directory`` is called for -02 only. Raises
    :class:`~certbot_dns_persist.errors.Error` if the challenge is malformed, or the directory is
    needed and cannot be read.
    """
    issuers = challenge.issuer_domain_names(domain)
    plain = challenge.stated_account_uri(domain) or account.url
    if not challenge.hashes_account_uri:
        return Terms(issuers, plain)
    from certbot_dns_persist.ca.directory import check_against_directory

    ca = directory()
    check_against_directory(challenge.issuer_domain_names_02, ca, domain)
    if ca.account_hash_prefix is None and not challenge.takes_plain_account_uri:
        raise ChallengeError(
            f"The CA's dns-persist-01 challenge for {domain} needs a hashed account URI, but "
            f"its directory {ca.url} has no valid accountHashPrefix to make one from. Please "
            "report this to the CA."
        )
    return Terms(
        issuers, plain if challenge.takes_plain_account_uri else None, ca.account_hash_prefix
    )


def expected_terms(ca: "Directory", noted: Terms | None, account: "Account") -> Terms:
    """Return the terms to expect of ``ca``, which may have changed since they were ``noted``.

    A directory with an accountHashPrefix is one of -02: records have hashed account URIs, unless
    the CA said in an order that it accepts both (draft section 4.1). Raises
    :class:`~certbot_dns_persist.errors.DirectoryError` if it has no issuer-domain-name.
    """
    known = noted.issuer_domain_names if noted else ()
    listed = ca.caa_identities or ()
    # In an order, the CA offers at least the names in the directory's issuerDomainNames, and at
    # most those in its caaIdentities (draft section 3.2).
    offered = [name for name in known if name in listed or not listed or not ca.comparable]
    issuers = {*(ca.issuer_domain_names or ()), *offered} or set(listed)
    if not issuers:
        raise DirectoryError(
            f"The CA's directory {ca.url} has no issuer-domain-name, which a record begins with. "
            "Get a certificate first, or give --issuer."
        )
    prefix = ca.account_hash_prefix
    if prefix is None:
        plain = noted.plain if noted else None
        return Terms(tuple(sorted(issuers)), plain or account.url)
    both = noted is not None and noted.hash_prefix is not None
    return Terms(tuple(sorted(issuers)), noted.plain if noted and both else None, prefix)
