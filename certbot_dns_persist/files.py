"""Files in directories where others may write: nobody leads us elsewhere or stops us.

We often run as root, and the paths that we are given may lead through other people's directories.
So we follow no link that somebody else can change, open nothing but regular files, wait for no
lock for ever, and can tell who besides root and us may change what a path leads to.
"""

import contextlib
import dataclasses
import errno
import fcntl
import grp
import itertools
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from certbot_dns_persist.wait import look_until

#: How long another process may keep a file locked, in seconds.
LOCK_SECONDS = 10.0

_MOST_LINKS = 40  # as Linux has it
_UNKNOWN_USER = Path("/proc/sys/kernel/overflowuid")
_USER_MAP = Path("/proc/self/uid_map")
_ACL = "system.posix_acl_access"
_ACCOUNTS, _GROUPS = Path("/etc/passwd"), Path("/etc/group")
_SHOWN = 3  # accounts in a message


def read(path: Path) -> bytes:
    """Return the content of the regular file ``path``; follow no link.

    Raises :class:`OSError` if it cannot be read.
    """
    with opened(path, os.O_RDONLY) as descriptor, open(descriptor, "rb", closefd=False) as file:
        return file.read()


def are_root() -> bool:
    """Whether this process may do anything."""
    return os.geteuid() == 0


def followed(path: Path) -> Path:
    """Return ``path``, which a user has named, or where it leads if it is a link.

    As root, we follow a link only if nobody else can change where it leads. Raises
    :class:`OSError` if somebody can.
    """
    if not path.is_symlink():
        return path
    weak = weakness(path) if are_root() else None
    if weak is not None:
        raise OSError(errno.ELOOP, f"it is a symbolic link, and {weak}", str(path))
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open the regular file ``path``, follow no link, and close it at the end of the block.

    ``flags`` are those of :func:`os.open`; with ``O_CREAT``, a file that is missing is created, for
    its owner alone. Raises :class:`OSError` if the last component of ``path`` is a link or anything
    other than a regular file.
    """
    safe = flags & ~os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        try:
            descriptor = os.open(path, safe)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            try:
                descriptor = os.open(path, safe | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:  # another process was faster, or it is a link to nowhere
                descriptor = os.open(path, safe)
    except OSError as error:
        # Links: ELOOP on Linux, EMLINK or EFTYPE on the BSDs. ENXIO: sockets, and FIFOs that nobody
        # reads.
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from error
        if error.errno == errno.ENXIO:
            raise _irregular(path) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _irregular(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _irregular(path: Path) -> OSError:
    if path.is_dir():
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return OSError(errno.EINVAL, "it is not a regular file", str(path))


def lock(descriptor: int, seconds: float = LOCK_SECONDS) -> None:
    """Lock the file that is open as ``descriptor``, for this process alone, until it is closed.

    The file is open for writing, as NFS locks no other. The kernel drops the lock when the process
    ends. Raises :class:`TimeoutError` if another process keeps the lock for ``seconds``, and
    another :class:`OSError` if the file system has no locks.
    """
    if not look_until(lambda: _locked(descriptor), bool, seconds, pauses=(0.01, 0.2)):
        raise TimeoutError(
            errno.ETIMEDOUT, f"another process has kept it locked for {seconds:g} seconds"
        )


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Weakness:
    """A file, link or directory that somebody besides root and us may change."""

    path: Path
    fault: str
    """What is wrong, in words that follow the path."""
    cure: str
    """The command to type."""

    def __str__(self) -> str:
        return f"{self.path} {self.fault}. To change that: {self.cure}"


def weakness(path: Path) -> Weakness | None:
    """Return the first on the way to ``path`` that others may change; ``None`` if there is none.

    We look at ``path``, at all directories above it, and at those to which links lead. What is
    missing is no weakness. A group that no other account of this machine is in does not count,
    and neither does, above ``path``, a directory with the sticky bit: there, others cannot replace
    what is ours.
    """
    trusted = _trusted()
    here, *names = path.absolute().parts
    place, left, links = Path(here), names[::-1], 0
    weak = _weakness(place, os.lstat(place), trusted, last=not left)
    while left and weak is None:
        name = left.pop()
        if name == "..":
            place = place.parent
            continue
        entry = place / name
        try:
            status = os.lstat(entry)
            target = entry.readlink() if stat.S_ISLNK(status.st_mode) else None
        except OSError:
            return None
        weak = _weakness(entry, status, trusted, last=not left)
        if target is None:
            place = entry
            continue
        links += 1
        if links > _MOST_LINKS:
            return None  # whoever opens it fails
        if target.is_absolute():
            place = Path(target.anchor)
        left += [part for part in reversed(target.parts) if part != target.anchor]
    return weak


def _trusted() -> set[int]:
    """Return the users who may change what we rely on: root, whoever we are, and where root is
    not known here, as in the user namespace of a container, what it is shown as.
    """
    trusted = {0, os.geteuid()}
    with contextlib.suppress(OSError, ValueError):
        unknown = int(_UNKNOWN_USER.read_text())
        mapped = [
            range(int(first), int(first) + int(count))
            for first, _, count in map(str.split, _USER_MAP.read_text().splitlines())
        ]
        if not any(unknown in users for users in mapped):
            trusted.add(unknown)
    return trusted


def _weakness(
    path: Path, status: os.stat_result, trusted: set[int], *, last: bool
) -> Weakness | None:
    quoted, mode = shlex.quote(str(path)), status.st_mode
    mine = "root" if are_root() else str(os.geteuid())
    if status.st_uid not in trusted:
        how = "chown -h" if stat.S_ISLNK(mode) else "chown"
        return Weakness(path, f"belongs to {_user(status.st_uid)}", f"{how} {mine} {quoted}")
    if stat.S_ISLNK(mode) or (not last and mode & stat.S_ISVTX and stat.S_ISDIR(mode)):
        return None
    shown = f"(mode {stat.S_IMODE(mode):04o})"
    if mode & stat.S_IWOTH:
        return Weakness(path, f"may be written by everybody {shown}", f"chmod o-w {quoted}")
    if not mode & stat.S_IWGRP:
        return None
    if _has_acl(path):
        return Weakness(
            path,
            f"may be written by those in its access control list {shown}",
            f"setfacl -b {quoted} && chmod g-w {quoted}",
        )
    others = _others_in(status.st_gid, trusted)
    if others:
        group = (
            f"its group, which has {', '.join(others[:_SHOWN])}{', …' if others[_SHOWN:] else ''}"
        )
        return Weakness(path, f"may be written by {group} {shown}", f"chmod g-w {quoted}")
    return None


def _has_acl(path: Path) -> bool:
    """Whether the group's bits of the mode are the mask of an access control list."""
    if not hasattr(os, "listxattr"):
        return False
    with contextlib.suppress(OSError):
        return _ACL in os.listxattr(path)
    return False


def _others_in(group: int, trusted: set[int]) -> list[str]:
    """Return the accounts in ``group`` besides ``trusted``; none if this machine does not know it.

    A directory service, as LDAP, is not asked for all its accounts: it may have a hundred thousand,
    and not list them. Of its groups, we trust those that one of the ``trusted`` has for itself.
    """
    try:
        known = grp.getgrgid(group)
    except KeyError:  # as in many containers
        return []
    foreign = (name for name in sorted(known.gr_mem) if _number(name) not in trusted)
    others = set(itertools.islice(foreign, _SHOWN + 1))
    for name, _, number, primary, *_ in _lines_of(_ACCOUNTS):
        if primary == str(group) and number not in map(str, trusted):
            others.add(name)
    if others:
        return sorted(others)
    here = any(number == str(group) for _, _, number, *_ in _lines_of(_GROUPS))
    own = here or any(_is_own_group(known, user) for user in trusted)
    return [] if own else ["accounts that we cannot list"]


def _is_own_group(group: grp.struct_group, user: int) -> bool:
    """Whether ``group`` is the one that ``user`` has for itself, as many systems give each user."""
    with contextlib.suppress(KeyError):
        account = pwd.getpwuid(user)
        return (account.pw_name, account.pw_gid) == (group.gr_name, group.gr_gid)
    return False


def _number(name: str) -> int | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name).pw_uid
    return None


def _lines_of(path: Path) -> list[list[str]]:
    """Return the fields of a file of local accounts or groups; none where there is no such file."""
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").splitlines()
        return [fields for line in lines if (fields := line.split(":"))[3:]]
    return []


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:  # as in many containers
        return f"uid {number}"


def require_private(path: Path) -> None:
    """Check that nobody else can change the file ``path``, now or later.

    For libraries that open files by name and follow links, as SQLite does. The directory of
    ``path`` and all above it belong to root or to us, and nobody else may write there; the file,
    where there is one, is a regular one of ours. Raises :class:`PermissionError`, whose
    ``strerror`` names the path and the command that helps.
    """
    weak = weakness(path.parent)
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(path)
        if weak is None and not stat.S_ISREG(status.st_mode):
            kind = "a symbolic link" if path.is_symlink() else "not a regular file"
            weak = Weakness(path, f"is {kind}", f"mv {shlex.quote(str(path))} somewhere-else")
        weak = weak or _weakness(path, status, _trusted(), last=True)
    if weak is not None:
        raise PermissionError(errno.EPERM, str(weak), str(path))
