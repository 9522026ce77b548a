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
``sign_query``                ``true`` to sign queries too, ``false`` not to; default: where
                              updates go to the same server, as far as it accepts that, so that we
                              read what an update would change (views by key)
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
import datetime
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL, whole_number
from certbot_dns_persist.providers.common import file_of, flag, value_of
from certbot_dns_persist.providers.interface import IAnsweringProvider, Settings
from certbot_dns_persist.value.txt import from_strings, to_strings
from certbot_dns_persist.wait import look_until

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rcode import Rcode
    from dns.rdata import Rdata
    from dns.rdatatype import RdataType
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

_PROTOCOLS = {
    "tcp_only": ("TCP",),
    "tcp_first": ("TCP", "UDP"),
    "udp_only": ("UDP",),
    "udp_first": ("UDP", "TCP"),
}

_TIMEOUT = 10.0  # seconds for one exchange, from connecting to the last octet
_SETTLE = 10.0  # seconds within which a server must serve a removal, if it may be of no effect
_UDP_PAYLOAD = 1232  # octets that an answer over UDP may have without being fragmented
_PAUSE = 0.2  # seconds between two looks at what it serves
_TRIES = 50  # to add a record while others change those beside it


@implementer(IAnsweringProvider)
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
                f"{', '.join(_PREFIX + key for key in missing)}. Add that to {self._file}."
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
        self._sign_queries: bool | None = False if self._apart else None
        """``None`` until the server has shown whether it answers signed queries."""
        if self._get("sign_query"):
            self._sign_queries = self._parsed("sign_query", flag, "true or false")
        self._key = dns.tsig.Key(
            self._parsed("name", _absolute, "the name of a TSIG key"),
            self._parsed("secret", _secret, "base64, as in the server's configuration"),
            _ALGORITHMS[self._algorithm],
        )
        self._zones: dict[Name, Name] = {}

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
        records, _ = self._read(_absolute(name))
        return [_value(rdata) for rdata in records or ()]

    def has_value(self, name: str, value: str) -> bool | None:
        """Whether the TXT ``value`` stands at ``name``; ``None`` when that cannot be told.

        :raises errors.ProviderError: the server cannot be asked, or is not authoritative there.
        """
        owner = _absolute(name)
        records, _ = self._read(owner)
        if _reading(records, value):
            return True
        return False if self._confirms(owner, records) else None

    def _confirms(self, name: "Name", records: "RRset | None") -> bool:
        """Whether updates go to where exactly ``records`` stand at ``name``.

        What we read may be late, made from a wildcard, or of another view. An update that changes
        nothing asks the server that would carry it out (RFC 2136 section 2.4).
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
        return self._change(_shown(name), zone, question) == dns.rcode.NOERROR

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Add one TXT record to those at ``name``; return the TTL in seconds that it has.

        The records of one name and type share a TTL (RFC 2181 5.2), and servers give that of the
        newcomer to all of them. So records that stand there keep theirs, whatever ``ttl`` says,
        and the user is told. The update has the prerequisite (RFC 2136 2.4.2, 2.4.3) that these
        records are still those that were read. A signed NOERROR is an accepted change: that the
        server does not show it yet, or to us, is no error.

        :raises errors.ProviderError: the server cannot be asked, or refuses; or ``name`` is an
            alias.
        """
        import dns.rcode

        owner = _absolute(name)
        zone = self._zone(owner)
        denied: tuple[RRset | None, int] | None = None
        denied_alias = False
        for _ in range(_TRIES):
            records, alias = self._read(owner)
            if alias and denied_alias:
                # A server silently ignores an addition beside a CNAME (RFC 2136 section 3.4.2.2).
                raise errors.ProviderError(
                    f"No TXT record can be added at {name} in the zone {_shown(zone)} on "
                    f"{self._server}: the name is an alias (CNAME) for {alias}. The record belongs "
                    "there."
                )
            denied_alias = alias is not None
            if _reading(records, value):
                used = records.ttl if records else ttl
                break
            times = denied[1] + 1 if denied and denied[0] == records else 0
            denied = records, times
            if times:
                # Served at this name, yet not there when the update looked: they are made from a
                # wildcard (RFC 4592), and the name has none of its own. An alias may be, too, which
                # the update then overrides; its prerequisites fail at one that is not.
                records = None
            # And if there are others, then this server is late, or shows us another view.
            used = records.ttl if records else ttl
            update = _addition(zone, owner, value, used, records, blind=times > 1)
            if self._change(name, zone, update) == dns.rcode.NOERROR:
                used = self._ttl_served(owner, value, used)
                break
            # Somebody else was faster, or we were and the answer got lost: look again.
            if self._apart:
                time.sleep(_PAUSE)  # it has yet to get what the other server has
        else:
            raise errors.ProviderError(
                f"The TXT records at {name} on {self._server} changed each of the {_TRIES} times "
                "that we tried to add one. Find out what keeps changing them, then try again."
            )
        if used != ttl:
            self._settings.notify(
                f"The TTL at {name} is {used} seconds instead of {ttl}: records that stand "
                "there keep theirs, and a server may set bounds."
            )
        return used

    def _ttl_served(self, name: "Name", value: str, ttl: int) -> int:
        """Return the TTL of ``value``, which was accepted with ``ttl``, as the server has it."""
        try:
            records, _ = self._read(name)
        except errors.ProviderError:
            return ttl  # it is published all the same
        return records.ttl if records and _reading(records, value) else ttl

    def remove_value(self, name: str, value: str) -> None:
        """Delete the TXT records at ``name`` whose joined value is ``value``.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the server cannot be asked,
        refuses, or accepts and does nothing.
        """
        import dns.update

        owner = _absolute(name)
        records, alias = self._read(owner)
        if alias:
            return
        doomed = _reading(records, value)
        certain = self._confirms(owner, records)
        if certain and not doomed:
            return
        zone = self._zone(owner)
        update = dns.update.UpdateMessage(zone)
        update.delete(owner, *(doomed or [_text(value)]))
        self._change(name, zone, update)
        if doomed and not certain:
            self._check_removed(owner, value)

    # What is asked of the server, in terms of records.

    def _zone(self, name: "Name") -> "Name":
        """Return the zone that holds ``name``: the owner of the SOA record in the server's answer.

        An answer that there is none at ``name`` contains the zone's (RFC 2308 section 3), except
        below an alias, where we ask for the parent.
        """
        import dns.name
        import dns.rdatatype

        asked = name
        while name not in self._zones:
            reply = self._look_up(asked, dns.rdatatype.SOA)
            soas = [
                rrset.name
                for rrset in reply.answer or reply.authority
                if rrset.rdtype == dns.rdatatype.SOA and asked.is_subdomain(rrset.name)
            ]
            if soas:
                self._zones[name] = soas[0]
            elif asked == dns.name.root:
                raise errors.ProviderError(
                    f"Cannot find the zone of {_shown(name)}: {self._server} gives no SOA record "
                    f"for it or any name above it. Correct {_PREFIX}server in {self._file} to the "
                    "zone's primary server."
                )
            else:
                asked = asked.parent()
        return self._zones[name]

    def _read(self, name: "Name") -> "tuple[RRset | None, str | None]":
        """Return the TXT records at ``name``, and its target if it is an alias."""
        import dns.rdataclass
        import dns.rdatatype

        reply = self._look_up(name, dns.rdatatype.TXT)
        records, alias = (
            reply.get_rrset(reply.answer, name, dns.rdataclass.IN, rdtype)
            for rdtype in (dns.rdatatype.TXT, dns.rdatatype.CNAME)
        )
        return records, alias[0].to_text().rstrip(".") if alias else None

    def _check_removed(self, name: "Name", value: str) -> None:
        """Raise if the server still serves what it agreed to remove."""
        left = look_until(
            lambda: _reading(self._read(name)[0], value),
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

    def _look_up(self, name: "Name", rdtype: "RdataType") -> "Message":
        """Ask for the records of a type at ``name``; return only what is authoritative.

        Signed, as far as the server goes along: the key may choose the view (RFC 8945).
        """
        if self._sign_queries is not None:
            return self._answer(name, rdtype, signed=self._sign_queries)
        try:
            reply = self._answer(name, rdtype, signed=True)
        except _KeyNotTaken:
            self._sign_queries = False
        except errors.ProviderError as error:
            if isinstance(error.__cause__, _UnreachableError):
                raise
        else:
            self._sign_queries = True
            return reply
        return self._answer(name, rdtype, signed=False)

    def _answer(self, name: "Name", rdtype: "RdataType", *, signed: bool) -> "Message":
        import dns.flags
        import dns.message
        import dns.name
        import dns.rcode
        import dns.rdatatype

        # Without RD: a resolver's cache is of no use.
        query = dns.message.make_query(name, rdtype, flags=0)
        task = f"look up {_shown(name)}"
        reply = self._exchange(self._server, self._querying, query, task, signed=signed)
        rcode = reply.rcode()
        if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            advice = {
                dns.rcode.REFUSED: "It has no zone for that name, or does not let this machine "
                f"ask. Correct {_PREFIX}server to the primary server of the zone; if the key "
                f"selects a view, set {_PREFIX}sign_query = true",
                dns.rcode.SERVFAIL: "Often it could not load the zone; its log says why",
            }.get(rcode, "Its log may say why")
            raise self._failed(self._server, task, f"answered {dns.rcode.to_text(rcode)}. {advice}")
        if reply.flags & dns.flags.AA:
            return reply
        fault = "is not authoritative for that name"
        for rrset in reply.authority:
            if rrset.rdtype == dns.rdatatype.NS and rrset.name != dns.name.root:
                servers = ", ".join(sorted(rdata.to_text().rstrip(".") for rdata in rrset))
                fault = f"delegates {_shown(rrset.name)} to {servers}"
        raise self._failed(
            self._server,
            task,
            f"{fault}. Correct {_PREFIX}server to the primary server of the zone",
        )

    def _change(self, name: str, zone: "Name", update: "UpdateMessage") -> "Rcode":
        """Send an update; return NOERROR, or YXRRSET or NXRRSET if a prerequisite failed.

        RFC 2136 section 2.2 defines the codes.
        """
        import dns.rcode

        task = f"change the TXT records at {name} in the zone {_shown(zone)}"
        server = self._updated
        rcode = self._exchange(server, self._updating, update, task, signed=True).rcode()
        if rcode in (dns.rcode.NOERROR, dns.rcode.YXRRSET, dns.rcode.NXRRSET):
            return rcode
        advice = {
            dns.rcode.FORMERR: "It did not understand the update. Does it speak RFC 2136?",
            dns.rcode.SERVFAIL: "Often it cannot write the zone's file or journal; its log says "
            "why",
            dns.rcode.NOTIMP: "It takes no dynamic updates: another provider is needed",
            dns.rcode.REFUSED: f"It does not allow {self._whose} to do that. Allow it (BIND: "
            "update-policy or allow-update of the zone); if this is a secondary server, correct "
            f"{server.key} to the primary",
            dns.rcode.NOTAUTH: f"It is not the primary server of the zone: correct {server.key}",
            dns.rcode.NOTZONE: "There the name is outside that zone. Was the zone just moved?",
        }.get(rcode, "Its log may say why")
        raise self._failed(server, task, f"answered {dns.rcode.to_text(rcode)}. {advice}")

    # How it is asked.

    def _exchange(
        self,
        server: "_Server",
        protocols: Sequence[str],
        request: "Message",
        task: str,
        *,
        signed: bool,
    ) -> "Message":
        """Return the server's answer, whatever its code, once its signature is verified."""
        import dns.exception
        import dns.message
        import dns.rcode
        import dns.tsig

        if signed:
            request.use_tsig(self._key)
        try:
            answer = server.answer(request, protocols)
        except _UnreachableError as error:
            raise self._failed(server, task, str(error)) from error
        try:
            reply = _decoded(answer, request)
        except dns.tsig.PeerBadKey as error:
            fault = f"does not know {self._whose} (BADKEY). {_compare('name', 'algorithm')}"
            raise self._failed(server, task, fault, _KeyNotTaken) from error
        except dns.tsig.PeerBadSignature as error:
            fault = f"has another secret for {self._whose} (BADSIG). {_compare('secret')}"
            raise self._failed(server, task, fault, _KeyNotTaken) from error
        except dns.tsig.PeerBadTruncation as error:
            fault = f"wants longer signatures than {self._whose} makes (BADTRUNC). "
            raise self._failed(server, task, fault + _compare("algorithm"), _KeyNotTaken) from error
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime) as error:
            fault = f"and this machine have different clocks (BADTIME). {_clocks(answer)}"
            raise self._failed(
                server, task, f"{fault}. Set the wrong one right, then try again", _KeyNotTaken
            ) from error
        except (
            dns.tsig.BadSignature,
            dns.tsig.BadKey,
            dns.tsig.BadAlgorithm,
            dns.message.UnknownTSIGKey,
        ) as error:
            fault = f"did not sign its answer with {self._whose}. Something on the way may forge it"
            raise self._failed(server, task, fault, _KeyNotTaken) from error
        except dns.exception.DNSException as error:
            fault = f"did not send a DNS answer ({type(error).__name__}). Check {_PREFIX}port"
            raise self._failed(server, task, fault) from error
        if not request.is_response(reply):
            raise self._failed(server, task, "answered a different question")
        if signed and not reply.had_tsig and reply.rcode() == dns.rcode.NOERROR:
            # RFC 8945 5.3: anybody could have said that.
            fault = "did not sign its answer. Something on the way may forge it"
            raise self._failed(server, task, fault, _KeyNotTaken)
        return reply

    # What is said to the user.

    @property
    def _apart(self) -> bool:
        """Whether updates go to a server other than the one that we query."""
        return self._updated.host != self._server.host

    @property
    def _whose(self) -> str:
        return f"the TSIG key {_shown(self._key.name)} ({self._algorithm})"

    def _failed(
        self,
        server: "_Server",
        task: str,
        fault: str,
        kind: type[errors.ProviderError] = errors.ProviderError,
    ) -> errors.ProviderError:
        return kind(f"Cannot {task}: {server} {fault}. Server and key come from {self._file}.")

    def _parsed_server(self, key: str) -> "_Server":
        return _Server(
            _PREFIX + key,
            self._parsed(key, _host, f"an address or a host name (a port goes into {_PREFIX}port)"),
            self._parsed("port", _port, "a number from 1 to 65535", default="53"),
        )

    def _parsed(self, key: str, parse: Callable[[str], _T], expected: str, default: str = "") -> _T:
        import dns.exception

        try:
            return parse(self._get(key) or default)
        except (ValueError, dns.exception.DNSException):
            pass
        # Show neither the value, which may be a secret on the wrong line, nor the exception.
        raise errors.ConfigurationError(f"{_PREFIX}{key} in {self._file} must be {expected}.")

    def _get(self, key: str) -> str:
        return value_of(self._settings, key)


class _KeyNotTaken(errors.ProviderError):
    """A server does not answer what is signed with our key as it should."""


class _UnreachableError(Exception):
    """A server gives no answer; the message follows the server's name."""


class _Server:
    """One server, at all of its addresses."""

    def __init__(self, key: str, host: str, port: int) -> None:
        self.key = key
        """The key in the credentials file that names it."""
        self.host = host
        self._port = port
        self._endpoints: list[tuple[int, tuple[Any, ...]]] = []

    def __str__(self) -> str:
        return f"the DNS server {self.host} port {self._port}"

    def answer(self, request: "Message", protocols: Sequence[str]) -> bytes:
        """Return the answer in wire format, from the first address of the server that gives one.

        The ``protocols`` are tried in turn, and all addresses twice over each, in case a connection
        or a packet is lost. An update that is made twice does no harm: its prerequisites fail, or
        it deletes what is gone.

        Raises :class:`_UnreachableError` if none of them gives an answer, or the host has no
        address.
        """
        try:
            endpoints = self._endpoints or [
                (family, endpoint)
                for family, _, _, _, endpoint in socket.getaddrinfo(
                    self.host, self._port, type=socket.SOCK_STREAM
                )
            ]
        except OSError as error:
            raise _UnreachableError(
                f"cannot be found: {error.strerror}. Check {self.key}"
            ) from error
        failures = {}
        for protocol in protocols:
            for family, endpoint in endpoints * 2:
                try:
                    answer = _EXCHANGES[protocol](family, endpoint, request)
                except OSError as error:
                    failures[protocol, endpoint] = f"{endpoint[0]}: {error.strerror or error}"
                else:
                    # Use this one first from now on: a change is read back where it was made.
                    self._endpoints = sorted(endpoints, key=lambda other: other[1] != endpoint)
                    return answer
        raise _UnreachableError(
            f"gives no answer over {' or '.join(protocols)} ({'; '.join(failures.values())})."
            f" Check that it runs, that no firewall blocks it, and {self.key} and {_PREFIX}port"
        )


def _host(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
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


def _text(value: str) -> "Rdata":
    import dns.rdataclass
    import dns.rdatatype
    from dns.rdtypes.ANY.TXT import TXT

    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, to_strings(value))


def _addition(
    zone: "Name", name: "Name", value: str, ttl: int, beside: "RRset | None", *, blind: bool
) -> "UpdateMessage":
    """Return the update that adds a TXT record while exactly ``beside`` stands at ``name``.

    ``blind``: whatever TXT records stand there. They are kept, but may get another TTL.
    """
    import dns.rdatatype
    import dns.update

    update = dns.update.UpdateMessage(zone)
    if beside:
        update.present(name, *beside)
    else:
        if not blind:
            update.absent(name, dns.rdatatype.TXT)
        update.absent(name, dns.rdatatype.CNAME)
    update.add(name, min(max(ttl, 0), MAX_TTL), _text(value))
    return update


def _over_tcp(family: int, endpoint: tuple[Any, ...], request: "Message") -> bytes:
    """Return the answer to ``request`` in wire format (RFC 1035 section 4.2.2)."""
    message = request.to_wire()
    deadline = time.monotonic() + _TIMEOUT
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        connection.connect(endpoint)
        connection.sendall(len(message).to_bytes(2, "big") + message)

        def read(octets: int) -> bytes:
            received = b""
            while len(received) < octets:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                more = connection.recv(octets - len(received))
                if not more:
                    raise ConnectionError("the connection closed in the middle of the answer")
                received += more
            return received

        return read(int.from_bytes(read(2), "big"))


def _over_udp(family: int, endpoint: tuple[Any, ...], request: "Message") -> bytes:
    """Return the answer to ``request`` in wire format (RFC 1035 section 4.2.1)."""
    import dns.flags
    import dns.opcode

    if request.opcode() == dns.opcode.QUERY:  # the answer to an update is short
        request.use_edns(payload=_UDP_PAYLOAD)
    message = request.to_wire()
    deadline = time.monotonic() + _TIMEOUT
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect(endpoint)  # so that it receives nothing from elsewhere
        connection.send(message)
        answer = b""
        while answer[:2] != message[:2]:  # skip messages with a different id
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            answer = connection.recv(65535)
    if int.from_bytes(answer[2:4], "big") & dns.flags.TC:
        raise ConnectionError("the answer does not fit into UDP")
    return answer


_EXCHANGES = {"TCP": _over_tcp, "UDP": _over_udp}


def _decoded(answer: bytes, request: "Message") -> "Message":
    """Return an answer, with its signature verified if it has one."""
    import dns.message

    try:
        # First as if there were none: an error may come unsigned, and newer releases of dnspython
        # hide that.
        return dns.message.from_wire(answer)
    except dns.message.UnknownTSIGKey:
        return dns.message.from_wire(answer, keyring=request.keyring, request_mac=request.mac)


def _compare(*keys: str) -> str:
    settings = " and ".join(_PREFIX + key for key in keys)
    return f"Compare {settings} with its configuration (BIND: the key statement)"


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
