"""``certbot-dns-persist record``: what is printed is what an order would publish, or needs."""

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import bind as bind_support
from support.acme_ca import TestCa
from support.bind import Bind
from support.certbot import AGREE, Certbot
from support.companion import PROGRAM, Companion, Done, run
from support.nameserver import Nameserver, Zones
from support.need import need
from support.pebble import Pebble
from support.zones import zone_text

from certbot_dns_persist.cli.record import FORMATS, OWNING
from certbot_dns_persist.record import validation_domain_name

DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
OTHERS = "other.example; accounturi=https://other.example/1"
EXPLICIT = ["--issuer=ca.example", "--account-uri=https://ca.example/acct/1"]
EXPLICIT_VALUE = "ca.example; accounturi=https://ca.example/acct/1"
Record = Callable[..., Done]

THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.fixture
def ca(nameserver: Nameserver) -> Iterator[TestCa]:
    """A CA that speaks -02 and looks into ``nameserver``."""
    with TestCa(dns=(nameserver.address, nameserver.port)) as running:
        yield running


@pytest.fixture
def certbot(tmp_path: Path, ca: TestCa) -> Certbot:
    made = Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)
    made.register()
    return made


@pytest.fixture
def record(companion: Companion, certbot: Certbot, reading: list[str]) -> Record:
    """Run the command for the account of ``certbot``."""

    def record(*arguments: str, dns: bool = True) -> Done:
        return companion(
            "record", "--server", certbot.server, *(reading if dns else []), *arguments
        )

    return record


def ok(done: Done) -> Done:
    assert done.returncode == 0, done.output
    return done


def records(done: Done) -> list[dict[str, object]]:
    found: list[dict[str, object]] = ok(done).json["records"]
    return found


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("draft", ["00", "01", "02", "transition"])
def test_what_is_printed_is_what_an_order_needs(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    record: Record,
    reading: list[str],
    draft: str,
) -> None:
    ca.change(draft=draft)
    if draft == "transition":  # it takes both, and the directory tells of the newer
        certbot.certonly(*reading, "-d", DOMAIN)
    names = ["-d", DOMAIN, "-d", f"*.{DOMAIN}"]
    (printed,) = records(record(*names, "--format=json"))
    assert printed["value"] == ca.record_value(DOMAIN, wildcard=True)

    nameserver.zones.set_values(NAME, [str(printed["value"])])
    done = certbot.certonly(*reading, *names)
    assert done.returncode == 0, done.output


def test_the_text_is_to_copy_and_says_what_is_there_already(
    ca: TestCa, nameserver: Nameserver, record: Record
) -> None:
    value = ca.record_value(DOMAIN)
    block = (
        f"For {DOMAIN}:\n"
        f"  Name:   {NAME}\n"
        "  Host (relative to example.test): _validation-persist\n"
        "  Type:   TXT\n"
        "  TTL:    300\n"
        f"  Value:  {value}\n"
        "  Or as a line of a zone file:\n"
        f'  {NAME}. 300 IN TXT "{value}"\n'
    )
    assert ok(record("-d", DOMAIN)).out == block
    nameserver.zones.set_values(NAME, [value, OTHERS])
    shown = ok(record("-d", DOMAIN)).out
    assert shown.startswith(block)
    assert "It is there already: there is nothing to do." in shown
    assert f'"{OTHERS}"' in shown


def test_the_options_of_the_plugin_shape_the_record(record: Record, ca: TestCa) -> None:
    done = record(
        "-d",
        DOMAIN,
        "--dns-persist-ttl=60",
        "--dns-persist-until=2100-01-01T00:00:00Z",
        "--dns-persist-policy=wildcard",
        "--dns-persist-shared",
        "--format=json",
    )
    (printed,) = records(done)
    assert printed["ttl"] == 60
    assert printed["value"] == ca.record_value(
        DOMAIN, wildcard=True, shared=True, persist_until=4102444800
    )


def test_an_end_that_moves_is_not_moved_for_what_will_do(
    nameserver: Nameserver, record: Record, ca: TestCa
) -> None:
    standing = ca.record_value(DOMAIN, persist_until=4102444800)
    nameserver.zones.set_values(NAME, [standing])
    (printed,) = records(record("-d", DOMAIN, "--dns-persist-valid-for=90", "--format=json"))
    assert printed["value"] == standing


@pytest.mark.long
def test_names_that_lead_to_one_alias_share_a_record(
    nameserver: Nameserver, record: Record, ca: TestCa
) -> None:
    aliases = "\n".join(f"_validation-persist.{host} CNAME fleet.other.test." for host in "ab")
    served = Zones.from_text(
        zone_text(DOMAIN, {"ns1": ["127.0.0.1"]}, aliases),
        zone_text("other.test", {"ns1": ["127.0.0.1"]}),
    )
    nameserver.zones.zones.update(served.zones)
    names = ["-d", f"a.{DOMAIN},b.{DOMAIN}", "--format=json"]
    (shared,) = records(record(*names, "--dns-persist-shared"))
    assert shared["name"] == "fleet.other.test"
    assert shared["domains"] == [f"a.{DOMAIN}", f"b.{DOMAIN}"]
    assert shared["aliases"] == [f"_validation-persist.{host}.{DOMAIN}" for host in "ab"]
    assert shared["value"] == ca.record_value("any", shared=True)

    of_each = records(record(*names))
    assert [each["name"] for each in of_each] == ["fleet.other.test"] * 2
    values = sorted(ca.record_value(f"{host}.{DOMAIN}") for host in "ab")
    assert [each["value"] for each in of_each] == values
    batch = ok(record(*names[:2], "--format=route53")).json
    (change,) = batch["Changes"]
    assert [entry["Value"] for entry in change["ResourceRecordSet"]["ResourceRecords"]] == [
        f'"{value}"' for value in values
    ]


def test_a_change_batch_for_several_hosted_zones_is_refused_with_the_names_in_each(
    tmp_path: Path, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    def batch(*names: str) -> Done:
        command = [PROGRAM, "record", "--format=route53", *EXPLICIT, *bind_reading, *names]
        return run(command, keep=tmp_path / "output.log")

    done = batch("-d", f"{domain},*.{domain},www.{domain},{domain.split('.')[0]}.other.test")
    assert (done.returncode, done.out) == (1, "")
    assert "for one hosted zone, so run this once for each zone" in done.error
    of_each = [line.strip().split(": ") for line in done.error.splitlines() if line[0] == " "]
    assert [zone for zone, _ in of_each] == ["example.test", "other.test"]
    changed = []
    for zone, names in of_each:
        printed = ok(batch(*shlex.split(names))).json
        assert printed["Comment"].endswith(f" for {zone}")
        changed.append([each["ResourceRecordSet"]["Name"] for each in printed["Changes"]])
    assert changed == [
        [f"{validation_domain_name(name)}." for name in (domain, f"www.{domain}")],
        [f"{validation_domain_name(domain.split('.')[0])}.other.test."],
    ]


def test_what_it_supersedes_is_left_out_and_what_others_have_is_not(
    nameserver: Nameserver, record: Record, ca: TestCa
) -> None:
    expired = ca.record_value(DOMAIN, persist_until=1)
    nameserver.zones.set_values(NAME, [expired, OTHERS, "not a record"])
    batch = ok(record("-d", DOMAIN, "--format=route53")).json
    (change,) = batch["Changes"]
    values = [entry["Value"] for entry in change["ResourceRecordSet"]["ResourceRecords"]]
    assert values[0] == f'"{ca.record_value(DOMAIN)}"'
    assert sorted(values[1:]) == ['"not a record"', f'"{OTHERS}"']


def test_a_record_that_not_all_servers_have_is_not_there_yet(
    bind: Bind, tmp_path: Path, domain: str, bind_reading: list[str]
) -> None:
    command = [PROGRAM, "record", "-d", domain, *EXPLICIT, *bind_reading, "--format=json"]
    bind.hold_back()
    bind.add_txt(validation_domain_name(domain), EXPLICIT_VALUE)
    (partly,) = records(run(command, keep=tmp_path / "output.log"))
    bind.catch_up()
    (wholly,) = records(run(command, keep=tmp_path / "output.log"))
    assert (partly["there"], wholly["there"]) == (False, True)
    assert (partly["authorized"], wholly["authorized"]) == ([], [domain])
    assert partly["zone"] == wholly["zone"] == "example.test"


def test_a_wildcard_that_the_policy_forbids_gets_no_record(tmp_path: Path) -> None:
    names = ["-d", "*.example.com", "--dns-persist-policy=exact"]
    done = run([PROGRAM, "record", *names, *EXPLICIT, "--offline"], keep=tmp_path / "output.log")
    assert done.returncode == 1
    assert done.out == ""
    assert "which --dns-persist-policy exact forbids" in done.error


def test_a_shared_form_that_the_ca_does_not_know_is_told(tmp_path: Path) -> None:
    names = ["-d", "example.com", "--dns-persist-shared"]
    done = run([PROGRAM, "record", *names, *EXPLICIT, "--offline"], keep=tmp_path / "output.log")
    assert EXPLICIT_VALUE in ok(done).out
    assert "--dns-persist-shared has no effect" in done.error


# The account


def test_a_hashed_account_uri_is_proven_by_a_post_as_get_to_the_account(
    record: Record, ca: TestCa, certbot: Certbot
) -> None:
    ok(record("-d", f"{DOMAIN},x.other.test"))
    proofs = [request for request in ca.requests if request.resource == "account"]
    (proof,) = proofs[-1:]
    assert (proof.method, proof.url, proof.payload) == ("POST", certbot.account_url, "")
    assert sum(request.payload == "" for request in proofs) == 1


def test_without_a_hash_nothing_is_signed(record: Record, ca: TestCa) -> None:
    ca.change(draft="01")
    before = len(ca.requests)
    ok(record("-d", DOMAIN))
    assert [request.resource for request in ca.requests[before:]] == ["directory"]


@pytest.mark.parametrize("why", ["deactivated", "unknown"])
def test_an_account_that_the_ca_does_not_accept_gets_no_record(
    record: Record, ca: TestCa, certbot: Certbot, why: str
) -> None:
    if why == "deactivated":
        ca.accounts[0].status = "deactivated"
    else:
        (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
        regr.write_text(regr.read_text().replace("/account/1", "/account/77"))
    done = record("-d", DOMAIN)
    assert done.returncode == 1
    assert done.out == ""
    assert "does not accept the account" in done.error
    assert "certbot register" in done.error
    assert "Traceback" not in done.error


def test_a_redirect_is_no_proof(record: Record, ca: TestCa, certbot: Certbot) -> None:
    moved = f"{ca.base_url}/moved"
    ca.redirects[certbot.account_url] = moved
    done = record("-d", DOMAIN)
    assert done.returncode == 1
    assert done.out == ""
    assert "answers 307" in done.error
    assert moved not in [request.url for request in ca.requests]


def test_a_ca_that_does_not_answer_proves_nothing(
    record: Record, certbot: Certbot, writing: list[str], ca: TestCa
) -> None:
    done = certbot.certonly(*writing, "-d", DOMAIN)  # what the CA wants is noted now
    assert done.returncode == 0, done.output
    certbot.env["REQUESTS_CA_BUNDLE"] = str(ca.root_certificate.with_name("none"))
    shown = record("-d", DOMAIN)
    assert shown.returncode == 1
    assert shown.out == ""
    assert "Traceback" not in shown.error
    assert "--offline" in shown.error


def test_without_an_account_it_is_said_how_to_make_one(
    tmp_path: Path, ca: TestCa, reading: list[str]
) -> None:
    bare = Companion(Certbot(tmp_path / "bare", ca.directory_url, ca.root_certificate))
    done = bare("record", "--server", ca.directory_url, *reading, "-d", DOMAIN)
    assert done.returncode == 1
    assert done.out == ""
    assert f"certbot register --server {ca.directory_url}" in done.error


# Offline


def test_offline_nobody_is_asked_and_that_is_said(
    record: Record, ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    unknown = record("-d", DOMAIN, "--offline", dns=False)
    assert unknown.returncode == 1
    assert unknown.out == ""
    assert "Leave out --offline" in unknown.error

    done = certbot.certonly(*writing, "-d", "x.other.test")
    assert done.returncode == 0, done.output
    asked = len(ca.requests)
    answered = len(nameserver.queries)
    offline = record("-d", DOMAIN, "--offline", "--format=json")
    (printed,) = records(offline)
    assert printed["value"] == ca.record_value(DOMAIN)
    assert printed["there"] is None
    assert printed["beside"] is None
    assert "was not verified" in offline.error
    assert len(ca.requests) == asked
    assert len(nameserver.queries) == answered


@pytest.mark.parametrize("form", FORMATS)
def test_offline_an_explicit_identity_is_enough_for_every_format_of_single_records(
    tmp_path: Path, form: str
) -> None:
    names = ["-d", "example.com", "-d", "*.example.com", "-d", "example.org"]
    done = run(
        [PROGRAM, "record", *names, *EXPLICIT, "--offline", "--format", form],
        env={"LC_ALL": "C"},
        keep=tmp_path / "output.log",
    )
    if form in OWNING:  # of the values of others
        assert (done.returncode, done.out) == (1, "")
        assert "Leave out --offline, or choose a format of single records: zone" in done.error
        return
    assert done.returncode == 0, done.output
    assert "_validation-persist" in done.out
    assert "policy=wildcard" in done.out


def test_names_may_come_from_a_file(tmp_path: Path) -> None:
    done = run(
        [PROGRAM, "record", "--from-file=-", *EXPLICIT, "--offline", "--format=json"],
        stdin="# ours\nexample.com\n*.example.com # all below\n\nexample.org\n",
        keep=tmp_path / "output.log",
    )
    assert [each["domains"] for each in records(done)] == [
        ["example.com", "*.example.com"],
        ["example.org"],
    ]


def test_an_explicit_hashed_identity_cannot_be_proven_and_that_is_said(tmp_path: Path) -> None:
    identity = [
        "--issuer=ca.example",
        "--account-url=https://ca.example/acct/123",
        f"--thumbprint={THUMBPRINT}",
        "--hash-prefix=https://ca.example/account-hash/",
    ]
    done = run(
        [PROGRAM, "record", "-d", "example.com", *identity, "--offline", "--format=json"],
        keep=tmp_path / "output.log",
    )
    (printed,) = records(done)
    assert str(printed["account_uri"]).endswith(
        "/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
    )
    assert "cannot be verified here" in done.error


# What DNS does not say


def test_before_a_domain_is_delegated_its_record_is_printed_with_a_warning(tmp_path: Path) -> None:
    need(not bind_support.missing(), str(bind_support.missing()))
    with Bind(tmp_path / "bind", {"tld": ""}) as bind:
        for domain, words, looked in (
            ("new.tld", "new.tld is not delegated yet: the servers of tld do not have it", True),
            ("new.nowhere", "cannot be looked up, so its records are unknown", False),
        ):
            reading = f"--dns-persist-resolvers={bind.resolver.address}"
            done = run(
                [PROGRAM, "record", "-d", domain, *EXPLICIT, reading, "--format=json"],
                keep=tmp_path / "output.log",
            )
            (printed,) = records(done)
            assert printed["name"] == f"_validation-persist.{domain}"
            assert printed["zone"] is None
            assert printed["beside"] == ([] if looked else None)
            assert words in done.error


def test_a_zone_with_bad_signatures_is_warned_of(
    nameserver: Nameserver, record: Record, ca: TestCa
) -> None:
    nameserver.faults.bogus = True
    done = ok(record("-d", DOMAIN))
    assert ca.record_value(DOMAIN) in done.out
    assert "WARNING" in done.error


def test_without_a_resolver_that_answers_only_a_single_record_is_printed_with_a_warning(
    companion: Companion, ca: TestCa, certbot: Certbot
) -> None:
    asked = ["--server", certbot.server, "-d", DOMAIN, "--dns-persist-resolvers=127.0.0.1:1"]
    done = companion("record", *asked, "--format=zone")
    assert ok(done).out.count(NAME.partition(".")[0]) == 1
    assert "cannot be looked up" in flat(done.error)
    refused = companion("record", *asked, "--format=octodns")
    assert (refused.returncode, refused.out) == (1, "")
    assert f"Not printed: {NAME}." in flat(refused.error)
    assert "because no server answers" in flat(refused.error)


def test_what_cannot_be_told_of_one_name_does_not_keep_others_from_being_printed(
    tmp_path: Path,
) -> None:
    names = tmp_path / "names"
    names.write_text("example.com\nnot a name\n")
    done = run(
        [PROGRAM, "record", f"--from-file={names}", *EXPLICIT, "--offline", "--format=zone"],
        keep=tmp_path / "output.log",
    )
    assert done.returncode == 1
    assert f'_validation-persist.example.com. 300 IN TXT "{EXPLICIT_VALUE}"' in done.out
    assert "line 2" in done.error


# The real programs


def test_nsupdate_publishes_it_and_certbot_gets_its_certificate(
    tmp_path: Path, bind: Bind, pebble: Pebble, domain: str, bind_reading: list[str]
) -> None:
    certbot = Certbot(tmp_path / "real", pebble.directory_url, pebble.ca_bundle)
    assert certbot.run("register", *AGREE).returncode == 0
    companion = Companion(certbot)
    bind.add_txt(validation_domain_name(domain), OTHERS)
    names = ["-d", domain, "-d", f"*.{domain}", "-d", f"x.{domain}.child.example.test"]
    commands = ok(
        companion("record", "--server", certbot.server, *bind_reading, *names, "--format=nsupdate")
    ).out
    bind.nsupdate(commands, tmp_path)
    assert OTHERS in bind.primary.values(validation_domain_name(domain))

    checked = companion("check", "--server", certbot.server, *bind_reading, *names)
    assert checked.returncode == 0, checked.output
    done = certbot.certonly(*bind_reading, *names)
    assert done.returncode == 0, done.output


def test_nsupdate_finds_the_zone_that_is_not_named(tmp_path: Path, bind: Bind, domain: str) -> None:
    done = run(
        [PROGRAM, "record", "-d", domain, *EXPLICIT, "--offline", "--format=nsupdate"],
        keep=tmp_path / "output.log",
    )
    bind.nsupdate(ok(done).out, tmp_path)
    assert bind.primary.values(validation_domain_name(domain)) == [EXPLICIT_VALUE]


def test_the_help_names_every_format(tmp_path: Path) -> None:
    done = run([PROGRAM, "record", "--help"], keep=tmp_path / "output.log")
    assert all(form in flat(done.out) for form in FORMATS)


def test_json_is_one_object_also_for_many_names(tmp_path: Path) -> None:
    done = run(
        [PROGRAM, "record", "--from-file=-", *EXPLICIT, "--offline", "--format=json"],
        stdin="".join(f"n{number}.example.com\n" for number in range(300)),
        keep=tmp_path / "output.log",
    )
    assert len(json.loads(done.out)["records"]) == 300
