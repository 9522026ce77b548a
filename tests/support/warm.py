"""Runs of Python programs that do not import everything again.

Half of what a run of ``certbot`` costs is its imports. So the first run of a program starts a
server (``warm_server.py``) with the Python of that program, which imports once and then forks for
each run: the program itself, in a process of its own, with the arguments, environment, directory
and streams of that run.
"""

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .bootstrap import CACHE, VENV

SERVER = Path(__file__).with_name("warm_server.py")

KEPT = (CACHE / "certbot" / "bin", VENV / "bin")
"""Where the programs are that are run again and again."""

AT_START = ("PYTHON", "LANG", "LC_", "LANGUAGE", "COVERAGE_PROCESS_START")
"""What a Python reads when it starts, so that a fork would not see another value."""


def run(
    command: list[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: str = "",
    merged: bool = False,
    seconds: float,
) -> "subprocess.CompletedProcess[str]":
    """Run a program to the end; with ``merged``, standard output has standard error, too.

    Raises :class:`subprocess.TimeoutExpired` after ``seconds``.
    """
    if can_fork(Path(command[0]), env):
        return _run_warm(command, env, cwd, stdin, merged, seconds)
    return subprocess.run(
        command,
        env=env,
        cwd=cwd,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        text=True,
        timeout=seconds,
        check=False,
    )


def can_fork(program: Path, env: Mapping[str, str]) -> bool:
    """Whether the run cannot differ from one of a new Python."""
    return (
        sys.platform == "linux"
        and program.parent in KEPT
        and "COVERAGE_PROCESS_START" not in env
        and _at_start(env) == _at_start(os.environ)
    )


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(AT_START)}


def _run_warm(
    command: list[str],
    env: Mapping[str, str],
    cwd: Path | None,
    stdin: str,
    merged: bool,
    seconds: float,
) -> "subprocess.CompletedProcess[str]":
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as error,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        given.write(stdin)
        given.flush()
        given.seek(0)
        connection.settimeout(seconds)
        connection.connect(_server(command[0]))
        streams = [given.fileno(), out.fileno(), (out if merged else error).fileno()]
        socket.send_fds(connection, [b"."], streams)
        mask = os.umask(0)
        os.umask(mask)
        work = {"command": command, "env": dict(env), "cwd": str(cwd or Path.cwd()), "umask": mask}
        connection.sendall(json.dumps(work).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as told:
            pid = int(told.readline())
            try:
                status = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, seconds) from None
        out.seek(0)
        error.seek(0)
        return subprocess.CompletedProcess(command, status, out.read(), error.read())


@functools.cache
def _server(program: str) -> str:
    """Start a server for ``program``; return the path of its socket.

    It ends with this process, which holds the other end of its standard input.
    """
    directory = tempfile.TemporaryDirectory(prefix="warm")
    atexit.register(directory.cleanup)
    path = str(Path(directory.name, "socket"))
    python = Path(program).read_text().partition("\n")[0].removeprefix("#!").strip()
    server = subprocess.Popen(
        [python, str(SERVER), program, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin
    assert server.stdout
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    if not server.stdout.readline():
        raise RuntimeError(f"{SERVER} could not load what {program} imports")
    return path
