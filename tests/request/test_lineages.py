"""Certbot's renewal configurations, read as Certbot reads them back."""

from pathlib import Path

import pytest
from support.pebble import make_certificate

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.lineages import (
    Lineage,
    change_lineage,
    our_lineages,
    read_lineage,
)
from certbot_dns_persist.request.preset import Preset
from certbot_dns_persist.request.renewal import lineage_names

CONFIGURATION = """\
# renew_before_expiry = 30 days
version = 5.1.0
cert = {certificate}
[renewalparams]
account = 0123456789abcdef
authenticator = dns-persist
server = https://ca.example/directory
dns_persist_resolvers = 192.0.2.1, "[2001:db8::1]:53"
dns_persist_shared = True
dns_persist_until = None
dns_persist_script = /usr/bin/hook --zone "ü %(x)s"
dns_cloudflare_credentials = /root/cf.ini
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(tmp_path / "ca.pem", certificate, key)  # for localhost
    path = tmp_path / "renewal" / "name.conf"
    path.parent.mkdir()
    path.write_text(CONFIGURATION.format(certificate=certificate), encoding="utf-8")
    return path


def test_a_lineage_has_its_names_its_account_and_our_options(path: Path, tmp_path: Path) -> None:
    assert read_lineage(tmp_path, "name") == Lineage(
        name="name",
        path=path,
        authenticator="dns-persist",
        domains=("localhost",),
        server="https://ca.example/directory",
        account="0123456789abcdef",
        options={
            "resolvers": "192.0.2.1,[2001:db8::1]:53",
            "shared": True,
            "script": '/usr/bin/hook --zone "ü %(x)s"',
        },
        saved={
            "server": "https://ca.example/directory",
            "account": "0123456789abcdef",
            "resolvers": "192.0.2.1,[2001:db8::1]:53",
            "shared": True,
            "script": '/usr/bin/hook --zone "ü %(x)s"',
        },
    )


def test_what_certbots_own_file_sets_comes_before_what_is_saved(path: Path, tmp_path: Path) -> None:
    saved = read_lineage(tmp_path, "name")
    values = {"server": "https://other.example/dir", "account": None, "dns_persist_shared": False}
    lineage = read_lineage(tmp_path, "name", Preset(values))
    assert (lineage.server, lineage.account) == ("https://other.example/dir", "")
    assert lineage.options == {**saved.options, "shared": False}
    assert lineage.saved == saved.saved
    (theirs, _) = our_lineages(tmp_path, Preset({"authenticator": "webroot"}))
    assert theirs == []
    path.write_text(path.read_text().replace("= dns-persist", "= webroot"))
    ours = read_lineage(tmp_path, "name", Preset({"authenticator": "dns-persist"}))
    assert ours.domains == ("localhost",)


def test_another_authenticators_certificate_is_not_read(path: Path, tmp_path: Path) -> None:
    path.write_text(path.read_text().replace("= dns-persist", "= webroot"))
    (tmp_path / "cert.pem").unlink()
    lineage = read_lineage(tmp_path, "name")
    assert (lineage.authenticator, lineage.domains) == ("webroot", ())


def test_a_name_of_no_lineage_is_told_with_those_that_there_are(path: Path, tmp_path: Path) -> None:
    (path.parent / "README").touch()
    path.with_name("other.conf").touch()
    assert lineage_names(tmp_path) == ["name", "other"]
    with pytest.raises(ConfigurationError, match=r"No such file.* are: name, other\."):
        read_lineage(tmp_path, "nonsense")


def test_where_certbot_has_not_been_there_are_none(tmp_path: Path) -> None:
    assert lineage_names(tmp_path / "nothing") == []


def test_only_what_is_changed_is_changed_and_the_file_keeps_its_mode(
    path: Path, tmp_path: Path
) -> None:
    path.chmod(0o640)
    lineage = read_lineage(tmp_path, "name")
    change_lineage(lineage, {"account": "fedcba9876543210", "valid_for": "90"})
    after = read_lineage(tmp_path, "name")
    assert after.account == "fedcba9876543210"
    assert after.options == {**lineage.options, "valid_for": "90"}
    others = {"# renew_before_expiry = 30 days", "dns_cloudflare_credentials = /root/cf.ini"}
    assert others < set(path.read_text(encoding="utf-8").splitlines())
    assert (path.stat().st_mode & 0o777, [*path.parent.iterdir()]) == (0o640, [path])


def test_a_configuration_that_is_a_link_is_changed_where_it_leads(
    path: Path, tmp_path: Path
) -> None:
    kept = path.rename(tmp_path / "kept elsewhere")
    path.symlink_to(kept)
    change_lineage(read_lineage(tmp_path, "name"), {"account": "fedcba9876543210"})
    assert path.is_symlink()
    assert "account = fedcba9876543210" in kept.read_text()


def test_a_configuration_that_cannot_be_changed_is_named(path: Path, tmp_path: Path) -> None:
    lineage = read_lineage(tmp_path, "name")
    path.write_text(CONFIGURATION.replace("[renewalparams]", ""))
    before = path.read_text()
    with pytest.raises(ConfigurationError, match=rf"{path} cannot be changed"):
        change_lineage(lineage, {"account": "fedcba9876543210"})
    assert path.read_text() == before
