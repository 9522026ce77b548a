"""What a host has, and what the inventory tells of all hosts: values."""

import dataclasses
from collections.abc import Sequence

#: What is said of a host that the asker's role may not know.
ANOTHER = "another-host"

#: The version of the JSON that shows these: of what is in it, nothing is renamed, removed or given
#: another meaning.
JSON_VERSION = 1


@dataclasses.dataclass(frozen=True)
class HeldAccount:
    """An ACME account of a host."""

    url: str
    server: str
    """The CA's ACME directory URL; empty if it is unknown."""
    thumbprints: tuple[str, ...]
    """Of its keys, the current one first; earlier ones included."""
    uris: tuple[str, ...]
    """Further account URIs that belong to it, not hashed."""
    issuer_domain_names: tuple[str, ...]
    """What the CA offers, as far as an order has said; empty if none has."""
    hash_prefix: str | None
    """The prefix of hashed account URIs, if the CA has one."""
    former: bool
    """Whether the host no longer has it."""


@dataclasses.dataclass(frozen=True)
class HeldRecord:
    """A record that a host published and has not removed."""

    name: str
    value: str
    domain: str
    server: str
    account_url: str
    provider: str
    persist_until: int | None
    """UNIX seconds."""
    first_published: str | None
    """RFC 3339, UTC."""
    last_changed: str
    """RFC 3339, UTC."""
    doubt: str | None
    """Why it may not be there; ``None`` if we know."""


@dataclasses.dataclass(frozen=True)
class HeldCertificate:
    """A certificate that a host renews with our authenticator."""

    name: str
    domains: tuple[str, ...]
    not_after: str
    """RFC 3339, UTC."""
    server: str
    account_url: str
    """Empty if the host cannot tell."""


@dataclasses.dataclass(frozen=True)
class Holding:
    """What one host has."""

    accounts: Sequence[HeldAccount]
    records: Sequence[HeldRecord]
    certificates: Sequence[HeldCertificate]


@dataclasses.dataclass(frozen=True)
class Host:
    """A host as the inventory lists it."""

    name: str
    """The role that it logs in as."""
    hostname: str
    """What it calls itself."""
    pushed_at: str
    """RFC 3339, UTC."""
    accounts: int
    records: int
    certificates: int
    next_end: str | None
    """When the first of its certificates ends (RFC 3339, UTC)."""


@dataclasses.dataclass(frozen=True)
class FleetAccount:
    """An account of any host, as far as the asker's role may know."""

    url: str
    thumbprints: tuple[str, ...]
    uris: tuple[str, ...]
    former: bool
    host: str
    """``another-host`` if the asker may not know."""


@dataclasses.dataclass(frozen=True)
class Event:
    """An entry of the history."""

    at: str
    """RFC 3339, UTC."""
    who: str
    """The role that made the change."""
    address: str | None
    """Where it came from; ``None`` for a socket on the server itself."""
    program: str
    kind: str
    """``host``, ``account``, ``record`` or ``certificate``."""
    action: str
    """``insert``, ``update`` or ``delete``."""
    what: str
    """The URL, name or hostname that it is about."""
