"""The accounts that somebody answers for, and which of them an account URI stands for."""

import dataclasses
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from certbot_dns_persist.account import ANY_DOMAIN, Account, hashed_account_uri
from certbot_dns_persist.errors import AccountError, ConfigurationError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.record import is_parameter_value
from certbot_dns_persist.request.accounts import read_account

logger = logging.getLogger(__name__)

# The prefix is the CA's and no part of what is hashed (draft -02 section 4.1 item 3).
_HASHED = re.compile(r"sha-256/[A-Za-z0-9_-]{43}$")


@dataclasses.dataclass(frozen=True)
class KnownAccount:
    """An account that somebody answers for."""

    url: str
    whose: str
    """For a person: where it is known from."""
    thumbprints: tuple[str, ...] = ()
    """Of its keys, also earlier ones; none when only its URI is known."""
    uris: tuple[str, ...] = ()
    """Further account URIs that stand for it as they are."""
    server: str = ""
    """The CA's ACME directory URL, for an account of Certbot's."""
    declared: bool = False
    """Whether the command line says so, and not a file of Certbot's."""
    former: bool = False
    """Whether only our notes still know it."""

    def hashed(self, domain: str) -> Iterator[str]:
        """Yield the hashed account URIs for ``domain``, without the CA's prefix."""
        for key in self.thumbprints:
            for bound in (domain, ANY_DOMAIN):
                yield hashed_account_uri("", domain=bound, thumbprint=key, account_url=self.url)


class KnownAccounts:
    """Tells of an account URI whose it is."""

    def __init__(
        self,
        accounts: Iterable[KnownAccount],
        domains: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        """``domains`` returns those that certificates of ours need, ``None`` if that is unknown."""
        self._accounts = tuple(accounts)
        self._domains = domains
        self._plain = {uri: known for known in self._accounts for uri in (known.url, *known.uris)}

    def who(self, uri: str, domain: str, *, aliased: bool) -> KnownAccount | None:
        """Return the account that ``uri`` stands for in a record for ``domain``.

        Where the name is an alias, a record for another domain may stand there, too.
        """
        if uri in self._plain:
            return self._plain[uri]
        hashed = _HASHED.search(uri)
        if hashed is None:
            return None
        for known in self._accounts:
            if hashed[0] in known.hashed(domain):
                return known
        return self._elsewhere.get(hashed[0]) if aliased else None

    def by_url(self, url: str) -> KnownAccount | None:
        """Return the account with that account URL."""
        return self._plain.get(url)

    def may_need(self, domain: str) -> bool:
        """Whether a certificate of ours needs ``domain``, as far as that is known."""
        domains = self._domains()
        return domains is None or domain in domains

    @cached_property
    def _elsewhere(self) -> dict[str, KnownAccount]:
        return {
            hashed: known
            for known in self._accounts
            for domain in self._domains() or ()
            for hashed in known.hashed(domain)
        }


def accounts_of_machine(config_dir: Path, journal: Journal) -> list[KnownAccount]:
    """Return Certbot's accounts at all CAs, staging servers included; each URL once.

    One that is damaged is left out, with a warning.
    """
    root = config_dir / "accounts"
    found: dict[str, KnownAccount] = {}
    for regr in sorted(root.rglob("regr.json")):
        server = "/".join(regr.parent.parent.relative_to(root).parts)
        try:
            account = _read_account(regr)
        except AccountError as error:
            logger.warning("%s Its records cannot be told from those of strangers.", error)
            continue
        whose = f"the account {regr.parent.name[:8]} of this machine at {server}"
        known = dataclasses.replace(
            _as_noted(account.url, account.thumbprint, whose, journal),
            server=f"https://{server}",  # of which Certbot keeps no more than this
        )
        found.setdefault(account.url, known)
    return list(found.values())


def former_accounts(journal: Journal, others: Iterable[KnownAccount]) -> list[KnownAccount]:
    """Return the accounts that our notes know and that are not among ``others``.

    They were Certbot's until somebody unregistered them or removed their files.
    """
    urls = {known.url for known in others}
    return [
        dataclasses.replace(
            _as_noted(url, "", "a former account of this machine", journal), former=True
        )
        for url in journal.account_urls()
        if url not in urls
    ]


def _as_noted(url: str, thumbprint: str, whose: str, journal: Journal) -> KnownAccount:
    """Return an account with what our notes say of it; ``thumbprint`` is that of its key now."""
    keys = (thumbprint, *journal.earlier_keys(url, thumbprint))
    terms = journal.terms(url)
    plain = (terms.plain,) if terms and terms.plain else ()
    return KnownAccount(url, whose, tuple(filter(None, keys)), plain)


def _read_account(regr: Path) -> Account:
    """Return the account; without its key, if only root may read that: the URL says a lot."""
    try:
        return read_account(regr.parent)
    except AccountError:
        try:
            return Account(str(json.loads(regr.read_text(encoding="utf-8"))["uri"]), "")
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise


def declared_account(text: str) -> KnownAccount:
    """Return the account of ``URI`` or, where CAs hash it, ``URL THUMBPRINT``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    url, *rest = text.split()[:3] or [""]
    if not url or not is_parameter_value(url) or len(rest) > 1 or any(len(r) != 43 for r in rest):
        raise ConfigurationError(
            f"--known-account {text!r} is no account URI. Give it as it stands in the record or, "
            "for a CA that hashes it, the account URL, a blank, and the RFC 7638 thumbprint of "
            "the account key, which has 43 characters."
        )
    return KnownAccount(url, "an account that was declared as known", tuple(rest), declared=True)
