"""Certbot's cli.ini in the command: read where Certbot's files are, and only there."""

import json
from pathlib import Path

import pytest
from certbot._internal import constants
from support.home import SERVER as SERVER_OF_HOME
from support.home import Home
from support.raw_http import serving, whole

from certbot_dns_persist.cli import main, setting
from certbot_dns_persist.request.accounts import accounts_directory

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other plugins

SERVER = "https://ca.invalid/directory"


@pytest.fixture
def ini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only file that Certbot reads unasked; not what was read of another one."""
    setting._preset.cache_clear()
    path = tmp_path / "cli.ini"
    monkeypatch.setitem(constants.CLI_DEFAULTS, "config_files", [str(path)])
    return path


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    return ["--config-dir", str(tmp_path / "etc"), "--logs-dir", str(tmp_path / "log")]


def test_the_server_is_the_one_that_certbot_uses(
    ini: Path, places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ini.write_text(f"server = {SERVER}\n")
    for more in ([], ["--config", str(ini)]):
        assert main(["check", "-d", "example.test", *places, *more]) == 3
        assert f"There is no account at {SERVER} in" in capsys.readouterr().err
    given = ["--server", "https://other.invalid/directory"]
    assert main(["check", "-d", "example.test", *places, *given]) == 3
    assert f"There is no account at {given[1]} in" in capsys.readouterr().err


def test_ca_asks_for_the_account_that_certbot_uses(
    ini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    for name in ("one", "two"):
        home.add_account(name)
    urls = {each: f"https://ca.example/{each}" for each in ("newNonce", "newAccount", "newOrder")}
    with serving(whole(json.dumps(urls).encode())) as server:
        accounts = accounts_directory(home.config_dir, server)
        accounts.parent.mkdir(parents=True)
        accounts_directory(home.config_dir, SERVER_OF_HOME).rename(accounts)
        ini.write_text(f"server = {server}\naccount = two\n")
        main(["ca", "--json", *home.places[:4]])
    assert json.loads(capsys.readouterr().out)["account_url"] == "https://ca.example/acct/two"


def test_a_file_that_certbot_cannot_use_is_told_unless_all_is_given(
    ini: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ini.write_text(f"server = {SERVER}\nno-such-option = 1\n")
    told = f"Certbot's configuration ({ini}) cannot be used: "
    domain = ["-d", "example.test", *places]
    assert main(["check", *domain]) == 3
    assert capsys.readouterr().err.startswith(told)
    assert main(["publish", *domain]) == 1
    assert capsys.readouterr().err.startswith(told)
    main(["check", *domain, "--server", SERVER, "--account", "abc"])
    assert f"There is no account at {SERVER} in" in capsys.readouterr().err


def test_without_certbots_files_it_is_not_read(
    ini: Path, places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ini.write_text("server = x\nno-such-option = 1\n")
    domains = tmp_path / "domains"
    domains.write_text("")
    identity = ["--issuer", "ca.example", "--account-uri", "https://ca.example/1"]
    assert main(["check", "--from-file", str(domains), *identity, *places]) == 3
    assert "There is nothing to check" in capsys.readouterr().err


def test_directories_of_certbots_are_told(
    ini: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ini.write_text("config-dir = /nonexistent/etc\n")
    main(["check", "-d", "example.test", "--server", SERVER])
    assert f"{ini} sets config-dir to /nonexistent/etc for Certbot. Give us" in caplog.text
