"""No command ends in a traceback, or with a status that says something else than what happened."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from certbot_dns_persist import cli
from certbot_dns_persist.cli import program
from certbot_dns_persist.cli.last_resort import LOG

Main = Callable[..., int]

COMMANDS = sorted(command.__name__.rpartition(".")[2] for command in program.COMMANDS)
WITH_FILES = [name for name in COMMANDS if name != "explain"]
WITHOUT_SUBJECTS = ("list", "migrate", "rollover", "inventory", "ca")
WITH_SUBJECTS = [name for name in WITH_FILES if name not in WITHOUT_SUBJECTS]

WITH_MODULES = "import sys; from certbot_dns_persist.cli import main; sys.exit(main())"


class Unexpected(Exception):
    """What no command knows of."""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def main(logs: Path, tmp_path: Path) -> Main:
    """Run a command with directories of its own."""

    def main(command: str, *arguments: str) -> int:
        places = ["--config-dir", str(tmp_path / "config"), "--logs-dir", str(logs)]
        return cli.main([command, *arguments, *(places if command in WITH_FILES else [])])

    return main


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command meets an error that none of our code expects."""

    def fail(*_: object) -> None:
        raise Unexpected("\x1b[2Jof a stranger\nthe end")

    for command in program.COMMANDS:
        monkeypatch.setattr(command, "run", fail)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unexpected_error_is_a_sentence_and_status_3_in_every_command(
    name: str, main: Main, broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(name) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        r"The command could not finish: Unexpected: \x1b[2Jof a stranger\nthe end. That is a "
        "fault of certbot-dns-persist. For the details, run the same command with --debug.\n"
    )


def test_so_is_one_that_comes_before_the_command_is_known(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise Unexpected("no parser")

    monkeypatch.setattr(program, "parser", fail)
    assert main("check") == 3
    assert capsys.readouterr().err.startswith("The command could not finish: Unexpected: no parser")


@pytest.mark.parametrize("name", WITH_FILES)
def test_its_details_go_to_a_log_if_there_is_a_directory_for_that(
    name: str, main: Main, broken: None, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.mkdir()
    for _ in range(2):
        assert main(name) == 3
        assert f". {logs / LOG} has the details.\n" in capsys.readouterr().err
    noted = (logs / LOG).read_text()
    assert noted.count(f" certbot-dns-persist {name}, release ") == 2
    assert noted.count("Traceback (most recent call last)") == 2
    assert "\x1b" not in noted
    assert stat.S_IMODE((logs / LOG).stat().st_mode) == 0o600


def test_the_log_of_details_is_no_link_that_we_follow(
    main: Main, broken: None, logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.mkdir()
    (tmp_path / "elsewhere").write_text("")
    (logs / LOG).symlink_to(tmp_path / "elsewhere")
    assert main("check") == 3
    assert "with --debug" in capsys.readouterr().err
    assert (tmp_path / "elsewhere").read_text() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_debug_shows_the_details_at_once(
    name: str, main: Main, broken: None, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.mkdir()
    assert main(name, "--debug") == 3
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert "\x1b" not in said
    assert not [*logs.iterdir()]


def test_an_error_of_the_system_is_no_fault_of_ours(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("certbot_dns_persist.cli.publish.run", fail)
    assert main("publish") == 3
    assert "OSError: [Errno 28] No space left on device. For the details" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["configobj", "dns"])
def test_a_package_that_cannot_be_imported_is_told_with_status_3(
    tmp_path: Path, package: str
) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('of another release')")
    account = ["--issuer", "ca.test", "--account-uri", "https://ca.test/acct/1"]
    done = subprocess.run(
        [sys.executable, "-c", WITH_MODULES, "check", "-d", "a.test", *account],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("certbot-dns-persist cannot be used: a package that it needs is")
    assert "(ImportError: of another release)" in done.stderr
    assert "Traceback" not in done.stderr


# Wrong usage


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["--nonsense"], ["check", "--nonsense"]])
def test_no_command_and_an_unknown_one_end_with_3(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 3
    assert capsys.readouterr().err.startswith("usage: ")


WRONG = [
    ([], "Give exactly one of"),
    (["-d", "example.com", "--all"], "Give exactly one of"),
    (["-d", "not a name"], "'not a name' is not a domain name"),
    (["-d", "example.com", "--dns-persist-resolvers=nobody"], "--dns-persist-resolvers"),
]


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        (name, *wrong)
        for name in WITH_SUBJECTS
        for wrong in WRONG
        if wrong is not WRONG[-1] or name != "names"  # which asks nobody
    ],
)
def test_wrong_usage_ends_with_3_in_every_command_with_subjects(
    name: str, wrong: list[str], words: str, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(name, *wrong) == 3
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_what_was_not_done_ends_with_1(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("publish", "-d", "example.com") == 1  # there is no account
    assert "certbot register" in capsys.readouterr().err


@pytest.mark.parametrize("quote", ["'", "`", "\u2018"])
def test_a_value_of_nothing_but_quotes_is_explained(
    quote: str, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("explain", quote * 5000) == 1
    assert "(an empty value)" in capsys.readouterr().out
