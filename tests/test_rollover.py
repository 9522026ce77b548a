"""``rollover``: a new key for an account, in every draft, at the test CA and at Pebble."""

import contextlib
import json
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acme import client, messages
from josepy.jwk import JWK
from support.acme_ca import TestCa
from support.certbot import Certbot, Result
from support.companion import Companion, failed, ok
from support.dying import Dying
from support.nameserver import Nameserver

from certbot_dns_persist.record import validation_domain_name

pytestmark = pytest.mark.rollover

DOMAIN, OTHER = "example.test", "x.other.test"
NAME, OTHER_NAME = map(validation_domain_name, (DOMAIN, OTHER))


@pytest.fixture
def ca(nameserver: Nameserver) -> Iterator[TestCa]:
    """A CA whose options a test may change while it runs; it speaks -02."""
    with TestCa(dns=(nameserver.address, nameserver.port)) as running:
        yield running


@pytest.fixture
def certbot(tmp_path: Path, ca: TestCa) -> Certbot:
    return Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)


@pytest.fixture
def one(certbot: Certbot, writing: list[str]) -> list[str]:
    """A certificate with the only account; returns its name."""
    good(certbot.certonly(*writing, "-d", DOMAIN))
    return [DOMAIN]


@pytest.fixture
def two(certbot: Certbot, writing: list[str]) -> list[str]:
    """Two certificates with the only account; returns their names."""
    for domain in (DOMAIN, OTHER):
        good(certbot.certonly(*writing, "-d", domain))
    return [DOMAIN, OTHER]


def good(result: Result) -> Result:
    assert result.returncode == 0, result.output
    return result


def account_of(certbot: Certbot) -> Path:
    """Return the directory of the only account."""
    (regr,) = (certbot.config_dir / "accounts").glob("*/*/*/regr.json")
    return regr.parent


def is_accepted(certbot: Certbot, account: Path) -> bool:
    """Whether the CA takes a request for the account that is signed with the key there."""
    key = JWK.json_loads((account / "private_key.json").read_text())
    uri = json.loads((account / "regr.json").read_text())["uri"]
    regr = messages.RegistrationResource(body=messages.Registration(), uri=uri)
    network = client.ClientNetwork(key, account=regr)
    network.verify_ssl = certbot.env["REQUESTS_CA_BUNDLE"]  # type: ignore[assignment]
    nonce = client.ClientV2.get_directory(certbot.server, network)["newNonce"]
    try:
        network.post(uri, None, new_nonce_url=nonce)
    except messages.Error:
        return False
    return True


def former(certbot: Certbot, account_id: str) -> Path:
    return certbot.config_dir / "dns-persist" / "former-accounts" / account_id


def begun(certbot: Certbot) -> list[Path]:
    """Return the directories of rollovers that are not finished."""
    return list((certbot.config_dir / "dns-persist" / "rollover").glob("*"))


def finished(certbot: Certbot, old: Path, names: list[str], *, renewals: int = 1) -> None:
    """Assert that all of the account ``old`` has been replaced, and Certbot renews with the new."""
    new = account_of(certbot)
    assert new.name != old.name
    assert {certbot.renewal(name)["account"] for name in names} == {new.name}
    assert is_accepted(certbot, new)
    assert not is_accepted(certbot, former(certbot, old.name))
    assert begun(certbot) == []
    for _ in range(renewals):
        good(certbot.renew("--force-renewal", "--cert-name", names[0]))
    assert {certbot.renewal(name)["account"] for name in names} == {new.name}


def tree(directory: Path) -> dict[str, bytes | None]:
    """Return all below a directory, without our notes and the locks."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
        if "dns-persist" not in path.parts and path.name != ".certbot.lock"
    }


@pytest.mark.parametrize(
    ("moods", "options"),
    [
        ({"draft": "00"}, []),
        pytest.param(
            {"draft": "01", "alternative_account_uri": True}, [], marks=pytest.mark.oldest_certbot
        ),
        pytest.param({"draft": "02"}, [], marks=pytest.mark.oldest_certbot),
        ({"draft": "02"}, ["--dns-persist-shared"]),
        ({"draft": "transition"}, []),
    ],
    ids=["00", "01", "02", "02-shared", "transition"],
)
def test_the_account_gets_a_new_key_and_only_hashed_records_change(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    moods: dict[str, Any],
    options: list[str],
) -> None:
    ca.change(**moods)
    good(certbot.certonly(*writing, *options, "-d", f"{DOMAIN},*.{DOMAIN}"))
    old, foreign = account_of(certbot), "ca.example; accounturi=https://other.example/1"
    (record,) = nameserver.values(NAME)
    nameserver.zones.set_values(NAME, [record, foreign])
    before = len(nameserver.updates)
    Dying(certbot).changes("rollover", "--yes")

    if ca.options.hashes_account_uri:
        new = ca.record_value(DOMAIN, wildcard=True, shared=bool(options))
        assert new != record
        assert sorted(nameserver.values(NAME)) == sorted([new, foreign])
    else:
        assert sorted(nameserver.values(NAME)) == sorted([record, foreign])
        assert len(nameserver.updates) == before
    updates = len(nameserver.updates)
    finished(certbot, old, [DOMAIN], renewals=2)  # the second is with what the first has saved
    assert len(nameserver.updates) == updates


def test_what_is_written_is_as_certbot_writes_it(
    certbot: Certbot, companion: Companion, two: list[str]
) -> None:
    old = account_of(certbot)
    names = {path.name: path.read_bytes() for path in old.iterdir()}
    before = {name: (certbot.config_dir / "renewal" / f"{name}.conf").read_text() for name in two}
    plan = ok(companion("rollover", "--dry-run")).out
    assert [plan.count(f"  {name}\n") for name in two] == [1, 1]
    assert f"  {NAME} TXT\n" in plan
    assert "gets a new key (RSA, 2048 bits). Then the CA refuses the old one" in plan
    done = ok(companion("rollover", "--yes"))
    new = account_of(certbot)
    assert f"Certbot's id of the account is now {new.name}." in done.out
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in new.iterdir()} == {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in former(certbot, old.name).iterdir()
    }
    for name, octets in names.items():
        assert ((new / name).read_bytes() == octets) == (name != "private_key.json")
        assert (former(certbot, old.name) / name).read_bytes() == octets
    for name in two:
        text = (certbot.config_dir / "renewal" / f"{name}.conf").read_text()
        assert text == before[name].replace(old.name, new.name)
    listed = certbot.run("show_account")
    assert certbot.account_url in good(listed).output
    # The notes know both keys: what was made with the old one is no stranger's.
    (first, second) = certbot.records()["keys"]
    assert first["thumbprint"] != second["thumbprint"]
    ok(companion("audit", "--all"))


# Kills.


@pytest.mark.oldest_certbot
def test_if_it_dies_when_only_the_ca_has_the_new_key_the_next_renewal_uses_it(
    certbot: Certbot, companion: Companion, nameserver: Nameserver, two: list[str]
) -> None:
    old = account_of(certbot)
    Dying(certbot)("rollover", "--yes", before="mkdir accounts/")
    assert not is_accepted(certbot, old)

    shown = good(certbot.renew("--force-renewal", "--cert-name", OTHER)).output
    new = account_of(certbot)
    assert "after the CA had accepted the new key" in " ".join(shown.split())
    assert {certbot.renewal(name)["account"] for name in two} == {new.name}
    assert len(nameserver.values(NAME)) == 2
    told = ok(companion("check", "--all")).error
    assert "is being replaced since" in told

    ok(companion("rollover", "--yes"))
    assert account_of(certbot) == new
    assert len(nameserver.values(NAME)) == len(nameserver.values(OTHER_NAME)) == 1
    finished(certbot, old, two)


def test_if_it_dies_before_the_ca_is_told_all_goes_on_with_the_old_key(
    ca: TestCa, certbot: Certbot, companion: Companion, nameserver: Nameserver, one: list[str]
) -> None:
    old, records = account_of(certbot), nameserver.values(NAME)
    Dying(certbot)("rollover", "--yes", before="rollover.json", nth=2)
    (directory,) = begun(certbot)
    key = json.loads((directory / "account" / "private_key.json").read_text())
    good(certbot.renew("--force-renewal"))
    assert account_of(certbot) == old
    assert len({*nameserver.values(NAME)} - {*records}) == 1

    ok(companion("rollover", "--yes"))
    assert json.loads((account_of(certbot) / "private_key.json").read_text()) == key
    assert nameserver.values(NAME) == [ca.record_value(DOMAIN)]
    finished(certbot, old, one)


@pytest.mark.parametrize(("draft", "part"), [("00", 0), ("02", 0), ("02", 1), ("02", 2)])
def test_after_a_kill_at_any_change_renewals_work_and_the_next_run_finishes(
    request: pytest.FixtureRequest,
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    draft: str,
    part: int,
) -> None:
    ca.change(draft=draft)
    two = request.getfixturevalue("two")
    complete = Dying(certbot).changes("rollover", "--yes")
    # Directories that are there already are no moment of their own, nor is the very end.
    moments = [
        number
        for number, line in enumerate(complete, 1)
        if line not in ("mkdir dns-persist", "remove .certbot.lock")
    ]
    for number in moments[part::3]:
        old = account_of(certbot)
        died = Dying(certbot)("rollover", "--yes", nth=number)
        assert len(died) == number, died
        good(certbot.renew("--force-renewal", "--cert-name", two[number % 2]))
        audited = companion("audit", "--all")
        doubtful = "Only the CA at" in audited.error
        assert audited.returncode == (1 if doubtful else 0), (died, audited.output)
        ok(companion("rollover", "--yes"))
        assert account_of(certbot).name != old.name, died
        finished(certbot, old, two)


# A CA that does not do it, or does not say so.


def test_if_the_answer_is_lost_the_ca_is_asked_for_both_keys(
    ca: TestCa, certbot: Certbot, companion: Companion, one: list[str]
) -> None:
    old = account_of(certbot)
    ca.change(key_change="unanswered", refuse_first_nonces=True)
    ok(companion("rollover", "--yes"))
    assert [request.resource for request in ca.requests].count("keyChange") == 2
    finished(certbot, old, one)


def test_if_the_ca_cannot_be_asked_either_the_next_run_asks_it(
    ca: TestCa, certbot: Certbot, companion: Companion, one: list[str]
) -> None:
    old = account_of(certbot)
    ca.change(key_change="unanswered", fails_after_key_change=True)
    done = failed(companion("rollover", "--yes"))
    assert "The CA may have the new key, which is in" in done.error
    assert account_of(certbot) == old
    ca.change(key_change="done", fails_after_key_change=False)
    done = failed(companion("rollover", "--cancel", "--yes"))
    assert "The CA already has the new key" in done.error
    shown = ok(companion("rollover", "--yes")).out
    assert "is now finished: the CA has the new key." in shown
    finished(certbot, old, one)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("refused", "this CA changes no keys today. So the old key stays, and nothing was changed"),
        ("conflict", "another account has the new key. So the old key stays, and nothing was"),
        ("absent", "its directory has no keyChange (RFC 8555 section 7.3.5)"),
    ],
)
def test_if_the_ca_refuses_all_is_as_before(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    one: list[str],
    answer: Any,
    words: str,
) -> None:
    before, records = tree(certbot.config_dir), nameserver.values(NAME)
    ca.change(key_change=answer)
    done = failed(companion("rollover", "--yes"))
    assert words in done.error
    assert tree(certbot.config_dir) == before
    assert nameserver.values(NAME) == records
    assert begun(certbot) == []
    if answer != "absent":  # the key that the CA has heard of is kept, whatever it said
        assert len(list(former(certbot, "").glob("*/private_key.json"))) == 1
    ok(companion("check", "--all"))
    ca.change(key_change="done")
    ok(companion("rollover", "--yes"))


def test_without_the_new_records_the_key_stays_until_they_are_there_or_it_is_cancelled(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    one: list[str],
) -> None:
    before, records = tree(certbot.config_dir), nameserver.values(NAME)
    by_hand = ["--dns-persist-provider=manual", "--dns-persist-propagation-seconds=1"]
    done = failed(companion("rollover", "--yes", *by_hand))
    assert "The old key is still in use. Fix this, then run the same command again" in done.error
    assert tree(certbot.config_dir) == before
    (value,) = re.findall(r"Value:  (\S.*)", done.out)
    nameserver.zones.set_values(NAME, [*records, value])
    audited = companion("audit", "--all")
    assert audited.returncode == 0, audited.output

    done = companion("rollover", "--yes", "--account", "nonsense")
    assert done.returncode == 3, done.output
    assert "There is no account nonsense in" in done.error
    ok(companion("rollover", "--cancel", "--yes"))
    assert nameserver.values(NAME) == records
    assert begun(certbot) == []
    failed(companion("rollover", "--cancel", "--yes"))
    assert tree(certbot.config_dir) == before
    good(certbot.renew("--force-renewal"))


def test_what_the_ca_has_cannot_be_cancelled(
    certbot: Certbot, companion: Companion, one: list[str]
) -> None:
    old = account_of(certbot)
    Dying(certbot)("rollover", "--yes", before="mkdir accounts/")
    done = failed(companion("rollover", "--cancel", "--yes"))
    assert "The CA already has the new key" in done.error
    ok(companion("rollover", "--yes"))
    finished(certbot, old, one)


# Which account, and who is asked.


def test_of_several_accounts_one_must_be_chosen(
    ca: TestCa, certbot: Certbot, companion: Companion, two: list[str], tmp_path: Path
) -> None:
    old = account_of(certbot)
    elsewhere = Certbot(tmp_path / "elsewhere", ca.directory_url, ca.root_certificate)
    url = elsewhere.register()
    other = account_of(elsewhere)
    shutil.copytree(other, old.with_name(other.name))
    done = failed(companion("rollover", "--yes"))
    assert "There are several accounts in" in done.error
    assert f"--account {other.name} ({url} at " in done.error
    done = ok(companion("rollover", "--yes", "--account", url))
    assert "These certificates" not in done.out
    assert old.is_dir()
    assert {certbot.renewal(name)["account"] for name in two} == {old.name}
    ok(companion("rollover", "--yes", "--account", old.name))
    assert not old.exists()


def test_nothing_changes_without_consent(
    certbot: Certbot, companion: Companion, one: list[str]
) -> None:
    before = tree(certbot.config_dir)
    ok(companion("rollover", "--dry-run"))
    done = failed(companion("rollover"))
    assert "there is no terminal to ask for confirmation. Add --yes" in done.error
    with companion.at_terminal("rollover") as screen:
        screen.wait_for("Continue? [y/N]")
        screen.enter("n\n")
        assert screen.finish().returncode == 1
    assert tree(certbot.config_dir) == before
    assert begun(certbot) == []
    with companion.at_terminal("rollover") as screen:
        screen.wait_for("Continue? [y/N]")
        screen.enter("y\n")
        assert screen.finish().returncode == 0
    assert tree(certbot.config_dir) != before


def test_two_at_once_take_turns(certbot: Certbot, companion: Companion, one: list[str]) -> None:
    old = account_of(certbot)
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    companion.command("rollover", "--yes"),
                    env=certbot.env,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        for process in running:
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0, said
    assert len(list(former(certbot, "").iterdir())) == 2
    finished(certbot, old, one)


def test_a_configuration_file_that_names_the_account_is_named_and_not_edited(
    certbot: Certbot, companion: Companion, one: list[str]
) -> None:
    old = account_of(certbot)
    ini = Path(certbot.env["XDG_CONFIG_HOME"]) / "letsencrypt" / "cli.ini"
    ini.parent.mkdir(parents=True)
    ini.write_text(f"account = {old.name}\n")
    assert f"{ini} names the account by its old id" in ok(companion("rollover", "--dry-run")).out
    done = failed(companion("rollover", "--yes"))
    new = account_of(certbot)
    assert f"{ini} names the account by its old id, {old.name}: replace it with {new.name} now" in (
        done.error
    )
    assert ini.read_text() == f"account = {old.name}\n"
    ini.unlink()
    finished(certbot, old, one)


def test_a_renewal_file_that_cannot_be_read_stops_it_only_if_it_names_the_account(
    certbot: Certbot, companion: Companion, one: list[str]
) -> None:
    old = account_of(certbot)
    broken = certbot.config_dir / "renewal" / "broken.conf"
    broken.write_text(f"[renewalparams\naccount = {old.name}\n")
    done = failed(companion("rollover", "--yes"))
    assert f"{broken} cannot be used" in done.error
    assert account_of(certbot) == old
    broken.write_text("[renewalparams\n")
    ok(companion("rollover", "--yes"))
