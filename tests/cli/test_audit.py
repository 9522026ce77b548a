"""``certbot-dns-persist audit``: whose everything is that stands at our names."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion
from support.pebble import ISSUER, Pebble


@pytest.fixture
def certified(certbot: Certbot, domain: str, bind_writing: list[str]) -> str:
    """A domain with a certificate and its record."""
    done = certbot.certonly(*bind_writing, "-d", domain)
    assert done.returncode == 0, done.output
    return domain


@pytest.fixture
def elsewhere(tmp_path: Path, pebble: Pebble) -> Certbot:
    """Certbot on another machine, with an account at the same CA."""
    other = Certbot(tmp_path / "elsewhere", pebble.directory_url, pebble.ca_bundle)
    other.register()
    return other


def kinds(document: Any) -> list[tuple[str, str]]:
    return [
        (notice["kind"], notice["severity"])
        for record in document["records"]
        for notice in record["notices"]
    ]


def test_beside_our_own_record_there_is_nothing_to_say(
    companion: Companion, certified: str
) -> None:
    audited = companion("audit", "--all")
    assert audited.returncode == 0, audited.output
    assert audited.out == (
        f"{certified}\tok\tThe record at _validation-persist.{certified} authorises.\n"
    )


def test_a_record_of_an_unknown_account_exits_with_2_until_the_account_is_declared(
    companion: Companion, certified: str, elsewhere: Certbot, bind: Bind, tmp_path: Path
) -> None:
    name, uri = f"_validation-persist.{certified}", elsewhere.account_url
    bind.add_txt(name, f"{ISSUER}; accounturi={uri}; policy=wildcard")

    audited = companion("audit", "--all")
    assert audited.returncode == 2, audited.output
    first, second = audited.out.splitlines()
    assert first.startswith(f"{certified}\tok\t")
    assert second.startswith(f"{certified}\tunknown-account\t")
    assert f"*.{certified} and every name below" in second
    assert f"--known-account {uri}" in second
    assert companion("check", "--all").returncode == 0

    document = companion("audit", "--all", "--json").json
    assert document["status"] == "critical"
    (record,) = document["records"]
    assert record["status"] == "ok"
    (notice,) = record["notices"]
    assert notice["name"] == name
    assert notice["value"] == f"{ISSUER}; accounturi={uri}; policy=wildcard"

    quiet = companion("audit", "--all", "--quiet")
    summary, problem = quiet.out.splitlines()
    assert summary.startswith(
        f"DNS-PERSIST AUDIT CRITICAL - unknown-account: {certified}; 0 of 1 domain ok | domains=1;"
    )
    assert problem.startswith(f"{certified}\tunknown-account\t")

    declared = companion("audit", "--all", "--known-account", uri)
    assert declared.returncode == 0, declared.output
    assert "\tknown-account\t" in declared.out
    listed = tmp_path / "accounts.txt"
    listed.write_text(f"# The other host.\n\n{uri}  # since 2026\n")
    assert companion("audit", "--all", "--known-accounts", listed).returncode == 0
    quiet = companion("audit", "--all", "--known-accounts", listed, "--quiet")
    assert quiet.returncode == 0
    assert quiet.out.startswith("DNS-PERSIST AUDIT OK - 1 of 1 domain ok | domains=1;;;0 ok=1;;;0 ")


def test_an_account_of_this_machine_at_another_server_is_a_remark(
    certbot: Certbot, companion: Companion, certified: str, elsewhere: Certbot, bind: Bind
) -> None:
    staging = certbot.config_dir / "accounts" / "acme-staging.example" / "directory"
    (theirs,) = elsewhere.config_dir.glob("accounts/*/dir")
    shutil.copytree(theirs, staging)
    bind.add_txt(
        f"_validation-persist.{certified}", f"{ISSUER}; accounturi={elsewhere.account_url}"
    )

    audited = companion("audit", "--all")

    assert audited.returncode == 0, audited.output
    assert "\tother-account\t" in audited.out
    assert "of this machine at acme-staging.example/directory" in audited.out


def test_a_record_of_a_former_account_is_told_until_rotate_has_removed_it(
    certbot: Certbot,
    companion: Companion,
    certified: str,
    bind: Bind,
    other_account: tuple[str, str],
) -> None:
    name = f"_validation-persist.{certified}"
    (noted,) = certbot.records()["records"]
    url = noted["account_url"]
    by_hand = f"{ISSUER}; accounturi={url}; policy=wildcard"
    bind.add_txt(name, by_hand)
    renewal = certbot.config_dir / "renewal" / f"{certified}.conf"
    account, _ = other_account
    former = certbot.renewal(certified)["account"]
    renewal.write_text(renewal.read_text().replace(former, account))
    (place,) = (certbot.config_dir / "accounts").glob(f"**/{former}")
    shutil.rmtree(place)
    bind.add_txt(name, f"{ISSUER}; accounturi={other_account[1]}")

    def former_accounts() -> dict[str, str]:
        document = companion("audit", "--all", "--json").report
        (record,) = document["records"]
        assert document["status"] == ("warning" if record["notices"] else "ok")
        return {
            notice["value"]: notice["reason"]
            for notice in record["notices"]
            if (notice["kind"], notice["severity"]) == ("former-account", "warning")
        }

    found = former_accounts()
    assert set(found) == {noted["value"], by_hand}
    for reason in found.values():
        assert f"is for a former account of this machine, {url}" in reason
    assert f"published from here at {noted['first_published']}" in found[noted["value"]]
    assert "certbot-dns-persist rotate removes it" in found[noted["value"]]
    assert "published" not in found[by_hand]
    assert f"Remove exactly this TXT value at {name}" in found[by_hand]

    # Also when only the log of changes still knows.
    state = certbot.state_file
    kept = state.read_bytes()
    state.unlink()
    assert set(former_accounts()) == {noted["value"], by_hand}
    state.write_bytes(kept)

    done = companion("rotate", "--all", "--yes", "--no-wait")
    assert done.returncode == 0, done.output
    assert set(former_accounts()) == {by_hand}


def test_a_damaged_account_of_this_machine_is_a_warning_and_stops_nothing(
    certbot: Certbot, companion: Companion, certified: str
) -> None:
    damaged = certbot.config_dir / "accounts" / "ca.example" / "directory" / "0123"
    damaged.mkdir(parents=True)
    (damaged / "regr.json").write_text("{")
    audited = companion("audit", "--all")
    assert audited.returncode == 0, audited.output
    assert str(damaged) in audited.error


def test_everything_else_at_our_names_is_told_apart(
    companion: Companion, certified: str, bind: Bind, certbot: Certbot
) -> None:
    name, ours = f"_validation-persist.{certified}", certbot.account_url
    for value in (
        "other.example; accounturi=https://other.example/acct/7",
        f"{ISSUER}; accounturi=https://ca.example/acct/9; persistUntil=1000000000",
        f"{ISSUER}; accounturi=",
        "v=spf1 -all",
        f"{ISSUER}; accounturi={ours}; persistUntil=1000000000",
        f"{ISSUER}; accounturi={ours}; persistUntil=4000000000",
        f"{ISSUER}; accounturi={ours}; policy=wildcard; unknown=1",
    ):
        bind.add_txt(name, value)
    bind.add_txt(f"_acme-persist.{certified}", f"v=acme-persist-01; ca=x; account={ours}")
    bind.add_txt(f"_persist-challenge.{certified}", "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo")

    audited = companion("audit", "--all", "--json")

    assert audited.returncode == 2, audited.output
    assert sorted(kinds(audited.json)) == [
        ("expired", "ok"),
        ("expired", "warning"),
        ("malformed", "warning"),
        ("obsolete", "warning"),
        ("obsolete", "warning"),
        ("other-ca", "critical"),
        ("superseded", "ok"),
        ("superseded", "ok"),
        ("unrelated", "ok"),
        ("wider", "ok"),
    ]


def test_what_was_changed_outside_of_this_program_is_told(
    companion: Companion, certified: str, bind: Bind, certbot: Certbot
) -> None:
    name = f"_validation-persist.{certified}"
    (published,) = bind.primary.values(name)
    bind.add_txt(name, f"{published}; persistUntil=4000000000")
    bind.delete_txt(name, published)

    audited = companion("audit", "--all", "--json")

    assert audited.returncode == 1, audited.output
    assert kinds(audited.json) == [("gone", "warning"), ("unrecorded", "ok")]
    gone = audited.json["records"][0]["notices"][0]
    (noted,) = certbot.records()["records"]
    assert f"after {noted['last_changed']}" in gone["reason"]
    assert gone["value"] == published


def test_a_record_that_no_certificate_needs_any_more_is_told_with_the_way_to_revoke_it(
    certbot: Certbot,
    companion: Companion,
    certified: str,
    bind: Bind,
    bind_writing: list[str],
    bind_reading: list[str],
) -> None:
    kept = f"kept.{certified}"
    assert certbot.certonly(*bind_writing, "-d", kept).returncode == 0
    assert certbot.run("delete", "--cert-name", certified).returncode == 0

    audited = companion("audit", "--all")

    assert audited.returncode == 1, audited.output
    first, second, third = audited.out.splitlines()
    assert first.startswith(f"{kept}\tok\t")
    assert second.startswith(f"{certified}\tok\tNo certificate on this machine needs")
    assert third.startswith(f"{certified}\tleft-over\t")
    assert (
        f"certbot-dns-persist revoke --config-dir {certbot.config_dir} --logs-dir "
        f"{certbot.logs_dir} -d {certified} --server {certbot.server} --account "
        f"{certbot.account_url}" in third
    )
    assert companion("audit", "-d", kept).returncode == 0  # it was not asked about the others

    # Not in DNS any more: nothing is permitted.
    bind.delete_txt(f"_validation-persist.{certified}")
    assert companion("audit", "--all").returncode == 0
    # Also without any certificate left.
    assert certbot.run("delete", "--cert-name", kept).returncode == 0
    audited = companion("audit", "--all", *bind_reading)
    assert audited.returncode == 1, audited.output
    assert f"{kept}\tleft-over\t" in audited.out


def test_it_works_without_certbots_files(
    companion: Companion,
    certified: str,
    certbot: Certbot,
    elsewhere: Certbot,
    bind: Bind,
    bind_reading: list[str],
    tmp_path: Path,
) -> None:
    bind.add_txt(
        f"_validation-persist.{certified}", f"{ISSUER}; accounturi={elsewhere.account_url}"
    )
    identity = ["--issuer", ISSUER, "--account-uri", certbot.account_url]
    nowhere = ["--config-dir", str(tmp_path / "none")]

    audited = companion("audit", "-d", certified, *identity, *bind_reading, *nowhere)
    assert audited.returncode == 2, audited.output
    assert "\tunknown-account\t" in audited.out

    known = ["--known-account", elsewhere.account_url]
    audited = companion("audit", "-d", certified, *identity, *known, *bind_reading, *nowhere)
    assert audited.returncode == 0, audited.output


def test_hostile_values_cannot_steer_the_terminal(
    companion: Companion, certified: str, bind: Bind
) -> None:
    bind.add_txt(
        f"_validation-persist.{certified}", f"\x1b]0;owned\x07{ISSUER}; accounturi=https://x/1"
    )
    audited = companion("audit", "--all")
    assert audited.returncode == 1, audited.output
    assert "\x1b" not in audited.out
    assert r"\x1b]0;owned" in audited.out


def test_a_declared_account_that_cannot_be_one_is_not_known_and_said(companion: Companion) -> None:
    audited = companion("audit", "--all", "--known-account", "me and you")
    assert audited.returncode == 3, audited.output
    assert "--known-account 'me and you'" in audited.error
    audited = companion("audit", "--all", "--known-accounts", "/nonexistent")
    assert audited.returncode == 3, audited.output
