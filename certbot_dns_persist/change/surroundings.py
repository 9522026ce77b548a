"""How the workflow runs: who reads its output, how long it waits, and what may stay in DNS."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from certbot_dns_persist.change import words
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.options import (
    MANUAL_PROPAGATION_SECONDS,
    PROPAGATION_SECONDS,
    Options,
)
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.shown import logger_of
from certbot_dns_persist.wait import LONGEST_PAUSE

if TYPE_CHECKING:
    from certbot_dns_persist.lookup.session import Lookup

logger = logger_of(__name__)

#: Shows how requests stand, and for how many seconds more they are waited for.
Show = Callable[[Sequence[Standing], float], None]


def _unwatched() -> AbstractContextManager[Show]:
    return contextlib.nullcontext(lambda standings, left: None)


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """How the workflow runs."""

    notify: Callable[[str], None]
    """Shows text to the user, unless the output is quiet."""

    watch: Callable[[], AbstractContextManager[Show]] = _unwatched
    """Opens a view of the requests that the workflow waits for; it closes with the wait."""

    terminal: bool = False
    """Whether a user is at a terminal, so that the workflow may wait for them."""

    dry_run: bool = False
    """Whether all that is published must be removed again, and nothing else removed."""

    renewals: Callable[[Sequence[ValidationRequest]], Sequence[ValidationRequest]] = lambda _: ()
    """Returns what Certbot's files say is needed to renew certificates with the same names."""

    ca_decides: bool = False
    """Whether a CA is asked next, which may accept what other CAs refuse."""

    subset: bool = False
    """Whether the others go on if one name cannot be proven."""

    shorten: bool = False
    """Whether the user asks now for the expiry date in the options, as not in a renewal."""

    renewal: int | None = None
    """When Certbot will probably renew the certificate (UNIX seconds), if there will be one."""


def lookup_of(options: Options, **settings: float) -> "Lookup":
    """Return what looks names up as ``options`` say; ``settings`` are more of its own.

    Where a zone's servers are on this machine, they are asked if the provider's server is, too.
    """
    from certbot_dns_persist.lookup.session import Lookup
    from certbot_dns_persist.providers.credentials import names_this_machine

    return Lookup.of(options, local=partial(names_this_machine, options.credentials), **settings)


def patience(options: Options, *, terminal: bool) -> int:
    """Return for how many seconds to wait for a record; ``terminal`` as in Surroundings."""
    if options.propagation_seconds is not None:
        return options.propagation_seconds
    if options.providers != ("manual",):
        return PROPAGATION_SECONDS
    return MANUAL_PROPAGATION_SECONDS if terminal else 0


def denied_for(before: Iterable[Found], seconds: int) -> int:
    """Return for how many seconds resolvers may say that what was published is not there.

    ``before`` is what was found before that. To ask them sooner is of no use, and another one might
    begin to remember the same. This warns of it, as the wait takes ``seconds`` at most.
    """
    ttl = max((found.negative_ttl for found in before), default=0)
    if ttl <= LONGEST_PAUSE:
        return 0
    logger.warning(words.remembered(ttl, seconds))
    return ttl
