"""A DNS server over TCP that has another one answer, as far as a test lets it.

::

    with Impostor(lambda request: passed_on(request, bind.primary)) as impostor:
        connect("127.0.0.1", impostor.port)
"""

import socket
import socketserver
import threading
from collections.abc import Callable

import dns.opcode

from .bind import Server
from .stoppable import Stoppable

Answer = Callable[[bytes], bytes | None]
"""From one DNS message to another; ``None`` hangs up."""


class Impostor(Stoppable):
    """At a port of 127.0.0.1, from construction until :meth:`stop`."""

    def __init__(self, answer: Answer, *, once: bool = False) -> None:
        """``once`` is whether it closes each connection after an answer."""

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while len(length := self.rfile.read(2)) == 2:
                    reply = answer(self.rfile.read(int.from_bytes(length, "big")))
                    if reply is None:
                        return
                    self.wfile.write(len(reply).to_bytes(2, "big") + reply)
                    if once:
                        return

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def is_update(request: bytes) -> bool:
    return request[2] >> 3 & 15 == dns.opcode.UPDATE


def passed_on(request: bytes, server: Server) -> bytes:
    """Return the answer of ``server``."""
    with socket.create_connection((server.address, 53)) as connection:
        connection.sendall(len(request).to_bytes(2, "big") + request)
        with connection.makefile("rb") as stream:
            return stream.read(int.from_bytes(stream.read(2), "big"))
