"""The inventory of a fleet: its hosts, and what one of them has, as lines, a table or JSON."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from certbot_dns_persist.inventory.holding import (
    JSON_VERSION,
    Event,
    FleetAccount,
    Holding,
    Host,
)
from certbot_dns_persist.record import format_time
from certbot_dns_persist.render.console import console
from certbot_dns_persist.shown import printable

#: Characters of a text that are shown.
_MOST_CHARACTERS = 300


def hosts_as_json(hosts: Sequence[Host], accounts: Sequence[FleetAccount], out: TextIO) -> None:
    """Write one JSON object; an account's ``host`` is ``another-host`` if that is not ours to see.

    ``former`` accounts are those that the host no longer has.
    """
    _write({"hosts": hosts, "accounts": accounts}, out)


def hosts_as_lines(hosts: Iterable[Host], out: TextIO) -> None:
    """Write a line for each host, with a tab between its parts."""
    for host in hosts:
        parts = (
            host.name,
            host.pushed_at,
            str(host.accounts),
            str(host.records),
            str(host.certificates),
            host.next_end or "",
            host.hostname,
        )
        _line(parts, out)


def hosts_as_table(hosts: Sequence[Host]) -> None:
    """Show a table on standard output."""
    from rich.table import Table

    table = Table()
    for column in ("Host", "Last push", "Accounts", "Records", "Certificates", "First ends"):
        table.add_column(column, overflow="fold")
    for host in hosts:
        same = host.hostname == host.name
        name = _shown(host.name if same else f"{host.name} ({host.hostname})")
        end = (host.next_end or "").partition("T")[0]
        counts = (host.accounts, host.records, host.certificates)
        table.add_row(name, host.pushed_at, *map(str, counts), end)
    screen = console()
    screen.print(table)
    screen.print(f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}.")


def host_as_json(host: str, holding: Holding, history: Sequence[Event], out: TextIO) -> None:
    """Write one JSON object."""
    _write(
        {
            "host": host,
            "accounts": holding.accounts,
            "records": holding.records,
            "certificates": holding.certificates,
            "history": history,
        },
        out,
    )


def host_as_lines(holding: Holding, history: Iterable[Event], out: TextIO) -> None:
    """Write a line for each thing that a host has, and then its history, the newest first.

    The first part of a line says what it is; a tab is between the parts.
    """
    for account in holding.accounts:
        state = "former" if account.former else ""
        _line(("account", account.url, account.server, *account.thumbprints[:1], state), out)
    for record in holding.records:
        until = "" if record.persist_until is None else format_time(record.persist_until)
        parts = (record.domain, record.name, record.value, record.provider, record.account_url)
        _line(("record", *parts, until, record.doubt or ""), out)
    for certificate in holding.certificates:
        names = " ".join(certificate.domains)
        _line(("certificate", certificate.name, names, certificate.not_after), out)
    for event in history:
        where = event.address or "the server itself"
        parts = (event.at, f"{event.action} {event.kind}", event.what, event.who, where)
        _line(("history", *parts, event.program), out)


def _write(content: dict[str, Any], out: TextIO) -> None:
    whole = {"version": JSON_VERSION, **content}
    json.dump(whole, out, indent=2, default=dataclasses.asdict)
    out.write("\n")


def _line(parts: Iterable[str], out: TextIO) -> None:
    print(*map(_shown, parts), sep="\t", file=out)


def _shown(text: str) -> str:
    cut = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    return printable(cut)
