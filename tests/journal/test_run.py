"""Whether runs go on, as others can tell."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from certbot_dns_persist.journal.run import Run, has_ended


def test_a_run_goes_on_until_its_lock_is_dropped(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs")
    assert not has_ended(tmp_path / "runs", run.id)
    run._open.close()
    assert has_ended(tmp_path / "runs", run.id)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_lock_is_asked_for_as_nfs_grants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "runs")
    assert run.id
    flock = fcntl.flock

    def of_nfs(descriptor: int, operation: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    assert not has_ended(tmp_path / "runs", run.id)


def test_without_locks_a_run_counts_as_ended_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder = tmp_path / "runs"
    run = Run(folder)
    path = folder / f"{run.id}.lock"
    assert not has_ended(folder, run.id)
    now = time.time()
    os.utime(path, (now, now - 24 * 3600 - 60))
    assert has_ended(folder, run.id)
    assert not path.exists()


def test_who_is_taken_for_left_over_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process looks at a new file before it is locked, and removes it."""
    folder = tmp_path / "runs"
    flock = fcntl.flock
    other: list[int] = []

    def late(descriptor: int, operation: int) -> None:
        if not other:
            (path,) = folder.iterdir()
            other.append(os.open(path, os.O_RDWR))
            flock(other[0], fcntl.LOCK_EX)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    run = Run(folder)
    assert run.id
    (left,) = [path for path in folder.iterdir() if path.stem != run.id]
    left.unlink()
    os.close(other[0])
    assert not has_ended(folder, run.id)
