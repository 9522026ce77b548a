"""The log of changes: ``<logs-dir>/dns-persist-changes.jsonl``, for people and log collectors.

One JSON object per line, only ever appended to. A change has two lines with the same ``id``: the
``result`` of the first is ``intended``, that of the second says what came of it.
"""

import contextlib
import dataclasses
import errno
import json
import os
import pwd
import socket
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.files import LOCK_SECONDS, lock, opened, read
from certbot_dns_persist.journal.notes import INTENDED, NOT_MADE, OK, WAS_GONE, Change, Logged

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT


class Log:
    """The log of one Certbot installation."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path
        self._patience = LOCK_SECONDS

    def append(self, entries: Iterable[tuple[str, Change, str]], time: str, *, sync: bool) -> None:
        """Add a line for each id, change and result, all with the same RFC 3339 ``time``.

        ``sync`` is whether to wait until they are on the disk.

        Raises :class:`OSError` if they cannot be written.
        """
        octets = b"".join(json.dumps(entry).encode() + b"\n" for entry in lines_of(entries, time))
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone() as file:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                octets = b"\n" + octets  # an earlier run crashed in the middle of a line
            _write(file, octets)
            if sync:
                os.fsync(file)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        """Open the log and keep others from appending; without that, lines are at worst torn."""
        with opened(self.path, _APPEND) as file:
            try:
                lock(file, self._patience)
            except TimeoutError:
                self._patience = 0  # whoever has it hangs; until it does not
            except OSError:
                pass  # a file system without locks
            else:
                self._patience = LOCK_SECONDS
            yield file

    def published(self) -> list[Logged]:
        """Return the records that stand or may stand; skip lines that cannot be read."""
        return self._outcome()[0]

    def removed(self) -> dict[tuple[str, str], str]:
        """Return when records were removed that do not stand again, by name and value."""
        return self._outcome()[1]

    def _outcome(self) -> tuple[list[Logged], dict[tuple[str, str], str]]:
        standing: dict[tuple[str, str], Logged] = {}
        removed: dict[tuple[str, str], str] = {}
        begun: dict[str, Logged] = {}
        # Removals from several services are noted together: the record is gone after the last.
        batch_of: dict[str, dict[str, str]] = {}
        batch: tuple[tuple[str, str, str] | None, dict[str, str]] = (None, {})
        for entry in self._entries():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                key = (str(entry["name"]), str(entry["value"]))
                result, identity = str(entry["result"]), str(entry.get("id", ""))
                before = standing.get(key)
                logged = Logged(
                    name=key[0],
                    value=key[1],
                    ttl=entry["ttl"] if isinstance(entry["ttl"], int) else None,
                    provider=str(entry["provider"]),
                    zone=entry["zone"] if isinstance(entry["zone"], str) else None,
                    first_published=before.first_published if before else str(entry["time"]),
                    last_changed=str(entry["time"]),
                )
                if entry["action"] == "remove":
                    if result == INTENDED:
                        when = (*key, logged.last_changed)
                        # The same provider once more is of another run, as the first was killed.
                        if batch[0] != when or logged.provider in batch[1].values():
                            batch = (when, {})
                        batch[1][identity] = logged.provider
                        batch_of[identity] = batch[1]
                        continue
                    batch = (None, {})
                    if result in (OK, WAS_GONE):
                        left = batch_of.pop(identity, {})
                        left.pop(identity, None)
                        if left:
                            continue
                        standing.pop(key, None)
                        removed[key] = logged.last_changed
                        begun = {i: o for i, o in begun.items() if (o.name, o.value) != key}
                elif result == OK:
                    standing[key] = logged
                    removed.pop(key, None)
                    begun.pop(identity, None)
                elif result == INTENDED:
                    begun[identity] = logged
                elif result == NOT_MADE:
                    begun.pop(identity, None)
        for each in begun.values():
            doubt = f"its publication began at {each.last_changed}, and the outcome is unknown"
            standing.setdefault((each.name, each.value), dataclasses.replace(each, doubt=doubt))
        return list(standing.values()), removed

    def mark(self, state: Path) -> None:
        """Remember that something stands in the log and not in ``state``, as far as we can."""
        if not self.is_marked(state):
            with contextlib.suppress(OSError), self._alone():
                self._mark(self._marked() | {str(state.absolute())})

    def is_marked(self, state: Path) -> bool:
        """Whether something stands in the log and not in ``state``."""
        return str(state.absolute()) in self._marked()

    def unmark(self, state: Path) -> None:
        """Forget that, as ``state`` has been completed."""
        if self.is_marked(state):
            with contextlib.suppress(OSError), self._alone():
                self._mark(self._marked() - {str(state.absolute())})

    def _mark(self, states: Collection[str]) -> None:
        """Have just ``states`` marked, or what was if we are interrupted."""
        if states:
            lines = "".join(f"{state}\n" for state in sorted(states))
            replace_file(self._marks, os.fsencode(lines))
        else:
            self._marks.unlink()

    @property
    def _marks(self) -> Path:
        return self.path.with_name("dns-persist-not-noted")

    def _marked(self) -> set[str]:
        try:
            return set(os.fsdecode(read(self._marks)).splitlines())
        except OSError:
            return set()

    def exists(self) -> bool:
        """Whether there is a log: whether anything was changed before."""
        return self.path.exists()

    def _entries(self) -> Iterator[dict[str, Any]]:
        try:
            with (
                opened(self.path, os.O_RDONLY) as descriptor,
                open(descriptor, encoding="utf-8", errors="replace", closefd=False) as file,
            ):
                for line in file:
                    with contextlib.suppress(ValueError, RecursionError):
                        entry = json.loads(line)
                        if isinstance(entry, dict):
                            yield entry
        except OSError:
            return


def lines_of(entries: Iterable[tuple[str, Change, str]], time: str) -> Iterator[dict[str, object]]:
    """Yield the line for each id, change and result; ``time`` as in :meth:`Log.append`."""
    host, user = socket.gethostname(), _user()
    for identity, change, result in entries:
        yield _line(identity, change, result, time, host, user)


def _line(
    identity: str, change: Change, result: str, time: str, host: str, user: str
) -> dict[str, object]:
    return {
        "time": time,
        "host": host,
        "user": user,
        "id": identity,
        "action": change.action,
        "name": change.name,
        "value": change.value,
        "ttl": change.ttl,
        "provider": change.provider,
        "zone": change.zone,
        "reason": change.reason,
        "temporary": change.temporary,
        "result": result,
    }


def _write(file: int, octets: bytes) -> None:
    """Write all at once."""
    if os.write(file, octets) < len(octets):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _user() -> str:
    """Return our user, and who used sudo to become it. LOGNAME would prove nothing."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in many containers
        user = f"uid {os.geteuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{user} (sudo by {behind})" if behind else user
