"""What several providers need: their keys, the possible zones of a name, their package, safety."""

import contextlib
import importlib.metadata
import ipaddress
import re
import traceback
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from certbot_dns_persist.errors import ConfigurationError, ProviderError
from certbot_dns_persist.files import are_root, weakness
from certbot_dns_persist.shown import printable

if TYPE_CHECKING:  # it needs zope.interface, which credentials can be read without
    from certbot_dns_persist.providers.interface import Settings

_Z = TypeVar("_Z", bound=Hashable)

GROUP = "certbot_dns_persist.providers"
"""The entry-point group in which providers register."""

ANOTHER = (
    "Use another provider (--dns-persist-provider): for instance script, with a program that "
    "writes the record, or manual, and publish it yourself."
)
"""What to do instead of using a plugin or a program; a sentence."""

_MOST_CHARACTERS = 500  # of what a stranger says

_PLUGINS = ("certbot.plugins", "letsencrypt.plugins")  # Certbot reads both

_NOT_OTHERS = {"certbot", "certbot-apache", "certbot-dns-persist", "certbot-nginx"}
"""Packages whose plugins write no records, or are this one."""


def plugins() -> Iterator[importlib.metadata.EntryPoint]:
    """Yield other people's Certbot plugins, as far as they may write records; import nothing."""
    for group in _PLUGINS:
        for entry in importlib.metadata.entry_points(group=group):
            if entry.dist is None or entry.dist.name.lower() not in _NOT_OTHERS:
                yield entry


def plugins_called(name: str) -> list[importlib.metadata.EntryPoint]:
    """Return the Certbot plugins called ``name``: by itself, or as ``package:name``."""
    package, colon, short = name.partition(":")
    return [
        entry
        for entry in plugins()
        if entry.name == name
        or (colon and entry.dist and entry.dist.name == package and entry.name == short)
    ]


def is_plugin(provider: str) -> bool:
    """Whether ``provider`` is a Certbot plugin and no provider of its own, installed or not."""
    if importlib.metadata.entry_points(group=GROUP, name=provider):
        return False
    return provider.startswith("dns-") or bool(plugins_called(provider))


def refuse_changeable(path: Path, what: str) -> None:
    """Raise if we run as root and somebody else can change ``path``, or where it leads.

    Whoever can would decide what root does. ``what`` begins the message of the
    :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    weak = weakness(path) if are_root() else None
    if weak is not None:
        raise ConfigurationError(
            f"{what} is not used, because this runs as root, and others can change it: {weak}. Or "
            "move it to a directory that only root can change, such as /etc/letsencrypt."
        )


def missing_package(provider: str, package: str) -> ConfigurationError:
    """Return the error to raise if the Python package that a provider needs cannot be imported."""
    return ConfigurationError(
        f"The provider {provider} needs the Python package {package}, which is not installed or "
        f"too old. Install it where Certbot is: pip install 'certbot-dns-persist[{provider}]'"
    )


def file_of(settings: "Settings") -> str:
    """Return the credentials file as messages name it."""
    return settings.credentials_file or "the file given with --dns-persist-credentials"


def value_of(settings: "Settings", key: str) -> str:
    """Return what the credentials file says of ``key``; empty when it says nothing."""
    return settings.credentials.get(key, "").strip()


def one_line(words: str) -> str:
    """Return a stranger's ``words`` as one line that is short enough for a message."""
    line = printable(" ".join(words.split()))
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"


def flag(text: str) -> bool:
    """Return ``true`` or ``false``, in any case, as a bool. Raises :class:`ValueError`."""
    return bool(("false", "true").index(text.lower()))


def checked_flag(text: str, what: str) -> bool:
    """Return :func:`flag`; ``what`` begins the message of the ``ConfigurationError`` if it is none.

    That is the key and the file.
    """
    with contextlib.suppress(ValueError):
        return flag(text)
    raise ConfigurationError(f"{what} must be true or false.")


def checked_secret(found: str, what: str) -> str:
    """Return a value that is sent in a header; ``what`` is as for :func:`checked_flag`.

    An HTTP client quotes a header that it cannot send.
    """
    if re.fullmatch(r"[!-~]*", found):
        return found
    raise ConfigurationError(
        f"{what} contains blanks or other invalid characters. Copy it again, without 'Bearer' or "
        "line breaks."
    )


def without_secrets(words: str, secrets: Iterable[str]) -> str:
    """Return ``words`` without ``secrets``: an answer may quote anything."""
    for secret in secrets:
        words = words.replace(secret, "(secret)")
    return words


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name, is this machine."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def place_of(error: BaseException) -> str:
    """Return the kind of an ``error`` and the line that raised it.

    Not its words: those of other people's code may quote credentials.
    """
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {where.filename}, line {where.lineno}"


def zones_above(name: str) -> list[str]:
    """Return the names of the zones that ``name`` may be in: itself first, its last label last."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def likely_zones(settings: "Settings", name: str) -> list[str]:
    """Return :func:`zones_above` with the one that DNS shows first, if it shows one.

    A service may have a zone below it, which the name servers of that one know nothing of.
    """
    served = None
    with contextlib.suppress(ProviderError):
        served = settings.observe(name).zone
    return sorted(zones_above(name), key=lambda zone: zone != served)


def by_zone(
    names: Iterable[str], zone_of: Callable[[str], _Z]
) -> tuple[dict[_Z, list[str]], dict[str, ProviderError]]:
    """Return ``names``, each once, by the zones that ``zone_of`` returns, and the errors that it
    raises for others.
    """
    zones: dict[_Z, list[str]] = {}
    failed: dict[str, ProviderError] = {}
    for name in dict.fromkeys(names):
        try:
            zones.setdefault(zone_of(name), []).append(name)
        except ProviderError as error:
            failed[name] = error
    return zones, failed


def some(names: Collection[str]) -> str:
    """Return ``names`` for a message, not all of many."""
    first = next(iter(names))
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more names"


def distribution(entry: importlib.metadata.EntryPoint) -> str:
    """Return name and version of the package that an entry point belongs to."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "(unknown)"
