"""A self-contained checkout: ``.venv``, ``.cache`` and nothing outside them.

Only the standard library: ``tests/run`` and ``examples/demo`` import this with whatever Python 3
the machine has, before anything is installed.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = "made-from"
"""The file in a virtual environment that says what :func:`make_venv` made it from."""


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock ``name``, which only one process of this checkout can have."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def temporary() -> Path:
    """Return where temporary files go: below ``.cache``, but for root in somebody else's checkout.

    There our programs would trust nothing that tests write, as others could change it.
    """
    above = [place.stat() for place in CACHE.parents] if os.geteuid() == 0 else []
    if any(each.st_uid or (each.st_mode & 0o022 and not each.st_mode & 0o1000) for each in above):
        return Path(tempfile.gettempdir())
    below = CACHE / "tmp"
    below.mkdir(parents=True, exist_ok=True)
    return below


def environment() -> dict[str, str]:
    """Return our environment, with every place that tools write to moved below ``.cache``.

    Only Python's bytecode stays beside the modules, even if bytecode is turned off: a run starts
    more than a thousand processes, and each would compile our package again.
    """
    (CACHE / "pip").mkdir(parents=True, exist_ok=True)
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **ours,
        "TMPDIR": str(temporary()),
        "PIP_CACHE_DIR": str(CACHE / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "RUFF_CACHE_DIR": str(CACHE / "ruff"),
        "MYPY_CACHE_DIR": str(CACHE / "mypy"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
    }


def workers() -> int:
    """Return how many tests to run at a time; most of them wait for servers and processes."""
    return 4 * (os.cpu_count() or 1)


def is_current(venv: Path = VENV) -> bool:
    """Whether :func:`make_venv` has nothing to do."""
    return _made_from(venv) == _to_make_from()


def make_venv(venv: Path = VENV, extra: str = "[test]") -> Path:
    """Make a virtual environment with the package (editable) and an extra, unless it is current.

    Current means: of this Python, in this place, and installed from these setup files. Return its
    Python.
    """
    python = venv / "bin" / "python"
    with lock(venv.name.strip(".")):
        before, wanted = _made_from(venv), _to_make_from()
        if before == wanted:
            return python
        if venv.exists() and not before:
            raise SystemExit(
                f"{venv} is a virtual environment that this checkout did not make. Rename it, or "
                "delete it if nobody needs it, then try again."
            )
        print(f"Installing into {venv} (takes a minute, once) ...", flush=True)
        stamp = venv / STAMP
        if before[:1] != wanted[:1]:
            make = [sys.executable, "-m", "venv", "--clear", str(venv)]
            try:
                made = subprocess.run(make, env=environment(), check=False)
            finally:
                if venv.exists():  # it is ours, even if interrupted
                    stamp.write_text("not finished")
            if made.returncode:
                raise SystemExit("Cannot make a virtual environment (Debian: python3-venv).")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}{extra}"]
        if subprocess.run(pip, env=environment(), check=False).returncode:
            raise SystemExit("Cannot install the package and what it needs here: see pip above.")
        stamp.write_text("\n".join(wanted))
    return python


def _made_from(venv: Path) -> list[str]:
    """Return what an environment was made from; nothing if it was not made here."""
    stamp = venv / STAMP
    return stamp.read_text().splitlines() if stamp.is_file() else []


def _to_make_from() -> list[str]:
    """Return what one would be made from now: Python and place, then the setup files."""
    setup = b"".join((ROOT / name).read_bytes() for name in ("setup.py", "pyproject.toml"))
    return [
        f"{ROOT} {sys.base_prefix} {platform.python_version()}",
        hashlib.sha256(setup).hexdigest(),
    ]
