"""``certbot-dns-persist prune``: remove records of ours that are no longer needed."""

import argparse
import time
from typing import Any

from certbot_dns_persist.cli import arguments, changing, removing, setting
from certbot_dns_persist.judge.retire import needed_by, prunable
from certbot_dns_persist.judge.standing import Standing

EXAMPLES = """\
  certbot-dns-persist prune --all --dry-run
  certbot-dns-persist prune --cert-name example.com --yes

exit status: 0 no such record is left, 1 some are left
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
    groups = changing.find_groups(args)
    others = changing.standings_of_others(args, but=())

    def superfluous(group: changing.Group, standing: Standing) -> dict[str, str]:
        name = standing.found.canonical_name
        going: dict[str, str] = {}
        for value, reason in prunable(standing, group.journal.replaced(name)).items():
            if not needed_by(others, name, [*going, value]):
                going[value] = reason
        return going

    found, doubts = removing.find_removals(args, groups, superfluous, ask_all=False)
    for doubt in doubts:
        changing.say(args, doubt)
    if not found:
        changing.say(args, "There is nothing to prune.")
        return 0
    if not changing.agreed(args, f"To be removed:\n{removing.describe(found)}"):
        return 0 if args.dry_run else changing.FAILED
    left = [words for together in found for words in together.carry_out()]
    if not left:
        changing.say(args, "Removed.")
    return changing.conclude(left)
