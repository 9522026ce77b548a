"""``certbot-dns-persist list``: the records that we published, from our notes alone."""

import argparse
import sys
from typing import Any

from certbot_dns_persist.cli import arguments, setting

EXAMPLES = """\
  certbot-dns-persist list
  certbot-dns-persist list -d example.com --json

This is what we noted; it asks nobody. Whether the records are still in DNS is
what check and audit say.

exit status: 0, or 3 if our notes cannot be read
"""

INCOMPLETE = "Our notes are not complete: certbot-dns-persist check completes them."


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "list",
        summary="List the records that we published, from our notes.",
        examples=EXAMPLES,
        usage="[OPTION...]",
    )
    parser.add_argument(
        "-d",
        "--domain",
        action="append",
        default=[],
        dest="domains",
        metavar="DOMAIN",
        help="only the records for this domain; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    group = parser.add_argument_group("Certbot")
    arguments.add_directories(group)
    parser.set_defaults(run=run, failed=3)


def run(args: argparse.Namespace) -> int:
    """List what is noted; return the exit status."""
    from certbot_dns_persist.render import published

    domains = setting.domains_of(args)
    journal = setting.journal(args)
    records = journal.published(domains=[d for d, _ in domains] if args.domains else None)
    if args.json:
        published.as_json(records, sys.stdout)
    elif sys.stdout.isatty():
        published.as_table(records)
    else:
        published.as_lines(records, sys.stdout)
    if not (records or args.json or journal.unreadable):
        which = " of these domains" if args.domains else ""
        print(f"Our notes in {journal.state_file} have no records{which}.", file=sys.stderr)
    if journal.incomplete:
        print(INCOMPLETE, file=sys.stderr)
    return 3 if journal.unreadable else 0
