"""The deploy hook that queues a push, and what the timer runs."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.companion import PROGRAM
from support.members import add_host, places
from support.postgres import Fleet, Postgres, stopped
from support.process import free_port

EXAMPLES = ROOT / "examples" / "inventory"


@contextlib.contextmanager
def away(fleet: Fleet) -> Iterator[str]:
    yield f"postgresql://x@127.0.0.1:{free_port()}/x"


@contextlib.contextmanager
def full(fleet: Fleet) -> Iterator[str]:
    limit = f"ALTER DATABASE {fleet.database} CONNECTION LIMIT {{}}"
    fleet.server.execute(limit.format(0))
    try:
        yield fleet.url("web1")
    finally:
        fleet.server.execute(limit.format(-1))


@contextlib.contextmanager
def silent(fleet: Fleet) -> Iterator[str]:
    with stopped(fleet.server):
        yield fleet.url("web1")


@pytest.mark.long  # it starts programs, and waits until they give up
@pytest.mark.parametrize("broken", [away, full, silent])
def test_the_hook_returns_at_once_whatever_the_database_does_and_the_push_comes_later(
    broken: "Callable[[Fleet], contextlib.AbstractContextManager[str]]",
    postgres: Postgres,
    tmp_path: Path,
) -> None:
    fleet = Fleet(postgres, ["web1"])
    queue = tmp_path / "queue"
    web1 = add_host(tmp_path, "web1", "a.example")
    env = {
        **os.environ,
        "DNS_PERSIST_QUEUE": str(queue),
        "DNS_PERSIST_PROGRAM": PROGRAM,
    }

    def push(url: str, patience: int = 60) -> "subprocess.CompletedProcess[str]":
        env["PGCONNECT_TIMEOUT"] = str(patience)
        command = [str(EXAMPLES / "push-if-due"), url, *places(web1)]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=200, check=False
        )

    with broken(fleet) as url:
        took = []
        for _ in range(3):  # the machine may be busy
            began = time.monotonic()
            subprocess.run([str(EXAMPLES / "queue-push")], env=env, check=True)
            took.append(time.monotonic() - began)
        assert min(took) < 1
        failed = push(url, patience=2)
        assert failed.returncode == 1
        assert "The inventory cannot be reached: " in failed.stderr
    assert fleet.ask("SELECT * FROM dns_persist.host") == []

    done = push(fleet.url("web1"))
    assert done.returncode == 0, done.stderr
    assert fleet.ask("SELECT domain FROM dns_persist.record") == [("a.example",)]
    again = push(fleet.url("web1"))
    assert (again.returncode, again.stdout) == (0, "")
    os.utime(queue / "pushed", (1, 1))
    assert "The inventory has 1 account" in push(fleet.url("web1")).stdout
