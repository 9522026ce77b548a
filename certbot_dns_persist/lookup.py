"""What DNS serves at many names, asked all at once.

For each name: the CNAME/DNAME chain, the zone at its end, that zone's servers, and what each of
them serves. Zone cuts and server addresses that names share are found once for a call of
:meth:`Lookup.find`, and forgotten after it, so that no answer outlives the question.

The resolvers tell where a zone is and who serves it; what stands at the name is read from the
zone's own servers, since a resolver's cache may hold yesterday's answer.
"""

import asyncio
import dataclasses
import errno
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from certbot_dns_persist.errors import LookupFailed
from certbot_dns_persist.record import validation_domain_name

if TYPE_CHECKING:
    from certbot_dns_persist.options import Options

#: Seconds that each attempt at one server may take; after the last the server counts as dead.
ATTEMPTS = (1.5, 2.5)
#: Queries under way at once, over all servers.
MAX_IN_FLIGHT = 200
#: An alias chain longer than this is a loop in all but name.
MAX_ALIASES = 12
#: What UDP answers may be long without being fragmented on common paths.
EDNS_PAYLOAD = 1232

# This machine has no way to that address family; that says nothing about the server.
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a DNS server listens."""

    host: str
    port: int = 53

    def __str__(self) -> str:
        if self.port == 53:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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


class _Unanswered(Exception):
    """No usable answer; str() says from whom and why."""


class _Unreachable(_Unanswered):
    """This machine has no route to the address."""


class Lookup:
    """Looks names up, through ``resolvers`` or those of the system.

    ``authoritative`` is whether the zones' own servers are asked for the values, or the
    resolvers. ``port`` is where authoritative servers listen.
    """

    def __init__(
        self,
        resolvers: Sequence[Address] = (),
        *,
        authoritative: bool = True,
        port: int = 53,
    ) -> None:
        self._resolvers = tuple(resolvers)
        self._authoritative = authoritative
        self._port = port

    @classmethod
    def of(cls, options: "Options") -> "Lookup":
        """Return one that asks whom ``options`` say."""
        return cls(
            [Address(host, port) for host, port in options.resolvers],
            authoritative=options.check == "authoritative",
        )

    def find(self, names: Collection[str]) -> dict[str, Found]:
        """Return what stands at each of ``names``, which have no trailing dot.

        A name that cannot be looked up has :attr:`Found.trouble`; it does not disturb the
        others. Raises :class:`~certbot_dns_persist.errors.LookupFailed` when there is no
        resolver to ask.
        """
        return self._run(lambda session: session.find_all(names))

    def inspect(self, domains: Iterable[str], *, caa: bool = True) -> Iterator[Inspection]:
        """Yield what DNS holds for each of ``domains``, which have no ``*.``, in their order.

        ``domains`` are drawn as they are needed, so there may be any number of them. The CAA
        records are those at the closest name up the tree that has any (RFC 8659 section 3);
        without ``caa`` they are not asked for. Signatures are bogus when a resolver answers
        SERVFAIL, but not when told to leave them unchecked (RFC 4035 section 3.2.2); without a
        validating resolver nothing can be told, and they count as good. Raises
        :class:`~certbot_dns_persist.errors.LookupFailed` when there is no resolver to ask.
        """
        for domain in domains:
            yield self._run(lambda session, domain=domain: session.inspect(domain, caa))  # type: ignore[misc]

    def _run(self, work: "Callable[[_Session], Coroutine[Any, Any, _T]]") -> _T:
        session = _Session(self._resolvers or system_resolvers(), self._authoritative, self._port)
        return asyncio.run(work(session))


def system_resolvers() -> tuple[Address, ...]:
    """Return the resolvers that this machine is configured to use.

    Raises :class:`~certbot_dns_persist.errors.LookupFailed` when there are none.
    """
    try:
        configured = dns.resolver.Resolver().nameservers
    except (dns.exception.DNSException, OSError) as error:
        raise LookupFailed(
            f"This machine has no DNS resolver configured ({error}). Name one with "
            "--dns-persist-resolvers, for instance 192.0.2.53 or [2001:db8::53]:53."
        ) from error
    return tuple(Address(server) for server in configured if isinstance(server, str))


class _Session:
    """The questions of one call and the answers that they share."""

    def __init__(self, resolvers: Sequence[Address], authoritative: bool, port: int) -> None:
        self._resolvers = resolvers
        self._authoritative = authoritative
        self._port = port
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._shared: dict[tuple[str, object], asyncio.Future[Any]] = {}

    async def find_all(self, names: Collection[str]) -> dict[str, Found]:
        unique = list(dict.fromkeys(names))
        found = await asyncio.gather(*map(self._find, unique))
        return dict(zip(unique, found, strict=True))

    async def inspect(self, domain: str, caa: bool) -> Inspection:
        name = validation_domain_name(domain)
        found = await self._find(name)
        inspection = Inspection(domain, found, bogus=await self.is_bogus(_name(name)))
        if not caa:
            return inspection
        try:
            return dataclasses.replace(inspection, caa=tuple(await self.caa(_name(domain))))
        except _Unanswered as error:
            return dataclasses.replace(inspection, caa_trouble=str(error))

    async def _find(self, name: str) -> Found:
        try:
            if not self._authoritative:
                return await self._find_through_resolvers(name)
            found = await self._find_at_servers(name)
            if found.answers:
                return found
            asked = "; ".join(f"{server}: {server.trouble}" for server in found.silent)
            warning = (
                f"No authoritative server of {found.zone} could be asked for {name} ({asked}). "
                "Its resolvers were asked instead; their caches may be out of date."
            )
            through = await self._find_through_resolvers(name)
            return dataclasses.replace(through, zone=found.zone, warnings=(warning,))
        except _Unanswered as error:
            return Found(name, name, None, (), trouble=str(error))

    # Through resolvers

    async def _find_through_resolvers(self, name: str) -> Found:
        qname = _name(name)
        answers = await asyncio.gather(*(self._ask_resolver(qname, at) for at in self._resolvers))
        heard = [(answer, end) for answer, end in answers if answer.values is not None]
        if not heard:
            raise _Unanswered(
                f"No resolver could be asked for {name}: "
                + "; ".join(f"{answer} {answer.trouble}" for answer, _ in answers)
            )
        return Found(name, _text(heard[0][1]), None, tuple(answer for answer, _ in answers))

    async def _ask_resolver(
        self, qname: dns.name.Name, resolver: Address
    ) -> tuple[ServerAnswer, dns.name.Name]:
        label = str(resolver)
        try:
            response = await self._query(qname, dns.rdatatype.TXT, resolver, recursive=True)
        except _Unanswered as error:
            return ServerAnswer(label, label, None, str(error)), qname
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            trouble = f"answers {dns.rcode.to_text(response.rcode())}"
            return ServerAnswer(label, label, None, trouble), qname
        end = _end_of_chain(response, qname)
        return ServerAnswer(label, label, _txt_values(response, end)), end

    # At the zones' own servers

    async def _find_at_servers(self, name: str) -> Found:
        """Follow the aliases from zone to zone; at each, ask all of the zone's servers."""
        chain = [_name(name)]
        stragglers: list[ServerAnswer] = []
        while True:
            # No resolver is asked for the name itself: it would remember that there is nothing,
            # and so might the CA, which may use the same one, after the record is there.
            zone = await self._zone_cut(chain[-1].parent())
            answers = await self._ask_servers(chain[-1], zone)
            while cut := _most_common(answer.referral for answer in answers):
                zone = _name(cut)
                answers = await self._ask_servers(chain[-1], zone)
            target = _most_common(answer.alias for answer in answers)
            if target is None:
                break
            stragglers += [answer for answer in answers if answer.alias != target]
            if _name(target) in chain or len(chain) > MAX_ALIASES:
                raise _Unanswered(
                    f"{name} is an alias that never ends: "
                    + " -> ".join([*map(_text, chain), target])
                )
            chain.append(_name(target))
        return Found(
            name,
            _text(chain[-1]),
            _text(zone),
            tuple(stragglers + answers),
        )

    async def _ask_servers(self, qname: dns.name.Name, zone: dns.name.Name) -> list[ServerAnswer]:
        hosts = await self._servers(zone)
        per_host = await asyncio.gather(*(self._ask_host(qname, zone, host) for host in hosts))
        return [answer for answers in per_host for answer in answers]

    async def _ask_host(
        self, qname: dns.name.Name, zone: dns.name.Name, host: dns.name.Name
    ) -> list[ServerAnswer]:
        try:
            addresses = await self._addresses(host)
        except _Unanswered as error:
            return [ServerAnswer(_text(host), "address unknown", None, str(error))]
        answers = await asyncio.gather(
            *(self._ask_address(qname, zone, host, address) for address in addresses)
        )
        reached = [answer for answer, reachable in answers if reachable]
        return reached or [answer for answer, _ in answers]

    async def _ask_address(
        self, qname: dns.name.Name, zone: dns.name.Name, host: dns.name.Name, address: str
    ) -> tuple[ServerAnswer, bool]:
        """Return the answer, and whether this machine has a route to the address at all."""
        at = Address(address, self._port)
        server = ServerAnswer(_text(host), str(at), None)
        try:
            response = await self._query(qname, dns.rdatatype.TXT, at, recursive=False)
        except _Unanswered as error:
            trouble = dataclasses.replace(server, trouble=str(error))
            return trouble, not isinstance(error, _Unreachable)
        return dataclasses.replace(server, **_read_authoritative(response, qname, zone)), True

    async def _zone_cut(self, name: dns.name.Name) -> dns.name.Name:
        """Return the apex of the zone that holds ``name``."""
        return await self._once("zone cut", name, lambda: self._find_zone_cut(name))

    async def _find_zone_cut(self, name: dns.name.Name) -> dns.name.Name:
        response = await self._recurse(name, dns.rdatatype.SOA)
        for rrset in response.answer:
            if rrset.rdtype == dns.rdatatype.SOA and rrset.name == name:
                return name
        # Behind an alias the SOA is that of another zone; the name above is free of it.
        if not response.answer:
            for rrset in response.authority:
                if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
                    if rrset.name == dns.name.root:
                        break
                    return rrset.name
        if len(name.labels) <= 2:
            raise _Unanswered(f"no zone holds {_text(name)}: the domain is not in DNS")
        return await self._zone_cut(name.parent())

    async def _servers(self, zone: dns.name.Name) -> list[dns.name.Name]:
        return await self._once("servers", zone, lambda: self._find_servers(zone))

    async def _find_servers(self, zone: dns.name.Name) -> list[dns.name.Name]:
        response = await self._recurse(zone, dns.rdatatype.NS)
        hosts = [
            record.target
            for rrset in response.answer
            if rrset.rdtype == dns.rdatatype.NS and rrset.name == zone
            for record in rrset
        ]
        if not hosts:
            raise _Unanswered(f"the zone {_text(zone)} has no name servers in DNS")
        return sorted(hosts)

    async def _addresses(self, host: dns.name.Name) -> list[str]:
        return await self._once("addresses", host, lambda: self._find_addresses(host))

    async def _find_addresses(self, host: dns.name.Name) -> list[str]:
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        responses = await asyncio.gather(
            *(self._recurse(host, kind) for kind in kinds), return_exceptions=True
        )
        addresses: list[str] = []
        for kind, response in zip(kinds, responses, strict=True):
            if isinstance(response, dns.message.Message):
                end = _end_of_chain(response, host)
                addresses += [
                    record.address
                    for rrset in response.answer
                    if rrset.rdtype == kind and rrset.name == end
                    for record in rrset
                ]
            elif not isinstance(response, _Unanswered):
                raise response
        if not addresses:
            raise _Unanswered("the server's name has no address in DNS")
        return addresses

    # CAA and DNSSEC

    async def caa(self, domain: dns.name.Name) -> list[tuple[int, str, str]]:
        while domain != dns.name.root:
            response = await self._recurse(domain, dns.rdatatype.CAA)
            end = _end_of_chain(response, domain)
            records = [
                (record.flags, record.tag.decode("ascii"), _decode(record.value))
                for rrset in response.answer
                if rrset.rdtype == dns.rdatatype.CAA and rrset.name == end
                for record in rrset
            ]
            if records:
                return records
            domain = domain.parent()
        return []

    async def is_bogus(self, name: dns.name.Name) -> bool:
        for resolver in self._resolvers:
            try:
                checked = await self._query(name, dns.rdatatype.TXT, resolver, recursive=True)
                if checked.rcode() != dns.rcode.SERVFAIL:
                    continue
                unchecked = await self._query(
                    name, dns.rdatatype.TXT, resolver, recursive=True, checking_disabled=True
                )
            except _Unanswered:
                continue
            if unchecked.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return True
        return False

    # The wire

    async def _once(
        self, kind: str, key: object, find: Callable[[], Coroutine[Any, Any, _T]]
    ) -> _T:
        """Return what ``find`` finds, which is asked once however many names want it."""
        if (kind, key) not in self._shared:
            self._shared[kind, key] = asyncio.ensure_future(find())
        shared: Awaitable[_T] = self._shared[kind, key]
        return await shared

    async def _recurse(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> dns.message.Message:
        """Return the first usable answer of the resolvers, asked one after the other."""
        troubles = []
        for resolver in self._resolvers:
            try:
                response = await self._query(name, kind, resolver, recursive=True)
            except _Unanswered as error:
                troubles.append(f"{resolver} {error}")
                continue
            if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return response
            troubles.append(f"{resolver} answers {dns.rcode.to_text(response.rcode())}")
        raise _Unanswered(
            f"{dns.rdatatype.to_text(kind)} of {_text(name)} cannot be resolved: "
            + "; ".join(troubles)
        )

    async def _query(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        server: Address,
        *,
        recursive: bool,
        checking_disabled: bool = False,
    ) -> dns.message.Message:
        """Return the server's answer, whatever its rcode."""
        query = dns.message.make_query(name, kind, use_edns=0, payload=EDNS_PAYLOAD)
        if not recursive:
            query.flags &= ~dns.flags.RD
        if checking_disabled:
            query.flags |= dns.flags.CD
        async with self._in_flight:
            response = await self._exchange(query, server)
            if response.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS):
                query.use_edns(False)  # from before EDNS (RFC 6891 section 7)
                response = await self._exchange(query, server)
        return response

    async def _exchange(self, query: dns.message.Message, server: Address) -> dns.message.Message:
        trouble = ""
        for timeout in ATTEMPTS:
            try:
                response, _ = await dns.asyncquery.udp_with_fallback(
                    query, server.host, timeout=timeout, port=server.port, ignore_unexpected=True
                )
                return response
            except dns.exception.Timeout:
                trouble = f"does not answer within {sum(ATTEMPTS):g} seconds"
            except OSError as error:
                trouble = f"cannot be reached: {error.strerror or error}"
                if error.errno in _NO_ROUTE:
                    raise _Unreachable(trouble) from error
            except (dns.exception.DNSException, EOFError) as error:
                trouble = f"answers something else than asked ({type(error).__name__})"
        raise _Unanswered(trouble)


def _read_authoritative(
    response: dns.message.Message, qname: dns.name.Name, zone: dns.name.Name
) -> dict[str, Any]:
    """Return the fields of a :class:`ServerAnswer` that an answer of the zone's server fills."""
    rcode = response.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return {"trouble": f"answers {dns.rcode.to_text(rcode)}"}
    if not response.flags & dns.flags.AA:
        for rrset in response.authority:
            below = rrset.name != zone and rrset.name.is_subdomain(zone)
            if rrset.rdtype == dns.rdatatype.NS and below and qname.is_subdomain(rrset.name):
                return {"referral": _text(rrset.name), "trouble": f"refers to {rrset.name}"}
        return {"trouble": "is lame: it does not answer for the zone with authority"}
    alias = _alias(response, qname)
    if alias is not None:
        return {"values": (), "alias": _text(alias)}
    return {"values": _txt_values(response, qname)}


def _most_common(names: Iterable[str | None]) -> str | None:
    ranked = Counter(name for name in names if name is not None).most_common(1)
    return ranked[0][0] if ranked else None


def _alias(response: dns.message.Message, qname: dns.name.Name) -> dns.name.Name | None:
    """Return the name that ``qname`` stands for by a CNAME or, failing that, a DNAME."""
    for rrset in response.answer:
        if rrset.rdtype == dns.rdatatype.CNAME and rrset.name == qname:
            target: dns.name.Name = rrset[0].target
            return target
    for rrset in response.answer:
        if rrset.rdtype == dns.rdatatype.DNAME and qname.is_subdomain(rrset.name):
            owner = qname.relativize(rrset.name)
            if owner != dns.name.empty:
                return owner.concatenate(rrset[0].target)
    return None


def _end_of_chain(response: dns.message.Message, qname: dns.name.Name) -> dns.name.Name:
    """Return the last name of the alias chain that a resolver's answer shows."""
    end, seen = qname, {qname}
    while (alias := _alias(response, end)) is not None and alias not in seen:
        end = alias
        seen.add(end)
    return end


def _txt_values(response: dns.message.Message, owner: dns.name.Name) -> tuple[str, ...]:
    return tuple(
        _decode(b"".join(record.strings))
        for rrset in response.answer
        if rrset.rdtype == dns.rdatatype.TXT and rrset.name == owner
        for record in rrset
    )


def _decode(octets: bytes) -> str:
    # Other people's values may hold anything; what is not UTF-8 must survive to be shown.
    return octets.decode("utf-8", "surrogateescape")


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise _Unanswered(f"{text} cannot stand in DNS: {error}") from error


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
