"""Notes of our records that were lost are made anew from DNS, the log and Certbot's files."""

import contextlib
import json
import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion

from certbot_dns_persist.journal.notes import Change, PublishedRecord
from certbot_dns_persist.journal.store import Journal


@pytest.fixture
def certified(certbot: Certbot, domain: str, bind_writing: list[str]) -> str:
    """A domain with a certificate and a record that was noted."""
    done = certbot.certonly(*bind_writing, "-d", domain)
    assert done.returncode == 0, done.output
    return domain


@pytest.fixture
def state(certbot: Certbot) -> Path:
    return certbot.state_file


@pytest.mark.parametrize("command", ["check", "audit"])
@pytest.mark.parametrize("damage", ["truncated", "directory"])
def test_a_damaged_state_is_rebuilt_with_one_warning_and_kept_aside(
    certbot: Certbot,
    companion: Companion,
    certified: str,
    state: Path,
    command: str,
    damage: str,
) -> None:
    records = certbot.records()["records"]
    half = state.read_bytes()[:5000]
    if damage == "directory":
        state.unlink()
        state.mkdir()
    else:
        state.write_bytes(half)

    done = companion(command, "--all")

    assert done.returncode == 0, done.output
    assert done.out.startswith(f"{certified}\tok\t")
    (warning,) = done.error.splitlines()
    (aside,) = state.parent.glob("state.sqlite.damaged-*")
    assert aside.is_dir() or aside.read_bytes() == half
    assert f"{state} was damaged, and is now kept as {aside}. It was rebuilt" in warning
    assert "with 1 record." in warning
    assert certbot.records()["records"] == records
    again = companion(command, "--all")
    assert (again.returncode, again.error) == (0, "")


def test_a_lost_state_is_rebuilt_whatever_the_command_is_about(
    certbot: Certbot, companion: Companion, certified: str, bind_writing: list[str], state: Path
) -> None:
    assert certbot.certonly(*bind_writing, "-d", f"second.{certified}").returncode == 0
    records = certbot.records()["records"]
    state.unlink()

    done = companion("check", "-d", certified)

    assert done.returncode == 0, done.output
    assert f"{state} was lost. It was rebuilt" in done.error
    assert "with 2 records." in done.error
    assert certbot.records()["records"] == records


def test_without_the_log_dns_tells_what_is_ours_and_leaves_open_what_it_cannot_tell(
    certbot: Certbot, companion: Companion, certified: str, state: Path, bind: Bind
) -> None:
    (before,) = certbot.records()["records"]
    name = f"_validation-persist.{certified}"
    bind.add_txt(name, "pebble.test; accounturi=https://ca.example/somebody/else")
    state.unlink()
    (certbot.logs_dir / "dns-persist-changes.jsonl").unlink()

    done = companion("check", "--all")

    assert done.returncode == 0, done.output
    (rebuilt,) = certbot.records()["records"]
    assert rebuilt.pop("last_changed") >= before.pop("last_changed")
    assert rebuilt == {**before, "ttl": None, "first_published": None} | {
        key: before[key] for key in ("name", "value", "provider", "zone", "server", "account_url")
    }


def test_what_no_lineage_needs_any_more_is_noted_again_from_the_log(
    certbot: Certbot, companion: Companion, certified: str, bind_writing: list[str], state: Path
) -> None:
    assert certbot.certonly(*bind_writing, "-d", f"kept.{certified}").returncode == 0
    records = certbot.records()["records"]
    assert certbot.run("delete", "--cert-name", certified).returncode == 0
    state.unlink()

    done = companion("audit", "--all")

    assert done.returncode == 1, done.output
    assert f"{certified}\tleft-over\t" in done.out
    assert certbot.records()["records"] == records


def test_a_state_that_an_order_has_begun_anew_is_completed_by_the_next_check(
    certbot: Certbot, companion: Companion, certified: str, bind_writing: list[str], state: Path
) -> None:
    (first,) = certbot.records()["records"]
    state.write_text("no database")
    done = certbot.certonly(*bind_writing, "-d", f"second.{certified}")
    assert done.returncode == 0, done.output
    assert len(certbot.records()["records"]) == 1

    assert companion("check", "--all").returncode == 0
    assert first in certbot.records()["records"]
    assert len(certbot.records()["records"]) == 2
    assert certbot.records()["incomplete"] == []


def test_on_a_new_machine_nothing_is_said_and_nothing_written(
    certbot: Certbot, companion: Companion, domain: str, bind_reading: list[str]
) -> None:
    certbot.register()
    done = companion("check", "-d", domain, "--server", certbot.server, *bind_reading)
    assert done.returncode == 2, done.output
    assert done.error == ""
    assert certbot.records() is None


def test_a_state_of_a_newer_version_is_left_alone(
    certbot: Certbot, companion: Companion, certified: str, state: Path
) -> None:
    with contextlib.closing(sqlite3.connect(state)) as newer:
        newer.execute("PRAGMA user_version = 2")
    before = state.read_bytes()
    done = companion("audit", "--all")
    assert done.returncode == 0, done.output
    assert state.read_bytes() == before
    assert done.error.count("Update certbot-dns-persist") == 1


@pytest.mark.usefixtures("somebody")
def test_a_state_that_may_not_be_read_is_a_warning_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = Journal("log", "etc")
    journal.note(_change("one"))
    journal.state_file.chmod(0)
    assert not journal.lost()
    assert not journal.exists()
    assert journal.published() == []
    assert journal.published() == []
    assert len(caplog.records) == 1
    assert "Permission denied" in caplog.text
    journal.state_file.chmod(0o600)
    assert len(journal.published()) == 1


@pytest.mark.usefixtures("somebody")
def test_where_nothing_can_be_written_nothing_is_rebuilt(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal("log", "etc")
    journal.note(_change("one"))
    journal.state_file.unlink()
    assert journal.lost()
    journal.state_file.parent.chmod(0o500)
    assert not journal.lost()
    assert caplog.records == []
    journal.state_file.parent.chmod(0o700)


def _change(value: str) -> Change:
    return Change(
        action="add",
        name="_validation-persist.example.com",
        value=value,
        ttl=300,
        provider="rfc2136",
        zone="example.com",
        reason="",
        server="https://ca.example/directory",
        account_url="https://ca.example/acct/1",
        domain="example.com",
    )


def _standing(value: str) -> PublishedRecord:
    return PublishedRecord(
        name="_validation-persist.example.com",
        value=value,
        ttl=None,
        provider="manual",
        zone=None,
        server="https://ca.example/directory",
        account_url="https://ca.example/acct/1",
        domain="example.com",
        persist_until=None,
        first_published=None,
        last_changed="2026-11-21T00:00:00Z",
    )


def _rebuild_or_record(root: Path, writer: int) -> None:
    journal = Journal(str(root / "log"), str(root / "etc"))
    for number in range(20):
        if writer % 2:
            journal.note(_change(f"writer {writer}, {number}"))
        else:
            journal.set_aside_damaged()
            journal.rebuild([_standing(f"lost {n}") for n in range(5)], complete=True)


@pytest.mark.long
def test_who_rebuilds_and_who_writes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc" / "dns-persist").mkdir(parents=True)
    journal = Journal(str(tmp_path / "log"), str(tmp_path / "etc"))
    journal.state_file.write_text('{"version": 1, "rec')
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_rebuild_or_record, args=(tmp_path, number)) for number in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0

    expected = {f"lost {number}" for number in range(5)}
    expected |= {f"writer {writer}, {number}" for writer in (1, 3) for number in range(20)}
    assert {record.value for record in journal.published()} == expected
    assert len(list(journal.state_file.parent.glob("*.damaged-*"))) == 1


def test_what_was_noted_before_is_not_changed_by_rebuilding(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "log"), str(tmp_path / "etc"))
    journal.note(_change("one"))
    before = journal.published()
    assert journal.rebuild([_standing("one"), _standing("two")], complete=True) == 1
    assert journal.published()[0] == before[0]
    assert journal.published()[1].first_published is None


def test_lines_of_the_log_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "log"), str(tmp_path / "etc"))
    for change in (_change("one"), _change("two"), _change("one")):
        journal.note(change)
    log = tmp_path / "log" / "dns-persist-changes.jsonl"
    first, second, third = log.read_text().splitlines()
    removed = {**json.loads(second), "action": "remove"}
    failed = {**json.loads(first), "value": "three", "result": "REFUSED"}
    lines = [
        first,
        "[]",
        "null",
        "{}",
        first[:50],
        second,
        third,
        *map(json.dumps, (removed, failed)),
    ]
    log.write_text("\n".join(lines))
    (entry,) = journal.logged()
    assert (entry.value, entry.ttl, entry.provider, entry.zone) == (
        "one",
        300,
        "rfc2136",
        "example.com",
    )
    shutil.rmtree(tmp_path / "log")
    assert journal.logged() == []
