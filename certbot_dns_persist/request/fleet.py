"""What a command is about if it is about a fleet: names and accounts from the inventory.

Nothing of Certbot's is read here, so this works on a host that has none of it. What a host has
pushed may be anything: what is no name, URL or thumbprint is left out.
"""

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.inventory.holding import (
    FleetAccount,
    HeldAccount,
    HeldCertificate,
    HeldRecord,
    Holding,
)
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import too_wide
from certbot_dns_persist.record import MalformedRecord, is_parameter_value, parse_record
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.known_accounts import KnownAccount, KnownAccounts
from certbot_dns_persist.request.request import make_request
from certbot_dns_persist.request.subjects import (
    Subject,
    Subjects,
    Trouble,
    bases,
    normalize,
    subjects_of_records,
)

_THUMBPRINT = re.compile("[A-Za-z0-9_-]{43}")


class FleetSubjects(Subjects):
    """Makes subjects from what all hosts have, instead of what this one has."""

    def __init__(self, holding: Holding, journal: Journal, given: Given) -> None:
        super().__init__(Path(), journal, given)
        self._holding = holding

    @property
    def without_certbot(self) -> bool:
        """Always, as nothing comes from Certbot's files."""
        return True

    @property
    def alike(self) -> bool:
        """Never, as the accounts differ."""
        return False

    def of_lineages(
        self, names: Iterable[str] | None = None, *, but: Collection[str] = ()
    ) -> Iterator[Subject | Trouble]:
        """Yield the domains of certificates of the fleet with these ``names``, or of all."""
        chosen, troubles = self._chosen(names)
        yield from troubles
        needed: dict[tuple[str, str, str], set[str]] = {}
        for certificate in chosen:
            key = certificate.server, certificate.account_url
            for domain in filter(_is_name, bases(certificate.domains)):
                asked = {domain, f"*.{domain}"}.intersection(certificate.domains)
                needed.setdefault((*key, domain), set()).update(asked)
        for (server, account_url, domain), asked in needed.items():
            if self._given.server in (None, server):
                yield self._made(domain, asked, self._given.account or account_url)

    def domains(self, lineages: Iterable[str] | None = None) -> Iterator[str | Trouble]:
        """Yield the domains of certificates of the fleet with these names, or of all."""
        chosen, troubles = self._chosen(lineages)
        yield from troubles
        for certificate in chosen:
            yield from filter(_is_name, bases(certificate.domains))

    def _chosen(self, names: Iterable[str] | None) -> tuple[list[HeldCertificate], list[Trouble]]:
        """Return the certificates with these ``names``, or all, and what is wrong with names."""
        wanted = None if names is None else {*names}
        chosen = [c for c in self._holding.certificates if wanted is None or c.name in wanted]
        missing = (wanted or set()) - {certificate.name for certificate in chosen}
        return chosen, [
            Trouble(f"No certificate in the inventory is called {name}.", usage=True)
            for name in sorted(missing)
        ]

    def of_domain(
        self, domain: str, names: Collection[str], who: int = 0
    ) -> Iterator[Subject | Trouble]:
        """Yield a domain, and these names of it, for every account whose certificates have it."""
        urls = dict.fromkeys(
            certificate.account_url
            for certificate in self._by_domain_of_fleet.get(domain, ())
            if self._given.server in (None, certificate.server)
        )
        for url in [self._given.account] if self._given.account else urls:
            yield self._made(domain, names, url)
        if not urls and not self._given.account:
            yield Trouble(
                "No certificate in the inventory has this name. Say whose record it is to be: "
                "--account with the URL of an account in the inventory.",
                domain,
            )

    def left_over(self) -> Iterator[Subject]:
        """Yield the domains with records that no certificate of the fleet needs."""
        needed = self.needed_domains
        records = [
            each
            for each in self._holding.records
            if each.domain not in needed and _is_name(each.domain)
        ]
        yield from subjects_of_records(records, self.options)

    @property
    def needed_domains(self) -> Collection[str]:
        """The domains of all certificates of the fleet, without ``*.``."""
        return self._by_domain_of_fleet.keys()

    def _made(self, domain: str, names: Collection[str], url: str) -> Subject | Trouble:
        account = self._accounts.get(url)
        if account is None:
            return Trouble(f"The inventory has no account {url}.", domain, lost_account=True)
        current, *earlier = _keys(account.thumbprints) or ("",)
        if not account.issuer_domain_names or (account.hash_prefix and not current):
            return Trouble(
                f"The inventory does not say what the CA of the account {url} wants in a record. "
                "Its host says so at its next push after its first order.",
                domain,
            )
        plain = account.uris[0] if account.uris else None
        try:
            if f"*.{domain}" in names and self.options.policy == "exact":
                raise too_wide(f"*.{domain}")
        except ConfigurationError as error:
            return Trouble(str(error), domain)
        request = make_request(
            domain,
            wildcard=f"*.{domain}" in names or self.options.policy == "wildcard",
            shared=self.options.shared,
            terms=Terms(account.issuer_domain_names, plain, account.hash_prefix),
            account=Account(url, current),
            earlier_keys=lambda: earlier,
            server=account.server,
        )
        return Subject(request, self.options, (), tuple(sorted(names)))

    @cached_property
    def _accounts(self) -> dict[str, HeldAccount]:
        """The accounts by URL; of two hosts with the same, the one that still has it."""
        known = sorted(self._holding.accounts, key=lambda account: not account.former)
        return {account.url: account for account in known if is_parameter_value(account.url)}

    @cached_property
    def _by_domain_of_fleet(self) -> dict[str, list[HeldCertificate]]:
        found: dict[str, list[HeldCertificate]] = {}
        for certificate in self._holding.certificates:
            for domain in filter(_is_name, bases(certificate.domains)):
                found.setdefault(domain, []).append(certificate)
        return found


def records_of(
    host: str, holding: Holding, accounts: Iterable[FleetAccount], mine: Iterable[KnownAccount]
) -> Iterator[HeldRecord]:
    """Yield what a host published: of what it says, only what is for no account of others alone.

    ``holding`` is what it has, ``accounts`` are those of the fleet, and ``mine`` of this machine.
    """
    own = {account.url for account in holding.accounts}
    others = [a for a in accounts if a.host != host and a.url not in own]
    here = (known for known in mine if known.url not in own)
    known = KnownAccounts([*known_in_fleet(others, ()), *here])
    for each in holding.records:
        with contextlib.suppress(MalformedRecord):
            uri = parse_record(each.value).account_uri
            if _is_name(each.domain) and known.who(uri, each.domain, aliased=False) is None:
                yield each


def known_in_fleet(
    accounts: Iterable[FleetAccount], mine: Collection[KnownAccount]
) -> list[KnownAccount]:
    """Return the fleet's accounts, but for those that are among ``mine``.

    An account that one host still has is nobody's former account.
    """
    hosts: dict[tuple[str, bool], list[FleetAccount]] = {}
    for account in accounts:
        hosts.setdefault((account.url, account.former), []).append(account)
    own = {known.url for known in mine}
    found = []
    for (url, former), same in hosts.items():
        if url in own or (former and (url, False) in hosts) or not is_parameter_value(url):
            continue
        names = some_hosts([account.host for account in same])
        whose = f"a former account of {names}" if former else f"{names} in the inventory"
        keys = dict.fromkeys(key for account in same for key in _keys(account.thumbprints))
        uris = dict.fromkeys(uri for account in same for uri in account.uris)
        found.append(
            KnownAccount(
                url,
                whose,
                tuple(keys),
                tuple(uris),
                declared=True,
                former=former,
                source=f"the inventory, {names}",
            )
        )
    return found


def some_hosts(hosts: Collection[str]) -> str:
    """Return the names of hosts for a sentence."""
    first, *more = sorted({*hosts})
    return f"the host {first}" + (f" and {len(more)} more" if more else "")


def _keys(thumbprints: Iterable[str]) -> list[str]:
    return [key for key in thumbprints if _THUMBPRINT.fullmatch(key)]


def _is_name(domain: str) -> bool:
    try:
        return normalize(domain) == domain
    except ConfigurationError:
        return False
