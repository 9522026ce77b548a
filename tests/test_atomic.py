"""A file that is replaced is all old or all new, and stays whose it was."""

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from certbot_dns_persist.atomic import replace_file

LIMIT = 4096


class Stopped(BaseException):
    """What a signal's handler raises."""


@contextlib.contextmanager
def files_of_at_most(octets: int, handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """Have the kernel refuse more in any file; it also sends a signal, for ``handler``."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, handler)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "name.conf"
    path.write_bytes(b"old")
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "name"
    replace_file(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)


@pytest.mark.parametrize(("wanted", "mode"), [(None, 0o640), (0o604, 0o604)])
def test_the_mode_is_kept_unless_another_is_wanted(path: Path, wanted: int, mode: int) -> None:
    path.chmod(0o640)
    replace_file(path, b"new", mode=wanted)
    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)


def test_owner_and_group_are_kept(path: Path) -> None:
    owner = os.getuid() or 1234  # only root can give a file to somebody else
    group = os.getgid() if os.getuid() else 5678
    os.chown(path, owner, group)
    path.chmod(0o640)
    replace_file(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (owner, group, 0o640)


def test_a_symbolic_link_is_not_followed_and_stays(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path.name)
    with pytest.raises(OSError, match="it is a symbolic link"):
        replace_file(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"old"


def test_who_reads_the_old_file_reads_on_in_it(path: Path) -> None:
    with path.open("rb") as reader:
        replace_file(path, b"new and longer")
        assert reader.read() == b"old"


def stop(*_: object) -> None:
    raise Stopped


@pytest.mark.parametrize(
    ("handler", "error"), [(signal.SIG_IGN, OSError), (stop, Stopped)], ids=["full", "stopped"]
)
@pytest.mark.parametrize("there", [True, False])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(
    path: Path,
    there: bool,
    handler: Callable[..., Any] | signal.Handlers,
    error: type[BaseException],
) -> None:
    if not there:
        path.unlink()
    with files_of_at_most(LIMIT, handler), pytest.raises(error):
        replace_file(path, b"x" * (2 * LIMIT))
    assert [(p, p.read_bytes()) for p in path.parent.iterdir()] == [(path, b"old")] * there


def test_a_directory_is_no_file_to_replace(tmp_path: Path) -> None:
    directory = tmp_path / "name"
    directory.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(directory, b"new")
    assert [*tmp_path.rglob("*")] == [directory]
