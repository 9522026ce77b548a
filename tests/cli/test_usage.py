"""A command line that is wrong, or names what is not there, exits with 3 in every command."""

from pathlib import Path

import pytest

from certbot_dns_persist.cli import main

CHANGING = ("publish", "rotate", "revoke", "prune")
ALL = (*CHANGING, "record", "check", "audit")


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cert-name", "none"], "none.conf cannot be used: No such file or directory"),
        (["--from-file", "none"], "The domains in none cannot be read: No such file or directory"),
        (["-d", "example.test", "--account", "none"], "There is no account"),
        (["-d", "straße.test"], "Write the one that you mean: strasse.test or xn--strae-oqa.test"),
    ],
)
def test_what_is_named_and_is_not_there_is_wrong_usage(
    command: str,
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = ["--config-dir", str(tmp_path / "etc"), "--logs-dir", str(tmp_path / "log")]
    assert main([command, *arguments, *places]) == 3
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", CHANGING[:3])
def test_a_provider_that_is_not_installed_is_wrong_usage(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--config-dir", str(tmp_path / "etc"), "--logs-dir", str(tmp_path / "log")]
    provider = ["--dns-persist-provider", "none"]
    assert main([command, "-d", "example.test", *provider, *places]) == 3
    assert "--dns-persist-provider 'none' is unknown. It can be: " in capsys.readouterr().err
