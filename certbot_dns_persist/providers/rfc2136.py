"""Dynamic updates (RFC 2136), signed with a TSIG key (RFC 8945): BIND, Knot, PowerDNS and others.

Keys in the credentials file, each with the prefix ``dns_persist_rfc2136_``, or ``dns_rfc2136_`` as
in the files of certbot-dns-rfc2136:

============================  ===================================================================
``server``                    the zone's primary server: an address or a host name
``port``                      default 53
``name``                      of the TSIG key
``secret``                    of the TSIG key, in base64
``algorithm``                 of the TSIG key; default HMAC-SHA256, but HMAC-MD5 in a file that was
                              made for certbot-dns-rfc2136, as there
``sign_query``                ``true`` to sign queries too, ``false`` not to; default: as far as
                              the server accepts that, so that we read what an update would change
                              (views by key); where updates go to another server, only if this one
                              does not answer otherwise
``update_server``             where updates go, when ``server`` only answers queries, as with a
                              primary that is hidden; at the same port
``server_proto_pref``         how to query ``server``: ``tcp_only``, ``udp_only``, or ``tcp_first``
                              or ``udp_first`` and then the other; default ``tcp_only``, but
                              ``tcp_first`` in a file that was made for certbot-dns-rfc2136
``update_server_proto_pref``  the same for updates; default ``tcp_only``
============================  ===================================================================

By default everything goes over TCP, which every server must support (RFC 7766 section 5): answers
are not truncated or easily forged, and a firewall that lets queries through lets updates through.
"""

import base64
import dataclasses
import datetime
import ipaddress
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL, whole_number
from certbot_dns_persist.providers.common import file_of, value_of
from certbot_dns_persist.providers.exchange import Server, UnreachableError
from certbot_dns_persist.providers.interface import (
    Addition,
    IAnsweringProvider,
    ILookingProvider,
    IManyProvider,
    Seen,
    Settings,
)
from certbot_dns_persist.value.txt import from_strings, to_strings
from certbot_dns_persist.wait import look_until

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rcode import Rcode
    from dns.rdata import Rdata
    from dns.rdatatype import RdataType
    from dns.rdtypes.ANY.TXT import TXT
    from dns.rrset import RRset
    from dns.update import UpdateMessage

_T = TypeVar("_T")

_PREFIX = "dns_persist_rfc2136_"

_ALGORITHMS = {
    # RFC 8945 section 6: the name on the wire differs only for the oldest.
    "hmac-md5": "hmac-md5.sig-alg.reg.int",
    "hmac-sha1": "hmac-sha1",
    "hmac-sha224": "hmac-sha224",
    "hmac-sha256": "hmac-sha256",
    "hmac-sha256-128": "hmac-sha256-128",
    "hmac-sha384": "hmac-sha384",
    "hmac-sha384-192": "hmac-sha384-192",
    "hmac-sha512": "hmac-sha512",
    "hmac-sha512-256": "hmac-sha512-256",
}

_KEYS = "BIND: the key statement; Knot: key; PowerDNS: pdnsutil list-tsig-keys"
_ALLOW = (
    "BIND: update-policy or allow-update of the zone; Knot: an acl of the zone with action: "
    "update; PowerDNS: the zone's metadata TSIG-ALLOW-DNSUPDATE"
)

_KERBEROS = ("gss-tsig", "gss.microsoft.com")

_PROTOCOLS = {
    "tcp_only": ("TCP",),
    "tcp_first": ("TCP", "UDP"),
    "udp_only": ("UDP",),
    "udp_first": ("UDP", "TCP"),
}

_SETTLE = 10.0  # seconds within which a server must serve a removal, if it may be of no effect
_TCP_MESSAGE = 65_000  # octets of an update, which its length has 16 bits for
_UDP_MESSAGE = 512  # RFC 1035 section 4.2.1; we cannot know whether a server takes more
_PAUSE = 0.2  # seconds between two looks at what it serves
_SIGNATURE = 512  # octets for a TSIG record, with the longest names
_RECORD = 10  # octets of a record, without its name and its data
_NAMED = 3  # names that an error about many has
_TRIES = 50  # to add a record while others change those beside it


@implementer(IAnsweringProvider, ILookingProvider, IManyProvider)
class Rfc2136:
    """One primary server, and the key that may change TXT records there."""

    writes = True
    KEYS = frozenset(
        {
            "server",
            "port",
            "name",
            "secret",
            "algorithm",
            "sign_query",
            "update_server",
            "server_proto_pref",
            "update_server_proto_pref",
        }
    )

    def __init__(self, settings: Settings) -> None:
        """Check the settings, without the network.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if a key is missing or cannot
        be used.
        """
        import dns.tsig

        self._settings = settings
        self._file = file_of(settings)
        missing = [key for key in ("server", "name", "secret") if not self._get(key)]
        if missing:
            raise errors.ConfigurationError(
                "The provider rfc2136 needs "
                f"{', '.join(_PREFIX + key for key in missing)}. Add that to {self._file}. (What "
                "tsig-keygen prints may stand there, too: it has name, secret and algorithm.)"
            )
        if self._get("algorithm").lower().rstrip(".") in _KERBEROS:
            raise errors.ConfigurationError(
                f"{_PREFIX}algorithm in {self._file} is {self._get('algorithm')}: updates signed "
                "with Kerberos, as Microsoft's DNS server demands where a zone takes only secure "
                "ones. We sign with a TSIG key, which that server does not know. Let a program do "
                "it, such as nsupdate -g, with --dns-persist-provider script; or point the "
                "validation names with a CNAME to a zone on a server that takes TSIG keys."
            )
        self._server = self._updated = self._parsed_server("server")
        if self._get("update_server"):
            self._updated = self._parsed_server("update_server")
        self._querying, self._updating = (
            self._parsed(key, _protocols, f"one of {', '.join(_PROTOCOLS)}", default="tcp_only")
            for key in ("server_proto_pref", "update_server_proto_pref")
        )
        self._algorithm = self._parsed(
            "algorithm", _algorithm, f"one of {', '.join(_ALGORITHMS)}", default="hmac-sha256"
        )
        self._signing: tuple[bool, ...] = (False, True) if self._apart else (True, False)
        """Whether to sign queries: first so and then, if that is of no use, so."""
        if self._get("sign_query"):
            self._signing = (self._parsed("sign_query", _signs, "true or false"),)
        self._key = dns.tsig.Key(
            self._parsed("name", _absolute, "the name of a TSIG key"),
            self._parsed("secret", _secret, "base64, as in the server's configuration"),
            _ALGORITHMS[self._algorithm],
        )
        self._zones: dict[Name, Name] = {}
        self._looked_at: dict[Name, _There] = {}
        """What :meth:`look_at_many` has read and :meth:`add_many` need not read again."""
        self._knowing: set[Server] = set()
        """Servers that have signed an answer with the key."""

    def zone_for(self, name: str) -> str:
        """Return the zone that holds ``name`` on the server itself.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the server cannot be asked, or
        is not authoritative there.
        """
        return _shown(self._zone(_absolute(name)))

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values that the server itself has at ``name``; an alias has none.

        Octets that are not UTF-8 are escaped as surrogates (PEP 383).

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the server cannot be asked, or
        is not authoritative there.
        """
        return _values(self._read(_absolute(name)))

    def look_at_many(self, names: Sequence[str]) -> list[Seen | errors.ProviderError]:
        """Look at many names together, as :meth:`zone_for` and :meth:`list_values` at one."""
        owners = [_absolute(name) for name in names]
        seen: list[Seen | errors.ProviderError] = []
        read = self._read_all(owners)
        for owner, there, zone in zip(owners, read, self._find_zones(owners), strict=True):
            if isinstance(there, errors.ProviderError):
                seen.append(there)
            elif isinstance(zone, errors.ProviderError):
                seen.append(zone)
            else:
                seen.append(Seen(_shown(zone), _values(there)))
                self._looked_at[owner] = there
        return seen

    def has_value(self, name: str, value: str) -> bool | None:
        """Whether the TXT ``value`` stands at ``name``; ``None`` when that cannot be told.

        :raises errors.ProviderError: the server cannot be asked, or is not authoritative there.
        """
        owner = _absolute(name)
        records = self._read(owner).records
        if _reading(records, value):
            return True
        return False if self._confirms(owner, records) else None

    def _confirms(self, name: "Name", records: "RRset | None") -> bool:
        """Whether updates go to where exactly ``records`` stand at ``name``.

        What we read may be late, made from a wildcard, or of another view. An update that changes
        nothing asks the server that would carry it out (RFC 2136 section 2.4). Knot may refuse that
        though it allows changes; so a refusal says nothing.
        """
        import dns.rcode
        import dns.rdatatype
        import dns.update

        zone = self._zone(name)
        question = dns.update.UpdateMessage(zone)
        if records:
            question.present(name, *records)
        else:
            question.absent(name, dns.rdatatype.TXT)
        (answer,) = self._change_all([question])
        if isinstance(answer, _NoAnswer):
            raise self._not_changed(name, zone, answer)
        return answer == dns.rcode.NOERROR

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Add one TXT record to those at ``name``; return the TTL in seconds that it has.

        :raises errors.ProviderError: the server cannot be asked, or refuses; or ``name`` is an
            alias.
        """
        (outcome,) = self.add_many([Addition(name, value, ttl)])
        if isinstance(outcome, errors.ProviderError):
            raise outcome
        return outcome

    def add_many(self, additions: Sequence[Addition]) -> list[int | errors.ProviderError]:
        """Add records, those of a zone in as few updates as they fit into.

        The records of one name and type share a TTL (RFC 2181 5.2), and servers give that of the
        newcomer to all of them. So records that stand there keep theirs, whatever was asked for,
        and the user is told. An update has the prerequisites (RFC 2136 2.4.2, 2.4.3) that the
        records at its names are still those that were read. A signed NOERROR is an accepted
        change: that the server does not show it yet, or to us, is no error.
        """
        adding = [_Adding(each, _absolute(each.name)) for each in additions]
        known, self._looked_at = self._looked_at, {}
        for _ in range(_TRIES):
            # Of several values for a name, the first one: the next begins with what that leaves.
            now: dict[Name, _Adding] = {}
            for each in adding:
                if each.open:
                    now.setdefault(each.owner, each)
            self._prepare([*now.values()], known)
            known = {}
            self._send([each for each in now.values() if each.open])
            if not any(each.open for each in adding):
                break
            # Somebody else was faster, or we were and the answer got lost: look again.
            if self._apart and any(each.open for each in now.values()):
                time.sleep(_PAUSE)  # it has yet to get what the other server has
        self._take_ttls([each for each in adding if each.accepted])
        return [self._told(each) for each in adding]

    def _prepare(self, adding: "Sequence[_Adding]", known: "Mapping[Name, _There]") -> None:
        """Look at the names of records, and settle how each is added, unless it is there.

        What is ``known`` may have changed. Then the prerequisites fail, and we look again.
        """
        owners = [each.owner for each in adding]
        lacking = [
            each.owner
            for each in adding
            if each.owner not in known or _reading(known[each.owner].records, each.value)
        ]
        read = {**known, **dict(zip(lacking, self._read_all(lacking), strict=True))}
        for each, zone in zip(adding, self._find_zones(owners), strict=True):
            there = read[each.owner]
            if isinstance(there, errors.ProviderError):
                each.outcome = there
                continue
            if isinstance(zone, errors.ProviderError):
                each.outcome = zone
                continue
            records, alias = there
            each.zone = zone
            if alias and each.denied_alias:
                # A server silently ignores an addition beside a CNAME (RFC 2136 section 3.4.2.2).
                each.outcome = errors.ProviderError(
                    f"No TXT record can be added at {each.name} in the zone {_shown(each.zone)} on "
                    f"{self._server}: the name is an alias (CNAME) for {alias}. The record belongs "
                    "there."
                )
                continue
            each.denied_alias = alias is not None
            if records and _reading(records, each.value):
                each.outcome = records.ttl
                continue
            times = each.denied[1] + 1 if each.denied and each.denied[0] == records else 0
            each.denied = records, times
            # Served at this name, yet not there when the update looked: they are made from a
            # wildcard (RFC 4592), and the name has none of its own. An alias may be, too, which
            # the update then overrides; its prerequisites fail at one that is not.
            each.beside = None if times else records
            # And if there are others, then this server is late, or shows us another view.
            each.blind = times > 1

    def _send(self, adding: "Sequence[_Adding]") -> None:
        """Add records; leave those open whose prerequisites fail.

        A message is done as a whole or not at all. So one that is refused is split, until each
        record has the answer that it would get alone.
        """
        import dns.rcode

        room = _UDP_MESSAGE if "UDP" in self._updating else _TCP_MESSAGE
        batches = _batches(adding, room)
        failed: dict[_Adding, _Failed] = {}
        while batches:
            answers = self._change_all([_addition(batch) for batch in batches])
            smaller: list[Sequence[_Adding]] = []
            for batch, answer in zip(batches, answers, strict=True):
                if len(batch) > 1 and answer != dns.rcode.NOERROR:
                    first = batch[:1]
                    if not isinstance(answer, _NoAnswer):
                        middle = len(batch) // 2
                        smaller += [batch[:middle], batch[middle:]]
                        continue
                    # Something on the way may drop messages of this size.
                    (answer,) = self._change_all([_addition(first)])
                    if not isinstance(answer, _NoAnswer):
                        smaller += [[each] for each in batch[1:]]
                        batch = first
                if isinstance(answer, _Failed):
                    failed |= dict.fromkeys(batch, answer)
                elif answer == dns.rcode.NOERROR:
                    for each in batch:
                        each.accept()
            batches = smaller
        for zone in {each.zone for each in failed}:
            of_zone = [each for each in adding if each in failed and each.zone == zone]
            why = self._unchanged(zone, [(each.name, failed[each]) for each in of_zone])
            for each, error in zip(of_zone, why, strict=True):
                each.outcome = error

    def _take_ttls(self, accepted: "Sequence[_Adding]") -> None:
        """Take the TTLs of what was accepted from the server, where it shows them.

        It sets bounds for a zone, not for a name: if one record has the TTL that it was to get, so
        have the others of its zone with the same.
        """
        like: dict[tuple[Name, int], list[_Adding]] = {}
        for each in accepted:
            like.setdefault((each.zone, each.used_ttl), []).append(each)
        samples = [same[0] for same in like.values()]
        self._take_ttls_of([*samples, *(each for each in accepted if each.blind)])
        others = [same[1:] for same in like.values() if same[0].outcome != same[0].used_ttl]
        self._take_ttls_of([each for same in others for each in same])

    def _take_ttls_of(self, accepted: "Sequence[_Adding]") -> None:
        for each, there in zip(accepted, self._read_all([a.owner for a in accepted]), strict=True):
            if isinstance(there, errors.ProviderError):
                continue  # it is published all the same
            records = there.records
            if records and _reading(records, each.value):
                each.outcome = records.ttl

    def _told(self, each: "_Adding") -> int | errors.ProviderError:
        """Return how an addition ended; tell the user of another TTL than was asked for."""
        if each.outcome is None:
            return errors.ProviderError(
                f"The TXT records at {each.name} on {self._server} changed each of the {_TRIES} "
                "times that we tried to add one. Find out what keeps changing them, then try again."
            )
        if isinstance(each.outcome, int) and each.outcome != each.ttl:
            self._settings.notify(
                f"The TTL at {each.name} is {each.outcome} seconds instead of {each.ttl}: records "
                "that stand there keep theirs, and a server may set bounds."
            )
        return each.outcome

    def remove_value(self, name: str, value: str) -> None:
        """Delete the TXT records at ``name`` whose joined value is ``value``.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the server cannot be asked,
        refuses, or accepts and does nothing.
        """
        import dns.update

        owner = _absolute(name)
        records, alias = self._read(owner)
        if alias is not None:
            return
        doomed = _reading(records, value)
        certain = self._confirms(owner, records)
        if certain and not doomed:
            return
        zone = self._zone(owner)
        update = dns.update.UpdateMessage(zone)
        update.delete(owner, *(doomed or [_text(value)]))
        (answer,) = self._change_all([update])
        if isinstance(answer, _Failed):
            raise self._not_changed(owner, zone, answer)
        if doomed and not certain:
            self._check_removed(owner, value)

    # What is asked of the server, in terms of records.

    def _zone(self, name: "Name") -> "Name":
        (zone,) = self._find_zones([name])
        if isinstance(zone, errors.ProviderError):
            raise zone
        return zone

    def _find_zones(self, names: "Sequence[Name]") -> "list[Name | errors.ProviderError]":
        """Return the zones that hold ``names``: the owners of the SOA records in the answers.

        An answer that there is none at a name contains the zone's (RFC 2308 section 3), except
        below an alias, where we ask for the parent.
        """
        import dns.name
        import dns.rdatatype

        failed: dict[Name, errors.ProviderError] = {}
        asked = {name: name for name in names if name not in self._zones}
        while asked:
            above: dict[Name, Name] = {}
            replies = self._look_up([*asked.values()], dns.rdatatype.SOA)
            for (name, place), reply in zip(asked.items(), replies, strict=True):
                if isinstance(reply, errors.ProviderError):
                    failed[name] = reply
                    continue
                zone = _zone_in(reply, place)
                if zone is not None:
                    self._zones[name] = zone
                elif place != dns.name.root:
                    above[name] = place.parent()
                else:
                    failed[name] = errors.ProviderError(
                        f"Cannot find the zone of {_shown(name)}: {self._server} gives no SOA "
                        f"record for it or any name above it. Correct {_PREFIX}server in "
                        f"{self._file} to the zone's primary server."
                    )
            asked = above
        return [failed.get(name) or self._zones[name] for name in names]

    def _read(self, name: "Name") -> "_There":
        (there,) = self._read_all([name])
        if isinstance(there, errors.ProviderError):
            raise there
        return there

    def _read_all(self, names: "Sequence[Name]") -> "list[_There | errors.ProviderError]":
        """Return what stands at each of ``names``, and remember what that says of their zones."""
        import dns.rdatatype

        found: list[_There | errors.ProviderError] = []
        for name, reply in zip(names, self._look_up(names, dns.rdatatype.TXT), strict=True):
            if isinstance(reply, errors.ProviderError):
                found.append(reply)
                continue
            zone = _zone_in(reply, name)
            if zone is not None:
                self._zones[name] = zone
            found.append(_there(name, reply))
        return found

    def _check_removed(self, name: "Name", value: str) -> None:
        """Raise if the server still serves what it agreed to remove."""
        left = look_until(
            lambda: _reading(self._read(name).records, value),
            lambda left: not left,
            _SETTLE,
            pauses=(_PAUSE, _PAUSE),
        )
        if left:
            raise errors.ProviderError(
                f"The removal of a TXT record at {_shown(name)} in the zone "
                f"{_shown(self._zone(name))} was accepted, but not made: {self._server} still "
                f"serves it {_SETTLE:g} seconds later. Look into its log, and for a wildcard "
                "record above the name or a cache before the server."
            )

    def _look_up(
        self, names: "Sequence[Name]", rdtype: "RdataType"
    ) -> "list[Message | errors.ProviderError]":
        """Ask for the records of a type at each name; return only what is authoritative.

        Signed, as far as the server goes along: the key may choose the view (RFC 8945).
        """
        found: dict[Name, Message | _Failed] = {}
        for signed in self._signing:
            left = [name for name in dict.fromkeys(names) if _asks_for_more(found.get(name))]
            answers = self._answers(left, rdtype, signed=signed)
            for name, answer in zip(left, answers, strict=True):
                # If neither is answered, an unsigned question has the better reason.
                if not (signed and name in found and isinstance(answer, _Failed)):
                    found[name] = answer
            if signed and any(isinstance(answer, _KeyNotTaken) for answer in answers):
                self._signing = self._signing if len(self._signing) == 1 else (False,)
        failed = [(name, why) for name, why in found.items() if isinstance(why, _Failed)]
        told = self._errors([(_shown(name), why) for name, why in failed], "look up {}".format)
        why_not = dict(zip((name for name, _ in failed), told, strict=True))
        return [
            why_not[name] if isinstance(answer := found[name], _Failed) else answer
            for name in names
        ]

    def _answers(
        self, names: "Sequence[Name]", rdtype: "RdataType", *, signed: bool
    ) -> "list[Message | _Failed]":
        import dns.message

        # Without RD: a resolver's cache is of no use.
        queries = [dns.message.make_query(name, rdtype, flags=0) for name in names]
        replies = self._exchange(self._server, self._querying, queries, signed=signed)
        return [
            reply if isinstance(reply, _Failed) else self._authoritative(name, reply)
            for name, reply in zip(names, replies, strict=True)
        ]

    def _authoritative(self, name: "Name", reply: "Message") -> "Message | _Failed":
        """Return an answer, or why it is of no use."""
        import dns.flags
        import dns.name
        import dns.rcode
        import dns.rdatatype

        rcode = reply.rcode()
        if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            advice = {
                dns.rcode.REFUSED: "It has no zone for that name, or does not let this machine "
                f"ask. Correct {_PREFIX}server to the primary server of the zone; if the key "
                f"selects a view, set {_PREFIX}sign_query = true",
                dns.rcode.SERVFAIL: "Often it could not load the zone; its log says why",
            }.get(rcode, "Its log may say why")
            return _Failed(self._server, f"answered {dns.rcode.to_text(rcode)}. {advice}")
        if reply.flags & dns.flags.AA:
            return reply
        fault = "is not authoritative for that name"
        for rrset in reply.authority:
            if rrset.rdtype == dns.rdatatype.NS and rrset.name != dns.name.root:
                servers = ", ".join(sorted(rdata.to_text().rstrip(".") for rdata in rrset))
                fault = f"delegates {_shown(rrset.name)} to {servers}"
        return _Failed(
            self._server, f"{fault}. Correct {_PREFIX}server to the primary server of the zone"
        )

    def _not_changed(self, name: "Name", zone: "Name", why: "_Failed") -> errors.ProviderError:
        return self._unchanged(zone, [(_shown(name), why)])[0]

    def _unchanged(
        self, zone: "Name", failed: "Sequence[tuple[str, _Failed]]"
    ) -> list[errors.ProviderError]:
        """Return why each of several names of a zone may not have been changed."""

        def task(names: str) -> str:
            return f"change the TXT records at {names} in the zone {_shown(zone)}"

        return self._errors(failed, task, unanswered=errors.OutcomeUnknown)

    def _change_all(self, updates: "Sequence[UpdateMessage]") -> "list[Rcode | _Failed]":
        """Send updates; return for each NOERROR, or YXRRSET or NXRRSET if a prerequisite failed.

        RFC 2136 section 2.2 defines the codes.
        """
        import dns.rcode

        server = self._updated
        advice = {
            dns.rcode.FORMERR: "It did not understand the update. Does it speak RFC 2136?",
            dns.rcode.SERVFAIL: "Often it cannot write the zone's file or journal; its log says "
            "why",
            dns.rcode.NOTIMP: "It takes no dynamic updates: another provider is needed",
            dns.rcode.REFUSED: self._refusal(server),
            dns.rcode.NOTAUTH: f"It is not the primary server of the zone: correct {server.key}",
            dns.rcode.NOTZONE: "There the name is outside that zone. Was the zone just moved?",
        }
        decided: list[Rcode | _Failed] = []
        for reply in self._exchange(server, self._updating, updates, signed=True):
            if isinstance(reply, _Failed):
                decided.append(reply)
                continue
            rcode = reply.rcode()
            if rcode not in (dns.rcode.NOERROR, dns.rcode.YXRRSET, dns.rcode.NXRRSET):
                why = advice.get(rcode, "Its log may say why")
                decided.append(_Failed(server, f"answered {dns.rcode.to_text(rcode)}. {why}"))
            else:
                decided.append(rcode)
        return decided

    def _refusal(self, server: Server) -> str:
        allow = (
            f"does not allow {self._whose} to do that. Allow it ({_ALLOW}); if this is a secondary "
            f"server, correct {server.key} to the primary"
        )
        if server in self._knowing:
            return f"It {allow}"
        compare = _compare("name", "algorithm", "secret")
        return f"It {allow}. PowerDNS also answers so if the key or its secret is wrong. {compare}"

    # How it is asked.

    def _exchange(
        self,
        server: Server,
        protocols: Sequence[str],
        requests: "Sequence[Message]",
        *,
        signed: bool,
    ) -> "list[Message | _Failed]":
        """Return the server's answers, whatever their codes, once their signatures are verified."""
        ids = random.SystemRandom().sample(range(1 << 16), len(requests))
        for request, number in zip(requests, ids, strict=True):
            request.id = number
            if signed:
                request.use_tsig(self._key)
        replies: list[Message | _Failed] = []
        for request, answer in zip(requests, server.answers(requests, protocols), strict=True):
            if isinstance(answer, UnreachableError):
                replies.append(_NoAnswer(server, str(answer)))
                continue
            try:
                replies.append(self._verified(server, request, answer, signed=signed))
            except _Failed as failed:
                replies.append(failed)
        return replies

    def _verified(
        self, server: Server, request: "Message", answer: bytes, *, signed: bool
    ) -> "Message":
        import dns.exception
        import dns.message
        import dns.rcode
        import dns.tsig

        try:
            reply = _decoded(answer, request)
        except dns.tsig.PeerBadKey as error:
            if server in self._knowing:
                fault = (
                    f"knows {self._whose}, but does not allow it to do that (BADKEY). Allow it "
                    f"({_ALLOW})"
                )
            else:
                fault = (
                    f"does not know {self._whose}, or, if it is Knot, allows it nothing (BADKEY). "
                    f"{_compare('name', 'algorithm')}"
                )
            raise _KeyNotTaken(server, fault) from error
        except dns.tsig.PeerBadSignature as error:
            fault = f"has another secret for {self._whose} (BADSIG). {_compare('secret')}"
            raise _KeyNotTaken(server, fault) from error
        except dns.tsig.PeerBadTruncation as error:
            fault = f"wants longer signatures than {self._whose} makes (BADTRUNC). "
            raise _KeyNotTaken(server, fault + _compare("algorithm")) from error
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime) as error:
            fault = f"and this machine have different clocks (BADTIME). {_clocks(answer)}"
            raise _KeyNotTaken(
                server, f"{fault}. Set the wrong one right, then try again"
            ) from error
        except (
            dns.tsig.BadSignature,
            dns.tsig.BadKey,
            dns.tsig.BadAlgorithm,
            dns.message.UnknownTSIGKey,
        ) as error:
            fault = f"did not sign its answer with {self._whose}. Something on the way may forge it"
            raise _KeyNotTaken(server, fault) from error
        except dns.exception.DNSException as error:
            fault = f"did not send a DNS answer ({type(error).__name__}). Check {_PREFIX}port"
            raise _Failed(server, fault) from error
        if not request.is_response(reply):
            raise _Failed(server, "answered a different question")
        codes = dns.rcode.Rcode
        decisions = (codes.NOERROR, codes.NXDOMAIN, codes.YXRRSET, codes.NXRRSET)
        if signed and not reply.had_tsig and reply.rcode() in decisions:
            # RFC 8945 5.3: anybody could have said that.
            fault = "did not sign its answer. Something on the way may forge it"
            raise _KeyNotTaken(server, fault)
        if reply.had_tsig:
            self._knowing.add(server)
        return reply

    # What is said to the user.

    @property
    def _apart(self) -> bool:
        """Whether updates go to a server other than the one that we query."""
        return self._updated.host != self._server.host

    @property
    def _whose(self) -> str:
        return f"the TSIG key {_shown(self._key.name)} ({self._algorithm})"

    def _errors(
        self,
        failed: "Sequence[tuple[str, _Failed]]",
        task: Callable[[str], str],
        unanswered: type[errors.ProviderError] = errors.ProviderError,
    ) -> list[errors.ProviderError]:
        """Return the error for each of several names: one for all that failed alike."""
        names: dict[tuple[type[errors.ProviderError], Server, str], dict[str, None]] = {}
        reasons = []
        for name, why in failed:
            kind = unanswered if isinstance(why, _NoAnswer) else errors.ProviderError
            reasons.append((kind, why.server, why.fault))
            names.setdefault(reasons[-1], {})[name] = None
        told = {
            (kind, server, fault): kind(
                f"Cannot {task(_some([*alike]))}: {server} {fault}. Server and key come from "
                f"{self._file}."
            )
            for (kind, server, fault), alike in names.items()
        }
        return [told[reason] for reason in reasons]

    def _parsed_server(self, key: str) -> Server:
        return Server(
            _PREFIX + key,
            f"{_PREFIX}port",
            self._parsed(key, _host, f"an address or a host name (a port goes into {_PREFIX}port)"),
            self._parsed("port", _port, "a number from 1 to 65535", default="53"),
        )

    def _parsed(self, key: str, parse: Callable[[str], _T], expected: str, default: str = "") -> _T:
        import dns.exception

        try:
            return parse(self._get(key) or default)
        except (KeyError, ValueError, dns.exception.DNSException):
            pass
        # Show neither the value, which may be a secret on the wrong line, nor the exception.
        raise errors.ConfigurationError(f"{_PREFIX}{key} in {self._file} must be {expected}.")

    def _get(self, key: str) -> str:
        return value_of(self._settings, key)


class _Failed(Exception):
    """What a server did instead of what it was asked for."""

    def __init__(self, server: Server, fault: str) -> None:
        super().__init__(fault)
        self.server = server
        self.fault = fault


class _KeyNotTaken(_Failed):
    """It does not answer what is signed with our key as it should."""


class _NoAnswer(_Failed):
    """It gave no answer, so what became of an update is unknown."""


class _There(NamedTuple):
    """What stands at a name."""

    records: "RRset | None"
    """Its TXT records."""
    alias: str | None
    """Where it leads if it is an alias."""


@dataclasses.dataclass(eq=False)
class _Adding:
    """A record that is being added."""

    addition: Addition
    owner: "Name"
    zone: "Name" = dataclasses.field(init=False)
    beside: "RRset | None" = None
    """The TXT records that have to be at the name."""
    blind: bool = False
    """Whether there may be any. They are kept, but may get another TTL."""
    denied: "tuple[RRset | None, int] | None" = None
    """What was read for the last update, and how often the same had been denied before."""
    denied_alias: bool = False
    accepted: bool = False
    outcome: int | errors.ProviderError | None = None
    """The TTL that it has, or why it may not be there; ``None`` until that is known."""

    @property
    def name(self) -> str:
        return self.addition.name

    @property
    def value(self) -> str:
        return self.addition.value

    @property
    def ttl(self) -> int:
        return self.addition.ttl

    @property
    def open(self) -> bool:
        return self.outcome is None

    @property
    def used_ttl(self) -> int:
        return self.beside.ttl if self.beside else self.ttl

    def accept(self) -> None:
        self.accepted = True
        self.outcome = self.used_ttl


def _host(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    if re.fullmatch(r"[A-Za-z0-9._-]+", text):
        _absolute(bare)  # raises if a label is too long, or there is none
    else:
        ipaddress.IPv6Address(bare)
    return bare


def _port(text: str) -> int:
    return whole_number(text, 1, 65535)


def _protocols(text: str) -> tuple[str, ...]:
    if text.lower() not in _PROTOCOLS:
        raise ValueError
    return _PROTOCOLS[text.lower()]


def _algorithm(text: str) -> str:
    name = text.lower().rstrip(".").removesuffix(".sig-alg.reg.int")
    if name not in _ALGORITHMS:
        raise ValueError
    return name


def _signs(text: str) -> bool:
    return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]


def _secret(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def _absolute(name: str) -> "Name":
    import dns.name

    return dns.name.from_text(name)


def _shown(name: "Name") -> str:
    return name.to_text(omit_final_dot=True)


def _value(rdata: Any) -> str:
    return from_strings(rdata.strings)


def _reading(records: "RRset | None", value: str) -> "list[Rdata]":
    """Return those of the TXT records whose value is ``value``."""
    return [rdata for rdata in records or () if _value(rdata) == value]


def _text(value: str) -> "TXT":
    import dns.rdataclass
    import dns.rdatatype
    from dns.rdtypes.ANY.TXT import TXT

    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, to_strings(value))


def _zone_in(reply: "Message", name: "Name") -> "Name | None":
    """Return the owner of the SOA record in an answer about ``name``, if there is one."""
    import dns.rdatatype

    for rrset in reply.answer or reply.authority:
        if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
            return rrset.name
    return None


def _there(name: "Name", reply: "Message") -> _There:
    import dns.rdataclass
    import dns.rdatatype

    records, alias = (
        reply.get_rrset(reply.answer, name, dns.rdataclass.IN, rdtype)
        for rdtype in (dns.rdatatype.TXT, dns.rdatatype.CNAME)
    )
    return _There(records, alias[0].to_text().rstrip(".") if alias else None)


def _values(there: _There) -> list[str]:
    return [_value(rdata) for rdata in there.records or ()]


def _addition(batch: Sequence[_Adding]) -> "UpdateMessage":
    """Return the update that adds records of one zone while beside each is what was read."""
    import dns.rdatatype
    import dns.update

    update = dns.update.UpdateMessage(batch[0].zone)
    for each in batch:
        if each.beside:
            update.present(each.owner, *each.beside)
        else:
            if not each.blind:
                update.absent(each.owner, dns.rdatatype.TXT)
            update.absent(each.owner, dns.rdatatype.CNAME)
        update.add(each.owner, min(max(each.used_ttl, 0), MAX_TTL), _text(each.value))
    return update


def _batches(adding: Sequence[_Adding], room: int) -> list[Sequence[_Adding]]:
    """Return records of one zone each that fit into an update of ``room`` octets together."""
    batches: list[Sequence[_Adding]] = []
    by_zone: dict[Name, list[_Adding]] = {}
    for each in adding:
        by_zone.setdefault(each.zone, []).append(each)
    for of_zone in by_zone.values():
        batch: list[_Adding] = []
        left = 0
        for each in of_zone:
            needed = _octets(each)
            if not batch or needed > left:
                batch, left = [], room - _SIGNATURE
                batches.append(batch)
            batch.append(each)
            left -= needed
    return batches


def _octets(each: _Adding) -> int:
    """Return how long the part of an update that adds a record may be, in octets.

    Beyond 16 KiB, nothing can refer to a name (RFC 1035 section 4.1.4).
    """
    strings = [rdata.strings for rdata in (*(each.beside or ()), _text(each.value))]
    header = len(each.owner.to_text()) + 1 + _RECORD
    return (len(strings) + 2) * header + sum(len(text) + 1 for texts in strings for text in texts)


def _some(names: Sequence[str]) -> str:
    """Return ``names`` for a message, the first of many."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more names"


def _asks_for_more(answer: "Message | _Failed | None") -> bool:
    """Whether a question is to be asked in the other way: signed or not."""
    return answer is None or (isinstance(answer, _Failed) and not isinstance(answer, _NoAnswer))


def _decoded(answer: bytes, request: "Message") -> "Message":
    """Return an answer, with its signature verified if it has one."""
    import dns.exception
    import dns.message

    if not request.keyring:
        return dns.message.from_wire(answer)
    try:
        return dns.message.from_wire(answer, keyring=request.keyring, request_mac=request.mac)
    except dns.exception.FormError:
        # An error may come unsigned, and newer releases of dnspython refuse that.
        return dns.message.from_wire(answer)


def _compare(*keys: str) -> str:
    settings = " and ".join(_PREFIX + key for key in keys)
    return f"Compare {settings} with its configuration ({_KEYS})"


def _clocks(answer: bytes) -> str:
    """Return what time it is here and, from an answer with BADTIME, at the server."""
    now = int(time.time())
    shown = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).isoformat()
    words = f"This machine's says {shown}"
    # RFC 8945 section 5.2.3: the server's time is the TSIG record's Other Data, at the end.
    if answer[-8:-6] == b"\x00\x06":
        ahead = int.from_bytes(answer[-6:], "big") - now
        words += (
            f", the server's is {datetime.timedelta(seconds=abs(ahead))} hours "
            f"{'ahead of' if ahead > 0 else 'behind'} it"
        )
    return words
