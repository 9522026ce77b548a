"""DNS as the CA sees it: through the one resolver that it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from .problem import Problem

_TIMEOUT = 5.0
_CHAIN_LIMIT = 10


@dataclass(frozen=True)
class Answer:
    """The record set at the end of the chain; ``ttl`` is the smallest on the way to it."""

    records: tuple[Any, ...]
    ttl: int


def txt(dns_server: tuple[str, int], name: str) -> tuple[tuple[bytes, ...], int]:
    """The joined strings of each TXT record at a name, and their TTL; raises Problem ``dns``."""
    answer = _lookup(dns_server, name, "TXT")
    return tuple(b"".join(record.strings) for record in answer.records), answer.ttl


def caa(dns_server: tuple[str, int], name: str) -> tuple[tuple[int, str, bytes], ...]:
    """Flags, tag and value of each CAA record at a name; raises Problem ``dns``."""
    answer = _lookup(dns_server, name, "CAA")
    return tuple(
        (record.flags, record.tag.decode("ascii", "replace"), record.value)
        for record in answer.records
    )


def _lookup(dns_server: tuple[str, int], name: str, rdtype: str) -> Answer:
    """Follows CNAMEs: a resolver does that, but in tests an authoritative server may stand in for
    one, and answers with no more of the chain than it holds."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [dns_server[0]]
    resolver.port = dns_server[1]
    resolver.lifetime = _TIMEOUT
    resolver.timeout = _TIMEOUT / 2
    resolver.use_edns(0, 0, 1232)
    ttl = 2**31 - 1
    target = dns.name.from_text(name)
    for _ in range(_CHAIN_LIMIT):
        try:
            answer = resolver.resolve(target, rdtype, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return Answer((), 0)
        except dns.exception.DNSException as error:  # SERVFAIL, which bogus DNSSEC gives, timeouts
            raise Problem("dns", f"looking up {rdtype} of {target}: {error}") from error
        for rrset in answer.response.answer:
            if rrset.rdtype in (answer.rdtype, dns.rdatatype.CNAME):
                ttl = min(ttl, rrset.ttl)
        if answer.rrset is not None:
            return Answer(tuple(answer.rrset), ttl)
        if answer.canonical_name == target:
            return Answer((), 0)
        target = answer.canonical_name
    raise Problem("dns", f"looking up {rdtype} of {name}: more than {_CHAIN_LIMIT} aliases")
