"""Rebuilding the state, which says which records are ours, after it was lost.

``prune``, ``audit`` and the warning before an order (draft section 9.4) depend on it. It is rebuilt
from the log of changes, as far as that goes back, and from DNS: a record there that names the
account of a lineage at the lineage's CA is ours.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from certbot_dns_persist.journal.notes import Logged, PublishedRecord
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.record import (
    VALIDATION_LABEL,
    MalformedRecord,
    ValidationRecord,
    format_time,
    parse_record,
)
from certbot_dns_persist.request.known_accounts import KnownAccounts, accounts_of_machine
from certbot_dns_persist.request.subjects import Subject, Subjects, only_subjects
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

#: Names that are looked up at once.
BATCH = 500

Key = tuple[str, str]


def rebuild(
    journal: Journal,
    source: Subjects,
    config_dir: Path,
    look: Callable[[Sequence[Subject]], Mapping[str, Found]],
    *,
    at: int,
) -> None:
    """Rebuild the state of ``journal``, if it was lost, from all lineages of ``source``.

    A warning says what was done, and nothing is said where nothing was lost, as on a new machine.
    ``look`` returns what stands at the validation domain names of subjects, by name; ``at`` is UNIX
    seconds.
    """
    if not journal.lost():
        return
    aside = journal.set_aside_damaged()
    logged = {(entry.name, entry.value): entry for entry in journal.logged()}
    found: dict[Key, PublishedRecord] = {}
    complete = True
    asked = source.of_lineages()
    while batch := list(itertools.islice(asked, BATCH)):
        subjects = list(only_subjects(batch))
        complete = complete and len(subjects) == len(batch)
        there = look(subjects)
        for subject in subjects:
            at_name = there[subject.request.name]
            complete = complete and at_name.trouble is None
            for record in _ours(subject, at_name, logged, at):
                found.setdefault((record.name, record.value), record)
    accounts = KnownAccounts(accounts_of_machine(config_dir, journal))
    for entry in logged.values():
        known = _by_account(entry, accounts)
        if known is not None:
            found.setdefault((entry.name, entry.value), known)
    if not found and aside is None and not journal.exists():
        return  # a new machine
    added = journal.rebuild(found.values(), complete=complete)
    if added or aside is not None:
        logger.warning(
            "%s %s. %s",
            journal.state_file,
            "was lost" if aside is None else f"was damaged, and is now kept as {aside}",
            "It was rebuilt from DNS, Certbot's configuration and the log of changes, with "
            f"{added} record{'' if added == 1 else 's'}."
            if added
            else "It starts empty: no record of ours was found.",
        )


def _ours(
    subject: Subject, found: Found, logged: dict[Key, Logged], at: int
) -> Iterator[PublishedRecord]:
    """Yield the records of ours that DNS holds for one domain."""
    request = subject.request
    for finding in request.evaluate(found.values, at).findings:
        record, key = finding.record, (found.canonical_name, finding.value)
        if record is None or not request.is_ours(record):
            continue
        if key in logged:
            yield _as_logged(
                logged[key], record, request.server, request.account_url, request.domain
            )
            continue
        yield PublishedRecord(
            name=found.canonical_name,
            value=finding.value,
            ttl=None,
            provider=subject.options.providers[0],
            zone=found.zone,
            server=request.server,
            account_url=request.account_url,
            domain=request.domain,
            persist_until=record.persist_until,
            first_published=None,
            last_changed=format_time(at),
        )


def _by_account(entry: Logged, accounts: KnownAccounts) -> PublishedRecord | None:
    """Return what the log says about a record that no lineage needs, or that is not in DNS.

    ``None`` if it cannot be determined which of our accounts, or which domain, it is for.
    """
    label, _, domain = entry.name.partition(".")
    try:
        record = parse_record(entry.value)
    except MalformedRecord:  # one of dns-01
        return None
    account = accounts.who(record.account_uri, domain, aliased=False)
    if label != VALIDATION_LABEL or account is None:
        return None
    return _as_logged(entry, record, account.server, account.url, domain)


def _as_logged(
    entry: Logged, record: ValidationRecord, server: str, account_url: str, domain: str
) -> PublishedRecord:
    return PublishedRecord(
        name=entry.name,
        value=entry.value,
        ttl=entry.ttl,
        provider=entry.provider,
        zone=entry.zone,
        server=server,
        account_url=account_url,
        domain=domain,
        persist_until=record.persist_until,
        first_published=entry.first_published,
        last_changed=entry.last_changed,
    )
