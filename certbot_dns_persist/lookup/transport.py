"""Asks many DNS servers at once, each at its own pace.

Datagrams use our own sockets, which the event loop watches, not asyncio's datagram endpoints: those
read one message per turn, so that questions would time out although their answers have arrived, and
do not say which message could not be sent.
"""

import asyncio
import errno
import os
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import dns.name
import dns.rcode
import dns.rdatatype

from certbot_dns_persist.lookup.found import QUERIES_PER_SECOND, Address
from certbot_dns_persist.lookup.message import Answer, NotAnAnswer, Question
from certbot_dns_persist.lookup.pace import Attempts, Next, Pace, Slowest

# Questions are spread over this many sockets, each with its own port (RFC 5452).
_SOCKETS = 4
_RECEIVE_BUFFER = 1 << 20
_MAX_CONNECTIONS = 64
_MAX_SERVERS = 4096
_MAX_DATAGRAM = 65535
# Datagrams that are read in one turn: more than a buffer holds.
_AT_ONCE = 5000

# This machine has no route for that address family; that says nothing about the server.
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
# No buffer space, so the datagram was not sent: treat it as lost.
_NO_ROOM = {errno.EAGAIN, errno.ENOBUFS}
# A server without EDNS says so (RFC 6891 section 7).
_WITHOUT_EDNS = {int(dns.rcode.FORMERR), int(dns.rcode.NOTIMP), int(dns.rcode.BADVERS)}

# Every resolver has this in its cache.
_ROOT_NS = Question(dns.name.root.labels, dns.rdatatype.NS, recursive=True)


class Unanswered(Exception):
    """No usable answer; str() says why."""


class Unreachable(Unanswered):
    """This machine has no route to the address."""


class _Exchange(Attempts):
    """One question to one server, from the first attempt to the answer."""

    __slots__ = ("answer", "by_tcp", "connection", "edns", "question", "sent", "server", "timer")

    def __init__(
        self,
        question: Question,
        server: "_Server",
        answer: asyncio.Future[Answer],
        patience: float,
    ) -> None:
        super().__init__(recursive=question.recursive, patience=patience)
        self.question = question
        self.server = server
        self.answer = answer
        self.edns = server.edns
        self.by_tcp = False
        self.sent: list[tuple[dict[Any, Any], Any]] = []
        self.timer: asyncio.TimerHandle | None = None
        self.connection: asyncio.Task[None] | None = None

    def forget(self) -> None:
        """Stop waiting for answers to the attempts so far."""
        self.server.in_flight.pop(self, None)
        for pending, key in self.sent:
            pending.pop(key, None)
        self.sent.clear()
        if self.timer is not None:
            self.timer.cancel()
        if self.connection is not None:
            self.connection.cancel()


class _Server:
    """A server, and its questions."""

    def __init__(self, address: Address, pace: Pace) -> None:
        info = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
        self.address = address
        self.family: int = info[0][0]
        self.sockaddr: Any = info[0][4]
        self.pace = pace
        self.edns = True
        self.waiting: deque[_Exchange] = deque()
        self.in_flight: dict[_Exchange, None] = {}
        self.resume: asyncio.TimerHandle | None = None


class Transport:
    """Asks servers, within a running event loop."""

    def __init__(self, queries_per_second: float = QUERIES_PER_SECOND) -> None:
        self._loop = asyncio.get_running_loop()
        self._rate = queries_per_second
        self._slowest = Slowest()
        self._sockets: dict[int, list[_Socket]] = {}
        self._servers: OrderedDict[Address, _Server] = OrderedDict()
        self._by_sockaddr: dict[Any, _Server] = {}
        self._connections = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._closed = False

    def close(self) -> None:
        """Close all sockets; nothing can be asked after that."""
        self._closed = True
        for sockets in self._sockets.values():
            for each in sockets:
                self._loop.remove_reader(each.socket)
                each.socket.close()

    def ask(self, question: Question, address: Address) -> asyncio.Future[Answer]:
        """Return a future answer, which fails with :class:`Unanswered` if none comes."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        server = self._servers.get(address)
        if server is None:
            try:
                server = self._add_server(address)
            except OSError as error:
                _fail(future, Unanswered(f"has no usable address: {error.strerror or error}"))
                return future
        patience = server.pace.admit(self._loop.time())
        if patience is None:
            _fail(future, Unanswered(server.pace.dead))
        else:
            server.waiting.append(_Exchange(question, server, future, patience))
            self._send_waiting(server)
        return future

    def _add_server(self, address: Address) -> _Server:
        server = self._servers[address] = _Server(address, Pace(self._rate, self._slowest))
        self._by_sockaddr[server.sockaddr] = server
        if len(self._servers) > _MAX_SERVERS:
            oldest, known = next(iter(self._servers.items()))
            if known.waiting or known.in_flight:
                self._servers.move_to_end(oldest)
            else:
                del self._servers[oldest]
                self._by_sockaddr.pop(known.sockaddr, None)
        return server

    # Sending

    def _send_waiting(self, server: _Server) -> None:
        """Send the waiting questions for ``server``, as far as its window and the rate allow."""
        waiting, pace = server.waiting, server.pace
        while waiting and len(server.in_flight) < pace.window and not self._closed:
            if waiting[0].answer.done():
                waiting.popleft()
            elif pace.may_send(self._loop.time()):
                self._send(waiting.popleft())
            else:
                if server.resume is None:
                    seconds = pace.seconds_until_sending
                    server.resume = self._loop.call_later(seconds, self._resume, server)
                return

    def _resume(self, server: _Server) -> None:
        server.resume = None
        self._send_waiting(server)

    def _send(self, exchange: _Exchange) -> None:
        server = exchange.server
        server.in_flight[exchange] = None
        exchange.edns = server.edns
        if exchange.by_tcp:
            exchange.connection = self._loop.create_task(self._ask_by_tcp(exchange))
            return
        now = self._loop.time()
        deadline = server.pace.send(exchange, now)
        try:
            octets = os.urandom(3)
            sockets = self._sockets.get(server.family) or self._open_sockets(server.family)
            sockets[octets[2] % _SOCKETS].send(exchange, octets[:2], now)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                kind = Unreachable if error.errno in _NO_ROUTE else Unanswered
                exchange.forget()
                _fail(exchange.answer, kind(f"cannot be reached: {error.strerror or error}"))
                return
        self._await(exchange, deadline)

    def _await(self, exchange: _Exchange, deadline: float) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
        exchange.timer = self._loop.call_at(deadline, self._miss, exchange)

    def _open_sockets(self, family: int) -> "list[_Socket]":
        sockets = [_Socket(family, self._receive, self._note_strange) for _ in range(_SOCKETS)]
        for each in sockets:
            self._loop.add_reader(each.socket, each.read)
        self._sockets[family] = sockets
        return sockets

    # Receiving

    def _receive(self, exchange: _Exchange, answer: Answer, sent: float, first: bool) -> None:
        """Take an answer by UDP; ``first`` says whether it is to the first attempt."""
        pace, now = exchange.server.pace, self._loop.time()
        pace.measure(now - sent, exchange)
        if not pace.heard:  # do not let earlier losses wait for the first time-out
            for each in exchange.server.in_flight:
                if not each.by_tcp and not each.recursive:
                    self._await(each, each.began + pace.timeout)
        if answer.truncated:
            pace.hear(now)
            exchange.by_tcp = True
            self._ask_again(exchange)
        else:
            self._take(exchange, answer, first=first)

    def _take(self, exchange: _Exchange, answer: Answer, *, first: bool) -> None:
        server = exchange.server
        server.pace.hear(self._loop.time())
        if exchange.edns and answer.rcode in _WITHOUT_EDNS:
            server.edns = False
            self._ask_again(exchange)
            return
        exchange.forget()
        server.pace.count(lost=not first)
        if not exchange.answer.done():
            exchange.answer.set_result(answer)
        self._send_waiting(server)

    def _ask_again(self, exchange: _Exchange) -> None:
        """Ask in another way; the question is queued before a late answer can arrive."""
        server = exchange.server
        if exchange in server.in_flight:
            server.waiting.appendleft(exchange)
        exchange.forget()
        exchange.count = 0
        self._send_waiting(server)

    def _note_strange(self, sockaddr: Any, why: str) -> None:
        """Note a message from a server's address that is not an answer: forged, or late."""
        server = self._by_sockaddr.get(sockaddr)
        if server is not None:
            server.pace.strange = f"gives no valid answer ({why})"

    # What does not come

    def _miss(self, exchange: _Exchange) -> None:
        """Ask again, or give up this question or all of the server's."""
        server, pace, now = exchange.server, exchange.server.pace, self._loop.time()
        what = pace.miss(exchange, now)
        if what is Next.ALL_FAIL:
            for each in [*server.in_flight, *server.waiting]:
                self._give_up(each, str(pace.dead))
            server.waiting.clear()
        elif what is Next.GIVE_UP:
            self._give_up(exchange, pace.trouble(exchange.patience))
        else:
            server.in_flight.pop(exchange, None)
            server.waiting.appendleft(exchange)
            if exchange.recursive and pace.may_check(now):
                self._send(
                    _Exchange(_ROOT_NS, server, self._loop.create_future(), exchange.patience)
                )
        self._send_waiting(server)

    @staticmethod
    def _give_up(exchange: _Exchange, trouble: str) -> None:
        exchange.forget()
        if not exchange.answer.done():
            exchange.server.pace.count(lost=True)
            _fail(exchange.answer, Unanswered(trouble))

    # TCP (RFC 7766), for answers that do not fit into a datagram

    async def _ask_by_tcp(self, exchange: _Exchange) -> None:
        server, pace = exchange.server, exchange.server.pace
        async with self._connections:
            silence = f"does not answer by TCP within {exchange.patience:g} seconds"
            if pace.may_connect(exchange, self._loop.time()):
                answer, trouble = None, ""
                try:
                    conversation = _converse(exchange.question, server, edns=exchange.edns)
                    answer = await asyncio.wait_for(conversation, exchange.patience)
                except asyncio.TimeoutError:
                    pace.count_by_tcp(heard=False)
                    trouble = silence
                except asyncio.IncompleteReadError:
                    trouble = "cannot be reached by TCP: closed without an answer"
                except OSError as error:
                    why = os.strerror(error.errno) if error.errno else str(error)
                    trouble = f"cannot be reached by TCP: {why}"
                except NotAnAnswer as error:
                    trouble = f"gives no valid answer ({error})"
            else:
                answer, trouble = None, silence
        exchange.connection = None
        if answer is not None:
            pace.count_by_tcp(heard=True)
            self._take(exchange, answer, first=True)
        else:
            self._give_up(exchange, trouble)
            self._send_waiting(server)


def _fail(future: asyncio.Future[Any], error: Unanswered) -> None:
    """Let a future fail, without a log message from asyncio if nothing awaits it any more."""
    if not future.done():
        future.set_exception(error)
        future.exception()


async def _converse(question: Question, server: _Server, *, edns: bool) -> Answer:
    """Return the answer by TCP; raises OSError, IncompleteReadError or NotAnAnswer."""
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        message_id = os.urandom(2)
        wire = question.to_wire(message_id, edns=edns)
        writer.write(len(wire).to_bytes(2, "big") + wire)
        length = int.from_bytes(await reader.readexactly(2), "big")
        wire = await reader.readexactly(length)
    finally:
        writer.transport.abort()
    if wire[:2] != message_id:
        raise NotAnAnswer("another message's id")
    answer = question.read(wire)
    if answer.truncated:
        raise NotAnAnswer("truncated")
    return answer


class _Socket:
    """A UDP socket, and the questions that were sent from it."""

    def __init__(
        self,
        family: int,
        receive: Callable[[_Exchange, Answer, float, bool], None],
        note_strange: Callable[[Any, str], None],
    ) -> None:
        self._receive = receive
        self._note_strange = note_strange
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._pending: dict[tuple[bytes, Any], tuple[_Exchange, float, bool]] = {}

    def send(self, exchange: _Exchange, message_id: bytes, now: float) -> None:
        sockaddr = exchange.server.sockaddr
        key = (message_id, sockaddr)
        while key in self._pending:
            key = (os.urandom(2), sockaddr)
        self._pending[key] = (exchange, now, exchange.count == 1)
        exchange.sent.append((self._pending, key))
        self.socket.sendto(exchange.question.to_wire(key[0], edns=exchange.edns), sockaddr)

    def read(self) -> None:
        """Read all datagrams that have arrived, up to a limit."""
        receive = self.socket.recvfrom
        for _count in range(_AT_ONCE):
            try:
                wire, sockaddr = receive(_MAX_DATAGRAM)
            except OSError:  # nothing more, or an ICMP error, which the time-outs cover
                return
            pending = self._pending.get((wire[:2], sockaddr))
            if pending is None:
                self._note_strange(sockaddr, "another message's id")
                continue
            exchange, sent, first = pending
            try:
                answer = exchange.question.read(wire)
            except NotAnAnswer as error:
                self._note_strange(sockaddr, str(error))
            else:
                self._receive(exchange, answer, sent, first)
