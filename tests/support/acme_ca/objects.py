"""Account, order, authorization and challenge: RFC 8555, section 7.1, and their states (7.1.6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from .jws import Jwk
from .problem import Problem
from .record import Offer


@dataclass
class Account:
    url: str
    #: Every key that the account ever had, the current one first.
    keys: list[Jwk]
    contact: list[str]
    #: -01: another URI that identifies this account, and only this one, for ever.
    alternative_uri: str
    status: str = "valid"
    terms_of_service_agreed: bool = False
    #: The key id of the external account that it is bound to.
    external_account: str | None = None

    @property
    def key(self) -> Jwk:
        return self.keys[0]

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint

    def to_json(self, orders_url: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"status": self.status, "orders": orders_url}
        if self.contact:
            shown["contact"] = self.contact
        if self.terms_of_service_agreed:
            shown["termsOfServiceAgreed"] = True
        return shown


@dataclass
class Challenge:
    url: str
    type: str
    authorization: Authorization = field(repr=False)
    #: What the challenge object holds besides type, url and status.
    members: dict[str, Any]
    #: dns-persist-01 only: what was promised is what will be verified.
    offer: Offer | None
    status: str = "pending"
    validated: datetime | None = None
    error: Problem | None = None

    def to_json(self) -> dict[str, Any]:
        shown = {"type": self.type, "url": self.url, "status": self.status, **self.members}
        if self.validated:
            shown["validated"] = rfc3339(self.validated)
        if self.error:
            shown["error"] = self.error.to_json()
        return shown


@dataclass
class Authorization:
    url: str
    account: Account
    #: Without ``*.``, also for a wildcard.
    domain: str
    wildcard: bool
    expires: datetime
    challenges: list[Challenge] = field(default_factory=list)
    status: str = "pending"
    #: -00 and -01, section 7.8: no reuse after the TTL of the record.
    reusable_until: datetime | None = None

    def expire(self, now: datetime) -> None:
        """RFC 8555, section 7.1.6: pending ones become invalid, valid ones expired."""
        if now >= self.expires and self.status in ("pending", "valid"):
            self.status = "expired" if self.status == "valid" else "invalid"

    def reusable(self, now: datetime) -> bool:
        self.expire(now)
        in_time = self.reusable_until is None or now < self.reusable_until
        return self.status == "valid" and in_time

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "identifier": {"type": "dns", "value": self.domain},
            "status": self.status,
            "expires": rfc3339(self.expires),
            "challenges": [challenge.to_json() for challenge in self._shown_challenges()],
        }
        if self.wildcard:  # RFC 8555, section 7.1.4: absent, not false, otherwise
            shown["wildcard"] = True
        return shown

    def _shown_challenges(self) -> list[Challenge]:
        """Section 7.1.4: afterwards only the one that was validated, or that was tried."""
        if self.status == "pending":
            return self.challenges
        return [challenge for challenge in self.challenges if challenge.status != "pending"]


@dataclass
class Certificate:
    url: str
    order: Order = field(repr=False)
    leaf: x509.Certificate
    chain: bytes
    revocation_reason: int | None = None


@dataclass
class Order:
    url: str
    finalize_url: str
    account: Account
    #: As asked for, with ``*.``.
    names: list[str]
    authorizations: list[Authorization]
    expires: datetime
    certificate: Certificate | None = None
    #: Set when the order failed for a reason of its own, at finalization.
    error: Problem | None = None

    def status(self, now: datetime) -> str:
        """RFC 8555, section 7.1.6. Issuance here takes no time: ``processing`` never shows."""
        for authorization in self.authorizations:
            authorization.expire(now)
        states = {authorization.status for authorization in self.authorizations}
        if self.certificate:
            return "valid"
        if self.error or self.account.status != "valid" or states - {"pending", "valid"}:
            return "invalid"
        if now >= self.expires:
            return "invalid"
        return "ready" if states == {"valid"} else "pending"

    def to_json(self, now: datetime) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "status": self.status(now),
            "expires": rfc3339(self.expires),
            "identifiers": [{"type": "dns", "value": name} for name in self.names],
            "authorizations": [authorization.url for authorization in self.authorizations],
            "finalize": self.finalize_url,
        }
        if self.certificate:
            shown["certificate"] = self.certificate.url
        if error := self.error or _first_error(self.authorizations):
            shown["error"] = error.to_json()
        return shown


def rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _first_error(authorizations: Iterable[Authorization]) -> Problem | None:
    for authorization in authorizations:
        for challenge in authorization.challenges:
            if challenge.error:
                return challenge.error
    return None
