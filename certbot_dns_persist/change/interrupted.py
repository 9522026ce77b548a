"""What interrupted runs have left: finished or cleared by whoever comes next for a name.

A change that was intended and whose outcome is unknown was made or not: DNS and the provider say
which. If they cannot tell, it stays noted as in doubt. A temporary record that its run has not
removed, as that of a dry run, is removed; unless it authorises what is needed now.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from certbot_dns_persist.change import words
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.errors import Error
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


def clear_up(
    publisher: Publisher,
    found: Iterable[Found],
    needed: Mapping[str, Collection[str]],
    *,
    dry_run: bool = False,
) -> None:
    """Finish or clear what was interrupted at the names of ``found``; never fails.

    ``needed`` are the values by name that authorise what this run is about. A ``dry_run`` removes
    at its end what it needs of that.
    """
    seen = {each.canonical_name: each for each in found if not each.trouble}
    journal = publisher.journal
    left: list[PublishedRecord] = []
    for intention in journal.interrupted(seen):
        change = intention.change
        made = _made(publisher, intention, seen[change.name])
        if made is not None:
            journal.done(_outcome(intention, made=made))
        if made and change.action == "add" and change.temporary:
            left += [r for r in journal.published(name=change.name) if r.value == change.value]
    for record in [] if dry_run else journal.temporary(needed):
        # Of a run that may not have ended, which then leaves it there.
        if record.value in needed[record.name]:
            journal.keep(record, temporary=False)
    for record in (*left, *journal.abandoned(seen)):
        if record.value not in needed.get(record.name, ()):
            _remove(publisher, record)
        elif dry_run:
            publisher.inherit(_as_text(record))


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
    try:
        if publisher.writes(record.name):
            with publisher.locked([record.name]):
                # Another run may have come to need it, or removed it, since we asked.
                if any(
                    each.temporary and each.value == record.value
                    for each in publisher.journal.published(name=record.name)
                ):
                    publisher.remove(_as_text(record), LEFT)
            return
        why = "Its provider is manual."
    except Error as error:
        why = str(error)
    logger.warning(words.left_behind(record.name, record.value, why))


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
