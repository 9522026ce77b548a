"""Certbot's cli.ini, as Certbot's own parser reads it."""

from pathlib import Path
from typing import Any

import pytest
from certbot._internal import constants

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.preset import NOTHING_SET, Preset, read_preset

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other plugins

SERVER = "https://ca.example/directory"
OF_DEBIAN = "# a comment\nmax-log-backups = 0\npreconfigured-renewal = True\n"


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only file that Certbot reads unasked; it does not exist yet."""
    path = tmp_path / "cli.ini"
    monkeypatch.setitem(constants.CLI_DEFAULTS, "config_files", [str(path)])
    return path


def test_without_a_file_or_with_one_that_decides_nothing_certbot_is_not_asked(usual: Path) -> None:
    assert read_preset() == NOTHING_SET
    # Its parser would refuse the last line.
    usual.write_text(f"{OF_DEBIAN}email = a@example.test\nno-such-option = 1\n")
    assert read_preset() == NOTHING_SET


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (f"server = {SERVER}", {"server": SERVER, "account": None}),
        (f"serv = {SERVER}", {"server": SERVER, "account": None}),
        (f"--server: {SERVER}\naccount=abc", {"server": SERVER, "account": "abc"}),
        ("account abc", {"account": "abc"}),
        ("staging = true", {"server": constants.STAGING_URI, "account": None}),
        ("authenticator = dns-persist", {"authenticator": "dns-persist"}),
        ("standalone", {"authenticator": "standalone"}),
        ("no-verify-ssl = true", {"no_verify_ssl": True}),
        (
            "dns-persist-provider = rfc2136\ndns-persist-ttl = 7\ndns-persist-shared = true",
            {
                "dns_persist_provider": "rfc2136",
                "dns_persist_ttl": "7",
                "dns_persist_shared": True,
            },
        ),
        ("logs-dir = /elsewhere", {"logs_dir": "/elsewhere"}),
    ],
)
def test_what_is_set_is_what_counts_as_set_by_the_user(
    usual: Path, content: str, values: dict[str, Any]
) -> None:
    usual.write_text(f"{OF_DEBIAN}{content}\n")
    assert read_preset() == Preset(values, (usual,))


def test_the_files_that_certbot_is_given_count_too(usual: Path, tmp_path: Path) -> None:
    usual.write_text("dns-persist-ttl = 7\n")
    more = tmp_path / "more.ini"
    more.write_text("dns-persist-ttl = 8\naccount = abc\n")
    found = read_preset([str(more)])
    assert found.values.items() >= {"dns_persist_ttl": "8", "account": "abc"}.items()
    assert found.where == f"{usual} and {more}"
    assert found.options == {"ttl": "8"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"server = x\nno-such-option = 1\n", "unrecognized arguments: --no-such-option"),
        (b"staging = true\nserver = x\n", "--server value conflicts with --staging"),
        (b"server = \xff\n", "can't decode byte 0xff"),
    ],
)
def test_what_certbot_cannot_use_is_told_with_the_file(
    usual: Path, content: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usual.write_bytes(content)
    with pytest.raises(ConfigurationError, match="give --server, --account and the") as caught:
        read_preset()
    assert str(caught.value).startswith(f"Certbot's configuration ({usual}) cannot be used: ")
    assert words in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_a_file_that_is_not_there_is_told(usual: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        read_preset([str(tmp_path / "none.ini")])


def test_an_account_is_forgotten_only_if_the_file_sets_the_server_without_it() -> None:
    forgetting = Preset({"server": SERVER, "account": None})
    assert forgetting.forgets_accounts
    assert forgetting.get("account", "saved") is None
    kept = forgetting.with_saved_accounts()
    assert (kept.get("account", "saved"), kept.get("server", "saved")) == ("saved", SERVER)
    for preset in (NOTHING_SET, Preset({"server": SERVER, "account": "abc"})):
        assert not preset.forgets_accounts
        assert preset.with_saved_accounts() is preset
