"""What several providers need: their keys, the possible zones of a name, their package."""

import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it needs zope.interface, which credentials can be read without
    from certbot_dns_persist.providers.interface import Settings


def file_of(settings: "Settings") -> str:
    """Return the credentials file as messages name it."""
    return settings.credentials_file or "the file given with --dns-persist-credentials"


def value_of(settings: "Settings", key: str) -> str:
    """Return what the credentials file says of ``key``; empty when it says nothing."""
    return settings.credentials.get(key, "").strip()


def flag(text: str) -> bool:
    """Return ``true`` or ``false``, in any case, as a bool. Raises :class:`ValueError`."""
    return bool(("false", "true").index(text.lower()))


def zones_above(name: str) -> list[str]:
    """Return the names of the zones that ``name`` may be in: itself first, its last label last."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def distribution(entry: importlib.metadata.EntryPoint) -> str:
    """Return name and version of the package that an entry point belongs to."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "(unknown)"
