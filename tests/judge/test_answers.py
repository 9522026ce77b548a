"""Answers that others collected, judged as a stream: each name once, and all that is said of it."""

import dataclasses
import io
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest
from test_plan import NOW, OPTIONS, REQUEST, URI

from certbot_dns_persist.judge.alike import PLACE, Alike
from certbot_dns_persist.judge.answers import Everything, Faults, Wanted, judge
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.render.plugin_output import PluginOutput
from certbot_dns_persist.request.names import Names, Need
from certbot_dns_persist.request.request import AccountUris
from certbot_dns_persist.request.subjects import Subject

VALUE = f"ca.example; accounturi={URI}"
SECOND = "https://ca.example/acct/2"
OTHER = f"ca.example; accounturi={SECOND}"


def subjects(domain: str, need: Need) -> list[Subject]:
    names, who = need
    wildcard = any(name.startswith("*.") for name in names)
    request = dataclasses.replace(REQUEST, domain=domain, wildcard=wildcard)
    second = dataclasses.replace(request, account_url=SECOND, account_uris=AccountUris(SECOND))
    return [Subject(each, OPTIONS, names=names) for each in (request, second)[: 1 + who]]


def line(domain: str, *values: str, **more: object) -> bytes:
    name = f"_validation-persist.{domain}."
    answers = [{"type": "TXT", "name": name, "data": value} for value in values]
    told = {"name": name, "type": "TXT", "status": "NOERROR", "data": {"answers": answers}}
    return json.dumps(told | more).encode() + b"\n"


def judged(
    wanted: Wanted,
    *sources: Iterable[bytes],
    alike: bool = True,
    faults: Faults | None = None,
) -> Iterator[Checked]:
    return judge(
        {f"place{number}": lines for number, lines in enumerate(sources)},
        wanted,
        subjects,
        alike=alike,
        at=NOW,
        warn_days=30,
        faults=faults or Faults(),
    )


def states(checked: Iterable[Checked]) -> dict[str, str]:
    return {each.domain: each.status for each in checked}


# Each twice, as the second is remembered.
LINES = [
    line(f"{twin}{domain}", *values)
    for twin in ("", "twin.")
    for domain, values in {
        "ok.test": [VALUE],
        "also.ok.test": [VALUE],
        "other.test": [OTHER],
        "both.test": [OTHER, VALUE],
        "none.test": [],
        "wild.test": [f"{VALUE}; policy=wildcard"],
        "late.test": [f"{VALUE}; persistUntil={NOW + 86400}"],
        "gone.test": [f"{VALUE}; persistUntil={NOW - 86400}"],
        "place.test": [f"{VALUE}; x={PLACE}"],
        "strange.test": [f"\x1b[31m|{VALUE}"],
    }.items()
]
LINES += [line(f"{twin}failed.test", status="SERVFAIL") for twin in ("", "twin.")]
SILENT = ["silent.test", "twin.silent.test"]
NAMES = [*(json.loads(each)["name"][len("_validation-persist.") : -1] for each in LINES), *SILENT]
WILD = ["*.ok.test", "*.wild.test", "wild.test", "*.both.test"]


@pytest.mark.parametrize(
    "report",
    [
        lambda out: Json(out, at=NOW),
        lambda out: Lines(out, quiet=False),
        lambda out: Lines(out, quiet=True),
        lambda out: PluginOutput(out, command="check", at=NOW, warn_days=30),
    ],
)
def test_a_remembered_judgement_says_what_a_judgement_of_its_own_does(
    report: Callable[[io.StringIO], Json],
) -> None:
    said = []
    for alike in (False, True):
        out = io.StringIO()
        made = report(out)
        names = Names([*NAMES, *WILD])
        for name in NAMES[::2]:
            names.add(name, 1)  # for two accounts, too
        checked = list(judged(names, [*LINES, *LINES], alike=alike))
        for each in checked:
            made.add(each)
        made.conclude(max(each.severity for each in checked), [])
        said.append(out.getvalue())
    assert said[0] == said[1]
    assert PLACE not in said[0].replace(f"x={PLACE}", "")


def test_all_that_a_program_can_ask_of_a_result_is_about_its_own_domain() -> None:
    plain, quick = (list(judged(Names(NAMES), LINES, alike=alike)) for alike in (False, True))
    assert sum(isinstance(each, Alike) for each in quick) >= 10
    for one, other in zip(plain, quick, strict=True):
        for name in (
            *("domain", "wildcard", "status", "severity", "reason", "values", "end", "kinds"),
            *("expected_value", "server", "account_url", "subject", "standing", "diagnosis"),
            *("notices", "needed"),
        ):
            assert getattr(one, name) == getattr(other, name), (name, one.domain)


def test_results_come_with_the_answers_and_those_without_one_come_last() -> None:
    names = Names(["silent.test", "b.test", "a.test"])
    found = judged(names, [line("a.test", VALUE), line("b.test", VALUE)])
    assert [(each.domain, str(each.status)) for each in found] == [
        ("a.test", "ok"),
        ("b.test", "ok"),
        ("silent.test", "unreachable"),
    ]


def test_a_name_without_a_line_is_called_not_answered() -> None:
    (found,) = judged(Names(["silent.test"]), [])
    assert "not answered: place0 has no line" in found.reason
    assert str(found.severity) == "unknown"


def test_places_that_differ_are_inconsistent_and_one_that_is_silent_is_named() -> None:
    names = Names(["same.test", "differs.test", "half.test"])
    here = [line("same.test", VALUE), line("differs.test", VALUE), line("half.test", VALUE)]
    there = [line("differs.test", OTHER), line("same.test", VALUE)]
    found = {each.domain: each for each in judged(names, here, there)}
    assert states(found.values()) == {
        "same.test": "ok",
        "differs.test": "inconsistent",
        "half.test": "unreachable",
    }
    assert "place1 does not serve a record that authorises" in found["differs.test"].reason
    assert "place1 has no line for it" in found["half.test"].reason


def test_what_is_wrong_with_lines_is_counted_and_the_first_are_shown() -> None:
    faults = Faults()
    bad = [b'{"\x1b[31m' + b"x" * 1000 + b"\n"] * 7
    lines = [*bad, line("a.test", VALUE), line("a.test", OTHER), line("b.test", VALUE)]
    found = judged(Names(["a.test", "silent.test"]), lines, faults=faults)
    assert states(found) == {"a.test": "ok", "silent.test": "unreachable"}
    (trouble,) = faults.troubles()
    assert trouble.startswith("place0: 7 lines are not readable: line 1: it is not JSON: ")
    assert trouble.endswith("; and 2 more")
    assert trouble.isprintable()
    assert len(trouble) < 1000
    repeated, others = faults.remarks()
    assert "1 line is about names that already had an answer" in repeated
    assert "1 line is about names that were not asked about" in others


def test_without_names_every_answer_is_judged() -> None:
    lines = [line("a.test", VALUE), line("a b.test", VALUE), line("", VALUE), line("b.test")]
    assert states(judged(Everything(), lines)) == {"a.test": "ok", "b.test": "missing"}
    assert states(judged(Everything(), lines, [line("a.test", OTHER)])) == {
        "a.test": "inconsistent",
        "b.test": "missing",
    }


@pytest.mark.parametrize("differing", [False, True])
def test_memory_does_not_grow_with_the_answers(
    differing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.judge.alike._MOST", 50)

    def lines() -> Iterator[bytes]:
        for number in itertools.count():
            # More than are remembered, and fewer than other caches hold.
            value = f"{VALUE}; n={number % 100}" if differing else VALUE
            yield line(f"n{number}.test", value)

    found = judged(Everything(), lines())
    tracemalloc.start()
    try:
        peaks = []
        for _ in range(3):
            for each in itertools.islice(found, 200):
                assert str(each.status) == "ok"
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 50_000
