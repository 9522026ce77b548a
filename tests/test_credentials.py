"""The credentials file, ours and those of Certbot's plugins."""

import contextlib
import logging
import os
import shlex
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certbot_dns_persist import credentials
from certbot_dns_persist.errors import ConfigurationError

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a private file with this text; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "dns.ini"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    return write


def refusal(path: str, provider: str = "rfc2136") -> str:
    with pytest.raises(ConfigurationError) as caught:
        credentials.read(path, provider)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error:  # what is not printed may still be logged
        assert "hush" not in f"{error!r} {vars(error)}"
        error = error.__context__
    assert path in str(caught.value)
    return str(caught.value)


def test_no_file_has_no_keys() -> None:
    assert credentials.read(None, "manual") == {}


def test_the_keys_of_one_provider_come_without_their_prefix(write: Write) -> None:
    path = write(
        "# whose: ops\n"
        "dns_persist_rfc2136_server = 192.0.2.53\n"
        'dns_persist_rfc2136_secret = "hush #1, 100% %(x)s"  # quoted\n'
        "dns_persist_rfc2136_port=\n"
        "dns_persist_cloudflare_api_token = hush\n"
    )
    assert credentials.read(path, "rfc2136") == {
        "server": "192.0.2.53",
        "secret": "hush #1, 100% %(x)s",
        "port": "",
    }


def test_a_file_of_certbots_own_plugin_is_read_as_it_is(write: Write) -> None:
    path = write("dns_rfc2136_server = 192.0.2.53\ndns_rfc2136_port = 5353\n")
    # The algorithm is what certbot-dns-rfc2136 takes when its file names none.
    read = credentials.read(path, "rfc2136")
    assert read == {"server": "192.0.2.53", "port": "5353", "algorithm": "HMAC-MD5"}


def test_an_algorithm_that_the_file_names_is_taken(write: Write) -> None:
    path = write("dns_rfc2136_algorithm = HMAC-SHA512\n")
    assert credentials.read(path, "rfc2136") == {"algorithm": "HMAC-SHA512"}


def test_a_dash_in_a_providers_name_is_an_underscore_in_its_keys(write: Write) -> None:
    path = write("dns_persist_acme_dns_url = https://dns.example\n")
    assert credentials.read(path, "acme-dns") == {"url": "https://dns.example"}


def test_both_spellings_of_a_key_may_agree_but_not_differ(write: Write) -> None:
    both = "dns_rfc2136_secret = hush\ndns_persist_rfc2136_secret = "
    assert credentials.read(write(both + "hush\n"), "rfc2136") == {"secret": "hush"}

    message = refusal(write(both + "hushhush\n"))
    assert "dns_persist_rfc2136_secret and dns_rfc2136_secret" in message


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("# fine\nhush\n", "line 2"),
        ("dns_persist_rfc2136_secret = 'hush\n", "line 1"),
        ("a = hush\na = hush\n", "line 2"),
        ("hush\nb = 1\nhush again\n", "lines 1, 3"),
        ("[[hush]\n", "line 1"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_by_number(
    write: Write, text: str, where: str
) -> None:
    message = refusal(write(text))
    assert f"at {where}." in message
    assert "KEY = VALUE" in message


def test_a_comma_that_makes_a_list_of_a_value_is_pointed_out(write: Write) -> None:
    path = write("dns_persist_rfc2136_secret = hush, hush\n")
    message = refusal(path)
    assert "dns_persist_rfc2136_secret" in message
    assert "double quotes" in message
    assert credentials.read(path, "cloudflare") == {}


def test_a_section_is_not_ignored_in_silence(write: Write) -> None:
    message = refusal(write("[example.com]\ndns_persist_rfc2136_secret = hush\n"))
    assert "[example.com]" in message


def test_what_is_not_text_is_refused(write: Write) -> None:
    path = write("")
    Path(path).write_bytes(b"dns_persist_rfc2136_secret = hush\xff\n")
    assert "UTF-8" in refusal(path)


def test_a_missing_file_is_named_with_its_option(tmp_path: Path) -> None:
    message = refusal(str(tmp_path / "nowhere.ini"))
    assert "does not exist" in message
    assert "--dns-persist-credentials" in message


def test_a_directory_is_named(tmp_path: Path) -> None:
    assert "is a directory" in refusal(str(tmp_path))


def test_a_path_through_a_file_is_named_with_the_systems_reason(write: Write) -> None:
    assert "Not a directory" in refusal(write("") + "/dns.ini")


def test_a_file_of_somebody_else_is_named_with_a_way_on(write: Write) -> None:
    path = write("dns_persist_rfc2136_secret = hush\n")
    Path(path).chmod(0)
    with ordinary_user():
        shown = refusal(path)
    assert "may not be read" in shown


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Be nobody for a while, as root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o604, True)])
def test_a_file_that_everybody_may_read_is_warned_about_with_the_remedy(
    write: Write, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    path = write("dns_persist_rfc2136_secret = hush\n")
    Path(path).chmod(mode)
    with caplog.at_level(logging.WARNING):
        credentials.read(path, "rfc2136")

    words = f"Unsafe permissions on credentials configuration file: {path}. "
    assert [record.getMessage().startswith(words) for record in caplog.records] == [True] * warned
    assert (f"chmod 600 {shlex.quote(path)}" in caplog.text) == warned
