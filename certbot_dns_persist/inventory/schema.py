"""The tables of the inventory: numbered migrations, and which of them a database has."""

import importlib.resources
import re
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.errors import InventoryError
from certbot_dns_persist.inventory.connection import Session

if TYPE_CHECKING:
    from psycopg import Cursor

_FILE = re.compile(r"(\d{4})-.+\.sql")

#: The first half of the number of our advisory locks: "dnsp" in ASCII.
LOCK_CLASS = 0x646E7370
#: Held while migrations are applied; names have no negative numbers.
_LOCK = (LOCK_CLASS, -1)


def migrations() -> dict[int, str]:
    """Return the migrations of this release by number, in their order."""
    place = importlib.resources.files(__package__) / "migrations"
    found = {
        int(match[1]): each.read_text(encoding="utf-8")
        for each in place.iterdir()
        if (match := _FILE.fullmatch(each.name))
    }
    return dict(sorted(found.items()))


def migrate(session: Session) -> list[int]:
    """Apply the migrations that the database lacks, all or none; return their numbers.

    Raises :class:`~certbot_dns_persist.errors.InventoryError`.
    """
    with session.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _LOCK)
        version = _version(cursor) if _exists(cursor) else 0
        wanted = migrations()
        _refuse_newer(version, wanted)
        lacking = [number for number in wanted if number > version]
        for number in lacking:
            cursor.execute(wanted[number].encode())
            cursor.execute(
                "INSERT INTO dns_persist.schema_version (version) VALUES (%s)", (number,)
            )
        return lacking


def require_current(cursor: "Cursor[Any]") -> None:
    """Raise :class:`~certbot_dns_persist.errors.InventoryError` unless this release fits."""
    version, wanted = _version(cursor), migrations()
    _refuse_newer(version, wanted)
    if version < max(wanted):
        raise InventoryError(
            f"The inventory has the version {version}, and this release needs {max(wanted)}. "
            "Whoever owns the database updates it with: certbot-dns-persist inventory init URL."
        )


def _refuse_newer(version: int, wanted: dict[int, str]) -> None:
    if version > max(wanted):
        raise InventoryError(
            f"The inventory has the version {version}, and this release knows {max(wanted)} at "
            "most. Update certbot-dns-persist."
        )


def _version(cursor: "Cursor[Any]") -> int:
    cursor.execute("SELECT coalesce(max(version), 0) FROM dns_persist.schema_version")
    (version,) = cursor.fetchone() or (0,)
    return int(version)


def _exists(cursor: "Cursor[Any]") -> bool:
    cursor.execute("SELECT to_regclass('dns_persist.schema_version') IS NOT NULL")
    (exists,) = cursor.fetchone() or (False,)
    return bool(exists)
