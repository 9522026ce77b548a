"""The list of changes and the list of standing records, under hard conditions."""

import dataclasses
import json
import logging
import multiprocessing
import os
import pwd
import stat
from pathlib import Path

import pytest

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.notes import Change
from certbot_dns_persist.journal.store import Journal

NOW = 1_800_000_000.9
RFC3339 = "2027-01-15T08:00:00Z"

ADDED = Change(
    action="add",
    name="_validation-persist.example.com",
    value="ca.example; accounturi=https://ca.example/acct/1",
    ttl=300,
    provider="rfc2136",
    zone="example.com",
    reason="no record authorises example.com",
    server="https://ca.example/directory",
    account_url="https://ca.example/acct/1",
    domain="example.com",
    persist_until=1_830_000_000,
)
REMOVED = dataclasses.replace(ADDED, action="remove", ttl=None, reason="revoked")


class Files:
    """Where a journal keeps what, and what stands there."""

    def __init__(self, root: Path) -> None:
        self.logs, self.config = root / "logs", root / "config"
        self.log = self.logs / "dns-persist-changes.jsonl"
        self.state = self.config / "dns-persist" / "records.json"

    def journal(self, now: float = NOW) -> Journal:
        return Journal(str(self.logs), str(self.config), lambda: now)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_change_is_one_json_line(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    files.journal().done(ADDED)
    files.journal().done(dataclasses.replace(REMOVED, result="REFUSED\nby the server"))

    first, second = files.lines()
    assert first == {
        "time": RFC3339,
        "host": os.uname().nodename,
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "action": "add",
        "name": "_validation-persist.example.com",
        "value": "ca.example; accounturi=https://ca.example/acct/1",
        "ttl": 300,
        "provider": "rfc2136",
        "zone": "example.com",
        "reason": "no record authorises example.com",
        "result": "ok",
    }
    assert second["action"] == "remove"
    assert second["result"] == "REFUSED\nby the server"


def test_who_used_sudo_is_noted(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    files.journal().done(ADDED)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert files.lines()[0]["user"] == f"{user} (sudo by alice)"


def test_nobody_else_may_read_the_files(files: Files) -> None:
    files.journal().done(ADDED)

    for path in (files.log, files.state, files.state.with_name("records.lock")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (files.logs, files.state.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_line_torn_by_a_crash_spoils_no_other(files: Files) -> None:
    files.journal().done(ADDED)
    whole = files.log.read_text()
    files.log.write_text(whole + whole[:40])
    files.journal().done(REMOVED)

    lines = files.log.read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[0])["action"] == "add"
    assert lines[1] == whole[:40]
    assert json.loads(lines[2])["action"] == "remove"


def test_what_was_added_stands_until_it_is_removed(files: Files) -> None:
    files.journal().done(ADDED)

    (record,) = files.journal().standing()
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
    }
    files.journal().done(REMOVED)
    assert files.journal().standing() == []


def test_what_somebody_else_removed_stands_no_longer(files: Files) -> None:
    files.journal().done(ADDED)
    (record,) = files.journal().standing()
    files.journal().gone(record)

    assert files.journal().standing() == []
    line = json.loads(files.log.read_text().splitlines()[-1])
    told = (line["action"], line["name"], line["value"], line["provider"], line["reason"])
    assert told == ("remove", ADDED.name, ADDED.value, "manual", "was gone already")


def test_adding_again_keeps_the_day_of_first_publication(files: Files) -> None:
    files.journal().done(ADDED)
    files.journal(NOW + 3600).done(dataclasses.replace(ADDED, ttl=60))

    (record,) = files.journal().standing()
    assert record.first_published == RFC3339
    assert record.last_changed == "2027-01-15T09:00:00Z"
    assert record.ttl == 60


def test_what_failed_changes_nothing_that_stands(files: Files) -> None:
    files.journal().done(ADDED)
    files.journal().done(dataclasses.replace(REMOVED, result="REFUSED"))
    files.journal().done(dataclasses.replace(ADDED, value="other", result="REFUSED"))

    assert [record.value for record in files.journal().standing()] == [ADDED.value]
    assert len(files.lines()) == 3


def test_nothing_stands_before_the_first_change(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    assert files.journal().standing() == []
    assert caplog.records == []
    assert not files.config.exists()


def _write_fifty(root: Path, writer: int) -> None:
    for number in range(50):
        value = f"writer {writer}, value {number}"
        Files(root).journal().done(dataclasses.replace(ADDED, value=value))


def test_processes_that_write_at_once_lose_nothing(files: Files, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_fifty, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0

    expected = {f"writer {writer}, value {n}" for writer in range(4) for n in range(50)}
    assert {line["value"] for line in files.lines()} == expected
    assert len(files.lines()) == 200
    assert {record.value for record in files.journal().standing()} == expected


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"version": 1, "records": [{"name": "torn',
        "[]",
        "{}",
        '{"version": 1, "records": [{"name": "lacks the rest"}]}',
        '{"version": 1, "records": ["no object"]}',
        "\xff",
    ],
)
def test_a_damaged_state_file_is_put_aside_with_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    files.state.parent.mkdir(parents=True)
    files.state.write_text(content, encoding="latin-1")

    assert files.journal().standing() == []
    assert str(files.state) in caplog.text
    assert files.state.read_text(encoding="latin-1") == content  # a reader moves nothing

    caplog.clear()
    files.journal().done(ADDED)
    aside = files.state.with_name(f"records.json.damaged-{RFC3339}")
    assert aside.read_text(encoding="latin-1") == content
    assert str(aside) in caplog.text
    assert [record.value for record in files.journal().standing()] == [ADDED.value]


def test_a_state_file_of_an_older_version_is_taken_over(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """The first ones noted no keys; a record has to have a name and a value."""
    files.state.parent.mkdir(parents=True)
    files.state.write_text('{"version": 1, "records": [{"name": "a.example", "value": "b"}]}')
    files.log.parent.mkdir()
    files.log.write_text('{"action": "add", "name": "a.example", "value": "b"}\n')

    files.journal().done(ADDED)
    assert files.journal().earlier_keys(ADDED.account_url, "one") == []

    assert [record.name for record in files.journal().standing()] == [ADDED.name, "a.example"]
    assert [line["name"] for line in files.lines()] == ["a.example", ADDED.name]
    assert caplog.text == ""


def test_what_a_newer_program_notes_besides_outlives_us(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.journal().done(ADDED)
    files.journal().done(dataclasses.replace(ADDED, value="another"))
    content = json.loads(files.state.read_text())
    content["zones"] = ["example.com"]
    for entry in content["records"]:
        entry["seen"] = ["ns1"]
    files.state.write_text(json.dumps(content))

    files.journal().done(ADDED)
    files.journal().done(dataclasses.replace(REMOVED, value="another"))
    files.journal().earlier_keys(ADDED.account_url, "one")

    content = json.loads(files.state.read_text())
    assert content["zones"] == ["example.com"]
    assert [entry["seen"] for entry in content["records"]] == [["ns1"]]
    assert [record.value for record in files.journal().standing()] == [ADDED.value]
    assert caplog.text == ""


def test_a_date_that_a_hand_made_text_is_damage(files: Files) -> None:
    files.journal().done(ADDED)
    files.state.write_text(files.state.read_text().replace("1830000000", '"next year"'))

    assert files.journal().standing() == []


def test_a_state_file_of_a_newer_version_is_left_alone(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.state.parent.mkdir(parents=True)
    files.state.write_text('{"version": 2}')

    files.journal().done(ADDED)

    assert files.state.read_text() == '{"version": 2}'
    assert files.journal().standing() == []
    assert "Update certbot-dns-persist" in caplog.text
    assert len(files.lines()) == 1


def test_a_file_that_cannot_be_written_is_a_warning_and_stops_not_the_other(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.logs.write_text("a file where the directory should be")

    files.journal().done(ADDED)

    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert str(files.log) in warning.getMessage()
    assert ADDED.name in warning.getMessage()
    assert [record.value for record in files.journal().standing()] == [ADDED.value]


def test_a_state_file_that_cannot_be_written_or_read_is_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.config.write_text("a file where the directory should be")

    files.journal().done(ADDED)
    assert files.journal().standing() == []

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert str(files.state) in caplog.text
    assert len(files.lines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' always full device")
def test_a_full_disk_is_a_warning(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    files.logs.mkdir()
    files.log.symlink_to("/dev/full")

    files.journal().done(ADDED)

    assert "No space left on device" in caplog.text
    assert len(files.journal().standing()) == 1


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
    files.journal().done(ADDED)
    assert files.journal().earlier_keys(url, "one") == ["three", "two"]


def test_what_a_ca_wants_is_remembered(files: Files) -> None:
    hashed = Terms(("ca.example", "ca2.example"), None, "acme:")
    for terms in (Terms(("ca.example",), ADDED.account_url), hashed):
        files.journal().note_terms(ADDED.account_url, terms)
        assert files.journal().terms(ADDED.account_url) == terms
    assert files.journal().terms("https://ca.example/acct/2") is None
    files.journal().done(ADDED)
    assert files.journal().terms(ADDED.account_url) == hashed


def test_a_key_that_cannot_be_noted_is_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.config.write_text("a file where the directory should be")
    files.journal().note_key(ADDED.account_url, "one")
    assert "could not be noted" in caplog.text
