"""``publish`` and ``revoke`` without a Certbot: a DNS operator's (draft section 4.5)."""

from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, failed, ok
from support.issued import Issued
from support.pebble import ISSUER

from certbot_dns_persist.cli import main

ONE, TWO = "https://ca.example/acct/1", "https://two.example/acct/2"
WHO = ["--issuer=ca.example", f"--account-uri={ONE}"]
VALUES = [f"ca.example; accounturi={ONE}", f"two.example; accounturi={TWO}"]


@pytest.fixture
def operator(tmp_path: Path) -> Certbot:
    """The places of a Certbot that is not there."""
    return Certbot(tmp_path / "operator", "https://ca.example/directory")


@pytest.fixture
def both(domain: str, tmp_path: Path) -> str:
    """A list with the domain for both accounts."""
    file = tmp_path / "domains.txt"
    file.write_text(f"{domain}\n{domain} issuer=two.example account-uri={TWO}\n")
    return f"--from-file={file}"


def test_an_operator_publishes_for_accounts_elsewhere_and_has_notes_of_it(
    operator: Certbot, bind: Bind, domain: str, bind_writing: list[str], both: str
) -> None:
    companion, name = Companion(operator), f"_validation-persist.{domain}"
    asked = [*WHO, both, *bind_writing]
    done = ok(companion("publish", *asked, "--yes"))
    assert f"Nothing here can verify {ONE}, {TWO}." in done.out
    notes = operator.config_dir / "dns-persist" / "state.sqlite"
    assert f"To be noted in {notes}, and logged in {operator.logs_dir}/dns-persist-ch" in done.out
    assert sorted(bind.secondary.values(name)) == VALUES
    assert "Nothing is missing" in ok(companion("publish", *asked)).out
    listed = ok(companion("list", "--json")).json["records"]
    assert sorted((each["value"], each["account_url"]) for each in listed) == [
        (VALUES[0], ONE),
        (VALUES[1], TWO),
    ]
    assert [line["result"] for line in operator.journal()] == ["ok"] * 2
    # What others need is not left over here, although no certificate here needs it.
    told = companion("audit", "--all", *bind_writing[:1])
    assert "There is nothing to check" in told.output
    ok(companion("audit", *asked[:-2]))


def test_nothing_is_published_that_could_not_be_noted(
    bind: Bind,
    domain: str,
    bind_writing: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    places = [f"--config-dir={tmp_path}", f"--logs-dir={tmp_path}/file/logs"]
    assert main(["publish", "-d", domain, *WHO, *bind_writing, *places, "--yes"]) == 1
    assert f"{tmp_path}/file is no directory that you may write to" in capsys.readouterr().err
    assert bind.primary.values(f"_validation-persist.{domain}") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-d", "a.test", "--issuer=ca.example"], "give --issuer with --account-uri"),
        (["--all", *WHO], "--issuer is for domains without Certbot's files"),
        (["-d", "a.test", *WHO, "--account=x"], "--account and --issuer exclude each other"),
    ],
)
def test_who_it_is_for_has_to_be_said_in_full(
    operator: Certbot, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"--config-dir={operator.config_dir}", f"--logs-dir={operator.logs_dir}"]
    assert main(["publish", *arguments, *places, "--yes"]) == 3
    assert told in capsys.readouterr().err
    assert not (operator.config_dir / "dns-persist").exists()


def test_what_others_need_is_not_left_over_here_whatever_server_was_named(
    operator: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    places = [f"--config-dir={operator.config_dir}", f"--logs-dir={operator.logs_dir}"]
    asked = ["-d", domain, *WHO, "--server=https://ca.example/directory", *bind_writing]
    assert main(["publish", *asked, *places, "--yes"]) == 0
    assert bind.primary.values(f"_validation-persist.{domain}") == VALUES[:1]
    assert main(["prune", "--left-over", "--yes", *bind_writing, *places]) == 0
    assert bind.primary.values(f"_validation-persist.{domain}") == VALUES[:1]


def test_an_operator_removes_what_was_published_from_here_and_nothing_else(
    operator: Certbot, bind: Bind, domain: str, bind_writing: list[str], both: str
) -> None:
    companion, name = Companion(operator), f"_validation-persist.{domain}"
    ok(companion("publish", *WHO, both, *bind_writing, "--yes"))
    elsewhere = f"{VALUES[0]}; policy=wildcard"
    bind.add_txt(name, elsewhere)
    before = bind.primary.records(bind.zone_of(name))

    resolvers, _, credentials = bind_writing
    asked = ["-d", domain, *WHO, resolvers, credentials]  # the notes say by which provider
    dry = companion("revoke", *asked, "--dry-run")
    assert f"- {VALUES[0]} (revoked)" in dry.out
    assert bind.primary.records(bind.zone_of(name)) == before
    done = failed(companion("revoke", *asked, "--yes"))
    assert f'{name} TXT "{elsewhere}" stays: our notes do not say that it was' in done.error
    assert "Removed: no name server that we can ask serves them any more." in done.out
    assert f"certbot unregister, where the account is  ({ONE})" in done.out
    gone = before - bind.primary.records(bind.zone_of(name))
    assert [line.split(" IN TXT ")[1] for line in gone] == [f'"{VALUES[0]}"']
    assert sorted(bind.secondary.values(name)) == [elsewhere, VALUES[1]]
    (left,) = ok(companion("list", "--json")).json["records"]
    assert left["value"] == VALUES[1]
    again = failed(companion("revoke", *asked, "--yes"))
    assert "stays: our notes do not say" in again.error
    assert sorted(bind.secondary.values(name)) == [elsewhere, VALUES[1]]


def test_what_was_published_for_another_name_with_the_same_place_stays(
    operator: Certbot, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    companion, name = Companion(operator), f"_validation-persist.{domain}"
    alias = f"also.{domain}"
    update = bind.primary.update(bind.zone_of(name))
    update.add(f"_validation-persist.{alias}.", 1, "CNAME", f"{name}.")
    bind.primary.send(update)
    bind.settle()
    ok(companion("publish", "-d", f"{domain},{alias}", *WHO, *bind_writing, "--yes"))
    asked = ["revoke", "-d", alias, *WHO, *bind_writing, "--yes"]
    kept = failed(companion(*asked))
    assert f"stays: it was published for {domain}. To remove it, add" in kept.error
    assert bind.primary.values(name) == VALUES[:1]
    ok(companion(*asked, "--also-needed-by", domain))
    assert bind.primary.values(name) == []


def test_what_a_certificate_here_needs_stays_although_its_account_is_named_as_elsewhere(
    issued: Issued, companion: Companion, bind_writing: list[str]
) -> None:
    asked = ["-d", issued.domain, f"--issuer={ISSUER}", f"--account-uri={issued.url}"]
    kept = failed(companion("revoke", *asked, *bind_writing, "--yes"))
    assert f"also needed by the certificate {issued.domain} ({issued.domain})" in kept.error
    assert issued.values == [issued.value(issued.url)]


def test_a_lost_host_is_not_named_together_with_an_account(
    operator: Certbot, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"--config-dir={operator.config_dir}", f"--logs-dir={operator.logs_dir}"]
    assert main(["revoke", "--lost-host=web7", *WHO, *places, "--yes"]) == 3
    assert "--issuer is for domains without Certbot's files" in capsys.readouterr().err
