"""What a report says of itself, so that somebody can rely on it later.

Which release wrote it, where, what it was asked about, for which accounts, and through which
resolvers. Nothing here is secret.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.since import Since, in_words
from certbot_dns_persist.lookup.found import Address
from certbot_dns_persist.lookup.resolv_conf import system_resolvers
from certbot_dns_persist.request.known_accounts import KnownAccount

#: How many known accounts are shown to people.
_MOST = 100


@dataclasses.dataclass(frozen=True)
class Scope:
    """What the command line asked for."""

    command: str
    certificates: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    all: bool = False
    """Whether it is every certificate whose authenticator is dns-persist."""
    from_file: str | None = None
    options: tuple[str, ...] = ()
    """Further options that were given, as on a command line."""

    def in_words(self) -> str:
        """Return it for people."""
        parts = [f"certificate {name}" for name in self.certificates] + list(self.domains)
        if self.all:
            parts.append("every certificate whose authenticator is dns-persist")
        if self.from_file is not None:
            where = "standard input" if self.from_file == "-" else self.from_file
            parts.append(f"the domains in {where}")
        options = f" with {' '.join(self.options)}" if self.options else ""
        return f"{self.command}{' of ' if parts else ''}{', '.join(parts)}{options}"


class Evidence:
    """The facts of one run; those that only results show are collected from them."""

    def __init__(self, scope: Scope, *, program: str, host: str, asks_dns: bool = True) -> None:
        """``program`` is name and release; ``asks_dns`` is whether this run asked resolvers."""
        self.scope = scope
        self.program = program
        self.host = host
        self._asks_dns = asks_dns
        self.known: Sequence[KnownAccount] | None = None
        """The accounts that count as known; ``None`` if the command does not ask whose records
        are."""
        self.since: Since | None = None
        """The comparison with an earlier report, if there is one."""
        self._accounts: set[tuple[str, str]] = set()
        self._resolvers: set[tuple[tuple[str, int], ...]] = set()

    def add(self, checked: Checked) -> None:
        """Learn from one result."""
        self._accounts.add((checked.account_url, checked.server))
        if self._asks_dns:
            self._resolvers.add(checked.options.resolvers)

    @property
    def accounts(self) -> list[tuple[str, str]]:
        """The accounts of the results: URL and the CA's ACME directory, if it is known; sorted."""
        return sorted(self._accounts)

    @property
    def resolvers(self) -> list[str]:
        """The recursive resolvers of the results' look-ups, sorted."""
        shown: set[str] = set()
        for each in self._resolvers:
            shown.update(str(Address(*one)) for one in each or system_resolvers())
        return sorted(shown)

    def begun(self) -> dict[str, Any]:
        """Return what is known before any result, as the schema has it."""
        scope = dataclasses.asdict(self.scope)
        return {"program": self.program, "host": self.host, "scope": scope}

    def ended(self) -> dict[str, Any]:
        """Return what the results have shown, as the schema has it."""
        accounts = [{"url": url, "server": server or None} for url, server in self.accounts]
        told: dict[str, Any] = {"accounts": accounts, "resolvers": self.resolvers}
        if self.known is not None:
            told["known_accounts"] = [
                {
                    "url": each.url,
                    "thumbprints": each.thumbprints,
                    "uris": each.uris,
                    "former": each.former,
                    "source": each.source,
                }
                for each in self._known
            ]
        if (since := self._since()) is not None:
            told["since"] = since
        return told

    @property
    def _known(self) -> list[KnownAccount]:
        return sorted(self.known or (), key=lambda each: (each.url, each.source))

    def _since(self) -> dict[str, object] | None:
        if self.since is None:
            return None
        return self.since.concluded(dataclasses.asdict(self.scope), self._known)

    def remarks(self) -> list[str]:
        """Return what the comparison says of the whole, for people."""
        since = self._since()
        return [] if since is None else in_words(since)

    def facts(self) -> list[tuple[str, list[str]]]:
        """Return all of it for people: what it is, and what is to be said of it."""
        accounts = [f"{url} at {server}" if server else url for url, server in self.accounts]
        facts = [
            ("Program", [self.program]),
            ("Scope", [self.scope.in_words()]),
            ("Accounts", accounts or ["none"]),
        ]
        if self.known is not None:
            facts.append(("Known accounts", [*map(_in_words, self._known[:_MOST])] or ["none"]))
            if len(self._known) > _MOST:
                facts[-1][1].append(f"and {len(self._known) - _MOST} more: see the JSON")
        facts.append(("Resolvers", [", ".join(self.resolvers) or "none were asked"]))
        if remarks := self.remarks():
            facts.append(("Changes", remarks))
        return facts


def _in_words(known: KnownAccount) -> str:
    keys = f", thumbprint {', '.join(known.thumbprints)}" if known.thumbprints else ""
    former = ", a former account" if known.former else ""
    return f"{known.url}{keys}{former}; from {known.source}"
