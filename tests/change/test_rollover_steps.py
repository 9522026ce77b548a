"""The steps of an account key rollover, on Certbot's files alone: keys, links, owners."""

import argparse
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.jwk import JWK, JWKEC, JWKRSA
from support.keys import rsa_key

from certbot_dns_persist.change import rollover
from certbot_dns_persist.errors import AccountError, NoSuchAccount
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.request import rollovers
from certbot_dns_persist.request.accounts import (
    account_id,
    choose_account,
    kept_accounts,
    read_accounts,
    read_key,
)
from certbot_dns_persist.request.rollovers import sweep

OLDER, NEWER = "acme-v01.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org/directory"
SERVER = f"https://{NEWER}"
URL = "https://ca.example/acct/1"


def add_account(config_dir: Path, server: str = NEWER, url: str = URL) -> Path:
    """Write an account as Certbot does; return its directory."""
    key = JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    directory = config_dir / "accounts" / server / account_id(key)
    directory.mkdir(parents=True)
    (directory / "regr.json").write_text(json.dumps({"body": {}, "uri": url}))
    (directory / "meta.json").write_text('{"creation_host": "here"}')
    (directory / "private_key.json").write_text(key.json_dumps())
    (directory / "private_key.json").chmod(0o400)
    return directory


def roll_over(config_dir: Path) -> str:
    """Do all but what needs the CA; return the new id."""
    kept = choose_account(config_dir, None, None)
    key = rollover.make_key(read_key(config_dir / "accounts" / kept.home))
    begun = rollover.begin(config_dir, kept, SERVER, key)
    rollover.switch(config_dir, begun, Journal(str(config_dir), str(config_dir)))
    rollover.end(begun)
    return account_id(key)


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.mark.parametrize(
    ("make_old", "kind"),
    [
        (lambda: JWKRSA(key=rsa_key(2048)), 2048),
        (lambda: JWKRSA(key=rsa_key(3072)), 3072),
        (lambda: JWKRSA(key=rsa_key(1024)), 2048),
        (lambda: JWKEC(key=ec.generate_private_key(ec.SECP256R1())), 256),
        (lambda: JWKEC(key=ec.generate_private_key(ec.SECP384R1())), 384),
    ],
)
def test_the_new_key_is_of_the_old_ones_type_and_size_or_what_cas_want_at_least(
    make_old: Callable[[], JWK], kind: int
) -> None:
    old = make_old()
    new = rollover.make_key(old)
    assert (new.typ, new.key.key_size) == (old.typ, kind)
    assert new != old
    assert JWK.json_loads(new.json_dumps()) == new


def test_certbots_id_of_an_account_is_what_certbot_computes(config_dir: Path) -> None:
    from acme import messages
    from certbot._internal.account import Account

    key = read_key(add_account(config_dir))
    regr = messages.RegistrationResource(body=messages.Registration(), uri=URL)
    assert account_id(key) == Account(regr, key).id


def test_the_directories_of_a_newer_server_that_link_to_an_older_ones_follow(
    config_dir: Path,
) -> None:
    old = add_account(config_dir, OLDER)
    newer = config_dir / "accounts" / NEWER
    newer.parent.mkdir(parents=True)
    newer.symlink_to(old.parent)  # as Certbot links
    (kept,) = kept_accounts(config_dir)
    assert (kept.home, kept.links) == (f"{OLDER}/{old.name}", ())
    assert kept.servers == (NEWER, OLDER)

    new = roll_over(config_dir)
    for server in (OLDER, NEWER):
        assert [*read_accounts(config_dir / "accounts" / server)] == [new]


def test_a_link_to_one_account_of_an_older_server_follows(config_dir: Path) -> None:
    old = add_account(config_dir, OLDER)
    link = config_dir / "accounts" / NEWER / old.name
    link.parent.mkdir(parents=True)
    link.symlink_to(old)
    other = add_account(config_dir, NEWER, "https://ca.example/acct/2")

    kept = choose_account(config_dir, None, URL)
    key = rollover.make_key(read_key(old))
    begun = rollover.begin(config_dir, kept, SERVER, key)
    for _ in range(2):  # also again, after an interruption
        rollover.switch(config_dir, begun, Journal(str(config_dir), str(config_dir)))
    assert not old.exists()
    assert not link.is_symlink()
    assert [*read_accounts(old.parent)] == [account_id(key)]
    assert sorted(read_accounts(link.parent)) == sorted([account_id(key), other.name])
    assert link.with_name(account_id(key)).resolve() == old.with_name(account_id(key))


def test_links_lead_to_the_account_if_the_directory_is_given_relative_to_where_we_are(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = add_account(config_dir, OLDER)
    link = config_dir / "accounts" / NEWER / old.name
    link.parent.mkdir(parents=True)
    link.symlink_to(old)
    monkeypatch.chdir(config_dir.parent)
    new = roll_over(Path(config_dir.name))
    assert [*read_accounts(link.parent)] == [new]


def test_what_certbot_notes_of_the_account_after_the_switch_stays(config_dir: Path) -> None:
    old = add_account(config_dir)
    kept = choose_account(config_dir, None, None)
    key = rollover.make_key(read_key(old))
    begun = rollover.begin(config_dir, kept, SERVER, key)
    rollovers.note_sent(begun)
    journal = Journal(str(config_dir), str(config_dir))
    rollover.switch(config_dir, begun, journal)
    meta = old.with_name(account_id(key)) / "meta.json"
    meta.write_text("{}")
    config = argparse.Namespace(
        config_dir=str(config_dir), server=SERVER, account=account_id(key), no_verify_ssl=False
    )
    rollover.finish_for_certbot(cast(Any, config), lambda: journal)  # asks nobody
    assert meta.read_text() == "{}"


def test_an_account_whose_directory_is_elsewhere_comes_here_and_the_old_one_stays(
    config_dir: Path, tmp_path: Path
) -> None:
    old = add_account(config_dir)
    elsewhere = old.rename(tmp_path / old.name)
    old.symlink_to(elsewhere)
    new = roll_over(config_dir)
    # An interrupted run asks the CA with the old key, too.
    assert read_key(rollover.former(config_dir, old.name)) == read_key(elsewhere)
    assert not old.is_symlink()
    assert elsewhere.is_dir()
    assert not old.with_name(new).is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_new_directory_has_the_owner_of_the_old_one(config_dir: Path) -> None:
    old = add_account(config_dir)
    for path in (old, *old.iterdir()):
        os.chown(path, 65534, 65534)
    new = old.with_name(roll_over(config_dir))
    for path in (new, *new.iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    assert stat.S_IMODE((new / "private_key.json").stat().st_mode) == 0o400


def test_of_several_accounts_the_server_or_the_url_chooses(config_dir: Path) -> None:
    with pytest.raises(NoSuchAccount, match=r"^There is no account in \S+\. Name Certbot"):
        choose_account(config_dir, None, None)
    one, two = add_account(config_dir), add_account(config_dir, "ca.example/dir", f"{URL}2")
    with pytest.raises(AccountError, match="There are several accounts") as several:
        choose_account(config_dir, None, None)
    assert f"--account {two.name} ({URL}2 at ca.example/dir)" in str(several.value)
    assert choose_account(config_dir, SERVER, None).id == one.name
    assert choose_account(config_dir, None, f"{URL}2").id == two.name
    assert choose_account(config_dir, "https://ca.example/dir/", two.name).id == two.name
    with pytest.raises(NoSuchAccount, match=f"There is no account {one.name} at"):
        choose_account(config_dir, "https://ca.example/dir", one.name)


def test_what_was_killed_before_it_began_is_swept(config_dir: Path) -> None:
    add_account(config_dir)
    left = config_dir / "dns-persist" / "rollover" / "1234" / "account"
    left.mkdir(parents=True, mode=0o700)
    roll_over(config_dir)
    sweep(config_dir)
    assert list(left.parent.parent.iterdir()) == []
