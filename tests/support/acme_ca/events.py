"""What the CA saw and did, in order, for tests to assert on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """One HTTP request and its answer."""

    method: str
    #: The resource by its RFC 8555 name: ``newOrder``, ``authorization``, ``challenge``…
    resource: str
    url: str
    #: The request's kid: who it says it is from.
    account_url: str | None
    #: The decoded JSON; the empty string for POST-as-GET; None without a readable body.
    payload: Any
    status: int
    #: The error's type without the URN prefix, when it was one.
    problem: str | None
    detail: str | None


@dataclass(frozen=True)
class Validation:
    """One attempt to validate, at newOrder (``jit``) or because the client asked."""

    type: str
    domain: str
    wildcard: bool
    account_url: str
    jit: bool
    #: The TXT values that were found, strings joined.
    found: tuple[str, ...]
    #: ``valid``, or the error's type without the URN prefix.
    outcome: str
    #: The record that authorised, or the error's detail.
    detail: str


Event = Request | Validation
