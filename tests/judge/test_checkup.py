"""Any number of subjects in one go: none waits for all others, and none is kept."""

import dataclasses
import io
import itertools
import json
from collections.abc import Iterator

import pytest
from test_plan import DAY, NOW, OPTIONS, REQUEST, URI, ours

from certbot_dns_persist.judge.checkup import Checked, check, worst
from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer
from certbot_dns_persist.options import Options
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.request.subjects import Subject


def inspection(domain: str, *values: str) -> Inspection:
    name = f"_validation-persist.{domain}"
    answer = ServerAnswer("ns1", "192.0.2.1", values)
    return Inspection(domain, Found(name, name, "test", (answer,)), bogus=False)


def subject(domain: str, options: Options = OPTIONS) -> Subject:
    return Subject(dataclasses.replace(REQUEST, domain=domain), options)


def many(drawn: list[str]) -> Iterator[tuple[Subject, Inspection]]:
    """Yield as many subjects as are wanted, without end, all with one record; note each."""
    for number in itertools.count():
        drawn.append(f"n{number}.test")
        yield subject(drawn[-1]), inspection(drawn[-1], ours())


def test_subjects_are_judged_as_they_come_from_a_list_without_end() -> None:
    drawn: list[str] = []
    checked = check(many(drawn), at=NOW, warn_days=30)
    for count, each in enumerate(itertools.islice(checked, 1000), start=1):
        assert each.subject.request.domain == drawn[-1]
        assert (each.diagnosis.status, len(drawn)) == ("ok", count)


@pytest.mark.parametrize("report", [Json, Lines])
def test_reports_are_written_as_results_come_and_keep_none(report: type) -> None:
    out = io.StringIO()
    writing = Json(out, at=NOW) if report is Json else Lines(out, quiet=False)
    checked = check(many([]), at=NOW, warn_days=30)
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
    for each in itertools.islice(check(many([]), at=NOW, warn_days=30), count):
        report.add(each)
    report.conclude(Severity.UNKNOWN, troubles)
    read = json.loads(out.getvalue())
    assert (len(read["records"]), read["errors"], read["status"]) == (count, troubles, "unknown")


@pytest.mark.parametrize(
    ("severities", "gravest"),
    [
        ([], Severity.OK),
        ([Severity.OK, Severity.WARNING], Severity.WARNING),
        ([Severity.WARNING, Severity.UNKNOWN], Severity.UNKNOWN),
        ([Severity.UNKNOWN, Severity.CRITICAL, Severity.OK], Severity.CRITICAL),
    ],
)
def test_what_is_unknown_counts_more_than_a_warning_and_less_than_what_is_critical(
    severities: list[Severity], gravest: Severity
) -> None:
    assert worst(severities) is gravest


def expected(*values: str, options: Options = OPTIONS) -> str | None:
    asked = subject("a.test", options), inspection("a.test", *values)
    (checked,) = check([asked], at=NOW, warn_days=30)
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
