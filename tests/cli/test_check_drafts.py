"""``check`` and the CA agree: in every draft, after a key rollover, and while the CA is away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.acme_ca import TestCa, roll_over_certbot_account
from support.certbot import Certbot
from support.companion import Companion, Done
from support.nameserver import Nameserver

DOMAIN = "example.test"
NAMES = f"{DOMAIN},*.{DOMAIN}"
NAME = f"_validation-persist.{DOMAIN}"


@pytest.fixture
def ca(nameserver: Nameserver) -> Iterator[TestCa]:
    with TestCa(dns=(nameserver.address, nameserver.port)) as running:
        yield running


@pytest.fixture
def certbot(tmp_path: Path, ca: TestCa) -> Certbot:
    return Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)


def checked(companion: Companion, *arguments: str, exit_status: int) -> tuple[Any, Done]:
    """Return the only record, and all that was said."""
    done = companion("check", "--json", *(arguments or ["--all"]))
    assert done.returncode == exit_status, done.output
    (record,) = done.report["records"]
    return record, done


@pytest.mark.parametrize(
    ("moods", "options"),
    [
        ({"draft": "00"}, []),
        ({"draft": "01", "alternative_account_uri": True}, []),
        ({"draft": "02"}, []),
        ({"draft": "02"}, ["--dns-persist-shared"]),
        ({"draft": "transition"}, []),
    ],
    ids=["00", "01-stated", "02", "02-shared", "transition"],
)
def test_what_check_wants_and_calls_good_the_ca_accepts_in_every_draft(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    writing: list[str],
    nameserver_credentials: Path,
    moods: dict[str, Any],
    options: list[str],
) -> None:
    ca.change(**moods)
    done = certbot.certonly(*writing, *options, "-d", NAMES)
    assert done.returncode == 0, done.output
    nameserver_credentials.unlink()
    record, said = checked(companion, exit_status=0)
    assert (record["status"], record["reason"]) == ("ok", f"The record at {NAME} authorises.")
    assert [record["expected_value"]] == nameserver.values(NAME)
    assert said.error == ""

    nameserver.zones.set_values(NAME, [])
    record, _ = checked(companion, exit_status=2)
    assert record["status"] == "missing"

    nameserver.zones.set_values(NAME, [record["expected_value"]])
    record, _ = checked(companion, exit_status=0)
    asked = len(ca.validations)
    renewed = certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output
    assert [validation.outcome for validation in ca.validations[asked:]] == ["valid", "valid"]


@pytest.mark.parametrize("rename", [False, True])
def test_after_a_key_rollover_the_old_record_is_good_but_of_an_older_form(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    writing: list[str],
    rename: bool,
) -> None:
    done = certbot.certonly(*writing, "-d", NAMES)
    assert done.returncode == 0, done.output
    (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
    new = roll_over_certbot_account(
        regr.parent, ca.directory_url, ca.root_certificate, rename=rename
    )
    conf = certbot.config_dir / "renewal" / f"{DOMAIN}.conf"
    conf.write_text(conf.read_text().replace(regr.parent.name, new.name))
    record, _ = checked(companion, exit_status=0)
    assert record["reason"].endswith("but is in an older form and should be replaced.")
    assert record["account_uri"] in ca.record_value(DOMAIN)


def test_an_account_that_certbot_will_not_find_at_the_next_renewal_is_told(
    ca: TestCa, certbot: Certbot, companion: Companion, writing: list[str]
) -> None:
    done = certbot.certonly(*writing, "-d", NAMES)
    assert done.returncode == 0, done.output
    (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
    new = roll_over_certbot_account(regr.parent, ca.directory_url, ca.root_certificate, rename=True)
    told = companion("check", "--all", "--json")
    assert told.returncode == 2
    (error,) = told.report["errors"]
    assert f"There is no account {regr.parent.name} at {ca.directory_url}" in error
    assert f"There are: {new.name} ({certbot.account_url})." in error


def test_while_the_ca_is_away_what_it_said_last_counts(
    nameserver: Nameserver, tmp_path: Path, writing: list[str]
) -> None:
    with TestCa(dns=(nameserver.address, nameserver.port)) as ca:
        ca.change(draft="transition", alternative_account_uri=True)
        bundle = tmp_path / "ca.pem"
        bundle.write_bytes(ca.root_certificate.read_bytes())
        certbot = Certbot(tmp_path / "certbot", ca.directory_url, bundle)
        done = certbot.certonly(*writing, "-d", NAMES)
        assert done.returncode == 0, done.output
        before, _ = checked(Companion(certbot), exit_status=0)
    after, said = checked(Companion(certbot), exit_status=0)
    assert after == before
    (warning,) = said.error.splitlines()
    assert warning.startswith(f"WARNING: The CA's directory {ca.directory_url} cannot be read: ")
    assert warning.endswith(" We use what the CA said in the last order.")

    bundle.unlink()  # what REQUESTS_CA_BUNDLE names
    after, _ = checked(Companion(certbot), exit_status=0)
    assert after == before

    certbot.state_file.unlink()
    untold = Companion(certbot)("check", "--all", "--json")
    assert untold.returncode == 3
    assert untold.report["records"] == []
    (error,) = untold.report["errors"]
    assert error.startswith(f"{DOMAIN}: The CA's directory {ca.directory_url} cannot be read: ")


def test_a_name_that_the_ca_offers_beyond_those_of_its_directory_counts(
    ca: TestCa, certbot: Certbot, companion: Companion, writing: list[str]
) -> None:
    ca.change(
        issuer_domain_names=["ca.example", "more.example"],
        directory_issuer_domain_names=["ca.example"],
    )
    name = "--dns-persist-issuer-domain-name=more.example"
    done = certbot.certonly(*writing, name, "-d", DOMAIN)
    assert done.returncode == 0, done.output
    record, _ = checked(companion, exit_status=0)
    assert record["expected_value"].startswith("more.example; ")


def test_before_the_first_order_the_directory_tells_what_to_publish(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    reading: list[str],
) -> None:
    certbot.register()
    asked = ["-d", NAMES, "--server", ca.directory_url, *reading]
    record, _ = checked(companion, *asked, exit_status=2)
    assert record["expected_value"] == ca.record_value(DOMAIN, wildcard=True)

    nameserver.zones.set_values(NAME, [record["expected_value"]])
    checked(companion, *asked, exit_status=0)
    done = certbot.certonly(*reading, "-d", NAMES)
    assert done.returncode == 0, done.output
    assert certbot.journal() == []
