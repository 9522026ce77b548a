"""``inventory``: what hosts push, who may see and change it, and what is kept of it."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.at_once import at_once
from support.home import Home
from support.journals import ADDED
from support.members import Run, add_host, note, places
from support.postgres import SUPERUSER, Fleet, Postgres

from certbot_dns_persist.errors import InventoryError
from certbot_dns_persist.inventory import schema
from certbot_dns_persist.inventory.connection import session
from certbot_dns_persist.inventory.holding import Holding
from certbot_dns_persist.inventory.store import opened

TABLES = ("host", "account", "record", "certificate")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


def test_a_host_pushes_what_it_has_and_again_only_what_has_changed(
    postgres: Postgres, tmp_path: Path, run: Run
) -> None:
    fleet = Fleet(postgres, ["web1"])
    web1 = add_host(tmp_path, "web1", "a.example", "b.example")

    looked = run.inventory("push", fleet.url("web1"), "--dry-run", *places(web1))
    assert looked.status == 0
    assert looked.out == (
        "This host has 1 account, 2 records and 1 certificate. This was a dry run: nothing was "
        "pushed.\n"
    )
    assert fleet.ask("SELECT * FROM dns_persist.host") == []

    done = run.inventory("push", fleet.url("web1"), *places(web1))
    assert done.status == 0, done.error
    assert done.out == (
        f"The inventory has 1 account, 2 records and 1 certificate of {fleet.role('web1')}.\n"
    )
    shown = run.inventory("show", fleet.url("auditor"), fleet.role("web1"), "--json").json
    (account,), (certificate,) = shown["accounts"], shown["certificates"]
    assert account["url"] == "https://ca.example/acct/web1"
    assert [len(key) for key in account["thumbprints"]] == [43]
    assert account["issuer_domain_names"] == ["ca.example"]
    assert certificate["domains"] == ["a.example", "b.example"]
    assert certificate["account_url"] == account["url"]
    value = f"ca.example; accounturi={account['url']}"
    assert [(record["name"], record["value"]) for record in shown["records"]] == [
        ("_validation-persist.a.example", value),
        ("_validation-persist.b.example", value),
    ]
    hashes = fleet.ask("SELECT DISTINCT value_hash FROM dns_persist.record")
    assert hashes == [(hashlib.sha256(value.encode()).digest(),)]
    before = fleet.ask("SELECT count(*) FROM dns_persist.history")

    assert run.inventory("push", fleet.url("web1"), *places(web1)).status == 0
    assert fleet.ask("SELECT count(*) FROM dns_persist.history") == before

    (noted,) = web1.journal.published(domains=["a.example"])
    web1.journal.gone(noted)
    note(web1, "c.example", value, "web1")
    assert run.inventory("push", fleet.url("web1"), *places(web1)).status == 0
    shown = run.inventory("show", fleet.url("auditor"), fleet.role("web1"), "--json").json
    assert [record["domain"] for record in shown["records"]] == ["b.example", "c.example"]
    latest = [(e["action"], e["what"], e["who"], e["address"]) for e in shown["history"][:2]]
    assert latest == [
        ("insert", "_validation-persist.c.example", fleet.role("web1"), None),
        ("delete", "_validation-persist.a.example", fleet.role("web1"), None),
    ]
    assert shown["history"][0]["program"].startswith("certbot-dns-persist inventory push on ")


def test_what_cannot_be_read_is_not_removed_from_the_inventory(
    postgres: Postgres, tmp_path: Path, run: Run
) -> None:
    fleet = Fleet(postgres, ["web1"])
    web1 = add_host(tmp_path, "web1", "a.example")
    assert run.inventory("push", fleet.url("web1"), *places(web1)).status == 0
    (web1.config_dir / "live" / "of-web1" / "cert.pem").write_text("")
    (web1.config_dir / "dns-persist" / "state.sqlite").write_text("no database at all")

    again = Home.__new__(Home)
    again.config_dir, again.logs_dir = web1.config_dir, tmp_path / "other-logs"
    done = run.inventory("push", fleet.url("web1"), *places(again))

    assert done.status == 1
    assert "Not all records and certificates of this host are known" in done.error
    shown = run.inventory("show", fleet.url("web1"), fleet.role("web1"), "--json").json
    assert (len(shown["records"]), len(shown["certificates"])) == (1, 1)

    nothing = run.inventory("push", fleet.url("web1"), "--config-dir", tmp_path / "none")
    assert nothing.status == 1
    assert "so nothing was pushed" in nothing.error


def test_a_host_sees_of_others_what_it_needs_to_know_and_no_more(
    postgres: Postgres, tmp_path: Path, run: Run
) -> None:
    fleet = Fleet(postgres, ["web1", "web2"])
    for name in ("web1", "web2"):
        made = add_host(tmp_path, name, f"{name}.example")
        assert run.inventory("push", fleet.url(name), *places(made)).status == 0

    for table in TABLES:
        column = "name" if table == "host" else "host"
        seen = fleet.ask(f"SELECT {column} FROM dns_persist.{table}", name="web1")  # noqa: S608
        assert seen == [(fleet.role("web1"),)], table
    value = b"ca.example; accounturi=https://ca.example/acct/web2"
    with opened(fleet.url("web1"), "test") as inventory:
        (theirs,) = (each for each in inventory.accounts() if each.url.endswith("web2"))
        holders = inventory.holders()
        with pytest.raises(InventoryError, match="sees only its own part"):
            inventory.fleet()
        assert inventory.holding(fleet.role("web2")) is None
    assert (theirs.host, theirs.former, len(theirs.thumbprints)) == ("another-host", False, 1)
    place = ("_validation-persist.web2.example", hashlib.sha256(value).digest())
    assert holders == {place: ["another-host"]}
    columns = fleet.ask(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'dns_persist' AND table_name LIKE 'fleet%' ORDER BY 1, 2",
        name="web1",
    )
    assert columns == [
        *(("fleet_account", name) for name in ("former", "host", "thumbprints", "uris", "url")),
        *(("fleet_record", name) for name in ("host", "mine", "name", "value_hash")),
    ]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fleet.ask("SELECT * FROM dns_persist.history", name="web1")

    with opened(fleet.url("auditor"), "test") as inventory:
        assert {each.host for each in inventory.accounts()} == {
            fleet.role("web1"),
            fleet.role("web2"),
        }
        assert len(inventory.fleet().records) == 2
    listed = run.inventory("list", fleet.url("auditor")).out.splitlines()
    assert [line.split("\t")[0] for line in listed] == [fleet.role("web1"), fleet.role("web2")]
    assert run.inventory("list", fleet.url("web1")).out.split("\t")[0] == fleet.role("web1")
    document = run.inventory("list", fleet.url("web1"), "--json").json
    assert [account["host"] for account in document["accounts"]] == [
        fleet.role("web1"),
        "another-host",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO dns_persist.host (name, hostname) VALUES ('{other}', 'x')",
        "INSERT INTO dns_persist.account (host, url, server, thumbprints, uris,"
        " issuer_domain_names, former) VALUES ('{other}', 'x', '', '{{}}', '{{}}', '{{}}', false)",
        "UPDATE dns_persist.host SET name = '{other}'",
        "UPDATE dns_persist.record SET host = '{other}'",
        "UPDATE dns_persist.certificate SET host = '{other}'",
        "INSERT INTO dns_persist.history (host, kind, action) VALUES ('x', 'x', 'x')",
        "DELETE FROM dns_persist.history",
        "INSERT INTO dns_persist.schema_version VALUES (99)",
        "TRUNCATE dns_persist.record",
        "ALTER TABLE dns_persist.record DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE dns_persist.mine (x int)",
        "CREATE TEMPORARY TABLE mine (x int)",
        "SET SESSION AUTHORIZATION '{other}'",
        "SET ROLE dns_persist_auditor",
    ],
)
def test_a_host_cannot(postgres: Postgres, statement: str, two_hosts: Fleet) -> None:
    with unchanged(two_hosts), pytest.raises(psycopg.errors.InsufficientPrivilege):
        two_hosts.ask(statement.format(other=two_hosts.role("web2")), name="web1")


@pytest.mark.parametrize("group", ["dns_persist_host", "none"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM dns_persist.{table} WHERE {column} <> session_user",
        "UPDATE dns_persist.{table} SET {column} = session_user WHERE {column} <> session_user",
    ],
)
def test_what_a_host_does_to_the_rows_of_others_does_nothing_whatever_its_role(
    statement: str, group: str, two_hosts: Fleet
) -> None:
    with unchanged(two_hosts):
        for table in TABLES:
            column = "name" if table == "host" else "host"
            said = statement.format(table=table, column=column)
            two_hosts.ask(f"SET ROLE {group}; {said}; RESET ROLE", name="web1")


@pytest.mark.parametrize("name", ["auditor", "admin"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE dns_persist.record SET value = 'x'",
        "INSERT INTO dns_persist.host (hostname) VALUES ('x')",
        "DELETE FROM dns_persist.account",
        "DELETE FROM dns_persist.history",
    ],
)
def test_who_reads_everything_changes_nothing(name: str, statement: str, two_hosts: Fleet) -> None:
    with unchanged(two_hosts), pytest.raises(psycopg.errors.InsufficientPrivilege):
        two_hosts.ask(statement, name=name)


@contextlib.contextmanager
def unchanged(fleet: Fleet) -> Iterator[None]:
    """Assert that what is done meanwhile changes nothing in the inventory."""
    before = content(fleet)
    yield
    assert content(fleet) == before


def content(fleet: Fleet) -> list[Any]:
    statement = "SELECT * FROM dns_persist.{} ORDER BY 1, 2"
    return [fleet.ask(statement.format(table)) for table in TABLES]


@pytest.fixture(scope="module")
def two_hosts(postgres: Postgres) -> Fleet:
    """An inventory of web1 and web2, which no test changes."""
    fleet = Fleet(postgres, ["web1", "web2"])
    for name in ("web1", "web2"):
        url = f"https://ca.example/acct/{name}"
        fleet.ask("INSERT INTO dns_persist.host (hostname) VALUES ('x')", name=name)
        fleet.ask(
            "INSERT INTO dns_persist.account (url, server, thumbprints, uris, issuer_domain_names,"
            " former) VALUES (%s, '', '{}', '{}', '{}', false)",
            url,
            name=name,
        )
        fleet.ask(
            "INSERT INTO dns_persist.record (name, value, domain, server, account_url, provider,"
            " last_changed) VALUES (%s, %s, 'x', '', '', '', now())",
            *(f"_validation-persist.{name}.example", f"ca.example; accounturi={url}"),
            name=name,
        )
        fleet.ask(
            "INSERT INTO dns_persist.certificate (name, domains, not_after, server, account_url)"
            " VALUES (%s, ARRAY[%s], now(), '', '')",
            *(name, f"{name}.example"),
            name=name,
        )
    return fleet


def test_an_administrator_forgets_a_lost_host_and_the_history_stays(
    postgres: Postgres, tmp_path: Path, run: Run
) -> None:
    fleet = Fleet(postgres, ["web1", "web2"])
    for name in ("web1", "web2"):
        made = add_host(tmp_path, name, f"{name}.example")
        assert run.inventory("push", fleet.url(name), *places(made)).status == 0
    lost = fleet.role("web2")

    refused = run.inventory("forget", fleet.url("auditor"), lost, "--yes")
    assert refused.status == 1
    assert "permission denied for table host" in refused.error
    assert f"The role {fleet.role('auditor')} may not do that" in refused.error
    unseen = run.inventory("forget", fleet.url("web1"), lost, "--yes")
    assert f"no host {lost} that the role {fleet.role('web1')} may see" in unseen.error

    looked = run.inventory("forget", fleet.url("admin"), lost, "--dry-run")
    assert looked.status == 0
    assert "Its 1 record in DNS stay there" in looked.out
    done = run.inventory("forget", fleet.url("admin"), lost, "--yes")
    assert done.status == 0, done.error
    assert f'DROP ROLE "{lost}";' in done.out
    assert [row[0] for row in fleet.ask("SELECT name FROM dns_persist.host")] == [
        fleet.role("web1")
    ]
    kept = fleet.ask(
        "SELECT who, before ->> 'name' FROM dns_persist.history WHERE host = %s"
        " AND action = 'delete' AND kind = 'record'",
        lost,
    )
    assert kept == [(fleet.role("admin"), "_validation-persist.web2.example")]


def test_init_makes_the_tables_once_also_if_two_do_it_at_a_time(
    postgres: Postgres, run: Run
) -> None:
    fleet = Fleet(postgres, [], empty=True)
    url = postgres.url(fleet.database, SUPERUSER)
    done = run.inventory("list", url)
    assert done.status == 1
    assert "This database has no inventory yet." in done.error
    assert "certbot-dns-persist inventory init" in done.error

    applied: list[list[int]] = []

    def migrate(number: int) -> None:
        with session(url, "test") as connected:
            applied.append(schema.migrate(connected))

    at_once(3, migrate)
    assert sorted(applied) == [[], [], sorted(schema.migrations())]
    assert run.inventory("init", url).out == "It is up to date.\n"


def test_an_inventory_of_a_newer_or_an_older_release_is_refused(
    postgres: Postgres, run: Run, tmp_path: Path
) -> None:
    fleet = Fleet(postgres, ["web1"])
    latest = max(schema.migrations())
    web1 = add_host(tmp_path, "web1", "a.example")
    fleet.ask("INSERT INTO dns_persist.schema_version VALUES (%s)", latest + 1)
    for arguments in (
        ("push", fleet.url("web1"), *places(web1)),
        ("list", fleet.url("auditor")),
        ("init", postgres.url(fleet.database, SUPERUSER)),
    ):
        done = run.inventory(*arguments)
        assert done.status == 1
        assert f"has the version {latest + 1}, and this release knows {latest} at" in done.error
        assert "Update certbot-dns-persist." in done.error
    fleet.ask("DELETE FROM dns_persist.schema_version")
    done = run.inventory("list", fleet.url("auditor"))
    assert f"has the version 0, and this release needs {latest}" in done.error


def test_a_role_of_no_group_is_told_how_to_be_permitted(postgres: Postgres, run: Run) -> None:
    fleet = Fleet(postgres, [])
    postgres.execute(f'CREATE ROLE "nobody-{fleet.number}" LOGIN')
    postgres.execute(f'GRANT CONNECT ON DATABASE {fleet.database} TO "nobody-{fleet.number}"')
    done = run.inventory("list", fleet.url("nobody"))
    assert done.status == 1
    assert 'GRANT dns_persist_host (or dns_persist_auditor, dns_persist_admin) TO "ROLE"' in (
        done.error
    )


def test_text_of_strangers_is_shown_harmless_and_limited(postgres: Postgres, run: Run) -> None:
    fleet = Fleet(postgres, ["web1"])
    nasty = "[bold]\x1b[2J\tcolumn\nline‮"
    fleet.ask("INSERT INTO dns_persist.host (hostname) VALUES (%s)", nasty, name="web1")
    fleet.ask(
        "INSERT INTO dns_persist.record (name, value, domain, server, account_url, provider,"
        " last_changed) VALUES (%s, %s, %s, '', '', '', now())",
        *(nasty, f"{nasty}{'x' * 60000}", nasty),
        name="web1",
    )
    for arguments in (
        ("list", fleet.url("auditor")),
        ("show", fleet.url("auditor"), fleet.role("web1")),
        ("forget", fleet.url("admin"), fleet.role("web1"), "--dry-run"),
    ):
        done = run.inventory(*arguments)
        assert done.status == 0, done.error
        assert not set("\x1b‮") & set(done.out)
    shown = run.inventory("show", fleet.url("auditor"), fleet.role("web1")).out
    record = next(line for line in shown.splitlines() if line.startswith("record\t"))
    assert record.count("\t") == 7
    assert len(record) < 2000
    for value in ("x" * 70000, "x" * 3000):
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.DataError)):
            fleet.ask(
                "INSERT INTO dns_persist.record (name, value, domain, server, account_url,"
                " provider, last_changed) VALUES (%s, %s, '', '', '', '', now())",
                *(value[:3000], value),
                name="web1",
            )


def test_a_pushed_time_is_what_was_noted(postgres: Postgres, tmp_path: Path, run: Run) -> None:
    fleet = Fleet(postgres, ["web1"])
    web1 = Home(tmp_path / "web1")
    web1.journal.note(ADDED)
    assert run.inventory("push", fleet.url("web1"), *places(web1)).status == 0
    with opened(fleet.url("web1"), "test") as inventory:
        found = inventory.holding(fleet.role("web1"))
    assert found
    (record,) = found[0].records
    (noted,) = web1.journal.published()
    assert (record.first_published, record.persist_until) == (
        noted.first_published,
        noted.persist_until,
    )
    assert [account.former for account in found[0].accounts] == [True]


def test_an_empty_host_can_push(postgres: Postgres) -> None:
    fleet = Fleet(postgres, ["web1"])
    with opened(fleet.url("web1"), "test") as inventory:
        inventory.push("web1", Holding([], [], []))
        (host,) = inventory.hosts()
    assert (host.accounts, host.records, host.certificates, host.next_end) == (0, 0, 0, None)
