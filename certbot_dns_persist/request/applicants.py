"""Who asks, and whom: an account, its CA, and what that CA wants in the account's records."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms, expected_terms
from certbot_dns_persist.errors import DirectoryError, Error
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.request.accounts import find_account
from certbot_dns_persist.request.lineages import Lineage

logger = logging.getLogger(__name__)

#: Certbot's own default.
DEFAULT_SERVER = "https://acme-v02.api.letsencrypt.org/directory"


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
class Applicant:
    """An account at a CA, and the CA's terms."""

    server: str
    """The CA's ACME directory URL; empty when nobody said it."""
    account: Account
    terms: Terms


class Applicants:
    """Finds out who asks: from what is given, from Certbot's files and from the CA, each once."""

    def __init__(self, config_dir: Path, journal: Journal, given: Given) -> None:
        self._config_dir = config_dir
        self._journal = journal
        self._given = given
        self._found: dict[tuple[str, str | None], Applicant | Error] = {}
        self._keys: dict[str, list[str]] = {}

    def find(self, lineage: Lineage | None) -> Applicant:
        """Return who asks for the names of ``lineage`` or, without one, for any other.

        Raises :class:`~certbot_dns_persist.errors.Error` when that cannot be told.
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
        """Return what tells who asks: of those with the same, one record serves all."""
        return self.server(lineage), self._account(lineage) or ""

    def server(self, lineage: Lineage | None) -> str:
        """Return the URL of the ACME directory of the CA that is asked."""
        return self._given.server or (lineage.server if lineage else DEFAULT_SERVER)

    def _account(self, lineage: Lineage | None) -> str | None:
        if self._given.account is not None or lineage is None:
            return self._given.account
        # Another server has other accounts.
        return lineage.account if self.server(lineage) == lineage.server else None

    def _find_out(self, server: str, name: str | None) -> Applicant:
        if self._given.identity is not None:
            identity = self._given.identity
            return Applicant(self._given.server or "", identity.account, identity.terms)
        account = find_account(self._config_dir, server, name)
        return Applicant(server, account, self._terms(server, account))

    def _terms(self, server: str, account: Account) -> Terms:
        noted = self._journal.terms(account.url)
        if self._given.offline:
            if noted is None:
                raise DirectoryError(
                    f"What the CA at {server} wants in a record is not known here: it is noted at "
                    "the first order. Leave --offline out, so that the CA is asked."
                )
            return noted
        from certbot_dns_persist.ca.directory import fetch_directory

        try:
            ca = fetch_directory(server, verify=self._given.verify)
        except DirectoryError as error:
            if noted is None:
                raise
            logger.warning("%s. What it said in the last order is taken for granted.", error)
            return noted
        return expected_terms(ca, noted, account)

    def earlier_keys(self, account: Account) -> list[str]:
        """Return the thumbprints of the keys that ``account`` had before, the latest first."""
        if self._given.identity is not None:
            return []
        if account.url not in self._keys:  # reads a file, which must not happen for every domain
            self._keys[account.url] = self._journal.earlier_keys(account.url, account.thumbprint)
        return self._keys[account.url]
