"""Where zones are and who serves them, as resolvers tell; each fact is asked for once.

Thousands of names often lie in few zones. Where one name is found in a zone, its siblings most
likely are, too: they are asked for at that zone's servers without asking a resolver for the zone
of each. It is a guess that the servers' answers prove or refute, see :mod:`.lookup`.
"""

import dataclasses
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import dns.exception
import dns.name
import dns.rcode
import dns.rdatatype

from certbot_dns_persist.lookup.message import Answer, Question
from certbot_dns_persist.lookup.promise import Promise, Unanswered
from certbot_dns_persist.lookup.transport import Address, Transport
from certbot_dns_persist.value.txt import from_octets

#: Facts that names may share, of each kind; the oldest are forgotten.
MAX_FACTS = 4000
#: Names below another one that were found in zones of their own; then no sibling waits for one.
ENOUGH_ALONE = 3

# A name of two labels and the root: names with fewer are those of registries.
_DOMAIN = 3

# Without escapes and letters that IDNA encodes, the labels are what stands between the dots.
_is_plain = re.compile(rb"(?!.{254})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*").fullmatch

_T = TypeVar("_T")


class Bogus(Unanswered):
    """A validating resolver rejects the DNSSEC signatures of what was asked for."""


class NoServers(Unanswered):
    """No zone begins at a name, as far as resolvers know."""


@dataclasses.dataclass(frozen=True)
class Host:
    """A name server of a zone."""

    name: str
    addresses: tuple[Address, ...]
    trouble: str = ""
    """Why its addresses are unknown."""


@dataclasses.dataclass(frozen=True)
class Zone:
    """A zone and its servers."""

    apex: dns.name.Name
    name: str
    """The apex as text."""
    hosts: tuple[Host, ...]
    validator: Address | None
    """A resolver that vouches for the zone's signatures (RFC 4035 section 3.2.3)."""
    bogus: bool
    """Whether some resolver rejects them."""


@dataclasses.dataclass
class Ancestor:
    """What the names below a name have shown of it, for the sake of those to come."""

    apex: bool = False
    """Whether a zone begins here."""
    held: int = 0
    """Names that were found in that zone."""
    delegated: int = 0
    """Names that were found in a zone further down."""
    alone: int = 0
    """Names whose zone was no help to others."""
    scout: Promise[None] | None = None
    """The first name's search for its zone, under way."""

    @property
    def trusted(self) -> bool:
        """Whether to look for further names in the zone; not where most are delegated."""
        return self.apex and self.held > self.delegated


class Facts:
    """What several names want to know and is asked for once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._facts: dict[str, OrderedDict[object, Promise[Any]]] = {}

    def once(
        self, kind: str, key: object, find: Callable[[], Coroutine[Any, Any, _T]]
    ) -> Promise[_T]:
        """Return what ``find`` finds, however many names want it."""
        known = self._facts.setdefault(kind, OrderedDict())
        fact = known.get(key)
        if fact is None:
            fact = known[key] = self._transport.start(find())
            if len(known) > MAX_FACTS:
                known.popitem(last=False)
        return fact


class Resolvers:
    """Recursive resolvers, asked one after the other."""

    def __init__(self, transport: Transport, facts: Facts, addresses: Sequence[Address]) -> None:
        self.addresses = addresses
        self._transport = transport
        self._facts = facts

    async def ask(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[Answer, Address, bool]:
        """Return the first usable answer, whose it is, and whether another resolver rejects it.

        Raises :class:`Bogus` when that is why there is none.
        """
        troubles, rejected = [], False
        for resolver in self.addresses:
            try:
                question = Question(name.labels, kind, recursive=True)
                answer = await self._transport.ask(question, resolver)
            except Unanswered as error:
                troubles.append(f"{resolver} {error}")
                continue
            if answer.usable:
                return answer, resolver, rejected
            if await self.rejects(name, kind, resolver, answer):
                rejected = True
                troubles.append(f"{resolver} finds that its DNSSEC signatures do not verify")
            else:
                troubles.append(f"{resolver} answers {answer.rcode_text}")
        raise (Bogus if rejected else Unanswered)(
            f"{dns.rdatatype.to_text(kind)} of {to_text(name.labels)} cannot be resolved: "
            + "; ".join(troubles)
        )

    async def rejects(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, resolver: Address, answer: Answer
    ) -> bool:
        """Whether ``answer`` is SERVFAIL for its signatures: without checking there is one."""
        if answer.rcode != dns.rcode.SERVFAIL:
            return False
        question = Question(name.labels, kind, recursive=True, checking_disabled=True)
        try:
            return (await self._transport.ask(question, resolver)).usable
        except Unanswered:
            return False

    def caa(self, domain: dns.name.Name) -> Promise[tuple[tuple[int, str, str], ...]]:
        """Return the CAA records that govern ``domain`` (RFC 8659 section 3)."""
        return self._facts.once("CAA", domain.labels, lambda: self._find_caa(domain))

    async def _find_caa(self, domain: dns.name.Name) -> tuple[tuple[int, str, str], ...]:
        answer, _, _ = await self.ask(domain, dns.rdatatype.CAA)
        end = end_of_chain(answer, domain)
        records = tuple(
            (data.flags, data.tag.decode("ascii"), from_octets(data.value))
            for data in of_type(answer, end, dns.rdatatype.CAA)
        )
        if records or len(domain.labels) <= 2:
            return records
        return await self.caa(domain.parent())


class Zones:
    """Finds the zones of names."""

    def __init__(self, transport: Transport, facts: Facts, resolvers: Resolvers, port: int) -> None:
        self._transport = transport
        self._facts = facts
        self._resolvers = resolvers
        self._port = port
        self._ancestors: OrderedDict[tuple[bytes, ...], Ancestor] = OrderedDict()

    async def locate(self, name: tuple[bytes, ...]) -> tuple[Zone, Ancestor | None]:
        """Return the zone that the labels of a name are in and, if guessed, what that rests on.

        No resolver is asked for the name itself: it would remember that there is nothing, and
        so might the CA, which may use the same one, after the record is there.
        """
        labels = name[1:]
        while True:
            scout = None
            for start in range(len(labels) - _DOMAIN + 1):
                ancestor = self._ancestors.get(labels[start:])
                if ancestor is None:
                    continue
                if ancestor.apex and start == 0:
                    return await self.at(labels), None
                if ancestor.trusted:
                    return await self.at(labels[start:]), ancestor
                scout = ancestor.scout
                if scout is not None:
                    break
            if scout is None:
                break
            await scout
        return await self.at((await self._explore(labels)).labels), None

    def at(self, apex: tuple[bytes, ...]) -> Promise[Zone]:
        """Return the zone that begins at ``apex``; raises :class:`NoServers` if none does."""
        return self._facts.once("zone", apex, lambda: self._find(dns.name.Name(apex)))

    def cut(self, name: dns.name.Name) -> Promise[tuple[dns.name.Name, bool]]:
        """Return the apex of the zone that holds ``name``, and whether ``name`` exists."""
        return self._facts.once("cut", name.labels, lambda: self._find_cut(name))

    async def _explore(self, labels: tuple[bytes, ...]) -> dns.name.Name:
        """Return the zone cut for a name, and let those wait for it that may be in the zone."""
        scout: Promise[None] = self._transport.promise()
        above = [self._ancestor(labels[start:]) for start in range(1, len(labels) - _DOMAIN + 1)]
        above = [each for each in above if each.scout is None and each.alone < ENOUGH_ALONE]
        for ancestor in above:
            ancestor.scout = scout
        try:
            apex, exists = await self.cut(dns.name.Name(labels))
            if len(apex.labels) >= _DOMAIN:
                ancestor = self._ancestor(apex.labels)
                ancestor.apex = True
                # A name that does not exist tells nothing: a registry's zone holds all of those.
                ancestor.held += exists and apex.labels != labels
            return apex
        finally:
            for ancestor in above:
                ancestor.scout = None
                ancestor.alone += not ancestor.trusted
            scout.settle(None)

    def _ancestor(self, labels: tuple[bytes, ...]) -> Ancestor:
        ancestor = self._ancestors.get(labels)
        if ancestor is None:
            ancestor = self._ancestors[labels] = Ancestor()
            if len(self._ancestors) > MAX_FACTS:
                self._ancestors.popitem(last=False)
        return ancestor

    async def _find_cut(self, name: dns.name.Name) -> tuple[dns.name.Name, bool]:
        answer, _, _ = await self._resolvers.ask(name, dns.rdatatype.SOA)
        exists = answer.rcode == dns.rcode.NOERROR
        cut = shown_cut(answer, name)
        if cut is not None and cut != dns.name.root:
            return cut, exists
        # Behind an alias the SOA is that of another zone; the name above is free of it.
        if len(name.labels) <= 2:
            raise Unanswered(f"no zone holds {to_text(name.labels)}: the domain is not in DNS")
        apex, above_exists = await self.cut(name.parent())
        return apex, exists and above_exists

    async def _find(self, apex: dns.name.Name) -> Zone:
        answer, resolver, rejected = await self._resolvers.ask(apex, dns.rdatatype.NS)
        names = sorted(data.target for data in of_type(answer, apex, dns.rdatatype.NS))
        if not names:
            raise NoServers(f"the zone {to_text(apex.labels)} has no name servers in DNS")
        addresses = [self._addresses(name) for name in names]
        hosts = []
        for name, promise in zip(names, addresses, strict=True):
            try:
                hosts.append(Host(to_text(name.labels), await promise))
            except Unanswered as error:
                hosts.append(Host(to_text(name.labels), (), str(error)))
        validator = resolver if answer.authentic else None
        return Zone(apex, to_text(apex.labels), tuple(hosts), validator, rejected)

    def _addresses(self, host: dns.name.Name) -> Promise[tuple[Address, ...]]:
        return self._facts.once("addresses", host.labels, lambda: self._find_addresses(host))

    async def _find_addresses(self, host: dns.name.Name) -> tuple[Address, ...]:
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        answers = [self._transport.start(self._resolvers.ask(host, kind)) for kind in kinds]
        addresses: list[Address] = []
        for kind, promise in zip(kinds, answers, strict=True):
            try:
                answer, _, _ = await promise
            except Unanswered:
                continue
            end = end_of_chain(answer, host)
            addresses += [Address(data.address, self._port) for data in of_type(answer, end, kind)]
        if not addresses:
            raise Unanswered("the server's name has no address in DNS")
        return tuple(addresses)


def shown_cut(answer: Answer, name: dns.name.Name) -> dns.name.Name | None:
    """Return the apex of the zone of ``name`` that an answer about its SOA shows."""
    for record in answer.records:
        if record.rdtype == dns.rdatatype.SOA and record.owner == name:
            return name
    if not answer.records:
        for record in answer.authority:
            if record.rdtype == dns.rdatatype.SOA and name.is_subdomain(record.owner):
                return record.owner
    return None


def of_type(answer: Answer, owner: dns.name.Name, kind: dns.rdatatype.RdataType) -> Iterator[Any]:
    """Return the data of the records of ``kind`` at ``owner``."""
    return (r.data for r in answer.records if r.rdtype == kind and r.owner == owner)


def alias_of(answer: Answer, name: dns.name.Name) -> dns.name.Name | None:
    """Return the name that ``name`` stands for by a CNAME or, failing that, a DNAME.

    Raises :class:`~certbot_dns_persist.lookup.promise.Unanswered` when there can be no such name.
    """
    for data in of_type(answer, name, dns.rdatatype.CNAME):
        target: dns.name.Name = data.target
        return target
    for record in answer.records:
        if record.rdtype == dns.rdatatype.DNAME and name.is_subdomain(record.owner):
            label = name.relativize(record.owner)
            if label != dns.name.empty:
                redirection: Any = record.data
                try:
                    return label.concatenate(redirection.target)
                except dns.name.NameTooLong:
                    raise Unanswered("redirects by DNAME to a name that is too long") from None
    return None


def end_of_chain(answer: Answer, name: dns.name.Name) -> dns.name.Name:
    """Return the last name of the alias chain that a resolver's answer shows."""
    end, seen = name, {name}
    while (alias := alias_of(answer, end)) is not None and alias not in seen:
        end = alias
        seen.add(end)
    return end


def to_labels(text: str) -> tuple[bytes, ...]:
    """Return the labels of a name, in lower case; a :class:`dns.name.Name` takes much longer.

    Raises :class:`~certbot_dns_persist.lookup.promise.Unanswered` when it is no name.
    """
    octets = text.lower().encode()
    if _is_plain(octets):
        return (*octets.split(b"."), b"")
    try:
        labels: tuple[bytes, ...] = dns.name.from_text(text.lower()).labels
    except dns.exception.DNSException as error:
        raise Unanswered(f"{text} cannot stand in DNS: {error}") from error
    return labels


def to_name(text: str) -> dns.name.Name:
    """Return a name; raises as :func:`to_labels`."""
    return dns.name.Name(to_labels(text))


def to_text(labels: tuple[bytes, ...]) -> str:
    """Return a name as text, in lower case and without the trailing dot."""
    plain = b".".join(labels[:-1]).lower()
    if _is_plain(plain) and plain.count(b".") == len(labels) - 2:  # no label has one within
        return plain.decode()
    return dns.name.Name(labels).to_text(omit_final_dot=True).lower()
