"""``certbot-dns-persist wait``: return when the records are served, for instance after a merge."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterable
from typing import Any

from certbot_dns_persist import options
from certbot_dns_persist.cli import arguments, lookups, report, setting
from certbot_dns_persist.judge.checkup import Checked, check
from certbot_dns_persist.shown import printable
from certbot_dns_persist.wait import look_until

#: Seconds between two looks: at first, and at most.
PAUSES = (2.0, 60.0)
#: Seconds.
USUAL_TIMEOUT = 1800

EXAMPLES = """\
  certbot-dns-persist wait --cert-name example.com
  certbot-dns-persist wait -d example.com --timeout 3600 --issuer letsencrypt.org \\
      --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1

exit status: 0 every server that answers serves a record that authorises, 1 not in time, 3 wrong
usage or an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "wait",
        summary="Wait until the records are served everywhere, whoever publishes them.",
        examples=EXAMPLES,
    )
    arguments.add_subject(parser)
    group = parser.add_argument_group("how long")
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=USUAL_TIMEOUT,
        metavar="SECONDS",
        help="wait no longer than this (default: %(default)s); 0 looks once",
    )
    arguments.add_rate(group)
    arguments.add_certbot(parser)
    arguments.add_identity(parser)
    arguments.add_options(parser, arguments.READING)
    parser.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    """Look until all records are served or time is up; return the exit status."""
    asked = setting.find_subjects(args)
    waiting = list(asked)
    count = len(waiting)
    lookup_for = setting.lookup_for(args)

    def look() -> list[Checked]:
        inspected = lookups.inspect(waiting, lookup_for, caa=False)
        checked = check(inspected, at=int(time.time()), warn_days=0)
        missing = [each for each in checked if not each.standing.everywhere]
        waiting[:] = [each.subject for each in missing]  # the others are not asked for again
        return missing

    def show(missing: list[Checked], _: float) -> None:
        if len(missing) not in told:
            print(f"Waiting for {len(missing)} of {count} records.", file=sys.stderr)
            told.add(len(missing))

    told: set[int] = set()
    missing = look_until(look, lambda missing: not missing, args.timeout, show, pauses=PAUSES)
    _tell(missing, count)
    for trouble in asked.troubles:
        print(trouble, file=sys.stderr)
    if not count and not asked.troubles:
        print("There is nothing to wait for: no domain was given or found.", file=sys.stderr)
    if asked.usage:
        return report.UNKNOWN
    return int(bool(missing or asked.troubles or not count))


def _tell(missing: Iterable[Checked], count: int) -> None:
    late = [(each.domain, str(each.status), each.reason) for each in missing]
    for parts in late:
        print(*map(printable, parts), sep="\t")
    if late:
        print(f"{len(late)} of {count} records are not served everywhere yet.", file=sys.stderr)
    elif count:
        print(f"Every server that answers serves the records: {count} of {count}.")


def _seconds(text: str) -> int:
    with contextlib.suppress(ValueError):
        return options.whole_number(text, 0, 999_999)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 999999")
