"""The one workflow: look, publish, wait, retire.

Look up all names at once; those with an authorising record need nothing more. For the rest, make
a plan, show it, apply it through the provider, wait until every authoritative server serves the
records, and only then remove those that they supersede, after another look under a lock. The
process may end after any step: the next run looks first, finds what is there, and continues.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from certbot_dns_persist import errors
from certbot_dns_persist.change import interrupted, words
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.change.surroundings import Surroundings, denied_for, patience
from certbot_dns_persist.judge import hiding, slips
from certbot_dns_persist.judge.plan import Plan, make_plans
from certbot_dns_persist.judge.retire import not_needed, wherever_they_lead
from certbot_dns_persist.judge.standing import Standing, ends_soon, lasts_too_long
from certbot_dns_persist.judge.words import lagging, why_due
from certbot_dns_persist.options import Options
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.shown import logger_of, printable
from certbot_dns_persist.wait import look_until

if TYPE_CHECKING:
    from certbot_dns_persist.lookup.session import Lookup

logger = logger_of(__name__)

#: Why a record is published, as the change log says it.
MISSING, EXPIRING_OR_OUTDATED = "no record authorises", "the record expires soon or is outdated"
DOUBTFUL = "only some CAs accept the record"
TOO_LONG = "the record lasts longer than is asked for"
#: Why one is removed.
SUPERSEDED = "superseded"


class Introduced(NamedTuple):
    """Plans whose new records are published, beside what they are to replace."""

    seen: list[Plan]
    """Every server authorises every request without the old records."""
    unseen: list[Plan]
    """The provider has the new record, and nobody serves it here."""


class Ensure:
    """Makes DNS authorise requests."""

    def __init__(
        self, options: Options, lookup: "Lookup", publisher: Publisher, surroundings: Surroundings
    ) -> None:
        self._options = options
        self._lookup = lookup
        self._publisher = publisher
        self._here = surroundings
        self._asked: Sequence[ValidationRequest] = ()
        self.unseen: set[ValidationRequest] = set()
        """Those whose records the provider has, though they were not seen when time was up."""

    def look(self, requests: Sequence[ValidationRequest]) -> list[Standing]:
        """Return what DNS says now about each of ``requests``, all looked up at once."""
        found = self._lookup.find([request.name for request in requests])
        at = int(time.time())
        return [Standing(request, found[request.name], at) for request in requests]

    def authorize(self, requests: Sequence[ValidationRequest]) -> bool:
        """Make DNS authorise every one of ``requests``; return whether that is seen from here.

        Raises :class:`~certbot_dns_persist.errors.Error` when it does not and cannot be made to;
        what was published until then stays, and the next call goes on from there. With
        ``subset`` that is a warning, and the CA has the last word. So it is where the provider
        has the record and nobody serves it here: we may see another view than the CA.
        """
        self._asked = requests
        standings = self.look(requests)
        if self.clear_up(standings) or self._rely_on(standings):
            standings = self.look(requests)
        self._report(standings)
        known = [s for s in standings if not s.found.trouble]
        missing = self.placed([s for s in known if not s.accepted])
        plans = self._make_plans(missing, MISSING)
        doubtful = [s for s in known if s.doubtful]
        if not self._here.ca_decides:
            plans += self._make_plans(self.placed(doubtful), DOUBTFUL)
            doubtful = []
        published = self._publish(plans) if plans else []
        partly = [s.request for s in known if s.authorized and not s.everywhere]
        seen = self._settle(published, partly)
        # A dry run does not care when a record expires, but whether the CA accepts it.
        lasting = [s for s in known if s.authorized and not self._here.dry_run]
        published += self._refresh(lasting + doubtful)
        published += self._shorten(lasting)
        self._warn_of_ends(lasting, published)
        return seen

    def clear_up(self, standings: Sequence[Standing]) -> bool:
        """Finish or clear what interrupted runs have left at the names; never fails.

        Returns whether the names must be looked at again.
        """
        needed: dict[str, set[str]] = {}
        for standing in standings:
            values = needed.setdefault(standing.found.canonical_name, set())
            values.update(standing.evaluation.accepted)
        found = [standing.found for standing in standings]
        return interrupted.clear_up(self._publisher, found, needed, dry_run=self._here.dry_run)

    def _rely_on(self, standings: Sequence[Standing]) -> bool:
        """Let nobody remove as replaced what an order cannot do without; never fails.

        Returns whether there was something like that, which may be gone by now.
        """
        relied_on = False
        for standing in standings:
            name = standing.found.canonical_name
            replaced = self._publisher.journal.replaced(name) if standing.accepted else ()
            if replaced and not self._here.dry_run and not standing.without(replaced).everywhere:
                needed = standing.evaluation.accepted.keys() & set(replaced)
                interrupted.keep(self._publisher, name, needed)
                relied_on = relied_on or bool(needed)
        return relied_on

    def plan(self, standings: Sequence[Standing]) -> list[Plan]:
        """Return what :meth:`authorize` would publish for ``standings``."""
        missing = [s for s in standings if not s.found.trouble and not s.accepted]
        plans = self._make_plans(self.placed(missing), MISSING) + self._due(standings)
        return plans + (self._shorter(standings) if self._here.shorten else [])

    def _make_plans(self, standings: Iterable[Standing], reason: str) -> list[Plan]:
        return make_plans(standings, self._options, reason, shorten=self._here.shorten)

    def placed(self, standings: Sequence[Standing]) -> list[Standing]:
        """Return ``standings`` with the places where records for them are to be published.

        Raises :class:`~certbot_dns_persist.errors.NotAuthorized` when one there would hide names
        from a wildcard, or when that cannot be found out, unless the options permit it. With
        ``subset`` that is a warning, and the others are returned.
        """
        if not standings:
            return []
        around = self._lookup.neighbourhoods(standing.found for standing in standings)
        placed, obstacles = [], []
        for standing in standings:
            request, there = standing.request, around[standing.found.name]
            obstacle = hiding.obstacle(
                request.domain, there, self._options.may_hide, wildcard=request.wildcard
            )
            if obstacle is not None:
                obstacles.append(obstacle)
            else:
                found = hiding.at_place(standing.found, there)
                placed.append(dataclasses.replace(standing, found=found))
        if obstacles:
            self._fail(hiding.refusal(obstacles), standings[0].request)
        return placed

    def introduce(self, plans: Sequence[Plan]) -> "Introduced":
        """Publish what ``plans`` add, and wait until every server authorises without the old.

        Retires nothing, even if it is not in use any more. Raises
        :class:`~certbot_dns_persist.errors.Error` if the servers do not get that far; then what was
        published stays.
        """
        new = [p for p in plans if any(p.value not in s.found.values for s in p.standings)]
        if new:
            self._publish(new)
        self._keep([plan for plan in plans if plan not in new])
        denied = denied_for((s.found for p in new for s in p.standings), self._patience())
        now = self._wait({r: plan.retire for plan in plans for r in plan.requests}, denied)
        seen, late = _done_and_late(plans, now)
        accepted = self._accepted_unseen({p: them for p, them in late.items() if p in new})
        missing = [
            s for p, them in late.items() if p not in accepted for s in them if not s.everywhere
        ]
        if missing:
            self._fail(words.not_replaced(missing, self._patience()), missing[0].request)
        return Introduced(seen, [*accepted])

    def take_over(
        self,
        introduced: "Introduced",
        lock: Callable[[], None],
        between: Callable[[], Sequence[ValidationRequest]],
    ) -> list[Plan]:
        """Retire what the plans name, even if it is still in use.

        Nothing is retired until every server authorises every request without it, also after
        ``lock`` has waited for others who replace records, and until ``between`` has returned: the
        requests of others, who keep the records that they need. Nothing is retired where nobody
        serves the new record here. Returns those plans that could not be retired completely. Raises
        :class:`~certbot_dns_persist.errors.Error` if nothing was removed.
        """
        lock()
        self._keep(introduced.seen)
        if lost := self._not_in_force(introduced.seen):
            self._fail(words.taken_away(lost), lost[0].request)
        others = between()
        return self._conclude(introduced.seen, others)

    def _keep(self, plans: Iterable[Plan]) -> None:
        """Let nobody remove the new records as replaced, as they may have been before."""
        for plan in plans:
            self._publisher.keep(_record(plan), plan.reason)

    def _not_in_force(self, plans: Sequence[Plan]) -> list[Standing]:
        """Return what DNS or the provider do not authorise any more without the old records."""
        now = {s.request: s for s in self.look([r for plan in plans for r in plan.requests])}
        found = []
        for plan in plans:
            try:
                listed = self._publisher.listed(plan.name)
            except errors.ProviderError as error:
                logger.debug("%s could not be asked again: %s", plan.name, error)
                listed = {}
            standings = [now[r].with_lists(listed).without(plan.retire) for r in plan.requests]
            found += [standing for standing in standings if not standing.everywhere]
        return found

    def withdraw(self) -> None:
        """Remove what this object published, and nothing else: the end of a dry run."""
        self._publisher.withdraw("end of the dry run")

    # Look

    def _report(self, standings: Sequence[Standing]) -> None:
        for warning in dict.fromkeys(w for s in standings for w in s.found.warnings):
            logger.warning("%s", printable(warning))
        silent = [server for s in standings if not s.found.trouble for server in s.found.silent]
        for trouble in dict.fromkeys(f"{server} {server.trouble}" for server in silent):
            logger.warning("The name server %s. The CA may ask it, and fail.", printable(trouble))
        unknown = [s for s in standings if s.found.trouble]
        if unknown:
            self._fail(words.cannot_be_looked_up(unknown), unknown[0].request)

    # Publish

    def _publish(self, plans: Sequence[Plan]) -> list[Plan]:
        """Publish ``plans``; return those whose records should appear in DNS, by hand too."""
        ours: list[Plan] = []
        by_hand: list[Plan] = []
        failed: dict[str, list[Plan]] = {}
        for plan in plans:
            try:
                (ours if self._publisher.writes(plan.name) else by_hand).append(plan)
            except errors.Error as error:
                failed.setdefault(str(error), []).append(plan)
        if by_hand and not (self._here.terminal or self._options.propagation_seconds):
            failed[words.by_hand(self._options)] = by_hand
            by_hand = []
        published = self._apply(ours, failed)
        if failed:
            misplaced = self._misplaced([plan for them in failed.values() for plan in them])
            messages = [words.cannot_publish(v, why, misplaced) for why, v in failed.items()]
            if not self._here.dry_run:
                messages.append(words.PUBLISH_ONCE)
            self._fail("\n\n".join(messages), plans[0].requests[0])
        if by_hand:
            missing = words.missing_records(by_hand, self._misplaced(by_hand))
            self._here.notify(f"Please publish in DNS:\n\n{missing}\n")
        return published + by_hand

    def _misplaced(self, plans: Sequence[Plan]) -> words.Misplaced:
        """Return what stands at wrong names instead of what ``plans`` are to publish."""
        standings = [standing for plan in plans for standing in plan.standings]
        domains = [standing.request.domain for standing in standings]
        inspections = self._lookup.inspect(domains, caa=False, elsewhere=True)
        return {
            inspection.domain: slips.misplaced(standing, inspection.elsewhere)
            for standing, inspection in zip(standings, inspections, strict=True)
        }

    def _apply(self, plans: Sequence[Plan], failed: dict[str, list[Plan]]) -> list[Plan]:
        """Publish ``plans``; return those that are published, and add the others to ``failed``."""
        published: list[Plan] = []
        if plans:
            names = ", ".join(dict.fromkeys(self._publisher.names(plan.name) for plan in plans))
            self._here.notify(f"Publishing through {names}:\n{words.changes(plans)}")
        outcomes = self._publisher.add_all([(_record(plan), plan.reason) for plan in plans])
        for plan, why in zip(plans, outcomes, strict=True):
            if why is None:
                published.append(plan)
            else:
                failed.setdefault(str(why), []).append(plan)
        self._publisher.settle()
        return published

    # Wait and retire

    def _settle(self, published: Sequence[Plan], partly: Sequence[ValidationRequest]) -> bool:
        """Wait for what was published and for what some servers lack; retire the superseded.

        Returns whether what was published is seen.
        """
        awaited: dict[ValidationRequest, tuple[str, ...]] = dict.fromkeys(partly, ())
        for plan in published:
            awaited |= dict.fromkeys(plan.requests, plan.retire)
        denied = denied_for((s.found for p in published for s in p.standings), self._patience())
        standings = self._wait(awaited, denied) if awaited else {}
        for request in partly:
            if not standings[request].everywhere:
                logger.warning(
                    "The record of %s is not on all of its servers. The CA may ask one of these, "
                    "and refuse:\n%s",
                    request.domain,
                    lagging([standings[request]]),
                )
        done, late = _done_and_late(published, standings)
        accepted = self._accepted_unseen(late)
        self._conclude(done)
        unseen = [s for plan, them in late.items() if plan not in accepted for s in them]
        if unseen:
            self._fail(words.not_seen(unseen, self._patience()), unseen[0].request)
        return not late

    def _wait(
        self, awaited: Mapping[ValidationRequest, tuple[str, ...]], after: int = 0
    ) -> dict[ValidationRequest, Standing]:
        """Look until all servers authorise each request without the values that it maps to.

        The first look is ``after`` that many seconds. Returns what stood there at the end, when
        time was up at the latest.
        """

        def look() -> list[Standing]:
            return [s.without(awaited[s.request]) for s in self.look([*awaited])]

        try:
            with self._here.watch() as show:
                standings = look_until(
                    look,
                    lambda now: all(s.everywhere for s in now),
                    self._patience(),
                    show,
                    after=after,
                )
        except KeyboardInterrupt:
            self._here.notify(words.interrupted(awaited))
            raise
        return {standing.request: standing for standing in standings}

    def _accepted_unseen(self, late: Mapping[Plan, Sequence[Standing]]) -> set[Plan]:
        """Return those plans whose records nobody serves here, and the provider has.

        ``late`` has the requests of each as they stand now.
        """
        accepted: set[Plan] = set()
        told: dict[tuple[bool | None, str], list[Standing]] = {}
        for plan, standings in late.items():
            if any(s.authorized for s in standings) or not self._publisher.writes(plan.name):
                continue
            vouched = self._publisher.vouches(_record(plan))
            told.setdefault((vouched, self._publisher.names(plan.name)), []).extend(standings)
            if vouched:
                accepted.add(plan)
                self.unseen.update(plan.requests)
            else:
                doubt = f"no server showed it within {self._patience()} seconds"
                self._publisher.note_doubt(_record(plan), plan.reason, doubt)
        for (vouched, names), standings in told.items():
            unseen = words.unseen(standings)
            if vouched:
                logger.warning(words.accepted_unseen(unseen, names, self._patience()))
            else:
                say = words.in_doubt if vouched is None else words.vanished
                logger.warning(say(unseen, names))
        return accepted

    def _patience(self) -> int:
        return patience(self._options, terminal=self._here.terminal)

    def _conclude(
        self, plans: Sequence[Plan], others: Sequence[ValidationRequest] = ()
    ) -> list[Plan]:
        """Retire what ``plans`` supersede, now that their records are on every server.

        Returns the plans of which something is left that this run should have removed, or a person
        has to. What one of ``others`` needs is left, too.
        """
        for plan in plans:
            by_hand = not self._publisher.writes(plan.name)
            if by_hand and any(plan.value not in s.found.values for s in plan.standings):
                self._publisher.note_added_by_hand(_record(plan), plan.reason)
        due = [] if self._here.dry_run else [plan for plan in plans if plan.retire]
        left: list[Plan] = []
        for together in self._publisher.batches(due, lambda plan: plan.name):
            left += self._retire(together, others)
        return left

    def _retire(self, plans: Sequence[Plan], others: Sequence[ValidationRequest]) -> list[Plan]:
        """Remove what ``plans`` supersede, while no other process changes these names.

        We look again first: since the last look, somebody may have removed the record that we rely
        on, or come to rely on one that we are about to remove.
        """
        left: list[Plan] = []
        try:
            with self._publisher.locked([plan.name for plan in plans]):
                requests = [*(r for plan in plans for r in plan.requests), *others]
                now = {s.request: s for s in self.look(list(dict.fromkeys(requests)))}
                for plan in plans:
                    mine, theirs = ([now[r] for r in them] for them in (plan.requests, others))
                    if not self._remove(plan, mine, theirs):
                        left.append(plan)
        except errors.ProviderError as error:
            left = list(plans)
            for plan in plans:
                self._warn_of_old(plan.name, error)
        return left

    def _remove(
        self, plan: Plan, standings: Sequence[Standing], others: Sequence[Standing]
    ) -> bool:
        """Remove what ``plan`` supersedes, as far as that is safe; return whether all is gone."""
        if any(s.found.silent or s.found.warnings or s.found.trouble for s in standings):
            self._here.notify(
                f"Not every server of {plan.name} could be asked, so the record that the new "
                "one supersedes was left there. It does no harm."
            )
            return False
        gone = self._publisher.writes(plan.name)
        try:
            listed = self._publisher.listed(plan.name)
            now = standings[0]
            standings = [standing.with_lists(listed) for standing in standings]
            others = [
                standing.with_lists(listed) for standing in wherever_they_lead(others, now.found)
            ]
            if not all(
                s.found.canonical_name == plan.name and s.without(plan.retire).everywhere
                for s in standings
            ):
                logger.warning(
                    "The record that was to take over at %s is not there any more, so the one that "
                    "it supersedes was left. Another process or person has changed the name.",
                    plan.name,
                )
                return False
            free, needing = not_needed(others, plan.name, plan.retire)
            for standing in needing:
                gone = False
                logger.warning(words.left_for(plan, standing))
            there = {value for standing in standings for value in standing.found.values}
            self._publisher.forget(plan.name, set(free) - there)
            for value in (value for value in free if value in there):
                self._publisher.remove(_record(plan, value), SUPERSEDED)
        except errors.ProviderError as error:
            gone = False
            self._warn_of_old(plan.name, error)
        return gone

    def _warn_of_old(self, name: str, error: errors.ProviderError) -> None:
        logger.warning(
            "The superseded record at %s could not be removed. It does no harm. %s", name, error
        )

    # Refresh

    def _refresh(self, standings: Sequence[Standing]) -> list[Plan]:
        """Replace what expires soon, is outdated or doubtful, if we may write; never fails.

        Returns the plans of what was published.
        """
        due = [s for s in standings if self._is_due(s)]
        if not due:
            return []
        published, why = self._better(lambda: self._due(due), words.NO_LATER_EXPIRY)
        for standing in due:
            if any(standing.request in plan.requests for plan in published):
                continue
            # An outdated record works for now; one that expires does not, so warn even with -q.
            goes_on = standing.outdated or standing.doubtful
            level = logging.WARNING if goes_on else logging.ERROR
            logger.log(level, "%s %s", why_due(standing), why)
        return published

    def _better(self, make: Callable[[], list[Plan]], why: str) -> tuple[list[Plan], str]:
        """Publish what ``make`` plans in place of records that do for now; never fails.

        Returns the plans of what is in force now, and why the others are not: ``why``, if there was
        nothing to plan.
        """
        try:
            plans = make()
            ours = [plan for plan in plans if self._publisher.writes(plan.name)]
            if plans != ours:
                why = f"It cannot be changed from here; please do it:\n{words.changes(plans)}"
            failed: dict[str, list[Plan]] = {}
            published = self._apply(ours, failed)
            if failed:
                why = "; ".join(failed)
            self._settle(published, [])
        except errors.Error as error:
            return [], str(error)
        return published, why

    def _due(self, standings: Sequence[Standing]) -> list[Plan]:
        """Return what would last longer, be of a newer form, or be accepted by more CAs."""
        due = [s for s in standings if s.accepted and self._is_due(s)]
        plans: list[Plan] = []
        for reason, group in (
            (DOUBTFUL, [s for s in due if s.doubtful]),
            (EXPIRING_OR_OUTDATED, [s for s in due if not s.doubtful]),
        ):
            better = [plan for plan in self._make_plans(group, reason) if plan.improves]
            placed = self.placed([standing for plan in better for standing in plan.standings])
            plans += self._make_plans(placed, reason)
        return plans

    def _is_due(self, standing: Standing) -> bool:
        return standing.doubtful or standing.outdated or ends_soon(standing, self._options)

    # Expiry dates

    def _shorten(self, standings: Sequence[Standing]) -> list[Plan]:
        """Replace what lasts longer than is asked for, or say what to do; never fails.

        Returns the plans of what was published.
        """
        long = [s for s in standings if lasts_too_long(s, self._options)]
        if not long:
            return []
        published, why = self._better(
            lambda: self._shorter(long) if self._here.shorten else [], words.ROTATE
        )
        if published:
            with contextlib.suppress(errors.Error):
                long = self.look([standing.request for standing in long])
        for standing in long:
            if lasts_too_long(standing, self._options):
                logger.warning("%s %s", words.too_long(standing, self._options), why)
        return published

    def _shorter(self, standings: Sequence[Standing]) -> list[Plan]:
        """Return what ends when it is asked for, in place of what lasts longer."""
        long = [s for s in standings if lasts_too_long(s, self._options)]
        return [plan for plan in self._make_plans(self.placed(long), TOO_LONG) if plan.retire]

    def _warn_of_ends(self, standings: Sequence[Standing], published: Sequence[Plan]) -> None:
        """Say which records expire before the certificate is renewed, if nothing replaces them."""
        renewal = self._here.renewal
        replaced = self._options.valid_for is not None and self._options.providers != ("manual",)
        if renewal is None or replaced:
            return
        # Of those that expire soon, the warning is out.
        ends = {s.request: s.end for s in standings if not self._is_due(s)}
        ends |= {request: p.record.persist_until for p in published for request in p.requests}
        early: dict[int, list[ValidationRequest]] = {}
        for request, end in ends.items():
            if end is not None and end < renewal:
                early.setdefault(end, []).append(request)
        for end, requests in sorted(early.items()):
            logger.warning("%s", words.ends_early(requests, end, renewal))

    def _fail(self, message: str, request: ValidationRequest) -> None:
        if self._here.dry_run:
            message = f"{message}\n\n{words.dry_run(request, self._renewals())}"
        if not self._here.subset:
            raise errors.NotAuthorized(message)
        logger.warning(message)

    def _renewals(self) -> list[Standing]:
        """Return how the renewals stand of what this is a trial for, as far as that is known."""
        try:
            return self.look(self._here.renewals(self._asked))
        except errors.Error as error:
            logger.debug("Whether renewals are affected is unknown: %s", error)
            return []


def _done_and_late(
    plans: Sequence[Plan], now: Mapping[ValidationRequest, Standing]
) -> tuple[list[Plan], dict[Plan, list[Standing]]]:
    """Return the plans whose records all servers have, and the others with how they stand."""
    done: list[Plan] = []
    late: dict[Plan, list[Standing]] = {}
    for plan in plans:
        standings = [now[request] for request in plan.requests]
        if all(standing.everywhere for standing in standings):
            done.append(plan)
        else:
            late[plan] = standings
    return done, late


def _record(plan: Plan, value: str | None = None) -> TxtRecord:
    """Return the record that ``plan`` adds or, with ``value``, one that it supersedes."""
    request = plan.requests[0]
    return TxtRecord(
        name=plan.name,
        value=plan.value if value is None else value,
        ttl=plan.ttl,
        domain=request.domain,
        server=request.server,
        account_url=request.account_url,
        persist_until=plan.record.persist_until if value is None else None,
        zone=plan.standings[0].found.zone,
    )
