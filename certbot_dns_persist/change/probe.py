"""Tries out a writer that we do not know, before it touches a name with values of others.

At a name that nobody uses, in the same zone, it adds three values and removes the second, twice. So
it shows whether it keeps one value only, mangles values, writes at another name, or removes all of
them, the first or the last, or others if the value is not there any more. Who passes is noted, and
not tried again until its version changes.

What it adds is noted before, as what a dry run adds: if we are interrupted, the next run removes
it.
"""

import json
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from certbot_dns_persist import files
from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.record import format_time
from certbot_dns_persist.shown import logger_of, printable
from certbot_dns_persist.wait import look_until

logger = logger_of(__name__)

#: How the first label of the names begins that a trial uses.
LABEL = "_dns-persist-trial"

_VERSION = 1


class Trials:
    """The writers that passed, in a small file beside the state."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path

    def passed(self, identity: str) -> str | None:
        """Return in which manner ``identity`` passed its trial; ``None`` if it did not yet."""
        noted = self._read().get(identity)
        manner = noted.get("manner") if isinstance(noted, dict) else None
        return manner if isinstance(manner, str) else None

    def note(self, identity: str, manner: str) -> None:
        """Note that ``identity`` passed; warn if that fails, as it is then tried again."""
        passed = self._read()
        passed[identity] = {"manner": manner, "time": format_time(int(time.time()))}
        text = json.dumps({"version": _VERSION, "passed": passed}, indent=1, sort_keys=True)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.require_private(self._path)
            replace_file(self._path, f"{text}\n".encode(), mode=0o600)
        except OSError as error:
            logger.warning(
                "It could not be noted in %s that %s passed its trial, so it will be tried out "
                "again: %s",
                self._path,
                identity,
                error.strerror,
            )

    def _read(self) -> dict[str, object]:
        try:
            files.require_private(self._path)
            read = json.loads(files.read(self._path))
            passed = read["passed"] if read["version"] == _VERSION else {}
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return {}  # it is tried again
        return passed if isinstance(passed, dict) else {}


def name_beside(name: str, zone: str | None) -> str:
    """Return a name that nobody uses, beside ``name`` and in its zone."""
    parent = name.partition(".")[2]
    if zone is not None and not f".{parent}".endswith(f".{zone}"):
        parent = zone
    return f"{LABEL}-{secrets.token_hex(6)}.{parent}"


def try_out(
    name: str,
    add: Callable[[str], ProviderError | None],
    remove: Callable[[str], ProviderError | None],
    look: Callable[[], Sequence[str] | None],
    seconds: float,
) -> str | None:
    """Try out a writer at ``name``; return what is wrong with it, in words, or ``None``.

    ``add`` and ``remove`` take a value and return why they failed; ``look`` returns the values
    there, ``None`` if that is unknown, and ``seconds`` is how long a change may take to be seen.
    What it adds it removes.
    """
    token = secrets.token_hex(4)
    # As long and with the same characters as ours, but it authorises nobody.
    first, second, third = (
        f"dns-persist-trial.invalid; trial={token}/{number}; of=a value that can be removed"
        for number in (1, 2, 3)
    )
    there: list[str] = []

    def seen(task: str, value: str, expected: Sequence[str], now: Sequence[str] | None) -> str:
        return (
            f'Told to {task} "{value}" at {name}, it should have left there {_listed(expected)}, '
            f"but there was {_listed(now)}."
        )

    def step(change: Callable[[str], ProviderError | None], value: str) -> str | None:
        beside = [each for each in there if each != value]
        expected = [*beside, value] if change is add else beside
        failed = change(value)
        # Also what could not be added, or not be removed, is to be removed at the end.
        there[:] = expected if change is add or failed is None else [*beside, value]
        if failed is None:
            now = look_until(look, lambda now: now is not None and {*now} == {*expected}, seconds)
            if now is not None and {*now} == {*expected}:
                return None
        else:
            now = look()
            if now is None or {*beside} <= {*now}:
                return str(failed)
        return seen("add" if change is add else "remove", value, expected, now)

    def remove_again(value: str) -> str | None:
        remove(value)  # that may fail: there is nothing to remove
        now = look()
        return None if now is None or {*there} <= {*now} else seen("remove", value, there, now)

    steps = [(add, first), (add, second), (add, third), (remove, second)]
    wrong = next((said for change, value in steps if (said := step(change, value))), None)
    wrong = wrong or remove_again(second)
    left = _cleared(remove, look, there, seconds)
    if left:
        wrong = (
            f"{wrong or 'It passed, but what it added could not be removed.'} Please remove the "
            f"TXT record {name} in your DNS service's own interface: {_listed(left)}."
        )
    return wrong


def _cleared(
    remove: Callable[[str], ProviderError | None],
    look: Callable[[], Sequence[str] | None],
    values: Sequence[str],
    seconds: float,
) -> list[str]:
    """Remove ``values`` and whatever else is there; return what stays."""
    for value in values:
        remove(value)
    for _ in range(2):  # who removes another value than it is told needs more than one round
        for value in look() or ():
            remove(value)
    now = look_until(look, lambda now: now == [], seconds)
    return list(values if now is None else now)


def _listed(values: Collection[str] | None) -> str:
    if values is None:
        return "no answer"
    return ", ".join(f'"{printable(value)}"' for value in sorted(values)) or "nothing"
