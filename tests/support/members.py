"""Hosts that push to an inventory, without a CA, and the command in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from certbot_dns_persist.cli import main
from certbot_dns_persist.journal.notes import Change
from certbot_dns_persist.record import validation_domain_name

from .home import SERVER, Home


class Done:
    """The result of one run."""

    def __init__(self, status: int, out: str, error: str) -> None:
        self.status, self.out, self.error = status, out, error

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Run:
    """Runs ``certbot-dns-persist`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, command: str, *arguments: str | Path) -> Done:
        status = main([command, *map(str, arguments)])
        shown = self._capsys.readouterr()
        return Done(status, shown.out, shown.err)

    def inventory(self, action: str, *arguments: str | Path) -> Done:
        return self("inventory", action, *arguments)


def add_host(root: Path, name: str, *domains: str) -> Home:
    """Return a host with an account, a certificate with these names, and its records."""
    made = Home(root / name)
    value = made.add_account(name)
    made.add_certificate(f"of-{name}", domains, name)
    for domain in domains:
        note(made, domain, value, name)
    return made


def note(made: Home, domain: str, value: str, account: str) -> None:
    """Note that a host published a record."""
    made.journal.note(
        Change(
            action="add",
            name=validation_domain_name(domain),
            value=value,
            ttl=300,
            provider="rfc2136",
            zone=None,
            reason="a test",
            server=SERVER,
            account_url=f"https://ca.example/acct/{account}",
            domain=domain,
        )
    )


def places(made: Home) -> list[str]:
    """Return the options that name a host's directories."""
    return ["--config-dir", str(made.config_dir), "--logs-dir", str(made.logs_dir)]
