"""The zones of a test, as text: what every zone needs around its records."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.name
import dns.tsig

SHORT = 1
"""The TTL, in seconds, of everything that a test may change, and of negative answers."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A TSIG key that may change a zone."""

    name: str
    secret: str
    """Base64."""
    algorithm: str = "hmac-sha256"

    def for_dnspython(self) -> dns.tsig.Key:
        """Return this key as dnspython takes it."""
        return dns.tsig.Key(dns.name.from_text(self.name), self.secret, self.algorithm)

    def write_credentials(self, path: Path, server: str, port: int) -> Path:
        """Write a file as certbot-dns-rfc2136 takes it, readable by its owner only."""
        path.touch(mode=0o600)
        path.write_text(
            f"dns_rfc2136_server = {server}\n"
            f"dns_rfc2136_port = {port}\n"
            f"dns_rfc2136_name = {self.name}\n"
            f"dns_rfc2136_secret = {self.secret}\n"
            f"dns_rfc2136_algorithm = {self.algorithm.upper()}\n"
        )
        return path


def zone_text(
    origin: str,
    nameservers: Mapping[str, Sequence[str]],
    records: str = "",
    delegations: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    *,
    ttl: int = SHORT,
) -> str:
    """Return a zone file.

    ``nameservers`` maps labels (``ns1``) to addresses: the NS records name ``ns1.<origin>``, and
    its A and AAAA records hold the addresses. ``delegations`` has the same for each child zone,
    by its origin. ``records`` is zone file text, relative to the origin. ``ttl`` is that of all
    records, and of negative answers.
    """
    origin = absolute(origin)
    primary = _host(next(iter(nameservers)), origin)
    lines = [
        f"$ORIGIN {origin}",
        f"$TTL {ttl}",
        f"@ SOA {primary} hostmaster.example. 1 3600 600 86400 {ttl}",
        *_delegation(origin, nameservers),
    ]
    for child, servers in (delegations or {}).items():
        lines += _delegation(absolute(child), servers)
    return "\n".join([*lines, records, ""])


def absolute(name: str) -> str:
    """Return ``name`` with its trailing dot."""
    return name.rstrip(".") + "."


def topmost(origins: Sequence[str]) -> list[str]:
    """Return the zones that are not below another of them."""
    return [name for name in origins if parent(name, origins) is None]


def parent(origin: str, origins: Sequence[str]) -> str | None:
    """Return the closest zone above ``origin``, among ``origins``."""
    above = [name for name in origins if absolute(origin).endswith("." + absolute(name))]
    return max(above, key=len, default=None)


def _delegation(origin: str, nameservers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the NS records of a zone and the addresses of its servers."""
    lines = []
    for label, addresses in nameservers.items():
        host = _host(label, origin)
        lines.append(f"{origin} NS {host}")
        lines += [f"{host} {'AAAA' if ':' in address else 'A'} {address}" for address in addresses]
    return lines


def _host(label: str, origin: str) -> str:
    return f"{label}.{origin}" if origin != "." else f"{label}."
