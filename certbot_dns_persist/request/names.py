"""Many domain names, in little more memory than their letters take.

A set of a million names takes more than a hundred megabytes, and monitoring hosts are small.
"""

from array import array
from collections.abc import Iterable, Iterator

_BASE, _WILDCARD, _TAKEN = 1, 2, 4


class Names:
    """Domains in the order of their first mention, and whether each is wanted itself, as a
    wildcard, or both.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names`` are normalised, and may begin with ``*.``."""
        # For each domain an octet that says what is wanted, its letters, and a newline.
        self._text = bytearray()
        # A hash table: where each domain begins in the text, counted from 1; 0 where there is none.
        self._slots = array("I", [0]) * 64
        self._count = 0
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each domain, without ``*.``, with the names wanted of it, sorted."""
        return ((domain, _names(domain, marks)) for domain, marks in self._marked())

    def wanted(self, domain: str) -> tuple[str, ...] | None:
        """Return the names wanted of ``domain``; ``None`` if none is, or if they were taken."""
        start = self._start(domain)
        if start < 0 or self._text[start] & _TAKEN:
            return None
        return _names(domain, self._text[start])

    def take(self, domain: str) -> tuple[str, ...] | None:
        """Return the same, and never again."""
        start = self._start(domain)
        if start < 0 or (marks := self._text[start]) & _TAKEN:
            return None
        self._text[start] = marks | _TAKEN
        return _names(domain, marks)

    def left(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield, as iterating does, those that were not taken."""
        for domain, marks in self._marked():
            if not marks & _TAKEN:
                yield domain, _names(domain, marks)

    def __contains__(self, domain: object) -> bool:
        """Whether something is wanted of ``domain``, taken or not."""
        return self._start(str(domain)) >= 0

    def _start(self, domain: str) -> int:
        """Return where ``domain`` begins in the text; -1 if it is not there."""
        key = b"%b\n" % domain.encode("utf-8", "backslashreplace")  # a stranger's
        return self._slots[self._slot(domain, key)] - 1

    def _marked(self) -> Iterator[tuple[str, int]]:
        start = 0
        while start < len(self._text):
            end = self._text.index(b"\n", start)
            yield self._text[start + 1 : end].decode("utf-8"), self._text[start]
            start = end + 1

    def add(self, name: str) -> None:
        """Add a name, unless it is there already."""
        domain = name.removeprefix("*.")
        key = b"%b\n" % domain.encode("utf-8")
        slot = self._slot(domain, key)
        if not self._slots[slot]:
            self._slots[slot] = len(self._text) + 1
            self._text += b"\0%b" % key
            self._count += 1
        self._text[self._slots[slot] - 1] |= _BASE if domain == name else _WILDCARD
        if 3 * self._count > 2 * len(self._slots):
            self._grow()

    def _slot(self, domain: str, key: bytes) -> int:
        """Return the slot that ``domain`` has, or that it would get."""
        last = len(self._slots) - 1
        slot = hash(domain) & last
        while (start := self._slots[slot]) and not self._text.startswith(key, start):
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        self._slots = array("I", [0]) * (2 * len(self._slots))
        start = 0
        while start < len(self._text):
            end = self._text.index(b"\n", start)
            key = bytes(self._text[start + 1 : end + 1])
            self._slots[self._slot(key[:-1].decode("utf-8"), key)] = start + 1
            start = end + 1


def _names(domain: str, marks: int) -> tuple[str, ...]:
    wanted = marks & (_BASE | _WILDCARD)
    if wanted == _BASE:
        return (domain,)
    return (f"*.{domain}",) if wanted == _WILDCARD else (f"*.{domain}", domain)
