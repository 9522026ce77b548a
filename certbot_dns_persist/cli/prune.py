"""``certbot-dns-persist prune``: remove records of ours that are no longer needed."""

import argparse
import time
from collections.abc import Iterator
from typing import Any

from certbot_dns_persist.cli import arguments, changing, removing, setting
from certbot_dns_persist.judge.retire import superfluous
from certbot_dns_persist.request.subjects import Subject, only_subjects

EXAMPLES = """\
  certbot-dns-persist prune --all --dry-run
  certbot-dns-persist prune --cert-name example.com --yes

exit status: 0 no such record is left, 1 some are left, 3 wrong usage or an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    changing.add_command(
        commands,
        "prune",
        run,
        summary="Remove our expired and superseded records.",
        examples=EXAMPLES,
        # The first two determine which record supersedes the others.
        options=("policy", "shared", *arguments.LOOKING, *arguments.REMOVING),
        writes=False,
    )


def run(args: argparse.Namespace) -> int:
    """Remove what is expired or superseded; return the exit status."""
    setting.rebuild_state(args, at=int(time.time()))
    journal = setting.journal(args)

    def choose(place: removing.Place) -> dict[str, str]:
        asked, others = place.standings_asked, place.standings_of_others
        # Something that was replaced has another record beside it.
        marked = journal.replaced(place.name) if len(place.values) > 1 else ()
        return superfluous(asked, others, marked)

    def others(asked: changing.Asked) -> Iterator[Subject]:
        requests = {subject.request for subject in asked.subjects}
        everybody = only_subjects(asked.source.as_saved().of_lineages())
        return (subject for subject in everybody if subject.request not in requests)

    found = removing.Search(args, choose, others, ask_all=False)
    for doubt in found.doubts:
        changing.say(args, doubt)
    if not found.removals:
        changing.say(args, "There is nothing to prune.")
        return 0
    if not found.agreed(f"To be removed:\n{found.describe()}"):
        return 0 if args.dry_run else changing.FAILED
    left = found.carry_out()
    if not left:
        changing.say(args, "Removed.")
    return changing.conclude(left)
