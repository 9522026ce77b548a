"""What strangers wrote into DNS, a file or an answer controls no terminal, log, page or report."""

import io
import json
import logging
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certbot.errors import PluginError
from rich.console import Console
from support.bootstrap import ROOT

from certbot_dns_persist import authenticator, cli
from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.change import words
from certbot_dns_persist.cli.report import Report
from certbot_dns_persist.errors import NotAuthorized
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.judge import hint
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Diagnosis, Severity, Status
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.judge.words import lagging, what_stands
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer
from certbot_dns_persist.lookup.zones import to_text
from certbot_dns_persist.options import options_of
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.providers.script import Script
from certbot_dns_persist.render import live, published
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.explained import render
from certbot_dns_persist.render.html import Html
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.render.metrics import Metrics
from certbot_dns_persist.render.plugin_output import PluginOutput
from certbot_dns_persist.render.table import OnScreen
from certbot_dns_persist.request.request import make_request
from certbot_dns_persist.request.subjects import Subject
from certbot_dns_persist.shown import ShownStream, logger_of, printable, shown
from certbot_dns_persist.value.explanation import Criteria, explain

FORGED = "CRITICAL: everything is lost"
HOSTILE = (
    "pebble.test; [/x] [red]:smile:[/] %s {0} "
    "\x1b[2J\x1b[31m\x1b]8;;https://evil.example\x1b\\\x9b31m\x07\x08\x00\x7f"  # for terminals
    "\u202egnp.exe\u2066\u200f\u2028"  # for eyes: text that runs backwards, line separators
    f"\r\n{FORGED}\n\udcff\ue000</script><b>"
)
AT = 1_800_000_000
URI = "https://ca.example/acct/1"


def harmless(text: str, *, lines: bool = True) -> None:
    """Assert that ``text`` has no character that does anything, and no line of a stranger's."""
    for character in text:
        assert (
            character in "\n\t"
            or unicodedata.category(character)[0] not in "CZ"
            or (character == " ")
        ), f"{character!r} in {text!r}"
    assert not lines or not re.search(f"^{FORGED}", text, re.MULTILINE), text


REQUEST = make_request(
    "www.example.com",
    wildcard=False,
    shared=False,
    terms=Terms(("ca.example",), URI),
    account=Account(URI, ""),
    earlier_keys=lambda: [],
    server=f"https://ca.example/{HOSTILE}",
)
SERVERS = (
    ServerAnswer(f"ns1.{HOSTILE}", "192.0.2.1", (HOSTILE, f"ca.example; accounturi={HOSTILE}")),
    ServerAnswer("ns2", "192.0.2.2", None, f"says {HOSTILE}"),
)
STANDINGS = [
    Standing(REQUEST, Found(REQUEST.name, REQUEST.name, "example.com", SERVERS), AT),
    Standing(REQUEST, Found(REQUEST.name, REQUEST.name, None, (), trouble=HOSTILE), AT),
]


def checked(standing: Standing) -> Checked:
    diagnosis = Diagnosis(Status.MISSING, f"No record: {HOSTILE}")
    notices = (Notice(NoticeKind.UNRELATED, Severity.WARNING, "n", HOSTILE, f"is {HOSTILE}"),)
    return Checked(Subject(REQUEST, options_of({}, {})), standing, diagnosis, notices)


CHECKED = [checked(standing) for standing in STANDINGS]


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(screen: str) -> str:
    """Return what rich has written, without its own control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", screen)


# What is put together


def test_one_line_stays_one_and_says_what_was_in_it() -> None:
    harmless(printable(HOSTILE))
    assert "\n" not in printable(HOSTILE)
    assert r"\x1b[2J" in printable(HOSTILE)
    assert r"\u202egnp.exe" in printable(HOSTILE)
    assert printable("für münchen.example \N{SNOWMAN}") == "für münchen.example \N{SNOWMAN}"


def test_names_from_dns_have_no_such_characters() -> None:
    labels = (b"_validation-persist", b"\x1b[2J", "\u202e".encode(), b"a.b\n", b"\xff", b"")
    harmless(to_text(labels))
    assert "\n" not in to_text(labels)


def test_several_lines_stay_what_they_are() -> None:
    assert shown("a\n\tb\x1b\n") == "a\n\tb\\x1b\n"
    harmless(shown(HOSTILE), lines=False)
    assert shown(shown(HOSTILE)) == shown(HOSTILE)


@pytest.mark.parametrize(
    "text",
    [
        *map(what_stands, STANDINGS),
        lagging(STANDINGS),
        hint.explain(
            [REQUEST] * 2,
            [Inspection("www.example.com", each.found, bogus=False) for each in STANDINGS],
            said={},
            at=AT,
        ).partition("\n")[2],
        words.unseen(STANDINGS),
        render(explain(HOSTILE, Criteria((), (), False, AT)), Criteria((), (), False, AT)),
        render(
            explain(f"ca.example; accounturi=https://a; x={HOSTILE}", Criteria((), (), False, AT)),
            Criteria((), (), False, AT),
        ),
    ],
)
def test_no_line_of_a_message_is_a_strangers(text: str) -> None:
    harmless(text)


# The doors


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a handler of somebody else, as Certbot's, writes of our loggers' messages."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(asctime)s:%(levelname)s:%(name)s:%(message)s"))
    logging.getLogger().addHandler(handler)
    yield out
    logging.getLogger().removeHandler(handler)


def test_what_we_log_is_shown_with_its_traceback(logged: io.StringIO) -> None:
    logger = logger_of("certbot_dns_persist.a_module")
    logger.warning("one of %s: %d", HOSTILE, 7)
    logger.warning(HOSTILE)  # without arguments, nothing is a place for one
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("raised")
    harmless(logged.getvalue(), lines=False)
    assert "%s {0}" in logged.getvalue()
    assert ": 7\n" in logged.getvalue()
    assert "Traceback" in logged.getvalue()


def test_every_logger_of_ours_is_such_a_one() -> None:
    of_others = ("route53.py", "google.py", "azure.py")  # which silence those of libraries
    for path in (ROOT / "certbot_dns_persist").rglob("*.py"):
        if path.name not in ("shown.py", "last_resort.py", *of_others):
            assert "getLogger" not in path.read_text("utf-8"), path


def test_every_console_takes_no_markup() -> None:
    for path in (ROOT / "certbot_dns_persist").rglob("*.py"):
        if path.name != "console.py":
            assert not re.search(
                r"\bConsole\(|\bLive\((?!\n *console=)", path.read_text("utf-8")
            ), path


def test_certbot_gets_our_errors_and_messages_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (NotAuthorized(HOSTILE), ValueError(HOSTILE)):
        with pytest.raises(PluginError) as caught, authenticator._errors_for_certbot():
            raise error
        harmless(str(caught.value), lines=False)
        harmless(repr(caught.value), lines=False)
    told: list[str] = []
    monkeypatch.setattr("certbot.display.util.notify", told.append)
    authenticator._notify(HOSTILE)
    harmless(told[0], lines=False)


def test_the_streams_of_the_command_show_whatever_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
        raise NotAuthorized(HOSTILE)

    monkeypatch.setattr("certbot_dns_persist.cli.explain.run", run)
    assert cli.main(["explain"]) == 1
    for written in capsys.readouterr():
        harmless(written, lines=False)
        assert r"\x1b[2J" in written


def test_a_stream_that_shows_is_as_good_as_the_one_behind_it() -> None:
    screen = Screen()
    stream = ShownStream(screen)
    assert print("ä\x1b", file=stream) is None
    assert stream.isatty()
    assert screen.getvalue() == "ä\\x1b\n"
    stream.close()
    assert not screen.closed


def test_a_programs_output_is_shown_by_whoever_shows_it(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nprintf '\\033[2Jdone'\n")
    program.chmod(0o700)
    told: list[str] = []
    script = Script(
        Settings({"command": str(program)}, None, lambda said: told.append(shown(said)), _nothing)
    )
    script.remove_value("n", "v")
    assert told[0].endswith("\\x1b[2Jdone")


def _nothing(_: str) -> Served:
    return Served([], None)


# Reports and views


@pytest.mark.parametrize("how", ["table", "lines", "json"])
def test_our_notes_are_listed_as_text(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = PublishedRecord(
        name=HOSTILE,
        value=HOSTILE,
        ttl=300,
        provider=HOSTILE,
        zone=HOSTILE,
        server=HOSTILE,
        account_url=HOSTILE,
        domain=HOSTILE,
        persist_until=AT,
        first_published=HOSTILE,
        last_changed=HOSTILE,
        doubt=HOSTILE,
    )
    out = Screen()
    monkeypatch.setattr(sys, "stdout", ShownStream(out))
    monkeypatch.setenv("COLUMNS", "400")
    if how == "table":
        published.as_table([noted])
    elif how == "lines":
        published.as_lines([noted], out)
    else:
        published.as_json([noted], out)
    harmless(drawn(out.getvalue()) if how == "table" else out.getvalue())


def test_the_live_view_draws_text_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", ShownStream(screen))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("LINES", "50")
    with live.watching(True) as show:
        show(STANDINGS, 61)
    harmless(drawn(screen.getvalue()))
    assert "[/x] [red]:smile:[/]" in screen.getvalue()
    assert "\x1b[" in screen.getvalue()  # rich's own, which the shown stream does not take away
    assert "\x1b]" not in screen.getvalue()


def report(name: str, out: io.StringIO) -> Report:
    def put(octets: bytes) -> None:
        out.write(octets.decode("utf-8"))

    console = Console(file=out, force_terminal=True, width=400, markup=False, emoji=False)
    made: dict[str, Callable[[], Report]] = {
        "lines": lambda: Lines(out, quiet=False),
        "plugin": lambda: PluginOutput(out, command="audit", at=AT, warn_days=30),
        "table": lambda: OnScreen(console, quiet=False),
        "json": lambda: Json(out, at=AT),
        "html": lambda: Html(put, at=AT),
        "metrics": lambda: Metrics(put, command="check", at=AT),
    }
    return made[name]()


@pytest.mark.parametrize("name", ["lines", "plugin", "table", "json", "html", "metrics"])
def test_reports_hold_text_and_nothing_else(name: str) -> None:
    out = io.StringIO()
    made = report(name, out)
    for each in CHECKED:
        made.add(each)
    made.conclude(Severity.CRITICAL, [printable(HOSTILE)])
    text = drawn(out.getvalue()) if name == "table" else out.getvalue()
    if name == "html":
        text = re.sub("[\ue000-\ue004]", "", text)  # ours: places for what a script puts in
        assert "</script><b>" not in text
    harmless(text)
    if name == "json":
        whole = HOSTILE.replace("\udcff", r"\xff")  # JSON has no octets
        (record, _) = json.loads(text)["records"]
        assert whole in [found["value"] for found in record["found"]]
