"""Where others may write, no link leads us elsewhere, no FIFO stops us and no lock holds us."""

import fcntl
import grp
import os
import pwd
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.owners import NOBODY, as_root, given_to_nobody

from certbot_dns_persist import files
from certbot_dns_persist.files import followed, lock, opened, read, require_private, weakness

APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT

Make = Callable[[Path], object]


def make_link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("theirs")
    path.symlink_to("elsewhere")


def make_link_to_nowhere(path: Path) -> None:
    path.symlink_to("elsewhere")


def make_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


@pytest.mark.parametrize("flags", [os.O_RDONLY, APPEND], ids=["read", "append"])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_link, "it is a symbolic link"),
        (make_link_to_nowhere, "it is a symbolic link"),
        (os.mkfifo, "it is not a regular file"),
        (make_socket, "it is not a regular file"),
        (Path.mkdir, "Is a directory"),
    ],
)
def test_only_a_regular_file_is_opened_and_nothing_hangs_us(
    tmp_path: Path, make: Make, why: str, flags: int
) -> None:
    make(tmp_path / "name")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match=why) as caught, opened(tmp_path / "name", flags):
        pass
    assert caught.value.filename == str(tmp_path / "name")
    assert sorted(tmp_path.iterdir()) == before


def test_a_new_file_is_for_its_owner_and_an_old_one_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "name"
    for line in (b"1\n", b"2\n"):
        with opened(path, APPEND) as descriptor:
            os.write(descriptor, line)
    assert path.read_bytes() == b"1\n2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_file_is_created_only_on_demand(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), opened(tmp_path / "name", os.O_RDONLY):
        pass
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "name")
    assert not [*tmp_path.iterdir()]


def test_a_lock_that_others_keep_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with opened(path, APPEND) as theirs, opened(path, APPEND) as ours:
        fcntl.flock(theirs, fcntl.LOCK_SH)  # as whoever may read the file can
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=r"another process has kept it locked for 0\.3 sec"):
            lock(ours, 0.3)
        assert time.monotonic() - began >= 0.3
        fcntl.flock(theirs, fcntl.LOCK_UN)
        lock(ours, 0)
        with pytest.raises(BlockingIOError):
            fcntl.flock(theirs, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_root_follows_a_link_only_where_nobody_else_can_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.files.are_root", lambda: True)
    (tmp_path / "file").write_text("content")
    link = tmp_path / "link"
    link.symlink_to("file")
    assert read(followed(link)) == b"content"  # as Kubernetes mounts a secret
    tmp_path.chmod(0o777)
    with pytest.raises(OSError, match=r"it is a symbolic link, and .* may be written by everybody"):
        read(followed(link))
    assert read(followed(tmp_path / "file")) == b"content"
    monkeypatch.setattr("certbot_dns_persist.files.are_root", lambda: False)
    assert read(followed(link)) == b"content"


def test_what_belongs_to_root_and_us_has_no_weakness(tmp_path: Path) -> None:
    assert weakness(Path("/")) is None
    assert weakness(Path("/etc/passwd")) is None
    (tmp_path / "file").touch(mode=0o600)
    assert weakness(tmp_path / "file") is None  # although it is below /tmp
    assert weakness(tmp_path / "not" / "yet") is None


def test_an_owner_other_than_root_and_us_is_a_weakness(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "folder" / "it's"
    folder.mkdir(mode=0o755)
    file.touch(mode=0o600)
    us = "root" if os.geteuid() == 0 else str(os.geteuid())
    nobody = f"belongs to nobody (uid {NOBODY.pw_uid})"
    with given_to_nobody(file):
        weak = weakness(file)
        assert weak is not None
        assert (weak.path, weak.fault) == (file, nobody)
        as_root("sh", "-c", weak.cure)  # what we tell people to type
        assert weakness(file) is None
    with given_to_nobody(folder):
        assert str(weakness(file)) == f"{folder} {nobody}. To change that: chown {us} {folder}"
    assert weakness(file) is None


def test_where_root_has_no_number_what_it_is_shown_as_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a user namespace, where whoever is not mapped is shown as nobody."""
    folder, users = tmp_path / "folder", tmp_path / "uid_map"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(files, "_USER_MAP", users)
    monkeypatch.setattr(files, "_UNKNOWN_USER", tmp_path / "overflowuid")
    (tmp_path / "overflowuid").write_text(f"{NOBODY.pw_uid}\n")
    with given_to_nobody(folder):
        users.write_text("         0          0 4294967295\n")
        assert weakness(folder / "file") is not None
        users.write_text(f"         0       1000          1\n{' ' * 9}1 100000 {NOBODY.pw_uid}\n")
        assert weakness(folder / "file") is not None
        users.write_text("         0       1000          1\n")
        assert weakness(folder / "file") is None
        folder.chmod(0o757)
        assert weakness(folder / "file") is not None


def test_what_everybody_may_write_is_a_weakness_wherever_on_the_way_it_is(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "folder" / "file"
    folder.mkdir()
    file.touch(mode=0o600)
    for path, mode in ((folder, 0o777), (file, 0o646)):
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        weak = weakness(file)
        assert weak is not None
        assert weak.path == path
        assert weak.fault == f"may be written by everybody (mode {mode:04o})"
        assert weak.cure == f"chmod o-w {path}"
        path.chmod(before)
    assert weakness(file) is None


def test_the_sticky_bit_protects_what_is_below_but_not_a_folder_for_our_files(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o1777)
    (folder / "ours").mkdir()
    assert weakness(folder / "ours") is None
    weak = weakness(folder)
    assert weak is not None
    assert weak.fault == "may be written by everybody (mode 1777)"


def test_in_a_sticky_folder_only_what_is_ours_is_protected(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    link = tmp_path / "link"
    link.symlink_to("/etc")
    assert weakness(link / "passwd") is None
    with given_to_nobody(link):
        weak = weakness(link / "passwd")
        assert weak is not None
        assert (weak.path, weak.fault) == (link, f"belongs to nobody (uid {NOBODY.pw_uid})")
        as_root("sh", "-c", weak.cure)
        assert weakness(link / "passwd") is None


def test_a_group_counts_only_if_somebody_else_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o664)
    as_root("chgrp", "root", str(file))
    assert weakness(file) is None
    as_root("chgrp", "4000000", str(file))  # that this machine does not know, as in containers
    assert weakness(file) is None
    as_root("chgrp", str(NOBODY.pw_gid), str(file))
    weak = weakness(file)
    assert weak is not None
    assert "nobody" in weak.fault
    assert weak.cure == f"chmod g-w {file}"


def test_not_all_accounts_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory service may have a hundred thousand."""

    def all_of_them() -> None:
        raise AssertionError

    monkeypatch.setattr(pwd, "getpwall", all_of_them)
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o664)
    as_root("chgrp", str(NOBODY.pw_gid), str(file))
    weak = weakness(file)
    assert weak is not None
    assert "nobody" in weak.fault


def test_a_group_of_a_directory_service_counts_unless_it_is_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such services do not tell whose primary group it is."""
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o664)
    as_root("chgrp", "4000000", str(file))
    known = grp.struct_group(("staff of us", "x", 4000000, []))
    monkeypatch.setattr(grp, "getgrgid", lambda _: known)
    weak = weakness(file)
    assert weak is not None
    assert "its group, which has accounts that we cannot list" in weak.fault
    us = pwd.struct_passwd(("staff of us", "x", os.geteuid(), 4000000, "", "", ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: us)
    assert weakness(file) is None


def test_weaknesses_are_found_where_links_lead(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "a").chmod(0o757)
    (folder / "file").touch()
    (tmp_path / "relative").symlink_to("a/b/../b/file")
    (tmp_path / "absolute").symlink_to(folder)
    for path in (tmp_path / "relative", tmp_path / "absolute" / "file"):
        weak = weakness(path)
        assert weak is not None
        assert weak.path == tmp_path / "a"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert weakness(tmp_path / "one") is None
    with pytest.raises(OSError, match=r"it is a symbolic link|Symlink loop|Too many levels"):
        read(followed(tmp_path / "one"))


def test_a_file_is_private_if_folder_and_file_are(tmp_path: Path) -> None:
    folder = tmp_path / "dns-persist"
    require_private(folder / "state.sqlite")  # neither is there yet
    folder.mkdir(mode=0o700)
    require_private(folder / "state.sqlite")
    (folder / "state.sqlite").touch(mode=0o600)
    require_private(folder / "state.sqlite")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.parent.chmod(0o1777), "dns-persist may be written by everybody"),
        (lambda path: path.parent.parent.chmod(0o777), "may be written by everybody"),
        (make_link, "state.sqlite is a symbolic link"),
        (make_link_to_nowhere, "state.sqlite is a symbolic link"),
        (os.mkfifo, "state.sqlite is not a regular file"),
        (Path.mkdir, "state.sqlite is not a regular file"),
    ],
)
def test_a_file_that_others_may_have_prepared_is_not_private(
    tmp_path: Path, make: Make, why: str
) -> None:
    path = tmp_path / "dns-persist" / "state.sqlite"
    path.parent.mkdir()
    make(path)
    with pytest.raises(PermissionError, match=why) as caught:
        require_private(path)
    assert caught.value.filename == str(path)


def test_an_ordinary_user_trusts_root_and_itself(somebody: None) -> None:
    own = Path("own")
    own.touch(mode=0o600)
    assert weakness(own) is None
    assert weakness(Path("/etc/passwd")) is None
    own.chmod(0o606)
    assert str(weakness(own)).endswith(f"To change that: chmod o-w {own.absolute()}")
