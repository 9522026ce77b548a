"""``certbot-dns-persist audit``: check, and report all other records at our names."""

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.cli import answers, arguments, inputs, lookups, report, setting
from certbot_dns_persist.cli.fleet import holders, inventory
from certbot_dns_persist.cli.identity import who
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.lookup.found import Around

if TYPE_CHECKING:
    from certbot_dns_persist.judge.audit import Known
    from certbot_dns_persist.judge.checkup import Checked
    from certbot_dns_persist.judge.since import Since
    from certbot_dns_persist.request.subjects import Subjects

#: How many domains have their old names looked up at once.
BATCH = 100

EXAMPLES = """\
  certbot-dns-persist audit --all --html report.html
  certbot-dns-persist audit -d example.com --issuer letsencrypt.org \\
      --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1 \\
      --known-account https://acme-v02.api.letsencrypt.org/acme/acct/2
  certbot-dns-persist audit --all --answers paris=a.json --answers oslo=b.json
  certbot-dns-persist audit --all --json --since yesterday.json

exit status: as for check, and 2 also for a record of an unknown account, 1 also for a change since
REPORT
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "audit",
        summary="Check, and say whose every other record at those names is.",
        examples=EXAMPLES,
    )
    arguments.add_subject(parser)
    group = arguments.add_report(parser)
    answers.add(group)
    group.add_argument(
        "--html", metavar="FILE", help="also write this file, a report to read in a browser"
    )
    group.add_argument(
        "--since",
        metavar="REPORT",
        help="also say what changed since this earlier output of audit --json, which is a warning",
    )
    group = parser.add_argument_group("accounts that are not in Certbot's directory")
    group.add_argument(
        "--known-account",
        action="append",
        default=[],
        metavar="URI",
        help="an account of another host of yours, whose records may be there; repeatable. For a "
        "CA that hashes account URIs: the account URL, a blank, and the thumbprint of its key",
    )
    arguments.add_inventory(
        parser, "its accounts are known, and so are the records of its hosts", fleet=True
    )
    arguments.add_certbot(parser)
    arguments.add_identity(parser, known="they are known in any case")
    arguments.add_options(parser, arguments.READING)
    parser.set_defaults(run=run, failed=report.UNKNOWN)


def run(args: argparse.Namespace) -> int:
    """Audit the subjects; return the exit status that monitoring expects."""
    from certbot_dns_persist.judge.audit import not_needed
    from certbot_dns_persist.judge.checkup import check

    at = int(time.time())
    files = report.file_reports(args, at=at)
    since = _since(args)
    if not args.answers:
        setting.rebuild_state(args, at=at)
    asked = setting.find_subjects(args)
    known = _known(args, asked.source)
    evidence = report.evidence(args)
    evidence.known, evidence.since = known.accounts.all, since
    compared = since.compared if since is not None else iter
    if args.answers:
        audited = _by_answers(args, asked, known, at=at)
        return report.show(args, compared(audited), asked, at=at, files=files)
    lookup_for = setting.lookup_for(args)

    def checked() -> "Iterator[Checked]":
        shared: set[str] = set()
        inspected = lookups.inspect(
            asked, lookup_for, caa=not args.no_caa, around=Around.ALL, elsewhere=True
        )
        for each in check(inspected, at=at, warn_days=args.warn_days):
            found = each.standing.found
            if found.canonical_name != found.name:
                shared.add(found.canonical_name)
            yield each
        if args.all:
            inspected = lookups.inspect(asked.source.left_over(), lookup_for, caa=False)
            yield from not_needed(check(inspected, at=at, warn_days=0), shared, _where(args))

    audited = _audited(checked(), known, lookup_for)
    return report.show(args, compared(audited), asked, at=at, files=files)


def _since(args: argparse.Namespace) -> "Since | None":
    """Return what compares this audit with the one of ``--since``."""
    if args.since is None:
        return None
    from certbot_dns_persist.judge.since import Since, unusable

    try:
        with os.fdopen(inputs.opened(args.since), "rb") as file:
            document = json.load(file)
    except OSError as error:
        raise ConfigurationError(f"--since {args.since} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise unusable(args.since, f"it is not JSON: {error}") from error
    return Since(document, args.since)


def _by_answers(
    args: argparse.Namespace, asked: setting.Asked, known: "Known", *, at: int
) -> "Iterator[Checked]":
    """Yield the subjects with notices on every record in the answers that others collected."""
    from certbot_dns_persist.judge.audit import audit, not_needed

    besides = list(asked.source.left_over()) if args.all else []
    unneeded = {id(subject) for subject in besides}
    last: list[Checked] = []
    shared: set[str] = set()
    for each in answers.checked(args, asked, at=at, besides=besides, alike=False):
        if id(each.subject) in unneeded:
            last.append(each)
            continue
        found = each.standing.found
        if found.canonical_name != found.name:
            shared.add(found.canonical_name)
        yield audit(each, {}, known)
    for each in not_needed(last, shared, _where(args)):
        yield audit(each, {}, known)


def _where(args: argparse.Namespace) -> str:
    """Return where the certificates are that are known to need records."""
    return "in the inventory" if args.fleet else "on this machine"


def _audited(
    checked: "Iterable[Checked]", known: "Known", lookup_for: lookups.LookupFor
) -> "Iterator[Checked]":
    """Yield each of ``checked`` with notices on every record at its names."""
    from certbot_dns_persist.judge.audit import audit, old_names

    remaining = iter(checked)
    while batch := list(itertools.islice(remaining, BATCH)):
        found = lookups.find((each.subject for each in batch), old_names, lookup_for)
        for each in batch:
            yield audit(each, found, known)


def _known(args: argparse.Namespace, source: "Subjects") -> "Known":
    """Return what we know: from Certbot's files, unless the command line replaces them."""
    from certbot_dns_persist.judge.audit import Known, Noted
    from certbot_dns_persist.request.fleet import known_in_fleet
    from certbot_dns_persist.request.known_accounts import (
        KnownAccounts,
        accounts_of_machine,
        accounts_of_run,
        former_accounts,
    )

    opened = inventory(args)
    published_by = holders(args)
    declared = list(who(args).known)
    if source.without_certbot:
        fleet = known_in_fleet(opened.accounts(), declared) if opened else []
        return Known(
            KnownAccounts([*accounts_of_run(who(args).identities), *fleet, *declared]),
            None,
            published_by=published_by,
            of_fleet=args.fleet,
        )
    journal = setting.journal(args)
    if args.all:
        noted = Noted.all(journal.published())
    else:
        noted = Noted(
            lambda domain: journal.published(domains=[domain]),
            lambda name: journal.published(name=name),
        )
    accounts = [*accounts_of_machine(Path(args.config_dir), journal), *declared]
    former = former_accounts(journal, accounts)
    if opened is not None:
        own = {known.url for known in former}
        fleet = known_in_fleet(opened.accounts(), accounts)
        accounts += [each for each in fleet if not (each.former and each.url in own)]
        still = {each.url for each in fleet if not each.former}
        former = [each for each in former if each.url not in still]
    return Known(
        KnownAccounts([*former, *accounts], lambda: source.needed_domains),
        noted if journal.exists() else None,
        setting.command_line(args, "revoke"),
        setting.command_line(args, "prune"),
        published={(entry.name, entry.value): entry.first_published for entry in journal.logged()},
        replaced=journal.replaced,
        published_by=published_by,
    )
