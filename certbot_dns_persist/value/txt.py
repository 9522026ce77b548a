"""TXT values in each of their forms: octets, character-strings, in quotes, ready to copy.

Elsewhere a value is text: the strings of one TXT record, joined and decoded as UTF-8. Other octets
become surrogates (PEP 383), because other people's values may hold anything.
"""

import re
from collections.abc import Iterable

#: The most octets that one character-string can hold (RFC 1035 section 3.3).
STRING_OCTETS = 255

_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_DECIMAL_ESCAPE = re.compile(rb"\\([01][0-9]{2}|2[0-4][0-9]|25[0-5]|.)", re.DOTALL)
_OCTAL_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)


def to_octets(value: str) -> bytes:
    """Return the octets of ``value``, including those that are not UTF-8."""
    return value.encode("utf-8", "surrogateescape")


def from_octets(octets: bytes) -> str:
    """Return the value that has these octets; the reverse of :func:`to_octets`."""
    return octets.decode("utf-8", "surrogateescape")


def as_utf8(value: str) -> str:
    """Return ``value`` with octets that are not UTF-8 as ``\\xNN``: JSON cannot hold them."""
    if value.isascii():
        return value
    return to_octets(value).decode("utf-8", "backslashreplace")


def to_strings(value: str) -> list[bytes]:
    """Return the character-strings of ``value``: at least one, each of at most 255 octets."""
    octets = to_octets(value)
    starts = range(0, len(octets), STRING_OCTETS)
    return [octets[start : start + STRING_OCTETS] for start in starts] or [b""]


def from_strings(strings: Iterable[bytes]) -> str:
    """Return the value of a TXT record, joined from its character-strings."""
    return from_octets(b"".join(strings))


def quoted(value: str, *, octal: bool = False) -> str:
    r"""Return ``value`` as one or more strings in quotes, each of at most 255 octets.

    Octets that are not printable ASCII are escaped as ``\DDD``, in decimal as in zone files
    (RFC 1035 section 5.1) or, as some APIs want it, in ``octal``.
    """
    return " ".join(
        '"' + "".join(_escaped(octet, octal) for octet in string) + '"'
        for string in to_strings(value)
    )


def unquoted(text: str, *, octal: bool = False) -> str:
    r"""Return the value that ``text`` contains: the reverse of :func:`quoted`.

    If ``text`` is anything other than strings in quotes, it is the value itself.
    """
    octets = to_octets(text)
    strings = _STRING.findall(octets)
    if not strings or _STRING.sub(b"", octets).strip():
        return text
    return from_octets(_unescaped(b"".join(strings), octal))


def unescaped(text: str) -> str:
    r"""Return ``text`` with each ``\DDD`` replaced by its octet, and ``\X`` by ``X``."""
    return from_octets(_unescaped(to_octets(text), octal=False))


def zone_line(name: str, ttl: int, value: str) -> str:
    """Return the record as a line of a zone file (RFC 1035 section 5.1), split as required."""
    return f"{name}. {ttl} IN TXT {quoted(value)}"


def relative(name: str, zone: str) -> str:
    """Return ``name`` as DNS web forms want it, without the name of its zone; ``@`` for that."""
    return "@" if name == zone else name.removesuffix(f".{zone}")


def to_copy(
    title: str, aliases: Iterable[str], name: str, zone: str | None, ttl: int, value: str
) -> str:
    """Return one record in copy-and-paste form, with the names that are ``aliases`` of its own."""
    host = [f"  Host (relative to {zone}): {relative(name, zone)}"] if zone else []
    return "\n".join(
        [
            title,
            *(
                f"  ({alias} is an alias for {name}, so the record belongs there)"
                for alias in aliases
            ),
            f"  Name:   {name}",
            *host,
            "  Type:   TXT",
            f"  TTL:    {ttl}",
            f"  Value:  {value}",
            "  Or as a line of a zone file:",
            f"  {zone_line(name, ttl, value)}",
        ]
    )


def _escaped(octet: int, octal: bool) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    if 0x20 <= octet < 0x7F:
        return chr(octet)
    return f"\\{octet:03o}" if octal else f"\\{octet:03}"


def _unescaped(octets: bytes, octal: bool) -> bytes:
    def plain(escape: re.Match[bytes]) -> bytes:
        digits = escape[1]
        return bytes([int(digits, 8 if octal else 10)]) if len(digits) == 3 else digits

    return (_OCTAL_ESCAPE if octal else _DECIMAL_ESCAPE).sub(plain, octets)
