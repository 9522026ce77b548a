"""Which wildcards are around a record, as the zones' own servers tell (RFC 4592).

An example: ``*.example.test A 192.0.2.1`` answers for ``www.example.test``, which has no records.
A record at ``_validation-persist.www.example.test`` makes ``www`` exist, without an address, and
the wildcard no longer answers for it. So random names are asked for, which nobody has made:

- ``<random>.example.test``, beside ``www``. No data: there is no wildcard that ``www`` could need,
  nor one further up. NXDOMAIN is not what tells: some services answer NOERROR for every name.
- ``<random>.www.example.test``, below it. No data: ``www`` exists, which keeps the wildcard away.
- ``www`` itself. Another set of types than beside it: it exists, and has a wildcard of its own.
- ``<random>.*.www.example.test``. No data, where a name of that shape elsewhere has some: the name
  ``*.www`` exists, so ``www`` does (RFC 4592 section 2.2.1).

Else the wildcard answers for ``www``, and the same questions follow for the name above it.

No resolver is asked for any of these names: the proof that a random one does not exist may cover
the record's name, and a CA that asks the same resolver would be told that there is none. Only
where the record's name is an alias, it is there; then a resolver may tell of a random one beside
it whether a wildcard makes the alias, if the zone's servers are out of reach.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence

import dns.name
import dns.rcode
import dns.rdatatype

from certbot_dns_persist.lookup.found import (
    Address,
    Found,
    Level,
    Neighbourhood,
    ServerAnswer,
    ZoneRecord,
)
from certbot_dns_persist.lookup.message import Answer, Question, text_value
from certbot_dns_persist.lookup.transport import Transport, Unanswered
from certbot_dns_persist.lookup.zones import (
    Facts,
    Resolvers,
    Zone,
    end_of_chain,
    to_labels,
    to_text,
)
from certbot_dns_persist.value.txt import quoted

_Labels = tuple[bytes, ...]
_Kind = dns.rdatatype.RdataType

#: What people and programs want to know of a host; a CNAME shows whichever of them is asked for.
KINDS = tuple(
    _Kind.make(kind)
    for kind in ("A", "AAAA", "CAA", 65, "MX", "SRV", "TLSA", "TXT")  # 65: HTTPS
)
#: Those whose absence people would notice, or that may permit something; the commonest first.
FEW_KINDS = (_Kind.A, _Kind.AAAA, _Kind.MX, _Kind.TXT)
_ESSENTIAL = (_Kind.A, _Kind.TXT)
_MAX_NAME = 255  # octets (RFC 1035 section 2.3.4)

AskServers = Callable[[_Labels], Awaitable[tuple[Zone, list[ServerAnswer]]]]


class Neighbours:
    """Asks for random names around records; of names with one parent, once."""

    def __init__(
        self, transport: Transport, facts: Facts, resolvers: Resolvers, ask_servers: AskServers
    ) -> None:
        """``ask_servers`` returns a name's zone, and what the zone's servers say of its TXT."""
        self._transport = transport
        self._resolvers = resolvers
        self._facts = facts
        self._ask_servers = ask_servers
        # Nobody can foresee it, and the record's name is longer, so that it fits wherever that does
        self._random = secrets.token_hex(8).encode()

    async def of_record_to_come(self, found: Found) -> Neighbourhood:
        """Return what is around the record that is to be published for a validation name."""
        try:
            return await self._of_record_to_come(found)
        except Unanswered as error:
            synthesized = await self._is_made_by_wildcard(found)
            place = found.name if synthesized else found.canonical_name
            return Neighbourhood(
                found.name, place, found.zone, synthesized=synthesized, trouble=str(error)
            )

    async def _is_made_by_wildcard(self, found: Found) -> bool:
        """Whether a wildcard makes the alias that resolvers found, as they tell."""
        if found.canonical_name == found.name:
            return False
        beside = dns.name.Name((self._random, *to_labels(found.name)[1:]))
        try:
            answer, _, _ = await self._resolvers.ask(beside, _Kind.TXT)
        except Unanswered:
            return False
        return to_text(end_of_chain(answer, beside).labels) == found.canonical_name

    async def _of_record_to_come(self, found: Found) -> Neighbourhood:
        chain = [to_labels(found.name)]
        while True:
            place = chain[-1]
            zone, answers = await self._ask_servers(place)
            if all(answer.values is None for answer in answers):
                alone = len(chain) == 1 and found.canonical_name == found.name
                if alone and len(place) == len(zone.apex.labels) + 1:
                    return Neighbourhood(found.name, found.name, zone.name)  # nothing is in between
                asked = "; ".join(f"{answer}: {answer.trouble}" for answer in answers)
                raise Unanswered(f"no server of {zone.name} could be asked ({asked})")
            target = next((answer.alias for answer in answers if answer.alias is not None), None)
            something = target is not None or any(answer.values for answer in answers)
            synthesized = something and await self._is_synthesized(zone, place)
            if target is None or synthesized:
                break
            alias = to_labels(target)
            if alias in chain:
                raise Unanswered(f"{found.name} is an alias that never ends")
            chain.append(alias)
        levels: list[Level] = []
        name = place
        for above in range(len(place) - len(zone.apex.labels)):
            if place[above].startswith(b"_"):  # neither it nor what is below is a host (RFC 8552)
                name = place[above + 1 :]
        while len(name) > len(zone.apex.labels) and all(level.by_wildcard for level in levels):
            levels.append(await self._level(zone, name, KINDS))
            name = name[1:]
        return Neighbourhood(
            found.name, to_text(place), zone.name, synthesized=synthesized, levels=tuple(levels)
        )

    async def of_standing_record(
        self, found: Found, zone: Zone, *, thoroughly: bool
    ) -> Neighbourhood:
        """Return what is around a record that stands; ``zone`` is that of its validation name.

        There is a level if the domain has no records while a wildcard above it has some. Whether a
        wildcard answers for the validation name itself is asked for where there is an alias or a
        wildcard above the domain or, ``thoroughly``, always.
        """
        place = to_labels(found.name)
        try:
            domain, beside = place[1:], await self._wildcard_above(zone, place[1:])
            synthesized = False
            if thoroughly or beside or found.canonical_name != found.name:
                synthesized = await self._is_synthesized(zone, place)
            levels: tuple[Level, ...] = ()
            if beside and not synthesized and await self._is_deserted(zone, domain):
                levels = (Level(to_text(domain), beside),)
        except Unanswered as error:
            return Neighbourhood(found.name, found.canonical_name, zone.name, trouble=str(error))
        return Neighbourhood(
            found.name,
            found.name if synthesized else found.canonical_name,
            zone.name,
            synthesized=synthesized,
            levels=levels,
        )

    async def _is_synthesized(self, zone: Zone, name: _Labels) -> bool:
        """Whether a wildcard gives the TXT records, or the alias, that are answered for a name."""
        level = await self._level(zone, name, (_Kind.TXT,))
        # By a DNAME, or a server's own rule, each name leads somewhere else: that is meant.
        return level.by_wildcard and _alias(level.beside) == _alias(level.own)

    async def _wildcard_above(self, zone: Zone, name: _Labels) -> tuple[ZoneRecord, ...]:
        """Return what a random name beside ``name``, or beside one above it, is answered with."""
        while len(name) > len(zone.apex.labels):
            beside = await self._few_beside(zone, name)
            if beside:
                return beside
            name = name[1:]
        return ()

    async def _is_deserted(self, zone: Zone, name: _Labels) -> bool:
        """Whether nothing is answered for a name, nor for a random one below it.

        So it is up to the zone or to the first name that a wildcard is beside of; else something
        else than the record keeps the wildcard away.
        """
        while len(name) > len(zone.apex.labels):
            for asked in (name, (self._random, *name)):
                # Most hosts have an address; only the others are asked for more.
                for kinds in (KINDS[:1], KINDS[1:]):
                    if await self._ask(zone, asked, kinds):
                        return False
            if await self._few_beside(zone, name):
                return True
            name = name[1:]
        return False

    async def _level(self, zone: Zone, name: _Labels, kinds: Sequence[_Kind]) -> Level:
        beside = await self._beside(zone, name, kinds)
        if not beside:
            return Level(to_text(name), beside)
        own, below = await asyncio.gather(
            self._ask(zone, name, kinds), self._ask(zone, (self._random, *name), kinds)
        )
        level = Level(to_text(name), beside, own, below)
        if level.by_wildcard:
            kind = dns.rdatatype.from_text(beside[0].rdtype)
            # Who takes the asterisk for something else than a label says nothing with either.
            starred, elsewhere = await asyncio.gather(
                self._ask(zone, (self._random, b"*", *name), (kind,)),
                self._ask(zone, (self._random, b"*", self._random, *name[1:]), (kind,)),
            )
            level = dataclasses.replace(level, own_wildcard=bool(elsewhere and not starred))
        return level

    def _beside(
        self, zone: Zone, name: _Labels, kinds: Sequence[_Kind]
    ) -> Awaitable[tuple[ZoneRecord, ...]]:
        beside = (self._random, *name[1:])
        return self._facts.once("beside", (beside, kinds), lambda: self._ask(zone, beside, kinds))

    def _few_beside(self, zone: Zone, name: _Labels) -> Awaitable[tuple[ZoneRecord, ...]]:
        """Return the records of few types beside ``name``, with one question if there are none.

        That is enough where a record stands already, and nothing is risked by believing a server
        that there is no such name.
        """
        beside = (self._random, *name[1:])
        return self._facts.once(
            "few beside", beside, lambda: self._ask(zone, beside, FEW_KINDS, briefly=True)
        )

    async def _ask(
        self, zone: Zone, name: _Labels, kinds: Sequence[_Kind], *, briefly: bool = False
    ) -> tuple[ZoneRecord, ...]:
        """Return the records of a name, as the first server tells that tells.

        ``briefly`` is whether to ask no further if the answer for the first type is that there is
        no such name.
        """
        if sum(len(label) + 1 for label in name) > _MAX_NAME:
            raise Unanswered(f"{to_text(name[1:])} is too long for names below it")
        troubles = []
        for host in zone.hosts:
            for address in host.addresses:
                try:
                    return await self._ask_at(address, name, kinds, briefly)
                except Unanswered as error:
                    troubles.append(f"{host.name} ({address}) {error}")
        raise Unanswered(
            f"no server of {zone.name} could be asked"
            + (f" ({'; '.join(troubles)})" if troubles else "")
        )

    async def _ask_at(
        self, address: Address, name: _Labels, kinds: Sequence[_Kind], briefly: bool
    ) -> tuple[ZoneRecord, ...]:
        records: dict[ZoneRecord, None] = {}
        for turn in (kinds[:1], kinds[1:]) if briefly else (kinds,):
            asked = [(kind, self._transport.ask(Question(name, kind), address)) for kind in turn]
            no_name = False
            for kind, future in asked:
                answer = await future
                if answer.usable and not answer.authoritative:
                    raise Unanswered("is lame: it does not answer for the zone with authority")
                if answer.usable:
                    records |= dict.fromkeys(_records(answer, name))
                    no_name = answer.rcode == dns.rcode.NXDOMAIN
                elif kind in _ESSENTIAL:
                    raise Unanswered(f"answers {answer.rcode_text}")
                # else it knows nothing of the type, and so has nothing of it to lose
            if no_name and not records:
                break
        return tuple(sorted(records))


def _records(answer: Answer, name: _Labels) -> Iterator[ZoneRecord]:
    """Yield what an answer holds for the name itself, not for others that it leads to."""
    if answer.plain is not None:
        for value in answer.plain.values:
            yield ZoneRecord("TXT", quoted(value))
        return
    owner = dns.name.Name(name)
    for record in answer.records:
        if record.owner == owner and record.data is not None:
            text = record.data.to_text()
            if record.rdtype == _Kind.TXT:
                text = quoted(text_value(record.data))
            yield ZoneRecord(dns.rdatatype.to_text(_Kind.make(record.rdtype)), text)


def _alias(records: Sequence[ZoneRecord]) -> list[str]:
    return [record.data for record in records if record.rdtype == "CNAME"]
