"""``certbot-dns-persist revoke``: remove our records."""

import argparse
from collections.abc import Iterable
from typing import Any

from certbot_dns_persist.cli import arguments, changing, removing
from certbot_dns_persist.judge.retire import ours
from certbot_dns_persist.request.subjects import Subject

EXAMPLES = """\
  certbot-dns-persist revoke -d example.com
  certbot-dns-persist revoke --cert-name example.com --yes

exit status: 0 no server serves them any more, 1 something is left, or may be
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    changing.add_command(
        commands,
        "revoke",
        run,
        summary="Remove our records, so that the account is no longer authorised.",
        examples=EXAMPLES,
        options=(*arguments.LOOKING, *arguments.REMOVING),
        writes=False,
    )


def run(args: argparse.Namespace) -> int:
    """Remove every record of the account at the CA; return the exit status."""
    groups = changing.find_groups(args)
    found, doubts = removing.find_removals(
        args,
        groups,
        lambda group, standing: dict.fromkeys(ours(standing), "revoked"),
        ask_all=True,
    )
    if not found and not doubts:
        changing.say(
            args,
            "There is nothing to revoke: DNS, the provider and our notes have no record of this "
            "account.",
        )
        return 0
    if not found:
        return changing.conclude(doubts)
    subjects = [subject for group in groups for subject in group.subjects]
    plan = ["To be removed:", removing.describe(found), *doubts, _consequences(subjects)]
    if not changing.agreed(args, "\n".join(plan)):
        return 0 if args.dry_run else changing.FAILED
    left = [words for together in found for words in together.carry_out() or together.wait()]
    if not left:
        changing.say(args, "Removed: no name server that we can ask serves them any more.")
    changing.say(args, _afterwards(args, subjects))
    return changing.conclude([*left, *doubts])


def _consequences(subjects: Iterable[Subject]) -> str:
    """Say for which certificates the next renewal fails, or publishes the records again."""
    needed: dict[str, list[Subject]] = {}
    for subject in subjects:
        for lineage in subject.lineages:
            needed.setdefault(lineage.name, []).append(subject)
    lines = []
    for name, together in needed.items():
        then = "fails."
        if together[0].options.providers != ("manual",):
            then = (
                "PUBLISHES THEM AGAIN, because its provider can write. Prevent that with\n"
                f"  certbot delete --cert-name {name}"
            )
        domains = ", ".join(
            domain
            for subject in together
            for domain in (subject.request.domain, f"*.{subject.request.domain}")
            if any(domain in lineage.domains for lineage in subject.lineages)
        )
        lines.append(f"The certificate {name} needs them ({domains}): its next renewal {then}")
    return "\n".join(lines)


def _afterwards(args: argparse.Namespace, subjects: Iterable[Subject]) -> str:
    requests = {subject.request.server: subject.request for subject in subjects}
    commands = [
        f"  certbot unregister --server {request.server}  (the account {request.account_url})"
        for request in requests.values()
    ]
    return "\n".join(
        [
            "Resolvers may keep the records in their caches until the TTL ends, and the CA may "
            "already have validated the domains. If the account key was stolen, do not wait: "
            "deactivate the account, which works at once and for all of its records:",
            *commands,
        ]
    )
