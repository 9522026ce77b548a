"""BIND does what the tests take for granted."""

import dns.message
import dns.rdatatype
import dns.tsig
import pytest
from support.bind import Bind
from support.zones import Key


def test_an_update_reaches_the_secondary_and_the_resolver(bind: Bind, domain: str) -> None:
    before = bind.primary.update_count()
    bind.add_txt(domain, "one; two")
    for server in (bind.primary, bind.secondary, bind.resolver):
        assert server.values(domain) == ["one; two"]
    assert bind.primary.update_count() == before + 1
    assert (domain, "TXT") in bind.primary.queries()


def test_a_secondary_that_is_held_back_lags_until_it_catches_up(bind: Bind, domain: str) -> None:
    bind.hold_back()
    bind.add_txt(domain, "new")
    assert (bind.primary.values(domain), bind.secondary.values(domain)) == (["new"], [])
    bind.catch_up()
    assert bind.secondary.values(domain) == ["new"]


def test_the_resolver_walks_down_into_a_delegated_zone(bind: Bind) -> None:
    bind.add_txt("a.child.example.test", "below")
    assert bind.resolver.values("a.child.example.test") == ["below"]


def test_the_resolver_follows_a_cname_into_another_zone(bind: Bind, domain: str) -> None:
    update = bind.primary.update("example.test")
    update.add(f"{domain}.", 1, "CNAME", "elsewhere.other.test.")
    bind.primary.send(update)
    bind.add_txt("elsewhere.other.test", "there")
    assert bind.resolver.values(domain) == ["there"]


def test_an_update_with_another_secret_is_refused_and_counted(bind: Bind, domain: str) -> None:
    before = bind.primary.update_count()
    stranger = Key(bind.key.name, "bm90IHRoZSBzZWNyZXQ=")
    update = dns.update.UpdateMessage("example.test", keyring=stranger.for_dnspython())
    update.delete(f"{domain}.", dns.rdatatype.TXT)
    with pytest.raises(dns.tsig.PeerBadSignature):
        bind.primary.send(update)
    assert bind.primary.update_count() == before + 1
