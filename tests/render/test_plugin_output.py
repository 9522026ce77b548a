"""``check --quiet`` without a terminal: what monitoring systems read of a plugin."""

import io
import re
from collections.abc import Sequence

import pytest
from support.checked import audited

from certbot_dns_persist.judge.checkup import Checked, worst
from certbot_dns_persist.judge.diagnosis import Severity, Status
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.render import plugin_output
from certbot_dns_persist.render.plugin_output import PluginOutput

AT = 1_800_000_000
DAY = 86400

#: A number as the guidelines for Nagios plugins have it: label=value[unit];[warn];[crit];[min].
NUMBER = re.compile(r"([a-z]+)=(-?\d+)(s?);(\d+:|;;0)")


def put(
    rows: Sequence[Checked],
    troubles: Sequence[str] = (),
    *,
    command: str = "check",
    severity: Severity | None = None,
) -> str:
    out = io.StringIO()
    report = PluginOutput(out, command=command, at=AT, warn_days=30)
    for row in rows:
        report.add(row)
        assert out.getvalue() == ""  # the summary is the first line
    report.conclude(severity or worst(row.severity for row in rows), troubles)
    return out.getvalue()


def test_where_all_is_well_there_is_one_line() -> None:
    rows = [audited("a.example"), audited("b.example", end=AT + 90 * DAY), audited("c.example")]
    assert put(rows) == (
        "DNS-PERSIST OK - 3 of 3 domains ok | domains=3;;;0 ok=3;;;0 warning=0;;;0 unknown=0;;;0 "
        "critical=0;;;0 errors=0;;;0 expires=7776000s;2592000:\n"
    )


def test_the_summary_names_the_worst_first_and_the_problems_follow() -> None:
    rows = [
        audited("soon.example", status=Status.EXPIRING, end=AT + DAY),
        audited("fine.example"),
        *(audited(f"n{number}.example", status=Status.MISSING) for number in range(5)),
    ]
    summary, *problems = put(rows).splitlines()
    told, _, numbers = summary.partition(" | ")
    assert told == (
        "DNS-PERSIST CRITICAL - missing: n0.example, n1.example, n2.example and 2 more; expiring: "
        "soon.example; 1 of 7 domains ok"
    )
    found = [NUMBER.fullmatch(number) for number in numbers.split()]
    assert all(found)
    assert {match[1]: int(match[2]) for match in found if match} == {
        "domains": 7,
        "ok": 1,
        "warning": 1,
        "unknown": 0,
        "critical": 5,
        "errors": 0,
        "expires": DAY,
    }
    assert [line.split("\t")[:2] for line in problems] == [
        ["soon.example", "expiring"],
        *([f"n{number}.example", "missing"] for number in range(5)),
    ]


def test_an_audit_has_its_name_and_counts_a_domain_once_however_much_is_there() -> None:
    strangers = [
        Notice(NoticeKind.UNKNOWN_ACCOUNT, Severity.CRITICAL, "n", value, "is a stranger's")
        for value in ("v", "w")
    ]
    summary, *problems = put([audited("a.example", *strangers)], command="audit").splitlines()
    assert summary.startswith(
        "DNS-PERSIST AUDIT CRITICAL - unknown-account: a.example; 0 of 1 domain ok | domains=1;"
    )
    assert len(problems) == 2


def test_what_could_not_be_checked_is_told_even_if_nothing_was() -> None:
    shown = put([], ["There is no resolver.", "Another."], severity=Severity.UNKNOWN)
    assert shown.startswith(
        "DNS-PERSIST UNKNOWN - There is no resolver.; and 1 more error | domains=0;"
    )
    assert "errors=2;;;0" in shown


def test_strangers_cannot_write_numbers_or_lines() -> None:
    hostile = Notice(
        NoticeKind.UNKNOWN_ACCOUNT, Severity.CRITICAL, "n", "v", "x | ok=99\ny | ok=99"
    )
    shown = put([audited("a.example", hostile)], ["z | ok=99\n"])
    assert shown.count("|") == 1
    assert len(shown.splitlines()) == 2
    assert r"x \x7c ok=99\ny \x7c ok=99" in shown


def test_problems_beyond_a_limit_are_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [audited(f"n{number}.example", status=Status.MISSING) for number in range(50)]
    whole = put(rows)
    monkeypatch.setattr(plugin_output, "_IN_MEMORY", 100)
    assert put(rows) == whole
    assert len(whole.splitlines()) == 51
