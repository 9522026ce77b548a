"""Forks for each run of one Python program, after importing what the program imports.

    PYTHON warm_server.py PROGRAM SOCKET

Started by ``warm.py``, with the Python of the program. It prints a line when it is ready, and ends
when its standard input is closed.
"""

import atexit
import functools
import gc
import importlib
import importlib.metadata
import json
import os
import pkgutil
import random
import runpy
import select
import signal
import socket
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any, NoReturn

LIKELY = (
    "certbot._internal.main",
    "certbot_dns_persist",
    "dns.resolver",
    "dns.tsigkeyring",
    "dns.update",
    "rich.live",
    "rich.progress",
    "rich.table",
)
"""What the programs import, if it is here."""

GROUPS = ("certbot.plugins", "letsencrypt.plugins", "certbot_dns_persist.providers")
"""The groups of entry points that the programs ask for."""

POLLING = ("acme.client", "certbot._internal.auth_handler")
"""What waits for the CA, a second before each first look."""


def load(program: str) -> None:
    """Import what runs of ``program`` are likely to import, and read what is installed."""
    # Nothing is installed meanwhile, and a run asks for each group several times.
    once = functools.cache(importlib.metadata.entry_points)
    importlib.metadata.entry_points = once  # type: ignore[assignment]
    for group in GROUPS:
        importlib.metadata.entry_points(group=group)
    for name in LIKELY:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    if Path(program).name == "certbot":
        for entry in importlib.metadata.entry_points(group="certbot.plugins"):
            entry.load()
    ours = importlib.import_module("certbot_dns_persist")
    for module in pkgutil.walk_packages(ours.__path__, f"{ours.__name__}."):
        importlib.import_module(module.name)
    for name in POLLING:
        hasten(sys.modules.get(name))
    gc.collect()
    gc.freeze()


def hasten(module: Any) -> None:
    """Let a module wait a quarter as long; the matrix's runs wait as Certbot does.

    These seconds would be most of what the tests wait for, and nothing of ours depends on them.
    """
    if module is not None:
        sooner = {**vars(time), "sleep": lambda seconds: time.sleep(seconds / 4)}
        module.time = types.SimpleNamespace(**sooner)


def serve(path: str) -> socket.socket:
    """Accept runs until standard input is closed; return, in each fork, its connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                sys.exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                return connection
            connection.close()


def watch(connection: socket.socket) -> dict[str, Any]:
    """Fork once more; return what to run in the fork, and tell here how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as told:
        work: dict[str, Any] = json.loads(told.read())
    child = os.fork()
    if child == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        return work
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(work: dict[str, Any]) -> None:
    """Be what a new Python would be for this run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(work["env"])
    os.chdir(work["cwd"])
    os.umask(work["umask"])
    time.tzset()
    random.seed()
    sys.argv = work["command"]
    sys.stdin = open(0, encoding=sys.stdin.encoding, closefd=False)  # noqa: SIM115
    sys.stdout = _writer(1, sys.stdout)
    sys.stderr = _writer(2, sys.stderr)


def _writer(number: int, before: Any) -> Any:
    return open(
        number,
        "w",
        encoding=before.encoding,
        errors=before.errors,
        buffering=1 if number == 2 or os.isatty(number) else -1,
        closefd=False,
    )


def run(program: str) -> NoReturn:
    """Run the program and end, without the time that Python takes to forget its modules."""
    status: object = None
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 (whatever it is, Python itself would show it)
        sys.excepthook(*sys.exc_info())
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    program, place = sys.argv[1:]
    sys.path.pop(0)  # this file's directory
    load(program)
    become(watch(serve(place)))
    run(program)
