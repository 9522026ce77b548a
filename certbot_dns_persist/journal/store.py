"""What we changed in DNS, and which of our records stand (draft sections 4.5 and 9.4).

The one door to both: the log of changes, for people, and the state, for ourselves. A change is
noted before it is made, and again when its outcome is known. So what a killed process did is found
by whoever comes next for that name.

Neither may prevent a certificate: if it cannot be read or written, we warn and continue.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.database import Unusable
from certbot_dns_persist.journal.log import Log, lines_of
from certbot_dns_persist.journal.notes import (
    INTENDED,
    NOT_MADE,
    OK,
    WAS_GONE,
    Change,
    Intention,
    Logged,
    Outcome,
    PublishedRecord,
)
from certbot_dns_persist.journal.state import State
from certbot_dns_persist.journal.takeover import Damaged, Newer
from certbot_dns_persist.record import format_time
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

_T = TypeVar("_T")

SYSLOG_SOCKET = Path("/dev/log")


class Journal:
    """The log and the state of one Certbot installation.

    What is wrong with its files is a warning, and no method raises it.
    """

    def __init__(
        self,
        logs_dir: str,
        config_dir: str,
        clock: Callable[[], float] = time.time,
        *,
        log: str = "file",
        syslog_socket: Path = SYSLOG_SOCKET,
    ) -> None:
        """Open nothing yet.

        ``clock`` returns UNIX seconds. ``log`` is where changes are logged: ``file``, ``syslog`` or
        ``both``. The file also gets what nothing else has noted.
        """
        self._log = Log(Path(logs_dir) / "dns-persist-changes.jsonl")
        path = Path(config_dir) / "dns-persist" / "state.sqlite"
        self._state = State(path, self._log.exists, self._now)
        self._clock = clock
        self._in_file, self._in_syslog = log != "syslog", log in ("syslog", "both")
        self._syslog_socket = syslog_socket
        self._warned: set[str] = set()

    @property
    def state_file(self) -> Path:
        """Where the current state is kept."""
        return self._state.path

    @property
    def log_file(self) -> Path:
        """Where changes are logged, unless only the system's log has them."""
        return self._log.path

    # Changes

    def intended(self, *changes: Change) -> list[Intention]:
        """Note what is about to be changed; warn if that fails.

        :meth:`done` takes the outcome. If the process ends before that, :meth:`interrupted`
        returns the intention to whoever comes next.
        """
        if not changes:
            return []
        by_id = {secrets.token_hex(8): change for change in changes}
        now = self._now()
        in_state = self._noted(self._state.path, changes, lambda: self._state.intend(by_id))
        lines = [(identity, change, INTENDED) for identity, change in by_id.items()]
        in_log = self._logged(changes, lines, now, in_state=in_state)
        return [
            Intention(identity, change, in_state, in_log, now) for identity, change in by_id.items()
        ]

    def done(self, *outcomes: Outcome) -> None:
        """Note what came of intended changes; warn if that fails."""
        if not outcomes:
            return
        made: dict[str, Change] = {}
        not_made, doubts = [], {}
        for outcome in outcomes:
            identity = outcome.intention.id
            if outcome.result in (OK, WAS_GONE):
                made[identity] = outcome.change
            elif outcome.result == NOT_MADE:
                not_made.append(identity)
            else:
                doubts[identity] = outcome.result
        changes = [outcome.change for outcome in outcomes]
        lines = [(o.intention.id, o.change, o.result) for o in outcomes]
        now = self._now()
        in_state = self._noted(
            self._state.path, changes, lambda: self._state.conclude(made, not_made, doubts)
        )
        self._logged(changes, lines, now, in_state=in_state)

    def note(self, change: Change, result: str = OK) -> None:
        """Note a change that somebody else made; warn if that fails."""
        self.done(Outcome(Intention(secrets.token_hex(8), change, False, False), result))

    def gone(self, record: PublishedRecord) -> None:
        """Note that ``record`` is no longer in DNS, although we did not remove it."""
        self.note(
            Change(
                action="remove",
                name=record.name,
                value=record.value,
                ttl=None,
                provider="manual",
                zone=None,
                reason=WAS_GONE,
                server=record.server,
                account_url=record.account_url,
                domain=record.domain,
            ),
            WAS_GONE,
        )

    def in_doubt(self, change: Change, doubt: str) -> None:
        """Note that a record, which was published as ``change`` says, may not be there."""
        in_state = self._noted(
            self._state.path,
            [change],
            lambda: self._state.doubt_record(change.name, change.value, doubt),
        )
        line = (secrets.token_hex(8), change, f"in doubt: {doubt}")
        self._logged([change], [line], self._now(), in_state=in_state)

    def keep(self, name: str, value: str, *, temporary: bool) -> None:
        """Note that a record is needed that was left, or was to be removed as replaced.

        It is needed until the end of this run if ``temporary``, else for good.
        """
        self._try("The use of a record", lambda: self._state.keep(name, value, temporary=temporary))

    def interrupted(self, names: Collection[str]) -> list[Intention]:
        """Return the changes at ``names`` whose outcome is unknown and that nobody works on."""
        return self._asked(lambda: self._state.interrupted(names), [])

    def abandoned(self, names: Collection[str]) -> list[PublishedRecord]:
        """Return the temporary records at ``names`` that their run has not removed."""
        return self._asked(lambda: self._state.abandoned(names), [])

    def temporary(self, names: Collection[str]) -> list[PublishedRecord]:
        """Return the temporary records at ``names``, also of runs that have not ended."""
        return self._asked(lambda: self._state.temporary(names), [])

    def names_starting(self, start: str) -> list[str]:
        """Return the names beginning with ``start`` that have records or intended changes."""
        return self._asked(lambda: self._state.names_starting(start), [])

    # The records that stand

    def published(
        self,
        *,
        name: str | None = None,
        names: Collection[str] | None = None,
        domains: Collection[str] | None = None,
    ) -> list[PublishedRecord]:
        """Return our records as noted, sorted; warn and return none if that cannot be read.

        All of them, or those with that name, these names or these domains; those in doubt, too.
        """
        return self._asked(
            lambda: self._state.published(name=name, names=names, domains=domains), []
        )

    def count_names(self) -> int:
        """Return at how many names records of ours stand or may, as far as we can read."""
        return self._asked(self._state.count_names, 0)

    @property
    def incomplete(self) -> bool:
        """Whether records may stand that are not in the state, as far as we can read."""
        try:
            return self._state.incomplete() if self._state.readable() else self._log.exists()
        except (Unusable, Newer, Damaged):
            return False  # reading it warns

    @property
    def unreadable(self) -> bool:
        """Whether there is a state, and something in it could not be read so far."""
        return any(fault.startswith("read ") for fault in self._warned)

    def has_published(self) -> bool:
        """Whether any record of ours stands, as far as we can read."""
        return self._asked(self._state.has_published, False)

    def exists(self) -> bool:
        """Whether there is a state that can be read."""
        try:
            return self._state.readable()
        except (Unusable, Newer, Damaged):
            return False

    def lost(self) -> bool:
        """Whether the state is missing, damaged or incomplete, and this user can rebuild it."""
        try:
            whole = self._state.readable() and not self._state.incomplete()
            if whole and not self._log.is_marked(self._state.path):
                return False
        except Damaged:
            pass
        except (Unusable, Newer):
            return False
        return self._state.writable()

    def set_aside_damaged(self) -> Path | None:
        """Replace a damaged state by an empty one; return where the damaged file is then."""
        try:
            return self._state.set_aside_damaged()
        except (Unusable, Newer, Damaged):
            return None  # we cannot use it; reading it warns

    def rebuild(self, records: Iterable[PublishedRecord], *, complete: bool) -> int:
        """Note those of ``records`` that the state lacks; return how many.

        What was removed according to the log is no longer noted, unless it is one of ``records``.
        ``complete`` is whether ``records`` are all our records.
        """
        listed = list(records)
        removed = self._log.removed()
        for record in listed:
            removed.pop((record.name, record.value), None)
        added = self._try(
            "The records that stand",
            lambda: self._state.rebuild(listed, removed, complete=complete),
        )
        if added is not None and complete:
            self._log.unmark(self._state.path)
        return added or 0

    def logged(self) -> list[Logged]:
        """Return the records that stand according to the log of changes; skip unreadable lines."""
        return self._log.published()

    def replaced(self, name: str) -> list[str]:
        """Return the values at ``name`` that were replaced and are still to be removed."""
        return self._asked(lambda: self._state.replaced(name), [])

    def note_replaced(self, values: Mapping[str, Sequence[str]]) -> None:
        """Note that ``values``, by name, have been replaced and are about to be removed.

        After an interruption, the next run then knows that they are no longer needed.
        """
        self._try("What is to be removed", lambda: self._state.note_replaced(values))

    # Accounts

    def account_urls(self) -> list[str]:
        """Return the URLs of the accounts that had orders or records here, sorted."""
        return self._asked(self._state.account_urls, [])

    def earlier_keys(self, account_url: str, thumbprint: str) -> list[str]:
        """Return the thumbprints of the account's earlier keys, the latest first.

        ``thumbprint`` is that of its current key.
        """
        return [key for key in self._keys(account_url) if key != thumbprint]

    def note_key(self, account_url: str, thumbprint: str) -> None:
        """Note the account's current key.

        Certbot keeps no earlier keys, but a CA accepts records made with them (draft section 4.2).
        """
        if thumbprint not in self._keys(account_url)[:1]:
            self._try("The account's key", lambda: self._state.note_key(account_url, thumbprint))

    def _keys(self, account_url: str) -> list[str]:
        none: list[str] = []
        return self._asked(lambda: self._state.keys(account_url), none)

    def terms(self, account_url: str) -> Terms | None:
        """Return the terms that the account's CA stated last."""
        return self._asked(lambda: self._state.terms(account_url), None)

    def note_terms(self, account_url: str, terms: Terms) -> None:
        """Note what the account's CA wants in records."""
        if self.terms(account_url) != terms:
            self._try(
                "What the CA wants in records", lambda: self._state.note_terms(account_url, terms)
            )

    # How

    def _now(self) -> str:
        return format_time(int(self._clock()))

    def _noted(self, path: Path, changes: Sequence[Change], note: Callable[[], object]) -> bool:
        """Return whether ``note`` noted ``changes`` in ``path``; warn if not, once for each fault.

        That is often: of a full disk, one line says as much as a hundred.
        """
        try:
            self._with_a_new_state(note)
        except (OSError, Unusable, Newer, Damaged) as error:
            self._warn(
                f"{path} {_reason(error)}",
                "The change of DNS (%s of the TXT record %s%s) could not be noted in %s: %s. "
                "DNS itself is not affected.",
                changes[0].action,
                changes[0].name,
                "" if len(changes) == 1 else f" and {len(changes) - 1} more",
                path,
                _reason(error),
            )
            return False
        return True

    def _logged(
        self,
        changes: Sequence[Change],
        lines: Sequence[tuple[str, Change, str]],
        now: str,
        *,
        in_state: bool,
    ) -> bool:
        """Return whether the log has ``lines``; what only it has completes the state later.

        What the state has is on the disk already.
        """
        if self._in_syslog:
            from certbot_dns_persist.journal import syslog  # hardly anybody needs logging.handlers

            to = self._syslog_socket
            self._noted(to, changes, lambda: syslog.send(lines_of(lines, now), to))
        if in_state and not self._in_file:
            return False
        in_log = self._noted(
            self._log.path, changes, lambda: self._log.append(lines, now, sync=not in_state)
        )
        if in_log and not in_state:
            self._log.mark(self._state.path)
        return in_log

    def _try(self, what: str, note: Callable[[], _T]) -> _T | None:
        try:
            return self._with_a_new_state(note)
        except (OSError, Unusable, Newer, Damaged) as error:
            path = self._state.path
            self._warn(
                f"{path} {_reason(error)}", "%s could not be noted in %s: %s", what, path, error
            )
        return None

    def _with_a_new_state(self, note: Callable[[], _T]) -> _T:
        """Return what ``note`` returns, with a new state if the one that there is is damaged."""
        try:
            return note()
        except Damaged as error:
            aside = self._state.set_aside_damaged()
            if aside is not None:
                logger.warning(
                    "%s is damaged (%s). We renamed it to %s and continue without the records in "
                    "it. certbot-dns-persist check notes them again.",
                    aside.with_name(aside.name.partition(".damaged-")[0]),
                    error,
                    aside,
                )
            return note()

    def _asked(self, question: Callable[[], _T], default: _T) -> _T:
        try:
            return question()
        except (Unusable, Newer, Damaged) as error:
            path = self._state.path
            self._warn(
                f"read {path}", "Our notes of DNS records in %s cannot be read: %s", path, error
            )
        return default

    def _warn(self, fault: str, words: str, *details: object) -> None:
        if fault not in self._warned:
            self._warned.add(fault)
            logger.warning(words, *details)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)  # without the path again
