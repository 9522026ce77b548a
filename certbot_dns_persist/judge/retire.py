"""Which of our records may be removed. Pure: nothing is looked up or removed.

No function returns a record of another CA or account, or a value that cannot be read.
"""

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from certbot_dns_persist.judge.plan import reaches_as_far
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.record import ValidationRecord, Verdict


def ours(standing: Standing) -> list[str]:
    """Return the values at the name that belong to the request's account at its CA."""
    return [
        finding.value
        for finding in standing.evaluation.findings
        if finding.record and standing.request.is_ours(finding.record)
    ]


def prunable(standing: Standing, marked: Collection[str] = ()) -> dict[str, str]:
    """Return those of our records that nobody needs, and why.

    These are the expired ones and, where every server authorises the request without them, those
    ``marked`` as replaced (perhaps by another account), those in a form that the CA no longer
    accepts, and those beside which another record authorises as much for as long.
    """
    mine = {*ours(standing), *marked}
    records = {
        finding.value: finding.record
        for finding in standing.evaluation.findings
        if finding.record and finding.value in mine
    }
    # Where some CA refuses it, another record has to stay.
    doubtful = {
        finding.value
        for finding in standing.evaluation.findings
        if finding.verdict == Verdict.ACCEPTED_BY_SOME
    }
    found = {value: "expired" for value, record in records.items() if record.expired(standing.at)}
    # Sorted, so that all who look choose the same of two that do the same.
    for value, record in sorted(records.items()):
        others = [
            other
            for v, other in records.items()
            if v != value and v not in found and v not in doubtful
        ]
        if value in found or not standing.without([value, *found]).everywhere:
            continue
        if value in marked:
            found[value] = "replaced"
        elif record.account_uri not in standing.request.account_uris.accepted:
            found[value] = "in a form that the CA does not accept"
        elif any(_does_as_much(standing, other, record) for other in others):
            found[value] = "superseded"
    return found


def _does_as_much(standing: Standing, new: ValidationRecord, old: ValidationRecord) -> bool:
    """Whether ``new`` authorises all that ``old`` does, also for other names with this alias."""
    uris = standing.request.account_uris
    serves = new.account_uri == old.account_uri or (
        new.account_uri == uris.published and uris.serves_all_of(old.account_uri)
    )
    return serves and reaches_as_far(new, old)


def superfluous(
    asked: Sequence[Standing], others: Sequence[Standing], marked: Collection[str]
) -> dict[str, str]:
    """Return which of our records at one name nobody needs, and why.

    ``asked`` and ``others`` are all requests of this machine that lead there; records of the
    accounts of ``asked``, and those ``marked`` as replaced, may go.
    """
    going: dict[str, str] = {}
    everybody = [*asked, *others]
    for standing in asked:
        name = standing.found.canonical_name
        for value, reason in prunable(standing, marked).items():
            if not needed_by(everybody, name, [*going, value]):
                going.setdefault(value, reason)
    return going


def is_bare(standings: Sequence[Standing], going: Collection[str], noted: Collection[str]) -> bool:
    """Whether no record of ours is left at a name without ``going``.

    ``standings`` are all requests of this machine that lead there; ``noted`` are values that we
    published there, perhaps for others.
    """
    left = {value for standing in standings for value in standing.found.values} - set(going)
    mine = {value for standing in standings for value in ours(standing)}
    return left.isdisjoint({*mine, *noted})


def wherever_they_lead(standings: Iterable[Standing], found: Found) -> list[Standing]:
    """Return ``standings`` as if all that cannot be looked up led to where ``found`` is.

    They may: a name can be an alias of any other. The trouble that they have is still in them.
    """
    return [
        dataclasses.replace(s, found=dataclasses.replace(found, trouble=s.found.trouble))
        if s.found.trouble
        else s
        for s in standings
    ]


def needed_by(standings: Iterable[Standing], name: str, values: Collection[str]) -> list[Standing]:
    """Return those of ``standings`` that need one of ``values`` at ``name``.

    Without these values, a server that has an accepted record for them would have none, or one
    that only some CAs accept.
    """
    return [
        standing
        for standing in standings
        if standing.found.canonical_name == name and _loses(standing, values)
    ]


def _loses(standing: Standing, values: Collection[str]) -> bool:
    accepted = standing.evaluation.accepted.keys()
    left = accepted - set(values)
    return any(
        not accepted.isdisjoint(server.values or ()) and left.isdisjoint(server.values or ())
        for server in standing.found.answers
    )


def not_needed(
    standings: Iterable[Standing], name: str, values: Sequence[str]
) -> tuple[list[str], list[Standing]]:
    """Return those of ``values`` at ``name`` that nobody needs, and those who need the others."""
    needing = needed_by(standings, name, values)
    needed = {value for standing in needing for value in standing.evaluation.accepted}
    return [value for value in values if value not in needed], needing
