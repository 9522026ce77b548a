"""The log of changes in the system's log."""

import contextlib
import dataclasses
import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.journals import ADDED, Files

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.journal.notes import OK, Change, Outcome
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import options_of


class Daemon:
    """What listens at ``/dev/log``, at a place of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def close(self) -> None:
        self._socket.close()

    def received(self) -> bytes:
        return self._socket.recv(65536)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    running = Daemon(tmp_path / "log.socket")
    yield running
    running.close()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def note(files: Files, change: Change, log: str, path: Path) -> Journal:
    journal = Journal(str(files.logs), str(files.config), log=log, syslog_socket=path)
    (intention,) = journal.intended(change)
    journal.done(Outcome(intention, OK))
    return journal


def logged(files: Files) -> list[dict[str, object]]:
    return [json.loads(line) for line in files.log.read_text().splitlines()]


def entry(message: bytes) -> dict[str, object]:
    head, _, text = message.decode("ascii").partition("certbot-dns-persist: ")
    assert head == "<38>"  # auth.info
    read: dict[str, object] = json.loads(text)
    return read


def test_both_have_the_same_lines(files: Files, daemon: Daemon) -> None:
    note(files, ADDED, "both", daemon.path)
    sent = [entry(daemon.received()) for _ in range(2)]
    assert sent == logged(files)
    assert [each["result"] for each in sent] == ["intended", "ok"]
    assert sent[0]["id"] == sent[1]["id"]


def test_with_syslog_alone_there_is_no_file_unless_nothing_else_notes_it(
    files: Files, daemon: Daemon, tmp_path: Path
) -> None:
    journal = note(files, ADDED, "syslog", daemon.path)
    assert entry(daemon.received())["result"] == "intended"
    assert not files.log.exists()
    assert [record.value for record in journal.published()] == [ADDED.value]

    stateless = Files(tmp_path / "stateless")
    stateless.config.mkdir(parents=True)
    stateless.state.parent.touch()
    note(stateless, ADDED, "syslog", daemon.path)
    assert [line["result"] for line in logged(stateless)] == ["intended", "ok"]


def test_a_long_line_is_cut_to_a_kilobyte_and_whole_in_the_file(
    files: Files, daemon: Daemon
) -> None:
    value, reason = "ü\x1b[31m\x7f\n" * 400, "why " * 400
    note(files, dataclasses.replace(ADDED, value=value, reason=reason), "both", daemon.path)
    message = daemon.received()
    assert 600 < len(message) <= 1024
    assert all(0x20 <= octet < 0x7F for octet in message)
    cut, whole = entry(message), logged(files)[0]
    assert cut.pop("cut") is True
    assert cut["id"] == whole["id"]
    assert value.startswith(str(cut["value"]))
    assert (whole["value"], whole["reason"]) == (value, reason)


def test_without_a_socket_there_is_one_warning_and_the_file_is_whole(
    files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note(files, ADDED, "both", tmp_path / "none")
    assert len(logged(files)) == 2
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert f"could not be noted in {tmp_path / 'none'}: No such file" in warning.getMessage()


def test_a_daemon_that_does_not_read_holds_nobody_up(
    files: Files, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        other.connect(str(daemon.path))
        with contextlib.suppress(BlockingIOError):
            while True:
                other.send(b"x")
    begun = time.monotonic()
    journal = Journal(str(files.logs), str(files.config), log="both", syslog_socket=daemon.path)
    journal.intended(ADDED)
    assert time.monotonic() - begun < 15
    assert len(logged(files)) == 1
    assert "timed out" in caplog.text


def test_the_option_takes_three_words() -> None:
    assert options_of({}, {}).log == "file"
    assert options_of({"log": "both"}, {}).log == "both"
    assert options_of({}, {"log": "syslog"}).log == "syslog"
    with pytest.raises(ConfigurationError, match="It can be: file, syslog, both"):
        options_of({"log": "/var/log/x"}, {})
