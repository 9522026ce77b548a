"""``rotate`` lets old and new records stand together while caches may have the old ones alone."""

import contextlib
import json
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, ok
from support.pebble import ISSUER, Pebble
from support.process import wait_until
from test_removing import World
from test_removing import world as world

from certbot_dns_persist.record import parse_time, validation_domain_name

DOMAIN = "example.test"
TO_NEW = ("rotate", "--all", "--account", "new", "--yes")
TOGETHER = "Old and new records stand together until "


@pytest.fixture
def waiting(world: World) -> World:
    world.waits = True
    return world


def account(world: World, certificate: str = "one") -> str:
    text = (world.home.config_dir / "renewal" / f"{certificate}.conf").read_text()
    return text.partition("account = ")[2].partition("\n")[0]


def times(world: World) -> dict[tuple[str, str], int]:
    """Return when each value was added and removed, by the log of changes."""
    lines = (world.home.logs_dir / "dns-persist-changes.jsonl").read_text().splitlines()
    done = [line for line in map(json.loads, lines) if line["result"] == "ok"]
    return {(line["action"], line["value"]): parse_time(line["time"]) for line in done}


def test_what_another_account_needs_stands_beside_the_old_record_for_its_ttl(
    waiting: World,
) -> None:
    waiting.add("one", DOMAIN, ttl=3)
    waiting.publish("one")
    done = waiting(*TO_NEW)
    assert done.status == 0, done.error
    assert TOGETHER in done.out
    assert "Replaced: of 1 servers that we asked, each has the new records" in done.out
    assert waiting.values(DOMAIN) == [waiting.new]
    assert account(waiting) == "new"
    when = times(waiting)
    # Each is a whole second, rounded down.
    assert when["remove", waiting.old] - when["add", waiting.new] >= 2


def test_where_the_old_record_authorises_too_nothing_waits_for_caches(waiting: World) -> None:
    waiting.add("one", DOMAIN, ttl=3600)
    waiting.publish("one")
    done = waiting("rotate", "--all", "--dns-persist-policy", "wildcard", "--yes")
    assert done.status == 0, done.error
    assert TOGETHER not in done.out
    assert waiting.values(DOMAIN) == [f"{waiting.old}; policy=wildcard"]


def test_several_rotations_wait_once_and_together_before_certbot_is_locked(
    waiting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.add("one", "n1.example.test", ttl=1000)
    waiting.add("two", "n2.example.test", ttl=2000)
    waiting.publish("one", "two")
    slept = []

    def sleep(seconds: float, really: Callable[[float], None] = time.sleep) -> None:
        if seconds < 60:
            return really(seconds)
        slept.append(seconds)
        assert [sorted(waiting.values(f"n{n}.example.test")) for n in (1, 2)] == [
            [waiting.new, waiting.old]
        ] * 2
        assert not (waiting.home.config_dir / ".certbot.lock").exists()
        assert {account(waiting, name) for name in ("one", "two")} == {"old"}
        return None

    monkeypatch.setattr(time, "sleep", sleep)
    done = waiting(*TO_NEW)
    assert done.status == 0, done.error
    assert slept == [2000]
    assert waiting.values("n1.example.test") == waiting.values("n2.example.test") == [waiting.new]


def test_an_interrupted_wait_is_continued_and_not_begun_again(
    waiting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.add("one", DOMAIN, ttl=1000)
    waiting.publish("one")

    def interrupted(seconds: float, really: Callable[[float], None] = time.sleep) -> None:
        if seconds > 60:
            raise KeyboardInterrupt
        really(seconds)

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", interrupted)
        done = waiting(*TO_NEW)
    assert done.status == 130
    assert "Run the same command again" in done.error
    assert sorted(waiting.values(DOMAIN)) == [waiting.new, waiting.old]
    assert account(waiting) == "old"

    # Half an hour later.
    state = waiting.home.config_dir / "dns-persist" / "state.sqlite"
    with contextlib.closing(sqlite3.connect(state)) as notes, notes:
        notes.execute("UPDATE records SET last_changed = '2026-01-01T00:00:00Z'")
    done = waiting(*TO_NEW)
    assert done.status == 0, done.error
    assert TOGETHER not in done.out
    assert waiting.values(DOMAIN) == [waiting.new]
    assert account(waiting) == "new"


@pytest.mark.long  # waits for servers and caches
def test_a_server_that_still_has_the_old_record_is_named(
    certbot: Certbot,
    companion: Companion,
    bind: Bind,
    domain: str,
    bind_writing: list[str],
    request: pytest.FixtureRequest,
) -> None:
    """End to end, as a real secondary has to lag."""
    done = certbot.certonly(*bind_writing, "--dns-persist-ttl=8", "-d", domain)
    assert done.returncode == 0, done.output
    name = validation_domain_name(domain)
    (old,) = bind.primary.values(name)
    account, url = request.getfixturevalue("other_account")
    new = f"{ISSUER}; accounturi={url}"
    arguments = ["--all", "--account", account, "--yes"]
    with subprocess.Popen(
        companion.command("rotate", *arguments, "--dns-persist-propagation-seconds=5"),
        env=certbot.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as rotating:
        assert rotating.stdout
        shown = ""
        while TOGETHER not in shown:
            line = rotating.stdout.readline()
            assert line, shown
            shown += line
        bind.hold_back()
        try:
            rest, _ = rotating.communicate(timeout=90)
        finally:
            bind.catch_up()
    assert rotating.returncode == 1, shown + rest
    assert f'{name} TXT "{old}" is removed, and still served by ' in rest
    assert "Replaced" not in rest
    wait_until(lambda: bind.secondary.values(name) == [new], "the secondary to catch up")


@pytest.mark.long  # as long as a cache keeps a record
def test_a_renewal_right_after_a_rotation_succeeds_though_the_ca_has_a_cache(
    tmp_path: Path, pebble_is_built: None
) -> None:
    """End to end, with BIND and its cache: what the CA has cached refuses the new account."""
    with (
        Bind(tmp_path / "bind", {DOMAIN: ""}, max_cache_seconds=60) as bind,
        Pebble(tmp_path / "pebble", f"{bind.resolver.address}:53") as pebble,
    ):
        certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)
        elsewhere = Certbot(tmp_path / "elsewhere", pebble.directory_url, pebble.ca_bundle)
        elsewhere.register()
        credentials = bind.key.write_credentials(tmp_path / "bind.ini", bind.primary.address, 53)
        writing = [
            f"--dns-persist-resolvers={bind.resolver.address}",
            "--dns-persist-provider=rfc2136",
            f"--dns-persist-credentials={credentials}",
            "--dns-persist-ttl=20",
        ]
        done = certbot.certonly(*writing, "-d", DOMAIN)
        assert done.returncode == 0, done.output
        (there,) = elsewhere.config_dir.glob("accounts/*/*/*")
        here = certbot.config_dir / there.relative_to(elsewhere.config_dir)
        there.rename(here)
        renewed = certbot.renew("--force-renewal")  # and the CA's resolver has the record
        assert renewed.returncode == 0, renewed.output
        ok(Companion(certbot)("rotate", "--all", "--account", here.name, "--yes"))
        renewed = certbot.renew("--force-renewal")
        assert renewed.returncode == 0, renewed.output
