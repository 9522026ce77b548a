"""The RPM: built by rpmbuild from the sdist.

Fedora's own macros are not to be had on Debian; there ``packaging/rpm/macros.fallback`` stands in
for them. What Fedora makes of the metadata (build dependencies, requirements) is not seen here.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.need import need
from support.packages import build

RPM = ROOT / "packaging" / "rpm"
MODULES = (
    "acme",
    "certbot",
    "dns",
    "hypothesis",
    "idna",
    "josepy",
    "pip",
    "pytest",
    "rich",
    "zope",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the source and the binary package."""
    need(shutil.which("rpmbuild"), "needs rpmbuild: package rpm or rpm-build")
    imported = ["/usr/bin/python3", "-c", f"import {', '.join(MODULES)}"]
    done = subprocess.run(imported, capture_output=True, text=True, check=False)
    need(done.returncode == 0, f"the system's Python lacks what is needed: {done.stderr[-100:]}")
    return build(tmp_path_factory.mktemp("rpm"), "rpm")


def test_rpmlint_finds_nothing(built: Path) -> None:
    need(shutil.which("rpmlint"), "needs rpmlint")
    checked = [*built.glob("*.rpm"), *RPM.glob("*.spec")]
    assert len(checked) == 3
    done = subprocess.run(
        ["rpmlint", "--config", RPM / "rpmlint.toml", *checked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 packages" in done.stdout.replace("2 packages and 1 specfiles", "3 packages")
    assert "0 errors, 0 warnings" in done.stdout, done.stdout


def test_the_package_holds_the_module_and_its_manual_and_no_tests(built: Path) -> None:
    (package,) = built.glob("*.noarch.rpm")
    listed = subprocess.run(
        ["rpm", "--query", "--list", "--package", package],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    kept = [name for name in listed if not name.startswith("/usr/share/doc/")]
    modules = [name for name in kept if "-packages/certbot_dns_persist" in name]
    assert any(name.endswith("-packages/certbot_dns_persist/py.typed") for name in modules)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in modules)
    others = {name.removesuffix(".gz") for name in kept} - set(modules)
    assert others == {
        "/usr/bin/certbot-dns-persist",
        "/usr/share/man/man1/certbot-dns-persist.1",
        "/usr/share/man/man7/certbot-dns-persist-plugin.7",
    }
