"""The fallback's wait, without a CA: it goes by what resolvers may still deny."""

from pathlib import Path

import dns.name
import pytest
from support.nameserver import Nameserver

from certbot_dns_persist.change.dns01 import Dns01
from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.change.surroundings import Surroundings
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import options_of
from certbot_dns_persist.request.request import Proof

PROOF = Proof("example.test", "proof", "https://ca.example/dir", "https://ca.example/acct/1")


def test_it_is_told_for_how_long_resolvers_may_deny_a_proof(
    nameserver: Nameserver,
    nameserver_credentials: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    zone = nameserver.zones.closest(dns.name.from_text(PROOF.domain))
    assert zone is not None
    soa = zone.soa()
    zone.put(zone.origin, soa.rdtype, 3600, [soa[0].replace(minimum=3600)])
    lookup = Lookup([Address(nameserver.address, nameserver.port)], authoritative=False)
    options = options_of(
        {
            "provider": "rfc2136",
            "credentials": str(nameserver_credentials),
            "propagation-seconds": "1",
            "may-hide": PROOF.domain,
        },
        {},
    )
    publisher = Publisher(options, lookup, Journal(str(tmp_path), str(tmp_path)), print)
    fallback = Dns01(options, lookup, publisher, Surroundings(notify=print))

    fallback.publish([PROOF])  # this resolver remembers nothing

    assert "may repeat that answer for 3600 seconds although it is published now" in caplog.text
    assert nameserver.values(PROOF.name) == ["proof"]
    fallback.withdraw()
    assert nameserver.values(PROOF.name) == []
