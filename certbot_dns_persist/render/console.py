"""A terminal to draw on, with rich."""

import sys
from typing import TYPE_CHECKING

from certbot_dns_persist.shown import ShownStream

if TYPE_CHECKING:
    from rich.console import Console


def console(*, stderr: bool = False) -> "Console":
    """Return a console on a standard stream that takes no text for markup.

    What others wrote is to be made :func:`~certbot_dns_persist.shown.printable` before.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, ShownStream):
        stream = stream.stream  # rich moves the cursor and sets colours
    return Console(file=stream, markup=False, emoji=False, highlight=False)
