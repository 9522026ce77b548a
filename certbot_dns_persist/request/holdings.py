"""What this host has, for the inventory: from Certbot's files and our notes alone."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from certbot_dns_persist.errors import AccountError, ConfigurationError
from certbot_dns_persist.inventory.holding import (
    HeldAccount,
    HeldCertificate,
    HeldRecord,
    Holding,
)
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.record import MalformedRecord, format_time, parse_record
from certbot_dns_persist.request.accounts import find_account
from certbot_dns_persist.request.certificate import end_of_certificate
from certbot_dns_persist.request.known_accounts import (
    KnownAccount,
    accounts_of_machine,
    former_accounts,
)
from certbot_dns_persist.request.lineages import Lineage, our_lineages
from certbot_dns_persist.request.preset import Preset
from certbot_dns_persist.request.renewal import read_renewal, reason
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)


@dataclasses.dataclass(frozen=True)
class Held:
    """What a host has, as far as it could be read."""

    holding: Holding
    unread: Collection[str]
    """What could not be read completely: ``record`` or ``certificate``."""


def held_here(config_dir: Path, journal: Journal, preset: Preset) -> Held:
    """Return what this host has; warn of what cannot be read."""
    accounts = accounts_of_machine(config_dir, journal)
    lineages, unusable = our_lineages(config_dir, preset)
    certificates = []
    for lineage in lineages:
        try:
            certificates.append(_certificate(config_dir, lineage))
        except ConfigurationError as error:
            unusable.append(str(error))
    for words in unusable:
        logger.warning("%s", words)
    records = list(_records(journal.published()))
    unread = {"record": journal.unreadable or journal.incomplete, "certificate": bool(unusable)}
    return Held(
        Holding(
            [_account(each, journal) for each in (*accounts, *former_accounts(journal, accounts))],
            records,
            certificates,
        ),
        [what for what, lacks in unread.items() if lacks],
    )


def _account(known: KnownAccount, journal: Journal) -> HeldAccount:
    terms = journal.terms(known.url)
    return HeldAccount(
        url=known.url,
        server=known.server,
        thumbprints=known.thumbprints,
        uris=known.uris,
        issuer_domain_names=terms.issuer_domain_names if terms else (),
        hash_prefix=terms.hash_prefix if terms else None,
        former=known.former,
    )


def _records(noted: Iterable[PublishedRecord]) -> Iterator[HeldRecord]:
    """Yield the records that are meant to stand; those of dns-01 are not."""
    for each in noted:
        try:
            parse_record(each.value)
        except MalformedRecord:
            continue
        if not each.temporary:
            yield HeldRecord(
                name=each.name,
                value=each.value,
                domain=each.domain,
                server=each.server,
                account_url=each.account_url,
                provider=each.provider,
                persist_until=each.persist_until,
                first_published=each.first_published,
                last_changed=each.last_changed,
                doubt=each.doubt,
            )


def _certificate(config_dir: Path, lineage: Lineage) -> HeldCertificate:
    """Return a certificate for the inventory; errors as of :func:`read_renewal`."""
    path = read_renewal(config_dir, lineage.name).certificate
    try:
        end = end_of_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The certificate {path} cannot be read: {reason(error)}."
        ) from error
    try:
        account_url = find_account(config_dir, lineage.server, lineage.account or None).url
    except AccountError:
        account_url = ""  # check says so
    return HeldCertificate(
        lineage.name, lineage.domains, format_time(end), lineage.server, account_url
    )
