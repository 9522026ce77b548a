"""An ACME error: RFC 8555, section 6.7."""

from __future__ import annotations

import json
from typing import Any

PREFIX = "urn:ietf:params:acme:error:"

#: HTTP status by error type, where it is not 400.
_STATUS = {
    "orderNotReady": 403,
    "serverInternal": 500,
    "unauthorized": 403,
    "caa": 403,
    "externalAccountRequired": 403,
    "userActionRequired": 403,
}


class Problem(Exception):
    """Raised to refuse a request or a validation; ``type`` is the name after the URN prefix."""

    def __init__(
        self,
        type_: str,
        detail: str,
        *,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        **members: Any,
    ) -> None:
        super().__init__(f"{type_}: {detail}")
        self.type = type_
        self.detail = detail
        self.status = _STATUS.get(type_, 400) if status is None else status
        self.headers = headers
        self.members = members

    def to_json(self) -> dict[str, Any]:
        return {
            "type": PREFIX + self.type,
            "detail": self.detail,
            "status": self.status,
            **self.members,
        }

    def to_bytes(self) -> bytes:
        return json.dumps(self.to_json()).encode()
