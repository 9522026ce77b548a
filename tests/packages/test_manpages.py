"""The manual pages: made from the parsers, complete, and clean roff."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.need import need

from certbot_dns_persist.cli import program
from certbot_dns_persist.options import OPTIONS

PLUGIN, COMMAND = "certbot-dns-persist-plugin.7", "certbot-dns-persist.1"
PAGES = [COMMAND, PLUGIN]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the pages."""
    return make(tmp_path_factory.mktemp("man"))


def make(directory: Path) -> Path:
    command = [sys.executable, str(ROOT / "packaging" / "manpages"), str(directory)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1750000000", "COLUMNS": "30"}
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return directory


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "checker", [["man", "--warnings", "--local-file"], ["mandoc", "-T", "lint"]]
)
def test_a_page_is_clean(pages: Path, page: str, checker: list[str]) -> None:
    need(shutil.which(checker[0]), f"needs {checker[0]}: package man-db or mandoc")
    done = subprocess.run(
        [*checker, pages / page],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    if checker[0] == "mandoc":
        assert done.stdout == ""
    else:
        assert "NAME" in done.stdout


def test_every_option_of_the_plugin_is_in_its_page(pages: Path) -> None:
    page = text(pages / PLUGIN)
    assert len(OPTIONS) > 10
    assert [option.flag for option in OPTIONS if not is_entry(option.flag, page)] == []


def test_every_command_and_option_is_in_the_commands_page(pages: Path) -> None:
    head, *sections = re.split(r"^\.SS ", text(pages / COMMAND), flags=re.MULTILINE)
    by_name = {section.partition("\n")[0].strip('"'): section for section in sections}
    parser = program.parser()
    for names, command in commands(parser):
        page = by_name[" ".join(names)] if names else head
        for action in command._actions:
            if action.help != argparse.SUPPRESS:
                for option in action.option_strings:
                    assert is_entry(option, page), f"{' '.join(names)} {option}"


def commands(
    parser: argparse.ArgumentParser, *names: str
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield a parser and all parsers of commands below it."""
    yield names, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            canonical = [choice.dest for choice in action._choices_actions]
            for name in canonical:
                yield from commands(action.choices[name], *names, name)


def is_entry(option: str, page: str) -> bool:
    """Say whether an option is the term of an entry, alone or among its other names."""
    return bool(
        re.search(
            rf"^\.TP\n\\fB([^\n]*[ ,])?{re.escape(option)}([ ,=][^\n]*)?\\fR$", page, re.MULTILINE
        )
    )


def text(path: Path) -> str:
    """Return a page with its hyphens as they print."""
    return path.read_text(encoding="utf-8").replace(r"\-", "-")


def test_pages_are_the_same_each_time(pages: Path, tmp_path: Path) -> None:
    again = make(tmp_path)
    for name in PAGES:
        assert (again / name).read_bytes() == (pages / name).read_bytes()
    assert '"2025-06-15"' in text(pages / PLUGIN)
