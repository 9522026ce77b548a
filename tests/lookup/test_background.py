"""The thread that coroutines run in: order, bounds, and what ends it."""

import asyncio
import contextlib
import gc
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from support.nameserver import Nameserver, Zones
from support.zones import zone_text

from certbot_dns_persist.lookup import background
from certbot_dns_persist.lookup.background import in_order
from certbot_dns_persist.lookup.session import Address, Lookup

Work = Callable[[int], Coroutine[Any, Any, int]]


def session(work: Work) -> Callable[[], AbstractContextManager[Work]]:
    return lambda: contextlib.nullcontext(work)


async def double(number: int) -> int:
    return 2 * number


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    threads = set(threading.enumerate())
    yield
    assert not [each for each in threading.enumerate() if each not in threads]
    assert not [
        each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()
    ]


def test_results_are_in_the_order_of_the_items() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep((20 - number) / 1000)
        return number

    assert list(in_order(range(20), session(work))) == list(range(20))


def test_there_may_be_nothing_to_do() -> None:
    assert list(in_order([], session(double))) == []


@pytest.mark.parametrize("count", [499, 500, 501, 1000])
def test_every_item_is_worked_on_once(count: int) -> None:
    assert list(in_order(range(count), session(double))) == [2 * n for n in range(count)]


def test_items_are_drawn_by_the_caller_as_there_is_room() -> None:
    drawn, drawers = 0, set()
    under_way = most = 0
    go_on: list[asyncio.Event] = []

    async def work(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if number == 0:
            go_on.append(asyncio.Event())
            await go_on[0].wait()
        await asyncio.sleep(0.001)
        under_way -= 1
        if number == background.MAX_WAITING - 100:
            go_on[0].set()
        return number

    def items() -> Iterator[int]:
        nonlocal drawn
        for drawn in itertools.count():
            drawers.add(threading.current_thread())
            yield drawn

    results = in_order(items(), session(work))
    assert next(results) == 0
    assert drawn < background.MAX_WAITING
    assert most <= background.MAX_UNDER_WAY
    assert drawers == {threading.current_thread()}
    results.close()  # type: ignore[attr-defined]


class Broken(Exception):
    pass


def test_what_a_coroutine_raises_reaches_the_caller_at_its_place() -> None:
    async def work(number: int) -> int:
        if number == 3:
            raise Broken
        return number

    results = in_order(range(10), session(work))
    assert list(itertools.islice(results, 3)) == [0, 1, 2]
    with pytest.raises(Broken):
        next(results)


def test_what_a_callback_raises_ends_all() -> None:
    async def work(_: int) -> int:
        loop = asyncio.get_running_loop()
        nothing: list[int] = []
        loop.call_soon(nothing.remove, 0)  # raises ValueError
        never: asyncio.Future[int] = loop.create_future()
        return await never

    with pytest.raises(ValueError, match="not in list"):
        next(in_order(itertools.count(), session(work)))


def test_a_session_that_cannot_be_had_ends_all() -> None:
    @contextlib.contextmanager
    def none() -> Iterator[Work]:
        raise Broken
        yield

    with pytest.raises(Broken):
        next(in_order(itertools.count(), none))


def test_items_that_fail_end_all() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise Broken

    with pytest.raises(Broken):
        list(in_order(items(), session(double)))


def test_a_look_up_works_within_a_running_event_loop() -> None:
    zone = zone_text("example.test", {"ns1": ["127.0.0.1"]}, "_validation-persist TXT value")
    with Nameserver(Zones.from_text(zone), resolver=True) as server:
        lookup = Lookup([Address(server.address, server.port)], port=server.port)

        async def main() -> list[str]:
            (seen,) = lookup.inspect(["example.test"])
            return seen.found.values

        assert asyncio.run(main()) == ["value"]


# Signals

PROGRAM = """
import itertools, json, os, signal, sys, threading, time
from certbot.errors import SignalExit
from certbot_dns_persist.lookup.session import Address, Lookup

raised_at = 0.0

def handle(number, _):
    global raised_at
    raised_at = time.monotonic()
    raise KeyboardInterrupt if number == signal.SIGINT else SignalExit

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, handle)
lookup = Lookup([Address("127.0.0.1", int(sys.argv[1]))], authoritative=False,
                queries_per_second=1e6)
fds = set(os.listdir("/dev/fd"))
for _ in range(int(sys.argv[2])):
    raised = None
    try:
        domains = (f"n{number}.example.test" for number in itertools.count())
        for seen in lookup.inspect(domains, caa=False):
            if seen.domain == "n0.example.test":
                print("started", flush=True)
    except (KeyboardInterrupt, SignalExit) as error:
        raised = type(error).__name__
    print(json.dumps({
        "raised": raised,
        "seconds": time.monotonic() - raised_at,
        "threads": [each.name for each in threading.enumerate()],
        "fds": len(set(os.listdir("/dev/fd")) - fds),
    }), flush=True)
"""


@contextlib.contextmanager
def resolver(*, answers: int, silent_after: float = float("inf")) -> Iterator[int]:
    """Run one that answers each of so many questions over and over: that there is nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            for number in itertools.count():
                wire, client = sock.recvfrom(4096)
                if not wire:
                    return
                if number < silent_after:
                    answer = wire[:2] + bytes([wire[2] | 0x80]) + wire[3:]  # QR
                    for _ in range(answers):
                        sock.sendto(answer, client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield sock.getsockname()[1]
        sock.sendto(b"", sock.getsockname())
        thread.join()


@pytest.mark.parametrize("silent_after", [float("inf"), 1], ids=["flood", "silence"])
@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (signal.SIGTERM, "SignalExit"),
        (signal.SIGHUP, "SignalExit"),
        (signal.SIGQUIT, "SignalExit"),
        (signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_what_a_signal_handler_raises_ends_a_look_up_and_leaves_nothing(
    number: signal.Signals, raised: str, silent_after: float
) -> None:
    rounds = 5 if silent_after > 1 else 1
    with resolver(answers=20, silent_after=silent_after) as port:
        program = [sys.executable, "-c", PROGRAM, str(port), str(rounds)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(rounds):
                assert child.stdout.readline() == "started\n"
                child.send_signal(number)
                ended = json.loads(child.stdout.readline())
                assert ended.pop("seconds") < 1
                assert ended == {"raised": raised, "threads": ["MainThread"], "fds": 0}


OFTEN = """
import contextlib, itertools, json, signal, sys
from certbot_dns_persist.lookup.background import in_order

class Stop(Exception):
    pass

def handle(*_):
    raise Stop

@contextlib.contextmanager
def session():
    async def work(number):
        return number
    yield work

lost = []
sys.unraisablehook = lambda unraisable: lost.append(repr(unraisable.object))
signal.signal(signal.SIGALRM, handle)
for number in range(200):
    with contextlib.suppress(Stop):
        signal.setitimer(signal.ITIMER_REAL, 0.005 + number / 1e5, 10)
        for _ in in_order(itertools.count(), session):
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps(lost))
"""


def test_no_signal_is_lost_where_results_are_deleted() -> None:
    program = [sys.executable, "-c", OFTEN]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(done.stdout) == []
