"""``publish``, ``revoke`` and ``prune``, on Pebble and BIND."""

from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, failed, ok
from support.issued import FOREIGN, Issued
from support.pebble import ISSUER

from certbot_dns_persist.record import validation_domain_name

PAST, FUTURE = 1_700_000_000, 4_000_000_000


def test_what_is_published_beforehand_serves_the_first_certificate(
    certbot: Certbot,
    companion: Companion,
    bind: Bind,
    domain: str,
    bind_writing: list[str],
    bind_reading: list[str],
) -> None:
    names = ["-d", domain, "-d", f"*.{domain}", "--server", certbot.server]
    missing = failed(companion("publish", *names, *bind_writing, "--yes"))
    assert f"certbot register --server {certbot.server}" in missing.error
    url = certbot.register()
    dry = ok(companion("publish", *names, *bind_writing, "--dry-run"))
    value = f"{ISSUER}; accounturi={url}; policy=wildcard"
    assert f"+ {value}" in dry.out
    assert bind.primary.values(validation_domain_name(domain)) == []
    ok(companion("publish", *names, *bind_writing, "--yes"))
    assert bind.secondary.values(validation_domain_name(domain)) == [value]
    assert certbot.journal()[-1]["reason"] == "no record authorises"
    again = ok(companion("publish", *names, *bind_writing))
    assert "Nothing is missing" in again.out
    done = certbot.certonly(*bind_reading, "-d", domain, "-d", f"*.{domain}")
    assert done.returncode == 0, done.output
    assert bind.primary.values(validation_domain_name(domain)) == [value]


def test_revoking_takes_all_of_ours_away_and_nothing_else(
    issued: Issued, companion: Companion
) -> None:
    wide = issued.value(issued.url, "; policy=wildcard")
    issued.bind.add_txt(issued.name, wide)
    dry = ok(companion("revoke", "--cert-name", issued.domain, "--dry-run"))
    assert f"- {wide} (revoked)" in dry.out
    assert "PUBLISHES THEM AGAIN" in dry.out
    done = ok(companion("revoke", "--cert-name", issued.domain, "--yes"))
    assert "until the TTL ends" in done.out
    assert f"certbot unregister --server {issued.certbot.server}" in done.out
    assert sorted(issued.bind.secondary.values(issued.name)) == sorted(FOREIGN)
    assert issued.certbot.records()["records"] == []
    assert [line["reason"] for line in issued.certbot.journal()[-2:]] == ["revoked"] * 2
    again = ok(companion("revoke", "--cert-name", issued.domain, "--yes"))
    assert "nothing to revoke" in again.out
    checked = companion("check", "--all")
    assert checked.returncode == 2, checked.output


def test_revoking_waits_until_no_server_has_the_record(
    issued: Issued, companion: Companion
) -> None:
    issued.bind.hold_back()
    try:
        done = failed(
            companion(
                *("revoke", "--cert-name", issued.domain, "--yes"),
                *("--dns-persist-propagation-seconds", "1"),
            )
        )
        assert "is still served by" in done.error
        assert issued.bind.secondary.address in done.error
    finally:
        issued.bind.catch_up()


def test_with_the_manual_provider_revoking_says_what_to_remove(
    issued: Issued, companion: Companion
) -> None:
    manual = ["--dns-persist-provider", "manual"]
    done = failed(companion("revoke", "--cert-name", issued.domain, "--yes", *manual))
    value = issued.value(issued.url)
    assert f'Remove {issued.name} TXT "{value}" yourself' in done.error
    assert issued.values == [value]


def test_only_what_is_expired_or_superseded_is_pruned(issued: Issued, companion: Companion) -> None:
    plain = issued.value(issued.url)
    useless = {
        issued.value(issued.url, f"; persistUntil={PAST}"): "expired",
        issued.value(issued.url, f"; persistUntil={FUTURE}"): "superseded",
    }
    wide = issued.value(issued.url, "; policy=wildcard")
    for value in [*useless, wide]:
        issued.bind.add_txt(issued.name, value)
    done = ok(companion("prune", "--all", "--dry-run"))
    # The wide one does all that the first one does, and more.
    for value, reason in {**useless, plain: "superseded"}.items():
        assert f"- {value} ({reason})" in done.out
    ok(companion("prune", "--all", "--yes"))
    assert issued.values == [wide]
    assert "nothing to prune" in ok(companion("prune", "--all", "--yes")).out
    renewed = issued.certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output


def test_pruning_needs_every_server_to_have_what_stays(
    issued: Issued, companion: Companion
) -> None:
    end = issued.value(issued.url, f"; persistUntil={FUTURE}")
    issued.bind.delete_txt(issued.name, issued.value(issued.url))
    issued.bind.add_txt(issued.name, end)
    issued.bind.hold_back()
    try:
        update = issued.bind.primary.update(issued.bind.zone_of(issued.name))
        update.add(f"{issued.name}.", 1, "TXT", f'"{issued.value(issued.url)}"')
        issued.bind.primary.send(update)
        done = ok(companion("prune", "--all", "--yes"))
        assert "nothing to prune" in done.out
        assert end in issued.bind.primary.values(issued.name)
    finally:
        issued.bind.catch_up()
    ok(companion("prune", "--all", "--yes"))
    assert issued.values == [issued.value(issued.url)]


def test_pruning_forgets_what_is_gone_from_dns(issued: Issued, companion: Companion) -> None:
    issued.bind.delete_txt(issued.name, issued.value(issued.url))
    assert len(issued.certbot.records()["records"]) == 1
    ok(companion("prune", "--all", "--yes", "--dry-run"))
    assert len(issued.certbot.records()["records"]) == 1
    ok(companion("prune", "--all", "--yes"))
    assert issued.certbot.records()["records"] == []
    assert issued.certbot.journal()[-1]["reason"] == "was gone already"


def test_after_the_life_of_a_record_audit_tells_what_is_foreign(
    issued: Issued, companion: Companion, other_account: tuple[str, str]
) -> None:
    found = companion("audit", "--all")
    assert found.returncode == 2, found.output
    for value in FOREIGN[:2]:
        assert value.partition("accounturi=")[2].partition(";")[0] in found.out
    for value in FOREIGN[:2]:
        issued.bind.delete_txt(issued.name, value)
    strangers = [v for v in FOREIGN if v not in FOREIGN[:2]]
    ok(companion("rotate", "--all", "--account", other_account[0], "--yes", "--no-wait"))
    new = issued.value(other_account[1])
    assert sorted(issued.bind.secondary.values(issued.name)) == sorted([*strangers, new])
    for value in strangers:
        issued.bind.delete_txt(issued.name, value)
    ok(companion("check", "--all"))
    ok(companion("audit", "--all"))
