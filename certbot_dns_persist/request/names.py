"""Many domain names, in little more memory than their letters take.

A set of a million names takes more than a hundred megabytes, and monitoring hosts are small.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_BASE, _WILDCARD = 1, 2

# In front of each domain: the number of its shape, and whether it was taken.
_HEAD, _TAKEN = 4, 1 << 31

_Shape = tuple[tuple[int, int], ...]
"""For each number of accounts, in the order of their first mention, what is wanted for them."""


class Need(NamedTuple):
    """What is wanted of a domain."""

    names: tuple[str, ...]
    """The domain, its wildcard, or both, sorted."""
    who: int = 0
    """The number of the accounts that it is wanted for; 0 where none were named with the domain."""


class Names:
    """Domains in the order of their first mention, and what is wanted of each."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names`` are normalised, and may begin with ``*.``."""
        # For each domain its head, its letters, and a newline.
        self._text = bytearray()
        # A hash table: where each domain begins in the text, counted from 1; 0 where there is none.
        self._slots = array("I", [0]) * 64
        self._count = 0
        self._shapes: list[_Shape] = [()]
        self._numbers: dict[_Shape, int] = {(): 0}
        self._next: dict[tuple[int, int, int], int] = {}
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        """Return how many domains there are."""
        return self._count

    def __iter__(self) -> Iterator[tuple[str, Need]]:
        """Yield each domain, without ``*.``, with what is wanted of it, once for each ``who``."""
        for domain, head in self._headed():
            for wanted in self._wanted(domain, head):
                yield domain, wanted

    def wanted(self, domain: str) -> tuple[Need, ...]:
        """Return what is wanted of ``domain``; nothing if that was taken."""
        start = self._start(domain)
        head = self._head(start) if start >= 0 else _TAKEN
        return () if head & _TAKEN else self._wanted(domain, head)

    def take(self, domain: str) -> tuple[Need, ...]:
        """Return the same, and never again."""
        start = self._start(domain)
        if start < 0 or (head := self._head(start)) & _TAKEN:
            return ()
        self._set_head(start, head | _TAKEN)
        return self._wanted(domain, head)

    def left(self) -> Iterator[tuple[str, tuple[Need, ...]]]:
        """Yield the domains that were not taken, each with all that is wanted of it."""
        for domain, head in self._headed():
            if not head & _TAKEN:
                yield domain, self._wanted(domain, head)

    def __contains__(self, domain: object) -> bool:
        """Whether something is wanted of ``domain``, taken or not."""
        return self._start(str(domain)) >= 0

    def add(self, name: str, who: int = 0) -> None:
        """Add a name that is wanted for the accounts with the number ``who``."""
        domain = name.removeprefix("*.")
        key = b"%b\n" % domain.encode("utf-8")
        slot = self._slot(domain, key)
        if not self._slots[slot]:
            self._slots[slot] = len(self._text) + 1
            self._text += bytes(_HEAD) + key
            self._count += 1
        start = self._slots[slot] - 1
        number, mark = self._head(start), _BASE if domain == name else _WILDCARD
        grown = self._next.get((number, who, mark))
        self._set_head(start, self._grown(number, who, mark) if grown is None else grown)
        if 3 * self._count > 2 * len(self._slots):
            self._grow()

    def _grown(self, number: int, who: int, mark: int) -> int:
        """Return the number of the shape ``number`` with one more ``mark``."""
        marks = dict(self._shapes[number])
        marks[who] = marks.get(who, 0) | mark
        shape = tuple(marks.items())
        if shape not in self._numbers:
            self._numbers[shape] = len(self._shapes)
            self._shapes.append(shape)
        found = self._next[number, who, mark] = self._numbers[shape]
        return found

    def _wanted(self, domain: str, head: int) -> tuple[Need, ...]:
        shape = self._shapes[head & ~_TAKEN]
        return tuple([Need(_names(domain, marks), who) for who, marks in shape])

    def _start(self, domain: str) -> int:
        """Return where ``domain`` begins in the text; -1 if it is not there."""
        key = b"%b\n" % domain.encode("utf-8", "backslashreplace")  # a stranger's
        return self._slots[self._slot(domain, key)] - 1

    def _head(self, start: int) -> int:
        return int.from_bytes(self._text[start : start + _HEAD], "little")

    def _set_head(self, start: int, head: int) -> None:
        self._text[start : start + _HEAD] = head.to_bytes(_HEAD, "little")

    def _headed(self) -> Iterator[tuple[str, int]]:
        start = 0
        while start < len(self._text):
            end = self._text.index(b"\n", start + _HEAD)
            yield self._text[start + _HEAD : end].decode("utf-8"), self._head(start)
            start = end + 1

    def _slot(self, domain: str, key: bytes) -> int:
        """Return the slot that ``domain`` has, or that it would get."""
        last = len(self._slots) - 1
        slot = hash(domain) & last
        while (start := self._slots[slot]) and not self._text.startswith(key, start - 1 + _HEAD):
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        self._slots = array("I", [0]) * (2 * len(self._slots))
        start = 0
        while start < len(self._text):
            end = self._text.index(b"\n", start + _HEAD)
            key = bytes(self._text[start + _HEAD : end + 1])
            self._slots[self._slot(key[:-1].decode("utf-8"), key)] = start + 1
            start = end + 1


def _names(domain: str, marks: int) -> tuple[str, ...]:
    if marks == _BASE:
        return (domain,)
    return (f"*.{domain}",) if marks == _WILDCARD else (f"*.{domain}", domain)
