"""When a record ends: as the user asks, and after the certificate's next renewal."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.nameserver import Nameserver

from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.change.surroundings import Surroundings, lookup_of
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import ValidationRecord, validation_domain_name
from certbot_dns_persist.request.request import AccountUris, ValidationRequest

DAY = 86400
DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
URI = "https://ca.example/acct/1"
NOW = int(time.time())

Authorize = Callable[..., str]


def ours(*, days: int | None = None, **fields: Any) -> str:
    until = None if days is None else NOW + days * DAY
    return ValidationRecord("ca.example", URI, persist_until=until, **fields).to_value()


@pytest.fixture
def authorize(
    nameserver: Nameserver,
    nameserver_credentials: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> Authorize:
    """Make DNS authorise with these options, as in an order; return the warnings."""

    def run(*, provider: str = "rfc2136", **settings: Any) -> str:
        here = {name: settings.pop(name, None) for name in ("renewal", "shorten", "dry_run")}
        options = Options(
            providers=(provider,),
            credentials=str(nameserver_credentials),
            resolvers=((nameserver.address, nameserver.port),),
            check="resolver",
            **settings,
        )
        lookup = lookup_of(options)
        publisher = Publisher(
            options, lookup, Journal(str(tmp_path), str(tmp_path)), lambda _: None
        )
        surroundings = Surroundings(notify=lambda _: None, ca_decides=True, **here)
        request = ValidationRequest(
            domain=DOMAIN,
            wildcard=False,
            server="https://ca.example/dir",
            issuer_domain_names=("ca.example",),
            account_url=URI,
            account_uris=AccountUris(URI),
        )
        caplog.clear()
        Ensure(options, lookup, publisher, surroundings).authorize([request])
        return "\n".join(r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)

    return run


def test_what_lasts_longer_is_shortened_if_the_user_asks_for_the_end_now(
    authorize: Authorize, nameserver: Nameserver
) -> None:
    until = NOW + 40 * DAY
    for stands in (ours(), ours(days=50)):
        nameserver.zones.set_values(NAME, [stands])
        assert authorize(until=until, shorten=True) == ""
        assert nameserver.values(NAME) == [ours(days=40)]
    updates = len(nameserver.updates)
    assert authorize(until=until, shorten=True) == ""
    assert len(nameserver.updates) == updates


def test_in_a_renewal_what_lasts_longer_stays_and_is_told(
    authorize: Authorize, nameserver: Nameserver
) -> None:
    nameserver.zones.set_values(NAME, [ours()])
    said = authorize(valid_for=9)
    assert f"{NAME} that authorises {DOMAIN} never expires, later than --dns-persist-valid" in said
    assert "certbot-dns-persist rotate replaces it" in said
    assert authorize(valid_for=9, dry_run=True) == ""
    assert nameserver.updates == []


def test_by_hand_it_is_told_what_takes_the_place_of_which(
    authorize: Authorize, nameserver: Nameserver
) -> None:
    nameserver.zones.set_values(NAME, [ours()])
    said = authorize(provider="manual", until=NOW + 40 * DAY, shorten=True)
    assert f"    + {ours(days=40)}\n    - {ours()} (once every server has the new one)" in said


def test_what_covers_more_names_stays_and_is_told(
    authorize: Authorize, nameserver: Nameserver
) -> None:
    wide = ours(policy="wildcard")
    nameserver.zones.set_values(NAME, [ours(), wide])
    assert "never expires" in authorize(until=NOW + 40 * DAY, shorten=True)
    assert nameserver.values(NAME) == sorted([wide, ours(days=40)])


@pytest.mark.parametrize(
    ("stands", "settings", "told"),
    [
        ([], {"until": NOW + 40 * DAY}, True),
        ([ours(days=40)], {}, True),
        ([ours(days=40)], {"provider": "manual"}, True),
        ([ours(days=61)], {}, False),
        ([ours()], {}, False),
        # The renewal publishes another.
        ([], {"valid_for": 40}, False),
        ([ours(days=40)], {"valid_for": 60}, False),
        # By hand, somebody has to remember it.
        ([ours(days=40)], {"valid_for": 60, "provider": "manual"}, True),
    ],
)
def test_an_end_before_the_next_renewal_of_the_certificate_is_told(
    authorize: Authorize,
    nameserver: Nameserver,
    stands: list[str],
    settings: dict[str, Any],
    told: bool,
) -> None:
    nameserver.zones.set_values(NAME, stands)
    words = f"The record of {DOMAIN} expires at "
    assert (words in authorize(renewal=NOW + 60 * DAY, **settings)) is told
    assert words not in authorize(**settings)
