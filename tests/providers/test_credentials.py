"""The credentials file, ours and those of Certbot's plugins."""

import contextlib
import logging
import os
import shlex
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.providers import credentials
from certbot_dns_persist.providers.common import refuse_changeable

Write = Callable[[str], str]

NAME = "_validation-persist.www.example.com"


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
        credentials.read(path).keys(provider, NAME)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error:  # what is not printed may still be logged
        assert "hush" not in f"{error!r} {vars(error)}"
        error = error.__context__
    assert path in str(caught.value)
    return str(caught.value)


def test_no_file_has_no_keys() -> None:
    assert credentials.read(None).keys("manual", NAME) == {}


def test_the_keys_of_one_provider_come_without_their_prefix(write: Write) -> None:
    path = write(
        "# whose: ops\n"
        "dns_persist_rfc2136_server = 192.0.2.53\n"
        'dns_persist_rfc2136_secret = "hush #1, 100% %(x)s"  # quoted\n'
        "dns_persist_rfc2136_port=\n"
        "dns_persist_cloudflare_api_token = hush\n"
    )
    assert credentials.read(path).keys("rfc2136", NAME) == {
        "server": "192.0.2.53",
        "secret": "hush #1, 100% %(x)s",
        "port": "",
    }


def test_a_file_of_certbots_own_plugin_is_read_as_it_is(write: Write) -> None:
    path = write("dns_rfc2136_server = 192.0.2.53\ndns_rfc2136_port = 5353\n")
    read = credentials.read(path).keys("rfc2136", NAME)
    assert read == {
        "server": "192.0.2.53",
        "port": "5353",
        # What certbot-dns-rfc2136 does when its file says nothing of it.
        "algorithm": "HMAC-MD5",
        "server_proto_pref": "tcp_first",
    }


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "dns.ini"
    path.write_bytes(b"\xef\xbb\xbfdns_rfc2136_server = 192.0.2.53\r\ndns_rfc2136_port = 5353\r\n")
    path.chmod(0o600)
    read = credentials.read(str(path)).keys("rfc2136", NAME)
    assert (read["server"], read["port"]) == ("192.0.2.53", "5353")
    assert ("dns_rfc2136_server", "192.0.2.53") in credentials.entries(str(path))


KEYGEN = """\
key "certbot." {
	algorithm hmac-sha512;
	secret "hush+/==";
};
"""


@pytest.mark.parametrize(
    "statement",
    [
        KEYGEN,
        KEYGEN.replace("\n", "\r\n"),
        'key certbot. { secret "hush+/=="; algorithm "hmac-sha512"; };\n',
    ],
)
def test_the_output_of_tsig_keygen_is_read_beside_other_keys(write: Write, statement: str) -> None:
    path = write(f"# For updates\n{statement}dns_persist_rfc2136_server = 192.0.2.53\n")
    assert credentials.read(path).keys("rfc2136", NAME) == {
        "server": "192.0.2.53",
        "name": "certbot.",
        "algorithm": "hmac-sha512",
        "secret": "hush+/==",
    }
    assert ("dns_persist_rfc2136_secret", "hush+/==") in credentials.entries(path)


def test_a_section_may_have_a_key_of_its_own(write: Write) -> None:
    path = write(f"{KEYGEN}[example.com]\n{KEYGEN.replace('certbot.', 'other.')}")
    assert credentials.read(path).keys("rfc2136", NAME)["name"] == "other."
    assert credentials.read(path).keys("rfc2136", "example.net")["name"] == "certbot."


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (KEYGEN + "hush\n", "line 5"),
        (KEYGEN + KEYGEN, "lines 5, 6, 7"),
        (KEYGEN.replace("secret", "hush"), "lines 1, 2, 4"),
    ],
)
def test_a_key_that_is_not_as_tsig_keygen_prints_it_is_named_by_its_lines(
    write: Write, text: str, where: str
) -> None:
    assert f"at {where}." in refusal(write(text))


def test_an_algorithm_that_the_file_names_is_taken(write: Write) -> None:
    path = write("dns_rfc2136_algorithm = HMAC-SHA512\n")
    assert credentials.read(path).keys("rfc2136", NAME)["algorithm"] == "HMAC-SHA512"


def test_a_dash_in_a_providers_name_is_an_underscore_in_its_keys(write: Write) -> None:
    path = write("dns_persist_acme_dns_url = https://dns.example\n")
    assert credentials.read(path).keys("acme-dns", NAME) == {"url": "https://dns.example"}


def test_both_spellings_of_a_key_may_agree_but_not_differ(write: Write) -> None:
    both = "dns_rfc2136_secret = hush\ndns_persist_rfc2136_secret = "
    assert credentials.read(write(both + "hush\n")).keys("rfc2136", NAME) == {"secret": "hush"}

    message = refusal(write(both + "hushhush\n"))
    assert "as dns_persist_rfc2136_secret and as dns_rfc2136_secret" in message


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
    assert credentials.read(path).keys("cloudflare", NAME) == {}


SECTIONS = """\
dns_persist_rfc2136_server = 192.0.2.1
dns_persist_rfc2136_name = top
[example.com]
dns_persist_provider = rfc2136
dns_persist_rfc2136_server = 192.0.2.2
[WWW.Example.com.]
dns_persist_provider = route53, cloudflare
dns_rfc2136_server = 192.0.2.3
[grün.example]
dns_persist_provider = cloudflare
"""


@pytest.mark.parametrize(
    ("name", "providers", "server"),
    [
        ("_validation-persist.example.com", ["rfc2136"], "192.0.2.2"),
        ("_validation-persist.a.example.com", ["rfc2136"], "192.0.2.2"),
        ("example.com", ["rfc2136"], "192.0.2.2"),
        ("_validation-persist.www.example.com", ["route53", "cloudflare"], "192.0.2.3"),
        ("_validation-persist.xn--grn-ioa.example", ["cloudflare"], "192.0.2.1"),
        ("_validation-persist.notexample.com", ["script"], "192.0.2.1"),
    ],
)
def test_the_longest_zone_that_holds_a_name_overrides_what_stands_above(
    write: Write, name: str, providers: list[str], server: str
) -> None:
    read = credentials.read(write(SECTIONS))
    assert read.providers(name, ["script"]) == providers
    keys = read.keys("rfc2136", name)
    assert (keys["server"], keys["name"]) == (server, "top")


def test_a_name_that_no_section_covers_is_told_with_what_is_covered(write: Write) -> None:
    path = write(SECTIONS)
    with pytest.raises(ConfigurationError) as caught:
        credentials.read(path).providers("_validation-persist.example.org", ["manual"])
    for word in (path, "_validation-persist.example.org", "[example.com], [www.example.com]"):
        assert word in str(caught.value)


def test_a_provider_above_the_sections_is_for_all_other_names(write: Write) -> None:
    read = credentials.read(write("dns_persist_provider = manual\n" + SECTIONS))
    assert read.providers("_validation-persist.example.org", ["manual"]) == ["manual"]


def test_without_sections_the_command_line_names_the_provider(write: Write) -> None:
    read = credentials.read(write("dns_persist_rfc2136_server = 192.0.2.1\n"))
    assert read.providers(NAME, ["manual"]) == ["manual"]


def test_a_bridged_plugins_options_stand_beside_its_own_keys(write: Write) -> None:
    text = "dns_ovh_secret = hush\ndns_persist_plugin_credentials = other.ini\n"
    assert credentials.read(write(text)).keys("dns-ovh", NAME) == {"credentials": "other.ini"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[not a zone]\na = hush\n", "[not a zone]"),
        ("[example.com]\n[[inner]]\na = hush\n", "[[inner]]"),
    ],
)
def test_a_section_that_means_nothing_is_refused(write: Write, text: str, words: str) -> None:
    assert words in refusal(write(text))


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


def test_a_file_that_is_no_regular_one_is_refused_and_does_not_hang_us(tmp_path: Path) -> None:
    path = tmp_path / "dns.ini"
    os.mkfifo(path)
    assert "cannot be read: it is not a regular file" in refusal(str(path))
    assert credentials.entries(str(path)) == []


def test_json_that_nests_deeply_has_no_entries(write: Write) -> None:
    assert credentials.entries(write("[" * 200_000)) == []


@pytest.mark.parametrize("part", ["file", "folder above"])
def test_root_changes_nothing_by_a_file_that_others_can_change(
    write: Write, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.common.are_root", lambda: True)
    path = Path(write("dns_persist_provider = rfc2136\n"))
    changeable, mode, private = (
        (path, 0o602, 0o600) if part == "file" else (path.parent, 0o777, 0o700)
    )
    changeable.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        credentials.read_for_changes(str(path))
    assert f"{changeable} may be written by everybody (mode {mode:04o})" in str(caught.value)
    assert f"chmod o-w {changeable}" in str(caught.value)
    assert credentials.read(str(path)).providers(NAME, ["manual"]) == ["rfc2136"]
    changeable.chmod(private)
    assert credentials.read_for_changes(str(path)).providers(NAME, ["manual"]) == ["rfc2136"]


def test_only_root_is_held_to_that(write: Write) -> None:
    path = Path(write(""))
    path.chmod(0o666)
    with ordinary_user():
        refuse_changeable(path, "The credentials file")


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
        credentials.read(path).keys("rfc2136", NAME)

    words = f"Unsafe permissions on credentials configuration file: {path}. "
    assert [record.getMessage().startswith(words) for record in caplog.records] == [True] * warned
    assert (f"chmod 600 {shlex.quote(path)}" in caplog.text) == warned


@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("dns_rfc2136_server = 127.0.0.1", True),
        ("dns_persist_rfc2136_server = ::1", True),
        ("dns_persist_rfc2136_server = localhost", True),
        ("dns_persist_rfc2136_server = 192.0.2.1", False),
        ("dns_persist_rfc2136_server = ns1.example.test", False),
        ("dns_persist_rfc2136_name = 127.0.0.1", False),
    ],
)
@pytest.mark.parametrize("section", ["", "[example.test]\n"])
def test_it_is_found_whether_a_server_on_this_machine_is_named(
    write: Write, line: str, here: bool, section: str
) -> None:
    assert credentials.names_this_machine(write(f"{section}{line}\n")) is here


def test_no_file_names_no_server_on_this_machine(tmp_path: Path) -> None:
    assert not credentials.names_this_machine(None)
    assert not credentials.names_this_machine(str(tmp_path / "missing.ini"))
