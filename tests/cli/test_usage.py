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


def test_an_account_to_roll_over_that_is_named_and_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--config-dir", str(tmp_path / "etc"), "--logs-dir", str(tmp_path / "log")]
    assert main(["rollover", "--account", "none", *places]) == 3
    assert "There is no account none" in capsys.readouterr().err
    assert main(["rollover", *places]) == 1
    assert "There is no account" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("ca.example", "'ca.example' is no URL: write https://ca.example"),
        ("htps://ca.example", "'htps://ca.example' begins with neither https:// nor http://"),
    ],
)
def test_a_server_without_its_scheme_is_told_what_to_write(
    server: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("ca", "check", "rollover"):
        with pytest.raises(SystemExit, match="3"):
            main([command, "--server", server])
        assert f"argument --server: {words}\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", CHANGING[:3])
def test_a_provider_that_is_not_installed_is_wrong_usage(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--config-dir", str(tmp_path / "etc"), "--logs-dir", str(tmp_path / "log")]
    provider = ["--dns-persist-provider", "none"]
    assert main([command, "-d", "example.test", *provider, *places]) == 3
    assert "--dns-persist-provider 'none' is unknown. It can be: " in capsys.readouterr().err
