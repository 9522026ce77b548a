"""``certbot-dns-persist check``: compare DNS with what is needed."""

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.cli import answers, arguments, lookups, report, setting
from certbot_dns_persist.lookup.found import Around

if TYPE_CHECKING:
    from certbot_dns_persist.judge.checkup import Checked

EXAMPLES = """\
  certbot-dns-persist check --all
  certbot-dns-persist check -d example.com --issuer letsencrypt.org \\
      --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1
  certbot-dns-persist check --all --answers answers.json

exit status: 0 all is well, 1 warning (expires soon, a server lags or does not answer, hides a host
from a wildcard or permits others through one), 2 critical (missing, expired, does not authorise,
forbidden by CAA, bogus DNSSEC), 3 unknown
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands, "check", summary="Compare DNS with what is needed.", examples=EXAMPLES
    )
    arguments.add_subject(parser)
    answers.add(arguments.add_report(parser))
    arguments.add_inventory(parser, "used with --fleet", fleet=True)
    arguments.add_certbot(parser)
    arguments.add_identity(parser)
    arguments.add_options(parser, arguments.READING)
    parser.set_defaults(run=run, failed=report.UNKNOWN)


def run(args: argparse.Namespace) -> int:
    """Check the subjects; return the exit status that monitoring expects."""
    at = int(time.time())
    files = report.file_reports(args, at=at)
    if args.answers:
        asked = setting.find_subjects(args)
        checked = answers.checked(args, asked, at=at)
        return report.show(args, checked, asked, at=at, files=files)
    setting.rebuild_state(args, at=at)
    asked = setting.find_subjects(args)
    checked = _checked(args, asked, at=at)
    return report.show(args, checked, asked, at=at, files=files)


def _checked(args: argparse.Namespace, asked: setting.Asked, *, at: int) -> "Iterator[Checked]":
    """Return the subjects of ``asked``, judged as DNS answers."""
    from certbot_dns_persist.judge.alike import check_names
    from certbot_dns_persist.judge.checkup import check

    lookup_for, caa = setting.lookup_for(args), not args.no_caa
    if asked.names is None or not asked.source.alike:
        inspected = lookups.inspect(asked, lookup_for, caa=caa, around=Around.FEW, elsewhere=True)
        return check(inspected, at=at, warn_days=args.warn_days)
    lookup = lookup_for(asked.source.options)
    # The same names twice, so that no list of them is kept.
    domains = (domain for domain, _ in asked.names)
    found = lookup.inspect(domains, caa=caa, around=Around.FEW, elsewhere=True)
    together = zip(asked.names, found, strict=True)
    return check_names(together, asked.of, at=at, warn_days=args.warn_days)
