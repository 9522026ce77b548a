"""Against BIND: the traps of dynamic updates, and the words for each failure."""

import base64
import contextlib
import socket
import socketserver
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from support.at_once import at_once
from support.bind import Bind, Server
from support.impostor import Impostor, is_update, passed_on
from support.nameserver import Nameserver
from support.process import free_port

from certbot_dns_persist.errors import ConfigurationError, OutcomeUnknown, ProviderError
from certbot_dns_persist.providers import credentials
from certbot_dns_persist.providers.interface import Addition, Seen, Settings
from certbot_dns_persist.providers.loader import load
from certbot_dns_persist.providers.rfc2136 import Rfc2136

OURS = "ca.example; accounturi=https://ca.example/acct/1; persistUntil=1830000000"
THEIRS = 'other.example; accounturi=https://other.example/acct/"9\\'


@pytest.fixture
def name(domain: str) -> str:
    """A name that no other test uses."""
    return f"_validation-persist.{domain}"


Make = Callable[..., Rfc2136]
Pose = Callable[..., str]
"""Start a server at 127.0.0.1 that answers as it is told to; return its port."""


@pytest.fixture(scope="module")
def bind(bind: Bind) -> Bind:
    """With a wildcard, an alias and a zone that other servers have."""
    update = bind.primary.update("example.test")
    update.add("*.wild.example.test.", 1, "TXT", '"v=spf1 -all"')
    update.add("alias.example.test.", 1, "CNAME", "target.example.net.")
    update.add("elsewhere.example.test.", 1, "NS", "ns.example.net.")
    bind.primary.send(update)
    return bind


@pytest.fixture
def told() -> list[str]:
    """What the user was told."""
    return []


@pytest.fixture
def make(bind: Bind, told: list[str]) -> Make:
    """Make a provider for the nameserver; keyword arguments change its credentials."""

    def make(**changes: str) -> Rfc2136:
        credentials = {
            "server": bind.primary.address,
            "name": bind.key.name,
            "secret": bind.key.secret,
            "algorithm": "HMAC-SHA256",
        }
        return Rfc2136(Settings(credentials | changes, "/etc/dns.ini", told.append))

    return make


@pytest.fixture
def provider(make: Make) -> Rfc2136:
    return make()


def ttl_of(server: Server, name: str) -> int:
    ttl: int = server.ask(name, "TXT").answer[0].ttl
    return ttl


@pytest.fixture
def impostor() -> Iterator[Pose]:
    with contextlib.ExitStack() as stack:
        yield lambda answer, **how: str(stack.enter_context(Impostor(answer, **how)).port)


# Adding, listing, removing.


def test_a_value_that_is_added_is_listed_and_served(
    provider: Rfc2136, bind: Bind, name: str, told: list[str]
) -> None:
    assert provider.list_values(name) == []

    assert provider.add_value(name, OURS, 300) == 300

    assert provider.list_values(name) == [OURS]
    assert bind.primary.values(name) == [OURS]
    assert ttl_of(bind.primary, name) == 300
    assert told == []


def test_adding_a_value_again_changes_nothing(
    provider: Rfc2136, bind: Bind, name: str, told: list[str]
) -> None:
    provider.add_value(name, OURS, 300)
    serial = bind.primary.serial("example.test")

    assert provider.add_value(name, OURS, 60) == 300

    assert bind.primary.serial("example.test") == serial
    assert len(told) == 1
    assert "300 seconds instead of 60" in told[0]


def test_removing_takes_only_the_value_meant(provider: Rfc2136, bind: Bind, name: str) -> None:
    for value in (OURS, OURS + "1", THEIRS):
        bind.add_txt(name, value)

    provider.remove_value(name, OURS)

    assert bind.primary.values(name) == sorted([OURS + "1", THEIRS])


def test_removing_what_is_not_there_is_no_error(provider: Rfc2136, bind: Bind, name: str) -> None:
    provider.remove_value(name, OURS)
    provider.add_value(name, OURS, 300)
    provider.remove_value(name, OURS)
    provider.remove_value(name, OURS)

    assert bind.primary.values(name) == []


def test_removing_from_an_alias_is_no_error(provider: Rfc2136) -> None:
    assert provider.list_values("alias.example.test") == []
    provider.remove_value("alias.example.test", OURS)


@pytest.mark.parametrize(
    "value",
    [
        "",
        'quotes " and \\ and ; and  blanks',
        "caf\u00e9",
        b"\xff\xfe not UTF-8".decode("utf-8", "surrogateescape"),
        "x" * 255,
        "y" * 256,
        "z" * 300,
        "\u00e9" * 150,
    ],
)
def test_any_value_comes_back_as_it_was(provider: Rfc2136, name: str, value: str) -> None:
    provider.add_value(name, value, 300)
    assert provider.list_values(name) == [value]

    provider.remove_value(name, value)
    assert provider.list_values(name) == []


@pytest.mark.parametrize(("length", "lengths"), [(255, [255]), (256, [255, 1]), (300, [255, 45])])
def test_only_a_value_over_255_octets_is_split(
    provider: Rfc2136, bind: Bind, name: str, length: int, lengths: list[int]
) -> None:
    provider.add_value(name, "v" * length, 300)

    (rdata,) = bind.primary.ask(name, "TXT").answer[0]
    assert [len(string) for string in rdata.strings] == lengths


def test_a_value_that_somebody_split_otherwise_is_the_same_value(
    provider: Rfc2136, bind: Bind, name: str
) -> None:
    update = bind.primary.update("example.test")
    update.add(f"{name}.", 300, "TXT", '"one" "two"')
    bind.primary.send(update)

    assert provider.list_values(name) == ["onetwo"]
    provider.add_value(name, "onetwo", 300)
    assert provider.list_values(name) == ["onetwo"]
    provider.remove_value(name, "onetwo")
    assert provider.list_values(name) == []


# Other people's records.


def test_the_ttl_of_records_that_stand_there_is_kept(
    provider: Rfc2136, bind: Bind, name: str, told: list[str]
) -> None:
    bind.add_txt(name, THEIRS, ttl=7200)

    assert provider.add_value(name, OURS, 300) == 7200

    assert ttl_of(bind.primary, name) == 7200
    assert bind.primary.values(name) == sorted([OURS, THEIRS])
    assert len(told) == 1
    assert "7200 seconds instead of 300" in told[0]


def test_records_of_a_wildcard_are_not_taken_for_the_names_own(
    provider: Rfc2136, bind: Bind, told: list[str]
) -> None:
    name = "_validation-persist.wild.example.test"
    assert provider.list_values(name) == ["v=spf1 -all"]

    assert provider.add_value(name, OURS, 300) == 300

    assert provider.list_values(name) == [OURS]
    assert bind.primary.values("other.wild.example.test") == ["v=spf1 -all"]
    assert told == []


def test_a_wildcards_value_that_cannot_be_removed_is_an_error(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.rfc2136._SETTLE", 0.0)

    with pytest.raises(ProviderError, match=r"accepted, but not made.*wildcard"):
        make().remove_value("_validation-persist.b.wild.example.test", "v=spf1 -all")


def test_ten_writers_at_once_lose_nothing(make: Make, bind: Bind, name: str) -> None:
    bind.add_txt(name, THEIRS, ttl=7200)
    for number in range(10):
        bind.add_txt(name, f"old {number}", ttl=7200)
    providers = [make() for _ in range(10)]

    def write(number: int) -> None:
        providers[number].add_value(name, f"new {number}", 300)
        providers[number].remove_value(name, f"old {number}")

    at_once(10, write)

    expected = [THEIRS, *(f"new {number}" for number in range(10))]
    assert bind.primary.values(name) == sorted(expected)
    assert ttl_of(bind.primary, name) == 7200


def test_nothing_is_added_beside_an_alias(provider: Rfc2136) -> None:
    with pytest.raises(ProviderError, match=r"alias \(CNAME\) for target\.example\.net") as caught:
        provider.add_value("alias.example.test", OURS, 300)

    assert "alias.example.test" in str(caught.value)


# Many names.


@pytest.fixture
def names(domain: str) -> list[str]:
    """A hundred names that no other test uses."""
    return [f"_validation-persist.a{number}.{domain}" for number in range(100)]


def additions(names: Sequence[str]) -> list[Addition]:
    return [Addition(name, OURS, 300) for name in names]


def test_many_names_are_looked_at_as_one_is(provider: Rfc2136, bind: Bind, name: str) -> None:
    bind.add_txt(name, OURS)
    bind.add_txt(name, THEIRS)
    child = "_validation-persist.deep.child.example.test"

    there, elsewhere, alias, empty, again = provider.look_at_many(
        [name, "www.elsewhere.example.test", "alias.example.test", child, child]
    )

    assert isinstance(there, Seen)
    assert sorted(there.values) == sorted([OURS, THEIRS])
    assert there.zone == "example.test"
    assert isinstance(elsewhere, ProviderError)
    assert "delegates elsewhere.example.test to ns.example.net" in str(elsewhere)
    assert alias == Seen("example.test", [])
    assert empty == again == Seen("child.example.test", [])
    assert provider.look_at_many([]) == []


def test_a_hundred_names_of_a_zone_are_one_update(
    provider: Rfc2136, bind: Bind, names: list[str]
) -> None:
    bind.add_txt(names[7], THEIRS, ttl=7200)
    bind.add_txt(names[8], OURS, ttl=60)
    child = "_validation-persist.many.child.example.test"
    before, serial = bind.primary.update_count(), bind.primary.serial("example.test") or 0

    used = provider.add_many(additions([*names, child]))

    assert used == [*[300] * 7, 7200, 60, *[300] * 92]
    assert bind.primary.update_count() == before + 2  # one for each zone
    assert bind.primary.serial("example.test") == serial + 1
    assert bind.primary.values(names[7]) == sorted([OURS, THEIRS])
    assert provider.list_values(child) == [OURS]
    assert provider.look_at_many(names[8:]) == [Seen("example.test", [OURS])] * 92
    provider.remove_value(child, OURS)


def test_what_does_not_fit_into_one_update_goes_into_several(
    provider: Rfc2136, bind: Bind, domain: str
) -> None:
    label = "x" * 60
    names = [f"_validation-persist.{n}.{label}.{label}.{domain}" for n in range(20)]
    long = [Addition(name, f"{OURS}; x={'y' * 6000}", 300) for name in names]
    before = bind.primary.update_count()

    assert provider.add_many(long) == [300] * 20

    assert bind.primary.update_count() == before + 3  # of nine names each, at most
    for addition in long:
        assert provider.list_values(addition.name) == [addition.value]


def test_what_fails_keeps_no_other_back(provider: Rfc2136, bind: Bind, names: list[str]) -> None:
    wild = "_validation-persist.c.wild.example.test"
    elsewhere, alias = "_validation-persist.elsewhere.example.test", "alias.example.test"
    wanted = [*names[:50], alias, *names[50:], elsewhere, "_validation-persist.invalid", wild]

    outcomes = dict(zip(wanted, provider.add_many(additions(wanted)), strict=True))

    for name, words in (
        (alias, "alias (CNAME) for target.example.net"),
        (elsewhere, "delegates elsewhere.example.test"),
        ("_validation-persist.invalid", "answered REFUSED"),
    ):
        assert words in str(outcomes.pop(name))
    assert outcomes == dict.fromkeys([*names, wild], 300)
    assert provider.look_at_many([*names, wild]) == [Seen("example.test", [OURS])] * 101


def test_another_ttl_than_was_asked_for_is_told_of_every_name(
    make: Make, bind: Bind, names: list[str], told: list[str], impostor: Pose
) -> None:
    def answer(request: bytes) -> bytes:
        reply = passed_on(request, bind.primary)
        if is_update(request):
            update = bind.primary.update("example.test")
            for name in names[:5]:
                update.add(f"{name}.", 60, "TXT", '"changes the TTL of all"')
            bind.primary.send(update)
        return reply

    provider = make(server="127.0.0.1", port=impostor(answer))

    assert provider.add_many(additions(names[:5])) == [60] * 5
    assert len(told) == 5
    assert f"The TTL at {names[4]} is 60 seconds instead of 300" in told[4]


def test_what_was_there_when_it_was_looked_at_and_then_vanished_is_added(
    provider: Rfc2136, bind: Bind, name: str
) -> None:
    bind.add_txt(name, OURS)
    assert provider.look_at_many([name]) == [Seen("example.test", [OURS])]
    bind.delete_txt(name)
    assert provider.add_many(additions([name])) == [300]
    assert bind.primary.values(name) == [OURS]


def test_names_that_fail_alike_are_one_error(make: Make, names: list[str]) -> None:
    refused = make(secret=WRONG_SECRET).add_many(additions(names))

    assert len(set(refused)) == 1
    first = ", ".join(names[:3])
    assert f"Cannot change the TXT records at {first} and 97 more names in the zone" in str(
        refused[0]
    )


def test_every_name_is_written_while_others_write_there(
    make: Make, bind: Bind, names: list[str]
) -> None:
    over = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not over.is_set():
            update = bind.primary.update("example.test")
            update.add(f"{names[written % 100]}.", 300, "TXT", f'"foreign {written}"')
            bind.primary.send(update)
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = make().add_many(additions(names))
    finally:
        over.set()
        writer.join()

    assert outcomes == [300] * 100
    bind.settle()
    for number, name in enumerate(names):
        theirs = [f"foreign {each}" for each in range(number, written, 100)]
        assert bind.primary.values(name) == sorted([OURS, *theirs])


def losing_one(
    bind: Bind, lost: list[bytes], *, delivered: bool
) -> Callable[[bytes], bytes | None]:
    """Return how BIND answers if the connection is lost at its first update, which is put into
    ``lost``; ``delivered`` says whether BIND got it.
    """

    def answer(request: bytes) -> bytes | None:
        if is_update(request) and not lost:
            lost.append(request)
            if delivered:
                passed_on(request, bind.primary)
            return None
        return passed_on(request, bind.primary)

    return answer


@pytest.mark.parametrize("delivered", [True, False])
def test_a_connection_that_is_lost_with_many_does_no_harm(
    make: Make, bind: Bind, names: list[str], impostor: Pose, delivered: bool
) -> None:
    bind.add_txt(names[0], THEIRS, ttl=300)
    lost: list[bytes] = []
    port = impostor(losing_one(bind, lost, delivered=delivered), once=True)

    assert make(server="127.0.0.1", port=port).add_many(additions(names[:10])) == [300] * 10

    assert len(lost) == 1
    assert bind.primary.values(names[0]) == sorted([OURS, THEIRS])
    assert [bind.primary.values(name) for name in names[1:10]] == [[OURS]] * 9


def test_where_only_small_messages_arrive_each_name_is_sent_alone(
    make: Make, bind: Bind, names: list[str], impostor: Pose
) -> None:
    def answer(request: bytes) -> bytes | None:
        return None if len(request) > 512 else passed_on(request, bind.primary)

    provider = make(server="127.0.0.1", port=impostor(answer))

    assert provider.add_many(additions(names[:10])) == [300] * 10
    assert provider.look_at_many(names[:10]) == [Seen("example.test", [OURS])] * 10


def test_a_name_about_which_a_server_hangs_up_does_not_keep_it_from_answering_about_others(
    make: Make, bind: Bind, names: list[str], impostor: Pose
) -> None:
    def answer(request: bytes) -> bytes | None:
        return None if b"\x02a3" in request else passed_on(request, bind.primary)

    provider = make(server="127.0.0.1", port=impostor(answer))

    *first, silent, last, again = provider.look_at_many(names[:6])
    assert [*first[:3], last, again] == [Seen("example.test", [])] * 5
    assert "gives no answer" in str(silent)


def test_a_server_that_hears_no_update_is_asked_no_more_than_for_two_messages(
    make: Make, bind: Bind, names: list[str], impostor: Pose
) -> None:
    heard = 0

    def answer(request: bytes) -> bytes | None:
        nonlocal heard
        heard += is_update(request)
        return None if is_update(request) else passed_on(request, bind.primary)

    outcomes = make(server="127.0.0.1", port=impostor(answer)).add_many(additions(names[:10]))

    assert heard == 4
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], OutcomeUnknown)
    assert "gives no answer over TCP" in str(outcomes[0])


# Finding the zone.


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("example.test", "example.test"),
        ("_validation-persist.example.test", "example.test"),
        ("_validation-persist.not.there.example.test", "example.test"),
        ("_validation-persist.deep.child.example.test", "child.example.test"),
        ("child.example.test", "child.example.test"),
        ("alias.example.test", "example.test"),
        ("EXAMPLE.test", "example.test"),
    ],
)
def test_the_zone_is_the_one_that_the_server_has(provider: Rfc2136, name: str, zone: str) -> None:
    assert provider.zone_for(name).lower() == zone


def test_a_zone_that_is_delegated_elsewhere_is_not_written_to(provider: Rfc2136) -> None:
    with pytest.raises(ProviderError, match=r"elsewhere\.example\.test.*ns\.example\.net"):
        provider.add_value("_validation-persist.elsewhere.example.test", OURS, 300)


def test_a_resolver_is_not_taken_for_the_zones_server(make: Make, bind: Bind, name: str) -> None:
    provider = make(server=bind.resolver.address)

    with pytest.raises(ProviderError, match="primary server") as caught:
        provider.zone_for(name)

    assert name in str(caught.value)
    assert bind.resolver.address in str(caught.value)


# Failures in words.


def test_an_update_that_is_not_allowed_says_whom_to_allow_what(
    provider: Rfc2136, bind: Bind
) -> None:
    # The root zone of the test's world takes no updates.
    with pytest.raises(ProviderError, match=r"REFUSED.*allow-update") as caught:
        provider.add_value("_validation-persist.invalid", OURS, 300)

    message = str(caught.value)
    assert "_validation-persist.invalid" in message
    assert bind.primary.address in message
    assert "the TSIG key test-key (hmac-sha256)" in message
    assert "/etc/dns.ini" in message


def test_a_secondary_is_not_written_to(make: Make, bind: Bind, name: str) -> None:
    with pytest.raises(ProviderError, match="primary"):
        make(server=bind.secondary.address).add_value(name, OURS, 300)


WRONG_SECRET = base64.b64encode(b"not the secret that it should be").decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "nobody."}, r"BADKEY.*dns_persist_rfc2136_name"),
        ({"algorithm": "HMAC-SHA512"}, r"BADKEY.*dns_persist_rfc2136_algorithm"),
        ({"algorithm": "HMAC-MD5"}, r"BADKEY|REFUSED|FORMERR"),
        ({"secret": WRONG_SECRET}, r"BADSIG.*dns_persist_rfc2136_secret"),
        ({"secret": WRONG_SECRET, "sign_query": "TRUE"}, r"BADSIG.*dns_persist_rfc2136_secret"),
    ],
)
def test_a_wrong_key_is_told_by_what_is_wrong_with_it(
    make: Make,
    bind: Bind,
    name: str,
    changes: dict[str, str],
    words: str,
) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        make(**changes).add_value(name, OURS, 300)

    shown = "".join(traceback.format_exception(caught.value))
    assert bind.key.secret not in shown
    assert WRONG_SECRET not in shown
    assert bind.primary.values(name) == []


@pytest.mark.parametrize(
    ("shift", "words"), [(-7200, r"(1:59:5|2:00:0)\d hours ahead"), (7200, "behind")]
)
def test_a_wrong_clock_is_told_by_how_much(
    provider: Rfc2136, name: str, monkeypatch: pytest.MonkeyPatch, shift: int, words: str
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)

    with pytest.raises(ProviderError, match=f"BADTIME.*{words}"):
        provider.add_value(name, OURS, 300)


@pytest.mark.parametrize("sign_query", ["true", "yes", "No"])
def test_signed_queries_are_answered(make: Make, name: str, sign_query: str) -> None:
    provider = make(sign_query=sign_query)
    provider.add_value(name, OURS, 300)
    assert provider.list_values(name) == [OURS]


def test_a_server_that_is_down_is_named(make: Make, name: str) -> None:
    port = free_port()

    with pytest.raises(ProviderError, match="no answer over TCP") as caught:
        make(server="127.0.0.1", port=str(port)).add_value(name, OURS, 300)

    assert f"the DNS server 127.0.0.1 port {port}" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "firewall" in str(caught.value)


def test_a_host_name_without_address_is_named(make: Make, name: str) -> None:
    with pytest.raises(ProviderError, match=r"ns\.invalid .*cannot be found"):
        make(server="ns.invalid").list_values(name)


@pytest.mark.parametrize("delivered", [True, False])
def test_a_lost_connection_does_no_harm(
    make: Make, bind: Bind, name: str, impostor: Pose, delivered: bool
) -> None:
    bind.add_txt(name, THEIRS, ttl=300)
    lost: list[bytes] = []
    port = impostor(losing_one(bind, lost, delivered=delivered))

    assert make(server="127.0.0.1", port=port).add_value(name, OURS, 300) == 300

    assert len(lost) == 1
    assert bind.primary.values(name) == sorted([OURS, THEIRS])


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.YXRRSET, dns.rcode.NXRRSET])
def test_an_answer_that_is_not_signed_is_not_believed(
    make: Make, bind: Bind, name: str, impostor: Pose, rcode: dns.rcode.Rcode
) -> None:
    def answer(request: bytes) -> bytes:
        if not is_update(request):
            return passed_on(request, bind.primary)
        # The header of an answer, and nothing below it.
        return request[:2] + bytes([request[2] | 0x80, rcode]) + bytes(8)

    with pytest.raises(ProviderError, match="did not sign its answer"):
        make(server="127.0.0.1", port=impostor(answer)).add_value(name, OURS, 300)


def test_nobody_else_can_say_that_there_is_nothing_at_a_name(
    make: Make, bind: Bind, name: str, impostor: Pose
) -> None:
    def answer(request: bytes) -> bytes:
        reply = dns.message.make_response(dns.message.from_wire(request, keyring=False))
        reply.set_rcode(dns.rcode.NXDOMAIN)
        reply.flags |= dns.flags.AA
        return reply.to_wire()

    provider = make(server="127.0.0.1", port=impostor(answer), sign_query="true")
    with pytest.raises(ProviderError, match="did not sign its answer"):
        provider.list_values(name)


def test_an_answer_that_was_changed_on_the_way_is_not_believed(
    make: Make, bind: Bind, name: str, impostor: Pose
) -> None:
    def answer(request: bytes) -> bytes:
        reply = bytearray(passed_on(request, bind.primary))
        if is_update(request):
            reply[3] ^= dns.rcode.REFUSED
        return bytes(reply)

    with pytest.raises(ProviderError, match="did not sign its answer with the TSIG key test-key"):
        make(server="127.0.0.1", port=impostor(answer)).add_value(name, OURS, 300)


@pytest.mark.parametrize(
    ("rcode", "words"),
    [
        (dns.rcode.FORMERR, "Does it speak RFC 2136"),
        (dns.rcode.SERVFAIL, "journal"),
        (dns.rcode.NOTIMP, "no dynamic updates"),
        (dns.rcode.REFUSED, "update-policy"),
        (dns.rcode.NOTAUTH, "not the primary server"),
        (dns.rcode.NOTZONE, "outside that zone"),
        (dns.rcode.YXDOMAIN, "Its log"),
    ],
)
def test_every_code_of_a_refused_update_comes_with_advice(
    make: Make,
    bind: Bind,
    name: str,
    impostor: Pose,
    rcode: dns.rcode.Rcode,
    words: str,
) -> None:
    def answer(request: bytes) -> bytes:
        if not is_update(request):
            return passed_on(request, bind.primary)
        return request[:2] + bytes([request[2] | 0x80, rcode]) + bytes(8)

    with pytest.raises(ProviderError, match=f"answered {rcode.name}.*{words}") as caught:
        make(server="127.0.0.1", port=impostor(answer)).add_value(name, OURS, 300)

    assert f"{name} in the zone example.test" in str(caught.value)


@pytest.fixture
def small(nameserver_credentials: Path) -> Rfc2136:
    """A provider for the small server, from a file made for certbot-dns-rfc2136."""
    path = str(nameserver_credentials)
    return Rfc2136(Settings(credentials.read(path).keys("rfc2136", "example.test"), path, print))


def test_a_credentials_file_of_certbots_plugin_works_as_it_is(small: Rfc2136, name: str) -> None:
    assert small.add_value(name, OURS, 300) == 300
    assert small.list_values(name) == [OURS]


def test_what_a_server_accepted_counts_though_it_does_not_show_it(
    small: Rfc2136, nameserver: Nameserver, name: str
) -> None:
    nameserver.faults.lie = [THEIRS]

    assert small.add_value(name, OURS, 300) == 300

    assert nameserver.values(name) == [OURS]
    assert small.has_value(name, OURS) is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"garbage": True}, "did not send a DNS answer"),
        ({"wrong_id": True}, "answered a different question"),
        ({"lame": True}, "not authoritative"),
        ({"rcode": dns.rcode.SERVFAIL}, "SERVFAIL.*could not load the zone"),
        ({"rcode": dns.rcode.REFUSED}, "REFUSED.*sign_query"),
        ({"drop": 1.0}, "no answer over TCP"),
    ],
)
def test_what_a_sick_server_answers_is_told(
    small: Rfc2136,
    nameserver: Nameserver,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.exchange._TIMEOUT", 0.5)
    for attribute, state in fault.items():
        setattr(nameserver.faults, attribute, state)

    with pytest.raises(ProviderError, match=words) as caught:
        small.list_values(name)

    assert f"the DNS server {nameserver.address} port {nameserver.port}" in str(caught.value)


def test_an_answer_that_comes_an_octet_at_a_time_is_waited_for_no_longer(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.exchange._TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                for octet in b"\x03\xe8" + b"x" * 60:
                    client.sendall(bytes([octet]))
                    time.sleep(0.1)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=server.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        host, port = server.getsockname()
        began = time.monotonic()
        with pytest.raises(ProviderError, match=r"gives no answer over TCP .*timed out"):
            make(server=host, port=str(port)).list_values("example.test")
        took = time.monotonic() - began
        server.shutdown(socket.SHUT_RDWR)
    assert 1 <= took < 5  # two connections, instead of six seconds for each


def test_every_address_of_a_host_name_is_tried(
    make: Make, bind: Bind, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = ("127.0.0.1", free_port()), (bind.primary.address, 53)
    resolve = socket.getaddrinfo

    def two_addresses(host: str, *rest: Any, **options: Any) -> list[Any]:
        if host != "ns1.example.test":
            return resolve(host, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in (dead, alive)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)

    assert make(server="ns1.example.test").add_value(name, OURS, 300) == 300

    assert bind.primary.values(name) == [OURS]


# Another server for updates, and other protocols than TCP.


def test_updates_go_to_the_update_server_and_are_seen_at_the_other(
    make: Make, bind: Bind, name: str
) -> None:
    provider = make(server=bind.secondary.address, update_server=bind.primary.address)

    assert provider.add_value(name, OURS, 300) == 300
    bind.settle()
    assert provider.list_values(name) == [OURS]

    provider.remove_value(name, OURS)
    bind.settle()
    assert provider.list_values(name) == []


def test_what_the_one_server_accepted_need_not_have_got_to_the_other(
    make: Make, bind: Bind, name: str
) -> None:
    provider = make(server=bind.secondary.address, update_server=bind.primary.address)
    bind.hold_back()
    try:
        assert provider.has_value(name, OURS) is False  # the primary confirms what was read
        assert provider.add_value(name, OURS, 300) == 300
        assert bind.primary.values(name) == [OURS]
        assert bind.secondary.values(name) == []
        assert provider.has_value(name, OURS) is None

        assert provider.add_value(name, THEIRS, 300) == 300
        assert bind.primary.values(name) == sorted([OURS, THEIRS])

        provider.remove_value(name, OURS)
        assert bind.primary.values(name) == [THEIRS]
    finally:
        bind.catch_up()


def test_a_refusal_by_the_update_server_names_it_and_its_line(
    make: Make, bind: Bind, name: str
) -> None:
    provider = make(update_server=bind.secondary.address)

    with pytest.raises(ProviderError, match="correct dns_persist_rfc2136_update_server") as caught:
        provider.add_value(name, OURS, 300)

    assert f"the DNS server {bind.secondary.address} port 53 answered" in str(caught.value)


@pytest.mark.parametrize(("sign_query", "allowed"), [("", True), ("false", False)])
def test_a_server_that_answers_only_signed_queries_is_asked_again_signed(
    make: Make, bind: Bind, name: str, impostor: Pose, sign_query: str, allowed: bool
) -> None:
    """As certbot-dns-rfc2136 2.1 always did; later releases only if the file says so."""

    def answer(request: bytes) -> bytes:
        if dns.message.from_wire(request, keyring={bind_key.name: bind_key}).had_tsig:
            return passed_on(request, bind.primary)
        return request[:2] + bytes([request[2] | 0x80, dns.rcode.REFUSED]) + bytes(8)

    bind_key = bind.key.for_dnspython()
    # Two names of one server are two servers to us.
    provider = make(
        server="127.0.0.1",
        update_server="localhost",
        port=impostor(answer),
        sign_query=sign_query,
    )

    if allowed:
        assert provider.add_value(name, OURS, 300) == 300
        assert provider.list_values(name) == bind.primary.values(name) == [OURS]
    else:
        with pytest.raises(ProviderError, match=r"look up .* answered REFUSED.*sign_query = true"):
            provider.add_value(name, OURS, 300)


@pytest.fixture
def udp_only(bind: Bind) -> Iterator[str]:
    """The port, at 127.0.0.1, of a server that has BIND answer and knows no TCP."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, ours = self.request
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
                server.settimeout(5)
                server.connect((bind.primary.address, 53))
                server.send(wire)
                ours.sendto(b"\0\0 to somebody else", self.client_address)
                ours.sendto(server.recv(65535), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield str(server.server_address[1])
        server.shutdown()


@pytest.mark.parametrize("preference", ["udp_only", "UDP_FIRST", "tcp_first"])
def test_a_server_that_knows_no_tcp_is_reached_over_udp(
    make: Make, bind: Bind, name: str, udp_only: str, preference: str
) -> None:
    provider = make(
        server="127.0.0.1",
        port=udp_only,
        server_proto_pref=preference,
        update_server_proto_pref=preference,
    )
    long = [letter * 250 for letter in "abc"]  # more than UDP holds without EDNS
    for value in long:
        bind.add_txt(name, value)

    provider.add_value(name, OURS, 1)
    assert sorted(bind.primary.values(name)) == sorted([*long, OURS])
    assert sorted(provider.list_values(name)) == sorted([*long, OURS])


def test_without_being_told_so_nothing_goes_over_udp(make: Make, name: str, udp_only: str) -> None:
    with pytest.raises(ProviderError, match=r"gives no answer over TCP \(127"):
        make(server="127.0.0.1", port=udp_only).list_values(name)
    queries = make(server="127.0.0.1", port=udp_only, server_proto_pref="udp_only")
    assert queries.list_values(name) == []
    with pytest.raises(ProviderError, match=r"change .* gives no answer over TCP \(127"):
        queries.add_value(name, OURS, 300)


def test_an_answer_that_does_not_fit_into_udp_is_fetched_over_tcp_if_that_is_allowed(
    nameserver: Nameserver, nameserver_credentials: Path, name: str
) -> None:
    nameserver.zones.set_values(name, [THEIRS])
    nameserver.faults.truncate = True
    path = str(nameserver_credentials)
    keys = credentials.read(path).keys("rfc2136", "example.test")

    def listing(preference: str) -> list[str]:
        changed = {**keys, "server_proto_pref": preference}
        return Rfc2136(Settings(changed, path, print)).list_values(name)

    assert listing("udp_first") == [THEIRS]
    with pytest.raises(ProviderError, match=r"over UDP .*the answer does not fit into UDP"):
        listing("udp_only")


def test_a_newer_file_of_certbots_plugin_works_as_it_is(
    bind: Bind, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rfc2136.ini"
    path.write_text(
        f"dns_rfc2136_server = {bind.secondary.address}\n"
        "dns_rfc2136_server_proto_pref = udp_first\n"
        f"dns_rfc2136_update_server = {bind.primary.address}\n"
        "dns_rfc2136_update_server_proto_pref = tcp_only\n"
        f"dns_rfc2136_name = {bind.key.name}\n"
        f"dns_rfc2136_secret = {bind.key.secret}\n"
        "dns_rfc2136_algorithm = HMAC-SHA256\n"
    )
    path.chmod(0o600)
    keys = credentials.read(str(path)).keys("rfc2136", name)
    provider = load("rfc2136", Settings(keys, str(path), print))

    provider.add_value(name, OURS, 300)

    assert bind.primary.values(name) == [OURS]
    assert caplog.messages == []


def test_a_key_as_bind_has_it_works_with_the_server_beside_it(
    bind: Bind, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = bind.key
    path = tmp_path / "dns.ini"
    path.write_text(
        f'key "{key.name}" {{\n\talgorithm {key.algorithm};\n\tsecret "{key.secret}";\n}};\n'
        f"dns_persist_rfc2136_server = {bind.primary.address}\n"
    )
    path.chmod(0o600)
    keys = credentials.read(str(path)).keys("rfc2136", name)

    load("rfc2136", Settings(keys, str(path), print)).add_value(name, OURS, 300)

    assert bind.primary.values(name) == [OURS]
    assert caplog.messages == []


# Settings.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server": "", "secret": " "}, r"_server, dns_persist_rfc2136_secret.*/etc/dns\.ini"),
        ({"port": "0"}, "dns_persist_rfc2136_port in /etc/dns.ini must be a number from 1"),
        ({"port": "domain"}, "dns_persist_rfc2136_port"),
        ({"server": "192.0.2.1:53"}, "dns_persist_rfc2136_server.*port goes into"),
        ({"server": "one two"}, "dns_persist_rfc2136_server"),
        ({"secret": "not base64!"}, "dns_persist_rfc2136_secret .*base64"),
        ({"algorithm": "rot13"}, "hmac-md5, hmac-sha1,.* hmac-sha512"),
        ({"sign_query": "perhaps"}, "true or false"),
        (
            {"algorithm": "GSS-TSIG"},
            "is GSS-TSIG: updates signed with Kerberos.*nsupdate -g.*CNAME",
        ),
        ({"server_proto_pref": "tcp"}, "_server_proto_pref .*tcp_only, tcp_first, udp_only, udp_f"),
        ({"update_server_proto_pref": "quic"}, "dns_persist_rfc2136_update_server_proto_pref"),
        ({"update_server": "192.0.2.1:53"}, "dns_persist_rfc2136_update_server.*port goes into"),
        ({"name": "a..b"}, "dns_persist_rfc2136_name"),
        ({"server": "ns1..example.net"}, "dns_persist_rfc2136_server .* must be an address"),
        ({"server": f"{'x' * 64}.example.net"}, "dns_persist_rfc2136_server .* must be an address"),
    ],
)
def test_settings_that_cannot_be_used_are_named_with_their_file_and_not_shown(
    changes: dict[str, str], words: str
) -> None:
    credentials = {"server": "192.0.2.53", "name": "key", "secret": "c2VjcmV0"} | changes

    with pytest.raises(ConfigurationError, match=words) as caught:
        Rfc2136(Settings(credentials, "/etc/dns.ini", print))

    shown = "".join(traceback.format_exception(caught.value))
    assert "c2VjcmV0" not in shown
    assert "not base64!" not in shown


def test_without_a_file_the_option_for_it_is_named() -> None:
    with pytest.raises(ConfigurationError, match="--dns-persist-credentials"):
        Rfc2136(Settings({}, None, print))


@pytest.mark.parametrize("server", ["192.0.2.1", "2001:db8::1", "[2001:db8::1]", "ns1.example.net"])
@pytest.mark.parametrize(
    "algorithm", ["HMAC-MD5", "hmac-md5.sig-alg.reg.int.", "HMAC-SHA512", "hmac-sha256-128", ""]
)
def test_settings_in_every_spelling_are_taken(server: str, algorithm: str) -> None:
    credentials = {"server": server, "name": "k.", "secret": "c2Vj cmV0", "algorithm": algorithm}
    Rfc2136(Settings(credentials, None, print))


def test_settings_show_no_credentials() -> None:
    assert "c2VjcmV0" not in repr(Settings({"secret": "c2VjcmV0"}, None, print))
