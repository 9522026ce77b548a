"""What the command line and Certbot's files mean: the subjects, the account and the tools."""

import argparse
import contextlib
import dataclasses
import functools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from certbot_dns_persist import options
from certbot_dns_persist.change.surroundings import lookup_of
from certbot_dns_persist.cli import lookups
from certbot_dns_persist.cli.arguments import CONFIG_DIR, LOGS_DIR, PREFIX
from certbot_dns_persist.cli.fleet import inventory
from certbot_dns_persist.cli.identity import who
from certbot_dns_persist.errors import ConfigurationError, UsageError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.found import QUERIES_PER_SECOND, Found
from certbot_dns_persist.request.accounts import closed_directory, find_key
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.names import Names, Need
from certbot_dns_persist.request.preset import NOTHING_SET, Preset, read_preset
from certbot_dns_persist.request.rollovers import begun_rollovers, is_switched
from certbot_dns_persist.request.subjects import (
    Subject,
    Subjects,
    Trouble,
    Troubles,
    normalize,
    subjects_of_records,
)
from certbot_dns_persist.shown import logger_of, printable

logger = logger_of(__name__)


class Asked:
    """What a command is about; iterate over it once, for the subjects."""

    def __init__(
        self,
        found: Iterable[Subject | Trouble],
        source: Subjects,
        count: int,
        troubles: Troubles | None = None,
        names: Names | None = None,
    ) -> None:
        self._found = found
        self.names = names
        """The names, if the command line gave them."""
        self.source = source
        """What makes the subjects."""
        self.count = count
        """How many subjects there are at most."""
        self._troubles = troubles or Troubles()
        self.keys_in_doubt: Mapping[str, str] = {}
        """Messages on accounts, by URL, of which only the CA knows which key they have."""

    def __iter__(self) -> Iterator[Subject]:
        return self._subjects(self._found)

    def of(self, domain: str, need: Need) -> Iterator[Subject]:
        """Yield the subjects for one of the domains, of which this is wanted."""
        return self._subjects(self.source.of_domain(domain, *need))

    def add(self, trouble: Trouble) -> None:
        """Add one more."""
        self._troubles.add(trouble)

    def _subjects(self, found: Iterable[Subject | Trouble]) -> Iterator[Subject]:
        for each in found:
            if isinstance(each, Trouble):
                self._troubles.add(each)
            else:
                yield each

    @property
    def troubles(self) -> list[str]:
        """Messages that say why there are no more subjects than those read so far."""
        return [printable(trouble) for trouble in self._troubles.in_words()]

    @property
    def lost_accounts(self) -> bool:
        """Whether a certificate cannot be renewed because its account is missing."""
        return self._troubles.lost_account

    @property
    def usage(self) -> bool:
        """Whether one of them is that the command line is wrong."""
        return self._troubles.usage


def find_subjects(args: argparse.Namespace) -> Asked:
    """Return what ``args`` are about.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the arguments contradict
    each other.
    """
    _require_one_way(args)
    said = given(args)
    with usage():
        # Raise once what is wrong, not for every domain.
        options.options_of(said.options, {}, _providers(said))
    source = _source(args, said)
    if source.without_certbot:
        return _find_subjects(args, source)
    refuse_closed(args)
    in_doubt = _mention_rollovers(args)
    asked = _find_subjects(args, source)
    asked.keys_in_doubt = in_doubt
    return asked


def _find_subjects(args: argparse.Namespace, source: Subjects) -> Asked:
    if who(args).identities and not (args.domains or args.from_file):
        raise UsageError(
            "--issuer is for domains without Certbot's files: give them with -d or --from-file."
        )
    if getattr(args, "left_over", False):
        return _find_left_over(args, source)
    if getattr(args, "lost_host", None):
        return _find_lost(args, source)
    if args.all or args.cert_name:
        found = list(source.of_lineages(args.cert_name or None))
        return Asked(found, source, sum(isinstance(each, Subject) for each in found))
    names, troubles = _given_names(args)
    return Asked(source.of_domains(names), source, len(names), troubles, names)


def find_names(args: argparse.Namespace) -> tuple[Names, Troubles]:
    """Return the names that ``args`` are about, whoever needs them, and why there are no more.

    With ``--all``, those of records that are left over are among them.
    """
    _require_one_way(args)
    if not (args.all or args.cert_name):
        return _given_names(args)
    if not args.fleet:
        refuse_closed(args)
    source = _source(args, given(args))
    names, troubles = Names(), Troubles()
    for each in source.domains(args.cert_name or None):
        if isinstance(each, Trouble):
            troubles.add(each)
        else:
            names.add(each)
    if args.all:
        for subject in source.left_over():
            names.add(subject.request.domain)
    return names, troubles


def _require_one_way(args: argparse.Namespace) -> None:
    more = [way for way in ("left_over", "lost_host") if hasattr(args, way)]
    ways = [args.cert_name, args.domains, args.all, args.from_file]
    ways += [getattr(args, way) for way in more]
    if sum(map(bool, ways)) != 1:
        known = ", ".join(["-d", "--all", *(f"--{way.replace('_', '-')}" for way in more)])
        raise UsageError(f"Give exactly one of --cert-name, {known} and --from-file.")


def _given_names(args: argparse.Namespace) -> tuple[Names, Troubles]:
    """Return the names that ``-d`` or ``--from-file`` gives, and what is wrong with others."""
    found = who(args).listed
    return (domains_of(args), Troubles()) if found is None else (found.names, found.troubles)


def _source(args: argparse.Namespace, said: Given) -> Subjects:
    """Return what makes the subjects: Certbot's files or, with ``--fleet``, the inventory."""
    if not getattr(args, "fleet", False):
        return Subjects(Path(args.config_dir), journal(args), said)
    from certbot_dns_persist.request.fleet import FleetSubjects

    if said.identities:
        raise UsageError(
            "--fleet and --issuer exclude each other, also in a list of domains: --fleet takes the "
            "CA and the account from the inventory."
        )
    opened = inventory(args)
    assert opened is not None  # noqa: S101 - --fleet needs one
    return FleetSubjects(opened.fleet(), journal(args), said)


def _providers(said: Given) -> list[str] | None:
    """Return the names of all providers if one is given, to check it."""
    if said.options["provider"] is None:
        return None
    from certbot_dns_persist.providers import loader

    return loader.available()


def domains_of(args: argparse.Namespace) -> Names:
    """Return the domains of ``-d``, each of which may be several with commas.

    Raises :class:`~certbot_dns_persist.errors.UsageError` for what is not a domain name.
    """
    with usage():
        return Names(normalize(each.strip()) for given in args.domains for each in given.split(","))


def _find_left_over(args: argparse.Namespace, source: Subjects) -> Asked:
    """Return the domains in our notes that no certificate needs: of ``--server``, or of all CAs."""
    if args.account is not None:
        raise UsageError(
            "--left-over is about all accounts, so it excludes --account. To remove the records of "
            "one account, use revoke -d."
        )
    found: list[Subject | Trouble] = [
        subject for subject in source.left_over() if args.server in (None, subject.request.server)
    ]
    if source.needed_domains is None:
        found.append(
            Trouble(
                "A certificate cannot be read (certbot-dns-persist check --all says which), so it "
                "is unknown which records it needs."
            )
        )
    return Asked(found, source, len(found))


def _find_lost(args: argparse.Namespace, source: Subjects) -> Asked:
    """Return the domains for which a host published records that no longer exists."""
    opened = inventory(args)
    if opened is None:
        raise UsageError("--lost-host is about a host of an inventory: add --inventory URL.")
    opened.require_admin()
    from certbot_dns_persist.request.fleet import records_of
    from certbot_dns_persist.request.known_accounts import accounts_of_machine

    holding, accounts = opened.fleet(args.lost_host), opened.accounts()
    here = accounts_of_machine(Path(args.config_dir), journal(args))
    records = [*records_of(args.lost_host, holding, accounts, here)]
    if not records:
        found: list[Subject | Trouble] = [
            Trouble(f"The inventory has no record that a host {args.lost_host} published.")
        ]
    else:
        given_options = options.options_of(given(args).options, {})
        found = [*subjects_of_records(records, given_options)]
    return Asked(found, source, len(found))


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """Raise what is wrong with the command line as :class:`UsageError`."""
    try:
        yield
    except ConfigurationError as error:
        raise UsageError(str(error)) from error


def refuse_closed(args: argparse.Namespace) -> None:
    """Raise one error if Certbot's files are not readable, instead of one for each file."""
    closed = closed_directory(Path(args.config_dir))
    if closed is None:
        return
    advice = "Run this as the user that runs Certbot, usually root."
    if hasattr(args, "identity"):
        advice += (
            " To do without Certbot's files, give the domains with -d or --from-file, and "
            "--issuer and --account-uri."
        )
    raise ConfigurationError(
        f"Certbot's directory {closed} cannot be read: Permission denied. {advice}"
    )


def _mention_rollovers(args: argparse.Namespace) -> dict[str, str]:
    """Warn of account key rollovers that were begun and are not finished.

    Return messages on those of which the CA may have been told, by account URL.
    """
    try:
        begun = list(begun_rollovers(Path(args.config_dir)))
    except ConfigurationError as error:
        logger.warning("%s", error)
        return {}
    in_doubt = {}
    for rollover in begun:
        url, again = rollover.kept.account.url, command_line(args, "rollover")
        if rollover.sent and not is_switched(Path(args.config_dir), rollover):
            in_doubt[url] = (
                f"Only the CA at {rollover.server} knows which key the account {url} has: its "
                f"rollover, begun at {rollover.begun}, is not finished. Renewals with dns-persist "
                "ask the CA; others with this account may fail until it is. Finish it with: "
                f"{again} --account {rollover.kept.id}"
            )
            if hasattr(args, "warn_days"):
                continue  # it is in the report
        logger.warning(
            "The key of the account %s at %s is being replaced since %s, and that is not finished. "
            "Unless such a command is running now, finish it with: %s",
            url,
            rollover.server,
            rollover.begun,
            again,
        )
    return in_doubt


def lookup_for(args: argparse.Namespace) -> lookups.LookupFor:
    """Return how names are looked up: with the query rate in ``args``, if there is one."""
    rate = getattr(args, "queries_per_second", QUERIES_PER_SECOND)
    return functools.partial(lookup_of, queries_per_second=rate)


def journal(args: argparse.Namespace, log: str | None = None) -> Journal:
    """Return the journal of the Certbot installation that ``args`` name.

    ``log`` is where it logs changes, if the certificate's options say it.
    """
    where = log or getattr(args, "dns_persist_log", None) or "file"
    return _journal(args.logs_dir, args.config_dir, where)


@functools.cache  # so that it warns of each fault once
def _journal(logs_dir: str, config_dir: str, log: str) -> Journal:
    return Journal(logs_dir, config_dir, log=log)


def require_valid_account(args: argparse.Namespace, server: str, account_url: str) -> None:
    """Ask the CA whether an account of Certbot's is valid.

    Raises :class:`~certbot_dns_persist.errors.Error` if it is not.
    """
    from certbot_dns_persist.ca import account_status

    key = find_key(Path(args.config_dir), server, account_url)
    account_status.require_valid_account(key, account_url, server, verify=verifies(args))


def command_line(args: argparse.Namespace, command: str) -> str:
    """Return the beginning of a command line for the same Certbot, to paste into a shell."""
    parts = ["certbot-dns-persist", command]
    for option, value, default in (
        ("--config-dir", args.config_dir, CONFIG_DIR),
        ("--logs-dir", args.logs_dir, LOGS_DIR),
    ):
        if value != default:
            parts += [option, value]
    for path in args.config:
        parts += ["--config", path]
    return shlex.join(parts)


def rebuild_state(args: argparse.Namespace, *, at: int) -> None:
    """Rebuild the notes of which records are ours, if they were lost.

    ``at`` is UNIX seconds. Call this before anything reads them.
    """
    if who(args).identities or getattr(args, "fleet", False):
        return
    from certbot_dns_persist.change.rebuild import rebuild

    config_dir = Path(args.config_dir)
    # Each lineage's own CA and account, even if this run is for others.
    said = dataclasses.replace(given(args), server=None, account=None)
    subjects = Subjects(config_dir, journal(args), said)

    def look(batch: Sequence[Subject]) -> dict[str, Found]:
        return lookups.find(batch, lambda subject: [subject.request.name], lookup_for(args))

    rebuild(journal(args), subjects, config_dir, look, at=at)


def given(args: argparse.Namespace) -> Given:
    """Return the CA, account and options on the command line.

    Raises :class:`~certbot_dns_persist.errors.UsageError` if they contradict each other.
    """
    names = [option.name for option in options.OPTIONS]
    collected: dict[str, Any] = {
        name: getattr(args, f"{PREFIX}{name}".replace("-", "_"), None) for name in names
    }
    if collected["may-hide"] is not None:
        collected["may-hide"] = ",".join(collected["may-hide"])  # as a single option has it
    return Given(
        server=args.server,
        account=args.account,
        identities=who(args).identities,
        options=collected,
        verify=verifies(args),
        preset=preset(args),
        offline=getattr(args, "offline", False),
    )


def preset(args: argparse.Namespace) -> Preset:
    """Return what Certbot's configuration file sets; nothing if we do without Certbot's files.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if Certbot cannot use it and the
    arguments do not say what is needed.
    """
    if who(args).identities or getattr(args, "fleet", False):
        return NOTHING_SET
    places = {"--config-dir": args.config_dir, "--logs-dir": args.logs_dir}
    usual = (CONFIG_DIR, LOGS_DIR)
    given = [part for place in places.items() if place[1] not in usual for part in place]
    try:
        found = _preset(tuple(args.config), tuple(given))
    except ConfigurationError as error:
        if getattr(args, "server", None) is None or args.account is None:
            raise
        logger.warning("%s", error)
        return NOTHING_SET
    for option, used in places.items():
        wanted = found.get(option[2:].replace("-", "_"), used)
        if used in usual and wanted != used:
            logger.warning(
                "%s sets %s to %s for Certbot. Give us %s, too.",
                found.where,
                option[2:],
                wanted,
                option,
            )
    return found


_preset = functools.cache(read_preset)


def verifies(args: argparse.Namespace) -> bool:
    """Whether to check the certificate of the CA's server, as Certbot does. Raises as above."""
    return not (args.no_verify_ssl or preset(args).get("no_verify_ssl", False))
