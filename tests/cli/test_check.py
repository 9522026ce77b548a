"""``certbot-dns-persist check``: what stands in DNS against what is needed."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dns.rcode
import dns.rdata
import pytest
from support import bind as bind_support
from support import dnssec
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion
from support.dnssec import Signatures
from support.nameserver import Nameserver, Zones
from support.need import need
from support.process import claim_address, release_address
from support.zones import absolute, zone_text

URI = "https://ca.example/acct/1"
WHO = ("--issuer", "ca.example", "--account-uri", URI)
VALUE = f"ca.example; accounturi={URI}"
WILDCARD = f"{VALUE}; policy=wildcard"
DAY = 86400


@pytest.fixture
def alone(tmp_path: Path) -> Companion:
    """The command where there has never been a Certbot."""
    return Companion(Certbot(tmp_path / "nothing", "https://ca.example/directory"))


@pytest.fixture
def asking(bind: Bind) -> list[str]:
    """For whom is asked, and whom."""
    return [*WHO, f"--dns-persist-resolvers={bind.resolver.address}"]


def checked(companion: Companion, *arguments: str, status: str, exit_status: int) -> Any:
    """Return the one record of ``check --json``, whose sentence people read in a line, too."""
    with ThreadPoolExecutor() as pool:
        program, person = pool.map(
            lambda more: companion("check", *arguments, *more), [["--json"], []]
        )
    assert program.returncode == person.returncode == exit_status, program.output + person.output
    (record,) = program.report["records"]
    assert program.report["errors"] == []
    assert record["status"] == status
    who = f"{record['domain']},*.{record['domain']}" if record["wildcard"] else record["domain"]
    assert person.out == f"{who}\t{status}\t{record['reason']}\n"
    assert person.error == program.error == ""
    return record


@contextlib.contextmanager
def record_at(bind: Bind, name: str, rdtype: str, *texts: str) -> Iterator[None]:
    """Let records other than TXT stand at a name for a while."""
    update = bind.primary.update(bind.zone_of(name))
    for text in texts:
        update.add(absolute(name), 1, dns.rdata.from_text("IN", rdtype, text))
    bind.primary.send(update)
    bind.settle()
    yield
    update = bind.primary.update(bind.zone_of(name))
    update.delete(absolute(name), rdtype)
    bind.primary.send(update)
    bind.settle()


def at(domain: str) -> str:
    return f"_validation-persist.{domain}"


def rfc3339(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_after_a_certificate_all_is_ok(
    certbot: Certbot, companion: Companion, domain: str, bind_writing: list[str]
) -> None:
    done = certbot.certonly(*bind_writing, "-d", domain, "-d", f"*.{domain}")
    assert done.returncode == 0, done.output

    checked = companion("check", "--all")

    assert checked.returncode == 0, checked.output
    assert checked.out == (
        f"{domain},*.{domain}\tok\tThe record at _validation-persist.{domain} authorises.\n"
    )


def test_ok(alone: Companion, bind: Bind, domain: str, asking: list[str]) -> None:
    bind.add_txt(at(domain), "other.example; accounturi=https://other.example/1")
    bind.add_txt(at(domain), WILDCARD)

    record = checked(alone, *asking, "-d", f"*.{domain}", status="ok", exit_status=0)

    assert record == {
        "domain": domain,
        "name": at(domain),
        "canonical_name": at(domain),
        "wildcard": True,
        "server": None,
        "account_uri": URI,
        "status": "ok",
        "reason": f"The record at {at(domain)} authorises.",
        "persist_until": None,
        "expected_value": WILDCARD,
        "found": record["found"],
        "nameservers": [
            {"name": "ns1.example.test", "address": bind.primary.address, "status": "ok"},
            {"name": "ns2.example.test", "address": bind.secondary.address, "status": "ok"},
        ],
        "notices": [],
    }
    assert {(f["value"], f["verdict"], f["reason"]) for f in record["found"]} == {
        (WILDCARD, "valid", "authorises"),
        (
            "other.example; accounturi=https://other.example/1",
            "unauthorized",
            "is for another CA, other.example",
        ),
    }


def test_ok_but_wider_than_needed_is_remarked(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    bind.add_txt(at(domain), WILDCARD)
    record = checked(alone, *asking, "-d", domain, status="ok", exit_status=0)
    assert "more than is needed: policy=wildcard" in record["reason"]
    assert record["expected_value"] == WILDCARD


def test_ok_through_an_alias_into_another_zone(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    target = f"{domain.split('.')[0]}.other.test"
    with record_at(bind, at(domain), "CNAME", absolute(target)):
        bind.add_txt(target, VALUE)
        record = checked(alone, *asking, "-d", domain, status="ok", exit_status=0)
    assert (record["name"], record["canonical_name"]) == (at(domain), target)


@pytest.mark.parametrize("warn_days", [30, 5])
def test_expiring_is_a_warning_from_as_many_days_before_as_is_asked(
    alone: Companion, bind: Bind, domain: str, asking: list[str], warn_days: int
) -> None:
    end = int(time.time()) + 20 * DAY
    value = f"{VALUE}; persistUntil={end}"
    bind.add_txt(at(domain), value)
    arguments = [*asking, "-d", domain, "--warn-days", str(warn_days)]
    if warn_days == 5:
        record = checked(alone, *arguments, status="ok", exit_status=0)
        assert record["expected_value"] == value
    else:
        record = checked(alone, *arguments, status="expiring", exit_status=1)
        assert record["reason"] == (
            f"The record at {at(domain)} expires at {rfc3339(end)}. Publish one that expires later "
            f"(certbot-dns-persist record -d {domain} shows it)."
        )
        assert record["expected_value"] is None  # how long the next is to last, nobody said
    assert record["persist_until"] == rfc3339(end)


def test_expiring_names_the_next_value_where_an_option_says_how_long_it_lasts(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    bind.add_txt(at(domain), f"{VALUE}; persistUntil={int(time.time()) + DAY}")
    until = ["--dns-persist-until", "2099-01-01T00:00:00Z"]
    record = checked(alone, *asking, *until, "-d", domain, status="expiring", exit_status=1)
    assert record["expected_value"] == f"{VALUE}; persistUntil=4070908800"


def test_a_record_beyond_all_calendars_has_no_end_in_json(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    bind.add_txt(at(domain), f"{VALUE}; persistUntil=9223371974719179007")
    record = checked(alone, *asking, "-d", domain, status="ok", exit_status=0)
    assert record["persist_until"] is None


def test_expired(alone: Companion, bind: Bind, domain: str, asking: list[str]) -> None:
    value = f"{VALUE}; persistUntil=1700000000"
    bind.add_txt(at(domain), value)
    bind.add_txt(at(domain), f"{VALUE}; persistUntil=1600000000")

    record = checked(alone, *asking, "-d", domain, status="expired", exit_status=2)

    assert record["reason"].startswith(f'At {at(domain)}, "{VALUE}; persistUntil=1')
    assert "expired: its persistUntil was 20" in record["reason"]
    assert record["reason"].endswith(
        f". Publish one that expires later (certbot-dns-persist record -d {domain} shows it)."
    )
    assert record["persist_until"] == "2023-11-14T22:13:20Z"
    assert record["expected_value"] == VALUE


def test_missing(alone: Companion, bind: Bind, domain: str, asking: list[str]) -> None:
    record = checked(alone, *asking, "-d", f"*.{domain}", status="missing", exit_status=2)
    assert record["reason"] == (
        f"There is no TXT record at {at(domain)}. Publish it "
        f"(certbot-dns-persist record -d '*.{domain}' shows it)."
    )
    assert record["expected_value"] == WILDCARD
    # None of them lags: there is nothing that another one has.
    assert [server["status"] for server in record["nameservers"]] == ["missing", "missing"]


def test_missing_beside_what_is_for_other_cas(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    bind.add_txt(at(domain), "other.example; accounturi=https://other.example/1")
    bind.add_txt(at(domain), "grüße")
    record = checked(alone, *asking, "-d", domain, status="missing", exit_status=2)
    assert record["reason"] == (
        f"No record at {at(domain)} is for this CA (ca.example). Publish one beside what is there "
        f"(certbot-dns-persist record -d {domain} shows it)."
    )
    assert record["expected_value"] == VALUE


@pytest.mark.parametrize(
    ("value", "asked", "words"),
    [
        (
            "ca.example; accounturi=https://ca.example/acct/12",
            "{}",
            "names another account, https://ca.example/acct/12; ours is "
            f"{URI}. Publish one for ours beside it",
        ),
        (
            VALUE,
            "*.{}",
            "lacks policy=wildcard, which a wildcard name needs. Replace it with one that has it",
        ),
        # To wait for its end would not help, so that is not what is said of it.
        (
            f"{VALUE}; persistUntil=1700000000",
            "*.{}",
            "lacks policy=wildcard, which a wildcard name needs. Replace it with one that has it",
        ),
        (
            "ca.example; account=1",
            "{}",
            "is malformed: the mandatory accounturi is missing. Replace it with a correct one",
        ),
    ],
)
def test_mismatch(
    alone: Companion,
    bind: Bind,
    domain: str,
    asking: list[str],
    value: str,
    asked: str,
    words: str,
) -> None:
    bind.add_txt(at(domain), "other.example; accounturi=https://other.example/1")
    bind.add_txt(at(domain), value)
    asked = asked.format(domain)
    record = checked(alone, *asking, "-d", asked, status="mismatch", exit_status=2)
    shown = f"'{asked}'" if "*" in asked else asked
    assert record["reason"] == (
        f'At {at(domain)}, "{value}" {words} (certbot-dns-persist record -d {shown} shows it).'
    )
    assert record["expected_value"] == (WILDCARD if "*" in asked else VALUE)
    assert record["persist_until"] is None


def test_inconsistent(alone: Companion, bind: Bind, domain: str, asking: list[str]) -> None:
    bind.hold_back()
    bind.add_txt(at(domain), VALUE)
    try:
        record = checked(alone, *asking, "-d", domain, status="inconsistent", exit_status=1)
    finally:
        bind.catch_up()
    assert record["reason"] == (
        f"The record at {at(domain)} is not on every server yet: ns2.example.test "
        f"({bind.secondary.address}) serves no record. The CA may ask any of them; if that lasts, "
        "find out why they do not get the zone."
    )
    assert [server["status"] for server in record["nameservers"]] == ["ok", "lagging"]
    assert record["expected_value"] == VALUE


def test_unreachable_is_a_warning_while_another_server_answers_and_hides_nothing_worse(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    ends = int(time.time()) + DAY
    bind.add_txt(at(domain), VALUE)
    bind.add_txt(at(f"ends.{domain}"), f"{VALUE}; persistUntil={ends}")
    domains = f"{domain},ends.{domain},missing.{domain}"

    with bind.secondary.cut_off():
        done = alone("check", "--json", "--no-caa", *asking, "-d", domains)

    assert done.returncode == 2
    records = done.report["records"]
    assert [record["status"] for record in records] == ["unreachable", "expiring", "missing"]
    assert records[0]["reason"].startswith(f"Not every server of {at(domain)} answers")
    for record in records:
        assert (
            f"Not every server of {record['name']} answers: ns2.example.test "
            f"({bind.secondary.address}) "
        ) in record["reason"]
        assert record["nameservers"][1]["status"] == "unreachable"


@pytest.mark.port_53_blocked
def test_unreachable_is_unknown_when_nobody_answers(
    alone: Companion, nameserver: Nameserver
) -> None:
    nameserver.faults.rcode = dns.rcode.REFUSED
    asking = [*WHO, f"--dns-persist-resolvers={nameserver.endpoint}", "-d", "example.test"]
    record = checked(alone, *asking, status="unreachable", exit_status=3)
    assert record["reason"].startswith(f"{at('example.test')} cannot be looked up: ")
    assert f"{nameserver.endpoint} answers REFUSED" in record["reason"]
    assert record["reason"].endswith(
        "Check that the domain is delegated, and that the resolvers work."
    )
    assert (record["found"], record["nameservers"]) == ([], [])


def test_unreachable_when_the_zones_own_servers_are_and_resolvers_answer_for_them(
    alone: Companion,
) -> None:
    need(not bind_support.missing(), str(bind_support.missing()))
    address = claim_address()
    zone = zone_text("example.test", {"ns1": [address]}, f'{at("example.test")}. TXT "{VALUE}"')
    with (
        Nameserver(Zones([]), address=address, port=53),  # refuses: it knows no zone
        Nameserver(Zones.from_text(zone), resolver=True) as resolver,
    ):
        asking = [*WHO, f"--dns-persist-resolvers={resolver.endpoint}", "-d", "example.test"]
        record = checked(alone, *asking, status="unreachable", exit_status=1)
    release_address(address)
    assert f"(ns1.example.test ({address}): answers REFUSED)" in record["reason"]
    assert "The resolvers were asked instead" in record["reason"]
    assert [server["status"] for server in record["nameservers"]] == ["ok"]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """A zone for each kind of signatures, named after it, all with a record that authorises."""
    lacking = bind_support.missing() or dnssec.missing()
    need(not lacking, str(lacking))
    kinds = {zone_of(kind): kind for kind in Signatures if kind is not Signatures.KEPT_UP}
    zones = dict.fromkeys(kinds, f'_validation-persist TXT "{VALUE}"')
    with Bind(tmp_path_factory.mktemp("signed"), zones, signed=kinds) as running:
        yield running


def zone_of(kind: Signatures) -> str:
    return f"{kind.value.replace(' ', '-')}.test"


def test_good_signatures_are_ok(alone: Companion, signed: Bind) -> None:
    resolver = f"--dns-persist-resolvers={signed.resolver.address}"
    domain = zone_of(Signatures.GOOD)
    checked(alone, *WHO, resolver, "-d", domain, status="ok", exit_status=0)


@pytest.mark.parametrize("kind", [Signatures.EXPIRED, Signatures.OTHER_KEY, Signatures.TAMPERED])
def test_dnssec_bogus(alone: Companion, signed: Bind, kind: Signatures) -> None:
    """Of the whole zone, by its signatures or by its DS record, or of the TXT record alone."""
    domain = zone_of(kind)
    record = checked(
        alone,
        *(*WHO, f"--dns-persist-resolvers={signed.resolver.address}", "-d", domain),
        status="dnssec-bogus",
        exit_status=2,
    )
    assert record["reason"] == (
        f"The DNSSEC signatures at {at(domain)} do not verify, so CAs refuse whatever is "
        "there. Have the zone's signatures and its DS record fixed."
    )


@pytest.mark.parametrize(
    ("caa", "asked", "words"),
    [
        ('0 issue "other.example"', "{}", "'other.example' does not name this CA (ca.example)"),
        ('0 issue ";"', "{}", "CAA issue: ';' does not name this CA"),
        (
            '0 issue "ca.example; validationmethods=dns-01,http-01"',
            "{}",
            "does not list dns-persist-01 among its validationmethods",
        ),
        (
            f'0 issue "ca.example; accounturi={URI}2"',
            "{}",
            f"is for an account other than {URI}",
        ),
        ('0 issuewild ";"', "*.{}", "CAA issuewild: ';' does not name this CA"),
        ('128 tbs "?"', "{}", "critical property 'tbs', which CAs do not know"),
    ],
)
def test_caa_forbids(
    alone: Companion,
    bind: Bind,
    domain: str,
    asking: list[str],
    caa: str,
    asked: str,
    words: str,
) -> None:
    bind.add_txt(at(domain), WILDCARD)
    asked = asked.format(domain)
    with record_at(bind, domain, "CAA", caa):
        record = checked(alone, *asking, "-d", asked, status="caa-forbids", exit_status=2)
        unasked = alone("check", *asking, "-d", asked, "--no-caa")
    assert record["reason"].startswith(f"The CAA records of {domain} forbid it: ")
    assert words in record["reason"]
    assert record["reason"].endswith("authorises; change the CAA records.")
    assert record["expected_value"] == WILDCARD
    assert unasked.returncode == 0


@pytest.mark.parametrize(
    ("caa", "asked"),
    [
        (f'0 issue "ca.example; accounturi={URI}; validationmethods=dns-persist-01"', "{}"),
        ('0 issuewild ";"', "{}"),
        ('0 tbs "?"', "{}"),
    ],
)
def test_caa_that_allows_is_ok(
    alone: Companion, bind: Bind, domain: str, asking: list[str], caa: str, asked: str
) -> None:
    bind.add_txt(at(domain), VALUE)
    with record_at(bind, domain, "CAA", caa):
        checked(alone, *asking, "-d", asked.format(domain), status="ok", exit_status=0)


def test_a_wildcard_alone_needs_no_issue_for_its_base(
    alone: Companion, bind: Bind, domain: str, asking: list[str]
) -> None:
    bind.add_txt(at(domain), WILDCARD)
    wildcard = f"*.{domain}"
    with record_at(bind, domain, "CAA", '0 issue ";"', '0 issuewild "ca.example"'):
        checked(alone, *asking, "-d", wildcard, status="ok", exit_status=0)
        both = f"{domain},{wildcard}"
        checked(alone, *asking, "-d", both, status="caa-forbids", exit_status=2)


@pytest.mark.parametrize("where", ["above", "parent zone", "alias"])
def test_caa_is_looked_for_where_a_ca_does(
    alone: Companion, bind: Bind, domain: str, asking: list[str], where: str
) -> None:
    label = domain.split(".")[0]
    place = {"above": domain, "parent zone": "example.test", "alias": f"{label}.other.test"}[where]
    asked = {"above": f"a.b.{domain}", "parent zone": f"{label}.child.example.test"}.get(
        where, domain
    )
    bind.add_txt(at(asked), VALUE)
    with contextlib.ExitStack() as stack:
        stack.enter_context(record_at(bind, place, "CAA", '0 issue "other.example"'))
        if where == "alias":
            stack.enter_context(record_at(bind, domain, "CNAME", absolute(place)))
        checked(alone, *asking, "-d", asked, status="caa-forbids", exit_status=2)


@pytest.mark.port_53_blocked
def test_caa_that_cannot_be_looked_up_is_unknown(
    alone: Companion, nameserver: Nameserver, reading: list[str]
) -> None:
    nameserver.zones.set_values(at("example.test"), [VALUE])
    nameserver.faults.rcode, nameserver.faults.rdtype = dns.rcode.SERVFAIL, "CAA"
    asking = [*WHO, *reading, "-d", "example.test"]
    record = checked(alone, *asking, status="unreachable", exit_status=3)
    assert record["reason"] == (
        f"The record at {at('example.test')} authorises, but the CAA records of example.test "
        "cannot be looked up: CAA of example.test cannot be resolved: "
        f"{nameserver.endpoint} answers SERVFAIL. A CA that cannot read them must refuse."
    )
    assert record["expected_value"] == VALUE


# Politeness


@pytest.mark.parametrize("command", ["check", "audit"])
def test_a_name_server_is_asked_no_faster_than_is_said(
    alone: Companion, nameserver: Nameserver, reading: list[str], command: str
) -> None:
    domains = [f"n{number}.example.test" for number in range(7)]
    for domain in domains:
        nameserver.zones.set_values(at(domain), [VALUE])
    asking = [command, *WHO, *reading, "--no-caa", "--queries-per-second=5", "-d"]
    before = time.monotonic()
    done = alone(*asking, ",".join(domains))
    assert time.monotonic() - before > 1  # what it takes for seven questions, five in a second
    assert done.returncode == 0, done.output


@pytest.mark.parametrize("rate", ["0", "-1", "1.5", "fast", "9999999999"])
def test_a_pace_that_is_none_is_refused(alone: Companion, rate: str) -> None:
    done = alone("check", *WHO, "-d", "example.test", f"--queries-per-second={rate}")
    assert done.returncode == 3
    assert f"argument --queries-per-second: {rate!r} is not a number of queries" in done.error


def test_a_certificate_whose_account_is_gone_is_critical(
    certbot: Certbot, companion: Companion, domain: str, bind_writing: list[str]
) -> None:
    done = certbot.certonly(*bind_writing, "-d", domain)
    assert done.returncode == 0, done.output
    (account,) = (certbot.config_dir / "accounts").glob("**/regr.json")
    shutil.rmtree(account.parent)
    checked = companion("check", "--all")
    assert checked.returncode == 2, checked.output
    assert f"{domain}: There is no account" in checked.error
