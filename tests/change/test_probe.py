"""Writers that we do not know are tried out before they touch a name with values of others."""

import json
import multiprocessing
import os
import shlex
import signal
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.nameserver import Nameserver, Zones

from certbot_dns_persist.change import probe
from certbot_dns_persist.change.interrupted import clear_up
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.found import Found, Neighbourhood
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.providers.script import Script
from certbot_dns_persist.record import validation_domain_name

DOMAIN = "www.example.test"
NAME = validation_domain_name(DOMAIN)
OURS = "ca.example; accounturi=https://ca.example/acct/1"
FOREIGN = "other.example; accounturi=https://other.example/acct/9"
RECORD = TxtRecord(NAME, OURS, 300, DOMAIN, "https://ca.example/dir", "https://ca.example/acct/1")

PROGRAM = """\
import json, os, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as service:
    ours = {key: value for key, value in os.environ.items() if key.startswith("DNS_PERSIST_")}
    service.sendall(json.dumps(ours).encode() + b"\\n")
    service.makefile().read()
"""


class Service:
    """What the program talks to; it publishes in ``zones``, in a way that tests choose."""

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.adds: Callable[[list[str], str], list[str]] = lambda values, new: [*values, new]
        self.removes: Callable[[list[str], str], list[str]] = lambda values, old: [
            value for value in values if value != old
        ]
        self.place: Callable[[str], str] = lambda name: name
        self.order: dict[str, list[str]] = {}
        self.calls: list[tuple[str, str]] = []

    def do(self, told: dict[str, str]) -> None:
        action, name = told["DNS_PERSIST_ACTION"], self.place(told["DNS_PERSIST_NAME"])
        self.calls.append((action, told["DNS_PERSIST_NAME"]))
        change = self.adds if action == "publish" else self.removes
        before = self.order.get(name, self.zones.values(name))
        self.order[name] = change(before, told["DNS_PERSIST_VALUE"])
        self.zones.set_values(name, self.order[name])


class Quick(Lookup):
    """A look-up that knows that no wildcard is around: whom we would ask is not at port 53."""

    def neighbourhoods(self, found: Iterable[Found]) -> dict[str, Neighbourhood]:
        return {each.name: Neighbourhood(each.name, each.canonical_name) for each in found}


class Place:
    """Where a run works; a process of its own can be made from it."""

    def __init__(self, address: str, port: int, command: str, directory: str) -> None:
        self.address, self.port, self.directory = address, port, directory
        self.options = Options(providers=("script",), script=command, propagation_seconds=1)

    @property
    def journal(self) -> Journal:
        return Journal(self.directory, self.directory)

    def publisher(self, told: Callable[[str], Any] = print) -> Publisher:
        lookup = Quick([Address(self.address, self.port)], authoritative=False)
        return Publisher(self.options, lookup, self.journal, told)


@pytest.fixture
def service(nameserver: Nameserver) -> Service:
    nameserver.zones.set_values(NAME, [FOREIGN])
    return Service(nameserver.zones)


@pytest.fixture
def place(service: Service, nameserver: Nameserver, tmp_path: Path) -> Iterator[Place]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            service.do(json.loads(self.rfile.readline()))

    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        port = str(server.server_address[1])
        command = shlex.join([sys.executable, "-I", "-S", str(program), port])
        yield Place(nameserver.address, nameserver.port, command, str(tmp_path / "etc"))
        server.shutdown()


def trials(nameserver: Nameserver) -> list[str]:
    """Return the names of trials that hold anything."""
    return [
        str(name)
        for zone in nameserver.zones.zones.values()
        for name in zone.nodes
        if str(name).startswith(probe.LABEL)
    ]


def test_who_leaves_others_alone_is_tried_out_once_and_used(
    place: Place, service: Service, nameserver: Nameserver
) -> None:
    told: list[str] = []
    place.publisher(told.append).add(RECORD, "test")
    assert sorted(nameserver.values(NAME)) == sorted([OURS, FOREIGN])
    (beside,) = {name for _, name in service.calls} - {NAME}
    assert beside.startswith(probe.LABEL)
    assert beside.endswith(".www.example.test")
    assert f"{NAME} has values of others" in told[0]
    assert beside in told[0]
    assert trials(nameserver) == []
    assert place.journal.names_starting(probe.LABEL) == []

    service.calls.clear()
    place.publisher().remove(RECORD, "test")
    assert service.calls == [("remove", NAME)]
    assert nameserver.values(NAME) == [FOREIGN]


def test_a_program_that_has_changed_is_tried_out_again(place: Place, service: Service) -> None:
    place.publisher().add(RECORD, "test")
    service.calls.clear()
    program = Path(shlex.split(str(place.options.script))[3])
    program.write_text(f"{PROGRAM}# changed\n")
    place.publisher().remove(RECORD, "test")
    assert len({name for _, name in service.calls}) == 2


def test_at_a_name_without_others_nobody_is_tried_out(place: Place, service: Service) -> None:
    service.zones.set_values(NAME, [])
    place.publisher().add(RECORD, "test")
    assert service.calls == [("publish", NAME)]


def test_who_is_vouched_for_is_not_tried_out(
    place: Place, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "dns.ini"
    file.touch(0o600)
    file.write_text("dns_persist_script_keeps_others = true\n")
    place.options = Options(
        providers=("script",), script=place.options.script, credentials=str(file)
    )
    place.publisher().add(RECORD, "test")
    assert service.calls == [("publish", NAME)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("one value only", 'but there was "dns-persist-trial'),
        ("removes all", "but there was nothing"),
        ("removes the first", "Told to remove"),
        ("removes the last", "Told to remove"),
        ("removes all if it finds none", "but there was nothing"),
        ("mangles", "did not write"),
        ("wrong name", "wrote _acme-challenge.example.test"),
        ("does nothing", "there was nothing"),
        ("never removes", "at a name that nobody uses"),
    ],
)
def test_who_would_not_leave_others_alone_is_refused_with_what_was_seen(
    place: Place, service: Service, nameserver: Nameserver, fault: str, words: str
) -> None:
    match fault:
        case "one value only":
            service.adds = lambda values, new: [new]
        case "removes all":
            service.removes = lambda values, old: []
        case "removes the first":
            service.removes = lambda values, old: values[1:]
        case "removes the last":
            service.removes = lambda values, old: values[:-1]
        case "removes all if it finds none":
            service.removes = lambda values, old: [
                value for value in values if value != old and old in values
            ]
        case "mangles":
            service.adds = lambda values, new: [*values, new.partition(" ")[0]]
        case "wrong name":
            service.place = lambda name: "_acme-challenge.example.test"
        case "does nothing":
            service.adds = lambda values, new: values
        case "never removes":
            service.removes = lambda values, old: values
    publisher = place.publisher()
    with pytest.raises(ProviderError) as caught:
        publisher.add(RECORD, "test")
    assert f"Nothing was changed at {NAME}" in str(caught.value)
    assert words in str(caught.value)
    assert nameserver.values(NAME) == [FOREIGN]
    assert NAME not in {name for _, name in service.calls}
    if fault != "never removes":
        assert trials(nameserver) == []
    else:
        (left,) = trials(nameserver)
        assert left.rstrip(".") in str(caught.value)
        assert "remove the TXT record" in str(caught.value)

    service.calls.clear()
    with pytest.raises(ProviderError):
        publisher.add(RECORD, "test")
    assert service.calls == []  # once a run is enough


def _killed_in_a_trial(place: Place, changes: int) -> None:
    left = [changes]
    write = Script._write

    def dying(self: Script, *arguments: Any) -> None:
        write(self, *arguments)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(Script, "_write", dying)  # noqa: B010 - for the type checker, it is not that method
    place.publisher().add(RECORD, "test")


@pytest.mark.parametrize("changes", [1, 3, 4])
def test_what_a_killed_trial_left_the_next_run_removes(
    place: Place, service: Service, nameserver: Nameserver, changes: int
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_in_a_trial, args=(place, changes)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(trials(nameserver)) == 1

    clear_up(place.publisher(), [], {})

    assert trials(nameserver) == []
    assert place.journal.names_starting(probe.LABEL) == []
    assert nameserver.values(NAME) == [FOREIGN]


def test_what_could_not_be_removed_is_named_even_if_dns_does_not_answer_any_more() -> None:
    there: list[str] = []
    answers = [True]

    def remove(value: str) -> ProviderError:
        answers[0] = False
        return ProviderError("The service is down.")

    wrong = probe.try_out(
        "trial.example.test", there.append, remove, lambda: there if answers[0] else None, 0
    )
    assert wrong is not None
    assert wrong.startswith("The service is down.")
    assert len(there) == 3
    assert all(f'"{value}"' in wrong for value in there)
