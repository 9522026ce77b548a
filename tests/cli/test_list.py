"""``list``: what we published, from the notes alone."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.companion import PROGRAM, Done, run
from support.journals import ADDED, RFC3339, Files

from certbot_dns_persist.render import published

NASTY = "ca.example; accounturi=https://ca.example/acct/1; x=[bold]\x1b[2J\tnot a column"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def listed(files: Files, *arguments: str) -> Done:
    places = ["--config-dir", str(files.config), "--logs-dir", str(files.logs)]
    return run([PROGRAM, "list", *arguments, *places], keep=files.logs / "output.log")


def test_where_nothing_was_published_that_is_said(files: Files) -> None:
    done = listed(files)
    assert (done.returncode, done.out) == (0, "")
    assert done.error == f"Our notes in {files.state} have no records.\n"
    assert listed(files, "-d", "example.com").error.endswith("have no records of these domains.\n")
    assert listed(files, "--json").json == {"version": 1, "records": []}
    assert not files.state.exists()


def test_what_was_published_is_listed_with_all_that_is_known(files: Files) -> None:
    files.done(ADDED)
    name = "_validation-persist.other.example"
    files.journal().intended(dataclasses.replace(ADDED, name=name, domain="other.example"))

    done = listed(files)
    assert done.returncode == 0, done.output
    first, second = done.out.splitlines()
    assert first.split("\t") == [
        "example.com",
        ADDED.name,
        ADDED.value,
        "rfc2136",
        ADDED.account_url,
        RFC3339,
        "2027-12-28T13:20:00Z",
        "",
    ]
    assert second.endswith(
        f"\tin doubt: its publication began at {RFC3339}, and the outcome is unknown"
    )
    document = listed(files, "--json").json
    assert document["version"] == 1
    known, doubtful = document["records"]
    assert known == {
        "domain": "example.com",
        "name": ADDED.name,
        "value": ADDED.value,
        "ttl": 300,
        "provider": "rfc2136",
        "zone": "example.com",
        "server": ADDED.server,
        "account_url": ADDED.account_url,
        "persist_until": "2027-12-28T13:20:00Z",
        "first_published": RFC3339,
        "last_changed": RFC3339,
        "temporary": False,
        "doubt": None,
    }
    assert "the outcome is unknown" in doubtful["doubt"]


def test_only_the_domains_that_are_named_are_listed(files: Files) -> None:
    files.done(ADDED)
    files.done(dataclasses.replace(ADDED, name="b.example", domain="b.example"))
    assert listed(files, "-d", "B.example.").out.count("\n") == 1
    assert listed(files, "-d", " b.example, *.example.com").out.count("\n") == 2
    assert listed(files, "-d", "c.example").out == ""
    assert listed(files, "-d", "a b").returncode == 3


def test_text_of_others_controls_neither_terminal_nor_columns(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files.done(dataclasses.replace(ADDED, value=NASTY))
    done = listed(files)
    assert "\x1b" not in done.out
    assert done.out.count("\t") == 7
    assert json.loads(listed(files, "--json").out)["records"][0]["value"] == NASTY

    monkeypatch.setenv("COLUMNS", "200")
    published.as_table(files.journal().published())
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "x=[bold]\\x1b[2J\\tnot a column" in shown
    assert "1 record." in shown


def test_notes_that_cannot_be_read_are_no_success(files: Files) -> None:
    files.done(ADDED)
    files.state.write_bytes(b"no database")
    done = listed(files)
    assert done.returncode == 3
    assert f"Our notes of DNS records in {files.state} cannot be read" in done.error


def test_notes_that_are_not_complete_are_said_to_be(files: Files) -> None:
    files.done(ADDED)
    files.state.unlink()
    assert "certbot-dns-persist check completes them" in listed(files).error


def test_it_asks_nobody(files: Files) -> None:
    files.done(ADDED)
    program = (
        "import socket\n"
        "from certbot_dns_persist import cli\n"
        "socket.getaddrinfo = socket.socket.connect = socket.socket.sendto = None\n"
        f"assert cli.main(['list', '--config-dir', {str(files.config)!r}]) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.count(ADDED.name) == 1
