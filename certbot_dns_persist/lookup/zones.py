"""Zones and their servers, from resolvers; each fact is looked up once.

Thousands of names are often in few zones. If one name is in a zone, its siblings most likely are,
too: see :class:`Guesses`.
"""

import asyncio
import contextlib
import dataclasses
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import dns.exception
import dns.name
import dns.rcode
import dns.rdatatype

from certbot_dns_persist.lookup.limits import MAX_SERVERS, Host, Reach, choose
from certbot_dns_persist.lookup.message import Answer, Question
from certbot_dns_persist.lookup.transport import Address, Transport, Unanswered
from certbot_dns_persist.value.txt import from_octets

#: Facts that names may share, of each kind; the oldest are forgotten.
MAX_FACTS = 4000
#: After this many names below another one with zones of their own, siblings no longer wait.
ENOUGH_ALONE = 3

# A name of two labels and the root: shorter names belong to registries.
_DOMAIN = 3

# Without escapes and letters that IDNA encodes, the labels are the parts between the dots.
_is_plain = re.compile(rb"(?!.{254})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*").fullmatch

_T = TypeVar("_T")


class Bogus(Unanswered):
    """A validating resolver rejects the DNSSEC signatures of the answer."""


class NoServers(Unanswered):
    """No zone begins at a name, as far as resolvers know."""


@dataclasses.dataclass(frozen=True)
class Zone:
    """A zone and its servers."""

    apex: dns.name.Name
    name: str
    """The apex as text."""
    hosts: tuple[Host, ...]
    validator: Address | None
    """A resolver that has verified the zone's signatures (RFC 4035 section 3.2.3)."""
    bogus: bool
    """Whether some resolver rejects them."""
    left_out: str | None = None
    """A sentence on the servers that are not asked."""


class Facts:
    """Facts that several names need and that are looked up once."""

    def __init__(self) -> None:
        self._facts: dict[str, OrderedDict[object, asyncio.Task[Any]]] = {}

    def once(
        self, kind: str, key: object, find: Callable[[], Coroutine[Any, Any, _T]]
    ) -> asyncio.Task[_T]:
        """Return the task of ``find``, which runs once for all names that need it."""
        known = self._facts.setdefault(kind, OrderedDict())
        fact = known.get(key)
        if fact is None:
            fact = known[key] = asyncio.create_task(find())
            fact.add_done_callback(_retrieve)
            if len(known) > MAX_FACTS:
                known.popitem(last=False)
        return fact


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Keep asyncio from logging the exception of a task that nothing awaits any more."""
    if not task.cancelled():
        task.exception()


class Resolvers:
    """Recursive resolvers, asked one after the other."""

    def __init__(self, transport: Transport, facts: Facts, addresses: Sequence[Address]) -> None:
        self.addresses = addresses
        self._transport = transport
        self._facts = facts

    async def ask(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[Answer, Address, bool]:
        """Return the first usable answer, its resolver, and whether another resolver rejects it.

        Raises :class:`Bogus` if that is why there is none.
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
        """Whether ``answer`` is SERVFAIL because of signatures: without checking there is one."""
        if answer.rcode != dns.rcode.SERVFAIL:
            return False
        question = Question(name.labels, kind, recursive=True, checking_disabled=True)
        try:
            return (await self._transport.ask(question, resolver)).usable
        except Unanswered:
            return False

    def caa(self, domain: dns.name.Name) -> asyncio.Task[tuple[tuple[int, str, str], ...]]:
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


@dataclasses.dataclass
class Evidence:
    """What is known about names at and below an ancestor: whether they are in its zone."""

    apex: bool = False
    """Whether a zone begins here."""
    held: int = 0
    """Names that were found in that zone."""
    delegated: int = 0
    """Names that were found in a zone below."""
    alone: int = 0
    """Names whose zone was of no use to others."""
    search: asyncio.Future[None] | None = None
    """A search for a name's zone, in progress."""

    @property
    def trusted(self) -> bool:
        """Whether to expect more names in the zone; not if most are delegated."""
        return self.apex and self.held > self.delegated


class Guesses:
    """Guesses the zones of names from the zones of their siblings.

    An example: we need the zones of n0.example.test to n9999.example.test at once, and all of them
    are in example.test.

    - Nothing is known when n0 comes, so :meth:`search` is entered for it. From then on
      :meth:`guess` lets n1 and all others wait, because example.test is above them, too.
    - A resolver shows that n0 exists and that its zone begins at example.test. That is noted as
      evidence at example.test (one name held), and the others continue.
    - For n1, :meth:`guess` returns example.test. Its servers are asked for n1's record, and their
      answer also shows its zone. If that is example.test, one more name is held there; if it is
      n1.example.test, one is delegated. So no resolver is asked for the zones of the others.
    - If most of the names were delegated, as those below co.test or another registry's zone are,
      example.test would not be trusted, and each name would be searched for. After
      :data:`ENOUGH_ALONE` searches that were of no use to others, names no longer wait for one.
    """

    def __init__(self) -> None:
        self._evidence: OrderedDict[tuple[bytes, ...], Evidence] = OrderedDict()

    async def guess(self, labels: tuple[bytes, ...]) -> tuple[int, Evidence] | None:
        """Return how many labels come before those of the likely zone, and the evidence for it.

        Waits for a search that may find it; ``None`` if nothing is known.
        """
        while True:
            search = None
            for start in range(len(labels) - _DOMAIN + 1):
                evidence = self._evidence.get(labels[start:])
                if evidence is None:
                    continue
                if evidence.trusted or (evidence.apex and start == 0):
                    return start, evidence
                search = evidence.search
                if search is not None:
                    break
            if search is None:
                return None
            await search

    @contextlib.contextmanager
    def search(
        self, labels: tuple[bytes, ...]
    ) -> Iterator[Callable[[tuple[bytes, ...], bool], None]]:
        """Let names that may be in the same zone wait until this ends.

        Yields a function to call with the result: the zone's apex, and whether the name exists.
        """
        search: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        above = [self._at(labels[start:]) for start in range(1, len(labels) - _DOMAIN + 1)]
        above = [each for each in above if each.search is None and each.alone < ENOUGH_ALONE]
        for evidence in above:
            evidence.search = search

        def found(apex: tuple[bytes, ...], exists: bool) -> None:
            if len(apex) >= _DOMAIN:
                evidence = self._at(apex)
                evidence.apex = True
                # A name that does not exist is no evidence: a registry's zone holds all of those.
                evidence.held += exists and apex != labels

        try:
            yield found
        finally:
            for evidence in above:
                evidence.search = None
                evidence.alone += not evidence.trusted
            if not search.done():
                search.set_result(None)

    def _at(self, labels: tuple[bytes, ...]) -> Evidence:
        evidence = self._evidence.get(labels)
        if evidence is None:
            evidence = self._evidence[labels] = Evidence()
            if len(self._evidence) > MAX_FACTS:
                self._evidence.popitem(last=False)
        return evidence


class Zones:
    """Finds the zones of names."""

    def __init__(self, facts: Facts, resolvers: Resolvers, port: int, reach: Reach) -> None:
        self._facts = facts
        self._resolvers = resolvers
        self._port = port
        self._reach = reach
        self._guesses = Guesses()

    async def locate(self, name: tuple[bytes, ...]) -> tuple[Zone, Evidence | None]:
        """Return the zone that the labels of a name are in and, if guessed, the evidence for it.

        No resolver is asked for the name itself: it would cache that there is nothing, and the
        CA, which may use the same resolver, would not see the record once it is there.
        """
        labels = name[1:]
        guess = await self._guesses.guess(labels)
        if guess is not None:
            start, evidence = guess
            return await self.at(labels[start:]), evidence if start else None
        with self._guesses.search(labels) as found:
            apex, exists = await self.cut(dns.name.Name(labels))
            found(apex.labels, exists)
        return await self.at(apex.labels), None

    def at(self, apex: tuple[bytes, ...]) -> asyncio.Task[Zone]:
        """Return the zone that begins at ``apex``. Raises :class:`NoServers` if none does."""
        return self._facts.once("zone", apex, lambda: self._find(dns.name.Name(apex)))

    def cut(self, name: dns.name.Name) -> asyncio.Task[tuple[dns.name.Name, bool]]:
        """Return the apex of the zone that holds ``name``, and whether ``name`` exists."""
        return self._facts.once("cut", name.labels, lambda: self._find_cut(name))

    async def _find_cut(self, name: dns.name.Name) -> tuple[dns.name.Name, bool]:
        answer, _, _ = await self._resolvers.ask(name, dns.rdatatype.SOA)
        exists = answer.rcode == dns.rcode.NOERROR
        cut = shown_cut(answer, name)
        if cut is not None and cut != dns.name.root:
            return cut, exists
        # Behind an alias, the SOA is another zone's, so ask for the name above.
        if len(name.labels) <= 2:
            raise Unanswered(f"no zone holds {to_text(name.labels)}: the domain is not in DNS")
        apex, above_exists = await self.cut(name.parent())
        return apex, exists and above_exists

    async def _find(self, apex: dns.name.Name) -> Zone:
        answer, resolver, rejected = await self._resolvers.ask(apex, dns.rdatatype.NS)
        names = sorted(data.target for data in of_type(answer, apex, dns.rdatatype.NS))
        if not names:
            raise NoServers(f"the zone {to_text(apex.labels)} has no name servers in DNS")
        names, surplus = names[:MAX_SERVERS], names[MAX_SERVERS:]
        addresses = [self._addresses(name) for name in names]
        hosts = []
        for name, task in zip(names, addresses, strict=True):
            try:
                hosts.append(Host(to_text(name.labels), await task))
            except Unanswered as error:
                hosts.append(Host(to_text(name.labels), (), str(error)))
        zone = to_text(apex.labels)
        not_asked = [to_text(name.labels) for name in surplus]
        chosen, left_out = choose(zone, hosts, not_asked, self._reach)
        validator = resolver if answer.authentic else None
        return Zone(apex, zone, chosen, validator, rejected, left_out)

    def _addresses(self, host: dns.name.Name) -> asyncio.Task[tuple[Address, ...]]:
        return self._facts.once("addresses", host.labels, lambda: self._find_addresses(host))

    async def _find_addresses(self, host: dns.name.Name) -> tuple[Address, ...]:
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        answers = [asyncio.create_task(self._resolvers.ask(host, kind)) for kind in kinds]
        addresses: list[Address] = []
        for kind, task in zip(kinds, answers, strict=True):
            try:
                answer, _, _ = await task
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
    """Return the name that ``name`` is an alias for, by a CNAME or else a DNAME.

    Raises :class:`~certbot_dns_persist.lookup.transport.Unanswered` if there can be no such name.
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
    """Return the labels of a name, in lower case; :class:`dns.name.Name` is much slower.

    Raises :class:`~certbot_dns_persist.lookup.transport.Unanswered` if it is not a name.
    """
    octets = text.lower().encode()
    if _is_plain(octets):
        return (*octets.split(b"."), b"")
    try:
        labels: tuple[bytes, ...] = dns.name.from_text(text.lower()).labels
    except dns.exception.DNSException as error:
        raise Unanswered(f"{text} is not a valid DNS name: {error}") from error
    return labels


def to_name(text: str) -> dns.name.Name:
    """Return a name. Raises as :func:`to_labels`."""
    return dns.name.Name(to_labels(text))


def to_text(labels: tuple[bytes, ...]) -> str:
    """Return a name as text, in lower case and without the trailing dot."""
    plain = b".".join(labels[:-1]).lower()
    if _is_plain(plain) and plain.count(b".") == len(labels) - 2:  # no label contains a dot
        return plain.decode()
    return dns.name.Name(labels).to_text(omit_final_dot=True).lower()
