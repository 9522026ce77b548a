"""What we note: changes, before and after they are made, and the records that stand."""

import dataclasses
from typing import Literal

OK = "ok"
"""The result of a change that was made."""
WAS_GONE = "was gone already"
"""The result of a removal that found nothing to remove."""
NOT_MADE = "not made"
"""The result of a change that was interrupted and, as DNS and the provider say, was not made."""
INTERRUPTED = "interrupted"
"""How the result of a change begins whose outcome nobody has told."""
INTENDED = "intended"
"""What stands in the log instead of a result until the change was tried."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A record to add or to remove."""

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
    temporary: bool = False
    """Whether the run that adds the record also removes it, as a dry run does."""


@dataclasses.dataclass(frozen=True)
class Intention:
    """A change that is about to be made, or whose outcome is unknown."""

    id: str
    """Ties the lines of the log about one change together."""
    change: Change
    in_state: bool
    in_log: bool
    time: str = ""
    """When it was noted (RFC 3339, UTC)."""
    outcome: str | None = None
    """What is known of its outcome."""

    @property
    def noted(self) -> bool:
        """Whether the state or the log has it, so that it is not forgotten."""
        return self.in_state or self.in_log

    @property
    def refused(self) -> bool:
        """Whether the provider said that it did not make the change."""
        return self.outcome is not None and not self.outcome.startswith(INTERRUPTED)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of an intended change."""

    intention: Intention
    result: str = OK
    """``ok``, ``was gone already``, ``not made``, or what is known if it may have been made."""
    ttl: int | None = None
    """Seconds, as the service set it; ``None`` if it was as intended."""

    @property
    def change(self) -> Change:
        """The change as it was made."""
        change = self.intention.change
        return change if self.ttl is None else dataclasses.replace(change, ttl=self.ttl)


@dataclasses.dataclass(frozen=True)
class PublishedRecord:
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
    temporary: bool = False
    """Whether it was only meant to stand until the end of the run that published it."""
    doubt: str | None = None
    """Why it may not be there: a change began, and its outcome is unknown. ``None`` if we know."""


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
    doubt: str | None = None
    """As in :class:`PublishedRecord`."""
