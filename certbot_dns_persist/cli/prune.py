"""``certbot-dns-persist prune``: remove records of ours that nobody needs."""

import argparse
import time
from typing import Any

from certbot_dns_persist.cli import arguments, changing, setting
from certbot_dns_persist.judge.retire import needed_by, worthless

EXAMPLES = """\
  certbot-dns-persist prune --all --dry-run
  certbot-dns-persist prune --cert-name example.com --yes

exit status: 0 nothing of that kind is left, 1 something is
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    changing.add_command(
        commands,
        "prune",
        run,
        summary="Remove our expired and superseded records.",
        examples=EXAMPLES,
        # The first two say what has to be left for others to be superfluous.
        options=("policy", "shared", *arguments.LOOKING, *arguments.REMOVING),
    )


def run(args: argparse.Namespace) -> int:
    """Remove what is expired or superseded; return the exit status."""

    setting.rebuild_state(args, at=int(time.time()))
    groups = changing.find_groups(args)
    others = changing.standings_of_others(args, but=())
    removals = []
    for group in groups:
        together: list[changing.Removal] = []
        standings = group.look()
        if not args.dry_run:
            changing.forget_gone(group, standings)
        for standing in standings:
            name = standing.found.canonical_name
            going: list[str] = []
            for value, reason in worthless(standing, group.journal.replaced(name)).items():
                if not needed_by(others, name, [*going, value]):
                    going.append(value)
                    together.append(changing.Removal(standing, value, reason))
        removals.append(together)
    if not any(removals):
        changing.say(args, "There is nothing to prune.")
        return 0
    described = changing.describe(removal for together in removals for removal in together)
    if not changing.agreed(args, f"To be removed:\n{described}"):
        return 0 if args.dry_run else changing.FAILED
    left = []
    for group, together in zip(groups, removals, strict=True):
        left += changing.remove(group, together)
    if not left:
        changing.say(args, "Removed.")
    return changing.conclude(left)
