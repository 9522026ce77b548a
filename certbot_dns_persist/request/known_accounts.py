"""The accounts that we know, and which of them an account URI belongs to."""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from certbot_dns_persist.account import ANY_DOMAIN, Account, hashed_account_uri
from certbot_dns_persist.errors import AccountError, ConfigurationError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.request.accounts import read_account
from certbot_dns_persist.request.applicants import Identity
from certbot_dns_persist.request.rollovers import begun_rollovers
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

# The CA chooses the prefix, which is not part of the hash (draft section 4.1 item 3).
_HASHED = re.compile(r"sha-256/[A-Za-z0-9_-]{43}$")


@dataclasses.dataclass(frozen=True)
class KnownAccount:
    """An account of this machine, or one that the command line declares as known."""

    url: str
    whose: str
    """How we know it, for people."""
    thumbprints: tuple[str, ...] = ()
    """Of its keys, earlier ones included; none if only its URI is known."""
    uris: tuple[str, ...] = ()
    """Further account URIs that belong to it, not hashed."""
    server: str = ""
    """The CA's ACME directory URL, if it is an account of Certbot's."""
    declared: bool = False
    """Whether we know it from the command line, not from Certbot's files."""
    former: bool = False
    """Whether we know it from our notes only."""
    source: str = ""
    """Where we know it from, for people."""
    issuer_domain_names: tuple[str, ...] = ()
    """The names that its CA offers, if a declaration says so."""
    hash_prefix: str | None = None
    """The prefix of hashed account URIs, if a declaration says that its CA has one."""
    only_at: tuple[str, ...] = ()
    """The names of the CAs at which it is known, if it is not known at others."""

    def hashed(self, domain: str) -> Iterator[str]:
        """Yield the hashed account URIs for ``domain``, without the CA's prefix."""
        for key in self.thumbprints:
            for bound in (domain, ANY_DOMAIN):
                yield hashed_account_uri("", domain=bound, thumbprint=key, account_url=self.url)


class KnownAccounts:
    """Finds the known account that an account URI belongs to."""

    def __init__(
        self,
        accounts: Iterable[KnownAccount],
        domains: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        """``domains`` returns those that our certificates need, ``None`` if that is unknown."""
        self.all = tuple(accounts)
        """All of them."""
        self._domains = domains
        self._plain = {uri: known for known in self.all for uri in (known.url, *known.uris)}

    def who(self, uri: str, domain: str, *, aliased: bool, issuer: str = "") -> KnownAccount | None:
        """Return the account that ``uri`` belongs to in a record for ``domain`` and ``issuer``.

        If the name is an alias, there may also be records for other domains.
        """
        found = self._who(uri, domain, aliased=aliased)
        elsewhere = found is not None and found.only_at and issuer not in found.only_at
        return None if elsewhere else found

    def _who(self, uri: str, domain: str, *, aliased: bool) -> KnownAccount | None:
        if uri in self._plain:
            return self._plain[uri]
        hashed = _HASHED.search(uri)
        if hashed is None:
            return None
        for known in self.all:
            if hashed[0] in known.hashed(domain):
                return known
        return self._elsewhere.get(hashed[0]) if aliased else None

    def by_url(self, url: str) -> KnownAccount | None:
        """Return the account with that account URL."""
        return self._plain.get(url)

    def may_need(self, domain: str) -> bool:
        """Whether a certificate of ours needs ``domain``, or that is unknown."""
        domains = self._domains()
        return domains is None or domain in domains

    @cached_property
    def _elsewhere(self) -> dict[str, KnownAccount]:
        return {
            hashed: known
            for known in self.all
            for domain in self._domains() or ()
            for hashed in known.hashed(domain)
        }


def accounts_of_machine(config_dir: Path, journal: Journal) -> list[KnownAccount]:
    """Return Certbot's accounts at all CAs, staging servers included; each URL once.

    Damaged accounts are skipped, with a warning.
    """
    root = config_dir / "accounts"
    coming = _coming_keys(config_dir)
    found: dict[str, KnownAccount] = {}
    for regr in sorted(root.rglob("regr.json")):
        server = "/".join(regr.parent.parent.relative_to(root).parts)
        try:
            account = _read_account(regr)
        except AccountError as error:
            logger.warning("%s We cannot tell its records from those of strangers.", error)
            continue
        whose = f"the account {regr.parent.name[:8]} of this machine at {server}"
        noted = _as_noted(account.url, account.thumbprint, whose, journal)
        known = dataclasses.replace(
            noted,
            thumbprints=(*noted.thumbprints, *coming.get(account.url, ())),
            server=f"https://{server}",  # Certbot does not keep the scheme
            source="Certbot's files",
        )
        found.setdefault(account.url, known)
    return list(found.values())


def _coming_keys(config_dir: Path) -> dict[str, list[str]]:
    """Return the thumbprints, by account URL, of keys that a rollover is about to give accounts."""
    found: dict[str, list[str]] = {}
    try:
        for rollover in begun_rollovers(config_dir):
            found.setdefault(rollover.account.url, []).append(rollover.account.thumbprint)
    except (AccountError, ConfigurationError) as error:
        logger.warning("%s We cannot tell the records for it from those of strangers.", error)
    return found


def accounts_of_run(identities: Iterable[Iterable[Identity]]) -> list[KnownAccount]:
    """Return the accounts that a run is about, without Certbot's files: to each other, known."""
    found: dict[tuple[str, ...], KnownAccount] = {}
    for identity in itertools.chain.from_iterable(identities):
        terms, account = identity.terms, identity.account
        keys = tuple(filter(None, (account.thumbprint, *identity.earlier_keys)))
        uris = (terms.plain,) if terms.plain else ()
        what = (account.url, *keys, *uris)
        same = found.get(what)
        found[what] = KnownAccount(
            account.url,
            "an account that this run is about",
            keys,
            uris,
            declared=True,
            source="the command line, or a list of domains",
            only_at=(*(same.only_at if same else ()), *terms.issuer_domain_names),
        )
    return list(found.values())


def former_accounts(journal: Journal, others: Iterable[KnownAccount]) -> list[KnownAccount]:
    """Return the accounts that are in our notes and not among ``others``.

    They were Certbot's until an administrator unregistered them or removed their files.
    """
    urls = {known.url for known in others}
    return [
        dataclasses.replace(
            _as_noted(url, "", "a former account of this machine", journal),
            former=True,
            source="the notes of this machine",
        )
        for url in journal.account_urls()
        if url not in urls
    ]


def _as_noted(url: str, thumbprint: str, whose: str, journal: Journal) -> KnownAccount:
    """Return an account with its earlier keys from our notes; its key has ``thumbprint``."""
    keys = (thumbprint, *journal.earlier_keys(url, thumbprint))
    terms = journal.terms(url)
    plain = (terms.plain,) if terms and terms.plain else ()
    return KnownAccount(url, whose, tuple(filter(None, keys)), plain)


def _read_account(regr: Path) -> Account:
    """Return the account; without its key if only root may read that, as the URL is of use."""
    try:
        return read_account(regr.parent)
    except AccountError:
        try:
            return Account(str(json.loads(regr.read_text(encoding="utf-8"))["uri"]), "")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        raise
