"""Records for a person to publish before any order (draft section 4.5).

They are those that the plugin itself would publish: the same plan, from what DNS says now.
Pure: nothing is looked up.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from certbot_dns_persist.judge.plan import Plan, make_plans
from certbot_dns_persist.judge.standing import Standing, ends_soon
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.subjects import Subject


@dataclasses.dataclass(frozen=True)
class PreparedRecord:
    """One TXT record, and what else is at its name."""

    name: str
    """Where it goes: the end of the alias chain, without trailing dot."""
    value: str
    ttl: int
    """Seconds."""
    domains: tuple[str, ...]
    """The names that it proves, wildcards with their ``*.``."""
    zone: str | None = None
    """The zone that holds the name; ``None`` if DNS does not say."""
    looked: bool = True
    """Whether DNS was asked, and answered."""
    authorized: tuple[str, ...] = ()
    """Those of ``domains`` that every server that answers has an authorising record for."""
    there: bool = False
    """Whether the record itself is in DNS already, on every server that answers."""
    beside: tuple[str, ...] = ()
    """The other values at the name, without those that the record supersedes."""

    @property
    def aliases(self) -> list[str]:
        """The validation domain names that are aliases for ``name``."""
        names = dict.fromkeys(map(validation_domain_name, self.domains))
        return [name for name in names if name != self.name]


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """All TXT values at one name, for services and tools that only know whole record sets."""

    name: str
    ttl: int
    ours: tuple[str, ...]
    """Values of prepared records, at least one."""
    others: tuple[str, ...]
    """The other values that are there and stay there."""
    domains: tuple[str, ...]
    zone: str | None


def record_sets(records: Iterable[PreparedRecord]) -> list[RecordSet]:
    """Return what should be at each name: the records, and what else is there, both sorted.

    DNS must have been asked about all of them.
    """
    named: dict[str, list[PreparedRecord]] = {}
    for record in records:
        named.setdefault(record.name, []).append(record)
    return [_record_set(name, together) for name, together in sorted(named.items())]


def _record_set(name: str, together: Sequence[PreparedRecord]) -> RecordSet:
    ours = {record.value for record in together}
    others = {value for record in together for value in record.beside} - ours
    return RecordSet(
        name=name,
        ttl=together[0].ttl,
        ours=tuple(sorted(ours)),
        others=tuple(sorted(others)),
        domains=tuple(dict.fromkeys(domain for record in together for domain in record.domains)),
        zone=together[0].zone,
    )


def prepare(standings: Iterable[tuple[Subject, Standing]]) -> list[PreparedRecord]:
    """Return the records for subjects, sorted; several that lead to one name may share one.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if an option forbids a record.
    """
    needed: dict[Options, list[Standing]] = {}
    for subject, standing in standings:
        options = subject.options
        if standing.authorized and not ends_soon(standing, options):
            # Keep the expiry of a good record, or the same command would print a new one each day.
            options = dataclasses.replace(options, valid_for=None)
        needed.setdefault(options, []).append(standing)
    plans = [
        plan for options, standings in needed.items() for plan in make_plans(standings, options, "")
    ]
    retired = {(plan.name, value) for plan in plans for value in plan.retire}
    alike: dict[tuple[str, str], list[Plan]] = {}
    for plan in plans:
        alike.setdefault((plan.name, plan.value), []).append(plan)
    return [_prepared(together, retired) for _, together in sorted(alike.items())]


def not_looked_up(subject: Subject, at: int) -> Standing:
    """Return the standing of a subject without asking DNS: nothing is known to be there."""
    name = subject.request.name
    return Standing(subject.request, Found(name, name, None, ()), at)


def zone_to_change(found: Found) -> str | None:
    """Return the zone that holds the name; ``None`` for a top-level domain: not ours to write."""
    return found.zone if found.zone and "." in found.zone else None


def _prepared(plans: Sequence[Plan], retired: set[tuple[str, str]]) -> PreparedRecord:
    first = plans[0]
    standings = sorted(
        (standing for plan in plans for standing in plan.standings),
        key=lambda standing: standing.request.domain,
    )
    values = {value for standing in standings for value in standing.found.own_values}
    return PreparedRecord(
        name=first.name,
        value=first.value,
        ttl=first.ttl,
        domains=tuple(domain for standing in standings for domain in _domains(standing)),
        zone=zone_to_change(standings[0].found),
        looked=all(standing.found.answers for standing in standings),
        authorized=tuple(
            domain for standing in standings if standing.everywhere for domain in _domains(standing)
        ),
        there=any(standing.found.answers for standing in standings)
        and not any(standing.found.synthesized for standing in standings)
        and all(
            first.value in (server.values or ())
            for standing in standings
            for server in standing.found.answers
        ),
        beside=tuple(
            value
            for value in sorted(values)
            if value != first.value and (first.name, value) not in retired
        ),
    )


def _domains(standing: Standing) -> list[str]:
    domain = standing.request.domain
    return [domain, f"*.{domain}"] if standing.request.wildcard else [domain]
