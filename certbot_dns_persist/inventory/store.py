"""The inventory as the commands use it: what hosts push, and what is asked of all of them.

Who may see or change what, the database decides: by the role that logs in.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from certbot_dns_persist.errors import InventoryError
from certbot_dns_persist.inventory.connection import Session, session
from certbot_dns_persist.inventory.holding import (
    ANOTHER,
    Event,
    FleetAccount,
    HeldAccount,
    HeldCertificate,
    HeldRecord,
    Holding,
    Host,
)
from certbot_dns_persist.inventory.locks import FleetLocks
from certbot_dns_persist.inventory.schema import require_current

if TYPE_CHECKING:
    from psycopg import Cursor

_Held = TypeVar("_Held")

#: Each table of a host's: what it has, the columns beside the host, and which of them are the key.
_TABLES: Mapping[Any, tuple[str, tuple[str, ...]]] = {
    HeldAccount: ("account", ("url",)),
    HeldRecord: ("record", ("name", "value")),
    HeldCertificate: ("certificate", ("name",)),
}

_TYPES = {
    "domains": "text[]",
    "first_published": "timestamptz",
    "former": "boolean",
    "issuer_domain_names": "text[]",
    "last_changed": "timestamptz",
    "not_after": "timestamptz",
    "persist_until": "bigint",
    "thumbprints": "text[]",
    "uris": "text[]",
}

#: How a column is read, if it is a time.
_TIME = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


class Inventory:
    """One inventory, in one session."""

    def __init__(self, opened: Session) -> None:
        self._session = opened

    @property
    def user(self) -> str:
        """The role that we are."""
        return self._session.user

    @cached_property
    def locks(self) -> FleetLocks:
        """The locks that keep other hosts from changing the same names."""
        return FleetLocks(self._session)

    @contextlib.contextmanager
    def _transaction(self, *, reading: bool) -> Iterator["Cursor[Any]"]:
        with self._session.transaction(reading=reading) as cursor:
            require_current(cursor)
            yield cursor

    # What a host writes

    def push(self, hostname: str, holding: Holding, keep: Collection[str] = ()) -> None:
        """Make what the inventory has of this host what it has now.

        ``keep`` are the tables from which nothing is removed, as not all was readable.
        """
        with self._transaction(reading=False) as cursor:
            cursor.execute(
                "INSERT INTO dns_persist.host (hostname) VALUES (%s) ON CONFLICT (name)"
                " DO UPDATE SET hostname = EXCLUDED.hostname, pushed_at = now()",
                (hostname,),
            )
            _replace(cursor, HeldAccount, holding.accounts, keep)
            _replace(cursor, HeldRecord, holding.records, keep)
            _replace(cursor, HeldCertificate, holding.certificates, keep)

    # What is asked

    def hosts(self) -> list[Host]:
        """Return the hosts that we may see, sorted by name."""
        counts = ", ".join(
            f"(SELECT count(*) FROM dns_persist.{table} t WHERE t.host = h.name)"  # noqa: S608
            for table, _ in _TABLES.values()
        )
        next_end = "(SELECT min(not_after) FROM dns_persist.certificate t WHERE t.host = h.name)"
        with self._transaction(reading=True) as cursor:
            cursor.execute(
                f"SELECT name, hostname, {_TIME.format('pushed_at')}, {counts},"  # noqa: S608
                f" {_TIME.format(next_end)} FROM dns_persist.host h ORDER BY name"
            )
            return [Host(*row) for row in cursor]

    def holding(self, host: str) -> tuple[Holding, list[Event]] | None:
        """Return what a host has and its history; ``None`` if we see no such host."""
        with self._transaction(reading=True) as cursor:
            cursor.execute("SELECT FROM dns_persist.host WHERE name = %s", (host,))
            if cursor.fetchone() is None:
                return None
            found = Holding(
                _read(cursor, HeldAccount, "WHERE host = %s", host),
                _read(cursor, HeldRecord, "WHERE host = %s", host),
                _read(cursor, HeldCertificate, "WHERE host = %s", host),
            )
            cursor.execute("SELECT has_table_privilege('dns_persist.history', 'SELECT')")
            (may,) = cursor.fetchone() or (False,)
            return found, _events(cursor, host) if may else []

    def accounts(self) -> list[FleetAccount]:
        """Return the accounts of all hosts, sorted."""
        with self._transaction(reading=True) as cursor:
            cursor.execute(
                "SELECT url, thumbprints, uris, former, host FROM dns_persist.fleet_account"
                " ORDER BY url, host"
            )
            return [
                FleetAccount(url, tuple(thumbprints), tuple(uris), bool(former), host or ANOTHER)
                for url, thumbprints, uris, former, host in cursor
            ]

    def holders(self, names: Collection[str] | None = None) -> dict[tuple[str, bytes], list[str]]:
        """Return which other hosts have a record, by name and SHA-256 of the value.

        Of all names, or of ``names``.
        """
        where, values = ("", ()) if names is None else ("AND name = ANY(%s)", (list(names),))
        found: dict[tuple[str, bytes], list[str]] = {}
        with self._transaction(reading=True) as cursor:
            cursor.execute(
                "SELECT name, value_hash, host FROM dns_persist.fleet_record"  # noqa: S608
                f" WHERE NOT mine {where} ORDER BY name, value_hash, host",
                values,
            )
            for name, digest, host in cursor:
                found.setdefault((name, bytes(digest)), []).append(host or ANOTHER)
        return found

    def fleet(self, host: str | None = None) -> Holding:
        """Return what all hosts have, or one.

        Raises :class:`~certbot_dns_persist.errors.InventoryError` if we may not see all of it.
        """
        with self._transaction(reading=True) as cursor:
            cursor.execute("SELECT dns_persist.sees_all()")
            if cursor.fetchone() != (True,) and host != self.user:
                raise InventoryError(
                    f"The role {self.user} sees only its own part of the inventory. What other "
                    "hosts have, a member of dns_persist_auditor or dns_persist_admin sees."
                )
            where, values = ("", ()) if host is None else ("WHERE host = %s", (host,))
            return Holding(
                _read(cursor, HeldAccount, where, *values),
                _read(cursor, HeldRecord, where, *values),
                _read(cursor, HeldCertificate, where, *values),
            )

    # What an administrator does

    def forget(self, host: str) -> bool:
        """Remove a host and all that it has; return whether there was one."""
        with self._transaction(reading=False) as cursor:
            cursor.execute("DELETE FROM dns_persist.host WHERE name = %s", (host,))
            return cursor.rowcount > 0

    def require_admin(self) -> None:
        """Raise :class:`~certbot_dns_persist.errors.InventoryError` if we may not revoke."""
        with self._transaction(reading=True) as cursor:
            cursor.execute("SELECT pg_has_role(session_user, 'dns_persist_admin', 'USAGE')")
            if cursor.fetchone() != (True,):
                raise InventoryError(
                    f"The role {self.user} may not revoke what other hosts have. A member of "
                    "dns_persist_admin may."
                )

    def revoked(self, host: str, records: Collection[tuple[str, str]]) -> None:
        """Remove records of a host that are no longer in DNS, given as name and value."""
        with self._transaction(reading=False) as cursor:
            cursor.executemany(
                "DELETE FROM dns_persist.record WHERE host = %s AND name = %s AND value = %s",
                [(host, name, value) for name, value in records],
            )


@contextlib.contextmanager
def opened(url: str, purpose: str) -> Iterator[Inventory]:
    """Hold an inventory; raises :class:`~certbot_dns_persist.errors.InventoryError`."""
    with session(url, purpose) as connected:
        yield Inventory(connected)


def _columns(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _replace(
    cursor: "Cursor[Any]", kind: type[_Held], held: Sequence[_Held], keep: Collection[str]
) -> None:
    """Change only what differs, so that the history has only that."""
    columns, (table, key) = _columns(kind), _TABLES[kind]
    typed = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in columns)
    pushed = f"jsonb_to_recordset(%s::jsonb) AS pushed ({typed})"
    rows = json.dumps([{name: getattr(each, name) for name in columns} for each in held])
    same = " AND ".join(f"pushed.{name} = there.{name}" for name in key)
    if table not in keep:
        cursor.execute(
            f"DELETE FROM dns_persist.{table} there WHERE host = session_user"  # noqa: S608
            f" AND NOT EXISTS (SELECT FROM {pushed} WHERE {same})",
            (rows,),
        )
    names = ", ".join(columns)
    unique = ", ".join("value_hash" if name == "value" else name for name in key)
    old = ", ".join(f"there.{name}" for name in columns)
    new = ", ".join(f"EXCLUDED.{name}" for name in columns)
    cursor.execute(
        f"INSERT INTO dns_persist.{table} AS there ({names}) SELECT {names} FROM {pushed}"  # noqa: S608
        f" ON CONFLICT (host, {unique}) DO UPDATE SET ({names}) = ROW({new})"
        f" WHERE ({old}) IS DISTINCT FROM ({new})",
        (rows,),
    )


def _read(cursor: "Cursor[Any]", kind: type[_Held], where: str, *values: str) -> list[_Held]:
    table, key = _TABLES[kind]
    columns = ", ".join(
        _TIME.format(name) if _TYPES.get(name) == "timestamptz" else name for name in _columns(kind)
    )
    order = ", ".join(["host", *key])
    cursor.execute(f"SELECT {columns} FROM dns_persist.{table} {where} ORDER BY {order}", values)  # noqa: S608
    made: Callable[..., _Held] = kind
    return [made(*(tuple(x) if isinstance(x, list) else x for x in row)) for row in cursor]


def _events(cursor: "Cursor[Any]", host: str) -> list[Event]:
    at, what = _TIME.format("at"), "coalesce(after, before)"
    cursor.execute(
        f"SELECT {at}, who, host(address), program, kind, action,"  # noqa: S608
        f" coalesce({what} ->> 'url', {what} ->> 'name', '') FROM dns_persist.history"
        " WHERE host = %s ORDER BY number DESC LIMIT 1000",
        (host,),
    )
    return [Event(*row) for row in cursor]
