"""Renewal configurations, changed and put back."""

from pathlib import Path

import pytest

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request import wrapped
from certbot_dns_persist.request.moving import changes_of
from certbot_dns_persist.request.renewal import (
    drop_kept,
    keep,
    kept,
    kept_names,
    kept_path,
    read_renewal,
    replace,
    rewritten,
    undone,
)

BEFORE = """\
# renew_before_expiry = 30 days
version = 5.1.0
cert = /etc/letsencrypt/live/name/cert.pem

# Options used in the renewal process
[renewalparams]
account   =   0123456789abcdef
authenticator = webroot
renew_hook = '''echo "it's %(x)s" # é'''
server = https://ca.example/directory
pref_challs = http-01,
installer = None
webroot_path = /var/www,
[[webroot_map]]
example.com = /var/www
www.example.com = /var/www

[acme_renewal_info]
ari_retry_after = 2026-12-01T00:00:00
"""


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    path = tmp_path / "renewal" / "name.conf"
    path.parent.mkdir()
    path.write_text(BEFORE, encoding="utf-8")
    return tmp_path


def after(config_dir: Path) -> bytes:
    renewal = read_renewal(config_dir, "name")
    options = {"provider": "rfc2136", "credentials": "/root/a, b.ini"}
    return rewritten(renewal.octets, changes_of(renewal, options))


def test_a_move_changes_its_own_keys_alone(config_dir: Path) -> None:
    assert after(config_dir).decode().splitlines()[6:] == [
        "account = 0123456789abcdef",
        "authenticator = dns-persist",
        "renew_hook = '''echo \"it's %(x)s\" # é'''",
        "server = https://ca.example/directory",
        "pref_challs = dns-persist-01, dns-01, http-01",
        "installer = None",
        "dns_persist_provider = rfc2136",
        'dns_persist_credentials = "/root/a, b.ini"',
        "",
        "[acme_renewal_info]",
        "ari_retry_after = 2026-12-01T00:00:00",
    ]


def test_what_nobody_else_has_changed_comes_back_to_the_byte(config_dir: Path) -> None:
    assert undone(BEFORE.encode(), after(config_dir)) == BEFORE.encode()
    # Certbot writes it again as it writes it, and a person changes an option of ours.
    again = rewritten(after(config_dir), {"dns_persist_ttl": "60", "dns_persist_provider": None})
    assert undone(BEFORE.encode(), again) == BEFORE.encode()


def test_what_somebody_else_has_changed_stays(config_dir: Path) -> None:
    now = rewritten(after(config_dir), {"renew_hook": "other", "key_type": "rsa", "account": None})
    now = now.replace(b"version = 5.1.0", b"version = 5.8.0")
    changed = {"renew_hook": "other", "key_type": "rsa", "account": None}
    wanted = rewritten(BEFORE.encode().replace(b"5.1.0", b"5.8.0"), changed)
    back = undone(BEFORE.encode(), now)
    assert sorted(back.splitlines()) == sorted(wanted.splitlines())


def test_what_is_kept_is_for_its_owner_alone(config_dir: Path) -> None:
    keep(config_dir, read_renewal(config_dir, "name"))
    path = kept_path(config_dir, "name")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert kept(config_dir, "name").octets == BEFORE.encode()
    assert kept_names(config_dir) == ["name"]
    drop_kept(config_dir, "name")
    with pytest.raises(ConfigurationError, match="it was not moved by certbot-dns-persist migrate"):
        kept(config_dir, "name")


def test_nothing_is_kept_or_put_back_where_others_may_write(config_dir: Path) -> None:
    renewal = read_renewal(config_dir, "name")
    keep(config_dir, renewal)
    place = kept_path(config_dir, "name").parent
    place.chmod(0o777)
    with pytest.raises(ConfigurationError, match=rf"{place} may be written by everybody"):
        keep(config_dir, renewal)
    with pytest.raises(ConfigurationError, match=rf"chmod o-w {place}"):
        kept(config_dir, "name")


def test_a_file_that_cannot_be_replaced_is_as_it_was(config_dir: Path) -> None:
    path = config_dir / "renewal" / "name.conf"

    def fails(octets: bytes) -> bytes:
        raise KeyError("renewalparams")

    with pytest.raises(ConfigurationError, match=f"{path} cannot be changed"):
        replace(path, fails)
    assert path.read_text() == BEFORE
    assert [*path.parent.iterdir()] == [path]


def test_equal_options_share_a_credentials_file_which_goes_when_nobody_names_it(
    config_dir: Path,
) -> None:
    keys = {"dns_persist_plugin_project": "a, 'b' # c", "dns_persist_plugin_x": "1"}
    first = wrapped.write(config_dir, "dns-google", keys)
    assert wrapped.write(config_dir, "dns-google", dict(reversed(keys.items()))) == first
    assert wrapped.write(config_dir, "dns-google", {**keys, "dns_persist_plugin_x": "2"}) != first
    assert first.stat().st_mode & 0o777 == 0o600
    renewal = read_renewal(config_dir, "name")
    ours = {"authenticator": "dns-persist", "dns_persist_credentials": str(first)}
    path = renewal.path
    path.write_bytes(rewritten(renewal.octets, ours))
    wrapped.tidy(config_dir, [first])
    assert first.exists()  # its certificate cannot be read, so it may name the file
    path.write_text(BEFORE)
    elsewhere = config_dir / "theirs.ini"
    elsewhere.touch()
    wrapped.tidy(config_dir, [first, elsewhere])
    assert (first.exists(), elsewhere.exists()) == (False, True)
