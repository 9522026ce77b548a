"""What directory and challenge say of the CA's names and of the account, draft by draft.

Here is where the faults that a test asked for come in.
"""

from __future__ import annotations

from typing import Any

from .objects import Account
from .options import Fault, Options
from .record import Offer, normalised

_UNLISTED = "unlisted.example"
_FAULTY_NAMES = {
    Fault.UPPER_CASE_ISSUER: ["Upper.CA.example"],
    Fault.TRAILING_DOT_ISSUER: ["dotted.ca.example."],
    Fault.OVER_LONG_ISSUER: [".".join(["long" * 12] * 6)],  # 293 octets, each label lawful
    Fault.U_LABEL_ISSUER: ["bücher.example"],
    Fault.ELEVEN_ISSUERS: [f"ca{number}.example" for number in range(11)],
}


def directory_meta(options: Options, account_hash_prefix: str) -> dict[str, Any]:
    """RFC 8555, section 7.1.1, and for -02 sections 3.2 and 4.1."""
    meta: dict[str, Any] = {}
    if identities := caa_identities(options):
        meta["caaIdentities"] = list(identities)
    if options.terms_of_service:
        meta["termsOfService"] = options.terms_of_service
    if options.external_accounts:
        meta["externalAccountRequired"] = True
    if not options.hashes_account_uri:
        return meta
    if Fault.NO_ACCOUNT_HASH_PREFIX not in options.faults:
        meta["accountHashPrefix"] = account_hash_prefix
    if Fault.NO_DIRECTORY_ISSUERS not in options.faults:
        meta["issuerDomainNames"] = _directory_issuers(options)
    return meta


def caa_identities(options: Options) -> tuple[str, ...]:
    """The names that count in CAA; every issuer domain name is among them (-02, section 3.2)."""
    if options.caa_identities is not None:
        return options.caa_identities
    names = [*_challenge_issuers(options), *options.issuer_domain_names]
    if Fault.DIRECTORY_NAME_NOT_IN_CHALLENGE in options.faults:
        names += _directory_issuers(options)
    listed = (normalised(name) for name in names if name != _UNLISTED)
    return tuple(dict.fromkeys(listed))


def offer(options: Options, account: Account, account_hash_prefix: str) -> Offer:
    """What a challenge made now will accept."""
    account_uris: tuple[str, ...] = () if options.draft == "02" else (account.url,)
    if _sends_account_uri(options) and options.alternative_account_uri:
        account_uris = (account.alternative_uri, account.url)
    return Offer(
        tuple(_challenge_issuers(options)) or options.issuer_domain_names,
        account_uris,
        account_hash_prefix if options.hashes_account_uri else None,
    )


def challenge_members(options: Options, account: Account) -> dict[str, Any]:
    """What a dns-persist-01 challenge object holds: section 3.1 of each draft."""
    issuers: list[str] | str = _challenge_issuers(options)
    if Fault.ISSUERS_NOT_A_LIST in options.faults:
        issuers = options.issuer_domain_names[0]
    members: dict[str, Any] = {}
    if Fault.ISSUERS_MISSING not in options.faults:
        if options.draft != "02":
            members["issuer-domain-names"] = issuers
        if options.hashes_account_uri:
            members["issuerDomainNames"] = issuers
    if _sends_account_uri(options):
        alternative = options.alternative_account_uri
        members["accounturi"] = account.alternative_uri if alternative else account.url
    return members


def _sends_account_uri(options: Options) -> bool:
    return options.draft in ("01", "transition")


def _challenge_issuers(options: Options) -> list[str]:
    if Fault.NO_ISSUERS in options.faults:
        return []
    names = list(options.issuer_domain_names)
    for fault, faulty in _FAULTY_NAMES.items():
        if fault in options.faults:
            names += faulty
    if Fault.CHALLENGE_NAME_NOT_IN_CAA_IDENTITIES in options.faults:
        names.append(_UNLISTED)
    return names


def _directory_issuers(options: Options) -> list[str]:
    if Fault.MALFORMED_DIRECTORY_ISSUERS in options.faults:
        return [name.upper() + "." for name in options.issuer_domain_names]
    names = list(options.directory_issuer_domain_names or options.issuer_domain_names)
    if Fault.DIRECTORY_NAME_NOT_IN_CHALLENGE in options.faults:
        names.append("promised.example")
    return names
