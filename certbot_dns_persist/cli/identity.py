"""The accounts of a run that does without Certbot's files, and those that are declared as known."""

import argparse
import dataclasses
import os
from collections.abc import Iterator, Sequence

from certbot_dns_persist.cli import inputs
from certbot_dns_persist.cli.listed import Listed, read
from certbot_dns_persist.errors import ConfigurationError, UsageError
from certbot_dns_persist.request.applicants import Identity
from certbot_dns_persist.request.declared import declared_account, declared_in
from certbot_dns_persist.request.identities import Identities, Part, incomplete
from certbot_dns_persist.request.known_accounts import KnownAccount
from certbot_dns_persist.request.subjects import Trouble


@dataclasses.dataclass(frozen=True)
class Who:
    """What the command line, a list of domains and a file of accounts say together."""

    identities: Sequence[Sequence[Identity]] = ()
    """First those for every domain, then those that lines name; none: Certbot's files say it."""
    known: Sequence[KnownAccount] = ()
    """The declared accounts."""
    listed: Listed | None = None
    """The domains in the list, if there is one."""


def who(args: argparse.Namespace) -> Who:
    """Return who the records are for; read each file once.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the arguments contradict each
    other, or a file cannot be read.
    """
    if not hasattr(args, "who"):
        args.who = _who(args)
    found: Who = args.who
    return found


def _who(args: argparse.Namespace) -> Who:
    parts: Sequence[Part] = getattr(args, "identity", ())
    path: str | None = getattr(args, "from_file", None)
    known = list(_declared(args))
    identities = Identities(parts, known)
    groups: list[Sequence[Identity]] = [identities.default]
    numbers = {identities.default: 0}

    def choose(named: tuple[Part, ...]) -> int:
        if not named or getattr(args, "names_only", False):
            return 0
        if not hasattr(args, "identity"):
            raise ConfigurationError(
                f"{args.command} takes the CA and the account from Certbot's files, so only a "
                "domain may stand here."
            )
        found = identities.named(named)
        if found not in numbers:
            numbers[found] = len(groups)
            groups.append(found)
        return numbers[found]

    found = None if path is None else read(path, choose)
    named = len(groups) > 1
    if parts and not identities.default and not named:
        raise incomplete("--")
    if known and not parts and not named and not hasattr(args, "known_account"):  # as audit has
        raise UsageError(
            "--known-accounts has no effect: say at which CA, with --issuer, or let lines of "
            "--from-file choose from it."
        )
    if found is not None and found.silent and named and not identities.default:
        found.troubles.add(Trouble(_silent(path or "", found)))
    _require_one_server(args, groups)
    return Who(groups if parts or named else (), known, found)


def _silent(path: str, found: Listed) -> str:
    more = f" and {found.silent - 1} more" if found.silent > 1 else ""
    return (
        f"{path}, line {found.first_silent}{more}: other lines name a CA and an account, and this "
        "has none. Add them there, or give --issuer and --account-uri for lines without."
    )


def _declared(args: argparse.Namespace) -> Iterator[KnownAccount]:
    yield from map(declared_account, getattr(args, "known_account", ()))
    path: str | None = getattr(args, "known_accounts", None)
    if path is None:
        return
    try:
        with os.fdopen(inputs.opened(path), "rb") as file:
            octets = file.read()
    except OSError as error:
        raise ConfigurationError(f"The accounts in {path} cannot be read: {error}.") from error
    yield from declared_in(octets, path)


def _require_one_server(args: argparse.Namespace, groups: Sequence[Sequence[Identity]]) -> None:
    """Raise an error if ``--server`` and ``--account`` do not fit to what is named."""
    if not any(groups):
        return
    if args.account is not None:
        raise UsageError(
            "--account and --issuer exclude each other: --account is an account in Certbot's "
            "files, --issuer does without these files."
        )
    issuers = {each.terms.issuer_domain_names for group in groups for each in group}
    if args.server is not None and len(issuers) > 1:
        raise UsageError(
            "--server is the directory of one CA, but several CAs are named: leave it out."
        )
