"""Questions to many DNS servers at once: as fast as each server can, as slow as is polite.

One thread, a few UDP sockets, and for each server what a good resolver keeps: how long its
answers take, how many questions it may have at once, whether it is dead.

- A question is sent again when the answer is overdue by the server's own measure (RFC 6298),
  then ever more slowly, until :data:`PATIENCE` is over.
- The number of questions that a server has at once grows while they are answered and is halved
  when a good part of them is lost; single losses are the network's, and nobody is overrun.
- A server that has answered nothing for long is dead: what it was asked fails, what it would be
  asked fails at once, and now and then one question is let through to see whether it is back.
  So it is with TCP, apart from UDP.
"""

import errno
import heapq
import itertools
import os
import selectors
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import dns.name
import dns.rcode
import dns.rdatatype

from certbot_dns_persist.lookup.message import Answer, NotAnAnswer, Question
from certbot_dns_persist.lookup.promise import Coroutines, Promise, Unanswered

#: Seconds after which an unanswered question is given up.
PATIENCE = 4.0
#: Seconds after which a server is dead that has not answered any of MANY attempts so far: that
#: many times as long as the slowest other one took to answer, within these bounds.
TIMES_THE_SLOWEST = 4
MIN_SILENCE, SILENCE = 0.5, 1.5
MANY = 16
#: Seconds from the death of a server to the first probe; each later one waits twice as long.
PROBE_AFTER = 1.0
#: Seconds until a question is sent again: at first, and at least; to a resolver, which may have to
#: ask others, not sooner than the last.
FIRST_TIMEOUT = 0.4
MIN_TIMEOUT = 0.05
MIN_RESOLVER_TIMEOUT = 0.2
#: Questions that one server may have at once: at first, at least and at most.
FIRST_WINDOW = 32
MIN_WINDOW = 4
MAX_WINDOW = 256
#: The share of questions lost from which a server counts as overrun, and below which it does not.
OVERRUN, UNHARMED = 0.25, 0.125
#: Questions to each server and second, retransmissions included.
QUERIES_PER_SECOND = 1000.0

# What is asked for is spread over that many sockets, with a port of its own each (RFC 5452).
_SOCKETS = 4
_RECEIVE_BUFFER = 1 << 20
_MAX_STREAMS = 64
_MAX_SERVERS = 4096
_MAX_DATAGRAM = 65535
# Datagrams that are read before anything else has its turn: more than a buffer holds.
_AT_ONCE = 5000

# This machine has no way to that address family; that says nothing about the server.
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
# The datagram was not sent for lack of room, which is as if it had been lost on its way.
_NO_ROOM = {errno.EAGAIN, errno.ENOBUFS}


# What every resolver has in its cache.
_BY_HEART = Question(dns.name.root.labels, dns.rdatatype.NS, recursive=True)


class Address(NamedTuple):
    """Where a DNS server listens."""

    host: str
    port: int = 53

    def __str__(self) -> str:
        if self.port == 53:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Unreachable(Unanswered):
    """This machine has no route to the address."""


class _Exchange:
    """One question to one server, from the first attempt to the answer."""

    __slots__ = (
        "attempts",
        "awaits",
        "began",
        "by_tcp",
        "edns",
        "patience",
        "promise",
        "question",
        "sent",
        "server",
        "stream",
    )

    def __init__(self, question: Question, server: "_Server", promise: Promise[Answer]) -> None:
        self.question = question
        self.server = server
        self.promise = promise
        self.patience = PATIENCE
        self.began = 0.0
        self.attempts = 0
        self.awaits = 0
        self.by_tcp = False
        self.edns = False
        self.sent: list[tuple[dict[Any, Any], Any]] = []
        self.stream: _Stream | None = None


class _Server:
    """What is known of one server, and what it is asked."""

    def __init__(self, address: Address, rate: float) -> None:
        self.address = address
        info = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
        self.family: int = info[0][0]
        self.sockaddr: Any = info[0][4]
        self.edns = True
        self.waiting: deque[_Exchange] = deque()
        self.in_flight: dict[_Exchange, None] = {}
        # A certificate's hundred names at once, and not more than the rate in any second.
        self._burst = max(1.0, rate / 10)
        self._refill = rate - self._burst + 1
        self._tokens, self._filled = self._burst, 0.0
        self._smoothed, self._variance = 0.0, 0.0
        self.timeout = FIRST_TIMEOUT
        self.window = float(FIRST_WINDOW)
        self._doubling = True
        self._answered = self._lost = 0
        self.heard: float | None = None
        self.quiet_since: float | None = None
        self.unanswered = 0
        self.strange: str | None = None
        self.dead: str | None = None
        self.probe_at = 0.0
        self.probe_after = PROBE_AFTER
        self.called_at = 0.0
        self.unheard_by_tcp = 0
        self.next_by_tcp = 0.0

    @property
    def idle(self) -> bool:
        return not (self.waiting or self.in_flight)

    def may_send(self, now: float) -> bool:
        """Whether the rate allows another message now, which is then counted as sent."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._refill)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def seconds_until_sending(self) -> float:
        return max(0.0, 1 - self._tokens) / self._refill

    def measure(self, seconds: float) -> None:
        """Note how long an answer took (RFC 6298 section 2)."""
        if self.heard is None:
            self._smoothed, self._variance = seconds, seconds / 2
        else:
            self._variance += (abs(self._smoothed - seconds) - self._variance) / 4
            self._smoothed += (seconds - self._smoothed) / 8
        self.timeout = min(PATIENCE, max(MIN_TIMEOUT, self._smoothed + 4 * self._variance))

    def hear(self, now: float) -> None:
        """Note an answer: it is alive."""
        self.heard = self.quiet_since = now
        self.unanswered = 0
        self.strange = None
        if self.dead is not None:
            self.dead = None
            self.probe_after = PROBE_AFTER

    def count(self, *, lost: bool) -> None:
        """Note how a question ended; adapt the window once a whole window of them has."""
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


class Transport(Coroutines):
    """Runs coroutines that ask servers."""

    def __init__(self, queries_per_second: float = QUERIES_PER_SECOND) -> None:
        super().__init__()
        self._rate = queries_per_second
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[int, list[_Socket]] = {}
        self._servers: OrderedDict[Address, _Server] = OrderedDict()
        self._by_sockaddr: dict[Any, _Server] = {}
        self._paced: dict[_Server, None] = {}
        self._deadlines: list[tuple[float, int, _Exchange]] = []
        self._numbers = itertools.count(1)
        self._streams = 0
        self._for_stream: deque[_Exchange] = deque()
        self._slowest: float | None = None
        self._away = 0.0

    def close(self) -> None:
        """Close all sockets; nothing may be asked any more."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def ask(self, question: Question, address: Address) -> Promise[Answer]:
        """Ask; the promise fails with :class:`Unanswered` when no answer comes."""
        promise: Promise[Answer] = self.promise()
        server = self._servers.get(address)
        if server is None:
            try:
                server = self._meet(address)
            except OSError as error:
                promise.fail(Unanswered(f"has no usable address: {error.strerror or error}"))
                return promise
        now = self._now()
        exchange = _Exchange(question, server, promise)
        if server.dead is not None:
            if now < server.probe_at:
                promise.fail(Unanswered(server.dead))
                return promise
            exchange.patience = min(PATIENCE, SILENCE)
            server.probe_at = now + exchange.patience + server.probe_after
            server.probe_after *= 2
        server.waiting.append(exchange)
        self._pump(server, now)
        return promise

    def turn(self) -> None:
        """Wait until something comes or is due; let coroutines go on with it."""
        self.run()
        now = self._now()
        for key, events in self._selector.select(self._seconds_to_wait(now)):
            key.data.ready(events)
        self.run()
        self._expire()
        for server in list(self._paced):
            self._pump(server, self._now())
        self.run()

    def away(self, seconds: float) -> None:
        """Leave ``seconds`` out of every account: nobody was here to receive what came."""
        self._away += seconds

    def _now(self) -> float:
        return time.monotonic() - self._away

    def _seconds_to_wait(self, now: float) -> float | None:
        waits = [server.seconds_until_sending() for server in self._paced]
        while self._deadlines and self._is_over(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        if self._deadlines:
            waits.append(max(0.0, self._deadlines[0][0] - now))
        return min(waits, default=0.0)

    def _meet(self, address: Address) -> _Server:
        server = self._servers[address] = _Server(address, self._rate)
        self._by_sockaddr[server.sockaddr] = server
        if len(self._servers) > _MAX_SERVERS:
            oldest = next(iter(self._servers))
            if self._servers[oldest].idle:
                self._by_sockaddr.pop(self._servers.pop(oldest).sockaddr, None)
            else:
                self._servers.move_to_end(oldest)
        return server

    # Sending

    def _pump(self, server: _Server, now: float) -> None:
        """Send what waits for ``server``, as far as its window and the rate allow."""
        waiting = server.waiting
        while waiting and len(server.in_flight) < server.window:
            if waiting[0].promise.done:
                waiting.popleft()
            elif server.may_send(now):
                self._send(waiting.popleft(), now)
            else:
                self._paced[server] = None
                return
        self._paced.pop(server, None)

    def _send(self, exchange: _Exchange, now: float) -> None:
        server = exchange.server
        server.in_flight[exchange] = None
        if server.quiet_since is None:
            server.quiet_since = now
        if not exchange.attempts:
            exchange.began = now
        exchange.attempts += 1
        exchange.edns = server.edns
        if exchange.by_tcp:
            self._for_stream.append(exchange)
            self._open_streams()
            return
        try:
            octets = os.urandom(3)
            sockets = self._sockets.get(server.family) or self._open_sockets(server.family)
            sockets[octets[2] % _SOCKETS].send(exchange, octets[:2], now)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                trouble = f"cannot be reached: {error.strerror or error}"
                kind = Unreachable if error.errno in _NO_ROUTE else Unanswered
                self._finish(exchange)
                exchange.promise.fail(kind(trouble))
                return
        timeout = server.timeout
        if exchange.question.recursive:
            timeout = max(timeout, MIN_RESOLVER_TIMEOUT)
        deadline = now + timeout * exchange.attempts
        dead_at = server.quiet_since + self._silence()
        if self._is_short_of_breath(exchange) and now < dead_at:
            deadline = min(deadline, dead_at)
        self._await(exchange, min(deadline, exchange.began + exchange.patience))

    def _await(self, exchange: _Exchange, deadline: float) -> None:
        exchange.awaits = next(self._numbers)
        heapq.heappush(self._deadlines, (deadline, exchange.awaits, exchange))

    def _open_sockets(self, family: int) -> "list[_Socket]":
        sockets = [_Socket(family, self._receive_datagram, self._wonder) for _ in range(_SOCKETS)]
        for each in sockets:
            self._selector.register(each.socket, selectors.EVENT_READ, each)
        self._sockets[family] = sockets
        return sockets

    # Receiving

    def _receive_datagram(
        self, exchange: _Exchange, answer: Answer, sent: float, first: bool
    ) -> None:
        server, seconds = exchange.server, self._now() - sent
        server.measure(seconds)
        if server.heard is None:  # what was lost before need not wait for the first time-out
            for each in server.in_flight:
                if not each.by_tcp and not each.question.recursive:
                    self._await(each, each.began + server.timeout)
        if not exchange.question.recursive:  # a resolver's time is that of the servers behind it
            self._slowest = max(seconds, self._slowest or 0.0)
        self._receive(exchange, answer, first)

    def _receive(self, exchange: _Exchange, answer: Answer, first: bool) -> None:
        server = exchange.server
        now = self._now()
        server.hear(now)
        on_its_way = exchange in server.in_flight
        self._finish(exchange)
        if answer.truncated and not exchange.by_tcp:
            exchange.by_tcp = True
            self._again(exchange, on_its_way)
        elif exchange.edns and answer.rcode in (
            dns.rcode.FORMERR,
            dns.rcode.NOTIMP,
            dns.rcode.BADVERS,
        ):
            server.edns = False  # from before EDNS (RFC 6891 section 7)
            self._again(exchange, on_its_way)
        else:
            server.count(lost=not first)
            exchange.promise.settle(answer)
        self._pump(server, now)

    @staticmethod
    def _again(exchange: _Exchange, on_its_way: bool) -> None:
        """Ask in another manner; a late answer finds the question in the queue already."""
        exchange.attempts = 0
        if on_its_way:
            exchange.server.waiting.appendleft(exchange)

    def _wonder(self, sockaddr: Any, why: str) -> None:
        """Note what came from a server's address and is no answer; it may be forged, or late."""
        server = self._by_sockaddr.get(sockaddr)
        if server is not None:
            server.strange = f"answers something else than asked ({why})"

    def _finish(self, exchange: _Exchange) -> None:
        """Forget the attempts: no answer to them is awaited any more."""
        exchange.server.in_flight.pop(exchange, None)
        exchange.awaits = 0
        for pending, key in exchange.sent:
            pending.pop(key, None)
        exchange.sent.clear()
        if exchange.stream is not None:
            exchange.stream.close()

    # What does not come

    @staticmethod
    def _is_over(entry: tuple[float, int, _Exchange]) -> bool:
        _, number, exchange = entry
        return exchange.promise.done or exchange.awaits != number

    def _expire(self) -> None:
        now = self._now()
        while self._deadlines and self._deadlines[0][0] <= now:
            entry = heapq.heappop(self._deadlines)
            if not self._is_over(entry):
                self._miss(entry[2], now)

    def _miss(self, exchange: _Exchange, now: float) -> None:
        """Ask again, or give up: the question, or the server."""
        server = exchange.server
        server.unanswered += 1
        quiet, silence = now - (server.quiet_since or now), self._silence()
        if now >= exchange.began + exchange.patience:
            if exchange.by_tcp:  # which tells nothing of UDP
                server.unheard_by_tcp += 1
                self._give_up(exchange, _silence_by_tcp(exchange))
            elif quiet >= exchange.patience:
                self._bury(server, exchange.patience, now)
                self._give_up(exchange, server.dead or "")
            else:
                self._give_up(exchange, _silence(server, exchange.patience))
        elif self._is_short_of_breath(exchange) and server.unanswered >= MANY and quiet >= silence:
            self._bury(server, silence, now)
        else:
            server.in_flight.pop(exchange, None)
            server.waiting.appendleft(exchange)
            if exchange.question.recursive and quiet >= SILENCE <= now - server.called_at:
                self._call(server, now)
        self._pump(server, now)

    def _silence(self) -> float:
        """Return how many seconds a server is given that has never answered."""
        if self._slowest is None:
            return SILENCE
        return min(SILENCE, max(MIN_SILENCE, TIMES_THE_SLOWEST * self._slowest))

    @staticmethod
    def _is_short_of_breath(exchange: _Exchange) -> bool:
        """Whether the server is given so long only: one that never answered, and is no resolver.

        A resolver may be silent for as long as other servers keep it waiting.
        """
        return exchange.server.heard is None and not exchange.question.recursive

    def _call(self, server: _Server, now: float) -> None:
        """Ask a silent resolver for what it knows by heart: if it lives, it answers that."""
        server.called_at = now
        self._send(_Exchange(_BY_HEART, server, self.promise()), now)

    def _give_up(self, exchange: _Exchange, trouble: str) -> None:
        self._finish(exchange)
        if not exchange.promise.done:
            exchange.server.count(lost=True)
            exchange.promise.fail(Unanswered(trouble))

    def _bury(self, server: _Server, seconds: float, now: float) -> None:
        server.dead = _silence(server, seconds)
        server.quiet_since = None
        server.probe_at = max(server.probe_at, now + server.probe_after)
        for exchange in [*server.in_flight, *server.waiting]:
            self._give_up(exchange, server.dead)
        server.waiting.clear()

    # TCP (RFC 7766), for what does not fit into a datagram

    def _open_streams(self) -> None:
        while self._for_stream and self._streams < _MAX_STREAMS:
            exchange = self._for_stream.popleft()
            if exchange.promise.done:
                continue
            server, now = exchange.server, self._now()
            if server.unheard_by_tcp >= MANY and now < server.next_by_tcp:
                self._give_up(exchange, _silence_by_tcp(exchange))
                self._paced[server] = None  # others may wait for its place
                continue
            try:
                exchange.stream = _Stream(self._selector, exchange, self._end_stream)
            except OSError as error:
                self._give_up(exchange, _unreachable_by_tcp(error.strerror or str(error)))
                self._paced[server] = None
            else:
                self._streams += 1
                # What it waited for others, the server is not to blame for.
                exchange.began = now
                self._await(exchange, now + exchange.patience)
                server.next_by_tcp = now + exchange.patience

    def _end_stream(self, exchange: _Exchange, answer: Answer | None, trouble: str) -> None:
        """Take what came of a stream, which is closed by now."""
        self._streams -= 1
        exchange.stream = None
        if answer is not None:
            exchange.server.unheard_by_tcp = 0
            self._receive(exchange, answer, True)
        elif trouble:
            self._give_up(exchange, trouble)
            self._paced[exchange.server] = None
        self._open_streams()


def _silence_by_tcp(exchange: _Exchange) -> str:
    return f"does not answer by TCP within {exchange.patience:g} seconds"


def _silence(server: _Server, seconds: float) -> str:
    if server.heard is None and server.strange is not None:
        return server.strange
    return f"does not answer within {round(seconds, 1):g} seconds"


class _Socket:
    """A UDP socket, and the questions that were sent from it."""

    def __init__(
        self,
        family: int,
        receive: Callable[[_Exchange, Answer, float, bool], None],
        wonder: Callable[[Any, str], None],
    ) -> None:
        self._receive = receive
        self._wonder = wonder
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._pending: dict[tuple[bytes, Any], tuple[_Exchange, float, bool]] = {}

    def send(self, exchange: _Exchange, message_id: bytes, now: float) -> None:
        server = exchange.server
        key = (message_id, server.sockaddr)
        while key in self._pending:
            key = (os.urandom(2), server.sockaddr)
        self._pending[key] = (exchange, now, exchange.attempts == 1)
        exchange.sent.append((self._pending, key))
        self.socket.sendto(exchange.question.to_wire(key[0], edns=exchange.edns), server.sockaddr)

    def ready(self, _: int) -> None:
        """Read all that has come; from who sends faster than that, not for ever."""
        receive = self.socket.recvfrom
        for _count in range(_AT_ONCE):
            try:
                wire, sockaddr = receive(_MAX_DATAGRAM)
            except OSError:  # nothing more, or an ICMP message, which the time-outs make up for
                return
            self._read(wire, sockaddr)

    def _read(self, wire: bytes, sockaddr: Any) -> None:
        pending = self._pending.get((wire[:2], sockaddr))
        if pending is None:
            self._wonder(sockaddr, "another message's id")
            return
        exchange, sent, first = pending
        try:
            answer = exchange.question.read(wire)
        except NotAnAnswer as error:
            self._wonder(sockaddr, str(error))
            return
        self._receive(exchange, answer, sent, first)


class _Stream:
    """A TCP connection for one question; raises OSError when there can be none."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        exchange: _Exchange,
        end: Callable[[_Exchange, Answer | None, str], None],
    ) -> None:
        self._selector = selector
        self._exchange = exchange
        self._end = end
        self._id = os.urandom(2)
        wire = exchange.question.to_wire(self._id, edns=exchange.edns)
        self._unsent = len(wire).to_bytes(2, "big") + wire
        self._received = bytearray()
        self._socket = socket.socket(exchange.server.family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        failure = self._socket.connect_ex(exchange.server.sockaddr)
        if failure not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise OSError(failure, os.strerror(failure))
        selector.register(self._socket, selectors.EVENT_WRITE, self)

    def ready(self, events: int) -> None:
        """Send or receive, as far as that goes now."""
        try:
            if events & selectors.EVENT_WRITE:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
                if not self._unsent:
                    self._selector.modify(self._socket, selectors.EVENT_READ, self)
                return
            octets = self._socket.recv(_MAX_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error.strerror or str(error))
            return
        self._received += octets
        length = int.from_bytes(self._received[:2], "big")
        if len(self._received) - 2 >= length:
            self._read(bytes(self._received[2 : 2 + length]))
        elif not octets:
            self._fail("closed without an answer")

    def close(self, answer: Answer | None = None, trouble: str = "") -> None:
        self._selector.unregister(self._socket)
        self._socket.close()
        self._end(self._exchange, answer, trouble)

    def _read(self, wire: bytes) -> None:
        try:
            if wire[:2] != self._id:
                raise NotAnAnswer("another message's id")
            answer = self._exchange.question.read(wire)
            if answer.truncated:
                raise NotAnAnswer("truncated")
        except NotAnAnswer as error:
            self.close(trouble=f"answers something else than asked ({error})")
        else:
            self.close(answer)

    def _fail(self, why: str) -> None:
        self.close(trouble=_unreachable_by_tcp(why))


def _unreachable_by_tcp(why: str) -> str:
    return f"cannot be reached by TCP: {why}"
