"""What the command is about: names, and for each what its CA will require.

The account and the options of a name come from Certbot's files. The command line overrides them,
and is enough on a machine without Certbot.
"""

import contextlib
import dataclasses
import ipaddress
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from certbot_dns_persist.errors import (
    ConfigurationError,
    Error,
    NoSuchAccount,
    UnknownAccount,
    UsageError,
)
from certbot_dns_persist.inventory.holding import HeldRecord
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import Options, options_of, too_wide
from certbot_dns_persist.record import (
    MAX_NAME_OCTETS,
    MalformedRecord,
    ValidationRecord,
    is_normal_domain_name,
    normalize_domain_name,
    parse_record,
    validation_domain_name,
)
from certbot_dns_persist.request.applicants import Applicant, Applicants, Given, Identity
from certbot_dns_persist.request.lineages import Lineage, our_lineages, read_lineage
from certbot_dns_persist.request.names import Names
from certbot_dns_persist.request.renewal import AUTHENTICATOR, lineage_names
from certbot_dns_persist.request.request import AccountUris, ValidationRequest, make_request
from certbot_dns_persist.shown import logger_of
from certbot_dns_persist.value.slips import too_long

logger = logger_of(__name__)

#: How many of the domains with the same trouble a message names.
_NAMED = 5

#: The longest name that a message repeats in full: every valid one.
_SHOWN = 255


#: The longest domain that surely has a record's name.
_SHORT = MAX_NAME_OCTETS - len(validation_domain_name(""))


@dataclasses.dataclass(frozen=True)
class Subject:
    """One domain, and what its CA will require."""

    request: ValidationRequest
    options: Options
    lineages: tuple[Lineage, ...] = ()
    """The lineages that need it; empty if none has the domain yet."""
    names: tuple[str, ...] = ()
    """The domain names to prove, sorted: the domain, its wildcard, or both."""


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Why there is no subject for something that was requested."""

    reason: str
    domain: str | None = None
    """The domain that it is about, if it is about one."""
    lost_account: bool = False
    """Whether a certificate cannot be renewed because its account is missing."""
    usage: bool = False
    """Whether the command line is wrong, as it names what is not there."""


class Subjects:
    """Makes subjects from names and lineages; a trouble with one does not affect the others."""

    def __init__(self, config_dir: Path, journal: Journal, given: Given) -> None:
        self._config_dir = config_dir
        self._journal = journal
        self._given = given
        self._applicants = Applicants(config_dir, journal, given)

    def as_saved(self) -> "Subjects":
        """Return the same lineages, each with the CA, account and options that are saved for it."""
        preset = self._given.preset.with_saved_accounts()
        given = Given(verify=self._given.verify, preset=preset)
        saved = Subjects(self._config_dir, self._journal, given)
        if preset == self._given.preset:
            saved._ours = self._ours
        return saved

    @property
    def without_certbot(self) -> bool:
        """Whether the account comes from the command line, not from Certbot's files."""
        return bool(self._given.identities)

    @property
    def alike(self) -> bool:
        """Whether what is needed of a domain differs in nothing but the domain."""
        return self.without_certbot and not self._given.hashes

    def of_lineages(
        self, names: Iterable[str] | None = None, *, but: Collection[str] = ()
    ) -> Iterator[Subject | Trouble]:
        """Yield the domains of the lineages ``names``, by default of all that are ours.

        Those of the lineages ``but`` are left out, unless others need them, too. A domain of
        several lineages is yielded once for each account that needs it.
        """
        lineages = self._all() if names is None else self._named(names)
        yield from self.of(
            each for each in lineages if not isinstance(each, Lineage) or each.name not in but
        )

    def of(self, lineages: Iterable[Lineage | Trouble]) -> Iterator[Subject | Trouble]:
        """Yield the domains of ``lineages``; one of several is yielded once for each account."""
        needed: dict[tuple[str, str, str], list[Lineage]] = {}
        for lineage in lineages:
            if isinstance(lineage, Trouble):
                yield lineage
                continue
            for domain in bases(lineage.domains):
                needed.setdefault((*self._applicants.key(lineage), domain), []).append(lineage)
        for (_, _, domain), needs in needed.items():
            asked = {name for lineage in needs for name in lineage.domains}
            yield self._subject(domain, asked & {domain, f"*.{domain}"}, needs)

    def of_domains(self, domains: Iterable[str] | Names) -> Iterator[Subject | Trouble]:
        """Yield ``domains``, which are normalised and may begin with ``*.``; each base once.

        If lineages of ours have a domain, their account and options are used; if the accounts
        differ, the domain is yielded once for each.
        """
        for domain, need in domains if isinstance(domains, Names) else Names(domains):
            yield from self.of_domain(domain, *need)

    def of_domain(
        self, domain: str, names: Collection[str], who: int = 0
    ) -> Iterator[Subject | Trouble]:
        """Yield one domain, of which these ``names`` are wanted, as :meth:`of_domains` does.

        ``who`` is the number of the given identities that it is for; it is yielded once for each.
        """
        if self.without_certbot:
            for identity in self._given.identities[who]:
                yield self._subject(domain, names, (), identity)
            return
        lineages: dict[tuple[str, str], list[Lineage]] = {}
        for lineage in self._by_domain.get(domain, []):
            lineages.setdefault(self._applicants.key(lineage), []).append(lineage)
        for needs in lineages.values() or [[]]:
            yield self._subject(domain, names, needs)

    def domains(self, lineages: Iterable[str] | None = None) -> Iterator[str | Trouble]:
        """Yield the domains of the lineages with these names, by default of all that are ours."""
        for lineage in self._all() if lineages is None else self._named(lineages):
            if isinstance(lineage, Trouble):
                yield lineage
            else:
                yield from bases(lineage.domains)

    def left_over(self) -> Iterator[Subject]:
        """Yield the domains that have records of ours in our notes and that no lineage needs.

        Yield none if a lineage cannot be read: it may need any of them.
        """
        needed = self.needed_domains
        if needed is None:
            return
        # Resolvers usually belong to the machine, not to a certificate.
        saved = next((lineage.options for lineage in self.lineages), {})
        reading = {key: value for key, value in saved.items() if key in ("resolvers", "check")}
        options = options_of(self._given.options, reading)
        records = [
            noted
            for noted in self._journal.published()
            # What was published for an account elsewhere, without its server, is needed there.
            if noted.domain not in needed and noted.server
        ]
        yield from subjects_of_records(records, options)

    @property
    def lineages(self) -> list[Lineage]:
        """All lineages that our authenticator renews, sorted by name."""
        return list(self._ours[0])

    @property
    def needed_domains(self) -> Collection[str] | None:
        """The domains of all lineages that are ours, without ``*.``.

        ``None`` if a lineage cannot be read, so that not all domains are known.
        """
        lineages, unusable = self._ours
        if unusable:
            return None
        return {domain for lineage in lineages for domain in bases(lineage.domains)}

    def _subject(
        self,
        domain: str,
        names: Collection[str],
        lineages: Sequence[Lineage],
        identity: Identity | None = None,
    ) -> Subject | Trouble:
        """Return the subject, or why there is none; all ``lineages`` have the same applicant."""
        first = lineages[0] if lineages else None
        try:
            options = options_of(self._given.options, first.options) if first else self.options
            if f"*.{domain}" in names and options.policy == "exact":
                raise too_wide(f"*.{domain}")
            if identity is None:
                applicant = self._applicants.find(first)
            else:
                applicant = Applicant(self._given.server or "", identity.account, identity.terms)
            request = make_request(
                domain,
                wildcard=f"*.{domain}" in names or options.policy == "wildcard",
                shared=options.shared,
                terms=applicant.terms,
                account=applicant.account,
                earlier_keys=lambda: (
                    self._applicants.earlier_keys(applicant.account)
                    if identity is None
                    else identity.earlier_keys
                ),
                server=applicant.server,
            )
        except Error as error:
            lost = bool(lineages) and isinstance(error, NoSuchAccount | UnknownAccount)
            usage = isinstance(error, UsageError)
            return Trouble(str(error), domain, lost_account=lost, usage=usage)
        return Subject(request, options, tuple(lineages), tuple(sorted(names)))

    @cached_property
    def options(self) -> Options:
        """The options of domains that are in no lineage of ours; there may be thousands."""
        return options_of(self._given.options, self._given.preset.options)

    def _all(self) -> Iterator[Lineage | Trouble]:
        lineages, unusable = self._ours
        yield from map(Trouble, unusable)
        # Without lineages, there may still be records that are left over.
        if not lineages and not unusable and not self._journal.has_published():
            yield Trouble(
                f"No certificate in {self._config_dir} has the authenticator {AUTHENTICATOR}. "
                "Name the domains with -d, or another directory with --config-dir."
            )
        yield from lineages

    def _named(self, names: Iterable[str]) -> Iterator[Lineage | Trouble]:
        for name in dict.fromkeys(names):
            try:
                lineage = read_lineage(self._config_dir, name, self._given.preset)
            except ConfigurationError as error:
                yield Trouble(str(error), usage=name not in lineage_names(self._config_dir))
                continue
            if lineage.authenticator == AUTHENTICATOR:
                yield lineage
            else:
                yield Trouble(
                    f"The certificate {name} is renewed by the authenticator "
                    f"{lineage.authenticator!r}, not by {AUTHENTICATOR}, so it needs no record. "
                    "Name its domains with -d to act on them anyway."
                )

    @cached_property
    def _ours(self) -> tuple[list[Lineage], list[str]]:
        return our_lineages(self._config_dir, self._given.preset)

    @cached_property
    def _by_domain(self) -> dict[str, list[Lineage]]:
        """Our lineages by domain; only those at the given server, if there is one."""
        lineages, unusable = self._ours
        for reason in unusable:
            logger.warning("%s", reason)
        found: dict[str, list[Lineage]] = {}
        for lineage in lineages:
            if self._applicants.server(lineage) == lineage.server:
                for domain in bases(lineage.domains):
                    found.setdefault(domain, []).append(lineage)
        return found


def subjects_of_records(
    records: Iterable[PublishedRecord | HeldRecord], options: Options
) -> Iterator[Subject]:
    """Yield a subject for each domain and account of ``records``, made from these alone."""
    groups: dict[tuple[str, str, str], list[ValidationRecord]] = {}
    for each in records:
        with contextlib.suppress(MalformedRecord):  # a value of dns-01
            record = parse_record(each.value)
            groups.setdefault((each.domain, each.server, each.account_url), []).append(record)
    for (domain, server, account_url), found in groups.items():
        published, *others = dict.fromkeys(record.account_uri for record in found)
        request = ValidationRequest(
            domain=domain,
            wildcard=False,
            server=server,
            issuer_domain_names=tuple(sorted({r.issuer_domain_name for r in found})),
            account_url=account_url,
            account_uris=AccountUris(published, tuple(others)),
        )
        yield Subject(request, options)


def only_subjects(found: Iterable[Subject | Trouble]) -> Iterator[Subject]:
    """Yield those of ``found`` that are subjects."""
    return (each for each in found if isinstance(each, Subject))


class Troubles:
    """Troubles as messages, one for all domains with the same; there may be a million of them."""

    def __init__(self, troubles: "Iterable[Trouble]" = ()) -> None:
        """Begin with ``troubles``."""
        self._domains_of: dict[str, list[str]] = {}
        self._more: Counter[str] = Counter()
        self.lost_account = False
        """Whether one of them is a lost account."""
        self.usage = False
        """Whether one of them is a wrong command line."""
        for trouble in troubles:
            self.add(trouble)

    def __bool__(self) -> bool:
        return bool(self._domains_of)

    def add(self, trouble: Trouble) -> None:
        """Add one."""
        self.lost_account = self.lost_account or trouble.lost_account
        self.usage = self.usage or trouble.usage
        domains = self._domains_of.setdefault(trouble.reason, [])
        if trouble.domain is not None:
            if len(domains) < _NAMED:
                domains.append(trouble.domain)
            else:
                self._more[trouble.reason] += 1

    def in_words(self) -> list[str]:
        """Return the messages."""
        return [
            f"{_some(domains, self._more[reason])}: {reason}" if domains else reason
            for reason, domains in self._domains_of.items()
        ]


def _some(domains: Sequence[str], more: int) -> str:
    return ", ".join(domains) + (f" and {more} more" if more else "")


def bases(domains: Iterable[str]) -> dict[str, bool]:
    """Return the domains without ``*.``, in their order, and whether a wildcard is among them."""
    found: dict[str, bool] = {}
    for domain in domains:
        base = domain.removeprefix("*.")
        found[base] = found.get(base, False) or domain != base
    return found


def _instead_of(name: str) -> str | None:
    """Return what to write instead of a URL or of a wildcard within a name; ``None`` for others."""
    # Perhaps without its scheme, or an address of e-mail.
    host = re.sub("^[a-z][a-z0-9+.-]*://", "", name, flags=re.IGNORECASE)
    host = re.sub(":[0-9]*$", "", re.split("[/?#]", host)[0].rpartition("@")[2])
    why = "Give the name alone"
    if "*" in host.removeprefix("*."):
        why = "Only the first label may be *"
        host = f"*.{host.rpartition('*')[2].lstrip('.')}"
    base = host.removeprefix("*.")
    try:
        return f"{why}: write {host.removesuffix(base)}{normalize_domain_name(base)}."
    except ValueError:
        return None


def normalize(name: str) -> str:
    """Return a domain name, which may begin with ``*.``, as records are compared.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    base = name.removeprefix("*.")
    if len(base) <= _SHORT and is_normal_domain_name(base) and not base[-1].isdigit():
        return name  # as most are
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    if ":" in base or base[-1:].isdigit():
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(base)
            raise ConfigurationError(
                f"{shown} is an IP address, but dns-persist-01 only works for domain names."
            )
    try:
        normalized = normalize_domain_name(base)
    except ValueError as error:
        if (instead := _instead_of(name)) is not None:
            raise ConfigurationError(f"{shown!r} is not a domain name. {instead}") from error
        reason = str(error).removeprefix(f"{base!r} is not a domain name: ")
        reason = reason if len(reason) <= 2 * _SHOWN else "it is too long"
        raise ConfigurationError(f"{shown!r} is not a domain name: {reason}.") from error
    if why := too_long(normalized):
        raise ConfigurationError(why)
    return f"*.{normalized}" if base != name else normalized
