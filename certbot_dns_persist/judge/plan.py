"""What to publish at a name, and what that replaces. Pure: nothing is looked up or written."""

import dataclasses
from collections.abc import Iterable, Sequence

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import ValidationRecord, comparable_end, format_time
from certbot_dns_persist.request.request import ValidationRequest


@dataclasses.dataclass(frozen=True)
class Plan:
    """One record to publish at one name, for all requests that lead there, and what it replaces."""

    name: str
    """Where the record goes: the end of the alias chain."""

    record: ValidationRecord
    ttl: int
    """Seconds."""
    standings: tuple[Standing, ...]
    retire: tuple[str, ...]
    """Values of this account and CA that the new record replaces completely."""
    reason: str

    @property
    def value(self) -> str:
        """The TXT value of the new record."""
        return self.record.to_value()

    @property
    def requests(self) -> list[ValidationRequest]:
        """The requests that the record is for."""
        return [standing.request for standing in self.standings]

    @property
    def improves(self) -> bool:
        """Whether the record is better than what is accepted now.

        It is of the newest form, accepted by every CA, or lasts longer.
        """
        end = self.record.persist_until
        return any(s.outdated or s.doubtful for s in self.standings) or (
            end is not None and all(s.end is not None and s.end < end for s in self.standings)
        )

    @property
    def subjects(self) -> str:
        """The domains that the record is for."""
        return ", ".join(
            f"{s.request.domain} and *.{s.request.domain}"
            if s.request.wildcard
            else s.request.domain
            for s in self.standings
        )


def make_plans(
    standings: Iterable[Standing], options: Options, reason: str, *, shorten: bool = False
) -> list[Plan]:
    """Return what to publish so that each of ``standings`` authorises.

    Requests that lead to one name, as by an alias, and need the same account URI share a record.
    With ``shorten``, it replaces those that last longer, too. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` when an option forbids it.
    """
    shared: dict[tuple[str, str], list[Standing]] = {}
    for standing in standings:
        key = (standing.found.canonical_name, standing.request.account_uris.published)
        shared.setdefault(key, []).append(standing)
    return [
        _make_plan(name, together, options, reason, shorten)
        for (name, _), together in shared.items()
    ]


def _make_plan(
    name: str, together: Sequence[Standing], options: Options, reason: str, shorten: bool
) -> Plan:
    first = together[0]
    configured = options.persist_until(first.at)
    # Without an option, keep the expiry that the user set before.
    persist_until = comparable_end(first.end) if configured is None else configured
    if persist_until is not None and persist_until <= first.at:
        raise ConfigurationError(
            f"{first.request.domain} needs a new record at {name}, but --dns-persist-until is "
            f"{format_time(persist_until)}, which is in the past. Give a later date, or "
            "--dns-persist-valid-for."
        )
    values = list(dict.fromkeys(value for s in together for value in s.found.own_values))
    wildcard = any(standing.request.wildcard for standing in together)
    record = ValidationRecord(
        issuer_domain_name=_choose_issuer(first, options.issuer_domain_name),
        account_uri=first.request.account_uris.published,
        policy="wildcard" if wildcard else None,
        persist_until=persist_until,
    )
    return Plan(
        name=name,
        record=record,
        ttl=options.ttl,
        standings=tuple(together),
        retire=tuple(v for v in values if supersedes(record, v, first, shorten=shorten)),
        reason=reason,
    )


def _choose_issuer(standing: Standing, wanted: str | None) -> str:
    offered = standing.request.issuer_domain_names
    if wanted is not None:
        if wanted not in offered:
            raise ConfigurationError(
                f"--dns-persist-issuer-domain-name {wanted!r} is not among the names that the CA "
                f"offers for {standing.request.domain}: {', '.join(offered)}."
            )
        return wanted
    records = [finding.record for finding in standing.evaluation.findings if finding.record]
    used = [record.issuer_domain_name for record in records if standing.request.is_ours(record)]
    used += [record.issuer_domain_name for record in records]
    return next((name for name in used if name in offered), offered[0])


def supersedes(
    new: ValidationRecord, value: str, standing: Standing, *, shorten: bool = False
) -> bool:
    """Whether ``new`` authorises all that ``value``, a record of ours, authorises.

    With ``shorten``, for whatever time.
    """
    finding = standing.request.evaluate([value], standing.at).findings[0]
    old = finding.record
    if old is None or value == new.to_value() or not standing.request.is_ours(old):
        return False
    if not standing.request.account_uris.serves_all_of(old.account_uri):
        return False
    if shorten:
        new = dataclasses.replace(new, persist_until=None)
    return old.expired(standing.at) or reaches_as_far(new, old)


def reaches_as_far(new: ValidationRecord, old: ValidationRecord) -> bool:
    """Whether ``new`` is for as many names for as long as ``old``, at one name and account."""
    lasts = new.persist_until is None or (
        old.persist_until is not None and old.persist_until <= new.persist_until
    )
    return lasts and (new.wildcard or not old.wildcard)
