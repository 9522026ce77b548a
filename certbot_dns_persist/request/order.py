"""The requests of an order, made from what Certbot knows of it."""

import contextlib
import dataclasses
import functools
import ipaddress
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acme import challenges

from certbot_dns_persist.ca.authorization import Authorization, fetch_authorization
from certbot_dns_persist.ca.challenge import DNS_CHALLENGES, DNSPersist01
from certbot_dns_persist.ca.directory import Directory, fetch_directory
from certbot_dns_persist.ca.terms import Terms, stated_terms
from certbot_dns_persist.errors import ChallengeError, ConfigurationError, DirectoryError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import Options, too_wide
from certbot_dns_persist.record import format_time, normalize_domain_name
from certbot_dns_persist.request.accounts import account_of_key, read_account, read_accounts
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.certificate import lifetime_of_certificate, names_of_certificate
from certbot_dns_persist.request.request import Proof, ValidationRequest, make_request
from certbot_dns_persist.request.subjects import Subjects, only_subjects
from certbot_dns_persist.shown import logger_of
from certbot_dns_persist.value.slips import too_long

if TYPE_CHECKING:
    from certbot.achallenges import AnnotatedChallenge
    from certbot.configuration import NamespaceConfig

logger = logger_of(__name__)

#: How long an order may take until the CA has validated, in seconds.
ORDER_SECONDS = 3600

#: How long a certificate is valid where nothing shows it, in seconds: Let's Encrypt's 90 days.
LIFETIME = 90 * 86400


def check_order(config: "NamespaceConfig", options: Options) -> None:
    """Check what can be checked before an order.

    Raises :class:`~certbot_dns_persist.errors.Error` if the order would fail.
    """
    preferred = config.pref_challs
    if preferred and DNS_CHALLENGES.isdisjoint(preferred):
        raise ConfigurationError(
            f"The preferred challenges ({', '.join(preferred)}) keep Certbot from using "
            "dns-persist-01. Give --preferred-challenges dns, which Certbot saves for renewals, or "
            "remove preferred-challenges from its cli.ini."
        )
    names = sorted(names_of_order(config))
    for identifier in (*(getattr(config, "ip_addresses", None) or ()), *names):
        refuse_unprovable(str(identifier))
    wildcards = [name for name in names if name.startswith("*.")]
    if wildcards and options.policy == "exact":
        raise too_wide(wildcards[0])
    # Certbot reads the account next, and its message for a damaged one is only the parser's. It
    # skips damaged accounts that it does not need.
    accounts = Path(config.accounts_dir)
    if config.account and (accounts / config.account).is_dir():
        read_account(accounts / config.account)
    else:
        known = read_accounts(accounts)
        if not config.account and len(known) > 1 and config.noninteractive_mode:
            raise ConfigurationError(
                f"There are several accounts at {config.server}: {', '.join(known)}. Certbot "
                "cannot ask which one to use. Give --account ID. If this is a renewal, Certbot "
                "ignores the account that is saved, because the server is set in its cli.ini or "
                "with --server: write account = ID beside server there, or leave both out."
            )
    # A renewal may find another record that still authorises.
    if options.until is not None and options.until <= time.time() and config.verb != "renew":
        raise ConfigurationError(
            f"--dns-persist-until {format_time(options.until)} has passed. Give a later date."
        )


def warn_of_expired_records(config: "NamespaceConfig") -> None:
    """Warn if a record that we published for these names has expired or expires soon.

    As draft section 9.4 requires, we look at our notes before the order.
    """
    domains = {name.removeprefix("*.") for name in names_of_order(config)}
    for published in journal(config).published(domains=domains):
        expires = published.persist_until
        if (
            published.server == config.server
            and expires is not None
            and expires < time.time() + ORDER_SECONDS
        ):
            logger.warning(
                "The record that we published for %s at %s expires at %s (persistUntil). Unless "
                "another one authorises, you need a new one.",
                published.domain,
                published.name,
                format_time(expires),
            )


def refuse_unprovable(identifier: str) -> None:
    """Raise :class:`~certbot_dns_persist.errors.ConfigurationError` when no record can prove it.

    So it is with an IP address, and with a name that is too long for a label before it.
    """
    try:
        ipaddress.ip_address(identifier)
    except ValueError:
        if why := too_long(identifier):
            raise ConfigurationError(why) from None
        return
    raise ConfigurationError(
        f"{identifier} is an IP address, but dns-persist-01 only works for domain names. Get its "
        "certificate with another authenticator, for instance --standalone or --webroot."
    )


@dataclasses.dataclass(frozen=True)
class Order:
    """What the CA wants for each domain: a persistent record or, as a fallback, a dns-01."""

    requests: Mapping[str, ValidationRequest]
    proofs: Sequence[Proof]
    trial: bool = False
    """Whether Certbot only tries it, and throws the certificate away."""


def read_order(
    config: "NamespaceConfig", options: Options, achalls: "Sequence[AnnotatedChallenge]"
) -> Order:
    """Return what the annotated challenges require; a wildcard shares its base's request.

    Raises :class:`~certbot_dns_persist.errors.Error` if the CA does not offer the challenge, if it
    is malformed, or if the account or the CA's directory cannot be read.
    """
    if not achalls:
        return Order({}, ())
    reader = _Reader(config, options, achalls)
    requests: dict[str, ValidationRequest] = {}
    proofs: list[Proof] = []
    for achall in achalls:
        domain = domain_of(achall)
        if isinstance(achall.chall, DNSPersist01):
            requests[domain] = reader.request(domain, achall)
        elif options.fallback == "dns-01" and isinstance(achall.chall, challenges.DNS01):
            proofs.append(reader.proof(domain, achall))
        elif config.allow_subset_of_names:
            logger.warning(reader.not_offered(domain, achall))
        else:
            raise ChallengeError(reader.not_offered(domain, achall))
    if options.shared and requests and not any(r.account_uris.shared for r in requests.values()):
        logger.warning(
            "--dns-persist-shared has no effect: the CA at %s does not hash the account URI.",
            reader.server,
        )
    trial = config.dry_run or reader.server != config.server
    return Order(dict(sorted(requests.items())), proofs, trial)


class _Reader:
    """Reads the challenges of one order, and keeps what is the same for all of them."""

    def __init__(
        self, config: "NamespaceConfig", options: Options, achalls: "Sequence[AnnotatedChallenge]"
    ) -> None:
        self._config = config
        self._options = options
        self._account, self.server = account_of_key(
            Path(config.config_dir), config.server, config.account, achalls[0].account_key
        )
        self._names = names_of_order(config)
        self._domains = Counter(map(domain_of, achalls))
        self._journal = journal(config)
        self._noted: Terms | None = None

    def request(self, domain: str, achall: Any) -> ValidationRequest:
        """Return what a dns-persist-01 challenge requires."""
        wildcard = self._options.policy == "wildcard" or self._is_for_wildcard(domain, achall)
        if wildcard and self._options.policy == "exact":
            raise too_wide(f"*.{domain}")  # typed at Certbot's prompt, so not checked before
        terms = stated_terms(achall.chall, domain, self._account, lambda: self._directory)
        if terms != self._noted:  # the same for every name
            self._journal.note_terms(self._account.url, terms)
            self._noted = terms
        return make_request(
            domain,
            wildcard=wildcard,
            shared=self._options.shared,
            terms=terms,
            account=self._account,
            earlier_keys=lambda: self._earlier_keys,
            server=self.server,
        )

    def proof(self, domain: str, achall: Any) -> Proof:
        """Return what a dns-01 challenge requires."""
        value = achall.chall.validation(achall.account_key)
        return Proof(domain, value, self.server, self._account.url)

    def not_offered(self, domain: str, achall: Any) -> str:
        """Return the error for a domain for which the CA offers neither of them."""
        try:
            offered = self._authorization(achall).offered
        except DirectoryError:  # the rest of the message matters more
            offered = (achall.chall.typ,)
        advice = "use another authenticator, for instance --standalone or --webroot."
        if challenges.DNS01.typ in offered:
            advice = (
                "add --dns-persist-fallback dns-01, with a provider that can write: it uses dns-01 "
                "now, and dns-persist-01 as soon as the CA offers it. Or "
                f"{advice}"
            )
        return (
            f"The CA at {self.server} does not offer dns-persist-01 for {domain}; it "
            f"offers {', '.join(offered)}. As of late 2026 Let's Encrypt offers dns-persist-01 on "
            "its staging server (--test-cert) but not in production. Until your CA does, "
            f"{advice}"
        )

    def _is_for_wildcard(self, domain: str, achall: Any) -> bool:
        if f"*.{domain}" in self._names:
            return True
        if self._domains[domain] > 1:  # two challenges for one name: the other is the wildcard's
            return True
        return not self._names and self._authorization(achall).wildcard

    def _authorization(self, achall: Any) -> Authorization:
        return fetch_authorization(
            achall, self._account, self.server, verify=not self._config.no_verify_ssl
        )

    @functools.cached_property
    def _directory(self) -> Directory:
        return fetch_directory(self.server, verify=not self._config.no_verify_ssl)

    @functools.cached_property
    def _earlier_keys(self) -> list[str]:
        account = self._account
        self._journal.note_key(account.url, account.thumbprint)
        return self._journal.earlier_keys(account.url, account.thumbprint)


def names_of_order(config: "NamespaceConfig") -> set[str]:
    """Return the names that Certbot is about to request, wildcards with their ``*.``.

    An annotated challenge does not say whether it is for a wildcard, so we read the names from
    Certbot's configuration or, for ``--cert-name`` alone, from the certificate. Empty if neither
    has them, for instance because the user types them at Certbot's prompt.
    """
    # Strings in old versions of Certbot, objects whose str() is the name in new ones.
    names = {str(name).lower() for name in config.domains or ()}
    if not names and config.certname:
        # There is none yet, or Certbot itself will report what is wrong with it.
        with contextlib.suppress(OSError, ValueError):
            names = names_of_certificate(Path(config.live_dir) / config.certname / "cert.pem")
    return names


def next_renewal(config: "NamespaceConfig", at: int) -> int:
    """Return when Certbot will probably renew what it requests ``at``, both in UNIX seconds.

    By default it does so when a third of the time is left. How long that is, the present
    certificate shows.
    """
    lifetime, names = LIFETIME, names_of_order(config)
    # Certbot names a lineage by one of its names, unless the user has named it.
    for name in filter(None, (config.certname, *sorted(names))):
        path = Path(config.live_dir) / name.removeprefix("*.") / "cert.pem"
        with contextlib.suppress(OSError, ValueError):
            if name == config.certname or names_of_certificate(path) == names:
                lifetime = lifetime_of_certificate(path)
                break
    return at + lifetime * 2 // 3


def requests_of_renewals(
    config: "NamespaceConfig", trials: Sequence[ValidationRequest]
) -> list[ValidationRequest]:
    """Return what certificates with the domains of ``trials`` need to be renewed.

    They are the lineages that our authenticator renews, with the CA and account that are saved.
    """
    given = Given(verify=not config.no_verify_ssl)
    source = Subjects(Path(config.config_dir), journal(config), given)
    tried = {(trial.server, trial.account_url) for trial in trials}
    return [
        subject.request
        for subject in only_subjects(source.of_domains(trial.domain for trial in trials))
        if subject.lineages and (subject.request.server, subject.request.account_url) not in tried
    ]


def domain_of(achall: Any) -> str:
    """Return the FQDN that an annotated challenge is for, normalised, without ``*.``."""
    identifier = getattr(achall, "identifier", None)  # since Certbot 5.3
    return normalize_domain_name(identifier.value if identifier else achall.domain)


def kinds_of_errors(achalls: "Iterable[AnnotatedChallenge]") -> dict[str, set[str]]:
    """Return how the CA calls what went wrong with challenges (RFC 8555 section 6.7), by domain."""
    kinds: dict[str, set[str]] = {}
    for achall in achalls:
        error = getattr(achall, "error", None)
        if error is not None and error.code is not None:
            kinds.setdefault(domain_of(achall), set()).add(error.code)
    return kinds


def journal(config: "NamespaceConfig") -> Journal:
    """Return the change log of this Certbot installation."""
    log = getattr(config, "dns_persist_log", None) or "file"
    return Journal(config.logs_dir, config.config_dir, log=log)
