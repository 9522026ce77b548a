"""``certbot-dns-persist names``: the names of records, to feed to programs that look them up."""

import argparse
import sys
from typing import Any

from certbot_dns_persist.cli import arguments, setting
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.shown import printable

EXAMPLES = """\
  certbot-dns-persist names --all
  certbot-dns-persist names -d example.com -d www.example.com

Feed them to zdns TXT, or to massdns -t TXT -o J:
  zdns TXT --input-file=names.txt --output-file=answers.json

check and audit judge what these programs print: see their --answers. With --all, we also print the
names of records in our notes, or in the inventory, that no certificate needs any more.

exit status: 0 all names were printed, 1 some were not, 3 wrong usage or an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "names",
        summary="Print the validation domain names, to feed a collector of answers.",
        examples=EXAMPLES,
    )
    arguments.add_subject(parser)
    arguments.add_inventory(parser, "used with --fleet", fleet=True)
    group = parser.add_argument_group("Certbot")
    arguments.add_directories(group)
    arguments.add_config(group)
    parser.set_defaults(run=run, failed=1, server=None, account=None, no_verify_ssl=False)
    parser.set_defaults(names_only=True)


def run(args: argparse.Namespace) -> int:
    """Print the name of each subject's record once; return the exit status."""
    names, troubles = setting.find_names(args)
    for domain, _ in names:
        sys.stdout.write(f"{validation_domain_name(domain)}\n")
    for trouble in troubles.in_words():
        print(printable(trouble), file=sys.stderr)
    return 1 if troubles else 0
