"""Random operations in several processes that are killed at random moments, beside others' changes.

``RANDOM_SEED`` and ``RANDOM_SECONDS`` are for trials of hours: ``nox -s trial``.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import KEY
from support.aws import Aws
from support.bind import Bind
from support.cloudflare_api import CloudflareApi
from support.nameserver import Nameserver, Zones
from support.operations import ACCOUNT, CA, STAGING, Place, request, work
from support.process import wait_until
from support.zones import zone_text

from certbot_dns_persist.errors import Error
from certbot_dns_persist.journal.notes import NOT_MADE
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import validation_domain_name

SEED = int(os.environ.get("RANDOM_SEED", "1"))
SECONDS = float(os.environ.get("RANDOM_SECONDS", "15"))
"""For each service."""
PROCESSES, OPERATIONS = 3, 12
ZONE = "example.test"
NEEDED = tuple(f"needed{number}.{ZONE}" for number in range(2))
OTHERS = tuple(f"other{number}.{ZONE}" for number in range(2))
DOMAINS = (*NEEDED, *OTHERS)
ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Service:
    """A DNS service, and how others see and change what it has."""

    place: Place
    values: Callable[[str], list[str]]
    add: Callable[[str, str], object]
    """Adds a value at a name, as others do."""
    tells: bool = True
    """Whether the provider can say what its service has."""
    changing: Callable[[], bool] = lambda: False
    """Whether something that a killed run has started still changes records."""


def credentials(tmp_path: Path, **keys: str) -> str:
    path = tmp_path / "credentials.ini"
    path.touch(0o600)
    path.write_text("".join(f"dns_persist_{key} = {value}\n" for key, value in keys.items()))
    return str(path)


def place(
    tmp_path: Path, provider: str, address: str, port: int, path: str | None, **variables: str
) -> Place:
    options = Options(providers=(provider,), credentials=path, propagation_seconds=5)
    directory = str(_quick(tmp_path) / "etc")
    return Place(address, port, directory, options, variables, NEEDED, OTHERS)


def _quick(tmp_path: Path) -> Path:
    """Return a directory in memory, where there is one: there, a note need not wait for a disk."""
    memory = Path("/dev/shm")  # noqa: S108
    return Path(tempfile.mkdtemp(dir=memory)) if memory.is_dir() else tmp_path


def _rfc2136(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Service:
    bind: Bind = request.getfixturevalue("bind")
    path = str(request.getfixturevalue("bind_credentials"))
    server = bind.primary
    return Service(
        place(tmp_path, "rfc2136", server.address, 53, path), server.values, bind.add_txt
    )


def _cloudflare(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Service:
    zones = Zones.from_text(zone_text(ZONE, {"ns1": ["127.0.0.1"]}))
    server = stack.enter_context(Nameserver(zones))
    api = stack.enter_context(CloudflareApi(ZONE, mirror=zones))
    path = credentials(tmp_path, cloudflare_api_token=api.token(ZONE))
    variables = {"CLOUDFLARE_BASE_URL": api.url, "no_proxy": "127.0.0.1,localhost"}
    return Service(
        place(tmp_path, "cloudflare", server.address, server.port, path, **variables),
        server.values,
        lambda name, value: api.add(name, f'"{value}"'),
    )


def _route53(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Service:
    zones = Zones.from_text(zone_text(ZONE, {"ns1": ["127.0.0.1"]}))
    server = stack.enter_context(Nameserver(zones))
    aws = stack.enter_context(Aws(zones))
    zone = aws.add_zone(ZONE)
    for domain in DOMAINS:  # sets cannot be added to by others in one step
        aws.create(zone, validation_domain_name(domain), '"v=spf1 -all"')
    return Service(
        place(tmp_path, "route53", server.address, server.port, None, **aws.variables),
        server.values,
        lambda name, value: None,
    )


def _script(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Service:
    zones = Zones.from_text(zone_text(ZONE, {"ns1": ["127.0.0.1"]}))
    server = stack.enter_context(Nameserver(zones, keys=[KEY]))
    key = tmp_path / "key"
    key.write_text("\n".join([server.address, str(server.port), KEY.name, KEY.secret]))
    command = shlex.join(
        [sys.executable, str(ROOT / "tests" / "support" / "update_txt.py"), str(key)]
    )
    path = credentials(tmp_path, script_command=command)

    def add(name: str, value: str) -> None:
        zones.set_values(name, [*server.values(name), value])

    variables = {"PYTHONPATH": str(ROOT / "tests")}
    made = place(tmp_path, "script", server.address, server.port, path, **variables)
    # Another writer's change is not atomic here, so there is none.
    for domain in DOMAINS:
        add(validation_domain_name(domain), "v=spf1 -all")
    return Service(
        made,
        server.values,
        lambda name, value: None,
        tells=False,
        changing=lambda: _is_an_argument(str(key)),
    )


def _is_an_argument(word: str) -> bool:
    """Whether a process was started with this argument."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


SERVICES = {
    "rfc2136": _rfc2136,
    "cloudflare": _cloudflare,
    "route53": _route53,
    "script": _script,
}


@pytest.fixture(params=SERVICES)
def service(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    for variable in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr("certbot_dns_persist.providers.route53._POLL", 0.01)
    with ExitStack() as stack:
        made = SERVICES[request.param](request, tmp_path, stack)
        for variable, value in made.place.environment.items():
            monkeypatch.setenv(variable, value)
        yield made
    shutil.rmtree(Path(made.place.directory).parent, ignore_errors=True)


class Others:
    """Somebody else who adds values at our names; all that was added has to stay."""

    def __init__(self, service: Service, chance: random.Random) -> None:
        self._service = service
        self._chance = chance
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.added: list[tuple[str, str]] = [
            (validation_domain_name(domain), value)
            for domain in DOMAINS
            for value in service.values(validation_domain_name(domain))
        ]

    def __enter__(self) -> "Others":
        self._stopped.clear()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._stopped.wait(self._chance.uniform(0.1, 0.5)) and len(self.added) < 40:
            name = validation_domain_name(self._chance.choice(DOMAINS))
            value = f"other.example; accounturi=https://other.example/{len(self.added)}"
            if self._service.add(name, value) is not None or value in self._service.values(name):
                self.added.append((name, value))


@pytest.mark.long
def test_nothing_of_others_is_lost_and_the_notes_agree_with_dns(service: Service) -> None:
    """A run of each kind, several at once, killed or not; then the next one looks."""
    chance = random.Random(SEED)  # noqa: S311
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.operations"])
    others = Others(service, chance)
    end = time.monotonic() + SECONDS
    rounds = operations = 0
    while time.monotonic() < end:
        rounds += 1
        sure: list[str | None] = []
        with others:
            runs = []
            for _ in range(PROCESSES):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=work, args=(service.place, chance.getrandbits(32), OPERATIONS, theirs)
                )
                process.start()
                theirs.close()
                runs.append((process, ours))
            for process, _ in runs:
                if chance.random() < 0.7 and process.pid is not None:
                    process.join(chance.uniform(0, 1.5))
                    if process.exitcode is None:
                        kind = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
                        os.kill(process.pid, kind)
            for process, pipe in runs:
                process.join(60)
                assert process.exitcode in (0, -signal.SIGKILL, -signal.SIGTERM)
                with contextlib.suppress(EOFError):
                    while True:
                        sure.append(pipe.recv())
        operations += len(sure)
        wait_until(lambda: not service.changing(), "nothing changes any more")
        look(service, others, {domain for domain in sure if domain in NEEDED}, rounds)
    print(f"seed {SEED}: {rounds} rounds, {operations} operations finished")
    assert operations


def look(service: Service, others: Others, sure: "set[str]", number: int) -> None:
    """Compare the service with the notes, before and after the next run has looked."""
    place, told = service.place, f"seed {SEED}, round {number}"
    names = [validation_domain_name(domain) for domain in DOMAINS]
    for name, value in others.added:
        assert value in service.values(name), f"{told}: a foreign value is lost at {name}"
    for domain in sure:
        values = service.values(validation_domain_name(domain))
        assert any(ACCOUNT in value for value in values), f"{told}: {domain} has no record"
    noted = {(record.name, record.value) for record in place.journal.published()}
    for name in names:
        for value in mine(service, name):
            assert (name, value) in noted, f"{told}: nobody knows of {value} at {name}"

    ensure = place.ensure()
    with contextlib.suppress(Error):
        ensure.clear_up(ensure.look([request(domain) for domain in DOMAINS]))

    standing = {(name, value) for name in names for value in mine(service, name)}
    assert not [value for _, value in standing if STAGING in value], f"{told}: a dry run is left"
    noted_for_sure = {(r.name, r.value) for r in place.journal.published() if r.doubt is None}
    doubtful = {(r.name, r.value) for r in place.journal.published() if r.doubt is not None}
    late = set() if service.tells else removed_late(place)
    if service.tells:
        assert doubtful == set(), told
        assert noted_for_sure == standing, told
    else:
        assert noted_for_sure - late <= standing, f"{told}: noted, and not there"
        assert standing <= noted_for_sure | doubtful, f"{told}: there, and not noted"
    logged = {(entry.name, entry.value) for entry in place.journal.logged()}
    assert standing <= logged, f"{told}: there, and not in the log"
    assert logged - late <= standing | doubtful, f"{told}: in the log, and not there"


def removed_late(place: Place) -> set[tuple[str, str]]:
    """Return what the program of a killed run may have removed after others saw it stand."""
    lines = map(json.loads, place.journal.log_file.read_text().splitlines())
    return {
        (line["name"], line["value"])
        for line in lines
        if (line["action"], line["result"]) == ("remove", NOT_MADE)
    }


def mine(service: Service, name: str) -> list[str]:
    return [value for value in service.values(name) if value.startswith(f"{CA};")]
