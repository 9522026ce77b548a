"""The state on a bad day: nothing of it may prevent a certificate, or be lost in silence."""

import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.journals import ADDED, RECORD, REMOVED, RFC3339, Files
from support.need import need

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.files import LOCK_SECONDS
from certbot_dns_persist.journal import database
from certbot_dns_persist.journal.notes import NOT_MADE, OK, Outcome


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize("damage", ["text", "cut off", "directory", "zeros", "no tables"])
def test_a_damaged_state_is_put_aside_with_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    files.done(ADDED)
    before = files.state.read_bytes()
    if damage == "directory":
        files.state.unlink()
        files.state.mkdir()
    elif damage == "no tables":
        with contextlib.closing(sqlite3.connect(files.state)) as state:
            state.execute("DROP TABLE intentions")
    else:
        spoilt = {
            "text": b"no database",
            "cut off": before[:5000],
            "zeros": before[:4096] + bytes(len(before) - 4096),
        }
        files.state.write_bytes(spoilt[damage])

    assert files.journal().published() == []
    assert caplog.text.count(str(files.state)) == 1
    assert not list(files.state.parent.glob("*.damaged-*"))  # a reader moves nothing
    assert files.journal().lost()

    caplog.clear()
    files.done(ADDED)
    aside = files.state.with_name(f"state.sqlite.damaged-{RFC3339}")
    assert aside.exists()
    assert caplog.text.count(str(aside)) == 1
    assert [record.value for record in files.journal().published()] == [ADDED.value]
    assert files.journal().lost()


@pytest.mark.parametrize("names", ["[", "7", "[7]", "[" * 200_000])
def test_what_stands_there_and_cannot_be_read_is_a_warning_until_it_is_noted_again(
    files: Files, caplog: pytest.LogCaptureFixture, names: str
) -> None:
    terms = Terms(("ca.example",), None, "acme:")
    files.journal().note_terms(ADDED.account_url, terms)
    with contextlib.closing(sqlite3.connect(files.state, isolation_level=None)) as state:
        state.execute("UPDATE terms SET issuer_domain_names = ?", (names,))

    assert files.journal().terms(ADDED.account_url) is None
    assert caplog.text.count("state.sqlite cannot be read") == 1
    files.journal().note_terms(ADDED.account_url, terms)
    assert files.journal().terms(ADDED.account_url) == terms


def test_a_state_with_a_newer_schema_is_told_and_left_alone(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.done(ADDED)
    with contextlib.closing(sqlite3.connect(files.state)) as state:
        state.execute("PRAGMA user_version = 2")
    before = files.state.read_bytes()

    files.done(REMOVED)
    journal = files.journal()
    journal.note_key(ADDED.account_url, "one")
    assert journal.published() == []
    assert not journal.lost()
    assert journal.set_aside_damaged() is None

    assert files.state.read_bytes() == before
    assert list(files.state.parent.glob("state.sqlite*")) == [files.state]
    assert "Update certbot-dns-persist" in caplog.text
    assert [line["result"] for line in files.lines()[2:]] == ["intended", "ok"]


def test_an_empty_file_is_a_state_that_has_not_begun(files: Files) -> None:
    """As when a process is killed between making it and its first change."""
    files.state.parent.mkdir(parents=True)
    files.state.write_bytes(b"")
    assert files.journal().published() == []
    files.done(ADDED)
    assert len(files.journal().published()) == 1


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_nothing_but_a_regular_file_is_opened(
    files: Files, caplog: pytest.LogCaptureFixture, kind: str, tmp_path: Path
) -> None:
    files.state.parent.mkdir(parents=True)
    if kind == "link":
        files.state.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(files.state)
    files.done(ADDED)
    assert files.journal().published() == []
    assert "state.sqlite" in caplog.text
    assert not (tmp_path / "elsewhere").exists()
    assert len(files.lines()) == 2


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_neither_is_the_log_nor_what_an_earlier_release_has_left(
    files: Files, caplog: pytest.LogCaptureFixture, kind: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    for path in (files.log, files.earlier):
        path.parent.mkdir(parents=True)
        if kind == "link":
            path.symlink_to(elsewhere)
        else:
            os.mkfifo(path)
    files.done(ADDED)
    journal = files.journal()
    assert (journal.published(), journal.logged()) == ([], [])
    assert str(files.log) in caplog.text
    assert "records.json, of an earlier release: it is " in caplog.text
    assert elsewhere.read_text() == ""


def test_a_folder_that_others_may_write_has_no_state(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.state.parent.mkdir(parents=True)
    files.state.parent.chmod(0o777)
    files.done(ADDED)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "may be written by everybody (mode 0777). To change that: chmod o-w" in caplog.text
    assert len(files.lines()) == 2


def test_a_directory_that_is_a_file_is_one_warning_each(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.config.write_text("a file where the directory should be")
    files.logs.write_text("another")
    journal = files.journal()
    for change in (ADDED, REMOVED):
        (intention,) = journal.intended(change)
        assert not intention.noted
        journal.done(Outcome(intention, OK))
    journal.note_key(ADDED.account_url, "one")
    journal.note_terms(ADDED.account_url, Terms(("ca.example",), None, "acme:"))
    journal.note_replaced({"a.example": ["one"]})
    assert journal.published() == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    assert str(files.state) in caplog.text
    assert str(files.log) in caplog.text


FULL_DISK = """
import resource, sys
sys.path.insert(0, "tests")
from support.journals import *
from pathlib import Path
files = Files(Path(sys.argv[1]))
files.done(ADDED)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
journal = files.journal()
(intention,) = journal.intended(REMOVED)
print(intention.noted, len(journal.published()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
(intention,) = journal.intended(REMOVED)
print(intention.noted)
"""


def test_where_no_file_may_grow_life_goes_on(files: Files, tmp_path: Path) -> None:
    """As on a full disk. In a process of its own: the limit is a process's."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["False 1", "True"]
    assert done.stderr.count("could not be noted") == 2
    assert "Traceback" not in done.stderr
    assert len(files.journal().published()) == 1


@pytest.fixture
def closed(somebody: None) -> Iterator[Files]:
    """A state in a folder that this user may read and not write."""
    files = Files(Path())
    files.done(ADDED)
    files.state.parent.chmod(0o500)
    yield files
    files.state.parent.chmod(0o700)


def test_who_may_not_write_can_read(closed: Files, caplog: pytest.LogCaptureFixture) -> None:
    journal = closed.journal()
    assert [record.value for record in journal.published()] == [ADDED.value]
    assert not journal.lost()
    assert caplog.text == ""
    (intention,) = journal.intended(REMOVED)
    assert (intention.in_state, intention.in_log) == (False, True)
    assert len(caplog.records) == 1


def _die_in_a_change(root: Path) -> None:
    files = Files(root)
    journal = files.journal()
    state = journal._state

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA cache_spill = ON")
        for number in range(2000):  # more than is kept in memory
            connection.execute("INSERT INTO replaced VALUES ('name', ?)", (f"{number:0200}",))
        os.kill(os.getpid(), signal.SIGKILL)

    state._change(work)


def test_after_a_writer_was_killed_who_may_write_undoes_it_and_others_go_on_without(
    somebody: None, caplog: pytest.LogCaptureFixture
) -> None:
    files = Files(Path())
    files.done(ADDED)
    place = Path.cwd()
    place.chmod(0o711)
    writer = os.fork()
    if not writer:
        _die_in_a_change(Path())
    assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGKILL
    assert files.state.with_name("state.sqlite-journal").exists()
    files.state.parent.chmod(0o500)
    try:
        assert files.journal().published() == []
        (warning,) = caplog.messages
        assert "a program was killed while it wrote there" in warning
        assert "\n" not in warning
    finally:
        files.state.parent.chmod(0o700)

    assert [record.value for record in files.journal().published()] == [ADDED.value]
    assert files.journal().replaced("name") == []


def test_a_lock_that_is_never_released_is_waited_for_and_then_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.done(ADDED)
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.2)
    with contextlib.closing(sqlite3.connect(files.state, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert files.journal().published() == []
        (intention,) = files.journal().intended(REMOVED)
    assert (intention.in_state, intention.in_log) == (False, True)
    assert caplog.text.count("another program keeps it locked") == 2


def test_once_the_lock_is_released_it_is_waited_for_again(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.done(ADDED)
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.2)
    journal = files.journal()
    with contextlib.closing(
        sqlite3.connect(files.state, isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert journal.published() == []
        other.execute("COMMIT")
        monkeypatch.setattr(database, "LOCK_SECONDS", LOCK_SECONDS)
        assert len(journal.published()) == 1
        other.execute("BEGIN IMMEDIATE")
        waiting = threading.Timer(0.3, lambda: other.execute("COMMIT"))
        waiting.start()
        journal.gone(RECORD)
        waiting.join()
    assert files.journal().published() == []


def test_what_sqlite_cannot_store_is_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    journal = files.journal()
    for odd in (
        dataclasses.replace(ADDED, persist_until=2**70),
        dataclasses.replace(ADDED, value="a lone \ud800 surrogate"),
    ):
        (intention,) = journal.intended(odd)
        assert (intention.in_state, intention.in_log) == (False, True)
    assert len(caplog.records) == 2


def test_a_state_that_is_removed_while_it_is_in_use_is_made_again(files: Files) -> None:
    journal = files.journal()
    for value in ("one", "two"):
        (intention,) = journal.intended(dataclasses.replace(ADDED, value=value))
        journal.done(Outcome(intention))
        if value == "one":
            files.state.unlink()
    assert [record.value for record in files.journal().published()] == ["two"]
    assert files.journal().lost()


def unmeasured() -> dict[str, str]:
    """Return our environment without measuring coverage, which uses SQLite and locks, too."""
    return {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}


def test_it_is_not_opened_before_it_is_needed(files: Files) -> None:
    program = (
        "import sys\n"
        "from certbot_dns_persist.journal.store import Journal\n"
        f"journal = Journal({str(files.logs)!r}, {str(files.config)!r})\n"
        "assert journal.published() == []\n"
        "assert journal.interrupted(['a.example']) == []\n"
        "print('sqlite3' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=unmeasured(), capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_only_the_log_could_take_completes_the_state_later(files: Files) -> None:
    files.done(REMOVED)
    files.state.parent.chmod(0o777)
    files.done(ADDED)
    files.state.parent.chmod(0o700)
    journal = files.journal()
    assert journal.published() == []
    assert journal.lost()

    (logged,) = journal.logged()
    record = dataclasses.replace(RECORD, value=logged.value)
    assert journal.rebuild([record], complete=True) == 1
    assert not files.journal().lost()
    assert list(files.logs.iterdir()) == [files.log]


def test_a_removal_that_only_the_log_could_take_is_no_longer_noted_later(files: Files) -> None:
    other = dataclasses.replace(ADDED, value=f"{ADDED.value}0")
    for change in (ADDED, other):
        files.done(change)
    files.state.parent.chmod(0o777)
    files.done(REMOVED)
    files.state.parent.chmod(0o700)
    assert len(files.journal().published()) == 2
    assert files.journal().lost()

    records = [
        dataclasses.replace(RECORD, value=logged.value) for logged in files.journal().logged()
    ]
    assert files.journal().rebuild(records, complete=True) == 0
    assert [record.value for record in files.journal().published()] == [other.value]


@pytest.mark.parametrize("told", ["REFUSED", NOT_MADE, None])
def test_what_only_one_of_two_services_has_removed_is_still_noted_later(
    files: Files, told: str | None
) -> None:
    files.done(ADDED)
    second = dataclasses.replace(REMOVED, provider="route53")
    journal = files.journal()
    first, other = journal.intended(REMOVED, second)
    journal.done(Outcome(first))
    if told is not None:
        journal.done(Outcome(other, told))
    assert [entry.value for entry in journal.logged()] == [ADDED.value]
    journal.rebuild([], complete=True)
    assert [record.value for record in journal.published()] == [ADDED.value]

    files.done(REMOVED)
    files.done(second)
    assert journal.logged() == []


def test_nothing_to_note_is_noted_nowhere(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    files.done(REMOVED)
    files.state.parent.chmod(0o777)
    before = files.log.read_text()
    assert files.journal().intended() == []
    files.journal().done()
    assert caplog.messages == []
    assert files.log.read_text() == before


def test_a_python_without_sqlite_has_a_log(
    files: Files, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.done(ADDED)
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    journal = files.journal()
    (intention,) = journal.intended(REMOVED)
    assert (intention.in_state, intention.in_log) == (False, True)
    assert journal.published() == []
    assert not journal.lost()
    assert "this Python has no SQLite" in caplog.text

    files.earlier.write_text('{"records": []}')
    assert files.journal().published() == []


def test_what_leads_elsewhere_is_no_list_of_states(files: Files) -> None:
    marks = files.logs / "dns-persist-not-noted"
    files.done(ADDED)
    os.mkfifo(marks)
    assert not files.journal().lost()
    marks.unlink()
    (files.logs / "elsewhere").write_text(f"{files.state}\n")
    marks.symlink_to("elsewhere")
    assert not files.journal().lost()


def test_what_another_state_lacks_is_not_forgotten_when_one_is_completed(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if that is interrupted at any step."""
    log, other = files.journal()._log, files.config / "other"
    files.done(ADDED)
    for state in (files.state, other):
        log.mark(state)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", die)
        with pytest.raises(Killed):
            log.unmark(files.state)
    assert log.is_marked(other)
    log.unmark(files.state)
    assert log.is_marked(other)
    assert not log.is_marked(files.state)
    log.unmark(other)
    assert list(files.logs.iterdir()) == [files.log]


NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#define FCNTL(name) int name(int file, int command, ...) { \
    va_list rest; \
    va_start(rest, command); \
    void *more = va_arg(rest, void *); \
    va_end(rest); \
    if (command == F_SETLK || command == F_SETLKW || command == F_GETLK) { \
        errno = ENOLCK; \
        return -1; \
    } \
    int (*next)(int, int, void *) = dlsym(RTLD_NEXT, #name); \
    return next(file, command, more); \
}
FCNTL(fcntl)
FCNTL(fcntl64)
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""

WITHOUT_LOCKS = """
import sys
sys.path.insert(0, "tests")
from support.journals import *
from pathlib import Path
files = Files(Path(sys.argv[1]))
files.done(ADDED)
(intention,) = files.journal().intended(REMOVED)
print(intention.in_state, intention.in_log, len(files.journal().published()))
"""


def test_on_a_file_system_without_locks_there_is_a_log_and_no_waiting(
    files: Files, tmp_path: Path
) -> None:
    need(sys.platform == "linux" and shutil.which("cc"), "needs Linux and a C compiler")
    source, library = tmp_path / "no_locks.c", tmp_path / "no_locks.so"
    source.write_text(NO_LOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS, tmp_path],
        cwd=Path(__file__).parents[2],
        env={**unmeasured(), "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
        timeout=LOCK_SECONDS,
    )
    assert done.stdout == "False True 0\n"
    assert "could not be noted in" in done.stderr
    assert "No locks available" in done.stderr
    assert [line["result"] for line in files.lines()] == ["intended", "ok", "intended"]
