"""What a record hides, or permits, through a wildcard (RFC 4592). Pure: nothing is looked up.

A record below a name makes the name exist, so no wildcard answers any more for it, or for any name
below it: a host may disappear, although the record and the certificate are fine.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found, Level, Neighbourhood
from certbot_dns_persist.record import validation_domain_name

OPTION = "--dns-persist-may-hide"


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """Why a record must not be published now."""

    domain: str
    around: Neighbourhood
    hidden: tuple[Level, ...]
    """The names that it would hide, the longest first; none if that cannot be determined."""
    permitted: tuple[str, ...]
    """The names that may be hidden, by the option."""
    wildcard: bool = False
    """Whether the record is for names below the domain, too."""

    @property
    def to_permit(self) -> tuple[str, ...]:
        """The value of the option with which the record is published anyway."""
        names = [level.name for level in self.hidden] if self.hidden else [self.domain]
        return tuple(dict.fromkeys([*self.permitted, *names]))

    @property
    def source(self) -> str:
        """The wildcard that answers for the names that would be hidden."""
        return f"*.{_parent(self.hidden[-1].name)}"


def obstacle(
    domain: str, around: Neighbourhood, permitted: Sequence[str], *, wildcard: bool = False
) -> Obstacle | None:
    """Return why a record for ``domain`` must not be published; ``None`` if it may.

    ``permitted`` are the names that may be hidden; if nothing can be determined, the domain must
    be among them. ``wildcard`` says whether the record is for names below the domain, too.
    """
    hidden = tuple(level for level in around.levels if level.by_wildcard)
    names = [level.name for level in hidden]
    if around.trouble is not None:
        names.append(domain)
    if set(names) <= set(permitted):
        return None
    return Obstacle(domain, around, hidden, tuple(permitted), wildcard)


def at_place(found: Found, around: Neighbourhood) -> Found:
    """Return ``found`` for publishing: with the place of the record."""
    if around.trouble is not None and not around.synthesized:
        return found
    return dataclasses.replace(
        found, canonical_name=around.place, zone=around.zone, synthesized=around.synthesized
    )


def refusal(obstacles: Iterable[Obstacle]) -> str:
    """Return what the records would hide, and what to do, for a person."""
    by_source: dict[str, list[Obstacle]] = {}
    unknown = []
    for each in obstacles:
        if each.hidden:
            by_source.setdefault(each.source, []).append(each)
        else:
            unknown.append(_unknown(each))
    return "\n\n".join([*(_hiding(source, them) for source, them in by_source.items()), *unknown])


def _hiding(source: str, obstacles: Sequence[Obstacle]) -> str:
    places = ", ".join(each.around.place for each in obstacles)
    levels = {level.name: level for each in obstacles for level in each.hidden}
    names = ", ".join(levels)
    lines = [
        f"The wildcard {source} answers for {names} now, and would stop with a record at {places}: "
        "no wildcard answers for a name that has something below it, nor for any name below that "
        "(RFC 4592). Nothing was published there. Do one of these, then run the same command "
        "again:",
        "- First publish what the wildcard answers now, for each name and for all below it:",
    ]
    for level in levels.values():
        for owner in (level.name, f"*.{level.name}"):
            lines += [f"    {record.line(owner)}" for record in level.own]
    parent = source.removeprefix("*.")
    if all(
        len(each.hidden) == 1
        and not each.wildcard
        and each.around.place.partition(".")[2] == each.domain
        for each in obstacles
    ):
        lines.append(
            f"- Or get a certificate for {source} instead: the record for it, at "
            f"{validation_domain_name(parent)}, hides nothing."
        )
    permitted = dict.fromkeys(name for each in obstacles for name in each.to_permit)
    lines.append(f"- Or, if they may be hidden, add: {OPTION} {','.join(permitted)}")
    return "\n".join(lines)


def _unknown(each: Obstacle) -> str:
    return (
        f"Whether a wildcard answers for {each.domain} now, and would stop with a record at "
        f"{each.around.place} (RFC 4592), could not be checked: {each.around.trouble}. Nothing "
        "was published there. Let this machine ask the authoritative servers, on port 53 by UDP "
        "and TCP. Or, if you know that no wildcard matters here, or the name may be hidden, add: "
        f"{OPTION} {','.join(each.to_permit)}"
    )


def remarks(standing: Standing, around: Neighbourhood) -> Iterator[Notice]:
    """Yield notices on a record that is beside wildcards."""
    request = standing.request
    if not standing.accepted:
        return
    for level in around.levels:
        answers = "; ".join(record.line(level.name) for record in level.beside)
        yield Notice(
            NoticeKind.HIDES_HOST,
            Severity.WARNING,
            level.name,
            None,
            f"{level.name} has no records, and a name below it, such as {request.name}, hides it "
            "from a wildcard: clients find no host of that name. Give it records of its own. "
            f"The wildcard would answer: {answers}",
        )
    for value, record in standing.evaluation.accepted.items():
        if around.synthesized and record.account_uri not in request.account_uris.bound:
            yield Notice(
                NoticeKind.PERMITS_OTHERS,
                Severity.WARNING,
                standing.found.canonical_name,
                value,
                f"The record that authorises {request.domain} comes from a wildcard, and is not at "
                f"{request.name} itself. So it also permits certificates for every other name "
                "that the wildcard answers for. Publish one at the name itself "
                f"(certbot-dns-persist record -d {request.domain} shows it), then remove this one.",
            )


def _parent(name: str) -> str:
    return name.partition(".")[2]
