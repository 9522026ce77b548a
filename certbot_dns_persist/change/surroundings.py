"""Where the workflow runs: who reads, who waits, and what may stay."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.options import (
    MANUAL_PROPAGATION_SECONDS,
    PROPAGATION_SECONDS,
    Options,
)

if TYPE_CHECKING:
    from certbot_dns_persist.lookup.session import Lookup

#: Shows how requests stand, and for how many seconds more they are waited for.
Show = Callable[[Sequence[Standing], float], None]


def _unwatched() -> AbstractContextManager[Show]:
    return contextlib.nullcontext(lambda standings, left: None)


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where the workflow runs."""

    notify: Callable[[str], None]
    """Shows text to the user, unless quiet was asked for."""

    watch: Callable[[], AbstractContextManager[Show]] = _unwatched
    """Opens a view of what is waited for; it ends with the wait."""

    terminal: bool = False
    """Whether somebody sits at a terminal and may be waited for."""

    dry_run: bool = False
    """Whether nothing of what is published may stay, and nothing that is there may go."""

    subset: bool = False
    """Whether a name that cannot be proven must not stop the others."""


def lookup_of(options: Options, **settings: float) -> "Lookup":
    """Return what looks names up as ``options`` say; ``settings`` are more of its own.

    Where a zone's servers are on this machine, they are asked if the provider's server is, too.
    """
    from certbot_dns_persist.lookup.session import Lookup
    from certbot_dns_persist.providers.credentials import names_this_machine

    return Lookup.of(options, local=partial(names_this_machine, options.credentials), **settings)


def patience(options: Options, *, terminal: bool) -> int:
    """Return for how many seconds a record is waited for; ``terminal`` as of the surroundings."""
    if options.propagation_seconds is not None:
        return options.propagation_seconds
    if options.providers != ("manual",):
        return PROPAGATION_SECONDS
    return MANUAL_PROPAGATION_SECONDS if terminal else 0
