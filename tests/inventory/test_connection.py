"""How the inventory's database is reached: with libpq's own settings, and never for ever."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from support.members import Run, add_host, places
from support.pebble import make_certificate
from support.postgres import Fleet, Postgres, stopped
from support.process import free_port

from certbot_dns_persist.errors import InventoryAway, UsageError
from certbot_dns_persist.inventory import connection
from certbot_dns_persist.inventory.connection import require_usable, session
from certbot_dns_persist.inventory.store import opened

SECRET = "hush"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://web1:{SECRET}@db.example/inventory",
        f"postgres://db.example/inventory?user=web1&password={SECRET}",
        f"postgresql:///?sslpassword={SECRET}&service=inventory",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str, run: Run) -> None:
    done = run.inventory("list", url)
    assert done.status == 3
    assert SECRET not in done.error
    for words in ("Change that password", "passfile=FILE", "service file"):
        assert words in done.error


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://web1:{SECRET}@db.example:port/inventory",
        f"postgresql://web1:{SECRET} x@[db.example/inventory",
        f"postgresql://db.example/inventory?what={SECRET}",
        f"mysql://web1:{SECRET}@db.example/inventory",
        f"host=db.example password={SECRET}",
        SECRET,
    ],
)
def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_usable(url)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    done = run.inventory("list", "postgresql://db.example/inventory")
    assert done.status == 1
    assert "certbot-dns-persist[fleet]" in done.error
    assert "python3-psycopg" in done.error


def test_a_password_file_a_service_file_and_tls_are_those_of_libpq(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(postgres, [])
    role = fleet.role("web1")
    postgres.add_role(role, "dns_persist_host", SECRET)
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{postgres.port}:*:{role}:{SECRET}\n")
    passwords.chmod(0o600)
    url = f"postgresql://{role}@127.0.0.1:{postgres.port}/{fleet.database}"
    with opened(f"{url}?passfile={quote(str(passwords))}", "test") as inventory:
        assert inventory.hosts() == []

    services = tmp_path / "services"
    services.write_text(
        f"[inventory]\nhost=127.0.0.1\nport={postgres.port}\nuser={role}\n"
        f"dbname={fleet.database}\npassfile={passwords}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    with opened("postgresql:///?service=inventory", "test") as inventory:
        assert inventory.user == role

    passwords.write_text(f"127.0.0.1:{postgres.port}:*:{role}:wrong\n")
    with pytest.raises(InventoryAway, match="password authentication failed"):
        session("postgresql:///?service=inventory", "test").__enter__()
    # A server that does not offer TLS is not talked to without it.
    with pytest.raises(InventoryAway, match="server does not support SSL"):
        session(f"{url}?sslmode=verify-full&sslrootcert=/x.pem", "test").__enter__()


@pytest.mark.long  # another server is started
def test_tls_verifies_the_server_and_a_connection_in_plain_text_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Postgres(tls=True) as server:
        fleet = Fleet(server, [])
        role = fleet.role("web1")
        server.add_role(role, "dns_persist_host", SECRET)
        passwords = tmp_path / "pgpass"
        passwords.write_text(f"*:*:*:{role}:{SECRET}\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        where = f":{server.port}/{fleet.database}?sslrootcert={quote(str(server.ca), safe='')}"
        verified = f"{where}&sslmode=verify-full"

        with opened(f"postgresql://{role}@localhost{verified}", "test") as inventory:
            assert inventory.hosts() == []
        with pytest.raises(InventoryAway, match=r'does not match host name "db.example"'):
            session(
                f"postgresql://{role}@db.example{verified}&hostaddr=127.0.0.1", "test"
            ).__enter__()
        make_certificate(server.ca, tmp_path / "cert.pem", tmp_path / "key.pem")  # another CA
        with pytest.raises(InventoryAway, match="certificate verify failed"):
            session(f"postgresql://{role}@localhost{verified}", "test").__enter__()

        assert "is not encrypted" not in caplog.text
        with opened(f"postgresql://{role}@127.0.0.5{where}&sslmode=disable", "test"):
            pass
        assert "The connection to the inventory at 127.0.0.5 is not encrypted" in caplog.text


def test_a_server_that_is_away_is_said_to_be(run: Run) -> None:
    done = run.inventory("list", f"postgresql://web1@127.0.0.1:{free_port()}/inventory")
    assert done.status == 1
    assert "The inventory cannot be reached: " in done.error
    assert "Connection refused" in done.error


@pytest.mark.long  # libpq waits for two seconds at least
def test_a_server_that_accepts_and_never_answers_is_left_in_time(
    postgres: Postgres, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(postgres, [])
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "1")
    with stopped(postgres):
        done = run.inventory("list", fleet.url("auditor"))
    assert done.status == 1
    assert "The inventory cannot be reached: " in done.error


def test_no_setting_makes_a_connection_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    seconds = connection._connect_seconds
    assert seconds({}) == 10
    assert seconds({"connect_timeout": "3"}) == 3
    assert seconds({"connect_timeout": "0"}) == 10
    assert seconds({"connect_timeout": "99999"}) == 120
    assert seconds({"connect_timeout": "x"}) == 10
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "0")
    assert seconds({}) == 10


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(postgres, [])
    monkeypatch.setattr(connection, "GRACE_SECONDS", 60.0)
    with (
        session(fleet.url("auditor"), "test") as connected,
        pytest.raises(InventoryAway, match="takes too long: canceling statement"),
        connected.transaction(seconds=0.2) as cursor,
    ):
        cursor.execute("SELECT pg_sleep(60)")


def test_a_server_that_stops_in_the_middle_is_left_in_time(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(postgres, [])
    monkeypatch.setattr(connection, "GRACE_SECONDS", 0.2)
    with session(fleet.url("auditor"), "test") as connected:
        with connected.transaction() as cursor:
            ((process,),) = cursor.execute("SELECT pg_backend_pid()").fetchall()
        with (
            stands_still(process),
            pytest.raises(InventoryAway, match="The inventory does not answer"),
            connected.transaction(seconds=0.1),
        ):
            pass


@contextlib.contextmanager
def stands_still(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_database_without_a_free_connection_is_said(
    postgres: Postgres, tmp_path: Path, run: Run
) -> None:
    fleet = Fleet(postgres, ["web1"])
    postgres.execute(f"ALTER DATABASE {fleet.database} CONNECTION LIMIT 0")
    done = run.inventory(
        "push", fleet.url("web1"), *places(add_host(tmp_path, "web1", "a.example"))
    )
    assert done.status == 1
    assert "too many connections for database" in done.error


@pytest.mark.long  # writes 16 MB: what is left of a file then is less than a page
def test_a_push_to_a_full_disk_changes_nothing(tmp_path: Path, run: Run) -> None:
    # What stands for a full disk: no file may grow beyond the length of a segment of its log.
    with Postgres(longest_file=16 << 20) as server:
        fleet = Fleet(server, ["web1"])
        with pytest.raises(psycopg.Error, match="could not extend file"):
            fleet.ask(
                "INSERT INTO dns_persist.history (host, kind, action)"
                " SELECT 'x', 'x', 'x' FROM generate_series(1, 400000)"
            )
        web1 = add_host(tmp_path, "web1", "a.example")
        done = run.inventory("push", fleet.url("web1"), *places(web1))
        assert done.status == 1
        assert "could not extend file" in done.error
        assert fleet.ask("SELECT * FROM dns_persist.host") == []
