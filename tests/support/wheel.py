"""Our package as users install it; only the standard library, as in :mod:`.bootstrap`."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from .bootstrap import CACHE, PYTHON, ROOT, environment, lock


@functools.cache
def wheel() -> Path:
    """Build our wheel with ``.venv``, once per process; return its path.

    It is built from a copy, so that it contains nothing that an earlier build left behind.
    """
    directory = CACHE / "wheel"
    with lock("wheel"), tempfile.TemporaryDirectory() as copy:
        shutil.rmtree(directory, ignore_errors=True)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy2(ROOT / name, copy)
        shutil.copytree(ROOT / "certbot_dns_persist", Path(copy, "certbot_dns_persist"))
        pip = [str(PYTHON), "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run(
            [*pip, "--wheel-dir", directory, copy],
            env=environment(),
            check=True,
        )
        (path,) = directory.glob("*.whl")
    return path
