"""Cloudflare, through its API (https://developers.cloudflare.com/api/resources/dns/) and SDK.

Keys in the credentials file, each with the prefix ``dns_persist_cloudflare_``, or
``dns_cloudflare_`` as in the files of certbot-dns-cloudflare:

=============  ==================================================================================
``api_token``  an API token that may edit the DNS records of the zones in question; or instead
``email``      of the user whose global API key is used
``api_key``    the global API key, which may do everything that its user may
=============  ==================================================================================

Cloudflare has one object per record, so we never write to other records; ours carry a comment that
says who wrote them. A write is retried if it fails or its answer is lost: each attempt looks first,
and the result is read back from the API rather than from the answer. All names of a zone are looked
at in one listing, and their records added in one batch, which is all or nothing.

The SDK takes ``HTTPS_PROXY`` and ``CLOUDFLARE_BASE_URL`` from the environment.
"""

import contextlib
import dataclasses
import functools
import math
import os.path
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import (
    by_zone,
    checked_secret,
    file_of,
    is_loopback,
    likely_zones,
    missing_package,
    one_line,
    some,
    value_of,
    without_secrets,
)
from certbot_dns_persist.providers.http import (
    EndlessError,
    FailedError,
    asked_pause,
    retried,
    within,
)
from certbot_dns_persist.providers.interface import (
    Addition,
    IAnsweringProvider,
    ILookingProvider,
    IManyProvider,
    Seen,
    Settings,
)
from certbot_dns_persist.value.txt import quoted, unquoted
from certbot_dns_persist.wait import look_until

if TYPE_CHECKING:
    import httpx
    from cloudflare import APIError, APIResponse, APIStatusError
    from cloudflare import Cloudflare as Client

_T = TypeVar("_T")

_PREFIX = "dns_persist_cloudflare_"
_DASHBOARD = "https://dash.cloudflare.com/profile/api-tokens"
_ACCOUNT_DASHBOARD = "https://dash.cloudflare.com/?to=/:account/api-tokens"
_ACCOUNT_TOKEN = "cfat_"  # noqa: S105 - how a token begins that belongs to an account, not a user
_STATUS_PAGE = "https://www.cloudflarestatus.com"

_TIMEOUT = 30.0  # seconds: to connect, and each time that we wait for data
_WHOLE = 120.0  # seconds for a whole answer, however it trickles in
_MOST_OCTETS = 16 * 2**20  # of an answer; a page of the largest records has less than one
_MOST_PAGES = 1000
_LISTING = 330.0  # seconds for all pages
_SETTLE = 10.0  # seconds within which the API must show what it accepted
_PAGE = 100  # records per answer
_BATCH = 200  # records in one batch in a zone of the plan Free; others take more
_COMMENT = "Written by certbot-dns-persist"  # the plan Free takes 100 characters

_MIN_TTL, _MIN_ENTERPRISE_TTL, _MAX_TTL = 60, 30, 86400
_AUTOMATIC, _AUTOMATIC_TTL = 1, 300  # what a TTL of 1 means

_UNSERVED_TYPES = {
    "internal": "only resolvers in the account's own networks see it",
    "partial": "other name servers serve it (CNAME setup), so nobody would see the record",
    "secondary": "Cloudflare copies it from another server, where the record belongs",
}

_BAD_TTL = 9021
_NO_SUCH_RECORD = 81044
_ALIAS_IN_THE_WAY = (81053, 81054)
_RECORD_EXISTS = (81057, 81058)


class _ForbiddenError(errors.ProviderError):
    """Status 403, which a token for one zone may get for every other zone."""


class _RefusedError(errors.ProviderError):
    """Status 400: of what was asked, nothing was done."""


class _UndocumentedError(Exception):
    """An answer is not what the API's documentation says."""


class _EndlessListingError(_UndocumentedError):
    """So it is, and to ask again would take as long."""


@dataclasses.dataclass(frozen=True)
class _Zone:
    id: str
    name: str
    status: str
    type: str

    @property
    def unserved(self) -> str | None:
        """Why no CA would see a record that is added here (a clause); ``None`` if one would."""
        if self.type in _UNSERVED_TYPES:
            return f"its type is {self.type}: {_UNSERVED_TYPES[self.type]}"
        if self.status != "active":
            return (
                f"its status is {self.status}: its name servers are not Cloudflare's, so nobody "
                f"would see the record. See what {self.name} waits for at "
                "https://dash.cloudflare.com: mostly new name servers at the registrar, sometimes "
                "a zone hold of another account"
            )
        return None


@dataclasses.dataclass(frozen=True)
class _Record:
    id: str
    value: str
    ttl: int


@implementer(IAnsweringProvider, ILookingProvider, IManyProvider)
class Cloudflare:
    """The zones that one API token, or one user's global API key, may change."""

    writes = True
    KEYS = frozenset({"api_token", "email", "api_key"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, without the network.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if a key is missing or cannot
        be used, or the SDK is not installed.
        """
        self._settings = settings
        self._file = file_of(settings)
        token, email, key = (self._get(name) for name in ("api_token", "email", "api_key"))
        if token and (email or key):
            raise errors.ConfigurationError(
                f"{self._file} has two kinds of credentials: {_PREFIX}api_token is enough. "
                f"Delete {_PREFIX}email and {_PREFIX}api_key."
            )
        if not token and not (email and key):
            lacking = [name for name in ("email", "api_key") if not self._get(name)]
            what = (
                f"{_PREFIX}{lacking[0]} (email and global API key belong together)"
                if len(lacking) == 1
                else f"{_PREFIX}api_token (or {_PREFIX}email and {_PREFIX}api_key)"
            )
            raise errors.ConfigurationError(
                f"The provider cloudflare needs {what} in {self._file}. Create an API token at "
                f"{_DASHBOARD} with the permission Zone / DNS / Edit, and put it there."
            )
        self._account_owned = token.startswith(_ACCOUNT_TOKEN)
        self._whose = f"{'API token' if token else 'email and global API key'} in {self._file}"
        self._secrets = [secret for secret in (token, key) if secret]
        self._client = self._new_client(token, email, key)
        self._zones: dict[str, _Zone | None] = {}  # by their names
        self._chosen: dict[str, _Zone] = {}  # by names within

    def zone_for(self, name: str) -> str:
        """Return the zone at Cloudflare that ``name`` is in: the one that DNS shows, if we may see
        it there, else the most specific one.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if there is none, or Cloudflare
        cannot be asked.
        """
        return self._zone(name).name

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values at ``name``, as Cloudflare's API has them; an alias has none.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no zone is found for ``name``,
        or Cloudflare cannot be asked.
        """
        zone = self._zone(name)
        records = self._ask(
            f"list the TXT records at {name} in the zone {zone.name}",
            lambda: self._records(zone, name),
        )
        return [record.value for record in records]

    def has_value(self, name: str, value: str) -> bool:
        """Whether the TXT ``value`` is at ``name``; errors as for :meth:`list_values`."""
        return value in self.list_values(name)

    def look_at_many(self, names: Sequence[str]) -> list[Seen | errors.ProviderError]:
        """Look at many names together, as :meth:`zone_for` and :meth:`list_values` at one."""
        zones, failed = by_zone(names, self._zone)
        seen: dict[str, Seen | errors.ProviderError] = {**failed}
        for zone, its in zones.items():
            try:
                found = self._ask(
                    f"list the TXT records at {some(its)} in the zone {zone.name}",
                    functools.partial(self._records_by_name, zone, its),
                )
            except errors.ProviderError as error:
                seen |= dict.fromkeys(its, error)
            else:
                for name in its:
                    seen[name] = Seen(zone.name, [record.value for record in found[name]])
        return [seen[name] for name in names]

    def add_many(self, additions: Sequence[Addition]) -> list[int | errors.ProviderError]:
        """Add many records, those of a zone in batches; errors as for :meth:`add_value`.

        If Cloudflare refuses a batch, of which then nothing was done, its records are added one
        after the other.
        """
        of_name: dict[str, list[Addition]] = {}
        for addition in dict.fromkeys(additions):
            of_name.setdefault(addition.name, []).append(addition)
        zones, failed = by_zone(of_name, self._zone)
        done: dict[Addition, int | errors.ProviderError] = {
            addition: error for name, error in failed.items() for addition in of_name[name]
        }
        for zone, names in zones.items():
            its = [addition for name in names for addition in of_name[name]]
            for start in range(0, len(its), _BATCH):
                batch = its[start : start + _BATCH]
                done |= zip(batch, self._add_batch(zone, batch), strict=True)
        return [done[addition] for addition in additions]

    def _add_batch(
        self, zone: _Zone, batch: Sequence[Addition]
    ) -> Sequence[int | errors.ProviderError]:
        """Add records in one request if possible; return what :meth:`add_many` does."""
        names = [addition.name for addition in batch]
        task = f"add TXT records at {some(names)} in the zone {zone.name}"

        def missing() -> tuple[list[Addition], list[int]]:
            there = {
                (name, record.value): record.ttl
                for name, records in self._records_by_name(zone, names).items()
                for record in records
            }
            return (
                [each for each in batch if (each.name, each.value) not in there],
                [there.get((each.name, each.value), 0) for each in batch],
            )

        def add() -> list[int]:
            lacking, ttls = missing()
            if not lacking:
                return ttls
            self._client.dns.records.with_raw_response.batch(
                zone_id=zone.id, posts=[_post(*each) for each in lacking]
            )
            lacking, ttls = self._looked(missing, lambda now: not now[0])
            if lacking:
                raise self._not_made(zone, some([each.name for each in lacking]))
            return ttls

        try:
            if len(batch) > 1:
                return [
                    self._used(each.name, ttl, each.ttl)
                    for each, ttl in zip(batch, self._ask(task, add), strict=True)
                ]
        except _RefusedError:
            pass  # the first that cannot be added says why, to whom it concerns
        except errors.ProviderError as error:
            return [error] * len(batch)
        outcomes: list[int | errors.ProviderError] = []
        for addition in batch:
            try:
                outcomes.append(self.add_value(*addition))
            except errors.ProviderError as error:
                outcomes.append(error)
        return outcomes

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Add one TXT record at ``name``; return the TTL in seconds that it has.

        Cloudflare takes 60 to 86400, or from 30 in an Enterprise zone; we never ask for 1, which
        it calls automatic and which means 300. A record that is there keeps its TTL. The user is
        told if it is not ``ttl``.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no zone is found for ``name``,
        Cloudflare cannot be asked, refuses, or accepts and does nothing.
        """
        zone = self._zone(name)
        task = f"add a TXT record at {name} in the zone {zone.name}"

        def add() -> list[_Record]:
            there = self._reading(zone, name, value)
            if there:
                return there
            self._create(zone, name, value, ttl)
            return self._settled(zone, name, value, there=True)

        return self._used(name, self._ask(task, add)[0].ttl, ttl)

    def _used(self, name: str, used: int, ttl: int) -> int:
        """Return the TTL that a record has; tell the user if it is not ``ttl``."""
        if used == _AUTOMATIC:
            used = _AUTOMATIC_TTL
        if used != ttl:
            self._settings.notify(
                f"The TTL at {name} is {used} seconds instead of {ttl}: a record that is there "
                f"keeps its own, and Cloudflare takes {_MIN_TTL} to {_MAX_TTL} seconds, or from "
                f"{_MIN_ENTERPRISE_TTL} in an Enterprise zone."
            )
        return used

    def remove_value(self, name: str, value: str) -> None:
        """Remove every TXT record with exactly ``value`` from ``name``, and no other.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no zone is found for ``name``,
        Cloudflare cannot be asked, refuses, or accepts and does nothing.
        """
        zone = self._zone(name)

        def remove() -> None:
            there = self._reading(zone, name, value)
            for record in there:
                with _taken_for_success(_NO_SUCH_RECORD):
                    self._client.dns.records.with_raw_response.delete(record.id, zone_id=zone.id)
            if there:
                self._settled(zone, name, value, there=False)

        self._ask(f"remove a TXT record at {name} in the zone {zone.name}", remove)

    # What is asked of the API, in terms of zones and records.

    def _zone(self, name: str) -> _Zone:
        """Return the zone of ``name``.

        The one that DNS shows goes first: below it there may be one that nobody asks, because it
        is not delegated. We ask for zones by name: a token for one zone may look for that zone,
        but not list all zones.
        """
        if name not in self._chosen:
            self._chosen[name] = self._found_zone(name)
        return self._chosen[name]

    def _found_zone(self, name: str) -> _Zone:
        candidates = [zone for zone in likely_zones(self._settings, name) if "." in zone]
        forbidden = idle = None
        for candidate in candidates:
            try:
                zone = self._zone_called(candidate, f"find the zone of {name} (trying {candidate})")
            except _ForbiddenError as error:
                forbidden = error
                continue
            if zone and not zone.unserved:
                return zone
            idle = idle or zone
        if idle:
            raise errors.ProviderError(
                f"Cloudflare has the zone {idle.name} for {name}, but {idle.unserved}. Or choose "
                "the provider of the service that serves it."
            )
        if forbidden:
            raise forbidden
        raise errors.ProviderError(
            f"Cannot find the zone of {name} at Cloudflare: the {self._whose} may see none of "
            f"{', '.join(candidates)}. Include the zone in the token's zone resources at "
            f"{self._page}, or choose the provider of the service that serves it."
        )

    def _zone_called(self, name: str, task: str) -> _Zone | None:
        def look_up() -> list[_Zone]:
            rows = _all_pages(
                lambda page: self._client.zones.with_raw_response.list(name=name, page=page)
            )
            zones = [
                _Zone(
                    _text(row, "id"),
                    _text(row, "name"),
                    one_line(_text(row, "status")),
                    _text({**row, "type": row.get("type") or "full"}, "type"),
                )
                for row in rows
            ]
            # A user with several accounts may see it in each, but it is active in one at most.
            return sorted(
                (zone for zone in zones if zone.name.lower() == name.lower()),
                key=lambda zone: bool(zone.unserved),
            )

        if name not in self._zones:
            found = self._ask(task, look_up)
            self._zones[name] = found[0] if found else None
        return self._zones[name]

    def _records(self, zone: _Zone, name: str) -> list[_Record]:
        """Return the TXT records at ``name``."""
        return self._records_by_name(zone, [name])[name]

    def _records_by_name(self, zone: _Zone, names: Sequence[str]) -> dict[str, list[_Record]]:
        """Return the TXT records at each of ``names``, from one listing."""
        found: dict[str, list[_Record]] = {name: [] for name in names}
        of_lower = {name.lower(): name for name in names}
        for row in self._rows(zone, names, "TXT"):
            # The content is in quotes, except in older records.
            record = _Record(_text(row, "id"), unquoted(_text(row, "content")), _number(row, "ttl"))
            found[of_lower[_text(row, "name").lower()]].append(record)
        return found

    def _reading(self, zone: _Zone, name: str, value: str) -> list[_Record]:
        """Return those of the TXT records at ``name`` whose value is ``value``."""
        return [record for record in self._records(zone, name) if record.value == value]

    def _rows(
        self, zone: _Zone, names: Sequence[str], rdtype: Literal["TXT", "CNAME"]
    ) -> list[Any]:
        """Return the records of one type at ``names``, as the API shows them."""
        wanted = {name.lower() for name in names}
        common = os.path.commonprefix(list(wanted))  # noqa: RUF071 - characters are meant
        name: Any = {"exact": names[0]} if len(wanted) == 1 else {"startswith": common}
        rows = _all_pages(
            lambda page: self._client.dns.records.with_raw_response.list(
                zone_id=zone.id,
                type=rdtype,
                name=name if common else {"endswith": zone.name},
                page=page,
                per_page=_PAGE,
            )
        )
        # Checked again here, because the result may be deleted.
        return [
            row
            for row in rows
            if _text(row, "type") == rdtype and _text(row, "name").lower() in wanted
        ]

    def _create(self, zone: _Zone, name: str, value: str, ttl: int) -> None:
        """Add a record, unless Cloudflare says that there is an identical one."""
        from cloudflare import APIStatusError

        try:
            with _taken_for_success(*_RECORD_EXISTS):
                self._client.dns.records.with_raw_response.create(
                    zone_id=zone.id, **_post(name, value, ttl)
                )
            return
        except APIStatusError as error:
            codes = _codes(error)
            too_short = _BAD_TTL in codes and ttl < _MIN_TTL
            if not too_short and codes.isdisjoint(_ALIAS_IN_THE_WAY):
                raise
        if too_short:  # so it is no Enterprise zone
            self._create(zone, name, value, _MIN_TTL)
            return
        targets = [one_line(_text(row, "content")) for row in self._rows(zone, [name], "CNAME")]
        raise errors.ProviderError(
            f"No TXT record can be added at {name} in the zone {zone.name} at Cloudflare: the name "
            f"is an alias (CNAME) for {', '.join(targets) or 'another'}. The record belongs there."
        )

    def _settled(self, zone: _Zone, name: str, value: str, *, there: bool) -> list[_Record]:
        """Return the records whose value is ``value``, as soon as there are some, or none."""
        found = self._looked(
            lambda: self._reading(zone, name, value), lambda found: bool(found) == there
        )
        if bool(found) == there:
            return found
        raise self._not_made(zone, name)

    def _looked(self, look: Callable[[], _T], done: Callable[[_T], bool]) -> _T:
        """Return what there is after a change that was accepted, as soon as it is ``done``."""
        return self._tried(lambda: look_until(look, done, _SETTLE, pauses=(0.5, 0.5)), changed=True)

    def _not_made(self, zone: _Zone, where: str) -> errors.ProviderError:
        return errors.ProviderError(
            f"A change of the TXT records at {where} in the zone {zone.name} was accepted, but not "
            f"made: Cloudflare's API does not show it {_SETTLE:g} seconds later. Look at "
            f"{_STATUS_PAGE} and the zone's audit log, then try again."
        )

    # How it is asked.

    def _ask(self, task: str, work: Callable[[], _T]) -> _T:
        """Return what ``work`` returns, retried after a failure that may be temporary.

        It looks before it writes, because the answer that was lost may have been to a change.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if it failed for good, too often,
        or for too long.
        """
        return retried(
            lambda: self._tried(work), lambda failed: self._failed(task, failed), self._tell
        )

    def _tried(self, work: Callable[[], _T], *, changed: bool = False) -> _T:
        """Return what ``work`` returns; ``changed`` says that something was changed before it.

        Raises :class:`FailedError`.
        """
        from cloudflare import APIError

        try:
            return work()
        except APIError as error:
            errors.let_signals_through(error)
            failed = self._failure(error)
        except _UndocumentedError as error:
            failed = self._undocumented(str(error))
            failed.may_pass = not isinstance(error, _EndlessListingError)
        failed.unknown = failed.unknown or changed
        # Outside the except clauses, so that no exception is chained: the SDK's hold the
        # request's headers, and so the credentials.
        raise failed

    def _new_client(self, token: str, email: str, key: str) -> "Client":
        try:
            import cloudflare
        except ImportError as error:
            raise missing_package("cloudflare", "cloudflare") from error
        try:
            # Its own retries do not know what a lost answer may have changed, and do not wait as
            # long as Cloudflare locks clients out.
            client = cloudflare.Cloudflare(
                max_retries=0, timeout=_TIMEOUT, http_client=_http_client()
            )
        except Exception as error:  # noqa: BLE001 - the HTTP client may raise anything
            errors.let_signals_through(error)
            fault = type(error).__name__  # its message may quote a proxy's password
        else:
            # Set all of them, or the SDK would add those that it finds in the environment.
            client.api_token, client.api_email, client.api_key = (
                credential or None for credential in (token, email, key)
            )
            client.user_service_key = None
            if client.base_url.scheme == "https" or is_loopback(client.base_url.host):
                return client
            raise errors.ConfigurationError(
                "The environment variable CLOUDFLARE_BASE_URL must begin with https://: otherwise "
                f"everybody on the way to {client.base_url.host} would see the {self._whose}. "
                "Correct it, or remove it to use Cloudflare's own API."
            )
        raise errors.ConfigurationError(
            f"The Cloudflare SDK cannot be used with this environment ({fault}). Check the "
            "variables HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and CLOUDFLARE_BASE_URL."
        )

    # What is said to the user.

    def _failed(self, task: str, failed: FailedError) -> errors.ProviderError:
        kinds = {400: _RefusedError, 403: _ForbiddenError}
        kind = kinds.get(failed.status or 0, failed.kind)
        host = self._client.base_url.host
        return kind(f"Cannot {task}: Cloudflare at {host} {failed.words}. {failed.advice}.")

    def _tell(self, failed: FailedError, pause: float) -> None:
        self._settings.notify(f"Cloudflare {failed.words}. Waiting {pause:.0f} seconds.")

    def _failure(self, error: "APIError") -> FailedError:
        """Return what an exception of the SDK means; nothing of the request itself."""
        from cloudflare import APIStatusError

        may_have_changed = error.request.method != "GET"
        if not isinstance(error, APIStatusError):
            failed = self._unanswered(error)
            failed.unknown = may_have_changed
            return failed
        status = error.status_code
        if 300 <= status < 400:
            # Not followed: elsewhere the credentials are nobody's business.
            return self._undocumented(f"a redirection (status {status})")
        faults = _faults(error.body)
        said = "; ".join(f"{message} ({code})" for code, message in faults)
        words = f"answered {status}" + (f": {self._quoted(said)}" if said else "")
        retry_after = asked_pause(error.response.headers)
        if retry_after is not None:
            words += f", and asks to retry after {retry_after:.0f} seconds"
        return FailedError(
            words,
            _advice(status, _codes(error), said).format(
                whose=self._whose, page=self._page, verify=self._verify
            ),
            status=status,
            may_pass=status in (408, 409, 429) or status >= 500,
            retry_after=retry_after,
            unknown=may_have_changed and status >= 500,
        )

    def _unanswered(self, error: "APIError") -> FailedError:
        """Return what it means that no answer came, or none that could be read."""
        from cloudflare import APITimeoutError

        cause = error.__cause__
        if isinstance(cause, EndlessError):
            return self._undocumented(f"more than {_MOST_OCTETS} octets")
        if isinstance(error, APITimeoutError):
            words = f"gave no answer within {_TIMEOUT:g} seconds"
        elif isinstance(cause, TimeoutError):
            words = f"gave no whole answer within {_WHOLE:g} seconds"
        else:
            words = f"cannot be reached ({self._quoted(str(cause) or type(cause).__name__)})"
        return FailedError(
            words,
            "Check this machine's network, HTTPS_PROXY if it needs a proxy, and "
            f"{_STATUS_PAGE}; then try again",
            may_pass=True,
        )

    def _undocumented(self, what: str) -> FailedError:
        return FailedError(
            f"answered what its API does not document: {self._quoted(what)}",
            "Check that nothing in between, such as the proxy in HTTPS_PROXY or the server in "
            "CLOUDFLARE_BASE_URL, answers in its place",
            may_pass=True,
        )

    @property
    def _page(self) -> str:
        """Where the credentials are managed."""
        return _ACCOUNT_DASHBOARD if self._account_owned else _DASHBOARD

    @property
    def _verify(self) -> str:
        """What the API calls its own word on whether a token is active."""
        return f"/{'accounts/ACCOUNT_ID' if self._account_owned else 'user'}/tokens/verify"

    def _quoted(self, words: str) -> str:
        """Return a stranger's ``words`` as one short line without secrets."""
        return one_line(without_secrets(words, self._secrets))

    def _get(self, key: str) -> str:
        """Return a key's value; empty if there is none."""
        return checked_secret(value_of(self._settings, key), f"{_PREFIX}{key} in {self._file}")


def _http_client() -> "httpx.Client":
    """Return the SDK's HTTP client, which is not sent elsewhere, and reads nothing without end."""
    import httpx

    class Bounded(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            """Return an answer that is read to its end.

            Raises what httpx raises, :class:`TimeoutError` or :class:`EndlessError`.
            """
            options |= {"stream": True, "follow_redirects": False}
            return within(_WHOLE, lambda: self._whole(request, options))

        def _whole(self, request: httpx.Request, options: dict[str, Any]) -> httpx.Response:
            response = super().send(request, **options)
            content = bytearray()
            try:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MOST_OCTETS:
                        raise EndlessError
            finally:
                response.close()
            headers = response.headers.copy()
            headers.pop("Content-Encoding", None)  # it is decoded
            return httpx.Response(
                response.status_code, headers=headers, content=bytes(content), request=request
            )

    return Bounded(timeout=_TIMEOUT)


@contextlib.contextmanager
def _taken_for_success(*codes: int) -> Iterator[None]:
    """Treat an answer with one of these codes as success: nothing needs to change."""
    from cloudflare import APIStatusError

    try:
        yield
    except APIStatusError as error:
        if not _codes(error).intersection(codes):
            raise


def _advice(status: int, codes: frozenset[int], said: str) -> str:
    if codes & {6003, 6103, 6111}:
        return (
            "The {whose} does not look like one: copy it again in full, without 'Bearer', from "
            "{page}"
        )
    if 9103 in codes:
        return "The {whose} do not belong together, or the key was changed: see {page}"
    if 9109 in codes or (1000 in codes and status < 500):
        return (
            "The {whose} is unknown, revoked or expired, is not for that zone, or its client IP "
            "address filter blocks this machine: see {page}, or ask the API's {verify}"
        )
    if 1054 in codes:
        return (
            "The zone is on hold, or not active. Whoever administers its account sees why at "
            "https://dash.cloudflare.com (the zone's overview), and can release it"
        )
    if 10000 in codes or status in (401, 403):
        return (
            "The {whose} may not do that: it needs the permission Zone / DNS / Edit for that zone, "
            "and must not have expired; see {page}"
        )
    if 81045 in codes:
        return (
            "The zone has as many records as its plan allows (Free: 200, or 1,000 if the zone is "
            "from before September 2024; Pro and Business: 3,500). Delete what nobody needs, or "
            "change the plan, at https://dash.cloudflare.com"
        )
    if 9207 in codes or re.search(r"\b(8,?192|4,?096|2,?048)\b|too long|length", said):
        return (
            "Cloudflare takes 4,096 octets a record, and 8,192 characters in all TXT records at "
            "one name together. Remove records that nobody needs there"
        )
    if status == 429:
        return (
            "Cloudflare takes 1200 requests in five minutes from all programs of a user together. "
            "Try again later, or find out what else makes so many"
        )
    if status >= 500:
        return f"Look at {_STATUS_PAGE}, then try again"
    return "Look at the zone at https://dash.cloudflare.com"


def _post(name: str, value: str, ttl: int) -> Any:
    """Return a TXT record as the API takes it."""
    return {
        "type": "TXT",
        "name": name,
        "content": quoted(value),
        "ttl": min(max(ttl, _MIN_ENTERPRISE_TTL), _MAX_TTL),
        "comment": _COMMENT,
    }


def _codes(error: "APIStatusError") -> frozenset[int]:
    return frozenset(code for code, _ in _faults(error.body))


def _faults(body: Any) -> list[tuple[int, str]]:
    """Return the codes and messages of an error, each before those that explain it."""
    found: list[tuple[int, str]] = []
    left = [body]
    while left:
        fault = left.pop()
        if not isinstance(fault, dict):
            continue
        if isinstance(fault.get("code"), int):
            found.append((fault["code"], str(fault.get("message", "")).rstrip(".")))
        chain = fault.get("errors", fault.get("error_chain"))
        left += reversed(chain) if isinstance(chain, list) else ()
    return found


def _all_pages(fetch: "Callable[[int], APIResponse[Any]]") -> list[Any]:
    """Return the results on all pages of a listing.

    The SDK's own iteration always asks for one page more than there is.
    """
    found: list[Any] = []
    page = pages = 1
    end = time.monotonic() + _LISTING
    while page <= pages:
        if page > _MOST_PAGES or time.monotonic() > end:
            raise _EndlessListingError(f"pages without end ({page - 1} so far)")
        response = fetch(page).http_response
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        if not (isinstance(answer, dict) and isinstance(answer.get("result"), list)):
            kind = response.headers.get("content-type", "of no type")
            raise _UndocumentedError(f"{len(response.content)} octets {kind}")
        found += answer["result"]
        info = answer.get("result_info")
        pages = _number(info, "total_pages") if info else 1
        page += 1
    return found


def _text(row: Any, key: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise _UndocumentedError(f"no text {key!r}")
    return value


def _number(row: Any, key: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise _UndocumentedError(f"no number {key!r}")
    return int(value)
