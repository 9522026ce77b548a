"""What providers share whose service has an HTTP API.

:class:`HttpProvider` finds the zone, looks before each change and after it, tries again what may
pass, waits as long as the service asks, and says what failed without showing a secret. A subclass
says how its service is asked, and how a change leaves other people's records alone. If the service
changes many names in one request, it is an :class:`HttpManyProvider`.

Proxies come from the environment (``HTTPS_PROXY``, ``NO_PROXY``), extra CAs from
``REQUESTS_CA_BUNDLE``.
"""

import contextlib
import dataclasses
import email.utils
import functools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import urlsplit

import requests
from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL
from certbot_dns_persist.providers.common import (
    by_zone,
    checked_flag,
    checked_secret,
    file_of,
    is_loopback,
    likely_zones,
    one_line,
    some,
    value_of,
    without_secrets,
)
from certbot_dns_persist.providers.interface import (
    Addition,
    IAnsweringProvider,
    ILookingProvider,
    IManyProvider,
    Seen,
    Settings,
)
from certbot_dns_persist.wait import look_until

_T = TypeVar("_T")

_CONNECT, _ANSWER = 10.0, 30.0  # seconds to connect, and without a sign of the server
_WHOLE = 120.0  # seconds for a whole answer, however it trickles in
_MOST_OCTETS = 256 * 2**20  # of an answer: PowerDNS shows a whole zone
_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds between tries, if the service does not say how long
_PATIENCE = 330.0  # seconds after which nothing more is asked for the same
_WORTH_TELLING = 10.0  # seconds of waiting after which we tell the user
_SETTLE = 15.0  # seconds within which the API must show what it accepted
_TRIES = 50  # to make a change while others change the same records
_STEP_ASIDE = (0.05, 0.5)  # seconds, so that those who collided do not collide again
_MOST_PAGES = 1000
_ADD = "add a TXT record at"
_NO_PROXIES: dict[str, Any] = {"http": None, "https": None, "all": None}
OTHER_SHAPE = (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError)
_MAY_PASS = frozenset({408, 409, 423, 425, 429, 500, 502, 503, 504})


@dataclasses.dataclass(frozen=True)
class Zone:
    """A zone that the service serves."""

    name: str
    """As the service writes it; in lower case where it is handed to a method of a subclass."""
    id: str
    """What its URLs call it."""
    row: Any = dataclasses.field(default=None, compare=False)
    """The service's own description."""


@dataclasses.dataclass(frozen=True)
class Text:
    """A TXT record that the service has."""

    value: str
    ttl: int
    row: Any = None
    """The service's own description."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """The TXT records at a name."""

    records: Sequence[Text] = ()
    row: Any = None
    """The service's own description of the whole set; ``None`` if there is no set."""

    def having(self, value: str) -> list[Text]:
        """Return the records with exactly ``value``."""
        return [record for record in self.records if record.value == value]


class FailedError(Exception):
    """A request failed. It holds nothing of what was sent."""

    def __init__(
        self,
        words: str,
        advice: str = "",
        *,
        status: int | None = None,
        code: str = "",
        may_pass: bool = False,
        retry_after: float | None = None,
        unknown: bool = False,
    ) -> None:
        """``words`` follow the name of the service; ``advice`` is a sentence without full stop."""
        super().__init__(words)
        self.words = words
        self.advice = advice
        self.status = status
        """Of the answer; ``None`` if none came."""
        self.code = code
        """What the service calls the error."""
        self.may_pass = may_pass
        self.retry_after = retry_after
        """Seconds."""
        self.unknown = unknown
        """Whether a change may have been made nevertheless."""

    @property
    def kind(self) -> type[errors.ProviderError]:
        """The error that the user gets."""
        return errors.OutcomeUnknown if self.unknown else errors.ProviderError


class RacedError(Exception):
    """Nothing was changed, because the records are no longer as they were read."""

    def __init__(self, failed: FailedError) -> None:
        super().__init__(failed.words)
        self.failed = failed
        self.found = Texts()
        """What was read."""


class _RefusedError(errors.ProviderError):
    """Nothing of what was asked for was done, be it because of one part of it."""


class _ForbiddenError(_RefusedError):
    """Credentials for one zone may get this for every other zone."""


@implementer(IAnsweringProvider)
class HttpProvider:
    """The zones that one set of credentials may change through an HTTP API."""

    writes = True

    LABEL: ClassVar[str]
    """What a credentials file calls the provider."""
    SERVICE: ClassVar[str]
    """What people call the service."""
    URL: ClassVar[str]
    """Where the API is, unless ``api_url`` says otherwise."""
    HINT: ClassVar[str]
    """What to look at if nothing better is known: a sentence without full stop."""
    TTLS: ClassVar[tuple[int, int]] = (0, MAX_TTL)
    """The least and the greatest TTL, in seconds."""

    def __init__(self, settings: Settings) -> None:
        """Check the settings, without the network.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if one is missing or cannot
        be used.
        """
        self._settings = settings
        self._file = file_of(settings)
        self._secrets: list[str] = []
        self._url = self._checked_url()
        self._session = requests.Session()
        self._zones: dict[str, list[Zone]] = {}
        self._chosen: dict[str, Zone] = {}

    # What a subclass says.

    def _headers(self) -> Mapping[str, str]:
        """Return the headers that say who asks. Raises :class:`FailedError`."""
        raise NotImplementedError

    def _zones_called(self, name: str) -> list[Zone]:
        """Return the zones called ``name`` that we may see. Raises :class:`FailedError`."""
        raise NotImplementedError

    def _unserved(self, zone: Zone) -> str | None:
        """Return why nobody would see a record in ``zone``, or it cannot be changed.

        A clause, such as "it is a secondary".
        """
        return None

    def _read(self, zone: Zone, name: str) -> Texts:
        """Return the TXT records at ``name``. Raises :class:`FailedError`."""
        raise NotImplementedError

    def _insert(self, zone: Zone, name: str, value: str, ttl: int, found: Texts) -> None:
        """Add a record to those that were ``found``, with their TTL if there are some.

        Raises :class:`FailedError`, or :class:`RacedError` if they are no longer as they were.
        """
        raise NotImplementedError

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        """Remove the records with ``value`` from those that were ``found``; errors as above."""
        raise NotImplementedError

    def _said(self, body: Any) -> tuple[str, str]:
        """Return the code and the words in the body of an error."""
        raise NotImplementedError

    def _advice(self, failed: FailedError) -> str:
        """Return what to do about an answer that is an error: a sentence without full stop."""
        if failed.status in (401, 403):
            return f"Check {self._whose}, and what they may do"
        if failed.status == 429:
            return "Try again later, or find out what else asks so much"
        return self.HINT

    @property
    def _whose(self) -> str:
        """The credentials, by where they come from."""
        return f"the credentials in {self._file}"

    # The provider.

    def zone_for(self, name: str) -> str:
        """Return the zone at the service that ``name`` is in: the one that DNS shows, if the
        service has it, else the one with the longest name.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if there is none, or several of
        one name, or the service cannot be asked.
        """
        return self._zone(name).name

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values at ``name`` that the service has.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no zone is found for ``name``,
        or the service cannot be asked.
        """
        zone = self._zone(name)
        task = f"list the TXT records at {name} in the zone {zone.name}"
        found = self._ask(task, lambda: self._read(zone, name))
        return list(dict.fromkeys(record.value for record in found.records))

    def has_value(self, name: str, value: str) -> bool:
        """Whether the TXT ``value`` is at ``name``; errors as for :meth:`list_values`."""
        return value in self.list_values(name)

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Add one TXT record at ``name``; return the TTL in seconds that it has.

        The user is told if it is not ``ttl``.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no zone is found for ``name``,
        or the service cannot be asked, refuses, or accepts and does nothing.
        """
        found = self._change(name, value, self._allowed(ttl))
        return self._used(name, found.having(value)[0].ttl, ttl)

    def remove_value(self, name: str, value: str) -> None:
        """Remove the TXT records with exactly ``value`` from ``name``; raises as above."""
        self._change(name, value, None)

    # How a change is made.

    def _change(self, name: str, value: str, ttl: int | None) -> Texts:
        """Add ``value`` with ``ttl``, or remove it if that is ``None``; return what is there."""
        zone = self._zone(name)
        verb = "remove a TXT record from" if ttl is None else _ADD
        task = f"{verb} {name} in the zone {zone.name}"
        latest: Texts | None = None
        end = time.monotonic() + _PATIENCE
        for tries in range(1, _TRIES + 1):  # noqa: B007 - told below
            try:
                return self._ask(task, lambda: self._changed(zone, name, value, ttl))
            except RacedError as error:
                failed, found = error.failed, error.found
            if found == latest:
                raise self._failed(task, failed)  # not because somebody else was faster
            if time.monotonic() > end:
                break
            latest = found
            time.sleep(random.uniform(*_STEP_ASIDE))  # noqa: S311
        raise errors.ProviderError(
            f"Cannot {task}: at {self.SERVICE} they changed each time that we tried, {tries} in "
            "all. Find out what keeps changing them, then try again."
        )

    def _changed(self, zone: Zone, name: str, value: str, ttl: int | None) -> Texts:
        """Change what is to be changed, once; return what the service has then.

        It looks first: an answer that was lost may have been to this very change.
        """
        adding = ttl is not None
        before = self._read(zone, name)
        if bool(before.having(value)) == adding:
            return before
        try:
            with _changing():
                if ttl is None:
                    self._delete(zone, name, value, before)
                else:
                    self._insert(zone, name, value, ttl, before)
        except RacedError as error:
            error.found = before
            raise
        found = _looked(
            lambda: self._read(zone, name), lambda now: bool(now.having(value)) == adding
        )
        if bool(found.having(value)) == adding:
            return found
        raise self._not_shown(value, before, found, adding=adding)

    def _not_shown(self, value: str, before: Texts, found: Texts, *, adding: bool) -> FailedError:
        """Return what it means that ``found`` is there after a change of what was ``before``."""
        words = f"accepted the change, but does not show it {_SETTLE:g} seconds later"
        others = {record.value for record in before.records}
        new = [record.value for record in found.records if record.value not in others]
        if adding and new:
            # What became of it may authorise somebody; or somebody else added it: we leave it.
            shown = ", ".join(f'"{self._quoted(value)}"' for value in new)
            return FailedError(
                f"{words}; it now shows {shown}",
                "If that is what became of our value, remove it there, as a CA may accept it",
            )
        return FailedError(words, f"{self.HINT}; then try again")

    def _allowed(self, ttl: int) -> int:
        """Return the TTL nearest to ``ttl`` that the service takes."""
        least, greatest = self.TTLS
        return min(max(ttl, least), greatest)

    def _used(self, name: str, used: int, ttl: int) -> int:
        """Return the TTL that a record has; tell the user if it is not ``ttl``."""
        if used != ttl:
            least, greatest = self.TTLS
            self._settings.notify(
                f"The TTL at {name} is {used} seconds instead of {ttl}: records that are there "
                f"keep theirs, and {self.SERVICE} takes {least} to {greatest}."
            )
        return used

    # Zones.

    def _zone(self, name: str) -> Zone:
        if name not in self._chosen:
            self._chosen[name] = self._found_zone(name)
        return self._chosen[name]

    def _found_zone(self, name: str) -> Zone:
        candidates = likely_zones(self._settings, name)
        forbidden: errors.ProviderError | None = None
        unserved: tuple[Zone, str] | None = None
        for candidate in candidates:
            try:
                zones = self._looked_up(candidate, name)
            except _ForbiddenError as error:
                forbidden = forbidden or error
                continue
            usable = [zone for zone in zones if not self._unserved(zone)]
            if len(usable) > 1:
                raise errors.ProviderError(
                    f"Cannot determine which zone {name} belongs to: {self.SERVICE} shows "
                    f"{len(usable)} called {candidate}: {', '.join(zone.id for zone in usable)}. "
                    f"{self._how_to_choose()}."
                )
            if usable:
                return usable[0]
            if zones and unserved is None:
                unserved = (zones[0], str(self._unserved(zones[0])))
        if unserved:
            raise errors.ProviderError(
                f"{self.SERVICE} has the zone {unserved[0].name} for {name}, but {unserved[1]}. "
                "Choose the provider of the service that serves it, or change the zone there."
            )
        if forbidden:
            raise forbidden
        raise errors.ProviderError(
            f"Cannot find the zone of {name} at {self.SERVICE}: {self._whose} may see none of "
            f"{', '.join(candidates)}. Give them the right to it, or choose the provider of the "
            "service that serves it."
        )

    def _looked_up(self, candidate: str, name: str) -> list[Zone]:
        if candidate not in self._zones:
            task = f"find the zone of {name} (trying {candidate})"
            found = self._ask(task, lambda: self._zones_called(candidate))
            # Some keep the case in which a person has typed it.
            found = [dataclasses.replace(zone, name=zone.name.lower()) for zone in found]
            self._zones[candidate] = [zone for zone in found if zone.name == candidate]
        return self._zones[candidate]

    def _how_to_choose(self) -> str:
        """Return how a user says which of several zones of one name is meant."""
        return "Give each its own credentials, which may see only that one"

    # How the service is asked.

    def _ask(self, task: str, work: Callable[[], _T]) -> _T:
        """Return what ``work`` returns, retried after a failure that may pass.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if it failed for good, too often,
        or for too long; and :class:`RacedError`.
        """
        return retried(work, lambda failed: self._failed(task, failed), self._tell)

    def _tell(self, failed: FailedError, pause: float) -> None:
        self._settings.notify(
            self._without_secrets(f"{self.SERVICE} {failed.words}. Waiting {pause:.0f} seconds.")
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON of a successful answer; ``None`` if it has no content.

        ``path`` is below the API's URL. Raises :class:`FailedError`.
        """
        try:
            answer = within(_WHOLE, lambda: self._answered(method, path, query, body, headers))
        except EndlessError:
            failed = self._undocumented(f"more than {_MOST_OCTETS} octets")
        except OSError as error:  # also a file of CAs that is missing, which requests does not wrap
            failed = self._not_reached(error)
        else:
            if answer.status >= 400:
                failed = self._refused(answer)
            elif answer.status >= 300:
                failed = self._undocumented(f"a redirection (status {answer.status})")
            elif answer.status == 204 or not answer.content:
                return None
            else:
                try:
                    return json.loads(answer.content)
                except (ValueError, RecursionError):
                    kind = answer.headers.get("content-type", "of no type")
                    failed = self._undocumented(f"{len(answer.content)} octets {kind}")
        # Outside the except clauses, so that no exception is chained: they hold the request.
        raise failed

    def _answered(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> "_Answer":
        """Send a request; return the answer. Raises :class:`OSError`, or :class:`FailedError`."""
        with self._session.request(
            method,
            self._url + path,
            params=query,
            json=body,
            timeout=(_CONNECT, _ANSWER),
            # Elsewhere the credentials are nobody's business.
            allow_redirects=False,
            # Not as plain headers: those of the user's .netrc would replace them.
            auth=_Headers({**self._headers(), **(headers or {})}),
            # What is on this machine is on no proxy's, which would get the credentials.
            proxies=_NO_PROXIES if is_loopback(urlsplit(self._url).hostname or "") else None,
            stream=True,
        ) as response:
            content = bytearray()
            for chunk in response.iter_content(2**16):
                content += chunk
                if len(content) > _MOST_OCTETS:
                    raise EndlessError
            return _Answer(response.status_code, response.headers, bytes(content))

    def _refused(self, answer: "_Answer") -> FailedError:
        """Return what an answer means that is an error."""
        status = answer.status
        try:
            code, said = map(self._quoted, self._said(json.loads(answer.content)))
        except (*OTHER_SHAPE, RecursionError):
            code = said = ""  # a page of HTML, from something in between
        said = said.rstrip(".")
        words = f"answered {status}"
        if said or code:
            words += f": {said or code}" + (f" ({code})" if said and code else "")
        retry_after = asked_pause(answer.headers)
        if retry_after is not None:
            words += f", and asks to retry after {retry_after:.0f} seconds"
        failed = FailedError(
            words,
            status=status,
            code=code,
            may_pass=status in _MAY_PASS,
            retry_after=retry_after,
        )
        failed.advice = self._advice(failed)
        return failed

    def _not_reached(self, error: OSError) -> FailedError:
        if isinstance(error, requests.exceptions.ConnectTimeout):
            words = f"cannot be reached within {_CONNECT:g} seconds"
        elif isinstance(error, requests.Timeout):
            words = f"gave no answer within {_ANSWER:g} seconds"
        elif isinstance(error, TimeoutError):
            words = f"gave no whole answer within {_WHOLE:g} seconds"
        else:
            words = f"cannot be reached ({_cause(error)})"
        return FailedError(
            words,
            f"Check this machine's network, and HTTPS_PROXY if it needs a proxy. {self.HINT}",
            may_pass=not isinstance(error, requests.exceptions.InvalidURL),
        )

    def _undocumented(self, what: str) -> FailedError:
        return FailedError(
            f"answered what its API does not document: {self._quoted(what)}",
            "Check that nothing in between, such as the proxy in HTTPS_PROXY, answers in its place",
            may_pass=True,
        )

    @contextlib.contextmanager
    def _documented(self) -> Iterator[None]:
        """Within the context, an answer of another shape is a :class:`FailedError`."""
        try:
            yield
            return
        except OTHER_SHAPE as error:
            what = type(error).__name__
        raise self._undocumented(f"JSON of another shape ({what})")

    def _pages(self, fetch: Callable[[_T], tuple[list[Any], _T | None]], first: _T) -> list[Any]:
        """Return what is on all pages: ``fetch`` returns one, and what to fetch the next with."""
        found: list[Any] = []
        fetched: list[_T] = []
        page: _T | None = first
        end = time.monotonic() + _PATIENCE
        while page is not None:
            too_many = len(fetched) == _MOST_PAGES or time.monotonic() > end
            if too_many or page in fetched:
                failed = self._undocumented(f"pages without end ({len(fetched)} so far)")
                failed.may_pass = False
                raise failed
            fetched.append(page)
            rows, page = fetch(page)
            found += rows
        return found

    # What is said to the user.

    def _failed(self, task: str, failed: FailedError) -> errors.ProviderError:
        kind = failed.kind
        if failed.status == 403:
            kind = _ForbiddenError
        elif 400 <= (failed.status or 0) < 500 and failed.status != 401 and not failed.may_pass:
            kind = _RefusedError
        host = urlsplit(self._url).hostname
        return kind(
            self._without_secrets(
                f"Cannot {task}: {self.SERVICE} at {host} {failed.words}. "
                f"{failed.advice or self.HINT}."
            )
        )

    def _quoted(self, words: str) -> str:
        """Return a stranger's ``words`` as one short line without secrets."""
        return one_line(self._without_secrets(words))

    def _without_secrets(self, words: str) -> str:
        return without_secrets(words, self._secrets)

    # Settings.

    def _get(self, *keys: str) -> str:
        """Return the value of the first of ``keys`` that has one; empty if none has."""
        return next((found for key in keys if (found := value_of(self._settings, key))), "")

    def _secret(self, *keys: str) -> str:
        """Return such a value that is sent in a header, and never shown; errors as for keys."""
        found = checked_secret(self._get(*keys), f"{self._key(keys[0])} in {self._file}")
        self._hide(found)
        return found

    def _flag(self, key: str) -> bool:
        """Return a value that is true or false; false if there is none. Errors as for keys."""
        return checked_flag(self._get(key) or "false", f"{self._key(key)} in {self._file}")

    def _hide(self, secret: str) -> None:
        """Show ``secret`` to nobody."""
        if secret and secret not in self._secrets:
            self._secrets.append(secret)

    def _key(self, key: str) -> str:
        """Return ``key`` as the credentials file has it."""
        return f"dns_persist_{self.LABEL}_{key}"

    def _checked_url(self) -> str:
        found = (self._get("api_url") or self.URL).rstrip("/")
        try:
            parts = urlsplit(found)
            usable = bool(parts.hostname) and "@" not in parts.netloc and not parts.query
            usable = usable and (parts.scheme == "https" or self._may_be_plain(parts))
        except ValueError:
            usable = False
        if not usable:
            raise errors.ConfigurationError(
                f"{self._key('api_url')} in {self._file} must be a URL that begins with https://, "
                "without user name and query."
            )
        return found

    def _may_be_plain(self, parts: Any) -> bool:
        """Whether the API may be asked without TLS: on this machine."""
        return parts.scheme == "http" and is_loopback(parts.hostname)


@implementer(ILookingProvider, IManyProvider)
class HttpManyProvider(HttpProvider):
    """One whose service reads and changes many names of a zone in few requests.

    A change of many is done as a whole or not at all.
    """

    # What a subclass says.

    def _read_many(self, zone: Zone, names: Sequence[str]) -> Mapping[str, Texts]:
        """Return the TXT records at each of ``names``. Raises :class:`FailedError`."""
        raise NotImplementedError

    def _insert_many(
        self, zone: Zone, additions: Sequence[Addition], found: Mapping[str, Texts]
    ) -> None:
        """Add records, each at another name, to those that were ``found``; all of them or none.

        Errors as for :meth:`_insert`.
        """
        raise NotImplementedError

    def _check_changeable(self, found: Texts) -> None:
        """Raise :class:`FailedError` if nothing can be added to what was ``found`` at a name."""

    def _read(self, zone: Zone, name: str) -> Texts:
        return self._read_many(zone, [name])[name]

    def _insert(self, zone: Zone, name: str, value: str, ttl: int, found: Texts) -> None:
        self._check_changeable(found)
        self._insert_many(zone, [Addition(name, value, ttl)], {name: found})

    # The provider.

    def look_at_many(self, names: Sequence[str]) -> list[Seen | errors.ProviderError]:
        """Look at many names together, as :meth:`zone_for` and :meth:`list_values` at one."""
        zones, failed = by_zone(names, self._zone)
        seen: dict[str, Seen | errors.ProviderError] = {**failed}
        for zone, its in zones.items():
            task = f"list the TXT records at {some(its)} in the zone {zone.name}"
            try:
                found = self._ask(task, functools.partial(self._read_many, zone, its))
            except errors.ProviderError as error:
                seen |= dict.fromkeys(its, error)
                continue
            for name in its:
                values = [record.value for record in found[name].records]
                seen[name] = Seen(zone.name, list(dict.fromkeys(values)))
        return [seen[name] for name in names]

    def add_many(self, additions: Sequence[Addition]) -> list[int | errors.ProviderError]:
        """Add many records, those of a zone in one change; errors as for :meth:`add_value`.

        A change that the service refuses, or somebody else was faster than, is split, until each
        record has the answer that it would get alone.
        """
        done: dict[Addition, int | errors.ProviderError] = {}
        left = list(dict.fromkeys(additions))
        while left:
            # Of several values for a name, the first one: the next begins with what that leaves.
            now: dict[str, Addition] = {}
            for addition in left:
                now.setdefault(addition.name, addition)
            left = [addition for addition in left if now[addition.name] is not addition]
            zones, failed = by_zone(now, self._zone)
            done |= {now[name]: error for name, error in failed.items()}
            for zone, names in zones.items():
                batch = [now[name] for name in names]
                done |= zip(batch, self._added(zone, batch), strict=True)
        return [done[addition] for addition in additions]

    def _added(self, zone: Zone, batch: Sequence[Addition]) -> Sequence[int | errors.ProviderError]:
        """Add records at names of ``zone``; return what :meth:`add_many` does."""
        if len(batch) == 1:
            try:
                return [self.add_value(*batch[0])]
            except errors.ProviderError as error:
                return [error]
        task = f"add TXT records at {some([each.name for each in batch])} in the zone {zone.name}"
        try:
            return self._ask(task, lambda: self._added_together(zone, batch))
        except (RacedError, _RefusedError):
            middle = len(batch) // 2
        except errors.ProviderError as error:
            return [error] * len(batch)
        return [*self._added(zone, batch[:middle]), *self._added(zone, batch[middle:])]

    def _added_together(
        self, zone: Zone, batch: Sequence[Addition]
    ) -> list[int | errors.ProviderError]:
        """Add in one change what is missing; return what :meth:`add_many` does.

        It looks first: an answer that was lost may have been to this very change.
        """
        names = [each.name for each in batch]
        before = found = self._read_many(zone, names)
        failures: dict[str, FailedError] = {}
        adding: list[Addition] = []
        for each in batch:
            there = before[each.name]
            try:
                if not there.having(each.value):
                    self._check_changeable(there)
                    adding.append(each._replace(ttl=self._allowed(each.ttl)))
            except FailedError as failed:
                failures[each.name] = failed
        if adding:
            with _changing():
                self._insert_many(zone, adding, before)
            found = _looked(
                lambda: self._read_many(zone, names),
                lambda now: all(now[each.name].having(each.value) for each in adding),
            )
        outcomes: list[int | errors.ProviderError] = []
        for name, value, ttl in batch:
            there = found[name]
            if having := there.having(value):
                outcomes.append(self._used(name, having[0].ttl, ttl))
                continue
            why = failures.get(name) or self._not_shown(value, before[name], there, adding=True)
            outcomes.append(self._failed(f"{_ADD} {name} in the zone {zone.name}", why))
        return outcomes


@contextlib.contextmanager
def _changing() -> Iterator[None]:
    """Within the context, a failure says whether the change may have been made all the same."""
    try:
        yield
    except FailedError as failed:
        failed.unknown = failed.may_pass and (failed.status is None or failed.status >= 500)
        raise


def _looked(look: Callable[[], _T], done: Callable[[_T], bool]) -> _T:
    """Return what there is after a change that was accepted, as soon as it is ``done``."""
    try:
        return look_until(look, done, _SETTLE, pauses=(0.2, 1.0))
    except FailedError as failed:
        failed.unknown = True
        raise


@dataclasses.dataclass(frozen=True)
class _Answer:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class EndlessError(Exception):
    """An answer is longer than any that we can use."""


class _Headers(requests.auth.AuthBase):
    """Sets headers, in place of any other way to say who asks."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def retried(
    work: Callable[[], _T],
    error_of: Callable[[FailedError], errors.ProviderError],
    tell: Callable[[FailedError, float], None],
) -> _T:
    """Return what ``work`` returns, tried again after a :class:`FailedError` that may pass.

    Work that changes something must look first. ``tell`` gets a failure and the seconds of a pause
    that is long. Raises ``error_of`` the last failure, if it failed for good, too often, or for
    too long; and what else ``work`` raises.
    """
    pauses, end = iter(_PAUSES), time.monotonic() + _PATIENCE
    unknown = False
    while True:
        try:
            return work()
        except FailedError as error:
            failed = error
        # Outside the except clause, so that no exception is chained: others' hold requests.
        unknown = unknown or failed.unknown
        pause = next(pauses, None)
        if pause is not None and failed.retry_after is not None:
            pause = failed.retry_after
        if not failed.may_pass or pause is None or time.monotonic() + pause > end:
            # An answer that is final came after a look, which settles it.
            failed.unknown = unknown and (failed.may_pass or failed.status is None)
            raise error_of(failed)
        if pause >= _WORTH_TELLING:
            tell(failed, pause)
        time.sleep(pause)


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what ``work`` returns, or raise what it raises.

    Raises :class:`TimeoutError` after ``seconds``, and leaves it alone then: the limits of requests
    are for each piece of an answer, and a server may send one after the other for ever.
    """
    done: list[tuple[_T | None, BaseException | None]] = []

    def run() -> None:
        try:
            done.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise TimeoutError
    result, error = done.pop()
    if error is not None:
        raise error
    return cast("_T", result)


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, from ``Retry-After`` or ``RateLimit-Reset`` (UNIX seconds)."""
    after = headers.get("Retry-After", "").strip()
    if after.isdecimal():
        return max(float(after), 1.0)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        at = email.utils.parsedate_to_datetime(after).timestamp()
        return max(at - time.time(), 1.0)
    reset = headers.get("RateLimit-Reset", "").strip()
    remaining = headers.get("RateLimit-Remaining", "").strip()
    if reset.isdecimal() and remaining == "0":
        return max(float(reset) - time.time(), 1.0)
    return None


def _cause(error: BaseException) -> str:
    """Return the innermost reason, without URLs: a proxy's may hold a password."""
    seen: list[BaseException] = []
    pending = [error]
    while pending:
        now = pending.pop()
        if now in seen:
            continue
        seen.append(now)
        reasons = (now.__cause__, now.__context__, getattr(now, "reason", None), *now.args)
        pending += [each for each in reasons if isinstance(each, BaseException)]
    for each in reversed(seen):
        if isinstance(each, OSError) and each.strerror:
            return str(each.strerror)
    # One that is not of requests is about a file of this machine.
    return str(error) if type(error) is OSError else type(error).__name__
