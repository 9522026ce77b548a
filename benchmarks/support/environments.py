"""Virtual environments to compare, below ``.cache/benchmarks``."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support import bootstrap

DIRECTORY = bootstrap.CACHE / "benchmarks"


def environment(name: str, packages: Sequence[str | Path]) -> Path:
    """Return the virtual environment ``name`` with these packages for pip, paths of wheels too.

    It is of ``.venv``'s Python, and made when it is not there or was made from something else.
    """
    wheels = [path.read_bytes() for path in packages if isinstance(path, Path)]
    wanted = repr([bootstrap.PYTHON.resolve(), *packages]).encode()
    made_from = hashlib.sha256(b"".join([wanted, *wheels])).hexdigest()
    venv = DIRECTORY / name
    stamp = venv / "made-from"
    if not stamp.is_file() or stamp.read_text() != made_from:
        print(f"Installing {' '.join(map(str, packages))} into {venv} ...", flush=True)
        _run([bootstrap.PYTHON, "-m", "venv", "--clear", venv])
        _run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", *packages])
        stamp.write_text(made_from)
    return venv


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, env=bootstrap.environment(), check=True)
