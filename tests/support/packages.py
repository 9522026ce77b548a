"""Packages of this checkout, as ``packaging/build`` makes them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .bootstrap import ROOT
from .need import need


def build(
    output: Path, *formats: str, root: Path = ROOT, env: Mapping[str, str] | None = None
) -> Path:
    """Build a checkout's packages of these formats into ``output``; return that."""
    tracked(root)
    done = subprocess.run(
        [sys.executable, str(root / "packaging" / "build"), "--output", str(output), *formats],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return output


def tracked(root: Path = ROOT) -> set[str]:
    """Return the names of the files that git tracks and that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False
    )
    need(listed.returncode == 0, f"needs a clone of the repository: {listed.stderr.strip()}")
    return {name for name in listed.stdout.split("\0") if name and (root / name).exists()}


def version() -> str:
    """Return the version, from the one place that defines it."""
    setup = (ROOT / "setup.py").read_text()
    (found,) = re.finditer(r'^    version="([^"]+)"', setup, re.MULTILINE)
    return found[1]
