"""Where the workflow runs: who reads, who waits, and what may stay."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where the workflow runs."""

    notify: Callable[[str], None]
    """Shows text to the user, unless quiet was asked for."""

    terminal: bool = False
    """Whether somebody sits at a terminal and may be waited for."""

    dry_run: bool = False
    """Whether nothing of what is published may stay, and nothing that is there may go."""

    subset: bool = False
    """Whether a name that cannot be proven must not stop the others."""
