"""What a look into DNS found: values, without the means by which they were had."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ServerAnswer:
    """What one server said of one name."""

    server: str
    """The server's host name, or its address when it is a resolver."""

    address: str
    values: tuple[str, ...] | None
    """The TXT values, each joined from its strings; ``None`` when it gave no usable answer."""

    trouble: str | None = None
    """Why there is no usable answer: timed out, lame, REFUSED and the like."""

    alias: str | None = None
    """The name for which this server says the asked name is an alias."""

    referral: str | None = None
    """The zone further down to which this server refers."""

    def __str__(self) -> str:
        return self.server if self.server == self.address else f"{self.server} ({self.address})"


@dataclasses.dataclass(frozen=True)
class Found:
    """What stands at one name."""

    name: str
    canonical_name: str
    """The end of the alias chain, ``name`` itself without one: where a record must be put."""

    zone: str | None
    """The zone that holds the canonical name; ``None`` when only resolvers were asked."""

    servers: tuple[ServerAnswer, ...]
    warnings: tuple[str, ...] = ()
    trouble: str | None = None
    """Why nothing can be said of the name at all."""

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
        """Every value that some server serves, each once, in the order of first sight."""
        return list(
            dict.fromkeys(value for server in self.answers for value in server.values or ())
        )


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Everything in DNS that decides whether a CA accepts a record for one domain."""

    domain: str
    found: Found
    """What stands at the validation domain name."""

    bogus: bool
    """Whether a validating resolver rejects the DNSSEC signatures there."""

    caa: tuple[tuple[int, str, str], ...] = ()
    """The CAA records that govern the domain as (flags, tag, value)."""

    caa_trouble: str | None = None
    """Why the CAA records are not known."""
