"""Every draft, every CA: the real certbot against the test CA, Pebble's rival and its moods."""

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.acme2certifier import Acme2Certifier
from support.acme_ca import GOOGLE, Fault, TestCa, roll_over_certbot_account
from support.certbot import AGREE, Certbot, Result
from support.nameserver import Nameserver, Zones
from support.zones import zone_text

from certbot_dns_persist.record import parse_record, validation_domain_name

DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)


@pytest.fixture
def ca(nameserver: Nameserver) -> Iterator[TestCa]:
    """A CA whose options a test may change while it runs; it speaks -02."""
    with TestCa(dns=(nameserver.address, nameserver.port)) as running:
        yield running


@pytest.fixture
def certbot(tmp_path: Path, ca: TestCa) -> Certbot:
    return Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)


def ok(result: Result) -> Result:
    assert result.returncode == 0, result.output
    return result


def refused(result: Result, *words: str) -> str:
    assert result.returncode == 1, result.output
    assert "Traceback" not in result.output
    flat = " ".join(result.output.split())
    for word in words:
        assert word in flat, result.output
    return result.output


ONE, WILDCARD, SEVERAL = [DOMAIN], [f"*.{DOMAIN}"], [DOMAIN, f"*.{DOMAIN}", "x.other.test"]


@pytest.mark.parametrize(
    ("draft", "jit", "names"),
    [  # each with each, by pairs
        ("00", False, ONE),
        ("01", False, WILDCARD),
        ("02", True, WILDCARD),
        ("transition", True, SEVERAL),
        *(
            pytest.param(*combination, marks=pytest.mark.long)
            for combination in (
                *[("00", True, WILDCARD), ("00", False, SEVERAL)],
                *[("01", True, ONE), ("01", True, SEVERAL)],
                *[("02", False, ONE), ("02", False, SEVERAL)],
                *[("transition", True, ONE), ("transition", False, WILDCARD)],
            )
        ),
    ],
)
def test_issue_and_renew_without_credentials_in_every_draft(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    nameserver_credentials: Path,
    draft: str,
    jit: bool,
    names: list[str],
) -> None:
    ca.change(draft=draft, jit=jit)
    ok(certbot.certonly(*writing, "-d", ",".join(names)))
    values = nameserver.values(NAME)
    assert values == [ca.record_value(DOMAIN, wildcard=f"*.{DOMAIN}" in names)]

    nameserver_credentials.unlink()
    updates = len(nameserver.updates)
    ok(certbot.renew("--force-renewal"))
    assert certbot.certificate(DOMAIN).names == sorted(names)
    assert nameserver.values(NAME) == values
    assert len(nameserver.updates) == updates
    assert {validation.outcome for validation in ca.validations[-len(names) :]} == {"valid"}


@pytest.mark.every_certbot
def test_a_ca_like_google_trust_services_binds_the_account_then_issues_and_renews(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    """End to end, because the account is made by Certbot, and the challenge chosen by it."""
    ca.change(**GOOGLE)
    assert certbot.run("register", *AGREE).returncode == 1
    assert not ca.accounts
    ((kid, key),) = GOOGLE["external_accounts"].items()
    url = certbot.register("--eab-kid", kid, "--eab-hmac-key", key)
    assert [account.external_account for account in ca.accounts] == [kid]

    ok(certbot.certonly(*writing, "-d", f"{DOMAIN},*.{DOMAIN}"))
    assert nameserver.values(NAME) == [f"pki.goog; accounturi={url}; policy=wildcard"]
    ok(certbot.renew("--force-renewal"))
    assert certbot.certificate(DOMAIN).names == [f"*.{DOMAIN}", DOMAIN]
    assert len(ca.validations) == 4
    assert {(done.type, done.outcome) for done in ca.validations} == {("dns-persist-01", "valid")}
    assert len(nameserver.updates) == 1


def test_a_shared_form_that_the_ca_does_not_know_is_told(
    ca: TestCa, certbot: Certbot, writing: list[str]
) -> None:
    ca.change(draft="01")
    shown = ok(certbot.certonly(*writing, "--dns-persist-shared", "-d", DOMAIN)).output
    assert "--dns-persist-shared has no effect" in shown


def test_the_account_uri_that_the_ca_states_is_published_verbatim(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ca.change(draft="01", alternative_account_uri=True)
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    (value,) = nameserver.values(NAME)
    assert parse_record(value).account_uri != certbot.account_url
    ok(certbot.renew("--force-renewal"))
    assert nameserver.values(NAME) == [value]


@pytest.mark.long  # installs that CA into an environment of its own
@pytest.mark.parametrize("jit", [False, True], ids=["asked", "jit"])
def test_issue_and_renew_with_acme2certifier(
    tmp_path: Path,
    nameserver: Nameserver,
    nameserver_credentials: Path,
    writing: list[str],
    jit: bool,
) -> None:
    """With JIT it looks before we publish, so its resolver must not remember for a moment."""
    with Acme2Certifier(nameserver.address, jit=jit) as ca:
        certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)
        ok(certbot.run("register", "--agree-tos", "--email", "somebody@example.test"))
        ok(certbot.certonly(*writing, "-d", DOMAIN, "--cert-name", "plain"))
        ok(certbot.certonly(*writing, "-d", f"*.{DOMAIN}", "--cert-name", "wild"))
        value = f"ca.example; accounturi={certbot.account_url}; policy=wildcard"
        assert nameserver.values(NAME) == [value]
        nameserver_credentials.unlink()
        updates = len(nameserver.updates)
        ok(certbot.renew("--force-renewal"))
        assert len(nameserver.updates) == updates


@pytest.mark.parametrize("shared", [False, True])
def test_a_hashed_record_of_either_form_is_found_and_left_alone(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, reading: list[str], shared: bool
) -> None:
    certbot.register()
    value = ca.record_value(DOMAIN, shared=not shared)
    nameserver.zones.set_values(NAME, [value])
    more = ["--dns-persist-shared"] if shared else []
    ok(certbot.certonly(*reading, *more, "-d", DOMAIN))
    assert nameserver.values(NAME) == [value]


def test_the_shared_form_is_the_same_for_every_domain_and_kept_for_renewals(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ok(certbot.certonly(*writing, "--dns-persist-shared", "-d", f"{DOMAIN},x.other.test"))
    other = validation_domain_name("x.other.test")
    assert (
        nameserver.values(NAME)
        == nameserver.values(other)
        == [ca.record_value(DOMAIN, shared=True)]
    )
    assert certbot.renewal(DOMAIN)["dns_persist_shared"] == "True"


@pytest.mark.long
def test_two_hosts_with_one_account_renew_through_one_record(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    reading: list[str],
    tmp_path: Path,
) -> None:
    """A fleet: the domains' records are aliases of one, which the first host publishes."""
    alias = "_validation-persist.{} CNAME fleet.other.test."
    hosts = ["a", "b"]
    zones = Zones.from_text(
        zone_text(DOMAIN, {"ns1": ["127.0.0.1"]}, "\n".join(map(alias.format, hosts))),
        zone_text("other.test", {"ns1": ["127.0.0.1"]}),
    )
    nameserver.zones.zones.update(zones.zones)
    certbot.register()
    second = Certbot(tmp_path / "second", ca.directory_url, ca.root_certificate)
    shutil.copytree(certbot.config_dir, second.config_dir)

    ok(certbot.certonly(*writing, "--dns-persist-shared", "-d", f"a.{DOMAIN}"))
    ok(second.certonly(*reading, "--dns-persist-shared", "-d", f"b.{DOMAIN}"))
    for host in (certbot, second):
        ok(host.renew("--force-renewal"))
    assert nameserver.values("fleet.other.test") == [ca.record_value(DOMAIN, shared=True)]
    assert second.journal() == []


@pytest.mark.long
def test_a_ca_that_moves_to_the_next_draft_is_followed_without_notice(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    nameserver_credentials: Path,
) -> None:
    ca.change(draft="01")
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    (old,) = nameserver.values(NAME)
    ca.change(draft="transition")
    ok(certbot.renew("--force-renewal"))
    new = ca.record_value(DOMAIN)
    assert set(nameserver.values(NAME)) == {old, new}
    nameserver_credentials.unlink()
    ca.change(draft="02")
    ok(certbot.renew("--force-renewal"))
    assert ca.validations[-1].outcome == "valid"


def test_in_transition_an_older_record_is_accepted_where_we_may_not_write(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, reading: list[str]
) -> None:
    certbot.register()
    ca.change(draft="01")
    old = ca.record_value(DOMAIN)
    nameserver.zones.set_values(NAME, [old])
    ca.change(draft="transition")
    shown = ok(certbot.certonly(*reading, "-d", DOMAIN)).output
    assert nameserver.values(NAME) == [old]
    assert "should be replaced" in shown
    assert ca.record_value(DOMAIN) in shown


@pytest.mark.long
def test_after_a_key_rollover_the_old_record_serves_and_is_republished(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    nameserver_credentials: Path,
) -> None:
    ok(certbot.certonly(*writing, "-d", f"{DOMAIN},*.{DOMAIN}"))
    (old,) = nameserver.values(NAME)
    roll_over(ca, certbot)
    content = nameserver_credentials.read_text()
    nameserver_credentials.unlink()
    shown = ok(certbot.renew("--force-renewal")).output
    assert nameserver.values(NAME) == [old]
    assert ca.validations[-1].outcome == "valid"
    assert "was made with an earlier account key" in shown
    assert "does not exist" in shown

    nameserver_credentials.touch(0o600)
    nameserver_credentials.write_text(content)
    ok(certbot.renew("--force-renewal"))
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN, wildcard=True)] != [old]
    before = len(nameserver.updates)
    ok(certbot.renew("--force-renewal"))
    assert len(nameserver.updates) == before


def roll_over(ca: TestCa, certbot: Certbot) -> None:
    """Give the account a new key, and the directory the name that Certbot looks for."""
    (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
    old = regr.parent
    new = roll_over_certbot_account(old, ca.directory_url, ca.root_certificate, rename=True)
    for renewal in (certbot.config_dir / "renewal").glob("*.conf"):
        renewal.write_text(renewal.read_text().replace(old.name, new.name))


@pytest.mark.long
def test_a_rollover_in_place_which_certbot_names_otherwise_is_understood(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
    roll_over_certbot_account(regr.parent, ca.directory_url, ca.root_certificate)
    ok(certbot.renew("--force-renewal"))
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN)]


def test_a_key_that_was_never_seen_here_is_not_guessed(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, reading: list[str]
) -> None:
    certbot.register()
    nameserver.zones.set_values(NAME, [ca.record_value(DOMAIN)])
    (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
    roll_over_certbot_account(regr.parent, ca.directory_url, ca.root_certificate, rename=True)
    refused(certbot.certonly(*reading, "-d", DOMAIN), "names another account")


@pytest.mark.parametrize(
    ("draft", "fault", "words"),
    [
        ("00", Fault.NO_ISSUERS, "issuer-domain-names is empty"),
        ("01", Fault.ISSUERS_MISSING, "it has neither issuerDomainNames nor issuer-domain-names"),
        ("01", Fault.ISSUERS_NOT_A_LIST, "issuer-domain-names is not a list"),
        ("02", Fault.NO_ISSUERS, "issuerDomainNames is empty"),
        ("02", Fault.ISSUERS_MISSING, "it has neither issuerDomainNames nor issuer-domain-names"),
        ("02", Fault.ISSUERS_NOT_A_LIST, "issuerDomainNames is not a list"),
        ("02", Fault.ELEVEN_ISSUERS, "names, more than the 10 allowed"),
        ("02", Fault.UPPER_CASE_ISSUER, "is not a lowercase A-label name without trailing dot"),
        ("02", Fault.TRAILING_DOT_ISSUER, "is not a lowercase A-label name without trailing dot"),
        ("02", Fault.OVER_LONG_ISSUER, "octets, more than the 253 allowed"),
        ("02", Fault.U_LABEL_ISSUER, "is not a lowercase A-label name without trailing dot"),
        (
            "02",
            Fault.DIRECTORY_NAME_NOT_IN_CHALLENGE,
            "which the directory promises in issuerDomainNames",
        ),
        (
            "02",
            Fault.CHALLENGE_NAME_NOT_IN_CAA_IDENTITIES,
            "which is not among the directory's caaIdentities",
        ),
        ("02", Fault.NO_ACCOUNT_HASH_PREFIX, "has no valid accountHashPrefix"),
    ],
)
def test_a_malformed_challenge_is_refused_with_its_fault(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    draft: str,
    fault: Fault,
    words: str,
) -> None:
    ca.change(draft=draft, faults=[fault])
    refused(certbot.certonly(*writing, "-d", DOMAIN), words, DOMAIN, "report this to the CA")
    assert nameserver.values(NAME) == []


@pytest.mark.parametrize("fault", [Fault.NO_DIRECTORY_ISSUERS, Fault.MALFORMED_DIRECTORY_ISSUERS])
def test_a_directory_without_usable_issuers_does_not_stop_an_order(
    ca: TestCa, certbot: Certbot, writing: list[str], fault: Fault
) -> None:
    ca.change(faults=[fault])
    ok(certbot.certonly(*writing, "-d", DOMAIN))


def test_in_transition_a_missing_hash_prefix_leaves_the_older_form(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ca.change(draft="transition", faults=[Fault.NO_ACCOUNT_HASH_PREFIX])
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    assert nameserver.values(NAME) == [f"ca.example; accounturi={certbot.account_url}"]


@pytest.mark.parametrize("draft", ["00", "01", "02", "transition"])
def test_a_value_over_255_octets_is_accepted_in_every_draft(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str], draft: str
) -> None:
    ca.change(draft=draft, account_url_length=300)
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN)]


@pytest.mark.parametrize("offered", [["dns-01"], ["dns-01", "http-01"], ["http-01"]])
def test_a_ca_that_does_not_offer_the_challenge_is_explained(
    ca: TestCa, certbot: Certbot, reading: list[str], offered: list[str]
) -> None:
    ca.change(challenges=offered)
    refused(
        certbot.certonly(*reading, "-d", DOMAIN),
        f"The CA at {ca.directory_url} does not offer dns-persist-01 for {DOMAIN}; it offers "
        f"{', '.join(offered)}.",
        "As of late 2026 Let's Encrypt offers dns-persist-01 on its staging server",
        "--dns-persist-fallback dns-01" if "dns-01" in offered else "use another authenticator",
    )
    assert not ca.validations


@pytest.mark.every_certbot
def test_the_fallback_proves_by_dns_01_cleans_up_and_ends_when_the_ca_offers_ours(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ca.change(challenges=["dns-01", "http-01"])
    fallback = ["--dns-persist-fallback", "dns-01"]
    names = f"{DOMAIN},*.{DOMAIN},x.other.test"
    shown = ok(certbot.certonly(*writing, *fallback, "-d", names)).output
    assert "does not offer dns-persist-01" in shown
    assert "Using dns-01 instead" in " ".join(shown.split())
    assert nameserver.values(f"_acme-challenge.{DOMAIN}") == []
    assert nameserver.values(NAME) == []
    actions = [line["action"] for line in certbot.journal()]
    assert actions == ["add"] * 3 + ["remove"] * 3
    assert certbot.records()["records"] == []

    shown = ok(certbot.renew("--force-renewal")).output
    assert "does not offer dns-persist-01" in shown
    ca.change(challenges=["dns-01", "dns-persist-01"])
    shown = ok(certbot.renew("--force-renewal")).output
    assert "does not offer" not in shown
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN, wildcard=True)]
    assert nameserver.values(f"_acme-challenge.{DOMAIN}") == []


def test_the_fallback_needs_a_provider_that_writes(
    ca: TestCa, certbot: Certbot, reading: list[str]
) -> None:
    ca.change(challenges=["dns-01"])
    refused(
        certbot.certonly(*reading, "--dns-persist-fallback", "dns-01", "-d", DOMAIN),
        "--dns-persist-fallback dns-01 needs a provider that can write",
        "--dns-persist-provider",
    )


def test_the_fallback_cannot_help_where_only_http_01_is_offered(
    ca: TestCa, certbot: Certbot, writing: list[str]
) -> None:
    ca.change(challenges=["http-01"])
    refused(
        certbot.certonly(*writing, "--dns-persist-fallback", "dns-01", "-d", DOMAIN),
        "it offers http-01",
    )


def test_the_fallback_takes_its_records_away_when_the_servers_do_not_serve_them(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    ca.change(challenges=["dns-01"])
    certbot.register()
    with Nameserver(nameserver.zones.copy(), resolver=True) as stale:
        resolvers = f"--dns-persist-resolvers={nameserver.endpoint},{stale.endpoint}"
        refused(
            certbot.certonly(
                *(*writing, resolvers, "--dns-persist-propagation-seconds=1"),
                *("--dns-persist-fallback", "dns-01", "-d", DOMAIN),
            ),
            "after 1 seconds these servers do not serve them",
            stale.endpoint,
        )
    assert nameserver.values(f"_acme-challenge.{DOMAIN}") == []


def test_a_dry_run_needs_its_own_record_and_leaves_none(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str], reading: list[str]
) -> None:
    ok(certbot.certonly(*writing, "-d", f"{DOMAIN},*.{DOMAIN}"))
    production = nameserver.values(NAME)
    with TestCa(dns=(nameserver.address, nameserver.port)) as staging:
        bundle = Path(certbot.env["REQUESTS_CA_BUNDLE"])
        both = bundle.parent / "both.pem"
        both.write_bytes(bundle.read_bytes() + staging.root_certificate.read_bytes())
        other = Certbot(certbot.config_dir.parent, staging.directory_url, both)
        ok(other.renew("--dry-run", "--agree-tos", "--register-unsafely-without-email"))
        assert staging.validations[-1].outcome == "valid"
        assert nameserver.values(NAME) == production
        assert [line["action"] for line in certbot.journal()] == ["add", "add", "remove"]

        more = ["--dns-persist-provider=manual", "--dns-persist-propagation-seconds=0"]
        shown = refused(
            other.renew("--dry-run", *more),
            f"Renewals are not affected: the record of {DOMAIN} at {ca.directory_url} is there.",
            f"certbot-dns-persist record --server {staging.directory_url} -d {DOMAIN} shows",
        )
        assert "renewals use the same records" not in shown
        nameserver.zones.set_values(NAME, [])
        refused(
            other.renew("--dry-run", *more),
            f"But the next renewal is: the record of {DOMAIN} at {ca.directory_url} is missing",
        )
        nameserver.zones.set_values(NAME, production)
        assert staging.record_value(DOMAIN, wildcard=True) in shown
        assert nameserver.values(NAME) == production


def test_a_dry_run_leaves_what_it_did_not_see_but_was_there(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    certbot.register()
    with Nameserver(nameserver.zones.copy(), resolver=True) as stale:
        nameserver.zones.set_values(NAME, [ca.record_value(DOMAIN)])
        more = [f"--dns-persist-resolvers={stale.endpoint}", "--dns-persist-propagation-seconds=1"]
        done = ok(certbot.certonly(*writing, *more, "--dry-run", "-d", DOMAIN))
    assert "cannot be seen from here" in done.output
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN)]
    assert certbot.journal() == []


@pytest.mark.every_certbot
def test_a_wildcard_that_was_typed_at_certbots_prompt_is_recognised(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    certbot.register()
    with certbot.certonly_at_terminal(*writing) as screen:
        screen.wait_for("enter the domain name(s)")
        screen.enter(f"*.{DOMAIN}\n")
        ok(screen.finish())
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN, wildcard=True)]


def test_a_wildcard_that_was_typed_is_refused_where_the_policy_forbids_it(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    certbot.register()
    with certbot.certonly_at_terminal(*writing, "--dns-persist-policy", "exact") as screen:
        screen.wait_for("enter the domain name(s)")
        screen.enter(f"*.{DOMAIN}\n")
        refused(screen.finish(), f"*.{DOMAIN} can only be proven", "exact forbids")
    assert nameserver.values(NAME) == []


def test_a_name_that_was_typed_at_certbots_prompt_gets_no_wildcard_policy(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    certbot.register()
    with certbot.certonly_at_terminal(*writing) as screen:
        screen.wait_for("enter the domain name(s)")
        screen.enter(f"{DOMAIN}\n")
        ok(screen.finish())
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN)]


def test_a_renewal_needs_neither_the_providers_package_nor_the_directory_it_began_in(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    nameserver_credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(nameserver_credentials.parent)
    ok(
        certbot.certonly(
            *writing, f"--dns-persist-credentials={nameserver_credentials.name}", "-d", DOMAIN
        )
    )
    assert certbot.renewal(DOMAIN)["dns_persist_credentials"] == str(nameserver_credentials)
    monkeypatch.chdir("/")
    conf = certbot.config_dir / "renewal" / f"{DOMAIN}.conf"
    conf.write_text(conf.read_text().replace("= rfc2136", "= uninstalled"))
    ok(certbot.renew("--force-renewal"))
    nameserver.zones.set_values(NAME, [])
    refused(certbot.renew("--force-renewal"), "There is no DNS provider called 'uninstalled'")


def test_a_quiet_renewal_tells_why_the_ca_refused_and_that_a_record_ends(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str], reading: list[str]
) -> None:
    ok(certbot.certonly(*writing, "--dns-persist-valid-for", "5", "-d", DOMAIN))
    conf = certbot.config_dir / "renewal" / f"{DOMAIN}.conf"
    text = conf.read_text().replace("= rfc2136", "= manual")
    conf.write_text(text.replace("dns_persist_valid_for = 5\n", ""))
    shown = ok(certbot.renew("--force-renewal", "-q")).output
    assert f"The record at {NAME} that authorises {DOMAIN} expires at" in shown
    ca.change(clock_offset=datetime.timedelta(days=400))
    refused(certbot.renew("--force-renewal", "-q"), "The CA looked for a record of the account")


@pytest.mark.parametrize(
    ("caa", "words"),
    [
        ("other.example", "does not name this CA (ca.example)"),
        ("ca.example; validationmethods=dns-01", "does not list dns-persist-01"),
        ("ca.example; accounturi=https://x", "is for an account other than"),
    ],
)
def test_a_refusal_for_caa_is_explained(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    caa: str,
    words: str,
) -> None:
    record = f'@ CAA 0 issue "{caa}"'
    zones = Zones.from_text(zone_text(DOMAIN, {"ns1": ["127.0.0.1"]}, record))
    nameserver.zones.zones.update(zones.zones)
    ca.change(check_caa=True)
    refused(certbot.certonly(*writing, "-d", DOMAIN), "Hint:", f"CAA records of {DOMAIN}", words)


def test_a_refusal_by_the_cas_clock_says_what_dns_serves_now(
    ca: TestCa, certbot: Certbot, writing: list[str]
) -> None:
    ca.change(clock_offset=datetime.timedelta(days=400))
    refused(
        certbot.certonly(*writing, "--dns-persist-valid-for", "300", "-d", DOMAIN),
        "Hint: The CA looked for a record of the account",
        "authorises",
        "So the CA saw something else",
    )


def test_the_directory_is_read_once_for_many_names(
    ca: TestCa, certbot: Certbot, writing: list[str]
) -> None:
    names = ",".join(f"n{i}.{DOMAIN}" for i in range(5))
    certbot.register()
    before = sum(request.resource == "directory" for request in ca.requests)
    ok(certbot.certonly(*writing, "--dns-persist-may-hide", names, "-d", names))
    reads = sum(request.resource == "directory" for request in ca.requests) - before
    assert reads <= 2  # Certbot's and ours


def test_keys_are_noted_by_account(certbot: Certbot, ca: TestCa, writing: list[str]) -> None:
    ok(certbot.certonly(*writing, "-d", DOMAIN))
    (account,) = ca.accounts
    (key,) = certbot.records()["keys"]
    assert (key["account_url"], key["thumbprint"]) == (account.url, account.thumbprint)
