"""Locks of names among all hosts that are given the same inventory.

They are advisory locks of a session: they end with it, however that ends. A pooler that gives each
transaction another session would take them away, so we refuse to work through one.
"""

import contextlib
from collections.abc import Iterator, Mapping

from certbot_dns_persist.errors import Busy, CannotLock, InventoryBusy, InventoryError
from certbot_dns_persist.inventory.connection import Session
from certbot_dns_persist.inventory.schema import LOCK_CLASS
from certbot_dns_persist.shown import logger_of, printable

logger = logger_of(__name__)

_WHO = """
SELECT usename, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted
"""


class FleetLocks:
    """The locks that one session holds."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._direct = False

    @contextlib.contextmanager
    def hold(self, names: Mapping[int, str], seconds: float) -> Iterator[None]:
        """Hold the locks with these numbers; wait for other hosts, each at most ``seconds``.

        ``names`` says for which name each is. Raises :class:`~certbot_dns_persist.errors.Busy` or
        :class:`~certbot_dns_persist.errors.CannotLock`.
        """
        with contextlib.ExitStack() as held:
            for number, name in sorted(names.items()):
                self._take(number, name, seconds)
                held.callback(self._give_back, number, name)
            yield

    def _take(self, number: int, name: str, seconds: float) -> None:
        try:
            self._require_direct()
            with self._session.transaction(seconds=seconds + 1) as cursor:
                wait = f"{max(int(seconds * 1000), 1)}ms"
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", (wait,))
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, number))
        except InventoryBusy as error:
            raise Busy(
                f"{name} is being changed by {self._holder(number)}, and has been for more than "
                f"{seconds:.0f} seconds. Run the same command again when that has ended; if it "
                "hangs, end it first."
            ) from error
        except InventoryError as error:
            raise CannotLock(
                f"{error} So another host may change the same records at the same time."
            ) from error

    def _give_back(self, number: int, name: str) -> None:
        try:
            with self._session.transaction() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_CLASS, number))
        except InventoryError as error:
            logger.warning("%s Another host may have changed %s at the same time.", error, name)

    def _require_direct(self) -> None:
        if not self._direct and self._session.is_pooled:
            raise CannotLock(
                "Between here and PostgreSQL is a connection pooler, which may take the locks of a "
                "session away, so another host may change the same records at the same time. Give "
                "the address of PostgreSQL itself."
            )
        self._direct = True

    def _holder(self, number: int) -> str:
        with contextlib.suppress(InventoryError), self._session.transaction() as cursor:
            cursor.execute(_WHO, (LOCK_CLASS, number))
            for role, program in cursor:
                return printable(f"{role} ({program})")
        return "another host"
