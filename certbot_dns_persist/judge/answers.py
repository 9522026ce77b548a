"""Answers that other programs collected, judged as our own look-ups are. Pure: lines come in.

Such an answer says what one resolver has for one name. What the zone's own servers say, CAA,
DNSSEC, the wildcards around, and whether there is a zone at all stay unknown.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from certbot_dns_persist.judge.alike import Judge, Subjects
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.lookup.collected import BadLine, Collected, read
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer
from certbot_dns_persist.record import (
    VALIDATION_LABEL,
    is_normal_domain_name,
    validation_domain_name,
)
from certbot_dns_persist.request.names import Need

#: What no such answer tells, by the words for it in JSON.
UNTOLD = {
    "authoritative-servers": "what each authoritative server serves",
    "caa": "CAA records",
    "dnssec": "DNSSEC signatures",
    "wildcards": "wildcards around the records",
    "zones": "whether any zone holds a name",
}

#: How many bad lines of a file are shown.
_SHOWN = 5

_PREFIX = f"{VALIDATION_LABEL}."
_PREFIXED = len(_PREFIX)


class Wanted(Protocol):
    """The domains whose answers are wanted, each once."""

    def wanted(self, domain: str) -> tuple[Need, ...]:
        """Return what is wanted of ``domain``; nothing if that was taken."""

    def take(self, domain: str) -> tuple[Need, ...]:
        """Return the same, and never again."""

    def left(self) -> Iterator[tuple[str, tuple[Need, ...]]]:
        """Yield the domains that were not taken, and what is wanted of each."""

    def __contains__(self, domain: object) -> bool:
        """Whether something is wanted of ``domain``, taken or not."""


class Everything:
    """All domains that there are answers for, however often; wildcards are not wanted."""

    def wanted(self, domain: str) -> tuple[Need, ...]:
        """Return the domain, if it is one."""
        return (((domain,), 0),) if is_normal_domain_name(domain) else ()

    take = wanted

    def left(self) -> Iterator[tuple[str, tuple[Need, ...]]]:
        """Yield nothing: what has no answer is not known."""
        return iter(())

    def __contains__(self, domain: object) -> bool:
        return bool(self.wanted(str(domain)))


class Faults:
    """What was wrong with the answers."""

    def __init__(self) -> None:
        self._bad: dict[str, list[BadLine]] = {}
        self._more: dict[str, int] = {}
        self.others = 0
        """How many lines are about names that were not asked about."""
        self.repeated = 0
        """How many lines are about names that already had an answer."""
        self.unanswered = 0
        """How many names have no line."""

    def add(self, source: str, line: BadLine) -> None:
        """Add a line that cannot be read."""
        shown = self._bad.setdefault(source, [])
        if len(shown) < _SHOWN:
            shown.append(line)
        else:
            self._more[source] = self._more.get(source, 0) + 1

    def troubles(self) -> Iterator[str]:
        """Yield a message for each file that has lines that cannot be read."""
        for source, lines in self._bad.items():
            more = self._more.get(source, 0)
            told = "; ".join(f'line {n}: {reason}: "{text}"' for n, reason, text in lines)
            further = f"; and {more} more" if more else ""
            yield f"{source}: {_lines(len(lines) + more)} not readable: {told}{further}"

    def remarks(self) -> Iterator[str]:
        """Yield messages on what may not be wrong at all."""
        if self.repeated:
            yield (
                f"{_lines(self.repeated)} about names that already had an answer; the first "
                "answer counts."
            )
        if self.others and self.unanswered:
            yield (
                f"{_lines(self.others)} about names that were not asked about, and "
                f"{self.unanswered} of those that were have no answer. certbot-dns-persist names "
                "prints the names to feed to the collector."
            )


def _lines(count: int) -> str:
    return f"{count} line is" if count == 1 else f"{count} lines are"


def judge(
    sources: Mapping[str, Iterable[bytes]],
    wanted: Wanted,
    subjects: Subjects,
    *,
    alike: bool,
    at: int,
    warn_days: int,
    faults: Faults,
) -> Iterator[Checked]:
    """Yield each domain that is ``wanted``, judged, as soon as every source has answered for it.

    ``sources`` are the lines that each vantage point collected; those without an answer come last.
    ``alike`` is whether all that ``subjects`` returns differs in the domain and the wanted names
    only. ``at`` is in UNIX seconds. What is wrong with a line goes into ``faults``.
    """
    one = _Judge(tuple(sources), subjects, alike=alike, at=at, warn_days=warn_days)
    waiting: dict[str, list[Collected | None]] = {}
    single = len(sources) == 1
    for number, answer in _together(sources.values()):
        if isinstance(answer, BadLine):
            faults.add(one.sources[number], answer)
            continue
        name = answer[0]
        domain = name[_PREFIXED:] if name.startswith(_PREFIX) else ""
        if single:
            needs = wanted.take(domain)
            if needs:
                yield from one(domain, needs, (answer,))
                continue
        elif wanted.wanted(domain):
            answers = waiting.setdefault(domain, [None] * len(sources))
            if answers[number] is None:
                answers[number] = answer
                if None not in answers:
                    del waiting[domain]
                    yield from one(domain, wanted.take(domain), tuple(answers))
                continue
        if domain in wanted:
            faults.repeated += 1
        else:
            faults.others += 1
    none: list[Collected | None] = [None] * len(sources)
    for domain, needs in wanted.left():
        answers = waiting.pop(domain, none)
        faults.unanswered += not any(answers)
        yield from one(domain, needs, tuple(answers))
    for domain, answers in waiting.items():  # only where everything is wanted
        yield from one(domain, wanted.take(domain), tuple(answers))


def _together(
    sources: Collection[Iterable[bytes]],
) -> Iterable[tuple[int, Collected | BadLine]]:
    """Return the answers of each source in turn, so that few wait for those of another."""
    of_each = [zip(itertools.repeat(n), read(lines)) for n, lines in enumerate(sources)]
    if len(of_each) == 1:
        return of_each[0]
    rows = itertools.zip_longest(*of_each)
    return (each for row in rows for each in row if each is not None)


class _Judge:
    """Judges one answer of each source at a time."""

    def __init__(
        self, sources: tuple[str, ...], subjects: Subjects, *, alike: bool, at: int, warn_days: int
    ) -> None:
        self.sources = sources
        self._one = Judge(subjects, self._inspection, at=at, warn_days=warn_days)
        self._alike = alike

    def __call__(
        self, domain: str, needs: tuple[Need, ...], answers: tuple[Collected | None, ...]
    ) -> Iterable[Checked]:
        told: tuple[object, ...] | None = () if self._alike else None
        if told is not None:
            for answer in answers:
                if answer is None:
                    told += (None,)
                elif answer[0] == answer[1]:
                    told += answer[2:]
                else:  # an alias is somebody's own
                    told = None
                    break
        if len(needs) == 1:  # as of nearly all
            return self._one(domain, needs[0], told, answers)
        found = (self._one(domain, need, told, answers) for need in needs)
        return itertools.chain.from_iterable(found)

    def _inspection(self, answers: tuple[Collected | None, ...], domain: str) -> Inspection:
        """Return what the ``answers`` say about ``domain``, as a look-up would."""
        name = validation_domain_name(domain)
        usable = [answer for answer in answers if answer and answer.values is not None]
        servers = tuple(
            ServerAnswer(source, source, None, "has no line for it")
            if answer is None
            else ServerAnswer(source, source, answer.values, answer.trouble)
            for source, answer in zip(self.sources, answers, strict=True)
        )
        if usable:
            alias = next((a.canonical_name for a in usable if a.canonical_name != a.name), name)
            return Inspection(domain, Found(name, alias, None, servers), bogus=False)
        if any(answers):
            trouble = "; ".join(f"{server} {server.trouble}" for server in servers)
        else:
            trouble = (
                f"not answered: {' and '.join(self.sources)} {_HAVE[len(servers) > 1]} no line"
            )
        return Inspection(domain, Found(name, name, None, (), trouble=trouble), bogus=False)


_HAVE = ("has", "have")
