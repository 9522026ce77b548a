"""What ``migrate`` does: find certificates that can move, plan their records, and move them.

We publish the records first and look whether they are in DNS; then, one certificate at a time, we
keep the renewal configuration as it is and change it. A certificate whose renewal configuration
has changed is ours, and any other is not: so after an interruption, the next run continues.
"""

import argparse
import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from certbot_dns_persist import files, options
from certbot_dns_persist.ca.offer import Answer, Offer
from certbot_dns_persist.change import words
from certbot_dns_persist.cli import changing, setting
from certbot_dns_persist.cli.changing import Group
from certbot_dns_persist.errors import ConfigurationError, Error
from certbot_dns_persist.judge.plan import Plan
from certbot_dns_persist.judge.words import lagging
from certbot_dns_persist.options import Options, options_of
from certbot_dns_persist.providers import credentials
from certbot_dns_persist.request import renewal as renewals
from certbot_dns_persist.request import wrapped
from certbot_dns_persist.request.applicants import Given
from certbot_dns_persist.request.certificate import addresses_of_certificate
from certbot_dns_persist.request.lineages import Lineage, names_of
from certbot_dns_persist.request.moving import Machine, changes_of, move_of
from certbot_dns_persist.request.renewal import AUTHENTICATOR, Renewal
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.request.subjects import Subject, Subjects, Trouble, Troubles, bases

#: In octets; a longer program is no script.
_LONGEST_SCRIPT = 1_000_000


@dataclasses.dataclass(frozen=True)
class _Certificate:
    """A certificate that another authenticator renews, and what is to become of it."""

    renewal: Renewal
    """Its renewal configuration now."""
    lineage: Lineage
    """What it will be."""
    saved: Mapping[str, str | bool]
    """Our options that its renewal configuration gets; Certbot's cli.ini may set others."""
    offer: Offer
    subjects: Sequence[Subject]
    """The domains that need records; none as long as the CA does not offer the challenge."""

    @property
    def name(self) -> str:
        """The lineage's name."""
        return self.renewal.name

    @property
    def options(self) -> Options:
        """Our options for it."""
        return options_of({}, self.lineage.options)

    @property
    def in_words(self) -> str:
        """From where it moves, and whereto."""
        saved = self.lineage.options
        means = [f"{key} {saved[key]}" for key in ("credentials", "script") if key in saved]
        provider = " with ".join([f"the provider {saved.get('provider', 'manual')}", *means])
        until = "" if self.subjects else ", and dns-01 until its CA offers dns-persist-01"
        return f"  {self.name}: from {self.renewal.authenticator} to {provider}{until}"

    @property
    def requests(self) -> set[ValidationRequest]:
        """What records must prove for it."""
        return {subject.request for subject in self.subjects}


class Migration:
    """Moves certificates to this authenticator."""

    def __init__(self, args: argparse.Namespace) -> None:
        # They import Certbot's ACME client and what providers need, which no other command does.
        from certbot_dns_persist.cli.offers import Offers
        from certbot_dns_persist.providers import loader

        self._args = args
        self._config_dir = Path(args.config_dir)
        given = setting.given(args).options
        known = loader.available()
        with setting.usage():
            options.check_options(given.get, known)
        self._given = {
            name.replace("-", "_"): str(value) for name, value in given.items() if value is not None
        }
        self._machine = Machine(known, _takes_credentials, _knows_us)
        self._offers = Offers(args)
        self._preset = setting.preset(args)
        self._source = Subjects(
            self._config_dir,
            setting.journal(args),
            Given(verify=setting.verifies(args), preset=self._preset),
        )
        self._made: list[Path] = []
        """Credentials files that this run needs."""
        self._accounts: dict[tuple[str, str], str | None] = {}
        """Why an account at a CA cannot be used; ``None`` if it can."""
        self._stay: dict[str, str] = {}
        """Why certificates stay as they are, by name."""

    def run(self) -> int:
        """Move what can be moved; return the exit status."""
        try:
            return self._run()
        finally:
            wrapped.tidy(self._config_dir, self._made)

    def _run(self) -> int:
        args = self._args
        found = list(self._find())
        groups, plans = self._plan(found)
        while len(moving := self._remaining(found)) < len(found):  # what stays needs no records
            found = moving
            groups, plans = self._plan(found)
        stay = in_words(self._stay)
        if args.only_print:
            awaited = [each for each in moving if _misses(each, plans[each.options])]
            moving = [each for each in moving if each not in awaited]
            stay += self._print(awaited, plans)
        if not moving:
            if not stay and (args.all or args.origins):
                changing.say(args, self._nothing)
            return changing.conclude(stay)
        if not changing.agreed(args, "\n".join([self._shown(moving, plans), *stay])):
            return 0 if args.dry_run and not stay else changing.FAILED
        self._move(moving, groups)
        left = in_words({each.name: self._stay[each.name] for each in moving if self._stays(each)})
        if moved := [each.name for each in moving if not self._stays(each)]:
            back = f"{setting.command_line(args, 'migrate')} --all --back"
            renewed = "They are" if moved[1:] else "It is"
            changing.say(
                args,
                f"Moved: {', '.join(moved)}. {renewed} renewed with dns-persist from now on; hooks "
                f"and all other settings are as before. To undo that: {back}",
            )
        changing.conclude([*(stay if args.quiet else ()), *left])
        return changing.FAILED if stay or left else 0

    def _stays(self, each: _Certificate) -> bool:
        return each.name in self._stay

    def _remaining(self, found: Sequence[_Certificate]) -> list[_Certificate]:
        return [each for each in found if not self._stays(each)]

    # Find

    def _find(self) -> Iterator[_Certificate]:
        """Yield the certificates that can move as far as their files and CAs say."""
        names = self._args.cert_name or renewals.lineage_names(self._config_dir)
        for name in dict.fromkeys(names):
            try:
                renewal = renewals.read_renewal(self._config_dir, name)
                if self._is_meant(renewal):
                    yield self._certificate(renewal)
            except Error as error:
                self._stay[name] = str(error)

    def _is_meant(self, renewal: Renewal) -> bool:
        plugin = renewal.authenticator
        if plugin == AUTHENTICATOR:
            if renewal.name in self._args.cert_name:
                changing.say(self._args, f"{renewal.name} is renewed by dns-persist already.")
            return False
        return not self._args.origins or is_one_of(plugin, self._args.origins)

    def _certificate(self, renewal: Renewal) -> _Certificate:
        """Return what is to become of a certificate.

        Raises :class:`~certbot_dns_persist.errors.Error`, with the reason, if it cannot move.
        """
        move = move_of(renewal, self._given, self._machine)
        saved: dict[str, str | bool] = {
            name: value == "True" if value in ("True", "False") else value
            for name, value in move.options.items()
        }
        if move.wrapped:
            path = wrapped.write(self._config_dir, move.options["provider"], move.wrapped)
            self._made.append(path)
            saved["credentials"] = str(path)
        lineage = Lineage(
            renewal.name,
            renewal.path,
            AUTHENTICATOR,
            names_of(renewal),
            self._preset.get("server", renewal.server),
            self._preset.get("account", renewal.account) or "",
            {**saved, **self._preset.options},
        )
        if addresses := addresses_of_certificate(renewal.certificate):
            raise ConfigurationError(
                f"its certificate has the IP address {addresses[0]}, and dns-persist-01 only works "
                "for domain names."
            )
        if not lineage.domains:
            raise ConfigurationError("its certificate has no domain name.")
        offer = self._offers.of(lineage)
        if offer.answer is not Answer.YES:
            if options_of({}, lineage.options).fallback != "dns-01":
                again = ""
                if lineage.server in self._offers.silent:
                    again = " The CA could not be asked now: run the same command again later. Or:"
                raise ConfigurationError(
                    f"{offer.in_words}{again} With --dns-persist-fallback dns-01 it can move all "
                    "the same: it is renewed with dns-01 until the CA offers dns-persist-01."
                )
            return _Certificate(renewal, lineage, saved, offer, ())
        subjects: list[Subject] = []
        troubles = Troubles()
        for each in self._source.of([lineage]):
            if isinstance(each, Trouble):
                troubles.add(each)
            else:
                subjects.append(each)
        if reasons := troubles.in_words():
            raise ConfigurationError("\n".join(reasons))
        return _Certificate(renewal, lineage, saved, offer, subjects)

    @property
    def _nothing(self) -> str:
        origins = self._args.origins
        which = f"is renewed by {' or '.join(origins)}" if origins else "has another authenticator"
        return f"There is nothing to move: no certificate in {self._config_dir} {which}."

    # Plan

    def _plan(self, found: Sequence[_Certificate]) -> tuple[list[Group], dict[Options, list[Plan]]]:
        """Return the subjects by their options, and what is to be published for them.

        If that turns out to be impossible, it is noted why the certificates stay.
        """
        by_options: dict[Options, dict[ValidationRequest, Subject]] = {}
        for each in found:
            subjects = by_options.setdefault(each.options, {})
            subjects |= {subject.request: subject for subject in each.subjects}
        groups = [
            Group(self._args, each, [*subjects.values()], subset=True)
            for each, subjects in by_options.items()
        ]
        return groups, {group.options: self._plans_of(group, found) for group in groups}

    def _plans_of(self, group: Group, found: Sequence[_Certificate]) -> list[Plan]:
        def leave(requests: Sequence[ValidationRequest], why: str) -> None:
            for each in found:
                if not each.requests.isdisjoint(requests):
                    self._stay.setdefault(each.name, why)

        for each in found:
            if each.options == group.options and not each.subjects:
                self._require_fallback(group, each)
        standings = group.ensure.look([subject.request for subject in group.subjects])
        for standing in standings:
            if standing.found.trouble:
                leave(
                    [standing.request],
                    f"its name {standing.request.name} cannot be looked up: "
                    f"{standing.found.trouble}. Check that the domain is delegated and that this "
                    "machine's resolvers work (--dns-persist-resolvers names others).",
                )
        known = [standing for standing in standings if not standing.found.trouble]
        try:
            plans = group.ensure.plan(known)
        except ConfigurationError as error:
            leave([standing.request for standing in known], str(error))
            return []
        planned = {request for plan in plans for request in plan.requests}
        for standing in known:
            if not standing.accepted and standing.request not in planned:
                leave([standing.request], "its record cannot be published: see the warning above.")
        for plan in plans:
            why = self._why_not(group, plan)
            if why is not None:
                leave(plan.requests, why)
        return plans

    def _require_fallback(self, group: Group, each: _Certificate) -> None:
        """Note it if a certificate cannot be renewed as long as its CA lacks the challenge."""
        for domain in bases(each.lineage.domains):
            try:
                if not group.publisher.writes(f"_acme-challenge.{domain}"):
                    raise ConfigurationError(
                        f"{each.offer.in_words} Until it does, dns-01 needs a provider that can "
                        "write: name it with --dns-persist-provider."
                    )
            except Error as error:
                self._stay.setdefault(each.name, str(error))

    def _why_not(self, group: Group, plan: Plan) -> str | None:
        """Return why a record should not or cannot be published, ``None`` if it can."""
        request = plan.requests[0]
        account = request.server, request.account_url
        if account not in self._accounts:
            try:
                setting.require_valid_account(self._args, *account)
                self._accounts[account] = None
            except Error as error:
                self._accounts[account] = str(error)
        if self._accounts[account] is not None or self._args.only_print:
            return self._accounts[account]
        try:
            if group.publisher.writes(plan.name):
                return None
        except Error as error:
            return str(error)
        if changing.at_terminal() or group.options.propagation_seconds:
            return None
        return (
            "its records are missing in DNS, and its provider is manual: you publish them. --print "
            "shows them; publish them, then run the same command again."
        )

    def _print(
        self, awaited: Sequence[_Certificate], plans: Mapping[Options, Sequence[Plan]]
    ) -> list[str]:
        """Print the records that certificates wait for; return that they do, in words."""
        records = [
            words.record_to_publish(plan)
            for planned in plans.values()
            for plan in planned
            if any(not each.requests.isdisjoint(plan.requests) for each in awaited)
        ]
        if records:
            print("Please publish in DNS:\n\n{}\n".format("\n\n".join(records)), flush=True)
        return [f"{each.name} can move when its records are in DNS." for each in awaited]

    def _shown(
        self, moving: Sequence[_Certificate], plans: Mapping[Options, Sequence[Plan]]
    ) -> str:
        planned = [plan for each in plans.values() for plan in each]
        requests = {request for plan in planned for request in plan.requests}
        lines = ["To be moved to dns-persist:"]
        for each in moving:
            there = each.subjects and each.requests.isdisjoint(requests)
            lines.append(f"{each.in_words}{'; its records are in DNS' if there else ''}")
        lines += dict.fromkeys(f"  {each.offer.in_words}" for each in moving)
        if planned and not self._args.only_print:
            lines += ["To be published first:", words.changes(planned)]
        return "\n".join(lines)

    # Move

    def _move(self, moving: Sequence[_Certificate], groups: Sequence[Group]) -> None:
        """Publish the records, look whether they are there, then change the configurations."""
        if not self._args.only_print:
            for group in groups:
                group.ensure.authorize([subject.request for subject in group.subjects])
        changing.lock_certbot(self._args)
        standings = {
            standing.request: standing
            for group in groups
            for standing in group.ensure.look([subject.request for subject in group.subjects])
        }
        # If the provider has the record and we see another view, the CA decides, as in an order.
        unseen = {request for group in groups for request in group.ensure.unseen}
        for each in moving:
            late = [
                standings[subject.request]
                for subject in each.subjects
                if not standings[subject.request].everywhere and subject.request not in unseen
            ]
            if late:
                self._stay[each.name] = (
                    "its records are not on all servers, and the CA may ask any of them. Run the "
                    f"same command again when they are:\n{lagging(late)}"
                )
                continue
            try:
                self._switch(each)
            except ConfigurationError as error:
                self._stay[each.name] = str(error)

    def _switch(self, each: _Certificate) -> None:
        """Keep a renewal configuration, then change it."""
        saved = {name: str(value) for name, value in each.saved.items()}
        changes = changes_of(each.renewal, saved)

        renewals.keep(self._config_dir, each.renewal)
        renewals.replace(
            each.renewal.path,
            lambda octets: renewals.rewritten(octets, changes),
            expected=each.renewal.octets,
        )


def _misses(each: _Certificate, plans: Sequence[Plan]) -> bool:
    """Whether a record that a certificate needs is not there."""
    missing = {s.request for plan in plans for s in plan.standings if not s.accepted}
    return not each.requests.isdisjoint(missing)


def is_one_of(plugin: str, wanted: Sequence[str]) -> bool:
    """Whether an authenticator is one of those that the user names."""
    # Older Certbots put the distribution before the name.
    return plugin in wanted or plugin.rpartition(":")[2] in wanted


def in_words(stay: Mapping[str, str]) -> list[str]:
    """Return a message for each reason, with all certificates that it is for."""
    names: dict[str, list[str]] = {}
    for name, why in stay.items():
        names.setdefault(why, []).append(name)
    return [
        f"{', '.join(them)} {'stay as they are' if them[1:] else 'stays as it is'}: {why}"
        for why, them in names.items()
    ]


def _takes_credentials(path: str) -> bool:
    """Whether a file can be read as a credentials file of ours; one that is missing may be."""
    try:
        credentials.read(path)
    except ConfigurationError:
        return not Path(path).exists()
    return True


def _knows_us(program: str) -> bool:
    """Whether a program's text has the variables that the provider ``script`` sets."""
    path = Path(shutil.which(program) or program)
    try:
        return path.stat().st_size <= _LONGEST_SCRIPT and b"DNS_PERSIST_" in files.read(
            files.followed(path)
        )
    except OSError:
        return False
