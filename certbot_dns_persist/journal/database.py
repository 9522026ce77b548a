"""An SQLite file that several processes share, and what can be wrong with it.

It has a rollback journal, not a write-ahead log: that needs shared memory, and write permission
even to read. Each change is one transaction. sqlite3 is imported, and the file opened, when they
are needed first.
"""

import contextlib
import fcntl
import os
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from certbot_dns_persist.files import LOCK_SECONDS, lock, opened, require_private
from certbot_dns_persist.journal.takeover import Damaged, Newer

if TYPE_CHECKING:
    from sqlite3 import Connection

_T = TypeVar("_T")


class Unusable(Exception):
    """The file cannot be used now, or not by this user; str() says why."""


class Database:
    """One file, with a schema."""

    def __init__(self, path: Path, schema: str, version: int, probe: str) -> None:
        """Open nothing yet.

        ``schema`` is run in a new file, of whose form ``version`` is the number; ``probe`` is a
        question that every such file answers.
        """
        self.path = path
        self._schema = schema
        self._version = version
        self._probe = probe
        self._patience = LOCK_SECONDS
        self._connection: Connection | None = None
        self._opened: tuple[int, int, bool] | None = None

    def exists(self) -> bool:
        """Whether there is a file, of whatever content, or that is hidden from this user."""
        try:
            self.path.lstat()
        except FileNotFoundError:
            return False
        except OSError:  # opening it says why
            return True
        return True

    def writable(self) -> bool:
        """Whether this user may change the file, or make it if it is missing."""
        if self.exists():
            return _may(self.path, os.W_OK) and _may(self.path.parent, os.W_OK | os.X_OK)
        place = next((p for p in self.path.parents if p.exists()), Path())
        return _may(place, os.W_OK | os.X_OK)

    def ask(self, work: "Callable[[Connection], _T]", default: _T) -> _T:
        """Return what ``work`` reads, ``default`` if there is no file or nothing in it yet.

        Raises :class:`Unusable`, :class:`Damaged` or :class:`Newer`.
        """
        with self._faults():
            if self._connection is None and not self.exists():
                return default
            try:
                write = self.writable() and not self.is_in_memory
                connection = self._open(write=write, create=False)
            except FileNotFoundError:
                return default
            return work(connection) if self._check_version(connection) else default

    def change(self, work: "Callable[[Connection, bool], _T]") -> _T:
        """Do ``work`` in one transaction, in a new file if there is none; return its result.

        Its second argument is whether the file is new. Raises as :meth:`ask` does: then nothing
        was changed.
        """
        with self._faults():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = self._open(write=True, create=True)
            try:
                connection.execute("BEGIN IMMEDIATE")
                new = self._check_version(connection) == 0
                if new:
                    for statement in filter(str.strip, self._schema.split(";")):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {self._version}")
                done = work(connection, new)
                connection.execute("COMMIT")
            except BaseException:  # a signal's handler may raise anything, anywhere
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done

    def in_memory(self, work: "Callable[[Connection], None]") -> None:
        """Go on with a copy in memory that ``work`` completes, as the file cannot be written.

        It lasts until something is to be changed all the same. Raises as :meth:`ask` does.
        """
        with self._faults():
            import sqlite3

            with contextlib.ExitStack() as unless_done:
                copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                unless_done.callback(copy.close)
                if self.exists():
                    self._open(write=False, create=False).backup(copy)
                if self._check_version(copy) == 0:
                    copy.executescript(self._schema)
                work(copy)
                copy.execute(f"PRAGMA user_version = {self._version}")
                unless_done.pop_all()
            self.close()
            self._connection = copy

    @property
    def is_in_memory(self) -> bool:
        """Whether what is read comes from such a copy."""
        return self._connection is not None and self._opened is None

    def set_aside(self, suffix: str) -> Path | None:
        """Rename a damaged file, if it still is; return its new path, or ``None`` if it is not.

        Raises :class:`Unusable` or :class:`Newer`.
        """
        # Not the file itself: SQLite would lose its locks when we close it.
        guard = self.path.with_name("damaged.lock")
        with self._faults(), opened(guard, os.O_RDWR | os.O_CREAT) as descriptor:
            lock(descriptor)
            self.close()
            try:
                self.ask(self._check, None)
            except Damaged:
                self.close()
            else:
                return None  # another process has set it aside
            aside = self.path.with_name(f"{self.path.name}{suffix}")
            self.path.replace(aside)
            return aside

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._opened = None

    def _open(self, *, write: bool, create: bool) -> "Connection":
        import sqlite3

        if self._connection is not None and self.is_in_memory and not write:
            return self._connection
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            self.close()
            if not create:
                raise
            with opened(self.path, os.O_RDWR | os.O_CREAT):  # SQLite's own are for everybody
                status = self.path.lstat()
        if stat.S_ISDIR(status.st_mode):
            raise Damaged("it is a directory")
        now = (status.st_dev, status.st_ino, write)
        if self._connection is None or self._opened != now:
            self.close()
            with opened(self.path, os.O_RDONLY) as descriptor:
                # Of what is wrong then, SQLite only says that it failed.
                require_private(self.path)  # as SQLite follows links
                _require_locks(descriptor)  # as SQLite waits for them
            mode = "rw" if write else "ro"
            uri = f"file:{urllib.parse.quote(str(self.path.absolute()))}?mode={mode}"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=self._patience, isolation_level=None, check_same_thread=False
            )
            self._opened = now
        return self._connection

    def _check_version(self, connection: "Connection") -> int:
        """Return the version of the schema: ours, or 0 in a new file."""
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > self._version:
            raise Newer.of(version)
        return version

    def _check(self, connection: "Connection") -> None:
        connection.execute(self._probe)
        (words,) = rows(connection, "PRAGMA quick_check(1)")[0]
        if words != "ok":
            raise Damaged(str(words))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise whatever is wrong with the file as one of the exceptions of this module."""
        try:
            yield
            self._be_patient()
        except (Unusable, Damaged, Newer):
            raise
        except ImportError as error:
            raise Unusable(f"this Python has no SQLite ({error})") from error
        except OSError as error:
            raise Unusable(error.strerror or str(error)) from error
        except (ValueError, OverflowError) as error:  # what SQLite cannot store
            raise Unusable(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            import sqlite3

            if not isinstance(error, sqlite3.Error):
                raise
            raise self._fault(error) from error

    def _be_patient(self) -> None:
        """Wait for others again, as whoever had the file locked has gone."""
        if self._patience != LOCK_SECONDS and self._connection is not None:
            self._patience = LOCK_SECONDS
            self._connection.execute(f"PRAGMA busy_timeout = {int(LOCK_SECONDS * 1000)}")

    def _fault(self, error: Exception) -> Exception:
        import sqlite3

        # sqlite3 has had the numbers of SQLite's errors since Python 3.11 only.
        words = str(error)
        if type(error) is sqlite3.DatabaseError or words.startswith("no such "):
            return Damaged(words)
        if words == "database is locked":
            self._patience = 0.0  # whoever has it hangs; until it does not
            self.close()
            return Unusable(f"another program keeps it locked for more than {LOCK_SECONDS:g} s")
        if self.path.with_name(f"{self.path.name}-journal").exists() and not self.writable():
            return Unusable(
                "a program was killed while it wrote there. Run any command that may write there "
                "once, usually as root, and it can be read again"
            )
        return Unusable(words)


def _require_locks(descriptor: int) -> None:
    """Raise :class:`OSError` if the file system has no locks, for which SQLite waits in vain."""
    with contextlib.suppress(BlockingIOError, PermissionError):
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1)  # SQLite locks other octets


def _may(path: Path, mode: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)


def rows(connection: "Connection", statement: str, *values: object) -> list[Any]:
    """Return what a question answers."""
    return connection.execute(statement, values).fetchall()
