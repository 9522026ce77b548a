"""The pace of one server, on a clock of the test's own."""

import itertools

import pytest

from certbot_dns_persist.lookup import pace
from certbot_dns_persist.lookup.pace import Attempts, Next, Pace, Slowest


def made(rate: float = 1e6, slowest: Slowest | None = None) -> Pace:
    return Pace(rate, slowest or Slowest())


def asked(*, recursive: bool = False) -> Attempts:
    return Attempts(recursive=recursive, patience=pace.PATIENCE)


def answer(server: Pace, *, after: float, at: float = 0.0, recursive: bool = False) -> None:
    """Let the server answer a question that was sent ``after`` seconds before."""
    attempts = asked(recursive=recursive)
    server.send(attempts, at - after)
    server.measure(after, attempts)
    server.hear(at)


def dead() -> Pace:
    """Return the pace of a server that is dead from 10.0 on."""
    server = made()
    attempts = asked()
    server.send(attempts, 10.0 - pace.PATIENCE)
    assert server.miss(attempts, 10.0) is Next.ALL_FAIL
    return server


# The rate


def test_a_tenth_of_the_rate_may_be_sent_at_once_and_not_more_than_the_rate_in_any_second() -> None:
    server = made(rate=100)
    clock = [step / 1000 for step in range(3000)]
    sent = [now for now in clock for _ in range(20) if server.may_send(now)]
    assert sent.count(0.0) == 10
    assert all(late - early >= 0.999 for early, late in zip(sent, sent[100:], strict=False))
    assert 270 <= len(sent) <= 300


def test_who_may_not_send_is_told_when_to_try_again() -> None:
    server = made(rate=1)
    assert server.may_send(5.0)
    assert not server.may_send(5.5)
    assert server.seconds_until_sending == pytest.approx(0.5)
    assert server.may_send(6.0)


# The window


def test_the_window_doubles_while_questions_are_answered() -> None:
    server = made()
    for window in (32, 64, 128, 256, 256):
        assert server.window == window
        for _ in range(window):
            server.count(lost=False)


@pytest.mark.parametrize(
    ("lost", "window"), [(0, 64), (3, 64), (5, 32), (8, 32), (9, 16), (32, 16)]
)
def test_the_window_is_halved_when_more_than_a_quarter_is_lost(lost: int, window: int) -> None:
    server = made()
    for number in range(32):
        server.count(lost=number < lost)
    assert server.window == window


def test_a_window_that_was_halved_grows_by_eight_and_is_never_below_four() -> None:
    server = made()
    for _ in range(32 + 16 * 4):
        server.count(lost=True)
    assert server.window == pace.MIN_WINDOW
    for _ in range(16):
        server.count(lost=False)
    assert server.window == pace.MIN_WINDOW + 8


# Time


def test_a_question_is_sent_again_ever_more_slowly_until_patience_is_over() -> None:
    server, attempts, now, sent = made(), asked(), 0.0, []
    answer(server, after=0.01)
    while True:
        sent.append(now)
        now = server.send(attempts, now)
        server.hear(now)  # other questions are answered
        if server.miss(attempts, now) is Next.GIVE_UP:
            break
    steps = [late - early for early, late in itertools.pairwise(sent)]
    assert steps == pytest.approx([pace.MIN_TIMEOUT * n for n in range(1, len(sent))])
    assert now == pytest.approx(pace.PATIENCE)


def test_the_timeout_follows_the_time_that_answers_take() -> None:
    server = made()
    for _ in range(100):
        answer(server, after=0.5)
    assert server.timeout == pytest.approx(0.5, abs=0.01)
    answer(server, after=1.0)
    assert server.timeout > 1.0


def test_a_resolver_is_not_asked_again_sooner_than_it_can_have_asked_others() -> None:
    server = made()
    answer(server, after=0.001, recursive=True)
    assert server.send(asked(recursive=True), 1.0) == 1.0 + pace.MIN_RESOLVER_TIMEOUT
    assert server.send(asked(), 1.0) == 1.0 + pace.MIN_TIMEOUT


# Death


@pytest.mark.parametrize(("slowest", "silence"), [(None, 1.5), (0.01, 0.5), (0.2, 0.8), (1.0, 1.5)])
def test_a_server_that_never_answered_is_dead_after_some_times_what_the_slowest_takes(
    slowest: float | None, silence: float
) -> None:
    others = Slowest()
    if slowest is not None:
        others.note(slowest)
    server = made(slowest=others)
    questions = [asked() for _ in range(pace.MANY)]
    for attempts in questions:
        server.send(attempts, 0.0)
    *first, last = questions
    for attempts in first:
        assert server.miss(attempts, silence) is Next.ASK_AGAIN
    assert server.miss(last, silence - 0.01) is Next.ASK_AGAIN
    assert server.miss(last, silence) is Next.ALL_FAIL
    assert server.dead == f"does not answer within {silence:g} seconds"


def test_a_resolver_is_given_all_the_time_of_a_question() -> None:
    server = made()
    questions = [asked(recursive=True) for _ in range(100)]
    for attempts in questions:
        server.send(attempts, 0.0)
    assert {server.miss(attempts, 3.9) for attempts in questions} == {Next.ASK_AGAIN}
    assert server.miss(questions[0], 4.0) is Next.ALL_FAIL


def test_a_silent_resolver_is_checked_now_and_then() -> None:
    server = made()
    server.send(asked(recursive=True), 10.0)
    assert [now for now in (11.0, 11.5, 11.6, 12.9, 13.0) if server.may_check(now)] == [11.5, 13.0]


def test_a_server_that_answers_others_is_not_dead_for_one_question() -> None:
    server, attempts = made(), asked()
    server.send(attempts, 0.0)
    answer(server, after=0.01, at=3.0)
    assert server.miss(attempts, 4.0) is Next.GIVE_UP
    assert server.dead is None


def test_a_dead_server_is_probed_ever_more_rarely_until_it_answers() -> None:
    server = dead()
    clock = [10 + step / 10 for step in range(400)]
    probed = [now for now in clock if server.admit(now) is not None]
    steps = [late - early for early, late in itertools.pairwise(probed)]
    assert probed[0] == 10 + pace.PROBE_AFTER
    assert steps == pytest.approx([pace.SILENCE + pace.PROBE_AFTER * 2**n for n in range(5)])
    server.hear(60.0)
    assert server.admit(60.0) == pace.PATIENCE


def test_what_a_server_sends_instead_of_answers_is_why_it_is_dead() -> None:
    server, attempts = made(), asked()
    server.strange = "gives no valid answer"
    server.send(attempts, 0.0)
    server.miss(attempts, pace.PATIENCE)
    assert server.dead == "gives no valid answer"
    server.hear(5.0)
    assert server.trouble(4.0) == "does not answer within 4 seconds"


def test_a_server_that_is_silent_by_tcp_is_connected_to_once_in_the_time_of_a_question() -> None:
    server = made()
    for _ in range(pace.MANY):
        assert server.may_connect(asked(), 0.0)
        server.count_by_tcp(heard=False)
    clock = [step / 10 for step in range(1, 101)]
    assert [now for now in clock if server.may_connect(asked(), now)] == [4.0, 8.0]
    server.count_by_tcp(heard=True)
    assert server.may_connect(asked(), 10.1)
