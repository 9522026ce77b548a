"""The main job, end to end: the real certbot, Pebble and BIND with a primary and a secondary."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import StartPebble
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.bind import Bind
from support.certbot import Certbot, Result
from support.pebble import ISSUER, Pebble
from support.process import wait_until

from certbot_dns_persist.record import parse_record, validation_domain_name

OTHERS = [
    "letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/1",
    "other.example; accounturi=https://other.example/acct/1; policy=wildcard",
    f"{ISSUER}; accounturi=https://localhost/another-account; policy=wildcard",
    "v=spf1 -all",
    f"{ISSUER}; accounturi=; malformed",
]
"""Two other CAs', another account's at ours, and what does not belong there at all."""


@pytest.fixture
def lagging(bind: Bind) -> Iterator[Bind]:
    bind.hold_back()
    yield bind
    bind.catch_up()


def ok(result: Result) -> Result:
    assert result.returncode == 0, result.output
    return result


def failed(result: Result) -> Result:
    assert result.returncode == 1, result.output
    assert "Traceback" not in result.output
    return result


def value(certbot: Certbot, suffix: str = "") -> str:
    return f"{ISSUER}; accounturi={certbot.account_url}{suffix}"


@pytest.mark.every_certbot
def test_a_first_certificate_and_its_renewal_without_credentials(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str], bind_credentials: Path
) -> None:
    shown = ok(certbot.certonly(*bind_writing, "-d", domain)).output
    name = validation_domain_name(domain)
    record = value(certbot)
    assert bind.primary.values(name) == bind.secondary.values(name) == [record]
    assert f"+ {record}" in shown
    (line,) = certbot.journal()
    assert (line["action"], line["name"], line["value"]) == ("add", name, record)
    assert (line["zone"], line["ttl"], line["result"]) == ("example.test", 300, "ok")

    bind_credentials.unlink()
    updates, serial = bind.primary.update_count(), certbot.certificate(domain).serial
    ok(certbot.renew("--force-renewal"))
    assert certbot.certificate(domain).serial != serial
    assert bind.primary.update_count() == updates
    assert bind.primary.values(name) == [record]
    assert certbot.journal() == [line]


def test_what_a_renewal_needs_is_kept_in_the_renewal_configuration(
    certbot: Certbot, domain: str, bind_writing: list[str]
) -> None:
    more = ["--dns-persist-ttl", "77", "--dns-persist-valid-for", "90"]
    ok(certbot.certonly(*bind_writing, *more, "-d", domain))
    saved = certbot.renewal(domain)
    assert saved["authenticator"] == "dns-persist"
    assert saved["dns_persist_provider"] == "rfc2136"
    assert saved["dns_persist_ttl"] == "77"
    assert saved["dns_persist_valid_for"] == "90"


@pytest.mark.parametrize(
    ("asked", "policy"),
    [
        (["{}"], None),
        pytest.param(["{}", "*.{}"], "wildcard", marks=pytest.mark.every_certbot),
    ],
)
def test_a_wildcard_policy_stands_there_only_when_a_wildcard_was_asked_for(
    certbot: Certbot,
    bind: Bind,
    domain: str,
    bind_writing: list[str],
    asked: list[str],
    policy: str | None,
) -> None:
    names = [name.format(domain) for name in asked]
    ok(certbot.certonly(*bind_writing, "-d", ",".join(names)))
    (record,) = map(parse_record, bind.primary.values(validation_domain_name(domain)))
    assert record.policy == policy
    assert certbot.certificate(domain).names == sorted(names)


def test_a_wildcard_alone_is_proven_at_its_base_name(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    ok(certbot.certonly(*bind_writing, "-d", f"*.{domain}"))
    assert bind.primary.values(validation_domain_name(domain)) == [
        value(certbot, "; policy=wildcard")
    ]


@pytest.mark.long
def test_foreign_records_survive_issuance_policy_change_and_refresh(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    for other in OTHERS:
        bind.add_txt(name, other)

    ok(certbot.certonly(*bind_writing, "-d", domain))
    assert bind.primary.values(name) == sorted([*OTHERS, value(certbot)])

    ok(certbot.certonly(*bind_writing, "--expand", "-d", domain, "-d", f"*.{domain}"))
    assert bind.primary.values(name) == sorted([*OTHERS, value(certbot, "; policy=wildcard")])

    soon = int(time.time()) + 86400
    bind.delete_txt(name, value(certbot, "; policy=wildcard"))
    bind.add_txt(name, value(certbot, f"; policy=wildcard; persistUntil={soon}"))
    ok(certbot.renew("--force-renewal", "--dns-persist-valid-for", "90"))
    (refreshed,) = set(bind.primary.values(name)) - set(OTHERS)
    assert (parse_record(refreshed).persist_until or 0) > soon + 80 * 86400
    assert bind.primary.values(name) == sorted([*OTHERS, refreshed])
    assert bind.secondary.values(name) == bind.primary.values(name)
    assert [line["action"] for line in certbot.journal()] == ["add"] * 2 + ["remove"] + [
        "add",
        "remove",
    ]


def test_an_alias_leads_to_a_delegated_zone(
    certbot: Certbot,
    bind: Bind,
    domain: str,
    bind_reading: list[str],
    bind_writing: list[str],
) -> None:
    target = f"{domain.split('.')[0]}.child.example.test"
    update = bind.primary.update("example.test")
    update.add(validation_domain_name(domain) + ".", 1, "CNAME", target + ".")
    bind.primary.send(update)
    shown = failed(certbot.certonly(*bind_reading, "-d", domain)).output
    assert f"{validation_domain_name(domain)} is an alias for {target}" in shown
    assert f"Name:   {target}" in shown
    ok(certbot.certonly(*bind_writing, "-d", domain))
    assert bind.primary.values(target) == [value(certbot)]
    assert certbot.journal()[-1]["zone"] == "child.example.test"


def test_two_names_that_are_aliases_of_one_share_its_record(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    shared = f"shared.{domain}"
    for label in ("a", "b"):
        update = bind.primary.update("example.test")
        update.add(f"_validation-persist.{label}.{domain}.", 1, "CNAME", shared + ".")
        bind.primary.send(update)
    ok(certbot.certonly(*bind_writing, "-d", f"a.{domain},*.b.{domain}"))
    assert bind.primary.values(shared) == [value(certbot, "; policy=wildcard")]


def test_a_lagging_secondary_is_waited_for(
    certbot: Certbot, lagging: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    running = subprocess.Popen(
        certbot.command(
            *("certonly", "--authenticator", "dns-persist", *bind_writing, "-d", domain),
            *("--agree-tos", "--register-unsafely-without-email", "--non-interactive"),
        ),
        env=dict(certbot.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(lambda: lagging.primary.values(name) != [], "the record is on the primary")
        assert lagging.secondary.values(name) == []
        assert running.poll() is None
        lagging.catch_up()
        output, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, output


def test_a_secondary_that_lags_too_long_is_named_and_the_next_run_goes_on(
    certbot: Certbot, lagging: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    few = ["--dns-persist-propagation-seconds", "1"]
    shown = failed(certbot.certonly(*bind_writing, *few, "-d", domain)).output
    assert f"{name}: ns2.example.test ({lagging.secondary.address})" in shown
    assert "Nothing is lost" in shown
    assert lagging.primary.values(name) == [value(certbot)]
    updates = lagging.primary.update_count()
    lagging.catch_up()
    ok(certbot.certonly(*bind_writing, *few, "-d", domain))
    assert lagging.primary.update_count() == updates


def test_superseded_records_stay_until_the_new_one_is_seen_everywhere(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    ok(certbot.certonly(*bind_writing, "-d", domain))
    bind.hold_back()
    try:
        wild = ["--dns-persist-propagation-seconds", "1", "--expand", "-d", f"{domain},*.{domain}"]
        failed(certbot.certonly(*bind_writing, *wild))
        both = sorted([value(certbot), value(certbot, "; policy=wildcard")])
        assert bind.primary.values(name) == both
        assert bind.secondary.values(name) == [value(certbot)]
    finally:
        bind.catch_up()


@pytest.mark.every_certbot
def test_a_csr_with_a_wildcard_is_served(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str], tmp_path: Path
) -> None:
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(domain), x509.DNSName(f"*.{domain}")]), False
        )
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    csr = tmp_path / "request.pem"
    csr.write_bytes(request.public_bytes(serialization.Encoding.PEM))
    where = [f"--{part}-path={tmp_path / part}.pem" for part in ("cert", "chain", "fullchain")]
    ok(certbot.certonly(*bind_writing, "--csr", csr, *where))
    assert bind.primary.values(validation_domain_name(domain)) == [
        value(certbot, "; policy=wildcard")
    ]


@pytest.mark.every_certbot
def test_cert_name_alone_still_knows_of_the_wildcard(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    ok(certbot.certonly(*bind_writing, "-d", f"*.{domain}", "--cert-name", "wild"))
    bind.delete_txt(name)
    ok(certbot.certonly(*bind_writing, "--cert-name", "wild", "--force-renewal"))
    assert bind.primary.values(name) == [value(certbot, "; policy=wildcard")]


def test_an_expired_record_is_replaced_where_we_may_write(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    certbot.register()
    name = validation_domain_name(domain)
    bind.add_txt(name, value(certbot, "; persistUntil=1700000000"))
    ok(certbot.certonly(*bind_writing, "-d", domain))
    assert bind.primary.values(name) == [value(certbot)]


def test_an_expired_record_is_explained_where_we_may_not_write(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    certbot.register()
    bind.add_txt(validation_domain_name(domain), value(certbot, "; persistUntil=1700000000"))
    shown = failed(certbot.certonly(*bind_reading, "-d", domain)).output
    assert "expired: its persistUntil was 2023-11-14T22:13:20Z" in shown


def test_a_record_that_ends_soon_is_warned_about_where_we_may_not_write(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    certbot.register()
    soon = int(time.time()) + 86400
    bind.add_txt(validation_domain_name(domain), value(certbot, f"; persistUntil={soon}"))
    shown = ok(certbot.certonly(*bind_reading, "-d", domain)).output
    assert "(persistUntil); after that, it can no longer be used to renew certificates" in shown
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(soon)) in shown


def test_a_record_that_ends_soon_is_warned_about_when_the_credentials_are_gone(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str], bind_credentials: Path
) -> None:
    certbot.register()
    soon = int(time.time()) + 86400
    bind.add_txt(validation_domain_name(domain), value(certbot, f"; persistUntil={soon}"))
    bind_credentials.unlink()
    more = ["--dns-persist-valid-for", "90"]
    shown = ok(certbot.certonly(*bind_writing, *more, "-d", domain)).output
    assert "(persistUntil); after that, it can no longer be used to renew certificates" in shown
    assert "bind.ini does not exist" in shown


def test_a_fixed_end_is_written_and_not_moved(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    end = int(time.time()) + 86400
    more = ["--dns-persist-until", str(end)]
    ok(certbot.certonly(*bind_writing, *more, "-d", domain))
    assert bind.primary.values(name) == [value(certbot, f"; persistUntil={end}")]
    shown = ok(certbot.renew("--force-renewal")).output
    assert bind.primary.values(name) == [value(certbot, f"; persistUntil={end}")]
    assert "No later expiry is configured. Run certbot certonly again with" in shown


def test_our_own_note_of_an_end_that_has_passed_is_shown_before_the_order(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    end = int(time.time()) + 60
    ok(certbot.certonly(*bind_writing, "--dns-persist-until", str(end), "-d", domain))
    bind.delete_txt(validation_domain_name(domain))
    bind.add_txt(validation_domain_name(domain), value(certbot))
    shown = ok(certbot.renew("--force-renewal")).output
    assert f"The record that we published for {domain}" in shown
    assert "Unless another one authorises" in shown


def test_a_value_over_255_octets_is_split_and_read_again(
    bind: Bind, start_pebble: StartPebble, tmp_path: Path, domain: str, bind_writing: list[str]
) -> None:
    issuer = ".".join(["x" * 60] * 4)
    pebble: Pebble = start_pebble(f"{bind.resolver.address}:53", issuers=[issuer])
    certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)
    ok(certbot.certonly(*bind_writing, "-d", domain))
    (record,) = bind.primary.values(validation_domain_name(domain))
    assert len(record) > 255
    updates = bind.primary.update_count()
    ok(certbot.renew("--force-renewal"))
    assert bind.primary.update_count() == updates


def test_the_issuer_domain_name_can_be_chosen_and_is_kept_when_a_record_has_one(
    bind: Bind, start_pebble: StartPebble, tmp_path: Path, domain: str, bind_writing: list[str]
) -> None:
    pebble = start_pebble(f"{bind.resolver.address}:53", issuers=["b.test", "a.test"])
    certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)
    chosen = ["--dns-persist-issuer-domain-name", "b.test"]
    name = validation_domain_name(domain)
    shown = failed(certbot.certonly(*bind_writing, "-d", domain, *chosen[:1], "c.test")).output
    assert "'c.test' is not among the names that the CA offers" in shown
    assert "a.test, b.test" in shown
    ok(certbot.certonly(*bind_writing, *chosen, "-d", domain))
    assert bind.primary.values(name) == [f"b.test; accounturi={certbot.account_url}"]
    ok(certbot.certonly(*bind_writing, "--expand", "-d", f"{domain},*.{domain}"))
    assert bind.primary.values(name) == [
        f"b.test; accounturi={certbot.account_url}; policy=wildcard"
    ]


def test_without_a_terminal_manual_says_what_to_publish_and_fails(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    name = validation_domain_name(domain)
    for other in OTHERS:
        bind.add_txt(name, other)
    shown = failed(certbot.certonly(*bind_reading, "-d", f"{domain},*.{domain}")).output
    record = value(certbot, "; policy=wildcard")
    assert f"For {domain} and *.{domain}:" in shown
    host = name.removesuffix(".example.test")
    assert f"  Name:   {name}\n  Host (relative to example.test): {host}\n" in shown
    assert f"  Type:   TXT\n  TTL:    300\n  Value:  {record}\n" in shown
    assert f'{name}. 300 IN TXT "{record}"' in shown
    for other in OTHERS:
        assert f'"{other}"' in shown
    assert "is for another CA, letsencrypt.org" in shown
    assert "names another account, https://localhost/another-account" in shown
    assert certbot.journal() == []

    bind.add_txt(name, record)
    ok(certbot.certonly(*bind_reading, "-d", f"{domain},*.{domain}"))


def test_at_a_terminal_manual_waits_until_the_record_is_there(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    name = validation_domain_name(domain)
    certbot.register()
    with certbot.certonly_at_terminal(*bind_reading, "-d", domain) as screen:
        screen.wait_for("Waiting for DNS")
        assert f"Name:   {name}" in screen.text
        screen.wait_for("serves no record")
        bind.add_txt(name, f"{ISSUER}; [/x]")  # it would end markup that nobody has begun
        screen.wait_for("[/x]")
        bind.add_txt(name, value(certbot, "; persistUntil=1700000000"))
        screen.wait_for("expired: its")
        bind.add_txt(name, value(certbot))
        result = screen.finish()
    ok(result)
    (line,) = certbot.journal()
    assert (line["provider"], line["name"]) == ("manual", name)


def test_ctrl_c_while_waiting_says_how_to_go_on(
    certbot: Certbot, domain: str, bind_reading: list[str]
) -> None:
    certbot.register()
    with certbot.certonly_at_terminal(*bind_reading, "-d", domain) as screen:
        screen.wait_for("serves no record")
        screen.interrupt()
        result = screen.finish()
    failed(result)
    assert f"Stopped while waiting for {validation_domain_name(domain)}" in result.output
    assert "run the same command again" in result.output


def test_manual_waits_without_a_terminal_when_told_to(
    certbot: Certbot, domain: str, bind_reading: list[str]
) -> None:
    wait = ["--dns-persist-propagation-seconds", "1"]
    shown = failed(certbot.certonly(*bind_reading, *wait, "-d", domain)).output
    assert f"Name:   {validation_domain_name(domain)}" in shown
    assert "After 1 seconds these servers do not serve the records" in shown


def test_a_run_killed_between_publishing_and_answering_is_taken_up_by_the_next(
    certbot: Certbot, lagging: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    certbot.register()
    running = subprocess.Popen(
        certbot.command(
            *("certonly", "--authenticator", "dns-persist", *bind_writing, "-d", domain),
            "--non-interactive",
        ),
        env=dict(certbot.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: lagging.primary.values(name) != [], "the record is on the primary")
        wait_until(lambda: certbot.journal() != [], "the change is noted")
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    lagging.catch_up()
    updates = lagging.primary.update_count()
    ok(certbot.certonly(*bind_writing, "-d", domain))
    assert lagging.primary.update_count() == updates
    assert lagging.primary.values(name) == [value(certbot)]


@pytest.mark.every_certbot
def test_a_dry_run_takes_away_what_it_published_and_nothing_else(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    name = validation_domain_name(domain)
    expired = value(certbot_registered(certbot), "; persistUntil=1700000000")
    for other in (*OTHERS, expired):
        bind.add_txt(name, other)
    ok(certbot.certonly(*bind_writing, "--dry-run", "-d", domain))
    assert bind.primary.values(name) == sorted([*OTHERS, expired])
    assert [line["action"] for line in certbot.journal()] == ["add", "remove"]


def certbot_registered(certbot: Certbot) -> Certbot:
    certbot.register()
    return certbot


def test_a_dry_run_that_cannot_publish_says_that_production_is_not_in_question(
    certbot: Certbot, domain: str, bind_reading: list[str]
) -> None:
    shown = failed(certbot.certonly(*bind_reading, "--dry-run", "-d", domain)).output
    assert "such as production's, are not affected" in shown


def test_one_name_that_cannot_be_proven_does_not_stop_the_subset(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    certbot.register()
    bind.add_txt(validation_domain_name(domain), value(certbot))
    shown = ok(
        certbot.certonly(*bind_reading, "--allow-subset-of-names", "-d", f"{domain},no.{domain}")
    ).output
    assert certbot.certificate(domain).names == [domain]
    assert f"Name:   {validation_domain_name('no.' + domain)}" in shown


def test_the_hint_says_what_dns_serves_when_the_ca_refuses(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    certbot.register()
    name = validation_domain_name(domain)
    bind.add_txt(name, value(certbot, "; persistUntil=1700000000"))
    shown = certbot.certonly(*bind_reading, "--allow-subset-of-names", "-d", domain).output
    assert "Hint: The CA looked for a record of the account" in shown
    assert "expired: its persistUntil was 2023-11-14T22:13:20Z" in shown


def test_several_names_are_published_with_one_look_for_their_zone(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    names = [f"n{i}.{domain}" for i in range(10)]
    before = bind.resolver.queries().count(("ns1.example.test", "A"))
    ok(certbot.certonly(*bind_writing, "-d", ",".join(names)))
    assert all(bind.secondary.values(validation_domain_name(n)) == [value(certbot)] for n in names)
    looks = bind.resolver.queries().count(("ns1.example.test", "A")) - before
    assert looks <= 4  # one for each look at all the names: before, and after publishing
