"""Any number of subjects in one go: none waits for all others, and none is kept."""

import dataclasses
import io
import itertools
import json
from collections.abc import Iterable, Iterator

import pytest
from test_plan import DAY, NOW, OPTIONS, REQUEST, URI, ours

from certbot_dns_persist.judge.checkup import Checked, check, worst
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer
from certbot_dns_persist.lookup.session import Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.request.subjects import Subject

WINDOW = 5


class Window(Lookup):
    """Stands for a look-up that has ``WINDOW`` domains under way, all with one record."""

    def inspect(self, domains: Iterable[str], *, caa: bool = True) -> Iterator[Inspection]:
        rest = iter(domains)
        under_way = list(itertools.islice(rest, WINDOW))
        while under_way:
            domain = under_way.pop(0)
            name = f"_validation-persist.{domain}"
            answer = ServerAnswer("ns1", "192.0.2.1", (ours(),))
            yield Inspection(domain, Found(name, name, "test", (answer,)), bogus=False)
            under_way += itertools.islice(rest, 1)


def subject(domain: str, options: Options = OPTIONS) -> Subject:
    return Subject(dataclasses.replace(REQUEST, domain=domain), options)


def many(drawn: list[str]) -> Iterator[Subject]:
    """Yield as many subjects as are wanted, without end; note each."""
    for number in itertools.count():
        drawn.append(f"n{number}.test")
        yield subject(drawn[-1])


def test_subjects_are_drawn_as_they_are_needed_from_a_list_without_end() -> None:
    drawn: list[str] = []
    checked = check(many(drawn), lambda _: Window(), at=NOW, warn_days=30)
    first = list(itertools.islice(checked, 1000))
    assert [each.subject.request.domain for each in first] == drawn[:1000]
    assert {each.diagnosis.status for each in first} == {"ok"}
    assert len(drawn) < 1000 + 2 * WINDOW


@pytest.mark.parametrize("report", [Json, Lines])
def test_reports_are_written_as_results_come_and_keep_none(report: type) -> None:
    out = io.StringIO()
    writing = Json(out, at=NOW) if report is Json else Lines(out, quiet=False)
    checked = check(many([]), lambda _: Window(), at=NOW, warn_days=30)
    size = 0
    for each in itertools.islice(checked, 50):
        writing.add(each)
        assert each.subject.request.domain in out.getvalue()[size:]
        size = len(out.getvalue())
    assert not any(isinstance(value, (list, dict, Checked)) for value in vars(writing).values())


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("troubles", [[], ["one", 'two "quoted"\n']])
def test_json_is_whole_however_much_there_is(count: int, troubles: list[str]) -> None:
    out = io.StringIO()
    report = Json(out, at=NOW)
    for each in itertools.islice(check(many([]), lambda _: Window(), at=NOW, warn_days=30), count):
        report.add(each)
    report.conclude("unknown", troubles)
    read = json.loads(out.getvalue())
    assert (len(read["records"]), read["errors"], read["status"]) == (count, troubles, "unknown")


def test_subjects_with_other_resolvers_have_a_look_up_of_their_own_and_keep_their_order() -> None:
    near, far = (dataclasses.replace(OPTIONS, resolvers=((a, 53),)) for a in ("::1", "::2"))
    subjects = [subject("a.test", near), subject("b.test", near), subject("c.test", far)]
    asked: list[Options] = []

    def look_up_for(options: Options) -> Lookup:
        asked.append(options)
        return Window()

    checked = list(check(subjects, look_up_for, at=NOW, warn_days=30))
    assert [each.subject for each in checked] == subjects
    assert asked == [near, far]


@pytest.mark.parametrize(
    ("severities", "gravest"),
    [
        ([], "ok"),
        (["ok", "warning"], "warning"),
        (["warning", "unknown"], "unknown"),
        (["unknown", "critical", "ok"], "critical"),
    ],
)
def test_what_is_unknown_counts_more_than_a_warning_and_less_than_what_is_critical(
    severities: list[str], gravest: str
) -> None:
    assert worst(severities) == gravest


def expected(*values: str, options: Options = OPTIONS) -> str | None:
    class Serving(Window):
        def inspect(self, domains: Iterable[str], *, caa: bool = True) -> Iterator[Inspection]:
            for domain in domains:
                answer = ServerAnswer("ns1", "192.0.2.1", values)
                yield Inspection(domain, Found(domain, domain, "test", (answer,)), bogus=False)

    (checked,) = check([subject("a.test", options)], lambda _: Serving(), at=NOW, warn_days=30)
    return checked.expected_value


def test_the_expected_value_is_one_that_stands_or_else_the_one_to_publish() -> None:
    plain, bounded = ours(), ours(persist_until=NOW + 90 * DAY)
    assert expected() == f"a.example; accounturi={URI}"
    assert expected(plain) == plain
    assert expected(bounded, plain) == expected(plain, bounded) == plain
    assert expected(bounded) == bounded
    assert expected(ours(persist_until=NOW - DAY)) == plain


def test_there_is_no_expected_value_where_somebody_has_to_decide() -> None:
    ending = ours(persist_until=NOW + DAY)
    assert expected(ending) is None
    lasting = dataclasses.replace(OPTIONS, valid_for=90)
    assert expected(ending, options=lasting) == ours(persist_until=NOW + 90 * DAY)
    assert expected(options=dataclasses.replace(OPTIONS, until=NOW - 1)) is None
