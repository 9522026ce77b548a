"""``certbot-dns-persist inventory``: a fleet's accounts, records and certificates on PostgreSQL."""

import argparse
import socket
import sys
from pathlib import Path
from typing import Any

from certbot_dns_persist.cli import arguments, changing, setting
from certbot_dns_persist.errors import ConfigurationError, UsageError
from certbot_dns_persist.shown import printable

EXAMPLES = """\
  certbot-dns-persist inventory push 'postgresql:///?service=inventory'
  certbot-dns-persist inventory list 'postgresql:///?service=inventory' --json
  certbot-dns-persist inventory show 'postgresql:///?service=inventory' web7
  certbot-dns-persist inventory forget 'postgresql:///?service=inventory' web7

init makes the tables, or updates them to this release: as the owner of the
database, once. push writes what this host has, under the name of the role that
it logs in as. list and show print what the role may see. forget removes a host
that no longer exists; what it has in DNS, revoke --lost-host removes before.

URL is libpq's, without a password: put that into libpq's password file
(~/.pgpass), or all settings into its service file (~/.pg_service.conf).

exit status: 0, 1 not done, 3 wrong usage or an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "inventory",
        summary="Keep an inventory of a fleet of hosts on PostgreSQL.",
        examples=EXAMPLES,
        usage="ACTION URL [HOST] [OPTION...]",
    )
    parser.add_argument("action", nargs="?", metavar="ACTION", help=", ".join(_ACTIONS))
    parser.add_argument("url", nargs="?", metavar="URL", help="postgresql://HOST/DATABASE")
    parser.add_argument("host", nargs="?", metavar="HOST", help="for show and forget: which host")
    parser.add_argument("--json", action="store_true", help="for list and show: print JSON")
    group = parser.add_argument_group("what push and forget say")
    group.add_argument(
        "-y", "--yes", action="store_true", help="do not ask for confirmation, for use in scripts"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="show what would change, and change nothing"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print only what went wrong")
    group = parser.add_argument_group("Certbot")
    arguments.add_directories(group)
    arguments.add_config(group)
    parser.set_defaults(run=run, failed=changing.FAILED)


def run(args: argparse.Namespace) -> int:
    """Do what is asked; return the exit status."""
    from certbot_dns_persist.inventory.connection import require_usable

    if args.action not in _ACTIONS or args.url is None:
        raise UsageError(f"Say what to do, and where: inventory {'|'.join(_ACTIONS)} URL.")
    require_usable(args.url)
    of_a_host = args.action in ("show", "forget")
    if of_a_host != (args.host is not None):
        which = "Name the host" if of_a_host else "Name no host"
        raise UsageError(f"{which}: inventory {args.action} URL{' HOST' if of_a_host else ''}.")
    return _ACTIONS[args.action](args)


def _init(args: argparse.Namespace) -> int:
    from certbot_dns_persist.inventory.connection import session
    from certbot_dns_persist.inventory.schema import migrate

    if args.dry_run:
        raise UsageError("inventory init has no --dry-run.")
    with session(args.url, "inventory init") as connected:
        applied = migrate(connected)
    words = f"The inventory has the version {applied[-1]} now." if applied else "It is up to date."
    changing.say(args, words)
    return 0


def _push(args: argparse.Namespace) -> int:
    from certbot_dns_persist.inventory.store import opened
    from certbot_dns_persist.request.holdings import held_here

    if not Path(args.config_dir).is_dir():
        raise ConfigurationError(
            f"{args.config_dir} is no directory of Certbot's, so nothing was pushed. Name it with "
            "--config-dir."
        )
    setting.refuse_closed(args)
    held = held_here(Path(args.config_dir), setting.journal(args), setting.preset(args))
    has = (
        f"{_count(held.holding.accounts, 'account')}, {_count(held.holding.records, 'record')} and "
        f"{_count(held.holding.certificates, 'certificate')}"
    )
    if args.dry_run:
        changing.say(args, f"This host has {has}. This was a dry run: nothing was pushed.")
        return 0
    with opened(args.url, "inventory push") as inventory:
        inventory.push(socket.gethostname(), held.holding, keep=held.unread)
        changing.say(args, f"The inventory has {has} of {printable(inventory.user)}.")
    if held.unread:
        kinds = " and ".join(f"{kind}s" for kind in held.unread)
        words = f"Not all {kinds} of this host are known, so the inventory keeps what it had, too."
        return changing.conclude([words])
    return 0


def _list(args: argparse.Namespace) -> int:
    from certbot_dns_persist.inventory.store import opened
    from certbot_dns_persist.render import inventoried

    with opened(args.url, "inventory list") as inventory:
        hosts = inventory.hosts()
        accounts = inventory.accounts() if args.json else []
    if args.json:
        inventoried.hosts_as_json(hosts, accounts, sys.stdout)
    elif sys.stdout.isatty():
        inventoried.hosts_as_table(hosts)
    else:
        inventoried.hosts_as_lines(hosts, sys.stdout)
    return 0


def _show(args: argparse.Namespace) -> int:
    from certbot_dns_persist.inventory.store import opened
    from certbot_dns_persist.render import inventoried

    with opened(args.url, "inventory show") as inventory:
        found = inventory.holding(args.host)
        if found is None:
            raise _no_such(args.host, inventory.user)
    if args.json:
        inventoried.host_as_json(args.host, *found, sys.stdout)
    else:
        inventoried.host_as_lines(*found, sys.stdout)
    return 0


def _forget(args: argparse.Namespace) -> int:
    from certbot_dns_persist.inventory.store import opened

    with opened(args.url, "inventory forget") as inventory:
        found = inventory.holding(args.host)
        if found is None:
            raise _no_such(args.host, inventory.user)
        holding, _ = found
        plan = [f"To be forgotten: the host {printable(args.host)}"]
        plan += [f"  {printable(account.url)}" for account in holding.accounts]
        plan += [f"  {printable(certificate.name)}" for certificate in holding.certificates]
        if holding.records:
            plan += [
                f"Its {_count(holding.records, 'record')} in DNS stay there, and audit will report "
                "them as those of an unknown account. Remove them before, with:",
                f"  certbot-dns-persist revoke --lost-host {printable(args.host)} --inventory URL",
            ]
        if not changing.agreed(args, "\n".join(plan)):
            return 0 if args.dry_run else changing.FAILED
        if not inventory.forget(args.host):
            raise ConfigurationError(
                f"The host {printable(args.host)} was not removed: the role "
                f"{printable(inventory.user)} may not, or somebody else was faster."
            )
    quoted = args.host.replace('"', '""')
    changing.say(
        args,
        f"Forgotten. If somebody else may have that host's files, keep it from coming back:\n"
        f'  DROP ROLE "{printable(quoted)}";',
    )
    return 0


def _no_such(host: str, user: str) -> ConfigurationError:
    return ConfigurationError(
        f"The inventory has no host {printable(host)} that the role {printable(user)} may see."
    )


def _count(things: Any, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


_ACTIONS = {"init": _init, "push": _push, "list": _list, "show": _show, "forget": _forget}
