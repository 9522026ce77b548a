"""Tools that read the files for other systems, in an environment of their own: they are large."""

import shutil
import subprocess
import sys
from pathlib import Path

from .bootstrap import CACHE, environment, lock

REQUIREMENTS = [
    "ansible-core==2.19.14",
    "ansible-lint==26.10.1",
    "py-rattler-build==0.73.0",  # renders recipes of conda-forge
]
"""They need Python 3.11."""


def program(name: str) -> Path:
    """Return a program of the environment, such as ``python``; make the environment if needed."""
    venv = CACHE / "channel-tools"
    wanted = "\n".join([sys.version, *REQUIREMENTS])
    stamp = venv / "made-from"
    with lock("channel-tools"):
        if not stamp.is_file() or stamp.read_text() != wanted:
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            pip = [str(venv / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS]
            subprocess.run(pip, env=environment(), check=True)
            stamp.write_text(wanted)
    return venv / "bin" / name
