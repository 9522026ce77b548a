"""What Certbot knows, turned into requests: the names of an order and the account that asks."""

import contextlib
import dataclasses
import functools
import ipaddress
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acme import challenges

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.authorization import fetch_authorization
from certbot_dns_persist.ca.challenge import DNSPersist01
from certbot_dns_persist.ca.directory import fetch_directory
from certbot_dns_persist.ca.terms import stated_terms
from certbot_dns_persist.errors import ChallengeError, ConfigurationError, DirectoryError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import Options, too_wide
from certbot_dns_persist.record import format_time, normalize_domain_name
from certbot_dns_persist.request.accounts import account_of_key, read_account, read_accounts
from certbot_dns_persist.request.certificate import names_of_certificate
from certbot_dns_persist.request.request import Proof, ValidationRequest, make_request

if TYPE_CHECKING:
    from certbot.achallenges import AnnotatedChallenge
    from certbot.configuration import NamespaceConfig

logger = logging.getLogger(__name__)

#: Seconds that an order may take, from its start until the CA has looked at the record.
ORDER_SECONDS = 3600


def check_order(config: "NamespaceConfig", options: Options) -> None:
    """Refuse, before an order, what cannot come to a good end.

    Raises :class:`~certbot_dns_persist.errors.Error`.
    """
    for address in getattr(config, "ip_addresses", None) or ():
        refuse_ip_address(str(address))
    wildcards = sorted(name for name in names_of_order(config) if name.startswith("*."))
    if wildcards and options.policy == "exact":
        raise too_wide(wildcards[0])
    # Certbot reads it next, and shows of a damaged one only what its parser says. One that is not
    # in question, it passes over.
    accounts = Path(config.accounts_dir)
    if config.account and (accounts / config.account).is_dir():
        read_account(accounts / config.account)
    else:
        read_accounts(accounts)
    # A renewal may find a record that goes on without that date.
    if options.until is not None and options.until <= time.time() and config.verb != "renew":
        raise ConfigurationError(
            f"--dns-persist-until {format_time(options.until)} has passed. Give a later date."
        )


def refuse_ip_address(identifier: str) -> None:
    """Raise :class:`~certbot_dns_persist.errors.ConfigurationError` when it is an IP address."""
    try:
        ipaddress.ip_address(identifier)
    except ValueError:
        return
    raise ConfigurationError(
        f"{identifier} is an IP address, and dns-persist-01 proves domain names only. Get its "
        "certificate with another authenticator, for instance --standalone or --webroot."
    )


def warn_of_ended_records(config: "NamespaceConfig") -> None:
    """Warn when a record that we published for these names is past its persistUntil, or nearly.

    It looks at our own notes, before an order is placed, as draft section 9.4 asks.
    """
    names = {name.removeprefix("*.") for name in names_of_order(config)}
    for standing in journal(config).standing():
        ends = standing.persist_until
        if (
            standing.domain in names
            and standing.server == config.server
            and ends is not None
            and ends < time.time() + ORDER_SECONDS
        ):
            logger.warning(
                "The record that was published for %s at %s ends at %s (persistUntil). Unless "
                "another one authorises, a new one is needed.",
                standing.domain,
                standing.name,
                format_time(ends),
            )


def names_of_order(config: "NamespaceConfig") -> set[str]:
    """Return the names that Certbot is about to ask for, wildcards with their ``*.``.

    An annotated challenge does not say whether it is for a wildcard, so they are read where
    Certbot keeps them: in its configuration or, for ``--cert-name`` alone, in the certificate.
    Empty when neither has them, as when the user typed them at Certbot's prompt.
    """
    # Plain strings on old versions of Certbot, objects whose str() is the name on new ones.
    names = {str(name).lower() for name in config.domains or ()}
    if not names and config.certname:
        # None yet, or one that Certbot complains about itself.
        with contextlib.suppress(OSError, ValueError):
            names = names_of_certificate(Path(config.live_dir) / config.certname / "cert.pem")
    return names


@dataclasses.dataclass(frozen=True)
class Order:
    """What the CA asks for, by domain: a persistent record or, failing that, a dns-01."""

    requests: Mapping[str, ValidationRequest]
    proofs: Sequence[Proof]


def read_order(
    config: "NamespaceConfig", options: Options, achalls: "Sequence[AnnotatedChallenge]"
) -> Order:
    """Return what the annotated challenges ask for; a wildcard shares its base's request.

    Raises :class:`~certbot_dns_persist.errors.Error`: the CA does not offer the challenge, it is
    malformed, or the account or the CA's directory cannot be read.
    """
    if not achalls:
        return Order({}, ())
    account = account_of_key(Path(config.accounts_dir), config.account, achalls[0].account_key)
    verify = not config.no_verify_ssl
    names = names_of_order(config)
    asked = [domain_of(achall) for achall in achalls]
    directory = functools.cache(lambda: fetch_directory(config.server, verify=verify))
    notes = journal(config)

    @functools.cache
    def earlier_keys() -> list[str]:
        notes.note_key(account.url, account.thumbprint)
        return notes.earlier_keys(account.url, account.thumbprint)

    requests: dict[str, ValidationRequest] = {}
    proofs = []
    for domain, achall in zip(asked, achalls, strict=True):
        if isinstance(achall.chall, DNSPersist01):
            wildcard = (
                options.policy == "wildcard"
                or f"*.{domain}" in names
                # Two challenges for one name: the other is that of the wildcard.
                or asked.count(domain) > 1
                or (
                    not names
                    and fetch_authorization(achall, account, config.server, verify=verify).wildcard
                )
            )
            if wildcard and options.policy == "exact":
                raise too_wide(f"*.{domain}")  # typed at Certbot's prompt
            terms = stated_terms(achall.chall, domain, account, directory)
            notes.note_terms(account.url, terms)
            requests[domain] = make_request(
                domain,
                wildcard=wildcard,
                shared=options.shared,
                terms=terms,
                account=account,
                earlier_keys=earlier_keys,
                server=config.server,
            )
        elif options.fallback == "dns-01" and isinstance(achall.chall, challenges.DNS01):
            value = achall.chall.validation(achall.account_key)
            proofs.append(Proof(domain, value, config.server, account.url))
        elif config.allow_subset_of_names:
            logger.warning(_not_offered(config, domain, achall, account))
        else:
            raise ChallengeError(_not_offered(config, domain, achall, account))
    if options.shared and requests and not any(r.account_uris.shared for r in requests.values()):
        logger.warning(
            "--dns-persist-shared has no effect: the CA at %s does not hash the account URI.",
            config.server,
        )
    return Order(dict(sorted(requests.items())), proofs)


def domain_of(achall: Any) -> str:
    """Return the FQDN that an annotated challenge is about, normalised, without ``*.``."""
    identifier = getattr(achall, "identifier", None)  # since Certbot 5.3
    return normalize_domain_name(identifier.value if identifier else achall.domain)


def _not_offered(config: "NamespaceConfig", domain: str, achall: Any, account: Account) -> str:
    preferred = getattr(config, "pref_challs", None) or []
    if preferred and DNSPersist01.typ not in preferred:
        return (
            f"--preferred-challenges {','.join(preferred)} keeps Certbot from using "
            f"{DNSPersist01.typ}. Add it there, or leave the option out."
        )
    try:
        offered = fetch_authorization(
            achall, account, config.server, verify=not config.no_verify_ssl
        ).offered
    except DirectoryError:  # the less important half of the message
        offered = (achall.chall.typ,)
    advice = "use another authenticator, for instance --standalone or --webroot."
    if challenges.DNS01.typ in offered:
        advice = (
            "add --dns-persist-fallback dns-01, with a provider that can write, to prove control "
            f"the classic way and be switched over as soon as the CA offers it; or {advice}"
        )
    return (
        f"The CA at {config.server} does not offer dns-persist-01 for {domain}; it offers "
        f"{', '.join(offered)}. As of late 2026 Let's Encrypt offers dns-persist-01 on its staging "
        f"server (--test-cert) but not in production. Until your CA does, {advice}"
    )


def journal(config: "NamespaceConfig") -> Journal:
    """Return the change log of this Certbot installation."""
    return Journal(config.logs_dir, config.config_dir)
