"""The inventory that a command is given: what it says of the fleet."""

import argparse
import hashlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from certbot_dns_persist.errors import InventoryAway, InventoryError, UsageError
from certbot_dns_persist.shown import logger_of

if TYPE_CHECKING:
    from certbot_dns_persist.inventory.store import Inventory

logger = logger_of(__name__)


def inventory(args: argparse.Namespace) -> "Inventory | None":
    """Return the inventory of ``--inventory``, open until the command ends.

    Raises :class:`~certbot_dns_persist.errors.Error` if it cannot be used.
    """
    url = getattr(args, "inventory", None)
    if url is None:
        if getattr(args, "fleet", False):
            raise UsageError("--fleet takes everything from an inventory: add --inventory URL.")
        return None
    if not hasattr(args, "opened_inventory"):
        from certbot_dns_persist.inventory.store import opened

        args.opened_inventory = args.at_end.enter_context(opened(url, args.command))
    found: Inventory = args.opened_inventory
    return found


def warn_if_away(args: argparse.Namespace) -> None:
    """Go on without the inventory, with a warning, if it cannot be reached."""
    try:
        inventory(args)
    except InventoryAway as error:
        logger.warning("%s We go on without it: another host may change the same names.", error)
        args.inventory = None


def require(args: argparse.Namespace) -> None:
    """Raise :class:`~certbot_dns_persist.errors.InventoryError` if the inventory cannot be used.

    For commands that remove records, which may be those of other hosts.
    """
    try:
        inventory(args)
    except InventoryError as error:
        raise type(error)(f"{error} Nothing was changed.") from error


def holders(
    args: argparse.Namespace, names: Collection[str] | None = None
) -> Callable[[str, str], Collection[str]]:
    """Return what tells, of a name and a value, which other hosts published that record.

    ``names`` are all that it will be asked for, if they are known. Without an inventory, there are
    no other hosts.
    """
    found = inventory(args)
    if found is None:
        return lambda name, value: ()
    known = found.holders(names)
    return lambda name, value: known.get((name, _digest(value)), ())


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
