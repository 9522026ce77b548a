"""TXT values as character-strings in quotes, as zone files and some services' APIs have them."""

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
