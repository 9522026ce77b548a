"""``certbot-dns-persist rollover``: give an account a new key (RFC 8555 section 7.3.5).

The old key does all until the CA has the new one, and records for both are in DNS meanwhile. After
an interruption at any point, the next rollover goes on from there; in between, our renewals work:
they use the key that the CA accepts. Those of other authenticators with the same account do so once
the next rollover, or one of our renewals, has run.
"""

import argparse
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from certbot_dns_persist.account import thumbprint
from certbot_dns_persist.ca import key_change
from certbot_dns_persist.ca.key_change import Holder, NotReplaced
from certbot_dns_persist.change import rollover as steps
from certbot_dns_persist.change.ensure import Introduced
from certbot_dns_persist.change.publisher import TxtRecord
from certbot_dns_persist.cli import arguments, changing, setting
from certbot_dns_persist.cli.changing import Group
from certbot_dns_persist.errors import (
    AccountError,
    ConfigurationError,
    Error,
    NoSuchAccount,
    UsageError,
)
from certbot_dns_persist.judge.plan import Plan, make_plans, supersedes
from certbot_dns_persist.judge.standing import Standing, ends_soon
from certbot_dns_persist.request import rollovers
from certbot_dns_persist.request.accounts import account_id, choose_account, read_key
from certbot_dns_persist.request.applicants import Applicants
from certbot_dns_persist.request.renewal import AUTHENTICATOR
from certbot_dns_persist.request.request import ValidationRequest, make_request
from certbot_dns_persist.request.rollovers import Rollover
from certbot_dns_persist.request.subjects import Subject, Subjects, Trouble

EXAMPLES = """\
  certbot-dns-persist rollover --account ID --dry-run
  certbot-dns-persist rollover --account ID --yes

ID is Certbot's id of the account, which is the name of its directory below accounts/, or its URL.

exit status: 0 the account has a new key, 1 not, or something is left for you to do; 3 wrong usage
or an unexpected error
"""

REASON = "account key rollover"
GIVEN_UP = "account key rollover given up"


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "rollover",
        usage="[OPTION...]",
        summary="Give an account a new key, and let the old one go.",
        examples=EXAMPLES,
    )
    group = changing.add_change(parser)
    group.add_argument(
        "--cancel",
        action="store_true",
        help="give up a rollover that was begun, if the CA does not have the new key yet",
    )
    arguments.add_may_hide(group)
    arguments.add_certbot(parser, server="that of the account", account="the only one")
    arguments.add_options(parser, (*arguments.LOOKING, *arguments.WRITING))
    parser.set_defaults(run=run, failed=changing.FAILED)


def run(args: argparse.Namespace) -> int:
    """Replace the key of an account; return the exit status."""
    setting.refuse_closed(args)
    unasked = args.yes and not args.dry_run
    if unasked:
        changing.lock_certbot(args)
    work = _Work(args)
    if not changing.agreed(args, work.describe()):
        return 0 if args.dry_run else changing.FAILED
    if not unasked:  # the answer may have taken hours
        changing.lock_certbot(args)
        now = _Work(args)
        if now.gist != work.gist:
            raise ConfigurationError(
                "What is to be changed has changed while you were asked, so nothing was changed. "
                "Run the same command again."
            )
        work = now
    rollovers.sweep(Path(args.config_dir))
    return changing.conclude(work.cancel() if args.cancel else work.carry_out())


class _Work:
    """The rollover of one account: what was begun already, and what is left."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._config_dir = Path(args.config_dir)
        self._journal = setting.journal(args)
        self._verify = setting.verifies(args)
        self._holder = Holder.OLD
        self._told = False
        """Whether this run has told the CA of the new key."""
        self._unseen: list[Plan] = []
        self._kept: list[Plan] = []
        self._begun = self._find_begun()
        if self._begun is None:
            self._find_account()
        else:
            self._resume(self._begun)
        groups = [] if args.cancel else self._groups()
        self._plans = [(group, self._make_plans(group)) for group in groups]

    def _find_begun(self) -> Rollover | None:
        """Return the rollover that was begun for the account in question, if there is one."""
        args = self._args
        begun = [
            each
            for each in rollovers.begun_rollovers(self._config_dir)
            if each.concerns(args.server, args.account)
        ]
        if len(begun) > 1:
            ids = "; ".join(f"--account {each.kept.id}" for each in begun)
            raise ConfigurationError(f"Several rollovers were begun. Choose one: {ids}.")
        if not begun and args.cancel:
            raise ConfigurationError(
                "There is no rollover to give up: none was begun, or it is finished."
            )
        return begun[0] if begun else None

    def _find_account(self) -> None:
        try:
            self._account = choose_account(self._config_dir, self._args.server, self._args.account)
        except NoSuchAccount as error:
            if self._args.account is None:
                raise
            raise UsageError(str(error)) from error
        old = read_key(self._config_dir / "accounts" / self._account.home)
        self._renewals = steps.renewals_with(self._config_dir, self._account)
        self._server = (
            self._args.server
            or next((renewal.server for renewal in self._renewals), None)
            or f"https://{self._account.servers[0]}"  # Certbot does not keep the scheme
        )
        key_change.require_key_change(
            old, self._account.account.url, self._server, verify=self._verify
        )
        self._key = steps.make_key(old)
        self._new_id = account_id(self._key)

    def _resume(self, begun: Rollover) -> None:
        self._account, self._server, self._new_id = begun.kept, begun.server, begun.new_id
        self._renewals = steps.renewals_with(self._config_dir, begun.kept, begun.new_id)
        self._key = begun.new_key()
        if begun.sent:
            self._holder = steps.holder(self._config_dir, begun, verify=self._verify)
        if self._holder is Holder.NEITHER and not self._args.cancel:
            raise AccountError(
                f"{key_change.neither(begun.kept.account.url, begun.server)} Nothing was changed. "
                f"The new key is in {begun.prepared}. To give up the rollover: "
                f"{setting.command_line(self._args, 'rollover')} --cancel"
            )

    # Records

    def _groups(self) -> list[Group]:
        """Return what needs other records with the new key: all that has hashed account URIs."""
        ours = [each.name for each in self._renewals if each.authenticator == AUTHENTICATOR]
        if not ours:
            return []
        found = setting.given(self._args)
        # Certbot may ignore the accounts that are saved, but we are about one of them.
        given = dataclasses.replace(
            found, server=None, account=None, preset=found.preset.with_saved_accounts()
        )
        source = Subjects(self._config_dir, self._journal, given)
        applicants = Applicants(self._config_dir, self._journal, given)
        subjects: list[Subject] = []
        for each in source.of_lineages(ours):
            if isinstance(each, Trouble):
                domain = f"{each.domain}: " if each.domain else ""
                raise ConfigurationError(f"{domain}{each.reason} Nothing was changed.")
            if each.request.account_uris.shared:
                subjects.append(self._with_new_key(each, applicants))
        return changing.group_by_options(self._args, subjects)

    def _with_new_key(self, subject: Subject, applicants: Applicants) -> Subject:
        url, old = self._account.account.url, self._account.account.thumbprint
        new = thumbprint(self._key)
        request = make_request(
            subject.request.domain,
            wildcard=subject.request.wildcard,
            shared=subject.options.shared,
            terms=applicants.find(subject.lineages[0]).terms,
            account=dataclasses.replace(self._account.account, thumbprint=new),
            earlier_keys=lambda: list(dict.fromkeys([old, *self._journal.earlier_keys(url, new)])),
            server=subject.request.server,
        )
        return dataclasses.replace(subject, request=request)

    def _make_plans(self, group: Group) -> list[Plan]:
        """Return what to publish for the new key where there is a record for the old one."""
        standings = list(filter(_has_hashed_record, group.look()))
        made = make_plans(group.ensure.placed(standings), group.options, REASON)
        plans = [_with_record_that_stands(plan, group) for plan in made]
        return [plan for plan in plans if plan.retire or not _stands(plan)]

    # What people see

    @property
    def gist(self) -> object:
        """What is to be done, without keys."""
        return (
            self._account,
            self._server,
            self._begun and self._begun.directory,
            self._holder,
            [(renewal.name, renewal.account) for renewal in self._renewals],
            [(plan.name, len(plan.retire)) for _, plans in self._plans for plan in plans],
        )

    def describe(self) -> str:
        """Return what is to be done, for people."""
        url = self._account.account.url
        if self._args.cancel:
            return f"To be given up: the new key of the account {url} at {self._server}."
        lines = [
            f"The account {url} at {self._server} gets a new key ({_kind(self._key)}). Then the CA "
            "refuses the old one, on every machine that has it."
        ]
        if self._begun is not None:
            has = "has" if self._holder is Holder.NEW else "does not have"
            lines.append(
                f"That was begun at {self._begun.begun}, and is now finished: the CA {has} the new "
                "key."
            )
        if names := [renewal.name for renewal in self._renewals]:
            lines.append("These certificates will be renewed with Certbot's new id of the account:")
            lines += [f"  {name}" for name in names]
        lines += self._describe_records()
        lines += [
            f"{path} names the account by its old id, {self._account.id}. Change that yourself "
            "right afterwards: until then, Certbot does not find the account."
            for path in self._config_files()
        ]
        return "\n".join(lines)

    def _describe_records(self) -> Iterator[str]:
        by_provider: dict[str, list[str]] = {}
        for group, plans in self._plans:
            for plan in plans:  # this also reads the credentials, before we ask the user
                by_provider.setdefault(group.publisher.names(plan.name), []).append(plan.name)
        for provider, names in by_provider.items():
            yield f"Records for the new key come beside these, which go afterwards ({provider}):"
            yield from (f"  {name} TXT" for name in names)
        if not self._plans:
            yield "No record changes: the account's URL, which records name, stays."

    def _config_files(self) -> Iterator[Path]:
        """Yield Certbot's configuration files that name the account by its old id."""
        xdg = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        usual = [Path(arguments.CONFIG_DIR, "cli.ini"), xdg / "letsencrypt" / "cli.ini"]
        value = rf"[\"']?{re.escape(self._account.id)}\b"
        named = re.compile(rf"^\s*(?:--)?account\s*[=:]?\s*{value}", re.MULTILINE)
        for path in dict.fromkeys([*usual, *map(Path, self._args.config)]):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if named.search(text):
                yield path

    # What is done

    def carry_out(self) -> list[str]:
        """Replace the key; return messages on what is left to do."""
        begun = self._begun
        if begun is None:
            begun = steps.begin(self._config_dir, self._account, self._server, self._key)
        try:
            self._publish_and_switch(begun)
        except NotReplaced as error:
            try:
                self._withdraw()
                # A CA may refuse to replace what it has just replaced, and show us what was before.
                steps.give_up(self._config_dir, dataclasses.replace(begun, sent=True))
            except Error as failed:
                raise NotReplaced(
                    f"{error} So the old key stays. But this could not be undone: {failed} To undo "
                    f"it: {setting.command_line(self._args, 'rollover')} --cancel"
                ) from failed
            raise NotReplaced(f"{error} So the old key stays, and nothing was changed.") from error
        except Error as error:
            raise ConfigurationError(f"{error}\n\n{self._how_to_go_on(begun)}") from error
        steps.end(begun)
        changing.say(
            self._args,
            f"The account {self._account.account.url} has a new key, and the CA refuses the old "
            f"one. Certbot's id of the account is now {self._new_id}. The directory with the old "
            f"key is {steps.former(self._config_dir, self._account.id)}.",
        )
        return [*self._left()]

    def _publish_and_switch(self, begun: Rollover) -> None:
        """Publish and wait, for one group after the other; then switch; then remove the old.

        So no group's old records go before all have the new ones, and the CA has the new key.
        """
        self._take_over(
            begun, [(group, group.ensure.introduce(plans)) for group, plans in self._plans]
        )

    def _take_over(self, begun: Rollover, left: Sequence[tuple[Group, Introduced]]) -> None:
        if not left:
            self._switch(begun)
            return
        (group, introduced), *others = left

        def between() -> list[ValidationRequest]:
            self._take_over(begun, others)
            return []  # nobody else can need a record for this account

        self._unseen += introduced.unseen
        self._kept += group.ensure.take_over(introduced, lambda: None, between)

    def _switch(self, begun: Rollover) -> None:
        if self._holder is not Holder.NEW:
            self._told = True
            steps.send(self._config_dir, begun, verify=self._verify)
            self._holder = Holder.NEW
        steps.switch(self._config_dir, begun, self._journal)

    def _how_to_go_on(self, begun: Rollover) -> str:
        again = "Fix this, then run the same command again; it continues from there."
        if self._holder is Holder.NEW:
            return f"The CA has the new key, which is in {begun.prepared}. {again}"
        if self._told:
            return (
                f"The CA may have the new key, which is in {begun.prepared}. Run the same command "
                "again: it asks the CA for both keys."
            )
        return (
            f"The old key is still in use. {again} To give up instead: "
            f"{setting.command_line(self._args, 'rollover')} --cancel"
        )

    def _left(self) -> Iterator[str]:
        for path in self._config_files():
            yield (
                f"{path} names the account by its old id, {self._account.id}: replace it with "
                f"{self._new_id} now. Until then, Certbot does not find the account."
            )
        for plan in self._unseen:
            yield (
                f"The new record at {plan.name} is published, but cannot be seen from here, so the "
                "old one was not removed. It does no harm; where the new one is seen, "
                "certbot-dns-persist prune removes it."
            )
        for plan in self._kept:
            yield (
                f"At {plan.name}, the record for the old key could not be removed. It does no "
                "harm; remove it with: certbot-dns-persist prune, or yourself."
            )

    # Giving up

    def cancel(self) -> list[str]:
        """Give up what was begun; return messages on what is left to do."""
        if self._begun is None or self._holder is Holder.NEW:
            raise ConfigurationError(
                f"The CA already has the new key of the account {self._account.account.url}, so "
                "the rollover cannot be given up. To finish it: "
                f"{setting.command_line(self._args, 'rollover')}"
            )
        self._withdraw()
        steps.give_up(self._config_dir, self._begun)
        changing.say(self._args, "Given up: the account keeps the key that it has.")
        return []

    def _withdraw(self) -> None:
        """Remove the records for the new key, which no CA knows."""
        for group in self._groups():
            for standing in group.look():
                for value in _made_with_new_key(standing):
                    group.publisher.remove(_record(standing, value), GIVEN_UP)


def _kind(key: Any) -> str:
    return f"{key.typ}, {key.key.key_size} bits"


def _has_hashed_record(standing: Standing) -> bool:
    """Whether a record that is accepted was made with a key of the account."""
    uris = standing.request.account_uris
    accepted = standing.evaluation.accepted.values()
    return any(record.account_uri in uris.bound | uris.shared for record in accepted)


def _made_with_new_key(standing: Standing) -> list[str]:
    uris = standing.request.account_uris
    return [
        finding.value
        for finding in standing.evaluation.findings
        if finding.record and finding.record.account_uri in (uris.published, *uris.current)
    ]


def _record(standing: Standing, value: str) -> TxtRecord:
    request = standing.request
    return TxtRecord(
        name=standing.found.canonical_name,
        value=value,
        ttl=0,  # it is only for a record that is added
        domain=request.domain,
        server=request.server,
        account_url=request.account_url,
    )


def _with_record_that_stands(plan: Plan, group: Group) -> Plan:
    """Return ``plan`` with the record for the new key that is there already, if it is as good.

    An interrupted run has published it. With --dns-persist-valid-for, another one would end later.
    """
    now = plan.standings[0]
    for value, record in now.evaluation.authorizing.items():
        as_made = dataclasses.replace(plan.record, persist_until=record.persist_until)
        if record == as_made and value == record.to_value() and not ends_soon(now, group.options):
            others = (each for each in now.found.own_values if supersedes(record, each, now))
            return dataclasses.replace(plan, record=record, retire=tuple(others))
    return plan


def _stands(plan: Plan) -> bool:
    return all(plan.value in standing.found.own_values for standing in plan.standings)
