"""What ``prune`` and ``revoke`` share: which records to remove and why, and removing them.

They look at everything twice: to show what they would remove, and again under a lock right before
they remove it. A value that was shown goes only if it may still go then.
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from certbot_dns_persist.change import interrupted
from certbot_dns_persist.change.publisher import TxtRecord
from certbot_dns_persist.change.surroundings import patience
from certbot_dns_persist.change.words import cannot_be_looked_up
from certbot_dns_persist.cli import changing, setting
from certbot_dns_persist.cli.as_published import as_published
from certbot_dns_persist.cli.changing import Group
from certbot_dns_persist.errors import ConfigurationError, Error, LookupFailed, ProviderError
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.judge.retire import is_bare, ours, wherever_they_lead
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import ServerAnswer
from certbot_dns_persist.request.subjects import Subject
from certbot_dns_persist.shown import printable
from certbot_dns_persist.wait import look_until

#: How many names may be left without a record of ours before we ask whether that is meant: this
#: number, or this part of all names in our notes.
FEW, PART = 5, 1 / 3


@dataclasses.dataclass(frozen=True)
class Party:
    """A domain and account of this machine, and what DNS has for them."""

    subject: Subject
    standing: Standing


@dataclasses.dataclass(frozen=True)
class Place:
    """A name where records of ours may be, and all on this machine whose look-ups lead there."""

    name: str
    """After CNAMEs."""
    asked: tuple[Party, ...]
    """Those that the command is about."""
    others: tuple[Party, ...] = ()
    """Also those whose look-ups fail: they may lead there, too."""
    listed: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """What providers were found to have, which counts as if they were servers."""

    @property
    def standings_asked(self) -> list[Standing]:
        """How those stand that the command is about."""
        return [party.standing for party in self.asked]

    @property
    def standings_of_others(self) -> list[Standing]:
        """How the others stand."""
        return [party.standing for party in self.others]

    @property
    def values(self) -> set[str]:
        """All values that a server has for one of them."""
        return {
            value for party in (*self.asked, *self.others) for value in party.standing.found.values
        }

    def with_lists(self, listed: Mapping[str, Sequence[str]]) -> "Place":
        """Return the place as if each provider were one more server."""
        return dataclasses.replace(
            self,
            asked=_with_lists(self.asked, listed),
            others=_with_lists(self.others, listed),
            listed={**self.listed, **listed},
        )

    def with_others(self, others: Iterable[Party]) -> "Place":
        """Return the place with those whose look-ups lead there, or fail."""
        parties = list(others)
        standings = wherever_they_lead([p.standing for p in parties], self.asked[0].standing.found)
        there = [Party(p.subject, s) for p, s in zip(parties, standings, strict=True)]
        return dataclasses.replace(self, others=_with_lists(there, self.listed))


def _with_lists(parties: Iterable[Party], listed: Mapping[str, Sequence[str]]) -> tuple[Party, ...]:
    return tuple(Party(each.subject, each.standing.with_lists(listed)) for each in parties)


#: Returns the values at a place that may go, and why.
Choose = Callable[[Place], Mapping[str, str]]

#: Returns those besides the subjects of a command who may need the same records.
Others = Callable[[changing.Asked], Iterable[Subject]]


@dataclasses.dataclass(frozen=True)
class Removal:
    """What may go at one place."""

    place: Place
    values: Mapping[str, str]
    """Each with the reason."""
    bare: bool
    """Whether no record of ours would be left there."""


class Search:
    """One look at all that a command is about, and at who else may need the same records."""

    def __init__(
        self, args: argparse.Namespace, choose: Choose, others: Others, *, ask_all: bool
    ) -> None:
        """Look, and find what may go.

        If DNS does not show a record that is in our notes, we ask the provider, and note the record
        as gone if the provider does not have it either. With ``ask_all`` we ask it for every name,
        otherwise only then. Raises :class:`~certbot_dns_persist.errors.LookupFailed` if the records
        cannot be looked up.
        """
        self._args, self._choose, self._others, self._ask_all = args, choose, others, ask_all
        self._doubts: list[str] = []
        self.unknown: list[str] = []
        """Messages on names that could not be looked up, if the command goes on without them."""
        left_over = getattr(args, "left_over", False)
        asked = changing.find_asked(args, none=left_over)
        subjects = as_published(args, asked.subjects, asked.source)
        self._groups = {group.options: group for group in changing.group_by_options(args, subjects)}
        places, unknown = _places(args, subjects)
        if unknown and not left_over:
            raise LookupFailed(cannot_be_looked_up(unknown))
        # Domains that were given up are no reason to keep the records of others.
        self.unknown += [
            f"{s.request.name} cannot be looked up ({s.found.trouble}), so what we noted there "
            "stays."
            for s in unknown
        ]
        if not args.dry_run:
            for group, standings in self._by_group(places).items():
                interrupted.conclude(group.publisher, [standing.found for standing in standings])
        notes: dict[str, list[PublishedRecord]] = {}
        journal = setting.journal(args)
        for record in journal.published(names={place.name for place in places}):
            notes.setdefault(record.name, []).append(record)
        self._noted = journal.count_names()
        gone = []
        self.places: list[Place] = []
        """Where the command may find something."""
        for place in places:
            if (unseen := _unseen(place, notes.get(place.name, ()))) or ask_all:
                place, missing = self._ask_provider(place, unseen)
                gone += [(place, missing)] if missing else []
            self.places.append(place)
        if not args.dry_run:
            self._note_gone(gone)
        if any(map(choose, self.places)):  # else nobody can lose anything
            self.places = self._with_others(list(others(asked)))
        self.removals: list[Removal] = []
        for place in self.places:
            if values := choose(place):
                everybody = [*place.standings_asked, *place.standings_of_others]
                noted = [record.value for record in notes.get(place.name, ())]
                self.removals.append(Removal(place, values, is_bare(everybody, values, noted)))

    def _with_others(self, others: Sequence[Subject]) -> list[Place]:
        """Look up ``others``; return the places with those of them who are there."""
        there, unseen = _by_name(_look_up(self._args, others))
        return [place.with_others([*there.get(place.name, ()), *unseen]) for place in self.places]

    @property
    def doubts(self) -> list[str]:
        """Messages on records that may or may not be there."""
        return list(dict.fromkeys(self._doubts))

    def describe(self) -> str:
        """Return what may go, for people."""
        lines = []
        for removal in self.removals:
            lines.append(f"  {removal.place.name} TXT")
            lines += [f"    - {printable(v)} ({why})" for v, why in removal.values.items()]
        return "\n".join(lines)

    def agreed(self, plan: str) -> bool:
        """Show ``plan`` and return whether the user agrees to it.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if many names would be left
        without a record, and the user has not said so with an option, or if there is no terminal.
        """
        refusal = self._too_much()
        if refusal is None:
            return changing.agreed(self._args, plan)
        if self._args.dry_run:
            return changing.agreed(self._args, f"{plan}\n{refusal}")
        changing.say(self._args, plan)
        raise ConfigurationError(f"{refusal} Nothing was changed.")

    def _too_much(self) -> str | None:
        """Say that this leaves too many names without a record; ``None`` if it does not."""
        lost = sum(removal.bare for removal in self.removals)
        if lost <= max(FEW, self._noted * PART, self._args.remove_up_to or 0):
            return None
        return (
            f"This would leave {lost} names without any record of ours; our notes have records at "
            f"{self._noted} names. If you mean that, add --remove-up-to {lost}."
        )

    def carry_out(self) -> list[str]:
        """Remove what may go and still may when we come to it; return messages on what is left.

        If a person was asked, that may have taken hours, so we look at everything again.
        """
        for group, standings in self._by_group(self.places).items():
            group.ensure.clear_up(standings)
        if self._args.yes:
            return self._carry_out(self.removals)
        now = Search(self._args, self._choose, self._others, ask_all=self._ask_all)
        if refusal := now._too_much():
            raise ConfigurationError(f"Things have changed. {refusal} Nothing was removed.")
        return now._carry_out(self.removals)

    def _carry_out(self, shown: Sequence[Removal]) -> list[str]:
        left: list[str] = []
        places = {place.name: place for place in self.places}
        may_go = {removal.place.name for removal in self.removals}
        by_group: dict[Group, list[Removal]] = {}
        for removal in shown:
            name = removal.place.name
            if name in may_go:
                by_group.setdefault(self._group(places[name]), []).append(removal)
            elif place := places.get(name):
                left += [_stays(name, v) for v in removal.values if v in place.values]
            else:
                left.append(f"{name} is not looked up any more, so all of it stays.")
        for group, removals in by_group.items():
            batches = group.publisher.batches(removals, lambda removal: removal.place.name)
            for number, batch in enumerate(batches):
                try:
                    with group.publisher.locked([removal.place.name for removal in batch]):
                        now = _look_again(self._args, [places[r.place.name] for r in batch])
                        going: list[tuple[TxtRecord, str]] = []
                        for removal in batch:
                            there = now.get(removal.place.name)
                            left += self._choose_again(group, removal, there, going)
                        left += _remove(group, going)
                except Error as error:  # for instance, a provider lacks its credentials
                    rest = [removal for batch in batches[number:] for removal in batch]
                    others = sum(len(removal.values) for removal in rest)
                    left.append(f"{error} So {others} of the records were not removed.")
                    break
        return left

    def _choose_again(
        self,
        group: Group,
        shown: Removal,
        now: Place | None,
        going: list[tuple[TxtRecord, str]],
    ) -> list[str]:
        """Add to ``going`` what ``now`` permits of ``shown``; return messages on the rest."""
        name, publisher = shown.place.name, group.publisher
        left = []
        try:
            if now is None:
                raise ProviderError("They cannot be looked up again.")
            now = now.with_lists(publisher.listed(name))
            may_go = self._choose(now)
            there = now.values
            found = now.asked[0].standing.found
            if found.silent or found.warnings:
                left += [_may_stand(name, v) for v in shown.values if v not in there]
            else:
                publisher.forget(name, shown.values.keys() - there)
            for value, why in shown.values.items():
                if value in may_go:
                    going.append((_record(group, now, value), why))
                elif value in there:
                    left.append(_stays(name, value))
        except ProviderError as error:
            left.append(f"The records at {name} could not be removed. {error}")
        return left

    def wait(self) -> list[str]:
        """Wait until no server serves what was removed; return a message for each that does."""
        removed = {removal.place.name: removal.values for removal in self.removals}
        subjects = [p.subject for removal in self.removals for p in removal.place.asked]

        def look() -> list[str]:
            return [
                f'{name} TXT "{printable(value)}" is still served by {server}.'
                for name, servers in self._servers(subjects).items()
                for value in removed.get(name, ())
                for server in servers
                if value in (server.values or ())
            ]

        seconds = max(patience(subject.options, terminal=False) for subject in subjects)
        return look_until(look, lambda still: not still, seconds, lambda still, left: None)

    def _servers(self, subjects: Sequence[Subject]) -> dict[str, list[ServerAnswer]]:
        standings = changing.look_up(self._args, subjects)
        return {s.found.canonical_name: s.found.answers for s in standings}

    def _group(self, place: Place) -> Group:
        """Return the tools for a place: of its subjects, the first whose provider can write."""
        first, *rest = groups = self._groups_of(place)
        if not rest:
            return first  # without a look at its credentials
        return next((group for group in groups if group.publisher.writes(place.name)), first)

    def _groups_of(self, place: Place) -> list[Group]:
        return list(dict.fromkeys(self._groups[party.subject.options] for party in place.asked))

    def _by_group(self, places: Iterable[Place]) -> dict[Group, list[Standing]]:
        """Return how all that leads to the places stands, with the tools for each."""
        by_group: dict[Group, list[Standing]] = {}
        for place in places:
            everybody = [*place.standings_asked, *place.standings_of_others]
            by_group.setdefault(self._groups_of(place)[0], []).extend(everybody)
        return by_group

    # What the notes have and DNS does not

    def _ask_provider(
        self, place: Place, unseen: Sequence[PublishedRecord]
    ) -> tuple[Place, list[PublishedRecord]]:
        """Return the place with what its provider has, and which of ``unseen`` are gone."""
        try:
            place = self._with_provider(place)
            gone = [record for record in unseen if self._is_gone(place, record)]
        except Error as error:
            self._doubts.append(f"{place.name}: the provider cannot say. {error}")
            return place, []
        return place, gone

    def _with_provider(self, place: Place) -> Place:
        listed: dict[str, list[str]] = {}
        for group in self._groups_of(place):
            listed |= group.publisher.listed(place.name)
        return place.with_lists(listed)

    def _is_gone(self, place: Place, record: PublishedRecord) -> bool:
        """Whether a noted record is neither in DNS nor at the provider; note a doubt."""
        if record.value in place.values:
            return False  # the provider has it
        publisher = self._group(place).publisher
        stands = publisher.stands(record.name, record.value)
        # What a person published was seen from here before it was noted.
        if stands is None and record.provider == "manual":
            stands = False
        if stands is None:
            self._doubts.append(
                f'{record.name} TXT "{printable(record.value)}" is noted as published (through '
                f"{record.provider}), but cannot be seen from here. "
                f"{publisher.names(record.name)} cannot tell whether it is gone, so it stays "
                "noted. --dns-persist-resolvers names a resolver that sees what the CA sees."
            )
            return False
        found = place.asked[0].standing.found
        return not (stands or found.silent or found.warnings)

    def _note_gone(self, gone: Sequence[tuple[Place, Sequence[PublishedRecord]]]) -> None:
        """Note that records are gone, unless somebody has just published them again."""
        journal = setting.journal(self._args)
        for place, records in gone:
            try:
                with self._group(place).publisher.locked([place.name]):
                    now = _look_again(self._args, [place]).get(place.name)
                    for record in records:
                        if now and self._is_gone(self._with_provider(now), record):
                            journal.gone(record)
            except Error as error:
                self._doubts.append(f"{place.name}: our notes cannot be corrected. {error}")


def _places(
    args: argparse.Namespace, asked: Sequence[Subject]
) -> tuple[list[Place], list[Standing]]:
    """Return the names where the look-ups of ``asked`` lead, in their order, and what failed."""
    found, unseen = _by_name(_look_up(args, asked))
    known = [Place(name, tuple(there)) for name, there in found.items()]
    return known, [party.standing for party in unseen]


def _look_again(args: argparse.Namespace, places: Sequence[Place]) -> dict[str, Place]:
    """Return how the places are now, by name; without those that cannot be looked up."""
    asked = [party.subject for place in places for party in place.asked]
    others = [party.subject for place in places for party in place.others]
    parties = _look_up(args, [*asked, *others])
    mine, lost = _by_name(parties[: len(asked)])
    theirs, unseen = _by_name(parties[len(asked) :])
    unknown = {party.standing.request for party in lost}
    return {
        place.name: Place(place.name, tuple(mine[place.name])).with_others(
            [*theirs.get(place.name, ()), *unseen]
        )
        for place in places
        if place.name in mine and unknown.isdisjoint(p.standing.request for p in place.asked)
    }


def _look_up(args: argparse.Namespace, subjects: Sequence[Subject]) -> list[Party]:
    """Look ``subjects`` up, all at once."""
    return [Party(*each) for each in zip(subjects, changing.look_up(args, subjects), strict=True)]


def _by_name(parties: Iterable[Party]) -> tuple[dict[str, list[Party]], list[Party]]:
    """Return ``parties`` by where their look-ups lead, and those whose look-ups fail."""
    found: dict[str, list[Party]] = {}
    unseen: list[Party] = []
    for party in parties:
        if party.standing.found.trouble:
            unseen.append(party)
        else:
            found.setdefault(party.standing.found.canonical_name, []).append(party)
    return found, unseen


def _record(group: Group, place: Place, value: str) -> TxtRecord:
    """Return a record of the place, for the provider and our notes."""
    requests = [party.standing.request for party in place.asked if value in ours(party.standing)]
    request = (requests or [place.asked[0].standing.request])[0]
    return TxtRecord(
        name=place.name,
        value=value,
        ttl=group.options.ttl,
        domain=request.domain,
        server=request.server,
        account_url=request.account_url,
    )


def _remove(group: Group, going: Sequence[tuple[TxtRecord, str]]) -> list[str]:
    """Remove records, each with its reason; return messages on what is left."""
    left = []
    failed: dict[str, None] = {}
    for (record, _), error in zip(going, group.publisher.remove_all(going), strict=True):
        if error is not None:
            failed[f"The records at {record.name} could not be removed. {error}"] = None
        elif not group.publisher.writes(record.name):
            left.append(
                f'Remove {record.name} TXT "{printable(record.value)}" yourself: its provider is '
                "manual."
            )
    return [*failed, *left]


def _stays(name: str, value: str) -> str:
    return f'{name} TXT "{printable(value)}" stays: it is needed now.'


def _may_stand(name: str, value: str) -> str:
    return (
        f'{name} TXT "{printable(value)}" may still be there: not all of its name servers answer. '
        "Run the same command again when they do."
    )


def _unseen(place: Place, noted: Iterable[PublishedRecord]) -> list[PublishedRecord]:
    """Return the records in our notes for the accounts of the command that DNS does not show."""
    accounts = {party.standing.request.account_url for party in place.asked}
    there = place.values
    return [r for r in noted if r.account_url in accounts and r.value not in there]
