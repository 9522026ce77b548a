"""What a record would hide or permit through a wildcard, judged without any server."""

import dataclasses

import pytest

from certbot_dns_persist.judge.hiding import at_place, obstacle, refusal, remarks
from certbot_dns_persist.judge.plan import make_plans
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found, Level, Neighbourhood, ServerAnswer, ZoneRecord
from certbot_dns_persist.options import Options
from certbot_dns_persist.request.request import AccountUris, ValidationRequest

URI = "https://ca.example/acct/1"
VALUE = f"ca.example; accounturi={URI}"
REQUEST = ValidationRequest(
    domain="a.b.example.com",
    wildcard=False,
    server="https://ca.example/dir",
    issuer_domain_names=("ca.example",),
    account_url=URI,
    account_uris=AccountUris(URI),
)
A = ZoneRecord("A", "192.0.2.1")
OTHER_A = ZoneRecord("A", "192.0.2.2")
MX = ZoneRecord("MX", "10 mx.example.com.")


def served(name: str) -> Level:
    """Return a name that a wildcard answers for."""
    return Level(name, (A,), (A,), (A,))


def around(*levels: Level, trouble: str | None = None, **fields: object) -> Neighbourhood:
    place = str(fields.get("place", REQUEST.name))
    found = Neighbourhood(REQUEST.name, place, "example.com", levels=levels, trouble=trouble)
    return dataclasses.replace(found, synthesized=bool(fields.get("synthesized")))


HIDING = around(served("a.b.example.com"), served("b.example.com"))


@pytest.mark.parametrize(
    ("beside", "own", "below", "by_wildcard"),
    [
        ((A,), (A,), (A,), True),
        ((A,), (OTHER_A,), (A,), True),  # services rotate values
        ((), (A,), (), False),
        ((A,), (A,), (), False),
        ((A,), (), (A,), False),
        ((A,), (MX,), (A,), False),
        ((A,), (A,), (A, MX), False),
        ((A, MX), (A,), (A, MX), False),
    ],
)
def test_a_wildcard_answers_for_a_name_if_it_is_answered_as_names_around_it_are(
    beside: tuple[ZoneRecord, ...],
    own: tuple[ZoneRecord, ...],
    below: tuple[ZoneRecord, ...],
    by_wildcard: bool,
) -> None:
    level = Level("www.example.com", beside, own, below)
    assert level.by_wildcard == by_wildcard
    assert not dataclasses.replace(level, own_wildcard=True).by_wildcard


@pytest.mark.parametrize(
    ("found", "permitted", "allowed"),
    [
        (around(), [], True),
        (around(Level("a.b.example.com", (A,), (A,), ())), [], True),
        (HIDING, [], False),
        (HIDING, ["a.b.example.com"], False),
        (HIDING, ["b.example.com"], False),
        (HIDING, ["b.example.com", "a.b.example.com"], True),
        (around(trouble="why"), [], False),
        (around(trouble="why"), ["b.example.com"], False),
        (around(trouble="why"), ["a.b.example.com"], True),
    ],
)
def test_each_name_that_would_be_hidden_has_to_be_permitted(
    found: Neighbourhood, permitted: list[str], allowed: bool
) -> None:
    there = obstacle(REQUEST.domain, found, permitted)
    assert (there is None) == allowed
    if there is not None:
        assert obstacle(REQUEST.domain, found, there.to_permit) is None
        assert f"--dns-persist-may-hide {','.join(there.to_permit)}" in refusal([there])


def test_what_one_wildcard_answers_for_is_told_together_and_its_certificate_if_that_would_do() -> (
    None
):
    def alone(host: str) -> Neighbourhood:
        name = f"{host}.example.com"
        return Neighbourhood(
            f"_validation-persist.{name}", f"_validation-persist.{name}", levels=(served(name),)
        )

    found = [obstacle(f"{host}.example.com", alone(host), ()) for host in ("x", "y")]
    said = refusal(each for each in found if each is not None)
    assert "The wildcard *.example.com answers for x.example.com, y.example.com now" in said
    assert "    x.example.com. IN A 192.0.2.1\n    *.x.example.com. IN A 192.0.2.1\n" in said
    assert "get a certificate for *.example.com instead" in said
    assert "--dns-persist-may-hide x.example.com,y.example.com" in said
    for other in (
        obstacle("x.example.com", alone("x"), (), wildcard=True),
        obstacle(REQUEST.domain, HIDING, ()),
        obstacle("other.example", around(served("x.example.com"), place="x.example.com"), ()),
    ):
        assert other is not None
        assert "certificate" not in refusal([other])


def standing(*values: str, canonical_name: str = REQUEST.name) -> Standing:
    server = ServerAnswer("ns1.example", "192.0.2.53", values)
    return Standing(REQUEST, Found(REQUEST.name, canonical_name, "cdn.example", (server,)), 1)


def test_what_a_wildcard_answers_is_neither_kept_nor_replaced_by_a_record() -> None:
    there = standing(f"{VALUE}; persistUntil=0", canonical_name="lb.cdn.example")
    found = at_place(there.found, around(synthesized=True))
    (plan,) = make_plans([dataclasses.replace(there, found=found)], Options(), "")
    assert (plan.name, plan.retire, found.zone) == (REQUEST.name, (), "example.com")
    (plan,) = make_plans([there], Options(), "")
    assert (plan.name, plan.retire) == ("lb.cdn.example", tuple(there.found.values))


def test_a_remark_is_for_a_record_that_authorises() -> None:
    hidden = around(Level("a.b.example.com", (A,)))
    spread = around(synthesized=True)
    assert [n.kind for n in remarks(standing(VALUE), hidden)] == ["hides-host"]
    assert [n.kind for n in remarks(standing(VALUE), spread)] == ["permits-others"]
    assert [*remarks(standing("v=spf1 -all"), hidden), *remarks(standing(), spread)] == []
    bound = dataclasses.replace(REQUEST, account_uris=AccountUris(URI, bound=frozenset({URI})))
    for_one_domain = dataclasses.replace(standing(VALUE), request=bound)
    assert list(remarks(for_one_domain, spread)) == []
