"""The list of changes and the list of standing records, under hard conditions."""

import dataclasses
import json
import multiprocessing
import os
import pwd
import stat
from pathlib import Path

import pytest
from support.journals import ADDED, NOW, REMOVED, RFC3339, Files

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.notes import NOT_MADE, OK, Outcome


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_change_has_a_line_when_it_is_intended_and_one_when_it_was_tried(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    files.done(ADDED)
    files.done(REMOVED, "REFUSED\nby the server")

    intended, done, *removed = files.lines()
    assert intended == {
        "time": RFC3339,
        "host": os.uname().nodename,
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "id": done["id"],
        "action": "add",
        "name": "_validation-persist.example.com",
        "value": "ca.example; accounturi=https://ca.example/acct/1",
        "ttl": 300,
        "provider": "rfc2136",
        "zone": "example.com",
        "reason": "no record authorises example.com",
        "temporary": False,
        "result": "intended",
    }
    assert done == {**intended, "result": "ok"}
    assert [line["action"] for line in removed] == ["remove"] * 2
    assert [line["result"] for line in removed] == ["intended", "REFUSED\nby the server"]
    assert removed[0]["id"] == removed[1]["id"] != done["id"]


def test_the_ttl_that_the_service_chose_is_noted(files: Files) -> None:
    (intention,) = files.journal().intended(ADDED)
    files.journal().done(Outcome(intention, OK, 3600))
    assert [line["ttl"] for line in files.lines()] == [300, 3600]
    assert [record.ttl for record in files.journal().published()] == [3600]


def test_a_record_that_its_run_removes_again_is_logged_as_temporary(files: Files) -> None:
    files.done(dataclasses.replace(ADDED, temporary=True))
    assert [line["temporary"] for line in files.lines()] == [True, True]


def test_who_used_sudo_is_noted(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    files.done(ADDED)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert files.lines()[0]["user"] == f"{user} (sudo by alice)"


def test_nobody_else_may_read_the_files(files: Files) -> None:
    files.done(ADDED)

    (run,) = (files.state.parent / "runs").iterdir()
    for path in (files.log, files.state, run):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (files.logs, files.state.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_line_torn_by_a_crash_spoils_no_other(files: Files) -> None:
    files.done(ADDED)
    whole = files.log.read_text()
    files.log.write_text(whole + whole[:40])
    files.done(REMOVED)

    lines = files.log.read_text().splitlines()
    assert len(lines) == 5
    assert [json.loads(line)["action"] for line in lines[:2]] == ["add", "add"]
    assert lines[2] == whole[:40]
    assert [json.loads(line)["action"] for line in lines[3:]] == ["remove", "remove"]


def test_what_was_added_stands_until_it_is_removed(files: Files) -> None:
    files.done(ADDED)

    (record,) = files.journal().published()
    assert dataclasses.asdict(record) == {
        "name": ADDED.name,
        "value": ADDED.value,
        "ttl": 300,
        "provider": "rfc2136",
        "zone": "example.com",
        "server": "https://ca.example/directory",
        "account_url": "https://ca.example/acct/1",
        "domain": "example.com",
        "persist_until": 1_830_000_000,
        "first_published": RFC3339,
        "last_changed": RFC3339,
        "temporary": False,
        "doubt": None,
    }
    files.done(REMOVED)
    assert files.journal().published() == []


def test_what_somebody_else_removed_stands_no_longer(files: Files) -> None:
    files.done(ADDED)
    (record,) = files.journal().published()
    files.journal().gone(record)

    assert files.journal().published() == []
    line = json.loads(files.log.read_text().splitlines()[-1])
    told = (line["action"], line["name"], line["value"], line["provider"], line["result"])
    assert told == ("remove", ADDED.name, ADDED.value, "manual", "was gone already")
    assert files.journal().logged() == []


def test_adding_again_keeps_the_day_of_first_publication(files: Files) -> None:
    files.done(ADDED)
    files.done(dataclasses.replace(ADDED, ttl=60), now=NOW + 3600)

    (record,) = files.journal().published()
    assert record.first_published == RFC3339
    assert record.last_changed == "2027-01-15T09:00:00Z"
    assert record.ttl == 60


def test_what_failed_changes_nothing_that_stands(files: Files) -> None:
    files.done(ADDED)
    files.done(REMOVED, NOT_MADE)
    files.done(dataclasses.replace(ADDED, value="other"), NOT_MADE)

    assert [record.value for record in files.journal().published()] == [ADDED.value]
    assert [record.value for record in files.journal().logged()] == [ADDED.value]
    assert len(files.lines()) == 6


def test_nothing_stands_before_the_first_change(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    assert files.journal().published() == []
    assert caplog.records == []
    assert not files.config.exists()


def _write_twenty(root: Path, writer: int) -> None:
    for number in range(20):
        value = f"writer {writer}, value {number}"
        Files(root).done(dataclasses.replace(ADDED, value=value))


def test_processes_that_write_at_once_lose_nothing(files: Files, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_twenty, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0

    expected = {f"writer {writer}, value {n}" for writer in range(4) for n in range(20)}
    assert {line["value"] for line in files.lines()} == expected
    assert len(files.lines()) == 160
    assert {record.value for record in files.journal().published()} == expected


def test_the_keys_of_an_account_are_remembered_latest_first(files: Files) -> None:
    url = ADDED.account_url

    def earlier(key: str) -> list[str]:
        files.journal().note_key(url, key)
        return files.journal().earlier_keys(url, key)

    assert earlier("one") == []
    assert earlier("one") == []
    assert earlier("two") == ["one"]
    assert earlier("three") == ["two", "one"]
    assert earlier("one") == ["three", "two"]
    assert files.journal().earlier_keys("https://ca.example/acct/2", "one") == []
    files.done(ADDED)
    assert files.journal().earlier_keys(url, "one") == ["three", "two"]


def test_what_a_ca_wants_is_remembered(files: Files) -> None:
    hashed = Terms(("ca.example", "ca2.example"), None, "acme:")
    for terms in (Terms(("ca.example",), ADDED.account_url), hashed):
        files.journal().note_terms(ADDED.account_url, terms)
        assert files.journal().terms(ADDED.account_url) == terms
    assert files.journal().terms("https://ca.example/acct/2") is None
    files.done(ADDED)
    assert files.journal().terms(ADDED.account_url) == hashed


def test_a_key_that_cannot_be_noted_is_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.config.write_text("a file where the directory should be")
    files.journal().note_key(ADDED.account_url, "one")
    assert "could not be noted" in caplog.text
