"""Child processes that become ready, log to a file and end; addresses and ports for them."""

import collections
import contextlib
import fcntl
import functools
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from .bootstrap import CACHE
from .stoppable import Stoppable

READY_SECONDS = 20.0
STOP_SECONDS = 5.0

CLAIM_PORT = 53053
"""The process that holds this UDP port of a loopback address owns it: see claim_address()."""

_claims: dict[str, socket.socket] = {}

_given: collections.deque[int] = collections.deque(maxlen=200)
"""The ports that were given last; their servers may not listen yet."""


class Process(Stoppable):
    """A server that runs until :meth:`stop`, with its output in a log file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
    ) -> None:
        """``user`` is the number of another user to run as, which only root can."""
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                user=user,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ended(self) -> bool:
        return self._child.poll() is not None

    def wait_until(self, ready: Callable[[], bool], what: str = "answers") -> None:
        """Poll until ``ready()``; if that fails, raise an error with the process's log."""
        try:
            wait_until(lambda: self._child.poll() is not None or ready(), f"{self.name} {what}")
        except TimeoutError as error:
            self.stop()
            raise RuntimeError(f"{error}; its log:\n{self.log.read_text()}") from error
        if self._child.poll() is not None:
            raise RuntimeError(
                f"{self.name} ended with status {self._child.returncode} before it {what};"
                f" its log:\n{self.log.read_text()}"
            )

    def wait_for_end(self) -> int:
        """Wait until the process ends by itself; return its exit status."""
        return self._child.wait(READY_SECONDS)

    def stop(self) -> None:
        """End the process and wait for its end."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
        self._child.wait()


def wait_until(ready: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Poll until ``ready()`` is true; raise :class:`TimeoutError` naming ``what`` if it is not."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} seconds still waiting until {what}")
        time.sleep(0.02)


def find_program(name: str) -> str | None:
    """Return the path of a program, also in the administrator's directories."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of ``address`` that is free for both TCP and UDP, and promised to nobody else.

    Not from the range that the kernel gives to outgoing connections, so that none of those takes
    it before the server does. A lock on one byte of a file keeps other test processes from giving
    the same port, until this one has given many others.
    """
    locks = _port_locks()
    while True:
        port = random.randint(10000, 32000)  # noqa: S311
        if port in _given:
            continue
        with contextlib.suppress(OSError), bound(address, port):
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            if len(_given) == _given.maxlen:
                fcntl.lockf(locks, fcntl.LOCK_UN, 1, _given[0])
            _given.append(port)
            return port


@functools.cache
def _port_locks() -> IO[bytes]:
    CACHE.mkdir(exist_ok=True)
    return (CACHE / "ports").open("ab")


@contextlib.contextmanager
def bound(address: str, port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Hold ``port`` of ``address``: a UDP socket and a TCP socket that does not listen yet."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as udp,
        socket.socket(family, socket.SOCK_STREAM) as tcp,
    ):
        udp.bind((address, port))
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((address, port))
        yield udp, tcp


def claim_address() -> str:
    """Return a loopback address that no other test process uses while this one runs.

    Authoritative servers use port 53, as real ones do, so two of them need two addresses. A socket
    on an unused port marks an address as taken, also for other test processes.
    """
    for _ in range(100):
        octets = (random.randint(16, 250), random.randint(0, 255), random.randint(1, 254))  # noqa: S311
        address = "127." + ".".join(map(str, octets))
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((address, CLAIM_PORT))
        except OSError:
            claim.close()
        else:
            _claims[address] = claim
            return address
    raise RuntimeError("no loopback address besides 127.0.0.1 can be used on this machine")


def release_address(address: str) -> None:
    """Give an address of :func:`claim_address` back."""
    _claims.pop(address).close()


def can_bind_port_53() -> bool:
    """Whether we may run name servers on port 53 of loopback addresses of their own."""
    try:
        address = claim_address()
    except RuntimeError:
        return False
    try:
        with bound(address, 53):
            return True
    except OSError:
        return False
    finally:
        release_address(address)


def can_mount() -> bool:
    """Whether a file can be mounted over the machine's ``resolv.conf``, for a process of ours."""
    probe = ["unshare", "--mount", "mount", "--bind", "/dev/null", "/etc/resolv.conf"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
