"""Records that some CAs accept and others refuse: explained, checked, tried and put right alike."""

import logging
from pathlib import Path

import pytest
from support.certbot import Certbot
from support.companion import Companion
from support.differences import DIFFERENCES, Difference, fill_in
from support.nameserver import Nameserver
from support.pebble import ISSUER, Pebble

from certbot_dns_persist import errors
from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.change.surroundings import Surroundings
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.checkup import check
from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.request import AccountUris, ValidationRequest
from certbot_dns_persist.request.subjects import Subject
from certbot_dns_persist.value.explanation import Criteria, explain
from certbot_dns_persist.value.txt import quoted

NOW = 1_800_000_000
CA, URI = "ca.example", "https://ca.example/acct/1"
DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
OPTIONS = Options()


def request(*, wildcard: bool) -> ValidationRequest:
    return ValidationRequest(
        DOMAIN, wildcard, "https://ca.example/dir", (CA,), URI, AccountUris(URI)
    )


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_explain_check_and_an_order_agree_on_what_some_cas_accept(
    difference: Difference,
    nameserver: Nameserver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    value, wildcard = fill_in(difference.value, CA, URI), difference.wildcard
    canonical = f"{CA}; accounturi={URI}"
    canonical += "; policy=wildcard" if wildcard else ""
    canonical += "; persistUntil=4000000000" if "+4000000000" in value else ""
    nameserver.zones.set_values(NAME, [value])
    lookup = Lookup([Address(nameserver.address, nameserver.port)], authoritative=False)
    asked = request(wildcard=wildcard)

    explained = explain(quoted(value), Criteria((CA,), (URI,), wildcard, NOW))
    found = lookup.find([NAME])[NAME]
    subject = Subject(asked, OPTIONS)
    (checked,) = check([(subject, Inspection(DOMAIN, found, bogus=False))], at=NOW, warn_days=30)

    assert explained.finding.verdict == "accepted-by-some"
    assert explained.needed == canonical
    assert (checked.diagnosis.status, checked.severity) == ("ok", "ok")
    assert checked.expected_value == canonical
    (notice,) = checked.notices
    assert (notice.kind, notice.value, notice.name) == ("accepted-by-some", value, NAME)
    assert explained.finding.reason in notice.reason
    assert "certbot-dns-persist rotate" in notice.reason

    def order(*, ca_decides: bool) -> None:
        publisher = Publisher(OPTIONS, lookup, Journal(str(tmp_path), str(tmp_path)), print)
        here = Surroundings(notify=print, ca_decides=ca_decides)
        Ensure(OPTIONS, lookup, publisher, here).authorize([asked])

    with caplog.at_level(logging.WARNING):
        order(ca_decides=True)
    assert explained.finding.reason in caplog.text
    assert "the CA decides now" in caplog.text
    with pytest.raises(errors.NotAuthorized, match="is accepted by some CAs only"):
        order(ca_decides=False)


@pytest.fixture
def certbot(tmp_path: Path, nameserver_pebble: Pebble) -> Certbot:
    return Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )


def test_pebble_accepts_what_the_table_says_and_no_renewal_fails_before_it_is_asked(
    certbot: Certbot, nameserver: Nameserver, reading: list[str]
) -> None:
    uri = certbot.register()
    accepted, asked = set(), []
    # Certbot takes no wildcards among names of which some may fail.
    for number, difference in enumerate(d for d in DIFFERENCES.values() if not d.wildcard):
        domain = f"n{number}.{DOMAIN}"
        values = [fill_in(difference.value, ISSUER, uri)]
        nameserver.zones.set_values(validation_domain_name(domain), values)
        asked += ["-d", domain]
        accepted |= {domain} if difference.pebble else set()

    done = certbot.certonly(*reading, "--allow-subset-of-names", *asked)

    assert done.returncode == 0, done.output
    (certificate,) = (certbot.config_dir / "live").glob("*/cert.pem")
    assert set(certbot.certificate(certificate.parent.name).names) == accepted


REFUSED = ("a final dot", "a TAB before accounturi", "an unknown tag twice", "the end of 64 bits")


@pytest.mark.parametrize("label", REFUSED)
def test_the_refusal_of_such_a_record_is_explained_as_that_and_where_we_write_it_is_put_right(
    certbot: Certbot,
    nameserver: Nameserver,
    reading: list[str],
    writing: list[str],
    label: str,
) -> None:
    uri = certbot.register()
    difference = DIFFERENCES[label]
    value, canonical = fill_in(difference.value, ISSUER, uri), f"{ISSUER}; accounturi={uri}"
    nameserver.zones.set_values(NAME, [value])

    refused = certbot.certonly(*reading, "-d", DOMAIN)
    shown = " ".join(refused.output.split())
    assert refused.returncode == 1, refused.output
    assert "this CA is probably one of those that refuse it" in shown
    assert difference.why in shown
    assert "certbot-dns-persist rotate" in shown
    assert "an answer from a cache" not in shown
    assert nameserver.values(NAME) == [value]

    dry = certbot.certonly(*writing, "-d", DOMAIN, "--dry-run")
    assert dry.returncode == 0, dry.output
    assert nameserver.values(NAME) == [value]

    healed = certbot.certonly(*writing, "-d", DOMAIN)
    assert healed.returncode == 0, healed.output
    assert nameserver.values(NAME) == [canonical]
    last = [entry for entry in certbot.journal() if entry["action"] == "add"][-1]
    assert last["reason"] == "only some CAs accept the record"


def test_what_the_ca_would_accept_is_renewed_without_a_provider_and_rotated_with_one(
    certbot: Certbot, nameserver: Nameserver, reading: list[str], writing: list[str]
) -> None:
    companion = Companion(certbot)
    uri = certbot.register()
    value, canonical = f"{ISSUER}; accounturi={uri}; a.b=c", f"{ISSUER}; accounturi={uri}"
    nameserver.zones.set_values(NAME, [value])

    issued = certbot.certonly(*reading, "-d", DOMAIN)
    assert issued.returncode == 0, issued.output
    assert "accepted by some CAs only: the standard refuses it" in " ".join(issued.output.split())

    checked = companion("check", "--all", "--json")
    assert checked.returncode == 0, checked.output
    (record,) = checked.report["records"]
    assert record["status"] == "ok"
    assert record["expected_value"] == canonical
    assert [found["verdict"] for found in record["found"]] == ["accepted-by-some"]
    assert [(n["kind"], n["severity"]) for n in record["notices"]] == [("accepted-by-some", "ok")]
    audited = companion("audit", "--all", "--json")
    assert audited.returncode == 0, audited.output
    assert audited.report["records"][0]["notices"] == record["notices"]

    rotated = companion("rotate", "--all", "--yes", *writing)
    assert rotated.returncode == 0, rotated.output
    assert nameserver.values(NAME) == [canonical]
    assert companion("check", "--all", "--quiet").out.startswith("DNS-PERSIST OK - 1 of 1 domain")
