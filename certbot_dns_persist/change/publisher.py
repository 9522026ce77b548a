"""Changes records through the provider, and logs each change."""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, cast

from certbot_dns_persist.change import probe, words
from certbot_dns_persist.change.locks import Locks
from certbot_dns_persist.errors import (
    Busy,
    CannotLock,
    ConfigurationError,
    Error,
    OutcomeUnknown,
    ProviderError,
)
from certbot_dns_persist.journal.notes import (
    INTERRUPTED,
    NOT_MADE,
    OK,
    WAS_GONE,
    Change,
    Outcome,
)
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.hiding import at_place
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.options import PROPAGATION_SECONDS, Options
from certbot_dns_persist.providers import credentials
from certbot_dns_persist.providers.common import is_plugin
from certbot_dns_persist.shown import logger_of

if TYPE_CHECKING:
    from certbot_dns_persist.inventory.locks import FleetLocks
    from certbot_dns_persist.lookup.session import Lookup
    from certbot_dns_persist.providers.interface import (
        AnsweringProvider,
        LookingProvider,
        ManyProvider,
        Provider,
        Seen,
        Served,
        SettlingProvider,
        UntriedProvider,
    )

logger = logger_of(__name__)

_T = TypeVar("_T")

#: How many names are locked at once: they are looked up together, and others wait for all of them.
LOCKED_AT_ONCE = 20
#: The same where all are added in a few requests: as many as a certificate has.
ADDED_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class TxtRecord:
    """One TXT record, and the account that it is for."""

    name: str
    """Where it goes: the end of the alias chain."""
    value: str
    ttl: int
    """Seconds; used when it is added."""
    domain: str
    """The domain that it proves."""
    server: str
    """The CA's ACME directory URL."""
    account_url: str
    persist_until: int | None = None
    """UNIX seconds."""
    zone: str | None = None
    """The zone that DNS shows it in; ``None`` if that is unknown."""


@dataclasses.dataclass(frozen=True)
class _Missing:
    """A record that one provider does not have yet."""

    place: int
    provider_name: str
    provider: "Provider"
    record: TxtRecord
    change: Change


class _Removal(NamedTuple):
    """A record that one provider is to remove."""

    place: int
    provider: "Provider"
    change: Change
    is_gone: bool
    """Whether the provider says that it does not have it."""


class _Added(NamedTuple):
    """A record to withdraw."""

    provider_name: str
    provider: "Provider"
    record: TxtRecord
    inherited: bool = False
    """Whether an earlier run added it."""


class Publisher:
    """All changes to DNS. Providers are loaded, and their credentials read, when needed.

    It remembers what it has added, so that it can withdraw that and nothing else. While it changes
    a name, no other process on this machine does.
    """

    def __init__(
        self,
        options: Options,
        lookup: "Lookup",
        journal: Journal,
        notify: Callable[[str], None],
        *,
        temporary: bool = False,
        fleet: "FleetLocks | None" = None,
    ) -> None:
        """``temporary`` is whether all that is added will be withdrawn.

        ``fleet`` keeps other hosts from changing the same names, too.
        """
        self._options = options
        self._lookup = lookup
        self.journal = journal
        self._notify = notify
        self._locks = Locks(journal.state_file.parent / "locks", fleet=fleet)
        self._temporary = temporary
        self._credentials: credentials.Credentials | None = None
        self._loaded: dict[tuple[str | None, str], Provider] = {}
        self._added: list[_Added] = []
        self._warned = False
        self._trials = probe.Trials(journal.state_file.with_name("trials.json"))
        self._passed: set[str] = set()
        self._failed: dict[str, ProviderError] = {}

    def writes(self, name: str) -> bool:
        """Whether records at ``name`` can be changed from here; otherwise a person does it.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if a provider cannot be
        loaded, for instance because credentials are missing.
        """
        return all(provider.writes for _, provider in self._providers(name))

    def names(self, name: str) -> str:
        """Return the names of the providers that write ``name``, for messages."""
        return ", ".join(provider for provider, _ in self._providers(name))

    def _providers(self, name: str) -> "list[tuple[str, Provider]]":
        """Return each provider that writes ``name``, with the provider's name."""
        if self._credentials is None:
            self._credentials = credentials.read_for_changes(self._options.credentials)
        section = self._credentials.section(name)
        found = []
        for provider in self._credentials.providers(name, self._options.providers):
            if (section, provider) not in self._loaded:
                self._loaded[section, provider] = self._load(self._credentials, provider, name)
            found.append((provider, self._loaded[section, provider]))
        return found

    def _load(self, file: credentials.Credentials, provider: str, name: str) -> "Provider":
        try:
            from certbot_dns_persist.providers import loader
            from certbot_dns_persist.providers.contained import contained
            from certbot_dns_persist.providers.interface import Settings
        except ImportError as error:
            raise ConfigurationError(
                "No DNS provider can be loaded, because something that certbot-dns-persist needs "
                f"is missing or too old: {error}. Reinstall it the way you installed it."
            ) from error

        known = loader.available()
        if provider not in known and provider not in self._options.providers:
            section = file.section(name)
            where = f"in [{section}] of" if section else "above the sections of"
            raise ConfigurationError(
                f"dns_persist_provider {where} {file.file} names {provider!r}, which is unknown. "
                f"Known are: {', '.join(known)}."
            )
        keys = file.keys(provider, name)
        if provider == "script" and self._options.script is not None:
            keys["command"] = self._options.script
        watches = provider == "script" or is_plugin(provider)
        if watches and self._options.propagation_seconds is not None:
            keys.setdefault("propagation_seconds", str(self._options.propagation_seconds))
        settings = Settings(
            credentials=keys,
            credentials_file=file.file,
            notify=self._notify,
            observe=self._observe,
        )
        loaded = contained(loader.load(provider, settings), provider)
        untried = _untried(loaded)
        identity = untried.identity() if untried else None
        manner = self._trials.passed(identity) if identity else None
        if untried and identity and manner:
            self._passed.add(identity)
            untried.use_manner(manner)
        return loaded

    def _observe(self, name: str) -> "Served":
        from certbot_dns_persist.providers.interface import Served

        found = self.look(name)
        if found.trouble:
            raise ProviderError(f"{name} cannot be looked up: {found.trouble}.")
        if found.canonical_name != name or found.values:
            # What a wildcard answers does not stand there, and a record of its own ends it.
            found = at_place(found, self._lookup.neighbourhoods([found])[name])
        own = set(found.own_values)
        servers = {
            str(answer): tuple(value for value in answer.values or () if value in own)
            for answer in found.answers
        }
        return Served(found.own_values, found.zone, servers)

    def add(self, record: TxtRecord, reason: str) -> None:
        """Publish ``record`` as :meth:`add_all` does.

        Raises :class:`~certbot_dns_persist.errors.ProviderError`.
        """
        (error,) = self.add_all([(record, reason)])
        if error is not None:
            raise error

    def add_all(self, wanted: Sequence[tuple[TxtRecord, str]]) -> list[ProviderError | None]:
        """Publish records, each with its reason, with each provider of its name.

        Not where it is there already. Returns for each ``None``, or why it may not be there.
        Without locks they are published all the same, with a warning.
        """
        # Before the locks: a trial waits for DNS.
        found = [self._refused_by_trial(record) for record, _ in wanted]
        usable = [place for place, why in enumerate(found) if why is None]
        for batch in self.batches(usable, lambda place: wanted[place][0].name, add=True):
            together = self._add_together([wanted[place] for place in batch])
            for place, why in zip(batch, together, strict=True):
                found[place] = why
        return found

    def _add_together(
        self, wanted: Sequence[tuple[TxtRecord, str]], deadline: float | None = None
    ) -> list[ProviderError | None]:
        try:
            with self._locked_if_possible([record.name for record, _ in wanted], deadline):
                return self._add_all(wanted)
        except Busy as error:
            if len(wanted) == 1:
                return [error]
        deadline = self._locks.deadline()  # one for all: a process that hangs may have all of them
        return [error for each in wanted for error in self._add_together([each], deadline)]

    def _refused_by_trial(self, record: TxtRecord) -> ProviderError | None:
        """Return why a writer of ``record`` that we do not know must not touch values of others."""
        if record.name.startswith(probe.LABEL):
            return None
        for name, provider in self._providers(record.name):
            untried = _untried(provider)
            identity = untried.identity() if untried else None
            if untried is None or identity is None or identity in self._passed:
                continue
            try:
                ours = {each.record.value for each in self._added}
                values = provider.list_values(record.name)
                if {*values} - ours - {record.value}:
                    self._try_out(name, untried, identity, record)
            except ProviderError as error:
                return error
        return None

    def _try_out(
        self, name: str, provider: "UntriedProvider", identity: str, record: TxtRecord
    ) -> None:
        """Try out ``provider`` beside ``record``; note it if it passes, raise if it does not."""
        if identity in self._failed:
            raise self._failed[identity]
        zone = provider.zone_for(record.name)
        place = probe.name_beside(record.name, zone)
        self._notify(words.tried_out(identity, record.name, place))

        def change(action: Literal["add", "remove"], value: str) -> ProviderError | None:
            trial = dataclasses.replace(record, name=place, value=value, persist_until=None)
            if action == "remove":
                try:
                    self._undo(name, provider, trial, "end of a trial")
                except ProviderError as error:
                    return error
                self._added = [each for each in self._added if each.record != trial]
                return None
            intended = self._change(action, trial, f"trial of {identity}", name, zone)
            intended = dataclasses.replace(intended, temporary=True)
            failed = self._add_missing([_Missing(0, name, provider, trial, intended)])
            return failed[0][1] if failed else None

        def look() -> list[str] | None:
            try:
                return provider.list_values(place)
            except ProviderError:
                return None

        seconds = self._options.propagation_seconds
        with self._locked_if_possible([place]):
            wrong = probe.try_out(
                place,
                partial(change, "add"),
                partial(change, "remove"),
                look,
                PROPAGATION_SECONDS if seconds is None else seconds,
            )
            self.close_trial(place)
        if wrong is not None:
            self._failed[identity] = ProviderError(words.failed_trial(identity, record.name, wrong))
            raise self._failed[identity]
        self._passed.add(identity)
        self._trials.note(identity, provider.manner())

    def close_trial(self, place: str) -> None:
        """Note that nothing of a trial is left at ``place``, if DNS says so."""
        now = self.look(place)
        if now.trouble or now.own_values:
            return
        for each in self.journal.interrupted([place]):
            made = each.change.action == "remove"
            self.journal.done(Outcome(each, OK if made else NOT_MADE))
        self.forget(place, [each.value for each in self.journal.published(name=place)])

    def trials_left(self) -> list[Found]:
        """Return what DNS holds where an interrupted trial may have left something."""
        names = self.journal.names_starting(probe.LABEL)
        return list(self._lookup.find(names).values()) if names else []

    def _add_all(self, wanted: Sequence[tuple[TxtRecord, str]]) -> list[ProviderError | None]:
        found: list[ProviderError | None] = [None] * len(wanted)
        missing: list[_Missing] = []
        there = self._look_at([record.name for record, _ in wanted])
        for place, (record, reason) in enumerate(wanted):
            try:
                for name, provider in self._providers(record.name):
                    seen = there[id(provider), record.name]
                    if isinstance(seen, ProviderError):
                        raise seen
                    _warn_of_other_zone(record, name, provider, seen.zone)
                    if record.value not in seen.values:
                        change = self._change("add", record, reason, name, seen.zone)
                        missing.append(_Missing(place, name, provider, record, change))
                if self._kept_by_others(record) and self.stands(record.name, record.value) is False:
                    self.forget(record.name, [record.value])  # else it would stay
            except ProviderError as error:
                found[place] = error
        missing = [each for each in missing if found[each.place] is None]
        for place, why in self._add_missing(missing):
            found[place] = found[place] or why
        return found

    def _look_at(self, names: Sequence[str]) -> "dict[tuple[int, str], Seen | ProviderError]":
        """Return what each provider has at each name, by the provider's id and the name."""
        asked: dict[int, tuple[Provider, dict[str, None]]] = {}
        for name in names:
            for _, provider in self._providers(name):
                asked.setdefault(id(provider), (provider, {}))[1][name] = None
        return {
            (number, name): seen
            for number, (provider, its) in asked.items()
            for name, seen in zip(its, _seen(provider, [*its]), strict=True)
        }

    def _add_missing(self, missing: "Sequence[_Missing]") -> "list[tuple[int, ProviderError]]":
        """Add records, all noted together; return those that may not be there, and why."""
        from certbot_dns_persist.providers.interface import Addition, IManyProvider

        intentions = self.journal.intended(*(each.change for each in missing))
        for each, intention in zip(missing, intentions, strict=True):
            # Before the change: it may be interrupted when it has been made.
            self._added.append(_Added(each.provider_name, each.provider, each.record))
            if not intention.noted:
                logger.warning(words.not_noted(each.record.name, each.record.value))
        left = dict(zip(intentions, missing, strict=True))
        outcomes: list[Outcome] = []
        failed: list[tuple[int, ProviderError]] = []
        try:
            while left:
                provider = next(iter(left.values())).provider
                many = IManyProvider.providedBy(provider)
                now = [i for i, each in left.items() if each.provider is provider]
                now = now if many else now[:1]
                additions = [
                    Addition(each.record.name, each.record.value, each.record.ttl)
                    for each in map(left.__getitem__, now)
                ]
                try:
                    if many:
                        told = list(cast("ManyProvider", provider).add_many(additions))
                    else:
                        told = [provider.add_value(*additions[0])]
                except ProviderError as error:
                    told = [error] * len(now)
                except BaseException as error:
                    # The service may have made the change all the same. The next run looks.
                    outcomes += [Outcome(i, _known(error)) for i in now]
                    outcomes += [Outcome(i, NOT_MADE) for i in left if i not in now]
                    raise
                for intention, result in zip(now, told, strict=True):
                    each = left.pop(intention)
                    if isinstance(result, ProviderError):
                        failed.append((each.place, result))
                        outcomes.append(Outcome(intention, _known(result)))
                    else:
                        outcomes.append(Outcome(intention, OK, result))
        finally:
            self.journal.done(*outcomes)
        return failed

    def batches(
        self, wanted: Iterable[_T], name_of: Callable[[_T], str], *, add: bool = False
    ) -> list[list[_T]]:
        """Return ``wanted`` in groups whose names may be locked together.

        Services that are asked through an API take seconds for a group, and no more for a larger
        one if they are to ``add`` many records in one request. A user's program and a plugin of
        Certbot's may wait for minutes at each name, so each is locked alone.
        """
        groups: dict[int, list[_T]] = {}
        for each in wanted:
            groups.setdefault(self._locked_at_once(name_of(each), add=add), []).append(each)
        return [
            group[start : start + size]
            for size, group in groups.items()
            for start in range(0, len(group), size)
        ]

    def _locked_at_once(self, name: str, *, add: bool) -> int:
        from certbot_dns_persist.providers.interface import IManyProvider

        try:
            providers = [provider for _, provider in self._providers(name)]
        except Error:  # whoever uses it says why
            return 1
        many = [IManyProvider.providedBy(provider) for provider in providers]
        if add and all(many):
            return ADDED_AT_ONCE
        quick = all(
            adds_many or _answers(provider) is not None
            for adds_many, provider in zip(many, providers, strict=True)
        )
        return LOCKED_AT_ONCE if quick else 1

    def alone(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from changing ``name``, as :meth:`locked`, whoever writes it."""
        return self._locks.hold([name])

    @contextlib.contextmanager
    def locked(self, names: Collection[str], deadline: float | None = None) -> Iterator[None]:
        """Keep other processes on this machine from changing ``names`` within the context.

        So what was looked at is still so when it is changed. Do not ask a person there, or wait
        for DNS, and lock one of the :meth:`batches` at a time. Names that only a person changes are
        not locked. Raises :class:`~certbot_dns_persist.errors.ProviderError` if that is not
        possible.
        """
        ours = [n for n in names if any(provider.writes for _, provider in self._providers(n))]
        with self._locks.hold(ours, deadline):
            yield

    @contextlib.contextmanager
    def _locked_if_possible(
        self, names: Collection[str], deadline: float | None = None
    ) -> Iterator[None]:
        """Keep other processes from changing ``names``, and warn if that is not possible."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self.locked(names, deadline))
            except CannotLock as error:
                if not self._warned:
                    logger.warning(
                        "%s We publish all the same, and remove nothing but what this run needed "
                        "for a while.",
                        error,
                    )
                self._warned = True
            yield

    def look(self, name: str) -> Found:
        """Return what DNS has at ``name`` now."""
        return self._lookup.find([name])[name]

    def listed(self, name: str) -> dict[str, list[str]]:
        """Return the values at ``name`` by the provider that has them, of those that can tell.

        Raises :class:`~certbot_dns_persist.errors.Error`, as does :meth:`stands`.
        """
        return {
            label: provider.list_values(name)
            for label, provider in self._providers(name)
            if _answers(provider)
        }

    def inherit(self, record: TxtRecord) -> None:
        """Withdraw ``record``, which an interrupted run has left, with what is added."""
        with self._locked_if_possible([record.name]):
            for published in self.journal.published(name=record.name):
                if published.value == record.value:
                    self.journal.keep(record.name, record.value, temporary=True)
        for name, provider in self._providers(record.name):
            self._added.append(_Added(name, provider, record, inherited=True))

    def forget(self, name: str, values: Collection[str]) -> None:
        """Note that ``values``, of which some may be in our notes, are no longer at ``name``."""
        for record in self.journal.published(name=name) if values else ():
            if record.value in values:
                self.journal.gone(record)

    def stands(self, name: str, value: str) -> bool | None:
        """Whether a provider has ``value`` at ``name``; ``None`` when they cannot tell."""
        told = [
            answering.has_value(name, value) if (answering := _answers(provider)) else None
            for _, provider in self._providers(name)
        ]
        if any(told):
            return True
        return None if None in told else False

    def vouches(self, record: TxtRecord) -> bool | None:
        """Whether ``record``, which was added, is published by the word of its providers.

        ``True`` when services that answer for themselves accepted it, and do not say that it is
        gone; ``False`` when one says so; ``None`` when a provider does not know.
        """
        for _, provider in self._providers(record.name):
            answering = _answers(provider)
            if answering is None:
                return None
            try:
                if answering.has_value(record.name, record.value) is False:
                    return False
            except ProviderError as error:
                logger.debug("%s could not be asked again: %s", record.name, error)
        return True

    def note_doubt(self, record: TxtRecord, reason: str, doubt: str) -> None:
        """Log that ``record``, which was added, may not be there. The note of it stays."""
        for name, _ in self._providers(record.name):
            self.journal.in_doubt(self._change("add", record, reason, name, None), doubt)

    def settle(self) -> None:
        """Wait until the services' servers have what was added, where the services say so."""
        if not self._loaded:
            return
        from certbot_dns_persist.providers.interface import ISettlingProvider

        for provider in self._loaded.values():
            if ISettlingProvider.providedBy(provider):
                cast("SettlingProvider", provider).settle()

    def withdraw(self, reason: str) -> None:
        """Remove what was added; warn of each record that cannot be removed.

        Without locks, we remove what this run itself has added: nobody else relies on it for long.
        """
        while self._added:
            name, provider, record, inherited = self._added.pop()
            lock = self.locked if inherited else self._locked_if_possible
            try:
                with lock([record.name]):
                    if not self._kept_by_others(record):
                        self._undo(name, provider, record, reason)
            except ProviderError as error:
                logger.warning(
                    'The TXT record %s with the value "%s" was only needed for a while, but could '
                    "not be removed. If it is still there, please remove it. %s",
                    record.name,
                    record.value,
                    error,
                )

    def _kept_by_others(self, record: TxtRecord) -> bool:
        """Whether another run has come to need what was only meant to stand for a while."""
        return self._temporary and any(
            published.value == record.value and not published.temporary
            for published in self.journal.published(name=record.name)
        )

    def remove(self, record: TxtRecord, reason: str) -> None:
        """Remove ``record`` as :meth:`remove_all` does.

        Raises :class:`~certbot_dns_persist.errors.ProviderError`.
        """
        (error,) = self.remove_all([(record, reason)])
        if error is not None:
            raise error

    def remove_all(self, wanted: Sequence[tuple[TxtRecord, str]]) -> list[ProviderError | None]:
        """Remove records, each with its reason, from each provider of its name; note all together.

        Returns for each ``None``, or why it may still be there. Whoever relies on other records
        looks first, and :meth:`locked`. Raises :class:`~certbot_dns_persist.errors.ProviderError`
        if nothing was removed, because the names cannot be locked.
        """
        found: list[ProviderError | None] = [None] * len(wanted)
        removals: list[_Removal] = []
        with self.locked([record.name for record, _ in wanted]):
            for place, (record, reason) in enumerate(wanted):
                try:
                    removals += self._removals(place, record, reason)
                except ProviderError as error:
                    found[place] = error
            for place, why in self._remove(removals).items():
                found[place] = why
        return found

    def _removals(self, place: int, record: TxtRecord, reason: str) -> "list[_Removal]":
        """Return what is to be removed by us, once a person was told of the rest."""
        writing = []
        for name, provider in self._providers(record.name):
            if provider.writes:
                writing.append((name, provider))
            else:
                provider.remove_value(record.name, record.value)
        refused = self._refused_by_trial(record)
        if refused is not None:
            raise refused
        return [self._removal(place, *each, record, reason) for each in writing]

    def _removal(
        self, place: int, name: str, provider: "Provider", record: TxtRecord, reason: str
    ) -> _Removal:
        # A service that is told to remove what it does not have does not say so.
        there = record.value in provider.list_values(record.name)
        gone = not there and _answers(provider) is not None
        why = reason if there or gone else f"{reason}; no name server that we ask had it"
        change = self._change("remove", record, why, name, provider.zone_for(record.name))
        return _Removal(place, provider, change, gone)

    def _undo(self, name: str, provider: "Provider", record: TxtRecord, reason: str) -> None:
        """Remove what this process added, also if that cannot be noted."""
        removal = self._removal(0, name, provider, record, reason)
        for error in self._remove([removal], undo=True).values():
            raise error

    def _remove(
        self, removals: "Sequence[_Removal]", *, undo: bool = False
    ) -> dict[int, ProviderError]:
        """Remove records, all noted together; return which may still be there, and why.

        If one provider fails, the next ones keep that record.
        """
        # All of them first: the note of a record stays until the last service has removed it.
        intentions = self.journal.intended(*(each.change for each in removals))
        if not undo and not all(intention.noted for intention in intentions):
            return {e.place: ProviderError(words.not_removed(e.change.name)) for e in removals}
        left = list(zip(intentions, removals, strict=True))
        outcomes: list[Outcome] = []
        failed: dict[int, ProviderError] = {}
        try:
            while left:
                intention, each = left.pop(0)
                result = WAS_GONE if each.is_gone else OK
                if each.place in failed:
                    result = NOT_MADE
                elif not each.is_gone:
                    try:
                        each.provider.remove_value(each.change.name, each.change.value)
                    except ProviderError as error:
                        failed[each.place] = error
                        result = _known(error)
                    except BaseException as error:
                        # The service may have made the change all the same. The next run looks.
                        outcomes.append(Outcome(intention, _known(error)))
                        raise
                outcomes.append(Outcome(intention, result))
        finally:
            self.journal.done(*outcomes)
            # Not with them: another service may still have what one of them has removed.
            self.journal.done(*(Outcome(intention, NOT_MADE) for intention, _ in left))
        return failed

    def keep(self, record: TxtRecord, reason: str) -> None:
        """If ``record``, which was there already, was to be removed, note that it is needed.

        It is published again, if somebody has just removed it.
        """
        with self._locked_if_possible([record.name]):
            if record.value in self.journal.replaced(record.name):
                if self.writes(record.name):
                    self.add(record, reason)
                provider = self.names(record.name)
                change = self._change("add", record, f"{reason}; was there", provider, None)
                self.journal.note(change)

    def note_added_by_hand(self, record: TxtRecord, reason: str) -> None:
        """Log that a person has published ``record``."""
        change = self._change("add", record, f"{reason}; published by hand", "manual", None)
        self.journal.note(change)

    def _change(
        self,
        action: Literal["add", "remove"],
        record: TxtRecord,
        reason: str,
        provider: str,
        zone: str | None,
    ) -> Change:
        return Change(
            action=action,
            name=record.name,
            value=record.value,
            ttl=record.ttl if action == "add" else None,
            provider=provider,
            zone=zone,
            reason=reason,
            server=record.server,
            account_url=record.account_url,
            domain=record.domain,
            persist_until=record.persist_until,
            temporary=self._temporary,
        )


def _known(error: BaseException) -> str:
    """Return what is known of a change that ended with ``error``."""
    if isinstance(error, ProviderError) and not isinstance(error, OutcomeUnknown):
        return str(error)
    return f"{INTERRUPTED} by {type(error).__name__}; the outcome is unknown"


def _seen(provider: "Provider", names: Sequence[str]) -> "Sequence[Seen | ProviderError]":
    """Return what ``provider`` has at each of ``names``, or why it cannot tell."""
    from certbot_dns_persist.providers.interface import ILookingProvider, Seen

    if ILookingProvider.providedBy(provider):
        try:
            return cast("LookingProvider", provider).look_at_many(names)
        except ProviderError as error:
            return [error] * len(names)
    seen: list[Seen | ProviderError] = []
    for name in names:
        try:
            values = provider.list_values(name)
            seen.append(Seen(provider.zone_for(name), values))
        except ProviderError as error:
            seen.append(error)
    return seen


def _warn_of_other_zone(
    record: TxtRecord, name: str, provider: "Provider", zone: str | None
) -> None:
    """Say it when a provider that does not go by DNS writes to another zone than DNS shows.

    That is no error: the provider may be right outside, as where this machine sees another view,
    and a record in a zone that nobody asks does no harm.
    """
    if _answers(provider) is None or zone is None or record.zone is None:
        return
    if zone.lower() != record.zone.lower():
        logger.warning(words.other_zone(record.name, name, zone, record.zone))


def _answers(provider: "Provider") -> "AnsweringProvider | None":
    """Return ``provider`` if its service answers for itself."""
    from certbot_dns_persist.providers.interface import IAnsweringProvider

    answers = IAnsweringProvider.providedBy(provider)
    return cast("AnsweringProvider", provider) if answers else None


def _untried(provider: "Provider") -> "UntriedProvider | None":
    """Return ``provider`` if it may have to be tried out."""
    from certbot_dns_persist.providers.interface import IUntriedProvider

    untried = IUntriedProvider.providedBy(provider)
    return cast("UntriedProvider", provider) if untried else None
