"""Looks up many names at once.

For each name: the CNAME/DNAME chain, the zone at its end, that zone's authoritative servers, and
what each of them serves. Zone cuts and server addresses that names share are looked up once in a
call of :meth:`Lookup.find`, and then forgotten, so that no answer outlives the call.

Resolvers give the zones and their servers; the values come from the authoritative servers, because
a resolver's cache may hold an old answer.
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import dns.name
import dns.rdatatype

from certbot_dns_persist.lookup import limits
from certbot_dns_persist.lookup.background import in_order
from certbot_dns_persist.lookup.found import (
    QUERIES_PER_SECOND,
    Address,
    Around,
    Found,
    Inspection,
    Neighbourhood,
    ServerAnswer,
)
from certbot_dns_persist.lookup.message import Answer, Question, text_value
from certbot_dns_persist.lookup.neighbourhood import Neighbours
from certbot_dns_persist.lookup.resolv_conf import system_resolvers
from certbot_dns_persist.lookup.transport import Transport, Unanswered, Unreachable
from certbot_dns_persist.lookup.zones import (
    MAX_CUTS,
    Bogus,
    Cut,
    Delegation,
    Facts,
    Final,
    Resolvers,
    Zone,
    Zones,
    alias_of,
    end_of_chain,
    is_below,
    of_type,
    referral_of,
    to_labels,
    to_name,
    to_text,
)
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.value.slips import is_record, wrong_places

__all__ = ["Address", "Around", "Found", "Inspection", "Lookup", "ServerAnswer"]

if TYPE_CHECKING:
    from certbot_dns_persist.options import Options

#: An alias chain longer than this is a loop in all but name.
MAX_ALIASES = 12

_T = TypeVar("_T")
_W = TypeVar("_W")


class Lookup:
    """Looks names up, through ``resolvers`` or those of the system.

    ``authoritative`` is whether the zones' own servers are asked for the values, or the
    resolvers. ``port`` is where authoritative servers listen. No server, resolvers included, is
    sent more than ``queries_per_second``.

    A zone may name any addresses. Private ones are asked if a resolver is private, and this machine
    is if one of ``resolvers`` is on it, or if ``local()``.
    """

    def __init__(
        self,
        resolvers: Sequence[Address] = (),
        *,
        authoritative: bool = True,
        port: int = 53,
        queries_per_second: float = QUERIES_PER_SECOND,
        local: Callable[[], bool] = lambda: False,
    ) -> None:
        self._resolvers = tuple(resolvers)
        self._authoritative = authoritative
        self._port = port
        self._queries_per_second = queries_per_second
        self._local = local

    @classmethod
    def of(
        cls,
        options: "Options",
        *,
        queries_per_second: float = QUERIES_PER_SECOND,
        local: Callable[[], bool] = lambda: False,
    ) -> "Lookup":
        """Return one that asks whom ``options`` say."""
        return cls(
            [Address(host, port) for host, port in options.resolvers],
            authoritative=options.check == "authoritative",
            queries_per_second=queries_per_second,
            local=local,
        )

    def find(self, names: Collection[str]) -> dict[str, Found]:
        """Return what DNS holds at each of ``names``, which have no trailing dot.

        A name that cannot be looked up has :attr:`Found.trouble`; it does not disturb the
        others.
        """
        unique = list(dict.fromkeys(names))
        return dict(zip(unique, in_order(unique, self._session(_Session.find)), strict=True))

    def neighbourhoods(self, found: Iterable[Found]) -> dict[str, Neighbourhood]:
        """Return, by name, what is around the records to be published for names.

        ``found`` is what stands at their validation domain names. The zones' own servers are
        asked, also where resolvers tell what stands.
        """
        unique = list({each.name: each for each in found}.values())
        session = self._session(_Session.neighbourhood)
        return {around.name: around for around in in_order(unique, session)}

    def inspect(
        self,
        domains: Iterable[str],
        *,
        caa: bool = True,
        around: Around = Around.NOTHING,
        elsewhere: bool = False,
    ) -> Iterator[Inspection]:
        """Yield what DNS holds for each of ``domains``, which have no ``*.``, in their order.

        ``domains`` are taken as they are needed, so there may be any number of them. The CAA
        records are those at the closest name up the tree that has any (RFC 8659 section 3);
        without ``caa`` they are not asked for. Signatures are bogus when a resolver answers
        SERVFAIL, but not when told to leave them unchecked (RFC 4035 section 3.2.2); without a
        validating resolver nothing can be told, and they count as good. ``around`` is what to find
        out of wildcards around records that stand, and ``elsewhere`` whether to look at the names
        of :func:`~certbot_dns_persist.value.slips.wrong_places` where there is none, both where
        the zones' own servers are asked.
        """
        work = functools.partial(
            _Session.inspect, caa=caa, around=around, elsewhere=elsewhere and self._authoritative
        )
        yield from in_order(domains, self._session(work))

    def _session(
        self, work: "Callable[[_Session, _W], Coroutine[Any, Any, _T]]"
    ) -> Callable[[], AbstractContextManager[Callable[[_W], Coroutine[Any, Any, _T]]]]:
        """Return a context that opens a session in an event loop, and yields ``work`` on a name."""
        resolvers = self._resolvers or system_resolvers()
        # Among those of the system are stubs, which are on this machine wherever it is.
        local = any(limits.is_loopback(resolver.host) for resolver in self._resolvers)
        reach = limits.Reach(
            private=any(limits.is_private(resolver.host) for resolver in resolvers),
            loopback=functools.cache(lambda: local or self._local()),
        )

        @contextlib.contextmanager
        def session() -> Iterator[Callable[[_W], Coroutine[Any, Any, _T]]]:
            with contextlib.closing(Transport(self._queries_per_second)) as transport:
                session = _Session(transport, resolvers, self._authoritative, self._port, reach)
                yield functools.partial(work, session)

        return session


class _Outcome(NamedTuple):
    """What DNS holds at a name, and the zones that it comes from."""

    found: Found
    zones: tuple[Zone, ...] = ()
    bogus: bool = False


class _Session:
    """The questions of one call, and the answers that they share."""

    def __init__(
        self,
        transport: Transport,
        resolvers: Sequence[Address],
        authoritative: bool,
        port: int,
        reach: limits.Reach,
    ) -> None:
        self._transport = transport
        self._authoritative = authoritative
        self._facts = Facts()
        self._resolvers = Resolvers(transport, self._facts, resolvers)
        self._zones = Zones(transport, self._facts, self._resolvers, port, reach)
        self._neighbours = Neighbours(transport, self._facts, self._resolvers, self._ask_servers)

    async def find(self, name: str) -> Found:
        return (await self._look(name)).found

    async def neighbourhood(self, found: Found) -> Neighbourhood:
        return await self._neighbours.of_record_to_come(found)

    async def inspect(self, domain: str, caa: bool, around: Around, elsewhere: bool) -> Inspection:
        outcome = await self._look(validation_domain_name(domain))
        found = outcome.found
        # Only where a record stands: a resolver would keep the proof that there is no CAA record,
        # which may cover names beside the domain's.
        governing = asyncio.create_task(self._caa(domain)) if caa and found.values else None
        bogus = outcome.bogus or await self._is_bogus(found.name, outcome)
        inspection = Inspection(domain, found, bogus)
        stands = bool(found.values) or found.canonical_name != found.name
        if around != Around.NOTHING and outcome.zones and stands:
            neighbourhood = await self._neighbours.of_standing_record(
                found, outcome.zones[0], thoroughly=around == Around.ALL
            )
            inspection = dataclasses.replace(inspection, neighbourhood=neighbourhood)
        # The zone of a domain that is not delegated is that of a registry.
        if elsewhere and "." in (found.zone or "") and not any(map(is_record, found.values)):
            values = await self._elsewhere(domain, found)
            inspection = dataclasses.replace(inspection, elsewhere=values)
        if governing is None:
            return inspection
        try:
            return dataclasses.replace(inspection, caa=await governing)
        except Unanswered as error:
            return dataclasses.replace(inspection, caa_trouble=str(error))

    async def _elsewhere(self, domain: str, found: Found) -> dict[str, tuple[str, ...]]:
        """Return what stands where records for ``domain`` are put by mistake.

        Only a server of the zone is asked: a resolver would remember what is not there, and the
        proof of that may cover the validation domain name, too.
        """
        values: dict[str, tuple[str, ...]] = {}
        if found.canonical_name != found.name:
            return values
        zone, answers = await self._ask_servers(to_labels(found.name))
        answering = {server.address for server in answers if server.values is not None}
        addresses = (address for host in zone.hosts for address in host.addresses)
        server = next((address for address in addresses if str(address) in answering), None)
        if server is None:
            return values
        for name in wrong_places(domain, zone.name):
            labels = to_labels(name)
            with contextlib.suppress(Unanswered):
                answer = await self._transport.ask(Question(labels, dns.rdatatype.TXT), server)
                if answer.usable and answer.authoritative:
                    values[name] = _txt_values(answer, dns.name.Name(labels))
        return values

    async def _caa(self, domain: str) -> tuple[tuple[int, str, str], ...]:
        return await self._resolvers.caa(to_name(domain))

    async def _is_bogus(self, name: str, outcome: _Outcome) -> bool:
        """Whether a resolver that validates the zones rejects the record.

        We only ask for a record that is there, so that no resolver caches its absence.
        """
        if any(zone.bogus for zone in outcome.zones):
            return True
        validators = {zone.validator for zone in outcome.zones if zone.validator is not None}
        if not validators or not outcome.found.values:
            return False
        qname = to_name(name)
        for resolver in validators:
            question = Question(qname.labels, dns.rdatatype.TXT, recursive=True)
            try:
                answer = await self._transport.ask(question, resolver)
            except Unanswered:
                continue
            if await self._resolvers.rejected(qname, dns.rdatatype.TXT, resolver, answer):
                return True
        return False

    async def _look(self, name: str) -> _Outcome:
        try:
            if not self._authoritative:
                return await self._find_through_resolvers(name)
            try:
                outcome = await self._find_at_servers(name)
            except Final:
                raise
            except Unanswered as error:
                why = f"The authoritative servers cannot be found: {error}."
                return await self._find_instead(name, None, why)
            found = outcome.found
            if found.answers:
                return outcome
            asked = "; ".join(f"{server}: {server.trouble}" for server in found.silent)
            asked = f" ({asked})" if asked else ""
            why = f"No authoritative server of {found.zone} could be asked{asked}."
            return await self._find_instead(name, found, why)
        except Unanswered as error:
            found = Found(name, name, None, (), trouble=str(error))
            return _Outcome(found, bogus=isinstance(error, Bogus))

    async def _find_instead(self, name: str, found: Found | None, why: str) -> _Outcome:
        """Ask the resolvers, as no authoritative server can be; ``found`` is what is known.

        The words are the same for all names that it holds for, so that they are told once.
        """
        through = await self._find_through_resolvers(name)
        zone, warnings = (None, ()) if found is None else (found.zone, found.warnings)
        why += " The resolvers were asked instead; their caches may be out of date."
        found = dataclasses.replace(through.found, zone=zone, warnings=(*warnings, why))
        return through._replace(found=found)

    # Through resolvers

    async def _find_through_resolvers(self, name: str) -> _Outcome:
        qname = to_name(name)
        question = Question(qname.labels, dns.rdatatype.TXT, recursive=True)
        asked = [(at, self._transport.ask(question, at)) for at in self._resolvers.addresses]
        answers, ends, bogus = [], [], False
        negative_ttl = 0
        for resolver, future in asked:
            label = str(resolver)
            try:
                answer = await future
            except Unanswered as error:
                answers.append(ServerAnswer(label, label, None, str(error)))
                continue
            if answer.usable:
                end = end_of_chain(answer, qname)
                ends.append(end)
                answers.append(ServerAnswer(label, label, _txt_values(answer, end), ttl=answer.ttl))
                if not answers[-1].values and not answer.authoritative:  # so it may be from a cache
                    negative_ttl = max(negative_ttl, answer.negative_ttl or 0)
                continue
            trouble = f"answers {answer.rcode_text}"
            if await self._resolvers.rejected(qname, dns.rdatatype.TXT, resolver, answer):
                bogus = True
                trouble += ": the DNSSEC signatures do not verify"
            answers.append(ServerAnswer(label, label, None, trouble))
        if not ends:
            raise (Bogus if bogus else Unanswered)(
                f"No resolver could be asked for {name}: "
                + "; ".join(f"{answer} {answer.trouble}" for answer in answers)
            )
        canonical = to_text(ends[0].labels)
        found = Found(name, canonical, None, tuple(answers), negative_ttl=negative_ttl)
        return _Outcome(found, bogus=bogus)

    # From authoritative servers

    async def _find_at_servers(self, name: str) -> _Outcome:
        """Follow the aliases from zone to zone; in each, ask all of the zone's servers."""
        chain = [to_labels(name)]
        zone, answers = await self._ask_servers(chain[0])
        zones, others = [zone], []
        while (target := _most_common(answer.alias for answer in answers)) is not None:
            others += [answer for answer in answers if answer.alias != target]
            alias = to_labels(target)
            if alias in chain or len(chain) > MAX_ALIASES:
                raise Final(
                    f"{name} is an alias that never ends: "
                    + " -> ".join([*map(to_text, chain), target])
                )
            chain.append(alias)
            try:
                zone, answers = await self._ask_for_target(alias)
            except Bogus:
                raise
            except Final as error:  # nothing stands there, and resolvers would keep the alias
                nowhere = f"{name} is an alias for {target}, where nothing can be: {error}."
                found = Found(name, target, None, tuple(others + answers), (nowhere,))
                return _Outcome(found, tuple(zones))
            zones.append(zone)
        warnings = tuple(dict.fromkeys(z.left_out for z in zones if z.left_out))
        found = Found(name, to_text(chain[-1]), zone.name, tuple(others + answers), warnings)
        return _Outcome(found, tuple(zones))

    def _ask_for_target(
        self, name: tuple[bytes, ...]
    ) -> asyncio.Task[tuple[Zone, list[ServerAnswer]]]:
        # Many names may be aliases of one.
        return self._facts.once("target", name, lambda: self._ask_servers(name))

    async def _ask_servers(self, name: tuple[bytes, ...]) -> tuple[Zone, list[ServerAnswer]]:
        """Return the zone that the labels of a name are in, and what each of its servers says."""
        zone, guess = await self._zones.locate(name)
        guessed = zone
        poll = _Poll(self._transport, name)
        answers = await poll.ask(zone)
        for _ in range(MAX_CUTS):
            cut: Cut | None = None
            if poll.below:
                apex = Counter(poll.below).most_common(1)[0][0]
                cut = Cut(apex, poll.referrals.get(apex))
            elif guess is not None and not poll.confirmed:
                cut = await self._cut_below(poll, zone)
            if cut is None or cut.apex is None:
                break
            try:
                ask = cut.apex != name  # else resolvers would remember an answer about it
                zone = await self._zones.below(zone, cut.apex, cut.referral, ask_resolvers=ask)
            except Final:
                raise
            except Unanswered:
                if not poll.authoritative:
                    raise
                break  # these servers have a zone that is not delegated
            answers = await poll.ask(zone)
        if guess is not None:
            guess.delegated += zone is not guessed
            # A name without values may not exist at all, which is no evidence.
            guess.held += zone is guessed and any(answer.values for answer in answers)
        return zone, answers

    async def _cut_below(self, poll: "_Poll", zone: Zone) -> Cut | None:
        """Return where the name is, below ``zone`` as guessed or in it; ``None`` if none tells."""
        # Where an alias stands, no zone begins, and the name above is free of it.
        name = poll.name.parent() if poll.aliased else poll.name
        for server in poll.authoritative:
            with contextlib.suppress(Unanswered):
                return await self._zones.cut_shown_by(server, zone, name)
        if zone.validator is not None:
            return None  # a resolver would keep the proof of what is not there
        try:
            apex, _ = await self._zones.cut(poll.name.parent())
        except Final:
            raise
        except Unanswered:
            return None
        return Cut(apex.labels if is_below(apex, zone.apex) else None)


class _Poll:
    """What the servers of one zone after another say about a name; none is asked twice."""

    def __init__(self, transport: Transport, labels: tuple[bytes, ...]) -> None:
        self.labels = labels
        self.aliased = False
        self.confirmed = False
        """Whether an answer shows that the name is in this zone, and not in one below."""
        self.authoritative: list[Address] = []
        """The servers that answer with authority."""
        self.below: list[tuple[bytes, ...]] = []
        """The zones further down that servers refer to or answer for."""
        self.referrals: dict[tuple[bytes, ...], Delegation] = {}
        """Of these, those that servers refer to."""
        self._transport = transport
        self._asked: dict[Address, asyncio.Future[Answer]] = {}

    @functools.cached_property
    def name(self) -> dns.name.Name:
        """The name, for answers that are not plain."""
        return dns.name.Name(self.labels)

    async def ask(self, zone: Zone) -> list[ServerAnswer]:
        asked = self._asked
        above = len(self.labels) - len(zone.apex.labels)
        question = Question(self.labels, dns.rdatatype.TXT, first_labels=above)
        for host in zone.hosts:
            for address in host.addresses:
                if address not in asked:
                    asked[address] = self._transport.ask(question, address)
        self.confirmed = False
        self.authoritative, self.below = [], []
        answers: list[ServerAnswer] = []
        for host in zone.hosts:
            unreached = []
            reached = not host.addresses
            for address in host.addresses:
                try:
                    answer = await asked[address]
                    answers.append(self._read(answer, zone, host.name, address))
                except Unreachable as error:
                    unreached.append(ServerAnswer(host.name, str(address), None, str(error)))
                    continue
                except Unanswered as error:
                    answers.append(ServerAnswer(host.name, str(address), None, str(error)))
                reached = True
            if not reached:  # perhaps there is no IPv6 here, which says nothing about the server
                answers += unreached
            if not host.addresses:
                answers.append(ServerAnswer(host.name, "address unknown", None, host.trouble))
        return answers

    def _read(self, answer: Answer, zone: Zone, host: str, at: Address) -> ServerAnswer:
        """Return what the server says about the name; note what it shows of the zone.

        It may refer to a zone below, or answer for that zone itself: an authoritative answer
        contains the zone's SOA or NS records (RFC 2308 section 3, RFC 1034 section 6.2).
        """
        address = str(at)
        if not answer.usable:
            trouble = f"answers {answer.rcode_text}"
            return ServerAnswer(host, address, None, trouble)
        labels, plain = self.labels, answer.plain
        above = len(labels) - len(zone.apex.labels)
        shown = _zone_shown(answer, self.name) if plain is None else plain.zone
        if shown is not None and shown < above:
            self.below.append(labels[shown:])
        if not answer.authoritative:
            if shown is None or shown >= above:
                trouble = "is lame: it does not answer authoritatively for the zone"
                return ServerAnswer(host, address, None, trouble)
            delegation = referral_of(answer, self.name)
            if delegation is not None:
                self.referrals.setdefault(delegation.apex.labels, delegation)
            referral = to_text(labels[shown:])
            return ServerAnswer(host, address, None, f"refers to {referral}", referral=referral)
        self.confirmed |= shown == above
        self.authoritative.append(at)
        if plain is not None:
            return ServerAnswer(host, address, plain.values, ttl=answer.ttl)
        alias = alias_of(answer, self.name)
        if alias is None:
            return ServerAnswer(host, address, _txt_values(answer, self.name), ttl=answer.ttl)
        self.aliased = True
        return ServerAnswer(host, address, (), alias=to_text(alias.labels))


def _zone_shown(answer: Answer, name: dns.name.Name) -> int | None:
    """Return how many labels of ``name`` come before those of the zone that an answer shows."""
    for record in answer.authority:
        mark = record.rdtype in (dns.rdatatype.NS, dns.rdatatype.SOA)
        if mark and name.is_subdomain(record.owner):
            return len(name.labels) - len(record.owner.labels)
    return None


def _most_common(names: Iterable[str | None]) -> str | None:
    counted = [name for name in names if name is not None]
    return Counter(counted).most_common(1)[0][0] if counted else None


def _txt_values(answer: Answer, owner: dns.name.Name) -> tuple[str, ...]:
    if answer.plain is not None:
        return answer.plain.values
    return tuple(map(text_value, of_type(answer, owner, dns.rdatatype.TXT)))
