"""Many records published together through BIND: what is told, noted and served of each.

At the publisher instead of with ``certbot``, which would take seconds for a hundred names.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Iterator
from multiprocessing.connection import wait
from pathlib import Path

import pytest
from support import bind as bind_support
from support.bind import Bind
from support.impostor import Impostor, is_update, passed_on
from support.need import need

from certbot_dns_persist.change import interrupted
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import Options

VALUE = "ca.example; accounturi=https://ca.example/acct/1"
FOREIGN = "other.example; accounturi=https://other.example/9"
FORBIDDEN = "_validation-persist.forbidden.example.test"


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """BIND, whose key may change all but one name, and whose secondary forwards updates."""
    need(not bind_support.missing(), str(bind_support.missing()))
    policy = f'deny "test-key" name {FORBIDDEN}. ANY; grant "test-key" zonesub ANY;'
    directory = tmp_path_factory.mktemp("bind")
    with Bind(
        directory, {"example.test": ""}, policies={"example.test": policy}, forwarding=True
    ) as running:
        yield running


class Place:
    """Where a run works; a process of its own can be made from it."""

    def __init__(self, resolver: str, directory: Path) -> None:
        self.resolver, self.directory = resolver, directory
        self.credentials = directory / "dns.ini"

    @property
    def journal(self) -> Journal:
        return Journal(str(self.directory / "logs"), str(self.directory / "etc"))

    def publisher(self) -> Publisher:
        options = Options(providers=("rfc2136",), credentials=str(self.credentials))
        return Publisher(options, self.lookup(), self.journal, print)

    def lookup(self) -> Lookup:
        return Lookup([Address(self.resolver)])

    def add(self, names: Collection[str]) -> list[ProviderError | None]:
        url = "https://ca.example/dir", "https://ca.example/acct/1"
        records = [TxtRecord(name, VALUE, 300, name, *url, zone="example.test") for name in names]
        return self.publisher().add_all([(record, "missing") for record in records])

    def doubts(self) -> dict[str, str | None]:
        """Return the names of the records that are noted, with the doubt about each."""
        return {record.name: record.doubt for record in self.journal.published()}


@pytest.fixture
def place(bind: Bind, tmp_path: Path) -> Place:
    return Place(bind.resolver.address, tmp_path)


def answering(bind: Bind, place: Place, first: Callable[[int], object]) -> Impostor:
    """Let ``place`` write to BIND through a server that calls ``first`` with each update's number.

    When that has returned, BIND gets the update.
    """
    number = 0

    def answer(request: bytes) -> bytes:
        nonlocal number
        if is_update(request):
            number += 1
            first(number)
        return passed_on(request, bind.primary)

    server = Impostor(answer)
    bind.key.write_credentials(place.credentials, "127.0.0.1", server.port)
    return server


def test_of_a_hundred_names_the_key_may_write_99_and_others_write_meanwhile(
    bind: Bind, place: Place, domain: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"_validation-persist.a{number}.{domain}" for number in range(99)]
    theirs = names[7], names[93]

    def interfere(number: int) -> None:
        if number == 1:
            for name in theirs:
                bind.add_txt(name, FOREIGN)

    with answering(bind, place, interfere):
        outcomes = place.add([*names[:50], FORBIDDEN, *names[50:]])

    (why,) = [why for why in outcomes if why is not None]
    assert outcomes.index(why) == 50
    assert f"Cannot change the TXT records at {FORBIDDEN} in the zone example.test" in str(why)
    assert "answered REFUSED" in str(why)
    bind.settle()
    for name in names:
        assert bind.primary.values(name) == ([VALUE, FOREIGN] if name in theirs else [VALUE])
    assert bind.primary.values(FORBIDDEN) == []
    doubts = place.doubts()
    assert str(why) in str(doubts.pop(FORBIDDEN))
    assert doubts == dict.fromkeys(names)
    assert caplog.messages == []


def add_until_it_ends(place: Place, names: list[str]) -> None:
    # Where the tests run in the background, their shell may have set it to be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    place.add(names)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_a_run_that_ends_between_two_updates_has_noted_is_true_of_each_name(
    bind: Bind, place: Place, domain: str, number: signal.Signals
) -> None:
    """In a process, so that it can be ended as by anybody else."""
    names = [f"_validation-persist.b{number}.{domain}" for number in range(5)]
    wanted = [*names, FORBIDDEN]
    context = multiprocessing.get_context("spawn")
    run = context.Process(target=add_until_it_ends, args=(place, wanted))

    def end(update: int) -> None:
        # The first one is refused as a whole, and sent as two halves.
        if update == 3:
            os.kill(run.pid or 0, number)
            wait([run.sentinel], 20)  # not join, as the test itself does

    with answering(bind, place, end):
        run.start()
        run.join(60)
        assert run.exitcode in (1, -number)
        bind.settle()
        made = [name for name in wanted if bind.primary.values(name)]
        assert made == names[:3]
        assert [*place.doubts()] == wanted
        assert all("unknown" in str(doubt) for doubt in place.doubts().values())

        # The next run finds out.
        publisher = place.publisher()
        interrupted.conclude(publisher, place.lookup().find(wanted).values())
        assert place.doubts() == dict.fromkeys(made)
        assert place.add(names) == [None] * 5
    bind.settle()
    assert [bind.primary.values(name) for name in names] == [[VALUE]] * 5
    assert place.doubts() == dict.fromkeys(names)


def test_a_secondary_that_forwards_updates_and_lags_takes_many_names(
    bind: Bind, place: Place, domain: str
) -> None:
    names = [f"_validation-persist.c{number}.{domain}" for number in range(20)]
    bind.key.write_credentials(place.credentials, bind.secondary.address, 53)
    bind.hold_back()
    try:
        bind.add_txt(names[3], FOREIGN)
        assert bind.secondary.values(names[3]) == []
        *outcomes, refused = place.add([*names, FORBIDDEN])
        assert outcomes == [None] * 20
        assert "answered REFUSED" in str(refused)
        assert bind.primary.values(names[3]) == [VALUE, FOREIGN]
        assert [bind.primary.values(n) for n in names if n != names[3]] == [[VALUE]] * 19
        assert bind.secondary.values(names[0]) == []
        assert place.publisher().stands(names[0], VALUE) is None  # the secondary cannot know
    finally:
        bind.catch_up()
    assert place.publisher().stands(names[0], VALUE) is True


def test_what_an_update_without_an_answer_did_is_noted_as_unknown(
    bind: Bind, place: Place, domain: str
) -> None:
    names = [f"_validation-persist.d{number}.{domain}" for number in range(3)]

    def answer(request: bytes) -> bytes | None:
        reply = passed_on(request, bind.primary)
        return None if is_update(request) else reply

    with Impostor(answer) as server:
        bind.key.write_credentials(place.credentials, "127.0.0.1", server.port)
        outcomes = place.add(names)

    assert len(set(outcomes)) == 1
    assert f"Cannot change the TXT records at {', '.join(names)} in" in str(outcomes[0])
    assert [bind.primary.values(name) for name in names] == [[VALUE]] * 3
    assert all(not each.refused for each in place.journal.interrupted(names))
    assert [*place.doubts()] == names
    interrupted.conclude(place.publisher(), place.lookup().find(names).values())
    assert place.doubts() == dict.fromkeys(names)
