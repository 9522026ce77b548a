"""Questions and updates to one DNS server: all together over TCP, or one by one over UDP."""

import socket
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dns.message import Message

_TIMEOUT = 10.0  # seconds from connecting, or from one answer, to the last octet of the next one
_UDP_PAYLOAD = 1232  # octets that an answer over UDP may have without being fragmented
_WINDOW = 40  # requests on their way at a time: small ones, so that no buffer is ever full


class UnreachableError(Exception):
    """A server gives no answer; the message follows the server's name."""


class Server:
    """One server, at all of its addresses."""

    def __init__(self, key: str, port_key: str, host: str, port: int) -> None:
        """``key`` and ``port_key`` are what the credentials file calls ``host`` and ``port``."""
        self.key = key
        self.host = host
        self._port, self._port_key = port, port_key
        self._endpoints: list[tuple[int, tuple[Any, ...]]] = []
        self._window = _WINDOW

    def __str__(self) -> str:
        return f"the DNS server {self.host} port {self._port}"

    def answers(
        self, requests: "Sequence[Message]", protocols: Sequence[str]
    ) -> list[bytes | UnreachableError]:
        """Return the answer to each request in wire format, or why there is none.

        They come from the first address of the server that gives any. The ``protocols`` are tried
        in turn, and all addresses twice over each, in case a connection or a packet is lost. An
        update that is made twice does no harm: its prerequisites fail, or it deletes what is gone.

        Each of ``requests`` must have another id.
        """
        try:
            endpoints = self._endpoints or [
                (family, endpoint)
                for family, _, _, _, endpoint in socket.getaddrinfo(
                    self.host, self._port, type=socket.SOCK_STREAM
                )
            ]
        except OSError as error:
            unknown = UnreachableError(f"cannot be found: {error.strerror}. Check {self.key}")
            return [unknown] * len(requests)
        answers: dict[int, bytes] = {}
        failures: dict[tuple[str, Any], str] = {}
        for protocol in protocols:
            for attempt, (family, endpoint) in enumerate(endpoints * 2):
                left = [request for request in requests if request.id not in answers]
                if not left:
                    break
                if attempt >= len(endpoints):
                    # One that it hangs up on keeps those behind it from being asked.
                    left.reverse()
                try:
                    for number, answer in self._exchange(protocol, family, endpoint, left):
                        answers[number] = answer
                except OSError as error:
                    failures[protocol, endpoint] = f"{endpoint[0]}: {error.strerror or error}"
                else:
                    # Use this one first from now on: a change is read back where it was made.
                    self._endpoints = sorted(endpoints, key=lambda other: other[1] != endpoint)
        silent = UnreachableError(
            f"gives no answer over {' or '.join(protocols)} ({'; '.join(failures.values())})."
            f" Check that it runs, that no firewall blocks it, and {self.key} and {self._port_key}"
        )
        return [answers.get(request.id, silent) for request in requests]

    def _exchange(
        self,
        protocol: str,
        family: int,
        endpoint: tuple[Any, ...],
        requests: "Sequence[Message]",
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the id of a request and its answer, as answers come.

        Raises :class:`OSError` if one does not come.
        """
        if protocol == "UDP":
            for request in requests:
                yield request.id, _over_udp(family, endpoint, request)
            return
        left = {request.id: request for request in requests}
        while left:
            before = len(left)
            try:
                for number, answer in _over_tcp(family, endpoint, [*left.values()], self._window):
                    del left[number]
                    yield number, answer
            except OSError:
                if len(left) == before:
                    raise
                # It may close each connection after an answer, or one that has lasted too long.
                self._window = 1


def _over_tcp(
    family: int, endpoint: tuple[Any, ...], requests: "Sequence[Message]", window: int
) -> Iterator[tuple[int, bytes]]:
    """Yield answers as they come, in whatever order, with the ids of their requests.

    At most ``window`` requests wait for their answers (RFC 7766 section 6.2.1.1).
    """
    waiting = list(reversed(requests))
    sent: dict[int, None] = {}
    deadline = time.monotonic() + _TIMEOUT
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        connection.connect(endpoint)
        # A request need not wait until the server has confirmed the one before.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def read(octets: int) -> bytes:
            received = b""
            while len(received) < octets:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                more = connection.recv(octets - len(received))
                if not more:
                    raise ConnectionError("the connection closed in the middle of the answer")
                received += more
            return received

        while waiting or sent:
            messages = b""
            while waiting and len(sent) < window:
                request = waiting.pop()
                message = request.to_wire()
                messages += len(message).to_bytes(2, "big") + message
                sent[request.id] = None
            if messages:
                connection.settimeout(_TIMEOUT)
                connection.sendall(messages)
            answer = read(int.from_bytes(read(2), "big"))
            number = int.from_bytes(answer[:2], "big")
            if number not in sent:
                number = next(iter(sent))  # whoever reads it finds out what is wrong with it
            del sent[number]
            deadline = time.monotonic() + _TIMEOUT
            yield number, answer


def _over_udp(family: int, endpoint: tuple[Any, ...], request: "Message") -> bytes:
    """Return the answer to ``request`` in wire format (RFC 1035 section 4.2.1)."""
    import dns.flags
    import dns.opcode

    if request.opcode() == dns.opcode.QUERY:  # the answer to an update is short
        request.use_edns(payload=_UDP_PAYLOAD)
    message = request.to_wire()
    deadline = time.monotonic() + _TIMEOUT
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect(endpoint)  # so that it receives nothing from elsewhere
        connection.send(message)
        answer = b""
        while answer[:2] != message[:2]:  # skip messages with a different id
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            answer = connection.recv(65535)
    if int.from_bytes(answer[2:4], "big") & dns.flags.TC:
        raise ConnectionError("the answer does not fit into UDP")
    return answer
