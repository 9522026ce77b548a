"""How to ask one server: as fast as it can answer, but no faster than is polite.

What a good resolver remembers of each server: how long its answers take, how many questions it may
have at once, whether it is dead.

- A question is sent again if the answer is overdue by the server's own response times (RFC 6298),
  then at growing intervals, until :data:`PATIENCE` has passed.
- The number of questions that a server has at once grows while it answers them, and is halved if
  many of them are lost; the network may lose single ones even if the server is not overloaded.
- A server that has answered nothing for long is dead: the questions that it has fail, new ones
  fail at once, and now and then one is let through to see whether it is back. TCP and UDP are
  treated separately.

Nothing here waits, sends or reads a clock: times are arguments, in seconds.
"""

import enum

#: Seconds after which an unanswered question is given up.
PATIENCE = 4.0
#: A server that has answered none of MANY attempts is dead after that many times as long as the
#: slowest other one took to answer, within these bounds (seconds).
TIMES_THE_SLOWEST = 4
MIN_SILENCE, SILENCE = 0.5, 1.5
MANY = 16
#: Seconds from the death of a server to the first probe; each later one waits twice as long.
PROBE_AFTER = 1.0
#: Seconds until a question is sent again: at first, at least, and at least to a resolver, which may
#: have to ask other servers.
FIRST_TIMEOUT = 0.4
MIN_TIMEOUT = 0.05
MIN_RESOLVER_TIMEOUT = 0.2
#: Questions that one server may have at once: at first, at least and at most.
FIRST_WINDOW = 32
MIN_WINDOW = 4
MAX_WINDOW = 256
#: The share of lost questions from which a server counts as overloaded, and below which not.
OVERRUN, UNHARMED = 0.25, 0.125


class Attempts:
    """The attempts to have one question answered."""

    __slots__ = ("began", "count", "patience", "recursive")

    def __init__(self, *, recursive: bool, patience: float) -> None:
        """``recursive`` says that the server is a resolver, which may wait for other servers."""
        self.recursive = recursive
        self.patience = patience
        """Seconds from the first attempt until we give up the question."""
        self.began = 0.0
        self.count = 0


class Next(enum.Enum):
    """What to do about an attempt that was not answered in time."""

    ASK_AGAIN = enum.auto()
    GIVE_UP = enum.auto()
    ALL_FAIL = enum.auto()
    """The server is dead: give up all its questions."""


class Slowest:
    """How long the slowest server of one look-up took to answer."""

    seconds: float | None = None

    def note(self, seconds: float) -> None:
        self.seconds = max(seconds, self.seconds or 0.0)

    @property
    def silence(self) -> float:
        """The seconds until a server that has never answered is dead."""
        if self.seconds is None:
            return SILENCE
        return min(SILENCE, max(MIN_SILENCE, TIMES_THE_SLOWEST * self.seconds))


class Pace:
    """How a server has answered, and so how to ask it next."""

    def __init__(self, rate: float, slowest: Slowest) -> None:
        """``rate`` is in messages per second, retransmissions included."""
        self.heard = False
        self.window = float(FIRST_WINDOW)
        """How many questions the server may have at once."""
        self.timeout = FIRST_TIMEOUT
        self.dead: str | None = None
        """Why it must not be asked, except for a probe."""
        self.strange: str | None = None
        """What is wrong with its messages that are not answers."""
        self._slowest = slowest
        # The hundred names of a certificate at once, but no more than the rate in any second.
        self._burst = max(1.0, rate / 10)
        self._refill = rate - self._burst + 1
        self._tokens, self._filled = self._burst, 0.0
        self._smoothed = self._variance = 0.0
        self._doubling = True
        self._answered = self._lost = 0
        self._quiet_since: float | None = None
        self._unanswered = 0
        self._probe_at, self._probe_after = 0.0, PROBE_AFTER
        self._checked_at = 0.0
        self._unheard_by_tcp, self._next_by_tcp = 0, 0.0

    # What may be sent

    def admit(self, now: float) -> float | None:
        """Return the seconds that a new question may take; ``None`` if the server is dead."""
        if self.dead is None:
            return PATIENCE
        if now < self._probe_at:
            return None
        patience = min(PATIENCE, SILENCE)
        self._probe_at = now + patience + self._probe_after
        self._probe_after *= 2
        return patience

    def may_send(self, now: float) -> bool:
        """Whether the rate allows another message now; if so, it counts as sent."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._refill)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def seconds_until_sending(self) -> float:
        return max(0.0, 1 - self._tokens) / self._refill

    def send(self, attempts: Attempts, now: float) -> float:
        """Note that an attempt is sent; return when to call :meth:`miss` if there is no answer."""
        if self._quiet_since is None:
            self._quiet_since = now
        if not attempts.count:
            attempts.began = now
        attempts.count += 1
        timeout = max(self.timeout, MIN_RESOLVER_TIMEOUT) if attempts.recursive else self.timeout
        deadline = now + timeout * attempts.count
        if self._gets_less_time(attempts):
            dead_at = self._quiet_since + self._slowest.silence
            if now < dead_at:
                deadline = min(deadline, dead_at)
        return min(deadline, attempts.began + attempts.patience)

    # What comes

    def measure(self, seconds: float, attempts: Attempts) -> None:
        """Note how long an answer by UDP took (RFC 6298 section 2)."""
        if self.heard:
            self._variance += (abs(self._smoothed - seconds) - self._variance) / 4
            self._smoothed += (seconds - self._smoothed) / 8
        else:
            self._smoothed, self._variance = seconds, seconds / 2
        self.timeout = min(PATIENCE, max(MIN_TIMEOUT, self._smoothed + 4 * self._variance))
        if not attempts.recursive:  # a resolver's time includes that of the servers it asks
            self._slowest.note(seconds)

    def hear(self, now: float) -> None:
        """Note an answer: the server is alive."""
        self.heard = True
        self._quiet_since = now
        self._unanswered = 0
        self.strange = None
        if self.dead is not None:
            self.dead = None
            self._probe_after = PROBE_AFTER

    def count(self, *, lost: bool) -> None:
        """Note how a question ended; adapt the window after a whole window of them."""
        self._answered += 1
        self._lost += lost
        if self._answered < max(16, self.window):
            return
        share = self._lost / self._answered
        if share > OVERRUN:
            self._doubling = False
            self.window = max(MIN_WINDOW, self.window / 2)
        elif share < UNHARMED:
            more = self.window if self._doubling else 8
            self.window = min(MAX_WINDOW, self.window + more)
        self._answered = self._lost = 0

    # What does not come

    def miss(self, attempts: Attempts, now: float) -> Next:
        """Note that an attempt was not answered in time; return what to do about it."""
        self._unanswered += 1
        quiet, silence = self._quiet(now), self._slowest.silence
        if now >= attempts.began + attempts.patience:
            if quiet < attempts.patience:
                return Next.GIVE_UP
            self._mark_dead(attempts.patience, now)
            return Next.ALL_FAIL
        if self._gets_less_time(attempts) and self._unanswered >= MANY and quiet >= silence:
            self._mark_dead(silence, now)
            return Next.ALL_FAIL
        return Next.ASK_AGAIN

    def may_check(self, now: float) -> bool:
        """Whether to ask a silent resolver for what it has cached: it answers if it is alive."""
        if self._quiet(now) < SILENCE or now - self._checked_at < SILENCE:
            return False
        self._checked_at = now
        return True

    def trouble(self, seconds: float) -> str:
        """Return why a question was not answered in ``seconds``."""
        if not self.heard and self.strange is not None:
            return self.strange
        return f"does not answer within {round(seconds, 1):g} seconds"

    def _quiet(self, now: float) -> float:
        return 0.0 if self._quiet_since is None else now - self._quiet_since

    def _gets_less_time(self, attempts: Attempts) -> bool:
        """Whether the server gets less time: it has never answered, and is not a resolver.

        A resolver may be silent while it waits for other servers.
        """
        return not self.heard and not attempts.recursive

    def _mark_dead(self, seconds: float, now: float) -> None:
        self.dead = self.trouble(seconds)
        self._quiet_since = None
        self._probe_at = max(self._probe_at, now + self._probe_after)

    # TCP

    def may_connect(self, attempts: Attempts, now: float) -> bool:
        """Whether to try TCP now; if so, the question's time begins."""
        if self._unheard_by_tcp >= MANY and now < self._next_by_tcp:
            return False
        attempts.began = now  # time spent waiting for other questions is not the server's
        self._next_by_tcp = now + attempts.patience
        return True

    def count_by_tcp(self, *, heard: bool) -> None:
        """Note whether the server answers by TCP."""
        self._unheard_by_tcp = 0 if heard else self._unheard_by_tcp + 1
