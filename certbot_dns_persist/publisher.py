"""Changes records through the provider, and notes each change."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Literal

from certbot_dns_persist import credentials, providers
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.journal import Change, Journal
from certbot_dns_persist.options import Options
from certbot_dns_persist.providers.interface import Provider, Settings

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Record:
    """One TXT record, and for whom it is."""

    name: str
    """Where it stands: the end of the alias chain."""
    value: str
    ttl: int
    """Seconds, when it is added."""
    domain: str
    """The domain that it proves."""
    server: str
    """The CA's ACME directory URL."""
    account_url: str
    persist_until: int | None = None
    """UNIX seconds."""


class Publisher:
    """The one way to DNS. The provider is loaded, and its credentials are read, when needed.

    It knows what it has added, so that this, and nothing that was there before, can be withdrawn.
    """

    def __init__(self, options: Options, journal: Journal, notify: Callable[[str], None]) -> None:
        self._options = options
        self._journal = journal
        self._notify = notify
        self._loaded: Provider | None = None
        self._added: list[Record] = []

    @property
    def writes(self) -> bool:
        """Whether records can be changed from here; otherwise a person does it.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` when the provider cannot be
        loaded, as for want of credentials.
        """
        return self._provider.writes

    @property
    def _provider(self) -> Provider:
        if self._loaded is None:
            name, file = self._options.provider, self._options.credentials
            self._loaded = providers.load(
                name,
                Settings(
                    credentials=credentials.read(file, name),
                    credentials_file=file,
                    notify=self._notify,
                ),
            )
        return self._loaded

    def add(self, record: Record, reason: str) -> None:
        """Publish ``record``, unless it is there.

        Raises :class:`~certbot_dns_persist.errors.ProviderError`.
        """
        if record.value in self._provider.list_values(record.name):
            return
        change = self._change("add", record, reason, self._provider.zone_for(record.name))
        self._added.append(record)  # before: an interruption may come after the change
        with self._noted(change):
            self._provider.add_value(record.name, record.value, record.ttl)

    def withdraw(self, reason: str) -> None:
        """Take away what was added, as far as that goes; what stays is warned about."""
        while self._added:
            record = self._added.pop()
            try:
                self.remove(record, reason)
            except ProviderError as error:
                logger.warning(
                    'The TXT record %s with the value "%s" was only needed for a while, and could '
                    "not be taken away. Please remove it. %s",
                    record.name,
                    record.value,
                    error,
                )

    def remove(self, record: Record, reason: str) -> None:
        """Take ``record`` away; raises :class:`~certbot_dns_persist.errors.ProviderError`."""
        if not self._provider.writes:
            self._provider.remove_value(record.name, record.value)
            return
        change = self._change("remove", record, reason, self._provider.zone_for(record.name))
        with self._noted(change):
            self._provider.remove_value(record.name, record.value)

    def note_added_by_hand(self, record: Record, reason: str) -> None:
        """Note that a person has published ``record``."""
        self._journal.record(self._change("add", record, f"{reason}; published by hand", None))

    def _change(
        self, action: Literal["add", "remove"], record: Record, reason: str, zone: str | None
    ) -> Change:
        return Change(
            action=action,
            name=record.name,
            value=record.value,
            ttl=record.ttl if action == "add" else None,
            provider=self._options.provider,
            zone=zone,
            reason=reason,
            server=record.server,
            account_url=record.account_url,
            domain=record.domain,
            persist_until=record.persist_until,
        )

    @contextlib.contextmanager
    def _noted(self, change: Change) -> Iterator[None]:
        """Note the change that the body makes, also when it fails or is interrupted."""
        try:
            yield
        except ProviderError as error:
            self._journal.record(dataclasses.replace(change, result=str(error)))
            raise
        except BaseException as error:
            unknown = f"interrupted by {type(error).__name__}, the outcome is unknown"
            self._journal.record(dataclasses.replace(change, result=unknown))
            raise
        self._journal.record(change)
