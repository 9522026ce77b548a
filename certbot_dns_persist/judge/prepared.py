"""Records that somebody is to publish, made before any order (draft -02 section 4.5).

They are the ones that the plugin would publish: the same plan is made, from what DNS says now.
"""

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence

from certbot_dns_persist.errors import LookupFailed
from certbot_dns_persist.judge.checkup import check
from certbot_dns_persist.judge.plan import Plan, make_plans
from certbot_dns_persist.judge.standing import Standing, ends_soon
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.lookup.session import Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.subjects import Subject

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PreparedRecord:
    """One TXT record, and what stands beside it."""

    name: str
    """Where it goes: the end of the alias chain, without trailing dot."""
    value: str
    ttl: int
    """Seconds."""
    domains: tuple[str, ...]
    """What it is for, wildcards with their ``*.``."""
    zone: str | None = None
    """The zone that holds the name; ``None`` when DNS does not say."""
    looked: bool = True
    """Whether DNS was asked, and answered."""
    authorized: tuple[str, ...] = ()
    """Those of ``domains`` for which every server that answers has a record that authorises."""
    there: bool = False
    """Whether the record itself stands in DNS already, on every server that answers."""
    beside: tuple[str, ...] = ()
    """The other values at the name, without those that the record supersedes."""

    @property
    def aliases(self) -> list[str]:
        """The validation domain names that lead to ``name`` as aliases do."""
        names = dict.fromkeys(map(validation_domain_name, self.domains))
        return [name for name in names if name != self.name]


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """All TXT values at one name, for services and tools that know them only together."""

    name: str
    ttl: int
    values: tuple[str, ...]
    domains: tuple[str, ...]
    zone: str | None
    looked: bool
    """Whether ``values`` are known to be all that shall stand there."""


def record_sets(records: Iterable[PreparedRecord]) -> list[RecordSet]:
    """Return what is to stand at each name: the records, and what stands beside them."""
    named: dict[str, list[PreparedRecord]] = {}
    for record in records:
        named.setdefault(record.name, []).append(record)
    return [
        RecordSet(
            name=name,
            ttl=together[0].ttl,
            values=tuple(
                dict.fromkeys(
                    [r.value for r in together] + [value for r in together for value in r.beside]
                )
            ),
            domains=tuple(dict.fromkeys(domain for r in together for domain in r.domains)),
            zone=together[0].zone,
            looked=all(r.looked for r in together),
        )
        for name, together in named.items()
    ]


def prepare(
    subjects: Iterable[Subject],
    lookup_for: Callable[[Options], Lookup] | None,
    *,
    at: int,
    advance: Callable[[], None] = lambda: None,
) -> list[PreparedRecord]:
    """Return the records for ``subjects``; several that lead to one name may share one.

    Without ``lookup_for``, DNS is not asked. Of what it does not say, as before a domain is
    delegated, there is a warning, and the record is for the validation domain name itself. ``at``
    is UNIX seconds; ``advance`` is called for each subject. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` when an option forbids a record.
    """
    needed: dict[Options, list[Standing]] = {}
    for subject, standing in _standings(list(subjects), lookup_for, at):
        options = subject.options
        if standing.authorized and not ends_soon(standing, options):
            # The end of what will do is not moved, or the same question had a new answer each day.
            options = dataclasses.replace(options, valid_for=None)
        needed.setdefault(options, []).append(standing)
        advance()
    plans = [
        plan for options, standings in needed.items() for plan in make_plans(standings, options, "")
    ]
    retired = {(plan.name, value) for plan in plans for value in plan.retire}
    alike: dict[tuple[str, str], list[Plan]] = {}
    for plan in plans:
        alike.setdefault((plan.name, plan.value), []).append(plan)
    return [_prepared(together, retired) for together in alike.values()]


def _standings(
    subjects: Sequence[Subject], lookup_for: Callable[[Options], Lookup] | None, at: int
) -> Iterable[tuple[Subject, Standing]]:
    looked = 0
    if lookup_for is not None:
        try:
            for checked in check(subjects, lookup_for, at=at, warn_days=0, caa=False):
                _warn(checked.standing, bogus=checked.diagnosis.status == "dnssec-bogus")
                looked += 1
                yield checked.subject, checked.standing
        except LookupFailed as error:
            logger.warning("DNS could not be asked what is there already: %s", error)
    for subject in itertools.islice(subjects, looked, None):
        name = subject.request.name
        yield subject, Standing(subject.request, Found(name, name, None, ()), at)


def _warn(standing: Standing, *, bogus: bool) -> None:
    found = standing.found
    if found.trouble:
        logger.warning(
            "%s cannot be looked up, so it is unknown what is there and whether it is an alias: "
            "%s. The record is for the name itself.",
            found.name,
            found.trouble,
        )
    elif found.zone is not None and _zone(found) is None:
        logger.warning(
            "%s is not delegated yet: the servers of %s know nothing of it. The record is for the "
            "zone to come.",
            standing.request.domain,
            found.zone,
        )
    if bogus:
        logger.warning(
            "The DNSSEC signatures at %s do not verify. Until they do, CAs refuse whatever stands "
            "there.",
            found.name,
        )
    for warning in found.warnings:
        logger.warning("%s", warning)


def _zone(found: Found) -> str | None:
    """Return the zone to change; not a top-level domain, where none of us may write."""
    return found.zone if found.zone and "." in found.zone else None


def _prepared(plans: Sequence[Plan], retired: set[tuple[str, str]]) -> PreparedRecord:
    first = plans[0]
    standings = [standing for plan in plans for standing in plan.standings]
    values = dict.fromkeys(value for standing in standings for value in standing.found.values)
    return PreparedRecord(
        name=first.name,
        value=first.value,
        ttl=first.ttl,
        domains=tuple(domain for standing in standings for domain in _domains(standing)),
        zone=_zone(standings[0].found),
        looked=all(standing.found.answers for standing in standings),
        authorized=tuple(
            domain for standing in standings if standing.everywhere for domain in _domains(standing)
        ),
        there=any(standing.found.answers for standing in standings)
        and all(
            first.value in (server.values or ())
            for standing in standings
            for server in standing.found.answers
        ),
        beside=tuple(
            value for value in values if value != first.value and (first.name, value) not in retired
        ),
    )


def _domains(standing: Standing) -> list[str]:
    domain = standing.request.domain
    return [domain, f"*.{domain}"] if standing.request.wildcard else [domain]
