"""The released sources of Certbot and acme, with the patches of ``contrib/certbot``."""

import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from .bootstrap import CACHE, PYTHON, ROOT, environment, lock
from .environments import Environment

RELEASES = {"acme": "5.9.0", "certbot": "5.8.0"}
"""What the patches are for: the newest, in November 2026."""

PATCHES = sorted((ROOT / "contrib" / "certbot").glob("*.patch"))

SLEEPS = Path(__file__).with_name("sleeps") / "sitecustomize.py"
"""What keeps how long a Certbot sleeps, where Python finds it."""


def sources() -> Path:
    """Return a directory with the sources of each, below its name, as in Certbot's repository."""
    name = "-".join(f"{package}-{version}" for package, version in RELEASES.items())
    directory = CACHE / "upstream" / name
    with lock("upstream"):
        if not (directory / "whole").exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            subprocess.run(
                [
                    *(str(PYTHON), "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--no-build-isolation", "--no-binary", ",".join(RELEASES)),
                    *("--dest", str(directory)),
                    *(f"{package}=={version}" for package, version in RELEASES.items()),
                ],
                check=True,
                env=environment(),
                timeout=300,
            )
            for package, version in RELEASES.items():
                shutil.unpack_archive(directory / f"{package}-{version}.tar.gz", directory)
                (directory / f"{package}-{version}").rename(directory / package)
            (directory / "whole").touch()
    return directory


def patched(directory: Path) -> Path:
    """Copy the sources into ``directory``, which must not exist, and apply each patch in turn."""
    directory.mkdir()
    for package in RELEASES:
        shutil.copytree(sources() / package, directory / package)
    # Below a checkout, git would take the paths for those of the checkout.
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(directory.parent)}
    for patch in PATCHES:
        done = subprocess.run(
            ["git", "apply", "--verbose", "--whitespace=error-all", str(patch)],
            cwd=directory,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{patch.name}: {done.stderr}"
        assert "Applied patch" in done.stderr, f"{patch.name}: {done.stderr}"
    return directory


def certbot_from(source: Path, directory: Path, *, without: Collection[str] = ()) -> Environment:
    """Return an environment in ``directory`` whose ``certbot`` and ``acme`` are these sources."""
    made = Environment(directory, without=without)
    for package in RELEASES:
        (made.site / package).unlink()
        (made.site / package).symlink_to(source / package / "src" / package)
    return made
