"""Many domain names, in little more memory than their letters take.

A set of a million names takes more than a hundred megabytes, and monitoring hosts are small.
"""

from array import array
from collections.abc import Iterable, Iterator

_BASE, _WILDCARD = 1, 2

# Beside the number of a domain's shape: whether it was taken.
_TAKEN = 1 << 31

# Octets of names that are looked at together.
_AT_ONCE = 1 << 16

_Shape = tuple[tuple[int, int], ...]
"""For each number of accounts, in the order of their first mention, what is wanted for them."""


Need = tuple[tuple[str, ...], int]
"""What is wanted of a domain: its names (the domain, its wildcard, or both, sorted), and the number
of the accounts that they are wanted for; 0 where none were named with the domain. There may be a
million, so this is a plain tuple."""


class Names:
    """Domains in the order of their first mention, and what is wanted of each."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names`` are normalised, and may begin with ``*.``."""
        # For each domain its letters and a newline, where they begin, and what is wanted: the
        # number of a shape, and whether it was taken.
        self._text = bytearray()
        self._starts = array("I")
        self._heads = array("I")
        # A hash table of the domains' numbers, counted from 1; 0 where there is none.
        self._slots = array("I", [0]) * 64
        self._last = len(self._slots) - 1
        self._shapes: list[_Shape] = [()]
        self._numbers: dict[_Shape, int] = {(): 0}
        self._next: dict[tuple[int, int, int], int] = {}
        self.add_all((name, 0) for name in names)

    def __len__(self) -> int:
        """Return how many domains there are."""
        return len(self._heads)

    def __iter__(self) -> Iterator[tuple[str, Need]]:
        """Yield each domain, without ``*.``, with what is wanted of it, once for each ``who``."""
        for number, head in enumerate(self._heads):
            domain = self._domain(number)
            for wanted in self._wanted(domain, head):
                yield domain, wanted

    def wanted(self, domain: str) -> tuple[Need, ...]:
        """Return what is wanted of ``domain``; nothing if that was taken."""
        number = self._number(domain)
        head = self._heads[number] if number >= 0 else _TAKEN
        return () if head & _TAKEN else self._wanted(domain, head)

    def take(self, domain: str) -> tuple[Need, ...]:
        """Return the same, and never again."""
        number = self._number(domain)
        if number < 0 or (head := self._heads[number]) & _TAKEN:
            return ()
        self._heads[number] = head | _TAKEN
        return self._wanted(domain, head)

    def left(self) -> Iterator[tuple[str, tuple[Need, ...]]]:
        """Yield the domains that were not taken, each with all that is wanted of it."""
        for number, head in enumerate(self._heads):
            if not head & _TAKEN:
                domain = self._domain(number)
                yield domain, self._wanted(domain, head)

    def __contains__(self, domain: object) -> bool:
        """Whether something is wanted of ``domain``, taken or not."""
        return self._number(str(domain)) >= 0

    def add(self, name: str, who: int = 0) -> None:
        """Add a name that is wanted for the accounts with the number ``who``."""
        self.add_all([(name, who)])

    def add_all(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Add names, each with the number of the accounts that it is wanted for."""
        # One loop, as a method more a name would take half as long again.
        text, starts, heads, grown = self._text, self._starts, self._heads, self._next
        slots, last = self._slots, self._last
        for name, who in wanted:
            mark = _WILDCARD if name.startswith("*.") else _BASE
            line = f"{name[2:] if mark == _WILDCARD else name}\n".encode()
            slot = hash(line) & last
            while (number := slots[slot]) and not text.startswith(line, starts[number - 1]):
                slot = (slot + 1) & last
            if not number:
                starts.append(len(text))
                heads.append(0)
                text += line
                number = slots[slot] = len(heads)
                if 3 * number > 2 * len(slots):
                    self._grow()
                    slots, last = self._slots, self._last
            shape = heads[number - 1]
            following = grown.get((shape, who, mark))
            heads[number - 1] = self._grown(shape, who, mark) if following is None else following

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
        if len(shape) == 1:  # as of nearly all
            ((who, marks),) = shape
            return ((_names(domain, marks), who),)
        return tuple((_names(domain, marks), who) for who, marks in shape)

    def _number(self, domain: str) -> int:
        """Return the number of ``domain``, counted from 0; -1 if it is not there."""
        try:
            line = f"{domain}\n".encode()
        except UnicodeEncodeError:  # a stranger's
            return -1
        if "\n" in domain:  # a stranger's, too, and perhaps like two of ours
            return -1
        slots, last, starts, stands = self._slots, self._last, self._starts, self._text.startswith
        slot = hash(line) & last
        while (number := slots[slot]) and not stands(line, starts[number - 1]):
            slot = (slot + 1) & last
        return number - 1

    def _domain(self, number: int) -> str:
        start = self._starts[number]
        return self._text[start : self._text.index(b"\n", start)].decode("utf-8")

    def _grow(self) -> None:
        slots = self._slots = array("I", [0]) * (2 * len(self._slots))
        last = self._last = len(slots) - 1
        start = number = 0
        while start < len(self._text):
            # Some thousands of domains together: faster than one, in less memory than all.
            end = self._text.find(b"\n", start + _AT_ONCE) + 1 or len(self._text)
            for line in bytes(self._text[start:end]).splitlines(keepends=True):
                number += 1
                slot = hash(line) & last
                while slots[slot]:  # no domain is there twice
                    slot = (slot + 1) & last
                slots[slot] = number
            start = end


def _names(domain: str, marks: int) -> tuple[str, ...]:
    if marks == _BASE:
        return (domain,)
    return (f"*.{domain}",) if marks == _WILDCARD else (f"*.{domain}", domain)
