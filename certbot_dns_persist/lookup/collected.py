"""Answers that other programs collected: values from the lines of zdns and massdns.

A line is the answer to one question for TXT records, as ``zdns TXT`` (2.0 and newer) or
``massdns -t TXT -o J`` prints it. The two differ: massdns joins the strings of a record and escapes
octets in hexadecimal; zdns puts a newline between the strings and escapes as in zone files. Pure:
lines come in, answers go out.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypedDict

from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.txt import from_octets, unescaped

#: The longest line that is read, in octets: an answer has at most 64 kB, and each octet of it takes
#: at most six here.
LONGEST_LINE = 1 << 19

#: An alias chain longer than this is a loop in all but name.
MAX_ALIASES = 12

_MASSDNS_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")

#: How much is shown of what a program says of a failure.
_MOST_CHARACTERS = 100


class _Record(TypedDict, total=False):
    type: Any
    name: Any
    answer: Any
    data: Any


class _Data(TypedDict, total=False):
    answers: list[_Record] | None


class _Result(TypedDict, total=False):
    status: Any
    data: _Data | None


class _Results(TypedDict, total=False):
    TXT: _Result


class _Line(TypedDict, total=False):
    """What is read of a line of either program."""

    name: Any
    results: _Results | None
    type: Any
    status: Any
    error: Any
    flags: Any
    data: _Data | None


loads: Callable[[bytes], Any]
try:
    import msgspec
except ImportError:
    loads = json.loads
else:  # skips what is not in _Line: ten times as fast as Python's own
    loads = msgspec.json.Decoder(_Line).decode


class Collected(NamedTuple):
    """The answer to one question."""

    name: str
    """The name that was asked for, in lower case, without a trailing dot."""
    canonical_name: str
    """The end of the alias chain, as far as the answer shows it."""
    values: tuple[str, ...] | None
    """The TXT values; ``None`` if there is no usable answer."""
    trouble: str | None = None
    """Why there is none."""


#: Makes one of all its parts; the class itself takes six times as long.
_new: Callable[[tuple[Any, ...]], Collected] = functools.partial(tuple.__new__, Collected)


class BadLine(NamedTuple):
    """A line that cannot be read."""

    number: int
    """Counted from 1."""
    reason: str
    text: str
    """How it begins; a stranger's text."""


def read(lines: Iterable[bytes]) -> Iterator[Collected | BadLine]:
    """Yield the answer on each of ``lines``, or what is wrong with it; empty lines are left out.

    At most :data:`LONGEST_LINE` octets of a line are looked at, so that is all that need be there.
    """
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            yield BadLine(number, "it is too long", _beginning(line))
            continue
        try:
            yield _read(loads(line))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            if line.strip():
                yield BadLine(number, _why(line), _beginning(line))


def _why(line: bytes) -> str:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return "it is not JSON"
    return "it is no answer of zdns's TXT module or of massdns -t TXT -o J"


def _beginning(line: bytes) -> str:
    text = printable(line[: 2 * _MOST_CHARACTERS].decode("utf-8", "backslashreplace").strip())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _read(line: Any) -> Collected:
    """Return what a line means. Raises an error for one of another form."""
    name = _name(line["name"])
    results = line.get("results")
    if results is not None:
        result = results["TXT"]
        status, data = result["status"], result.get("data")
        field, value_of = "answer", _of_zdns
    else:
        if line["type"] != "TXT":
            raise ValueError(line["type"])
        status, data = line.get("status") or line["error"], line.get("data")
        if "tc" in line.get("flags", ()):
            status = "TRUNCATED"
        field, value_of = "data", _of_massdns
    if status not in ("NOERROR", "NXDOMAIN"):
        return Collected(name, name, None, _trouble(status))
    answers = (data.get("answers") or []) if data else []
    if len(answers) == 1 and (only := answers[0])["type"] == "TXT" and only["name"] == line["name"]:
        return _new((name, name, (value_of(only[field]),), None))  # as most are
    texts: list[tuple[str, str]] = []
    aliases: dict[str, str] = {}
    for record in answers:
        rdtype = record["type"]
        if rdtype == "TXT":
            texts.append((_name(record["name"]), value_of(record[field])))
        elif rdtype == "CNAME":
            aliases[_name(record["name"])] = _name(record[field])
    end = name
    for _ in range(MAX_ALIASES):
        if end not in aliases:
            return Collected(name, end, tuple([value for owner, value in texts if owner == end]))
        end = aliases[end]
    return Collected(name, name, None, "is an alias that never ends")


def _name(name: str) -> str:
    return name.removesuffix(".").lower()


def _trouble(status: str) -> str:
    words = status.strip()
    if words in ("TIMEOUT", "ITERATIVE_TIMEOUT", "MAXRETRIES"):
        return "timed out"
    shown = printable(words)
    return f"answers {shown if len(shown) <= _MOST_CHARACTERS else f'{shown[:_MOST_CHARACTERS]}…'}"


def _of_zdns(text: str) -> str:
    joined = text.replace("\n", "")
    return unescaped(joined) if "\\" in joined else _checked(joined)


def _of_massdns(text: str) -> str:
    if "\\" not in text:
        return _checked(text)
    octets = _MASSDNS_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8"))
    return from_octets(octets)


def _checked(text: str) -> str:
    """Return ``text``. Raises :class:`ValueError` for halves of characters, which JSON may have."""
    if not text.isascii():
        text.encode("utf-8")
    return text
