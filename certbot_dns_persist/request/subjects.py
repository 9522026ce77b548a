"""What the command is about: names, and for each the request that its CA will make.

Certbot's files tell which account and which options a name has; what is given on the command line
goes before them, and is enough where there is no Certbot at all.
"""

import contextlib
import dataclasses
import ipaddress
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms, expected_terms
from certbot_dns_persist.errors import (
    ConfigurationError,
    DirectoryError,
    Error,
    NoSuchAccount,
)
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import Options, options_of, too_wide
from certbot_dns_persist.record import (
    MalformedRecord,
    ValidationRecord,
    normalize_domain_name,
    parse_record,
)
from certbot_dns_persist.request.accounts import find_account
from certbot_dns_persist.request.lineages import AUTHENTICATOR, Lineage, lineage_names, read_lineage
from certbot_dns_persist.request.request import AccountUris, ValidationRequest, make_request

logger = logging.getLogger(__name__)

#: Certbot's own default.
DEFAULT_SERVER = "https://acme-v02.api.letsencrypt.org/directory"

#: How many of the domains that share a trouble are named with it.
_NAMED = 5

#: The longest name that a message repeats in full: any lawful one.
_SHOWN = 255


@dataclasses.dataclass(frozen=True)
class Subject:
    """One domain, and what its CA will ask for."""

    request: ValidationRequest
    options: Options
    lineages: tuple[Lineage, ...] = ()
    """The certificates that it is for; none when no certificate has it yet."""
    names: tuple[str, ...] = ()
    """The domain names to be proven, sorted: the domain, its wildcard, or both."""


@dataclasses.dataclass(frozen=True)
class Identity:
    """A CA and an account as somebody knows them who has none of Certbot's files."""

    terms: Terms
    account: Account


@dataclasses.dataclass(frozen=True)
class Given:
    """What the command line says of CA, account and options; it goes before what files say."""

    server: str | None = None
    account: str | None = None
    """Certbot's id of an account, or its URL."""
    identity: Identity | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """By the name of each without prefix; ``None`` when it is not given."""
    verify: bool = True
    """Whether the certificate of the CA's server is checked."""
    offline: bool = False
    """Whether the CA is not to be asked; what it said in the last order has to do."""


@dataclasses.dataclass(frozen=True)
class _Who:
    """A CA's server, an account there, its id, and the terms."""

    server: str
    account: Account
    terms: Terms


class Subjects:
    """Makes subjects from names and lineages.

    What cannot be told of one of them is added to ``troubles``, in words, and does not keep the
    others from being made.
    """

    def __init__(self, config_dir: Path, journal: Journal, given: Given) -> None:
        self._config_dir = config_dir
        self._journal = journal
        self._given = given
        self._known: dict[tuple[str, str | None], _Who | Error] = {}
        self._keys: dict[str, list[str]] = {}
        self._failures: dict[str, tuple[int, list[str]]] = {}
        self.troubles: list[str] = []
        self.lost_accounts = False
        """Whether the account of a lineage is not there, so that it cannot be renewed."""

    @property
    def without_certbot(self) -> bool:
        """Whether Certbot's files are not asked who the account is."""
        return self._given.identity is not None

    def of_lineages(self, names: Iterable[str] | None = None) -> Iterator[Subject]:
        """Yield the domains of the lineages ``names``, by default of all that are ours.

        A domain of several lineages is yielded once for each account that needs it.
        """
        lineages = self._all() if names is None else self._named(names)
        needed: dict[tuple[str, str, str], list[Lineage]] = {}
        for lineage in lineages:
            for domain in bases(lineage.domains):
                needed.setdefault((*self._key(lineage), domain), []).append(lineage)
        for (_, _, domain), needs in needed.items():
            asked = {name for lineage in needs for name in lineage.domains}
            yield from self._subject(domain, asked & {domain, f"*.{domain}"}, needs)

    def of_domains(self, domains: Iterable[str]) -> Iterator[Subject]:
        """Yield ``domains``, which are normalised and may begin with ``*.``; each base once.

        What lineages of ours say of one of them is used. Where these have different accounts, it
        is yielded once for each.
        """
        asked: dict[str, set[str]] = {}
        for name in domains:
            asked.setdefault(name.removeprefix("*."), set()).add(name)
        for domain, names in asked.items():
            lineages: dict[tuple[str, str], list[Lineage]] = {}
            for lineage in [] if self.without_certbot else self._by_domain.get(domain, []):
                lineages.setdefault(self._key(lineage), []).append(lineage)
            for needs in lineages.values() or [[]]:
                yield from self._subject(domain, names, needs)

    def left_over(self) -> Iterator[Subject]:
        """Yield the domains for which records of ours stand, as noted, and that no lineage needs.

        None when some lineage cannot be read: it may need any of them.
        """
        needed = self.needed_domains
        if needed is None:
            return
        # Resolvers are the machine's more than a certificate's.
        saved = next((lineage.options for lineage in self.lineages), {})
        reading = {key: value for key, value in saved.items() if key in ("resolvers", "check")}
        options = options_of(self._given.options, reading)
        groups: dict[tuple[str, str, str], list[ValidationRecord]] = {}
        for noted in self._journal.standing():
            if noted.domain in needed:
                continue
            with contextlib.suppress(MalformedRecord):  # a value of dns-01
                record = parse_record(noted.value)
                key = (noted.domain, noted.server, noted.account_url)
                groups.setdefault(key, []).append(record)
        for (domain, server, account_url), records in groups.items():
            published, *others = dict.fromkeys(record.account_uri for record in records)
            request = ValidationRequest(
                domain=domain,
                wildcard=False,
                server=server,
                issuer_domain_names=tuple(sorted({r.issuer_domain_name for r in records})),
                account_url=account_url,
                account_uris=AccountUris(published, tuple(others)),
            )
            yield Subject(request, options)

    @property
    def lineages(self) -> list[Lineage]:
        """All lineages that are renewed by our authenticator, sorted by name."""
        return list(self._ours[0])

    def _all(self) -> Iterable[Lineage]:
        lineages, unusable = self._ours
        self.troubles += unusable
        # Records that are left over may be looked at all the same.
        if not lineages and not unusable and not self._journal.standing():
            self.troubles.append(
                f"No certificate in {self._config_dir} has the authenticator {AUTHENTICATOR}. "
                "Name the domains with -d, or another directory with --config-dir."
            )
        return lineages

    def _named(self, names: Iterable[str]) -> Iterator[Lineage]:
        for name in dict.fromkeys(names):
            try:
                lineage = read_lineage(self._config_dir, name)
            except ConfigurationError as error:
                self.troubles.append(str(error))
                continue
            if lineage.authenticator == AUTHENTICATOR:
                yield lineage
            else:
                self.troubles.append(
                    f"The certificate {name} is renewed by the authenticator "
                    f"{lineage.authenticator!r}, not by {AUTHENTICATOR}, so it needs no record. "
                    "Name its domains with -d to act on them all the same."
                )

    @cached_property
    def _ours(self) -> tuple[list[Lineage], list[str]]:
        """All lineages that are renewed by our authenticator, and why others cannot be read."""
        lineages, unusable = [], []
        for name in lineage_names(self._config_dir):
            try:
                lineage = read_lineage(self._config_dir, name)
            except ConfigurationError as error:
                unusable.append(str(error))
                continue
            if lineage.authenticator == AUTHENTICATOR:
                lineages.append(lineage)
        return lineages, unusable

    @cached_property
    def _by_domain(self) -> dict[str, list[Lineage]]:
        """Our lineages by the domains that they are for; at the server that is given, if any."""
        lineages, unusable = self._ours
        for trouble in unusable:
            logger.warning("%s", trouble)
        found: dict[str, list[Lineage]] = {}
        for lineage in lineages:
            if self._server(lineage) == lineage.server:
                for domain in bases(lineage.domains):
                    found.setdefault(domain, []).append(lineage)
        return found

    def _key(self, lineage: Lineage) -> tuple[str, str]:
        """Return what tells who asks: of those with the same, one record serves all."""
        return self._server(lineage), self._account(lineage) or ""

    @property
    def needed_domains(self) -> Collection[str] | None:
        """The domains of all lineages that are ours, without ``*.``.

        ``None`` when some lineage cannot be read, so that not all of them are known.
        """
        lineages, unusable = self._ours
        if unusable:
            return None
        return {domain for lineage in lineages for domain in bases(lineage.domains)}

    def _subject(
        self, domain: str, names: Collection[str], lineages: Sequence[Lineage]
    ) -> Iterator[Subject]:
        """Yield the subject or, when it cannot be told, note why."""
        first = lineages[0] if lineages else None
        try:
            options = options_of(self._given.options, first.options) if first else self._options
            if f"*.{domain}" in names and options.policy == "exact":
                raise too_wide(f"*.{domain}")
            who = self._who(self._server(first), self._account(first))
            request = make_request(
                domain,
                wildcard=f"*.{domain}" in names or options.policy == "wildcard",
                shared=options.shared,
                terms=who.terms,
                account=who.account,
                earlier_keys=lambda: self._earlier_keys(who.account),
                server=who.server,
            )
        except Error as error:
            self.lost_accounts |= bool(lineages) and isinstance(error, NoSuchAccount)
            self._fail(domain, str(error))
            return
        yield Subject(request, options, tuple(lineages), tuple(sorted(names)))

    def _fail(self, domain: str, reason: str) -> None:
        """Note why there is no subject; what is the same for thousands of domains, once."""
        place, domains = self._failures.setdefault(reason, (len(self.troubles), []))
        domains.append(domain)
        more = len(domains) - _NAMED
        named = ", ".join(domains[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        self.troubles[place : place + 1] = [f"{named}: {reason}"]

    @cached_property
    def _options(self) -> Options:
        """Those of a domain that is in no lineage of ours; of which there may be thousands."""
        return options_of(self._given.options, {})

    # Who asks, and whom

    def _server(self, lineage: Lineage | None) -> str:
        return self._given.server or (lineage.server if lineage else DEFAULT_SERVER)

    def _account(self, lineage: Lineage | None) -> str | None:
        if self._given.account is not None or lineage is None:
            return self._given.account
        # Another server has other accounts.
        return lineage.account if self._server(lineage) == lineage.server else None

    def _earlier_keys(self, account: Account) -> list[str]:
        if self._given.identity is not None:
            return []
        if account.url not in self._keys:  # reads a file, which must not happen for every domain
            self._keys[account.url] = self._journal.earlier_keys(account.url, account.thumbprint)
        return self._keys[account.url]

    def _who(self, server: str, account: str | None) -> _Who:
        known = self._known.get((server, account))
        if known is None:
            try:
                known = self._find_out(server, account)
            except Error as error:
                known = error
            self._known[server, account] = known
        if isinstance(known, Error):
            raise known
        return known

    def _find_out(self, server: str, name: str | None) -> _Who:
        if self._given.identity is not None:
            identity = self._given.identity
            return _Who(self._given.server or "", identity.account, identity.terms)
        account = find_account(self._config_dir, server, name)
        noted = self._journal.terms(account.url)
        if self._given.offline:
            if noted is None:
                raise DirectoryError(
                    f"What the CA at {server} wants in a record is not known here: it is noted at "
                    "the first order. Leave --offline out, so that the CA is asked."
                )
            return _Who(server, account, noted)
        from certbot_dns_persist.ca.directory import fetch_directory

        try:
            ca = fetch_directory(server, verify=self._given.verify)
        except DirectoryError as error:
            if noted is None:
                raise
            logger.warning("%s. What it said in the last order is taken for granted.", error)
            return _Who(server, account, noted)
        return _Who(server, account, expected_terms(ca, noted, account))


def bases(domains: Iterable[str]) -> dict[str, bool]:
    """Return the domains without ``*.``, in their order, and whether a wildcard is among them."""
    found: dict[str, bool] = {}
    for domain in domains:
        base = domain.removeprefix("*.")
        found[base] = found.get(base, False) or domain != base
    return found


def normalize(name: str) -> str:
    """Return a domain name, which may begin with ``*.``, as records compare it.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    base = name.removeprefix("*.")
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    if ":" in base or base[-1:].isdigit():  # most names need no closer look
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(base)
            raise ConfigurationError(
                f"{shown} is an IP address, and dns-persist-01 proves domain names only."
            )
    try:
        normalized = normalize_domain_name(base)
    except ValueError as error:
        reason = str(error).removeprefix(f"{base!r} is not a domain name: ")
        reason = reason if len(reason) <= 2 * _SHOWN else "it is too long"
        raise ConfigurationError(f"{shown!r} is not a domain name: {reason}.") from error
    return f"*.{normalized}" if base != name else normalized
