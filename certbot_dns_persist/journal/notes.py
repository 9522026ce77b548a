"""What is noted: changes, and the records that stand."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Change:
    """One attempt to add or remove a record."""

    action: Literal["add", "remove"]
    name: str
    """The name that the record stands at: after CNAMEs, without trailing dot."""
    value: str
    ttl: int | None
    """Seconds; ``None`` where it does not matter, as for a removal."""
    provider: str
    zone: str | None
    """``None`` when the provider cannot tell."""
    reason: str
    """Why it was made, for people."""
    server: str
    """The URL of the ACME directory of the CA that the record is for."""
    account_url: str
    domain: str
    """The domain that the record was made to prove."""
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
    """RFC 3339, UTC; ``None`` when the notes were lost and it is only known from DNS."""
    last_changed: str
    """RFC 3339, UTC; when it was noted again, if the notes were lost."""


@dataclasses.dataclass(frozen=True)
class Logged:
    """A record that was added and not removed, as far as the log of changes goes back."""

    name: str
    value: str
    ttl: int | None
    provider: str
    zone: str | None
    first_published: str
    """RFC 3339, UTC."""
    last_changed: str
    """RFC 3339, UTC."""
