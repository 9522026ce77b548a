"""A list of domains: one a line, perhaps with the CA and the account that its record is for."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator

from certbot_dns_persist.cli import inputs
from certbot_dns_persist.errors import ConfigurationError, UsageError
from certbot_dns_persist.request.identities import KEYS, Part
from certbot_dns_persist.request.names import Names
from certbot_dns_persist.request.subjects import Trouble, Troubles, normalize

Choose = Callable[[tuple[Part, ...]], int]
"""Returns the number of the accounts that the parts of a line name; 0 where it has none."""


@dataclasses.dataclass
class Listed:
    """What a list has."""

    names: Names = dataclasses.field(default_factory=Names)
    troubles: Troubles = dataclasses.field(default_factory=Troubles)
    """What is wrong with other lines."""
    silent: int = 0
    """How many lines have a domain alone."""
    first_silent: int = 0
    """The number of the first of them."""


def read(path: str, choose: Choose) -> Listed:
    """Return what is in the file.

    ``choose`` is called once for each combination of parts, and may raise
    :class:`~certbot_dns_persist.errors.ConfigurationError`. Raises the same if the file cannot be
    read at all.
    """
    found = Listed()
    try:
        # Windows' editors put a byte order mark before the first line.
        with os.fdopen(inputs.opened(path), encoding="utf-8-sig") as file:
            found.names.add_all(_wanted(file, path, choose, found))
    except OSError as error:
        raise UsageError(f"The domains in {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The domains in {path} cannot be read: it is not text in UTF-8."
        ) from error
    return found


def _wanted(
    file: Iterable[str], path: str, choose: Choose, found: Listed
) -> Iterator[tuple[str, int]]:
    """Yield each name with the number of its accounts; note in ``found`` what else there is."""
    chosen: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(file, start=1):
        domain, *words = _words(line)
        if not domain:
            continue
        try:
            name, key = normalize(domain), tuple(words)
            if key not in chosen:
                chosen[key] = choose(tuple(map(_part, words)))
        except ConfigurationError as error:
            found.troubles.add(Trouble(f"{path}, line {number}: {error}"))
            continue
        if not words:
            if not found.silent:
                found.first_silent = number
            found.silent += 1
        yield name, chosen[key]


def _words(line: str) -> list[str]:
    """Return the words of a line, without its comment: a URI may have a # within, no domain may."""
    found = line.split() or [""]
    if len(found) == 1 and "#" not in line:
        return found  # as in most lists
    domain, *words = found
    if "#" in domain:
        return [domain.partition("#")[0]]
    comment = next((n for n, word in enumerate(words) if word.startswith("#")), len(words))
    words = words[:comment]
    if not any("=" in word for word in words):
        return [" ".join([domain, *words])]
    return [domain, *words]


def _part(word: str) -> Part:
    key, equals, value = word.partition("=")
    if key not in KEYS or not equals or not value:
        *some, last = (f"{key}=…" for key in KEYS)
        raise ConfigurationError(
            f"{word!r} cannot follow a domain. Write one domain a line and, after it, nothing or "
            f"{', '.join(some)} or {last}"
        )
    return key, value
