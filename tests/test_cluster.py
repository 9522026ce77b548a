"""``examples/fleet``: a scheduler and two workers on loopback find what one process does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import bind as bind_support
from support.bind import Bind
from support.bootstrap import ROOT
from support.need import need
from support.plugin_environment import installed
from support.process import Process, free_port, wait_until

from certbot_dns_persist import check
from certbot_dns_persist.record import validation_domain_name

FLEET = ROOT / "examples" / "fleet"
ISSUER, URI = "ca.test", "https://ca.test/acct/1"
VALUE = f"{ISSUER}; accounturi={URI}"
PACKAGES = [
    *("distributed==2026.8.0", "dask==2026.8.0", "pyarrow==26.0.1", "duckdb==2.0.1"),
    *("click==8.5.1", "cloudpickle==3.1.3", "fsspec==2026.9.0", "importlib_metadata==10.2.0"),
    *("Jinja2==3.1.6", "lazy-importer==0.1.0", "locket==1.0.0", "MarkupSafe==3.0.4"),
    *("msgpack==1.2.4", "packaging==26.4", "partd==1.4.2", "psutil==7.2.2", "PyYAML==6.0.4"),
    *("sortedcontainers==2.4.0", "tblib==3.2.2", "toolz==1.2.0", "tornado==6.6.1"),
    *("zict==3.0.0", "zipp==4.1.2"),
]
"""What pip chose for the first four; 300 MB, so they are not in the environment of all tests."""

ZONES = [f"zone{number}.test" for number in range(4)]
NAMES_OF_ZONE = 60

pytestmark = pytest.mark.long  # installs packages, and waits for questions to come slowly


def records(zone: str) -> str:
    lines = []
    for number in range(NAMES_OF_ZONE):
        value = {0: f"{VALUE}; persistUntil=1600000000", 1: VALUE.replace("/1", "/2")}.get(
            number % 10, VALUE
        )
        if number % 10 != 2:
            name = validation_domain_name(f"n{number}.{zone}")
            lines.append(f'{name}. 60 TXT "{value}"')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    need(not bind_support.missing(), str(bind_support.missing()))
    zones = {zone: records(zone) for zone in ZONES}
    with Bind(tmp_path_factory.mktemp("bind"), zones) as running:
        yield running


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    paths = [installed(PACKAGES), ROOT]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


READ = """
import sys, pyarrow.parquet
for row in pyarrow.parquet.read_table(sys.argv[1] + "/results").to_pylist():
    print(row["domain"], row["wildcard"], row["status"], row["severity"])
"""

ASK = """
import sys, os, pathlib, duckdb
queries = pathlib.Path(sys.argv[1]).read_text()
os.chdir(sys.argv[2])
database = duckdb.connect()
for query in duckdb.extract_statements(queries):
    print(database.execute(query).fetchall())
"""


def python(code: str, environment: dict[str, str], *arguments: Path) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cluster_finds_what_one_process_does_and_loses_nothing_with_a_worker(
    served: Bind, environment: dict[str, str], tmp_path: Path
) -> None:
    names = [f"n{number}.{zone}" for zone in ZONES for number in range(NAMES_OF_ZONE)]
    names += [f"*.n5.{zone}" for zone in ZONES]
    file, results = tmp_path / "names", tmp_path / "results"
    file.write_text("".join(f"{name}\n" for name in names))
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"

    def start(log: str, *command: str | Path) -> Process:
        line = [sys.executable, *command]
        return Process(line, log=tmp_path / log, env=environment, cwd=tmp_path)

    scheduler = ("-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={port}")
    running = [start("scheduler", *scheduler, "--no-dashboard", "--no-jupyter")]
    try:
        worker = ("-m", "distributed.cli.dask_worker", address, "--host=127.0.0.1", "--nthreads=1")
        running += [start(f"worker{n}", *worker, "--no-nanny", "--no-dashboard") for n in (0, 1)]
        program = start(
            "program",
            *(FLEET / "check_names.py", f"--scheduler={address}", f"--issuer={ISSUER}"),
            *(f"--account-uri={URI}", f"--resolver={served.resolver.address}:53"),
            *("--names-per-partition=20", "--queries-per-second=60", str(file), str(results)),
        )
        running.append(program)
        # In the middle of the work.
        wait_until(lambda: program.ended or any(results.glob("*.parquet")), "it writes", 120)
        assert not program.ended, (tmp_path / "program").read_text()
        os.kill(running[1].pid, signal.SIGKILL)
        wait_until(lambda: program.ended, "the program ends", 180)
    finally:
        for process in reversed(running):
            process.stop()
    told = (tmp_path / "program").read_text()
    rows = python(READ, environment, tmp_path)
    resolvers = [(served.resolver.address, 53)]
    alone = check(names, issuer_domain_names=[ISSUER], account_uri=URI, resolvers=resolvers)
    expected = [f"{r.domain} {r.wildcard} {r.status} {r.severity}" for r in alone]
    assert sorted(rows.splitlines()) == sorted(expected), told
    assert {line.split()[2] for line in expected} == {"ok", "expired", "missing", "mismatch"}
    assert "n9.zone3.test" not in python(ASK, environment, FLEET / "queries.sql", tmp_path)


def test_a_server_in_several_partitions_gets_its_share_in_each(
    environment: dict[str, str],
) -> None:
    shares = python(
        f"""
import sys; sys.path.insert(0, {str(FLEET)!r})
from check_names import parted
one, two = frozenset(["a", "b"]), frozenset(["b", "c"])
servers = {{"1.test": one, "*.1.test": one, "2.test": one, "3.test": two, "4.test": frozenset()}}
for partition in parted(servers, 1, 12):
    print(*partition.names, partition.queries_per_second)
""",
        environment,
    )
    assert sorted(shares.splitlines()) == [
        "*.1.test 1.test 4.0",  # b is in three
        "2.test 4.0",
        "3.test 4.0",
        "4.test 3.0",  # nobody knows which servers: as if it were in all
    ]
