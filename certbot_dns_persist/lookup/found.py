"""What a look-up is given and returns: values, without the code that finds them."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: Messages per second to each server, retransmissions included.
QUERIES_PER_SECOND = 1000.0


class Address(NamedTuple):
    """Where a DNS server listens."""

    host: str
    port: int = 53

    def __str__(self) -> str:
        if self.port == 53:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Around(enum.Enum):
    """What to find out of the wildcards around a record that stands."""

    NOTHING = enum.auto()
    FEW = enum.auto()
    """What takes no question for an ordinary name that its siblings have not asked already."""
    ALL = enum.auto()


@dataclasses.dataclass(frozen=True)
class ServerAnswer:
    """What one server says about one name."""

    server: str
    """The server's host name, or its address if it is a resolver."""

    address: str
    values: tuple[str, ...] | None
    """The TXT values, each joined from its strings; ``None`` if it gave no usable answer."""

    trouble: str | None = None
    """Why there is no usable answer: timed out, lame, REFUSED and the like."""

    alias: str | None = None
    """The name that the requested name is an alias for, according to this server."""

    referral: str | None = None
    """The zone below to which this server refers."""

    ttl: int = dataclasses.field(default=0, compare=False)
    """Seconds for which caches keep the values; from a resolver, what is left of that."""

    def __str__(self) -> str:
        return self.server if self.server == self.address else f"{self.server} ({self.address})"


@dataclasses.dataclass(frozen=True)
class Found:
    """What DNS holds at one name."""

    name: str
    canonical_name: str
    """The end of the alias chain, or ``name`` itself: where a record must be published."""

    zone: str | None
    """The zone that holds the canonical name; ``None`` if only resolvers were asked."""

    servers: tuple[ServerAnswer, ...]
    warnings: tuple[str, ...] = ()
    trouble: str | None = None
    """Why the name cannot be looked up at all."""

    synthesized: bool = False
    """Whether a wildcard answers, so that nothing is at the canonical name itself."""

    negative_ttl: int = 0
    """Seconds for which the resolvers that were asked may keep saying that nothing is there."""

    @property
    def answers(self) -> list[ServerAnswer]:
        """The servers that gave a usable answer."""
        return [server for server in self.servers if server.values is not None]

    @property
    def silent(self) -> list[ServerAnswer]:
        """The servers that gave none."""
        return [server for server in self.servers if server.values is None]

    @property
    def values(self) -> list[str]:
        """Every value that some server serves, each once, in the order first seen."""
        return list(
            dict.fromkeys(value for server in self.answers for value in server.values or ())
        )

    @property
    def own_values(self) -> list[str]:
        """Those of them that are at the canonical name itself."""
        return [] if self.synthesized else self.values


class ZoneRecord(NamedTuple):
    """A record, as a zone file has it (RFC 1035 section 5.1)."""

    rdtype: str
    data: str

    def line(self, owner: str) -> str:
        """Return the record as a line of a zone file, with the zone's default TTL."""
        return f"{owner}. IN {self.rdtype} {self.data}"


@dataclasses.dataclass(frozen=True)
class Level:
    """A name, and what servers answer for names around it that do not exist."""

    name: str
    beside: tuple[ZoneRecord, ...]
    """The records of a random name with the same parent."""

    own: tuple[ZoneRecord, ...] = ()
    """Those of the name itself; they are asked for only if there are some ``beside``."""

    below: tuple[ZoneRecord, ...] = ()
    """Those of a random name below it; likewise."""

    own_wildcard: bool = False
    """Whether a wildcard right below the name proves that the name exists."""

    @property
    def by_wildcard(self) -> bool:
        """Whether a wildcard answers for the name: it does not exist (RFC 4592 section 2.2.2).

        A name that exists hides all names below it from the wildcard; otherwise the answers are
        alike. The values may differ: services rotate them.
        """
        answers = (self.beside, self.own, self.below)
        return (
            bool(self.beside)
            and not self.own_wildcard
            and len({frozenset(record.rdtype for record in each) for each in answers}) == 1
        )


@dataclasses.dataclass(frozen=True)
class Neighbourhood:
    """What is around a record, before or after it is published."""

    name: str
    """The validation domain name."""

    place: str
    """Where the record must be published: the end of the chain of explicit aliases.

    An alias from a wildcard was not made to prove domains elsewhere, and a record at the name
    itself overrides it."""

    zone: str | None = None
    """The zone that holds the place, if it is known."""

    synthesized: bool = False
    """Whether a wildcard answers for the place now."""

    levels: tuple[Level, ...] = ()
    """Names above the place, the longest first, as far up as the record may matter."""

    trouble: str | None = None
    """Why the levels cannot be determined."""


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Everything in DNS that decides whether a CA accepts a record for one domain."""

    domain: str
    found: Found
    """What DNS holds at the validation domain name."""

    bogus: bool
    """Whether a validating resolver rejects the DNSSEC signatures there."""

    caa: tuple[tuple[int, str, str], ...] = ()
    """The CAA records that govern the domain as (flags, tag, value)."""

    caa_trouble: str | None = None
    """Why the CAA records are unknown."""

    elsewhere: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """The TXT values at names where records are put by mistake, where that was asked for."""

    neighbourhood: Neighbourhood | None = None
    """What is around the record, if there is one and this was requested."""
