"""Certbot's account files."""

import json
from pathlib import Path

import josepy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certbot_dns_persist.account import Account, thumbprint
from certbot_dns_persist.errors import AccountError
from certbot_dns_persist.request.accounts import read_account

URL = "https://ca.example/acct/123"


def test_an_account_is_read_from_certbots_files(tmp_path: Path) -> None:
    key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "regr.json").write_text(json.dumps({"body": {}, "uri": URL}))
    (tmp_path / "private_key.json").write_text(key.json_dumps())
    assert read_account(tmp_path) == Account(URL, thumbprint(key))


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
