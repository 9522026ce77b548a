"""Notices on a domain, besides its diagnosis."""

import dataclasses
import enum

from certbot_dns_persist.judge.diagnosis import Severity


class NoticeKind(str, enum.Enum):
    """What a notice is about, in a word; compares and prints as that word."""

    ACCEPTED_BY_SOME = "accepted-by-some"
    OBSOLETE = "obsolete"
    MALFORMED = "malformed"
    UNRELATED = "unrelated"
    UNRECORDED = "unrecorded"
    WIDER = "wider"
    OUTDATED = "outdated"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    LEFT_OVER = "left-over"
    GONE = "gone"
    KNOWN_ACCOUNT = "known-account"
    OTHER_ACCOUNT = "other-account"
    FORMER_ACCOUNT = "former-account"
    UNKNOWN_ACCOUNT = "unknown-account"
    OTHER_CA = "other-ca"
    HIDES_HOST = "hides-host"
    PERMITS_OTHERS = "permits-others"
    NEW = "new-record"
    NO_LONGER = "removed-record"
    CHANGED = "changed"
    NOT_COMPARED = "not-compared"

    __str__ = str.__str__


@dataclasses.dataclass(frozen=True)
class Notice:
    """Something besides the diagnosis that the domain's administrator should know."""

    kind: NoticeKind
    severity: Severity
    name: str
    """Where it is."""
    value: str | None
    """The TXT value that it is about; ``None`` if it is not about one."""
    reason: str
    """For a person."""
