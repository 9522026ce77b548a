"""Whatever is wrong with us: certificates that are not ours still renew, in the same run.

Every run of Certbot loads every plugin. So each test breaks something of ours for real, in a
virtual environment or a configuration directory of its own, and lets one ``certbot renew`` renew a
certificate of ours and one that the authenticator ``standalone`` got.

An environment without idna is none of ours to save: requests, hence Certbot, needs it to start.
"""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dns
import pytest
from conftest import StartPebble
from support.certbot import AGREE, Certbot, Result
from support.environments import OURS, Environment
from support.nameserver import Nameserver, serving
from support.zones import Key

from certbot_dns_persist.record import validation_domain_name

pytestmark = pytest.mark.long

DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
KEY = Key("test-key", "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzISE=")
BROKEN = "certbot-dns-persist cannot be used: a package that it needs is missing, too old or"


@dataclasses.dataclass(frozen=True)
class Site:
    """A machine with two certificates, ``ours`` and ``neighbour``, of two accounts."""

    certbot: Certbot
    nameserver: Nameserver

    def renew(self) -> Result:
        """Renew both; the neighbour has to succeed."""
        before = self.certbot.certificate("neighbour").serial
        result = self.certbot.renew("--force-renewal")
        assert self.certbot.certificate("neighbour").serial != before, result.output
        assert "Traceback" not in result.output
        return result

    def both_renew(self) -> str:
        before = self.certbot.certificate("ours").serial
        result = self.renew()
        assert result.returncode == 0, result.output
        assert self.certbot.certificate("ours").serial != before
        self.plugins_are_listed()
        return result.output

    def ours_fails(self, *words: str) -> None:
        """Renew; ours has to fail and to say why."""
        before = self.certbot.certificate("ours").serial
        result = self.renew()
        assert result.returncode == 1, result.output
        assert self.certbot.certificate("ours").serial == before
        flat = " ".join(result.output.split())
        assert "Failed to renew certificate ours with error" in flat
        for word in words:
            assert word in flat, result.output
        self.plugins_are_listed()

    def plugins_are_listed(self) -> None:
        """List all plugins, and let each prepare itself, as where the user may choose."""
        result = self.certbot.run("plugins")
        assert result.returncode == 0, result.output
        assert result.output.count("* dns-persist\n") == 1
        result = self.certbot.run("plugins", "--prepare")
        assert result.returncode == 0, result.output
        assert "* standalone\n" in result.output


@pytest.fixture(scope="module")
def nameserver() -> Iterator[Nameserver]:
    """``example.test``, where a web server is this machine."""
    with serving(DOMAIN, keys=[KEY], records="www A 127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
def issued(
    tmp_path_factory: pytest.TempPathFactory, nameserver: Nameserver, start_pebble: StartPebble
) -> Site:
    """A site as it was when all was well."""
    pebble = start_pebble(nameserver.endpoint)
    root = tmp_path_factory.mktemp("issued")
    certbot = Certbot(root, pebble.directory_url, pebble.ca_bundle)
    ours = Certbot(root / "second", pebble.directory_url, pebble.ca_bundle)
    ours.register()
    (account,) = ours.config_dir.glob("accounts/*/*/*")
    server = account.parent.relative_to(ours.config_dir)

    done = certbot.run(
        *("certonly", "--standalone", "--http-01-port", str(pebble.http_port), *AGREE),
        *("--cert-name", "neighbour", "-d", f"www.{DOMAIN}"),
    )
    assert done.returncode == 0, done.output
    shutil.copytree(account, certbot.config_dir / server / account.name)
    credentials = KEY.write_credentials(
        certbot.config_dir / "dns.ini", nameserver.address, nameserver.port
    )
    done = certbot.certonly(
        *("--dns-persist-provider=rfc2136", f"--dns-persist-credentials={credentials}"),
        *(f"--dns-persist-resolvers={nameserver.endpoint}", "--dns-persist-check=resolver"),
        *("--account", account.name, "--cert-name", "ours", "-d", DOMAIN),
    )
    assert done.returncode == 0, done.output
    return Site(certbot, nameserver)


@pytest.fixture
def site(tmp_path: Path, issued: Site) -> Site:
    """A copy of ``issued`` that may be broken."""
    (value,) = [entry["value"] for entry in issued.certbot.records()["records"]]
    issued.nameserver.zones.set_values(NAME, [value])
    root = tmp_path / "certbot"
    bundle = Path(issued.certbot.env["REQUESTS_CA_BUNDLE"])
    certbot = Certbot(root, "", bundle)
    shutil.copytree(issued.certbot.config_dir, certbot.config_dir, symlinks=True)
    for conf in certbot.config_dir.glob("renewal/*.conf"):
        before, after = str(issued.certbot.config_dir.parent), str(root)
        conf.write_text(conf.read_text().replace(before, after))
    return Site(certbot, issued.nameserver)


def without(site: Site, tmp_path: Path, *names: str) -> Environment:
    """Let the site's certbot be one without some packages."""
    environment = Environment(tmp_path / "venv", without=names)
    site.certbot.program = str(environment.certbot)
    return environment


def account_of(site: Site, cert_name: str) -> Path:
    """Return the directory of the account that a certificate is from."""
    name = site.certbot.renewal(cert_name)["account"]
    (path,) = site.certbot.config_dir.glob(f"accounts/*/*/{name}")
    return path


def test_without_dnspython_only_ours_fails(site: Site, tmp_path: Path) -> None:
    without(site, tmp_path, "dns", "dnspython")
    site.ours_fails(BROKEN, "No module named 'dns'")


def test_with_a_dnspython_that_lacks_a_part_only_ours_fails(site: Site, tmp_path: Path) -> None:
    without(site, tmp_path, "dns", "dnspython").copy_package(dns.__name__, but="message*")
    site.ours_fails(BROKEN, "dns.message")


def test_with_a_dnspython_that_cannot_run_here_only_ours_fails(site: Site, tmp_path: Path) -> None:
    source = "raise RuntimeError('made for another machine')"
    without(site, tmp_path, "dns", "dnspython").add_package("dns", source)
    site.ours_fails(BROKEN, "RuntimeError: made for another machine")


def test_without_zope_interface_a_record_that_is_there_serves(site: Site, tmp_path: Path) -> None:
    without(site, tmp_path, "zope", "zope_interface")
    site.both_renew()


@pytest.mark.parametrize("source", [None, "class Interface: pass"], ids=["none", "ancient"])
def test_without_zope_interface_a_missing_record_is_shown(
    site: Site, tmp_path: Path, source: str | None
) -> None:
    environment = without(site, tmp_path, "zope", "zope_interface")
    if source is not None:
        (environment.site / "zope" / "interface").mkdir(parents=True)
        (environment.site / "zope" / "interface" / "__init__.py").write_text(source)
    site.nameserver.zones.set_values(NAME, [])
    site.ours_fails("No DNS provider can be loaded", "zope", f"Name: {NAME}")


def test_without_rich_both_renew(site: Site, tmp_path: Path) -> None:
    without(site, tmp_path, "rich")
    site.both_renew()


def test_beside_a_second_copy_of_our_package_both_renew(site: Site, tmp_path: Path) -> None:
    first = Environment(tmp_path / "another")
    site.certbot.env["PYTHONPATH"] = str(first.site)
    without(site, tmp_path)
    site.both_renew()


def test_a_provider_that_cannot_be_imported_is_named_when_it_is_needed(
    site: Site, tmp_path: Path
) -> None:
    without(site, tmp_path).add_package(
        "acme_dns_provider",
        "raise RuntimeError('no licence')",
        "[certbot_dns_persist.providers]\nacmedns = acme_dns_provider:Provider\n",
    )
    conf = site.certbot.config_dir / "renewal" / "ours.conf"
    conf.write_text(conf.read_text().replace("= rfc2136", "= acmedns"))
    site.both_renew()
    site.nameserver.zones.set_values(NAME, [])
    site.ours_fails("acme-dns-provider 1.2.3", "RuntimeError: no licence", f"Name: {NAME}")


def test_credentials_that_are_gone_are_named_when_the_record_is_gone_too(site: Site) -> None:
    credentials = Path(site.certbot.renewal("ours")["dns_persist_credentials"])
    credentials.unlink()
    site.nameserver.zones.set_values(NAME, [])
    site.ours_fails(f"{credentials} does not exist", f"Name: {NAME}")


def with_bounds(directory: Path, certbot: Certbot) -> Path:
    """Write a program that runs Certbot as a root for whom the permissions of files hold."""
    program = directory / "certbot-with-bounds"
    bounds = "-dac_override,-dac_read_search"
    program.write_text(f'#!/bin/sh\nexec setpriv --bounding-set {bounds} {certbot.program} "$@"\n')
    program.chmod(0o700)
    return program


@pytest.mark.parametrize("damage", ["text", "directory", "parent is a file", "unreadable"])
def test_with_notes_of_ours_that_cannot_be_read_both_renew(
    site: Site, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = site.certbot.state_file
    if damage == "text":
        records.write_text("no database")
    elif damage == "directory":
        records.unlink()
        records.mkdir()
    elif damage == "parent is a file":
        shutil.rmtree(records.parent)
        records.parent.write_text("")
    else:
        if os.geteuid() == 0:
            monkeypatch.setattr(site.certbot, "program", str(with_bounds(tmp_path, site.certbot)))
        records.parent.chmod(0)
    try:
        assert "Our notes of DNS records in" in site.both_renew()
    finally:
        if damage == "unreadable":
            records.parent.chmod(0o700)


def test_with_a_log_of_changes_that_cannot_be_written_both_renew(site: Site) -> None:
    (site.certbot.logs_dir / "dns-persist-changes.jsonl").mkdir(parents=True)
    site.nameserver.zones.set_values(NAME, [])
    assert "could not be noted in" in site.both_renew()


@pytest.mark.parametrize("file", ["regr.json", "private_key.json"])
def test_with_a_damaged_account_of_ours_only_ours_fails(site: Site, file: str) -> None:
    path = account_of(site, "ours") / file
    path.chmod(0o600)
    path.write_text("{")
    site.ours_fails()


def test_beside_a_damaged_account_that_nobody_uses_both_renew(site: Site) -> None:
    stray = account_of(site, "ours").with_name("0" * 32)
    stray.mkdir()
    (stray / "private_key.json").write_text("{")
    site.both_renew()


def test_a_renewal_configuration_of_ours_that_cannot_be_parsed_stops_only_ours(site: Site) -> None:
    conf = site.certbot.config_dir / "renewal" / "ours.conf"
    conf.write_text("[renewalparams\n")
    result = site.renew()
    assert result.returncode == 1
    assert "ours.conf" in result.output
    site.plugins_are_listed()


def test_an_option_of_ours_that_cannot_be_used_stops_only_ours(site: Site) -> None:
    conf = site.certbot.config_dir / "renewal" / "ours.conf"
    conf.write_text(conf.read_text() + "dns_persist_ttl = soon\n")
    site.ours_fails("--dns-persist-ttl 'soon'")


def test_when_we_are_uninstalled_certbot_names_what_is_missing(site: Site, tmp_path: Path) -> None:
    without(site, tmp_path, OURS)
    before = site.certbot.certificate("ours").serial
    result = site.renew()
    assert result.returncode == 1
    assert site.certbot.certificate("ours").serial == before
    flat = " ".join(result.output.split())
    assert "Failed to renew certificate ours with error: " in flat
    assert "The requested dns-persist plugin does not appear to be installed" in flat
