"""Makes a name server look far away: forwards UDP with a delay, and loses some of it.

    far_away.py ADDRESS PORT TARGET TARGET_PORT SECONDS SHARE

SECONDS is the delay of each packet, so half of a round trip; SHARE of the packets is lost, 1 for a
dead server. For kernels without netem.
"""

import collections
import contextlib
import random
import selectors
import socket
import sys
import time

MAX_CLIENTS = 500
"""dig uses a new port for each question; the oldest are closed."""


def main(address: str, port: int, target: tuple[str, int], delay: float, share: float) -> None:
    selector = selectors.DefaultSelector()
    late: collections.deque[tuple[float, socket.socket, bytes, object]] = collections.deque()
    clients: collections.OrderedDict[object, socket.socket] = collections.OrderedDict()
    chance = random.Random(1)  # noqa: S311
    near = _socket()
    near.bind((address, port))
    selector.register(near, selectors.EVENT_READ, None)
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        for key, _ in selector.select(wait):
            with contextlib.suppress(OSError):
                while True:
                    packet, source = key.fileobj.recvfrom(65535)  # type: ignore[union-attr]
                    if chance.random() < share:
                        continue
                    due = time.monotonic() + delay
                    if key.fileobj is not near:
                        late.append((due, near, packet, key.data))
                        continue
                    if source not in clients:
                        clients[source] = _socket()
                        selector.register(clients[source], selectors.EVENT_READ, source)
                        if len(clients) > MAX_CLIENTS:
                            old = clients.popitem(last=False)[1]
                            selector.unregister(old)
                            old.close()
                    late.append((due, clients[source], packet, target))
        while late and late[0][0] <= time.monotonic():
            _, sock, packet, destination = late.popleft()
            with contextlib.suppress(OSError):
                sock.sendto(packet, destination)


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    return sock


if __name__ == "__main__":
    where, port, *target, seconds, lost = sys.argv[1:]
    main(where, int(port), (target[0], int(target[1])), float(seconds), float(lost))
