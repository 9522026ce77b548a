"""What we changed in DNS, and which of our records stand (draft sections 4.5 and 9.4).

``<logs-dir>/dns-persist-changes.jsonl`` is for people and log collectors: one JSON object per line,
only ever appended to. ``<config-dir>/dns-persist/records.json`` is for ourselves: the records that
we published and have not removed, with what an order needs to know of them before it looks at DNS,
the thumbprints of all keys that each account has had, and what each CA wants in records.

Neither file may prevent a certificate: if we changed DNS and cannot note it, we warn and continue.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import logging
import os
import pwd
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.notes import Change, Logged, StandingRecord
from certbot_dns_persist.record import format_time

logger = logging.getLogger(__name__)

_VERSION = 1


class Journal:
    """The two files, for one Certbot installation."""

    def __init__(
        self, logs_dir: str, config_dir: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Open nothing yet. ``clock`` returns UNIX seconds."""
        self._log = Path(logs_dir) / "dns-persist-changes.jsonl"
        self._state = Path(config_dir) / "dns-persist" / "records.json"
        self._clock = clock
        self._warned: set[str] = set()

    @property
    def state_file(self) -> Path:
        """Where the current state is kept."""
        return self._state

    def done(self, change: Change) -> None:
        """Note a change that was made or tried; warn if that fails."""
        for path, note in ((self._log, self._append), (self._state, self._note)):
            try:
                note(change)
            except (OSError, _Unusable) as error:
                logger.warning(
                    "The change of DNS (%s of the TXT record %s, %s) could not be noted in %s: %s. "
                    "DNS itself is not affected.",
                    change.action,
                    change.name,
                    change.result,
                    path,
                    error,
                )

    def gone(self, record: StandingRecord) -> None:
        """Note that ``record`` is no longer in DNS, although we did not remove it."""
        self.done(
            Change(
                action="remove",
                name=record.name,
                value=record.value,
                ttl=None,
                provider="manual",
                zone=None,
                reason="was gone already",
                server=record.server,
                account_url=record.account_url,
                domain=record.domain,
            )
        )

    def exists(self) -> bool:
        """Whether there is a state file that can be read."""
        try:
            self._load()
        except (OSError, _Unusable, _Damaged):
            return False
        return self._state.exists()

    def standing(self) -> list[StandingRecord]:
        """Return our records as noted, sorted; warn and return none if that cannot be read."""
        records = self._known().records
        return [records[key] for key in sorted(records)]

    def lost(self) -> bool:
        """Whether the state is missing, damaged or incomplete, and this user can rebuild it."""
        try:
            state = self._load()
        except _Damaged:
            pass
        except (OSError, _Unusable):
            return False
        else:
            if self._state.exists() and not state.incomplete:
                return False
        place = next((p for p in self._state.parents if p.exists()), Path())
        effective = os.access in os.supports_effective_ids
        return os.access(place, os.W_OK | os.X_OK, effective_ids=effective)

    def set_aside_damaged(self) -> Path | None:
        """Replace a damaged state by an empty one; return where the damaged file is then."""
        asides: list[Path] = []
        try:
            self._load()
        except _Damaged:
            with contextlib.suppress(OSError, _Unusable):
                self._update(lambda state: state, lambda _, aside: asides.append(aside))
        except (OSError, _Unusable):
            pass  # we cannot use it; reading it warns
        return next(iter(asides), None)

    def rebuild(self, records: Iterable[StandingRecord], *, complete: bool) -> int:
        """Note those of ``records`` that the state lacks; return how many.

        ``complete`` is whether ``records`` are all our records.
        """
        added = 0

        def merge(state: "_State") -> "_State":
            nonlocal added
            missing = {
                (r.name, r.value): r for r in records if (r.name, r.value) not in state.records
            }
            added = len(missing)
            return dataclasses.replace(
                state, records={**state.records, **missing}, incomplete=not complete
            )

        self._try_to_update("The records that stand", merge)
        return added

    def logged(self) -> list[Logged]:
        """Return the records that stand according to the log of changes; skip unreadable lines."""
        standing: dict[tuple[str, str], Logged] = {}
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                key = (str(entry["name"]), str(entry["value"]))
                if entry["result"] != "ok":
                    continue
                if entry["action"] == "remove":
                    standing.pop(key, None)
                    continue
                before = standing.get(key)
                standing[key] = Logged(
                    name=key[0],
                    value=key[1],
                    ttl=entry["ttl"] if isinstance(entry["ttl"], int) else None,
                    provider=str(entry["provider"]),
                    zone=entry["zone"] if isinstance(entry["zone"], str) else None,
                    first_published=before.first_published if before else str(entry["time"]),
                    last_changed=str(entry["time"]),
                )
        return list(standing.values())

    def account_urls(self) -> list[str]:
        """Return the URLs of the accounts that had orders or records here, sorted."""
        state = self._known()
        noted = {record.account_url for record in state.records.values()}
        return sorted(filter(None, {*state.keys, *state.terms, *noted}))

    def earlier_keys(self, account_url: str, thumbprint: str) -> list[str]:
        """Return the thumbprints of the account's earlier keys, the latest first.

        ``thumbprint`` is that of its current key.
        """
        known = self._known().keys.get(account_url, [])
        return [key for key in reversed(known) if key != thumbprint]

    def note_key(self, account_url: str, thumbprint: str) -> None:
        """Note the account's current key.

        Certbot keeps no earlier keys, but a CA accepts records made with them (draft section 4.2).
        """
        if thumbprint not in self._known().keys.get(account_url, [])[-1:]:
            self._try_to_update(
                "The account's key", lambda state: state.with_key(account_url, thumbprint)
            )

    def terms(self, account_url: str) -> Terms | None:
        """Return the terms that the account's CA stated last."""
        return self._known().terms.get(account_url)

    def note_terms(self, account_url: str, terms: Terms) -> None:
        """Note what the account's CA wants in records."""
        if self.terms(account_url) != terms:
            self._try_to_update(
                "What the CA wants in records",
                lambda state: dataclasses.replace(state, terms={**state.terms, account_url: terms}),
            )

    def replaced(self, name: str) -> list[str]:
        """Return the values at ``name`` that were replaced and are still to be removed."""
        return list(self._known().replaced.get(name, ()))

    def note_replaced(self, values: Mapping[str, Sequence[str]]) -> None:
        """Note that ``values``, by name, have been replaced and are about to be removed.

        After an interruption, the next run then knows that they are no longer needed.
        """
        self._try_to_update(
            "What is to be removed",
            lambda state: dataclasses.replace(
                state,
                replaced={
                    **state.replaced,
                    **{
                        name: list(dict.fromkeys([*state.replaced.get(name, ()), *gone]))
                        for name, gone in values.items()
                    },
                },
            ),
        )

    def _try_to_update(self, what: str, step: Callable[["_State"], "_State"]) -> None:
        try:
            self._update(step)
        except (OSError, _Unusable) as error:
            logger.warning("%s could not be noted in %s: %s", what, self._state, error)

    def _known(self) -> "_State":
        try:
            return self._load()
        except (OSError, _Unusable, _Damaged) as error:
            why = (isinstance(error, OSError) and error.strerror) or error  # without the path again
            warning = f"Our notes of DNS records in {self._state} cannot be read: {why}"
            if warning not in self._warned:
                logger.warning("%s", warning)
                self._warned.add(warning)
            return _State({}, {}, {}, {})

    def _now(self) -> str:
        return format_time(int(self._clock()))

    def _append(self, change: Change) -> None:
        line = {
            "time": self._now(),
            "host": socket.gethostname(),
            "user": _user(),
            "action": change.action,
            "name": change.name,
            "value": change.value,
            "ttl": change.ttl,
            "provider": change.provider,
            "zone": change.zone,
            "reason": change.reason,
            "result": change.result,
        }
        octets = json.dumps(line).encode() + b"\n"
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(self._log, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                octets = b"\n" + octets  # an earlier run crashed in the middle of a line
            _write(file, octets)

    def _note(self, change: Change) -> None:
        if change.result == "ok":
            self._update(lambda state: state.with_change(change, self._now()))

    def _update(
        self,
        step: Callable[["_State"], "_State"],
        moved: "Callable[[_Damaged, Path], None] | None" = None,
    ) -> None:
        """Replace the state by what ``step`` makes of it, under a lock.

        A damaged one is renamed and a new one created; then call ``moved``, which by default warns.
        """
        self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The lock is a separate file, because the state file is replaced. Closing it unlocks it.
        lock = self._state.with_name("records.lock")
        with _opened(lock, os.O_RDWR | os.O_CREAT) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                state = self._load()
            except _Damaged as error:
                aside = self._state.with_name(f"records.json.damaged-{self._now()}")
                self._state.replace(aside)
                (moved or self._warn_of_new_state)(error, aside)
                state = _State({}, {}, {}, {}, incomplete=True)
            self._store(step(state))

    def _warn_of_new_state(self, error: "_Damaged", aside: Path) -> None:
        logger.warning(
            "%s is damaged (%s). We renamed it to %s and created a new one, which does not have "
            "the records published before. certbot-dns-persist check notes them again.",
            self._state,
            error,
            aside,
        )

    def _load(self) -> "_State":
        try:
            octets = self._state.read_bytes()
        except FileNotFoundError:
            # If we changed something before, the state was lost.
            return _State({}, {}, {}, {}, incomplete=self._log.exists())
        except IsADirectoryError as error:
            raise _Damaged("it is a directory") from error
        try:
            content = json.loads(octets)
            if content["version"] != _VERSION:
                raise _Unusable(
                    f"it has the version {content['version']}, which this release does not know. "
                    "Update certbot-dns-persist"
                )
            entries = {(entry["name"], entry["value"]): entry for entry in content["records"]}
            records = {key: _checked(entry) for key, entry in entries.items()}
            # The first releases did not note these.
            keys = {
                str(url): [str(key) for key in known]
                for url, known in content.get("keys", {}).items()
            }
            terms = {str(url): _terms(entry) for url, entry in content.get("terms", {}).items()}
            replaced = {
                str(name): [str(value) for value in values]
                for name, values in content.get("replaced", {}).items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Damaged(f"{type(error).__name__}: {error}") from error
        return _State(
            records,
            keys,
            terms,
            replaced,
            incomplete=content.get("incomplete") is True,
            content=content,
            entries=entries,
        )

    def _store(self, state: "_State") -> None:
        entries = [
            {**state.entries.get(key, {}), **dataclasses.asdict(state.records[key])}
            for key in sorted(state.records)
        ]
        content = {
            **state.content,
            "version": _VERSION,
            "records": entries,
            "keys": state.keys,
            "terms": {url: dataclasses.asdict(terms) for url, terms in state.terms.items()},
            "replaced": state.replaced,
        }
        content.pop("incomplete", None)
        if state.incomplete:
            content["incomplete"] = True
        octets = json.dumps(content, indent=2).encode() + b"\n"
        replace_file(self._state, octets, mode=0o600)


class _Damaged(Exception):
    """The state file does not have the format that we write."""


class _Unusable(Exception):
    """The state file is from a newer release."""


@dataclasses.dataclass(frozen=True)
class _State:
    """The content of the state file."""

    records: Mapping[tuple[str, str], StandingRecord]
    """By name and value."""
    keys: Mapping[str, list[str]]
    """The thumbprints of each account's keys by account URL, the current one last."""
    terms: Mapping[str, Terms]
    """What each account's CA stated last, by account URL."""
    replaced: Mapping[str, Sequence[str]]
    """The values still to be removed, by name."""
    incomplete: bool = False
    """Whether it lacks records that were published before it was created."""
    content: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The file as it was read, to keep the members that a newer release added."""
    entries: Mapping[tuple[str, str], Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """The records in it as they were read, by name and value, for the same reason."""

    def with_key(self, account_url: str, thumbprint: str) -> "_State":
        before = [key for key in self.keys.get(account_url, []) if key != thumbprint]
        return dataclasses.replace(self, keys={**self.keys, account_url: [*before, thumbprint]})

    def with_change(self, change: Change, now: str) -> "_State":
        key = (change.name, change.value)
        others = {other: record for other, record in self.records.items() if other != key}
        to_go = [v for v in self.replaced.get(change.name, ()) if v != change.value]
        replaced = {name: gone for name, gone in self.replaced.items() if name != change.name}
        if to_go:
            replaced[change.name] = to_go
        if change.action == "remove":
            return dataclasses.replace(self, records=others, replaced=replaced)
        earlier = self.records.get(key)
        record = StandingRecord(
            name=change.name,
            value=change.value,
            ttl=change.ttl,
            provider=change.provider,
            zone=change.zone,
            server=change.server,
            account_url=change.account_url,
            domain=change.domain,
            persist_until=change.persist_until,
            first_published=earlier.first_published if earlier else now,
            last_changed=now,
        )
        return dataclasses.replace(self, records={**others, key: record}, replaced=replaced)


def _checked(entry: dict[str, Any]) -> StandingRecord:
    """Return the record in ``entry``, which may have been edited by hand.

    Members that a newer release added are ignored; those that an older one lacks are ``None`` or
    empty. Raises :class:`TypeError` if a member has the wrong type.
    """
    members: dict[str, Any] = {}
    for name, kind in get_type_hints(StandingRecord).items():
        members[name] = entry.get(name, "" if kind is str else None)
        if not isinstance(members[name], kind):
            raise TypeError(f"{name} of a record is not of type {kind}")
    return StandingRecord(**members)


def _terms(entry: dict[str, Any]) -> Terms:
    plain, prefix = entry.get("plain"), entry.get("hash_prefix")
    return Terms(
        issuer_domain_names=tuple(str(name) for name in entry["issuer_domain_names"]),
        plain=None if plain is None else str(plain),
        hash_prefix=None if prefix is None else str(prefix),
    )


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file that only its owner may read, and close it at the end of the block."""
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(file: int, octets: bytes) -> None:
    """Write all at once, and wait until it is on the disk."""
    if os.write(file, octets) < len(octets):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file)


def _user() -> str:
    """Return our user, and who used sudo to become it. LOGNAME would prove nothing."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in many containers
        user = f"uid {os.geteuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{user} (sudo by {behind})" if behind else user
