"""``--inventory`` and ``--fleet``: commands that know of all hosts."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest
from conftest import KEY
from support import bind
from support.bind import Server
from support.home import SERVER, Home
from support.members import Done, Run, add_host, note, places
from support.nameserver import Nameserver
from support.need import need
from support.postgres import Fleet, Postgres
from support.process import claim_address, release_address
from support.zones import zone_text

from certbot_dns_persist.account import hashed_account_uri
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.inventory import connection
from certbot_dns_persist.inventory.holding import HeldAccount, HeldCertificate, HeldRecord, Holding
from certbot_dns_persist.inventory.store import opened
from certbot_dns_persist.record import validation_domain_name

ISSUER = "ca.example"


class Member:
    """A host of a fleet: its files, and its commands."""

    def __init__(self, home: Home, run: Run, url: str, reading: list[str]) -> None:
        self.home, self._run, self.url, self._reading = home, run, url, reading

    def push(self) -> None:
        assert self._run.inventory("push", self.url, *places(self.home)).status == 0

    def __call__(self, command: str, *arguments: str) -> Done:
        where = [*places(self.home), "--server", SERVER]
        return self._run(command, *arguments, *where, *self._reading)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


class World:
    """Two hosts whose certificates share a name; DNS has what both published."""

    def __init__(
        self, postgres: Postgres, nameserver: Nameserver, root: Path, run: Run, reading: list[str]
    ) -> None:
        self.fleet = Fleet(postgres, ["web1", "web2"])
        self.nameserver, self.run, self.reading = nameserver, run, reading
        self.web1, self.web2 = (
            Member(
                add_host(root, name, f"{name}.example.test", "shared.example.test"),
                run,
                self.fleet.url(name),
                reading,
            )
            for name in ("web1", "web2")
        )
        for member in (self.web1, self.web2):
            for noted in member.home.journal.published():
                self.add(noted.domain, noted.value)
            member.push()

    def add(self, domain: str, value: str) -> None:
        name = validation_domain_name(domain)
        self.nameserver.zones.set_values(name, [*self.nameserver.values(name), value])

    def publish(self, member: Member, domain: str, account: str) -> None:
        """Have a host publish a record, and push that it has."""
        value = f"{ISSUER}; accounturi=https://ca.example/acct/{account}"
        note(member.home, domain, value, "web2")
        self.add(domain, value)
        member.push()

    def auditor(self, command: str, *arguments: str) -> Done:
        """Run a command on a host without Certbot, as the auditor."""
        inventory = ["--inventory", self.fleet.url("auditor"), "--fleet"]
        nowhere = ["--config-dir", "/nonexistent", "--logs-dir", "/nonexistent"]
        return self.run(command, *arguments, *inventory, *nowhere, *self.reading)


@pytest.fixture
def world(
    postgres: Postgres, nameserver: Nameserver, tmp_path: Path, run: Run, reading: list[str]
) -> World:
    return World(postgres, nameserver, tmp_path, run, reading)


def test_what_other_hosts_published_is_no_strangers_on_any_host(world: World) -> None:
    alone = world.web1("audit", "--all", "--no-caa")
    assert alone.status == 2
    assert "\tunknown-account\t" in alone.out

    known = world.web1("audit", "--all", "--no-caa", "--inventory", world.web1.url)
    assert known.status == 0, known.out
    (told,) = (line for line in known.out.splitlines() if "\tknown-account\t" in line)
    assert "is for the host another-host in the inventory and the CA ca.example." in told

    named = world.auditor("audit", "-d", "shared.example.test", "--no-caa")
    assert named.status == 0, named.out + named.error
    assert f"is for the host {world.fleet.role('web1')} in the inventory" in named.out
    assert f"is for the host {world.fleet.role('web2')} in the inventory" in named.out


def test_the_whole_fleet_is_checked_and_audited_without_certbots_files(world: World) -> None:
    checked = world.auditor("check", "--all", "--no-caa")
    assert checked.status == 0, checked.out + checked.error
    assert [line.split("\t")[:2] for line in checked.out.splitlines()] == [
        ["shared.example.test", "ok"],
        ["web1.example.test", "ok"],
        ["shared.example.test", "ok"],
        ["web2.example.test", "ok"],
    ]
    world.add("web2.example.test", f"{ISSUER}; accounturi=https://ca.example/acct/stranger")
    audited = world.auditor("audit", "--all", "--no-caa", "--json")
    assert audited.status == 2
    critical = [
        (record["domain"], notice["kind"])
        for record in audited.json["records"]
        for notice in record["notices"]
        if notice["severity"] == "critical"
    ]
    assert critical == [("web2.example.test", "unknown-account")]


def test_the_names_of_the_whole_fleet_can_be_fed_to_a_collector(world: World) -> None:
    inventory = ["--inventory", world.fleet.url("auditor"), "--fleet"]
    done = world.run("names", "--all", *inventory, "--config-dir=/nonexistent")
    assert (done.status, done.error) == (0, "")
    assert sorted(done.out.split()) == [
        f"_validation-persist.{label}.example.test" for label in ("shared", "web1", "web2")
    ]
    done = world.run("names", "--cert-name=nobody", *inventory)
    assert (done.status, done.out) == (1, "")
    assert "No certificate in the inventory is called nobody." in done.error


def test_a_host_cannot_ask_for_the_whole_fleet(world: World) -> None:
    done = world.web1("check", "--all", "--fleet", "--inventory", world.web1.url)
    assert done.status == 3
    assert "sees only its own part of the inventory" in done.error
    done = world.web1("check", "--all", "--fleet")
    assert done.status == 3
    assert "add --inventory URL" in done.error


def test_a_record_is_printed_for_any_account_of_the_fleet(world: World) -> None:
    url = "https://ca.example/acct/web2"
    offline = ["--offline", "--format", "zone"]
    done = world.auditor("record", "-d", "new.example.test", "--account", url, *offline)
    assert done.status == 0, done.error
    assert f'"{ISSUER}; accounturi={url}"' in done.out
    done = world.auditor("record", "-d", "new.example.test", *offline)
    assert done.status == 1
    assert "No certificate in the inventory has this name" in done.error
    done = world.auditor("record", "-d", "x.example.test", "--account", f"{url}9", *offline)
    assert f"The inventory has no account {url}9." in done.error


def test_what_no_certificate_of_the_fleet_needs_is_left_over_and_its_host_is_named(
    world: World,
) -> None:
    world.publish(world.web2, "old.example.test", "web2")
    done = world.auditor("audit", "--all", "--no-caa")
    assert done.status == 1, done.out
    (told,) = (line for line in done.out.splitlines() if "\tleft-over\t" in line)
    assert f"on {world.fleet.role('web2')}: certbot-dns-persist prune --left-over" in told
    assert "old.example.test\tok\tNo certificate in the inventory needs" in done.out


def test_an_account_that_its_host_no_longer_has_is_told(world: World) -> None:
    (regr,) = world.web2.home.config_dir.rglob("regr.json")
    (regr.parent / "private_key.json").unlink()
    regr.unlink()
    world.web2.push()
    done = world.auditor("audit", "-d", "shared.example.test", "--no-caa")
    former = f"is for a former account of the host {world.fleet.role('web2')}, https://ca."
    assert "\tformer-account\t" in done.out
    assert former in done.out


def test_a_hash_of_another_hosts_account_is_recognized(world: World) -> None:
    home = world.web2.home
    url = "https://ca.example/acct/web2"
    home.journal.note_terms(url, Terms((ISSUER,), None, "https://ca.example/hash/"))
    world.web2.push()
    with opened(world.fleet.url("web1"), "test") as inventory:
        (theirs,) = (each for each in inventory.accounts() if each.url == url)
    uri = hashed_account_uri(
        "https://ca.example/hash/",
        domain="web1.example.test",
        thumbprint=theirs.thumbprints[0],
        account_url=url,
    )
    world.add("web1.example.test", f"{ISSUER}; accounturi={uri}")
    done = world.web1("audit", "--all", "--no-caa", "--inventory", world.web1.url)
    assert done.status == 0, done.out


def test_a_record_of_an_unknown_account_that_another_host_published_is_known(
    world: World,
) -> None:
    world.publish(world.web2, "web1.example.test", "of-a-machine-that-web2-speaks-for")
    done = world.web1("audit", "--all", "--no-caa", "--inventory", world.web1.url)
    assert done.status == 0, done.out
    assert "was published by the host another-host in the inventory" in done.out


def test_what_a_host_pushes_can_break_no_audit(world: World) -> None:
    nasty = ["", "a b", "x" * 200, "\x1b[2J", "..", "*.*", "ünï", "127.0.0.1"]
    accounts = [
        HeldAccount(url, "", ("short", "\x1b", "N" * 43), (url,), (ISSUER,), "x", False)
        for url in nasty
    ]
    records = [HeldRecord(n, n, n, n, n, n, 2**60, None, "2026-01-01T00:00:00Z", n) for n in nasty]
    certificates = [
        HeldCertificate(name, tuple(nasty), "2026-01-01T00:00:00Z", "", name) for name in nasty
    ]
    with opened(world.web2.url, "test") as inventory:
        inventory.push("\x1b", Holding(accounts, records, certificates))
    done = world.web1("audit", "--all", "--no-caa", "--inventory", world.web1.url)
    assert done.status == 2  # the account of web2 is not there any more
    for command in ("check", "audit"):
        done = world.auditor(command, "--all", "--no-caa")
        assert "web1.example.test\tok\t" in done.out
        assert "fault of certbot-dns-persist" not in done.error
        assert "\x1b" not in done.out + done.error


# Two hundred hosts

HOSTS, NAMES = 200, 100


def held(number: int) -> Holding:
    """Return what a host has: an account, and a hundred records that a certificate needs."""
    url = f"https://ca.example/acct/{number}"
    value = f"{ISSUER}; accounturi={url}"
    domains = tuple(f"n{each}.h{number}.example.test" for each in range(NAMES))
    then = "2026-11-01T00:00:00Z"
    account = HeldAccount(url, SERVER, (f"{number:043}",), (url,), (ISSUER,), None, False)
    records = [
        HeldRecord(
            validation_domain_name(domain),
            value,
            domain,
            SERVER,
            url,
            "rfc2136",
            None,
            then,
            then,
            None,
        )
        for domain in domains
    ]
    return Holding([account], records, [HeldCertificate("all", domains, then, SERVER, url)])


@pytest.mark.long  # 20,000 names are asked for
def test_two_hundred_hosts_push_at_once_and_audits_find_the_three_intruders_and_nothing_else(
    postgres: Postgres, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "GRACE_SECONDS", 200.0)  # of a busy machine, for each push
    names = [f"web{number}" for number in range(HOSTS)]
    fleet = Fleet(postgres, names)
    holdings = [held(number) for number in range(HOSTS)]
    records = [(record.name, record.value) for each in holdings for record in each.records]
    intruders = ["n7.h3.example.test", "n50.h100.example.test", "n99.h199.example.test"]
    records += [
        (
            validation_domain_name(domain),
            f"{ISSUER}; accounturi=https://ca.example/acct/intruder-{n}",
        )
        for n, domain in enumerate(intruders)
    ]

    together = threading.Barrier(HOSTS + 2)
    finished = threading.Event()

    def push(number: int) -> None:
        with opened(fleet.url(names[number]), "push") as inventory:
            together.wait(120)
            inventory.push(names[number], holdings[number])

    def read() -> int:
        """Read until all have pushed; what one host pushed is there as a whole, or not at all."""
        looks = 0
        with opened(fleet.url("auditor"), "audit") as inventory:
            together.wait(120)
            while not finished.is_set():
                found = inventory.fleet()
                hosts = len(found.accounts)
                assert len(found.records) == hosts * NAMES
                assert len(found.certificates) == hosts
                looks += 1
        return looks

    with ThreadPoolExecutor(HOSTS + 2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            pushes = [pool.submit(push, number) for number in range(HOSTS)]
            for pushed in as_completed(pushes, timeout=300):
                pushed.result()
        finally:
            finished.set()  # or the readers, and so the pool, would never end
        assert all(reader.result(60) for reader in readers)

    arguments = ["--fleet", "--all", "--no-caa", "--json", "--queries-per-second", "100000"]
    with named(tmp_path / "named", records) as endpoint:
        reading = [f"--dns-persist-resolvers={endpoint}", "--dns-persist-check=resolver"]
        done = run("audit", *arguments, "--inventory", fleet.url("auditor"), *reading)
    assert done.status == 2
    document = done.json
    assert len(document["records"]) == HOSTS * NAMES
    assert {record["status"] for record in document["records"]} == {"ok"}
    found = {
        (record["domain"], notice["kind"], notice["value"].rpartition("/")[2])
        for record in document["records"]
        for notice in record["notices"]
    }
    assert found == {
        (domain, "unknown-account", f"intruder-{number}") for number, domain in enumerate(intruders)
    }


@contextlib.contextmanager
def named(directory: Path, records: list[tuple[str, str]]) -> Iterator[str]:
    """Serve TXT records with BIND; yield its address and port."""
    need(not bind.missing(), str(bind.missing()))
    server = Server(directory, claim_address(), KEY)
    lines = [f'{name}. TXT "{value}"' for name, value in records]
    zone = zone_text("example.test", {"ns1": ["127.0.0.1"]}, "\n".join(lines))
    (directory / "zone").write_text(zone)
    try:
        server.start(
            "recursion no; querylog no;",
            'zone "example.test" { type primary; file "zone"; };',
        )
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()
        release_address(server.address)
