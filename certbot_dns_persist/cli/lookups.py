"""Look-ups for subjects, each through the resolvers in its options."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Around, Found, Inspection, Neighbourhood
from certbot_dns_persist.options import Options
from certbot_dns_persist.request.subjects import Subject

if TYPE_CHECKING:
    from certbot_dns_persist.lookup.session import Lookup

LookupFor = Callable[[Options], "Lookup"]


def inspect(
    subjects: Iterable[Subject],
    lookup_for: LookupFor,
    *,
    caa: bool = True,
    around: Around = Around.NOTHING,
    elsewhere: bool = False,
) -> Iterator[tuple[Subject, Inspection]]:
    """Yield each of ``subjects``, in their order, with what DNS has for it; many at once.

    Subjects are drawn, and results yielded, as DNS answers, so there may be any number of them.
    ``caa`` is whether CAA records are asked for, ``around`` what is to be known of wildcards, and
    ``elsewhere`` whether to look where records are put by mistake.
    """
    for _, group in itertools.groupby(subjects, _resolver_key):
        first = next(group)
        drawn: deque[Subject] = deque()

        def domains(subjects: Iterable[Subject], drawn: deque[Subject] = drawn) -> Iterator[str]:
            for subject in subjects:
                drawn.append(subject)
                yield subject.request.domain

        together = itertools.chain([first], group)  # noqa: B031  # each group is used once
        lookup = lookup_for(first.options)
        for inspection in lookup.inspect(
            domains(together), caa=caa, around=around, elsewhere=elsewhere
        ):
            yield drawn.popleft(), inspection


def find(
    subjects: Iterable[Subject], names: Callable[[Subject], Iterable[str]], lookup_for: LookupFor
) -> dict[str, Found]:
    """Return the records at the ``names`` of each of ``subjects``, all looked up at once."""
    groups: dict[object, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(_resolver_key(subject), []).append(subject)
    found: dict[str, Found] = {}
    for group in groups.values():
        lookup = lookup_for(group[0].options)
        found |= lookup.find([name for subject in group for name in names(subject)])
    return found


def standings(subjects: Iterable[Subject], lookup_for: LookupFor, *, at: int) -> list[Standing]:
    """Return how ``subjects`` stand, in their order, all looked up at once.

    ``at`` is the time of judgement, in UNIX seconds.
    """
    subjects = list(subjects)
    groups: dict[object, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(_resolver_key(subject), []).append(subject)
    found = {
        key: lookup_for(group[0].options).find([subject.request.name for subject in group])
        for key, group in groups.items()
    }
    return [
        Standing(subject.request, found[_resolver_key(subject)][subject.request.name], at)
        for subject in subjects
    ]


def neighbourhoods(
    found: Iterable[tuple[Subject, Found]], lookup_for: LookupFor
) -> dict[str, Neighbourhood]:
    """Return, by name, what surrounds the future records of subjects that were looked up."""
    groups: dict[object, list[tuple[Subject, Found]]] = {}
    for subject, at_name in found:
        groups.setdefault(_resolver_key(subject), []).append((subject, at_name))
    around: dict[str, Neighbourhood] = {}
    for group in groups.values():
        lookup = lookup_for(group[0][0].options)
        around |= lookup.neighbourhoods(at_name for _, at_name in group)
    return around


def _resolver_key(subject: Subject) -> tuple[object, ...]:
    """Return a key: subjects with the same key are looked up in the same way.

    The credentials file says whether name servers on this machine are asked.
    """
    options = subject.options
    return options.resolvers, options.check, options.credentials
