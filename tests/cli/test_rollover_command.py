"""``rollover`` on Pebble and BIND."""

from pathlib import Path

import pytest
from support.companion import Companion, ok
from support.dying import Dying
from support.issued import Issued

from certbot_dns_persist.ca.key_change import Holder, holder
from certbot_dns_persist.change.rollover import former, make_key
from certbot_dns_persist.request.accounts import read_key


def renew(issued: Issued) -> None:
    done = issued.certbot.renew("--force-renewal")
    assert done.returncode == 0, done.output


def account_id(issued: Issued) -> str:
    return issued.certbot.renewal(issued.domain)["account"]


def test_at_a_ca_that_does_not_hash_account_uris_no_record_changes(
    issued: Issued, companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    certbot, before, old = issued.certbot, issued.values, account_id(issued)
    done = ok(companion("rollover", "--yes"))
    assert "No record changes: the account's URL, which records name, stays." in done.out
    new = account_id(issued)
    assert new != old
    assert issued.values == before

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certbot.env["REQUESTS_CA_BUNDLE"])
    (path,) = (certbot.config_dir / "accounts").glob(f"**/{new}")
    keys = read_key(former(certbot.config_dir, old)), read_key(path)
    assert holder(*keys, issued.url, certbot.server, verify=True) is Holder.NEW
    others = keys[0], make_key(keys[0])
    assert holder(*others, issued.url, certbot.server, verify=True) is Holder.NEITHER

    for _ in range(2):  # the second is with what the first has saved
        renew(issued)
    assert account_id(issued) == new
    ok(companion("check", "--all"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "nth"),
    [
        ("rollover.json", 2),  # the CA does not know the new key
        ("mkdir accounts/", 1),  # only the CA does
        ("rename renewal/", 1),  # renewals still name the old account
        ("rename dns-persist/former-accounts/", 1),  # there are two accounts
    ],
)
def test_a_renewal_after_a_kill_works_and_the_next_run_finishes(
    issued: Issued, companion: Companion, change: str, nth: int
) -> None:
    before, old = issued.values, account_id(issued)
    Dying(issued.certbot)("rollover", "--yes", before=change, nth=nth)
    renew(issued)
    ok(companion("rollover", "--yes"))
    new = account_id(issued)
    assert new != old
    renew(issued)
    accounts = issued.certbot.config_dir / "accounts"
    assert [path.parent.name for path in accounts.glob("**/regr.json")] == [new]
    assert issued.values == before
    assert not list(Path(issued.certbot.config_dir, "dns-persist", "rollover").iterdir())
