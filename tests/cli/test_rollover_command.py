"""``rollover`` on Pebble and BIND."""

from support.companion import Companion, ok
from support.issued import Issued


def test_at_a_ca_that_does_not_hash_account_uris_no_record_changes(
    issued: Issued, companion: Companion
) -> None:
    certbot, before = issued.certbot, issued.values
    old = certbot.renewal(issued.domain)["account"]
    done = ok(companion("rollover", "--yes"))
    assert "No record changes: the account's URL, which records name, stays." in done.out
    new = certbot.renewal(issued.domain)["account"]
    assert new != old
    assert issued.values == before
    for _ in range(2):  # the second is with what the first has saved
        renewed = certbot.renew("--force-renewal")
        assert renewed.returncode == 0, renewed.output
    assert certbot.renewal(issued.domain)["account"] == new
    ok(companion("check", "--all"))
