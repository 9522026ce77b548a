"""Port 53 of an address for a server that listens elsewhere.

BIND only listens on addresses of an interface, and a machine's loopback interface has one. Other
programs can use all of 127.0.0.0/8, so this one forwards what arrives there.
"""

import contextlib
import select
import socket
import socketserver
import threading

SECONDS = 10.0
"""How long an answer may take before a question is given up."""


class Relay:
    """Forwards UDP and TCP, from construction until :meth:`stop`."""

    def __init__(
        self, address: str, port: int, target: tuple[str, int], source: str = "127.0.0.1"
    ) -> None:
        """``source`` is the address that ``target`` takes for the client's."""
        self._servers = [
            _TCPServer((address, port), _tcp_handler(target, source)),
            _UDPServer((address, port), _udp_handler(target, source)),
        ]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _TCPServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _UDPServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False


def _udp_handler(target: tuple[str, int], source: str) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, ours = self.request
            with (
                contextlib.suppress(OSError),  # a server that is down stays silent here, too
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
            ):
                server.settimeout(SECONDS)
                server.bind((source, 0))
                server.connect(target)
                server.send(wire)
                ours.sendto(server.recv(65535), self.client_address)

    return Handler


def _tcp_handler(target: tuple[str, int], source: str) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client = self.request
            with (
                contextlib.suppress(OSError),
                socket.create_connection(
                    target, timeout=SECONDS, source_address=(source, 0)
                ) as server,
            ):
                other = {client: server, server: client}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        octets = ready.recv(65536)
                        if not octets:
                            return
                        other[ready].sendall(octets)

    return Handler
