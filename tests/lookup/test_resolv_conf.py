"""The resolvers of this machine are those that the C library asks (resolver(5))."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certbot import Certbot
from support.companion import Companion, run
from support.nameserver import Nameserver, Zones
from support.need import need
from support.process import can_bind_port_53, can_mount, claim_address, release_address
from support.zones import zone_text

from certbot_dns_persist.lookup.resolv_conf import system_resolvers

DOMAIN = "example.test"
VALUE = "ca.test; accounturi=https://ca.test/acct/1"


def resolvers(directory: Path, text: str | bytes) -> list[str]:
    file = directory / "resolv.conf"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = system_resolvers(file)
    assert {address.port for address in found} == {53}
    return [address.host for address in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.0.2.1\nnameserver 2001:db8::1\n", ["192.0.2.1", "2001:db8::1"]),
        ("nameserver\t192.0.2.1\r\nnameserver 192.0.2.2 # second\n", ["192.0.2.1", "192.0.2.2"]),
        ("nameserver 192.0.2.1;comment", ["192.0.2.1"]),
        ("nameserver 192.0.2.1#5353", ["192.0.2.1"]),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", ["192.0.2.1"]),
        ("nameserver 127.1\n", ["127.0.0.1"]),
        ("nameserver 0.0.0.0\nnameserver ::\n", ["127.0.0.1", "::1"]),
        ("nameserver fe80::1%lo\n", ["fe80::1%lo"]),
        ("nameserver fe80::1%1\n", ["fe80::1%1"]),
        (b"# R\xe9solveur\n; \xff\xfe\nnameserver 192.0.2.1\n", ["192.0.2.1"]),
        ("options ndots:x timeout:\noptions\nsearch\ndomain\nnameserver 192.0.2.1", ["192.0.2.1"]),
        # A keyword begins its line and is in lower case.
        (" nameserver 192.0.2.1\nNAMESERVER 192.0.2.2\nnameservers 192.0.2.3\n", ["127.0.0.1"]),
        ("# nameserver 192.0.2.1\n;nameserver 192.0.2.1\nsearch lan\n", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
    ],
)
def test_the_file_is_read_as_the_c_library_reads_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | bytes, expected: list[str]
) -> None:
    assert resolvers(tmp_path, text) == expected
    assert not caplog.messages


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nameserver dns.google", "dns.google is not an IP address"),
        ("nameserver 192.0.2.1:53", "192.0.2.1:53 is not an IP address"),
        ("nameserver [2001:db8::1]:53", "[2001:db8::1]:53 is not an IP address"),
        ("nameserver", "it names no address"),
        ("nameserver # none", "it names no address"),
        ("nameserver fe80::1", "fe80::1 is link-local, and lacks the interface"),
        ("nameserver fe80::1%nowhere0", "this machine has no interface nowhere0"),
        (b"nameserver r\xe9solveur\x1b[2J", r"résolveur\x1b[2J is not an IP address"),
    ],
)
@pytest.mark.parametrize("rest", ["nameserver 192.0.2.9\n", ""])
def test_a_line_that_cannot_be_used_is_skipped_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str | bytes, why: str, rest: str
) -> None:
    octets = line if isinstance(line, bytes) else line.encode()
    text = b"search lan\n" + octets + b"\n" + rest.encode()
    expected = ["192.0.2.9"] if rest else ["127.0.0.1"]
    assert [resolvers(tmp_path, text) for _ in range(3)] == [expected] * 3
    (warning,) = caplog.messages
    assert warning.startswith(f"Line 2 of {tmp_path / 'resolv.conf'} cannot be used: {why}")


def test_no_more_than_the_c_library_asks_are_asked(tmp_path: Path) -> None:
    text = "nameserver none\n" + "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6))
    assert resolvers(tmp_path, text) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_without_a_file_the_resolver_on_this_machine_is_asked(tmp_path: Path) -> None:
    assert [address.host for address in system_resolvers(tmp_path / "none")] == ["127.0.0.1"]


def test_a_file_that_cannot_be_read_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert [address.host for address in system_resolvers(tmp_path)] == ["127.0.0.1"]
    (warning,) = caplog.messages
    assert warning == (
        f"{tmp_path} cannot be read: Is a directory. The resolver at 127.0.0.1 is asked."
    )


@pytest.fixture
def own_resolver() -> Iterator[str]:
    """The address of a resolver on port 53, as the file of a machine names it."""
    need(can_bind_port_53(), "port 53 of a loopback address cannot be used")
    need(can_mount(), "no file can be mounted over another one here")
    server, resolver = claim_address(), claim_address()
    zones = Zones.from_text(
        zone_text(DOMAIN, {"ns1": [server]}, f'_validation-persist TXT "{VALUE}"')
    )
    with (
        Nameserver(zones, address=server, port=53),
        Nameserver(zones, address=resolver, port=53, resolver=True),
    ):
        yield resolver
    release_address(server)
    release_address(resolver)


def test_check_asks_the_resolver_that_the_file_names_beside_lines_of_no_use(
    own_resolver: str, tmp_path: Path
) -> None:
    """Through the real file, which the command finds by itself."""
    file = tmp_path / "resolv.conf"
    text = f"# Résolveur\nnameserver dns.google\nnameserver {own_resolver}\n"
    file.write_text(text, "latin-1")
    companion = Companion(Certbot(tmp_path / "certbot", "https://ca.test/directory"))
    who = ["--issuer", "ca.test", "--account-uri", "https://ca.test/acct/1"]
    check = companion.command("check", "-d", DOMAIN, *who, "--dns-persist-check=resolver")
    mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    done = run(
        ["unshare", "--mount", "sh", "-c", mount, str(file), *check], keep=tmp_path / "output"
    )
    assert done.returncode == 0, done.output
    assert done.out.startswith(f"{DOMAIN}\tok\t")
    assert done.error == (
        "WARNING: Line 2 of /etc/resolv.conf cannot be used: dns.google is not an IP address. "
        "It is skipped.\n"
    )
