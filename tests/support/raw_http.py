"""A server that answers HTTP requests octet by octet, as a test has it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

Answer = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve each connection with ``answer``, which writes until the client has gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                answer(client)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/directory"
        finally:
            server.shutdown(socket.SHUT_RDWR)


def whole(body: bytes, *headers: bytes) -> Answer:
    fields = [*headers, b"Content-Length: %d" % len(body), b"Connection: close", b"", b""]
    return lambda client: client.sendall(HEAD + b"\r\n".join(fields) + body)


def dripping(head: bytes, octet: bytes) -> Answer:
    """Send an octet every tenth of a second, until the client has had enough."""

    def drip(client: socket.socket) -> None:
        client.sendall(head)
        for _ in range(100):
            client.sendall(octet)
            time.sleep(0.1)

    return drip
