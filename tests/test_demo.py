"""``examples/demo``, as somebody without rights runs it who has just cloned the repository."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.bootstrap import ROOT, VENV
from support.need import need
from support.packages import tracked

MEGABYTE = 1_000_000
MOST = 400 * MEGABYTE
SECONDS = 1200.0

NO_NETWORK = {
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "localhost,127.0.0.1",
}


@pytest.fixture
def user() -> pwd.struct_passwd:
    """Who runs it: we, or nobody where we are root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.getuid())


@pytest.fixture
def home(user: pwd.struct_passwd) -> Iterator[Path]:
    """A home directory with a fresh copy of the checkout and nothing else."""
    # Nobody may not even go through the directories where the other tests write.
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as directory:
        home = Path(directory)
        for name in tracked():
            copy = home / "checkout" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)
        for path in (home, *home.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
        yield home


@pytest.mark.long
def test_where_the_tests_are_installed_nothing_else_is_installed() -> None:
    need(Path(sys.prefix) == VENV, "tests/run has not installed these tests")
    command = [sys.executable, str(ROOT / "examples" / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fetches" not in done.stdout
    assert "Result" in done.stdout


@pytest.mark.packages  # it installs and builds all of it, as nothing else shows what that leaves
def test_a_first_run_keeps_what_it_says_and_a_second_one_needs_no_network(
    user: pwd.struct_passwd, home: Path
) -> None:
    checkout = home / "checkout"
    before = size(checkout)

    first = run(user, home)
    (announced,) = re.findall(r"keeps about (\d+) MB", first)
    assert size(checkout) <= MOST
    assert size(checkout) - before <= 1.5 * int(announced) * MEGABYTE
    assert [path.name for path in home.iterdir()] == ["checkout"]
    assert not [*(checkout / ".cache" / "tmp").iterdir()]

    second = run(user, home, NO_NETWORK)
    assert "fetches" not in second
    assert "Result" in second


def run(user: pwd.struct_passwd, home: Path, env: Mapping[str, str] | None = None) -> str:
    """Run the demo to its end, with a PATH where no Go is; return what it said.

    It succeeds, and no process is left.
    """
    python = shutil.which("python3", path=os.defpath)
    need(python is not None, f"no python3 in {os.defpath}, which nobody may run, too")
    is_root = os.geteuid() == 0
    process = subprocess.Popen(
        [str(python), home / "checkout" / "examples" / "demo"],
        cwd=home,
        env={**os.environ, "HOME": str(home), "PATH": str(home / "bin"), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        user=user.pw_uid if is_root else None,
        group=user.pw_gid if is_root else None,
        extra_groups=[] if is_root else None,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return said


def size(directory: Path) -> int:
    """Return how much of the disk a directory takes, in octets."""
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))
