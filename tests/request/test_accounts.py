"""Certbot's account files."""

import json
from pathlib import Path

import josepy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certbot_dns_persist.account import Account, thumbprint
from certbot_dns_persist.errors import AccountError
from certbot_dns_persist.request.accounts import (
    account_of_key,
    accounts_directory,
    closed_directory,
    find_key,
    read_account,
    read_accounts,
)

SERVER = "https://ca.example:8443/acme/directory"
URL = "https://ca.example/acct/123"
KEY, OTHER_KEY = (josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1())) for _ in range(2))


def keep(directory: Path, url: str = URL, key: josepy.JWK = KEY) -> None:
    """Keep an account in ``directory`` as Certbot does."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "regr.json").write_text(json.dumps({"body": {}, "uri": url}))
    (directory / "private_key.json").write_text(key.json_dumps())


def test_an_account_is_read_from_certbots_files(tmp_path: Path) -> None:
    keep(tmp_path)
    assert read_account(tmp_path) == Account(URL, thumbprint(KEY))


def test_accounts_are_kept_by_the_host_and_path_of_the_ca(tmp_path: Path) -> None:
    directory = accounts_directory(tmp_path, SERVER)
    assert directory == tmp_path / "accounts" / "ca.example:8443" / "acme" / "directory"


def test_every_account_is_read_by_the_name_of_its_directory(tmp_path: Path) -> None:
    keep(tmp_path / "b")
    keep(tmp_path / "a", f"{URL}4", OTHER_KEY)
    (tmp_path / "note.txt").touch()
    assert list(read_accounts(tmp_path).items()) == [
        ("a", Account(f"{URL}4", thumbprint(OTHER_KEY))),
        ("b", Account(URL, thumbprint(KEY))),
    ]


def test_the_private_key_is_found_by_the_url_of_its_account(tmp_path: Path) -> None:
    keep(accounts_directory(tmp_path, SERVER) / "b")
    keep(accounts_directory(tmp_path, SERVER) / "a", f"{URL}4", OTHER_KEY)
    assert find_key(tmp_path, SERVER, URL) == KEY
    assert find_key(tmp_path, SERVER, f"{URL}4") == OTHER_KEY


def test_an_order_uses_the_account_that_has_its_key_whatever_its_directory_is_called(
    tmp_path: Path,
) -> None:
    here, staging = accounts_directory(tmp_path, SERVER), "https://staging-v2.example/directory"
    keep(here / "a")
    (here / "damaged").mkdir()
    (here / "damaged" / "regr.json").touch()
    found = Account(URL, thumbprint(KEY)), SERVER
    assert account_of_key(tmp_path, SERVER, "a", KEY) == found
    assert account_of_key(tmp_path, SERVER, "gone", KEY) == found
    assert account_of_key(tmp_path, SERVER, "damaged", KEY) == found
    assert account_of_key(tmp_path, staging, "a", KEY) == found
    # Certbot links a CA's new name to its old one.
    old = accounts_directory(tmp_path, "https://staging.example/directory")
    keep(old / "b", f"{URL}4", OTHER_KEY)
    (tmp_path / "accounts" / "staging-v2.example").mkdir()
    (tmp_path / "accounts" / "staging-v2.example" / "directory").symlink_to(old)
    other = Account(f"{URL}4", thumbprint(OTHER_KEY)), staging
    assert account_of_key(tmp_path, SERVER, "a", OTHER_KEY) == other
    stranger = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    assert account_of_key(tmp_path, SERVER, "a", stranger) == found
    with pytest.raises(AccountError, match="gone"):
        account_of_key(tmp_path, SERVER, "gone", stranger)


def test_before_the_first_account_there_is_none_and_nothing_is_closed(tmp_path: Path) -> None:
    assert read_accounts(tmp_path / "accounts") == {}
    assert closed_directory(tmp_path) is None
    (tmp_path / "accounts").mkdir()
    assert closed_directory(tmp_path) is None


@pytest.mark.parametrize("missing", ["regr.json", "private_key.json"])
def test_a_missing_account_file_is_named(tmp_path: Path, missing: str) -> None:
    keep(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(AccountError, match=f"account file .*/{missing} cannot be read: No such"):
        read_account(tmp_path)


def test_json_that_nests_too_deep_is_damage(tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "regr.json").write_text("[" * 100_000)
    with pytest.raises(AccountError, match="is damaged"):
        read_account(tmp_path)


@pytest.mark.parametrize(
    "key",
    ["{}", '{"kty": "none"}', '{"kty": "EC", "crv": "P-256", "x": "", "y": ""}', "[1]", "null"],
)
def test_a_damaged_key_is_named(tmp_path: Path, key: str) -> None:
    keep(tmp_path)
    (tmp_path / "private_key.json").write_text(key)
    with pytest.raises(AccountError, match=r"private_key\.json is damaged"):
        read_account(tmp_path)


@pytest.mark.parametrize("damage", ["", "{}", "[]", "null", '{"uri": 1}', "\xff"])
def test_damaged_account_files_are_named_and_their_content_is_not_shown(
    tmp_path: Path, damage: str
) -> None:
    (tmp_path / "regr.json").write_text(damage, encoding="latin-1")
    (tmp_path / "private_key.json").write_text('{"kty": "RSA", "d": "hush"}')
    with pytest.raises(AccountError, match="Restore the directory from a backup") as error:
        read_account(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "hush" not in str(error.value)
