"""``audit`` where the CA hashes account URIs (draft -02): a hash tells nobody whose it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.acme_ca import TestCa, roll_over_certbot_account
from support.certbot import Certbot
from support.companion import Companion
from support.nameserver import Nameserver, Zones
from support.zones import zone_text

DOMAIN = "example.test"
NAME = f"_validation-persist.{DOMAIN}"


@pytest.fixture
def ca(nameserver: Nameserver) -> Iterator[TestCa]:
    """A CA that speaks -02."""
    with TestCa(dns=(nameserver.address, nameserver.port)) as running:
        yield running


@pytest.fixture
def certbot(tmp_path: Path, ca: TestCa) -> Certbot:
    return Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)


@pytest.fixture
def certified(certbot: Certbot, writing: list[str]) -> str:
    done = certbot.certonly(*writing, "-d", DOMAIN)
    assert done.returncode == 0, done.output
    return DOMAIN


@pytest.mark.usefixtures("certified")
@pytest.mark.parametrize("shared", [False, True])
def test_a_hash_is_unknown_until_its_account_is_on_this_machine_or_declared(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    tmp_path: Path,
    shared: bool,
) -> None:
    elsewhere = Certbot(tmp_path / "elsewhere", ca.directory_url, ca.root_certificate)
    elsewhere.register()
    nameserver.zones.set_values(
        NAME, [*nameserver.values(NAME), ca.record_value(DOMAIN, shared=shared)]
    )

    audited = companion("audit", "--all")
    assert audited.returncode == 2, audited.output
    assert "\tunknown-account\t" in audited.out

    theirs = ca.accounts[-1]
    known = f"{theirs.url} {theirs.thumbprint}"
    audited = companion("audit", "--all", "--known-account", known)
    assert audited.returncode == 0, audited.output
    assert "\tknown-account\t" in audited.out

    (directory,) = elsewhere.config_dir.glob("accounts/*/*")
    shutil.copytree(directory, certbot.config_dir / "accounts" / "ca2.example" / "directory")
    audited = companion("audit", "--all")
    assert audited.returncode == 0, audited.output
    assert "\tother-account\t" in audited.out
    assert "of this machine at ca2.example/directory" in audited.out


@pytest.mark.usefixtures("certified")
def test_a_record_made_with_an_earlier_key_is_ours_and_outdated(
    ca: TestCa, certbot: Certbot, companion: Companion
) -> None:
    (account,) = certbot.config_dir.glob("accounts/*/*/*")
    roll_over_certbot_account(account, ca.directory_url, ca.root_certificate)
    audited = companion("audit", "--all")
    assert audited.returncode == 0, audited.output
    assert "\toutdated\t" in audited.out
    assert "earlier account key" in audited.out


@pytest.mark.long
def test_records_of_several_domains_at_the_end_of_one_alias_are_all_ours(
    certbot: Certbot, companion: Companion, nameserver: Nameserver, writing: list[str]
) -> None:
    domains = [f"{label}.{DOMAIN}" for label in "ab"]
    alias = "_validation-persist.{} CNAME shared.other.test."
    zones = Zones.from_text(
        zone_text(DOMAIN, {"ns1": ["127.0.0.1"]}, "\n".join(map(alias.format, "ab"))),
        zone_text("other.test", {"ns1": ["127.0.0.1"]}),
    )
    nameserver.zones.zones.update(zones.zones)
    for domain in domains:
        done = certbot.certonly(*writing, "-d", domain)
        assert done.returncode == 0, done.output
    assert len(nameserver.values("shared.other.test")) == 2

    audited = companion("audit", "--all")
    assert audited.returncode == 0, audited.output
    assert audited.out.count("\tother-account\t") == 2
    # When the certificate of one goes, its record, which serves no other domain, is left over.
    assert certbot.run("delete", "--cert-name", domains[0]).returncode == 0
    audited = companion("audit", "--all")
    assert audited.returncode == 1, audited.output
    assert audited.out.count("\tleft-over\t") == 1
    assert f"-d {domains[0]} --server {certbot.server}" in audited.out
