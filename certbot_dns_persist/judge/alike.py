"""One judgement for all domains with the same answer. Pure: nothing is looked up.

Most of a million domains differ in nothing but their name: the same few servers serve the same
value for each. So the second one with an answer is judged for all that follow.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Generic, TypeVar

from certbot_dns_persist.judge.checkup import Checked, check
from certbot_dns_persist.judge.diagnosis import Diagnosis, Severity, Status
from certbot_dns_persist.judge.notice import Notice
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import Finding, validation_domain_name
from certbot_dns_persist.request.names import Need
from certbot_dns_persist.request.subjects import Subject

#: How many judgements are remembered, and how many characters the values of one may have.
_MOST, _MOST_CHARACTERS = 1000, 1024

#: The domain of which the first of many is judged; for any other, its name is put here.
PLACE = "place-of-a-name.invalid"

_T = TypeVar("_T")

Subjects = Callable[[str, Need], Iterable[Subject]]
"""Returns the subjects for a domain, of which something is wanted."""


def check_names(
    inspected: Iterable[tuple[tuple[str, Need], Inspection]],
    subjects: Subjects,
    *,
    at: int,
    warn_days: int,
) -> Iterator[Checked]:
    """Yield the subjects of each domain with their diagnoses, as soon as its inspection comes.

    All that ``subjects`` returns differs in the domain and the wanted names only. ``at`` is in
    UNIX seconds.
    """
    judge = Judge(subjects, _as_of, at=at, warn_days=warn_days)
    for (domain, need), inspection in inspected:
        yield from judge(domain, need, _told(inspection), inspection)


class Judge(Generic[_T]):
    """Judges one domain at a time; remembers judgements by what is answered."""

    def __init__(
        self,
        subjects: Subjects,
        inspection_of: Callable[[_T, str], Inspection],
        *,
        at: int,
        warn_days: int,
    ) -> None:
        """``inspection_of`` returns what DNS has for a domain that has an answer.

        ``at`` is in UNIX seconds.
        """
        self._subjects = subjects
        self._inspection_of = inspection_of
        self._at = at
        self._warn_days = warn_days
        self._firsts: dict[object, tuple[First, ...]] = {}

    def __call__(
        self, domain: str, need: Need, told: object | None, answer: _T
    ) -> Iterable[Checked]:
        """Return the subjects of ``domain``, which has the ``answer``, with their diagnoses.

        ``told`` is all that matters of the answer; ``None`` if it holds for ``domain`` alone.
        """
        names, who = need
        key = (len(names) if names[0] == domain else -len(names), who, told)
        firsts = None if told is None else self._firsts.get(key)
        if firsts:
            return _alike(firsts, domain)
        subjects = list(self._subjects(domain, need))
        if told is not None and subjects:
            if firsts is None:  # perhaps no other domain has this answer
                if len(self._firsts) >= _MOST:
                    self._firsts.clear()
                self._firsts[key] = ()
            elif _memorable(self._inspection_of(answer, domain)):
                firsts = tuple(First(partial(self._of, each, answer)) for each in subjects)
                self._firsts[key] = firsts
                return _alike(firsts, domain)
        return self._judge(subjects, answer, domain)

    def _of(self, subject: Subject, answer: _T, domain: str) -> Checked:
        """Return what is true of ``domain`` if it has the answer that ``subject`` has."""
        request = dataclasses.replace(subject.request, domain=domain)
        names = tuple(f"*.{domain}" if n.startswith("*.") else domain for n in subject.names)
        other = dataclasses.replace(subject, request=request, names=names)
        (checked,) = self._judge([other], answer, domain)
        return checked

    def _judge(self, subjects: Iterable[Subject], answer: _T, domain: str) -> Iterator[Checked]:
        inspection = self._inspection_of(answer, domain)
        inspected = ((each, inspection) for each in subjects)
        return check(inspected, at=self._at, warn_days=self._warn_days)


class Alike(Checked):
    """One of many domains with the same answer, of which only one was judged.

    What is said of that one is true of the others, with their own domain in the place of its.
    """

    _first: "First"
    _domain: str

    def __init__(self, first: "First", domain: str) -> None:
        """``domain`` is normalised."""
        own = self.__dict__  # attributes cannot be set here
        own["_first"], own["_domain"] = first, domain

    @property
    def domain(self) -> str:
        return self._domain

    @property
    def wildcard(self) -> bool:
        return self._first.checked.wildcard

    @property
    def account_url(self) -> str:
        return self._first.account_url

    @property
    def server(self) -> str:
        return self._first.checked.server

    @property
    def options(self) -> Options:
        return self._first.checked.options

    @property
    def status(self) -> Status:
        return self._first.status

    @property
    def severity(self) -> Severity:
        return self._first.severity

    @property
    def reason(self) -> str:
        return self.written(_reason)

    @property
    def values(self) -> tuple[Finding, ...]:
        return self._first.checked.values

    @property
    def expected_value(self) -> str | None:
        return self._first.checked.expected_value

    @property
    def end(self) -> int | None:
        return self._first.end

    @property
    def kinds(self) -> frozenset[tuple[Severity, str]]:
        return self._first.kinds

    def written(self, form: Callable[[Checked], str]) -> str:
        words = self._first.written.get(form)
        if words is None:
            words = self._first.written[form] = form(self._first.checked)
        return words.replace(PLACE, self._domain)

    @cached_property
    def _whole(self) -> Checked:
        return self._first.judge(self._domain)

    @property
    def subject(self) -> Subject:
        return self._whole.subject

    @property
    def standing(self) -> Standing:
        return self._whole.standing

    @property
    def diagnosis(self) -> Diagnosis:
        return self._whole.diagnosis

    @property
    def notices(self) -> tuple[Notice, ...]:
        return self._whole.notices

    @property
    def needed(self) -> bool:
        return True


class First:
    """What is true of all domains with the same answer."""

    def __init__(self, judge: Callable[[str], Checked]) -> None:
        """``judge`` returns what is true of a domain that has the answer."""
        self.judge = judge
        self.checked = judge(PLACE)
        self.status, self.severity = self.checked.status, self.checked.severity
        self.end, self.kinds = self.checked.end, self.checked.kinds
        self.account_url = self.checked.account_url
        self.written: dict[Callable[[Checked], str], str] = {}


def _alike(firsts: tuple[First, ...], domain: str) -> tuple[Alike, ...]:
    if len(firsts) == 1:  # as of nearly all
        return (Alike(firsts[0], domain),)
    return tuple(Alike(first, domain) for first in firsts)


def _reason(checked: Checked) -> str:
    return checked.reason


def _told(inspection: Inspection) -> object | None:
    """Return all that an inspection tells, if it would be said in the same words of any domain."""
    found, around = inspection.found, inspection.neighbourhood
    if (
        found.trouble
        or found.warnings
        or found.silent
        or found.synthesized
        or found.canonical_name != found.name
        or inspection.caa_trouble
        or any(inspection.elsewhere.values())
    ):
        return None
    if around is not None and (
        around.levels
        or around.trouble
        or around.synthesized
        or (around.place, around.zone) != (found.name, found.zone)
    ):
        return None
    own_zone = found.zone == inspection.domain
    return found.servers, own_zone or found.zone, inspection.caa, inspection.bogus


def _as_of(inspection: Inspection, domain: str) -> Inspection:
    """Return the same for another domain, if everything of it is told."""
    if domain == inspection.domain:
        return inspection
    name, zone = validation_domain_name(domain), inspection.found.zone
    zone = domain if zone == inspection.domain else zone
    found = dataclasses.replace(inspection.found, name=name, canonical_name=name, zone=zone)
    return Inspection(domain, found, inspection.bogus, inspection.caa)


def _memorable(inspection: Inspection) -> bool:
    """Whether to remember a judgement: the values are short, and do not name a place."""
    values = [value for server in inspection.found.servers for value in server.values or ()]
    return sum(map(len, values)) <= _MOST_CHARACTERS and not any(PLACE in v for v in values)
