"""``certbot-dns-persist explain``: say whether a CA would accept TXT values."""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from certbot_dns_persist.cli import arguments
from certbot_dns_persist.cli.setting import usage
from certbot_dns_persist.errors import ConfigurationError, UsageError
from certbot_dns_persist.record import parse_time

EXAMPLES = """\
  certbot-dns-persist explain --wildcard --at 2027-01-01T00:00:00Z \\
      'ca.example; accounturi=https://ca.example/1; policy=wildcard'
  dig +short TXT _validation-persist.example.com | certbot-dns-persist explain

You can paste values as they are: in quotes, or as a line of a zone file or of
dig.

exit status: 0 if every value is well-formed or, with --issuer, --account-uri
or --wildcard, if at least one authorises; 3 after wrong usage or an unexpected
error; else 1
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "explain",
        summary="Say whether a CA would accept TXT values, and if not, why.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "values",
        nargs="*",
        metavar="VALUE",
        help="a TXT value, in quotes; by default, read them from standard input, one per line",
    )
    parser.add_argument(
        "--issuer",
        action="append",
        default=[],
        metavar="NAME",
        help="judge as this CA would, such as letsencrypt.org; repeatable",
    )
    parser.add_argument(
        "--account-uri",
        action="append",
        default=[],
        metavar="URI",
        help="judge for the account with this URI in its records; repeatable",
    )
    parser.add_argument(
        "--wildcard", action="store_true", help="judge for a name such as '*.example.com'"
    )
    parser.add_argument(
        "--at",
        type=_time,
        metavar="DATE",
        help="judge for this time, RFC 3339 or UNIX seconds (default: now)",
    )
    parser.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    """Explain each value; return the exit status."""
    from certbot_dns_persist.render.explained import render
    from certbot_dns_persist.request.subjects import normalize
    from certbot_dns_persist.value.explanation import Criteria, explain

    with usage():
        issuers = tuple(map(normalize, args.issuer))
    criteria = Criteria(
        issuers=issuers,
        account_uris=tuple(args.account_uri),
        wildcard=args.wildcard,
        at=int(time.time()) if args.at is None else args.at,
    )
    explained = []
    for text in args.values or _lines():
        explained.append(explain(text, criteria))
        if len(explained) > 1:
            print()
        print(render(explained[-1], criteria))
    if not explained:
        raise UsageError("There is nothing to explain: you gave no value.")
    judged = [each.authorizes if criteria.asks else each.well_formed for each in explained]
    return 0 if (any if criteria.asks else all)(judged) else 1


def _lines() -> Iterator[str]:
    """Yield the values on standard input, without the comments of dig."""
    if sys.stdin.isatty():
        print("Paste TXT values, one per line. Ctrl-D ends.", file=sys.stderr)
    try:
        for line in sys.stdin:
            if line.strip() and not line.lstrip().startswith((";", "#")):
                yield line
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Standard input is not text: {error}.") from error


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a date with a time zone, such as 2027-12-31T00:00:00Z, nor UNIX "
            "seconds"
        ) from None
