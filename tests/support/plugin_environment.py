"""Plugins from the package index, each with its libraries in a directory of its own.

The directories are kept below ``.cache``. What a plugin shares with the others (Certbot, requests,
dnspython, Lexicon) comes from ``.venv``.
"""

import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .bootstrap import CACHE, PYTHON, ROOT, environment, lock

_SECONDS = 120
"""How long a step may take on a busy machine."""


def installed(requirements: Sequence[str]) -> Path:
    """Return a directory with these packages, and nothing else; each is pinned."""
    assert all("==" in each for each in requirements)
    mark = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]
    directory = CACHE / "plugins" / f"{requirements[0].replace('==', '-')}-{mark}"
    with lock(f"plugin-{mark}"):
        if not (directory / "whole").exists():
            shutil.rmtree(directory, ignore_errors=True)
            subprocess.run(
                [
                    *(str(PYTHON), "-m", "pip", "install", "--quiet", "--no-deps"),
                    *("--target", str(directory), *requirements),
                ],
                check=True,
                env=environment(),
                timeout=300,
            )
            (directory / "whole").touch()
    return directory


class Child:
    """A process that uses one plugin: see ``plugin_child``."""

    def __init__(self, site: Path | None, spec: dict[str, Any]) -> None:
        paths = [ROOT, ROOT / "tests", *([site] if site else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "support.plugin_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "no_proxy": "127.0.0.1,localhost",
                # Certbot and plugins may look here, and at nothing else of the user's.
                "HOME": str(spec["directory"]),
            },
            text=True,
        )
        self._say(spec)

    def do(self, action: str, name: str, value: str = "") -> str | None:
        """Return what the error says, or ``None``; ``action`` is load, add or remove."""
        self._say([action, name, value])
        answers: IO[str] = self._process.stdout  # type: ignore[assignment]
        deadline = time.monotonic() + _SECONDS
        while not select.select([answers], [], [], 1)[0]:
            assert time.monotonic() < deadline, f"{action} {name} took too long"
        line = answers.readline()
        assert line, f"the process ended with {self._process.wait(10)}"
        told = json.loads(line)
        self.told: list[str] = told["told"]
        error: str | None = told["error"]
        return error

    def stop(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()

    def _say(self, what: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{json.dumps(what)}\n")
        self._process.stdin.flush()
