"""A provider whose every failure is one of ours, so that it stops no more than its own change."""

import functools
from collections.abc import Callable
from typing import Any, cast

from zope.interface import directlyProvides, providedBy

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import place_of
from certbot_dns_persist.providers.interface import Provider


def contained(provider: Provider, name: str) -> Provider:
    """Return ``provider``, called ``name`` in messages; what it may not raise becomes our error.

    That is a :class:`~certbot_dns_persist.errors.BrokenProvider`.
    """
    return cast("Provider", _Contained(provider, name))


class _Contained:
    def __init__(self, provider: Provider, name: str) -> None:
        self._provider, self._name = provider, name
        directlyProvides(self, providedBy(provider))

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._provider, attribute)
        return functools.partial(self._call, found) if callable(found) else found

    def _call(self, method: Callable[..., Any], *arguments: object) -> Any:
        try:
            return method(*arguments)
        except errors.Error:
            raise
        except Exception as error:  # noqa: BLE001 - other people's code may raise anything
            errors.let_signals_through(error)
            fault = place_of(error)
        raise errors.BrokenProvider(
            f"The DNS provider {self._name} failed unexpectedly ({fault}), so it is unknown "
            "whether it did what it was told to do. Update it, or tell its authors."
        )
