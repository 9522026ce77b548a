"""Which of a zone's name servers are asked.

Names and addresses are those that the zone's owner chose, who may be anybody: a look-up must not
send packets without end, to whomever a stranger names, or into a network that is not theirs.
"""

import dataclasses
import ipaddress
from collections.abc import Callable, Sequence
from itertools import zip_longest

from certbot_dns_persist.lookup.found import Address

#: Name servers of a zone. Few zones have more than the 13 that fit into one plain answer.
MAX_SERVERS = 20
#: Addresses of all of them together: each is asked for every name of the zone.
MAX_ADDRESSES = 20

# Servers that a message names; it says how many more there are.
_SHOWN = 3

# Where a DNS64 resolver puts IPv4 addresses (RFC 6052 section 2.1).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclasses.dataclass(frozen=True)
class Host:
    """A name server of a zone."""

    name: str
    addresses: tuple[Address, ...]
    trouble: str = ""
    """Why its addresses are unknown."""


@dataclasses.dataclass(frozen=True)
class Reach:
    """What is asked besides public addresses."""

    private: bool
    """Whether private ones are, as in a network whose resolvers are private."""
    loopback: Callable[[], bool]
    """Whether those of this machine are."""

    def refusal(self, host: str) -> str | None:
        """Return why no name server is asked at the address ``host``; ``None`` if one may be."""
        address = _parse(host)
        if address.is_loopback:
            return None if self.loopback() else "is this machine"
        if address.is_multicast or address.is_unspecified or address.is_reserved:
            return "is not unicast"
        if address.is_link_local:
            return "is link-local"
        return None if self.private or address.is_global else "is private"


def is_private(host: str) -> bool:
    """Whether the address ``host`` is of this machine or of a network that is not public."""
    return not _parse(host).is_global


def is_loopback(host: str) -> bool:
    """Whether the address ``host`` is of this machine."""
    return _parse(host).is_loopback


def _parse(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address


def choose(
    zone: str, hosts: Sequence[Host], surplus: Sequence[str], reach: Reach
) -> tuple[tuple[Host, ...], str | None]:
    """Return those of ``hosts`` and of their addresses to ask, and a sentence on what is left out.

    Every server keeps an address before one keeps a second. ``surplus`` are the names of further
    servers, of which there are too many.
    """
    left_out: list[str] = []
    allowed: list[list[tuple[str, Address]]] = []
    for host in hosts:
        allowed.append([])
        for address in host.addresses:
            why = reach.refusal(address.host)
            if why is None:
                allowed[-1].append((host.name, address))
            else:
                left_out.append(f"{host.name} ({address.host} {why})")
    turns = [pair for turn in zip_longest(*allowed) for pair in turn if pair is not None]
    beyond = f"beyond the first {MAX_ADDRESSES} addresses"
    left_out += [f"{name} ({each.host} is {beyond})" for name, each in turns[MAX_ADDRESSES:]]
    left_out += [f"{name} (beyond the first {MAX_SERVERS} servers)" for name in surplus]
    kept = set(turns[:MAX_ADDRESSES])
    chosen = []
    for host in hosts:
        addresses = tuple(each for each in host.addresses if (host.name, each) in kept)
        if addresses or not host.addresses:
            chosen.append(dataclasses.replace(host, addresses=addresses))
    if not left_out:
        return tuple(chosen), None
    shown = ", ".join(left_out[:_SHOWN])
    if len(left_out) > _SHOWN:
        shown += f" and {len(left_out) - _SHOWN} more"
    return tuple(chosen), f"Of the name servers of {zone}, these are not asked: {shown}."
