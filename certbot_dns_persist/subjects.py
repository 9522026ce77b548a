"""What the command is about: names, and for each the request that its CA will make.

Certbot's files tell which account and which options a name has; what is given on the command line
goes before them, and is enough where there is no Certbot at all.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from certbot_dns_persist.account import (
    Account,
    accounts_directory,
    read_account,
    read_accounts,
)
from certbot_dns_persist.directory import fetch_directory
from certbot_dns_persist.errors import AccountError, ConfigurationError, DirectoryError, Error
from certbot_dns_persist.journal import Journal
from certbot_dns_persist.lineages import AUTHENTICATOR, Lineage, lineage_names, read_lineage
from certbot_dns_persist.options import Options, options_of
from certbot_dns_persist.record import normalize_domain_name
from certbot_dns_persist.request import ValidationRequest, make_request
from certbot_dns_persist.terms import Terms, expected_terms

logger = logging.getLogger(__name__)

#: Certbot's own default.
DEFAULT_SERVER = "https://acme-v02.api.letsencrypt.org/directory"


@dataclasses.dataclass(frozen=True)
class Subject:
    """One domain, and what its CA will ask for."""

    request: ValidationRequest
    options: Options
    lineages: tuple[Lineage, ...] = ()
    """The certificates that it is for; none when no certificate has it yet."""


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
        self.troubles: list[str] = []

    @property
    def without_certbot(self) -> bool:
        """Whether Certbot's files are not asked who the account is."""
        return self._given.identity is not None

    def of_lineages(self, names: Iterable[str] | None = None) -> Iterator[Subject]:
        """Yield the domains of the lineages ``names``, by default of all that are ours.

        A domain of several lineages is yielded once for each account that needs it.
        """
        if names is None:
            lineages = self.lineages
        else:
            lineages = [self._ours.get(name) or self._read(name) for name in names]
        needed: dict[tuple[str, str, str], list[tuple[Lineage, bool]]] = {}
        for lineage in lineages:
            for domain, wildcard in bases(lineage.domains).items():
                key = (self._server(lineage), self._account(lineage) or "", domain)
                needed.setdefault(key, []).append((lineage, wildcard))
        for (_, _, domain), needs in needed.items():
            yield from self._subject(
                domain, any(wildcard for _, wildcard in needs), [lineage for lineage, _ in needs]
            )

    def of_domains(self, domains: Iterable[str]) -> Iterator[Subject]:
        """Yield ``domains``, which are normalised and may begin with ``*.``; each base once.

        What a lineage of ours says of one of them is used.
        """
        for domain, wildcard in bases(domains).items():
            lineages = [] if self.without_certbot else self._lineages_of(domain)
            yield from self._subject(domain, wildcard, lineages[:1])

    @property
    def lineages(self) -> list[Lineage]:
        """All lineages that are renewed by our authenticator, sorted by name."""
        return list(self._ours.values())

    @cached_property
    def _ours(self) -> dict[str, Lineage]:
        lineages = {}
        for name in lineage_names(self._config_dir):
            try:
                lineage = read_lineage(self._config_dir, name)
            except ConfigurationError as error:
                self.troubles.append(str(error))
                continue
            if lineage.authenticator == AUTHENTICATOR:
                lineages[name] = lineage
        return lineages

    def _read(self, name: str) -> Lineage:
        lineage = read_lineage(self._config_dir, name)
        raise ConfigurationError(
            f"The lineage {name} is renewed by the authenticator {lineage.authenticator!r}, not "
            f"by {AUTHENTICATOR}, so it needs no record. Name its domains with -d to act on them "
            "all the same."
        )

    @cached_property
    def _by_domain(self) -> dict[str, list[Lineage]]:
        found: dict[str, list[Lineage]] = {}
        for lineage in self._ours.values():
            for domain in bases(lineage.domains):
                found.setdefault(domain, []).append(lineage)
        return found

    def _lineages_of(self, domain: str) -> list[Lineage]:
        return self._by_domain.get(domain, [])

    def _subject(self, domain: str, wildcard: bool, lineages: list[Lineage]) -> Iterator[Subject]:
        """Yield the subject or, when it cannot be told, note why."""
        first = lineages[0] if lineages else None
        try:
            options = options_of(self._given.options, first.options if first else {})
            who = self._who(self._server(first), self._account(first))
            request = make_request(
                domain,
                wildcard=wildcard or options.policy == "wildcard",
                shared=options.shared,
                terms=who.terms,
                account=who.account,
                earlier_keys=lambda: self._earlier_keys(who.account),
                server=who.server,
            )
        except Error as error:
            self.troubles.append(f"{domain}: {error}")
            return
        yield Subject(request, options, tuple(lineages))

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
        return self._journal.earlier_keys(account.url, account.thumbprint)

    def _who(self, server: str, account: str | None) -> _Who:
        if self._given.identity is not None:
            identity = self._given.identity
            return _Who(self._given.server or "", identity.account, identity.terms)
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
        account = find_account(self._config_dir, server, name)
        noted = self._journal.terms(account.url)
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
    try:
        normalized = normalize_domain_name(base)
    except ValueError as error:
        raise ConfigurationError(f"{name!r} is no domain name: {error}.") from error
    return f"*.{normalized}" if base != name else normalized


def find_account(config_dir: Path, server: str, name: str | None) -> Account:
    """Return the account ``name`` (Certbot's id or its URL) at ``server``, or the only one.

    Raises :class:`~certbot_dns_persist.errors.AccountError`: none, several, or not that one.
    """
    directory = accounts_directory(config_dir, server)
    if name and (directory / name).is_dir():
        return read_account(directory / name)
    accounts = read_accounts(directory)
    if not accounts:
        raise AccountError(
            f"There is no account at {server} in {config_dir}, and a record names the account. "
            f"Make one with: certbot register --server {server} --agree-tos -m you@example.com"
        )
    chosen = [a for key, a in accounts.items() if name in (None, "", key, a.url)]
    if len(chosen) == 1:
        return chosen[0]
    known = "; ".join(f"{key} ({account.url})" for key, account in accounts.items())
    if chosen:
        raise AccountError(
            f"There are several accounts at {server} in {config_dir}. Choose one with --account: "
            f"{known}."
        )
    raise AccountError(
        f"There is no account {name} at {server} in {config_dir}. There are: {known}."
    )
