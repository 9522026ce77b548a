"""``certbot-dns-persist record``: print the records to publish, before any order."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from certbot_dns_persist.change.surroundings import lookup_of
from certbot_dns_persist.cli import arguments, lookups, report, setting
from certbot_dns_persist.errors import DirectoryError
from certbot_dns_persist.judge.checkup import Checked, check
from certbot_dns_persist.judge.diagnosis import Status
from certbot_dns_persist.judge.hiding import Obstacle, at_place, refusal
from certbot_dns_persist.judge.hiding import obstacle as find_obstacle
from certbot_dns_persist.judge.prepared import (
    PreparedRecord,
    not_looked_up,
    prepare,
    zone_to_change,
)
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.render import (
    ansible,
    copy_paste,
    dnscontrol,
    nsupdate,
    octodns,
    records_json,
    route53,
    terraform,
    zone,
)
from certbot_dns_persist.request.subjects import Subject, Subjects
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

FORMATS: dict[str, Callable[[Sequence[PreparedRecord]], str]] = {
    "text": copy_paste.render,
    "zone": zone.render,
    "nsupdate": nsupdate.render,
    "json": records_json.render,
    "terraform-route53": terraform.render_route53,
    "terraform-cloudflare": terraform.render_cloudflare,
    "route53": route53.render,
    "octodns": octodns.render,
    "ansible": ansible.render,
    "dnscontrol": dnscontrol.render,
}

#: Those that replace all TXT values at a name, so they must include the values of others.
OWNING = ("terraform-route53", "route53", "octodns", "ansible", "dnscontrol")

EXAMPLES = """\
  certbot-dns-persist record -d example.com -d '*.example.com'
  certbot-dns-persist record -d example.com --offline --format zone \\
      --issuer letsencrypt.org \\
      --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1

exit status: 0 all records were printed, 1 some were not, 3 wrong usage or an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "record",
        summary="Print the records to publish, before any order.",
        examples=EXAMPLES,
    )
    arguments.add_subject(parser)
    group = parser.add_argument_group("what is printed")
    group.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: %(default)s); route53 is a change batch, for the "
        "names of one hosted zone",
    )
    group.add_argument(
        "--offline",
        action="store_true",
        help="query neither DNS (for existing records and aliases) nor the CA (for what it wants, "
        "and to verify the account)",
    )
    arguments.add_may_hide(group)
    arguments.add_inventory(parser, "used with --fleet", fleet=True)
    arguments.add_certbot(parser)
    arguments.add_identity(parser)
    arguments.add_options(parser, (*arguments.READING, "ttl"))
    parser.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    """Print the records of all subjects; return the exit status."""
    asked = setting.find_subjects(args)
    subjects = list(asked)
    if any(s.options.shared and not s.request.account_uris.shared for s in subjects):
        logger.warning("--dns-persist-shared has no effect: the CA does not hash the account URI.")
    _require_valid_accounts(subjects, asked.source, args)
    with report.progress(asked.count) as advance:
        standings = list(_standings(subjects, look=not args.offline, advance=advance))
    obstacles: list[Obstacle] = []
    if args.offline:
        unchecked = [s.request.domain for s in subjects]
        _warn_of_wildcards(unchecked, "because of --offline")
    else:
        standings, obstacles = _placed(standings)
    records = prepare(standings)
    troubles = [*asked.troubles, *([refusal(obstacles)] if obstacles else [])]
    if args.format in OWNING:
        blind = dict.fromkeys(record.name for record in records if not record.looked)
        records = [record for record in records if record.name not in blind]
        if blind:
            troubles.append(_refusal_of_unread(list(blind), args))
    if records:
        sys.stdout.write(FORMATS[args.format](records))
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    if not records and not troubles:
        print("There is no record to print: no domain was given or found.", file=sys.stderr)
    return report.UNKNOWN if asked.usage else int(not records or bool(troubles))


def _standings(
    subjects: Sequence[Subject], *, look: bool, advance: Callable[[], None]
) -> Iterator[tuple[Subject, Standing]]:
    """Yield how each of ``subjects`` stands; call ``advance`` after each."""
    at = int(time.time())
    if look:
        inspected = lookups.inspect(subjects, lookup_of, caa=False)
        for checked in check(inspected, at=at, warn_days=0):
            _warn(checked)
            yield checked.subject, checked.standing
            advance()
        return
    for subject in subjects:
        yield subject, not_looked_up(subject, at)
        advance()


def _placed(
    standings: Sequence[tuple[Subject, Standing]],
) -> tuple[list[tuple[Subject, Standing]], list[Obstacle]]:
    """Return ``standings`` with the places of their records, without those that would hide names.

    Also return what these would hide, and warn if that cannot be determined.
    """
    from certbot_dns_persist.lookup.session import Lookup

    asked = [(subject, standing.found) for subject, standing in standings]
    around = lookups.neighbourhoods(asked, Lookup.of)
    placed, obstacles, unchecked = [], [], []
    for subject, standing in standings:
        request, there = standing.request, around[standing.found.name]
        obstacle = find_obstacle(
            request.domain, there, subject.options.may_hide, wildcard=request.wildcard
        )
        if obstacle is not None and obstacle.hidden:
            obstacles.append(obstacle)
            continue
        if obstacle is not None and not standing.accepted:
            unchecked.append(request.domain)
        found = at_place(standing.found, there)
        placed.append((subject, dataclasses.replace(standing, found=found)))
    _warn_of_wildcards(unchecked, "because the authoritative servers cannot be reached")
    return placed, obstacles


def _refusal_of_unread(names: Sequence[str], args: argparse.Namespace) -> str:
    if args.offline:
        why, advice = "because of --offline", "Leave out --offline"
    else:
        why, advice = "because no server answers", "Run this again when DNS answers"
    single = ", ".join(form for form in FORMATS if form not in (*OWNING, "text", "json"))
    return (
        f"Not printed: {_some(names)}. The format {args.format} replaces all TXT values at a name, "
        f"and it is unknown, {why}, which values of others are there. {advice}, or choose a format "
        f"of single records: {single}."
    )


def _warn_of_wildcards(domains: Sequence[str], why: str) -> None:
    if not domains:
        return
    logger.warning(
        "We did not check, %s, whether a wildcard answers for %s now. If so, give the name "
        "records of its own before you publish, because the wildcard will stop answering for it.",
        why,
        _some(domains),
    )


def _warn(checked: Checked) -> None:
    """Warn of what DNS does not show, for instance because a domain is not delegated yet."""
    found = checked.standing.found
    if found.trouble:
        logger.warning(
            "%s cannot be looked up, so its records are unknown, and whether it is an alias: "
            "%s. The record is for the name itself.",
            found.name,
            found.trouble,
        )
    elif found.zone is not None and zone_to_change(found) is None:
        logger.warning(
            "%s is not delegated yet: the servers of %s do not have it. The record is for the "
            "future zone.",
            checked.subject.request.domain,
            found.zone,
        )
    if checked.diagnosis.status == Status.DNSSEC_BOGUS:
        logger.warning(
            "The DNSSEC signatures at %s are invalid. Until they are valid, CAs refuse every "
            "record there.",
            found.name,
        )
    for warning in found.warnings:
        logger.warning("%s", warning)


def _require_valid_accounts(
    subjects: Iterable[Subject], source: Subjects, args: argparse.Namespace
) -> None:
    """Ask the CA whether each account is valid whose URI is hashed.

    Draft section 4.5 requires this before others publish the record.

    Raises :class:`~certbot_dns_persist.errors.Error` if one is not valid.
    """
    hashed = dict.fromkeys(
        (subject.request.server, subject.request.account_url)
        for subject in subjects
        if subject.request.account_uris.shared
    )
    for server, account_url in hashed:
        if source.without_certbot:
            logger.warning(
                "The account %s cannot be verified here, without its key. Before you publish, "
                "verify it on the machine that has the key.",
                account_url,
            )
        elif args.offline:
            logger.warning("The account %s was not verified, because of --offline.", account_url)
        else:
            try:
                setting.require_valid_account(args, server, account_url)
            except DirectoryError as error:
                raise DirectoryError(
                    f"{error} To print the records without verifying it, add --offline."
                ) from error


def _some(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))  # several accounts may have one
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more names"
