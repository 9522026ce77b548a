"""The one workflow: look, publish, wait, retire.

Look at every name at once; what authorises needs nothing more. For the rest, make a plan, show
it, apply it through the provider, wait until the zones' servers serve it, and only then take
away what it supersedes. Every step may be the last one of this process: the next run looks
first, finds what is there, and goes on.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from certbot_dns_persist import credentials, errors, providers
from certbot_dns_persist.journal import Change, Journal
from certbot_dns_persist.lookup import Lookup
from certbot_dns_persist.options import (
    MANUAL_PROPAGATION_SECONDS,
    PROPAGATION_SECONDS,
    Options,
)
from certbot_dns_persist.plan import Plan, Standing, ends_soon, make_plans
from certbot_dns_persist.providers.interface import Provider, Settings
from certbot_dns_persist.render import live, text
from certbot_dns_persist.request import ValidationRequest

logger = logging.getLogger(__name__)

#: Why a record is published, as the change log says it.
MISSING, ENDING = "nothing there authorises", "the record there ends soon"

#: Seconds between two looks at the servers: soon at first, then patient.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where the workflow runs."""

    notify: Callable[[str], None]
    """Shows text to the user, unless quiet was asked for."""

    terminal: bool = False
    """Whether somebody sits at a terminal and may be waited for."""

    dry_run: bool = False
    """Whether nothing of what is published may stay, and nothing that is there may go."""

    subset: bool = False
    """Whether a name that cannot be proven must not stop the others."""

    clock: Callable[[], float] = time.time
    """UNIX seconds."""


class Ensure:
    """Makes DNS authorise requests."""

    def __init__(
        self, options: Options, lookup: Lookup, journal: Journal, surroundings: Surroundings
    ) -> None:
        self._options = options
        self._lookup = lookup
        self._journal = journal
        self._here = surroundings
        self._loaded: Provider | None = None
        self._published: list[Plan] = []

    def look(self, requests: Sequence[ValidationRequest]) -> list[Standing]:
        """Return what DNS says now of each of ``requests``, all looked up at once."""
        found = self._lookup.find([request.name for request in requests])
        at = int(self._here.clock())
        return [Standing(request, found[request.name], at) for request in requests]

    def authorize(self, requests: Sequence[ValidationRequest]) -> None:
        """Return when DNS authorises every one of ``requests``.

        Raises :class:`~certbot_dns_persist.errors.Error` when it does not and cannot be made to;
        what was published until then stays, and the next call goes on from there. With
        ``subset`` that is a warning, and the CA has the last word.
        """
        standings = self.look(requests)
        self._report(standings)
        known = [s for s in standings if not s.found.trouble]
        plans = make_plans([s for s in known if not s.authorized], self._options, MISSING)
        published = self._publish(plans) if plans else []
        partly = [s.request for s in known if s.authorized and not s.everywhere]
        self._settle(published, partly)
        if not self._here.dry_run:
            self._refresh([s for s in known if s.authorized])

    def withdraw(self) -> None:
        """Take away what this object published, and nothing else: the end of a dry run."""
        while self._published:
            plan = self._published[-1]
            self._remove(plan, plan.value, "end of the dry run")
            self._published.pop()

    # Look

    def _report(self, standings: Sequence[Standing]) -> None:
        for warning in dict.fromkeys(w for s in standings for w in s.found.warnings):
            logger.warning(warning)
        silent = [server for s in standings if not s.found.trouble for server in s.found.silent]
        for trouble in dict.fromkeys(f"{server} {server.trouble}" for server in silent):
            logger.warning("The name server %s. The CA may ask it, and fail.", trouble)
        unknown = [s for s in standings if s.found.trouble]
        if unknown:
            self._fail(text.cannot_be_looked_up(unknown))

    # Publish

    def _publish(self, plans: Sequence[Plan]) -> list[Plan]:
        """Return those of ``plans`` whose records are now on their way."""
        try:
            provider = self._provider()
        except errors.Error as error:
            self._fail(self._cannot_publish(plans, str(error)))
            return []
        if not provider.writes:
            return self._ask_to_publish(plans)
        failed = self._apply(plans)
        if failed:
            self._fail("\n\n".join(self._cannot_publish(v, k) for k, v in failed.items()))
        return [plan for plan in plans if plan in self._published]

    def _ask_to_publish(self, plans: Sequence[Plan]) -> list[Plan]:
        if not self._patience():
            self._fail(self._cannot_publish(plans, "The provider is manual: you publish them."))
            return []
        self._here.notify(f"Please publish in DNS:\n\n{text.missing_records(plans)}\n")
        return list(plans)

    def _apply(self, plans: Sequence[Plan]) -> dict[str, list[Plan]]:
        """Publish ``plans`` through the provider; return those that failed, by the reason."""
        provider = self._provider()
        self._here.notify(f"Publishing through {self._options.provider}:\n{text.changes(plans)}")
        failed: dict[str, list[Plan]] = {}
        for plan in plans:
            try:
                zone = provider.zone_for(plan.name)
                with self._noted("add", plan, plan.value, plan.reason, zone):
                    provider.add_value(plan.name, plan.value, plan.ttl)
                self._published.append(plan)
            except errors.ProviderError as error:
                failed.setdefault(str(error), []).append(plan)
        return failed

    def _cannot_publish(self, plans: Sequence[Plan], why: str) -> str:
        lines = [
            f"Records are missing in DNS, and they could not be published from here. {why}",
            text.missing_records(plans),
            "Publish what is missing next to what is there, then run the same command again. "
            "That is needed once: renewals find it.",
        ]
        if self._here.dry_run:
            request = plans[0].requests[0]
            lines.append(
                f"This was a dry run: it asked {request.server} with the account "
                f"{request.account_url}, for which a record is needed. Records for another CA or "
                "account, such as production's, are not in question."
            )
        return "\n\n".join(lines)

    def _provider(self) -> Provider:
        if self._loaded is None:
            name, file = self._options.provider, self._options.credentials
            self._loaded = providers.load(
                name,
                Settings(
                    credentials=credentials.read(file, name),
                    credentials_file=file,
                    notify=self._here.notify,
                ),
            )
        return self._loaded

    # Wait and retire

    def _settle(self, published: Sequence[Plan], partly: Sequence[ValidationRequest]) -> None:
        """Wait for what was published and for what some servers lack; retire the superseded."""
        awaited: dict[ValidationRequest, tuple[str, ...]] = dict.fromkeys(partly, ())
        for plan in published:
            awaited |= dict.fromkeys(plan.requests, plan.retire)
        standings = self._wait(awaited) if awaited else {}
        for request in partly:
            if not standings[request].everywhere:
                logger.warning(
                    "The record of %s is not on all of its servers. The CA may ask one of these, "
                    "and refuse:\n%s",
                    request.domain,
                    text.lagging([standings[request]]),
                )
        unseen = []
        for plan in published:
            now = [standings[request] for request in plan.requests]
            if all(standing.everywhere for standing in now):
                self._conclude(plan, now)
            else:
                unseen += now
        if unseen:
            self._fail(
                f"The records were published, but after {self._patience()} seconds these servers "
                f"do not serve them, and the CA may ask any:\n{text.lagging(unseen)}\n"
                "Nothing is lost: run the same command again when they do; it finds the records "
                "and goes on. --dns-persist-propagation-seconds sets how long to wait."
            )

    def _wait(
        self, awaited: Mapping[ValidationRequest, tuple[str, ...]]
    ) -> dict[ValidationRequest, Standing]:
        """Look until all servers authorise each request without the values that go with it.

        Returns what stood there at the end, when time was up at the latest.
        """
        deadline = time.monotonic() + self._patience()
        pause = FIRST_PAUSE
        try:
            with live.watching(self._here.terminal) as show:
                while True:
                    now = {s.request: s.without(awaited[s.request]) for s in self.look([*awaited])}
                    left = deadline - time.monotonic()
                    if left <= 0 or all(standing.everywhere for standing in now.values()):
                        return now
                    show(list(now.values()), left)
                    time.sleep(min(pause, left))
                    pause = min(pause * 1.5, LONGEST_PAUSE)
        except KeyboardInterrupt:
            raise errors.NotAuthorized(text.interrupted(awaited)) from None

    def _patience(self) -> int:
        """Return for how many seconds a record is waited for."""
        if self._options.propagation_seconds is not None:
            return self._options.propagation_seconds
        if self._options.provider != "manual":
            return PROPAGATION_SECONDS
        return MANUAL_PROPAGATION_SECONDS if self._here.terminal else 0

    def _conclude(self, plan: Plan, standings: Sequence[Standing]) -> None:
        """Retire what ``plan`` supersedes, now that its record is seen everywhere."""
        if not self._provider().writes:
            self._note("add", plan, plan.value, f"{plan.reason}; a person published it")
        if self._here.dry_run or not plan.retire:
            return
        if any(s.found.silent for s in standings):
            self._here.notify(
                f"Not every server of {plan.name} could be asked, so what the new record "
                "supersedes was left there. It does no harm."
            )
            return
        for value in plan.retire:
            try:
                self._remove(plan, value, "superseded")
            except errors.ProviderError as error:
                logger.warning(
                    "The superseded record at %s could not be removed. It does no harm. %s",
                    plan.name,
                    error,
                )

    def _remove(self, plan: Plan, value: str, reason: str) -> None:
        provider = self._provider()
        if not provider.writes:
            provider.remove_value(plan.name, value)
            return
        zone = provider.zone_for(plan.name)
        with self._noted("remove", plan, value, reason, zone):
            provider.remove_value(plan.name, value)

    # Refresh

    def _refresh(self, standings: Sequence[Standing]) -> None:
        """Replace records that end soon, where we may write; nothing of this can fail an order."""
        due = [s for s in standings if ends_soon(s, self._options)]
        if not due:
            return
        try:
            plans = [p for p in make_plans(due, self._options, ENDING) if p.lasts_longer]
            if plans and self._provider().writes:
                why = "; ".join(self._apply(plans))
                self._settle([plan for plan in plans if plan in self._published], [])
                due = [s for s in due if not any(s in p.standings for p in self._published)]
            else:
                why = "It is not renewed from here: " + (
                    "the provider is manual." if plans else "no later end is configured."
                )
        except errors.Error as error:
            why = str(error)
        for standing in due:
            if standing.end is not None:
                logger.warning("%s %s", text.ends(standing, standing.end), why)

    def _fail(self, message: str) -> None:
        if not self._here.subset:
            raise errors.NotAuthorized(message)
        logger.warning(message)

    # The change log

    @contextlib.contextmanager
    def _noted(
        self, action: Literal["add", "remove"], plan: Plan, value: str, reason: str, zone: str
    ) -> Iterator[None]:
        """Note the change that the body makes, also when it fails or is interrupted."""
        try:
            yield
        except errors.ProviderError as error:
            self._note(action, plan, value, reason, zone, str(error))
            raise
        except BaseException as error:
            unknown = f"interrupted by {type(error).__name__}, the outcome is unknown"
            self._note(action, plan, value, reason, zone, unknown)
            raise
        self._note(action, plan, value, reason, zone)

    def _note(
        self,
        action: Literal["add", "remove"],
        plan: Plan,
        value: str,
        reason: str,
        zone: str | None = None,
        result: str = "ok",
    ) -> None:
        request = plan.requests[0]
        self._journal.record(
            Change(
                action=action,
                name=plan.name,
                value=value,
                ttl=plan.ttl if action == "add" else None,
                provider=self._options.provider,
                zone=zone,
                reason=reason,
                server=request.server,
                account_url=request.account_url,
                domain=request.domain,
                persist_until=plan.record.persist_until if value == plan.value else None,
                result=result,
            )
        )
