"""A connection to the inventory's PostgreSQL: how it is opened, and what can be wrong with it.

How to reach the server, TLS and secrets are libpq's own settings: the URL, a service file and a
password file. psycopg is imported when it is needed first.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.errors import (
    ConfigurationError,
    InventoryAway,
    InventoryBusy,
    InventoryError,
    UsageError,
)
from certbot_dns_persist.shown import logger_of, printable

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

logger = logger_of(__name__)

CONNECT_SECONDS = 10
"""How long a connection may take for each address, unless the URL or PGCONNECT_TIMEOUT says so."""
STATEMENT_SECONDS = 60.0
"""How long the server may work on one statement."""
GRACE_SECONDS = 5.0
"""How much longer we wait for a server that should have ended a statement."""

_LONGEST_CONNECT = 120
_SCHEMES = ("postgresql://", "postgres://")
_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key")
_MOST_CHARACTERS = 500


def require_usable(url: str) -> None:
    """Raise :class:`UsageError` if ``url`` is no URL of a database, or has a secret in it.

    Nothing of it is repeated, as it may hold one.
    """
    _parsed(url)


def _parsed(url: str) -> dict[str, Any]:
    if not url.startswith(_SCHEMES):
        raise UsageError(
            "The URL of an inventory begins with postgresql://, for instance "
            "postgresql://db.example.com/inventory?sslmode=verify-full, or "
            "postgresql:///?service=NAME for an entry of libpq's service file."
        )
    psycopg = _psycopg()
    try:
        parts = dict(psycopg.conninfo.conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        raise UsageError(
            "The URL of the inventory cannot be read. Its form is "
            "postgresql://USER@HOST/DATABASE?sslmode=verify-full, with %40 for a @ in a part."
        ) from None  # libpq's words may repeat a part of it
    if any(name in parts for name in _SECRETS):
        raise UsageError(
            "The URL of the inventory has a password in it, which every user of this machine can "
            "read in the list of processes. Change that password. Put the new one into libpq's "
            "password file (~/.pgpass, or passfile=FILE in the URL), or all settings into its "
            "service file (postgresql:///?service=NAME)."
        )
    return parts


def _psycopg() -> ModuleType:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigurationError(
            "The inventory needs the Python package psycopg, and libpq: install "
            "certbot-dns-persist[fleet] with pip, or Debian's python3-psycopg. "
            f"({printable(str(error)).splitlines()[0]})"
        ) from error
    return psycopg


class Session:
    """One connection, from construction to :meth:`close`."""

    def __init__(self, url: str, purpose: str) -> None:
        """Connect. ``purpose`` is what we tell the server, and what its history keeps.

        Raises :class:`~certbot_dns_persist.errors.UsageError`, or
        :class:`~certbot_dns_persist.errors.InventoryAway` if the server does not answer in time.
        """
        parts = _parsed(url)
        settings = {
            "connect_timeout": _connect_seconds(parts),
            "application_name": f"certbot-dns-persist {purpose} on {socket.gethostname()}"[:63],
            "client_encoding": "UTF8",
        }
        # So that a server that vanished is noticed, and no firewall forgets a session with locks.
        keepalives = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        settings |= {name: value for name, value in keepalives.items() if name not in parts}
        psycopg = self._psycopg = _psycopg()
        try:
            self._connection: Connection[Any] = psycopg.connect(url, autocommit=True, **settings)
        except psycopg.Error as error:
            raise InventoryAway(f"The inventory cannot be reached: {_words(error)}.") from error
        _warn_of_plain_text(self._connection)

    @property
    def user(self) -> str:
        """The role that the session logged in as."""
        return self._connection.info.user

    @property
    def is_pooled(self) -> bool:
        """Whether something between us and the server may give us another of its processes."""
        with self.transaction() as cursor:
            (process,) = cursor.execute("SELECT pg_backend_pid()").fetchone() or (None,)
        return bool(process != self._connection.info.backend_pid)

    @contextlib.contextmanager
    def transaction(
        self, *, reading: bool = False, seconds: float = STATEMENT_SECONDS
    ) -> Iterator["Cursor[Any]"]:
        """Run statements in one transaction; if ``reading``, all of them see the same moment.

        ``seconds`` is how long they may take. Raises
        :class:`~certbot_dns_persist.errors.InventoryError`.
        """
        connection = self._connection
        with self._faults(seconds), connection.transaction(), connection.cursor() as cursor:
            if reading:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", (f"{int(seconds * 1000)}ms",)
            )
            yield cursor

    @contextlib.contextmanager
    def _faults(self, seconds: float) -> Iterator[None]:
        """Cut the connection after ``seconds`` and a bit, and raise what is wrong in words."""
        psycopg = self._psycopg
        try:
            with _deadline(self._connection, seconds + GRACE_SECONDS):
                yield
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable) as error:
            raise InventoryError(
                "This database has no inventory yet. Whoever owns the database makes it with: "
                "certbot-dns-persist inventory init URL."
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise InventoryError(
                f"The role {printable(self.user)} may not do that in the inventory: "
                f"{_words(error)}. The owner of the database permits it with GRANT "
                'dns_persist_host (or dns_persist_auditor, dns_persist_admin) TO "ROLE".'
            ) from error
        except psycopg.errors.QueryCanceled as error:
            raise InventoryAway(f"The inventory takes too long: {_words(error)}.") from error
        except psycopg.errors.LockNotAvailable as error:
            raise InventoryBusy(
                f"The inventory waits for another host: {_words(error)}."
            ) from error
        except psycopg.OperationalError as error:
            raise InventoryAway(f"The inventory does not answer: {_words(error)}.") from error
        except psycopg.Error as error:
            raise InventoryError(f"The inventory refuses that: {_words(error)}.") from error

    def close(self) -> None:
        """Close the connection, which also gives up its locks."""
        with contextlib.suppress(self._psycopg.Error):
            self._connection.close()


@contextlib.contextmanager
def session(url: str, purpose: str) -> Iterator[Session]:
    """Hold a :class:`Session`; raises what its constructor does."""
    opened = Session(url, purpose)
    try:
        yield opened
    finally:
        opened.close()


@contextlib.contextmanager
def _deadline(connection: "Connection[Any]", seconds: float) -> Iterator[None]:
    """Cut the connection after ``seconds``: a server that stopped answers no cancellation either.

    libpq then tells whoever waits that the connection is closed.
    """

    def cut() -> None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as ours:
            ours.shutdown(socket.SHUT_RDWR)

    descriptor = connection.fileno()
    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _connect_seconds(parts: dict[str, Any]) -> int:
    """Return the time-out to connect: as the user says, but never for ever."""
    said = parts.get("connect_timeout") or os.environ.get("PGCONNECT_TIMEOUT") or ""
    try:
        seconds = int(said)
    except ValueError:
        return CONNECT_SECONDS
    return min(seconds, _LONGEST_CONNECT) if seconds > 0 else CONNECT_SECONDS


def _warn_of_plain_text(connection: "Connection[Any]") -> None:
    host = connection.info.host
    local = host.startswith("/") or not host or connection.info.hostaddr in ("127.0.0.1", "::1")
    if not local and not connection.pgconn.ssl_in_use:
        logger.warning(
            "The connection to the inventory at %s is not encrypted, and anybody may answer in "
            "its place. Set sslmode=verify-full in its URL or in libpq's service file.",
            host,
        )


def _words(error: Exception) -> str:
    """Return what the server or libpq says, as one line."""
    said = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return printable(said)[:_MOST_CHARACTERS].rstrip(".")
