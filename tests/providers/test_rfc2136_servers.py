"""Dynamic updates to Knot and PowerDNS: how they refuse, and what we say then."""

from collections.abc import Callable, Iterator

import pytest
from conftest import KEY
from support import knot as knot_support
from support import powerdns as powerdns_support
from support.knot import Knot
from support.need import need
from support.powerdns import Powerdns
from support.zones import Key

from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.providers.interface import Addition, Settings
from certbot_dns_persist.providers.rfc2136 import Rfc2136

OURS = "ca.example; accounturi=https://ca.example/acct/1"
IDLE = Key("idle-key", KEY.secret)
ALLOWED = "allowed.example.test"
WRONG = {"secret": "bm90IHRoZSBzZWNyZXQ="}

Make = Callable[..., Rfc2136]


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    """Its key may write at and below one name of the zone."""
    need(not knot_support.missing(), str(knot_support.missing()))
    directory = tmp_path_factory.mktemp("knot")
    with Knot(directory, "example.test", writer=KEY, idle=IDLE, below=ALLOWED) as running:
        yield running


@pytest.fixture(scope="module")
def powerdns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Powerdns]:
    need(not powerdns_support.missing(), str(powerdns_support.missing()))
    with Powerdns(tmp_path_factory.mktemp("powerdns"), "example.test") as running:
        running.add_key(KEY, "example.test")
        running.add_key(IDLE)
        yield running


def provider(server: Knot | Powerdns, **changes: str) -> Rfc2136:
    keys = {
        "server": server.address,
        "port": str(server.port),
        "name": KEY.name,
        "secret": KEY.secret,
    }
    return Rfc2136(Settings(keys | changes, "/etc/dns.ini", print))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": IDLE.name}, r"if it is Knot, allows it nothing \(BADKEY\)\. Compare .*_name"),
        ({"name": "nobody"}, r"does not know the TSIG key nobody .*\(BADKEY\)\. Compare .*_name"),
        ({"algorithm": "hmac-sha512"}, r"\(BADKEY\)\. Compare .*_algorithm"),
        (WRONG, r"another secret .*\(BADSIG\)\. Compare dns_persist_rfc2136_secret"),
    ],
)
def test_knot_takes_no_wrong_key(knot: Knot, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ProviderError, match=words):
        provider(knot, **changes).add_value(ALLOWED, OURS, 300)


def test_where_knots_acl_forbids_a_name_the_key_is_not_called_unknown(
    knot: Knot, domain: str
) -> None:
    forbidden = f"_validation-persist.{domain}"
    names = [f"_validation-persist.a{number}.{ALLOWED}" for number in range(5)]
    wanted = [Addition(name, OURS, 300) for name in [*names, forbidden]]

    *used, refused = provider(knot).add_many(wanted)

    assert used == [300] * 5
    assert [knot.values(name) for name in names] == [[OURS]] * 5
    assert knot.values(forbidden) == []
    assert f"at {forbidden} in the zone example.test" in str(refused)
    assert "knows the TSIG key test-key (hmac-sha256), but does not allow it to do that" in str(
        refused
    )
    assert "acl of the zone with action: update" in str(refused)


@pytest.mark.parametrize("changes", [WRONG, {"name": "nobody"}, {"algorithm": "hmac-sha512"}])
def test_powerdns_refuses_a_wrong_key_as_it_refuses_one_that_may_not(
    powerdns: Powerdns, domain: str, changes: dict[str, str]
) -> None:
    with pytest.raises(ProviderError, match=r"answered REFUSED.*TSIG-ALLOW-DNSUPDATE") as caught:
        provider(powerdns, **changes).add_value(domain, OURS, 300)

    assert "PowerDNS also answers so if the key or its secret is wrong" in str(caught.value)
    assert "Compare dns_persist_rfc2136_name" in str(caught.value)
    assert powerdns.values(domain) == []


def test_a_key_that_powerdns_knows_and_does_not_allow_is_not_called_wrong(
    powerdns: Powerdns, domain: str
) -> None:
    with pytest.raises(ProviderError, match=r"answered REFUSED.*TSIG-ALLOW-DNSUPDATE") as caught:
        provider(powerdns, name=IDLE.name).add_value(domain, OURS, 300)

    assert "PowerDNS also answers so" not in str(caught.value)
