"""Why a CA may have refused, by what stands in DNS and what it said."""

from collections.abc import Collection

import pytest
from test_plan import NOW, REQUEST, URI, ours

from certbot_dns_persist.judge.hint import explain
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer


def hint(value: str, said: Collection[str]) -> str:
    answer = ServerAnswer("ns1", "192.0.2.1", (value,))
    found = Found(REQUEST.name, REQUEST.name, "example.com", (answer,))
    inspection = Inspection(REQUEST.domain, found, bogus=False)
    return explain([REQUEST], [inspection], said={REQUEST.domain: said}, at=NOW)


@pytest.mark.parametrize("said", [[], ["unauthorized"], ["dns"]])
def test_a_record_that_all_accept_was_not_what_the_ca_saw(said: list[str]) -> None:
    assert "an answer from a cache" in hint(ours(), said)


def test_a_record_that_the_ca_cannot_read_is_no_matter_of_caches() -> None:
    shown = hint(ours(), ["malformed"])
    assert "could not read a record that the standard allows" in shown
    assert "certbot-dns-persist rotate" in shown
    assert "cache" not in shown


@pytest.mark.parametrize("said", [[], ["unauthorized"], ["malformed"]])
@pytest.mark.parametrize(
    "value", [f"ca.example.; accounturi={URI}", f"{ours()}; a.b=c", ours(persist_until=2**63 - 1)]
)
def test_a_record_that_some_cas_refuse_is_the_likely_cause(value: str, said: list[str]) -> None:
    shown = hint(value, said)
    assert "this CA is probably one of those that refuse it" in shown
    assert "certbot-dns-persist rotate" in shown
    assert "cache" not in shown
