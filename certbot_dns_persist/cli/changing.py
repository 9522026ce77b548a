"""What the commands share that change DNS: the plan that is shown, the question, the tools."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.change.surroundings import Surroundings, lookup_of
from certbot_dns_persist.change.words import cannot_be_looked_up
from certbot_dns_persist.cli import arguments, setting
from certbot_dns_persist.cli.terminal import fitted
from certbot_dns_persist.errors import ConfigurationError, LookupFailed
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.options import Options
from certbot_dns_persist.render import live
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.subjects import Subject, Subjects, only_subjects

FAILED = 1

#: How long a Certbot that is running is waited for, and how often it is asked.
LOCK_SECONDS, LOCK_PAUSE = 120, 0.2


def add_command(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    examples: str,
    options: Collection[str] = (*arguments.READING, *arguments.WRITING),
    writes: bool = True,
) -> None:
    """Add a command that changes DNS, with how a change is agreed to.

    ``options`` are those of the plugin that make a difference to it; ``writes`` is whether it may
    publish anything.
    """
    parser = arguments.command(commands, name, summary=summary, examples=examples)
    arguments.add_subject(parser)
    group = parser.add_argument_group("the change")
    group.add_argument(
        "-y", "--yes", action="store_true", help="do not ask, as for scripts without a terminal"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="show what would be changed, and change nothing"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print only what went wrong")
    if writes:
        arguments.add_may_hide(group)
    arguments.add_certbot(parser)
    arguments.add_options(parser, options)
    parser.set_defaults(run=run, failed=FAILED)


def say(args: argparse.Namespace, words: str) -> None:
    """Tell the user, unless quiet was asked for."""
    if not args.quiet:
        _show(words)


def _show(words: str) -> None:
    print(fitted(words, sys.stdout), flush=True)


def agreed(args: argparse.Namespace, plan: str) -> bool:
    """Show ``plan`` and return whether it may be carried out.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` when nobody can be asked.
    """
    if args.dry_run:
        _show(f"{plan}\nThis was a dry run: nothing was changed.")
        return False
    if args.yes:
        say(args, plan)
        return True
    _show(plan)
    if not at_terminal():
        raise ConfigurationError(
            "Nothing was changed: there is no terminal to ask at. Add --yes to go on without a "
            "question, or --dry-run to only look."
        )
    try:
        answer = input("Go on? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was changed.")
    return False


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@dataclasses.dataclass(frozen=True)
class Group:
    """Subjects with the same options, and the tools that are made from these."""

    args: argparse.Namespace
    options: Options
    subjects: Sequence[Subject]

    @cached_property
    def journal(self) -> Journal:
        """The change log."""
        return setting.journal(self.args)

    @cached_property
    def publisher(self) -> Publisher:
        """The way to DNS."""
        return Publisher(self.options, lookup_of(self.options), self.journal, self._notify)

    @cached_property
    def ensure(self) -> Ensure:
        """The workflow."""
        terminal = at_terminal()
        here = Surroundings(
            notify=self._notify, watch=partial(live.watching, terminal), terminal=terminal
        )
        return Ensure(self.options, lookup_of(self.options), self.publisher, here)

    def _notify(self, words: str) -> None:
        say(self.args, words)

    def look(self) -> list[Standing]:
        """Return how the subjects stand, in their order.

        Raises :class:`~certbot_dns_persist.errors.LookupFailed` when DNS does not say of one.
        """
        standings = self.ensure.look([subject.request for subject in self.subjects])
        unknown = [standing for standing in standings if standing.found.trouble]
        if unknown:
            raise LookupFailed(cannot_be_looked_up(unknown))
        return standings


def find_groups(args: argparse.Namespace) -> list[Group]:
    """Return the subjects that ``args`` name, grouped by their options.

    Raises :class:`~certbot_dns_persist.errors.Error` when one of them cannot be told: what is
    changed is all of it or nothing.
    """
    asked = setting.find_subjects(args)
    subjects = list(asked)
    if asked.troubles:
        raise ConfigurationError("\n".join([*asked.troubles, "Nothing was changed."]))
    if not subjects:
        raise ConfigurationError("There is nothing to do: no domain was named or found.")
    return group_by_options(args, subjects)


def require_valid_accounts(args: argparse.Namespace, groups: Iterable[Group]) -> None:
    """Have the CA say that each account is valid: a record for another one would be in vain.

    Draft -02 section 4.5 asks for that before somebody else publishes; we do it before anything is
    published or replaced. Raises :class:`~certbot_dns_persist.errors.Error`.
    """
    requests = [subject.request for group in groups for subject in group.subjects]
    for server, account_url in dict.fromkeys((r.server, r.account_url) for r in requests):
        setting.require_valid_account(args, server, account_url)


def group_by_options(args: argparse.Namespace, subjects: Iterable[Subject]) -> list[Group]:
    """Return ``subjects`` grouped by their options."""
    groups: dict[Options, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(subject.options, []).append(subject)
    return [Group(args, options, together) for options, together in groups.items()]


def lock_certbot(args: argparse.Namespace) -> None:
    """Keep Certbot from running until this program ends, so that none is in the middle of an
    order with what it has read before. Waits for one that is running.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` when it does not end.
    """
    from certbot import errors, util

    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            util.lock_dir_until_exit(args.config_dir)
        except errors.LockError as error:
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Certbot is running since more than {LOCK_SECONDS} seconds and keeps "
                    f"{args.config_dir} locked."
                ) from error
            time.sleep(LOCK_PAUSE)
        except OSError as error:
            raise ConfigurationError(
                f"{args.config_dir} cannot be locked against Certbot: {error}."
            ) from error
        else:
            return


def standings_of_others(args: argparse.Namespace, *, but: Collection[str]) -> list[Standing]:
    """Return how all domains of our lineages stand, except for the lineages ``but``."""
    source = Subjects(
        Path(args.config_dir), setting.journal(args), Given(verify=not args.no_verify_ssl)
    )
    names = [lineage.name for lineage in source.lineages if lineage.name not in but]
    return [
        standing
        for group in group_by_options(args, only_subjects(source.of_lineages(names)))
        for standing in group.ensure.look([subject.request for subject in group.subjects])
    ]


def conclude(left: Sequence[str]) -> int:
    """Say what is left to do; return the exit status."""
    for words in left:
        print(fitted(words, sys.stderr), file=sys.stderr)
    return FAILED if left else 0
