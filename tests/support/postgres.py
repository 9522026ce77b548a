"""PostgreSQL of our own, as an ordinary user, for the inventory of a fleet.

::

    with Postgres() as server:
        url = server.create("fleet", hosts=["web1"], auditors=["anna"], admins=["root1"])
        server.url("fleet", "web1")

Sessions on the socket log in as whoever they say, those on 127.0.0.1 with a password.
"""

import contextlib
import functools
import itertools
import os
import pwd
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import psycopg
from psycopg import sql

from certbot_dns_persist.inventory.connection import session
from certbot_dns_persist.inventory.schema import migrate

from .need import need
from .pebble import make_certificate
from .process import Process, find_program, free_port, wait_until
from .stoppable import Stoppable

SUPERUSER = "dba"
_READY = "ready"
_PLACE = next(place for place in ("/dev/shm", "/tmp") if os.access(place, os.W_OK))  # noqa: S108

_SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1,127.0.0.5",
    "log_connections": "on",
    "log_min_messages": "warning",
    "max_connections": "260",
    "shared_buffers": "32MB",
    "synchronous_commit": "off",
}

_numbers = itertools.count(1)


@functools.cache
def programs() -> Path | None:
    """Return where PostgreSQL's programs are, the newest; ``None`` if it is not installed."""
    places = Path("/usr/lib/postgresql").glob("*/bin")  # Debian's
    found = sorted(places, key=lambda place: float(place.parent.name))
    if found:
        return found[-1]
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


@functools.cache
def missing() -> str | None:
    """Return why PostgreSQL cannot run here; ``None`` if it can."""
    place = programs()
    if place is None or not (place / "initdb").exists():
        return "PostgreSQL's server (Debian: postgresql) is not installed"
    return None


class Postgres(Stoppable):
    """A server, from construction to :meth:`stop`."""

    def __init__(self, *, longest_file: int | None = None, tls: bool = False) -> None:
        """``longest_file`` is how long a file may become, in octets.

        With ``tls``, ``ca`` has issued the certificate of localhost, and of nothing else.
        """
        place = programs()
        assert place is not None
        # It does not run as root, and the path of a socket has a hundred characters at most. Where
        # there is memory to hold its files, it writes nothing to a disk.
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._directory = tempfile.TemporaryDirectory(prefix="pg", dir=_PLACE)
        self.directory = Path(self._directory.name)
        os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.port = free_port()
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self._run(
            str(place / "initdb"),
            *("--pgdata", str(self.data), "--username", SUPERUSER, "--no-sync"),
            *("--auth-local", "trust", "--auth-host", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8"),
        )
        self.ca = self.directory / "ca.pem"
        encrypted = {"ssl_cert_file": self.data / "cert.pem", "ssl_key_file": self.data / "key.pem"}
        if tls:
            make_certificate(self.ca, *encrypted.values())
            for path in encrypted.values():
                path.chmod(0o600)
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        settings = {
            **_SETTINGS,
            **({"ssl": "on"} | {k: str(path) for k, path in encrypted.items()} if tls else {}),
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [
                    *(str(place / "postgres"), "-D", str(self.data)),
                    *(
                        word
                        for name, value in settings.items()
                        for word in ("-c", f"{name}={value}")
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(_limit, longest_file) if longest_file else None,
                **self._as_user,
            )
        try:
            wait_until(self._answers, "PostgreSQL answers")
            self.execute(f"CREATE DATABASE {_READY}")
            with session(self.url(_READY, SUPERUSER), "tests") as connected:
                migrate(connected)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def _as_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {"cwd": self.directory}
        user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return {**user, "cwd": self.directory}

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=200, check=False, **self._as_user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _answers(self) -> bool:
        assert self._child.poll() is None, self.log.read_text()
        return _takes_sessions(self.url("postgres", SUPERUSER))

    def url(self, database: str, role: str) -> str:
        """Return the URL of a database on the socket, for a role."""
        host = quote(str(self.directory), safe="")
        return f"postgresql://{quote(role, safe='')}@{host}:{self.port}/{database}"

    def execute(self, statement: str, *values: Any, database: str = "postgres") -> list[Any]:
        """Run a statement as the superuser; return its rows."""
        return self.execute_as(SUPERUSER, statement, *values, database=database)

    def execute_as(
        self, role: str, statement: str, *values: Any, database: str = "postgres"
    ) -> list[Any]:
        """Run a statement as a role; return its rows."""
        with _connected(self.url(database, role)) as connection:
            cursor = connection.execute(cast("Any", statement), values or None)
            return cursor.fetchall() if cursor.description else []

    def add_role(self, name: str, group: str, password: str = "") -> None:
        """Add a role that may log in, as a member of a group."""
        with _connected(self.url("postgres", SUPERUSER)) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(name), sql.Literal(password or None), sql.Identifier(group)
                )
            )

    def stop(self) -> None:
        if self._child.poll() is None:
            self._child.send_signal(3)  # at once, whoever is connected
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(10)
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._directory.cleanup()


def _limit(octets: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, octets))


class Fleet:
    """A database with an inventory and its roles, whose names no other test uses."""

    def __init__(self, server: Postgres, hosts: Sequence[str], *, empty: bool = False) -> None:
        self.server = server
        self.number = next(_numbers)
        self.database = f"fleet{self.number}"
        template = "template1" if empty else _READY
        server.execute(f"CREATE DATABASE {self.database} TEMPLATE {template}")
        if not empty:
            groups = "dns_persist_host, dns_persist_auditor, dns_persist_admin"
            members = dict.fromkeys(hosts, "host") | {"auditor": "auditor", "admin": "admin"}
            statements = [
                f"REVOKE ALL ON DATABASE {self.database} FROM PUBLIC",
                f"GRANT CONNECT ON DATABASE {self.database} TO {groups}",
                *(
                    f'CREATE ROLE "{self.role(name)}" LOGIN IN ROLE dns_persist_{group}'
                    for name, group in members.items()
                ),
            ]
            server.execute("; ".join(statements))

    def role(self, name: str) -> str:
        """Return the role that is called ``name`` here."""
        return f"{name}-{self.number}"

    def url(self, name: str) -> str:
        """Return the URL for the role that is called ``name`` here."""
        return self.server.url(self.database, self.role(name))

    def write_service(self, path: Path, service: str, name: str = "") -> Path:
        """Write a service file of libpq's, for one of the roles or, else, the superuser."""
        server = self.server
        path.write_text(
            f"[{service}]\nhost={server.directory}\nport={server.port}\n"
            f"dbname={self.database}\nuser={self.role(name) if name else SUPERUSER}\n"
        )
        return path

    def ask(self, statement: str, *values: Any, name: str = "") -> list[Any]:
        """Run a statement as one of the roles or, else, as the superuser."""
        role = self.role(name) if name else SUPERUSER
        return self.server.execute_as(role, statement, *values, database=self.database)


@contextlib.contextmanager
def pooled(fleet: Fleet, name: str, mode: str) -> Iterator[str]:
    """Run PgBouncer before the server; yield the URL for the role called ``name``."""
    program = find_program("pgbouncer")
    need(program is not None, "PgBouncer (Debian: pgbouncer) is not installed")
    server, port = fleet.server, free_port()
    users, settings = server.directory / "users", server.directory / "pgbouncer.ini"
    users.write_text(f'"{fleet.role(name)}" ""\n')
    settings.write_text(
        f"[databases]\n* = host={server.directory} port={server.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {users}\npool_mode = {mode}\n"
    )
    process = Process(
        [str(program), settings],
        log=server.directory / "pgbouncer.log",
        user=server.user.pw_uid if os.geteuid() == 0 else None,
    )
    url = f"postgresql://{fleet.role(name)}@127.0.0.1:{port}/{fleet.database}"
    try:
        process.wait_until(lambda: _takes_sessions(url))
        yield url
    finally:
        process.stop()


def _connected(url: str) -> psycopg.Connection[Any]:
    """Return a connection on which no statement is waited for without end."""
    limits = "-c statement_timeout=200s -c lock_timeout=100s"
    return psycopg.connect(url, autocommit=True, connect_timeout=100, options=limits)


def _takes_sessions(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """Have a server accept connections and never answer: all its processes stand still."""
    os.kill(server.pid, 19)
    try:
        yield
    finally:
        os.kill(server.pid, 18)
