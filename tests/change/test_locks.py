"""One process at a time changes a name: the locks, and what happens without them."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certbot_dns_persist.change.locks import FILES, Locks
from certbot_dns_persist.errors import Busy, CannotLock

NAME, OTHER = "_validation-persist.example.com", "_validation-persist.example.org"

HOLD = """\
import sys
from pathlib import Path
from certbot_dns_persist.change.locks import Locks
with Locks(Path(sys.argv[1])).hold(sys.argv[2:]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "dns-persist" / "locks"


@pytest.fixture
def holder(directory: Path) -> "Iterator[subprocess.Popen[str]]":
    """Another process, which holds the lock of ``NAME``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory), NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_waits_too_long_is_told_which_process_holds_the_name(
    directory: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(Busy) as raised, Locks(directory, seconds=0.1).hold([NAME]):
        pass
    assert f"{NAME} is being changed by -c (process {holder.pid} on " in str(raised.value)
    assert "for more than 0.1 seconds. Run the same command again when" in str(raised.value)
    with Locks(directory, seconds=0.1).hold([OTHER]):
        pass


def test_the_kernel_drops_the_lock_of_a_process_that_was_killed(
    directory: Path, holder: "subprocess.Popen[str]"
) -> None:
    holder.kill()
    with Locks(directory, seconds=20).hold([NAME]):
        pass


def test_a_name_is_one_however_it_is_written(
    directory: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(Busy), Locks(directory, seconds=0).hold([f"{NAME.upper()}."]):
        pass


def test_a_lock_that_is_held_can_be_taken_again_and_ends_with_the_outer_one(
    directory: Path,
) -> None:
    mine, theirs = Locks(directory, seconds=0), Locks(directory, seconds=0)
    with mine.hold([NAME, OTHER]):
        with mine.hold([NAME]):
            pass
        with pytest.raises(Busy), theirs.hold([NAME]):
            pass
    with theirs.hold([NAME, OTHER]):
        pass


def test_when_one_of_several_names_cannot_be_had_none_stays_locked(
    directory: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(Busy), Locks(directory, seconds=0).hold([OTHER, NAME]):
        pass
    with Locks(directory, seconds=0).hold([OTHER]):
        pass


def test_ever_more_names_share_some_files_that_only_their_owner_may_read(
    directory: Path,
) -> None:
    names = [f"n{number}.example.com" for number in range(2 * FILES)]
    for start in range(0, len(names), 500):
        with Locks(directory).hold(names[start : start + 500]):
            pass
    files = list(directory.iterdir())
    assert FILES / 2 < len(files) <= FILES
    assert {file.stat().st_mode & 0o777 for file in [directory, *files]} == {0o700, 0o600}


def test_names_that_have_nothing_to_do_with_each_other_hardly_ever_share_a_file(
    directory: Path,
) -> None:
    mine, theirs = Locks(directory), Locks(directory, seconds=0)
    busy = 0
    with mine.hold([NAME]):
        for number in range(300):
            try:
                with theirs.hold([f"n{number}.example.com"]):
                    pass
            except Busy:
                busy += 1
    assert busy <= 1


def _lock_file(directory: Path) -> Path:
    with Locks(directory).hold([NAME]):
        pass
    (file,) = directory.iterdir()
    file.unlink()
    return file


def test_no_link_is_followed_and_nothing_but_a_regular_file_is_locked(
    directory: Path, tmp_path: Path
) -> None:
    file, victim = _lock_file(directory), tmp_path / "victim"
    victim.write_text("theirs")
    makers: list[Callable[[], None]] = [
        lambda: file.symlink_to(victim),
        lambda: file.symlink_to(tmp_path / "new"),
        lambda: os.mkfifo(file),
    ]
    for make in makers:
        make()
        with pytest.raises(CannotLock), Locks(directory).hold([NAME]):
            pass
        file.unlink()
    assert victim.read_text() == "theirs"
    assert not (tmp_path / "new").exists()


def test_where_others_may_write_they_could_replace_the_locks(directory: Path) -> None:
    _lock_file(directory)
    directory.chmod(0o777)
    with pytest.raises(CannotLock, match="may be written by everybody"):
        Locks(directory).hold([NAME]).__enter__()


def test_a_file_system_without_locks_is_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(file: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(CannotLock, match="Operation not supported"), Locks(directory).hold([NAME]):
        pass
