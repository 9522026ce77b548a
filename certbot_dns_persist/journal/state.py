"""The state: ``<config-dir>/dns-persist/state.sqlite``, with an index for every question.

It holds the records that we published and have not removed, the changes whose outcome is unknown,
the thumbprints of all keys that each account has had, and what each CA wants in records.
"""

import contextlib
import dataclasses
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from certbot_dns_persist import files
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.files import lock, opened
from certbot_dns_persist.journal.database import Database, Unusable, rows
from certbot_dns_persist.journal.notes import Change, Intention, PublishedRecord
from certbot_dns_persist.journal.run import has_ended, run_of
from certbot_dns_persist.journal.takeover import Damaged, Earlier, Newer, read

if TYPE_CHECKING:
    from sqlite3 import Connection

_T = TypeVar("_T")

_VERSION = 1

_SCHEMA = """
CREATE TABLE records (
  name TEXT NOT NULL, value TEXT NOT NULL, ttl INTEGER, provider TEXT NOT NULL, zone TEXT,
  server TEXT NOT NULL, account_url TEXT NOT NULL, domain TEXT NOT NULL, persist_until INTEGER,
  first_published TEXT, last_changed TEXT NOT NULL, run TEXT, doubt TEXT,
  PRIMARY KEY (name, value)
) WITHOUT ROWID;
CREATE INDEX records_by_account ON records (account_url);
CREATE INDEX records_by_domain ON records (domain);
CREATE INDEX temporary_records ON records (name) WHERE run IS NOT NULL;
CREATE TABLE intentions (
  id TEXT PRIMARY KEY, action TEXT NOT NULL,
  name TEXT NOT NULL, value TEXT NOT NULL, ttl INTEGER, provider TEXT NOT NULL, zone TEXT,
  reason TEXT NOT NULL, server TEXT NOT NULL, account_url TEXT NOT NULL, domain TEXT NOT NULL,
  persist_until INTEGER, temporary INTEGER NOT NULL, time TEXT NOT NULL,
  run TEXT NOT NULL, outcome TEXT
) WITHOUT ROWID;
CREATE INDEX intentions_by_name ON intentions (name, value);
CREATE INDEX intentions_by_domain ON intentions (domain);
CREATE TABLE keys (
  account_url TEXT NOT NULL, thumbprint TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (account_url, thumbprint)
) WITHOUT ROWID;
CREATE TABLE terms (
  account_url TEXT PRIMARY KEY, issuer_domain_names TEXT NOT NULL, plain TEXT, hash_prefix TEXT
) WITHOUT ROWID;
CREATE TABLE replaced (
  name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, value)
) WITHOUT ROWID;
CREATE TABLE incomplete (since TEXT NOT NULL)
"""

_TABLES = ("records", "intentions", "keys", "terms", "replaced", "incomplete")
_PROBE = f"SELECT {', '.join(f'EXISTS (SELECT 1 FROM {table})' for table in _TABLES)}"  # noqa: S608

_CHANGE = ", ".join(field.name for field in dataclasses.fields(Change))
_RECORD = ", ".join(
    field.name
    for field in dataclasses.fields(PublishedRecord)
    if field.name not in ("temporary", "doubt")
)
#: How many values a question names, and how many records are read at once.
_BATCH = 500


class State:
    """The state of one Certbot installation.

    Every method that reads or writes raises :class:`Unusable`, :class:`Damaged` or
    :class:`Newer`, and nothing else.
    """

    def __init__(self, path: Path, began: Callable[[], bool], now: Callable[[], str]) -> None:
        """``began`` says whether anything was changed before there was a state.

        ``now`` returns the time (RFC 3339, UTC).
        """
        self.path = path
        self._earlier = path.with_name("records.json")
        self._database = Database(path, _SCHEMA, _VERSION, _PROBE)
        self._runs = path.with_name("runs")
        self._run = run_of(self._runs)
        self._began = began
        self._now = now

    # What is asked

    def readable(self) -> bool:
        """Whether there is a state that can be read."""
        return bool(self._ask(_PROBE))

    def writable(self) -> bool:
        """Whether this user may note anything."""
        return self._database.writable()

    def incomplete(self) -> bool:
        """Whether records may stand that were published before the state was made."""
        return bool(self._ask("SELECT 1 FROM incomplete"))

    def published(
        self,
        *,
        name: str | None = None,
        names: Collection[str] | None = None,
        domains: Collection[str] | None = None,
    ) -> list[PublishedRecord]:
        """Return our records, sorted: all, or those with these names or domains."""
        if name is not None:
            return self._published("name = ?", [name])
        for column, values in (("name", names), ("domain", domains)):
            if values is not None:
                wanted = list(values)
                found = []
                for start in range(0, len(wanted), _BATCH):
                    batch = wanted[start : start + _BATCH]
                    found += self._published(f"{column} IN ({','.join('?' * len(batch))})", batch)
                return sorted(found, key=_place)
        return self._published("1", [])

    def count_names(self) -> int:
        """Return at how many names records of ours stand, or may."""
        ((count,),) = self._ask(
            "SELECT count(*) FROM (SELECT name FROM records UNION"
            " SELECT name FROM intentions WHERE action = 'add')"
        ) or [(0,)]
        return int(count)

    def has_published(self) -> bool:
        """Whether any record of ours stands, or may."""
        return bool(
            self._ask("SELECT 1 WHERE EXISTS (SELECT 1 FROM records)")
            or self._ask("SELECT 1 FROM intentions WHERE action = 'add' LIMIT 1")
        )

    def interrupted(self, names: Collection[str]) -> list[Intention]:
        """Return the changes at ``names`` whose outcome is unknown, and nobody works on them."""
        if not self._ask("SELECT 1 FROM intentions LIMIT 1"):
            return []
        ended: dict[str, bool] = {}
        found = []
        for name in dict.fromkeys(names):
            for identity, time, run, outcome, *change in self._ask(
                f"SELECT id, time, run, outcome, {_CHANGE} FROM intentions WHERE name = ?"  # noqa: S608
                " ORDER BY time, id",
                name,
            ):
                if outcome is None and run not in ended:
                    ended[run] = has_ended(self._runs, run)
                if outcome is not None or ended[run]:
                    found.append(Intention(identity, _change(change), True, False, time, outcome))
        return found

    def names_starting(self, start: str) -> list[str]:
        """Return the names beginning with ``start`` that have records or intended changes."""
        within = "FROM {} WHERE name >= ? AND name < ?"
        return [
            name
            for (name,) in self._ask(
                f"SELECT name {within.format('records')}"
                f" UNION SELECT name {within.format('intentions')}",
                *(start, f"{start}~") * 2,
            )
        ]

    def abandoned(self, names: Collection[str]) -> list[PublishedRecord]:
        """Return the temporary records at ``names`` whose run ended without removing them."""
        ended: dict[str, bool] = {}
        found = []
        for run, record in self._temporary(names):
            if run not in ended:
                ended[run] = has_ended(self._runs, run)
            if ended[run]:
                found.append(record)
        return found

    def temporary(self, names: Collection[str]) -> list[PublishedRecord]:
        """Return the temporary records at ``names``, whether their run has ended or not."""
        return [record for _, record in self._temporary(names)]

    def _temporary(self, names: Collection[str]) -> Iterator[tuple[str, PublishedRecord]]:
        """Yield them with the run that published them."""
        if not self._ask("SELECT 1 FROM records WHERE run IS NOT NULL LIMIT 1"):
            return
        for name in dict.fromkeys(names):
            for run, *record in self._ask(
                f"SELECT run, {_RECORD} FROM records"  # noqa: S608
                " WHERE name = ? AND run IS NOT NULL",
                name,
            ):
                yield run, dataclasses.replace(_read(record), temporary=True)

    def account_urls(self) -> list[str]:
        """Return the URLs of the accounts that had orders or records here, sorted."""
        return [
            url
            for (url,) in self._ask(
                "SELECT account_url FROM keys UNION SELECT account_url FROM terms"
                " UNION SELECT account_url FROM records UNION SELECT account_url FROM intentions"
            )
            if url
        ]

    def keys(self, account_url: str) -> list[str]:
        """Return the thumbprints of the account's keys, the latest first."""
        statement = "SELECT thumbprint FROM keys WHERE account_url = ? ORDER BY number DESC"
        return [key for (key,) in self._ask(statement, account_url)]

    def terms(self, account_url: str) -> Terms | None:
        """Return the terms that the account's CA stated last."""
        found = self._ask(
            "SELECT issuer_domain_names, plain, hash_prefix FROM terms WHERE account_url = ?",
            account_url,
        )
        for octets, plain, prefix in found:
            try:
                names = json.loads(octets)
            except (ValueError, TypeError, RecursionError) as error:
                raise Damaged(f"{type(error).__name__}: {error}") from error
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise Damaged("the names of an issuer are no list of names")
            return Terms(tuple(names), plain, prefix)
        return None

    def replaced(self, name: str) -> list[str]:
        """Return the values at ``name`` that were replaced and are still to be removed."""
        return [v for (v,) in self._ask("SELECT value FROM replaced WHERE name = ?", name)]

    # What is noted

    def intend(self, changes: Mapping[str, Change]) -> None:
        """Note, by id, what is about to be changed."""
        run = self._own_run()

        def note(connection: "Connection") -> None:
            for identity, change in changes.items():
                # What was tried before and may have failed is tried again.
                connection.execute(
                    "DELETE FROM intentions WHERE name = ? AND value = ? AND action = ?"
                    " AND provider = ? AND outcome IS NOT NULL",
                    (change.name, change.value, change.action, change.provider),
                )
                self._add_intention(connection, identity, change, run, None)

        self._change(note)

    def conclude(
        self,
        made: Mapping[str, Change],
        not_made: Collection[str] = (),
        doubts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Note, by id, which changes were made and which not; ``doubts`` says what we know of
        those that may have been.
        """

        def note(connection: "Connection") -> None:
            now = self._now()
            # What a killed run meant to remove again is left by that run, not by this one.
            runs = {
                identity: run
                for identity in made
                for (run,) in rows(connection, "SELECT run FROM intentions WHERE id = ?", identity)
            }
            for identity in (*made, *not_made):
                connection.execute("DELETE FROM intentions WHERE id = ?", (identity,))
            for identity, change in made.items():
                self._apply(connection, change, now, runs.get(identity) or self._own_run())
            connection.executemany(
                "UPDATE intentions SET outcome = ? WHERE id = ?",
                [(outcome, identity) for identity, outcome in doubts.items()],
            )

        self._change(note)

    def doubt_record(self, name: str, value: str, doubt: str) -> None:
        """Note that a record, which was published, may not be there."""
        self._change(
            lambda connection: connection.execute(
                "UPDATE records SET doubt = ? WHERE name = ? AND value = ?", (doubt, name, value)
            )
        )

    def keep(self, name: str, value: str, *, temporary: bool) -> None:
        """Note that a record that another run left stands on: for this run or, else, for good."""
        run = self._own_run() if temporary else None

        def note(connection: "Connection") -> None:
            connection.execute(
                "UPDATE records SET run = ? WHERE name = ? AND value = ?", (run, name, value)
            )
            if not temporary:
                connection.execute(
                    "DELETE FROM replaced WHERE name = ? AND value = ?", (name, value)
                )

        self._change(note)

    def rebuild(
        self,
        records: Iterable[PublishedRecord],
        removed: Mapping[tuple[str, str], str],
        *,
        complete: bool,
    ) -> int:
        """Note those of ``records`` that are missing; return how many.

        ``removed`` are names and values that no longer stand, with when they were removed.
        ``complete`` is whether ``records`` are all our records.
        """

        def note(connection: "Connection") -> int:
            connection.executemany(
                "DELETE FROM records WHERE name = ? AND value = ? AND last_changed <= ?",
                [(*place, time) for place, time in removed.items()],
            )
            added = 0
            for record in records:
                if record.doubt is None:
                    added += self._insert(connection, record)
                elif not rows(
                    connection,
                    "SELECT 1 FROM records WHERE name = ? AND value = ?",
                    record.name,
                    record.value,
                ):
                    added += self._insert_doubtful(connection, record)
            connection.execute("DELETE FROM incomplete")
            if not complete:
                connection.execute("INSERT INTO incomplete VALUES (?)", (self._now(),))
            return added

        return self._change(note)

    def note_key(self, account_url: str, thumbprint: str) -> None:
        """Note the account's current key."""
        self._change(lambda connection: self._add_key(connection, account_url, thumbprint))

    def note_terms(self, account_url: str, terms: Terms) -> None:
        """Note what the account's CA wants in records."""
        self._change(lambda connection: self._add_terms(connection, account_url, terms))

    def note_replaced(self, values: Mapping[str, Sequence[str]]) -> None:
        """Note which values, by name, have been replaced and are about to be removed."""
        self._change(lambda connection: self._add_replaced(connection, values))

    def set_aside_damaged(self) -> Path | None:
        """Replace a damaged state by an empty one; return where the damaged file is then."""
        if self._database.exists():
            aside = self._database.set_aside(f".damaged-{self._now()}")
            if aside is not None:
                self._mark_incomplete()
                return aside
        try:
            self._take_over()
        except Damaged:
            return self._set_earlier_aside()
        return None

    # How

    def _ask(self, statement: str, *values: object) -> list[Any]:
        self._take_over()
        return self._database.ask(lambda connection: rows(connection, statement, *values), [])

    def _change(self, work: "Callable[[Connection], _T]") -> _T:
        self._take_over()
        return self._write(work)

    def _write(self, work: "Callable[[Connection], _T]") -> _T:
        def step(connection: "Connection", new: bool) -> _T:
            if new and self._began():
                connection.execute("INSERT INTO incomplete VALUES (?)", (self._now(),))
            return work(connection)

        return self._database.change(step)

    def _take_over(self) -> None:
        """Take over what an earlier release keeps or, later, has noted again."""
        if self._database.is_in_memory or not os.path.lexists(self._earlier):
            return
        try:
            self._import()
        except (OSError, Unusable, Damaged, Newer) as error:
            kind: type[Exception] = type(error)
            if isinstance(error, OSError):
                kind = Damaged if isinstance(error, IsADirectoryError) else Unusable
            why = (isinstance(error, OSError) and error.strerror) or error
            raise kind(f"{self._earlier.name}, of an earlier release: {why}") from error

    def _import(self) -> None:
        """Take over ``records.json``, if only in memory."""
        if not self._database.writable():
            self._database.in_memory(self._merge_in_memory)
            return
        # Another process may be first.
        with self._earlier_alone(), contextlib.suppress(FileNotFoundError):
            earlier = read(files.read(self._earlier))
            self._database.change(lambda connection, new: self._merge(connection, earlier, new))
            with contextlib.suppress(OSError):  # next time, it adds nothing
                self._earlier.replace(f"{self._earlier}.imported")

    def _merge_in_memory(self, connection: "Connection") -> None:
        self._merge(connection, read(files.read(self._earlier)), True)

    @contextmanager
    def _earlier_alone(self) -> Iterator[None]:
        """Keep earlier releases from writing during the block."""
        lock_file = self._earlier.with_name("records.lock")
        with opened(lock_file, os.O_RDWR | os.O_CREAT) as descriptor:
            lock(descriptor)
            yield
            with contextlib.suppress(OSError):
                lock_file.unlink()

    def _merge(self, connection: "Connection", earlier: Earlier, new: bool) -> None:
        connection.executemany(
            f"INSERT INTO records ({_RECORD}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
            " ON CONFLICT DO UPDATE SET ttl = excluded.ttl, provider = excluded.provider,"
            " zone = excluded.zone, persist_until = excluded.persist_until,"
            " last_changed = excluded.last_changed"
            " WHERE excluded.last_changed > last_changed",
            [_values(record) for record in earlier.records],
        )
        for url, known in earlier.keys.items():
            for key in known:
                self._add_key(connection, url, key)
        for url, terms in earlier.terms.items():
            self._add_terms(connection, url, terms)
        self._add_replaced(connection, earlier.replaced)
        if new and earlier.incomplete:
            connection.execute("INSERT INTO incomplete VALUES (?)", (self._now(),))

    def _set_earlier_aside(self) -> Path:
        aside = Path(f"{self._earlier}.damaged-{self._now()}")
        try:
            self._earlier.replace(aside)
        except OSError as error:
            raise Unusable(error.strerror or str(error)) from error
        self._mark_incomplete()
        return aside

    def _mark_incomplete(self) -> None:
        def mark(connection: "Connection", new: bool) -> None:
            connection.execute("DELETE FROM incomplete")
            connection.execute("INSERT INTO incomplete VALUES (?)", (self._now(),))

        self._database.change(mark)

    def _apply(self, connection: "Connection", change: Change, now: str, run: str) -> None:
        """Note what stands after ``change``, which ``run`` made."""
        place = (change.name, change.value)
        connection.execute("DELETE FROM replaced WHERE name = ? AND value = ?", place)
        if change.action == "remove":
            # Another service may have it, from which this run removes it next.
            if not rows(
                connection,
                "SELECT 1 FROM intentions WHERE name = ? AND value = ? AND action = 'remove'"
                " AND outcome IS NULL AND run = ?",
                *place,
                run,
            ):
                connection.execute("DELETE FROM records WHERE name = ? AND value = ?", place)
                # What is in doubt is so no more; what somebody is doing is left to them.
                connection.execute(
                    "DELETE FROM intentions WHERE name = ? AND value = ? AND outcome IS NOT NULL",
                    place,
                )
            return
        record = _record(change, now)
        connection.execute(
            f"INSERT INTO records ({_RECORD}, run) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
            " ON CONFLICT DO UPDATE SET ttl = excluded.ttl, provider = excluded.provider,"
            " zone = excluded.zone, server = excluded.server, account_url = excluded.account_url,"
            " domain = excluded.domain, persist_until = excluded.persist_until,"
            " last_changed = excluded.last_changed, doubt = NULL,"
            # What stood for good does so still.
            " run = CASE WHEN run IS NULL THEN NULL ELSE excluded.run END",
            (*_values(record), run if change.temporary else None),
        )

    def _insert(self, connection: "Connection", record: PublishedRecord) -> int:
        return connection.execute(
            f"INSERT OR IGNORE INTO records ({_RECORD})"  # noqa: S608
            " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            _values(record),
        ).rowcount

    def _insert_doubtful(self, connection: "Connection", record: PublishedRecord) -> int:
        place = (record.name, record.value)
        known = "SELECT 1 FROM intentions WHERE name = ? AND value = ? AND action = 'add'"
        if rows(connection, known, *place):
            return 0
        change = Change(
            action="add",
            name=record.name,
            value=record.value,
            ttl=record.ttl,
            provider=record.provider,
            zone=record.zone,
            reason="according to the log",
            server=record.server,
            account_url=record.account_url,
            domain=record.domain,
            persist_until=record.persist_until,
        )
        unknown = "the outcome is unknown"
        self._add_intention(
            connection, secrets.token_hex(8), change, "", unknown, time=record.last_changed
        )
        return 1

    def _add_intention(
        self,
        connection: "Connection",
        identity: str,
        change: Change,
        run: str,
        outcome: str | None,
        *,
        time: str | None = None,
    ) -> None:
        values = [getattr(change, column.strip()) for column in _CHANGE.split(",")]
        connection.execute(
            f"INSERT INTO intentions ({_CHANGE}, id, time, run, outcome)"  # noqa: S608
            f" VALUES ({','.join('?' * (len(values) + 4))})",
            (*values, identity, time or self._now(), run, outcome),
        )

    def _add_key(self, connection: "Connection", account_url: str, thumbprint: str) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO keys VALUES (?, ?, (SELECT coalesce(max(number), 0) + 1"
            " FROM keys WHERE account_url = ?))",
            (account_url, thumbprint, account_url),
        )

    def _add_terms(self, connection: "Connection", account_url: str, terms: Terms) -> None:
        names = json.dumps(terms.issuer_domain_names)
        connection.execute(
            "INSERT OR REPLACE INTO terms VALUES (?, ?, ?, ?)",
            (account_url, names, terms.plain, terms.hash_prefix),
        )

    def _add_replaced(self, connection: "Connection", values: Mapping[str, Sequence[str]]) -> None:
        connection.executemany(
            "INSERT OR IGNORE INTO replaced VALUES (?, ?)",
            [(name, value) for name, gone in values.items() for value in gone],
        )

    def _own_run(self) -> str:
        try:
            return self._run.id
        except OSError as error:
            raise Unusable(error.strerror or str(error)) from error

    def _published(self, where: str, values: Sequence[object]) -> list[PublishedRecord]:
        found = {
            _place(record): record
            for record in (
                dataclasses.replace(_read(row[:-2]), temporary=row[-2] is not None, doubt=row[-1])
                for row in self._ask(
                    f"SELECT {_RECORD}, run, doubt FROM records WHERE {where}"  # noqa: S608
                    " ORDER BY name, value",
                    *values,
                )
            )
        }
        doubtful = self._ask(
            f"SELECT time, outcome, {_CHANGE} FROM intentions WHERE {where}",  # noqa: S608
            *values,
        )
        for time, outcome, *row in doubtful:
            change = _change(row)
            place = (change.name, change.value)
            what = "publication" if change.action == "add" else "removal"
            doubt = f"its {what} began at {time}, and {outcome or 'the outcome is unknown'}"
            if place in found and change.action == "remove":
                found[place] = dataclasses.replace(found[place], doubt=doubt)
            elif change.action == "add":
                found.setdefault(place, _record(change, time, doubt))
        return [found[place] for place in sorted(found)] if doubtful else list(found.values())


def _place(record: PublishedRecord) -> tuple[str, str]:
    return record.name, record.value


def _values(record: PublishedRecord) -> list[object]:
    return [getattr(record, column.strip()) for column in _RECORD.split(",")]


def _read(row: Sequence[Any]) -> PublishedRecord:
    return PublishedRecord(*row)


def _change(row: Sequence[Any]) -> Change:
    change = Change(*row)
    return dataclasses.replace(change, temporary=bool(change.temporary))


def _record(change: Change, time: str, doubt: str | None = None) -> PublishedRecord:
    return PublishedRecord(
        name=change.name,
        value=change.value,
        ttl=change.ttl,
        provider=change.provider,
        zone=change.zone,
        server=change.server,
        account_url=change.account_url,
        domain=change.domain,
        persist_until=change.persist_until,
        first_published=time,
        last_changed=time,
        temporary=change.temporary,
        doubt=doubt,
    )
