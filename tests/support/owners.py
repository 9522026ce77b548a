"""Files that belong to somebody else, for tests of root and of whoever may use sudo."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .need import need

NOBODY = pwd.getpwnam("nobody")


def as_root(*command: str) -> None:
    """Run a command with the rights of root; skip the test, or fail in CI, where we cannot."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    need(not sudo or shutil.which("sudo"), "only root can give files to somebody else")
    done = subprocess.run([*sudo, *command], capture_output=True, text=True, check=False)
    need(done.returncode == 0 or not sudo, f"sudo does not work: {done.stderr}")
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def given_to_nobody(*paths: Path) -> Iterator[None]:
    """Give files or links to the user nobody, and take them back at the end."""
    named = list(map(str, paths))
    as_root("chown", "-h", "nobody", *named)
    try:
        yield
    finally:
        as_root("chown", "-h", str(os.geteuid()), *named)
