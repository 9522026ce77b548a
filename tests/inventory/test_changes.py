"""``--inventory`` for the commands that change DNS: locks among hosts, and what others need."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.home import SERVER
from support.members import Done, Run, add_host, note, places
from support.nameserver import Nameserver
from support.postgres import Fleet, Postgres, pooled
from support.process import free_port

from certbot_dns_persist.change import locks
from certbot_dns_persist.change.locks import Locks
from certbot_dns_persist.cli import changing
from certbot_dns_persist.errors import Busy
from certbot_dns_persist.inventory.connection import session
from certbot_dns_persist.inventory.locks import FleetLocks
from certbot_dns_persist.record import validation_domain_name

DOMAIN = "a.example.test"
NAME = validation_domain_name(DOMAIN)
AWAY = f"postgresql://x@127.0.0.1:{free_port()}/x"


class World:
    """A host with a certificate and its record; another host of the fleet."""

    def __init__(
        self, postgres: Postgres, nameserver: Nameserver, root: Path, run: Run, writing: list[str]
    ) -> None:
        self.fleet = Fleet(postgres, ["web1", "web2"])
        self.nameserver, self.run, self.root, self._writing = nameserver, run, root, writing
        self.web1 = add_host(root, "web1", DOMAIN)
        (self.noted,) = self.web1.journal.published()
        self.value = self.noted.value
        nameserver.zones.set_values(NAME, [self.value])

    def push(self, name: str) -> None:
        home = self.web1 if name == "web1" else self.web2
        assert self.run.inventory("push", self.fleet.url(name), *places(home)).status == 0

    def add_web2(self, value: str) -> None:
        """Have another host that published this at the same name."""
        self.web2 = add_host(self.root, "web2", "other.example.test")
        note(self.web2, DOMAIN, value, "web1" if value == self.value else "web2")
        self.push("web2")

    @property
    def values(self) -> list[str]:
        return self.nameserver.values(NAME)

    def __call__(self, command: str, *arguments: str) -> Done:
        where = [*places(self.web1), "--server", SERVER]
        if command == "rotate":
            where += ["--no-wait"]
        return self.run(command, *arguments, *where, *self._writing)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


@pytest.fixture
def world(
    postgres: Postgres,
    nameserver: Nameserver,
    tmp_path: Path,
    run: Run,
    nameserver_credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setattr(changing, "require_valid_accounts", lambda args, groups: None)  # no CA
    writing = [
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={nameserver_credentials}",
        "--dns-persist-propagation-seconds=10",
    ]
    return World(postgres, nameserver, tmp_path, run, writing)


@pytest.mark.parametrize("command", ["rotate", "revoke", "prune"])
def test_what_may_remove_records_stops_where_the_inventory_is_away(
    command: str, world: World
) -> None:
    done = world(command, "--all", "--yes", "--inventory", AWAY)
    assert done.status == 1
    assert "The inventory cannot be reached: " in done.error
    assert done.error.endswith("Nothing was changed.\n")
    assert world.values == [world.value]


def test_publish_warns_and_publishes_where_the_inventory_is_away(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.nameserver.zones.set_values(NAME, [])
    done = world("publish", "--all", "--yes", "--inventory", AWAY)
    assert done.status == 0, done.error
    assert world.values == [world.value]
    assert "We go on without it" in caplog.text


def test_revoke_leaves_what_another_host_published_until_that_is_confirmed(world: World) -> None:
    world.add_web2(world.value)
    inventory = ["--inventory", world.fleet.url("admin")]
    host = world.fleet.role("web2")

    done = world("revoke", "--all", "--yes", *inventory)
    assert done.status == 1
    assert f"it is also needed by the host {host}, as the inventory says." in done.error
    assert f"add  --also-needed-by {host}" in done.error or f"--also-needed-by {host}" in done.error
    assert world.values == [world.value]

    done = world("revoke", "--all", "--yes", *inventory, "--also-needed-by", host)
    assert done.status == 0, done.error
    assert world.values == []


def test_a_host_that_may_not_know_whose_it_is_is_told_of_another_host(world: World) -> None:
    world.add_web2(world.value)
    done = world("revoke", "--all", "--yes", "--inventory", world.fleet.url("web1"))
    assert done.status == 1
    assert "--also-needed-by another-host" in done.error


def test_rotate_and_prune_take_no_record_from_another_host(world: World) -> None:
    world.add_web2(world.value)
    world.web1.add_account("new")
    inventory = ["--inventory", world.fleet.url("web1")]
    done = world("rotate", "--all", "--account", "new", "--yes", *inventory)
    assert done.status == 1
    assert "was published by the host another-host" in done.error
    assert world.values == [world.value]
    (world.web1.config_dir / "renewal" / "of-web1.conf").unlink()
    done = world("prune", "--left-over", "--yes", *inventory)
    assert (done.status, done.out) == (0, "There is nothing to prune.\n")
    assert world.values == [world.value]


def test_the_records_of_a_lost_host_are_revoked_and_others_stay(world: World) -> None:
    lost = "ca.example; accounturi=https://ca.example/acct/web2"
    world.add_web2(lost)
    # It says that it published what is for the account of web1, too.
    world.push("web1")
    note(world.web2, DOMAIN, world.value, "web2")
    world.push("web2")
    foreign = "other.example; accounturi=https://other.example/1"
    world.nameserver.zones.set_values(NAME, [world.value, lost, foreign])
    other = validation_domain_name("other.example.test")
    world.nameserver.zones.set_values(other, [lost])
    host = world.fleet.role("web2")

    refused = world(
        "revoke", "--lost-host", host, "--yes", "--inventory", world.fleet.url("auditor")
    )
    assert refused.status == 1
    assert "may not revoke what other hosts have" in refused.error
    done = world("revoke", "--lost-host", host, "--yes", "--inventory", world.fleet.url("admin"))
    assert done.status == 0, done.error
    assert world.values == sorted([foreign, world.value])
    assert world.nameserver.values(other) == []
    assert f"inventory forget URL {host}" in done.out
    left = world.fleet.ask("SELECT name, value FROM dns_persist.record WHERE host = %s", host)
    assert left == [(NAME, world.value)]
    who = world.fleet.ask(
        "SELECT DISTINCT who FROM dns_persist.history WHERE host = %s AND kind = 'record'"
        " AND action = 'delete'",
        host,
    )
    assert who == [(world.fleet.role("admin"),)]


# Locks


@contextlib.contextmanager
def locks_of(fleet: Fleet, name: str, directory: Path, seconds: float = 60.0) -> Iterator[Locks]:
    with session(fleet.url(name), f"revoke by {name}") as connected:
        yield Locks(directory / name, seconds, FleetLocks(connected))


def test_two_hosts_change_a_name_one_after_the_other(postgres: Postgres, tmp_path: Path) -> None:
    fleet = Fleet(postgres, ["web1", "web2"])
    changes = 0

    def change(name: str) -> None:
        nonlocal changes
        with locks_of(fleet, name, tmp_path, 60) as held:
            for _ in range(10):
                with held.hold([NAME, "b", "c"]), held.hold([NAME]):
                    before = changes
                    entered.wait(0.001)
                    changes = before + 1

    entered = threading.Event()
    threads = [threading.Thread(target=change, args=[name]) for name in ("web1", "web2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert changes == 20
    assert postgres.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_whoever_holds_a_name_too_long_is_named(postgres: Postgres, tmp_path: Path) -> None:
    fleet = Fleet(postgres, ["web1", "web2"])
    with (
        locks_of(fleet, "web1", tmp_path) as first,
        locks_of(fleet, "web2", tmp_path, 60) as patient,
        locks_of(fleet, "web2", tmp_path, 0.3) as second,
        first.hold([NAME]),
    ):
        with patient.hold(["another.example.test"]):
            pass
        role = fleet.role("web1")
        with (
            pytest.raises(Busy, match=rf"being changed by {role} \(certbot-dns-persist revoke by"),
            second.hold([NAME]),
        ):
            pass


def test_the_locks_of_a_session_that_ends_are_free(postgres: Postgres, tmp_path: Path) -> None:
    fleet = Fleet(postgres, ["web1", "web2"])
    with session(fleet.url("web1"), "test") as connected:
        entered = FleetLocks(connected).hold({1: NAME}, 1)
        entered.__enter__()
    with session(fleet.url("web2"), "test") as connected, FleetLocks(connected).hold({1: NAME}, 5):
        pass


@pytest.mark.long  # another server is started
def test_no_lock_is_taken_through_a_pooler_and_what_takes_none_works(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with pooled(world.fleet, "web1", "transaction") as url:
        assert world.run.inventory("push", url, *places(world.web1)).status == 0
        done = world("revoke", "--all", "--yes", "--inventory", url)
        assert done.status == 1
        assert "Between here and PostgreSQL is a connection pooler" in done.error
        assert world.values == [world.value]
        world.nameserver.zones.set_values(NAME, [])
        assert world("publish", "--all", "--yes", "--inventory", url).status == 0
    assert world.values == [world.value]
    assert "connection pooler" in caplog.text


def test_removals_wait_for_a_name_that_another_host_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = locks._number(NAME)
    with (
        monkeypatch.context() as impatient,
        session(world.fleet.url("web2"), "rotate") as connected,
        FleetLocks(connected).hold({number: NAME}, 1),
    ):
        impatient.setattr(locks, "SECONDS", 0.5)
        done = world("revoke", "--all", "--yes", "--inventory", world.fleet.url("web1"))
        assert done.status == 1
        assert f"{NAME} is being changed by {world.fleet.role('web2')}" in done.error
        assert world.values == [world.value]
    done = world("revoke", "--all", "--yes", "--inventory", world.fleet.url("web1"))
    assert done.status == 0, done.error
    assert world.values == []
