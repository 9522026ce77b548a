"""Whether a CA offers ``dns-persist-01``, in which draft, and who says so.

Only an order shows it for certain. Before one, we ask our notes of earlier orders, the CA's
directory, and ``known.json``, the list of what was last known of public CAs.
"""

import dataclasses
import enum
import functools
import importlib.resources
import json
import urllib.parse
from typing import TYPE_CHECKING

from certbot_dns_persist.shown import printable

if TYPE_CHECKING:  # it imports what talks HTTP
    from certbot_dns_persist.ca.directory import Directory
    from certbot_dns_persist.ca.terms import Terms
    from certbot_dns_persist.ca.trial_order import TrialOrder


class Answer(str, enum.Enum):
    """Whether the CA offers it."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Source(str, enum.Enum):
    """Who says so."""

    ORDER = "order"
    """The CA, in an order that was just made."""
    NOTES = "notes"
    """The CA, in an earlier order of this account, as our notes have it."""
    DIRECTORY = "directory"
    """The CA's directory: it has the members of draft -02 (draft section 3.2)."""
    LIST = "list"
    """``known.json``."""
    NOBODY = "nobody"


@dataclasses.dataclass(frozen=True)
class KnownCa:
    """What was last known of a public CA."""

    name: str
    directory: str
    """The URL of its ACME directory."""
    offers: bool
    draft: str | None
    """Such as ``-01``; ``None`` if it does not offer the challenge."""
    as_of: str
    """The month, as ``2026-11``."""
    source: str
    """How that is known, as half a sentence."""


@dataclasses.dataclass(frozen=True)
class Offer:
    """The answer for one CA."""

    server: str
    """The URL of its ACME directory."""
    answer: Answer
    source: Source
    draft: str | None = None
    """Such as ``-01``, or ``-01 and -02`` of a CA in transition; ``None`` if that is unknown."""
    known: KnownCa | None = None
    """What was last known of it, if it is on the list, whoever the answer is from."""

    @property
    def in_words(self) -> str:
        """The answer as one sentence, with the CA and who says so."""
        ca = printable(f"{self.known.name} ({self.server})" if self.known else self.server)
        draft = f" in the form of draft {self.draft}" if self.draft else ""
        if self.source is Source.LIST and self.known:
            verb = "offered" if self.known.offers else "did not offer"
            return f"{ca} {verb} dns-persist-01{draft} as of {self.known.as_of}."
        if self.answer is Answer.UNKNOWN:
            return f"Whether {ca} offers dns-persist-01 is unknown before an order."
        verb = "offers" if self.answer is Answer.YES else "does not offer"
        said = {
            Source.ORDER: "as an order shows",
            Source.NOTES: "as it did in an earlier order",
            Source.DIRECTORY: "as its directory says",
        }[self.source]
        return f"{ca} {verb} dns-persist-01{draft}, {said}."


def offer_of(
    server: str, *, directory: "Directory | None" = None, noted: "Terms | None" = None
) -> Offer:
    """Return what is known of the CA at ``server`` without an order.

    ``directory`` is its directory, if that could be read; ``noted`` what it stated in the last
    order of an account there.
    """
    known = known_ca(server)
    if noted is not None:
        only_hashed = noted.hash_prefix is not None and noted.plain is None
        return Offer(server, Answer.YES, Source.NOTES, "-02" if only_hashed else None, known)
    if directory is not None and (directory.account_hash_prefix or directory.issuer_domain_names):
        return Offer(server, Answer.YES, Source.DIRECTORY, "-02", known)
    if known is None:
        return Offer(server, Answer.UNKNOWN, Source.NOBODY)
    answer = Answer.YES if known.offers else Answer.NO
    return Offer(server, answer, Source.LIST, known.draft, known)


def offer_of_order(before: Offer, trial: "TrialOrder") -> Offer:
    """Return what ``trial`` shows of the CA, or ``before`` if it does not tell."""
    if not trial.tells:
        return before
    answer, draft = Answer.NO, None
    if trial.challenge is not None:
        answer, draft = Answer.YES, trial.challenge.draft
    return dataclasses.replace(before, answer=answer, source=Source.ORDER, draft=draft)


def known_ca(server: str) -> KnownCa | None:
    """Return what was last known of the CA whose directory is at ``server``."""
    return next((ca for ca in known_cas() if _key(ca.directory) == _key(server)), None)


@functools.cache
def known_cas() -> tuple[KnownCa, ...]:
    """Return what was last known of public CAs."""
    text = importlib.resources.files(__package__).joinpath("known.json").read_text("utf-8")
    return tuple(KnownCa(**entry) for entry in json.loads(text))


def _key(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.netloc.lower(), parts.path.rstrip("/")
