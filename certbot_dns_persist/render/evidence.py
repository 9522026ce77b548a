"""What a report says of itself, so that somebody can rely on it later.

Which release wrote it, where, what it was asked about, for which accounts, and through which
resolvers. Nothing here is secret.
"""

import dataclasses
from typing import Any

from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.lookup.resolv_conf import system_resolvers
from certbot_dns_persist.lookup.transport import Address


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
        self._accounts: set[tuple[str, str]] = set()
        self._resolvers: set[tuple[tuple[str, int], ...]] = set()

    def add(self, checked: Checked) -> None:
        """Learn from one result."""
        request = checked.subject.request
        self._accounts.add((request.account_url, request.server))
        if self._asks_dns:
            self._resolvers.add(checked.subject.options.resolvers)

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
        return {"accounts": accounts, "resolvers": self.resolvers}

    def facts(self) -> list[tuple[str, list[str]]]:
        """Return all of it for people: what it is, and what is to be said of it."""
        accounts = [f"{url} at {server}" if server else url for url, server in self.accounts]
        return [
            ("Program", [self.program]),
            ("Scope", [self.scope.in_words()]),
            ("Accounts", accounts or ["none"]),
            ("Resolvers", [", ".join(self.resolvers) or "none were asked"]),
        ]
