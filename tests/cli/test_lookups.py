"""Any number of subjects are looked up in one go: none waits for all others, and none is kept."""

import itertools
from collections.abc import Collection, Iterable, Iterator

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.cli import lookups
from certbot_dns_persist.lookup.found import Found, Inspection
from certbot_dns_persist.lookup.session import Around, Lookup
from certbot_dns_persist.options import Options, options_of
from certbot_dns_persist.request.request import make_request
from certbot_dns_persist.request.subjects import Subject

WINDOW = 5
NEAR, FAR = (options_of({"resolvers": address}, {}) for address in ("::1", "::2"))
#: The server that its file names may be on this machine.
OTHER_FILE = options_of({"resolvers": "::1", "credentials": "/etc/dns.ini"}, {})


class Window(Lookup):
    """Stands for a look-up that has ``WINDOW`` domains under way, and finds nothing anywhere."""

    def inspect(
        self,
        domains: Iterable[str],
        *,
        caa: bool = True,
        around: Around = Around.NOTHING,
        elsewhere: bool = False,
    ) -> Iterator[Inspection]:
        rest = iter(domains)
        under_way = list(itertools.islice(rest, WINDOW))
        while under_way:
            domain = under_way.pop(0)
            yield Inspection(domain, nothing(f"_validation-persist.{domain}"), bogus=False)
            under_way += itertools.islice(rest, 1)

    def find(self, names: Collection[str]) -> dict[str, Found]:
        return {name: nothing(name) for name in names}


def nothing(name: str) -> Found:
    return Found(name, name, "test", ())


def subject(domain: str, options: Options = NEAR) -> Subject:
    request = make_request(
        domain,
        wildcard=False,
        shared=False,
        terms=Terms(("a.example",), "https://a.example/1"),
        account=Account("https://a.example/1", ""),
        earlier_keys=lambda: [],
        server="https://a.example/directory",
    )
    return Subject(request, options)


def test_subjects_are_drawn_as_they_are_needed_from_a_list_without_end() -> None:
    drawn: list[Subject] = []

    def many() -> Iterator[Subject]:
        for number in itertools.count():
            drawn.append(subject(f"n{number}.test"))
            yield drawn[-1]

    inspected = itertools.islice(lookups.inspect(many(), lambda _: Window()), 1000)
    for place, (each, inspection) in enumerate(inspected):
        assert each is drawn[place]
        assert inspection.domain == each.request.domain
        assert len(drawn) <= place + 1 + WINDOW


def test_subjects_with_other_resolvers_or_credentials_have_a_look_up_of_their_own() -> None:
    subjects = [
        subject("a.test"),
        subject("b.test"),
        subject("c.test", FAR),
        subject("d.test"),
        subject("e.test", OTHER_FILE),
    ]
    asked: list[Options] = []

    def lookup_for(options: Options) -> Lookup:
        asked.append(options)
        return Window()

    inspected = list(lookups.inspect(subjects, lookup_for))
    assert [each for each, _ in inspected] == subjects
    assert [inspection.domain for _, inspection in inspected] == [
        each.request.domain for each in subjects
    ]
    assert asked == [NEAR, FAR, NEAR, OTHER_FILE]


def test_several_names_of_each_subject_are_found_at_once_by_whom_to_ask() -> None:
    subjects = [subject("a.test"), subject("c.test", FAR), subject("b.test")]
    asked: list[Options] = []

    def lookup_for(options: Options) -> Lookup:
        asked.append(options)
        return Window()

    found = lookups.find(
        subjects, lambda each: [f"{label}.{each.request.domain}" for label in "xy"], lookup_for
    )
    assert sorted(found) == ["x.a.test", "x.b.test", "x.c.test", "y.a.test", "y.b.test", "y.c.test"]
    assert asked == [NEAR, FAR]
