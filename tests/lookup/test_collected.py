"""The lines of zdns and massdns, as these programs print them, and as strangers may."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bootstrap import ROOT

from certbot_dns_persist.lookup import collected
from certbot_dns_persist.lookup.collected import BadLine, Collected, read

ANSWERS = ROOT / "tests" / "answers"
PRINTED = {path.stem: path.read_bytes().splitlines(keepends=True) for path in ANSWERS.glob("*son")}
URI = "https://ca.test/acct/1"


def answers(program: str) -> dict[str, Collected]:
    found = {}
    for answer in read(PRINTED[program]):
        assert isinstance(answer, Collected), answer
        domain = answer.name.removeprefix("_validation-persist.").removesuffix(".answers.test")
        found[domain] = answer
    return found


@pytest.mark.parametrize("program", ["massdns", "zdns"])
def test_values_are_those_of_the_zone_however_a_program_writes_them(program: str) -> None:
    found = answers(program)
    for domain, value in {
        "ok": f"ca.test; accounturi={URI}",
        "split": f"ca.test; accounturi={URI}; policy=wildcard",
        "long": f"ca.test; accounturi={URI}; note={'x' * 300}",
        "bytes": 'v=\0\x1b[31m\udcff "quoted" back\\slash',
        "tab": f"ca.test;\taccounturi={URI}",
        "quoted": f'"ca.test; accounturi={URI}"',
    }.items():
        values = found[domain].values
        assert values is not None
        assert [v[: len(value)] for v in values] == [value[: len(v)] for v in values]
    assert len(found["long"].values[0]) > 255  # type: ignore[index]
    assert sorted(found["two"].values or ()) == [
        f"ca.test; accounturi={URI}",
        f"other.test; accounturi={URI}",
    ]


@pytest.mark.parametrize("program", ["massdns", "zdns"])
def test_what_is_not_there_is_known_not_to_be_and_an_alias_is_followed(program: str) -> None:
    found = answers(program)
    for domain in ("absent", "nodata", "dangling", "_validation-persist.refused.elsewhere.invalid"):
        domain = domain.removeprefix("_validation-persist.")
        assert (found[domain].values, found[domain].trouble) == ((), None)
    assert found["alias"].canonical_name == "target.answers.test"
    assert found["alias"].values == (f"ca.test; accounturi={URI}",)


def massdns(**changes: object) -> bytes:
    line: dict[str, object] = {"name": "a.test.", "type": "TXT", "class": "IN", "status": "NOERROR"}
    return json.dumps(line | changes).encode()


def records(*records: tuple[str, str, str]) -> dict[str, object]:
    found = [{"type": kind, "name": name, "data": data} for kind, name, data in records]
    return {"answers": found}


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (massdns(status="SERVFAIL"), "answers SERVFAIL"),
        (massdns(status=None, error="TIMEOUT"), "timed out"),
        (massdns(status="A\x1b[31m"), r"answers A\x1b[31m"),
        (massdns(status="X" * 1000), f"answers {'X' * 100}…"),
        (massdns(flags=["tc"]), "answers TRUNCATED"),
        (
            massdns(data=records(("CNAME", "a.test.", "b.test."), ("CNAME", "b.test.", "a.test."))),
            "is an alias that never ends",
        ),
        (b'{"name":"a.test","results":{"TXT":{"status":"ITERATIVE_TIMEOUT"}}}', "timed out"),
    ],
)
def test_a_failure_is_no_answer_and_says_why(line: bytes, trouble: str) -> None:
    assert list(read([line])) == [Collected("a.test", "a.test", None, trouble)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it is no answer of zdns's TXT module or of massdns -t TXT -o J"),
        (b"3", "it is no answer of zdns's TXT module or of massdns -t TXT -o J"),
        (massdns(type="A"), "it is no answer of zdns's TXT module or of massdns -t TXT -o J"),
        (massdns(name=3), "it is no answer of zdns's TXT module or of massdns -t TXT -o J"),
        (
            massdns(data=records(("TXT", "a.test.", None))),  # type: ignore[arg-type]
            "it is no answer of zdns's TXT module or of massdns -t TXT -o J",
        ),
        (b"x" * (collected.LONGEST_LINE + 1), "it is too long"),
    ],
)
def test_a_bad_line_is_named_and_the_next_one_is_read(line: bytes, reason: str) -> None:
    bad, good = read([line, massdns()])
    assert isinstance(bad, BadLine)
    assert (bad.number, bad.reason) == (1, reason)
    assert bad.text.isprintable()
    assert len(bad.text) <= 101
    assert isinstance(good, Collected)


KEYS = st.sampled_from(["name", "results", "TXT", "data", "answers", "answer", "type", "status"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | KEYS, inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_no_line_of_a_stranger_ends_the_reading(line: bytes, ours: bool) -> None:
    loads = collected.loads
    collected.loads = json.loads if ours else loads
    try:
        found = list(read([line, PRINTED["zdns"][0]]))
    finally:
        collected.loads = loads
    assert isinstance(found[-1], Collected)


@pytest.mark.parametrize("program", ["massdns", "zdns"])
def test_lines_mean_the_same_whatever_reads_the_json(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = answers(program)
    monkeypatch.setattr(collected, "loads", json.loads)
    assert answers(program) == quick
