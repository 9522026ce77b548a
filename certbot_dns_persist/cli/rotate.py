"""``certbot-dns-persist rotate``: replace the records, without a gap.

We publish the new records and wait until every server has them, and until no cache has the old ones
alone, where these would not do; then we change what Certbot renews the certificates with; only then
we remove the old records, and wait until no server has them. An interruption at any point leaves
the old records, both, or the new ones, and renewals that work with them.
"""

import argparse
import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from certbot_dns_persist.change.ensure import Introduced
from certbot_dns_persist.change.surroundings import patience
from certbot_dns_persist.change.words import changes
from certbot_dns_persist.cli import arguments, changing, fleet, report, setting
from certbot_dns_persist.cli.changing import Group
from certbot_dns_persist.errors import ConfigurationError, Error, NotAuthorized
from certbot_dns_persist.judge.plan import Plan, make_plans
from certbot_dns_persist.judge.retire import needed_by, ours
from certbot_dns_persist.judge.standing import Standing, ends_soon
from certbot_dns_persist.record import format_time, parse_time
from certbot_dns_persist.request.accounts import accounts_directory, read_accounts
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.fleet import some_hosts
from certbot_dns_persist.request.lineages import Lineage, change_lineage, read_lineage
from certbot_dns_persist.request.renewal import PREFIX
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.request.subjects import Subject, Subjects, bases, only_subjects
from certbot_dns_persist.shown import printable
from certbot_dns_persist.wait import look_until

EXAMPLES = """\
  certbot-dns-persist rotate --cert-name example.com --dns-persist-valid-for 180
  certbot-dns-persist rotate --all --account NEW --yes

NEW is the other account: Certbot's id, which is the name of its directory below accounts/, or its
URL.

If a renewal needs the new record, old and new stand together for the TTL of the old one, as the CA
may have that in a cache. You may interrupt the wait: the same command continues it later.

exit status: 0 replaced, 1 not; the message says what is in DNS now, and what to do next; 3 wrong
usage or an unexpected error
"""

REASON = "rotation"


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    group = changing.add_command(
        commands,
        "rotate",
        run,
        summary="Replace the records: for another account, CA, policy or expiry date.",
        examples=EXAMPLES,
    )
    group.add_argument(
        "--no-wait",
        action="store_true",
        help="do not wait for caches: remove the old records as soon as every server has the new "
        "ones, as in an emergency; for their TTL, the CA may refuse to renew",
    )


def run(args: argparse.Namespace) -> int:
    """Replace the records of the subjects; return the exit status."""
    fleet.require(args)
    groups = changing.find_groups(args)
    rotations = _find_rotations(args, groups)
    plans = [plan for rotation in rotations for plan in rotation.plans]
    lines = [line for rotation in rotations for line in rotation.changes_of_lineages]
    if not plans and not lines:
        words = "There is nothing to rotate: the records are up to date."
        if any(group.options.valid_for for group in groups):
            words += (
                " With --dns-persist-valid-for, a record is extended when less than a third of "
                "that time is left."
            )
        changing.say(args, words)
        return 0
    changing.require_valid_accounts(args, groups)
    shown = "\n".join([changes(plans), *lines])
    if not changing.agreed(args, f"To be replaced:\n{shown}"):
        return 0 if args.dry_run else changing.FAILED
    if not args.yes:  # the answer may have taken hours
        now = _find_rotations(args, changing.find_groups(args))
        if [rotation.gist for rotation in now] != [rotation.gist for rotation in rotations]:
            raise ConfigurationError(
                "What is to be replaced has changed while you were asked, so nothing was changed. "
                "Run the same command again."
            )
        rotations = now
    failed: list[str] = []
    # All wait for DNS before the first locks Certbot, which only the end of this process unlocks.
    for step in (_Rotation.publish, _Rotation.take_over):
        for rotation in list(rotations):
            try:
                step(rotation)
            except NotAuthorized as error:
                failed.append(str(error))
                rotations.remove(rotation)
        if step is _Rotation.publish and not args.no_wait:
            _wait_for_caches(args, rotations)
    left = failed + [words for rotation in rotations for words in rotation.left()]
    if not left:
        servers = {name for rotation in rotations for name in rotation.servers}
        changing.say(
            args,
            f"Replaced: of {len(servers)} servers that we asked, each has the new records, and "
            f"none the old ones ({format_time(int(time.time()))}).",
        )
    return changing.conclude(left)


def _wait_for_caches(args: argparse.Namespace, rotations: "Sequence[_Rotation]") -> None:
    """Wait until no cache has the old records alone; Certbot may run meanwhile."""
    seconds = max((rotation.seconds_in_caches() for rotation in rotations), default=0)
    if not seconds:
        return
    until = format_time(int(time.time()) + seconds)
    changing.say(
        args,
        f"Old and new records stand together until {until}, as caches may have the old ones alone. "
        "If you interrupt this, run the same command again later.",
    )
    with report.countdown(seconds, "Waiting for caches"):
        time.sleep(seconds)


def _find_rotations(args: argparse.Namespace, groups: Sequence[Group]) -> "list[_Rotation]":
    """Return what is to be replaced.

    Raises :class:`ConfigurationError` if a certificate that is not rotated would lose a record.
    """
    rotations = [_Rotation(args, group) for group in groups]
    for rotation in rotations:
        rotation.refuse_parts()
        rotation.refuse_if_overruled()
    lineages = {lineage.name for rotation in rotations for lineage in rotation.lineages}
    others = changing.standings_of_others(args, but=lineages)
    published_by = fleet.holders(args, [plan.name for each in rotations for plan in each.plans])
    for rotation in rotations:
        rotation.refuse_if_needed_by(others)
        rotation.refuse_if_published_by(published_by)
    return rotations


class _Rotation:
    """The replacement of records for subjects with the same options."""

    def __init__(self, args: argparse.Namespace, group: Group) -> None:
        self._args = args
        self._group = group
        self._given = setting.given(args)
        self._known_accounts: dict[str, Mapping[str, str]] = {}
        self._introduced = Introduced([], [])
        self._kept: list[Plan] = []
        self.servers: set[str] = set()
        """Those that were asked whether they have what was removed."""
        self._standings = standings = group.look()
        new = [plan for plan in self._make_plans(standings) if _changes(plan)]
        # Only for what we publish, we ask the zones which names it would hide.
        placed = group.ensure.placed([standing for plan in new for standing in plan.standings])
        self.plans = [plan for plan in self._make_plans(placed) if _changes(plan)]

    def _make_plans(self, standings: Sequence[Standing]) -> Iterator[Plan]:
        subjects = {subject.request: subject for subject in self._group.subjects}
        former = {
            (standing.request.domain, standing.found.canonical_name): self._former(
                subjects[standing.request], standing
            )
            for standing in standings
        }
        for made in make_plans(standings, self._group.options, REASON):
            plan = self._with_end_that_stands(made)
            retire = {
                value: None
                for request in plan.requests
                for value in former[request.domain, plan.name]
                if value != plan.value
            }
            yield dataclasses.replace(plan, retire=tuple(retire))

    def _with_end_that_stands(self, plan: Plan) -> Plan:
        """Return ``plan`` with the existing record, if it differs only in an expiry not yet soon.

        With --dns-persist-valid-for, the expiry date is different every second. We extend it early
        only if the certificates get other options, too.
        """
        options, now, until = self._group.options, plan.standings[0], plan.record.persist_until
        new = not self.lineages or self._changed
        if new or options.valid_for is None or now.end is None or ends_soon(now, options):
            return plan
        record = dataclasses.replace(plan.record, persist_until=now.end)
        stands = record in now.evaluation.authorizing.values()
        earlier = until is not None and now.end <= until
        return dataclasses.replace(plan, record=record) if stands and earlier else plan

    def _former(self, subject: Subject, standing: Standing) -> list[str]:
        """Return the values of the new account and of the one so far."""
        if standing.found.synthesized:
            return []
        found = ours(standing)
        for request in self._requests_until_now.get(subject.request.domain, ()):
            found += ours(dataclasses.replace(standing, request=request))
        found += self._published_for_a_lost_account(subject, standing)
        return list(dict.fromkeys(found))

    @cached_property
    def _requests_until_now(self) -> dict[str, list[ValidationRequest]]:
        """What the lineages needed so far, by domain; without accounts that are missing."""
        source = Subjects(
            Path(self._args.config_dir), self._group.journal, Given(verify=self._given.verify)
        )
        requests: dict[str, list[ValidationRequest]] = {}
        names = [lineage.name for lineage in self.lineages]
        for subject in only_subjects(source.of_lineages(names)):
            requests.setdefault(subject.request.domain, []).append(subject.request)
        return requests

    def _published_for_a_lost_account(self, subject: Subject, standing: Standing) -> list[str]:
        """Return the values that we published for these lineages with accounts now missing.

        Certbot's files no longer have these accounts, for instance after ``certbot unregister``.
        """
        servers = {lineage.server for lineage in subject.lineages}
        here = {url for server in servers for url in self._accounts(server).values()}
        return [
            record.value
            for record in self._group.journal.published(name=standing.found.canonical_name)
            if record.server in servers and record.account_url not in here
        ]

    def _accounts(self, server: str) -> Mapping[str, str]:
        """Return the URLs of Certbot's accounts at a CA, by Certbot's id."""
        if server not in self._known_accounts:
            directory = accounts_directory(Path(self._args.config_dir), server)
            self._known_accounts[server] = {
                name: account.url for name, account in read_accounts(directory).items()
            }
        return self._known_accounts[server]

    @cached_property
    def lineages(self) -> list[Lineage]:
        """The lineages of the subjects."""
        found = {lineage.name: lineage for s in self._group.subjects for lineage in s.lineages}
        return list(found.values())

    @property
    def gist(self) -> object:
        """What is to be replaced, without the expiry dates, which move while a person is asked."""
        return self.changes_of_lineages, {
            (
                plan.name,
                dataclasses.replace(plan.record, persist_until=None),
                frozenset(plan.retire),
            )
            for plan in self.plans
        }

    def refuse_parts(self) -> None:
        """Raise :class:`ConfigurationError` if only a part of a certificate would change."""
        domains = {subject.request.domain for subject in self._group.subjects}
        for subject in self._group.subjects:
            wildcard = f"*.{subject.request.domain}"
            if not subject.request.wildcard and any(
                wildcard in lineage.domains for lineage in subject.lineages
            ):
                raise ConfigurationError(
                    f"The certificate {subject.lineages[0].name} also has {wildcard}, which needs "
                    f"the same record. Add -d '{wildcard}', or use --cert-name. Nothing was "
                    "changed."
                )
        for lineage in self._changed:
            if rest := bases(lineage.domains).keys() - domains:
                raise ConfigurationError(
                    f"The certificate {lineage.name} also has {', '.join(sorted(rest))}, and all "
                    f"of its names must change together. Use --cert-name {lineage.name}. Nothing "
                    "was changed."
                )

    def refuse_if_needed_by(self, others: Sequence[Standing]) -> None:
        """Raise :class:`ConfigurationError` if one of ``others`` would lose a record."""
        for plan in self.plans:
            for standing in needed_by(others, plan.name, plan.retire):
                raise ConfigurationError(
                    "A certificate that you did not name needs the record at "
                    f"{plan.name} for {standing.request.domain} with the account "
                    f"{standing.request.account_url}. Name all of them with --cert-name, or use "
                    "--all. Nothing was changed."
                )

    def refuse_if_published_by(self, published_by: Callable[[str, str], Collection[str]]) -> None:
        """Raise :class:`ConfigurationError` if another host would lose a record."""
        for plan in self.plans:
            for value in plan.retire:
                if hosts := published_by(plan.name, value):
                    raise ConfigurationError(
                        f"The record at {plan.name} with the account that is to be replaced was "
                        f"published by {printable(some_hosts(hosts))}, as the inventory says, "
                        "which may need it. Rotate there. Nothing was changed."
                    )

    @property
    def changes_of_lineages(self) -> list[str]:
        """What changes in renewal configurations, for people."""
        return [
            f"  The certificate {lineage.name} will be renewed with: "
            + ", ".join(f"{key} {value}" for key, value in self._differences(lineage).items())
            for lineage in self._changed
        ]

    def _differences(self, lineage: Lineage) -> Mapping[str, str]:
        saved = lineage.saved
        return {key: value for key, value in self._wanted.items() if value != str(saved.get(key))}

    @cached_property
    def _wanted(self) -> Mapping[str, str]:
        """What the lineages are to be renewed with."""
        request = self._group.subjects[0].request
        wanted = {"server": request.server, "account": self._account_id(request)}
        for name in arguments.SHAPING:
            # The provider and the credentials of this run are not saved for renewals.
            if self._given.options[name] is not None:
                wanted[name.replace("-", "_")] = str(self._given.options[name])
        return wanted

    def refuse_if_overruled(self) -> None:
        """Raise :class:`ConfigurationError` if Certbot would not renew with what is wanted."""
        preset = self._given.preset
        for key, value in self._wanted.items() if self.lineages else ():
            name = key if key in ("server", "account") else f"{PREFIX}{key}"
            effective = preset.get(name, value)
            if name == "account" and effective is None:
                # Then Certbot takes the only one.
                effective = value if len(self._accounts(self._wanted["server"])) == 1 else None
            if str(effective) != value:
                raise ConfigurationError(
                    f"Certbot would not renew with the {key} {value}: what {preset.where} sets "
                    "comes before the renewal configurations, and if that is the server, Certbot "
                    "ignores the account in them. Nothing was changed. Publish the records first, "
                    "with certbot-dns-persist publish and the same arguments. Then write "
                    f"{name.replace('_', '-')} = {value} there, and run this again."
                )

    def _account_id(self, request: ValidationRequest) -> str:
        accounts = self._accounts(request.server)
        return next(name for name, url in accounts.items() if url == request.account_url)

    def publish(self) -> None:
        """Publish the new records, and wait until every server has them."""
        self._group.ensure.clear_up(self._standings)
        with self._nothing_removed():
            self._introduced = self._group.ensure.introduce(self.plans)

    def seconds_in_caches(self) -> int:
        """For how long caches may have the old records without the new ones that are needed."""
        return max((self._in_caches(plan) for plan in self._introduced.seen), default=0)

    def _in_caches(self, plan: Plan) -> int:
        """For how long caches may have what ``plan`` retires alone, where that does not do."""
        alone = (self._of_names(s).without([plan.value]) for s in plan.standings)
        if not plan.retire or all(standing.everywhere for standing in alone):
            return 0
        noted = self._group.journal.published(name=plan.name)
        ttls = [server.ttl for s in plan.standings for server in s.found.answers]
        # A resolver says only what is left of it.
        ttls += [record.ttl or 0 for record in noted if record.value in plan.retire]
        ttl = max(ttls, default=0)
        for record in noted:
            if record.value == plan.value and record.first_published:
                # If an earlier run published it, every server had it not much later.
                since = int(time.time()) - parse_time(record.last_changed)
                at_last = since - patience(self._group.options, terminal=False)
                return min(ttl, max(0, ttl - at_last))
        return ttl

    def _of_names(self, standing: Standing) -> Standing:
        """Return how the names stand that are asked for, whatever the policy adds to them."""
        names = {
            name
            for subject in self._group.subjects
            if subject.request == standing.request
            for name in subject.names
        }
        wildcard = f"*.{standing.request.domain}" in names
        request = dataclasses.replace(standing.request, wildcard=wildcard)
        return dataclasses.replace(standing, request=request)

    def take_over(self) -> None:
        """Change what the lineages are renewed with, and remove the old records."""
        with self._nothing_removed():
            self._kept = self._group.ensure.take_over(self._introduced, self._lock, self._switch)

    @contextlib.contextmanager
    def _nothing_removed(self) -> Iterator[None]:
        try:
            yield
        except Error as error:
            raise NotAuthorized(
                f"{error}\n\nNothing was removed: what authorised before still does. What was "
                "published stays. Fix this, then run the same command again; it continues "
                "from there."
            ) from error

    def left(self) -> list[str]:
        """Return messages on what is left to do, when all rotations have been carried out."""
        served = self._still_served()
        standings = self._group.ensure.look([r for plan in self._kept for r in plan.requests])
        there = {(s.found.canonical_name, value) for s in standings for value in s.found.values}
        left = [
            f"The new record at {plan.name} is published, but cannot be seen from here, so nothing "
            "was removed there. Old records still authorise the accounts that they name. When "
            "certbot-dns-persist check sees the new one (--dns-persist-resolvers names another "
            "resolver to look with), remove the old ones with: certbot-dns-persist prune. If it "
            "never does, certbot-dns-persist revoke --account removes those of another account."
            for plan in self._introduced.unseen
        ]
        left += [
            f"At {plan.name}, some old ones could not be removed, and still authorise the accounts "
            "that they name. Remove them with: certbot-dns-persist prune, or yourself."
            for plan in self._kept
            # Another rotation may have removed what its certificates needed until then.
            if any((plan.name, value) in there for value in plan.retire)
        ]
        return left + served

    def _still_served(self) -> list[str]:
        """Wait until no server has what was removed; return a message for each that does."""
        gone = [plan for plan in self._introduced.seen if plan not in self._kept]
        removed = {plan.name: plan.retire for plan in gone}

        def look() -> list[str]:
            standings = self._group.ensure.look([r for plan in gone for r in plan.requests])
            answers = [
                (standing.found.canonical_name, server)
                for standing in standings
                for server in standing.found.answers
            ]
            self.servers |= {str(server) for _, server in answers}
            return list(
                dict.fromkeys(
                    f'{name} TXT "{printable(value)}" is removed, and still served by {server}.'
                    for name, server in answers
                    for value in removed.get(name, ())
                    if value in (server.values or ())
                )
            )

        seconds = patience(self._group.options, terminal=False)
        return look_until(look, lambda still: not still, seconds) if gone else []

    @cached_property
    def _changed(self) -> list[Lineage]:
        return [lineage for lineage in self.lineages if self._differences(lineage)]

    def _lock(self) -> None:
        """Wait until no Certbot and no other rotation is running, and let none begin.

        Not even if the renewal files stay as they are: another rotation may change them, and rely
        on what we are about to remove. Raises :class:`ConfigurationError` if one was changed since
        the rotation was planned.
        """
        if self.lineages:
            changing.lock_certbot(self._args)
        config_dir = Path(self._args.config_dir)
        for lineage in self.lineages:
            if read_lineage(config_dir, lineage.name, self._given.preset) != lineage:
                raise ConfigurationError(
                    f"The certificate {lineage.name} was changed by another process "
                    "meanwhile, so it may need other records."
                )

    def _switch(self) -> list[ValidationRequest]:
        """Change what the lineages are renewed with.

        Returns what others need, or may need, at the names of the plans: they may have come to it
        meanwhile.
        """
        gone = {plan.name: list(plan.retire) for plan in self.plans}
        self._group.journal.note_replaced(gone)
        for lineage in self._changed:
            change_lineage(lineage, self._differences(lineage))
        others = changing.standings_of_others(self._args, but=[each.name for each in self.lineages])
        return [s.request for s in others if s.found.trouble or s.found.canonical_name in gone]


def _changes(plan: Plan) -> bool:
    return bool(plan.retire) or any(plan.value not in s.found.own_values for s in plan.standings)
