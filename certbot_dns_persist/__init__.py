"""Certbot authenticator for the ACME challenge ``dns-persist-01``.

One long-lived TXT record at ``_validation-persist.<domain>`` names a CA and an ACME account, and
every renewal reuses it. README.md and docs/ say how to use it. Other programs may use
:func:`check` and :func:`judge` (docs/library.md), :mod:`certbot_dns_persist.record` and
:func:`certbot_dns_persist.account.hashed_account_uri`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certbot_dns_persist.library import Result, check, judge

__all__ = ["Result", "check", "judge"]


def __getattr__(name: str) -> object:
    """Load what other programs use, on first use: every run of Certbot imports this package."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from certbot_dns_persist import library

    return getattr(library, name)
