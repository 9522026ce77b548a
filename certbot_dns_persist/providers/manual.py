"""The provider for whom a person does the writing.

What to publish is shown by the workflow, for all names at once, before it waits; so there is
little left to say here.
"""

from typing import NoReturn

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.providers.interface import IProvider, Settings


@implementer(IProvider)
class Manual:
    """Tells the user what to take away; knows no DNS service that it could ask anything."""

    writes = False

    def __init__(self, settings: Settings) -> None:
        self._notify = settings.notify

    def zone_for(self, name: str) -> str:
        """:raises errors.ProviderError: always: only the user knows."""
        self._cannot(f"tell the zone of {name}")

    def list_values(self, name: str) -> list[str]:
        """:raises errors.ProviderError: always: an empty list would be a lie."""
        self._cannot(f"list the records at {name}")

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Return ``ttl`` (seconds): the user is trusted to have done as the workflow said."""
        return ttl

    def remove_value(self, name: str, value: str) -> None:
        """Tell the user that the record may go. Nobody waits for it."""
        self._notify(f'The TXT record {name} with the value "{value}" may now be taken away.')

    def _cannot(self, what: str) -> NoReturn:
        raise errors.ProviderError(
            f"The provider 'manual' cannot {what}, as it has no access to your DNS service. Look "
            "there yourself, or name a provider that has access with --dns-persist-provider."
        )
