"""What the commands that change DNS share: showing the plan, asking, the tools."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from certbot_dns_persist.change import interrupted
from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.change.surroundings import Surroundings
from certbot_dns_persist.change.words import cannot_be_looked_up
from certbot_dns_persist.cli import arguments, fleet, lookups, setting
from certbot_dns_persist.cli.terminal import fitted
from certbot_dns_persist.errors import ConfigurationError, LookupFailed, UsageError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.options import Options
from certbot_dns_persist.render import live
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.subjects import Subject, Subjects, only_subjects

if TYPE_CHECKING:
    from certbot_dns_persist.lookup.session import Lookup

FAILED = 1

#: How long to wait for a running Certbot, and how often to look, in seconds.
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
    alone: bool = False,
) -> "argparse._ArgumentGroup":
    """Add a command that changes DNS, with the options to confirm a change.

    ``options`` are those of the plugin that affect it; ``writes`` is whether it publishes records,
    and ``alone`` whether it can do without Certbot's files.
    Returns the group of options for the change, to add more to it.
    """
    parser = arguments.command(commands, name, summary=summary, examples=examples)
    arguments.add_subject(parser)
    group = add_change(parser)
    if writes:
        arguments.add_may_hide(group)
    else:
        arguments.add_remove_up_to(group)
    arguments.add_inventory(
        parser, "no two hosts change the same name at a time, and what others published stays"
    )
    arguments.add_certbot(parser)
    if alone:
        arguments.add_identity(parser)
    arguments.add_options(parser, options)
    parser.set_defaults(run=run, failed=FAILED)
    return group


def add_change(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the options to confirm a change; return their group, to add more to it."""
    group = parser.add_argument_group("the change")
    group.add_argument(
        "-y", "--yes", action="store_true", help="do not ask for confirmation, for use in scripts"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="show what would change, and change nothing"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print only what went wrong")
    arguments.add_rate(group)
    return group


def say(args: argparse.Namespace, words: str) -> None:
    """Tell the user, unless --quiet is set."""
    if not args.quiet:
        _show(words)


def _show(words: str) -> None:
    print(fitted(words, sys.stdout), flush=True)


def agreed(args: argparse.Namespace, plan: str) -> bool:
    """Show ``plan`` and return whether the user agrees to it.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is no terminal.
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
            "Nothing was changed: there is no terminal to ask for confirmation. Add --yes to "
            "continue without asking, or --dry-run to only look."
        )
    try:
        answer = input("Continue? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was changed.")
    return False


def at_terminal() -> bool:
    """Whether there is a user at a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Subjects with the same options, and the tools made from these options."""

    args: argparse.Namespace
    options: Options
    subjects: Sequence[Subject]
    subset: bool = False
    """Whether the others go on if one name cannot be proven."""

    @cached_property
    def journal(self) -> Journal:
        """The change log."""
        return setting.journal(self.args, self.options.log)

    @cached_property
    def publisher(self) -> Publisher:
        """What changes DNS."""
        found = fleet.inventory(self.args)
        locks = found.locks if found else None
        return Publisher(self.options, self._lookup, self.journal, self._notify, fleet=locks)

    @cached_property
    def ensure(self) -> Ensure:
        """The workflow."""
        terminal = at_terminal()
        given = (getattr(self.args, f"dns_persist_{name}", None) for name in ("until", "valid_for"))
        here = Surroundings(
            notify=self._notify,
            watch=partial(live.watching, terminal),
            terminal=terminal,
            shorten=any(value is not None for value in given),
            subset=self.subset,
        )
        return Ensure(self.options, self._lookup, self.publisher, here)

    @cached_property
    def _lookup(self) -> "Lookup":
        return setting.lookup_for(self.args)(self.options)

    def _notify(self, words: str) -> None:
        say(self.args, words)

    def look(self) -> list[Standing]:
        """Return how the subjects stand, in their order.

        Raises :class:`~certbot_dns_persist.errors.LookupFailed` if one cannot be looked up.
        """
        standings = self.ensure.look([subject.request for subject in self.subjects])
        unknown = [standing for standing in standings if standing.found.trouble]
        if unknown:
            raise LookupFailed(cannot_be_looked_up(unknown))
        if not self.args.dry_run:
            interrupted.conclude(self.publisher, [standing.found for standing in standings])
        return standings


class Asked(NamedTuple):
    """What a command is to change."""

    subjects: list[Subject]
    source: Subjects
    """What makes them."""


def find_asked(args: argparse.Namespace, *, none: bool = False) -> Asked:
    """Return what ``args`` name; ``none`` is whether that may be nothing.

    Raises :class:`~certbot_dns_persist.errors.Error` if one of the subjects cannot be determined:
    we change all of them or none.
    """
    asked = setting.find_subjects(args)
    subjects = list(asked)
    if asked.troubles:
        kind = UsageError if asked.usage else ConfigurationError
        raise kind("\n".join([*asked.troubles, "Nothing was changed."]))
    if not subjects and not none:
        raise ConfigurationError("There is nothing to do: no domain was given or found.")
    return Asked(subjects, asked.source)


def find_groups(args: argparse.Namespace) -> list[Group]:
    """Return the subjects that ``args`` name, grouped by their options.

    Raises what :func:`find_asked` does.
    """
    return group_by_options(args, find_asked(args).subjects)


def look_up(args: argparse.Namespace, subjects: Iterable[Subject]) -> list[Standing]:
    """Return how ``subjects`` stand, in their order, all looked up at once."""
    return lookups.standings(subjects, setting.lookup_for(args), at=int(time.time()))


def require_valid_accounts(args: argparse.Namespace, groups: Iterable[Group]) -> None:
    """Ask the CA whether each account is valid, as a record for an invalid one would be useless.

    Draft section 4.5 requires this before others publish the record; we do it before we publish or
    replace anything. Raises :class:`~certbot_dns_persist.errors.Error` if one is not valid.
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
    """Lock Certbot until this program ends, so that no order uses what we are changing.

    Wait for one that is running. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` if it does not end.
    """
    from certbot import errors, util

    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            util.lock_dir_until_exit(args.config_dir)
        except errors.LockError as error:
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Certbot has been running for more than {LOCK_SECONDS} seconds and keeps "
                    f"{args.config_dir} locked. Run this again when it has finished."
                ) from error
            time.sleep(LOCK_PAUSE)
        except OSError as error:
            raise ConfigurationError(
                f"{args.config_dir} cannot be locked against Certbot: {error}."
            ) from error
        else:
            return


def standings_of_others(args: argparse.Namespace, *, but: Collection[str]) -> list[Standing]:
    """Return how the domains of all our lineages stand, except for the lineages ``but``."""
    preset = setting.preset(args).with_saved_accounts()
    given = Given(verify=setting.verifies(args), preset=preset)
    source = Subjects(Path(args.config_dir), setting.journal(args), given)
    return look_up(args, only_subjects(source.of_lineages(but=but)))


def conclude(left: Sequence[str]) -> int:
    """Print what is left to do; return the exit status."""
    for words in left:
        print(fitted(words, sys.stderr), file=sys.stderr)
    return FAILED if left else 0
