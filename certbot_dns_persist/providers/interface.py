"""The contract between this package and one DNS service.

A provider changes TXT records. It knows nothing of ACME, of certificates or of what the values
mean. Its whole life:

1. The loader finds the class in the entry-point group ``certbot_dns_persist.providers`` and
   calls it with one :class:`Settings`. The constructor checks the settings and opens nothing;
   for what is missing it raises a
   :class:`~certbot_dns_persist.errors.ConfigurationError` that names the key and the file.
2. The loader verifies the object against :class:`IProvider`, signatures included.
   A class attribute ``KEYS``, if there is one, names the keys that it knows: the loader warns of
   others, which are usually misspelt.
3. ``add_value`` is called for each record that is missing, then, when every server has the
   new records, ``remove_value`` for each that they replace. SDKs are imported here, not before.
   An :class:`IManyProvider` gets the missing records of many names in one ``add_many`` instead,
   and an :class:`ILookingProvider` is asked about many names in one ``look_at_many``; who has
   nothing to gain from that does without it.
4. Where no name server shows a record here when the time is up, an :class:`IAnsweringProvider` is
   asked whether it has it. Others need nothing more: of these it is then in doubt.

The rules that keep other people's records alive:

* Adding a value that is there is not an error, nor is removing one that is not there.
* Every other value at the name survives, even if another process writes at the same time, as far
  as the service allows.
* A failure is a :class:`~certbot_dns_persist.errors.ProviderError` that names the service, the
  zone, the name and what to do, but never a secret.
"""

# A zope interface declares methods without self and without types.
# mypy: disable-error-code="misc, no-untyped-def"

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from zope.interface import Attribute, Interface

from certbot_dns_persist.errors import ProviderError


@dataclasses.dataclass(frozen=True)
class Served:
    """What authoritative servers serve at a name, for services that cannot be asked."""

    values: list[str]
    """Every TXT value that one of them serves, each joined from its strings."""
    zone: str | None
    """The zone that the name is in; ``None`` if only resolvers could be asked."""
    servers: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """What each server that answers serves, by the server's name and address."""


def _cannot_observe(name: str) -> Served:
    raise ProviderError(f"The name servers of {name} cannot be asked from here.")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a provider is made from."""

    credentials: Mapping[str, str] = dataclasses.field(repr=False)
    """This provider's keys of the credentials file, without their prefix."""

    credentials_file: str | None
    """Where they come from, for messages; ``None`` if no file was given."""

    notify: Callable[[str], None]
    """Shows a sentence to the user."""

    observe: Callable[[str], Served] = _cannot_observe
    """Asks a name's authoritative servers what they serve now. Raises ProviderError."""


class Addition(NamedTuple):
    """A TXT record to add."""

    name: str
    value: str
    ttl: int
    """Seconds."""


class Seen(NamedTuple):
    """What a service has at a name."""

    zone: str | None
    """As ``zone_for`` returns it."""
    values: list[str]
    """As ``list_values`` returns them."""


class IProvider(Interface):
    """One DNS service, as far as TXT records go. Names are absolute and carry no trailing dot."""

    writes = Attribute(
        """bool: whether ``add_value`` and ``remove_value`` change records; if false, a person
        changes them and these calls only tell them"""
    )

    def zone_for(name):
        """Return the zone to which ``name`` would be written (str); ``None`` if unknown."""

    def list_values(name):
        """Return the TXT values at ``name`` (list of str), each joined from its strings.

        A name that does not exist has no values.
        """

    def add_value(name, value, ttl):
        """Add the TXT ``value`` at ``name``; return the TTL (int, seconds) that was used.

        A TTL that the service does not allow becomes the nearest one that it does.
        """

    def remove_value(name, value):
        """Remove exactly the TXT ``value`` from ``name``."""


class ISettlingProvider(IProvider):
    """A provider whose service can say when all of its servers have what was added."""

    def settle():
        """Return when they have it, or tell the user why that is unknown. Called once after all
        additions, to wait for many records together.
        """


class ILookingProvider(IProvider):
    """A provider that looks at many names in fewer requests than two each."""

    def look_at_many(names):
        """Return what the service has at each of ``names`` (a list of str), in their order: a
        :class:`Seen`, or the :class:`~certbot_dns_persist.errors.ProviderError` that
        ``zone_for`` or ``list_values`` would raise.
        """


class IManyProvider(IProvider):
    """A provider that adds many records in fewer requests than one each."""

    def add_many(additions):
        """Add TXT records (a list of :class:`Addition`), as ``add_value`` does with each.

        Return, in their order, the TTL (int, seconds) that was used for each, or the
        :class:`~certbot_dns_persist.errors.ProviderError` that says why it may not be there. One
        that fails does not keep the others from being added; nothing is raised for it.
        """


class IAnsweringProvider(IProvider):
    """One whose service answers for itself, as an API or a signed message does.

    What such a service accepted, or has, is published, though nobody sees it from here: its word
    is good, where ``list_values`` of others only says what DNS shows, and a program that ended
    well proves nothing.
    """

    def has_value(name, value):
        """Return whether the service itself has the TXT ``value`` at ``name`` (bool), ``None``
        when it cannot tell.
        """


class IUntriedProvider(IProvider):
    """One that writes through a program of others, which may be made for other values and names.

    Before it touches a name with values of others, it is tried out at a name that nobody uses.
    """

    def identity():
        """Return what a trial is good for, as the program's name and version (str); ``None`` if
        it needs none.
        """

    def manner():
        """Return how it hands values over (str), which a trial may have found out."""

    def use_manner(manner):
        """Do so in this manner, which an earlier trial of the same identity found out."""


class Provider(Protocol):
    """:class:`IProvider` for type checkers, which cannot read a zope interface."""

    @property
    def writes(self) -> bool: ...

    def zone_for(self, name: str) -> str | None: ...

    def list_values(self, name: str) -> list[str]: ...

    def add_value(self, name: str, value: str, ttl: int) -> int: ...

    def remove_value(self, name: str, value: str) -> None: ...


class UntriedProvider(Provider, Protocol):
    """:class:`IUntriedProvider` for type checkers."""

    def identity(self) -> str | None: ...

    def manner(self) -> str: ...

    def use_manner(self, manner: str) -> None: ...


class AnsweringProvider(Provider, Protocol):
    """:class:`IAnsweringProvider` for type checkers."""

    def has_value(self, name: str, value: str) -> bool | None: ...


class ManyProvider(Provider, Protocol):
    """:class:`IManyProvider` for type checkers."""

    def add_many(self, additions: Sequence[Addition]) -> Sequence[int | ProviderError]: ...


class LookingProvider(Provider, Protocol):
    """:class:`ILookingProvider` for type checkers."""

    def look_at_many(self, names: Sequence[str]) -> Sequence[Seen | ProviderError]: ...


class SettlingProvider(Provider, Protocol):
    """:class:`ISettlingProvider` for type checkers."""

    def settle(self) -> None: ...
