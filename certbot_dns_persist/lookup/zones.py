"""Where zones are and who serves them; each fact is asked for once.

The resolvers tell of the zones that a domain is in, since they may know of some that the public
DNS does not. Below a signed zone that they vouch for, its own servers tell: for what is not there,
they give a proof that may cover names beside it, and a resolver that uses it again (RFC 8198)
would deny our record to a CA, too.

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

from certbot_dns_persist.lookup.found import Address
from certbot_dns_persist.lookup.limits import MAX_SERVERS, Host, Reach, choose
from certbot_dns_persist.lookup.message import Answer, Question, Record
from certbot_dns_persist.lookup.transport import Transport, Unanswered
from certbot_dns_persist.value.txt import from_octets

#: Facts that names may share, of each kind; the oldest are forgotten.
MAX_FACTS = 4000
#: Delegations that are followed below a zone. Few names are that deep, and whoever makes up names
#: of a hundred labels must not lead us through a hundred zones.
MAX_CUTS = 8
#: Names below another one that were found in zones of their own; then no sibling waits for one.
ENOUGH_ALONE = 3

# How many servers of a zone are asked where a name is, and seconds until the next one is, too.
_SERVERS_TRIED = 5
_STAGGER = 0.5

# A name of two labels and the root: names with fewer are those of registries.
_DOMAIN = 3

# Without escapes and letters that IDNA encodes, the labels are the parts between the dots.
_is_plain = re.compile(rb"(?!.{254})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*").fullmatch

_T = TypeVar("_T")


class Final(Unanswered):
    """No usable answer, and resolvers need not be asked for the record itself."""


class Bogus(Final):
    """A validating resolver rejects the DNSSEC signatures of what was asked for."""


class NoServers(Unanswered):
    """No zone begins at a name, as far as resolvers know."""


@dataclasses.dataclass(frozen=True)
class Delegation:
    """A zone, and what its servers are called."""

    apex: dns.name.Name
    servers: tuple[dns.name.Name, ...]
    validator: Address | None = None
    """A resolver that vouches for the zone's signatures (RFC 4035 section 3.2.3)."""
    bogus: bool = False
    """Whether some resolver rejects them."""
    glue: tuple[Record, ...] = ()
    """Addresses of the servers, from the zone above."""


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


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where a name is, as a server of a zone says."""

    apex: tuple[bytes, ...] | None
    """The zone further down that the name is in, if it is."""
    referral: Delegation | None = None
    """The same, and who serves it, where the server does not."""
    exists: bool = True
    """Whether there is such a name."""


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
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, *, unchecked: bool = False
    ) -> tuple[Answer, Address, bool]:
        """Return the first usable answer, its resolver, and whether another resolver rejects it.

        Raises :class:`Bogus` when that is why there is none; if ``unchecked``, it is taken then.
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
            rejected_answer = await self.rejected(name, kind, resolver, answer)
            if rejected_answer is not None:
                if unchecked:
                    return rejected_answer, resolver, True
                rejected = True
                troubles.append(f"{resolver} finds that its DNSSEC signatures do not verify")
            else:
                troubles.append(f"{resolver} answers {answer.rcode_text}")
        raise (Bogus if rejected else Unanswered)(
            f"{dns.rdatatype.to_text(kind)} of {to_text(name.labels)} cannot be resolved: "
            + "; ".join(troubles)
        )

    async def rejected(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, resolver: Address, answer: Answer
    ) -> Answer | None:
        """Return what there is without checking, if ``answer`` is SERVFAIL for its signatures."""
        if answer.rcode != dns.rcode.SERVFAIL:
            return None
        question = Question(name.labels, kind, recursive=True, checking_disabled=True)
        try:
            unchecked = await self._transport.ask(question, resolver)
        except Unanswered:
            return None
        return unchecked if unchecked.usable else None

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

    def __init__(
        self, transport: Transport, facts: Facts, resolvers: Resolvers, port: int, reach: Reach
    ) -> None:
        self._transport = transport
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
            zone, exists = await self._search(dns.name.Name(labels))
            found(zone.apex.labels, exists)
        return zone, None

    async def _search(self, domain: dns.name.Name) -> tuple[Zone, bool]:
        """Return the zone that holds ``domain``, and whether ``domain`` exists."""
        above = await self._delegation_above(domain)
        if above.apex != domain and above.validator is None:
            try:
                apex, exists = await self.cut(domain)
                return await self.at(apex.labels), exists
            except Final:
                raise
            except Unanswered:
                pass  # the servers of the zone above may say more
        zone = await self.at(above.apex.labels)
        exists = True
        for _ in range(MAX_CUTS):
            if zone.apex == domain:
                break
            try:
                cut = await self._cut_below(zone, domain)
            except Unanswered:
                break  # what they say of the name itself will tell
            exists = cut.exists
            if cut.apex is None:
                break
            zone = await self.below(zone, cut.apex, cut.referral)
        return zone, exists

    async def _delegation_above(self, domain: dns.name.Name) -> Delegation:
        """Return the zone at the two last labels of ``domain`` or, failing that, at the last."""
        trouble: Unanswered | None = None
        for start in range(max(0, len(domain.labels) - _DOMAIN), len(domain.labels) - 1):
            try:
                return await self._delegation(dns.name.Name(domain.labels[start:]))
            except Bogus:
                raise
            except Unanswered as error:
                trouble = trouble or error
        raise trouble or Final(f"no zone holds {to_text(domain.labels)}")

    async def _cut_below(self, zone: Zone, name: dns.name.Name) -> Cut:
        """Return where ``name`` is, as the first server says that does, of a few of the zone's."""
        addresses = [address for host in zone.hosts for address in host.addresses]
        rest = iter(addresses[:_SERVERS_TRIED])
        asked: set[asyncio.Task[Cut]] = set()
        try:
            while True:
                address = next(rest, None)
                if address is not None:
                    asked.add(asyncio.create_task(self.cut_shown_by(address, zone, name)))
                elif not asked:
                    raise Unanswered(f"no server of {zone.name} could be asked")
                patience = None if address is None else _STAGGER
                done, asked = await asyncio.wait(
                    asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    with contextlib.suppress(Unanswered):
                        return task.result()
        finally:
            for task in asked:
                task.cancel()

    async def cut_shown_by(self, server: Address, zone: Zone, name: dns.name.Name) -> Cut:
        """Return where ``name`` is, as ``server`` of ``zone`` says."""
        exists = True
        while is_below(name, zone.apex):
            answer = await self._transport.ask(Question(name.labels, dns.rdatatype.SOA), server)
            if not answer.usable:
                raise Unanswered(f"answers {answer.rcode_text}")
            if not answer.authoritative:
                referral = referral_of(answer, name)
                if referral is None or not is_below(referral.apex, zone.apex):
                    raise Unanswered("is lame")
                return Cut(referral.apex.labels, referral)
            exists = exists and answer.rcode == dns.rcode.NOERROR
            apex = shown_cut(answer, name)
            if apex is not None:
                return Cut(apex.labels if is_below(apex, zone.apex) else None, exists=exists)
            # Behind an alias the SOA is that of another zone; the name above is free of it.
            name = name.parent()
        return Cut(None, exists=exists)

    async def below(
        self,
        zone: Zone,
        apex: tuple[bytes, ...],
        referral: Delegation | None,
        *,
        ask_resolvers: bool = True,
    ) -> Zone:
        """Return the zone that begins at ``apex``, below ``zone``.

        The resolvers know which servers it names itself. Where they do not, or must not be asked,
        those count that ``zone`` names in its ``referral``.
        """
        if referral is None or ask_resolvers:
            try:
                return await self.at(apex)
            except Final:
                raise
            except Unanswered:
                if referral is None:
                    raise
        glue = tuple(record for record in referral.glue if record.owner.is_subdomain(zone.apex))
        # Signatures below are vouched for by who vouches for those above.
        delegation = dataclasses.replace(referral, validator=zone.validator, glue=glue)
        return await self._facts.once("referred", apex, lambda: self._find(delegation))

    def at(self, apex: tuple[bytes, ...]) -> asyncio.Task[Zone]:
        """Return the zone that begins at ``apex``; raises :class:`NoServers` if none does."""
        return self._facts.once("zone", apex, lambda: self._find_at(dns.name.Name(apex)))

    async def _find_at(self, apex: dns.name.Name) -> Zone:
        return await self._find(await self._delegation(apex))

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
            raise Unanswered(f"no zone holds {to_text(name.labels)}")
        apex, above_exists = await self.cut(name.parent())
        return apex, exists and above_exists

    def _delegation(self, apex: dns.name.Name) -> asyncio.Task[Delegation]:
        return self._facts.once("delegation", apex.labels, lambda: self._find_delegation(apex))

    async def _find_delegation(self, apex: dns.name.Name) -> Delegation:
        answer, resolver, rejected = await self._resolvers.ask(apex, dns.rdatatype.NS)
        servers = tuple(sorted(data.target for data in of_type(answer, apex, dns.rdatatype.NS)))
        if servers:
            validator = resolver if answer.authentic else None
            return Delegation(apex, servers, validator, rejected)
        name = to_text(apex.labels)
        if shown_cut(answer, apex) == dns.name.root:
            raise Final(f"no zone holds {name}: the domain is not in DNS")
        raise NoServers(f"the zone {name} has no name servers in DNS")

    async def _find(self, delegation: Delegation) -> Zone:
        apex, zone = delegation.apex, to_text(delegation.apex.labels)
        names, surplus = delegation.servers[:MAX_SERVERS], delegation.servers[MAX_SERVERS:]
        hosts = await asyncio.gather(*(self._host(name, delegation) for name in names))
        not_asked = [to_text(name.labels) for name in surplus]
        chosen, left_out = choose(zone, hosts, not_asked, self._reach)
        return Zone(apex, zone, chosen, delegation.validator, delegation.bogus, left_out)

    async def _host(self, name: dns.name.Name, delegation: Delegation) -> Host:
        text = to_text(name.labels)
        glue: list[Any] = [record.data for record in delegation.glue if record.owner == name]
        if glue:
            return Host(text, tuple(Address(data.address, self._port) for data in glue))
        kind, find = "addresses", self._find_addresses
        if delegation.validator is not None and name.is_subdomain(delegation.apex):
            kind, find = "addresses_within", self._find_addresses_within
        try:
            return Host(text, await self._facts.once(kind, name.labels, lambda: find(name)))
        except Unanswered as error:
            return Host(text, (), str(error))

    async def _find_addresses_within(self, host: dns.name.Name) -> tuple[Address, ...]:
        """Return the addresses of a server within its own, signed zone.

        If it has no IPv6 address, it is asked itself: a resolver would keep the proof of that.
        """
        addresses = await self._addresses_of(host, dns.rdatatype.A)
        if not addresses:
            return await self._find_addresses(host)
        question = Question(host.labels, dns.rdatatype.AAAA)
        for address in addresses:
            if self._reach.refusal(address.host) is not None:
                continue
            with contextlib.suppress(Unanswered):
                answer = await self._transport.ask(question, address)
                if answer.usable and answer.authoritative:
                    return addresses + self._read_addresses(answer, host, dns.rdatatype.AAAA)
        return addresses

    async def _find_addresses(self, host: dns.name.Name) -> tuple[Address, ...]:
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        tasks = [asyncio.create_task(self._addresses_of(host, kind)) for kind in kinds]
        addresses = tuple([address for task in tasks for address in await task])
        if not addresses:
            raise Unanswered("the server's name has no address in DNS")
        return addresses

    async def _addresses_of(
        self, host: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[Address, ...]:
        try:
            # BIND sees a loop where a zone's only server is within the zone, and answers SERVFAIL.
            answer, _, _ = await self._resolvers.ask(host, kind, unchecked=True)
        except Unanswered:
            return ()
        return self._read_addresses(answer, end_of_chain(answer, host), kind)

    def _read_addresses(
        self, answer: Answer, owner: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[Address, ...]:
        return tuple(Address(data.address, self._port) for data in of_type(answer, owner, kind))


def referral_of(answer: Answer, name: dns.name.Name) -> Delegation | None:
    """Return the zone of ``name`` to whose servers an answer refers, if it does."""
    records = [
        record
        for record in answer.authority
        if record.rdtype == dns.rdatatype.NS and name.is_subdomain(record.owner)
    ]
    if not records or answer.authoritative:
        return None
    apex = records[0].owner
    data: list[Any] = [record.data for record in records if record.owner == apex]
    return Delegation(apex, tuple(sorted(each.target for each in data)), glue=answer.glue)


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


def is_below(name: dns.name.Name, apex: dns.name.Name) -> bool:
    """Whether ``name`` is below ``apex``, and not that itself."""
    return name != apex and name.is_subdomain(apex)


def to_labels(text: str) -> tuple[bytes, ...]:
    """Return the labels of a name, in lower case; :class:`dns.name.Name` is much slower.

    Raises :class:`Final` when it is no name.
    """
    octets = text.lower().encode()
    if _is_plain(octets):
        return (*octets.split(b"."), b"")
    try:
        labels: tuple[bytes, ...] = dns.name.from_text(text.lower()).labels
    except dns.exception.DNSException as error:
        raise Final(f"{text} cannot stand in DNS: {error}") from error
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
