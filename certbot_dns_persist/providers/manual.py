"""The provider ``manual``: a person changes the records.

The workflow shows what to publish, for all names at once, before it waits; so there is little to do
here.
"""

from typing import NoReturn

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.providers.interface import IProvider, Settings


@implementer(IProvider)
class Manual:
    """Tells the user what to remove; has no access to any DNS service."""

    writes = False

    def __init__(self, settings: Settings) -> None:
        self._notify = settings.notify

    def zone_for(self, name: str) -> str:
        """Raises :class:`~certbot_dns_persist.errors.ProviderError`: only the user knows."""
        self._cannot(f"determine the zone of {name}")

    def list_values(self, name: str) -> list[str]:
        """Raises :class:`~certbot_dns_persist.errors.ProviderError`: only the user knows."""
        self._cannot(f"list the records at {name}")

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Return ``ttl`` (seconds): the user is trusted to have followed the workflow."""
        return ttl

    def remove_value(self, name: str, value: str) -> None:
        """Tell the user that the record may be removed, and do not wait for that."""
        self._notify(f'The TXT record {name} with the value "{value}" may now be removed.')

    def _cannot(self, what: str) -> NoReturn:
        raise errors.ProviderError(
            f"The provider 'manual' cannot {what}, because it has no access to your DNS service. "
            "Look there yourself, or choose a provider with access with --dns-persist-provider."
        )
