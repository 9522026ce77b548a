"""``certbot-dns-persist prune``: remove records of ours that are no longer needed."""

import argparse
import time
from collections.abc import Iterator
from typing import Any

from certbot_dns_persist.cli import arguments, changing, fleet, removing, setting
from certbot_dns_persist.judge.retire import not_needed, ours, superfluous
from certbot_dns_persist.request.subjects import Subject, only_subjects

EXAMPLES = """\
  certbot-dns-persist prune --all --dry-run
  certbot-dns-persist prune --cert-name example.com --yes
  certbot-dns-persist prune --left-over

With --left-over, it removes what audit calls left over: all records in our notes that no
certificate on this machine needs any more, through the providers that published them. That
includes records that you published for a certificate that you do not have yet.

exit status: 0 no such record is left, 1 some are left, 3 wrong usage or an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    group = changing.add_command(
        commands,
        "prune",
        run,
        summary="Remove our expired and superseded records.",
        examples=EXAMPLES,
        # The first two determine which record supersedes the others.
        options=("policy", "shared", *arguments.LOOKING, *arguments.REMOVING),
        writes=False,
    )
    group.add_argument(
        "--left-over",
        action="store_true",
        help="instead of naming domains: remove every record in our notes that no certificate "
        "needs any more",
    )


def run(args: argparse.Namespace) -> int:
    """Remove what is expired or superseded; return the exit status."""
    fleet.require(args)
    setting.rebuild_state(args, at=int(time.time()))
    journal = setting.journal(args)
    published_by = fleet.holders(args)

    def choose_left_over(place: removing.Place) -> dict[str, str]:
        noted = {record.value for record in journal.published(name=place.name)}
        mine = dict.fromkeys(v for standing in place.standings_asked for v in ours(standing))
        free, _ = not_needed(place.standings_of_others, place.name, [*mine])
        return {
            value: "left over"
            for value in free
            if value in noted and not published_by(place.name, value)
        }

    def choose(place: removing.Place) -> dict[str, str]:
        asked, others = place.standings_asked, place.standings_of_others
        # Something that was replaced has another record beside it.
        marked = journal.replaced(place.name) if len(place.values) > 1 else ()
        return {
            value: why
            for value, why in superfluous(asked, others, marked).items()
            if not published_by(place.name, value)
        }

    def others(asked: changing.Asked) -> Iterator[Subject]:
        requests = {subject.request for subject in asked.subjects}
        everybody = only_subjects(asked.source.as_saved().of_lineages())
        return (subject for subject in everybody if subject.request not in requests)

    wanted = choose_left_over if args.left_over else choose
    found = removing.Search(args, wanted, others, ask_all=False)
    for doubt in found.doubts:
        changing.say(args, doubt)
    if not found.removals:
        if not found.unknown:
            changing.say(args, "There is nothing to prune.")
        return changing.conclude(found.unknown)
    if not found.agreed(f"To be removed:\n{found.describe()}"):
        return 0 if args.dry_run else changing.FAILED
    left = found.carry_out()
    if args.left_over:  # nothing authorises beside them, so whoever asked wants to see them gone
        left = left or found.wait()
    if not left:
        changing.say(args, "Removed.")
    return changing.conclude([*left, *found.unknown])
