"""TXT values as character-strings in quotes, as zone files and some services' APIs have them."""

from collections.abc import Iterable

#: What one character-string holds, in octets (RFC 1035 section 3.3).
STRING_OCTETS = 255


def quoted(value: str, *, octal: bool = False) -> str:
    r"""Return ``value`` as one or more strings in quotes, each of at most 255 octets.

    Octets that are not printable ASCII are escaped as ``\DDD``, in decimal as in zone files
    (RFC 1035 section 5.1) or, as some APIs want it, in ``octal``.
    """
    octets = value.encode("utf-8", "surrogateescape")
    # At least one string, even when there is nothing in it.
    strings = [octets[i : i + STRING_OCTETS] for i in range(0, len(octets), STRING_OCTETS)] or [b""]
    return " ".join(
        '"' + "".join(_escaped(octet, octal) for octet in string) + '"' for string in strings
    )


def _escaped(octet: int, octal: bool) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    if 0x20 <= octet < 0x7F:
        return chr(octet)
    return f"\\{octet:03o}" if octal else f"\\{octet:03}"


def printable(value: str) -> str:
    """Return ``value`` safe for a terminal: what other people publish may hold anything."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value
    )


def zone_line(name: str, ttl: int, value: str) -> str:
    """Return the record as a line of a zone file (RFC 1035 section 5.1), split where it must be."""
    return f"{name}. {ttl} IN TXT {quoted(value)}"


def to_copy(title: str, aliases: Iterable[str], name: str, ttl: int, value: str) -> str:
    """Return one record in copy-and-paste form, with the names that are ``aliases`` of its own."""
    return "\n".join(
        [
            title,
            *(
                f"  ({alias} is an alias for {name}, so the record belongs there)"
                for alias in aliases
            ),
            f"  Name:   {name}",
            "  Type:   TXT",
            f"  TTL:    {ttl}",
            f"  Value:  {value}",
            "  The same as a line of a zone file:",
            f"  {zone_line(name, ttl, value)}",
        ]
    )
