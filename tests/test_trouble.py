"""Bad input and trouble, met through the real certbot: what the user reads, and nothing lost."""

import concurrent.futures
import json
import shutil
from pathlib import Path

import dns.name
import dns.rcode
import pytest
from support.certbot import Certbot, Result
from support.nameserver import Nameserver
from support.pebble import ISSUER, Pebble
from support.process import free_port
from support.zones import Key

from certbot_dns_persist.record import validation_domain_name

NAME = validation_domain_name("example.test")


@pytest.fixture
def certbot(tmp_path: Path, nameserver_pebble: Pebble) -> Certbot:
    return Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )


def refused(result: Result, *words: str) -> str:
    """Assert a clear error: these words, no traceback."""
    assert result.returncode == 1, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output
    return result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dns-persist-until", "yesterday"], "--dns-persist-until 'yesterday' is not a date"),
        (["--dns-persist-until", "1700000000"], "2023-11-14T22:13:20Z has passed"),
        (
            ["--dns-persist-until", "1900000000", "--dns-persist-valid-for", "9"],
            "exclude each other",
        ),
        (["--dns-persist-ttl=-1"], "--dns-persist-ttl '-1'"),
        (["--dns-persist-provider", "nsd"], "--dns-persist-provider 'nsd' is unknown"),
        (["--dns-persist-resolvers", "127.0.0.1:dns"], "'127.0.0.1:dns' is not an address"),
        (["--dns-persist-policy", "exact", "-d", "*.example.test"], "*.example.test can only be"),
    ],
)
def test_unusable_options_are_refused_before_any_order(
    certbot: Certbot,
    reading: list[str],
    nameserver_pebble: Pebble,
    arguments: list[str],
    words: str,
) -> None:
    orders = nameserver_pebble.log.read_text().count("order")
    shown = refused(certbot.certonly(*reading, "-d", "example.test", *arguments), words)
    assert "is not working" not in shown
    assert nameserver_pebble.log.read_text().count("order") == orders
    assert not list(certbot.config_dir.glob("accounts/**/regr.json"))


def test_an_ip_address_is_refused_before_any_order(certbot: Certbot, reading: list[str]) -> None:
    done = certbot.certonly(*reading, "--ip-address", "192.0.2.1", "-d", "example.test")
    refused(done, "192.0.2.1 is an IP address, but dns-persist-01 only works for domain names")


def test_a_missing_credentials_file_is_named_beside_what_to_publish(
    certbot: Certbot, writing: list[str], nameserver_credentials: Path
) -> None:
    nameserver_credentials.unlink()
    done = certbot.certonly(*writing, "-d", "example.test")
    refused(done, f"{nameserver_credentials} does not exist", f"Name:   {NAME}")


def test_lacking_keys_are_named_with_their_file(
    certbot: Certbot, writing: list[str], nameserver_credentials: Path
) -> None:
    nameserver_credentials.write_text("dns_persist_rfc2136_server = 127.0.0.1\n")
    done = certbot.certonly(*writing, "-d", "example.test")
    refused(
        done, "dns_persist_rfc2136_name", "dns_persist_rfc2136_secret", str(nameserver_credentials)
    )


def test_credentials_that_all_may_read_are_warned_about(
    certbot: Certbot, writing: list[str], nameserver_credentials: Path
) -> None:
    nameserver_credentials.chmod(0o644)
    done = certbot.certonly(*writing, "-d", "example.test")
    assert done.returncode == 0, done.output
    assert f"chmod 600 {nameserver_credentials}" in done.output
    # The renewal finds the record, and needs no credentials.
    nameserver_credentials.chmod(0o646)
    assert certbot.renew("--force-renewal").returncode == 0


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (Key("nobody", "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzISE="), "BADKEY"),
        (Key("test-key", "b3RoZXIgc2VjcmV0"), "BADSIG"),
        (
            Key("test-key", "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzISE=", "hmac-sha512"),
            "BAD",
        ),
    ],
)
def test_a_wrong_tsig_key_is_told_without_its_secret(
    certbot: Certbot,
    writing: list[str],
    nameserver: Nameserver,
    nameserver_credentials: Path,
    key: Key,
    words: str,
) -> None:
    nameserver_credentials.unlink()
    key.write_credentials(nameserver_credentials, nameserver.address, nameserver.port)
    done = certbot.certonly(*writing, "-d", "example.test")
    refused(done, words, f"Name:   {NAME}")
    for text in (done.output, done.log, json.dumps(certbot.journal())):
        assert key.secret not in text
    (line,) = certbot.journal()
    assert words in line["result"]
    assert certbot.records()["records"] == []


def test_a_wrong_clock_is_told(
    certbot: Certbot, writing: list[str], nameserver: Nameserver
) -> None:
    nameserver.faults.clock_offset = 7200
    refused(certbot.certonly(*writing, "-d", "example.test"), "2:00:0", "clock")


def test_a_refused_update_is_told(
    certbot: Certbot, writing: list[str], nameserver: Nameserver, nameserver_credentials: Path
) -> None:
    with Nameserver(nameserver.zones) as closed:  # knows no key
        nameserver_credentials.unlink()
        Key("test-key", "c2VjcmV0").write_credentials(
            nameserver_credentials, closed.address, closed.port
        )
        refused(certbot.certonly(*writing, "-d", "example.test"), "127.0.0.1", "example.test")
    assert nameserver.values(NAME) == []


def test_a_zone_that_the_server_does_not_have_is_told(
    certbot: Certbot, writing: list[str], nameserver: Nameserver, nameserver_credentials: Path
) -> None:
    del nameserver.zones.zones[next(z for z in nameserver.zones.zones if "other" in str(z))]
    done = certbot.certonly(*writing, "-d", "example.test", "-d", "x.other.test")
    refused(done, "_validation-persist.x.other.test cannot be looked up", "x.other.test")
    assert nameserver.values(NAME) == []


@pytest.mark.port_53_blocked
@pytest.mark.parametrize(
    ("faults", "words"),
    [({"drop": 1.0}, "does not answer"), ({"rcode": dns.rcode.SERVFAIL}, "answers SERVFAIL")],
)
@pytest.mark.parametrize("check", ["resolver", "authoritative"])
def test_a_resolver_that_fails_is_named_and_nothing_is_changed(
    certbot: Certbot,
    writing: list[str],
    nameserver: Nameserver,
    faults: dict[str, object],
    words: str,
    check: str,
) -> None:
    certbot.register()
    for fault, value in faults.items():
        setattr(nameserver.faults, fault, value)
    done = certbot.certonly(*writing, f"--dns-persist-check={check}", "-d", "example.test")
    refused(done, f"{NAME} cannot be looked up", nameserver.endpoint, words, "Nothing was changed")
    assert certbot.journal() == []


def test_a_domain_that_is_not_in_dns_is_told(certbot: Certbot, reading: list[str]) -> None:
    done = certbot.certonly(*reading, "--dns-persist-check=authoritative", "-d", "nothing.invalid")
    refused(done, "no zone holds", "the domain is not in DNS")


@pytest.mark.long
@pytest.mark.port_53_blocked
def test_without_any_authoritative_server_the_resolvers_are_asked_with_a_warning(
    certbot: Certbot, writing: list[str]
) -> None:
    # Its zone's only server has the right address, but nothing listens at its port 53.
    done = certbot.certonly(*writing, "--dns-persist-check=authoritative", "-d", "example.test")
    assert done.returncode == 0, done.output
    assert "No authoritative server of example.test could be asked" in done.output
    assert "resolvers were asked instead" in done.output


@pytest.mark.port_53_blocked
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("NS", "The authoritative servers cannot be found: NS of example.test cannot be resolved"),
        # Nothing listens at port 53 of the zone's only server, as above.
        ("SOA", "No authoritative server of example.test could be asked"),
    ],
)
def test_a_resolver_that_refuses_to_tell_of_zones_stops_no_order(
    certbot: Certbot, nameserver: Nameserver, kind: str, told: str
) -> None:
    nameserver.faults.below, nameserver.faults.rdtype = "example.test", kind
    nameserver.faults.rcode = dns.rcode.REFUSED
    certbot.register()
    nameserver.zones.set_values(NAME, [f"{ISSUER}; accounturi={certbot.account_url}"])
    done = certbot.certonly(f"--dns-persist-resolvers={nameserver.endpoint}", "-d", "example.test")
    assert done.returncode == 0, done.output
    output = " ".join(done.output.split())
    assert output.count(told) == output.count("The resolvers were asked instead") == 1


@pytest.mark.long
@pytest.mark.port_53_blocked
def test_it_is_told_for_how_long_resolvers_keep_saying_that_there_is_no_record(
    certbot: Certbot, writing: list[str], nameserver: Nameserver
) -> None:
    zone = nameserver.zones.closest(dns.name.from_text("example.test"))
    assert zone is not None
    soa = zone.soa()
    zone.put(zone.origin, soa.rdtype, 3600, [soa[0].replace(minimum=3600)])
    options = ["--dns-persist-check=authoritative", "--dns-persist-propagation-seconds=1"]
    done = certbot.certonly(*writing, *options, "-d", "example.test")
    assert done.returncode == 0, done.output  # this resolver remembers nothing
    assert (
        "Only resolvers could be asked. They answered that there is no record, and may repeat that "
        "answer for 3600 seconds although it is published now. We wait for 1 seconds"
    ) in " ".join(done.output.split())


@pytest.mark.parametrize("file", ["regr.json", "private_key.json"])
def test_account_files_that_are_damaged_or_missing_are_named(
    certbot: Certbot, reading: list[str], file: str
) -> None:
    certbot.register()
    (path,) = certbot.config_dir.glob(f"accounts/**/{file}")
    path.write_text("{}")
    refused(
        certbot.certonly(*reading, "-d", "example.test"),
        f"Certbot's account in {path.parent} cannot be used",
        "Restore the directory from a backup",
    )
    path.unlink()
    refused(
        certbot.certonly(*reading, "-d", "example.test"),
        f"Certbot's account file {path} cannot be read: No such file or directory",
    )


def test_of_several_accounts_the_chosen_one_is_named_in_the_record(
    certbot: Certbot, writing: list[str], nameserver: Nameserver
) -> None:
    urls = {}
    for _ in range(2):
        certbot.run("register", "--agree-tos", "--register-unsafely-without-email")
        (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
        urls[regr.parent.name] = json.loads(regr.read_text())["uri"]
        home = regr.parent.parent
        regr.parent.rename(certbot.config_dir / regr.parent.name)
    for account in urls:
        (certbot.config_dir / account).rename(home / account)
    chosen = sorted(urls)[1]
    done = certbot.certonly(*writing, "--account", chosen, "-d", "example.test")
    assert done.returncode == 0, done.output
    assert nameserver.values(NAME) == [f"pebble.test; accounturi={urls[chosen]}"]


def test_a_journal_that_cannot_be_written_does_not_cost_the_certificate(
    certbot: Certbot, writing: list[str], nameserver: Nameserver
) -> None:
    certbot.register()
    (certbot.config_dir / "dns-persist").write_text("a file where a directory belongs")
    done = certbot.certonly(*writing, "-d", "example.test")
    assert done.returncode == 0, done.output
    assert "could not be noted" in done.output


@pytest.mark.long
def test_a_python_without_sqlite_does_not_cost_the_certificate(
    certbot: Certbot, writing: list[str], nameserver: Nameserver, tmp_path: Path
) -> None:
    certbot.register()
    without = tmp_path / "without"
    without.mkdir()
    (without / "sqlite3.py").write_text('raise ImportError("no module named _sqlite3")')
    for _ in range(2):  # the second finds the record
        done = certbot.certonly(
            *writing, "--force-renewal", "-d", "example.test", env={"PYTHONPATH": str(without)}
        )
        assert done.returncode == 0, done.output
    assert "this Python has no SQLite (no module named _sqlite3)" in " ".join(done.output.split())
    assert len(nameserver.values(NAME)) == 1


def test_two_hosts_at_once_end_with_one_record(
    certbot: Certbot, writing: list[str], nameserver: Nameserver, tmp_path: Path
) -> None:
    certbot.register()
    other = Certbot(tmp_path / "other", certbot.server, Path(certbot.env["REQUESTS_CA_BUNDLE"]))
    shutil.copytree(certbot.config_dir, other.config_dir)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(host.certonly, *writing, "-d", "example.test") for host in (certbot, other)
        ]
    for run in runs:
        assert run.result().returncode == 0, run.result().output
    assert len(nameserver.values(NAME)) == 1


def test_an_unused_port_as_resolver_is_told(certbot: Certbot) -> None:
    port = free_port()
    done = certbot.certonly(f"--dns-persist-resolvers=127.0.0.1:{port}", "-d", "example.test")
    refused(done, f"127.0.0.1:{port}", "does not answer")
