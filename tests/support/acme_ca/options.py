"""What a test asks of the CA: which draft it speaks, what it offers, where it errs."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, get_args

#: ``transition`` is a CA on its way from -01 to -02: it sends the members of both, and takes
#: either form of account URI.
Draft = Literal["00", "01", "02", "transition"]
DRAFTS: tuple[Draft, ...] = ("00", "01", "02", "transition")

#: What becomes of keyChange (RFC 8555, section 7.3.5): not offered; refused; refused because
#: another account has the key; done, without an answer; an error of the CA's own.
KeyChange = Literal["done", "absent", "refused", "conflict", "unanswered", "failed"]

#: ``dns-account-01`` is offered and cannot be validated, as a client takes another beside it.
ChallengeType = Literal["dns-persist-01", "dns-01", "dns-account-01", "http-01"]
_CHALLENGE_TYPES = frozenset(get_args(ChallengeType))


class Fault(str, enum.Enum):
    """A rule of the draft that the CA breaks on purpose; a client has to notice each.

    Each breaks one rule and keeps the others where they allow it, so that a test knows why the
    client refused.
    """

    # The challenge's list of issuer domain names (section 3.1).
    NO_ISSUERS = "no-issuers"
    ISSUERS_MISSING = "issuers-missing"
    ISSUERS_NOT_A_LIST = "issuers-not-a-list"
    ELEVEN_ISSUERS = "eleven-issuers"
    UPPER_CASE_ISSUER = "upper-case-issuer"
    TRAILING_DOT_ISSUER = "trailing-dot-issuer"
    OVER_LONG_ISSUER = "over-long-issuer"
    U_LABEL_ISSUER = "u-label-issuer"

    # How challenge, directory and caaIdentities relate (-02, section 3.2).
    DIRECTORY_NAME_NOT_IN_CHALLENGE = "directory-name-not-in-challenge"
    CHALLENGE_NAME_NOT_IN_CAA_IDENTITIES = "challenge-name-not-in-caa-identities"

    # The directory itself (-02, sections 3.2 and 4.1).
    NO_DIRECTORY_ISSUERS = "no-directory-issuers"
    MALFORMED_DIRECTORY_ISSUERS = "malformed-directory-issuers"
    NO_ACCOUNT_HASH_PREFIX = "no-account-hash-prefix"


@dataclass(frozen=True)
class Options:
    """How the CA behaves. Frozen: a request sees one consistent set, whatever a test changes."""

    draft: Draft = "02"
    #: What authorizations made from now on offer, in this order.
    challenges: tuple[ChallengeType, ...] = ("dns-persist-01", "dns-01")
    issuer_domain_names: tuple[str, ...] = ("ca.example",)
    #: -02: the names promised in the directory; None: those of the challenge.
    directory_issuer_domain_names: tuple[str, ...] | None = None
    #: None: every issuer domain name; empty: the directory has no such member.
    caa_identities: tuple[str, ...] | None = None
    #: None: a place under the CA's own URL.
    account_hash_prefix: str | None = None
    #: -01: the challenge's ``accounturi`` is not the account URL but another URI of that account.
    #: (A CA may, and goes on taking the account URL too: -01 section 4.1, item 3.)
    alternative_account_uri: bool = False
    #: Look at DNS at newOrder, and return the authorization already valid (section 4.4).
    jit: bool = False
    #: -02: accept records made with keys that the account had earlier (section 4.2). Off, the CA
    #: breaks a MUST of the draft.
    key_retention: bool = True
    key_change: KeyChange = "done"
    #: Show no account any more once one has another key.
    fails_after_key_change: bool = False
    #: Refuse the nonce of the first request to each URL: a client tries again (RFC 8555, section
    #: 6.5).
    refuse_first_nonces: bool = False
    #: Use a valid authorization again for the next order of the same account.
    authorization_reuse: bool = False
    #: Obey CAA (RFC 8659, RFC 8657), with the names in caaIdentities.
    check_caa: bool = False
    #: The CA's clock is that far ahead of the machine's.
    clock_offset: timedelta = timedelta(0)
    #: Account URLs of accounts made from now on have at least that many octets.
    account_url_length: int = 0
    #: Clients must agree to it when they make an account.
    terms_of_service: str | None = None
    #: If there are any, a new account must be bound to one of them (RFC 8555, section 7.3.4), and
    #: each takes one: MAC keys in base64url by key id.
    external_accounts: Mapping[str, str] = field(default_factory=dict)
    order_lifetime: timedelta = timedelta(days=7)
    authorization_lifetime: timedelta = timedelta(days=30)
    certificate_lifetime: timedelta = timedelta(days=90)
    faults: frozenset[Fault] = field(default=frozenset())

    def __post_init__(self) -> None:
        """Lets tests write lists and strings; a misspelt one fails here rather than silently."""
        if self.draft not in DRAFTS:
            raise ValueError(f"no draft {self.draft!r}; there are {', '.join(DRAFTS)}")
        if unknown := set(self.challenges) - _CHALLENGE_TYPES:
            raise ValueError(f"no challenge type {', '.join(sorted(unknown))}")
        faults: Iterable[str] = [self.faults] if isinstance(self.faults, str) else self.faults
        object.__setattr__(self, "faults", frozenset(Fault(fault) for fault in faults))
        for name in ("challenges", "issuer_domain_names"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def hashes_account_uri(self) -> bool:
        """Whether hashed account URIs count: -02, section 4.1."""
        return self.draft in ("02", "transition")


#: Google Trust Services in shape, as other clients report it (November 2026).
GOOGLE: dict[str, Any] = {
    "draft": "00",
    "challenges": ("dns-01", "dns-account-01", "dns-persist-01", "http-01"),
    "issuer_domain_names": ("pki.goog",),
    "external_accounts": {"external-1": "c2VjcmV0IG9mIGFuIGV4dGVybmFsIGFjY291bnQ"},
    "terms_of_service": "https://ca.example/terms",
}
