"""What we changed in DNS, and which of our records stand: draft -02, 4.5 and 9.4.

``<logs-dir>/dns-persist-changes.jsonl`` is for people and log collectors: one JSON object a line,
only ever appended to. ``<config-dir>/dns-persist/records.json`` is for ourselves: the records that
we published and have not removed, with what an order needs to know of them before DNS is asked,
the thumbprints of the account keys that records may have been made with, and what each CA said
that it wants in them.

Neither may cost anybody a certificate: when DNS was changed and this could not be noted, a warning
says so, and life goes on.
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
        self._told: set[str] = set()

    @property
    def state_file(self) -> Path:
        """Where the current state is kept."""
        return self._state

    def done(self, change: Change) -> None:
        """Note a change that was made or tried. What cannot be written is only warned about."""
        for path, note in ((self._log, self._append), (self._state, self._note)):
            try:
                note(change)
            except (OSError, _Unusable) as error:
                logger.warning(
                    "The change of DNS (%s of the TXT record %s, %s) could not be noted in %s: %s. "
                    "DNS itself is not concerned.",
                    change.action,
                    change.name,
                    change.result,
                    path,
                    error,
                )

    def gone(self, record: StandingRecord) -> None:
        """Note that ``record`` is in DNS no longer, though nobody removed it through us."""
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
        """Whether there are notes of records that stand, and they can be read."""
        try:
            self._load()
        except (OSError, _Unusable, _Damaged):
            return False
        return self._state.exists()

    def standing(self) -> list[StandingRecord]:
        """Return our records as far as we know, sorted; none when that cannot be read (warned)."""
        records = self._known().records
        return [records[key] for key in sorted(records)]

    def lost(self) -> bool:
        """Whether the state is missing, damaged or was begun anew, and could be rebuilt here."""
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
        """Begin anew when the state is damaged; return where the damaged file is then."""
        asides: list[Path] = []
        try:
            self._load()
        except _Damaged:
            with contextlib.suppress(OSError, _Unusable):
                self._update(lambda state: state, lambda _, aside: asides.append(aside))
        except (OSError, _Unusable):
            pass  # not for us; whoever needs it is told
        return next(iter(asides), None)

    def rebuild(self, records: Iterable[StandingRecord], *, complete: bool) -> int:
        """Note ``records`` again that the state lacks; return how many.

        ``complete`` is whether these are all that there are.
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
        """Return what stands by the log of changes; lines that cannot be read are passed over."""
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
        """Return the URLs of the accounts that orders or records were made for here, sorted."""
        state = self._known()
        noted = {record.account_url for record in state.records.values()}
        return sorted(filter(None, {*state.keys, *state.terms, *noted}))

    def earlier_keys(self, account_url: str, thumbprint: str) -> list[str]:
        """Return the thumbprints of the keys that the account had before, the latest first.

        ``thumbprint`` is that of its key now.
        """
        known = self._known().keys.get(account_url, [])
        return [key for key in reversed(known) if key != thumbprint]

    def note_key(self, account_url: str, thumbprint: str) -> None:
        """Note the account's current key: Certbot keeps no earlier one, while a CA accepts what
        was published with them (draft -02 section 4.2).
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
        """Return the values at ``name`` that were replaced, and are to go as soon as they can."""
        return list(self._known().replaced.get(name, ()))

    def note_replaced(self, values: Mapping[str, Sequence[str]]) -> None:
        """Note that ``values``, by their name, have been replaced and are about to be removed.

        Whoever goes on after an interruption can then tell that they are not needed any more.
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
            told = f"Cannot tell which DNS records are ours from {self._state}: {why}"
            if told not in self._told:
                logger.warning("%s", told)
                self._told.add(told)
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
                octets = b"\n" + octets  # somebody crashed in the middle of a line
            _write(file, octets)

    def _note(self, change: Change) -> None:
        if change.result == "ok":
            self._update(lambda state: state.with_change(change, self._now()))

    def _update(
        self,
        step: Callable[["_State"], "_State"],
        moved: "Callable[[_Damaged, Path], None] | None" = None,
    ) -> None:
        """Replace the state by what ``step`` makes of it, and let nobody come in between.

        A damaged one is put aside, and a new one begins; ``moved`` is told, by default the user.
        """
        self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file of its own, as the state file is replaced; locked until it is closed.
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
            "%s is damaged (%s). It now is %s, and a new one begins: records published before are "
            "not in it, and stay in DNS. certbot-dns-persist check notes them again.",
            self._state,
            error,
            aside,
        )

    def _load(self) -> "_State":
        try:
            octets = self._state.read_bytes()
        except FileNotFoundError:
            # Where something was changed before, a state has been lost.
            return _State({}, {}, {}, {}, incomplete=self._log.exists())
        except IsADirectoryError as error:
            raise _Damaged("it is a directory") from error
        try:
            content = json.loads(octets)
            if content["version"] != _VERSION:
                raise _Unusable(
                    f"it has the version {content['version']}, of which this program knows "
                    f"nothing. Update certbot-dns-persist"
                )
            entries = {(entry["name"], entry["value"]): entry for entry in content["records"]}
            records = {key: _checked(entry) for key, entry in entries.items()}
            # The first versions noted none of these.
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
    """The state file does not hold what we wrote."""


class _Unusable(Exception):
    """The state file is sound, but not for us."""


@dataclasses.dataclass(frozen=True)
class _State:
    """What the state file holds."""

    records: Mapping[tuple[str, str], StandingRecord]
    """By name and value."""
    keys: Mapping[str, list[str]]
    """The thumbprints of each account's keys by its URL, the current one last."""
    terms: Mapping[str, Terms]
    """What each account's CA stated last, by the account's URL."""
    replaced: Mapping[str, Sequence[str]]
    """The values that are to go, by their name."""
    incomplete: bool = False
    """Whether records were published before this state began, and are not in it."""
    content: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The file as it was read: a newer program's members outlive us, ..."""
    entries: Mapping[tuple[str, str], Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """... and so do those of a record, by its name and value."""

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
    """Make a record from JSON. A hand may have been at it, and an order must not trip over that.

    Newer versions may add members, of which nothing is known here; older ones may lack some, and
    then these are ``None`` or empty.
    """
    members: dict[str, Any] = {}
    for name, kind in get_type_hints(StandingRecord).items():
        members[name] = entry.get(name, "" if kind is str else None)
        if not isinstance(members[name], kind):
            raise TypeError(f"{name} of a record is no {kind}")
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
    """Open a file that only its owner may read; close it at the end."""
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(file: int, octets: bytes) -> None:
    """Write all at once, and see it on the disk."""
    if os.write(file, octets) < len(octets):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file)


def _user() -> str:
    """Return who we are, and who became us by sudo. The environment's LOGNAME proves nothing."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in many containers
        user = f"uid {os.geteuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{user} (sudo by {behind})" if behind else user
