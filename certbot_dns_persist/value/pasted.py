r"""TXT values as people paste them: in quotes, or as a line of a zone file, ``dig`` or ``host``.

A CA reads the joined strings of the record, without any of that.
"""

import dataclasses
import re
from typing import Any

from certbot_dns_persist.value.slips import QUOTES
from certbot_dns_persist.value.txt import from_strings

# NAME [TTL] [CLASS] TXT strings: a line of a zone file or of dig's answer.
_ZONE_LINE = re.compile(
    r"(?:(?P<name>\S+)\s+)??(?:\d+[smhdw]?\s+)?(?:IN\s+)?(?:\d+[smhdw]?\s+)?TXT\s+(?P<strings>\S.*)",
    re.IGNORECASE,
)
_SPOKEN = re.compile(
    r"(?P<name>\S+)\s+(?:descriptive text|text =)\s*(?P<strings>\S.*)", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Pasted:
    """One value, and the name that was pasted with it."""

    value: str
    """The joined strings, as a CA reads them."""
    name: str | None = None
    """The record's name, without trailing dot; ``None`` if it was not pasted."""
    warning: str | None = None
    """What is wrong with the form that was pasted, a sentence."""


def read_pasted(text: str) -> Pasted:
    """Return the value that ``text``, one line, contains. There is always one."""
    text = text.strip()
    line = _ZONE_LINE.fullmatch(text) or _SPOKEN.fullmatch(text)
    if line is None:
        return Pasted(_joined(text))
    name = line["name"].removesuffix(".").lower() if line["name"] else None
    strings = line["strings"]
    if '"' not in strings and re.search(r"(?<!\\);", strings):
        return Pasted(
            strings.partition(";")[0].strip(),
            name,
            "In a zone file, a semicolon outside quotes begins a comment, so what follows it is "
            "lost. Put the value in quotes.",
        )
    return Pasted(_joined(strings, always=True), name)


def _joined(text: str, *, always: bool = False) -> str:
    """Return the joined quoted strings in ``text``, or ``text`` itself if there are none.

    With ``always``, strings without quotes count as well, as in zone files.
    """
    for curly, straight in QUOTES.items():
        text = text.replace(curly, straight)
    while text[:1] in ("'", "`") and text[:1] == text[-1:] and len(text) > 1:
        text = text[1:-1].strip()
    if text.startswith('"') or always:
        import dns.exception
        import dns.rdata
        import dns.rdataclass
        import dns.rdatatype

        try:
            rdata: Any = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, text)
        except (dns.exception.DNSException, ValueError):
            text = text.strip('"')
        else:
            return from_strings(rdata.strings)
    return text.replace("\\;", ";").replace('\\"', '"')
