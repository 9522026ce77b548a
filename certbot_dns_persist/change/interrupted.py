"""What interrupted runs have left: finished or cleared by whoever comes next for a name.

A change that was intended and whose outcome is unknown was made or not: DNS and the provider say
which. If they cannot tell, it stays noted as in doubt. A temporary record that its run has not
removed, as that of a dry run, is removed; unless it authorises what is needed now.
"""

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping

from certbot_dns_persist.change import words
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.errors import CannotLock, ConfigurationError, Error
from certbot_dns_persist.journal.notes import (
    NOT_MADE,
    OK,
    Intention,
    Outcome,
    PublishedRecord,
)
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

#: Why the record of an interrupted run is removed, as the change log says it.
LEFT = "an interrupted run left it"


def conclude(publisher: Publisher, found: Iterable[Found]) -> None:
    """Note what became of interrupted changes at the names of ``found``; change nothing in DNS.

    Never fails. What another process is changing at this time is left to it, or to the next run.
    """
    journal = publisher.journal
    for name in {each.change.name: None for each in journal.interrupted(_names(found))}:
        try:
            with _alone_if_possible(publisher, name):
                now = publisher.look(name)
                if now.trouble or now.canonical_name != name:
                    continue
                # Not those of before: whoever had the lock may have concluded them.
                interrupted = journal.interrupted([name])
                made = [(each, _made(publisher, each, now)) for each in interrupted]
                outcomes = [_outcome(each, made=it) for each, it in made if it is not None]
                if outcomes:
                    journal.done(*outcomes)
        except Error as error:
            logger.debug("What was interrupted at %s is not concluded: %s", name, error)


def clear_up(
    publisher: Publisher,
    found: Collection[Found],
    needed: Mapping[str, Collection[str]],
    *,
    dry_run: bool = False,
) -> bool:
    """Finish or clear what was interrupted at the names of ``found``; never fails.

    ``needed`` are the values by name that authorise what this run is about. A ``dry_run`` removes
    at its end what it needs of that. Returns whether something is needed that another run may have
    removed in the meantime, so that it must be looked at again.
    """
    trials = publisher.trials_left()
    found = [*found, *trials]
    conclude(publisher, found)
    journal = publisher.journal
    # Also of runs that have not ended: they then leave it there.
    temporary = [] if dry_run else journal.temporary(needed)
    kept = [record for record in temporary if record.value in needed[record.name]]
    for record in kept:
        keep(publisher, record.name, [record.value])
    for record in journal.abandoned(_names(found)):
        try:
            if record.value not in needed.get(record.name, ()):
                _remove(publisher, record)
            elif dry_run:
                publisher.inherit(_as_text(record))
        except Error as error:
            logger.warning(words.left_behind(record.name, record.value, str(error)))
    for trial in trials:
        publisher.close_trial(trial.name)
    return bool(kept)


def keep(publisher: Publisher, name: str, values: Iterable[str]) -> None:
    """Note that ``values`` at ``name`` are needed for good; never fails."""
    try:
        with _alone_if_possible(publisher, name):
            for value in values:
                publisher.journal.keep(name, value, temporary=False)
    except Error as error:
        logger.debug("That the record at %s is needed is not noted: %s", name, error)


def _names(found: Iterable[Found]) -> list[str]:
    return list(dict.fromkeys(each.canonical_name for each in found if not each.trouble))


@contextlib.contextmanager
def _alone_if_possible(publisher: Publisher, name: str) -> Iterator[None]:
    """Keep others from changing ``name``: notes, which is all that is changed, need no lock."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(CannotLock):
            held.enter_context(publisher.alone(name))
        yield


def _made(publisher: Publisher, intention: Intention, found: Found) -> bool | None:
    """Whether the change was made; ``None`` if that cannot be told."""
    change = intention.change
    seen = change.value in found.own_values
    if change.action == "add" and seen:
        return True
    try:
        stands = publisher.stands(change.name, change.value)
    except Error as error:
        logger.debug("%s could not be asked about %s: %s", change.provider, change.name, error)
        stands = None
    if stands is None and change.action == "add" and intention.refused:
        stands = False  # by the word of the provider, when it was told to add it
    if change.action == "add":
        there = stands
    elif seen:
        there = None if stands is False else True  # a server may lag behind
    else:
        there = stands
    if there is None or (not there and (found.silent or found.warnings)):
        return None
    return there if change.action == "add" else not there


def _outcome(intention: Intention, *, made: bool) -> Outcome:
    reason = f"{intention.change.reason}; found out after an interruption"
    change = dataclasses.replace(intention.change, reason=reason)
    return Outcome(dataclasses.replace(intention, change=change), OK if made else NOT_MADE)


def _remove(publisher: Publisher, record: PublishedRecord) -> None:
    """Remove what was left; raise an :class:`Error` if that is not possible."""
    if not publisher.writes(record.name):
        raise ConfigurationError("Its provider is manual.")
    with publisher.locked([record.name]):
        # Another run may have come to need it, or removed it, since we asked.
        if any(
            each.temporary and each.value == record.value
            for each in publisher.journal.published(name=record.name)
        ):
            publisher.remove(_as_text(record), LEFT)


def _as_text(record: PublishedRecord) -> TxtRecord:
    return TxtRecord(
        name=record.name,
        value=record.value,
        ttl=record.ttl or 0,
        domain=record.domain,
        server=record.server,
        account_url=record.account_url,
        persist_until=record.persist_until,
    )
