"""Virtual environments: ``.venv`` to run in, others to compare, below ``.cache/benchmarks``."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from support import bootstrap
from support.wheel import wheel

OURS = "certbot-dns-persist"
DIRECTORY = bootstrap.CACHE / "benchmarks"


VERSION = "import importlib.metadata; print(importlib.metadata.version('certbot'))"


def need(*programs: str) -> None:
    """Exit if one of the system's programs is missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [program for program in programs if not shutil.which(program, path=path)]
    if missing:
        sys.exit(f"This benchmark needs {', '.join(missing)}.")


def enter_venv() -> None:
    """Run this program again in ``.venv``, unless it is in there; make that first.

    From then on, a signal that ends it also ends what it has started.
    """
    if Path(sys.prefix) != bootstrap.VENV:
        bootstrap.make_venv()
        command = [str(bootstrap.PYTHON), *sys.argv]
        os.execve(command[0], command, bootstrap.environment())  # noqa: S606
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def bare_certbot() -> tuple[Path, str]:
    """Return an environment of Certbot alone, and its version, to compare others with."""
    venv = environment("certbot", ["certbot"])
    done = subprocess.run(
        [venv / "bin" / "python", "-c", VERSION], capture_output=True, text=True, check=True
    )
    return venv, done.stdout.strip()


def ours() -> Path:
    """Return an environment of that Certbot and our package, as it is after an installation."""
    _, version = bare_certbot()
    return environment(OURS, [f"certbot=={version}", wheel()])


def environment(name: str, packages: Sequence[str | Path]) -> Path:
    """Return the virtual environment ``name`` with these packages for pip, paths of wheels and of
    sources too.

    It uses ``.venv``'s Python, and is made if it is missing or was made from something else.
    """
    paths = [package for package in packages if isinstance(package, Path)]
    contents = [file.read_bytes() for path in paths for file in _files(path)]
    wanted = repr([bootstrap.PYTHON.resolve(), *packages]).encode()
    made_from = hashlib.sha256(b"".join([wanted, *contents])).hexdigest()
    venv = DIRECTORY / name
    stamp = venv / "made-from"
    if not stamp.is_file() or stamp.read_text() != made_from:
        print(f"Installing {' '.join(map(str, packages))} into {venv} ...", flush=True)
        _run([bootstrap.PYTHON, "-m", "venv", "--clear", venv])
        with tempfile.TemporaryDirectory() as place:
            copies = [_copy(package, Path(place)) for package in packages]
            _run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", *copies])
        stamp.write_text(made_from)
    return venv


def _files(path: Path) -> list[Path]:
    """Return the wheel itself, or what a package is built from."""
    return [path] if path.is_file() else sorted(path.glob("*.py"))


def _copy(package: str | Path, place: Path) -> str | Path:
    """Return a copy of a package's sources, for pip to write into; a wheel or a name as it is."""
    if not isinstance(package, Path) or package.is_file():
        return package
    copy = place / package.name
    copy.mkdir()
    for file in _files(package):
        shutil.copy2(file, copy)
    return copy


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, env=bootstrap.environment(), check=True)
