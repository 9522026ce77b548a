"""What ``audit`` shows at a terminal."""

import io
import re

import pytest
from rich.console import Console
from support.checked import audited

from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.render.table import OnScreen

REASON = "is for an unknown account at a CA with a long name, and so on and on. " * 4


ROWS = (
    audited("fine.example"),
    audited(
        "strange.example",
        Notice(NoticeKind.UNRELATED, Severity.OK, "n", "v", "is nothing"),
        Notice(
            NoticeKind.UNKNOWN_ACCOUNT, Severity.CRITICAL, "n", "v", f"\x1b]0;owned\x07 {REASON}"
        ),
        Notice(NoticeKind.UNKNOWN_ACCOUNT, Severity.CRITICAL, "n", "w", "again"),
    ),
)


def screen(*, quiet: bool = False) -> str:
    out = io.StringIO()
    shown = OnScreen(Console(file=out, force_terminal=True, width=80), quiet=quiet)
    for row in ROWS:
        shown.add(row)
    shown.conclude(Severity.CRITICAL, [])
    return out.getvalue()


def test_findings_are_told_below_the_table_over_the_whole_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = screen()
    assert not re.search(r"\x1b\[3\d", text)  # no colour
    lines = re.sub(r"\x1b\[\d*m", "", text).splitlines()
    assert max(map(len, lines)) <= 80
    table, below = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert any("unknown-account (2)" in line for line in table)
    assert not any("long name" in line for line in table)
    assert below[0].rstrip() == "strange.example"
    assert below[1].startswith(r"  unknown-account: \x1b]0;owned\x07 is for an unknown account")
    assert below[-3].strip() == "unrelated: is nothing"
    assert below[-1] == "2 domains: 2 ok. Besides: 2 unknown-account."


def test_quiet_leaves_out_what_is_as_it_should_be() -> None:
    text = screen(quiet=True)
    assert "fine.example" not in text
    assert "is nothing" not in text
    assert "again" in text
