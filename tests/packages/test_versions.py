"""setup.py says the version, CHANGELOG.md its date; whoever has to repeat them says the same."""

import datetime
import re
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.companion import PROGRAM, run
from support.packages import version

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
DEBIAN = "debian/changelog"
SPEC = "packaging/rpm/python-certbot-dns-persist.spec"

KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
"""What Keep a Changelog calls the parts of a release."""


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("CHANGELOG.md", r"^## \[(\d.*)\] - "),
        ("CHANGELOG.md", r"^\[Unreleased\]: .*/compare/v(.+)\.\.\.HEAD$"),
        (DEBIAN, r"\Apython-certbot-dns-persist \((.+)-\d+\) "),
        (SPEC, r"^Version: +(\S+)$"),
        (SPEC, r"^%changelog\n\*.* - (\S+)-\d+$"),
    ],
)
def test_the_newest_release_is_the_version_of_setup_py(path: str, pattern: str) -> None:
    assert first(path, pattern) == version()


@pytest.mark.parametrize(
    ("path", "pattern", "form"),
    [
        (DEBIAN, r"^ -- .*>  \w+, (\d+ \w+ \d+) ", "%d %b %Y"),
        (SPEC, r"^%changelog\n\* \w+ (\w+ \d+ \d+) ", "%b %d %Y"),
    ],
)
def test_a_package_has_the_date_of_the_changelog(path: str, pattern: str, form: str) -> None:
    released = first("CHANGELOG.md", r"^## \[\d.*\] - (.+)$")
    written = datetime.datetime.strptime(first(path, pattern), form)
    assert written.date() == datetime.date.fromisoformat(released)


def first(path: str, pattern: str) -> str:
    found = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_changelog_has_the_form_that_it_says() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [
        re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", each) for each in headings[1:]
    ]
    assert all(releases)
    dates = [each[2] for each in releases if each]
    assert dates == sorted(dates, reverse=True)
    links = re.findall(r"^\[(.+)\]: https://", CHANGELOG, re.MULTILINE)
    assert links == [heading.partition("]")[0].lstrip("[") for heading in headings]
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= KINDS


def test_the_command_says_which_release_it_is(tmp_path: Path) -> None:
    done = run([PROGRAM, "--version"], keep=tmp_path / "output.log")
    assert (done.returncode, done.error) == (0, "")
    assert done.out == f"certbot-dns-persist {version()}\n"
