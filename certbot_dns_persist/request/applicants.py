"""The account that requests a certificate, its CA, and what that CA wants in its records."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms, expected_terms
from certbot_dns_persist.errors import (
    AmbiguousAccount,
    DirectoryError,
    Error,
    NoSuchAccount,
    UnknownAccount,
    UsageError,
)
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.request.accounts import find_account
from certbot_dns_persist.request.lineages import Lineage
from certbot_dns_persist.request.preset import NOTHING_SET, Preset
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

#: Certbot's own default.
DEFAULT_SERVER = "https://acme-v02.api.letsencrypt.org/directory"


@dataclasses.dataclass(frozen=True)
class Identity:
    """A CA and an account as the command line gives them, without Certbot's files."""

    terms: Terms
    account: Account
    earlier_keys: tuple[str, ...] = ()
    """Thumbprints of the account's earlier keys, the latest first."""


@dataclasses.dataclass(frozen=True)
class Given:
    """The CA, account and options on the command line; they override those in files."""

    server: str | None = None
    account: str | None = None
    """Certbot's id of an account, or its URL."""
    identities: Sequence[Sequence[Identity]] = ()
    """Those that do without Certbot's files: first the ones for every domain, then those that a
    list of domains names; none if Certbot's files say who it is."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """By name without prefix; ``None`` if it is not given."""
    verify: bool = True
    """Whether to check the certificate of the CA's server."""
    preset: Preset = NOTHING_SET
    """What Certbot's configuration file sets."""
    offline: bool = False
    """Whether to use what the CA said in the last order, instead of asking it."""

    @property
    def hashes(self) -> bool:
        """Whether the CA is known to hash account URIs, so that each name has its own."""
        return any(each.terms.hash_prefix for some in self.identities for each in some)


@dataclasses.dataclass(frozen=True)
class Applicant:
    """An account at a CA, and the CA's terms."""

    server: str
    """The CA's ACME directory URL; empty if it was not given."""
    account: Account
    terms: Terms


class Applicants:
    """Finds applicants: from the command line, Certbot's files and the CA, reading each once."""

    def __init__(self, config_dir: Path, journal: Journal, given: Given) -> None:
        self._config_dir = config_dir
        self._journal = journal
        self._given = given
        self._found: dict[tuple[str, str | None], Applicant | Error] = {}
        self._keys: dict[str, list[str]] = {}

    def find(self, lineage: Lineage | None) -> Applicant:
        """Return the applicant for the names of ``lineage``, or for names without a lineage.

        Raises :class:`~certbot_dns_persist.errors.Error` if it cannot be determined.
        """
        who = self.server(lineage), self._account(lineage)
        if who not in self._found:
            try:
                self._found[who] = self._find_out(*who)
            except Error as error:
                self._found[who] = error
        found = self._found[who]
        if isinstance(found, Error):
            raise found
        return found

    def key(self, lineage: Lineage) -> tuple[str, str]:
        """Return a key for the applicant: lineages with the same key share one record."""
        return self.server(lineage), self._account(lineage) or ""

    def server(self, lineage: Lineage | None) -> str:
        """Return the ACME directory URL of the CA to use."""
        default = lineage.server if lineage else self._given.preset.get("server", DEFAULT_SERVER)
        return self._given.server or default

    def _account(self, lineage: Lineage | None) -> str | None:
        if self._given.account is not None:
            return self._given.account
        preset = self._given.preset
        # Another server has other accounts.
        if lineage is None:
            usual = self.server(None) == preset.get("server", DEFAULT_SERVER)
            account: str | None = preset.get("account", None)
            return account if usual else None
        return lineage.account if self.server(lineage) == lineage.server else None

    def _find_out(self, server: str, name: str | None) -> Applicant:
        try:
            account = find_account(self._config_dir, server, name)
        except NoSuchAccount as error:
            if name and name == self._given.account:
                raise UsageError(str(error)) from error
            raise
        except AmbiguousAccount as error:
            if name == "":  # that of a lineage, which Certbot cannot ask for in a renewal
                raise UnknownAccount(self._why_unknown(error)) from error
            raise
        return Applicant(server, account, self._terms(server, account))

    def _why_unknown(self, error: AmbiguousAccount) -> str:
        preset = self._given.preset
        why, advice = "the renewal configuration names none", "Write account = ID into it."
        if preset.forgets_accounts:
            why = (
                f"{preset.where} sets the server, so Certbot ignores the account that is saved "
                "for a renewal"
            )
            advice = "Write account = ID beside server there, or remove server from it."
        return (
            'Certbot cannot tell which account to renew with, and stops with "Missing command '
            f'line flag": {why}. {advice} {error}'
        )

    def _terms(self, server: str, account: Account) -> Terms:
        noted = self._journal.terms(account.url)
        if self._given.offline:
            if noted is None:
                raise DirectoryError(
                    f"What the CA at {server} wants in a record is unknown here until the first "
                    "order. Leave out --offline, so that we can ask the CA."
                )
            return noted
        from certbot_dns_persist.ca.directory import fetch_directory

        try:
            ca = fetch_directory(server, verify=self._given.verify)
        except DirectoryError as error:
            if noted is None:
                raise DirectoryError(
                    f"{error}. Run the same command again when the CA answers."
                ) from error
            logger.warning("%s. We use what the CA said in the last order.", error)
            return noted
        return expected_terms(ca, noted, account)

    def earlier_keys(self, account: Account) -> list[str]:
        """Return the thumbprints of the earlier keys of ``account``, the latest first."""
        if account.url not in self._keys:  # it reads a file: not for every domain
            self._keys[account.url] = self._journal.earlier_keys(account.url, account.thumbprint)
        return self._keys[account.url]
