"""The compatibility matrix: releases of Certbot and Python, and the oldest packages that we allow.

    .venv/bin/nox [--session NAME]
    .venv/bin/nox --session mutants
    .venv/bin/nox --session plugins

``tests/run`` makes ``.venv``. Each row is a session with an environment of its own below
``.cache/nox``, into which the package is installed as users have it, from a wheel; the tests that
are marked ``every_certbot``, and with the oldest also those marked ``oldest_certbot``, then run in
``.venv`` as usual and call that environment's ``certbot``. A table of all rows comes last.

``plugins`` tries other people's plugins, as ``tests/plugins`` says.

``mutants``, which only runs when it is named, measures the unit tests: see
``tests/support/mutants.py``.
"""

import dataclasses
import functools
import json
import os
import re
import secrets
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent / "tests"))

from support import bootstrap, tools
from support.wheel import wheel

# Upper bounds that older releases need but do not declare.
PKG_RESOURCES = "setuptools<82"  # which dropped pkg_resources, and Certbot imports it until 2.6
JOSEPY = "josepy<2"  # which dropped ComparableX509
PYOPENSSL = "pyOpenSSL<26.2"  # which dropped X509Extension, and 26.3 X509Req (josepy until 1.15)

DEBIAN_12 = [
    # These decide whether the oldest packages that we allow work.
    "pyOpenSSL==23.0.0",
    "setuptools==66.1.1",  # one whose pkg_resources is particular about names: see setup.py
]


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    pythons: tuple[str, ...]
    """The first of them that is installed is used."""
    packages: list[str]
    """For pip, besides the package itself; what is not pinned is the newest that fits."""


def oldest() -> list[str]:
    """Return what setup.py requires, each at its lower bound."""
    setup = (bootstrap.ROOT / "setup.py").read_text(encoding="utf-8")
    required = setup.partition("INSTALL_REQUIRES = [")[2].partition("\n]")[0]
    return [f"{name}=={least}" for name, least in re.findall('"([^">]+)>=([^"]+)"', required)]


def newest_on(python: str) -> Row:
    return Row(f"python-{python}", (python,), ["acme", "certbot"])


ROWS = [
    Row("oldest", ("3.11", "3.10"), [*oldest(), *DEBIAN_12]),
    Row(
        "certbot-2.6",
        ("3.10", "3.11"),
        ["acme==2.6.*", "certbot==2.6.*", JOSEPY, PYOPENSSL, PKG_RESOURCES],
    ),
    Row("certbot-2.11", ("3.12", "3.11", "3.10"), ["acme==2.11.*", "certbot==2.11.*", PYOPENSSL]),
    Row("certbot-3", ("3.11", "3.12", "3.10"), ["acme==3.*", "certbot==3.*", PYOPENSSL]),
    Row("certbot-4", ("3.12", "3.11", "3.10"), ["acme==4.*", "certbot==4.*"]),
    *map(newest_on, ("3.10", "3.11", "3.12", "3.13", "3.14")),
]

COSMIC_RAY = "cosmic-ray==8.7.0"  # another version makes other mutants

SHOWN = ("certbot", "acme", "josepy", "dnspython", "rich", "zope.interface", "cryptography")

NOT_HERE = "not here"
NOT_RUN = "not run"

VERSIONS = f"""\
import importlib.metadata, json, platform
versions = {{name: importlib.metadata.version(name) for name in {SHOWN}}}
print(json.dumps({{"python": platform.python_version(), **versions}}))
"""

nox.needs_version = ">=2023.4.22"
nox.options.envdir = str(bootstrap.CACHE / "nox")
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False  # "not here", also in CI
nox.options.sessions = [*(row.name for row in ROWS), "table"]

# Where virtualenv keeps the wheels of pip; otherwise below the home directory.
os.environ["VIRTUALENV_OVERRIDE_APP_DATA"] = str(bootstrap.CACHE / "virtualenv")

results: dict[str, str] = {}
installed: dict[str, dict[str, str]] = {}


def candidates(version: str) -> Iterator[Path]:
    """Yield where a Python of that version may be: on the path, or in pyenv's usual places."""
    for directory in os.get_exec_path():
        yield Path(directory, f"python{version}")
    for root in (os.environ.get("PYENV_ROOT"), "~/.pyenv", "/opt/pyenv", "/usr/local/pyenv"):
        if root:
            versions = Path(root).expanduser() / "versions"
            yield from sorted(versions.glob(f"{version}.*/bin/python{version}"))


@functools.cache
def find_python(version: str) -> str | None:
    """Return a Python program of that version, ``None`` if there is none.

    It is run to find out: pyenv's programs on the path may not have one.
    """
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in candidates(version):
        if os.access(path, os.X_OK):
            done = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
            if done.stdout.strip() == version:
                return str(path)
    return None


def python_of(row: Row) -> str | None:
    return next(filter(None, map(find_python, row.pythons)), None)


def declare(row: Row) -> None:
    """Make a session of a row."""

    @nox.session(name=row.name, python=python_of(row) or False)
    def session(session: nox.Session) -> None:
        session.notify("table")
        if python_of(row) is None:
            session.skip(f"Python {' or '.join(row.pythons)} is not here")
        results[row.name] = "FAILED"
        bootstrap.make_venv()
        tools.pebble()
        session.install("--upgrade", *row.packages, str(wheel()), env=bootstrap.environment())
        # Again, for a package that has changed without a new version.
        session.install("--force-reinstall", "--no-deps", str(wheel()), env=bootstrap.environment())
        shown = session.run("python", "-c", VERSIONS, silent=True)
        installed[row.name] = json.loads(str(shown))
        results[row.name] = run_tests(session, row)

    session.__doc__ = f"Run the tests with {', '.join(row.packages)}."


def run_tests(session: nox.Session, row: Row) -> str:
    """Run the marked tests; return how many passed, or end the session if one fails."""
    marked = "every_certbot or oldest_certbot" if row is ROWS[0] else "every_certbot"
    report = Path(session.create_tmp()) / "report.xml"
    session.run(
        *(str(bootstrap.PYTHON), "-m", "pytest", "-m", marked, "--quiet"),
        *("-n", str(bootstrap.workers()), "--dist", "worksteal"),
        *("-o", f"cache_dir={bootstrap.CACHE / 'pytest'}", f"--junitxml={report}"),
        *session.posargs,
        env={**bootstrap.environment(), "CERTBOT": str(Path(session.bin, "certbot"))},
        external=True,
    )
    (suite,) = xml.etree.ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314
    skipped = int(suite.attrib["skipped"])
    passed = int(suite.attrib["tests"]) - skipped
    if not passed:
        session.error("nothing was tested")
    return f"{passed} passed" + (f", {skipped} skipped" if skipped else "")


for each in ROWS:
    declare(each)


@nox.session(python=False)
def table(session: nox.Session) -> None:
    """Show what the other sessions installed, and their results."""
    lines = [["row", "python", *SHOWN, "result"]]
    for row in ROWS:
        missing = NOT_RUN if python_of(row) else NOT_HERE
        versions = installed.get(row.name, {})
        cells = [versions.get(name, "") for name in ("python", *SHOWN)]
        lines.append([row.name, *cells, results.get(row.name, missing)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print(flush=True)
    if not results:
        session.error("no row could be run")


@nox.session(python=False)
def trial(session: nox.Session) -> None:
    """Try random operations for an hour, or as many as are given, with a new seed or a given one.

    ``nox -s trial -- HOURS SEED``; the seed is printed.
    """
    hours = float(session.posargs[0]) if session.posargs else 1.0
    seed = session.posargs[1] if session.posargs[1:] else str(secrets.randbits(32))
    session.log(f"seed {seed}")
    bootstrap.make_venv()
    session.run(
        *(str(bootstrap.PYTHON), "-m", "pytest", "-m", "long", "--quiet", "-s"),
        *("-o", f"cache_dir={bootstrap.CACHE / 'pytest'}"),
        "tests/change/test_random_operations.py",
        "tests/test_side_by_side.py",
        # There are four services, and the commands with BIND.
        env={
            **bootstrap.environment(),
            "RANDOM_SEED": seed,
            "RANDOM_SECONDS": str(hours * 720),
        },
        external=True,
    )


@nox.session(python=False)
def plugins(session: nox.Session) -> None:
    """Try other people's plugins from the package index; show and write what came of each."""
    bootstrap.make_venv()
    report = bootstrap.CACHE / "plugins.xml"
    try:
        session.run(
            *(str(bootstrap.PYTHON), "-m", "pytest", "-m", "plugins", "--quiet"),
            *("-n", str(bootstrap.workers()), "--dist", "worksteal"),
            *("-o", f"cache_dir={bootstrap.CACHE / 'pytest'}", f"--junitxml={report}"),
            *session.posargs,
            env=bootstrap.environment(),
            external=True,
        )
    finally:
        told = plugin_results(report)
        (bootstrap.CACHE / "plugins.json").write_text(json.dumps(told, indent=1))
        for package, result in told.items():
            print(f"{package:44}  {result}")


def plugin_results(report: Path) -> dict[str, str]:
    """Return what came of the tests of each package, by name and version."""
    # Only the standard library is sure to be where nox runs: the list is read as text.
    listed = (bootstrap.ROOT / "certbot_dns_persist" / "providers" / "tried.py").read_text()
    versions = dict(re.findall(r'"(certbot-[a-z0-9-]+)",\s+"([^"]+)",', listed))
    failed: dict[str, bool] = {}
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314
        name = case.attrib["name"].partition("[")[2].rstrip("]")
        package = name if name in versions else f"certbot-{name}"
        if package in versions:
            failed[package] = failed.get(package, False) or case.find("failure") is not None
    return {
        f"{package} {versions[package]}": "failed" if failed[package] else "as listed"
        for package in sorted(failed)
    }


@nox.session
def mutants(session: nox.Session) -> None:
    """Count how many small faults in the pure code its unit tests detect."""
    bootstrap.make_venv()
    session.install(COSMIC_RAY, env=bootstrap.environment())
    session.run(
        *("python", "-m", "support.mutants", *session.posargs),
        env={**bootstrap.environment(), "PYTHONPATH": "tests"},
    )
