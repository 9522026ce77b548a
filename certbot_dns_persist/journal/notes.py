"""What we note: changes, and the records that stand."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Change:
    """One attempt to add or remove a record."""

    action: Literal["add", "remove"]
    name: str
    """The name of the record: after CNAMEs, without trailing dot."""
    value: str
    ttl: int | None
    """Seconds; ``None`` if it does not matter, as for a removal."""
    provider: str
    zone: str | None
    """``None`` if the provider does not know it."""
    reason: str
    """The reason for the change, for people."""
    server: str
    """The ACME directory URL of the CA that the record is for."""
    account_url: str
    domain: str
    """The domain that the record is for."""
    persist_until: int | None = None
    """UNIX seconds."""
    result: str = "ok"
    """``ok``, or what went wrong."""


@dataclasses.dataclass(frozen=True)
class StandingRecord:
    """A record that we published and have not removed, as :class:`Change` describes it."""

    name: str
    value: str
    ttl: int | None
    provider: str
    zone: str | None
    server: str
    account_url: str
    domain: str
    persist_until: int | None
    first_published: str | None
    """RFC 3339, UTC; ``None`` if the notes were lost and we know the record only from DNS."""
    last_changed: str
    """RFC 3339, UTC; if the notes were lost, the time at which we noted it again."""


@dataclasses.dataclass(frozen=True)
class Logged:
    """A record that was added and not removed, according to the log of changes."""

    name: str
    value: str
    ttl: int | None
    provider: str
    zone: str | None
    first_published: str
    """RFC 3339, UTC."""
    last_changed: str
    """RFC 3339, UTC."""
