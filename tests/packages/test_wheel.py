"""The sdist and the wheel, as they are released."""

import configparser
import email
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from support.bootstrap import CACHE, ROOT, environment
from support.packages import build, tracked, version

NAME = "certbot_dns_persist"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with both."""
    return build(tmp_path_factory.mktemp("dist"), "sdist", "wheel")


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    return built / f"{NAME}-{version()}.tar.gz"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{NAME}-{version()}-py3-none-any.whl"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(f"{NAME}-{version()}.dist-info/entry_points.txt").decode()
    information = {name for name in names if name.startswith(f"{NAME}-{version()}.dist-info/")}
    assert {name.partition("/")[2] for name in information} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "top_level.txt",
    }
    package = {name for name in tracked() if name.startswith(f"{NAME}/")}
    assert f"{NAME}/py.typed" in package
    assert names - information == package
    parsed = configparser.ConfigParser()
    parsed.read_string(entry_points)
    assert parsed["console_scripts"]["certbot-dns-persist"] == f"{NAME}.cli:main"
    assert parsed["certbot.plugins"]["dns-persist"] == f"{NAME}.authenticator:Authenticator"


def test_every_link_of_the_description_leads_somewhere_without_the_files_beside_it(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{NAME}-{version()}.dist-info/METADATA").decode()
    description = email.message_from_string(metadata).get_payload()
    assert isinstance(description, str)
    targets, anchors = links_and_anchors(description)
    assert "https://certbot.eff.org" in targets
    assert [
        target
        for target in targets
        if not target.startswith("https://") and target.removeprefix("#") not in anchors
    ] == []
    assert "how CAs differ (`docs/cas.md`)" in description
    assert "a provider of your own (`examples/provider-package`)" in description


def test_every_link_of_the_readme_leads_to_a_file_or_a_heading() -> None:
    targets, anchors = links_and_anchors((ROOT / "README.md").read_text(encoding="utf-8"))
    files = [target for target in targets if not target.startswith(("https://", "#"))]
    assert "examples/provider-package" in files
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert {target[1:] for target in targets if target.startswith("#")} <= anchors


def links_and_anchors(markdown: str) -> tuple[list[str], set[str]]:
    """Return where the links and images of a text point to, and what its headings are called."""
    targets, anchors = [], set()
    heading = False
    for token in MarkdownIt().parse(markdown):
        for part in token.children or ():
            target = part.attrs.get("href", part.attrs.get("src"))
            targets += [] if target is None else [str(target)]
        if heading:
            anchors.add(re.sub(r"[^\w -]", "", token.content.lower()).replace(" ", "-"))
        heading = token.type == "heading_open"
    return targets, anchors


def test_the_sdist_holds_what_git_tracks_except_debian(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    top = f"{NAME}-{version()}/"
    names = {member.name.removeprefix(top) for member in members if member.isfile()}
    made = {name for name in names if name.startswith(f"{NAME}.egg-info/")}
    expected = {name for name in tracked() if not name.startswith("debian/")}
    assert names - made - {"PKG-INFO", "setup.cfg"} == expected, "MANIFEST.in lists them"


def test_a_second_build_elsewhere_and_later_gives_the_same_bytes(
    built: Path, tmp_path: Path
) -> None:
    other = tmp_path / "a clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, other], check=True)
    for name in tracked():  # as they are now, with another time
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, other / name)
    subprocess.run(["git", "add", "--all"], cwd=other, check=True)
    for name in tracked(other) - tracked():
        (other / name).unlink()
    (other / ".cache").symlink_to(CACHE)  # for the tools; they are the same by their versions
    # Another time zone, umask, order in sets and language; the clock has gone on by itself.
    differently = {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "7", "LC_ALL": "C", "LOGNAME": "x"}
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "dist", root=other, env=differently)
    finally:
        os.umask(before)
    assert digests(again) == digests(built)


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }


def test_the_wheel_works_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    python = venv / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-m", "pip", "check")
    places = [f"--{name}-dir={tmp_path / name}" for name in ("config", "work", "logs")]
    shown = run(venv / "bin" / "certbot", "plugins", *places, cwd=tmp_path)
    assert "* dns-persist" in shown
    where = run(python, "-c", f"import {NAME}; print({NAME}.__file__)", cwd=tmp_path)
    assert where.startswith(str(venv))
    assert "usage:" in run(venv / "bin" / "certbot-dns-persist", "--help", cwd=tmp_path)


def test_the_sdist_passes_its_pure_tests(sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)  # noqa: S202 - we have just made it
    source = tmp_path / f"{NAME}-{version()}"
    # The current directory goes before what is installed, also for what the tests start.
    where = run(sys.executable, "-c", f"import {NAME}; print({NAME}.__file__)", cwd=source)
    assert where.startswith(str(source))
    lines = (source / "packaging" / "pure-tests").read_text().splitlines()
    tests = [line for line in lines if not line.startswith("#")]
    shown = run(sys.executable, "-m", "pytest", "--noconftest", *tests, cwd=source)
    assert " passed" in shown
    assert " failed" not in shown


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command to its end; return what it printed, and show all of it when it fails."""
    done = subprocess.run(
        list(map(str, command)),
        env=environment(),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
