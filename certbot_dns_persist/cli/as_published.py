"""The provider that can remove what no certificate needs: the one that published it.

Certbot's files have no options for a domain without a certificate. Our notes have the provider, and
other certificates may have what it needs.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence

from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.cli import arguments, setting
from certbot_dns_persist.errors import Error
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.options import Options, options_of
from certbot_dns_persist.request.subjects import Subject, Subjects
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)


def as_published(
    args: argparse.Namespace, subjects: Sequence[Subject], source: Subjects
) -> list[Subject]:
    """Return ``subjects``, those without a certificate with the provider that is noted.

    The provider's credentials are those on the command line or, if there are none, those of the
    first certificate that uses this provider and has credentials that can be read. If the command
    line names the provider, nothing changes.
    """
    given = setting.given(args).options
    without = {s.request.domain for s in subjects if not s.lineages}
    if given["provider"] is not None or not without:
        return list(subjects)
    noted: dict[tuple[str, str], list[PublishedRecord]] = {}
    for record in setting.journal(args).published(domains=without):
        if record.provider != "manual":
            noted.setdefault((record.domain, record.account_url), []).append(record)
    candidates: list[Options] = []
    if given["credentials"] is None and given["script"] is None and noted:
        candidates = list(dict.fromkeys(_saved(source)))
    tools = {options: _publisher(args, options) for options in candidates}

    def found(subject: Subject) -> Subject:
        request = subject.request
        records = noted.get((request.domain, request.account_url))
        if subject.lineages or not records:
            return subject
        for options, publisher in tools.items():
            if all(_writes(publisher, record) for record in records):
                return _with_provider_of(subject, options)
        providers = tuple(dict.fromkeys(record.provider for record in records))
        options = dataclasses.replace(subject.options, providers=providers)
        return dataclasses.replace(subject, options=options)

    return [found(subject) for subject in subjects]


def _saved(source: Subjects) -> Iterator[Options]:
    """Yield what the certificates have of options that are needed to remove records."""
    needed = {name.replace("-", "_") for name in (*arguments.REMOVING, *arguments.LOOKING)}
    for lineage in source.lineages:
        try:
            yield options_of({}, {k: v for k, v in lineage.options.items() if k in needed})
        except Error as error:
            logger.debug("The options of %s cannot be used: %s", lineage.name, error)


def _publisher(args: argparse.Namespace, options: Options) -> Publisher:
    lookup = setting.lookup_for(args)(options)
    return Publisher(options, lookup, setting.journal(args), lambda words: None)


def _writes(publisher: Publisher, record: PublishedRecord) -> bool:
    """Whether the provider that is noted writes where ``record`` stands, and can be used."""
    try:
        return record.provider in publisher.names(record.name).split(", ")
    except Error as error:  # for instance, because the credentials were deleted
        logger.debug("%s cannot be changed with these credentials: %s", record.name, error)
        return False


def _with_provider_of(subject: Subject, options: Options) -> Subject:
    return dataclasses.replace(
        subject,
        options=dataclasses.replace(
            subject.options,
            providers=options.providers,
            credentials=options.credentials,
            script=options.script,
            propagation_seconds=options.propagation_seconds,
        ),
    )
