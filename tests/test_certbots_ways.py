"""What Certbot does, we do: its preferences, its files, its own orders, and who else runs it."""

import dataclasses
import datetime
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.acme_ca import TestCa
from support.certbot import OTHER, Certbot, Result
from support.companion import Companion
from support.nameserver import Nameserver

from certbot_dns_persist.record import validation_domain_name

DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)


@pytest.fixture
def ca(nameserver: Nameserver) -> Iterator[TestCa]:
    """A CA that offers dns-01, too; it speaks -01, whose records can be told from the outside."""
    with TestCa(
        dns=(nameserver.address, nameserver.port),
        draft="01",
        challenges=["dns-01", "http-01", "dns-persist-01"],
    ) as running:
        yield running


@pytest.fixture
def certbot(tmp_path: Path, ca: TestCa) -> Certbot:
    return Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)


def ok(result: Result) -> Result:
    assert result.returncode == 0, result.output
    return result


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def refused(result: Result, *words: str) -> str:
    assert result.returncode == 1, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in flat(result), result.output
    return flat(result)


@dataclasses.dataclass(frozen=True)
class Runner:
    """How another program runs Certbot: its configuration file, and its command lines."""

    ini: str
    certonly: str
    renew: str
    name: str = DOMAIN
    """Of the lineage."""


#: The plugin is given by its name and a credentials file alone, as they do with any DNS plugin.
OURS = "--authenticator dns-persist --dns-persist-credentials {credentials}"

RUNNERS = {
    "Nginx Proxy Manager": Runner(
        ini="text = True\nnon-interactive = True\nkey-type = ecdsa\nelliptic-curve = secp384r1\n"
        "preferred-chain = ISRG Root X1\n",
        certonly=(
            "certonly --config {ini} --cert-name npm-1 --agree-tos --email a@example.test "
            f"--domains {DOMAIN},*.{DOMAIN} {OURS} --dns-persist-propagation-seconds 10"
        ),
        renew=(
            "renew --force-renewal --config {ini} --cert-name npm-1 --disable-hook-validation "
            "--no-random-sleep-on-renew"
        ),
        name="npm-1",
    ),
    "Nginx Proxy Manager, as for a certificate without DNS": Runner(
        ini="text = True\nnon-interactive = True\n",
        certonly=(
            "certonly --config {ini} --cert-name npm-1 --agree-tos --email a@example.test "
            f"--preferred-challenges dns,http --domains {DOMAIN} {OURS}"
        ),
        renew=(
            "renew --force-renewal --config {ini} --cert-name npm-1 --preferred-challenges "
            "dns,http --no-random-sleep-on-renew --disable-hook-validation"
        ),
        name="npm-1",
    ),
    "Home Assistant": Runner(
        ini="",
        certonly=(
            "certonly --non-interactive --keep-until-expiring --expand --email a@example.test "
            f"--agree-tos --key-type ecdsa --cert-name {DOMAIN} -d {DOMAIN} -d *.{DOMAIN} "
            f"--preferred-challenges dns {OURS} --dns-persist-propagation-seconds 60 "
            "--preferred-chain 'ISRG Root X1'"
        ),
        renew="renew --non-interactive --force-renewal --no-random-sleep-on-renew",
    ),
    "SWAG": Runner(
        ini=f"agree-tos=true\nmax-log-backups=0\nserver={{server}}\ndomains={DOMAIN},*.{DOMAIN}\n"
        "email=a@example.test\nno-eff-email=true\nregister-unsafely-without-email=false\n"
        "preferred-challenges=dns\nauthenticator=dns-persist\n"
        "dns-persist-credentials={credentials}\ndns-persist-propagation-seconds=30\n",
        certonly="certonly --config {ini} --non-interactive --renew-by-default",
        renew="renew --non-interactive --config {ini} --force-renewal --no-random-sleep-on-renew",
    ),
}


# End to end: what Certbot's own parser makes of the command lines is what is tested.
@pytest.mark.oldest_certbot
@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
def test_who_else_runs_certbot_gets_and_renews_certificates_through_our_record(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    nameserver_credentials: Path,
    reading: list[str],
    tmp_path: Path,
    runner: Runner,
) -> None:
    credentials = nameserver_credentials
    credentials.write_text(f"{credentials.read_text()}\ndns_persist_provider = rfc2136\n")
    ini = tmp_path / "cli.ini"
    filled = {"ini": ini, "credentials": credentials, "server": ca.directory_url}
    ini.write_text(runner.ini.format_map(filled))
    if "server" in runner.ini:
        certbot = Certbot(certbot.config_dir.parent, "", ca.root_certificate)

    def run(line: str, *more: str) -> None:
        ok(certbot.run(*shlex.split(line.format_map(filled)), *more))

    run(runner.certonly, *reading)
    (record,) = nameserver.values(NAME)
    serial, updates = certbot.certificate(runner.name).serial, len(nameserver.updates)
    run(runner.renew)
    assert certbot.certificate(runner.name).serial != serial
    assert {each.type for each in ca.validations} == {"dns-persist-01"}
    assert nameserver.values(NAME) == [record]
    assert len(nameserver.updates) == updates
    assert "dns-persist-01" not in certbot.renewal(runner.name).get("pref_challs", "")


@pytest.mark.long
@pytest.mark.oldest_certbot  # which the order of challenges comes from
def test_of_two_challenges_of_dns_ours_is_used_whatever_is_preferred_and_saved(
    ca: TestCa, certbot: Certbot, nameserver: Nameserver, writing: list[str]
) -> None:
    fallback = ["--dns-persist-fallback", "dns-01"]
    preferred = ["--preferred-challenges", "dns-01,http-01"]
    ok(certbot.certonly(*writing, *fallback, *preferred, "-d", DOMAIN))
    assert certbot.renewal(DOMAIN)["pref_challs"] == "dns-01, http-01"
    ok(certbot.renew("--force-renewal"))
    assert certbot.renewal(DOMAIN)["pref_challs"] == "dns-01, http-01"
    assert [each.type for each in ca.validations] == ["dns-persist-01"] * 2
    ca.change(challenges=["dns-01", "http-01"])
    ok(certbot.renew("--force-renewal"))
    assert ca.validations[-1].type == "dns-01"
    ca.change(challenges=["http-01"])
    refused(certbot.renew("--force-renewal"), f"does not offer dns-persist-01 for {DOMAIN}")

    saved = certbot.config_dir / "renewal" / f"{DOMAIN}.conf"
    saved.write_text(saved.read_text().replace("dns-01, http-01", "dns-persist-01,"))
    ca.change(challenges=["dns-01", "http-01", "dns-persist-01"])
    ok(certbot.renew("--force-renewal"))
    assert "dns-persist-01" not in certbot.renewal(DOMAIN).get("pref_challs", "")


@pytest.mark.long
@pytest.mark.oldest_certbot
def test_a_preference_that_excludes_dns_is_refused_before_any_order(
    ca: TestCa, certbot: Certbot, reading: list[str]
) -> None:
    said = refused(
        certbot.certonly(*reading, "--preferred-challenges", "http", "-d", DOMAIN),
        "The preferred challenges (http-01) keep Certbot from using dns-persist-01. Give "
        "--preferred-challenges dns",
    )
    assert "is not working" not in said
    assert not ca.accounts


@pytest.mark.long
@pytest.mark.oldest_certbot
def test_at_draft_01_a_record_with_the_account_url_serves_as_well_as_the_stated_one(
    ca: TestCa,
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    reading: list[str],
    writing: list[str],
) -> None:
    ca.change(alternative_account_uri=True)
    plain = f"ca.example; accounturi={certbot.register()}"
    nameserver.zones.set_values(NAME, [plain])
    server = ["--server", ca.directory_url]
    assert companion("check", "-d", DOMAIN, *server, *reading).returncode == 0
    ok(certbot.certonly(*reading, "-d", DOMAIN))
    assert ca.validations[-1].detail == plain
    for command in ("check", "audit"):
        said = companion(command, "--all")
        assert said.returncode == 0, said.out
        assert "authorises" in said.out

    # What is published is what the CA states; that supersedes the other.
    ok(certbot.certonly(*writing, "--expand", "-d", f"{DOMAIN},*.{DOMAIN}"))
    (stated,) = nameserver.values(NAME)
    assert stated.endswith("; policy=wildcard")
    assert not stated.startswith(plain)
    assert ca.validations[-1].detail == stated


@pytest.mark.long
@pytest.mark.oldest_certbot
def test_identities_of_the_ca_that_cannot_be_compared_do_not_stop_an_order(
    ca: TestCa, certbot: Certbot, writing: list[str]
) -> None:
    ca.change(draft="02", caa_identities=("other.example", "bücher.example"))
    done = ok(certbot.certonly(*writing, "-d", DOMAIN))
    assert "are not compared with the caaIdentities" in done.log
    assert "malformed" not in done.output


SOON = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=20)
UNTIL = SOON.replace(microsecond=0).isoformat().replace("+00:00", "Z")


@pytest.mark.long
@pytest.mark.oldest_certbot
def test_an_end_that_the_user_asks_for_shortens_what_lasts_longer(
    certbot: Certbot,
    companion: Companion,
    nameserver: Nameserver,
    reading: list[str],
    writing: list[str],
) -> None:
    endless = f"ca.example; accounturi={certbot.register()}"
    other = "other.example; accounturi=https://other.example/1"
    nameserver.zones.set_values(NAME, [endless, other])
    asked = ["-d", DOMAIN, "--dns-persist-until", UNTIL]

    said = flat(ok(certbot.certonly(*reading, *asked)))
    assert f"authorises {DOMAIN} never expires, later than --dns-persist-until ({UNTIL})" in said
    assert f"please do it: {NAME} TXT (the record lasts longer than is asked for)" in said
    assert nameserver.values(NAME) == [endless, other]

    said = flat(ok(certbot.certonly(*writing, *asked, "--force-renewal")))
    assert "never expires, later than" not in said
    assert nameserver.values(NAME) == [f"{endless}; persistUntil={int(SOON.timestamp())}", other]
    assert f"{DOMAIN} expires at {UNTIL} (persistUntil), before Certbot renews" in said

    nameserver.zones.set_values(NAME, [endless, other])
    server = ["--server", certbot.server]
    published = companion("publish", "--yes", *asked, *server, *writing)
    assert published.returncode == 0, published.output
    assert nameserver.values(NAME) == [f"{endless}; persistUntil={int(SOON.timestamp())}", other]


WITH_CAS = """\
#!{python}
import sys
from certbot._internal import constants
constants.CLI_DEFAULTS["server"], constants.STAGING_URI = {production!r}, {staging!r}
from certbot.main import main
sys.exit(main())
"""


@pytest.fixture
def staging(nameserver: Nameserver) -> Iterator[TestCa]:
    """The other CA of ``trying``."""
    with TestCa(
        dns=(nameserver.address, nameserver.port), issuer_domain_names=("staging.example",)
    ) as running:
        yield running


@pytest.fixture
def trying(certbot: Certbot, ca: TestCa, staging: TestCa, tmp_path: Path) -> Certbot:
    """Certbot whose default CA is ``ca``, and which tries things at ``staging``."""
    python = Path(certbot.program).read_text().partition("\n")[0].removeprefix("#!")
    program = tmp_path / "certbot-with-cas"
    servers = {"production": ca.directory_url, "staging": staging.directory_url}
    program.write_text(WITH_CAS.format(python=python, **servers))
    program.chmod(0o755)
    bundle = tmp_path / "both.pem"
    both = (ca.root_certificate, staging.root_certificate)
    bundle.write_text("".join(path.read_text() for path in both))
    return Certbot(certbot.config_dir.parent, "", bundle, program=str(program))


# End to end: which CA and account Certbot uses for its trial only shows in an order.
@pytest.mark.long
@pytest.mark.oldest_certbot
@pytest.mark.parametrize("draft", ["01", "02"])
def test_reconfigure_leaves_no_record_of_the_ca_where_it_tries(
    ca: TestCa,
    staging: TestCa,
    trying: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    nameserver_credentials: Path,
    draft: str,
) -> None:
    if "reconfigure" not in trying.run("--help", "commands").output:
        pytest.skip("this Certbot has no reconfigure")
    ca.change(draft=draft)
    staging.change(draft=draft)
    ok(trying.certonly(*writing, "-d", DOMAIN))
    production = nameserver.values(NAME)
    reconfigure = ["reconfigure", "--cert-name", DOMAIN]
    ok(trying.run(*reconfigure, "--deploy-hook", "true"))
    assert nameserver.values(NAME) == production
    assert trying.renewal(DOMAIN)["renew_hook"] == "true"
    if not staging.validations:
        pytest.skip("this Certbot tries it at the certificate's own CA")
    assert staging.validations[-1].outcome == "valid"
    assert staging.validations[-1].detail != production[0]
    assert [line["action"] for line in trying.journal()] == ["add", "add", "remove"]

    nameserver_credentials.unlink()
    refused(
        trying.run(*reconfigure, "--deploy-hook", "false"),
        f"This was only a trial at {staging.directory_url}",
        f"Renewals are not affected: the record of {DOMAIN} at {ca.directory_url} is there",
    )
    assert nameserver.values(NAME) == production


class Beside(Companion):
    """The command in the environment of the Certbot that is tested."""

    def command(self, command: str, *arguments: str | Path) -> list[str]:
        line = super().command(command, *arguments)
        if OTHER:
            line[0] = str(Path(OTHER).with_name("certbot-dns-persist"))
        return line


# End to end: Certbot's cli.ini, its accounts and its renewals, and what we make of all of them.
@pytest.mark.long
@pytest.mark.oldest_certbot
def test_cli_ini_is_followed_and_an_account_that_certbot_would_ignore_is_told(
    ca: TestCa,
    certbot: Certbot,
    nameserver: Nameserver,
    writing: list[str],
    tmp_path: Path,
) -> None:
    # Certbot looks for the file when it is imported, which a fork of it would not do again.
    anew = {"PYTHON_AT_START": "1"}
    timer = Certbot(certbot.config_dir.parent, "", ca.root_certificate, env=anew)
    companion = Beside(timer)
    ini = Path(certbot.env["XDG_CONFIG_HOME"]) / "letsencrypt" / "cli.ini"
    ini.parent.mkdir(parents=True)
    options = [option.removeprefix("--").replace("=", " = ", 1) for option in writing]
    ini.write_text("\n".join([f"server = {ca.directory_url}", *options, ""]))
    url = timer.register()
    published = companion("publish", "-d", DOMAIN, "--yes")
    assert published.returncode == 0, published.output
    assert nameserver.values(NAME) == [f"ca.example; accounturi={url}"]
    updates = len(nameserver.updates)
    ok(timer.certonly("-d", DOMAIN))
    assert len(nameserver.updates) == updates
    checked = companion("check", "--all")
    assert checked.returncode == 0, checked.output

    elsewhere = Certbot(tmp_path / "elsewhere", ca.directory_url, ca.root_certificate)
    new = elsewhere.register()
    (account,) = elsewhere.config_dir.glob("accounts/*/*/*")
    shutil.copytree(account, certbot.config_dir / account.relative_to(elsewhere.config_dir))
    checked = companion("check", "--all")
    assert checked.returncode == 2, checked.output
    assert f"{ini} sets the server, so Certbot ignores the account" in checked.error
    said = refused(timer.renew("--force-renewal"), "Certbot cannot ask which one to use")
    assert "write account = ID beside server there" in said
    replacing = ["--all", "--account", account.name, "--yes"]
    rotated = companion("rotate", *replacing)
    assert rotated.returncode == 1, rotated.output
    assert f"Certbot would not renew with the account {account.name}" in rotated.error
    assert f"write account = {account.name} there" in " ".join(rotated.error.split())
    assert nameserver.values(NAME) == [f"ca.example; accounturi={url}"]

    published = companion("publish", *replacing)
    assert published.returncode == 0, published.output
    ini.write_text(f"{ini.read_text()}account = {account.name}\n")
    rotated = companion("rotate", *replacing, "--no-wait")
    assert rotated.returncode == 0, rotated.output
    assert nameserver.values(NAME) == [f"ca.example; accounturi={new}"]
    ok(timer.renew("--force-renewal"))
    checked = companion("check", "--all")
    assert checked.returncode == 0, checked.output
