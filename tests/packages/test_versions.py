"""setup.py says the version; whoever has to repeat it says the same."""

import re
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.companion import PROGRAM, run
from support.packages import version


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("debian/changelog", r"\Apython-certbot-dns-persist \((.+)-\d+\) "),
        ("packaging/rpm/python-certbot-dns-persist.spec", r"^Version: +(\S+)$"),
        ("packaging/rpm/python-certbot-dns-persist.spec", r"^%changelog\n\*.* - (\S+)-\d+$"),
    ],
)
def test_a_package_has_the_version_of_setup_py(path: str, pattern: str) -> None:
    found = re.search(pattern, (ROOT / path).read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == version()


def test_the_command_says_which_release_it_is(tmp_path: Path) -> None:
    done = run([PROGRAM, "--version"], keep=tmp_path / "output.log")
    assert (done.returncode, done.error) == (0, "")
    assert done.out == f"certbot-dns-persist {version()}\n"
