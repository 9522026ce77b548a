"""Certbot's other commands and options, with certificates of ours: what a sysadmin relies on."""

import re
import shutil
from pathlib import Path

import pytest
from support.acme_ca import TestCa
from support.certbot import Certbot, Result
from support.nameserver import Nameserver, Zones
from support.pebble import ISSUER, Pebble
from support.zones import zone_text

from certbot_dns_persist.record import validation_domain_name

pytestmark = pytest.mark.long

DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)


@pytest.fixture
def certbot(tmp_path: Path, nameserver_pebble: Pebble) -> Certbot:
    return Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )


def ok(result: Result) -> Result:
    assert result.returncode == 0, result.output
    return result


def value(certbot: Certbot, suffix: str = "") -> str:
    return f"{ISSUER}; accounturi={certbot.account_url}{suffix}"


def key_of(certbot: Certbot, cert_name: str) -> bytes:
    return (certbot.config_dir / "live" / cert_name / "privkey.pem").read_bytes()


def with_saved_server(certbot: Certbot) -> Certbot:
    """Return the same Certbot without ``--server``, as a timer runs it.

    With ``--server``, Certbot lets the saved account go, too.
    """
    bundle = Path(certbot.env["REQUESTS_CA_BUNDLE"])
    return Certbot(certbot.config_dir.parent, "", bundle)


def second_account(certbot: Certbot, tmp_path: Path) -> tuple[str, str]:
    """Give this Certbot another account, made elsewhere; return its name and URL."""
    bundle = Path(certbot.env["REQUESTS_CA_BUNDLE"])
    elsewhere = Certbot(tmp_path / "elsewhere", certbot.server, bundle)
    url = elsewhere.register()
    (path,) = elsewhere.config_dir.glob("accounts/*/*/*")
    copy = certbot.config_dir / path.relative_to(elsewhere.config_dir)
    shutil.copytree(path, copy)
    return path.name, url


def test_reconfigure_keeps_what_is_not_said_again_and_changes_no_dns(
    certbot: Certbot, nameserver: Nameserver, writing: list[str], nameserver_credentials: Path
) -> None:
    ok(certbot.certonly(*writing, "--dns-persist-ttl=77", "-d", f"{DOMAIN},*.{DOMAIN}"))
    before, serial = certbot.renewal(DOMAIN), certbot.certificate(DOMAIN).serial
    moved = nameserver_credentials.rename(nameserver_credentials.with_name("moved.ini"))
    record, updates = nameserver.values(NAME), len(nameserver.updates)

    ok(
        certbot.run(
            *("reconfigure", "--cert-name", DOMAIN, f"--dns-persist-credentials={moved}"),
            *("--dns-persist-valid-for", "90", "--deploy-hook", "true"),
        )
    )
    after = certbot.renewal(DOMAIN)
    assert after == before | {
        "dns_persist_credentials": str(moved),
        "dns_persist_valid_for": "90",
        "renew_hook": "true",
    }
    assert certbot.certificate(DOMAIN).serial == serial
    assert nameserver.values(NAME) == record
    ok(certbot.renew("--force-renewal"))
    assert len(nameserver.updates) == updates


def test_reconfigure_to_another_authenticator_and_back_leaves_the_record(
    certbot: Certbot, nameserver: Nameserver, nameserver_pebble: Pebble, writing: list[str]
) -> None:
    zone = zone_text(DOMAIN, {"ns1": ["127.0.0.1"]}, "@ A 127.0.0.1")
    nameserver.zones.zones.update(Zones.from_text(zone).zones)
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    saved, updates = certbot.renewal(DOMAIN), len(nameserver.updates)
    here = ["--http-01-port", str(nameserver_pebble.http_port)]
    ok(certbot.run("reconfigure", "--cert-name", DOMAIN, "--standalone", *here))
    assert certbot.renewal(DOMAIN)["authenticator"] == "standalone"
    ok(certbot.renew("--force-renewal"))

    ours = ["--authenticator", "dns-persist", *writing]
    ok(certbot.run("reconfigure", "--cert-name", DOMAIN, *ours))
    assert certbot.renewal(DOMAIN).items() >= saved.items()
    ok(certbot.renew("--force-renewal"))
    assert nameserver.values(NAME) == [value(certbot)]
    assert len(nameserver.updates) == updates


def test_renew_of_one_name_leaves_the_others_alone(
    certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    ok(certbot.certonly(*writing, "-d", f"www.{DOMAIN}"))
    www, updates = certbot.certificate(f"www.{DOMAIN}").serial, len(nameserver.updates)
    serial = certbot.certificate(DOMAIN).serial
    ok(certbot.renew("--cert-name", DOMAIN, "--force-renewal"))
    assert certbot.certificate(DOMAIN).serial != serial
    assert certbot.certificate(f"www.{DOMAIN}").serial == www
    assert len(nameserver.updates) == updates


def test_expand_publishes_only_what_is_missing(
    certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    ok(certbot.certonly(*writing, "--expand", "-d", f"{DOMAIN},www.{DOMAIN}"))
    assert certbot.certificate(DOMAIN).names == [DOMAIN, f"www.{DOMAIN}"]
    www = validation_domain_name(f"www.{DOMAIN}")
    assert nameserver.values(NAME) == nameserver.values(www) == [value(certbot)]
    changes = [(line["action"], line["name"]) for line in certbot.journal()]
    assert changes == [("add", NAME), ("add", www)]


def test_a_duplicate_needs_no_dns_change_and_renews(
    certbot: Certbot, nameserver: Nameserver, writing: list[str], nameserver_credentials: Path
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    nameserver_credentials.unlink()
    ok(certbot.certonly(*writing, "--duplicate", "-d", DOMAIN))
    serials = {certbot.certificate(name).serial for name in (DOMAIN, f"{DOMAIN}-0001")}
    ok(certbot.renew("--force-renewal"))
    after = {certbot.certificate(name).serial for name in (DOMAIN, f"{DOMAIN}-0001")}
    assert len(serials) == len(after) == 2
    assert not serials & after
    assert len(certbot.journal()) == 1


def test_delete_leaves_the_record_which_serves_the_next_certificate(
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    reading: list[str],
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    standing = certbot.records()
    ok(certbot.run("delete", "--cert-name", DOMAIN))
    assert not (certbot.config_dir / "live" / DOMAIN).exists()
    assert nameserver.values(NAME) == [value(certbot)]
    assert certbot.records() == standing
    ok(certbot.certonly(*reading, "-d", DOMAIN))


def test_a_deploy_hook_runs_after_each_renewal_and_gets_the_names(
    certbot: Certbot, writing: list[str], tmp_path: Path
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$RENEWED_LINEAGE $RENEWED_DOMAINS" >> {tmp_path}/deployed\n')
    hook.chmod(0o700)
    ok(certbot.certonly(*writing, "--deploy-hook", str(hook), "-d", f"{DOMAIN},*.{DOMAIN}"))
    ok(certbot.renew("--force-renewal"))
    lines = (tmp_path / "deployed").read_text().splitlines()
    lineage = certbot.config_dir / "live" / DOMAIN
    assert [line.split(" ", 1)[0] for line in lines] == [str(lineage)] * 2
    assert {DOMAIN, f"*.{DOMAIN}"} == set(lines[-1].split()[1:])


def test_another_server_gets_a_record_of_its_own_beside_the_first(
    certbot: Certbot, nameserver: Nameserver, writing: list[str], tmp_path: Path
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    first = value(certbot)
    with TestCa(dns=(nameserver.address, nameserver.port)) as ca:
        bundle = tmp_path / "both.pem"
        ours = Path(certbot.env["REQUESTS_CA_BUNDLE"])
        bundle.write_bytes(ours.read_bytes() + ca.root_certificate.read_bytes())
        other = Certbot(certbot.config_dir.parent, ca.directory_url, bundle)
        ok(other.certonly(*writing, "--force-renewal", "-d", DOMAIN))
        assert sorted(nameserver.values(NAME)) == sorted([first, ca.record_value(DOMAIN)])
        saved = other.renewal(DOMAIN)
        assert saved["server"] == ca.directory_url
        updates = len(nameserver.updates)

        ok(with_saved_server(other).renew("--force-renewal"))
        assert ca.validations[-1].outcome == "valid"
        assert len(nameserver.updates) == updates
    ok(certbot.certonly(*writing, "--force-renewal", "-d", DOMAIN))
    assert len(nameserver.updates) == updates
    assert [line["action"] for line in certbot.journal()] == ["add", "add"]


def test_each_of_several_accounts_gets_its_record_and_is_kept_for_renewals(
    certbot: Certbot, nameserver: Nameserver, writing: list[str], tmp_path: Path
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    first = value(certbot)
    name, url = second_account(certbot, tmp_path)
    second = f"{ISSUER}; accounturi={url}"
    ok(certbot.certonly(*writing, "--account", name, "--cert-name", "second", "-d", DOMAIN))
    assert sorted(nameserver.values(NAME)) == sorted([first, second])
    assert certbot.renewal("second")["account"] == name != certbot.renewal(DOMAIN)["account"]

    nameserver.zones.set_values(NAME, [first])
    updates, timer = len(nameserver.updates), with_saved_server(certbot)
    ok(timer.renew("--cert-name", DOMAIN, "--force-renewal"))
    assert len(nameserver.updates) == updates
    ok(timer.renew("--cert-name", "second", "--force-renewal"))
    assert sorted(nameserver.values(NAME)) == sorted([first, second])


def test_reuse_key_keeps_the_certificates_key_and_the_record(
    certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ok(certbot.certonly(*writing, "--reuse-key", "-d", DOMAIN))
    key, serial = key_of(certbot, DOMAIN), certbot.certificate(DOMAIN).serial
    updates = len(nameserver.updates)
    ok(certbot.renew("--force-renewal"))
    assert key_of(certbot, DOMAIN) == key
    assert certbot.certificate(DOMAIN).serial != serial
    ok(certbot.renew("--force-renewal", "--new-key"))
    assert key_of(certbot, DOMAIN) != key
    assert len(nameserver.updates) == updates
    assert certbot.renewal(DOMAIN)["reuse_key"] == "True"


def test_after_unregister_renewals_name_the_account_and_a_new_one_publishes_its_own_record(
    certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    old, timer = value(certbot), with_saved_server(certbot)
    ok(certbot.run("unregister"))
    failed = timer.renew("--force-renewal")
    assert failed.returncode == 1
    assert "Traceback" not in failed.output
    account = certbot.renewal(DOMAIN)["account"]
    assert re.search(rf"Account at \S*/{account} does not exist", failed.output)
    assert nameserver.values(NAME) == [old]

    ok(certbot.certonly(*writing, "--force-renewal", "-d", DOMAIN))
    assert value(certbot) != old
    assert nameserver.values(NAME) == sorted([old, value(certbot)])
    ok(timer.renew("--force-renewal"))
    assert [line["action"] for line in certbot.journal()] == ["add", "add"]
