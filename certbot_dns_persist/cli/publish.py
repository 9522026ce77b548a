"""``certbot-dns-persist publish``: publish the records, before any order."""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from certbot_dns_persist.change.words import changes
from certbot_dns_persist.cli import changing, fleet, setting
from certbot_dns_persist.cli.identity import who
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.subjects import Subject

EXAMPLES = """\
  certbot-dns-persist publish --cert-name example.com --dry-run
  certbot-dns-persist publish -d example.com -d '*.example.com' --yes \\
      --dns-persist-provider rfc2136 --dns-persist-credentials /etc/letsencrypt/dns.ini

On a host without Certbot, for an account elsewhere (verify it there before, with record):
  certbot-dns-persist publish -d example.com --issuer letsencrypt.org \\
      --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1 \\
      --dns-persist-provider rfc2136 --dns-persist-credentials dns.ini

What is published is noted in dns-persist/ in --config-dir, and logged in --logs-dir. These are made
if they are missing.

exit status: 0 every server serves the records, or the provider has them, 1 not, 3 wrong usage or
an unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    changing.add_command(
        commands,
        "publish",
        run,
        summary="Publish the records through the provider, before any order.",
        examples=EXAMPLES,
        alone=True,
    )


def run(args: argparse.Namespace) -> int:
    """Publish what is missing and wait for it; return the exit status."""
    fleet.warn_if_away(args)
    if who(args).identities:
        args.server = None  # a note with a server is of an account that this machine orders with
    asked = changing.find_asked(args)
    groups = changing.group_by_options(args, asked.subjects)
    plans, lines = [], []
    for group in groups:
        planned = group.ensure.plan(group.look())
        # By whom; this also reads the credentials, before we ask the user.
        by = dict.fromkeys(group.publisher.names(plan.name) for plan in planned)
        lines += [f"To be published ({', '.join(by)}):", changes(planned)] if by else []
        plans += planned
    if not plans:
        changing.say(args, "Nothing is missing: DNS authorises every name.")
        return 0
    if asked.source.without_certbot:
        _require_place_for_notes(args)
        lines += _without_certbot(args, asked.subjects)
    else:
        changing.require_valid_accounts(args, groups)
    if not changing.agreed(args, "\n".join(lines)):
        return 0 if args.dry_run else changing.FAILED
    seen = [group.ensure.authorize([s.request for s in group.subjects]) for group in groups]
    if all(seen):
        changing.say(args, "The records are in DNS.")
    else:
        changing.say(args, "The records are published, but not all of them can be seen from here.")
    return 0


def _without_certbot(args: argparse.Namespace, subjects: Iterable[Subject]) -> list[str]:
    """Return what to know before records of others' accounts are published."""
    accounts = sorted({subject.request.account_url for subject in subjects})
    journal = setting.journal(args)
    return [
        # Draft section 4.5 wants them verified, which takes the key.
        f"Nothing here can verify {', '.join(accounts)}. Whoever holds such an account's key "
        "gets certificates for these names: publish only what comes from somebody you trust.",
        f"To be noted in {journal.state_file}, and logged in {journal.log_file}.",
    ]


def _require_place_for_notes(args: argparse.Namespace) -> None:
    """Raise :class:`~certbot_dns_persist.errors.ConfigurationError` if we could not keep notes.

    Without them, nobody would know later what was published for whom (draft section 4.5).
    """
    for option, path in (("--config-dir", args.config_dir), ("--logs-dir", args.logs_dir)):
        place = Path(path).absolute()
        there = next(each for each in (place, *place.parents) if os.path.lexists(each))
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise ConfigurationError(
                f"What we publish cannot be noted in {path}: {there} is no directory that you may "
                f"write to. Nothing was changed. Name one with {option}."
            )
