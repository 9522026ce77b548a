"""The resolvers of this machine, as the C library finds them (resolver(5))."""

import functools
import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from certbot_dns_persist.lookup.found import Address
from certbot_dns_persist.shown import logger_of, printable

logger = logger_of(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")

#: How many the C library asks (MAXNS). It never looks at a fourth, so nobody would have noticed
#: that it is out of date: asked by us alone, it could only disagree.
MAX_RESOLVERS = 3

_LOOPBACK = "127.0.0.1"
# What stands for "this machine". Sent there, an answer would come from another address.
_THIS_MACHINE = {"0.0.0.0": _LOOPBACK, "::": "::1"}  # noqa: S104

_KEYWORD = re.compile(rb"nameserver(?=[ \t\r\n]|$)(.*)")
_COMMENT = re.compile(rb"[#;].*")

# Look-ups are many in one run, and the file is the same.
_warn_once = functools.cache(logger.warning)


def system_resolvers(path: Path = RESOLV_CONF) -> tuple[Address, ...]:
    """Return the resolvers that the file at ``path`` names, without those named twice.

    Without a file, and where the file names none that can be used, that is the one on this
    machine. A line that cannot be used is skipped with a warning, once.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as error:
        _warn_once(
            "%s cannot be read: %s. The resolver at %s is asked.", path, error.strerror, _LOOPBACK
        )
        lines = []
    named = list(_named(path, lines))[:MAX_RESOLVERS]
    return tuple(map(Address, dict.fromkeys(named or [_LOOPBACK])))


def _named(path: Path, lines: list[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        keyword = _KEYWORD.match(line)
        if keyword is None:
            continue
        rest = _COMMENT.sub(b"", keyword[1]).split()
        text = rest[0].decode("latin-1") if rest else ""
        try:
            yield _usable(text)
        except ValueError as error:
            why = printable(str(error))
            _warn_once("Line %s of %s cannot be used: %s. It is skipped.", number, path, why)


def _usable(text: str) -> str:
    """Return the address that ``text`` stands for; raises ValueError with the reason if none."""
    if not text:
        raise ValueError("it names no address")
    try:
        # As the C library reads it: 127.1 is 127.0.0.1.
        address = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        try:
            parsed = ipaddress.IPv6Address(text)
        except ValueError:
            raise ValueError(f"{text} is not an IP address") from None
        if parsed.is_link_local and parsed.scope_id is None:
            raise ValueError(
                f"{text} is link-local, and lacks the interface, as in {text}%eth0"
            ) from None
        address = str(parsed)
        try:
            socket.getaddrinfo(address, 53, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            raise ValueError(f"this machine has no interface {parsed.scope_id}") from None
    return _THIS_MACHINE.get(address, address)
