"""The accounts that Certbot keeps in its files, and which of them is meant."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import urllib.parse
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.account import Account, thumbprint
from certbot_dns_persist.errors import AccountError, AmbiguousAccount, NoSuchAccount
from certbot_dns_persist.shown import logger_of

if TYPE_CHECKING:  # it imports all of cryptography, which is needed only with a key
    from josepy.jwk import JWK

logger = logger_of(__name__)

# RFC 7518 section 6: the members that only a private key has.
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth"}


def find_account(config_dir: Path, server: str, name: str | None) -> Account:
    """Return the account ``name`` (Certbot's id or its URL) at ``server``, or the only one.

    Raises :class:`~certbot_dns_persist.errors.AccountError` if there is no such account, or there
    are several and no ``name``.
    """
    directory = accounts_directory(config_dir, server)
    try:
        next(directory.iterdir(), None)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise AccountError(
            f"Certbot's accounts in {directory} cannot be read: {error.strerror}. Run this as the "
            "user that runs Certbot, usually root. To do without Certbot's files, give --issuer "
            "and --account-uri."
        ) from error
    if name and (directory / name).is_dir():
        return read_account(directory / name)
    accounts = read_accounts(directory)
    if not accounts:
        raise NoSuchAccount(
            f"There is no account at {server} in {config_dir}, and a record must name one. "
            f"Make one with: certbot register --server {server} --agree-tos -m you@example.com"
        )
    chosen = [a for key, a in accounts.items() if name in (None, "", key, a.url)]
    if len(chosen) == 1:
        return chosen[0]
    known = "; ".join(f"{key} ({account.url})" for key, account in accounts.items())
    if chosen:
        raise AmbiguousAccount(
            f"There are several accounts at {server} in {config_dir}. Choose one with --account: "
            f"{known}."
        )
    raise NoSuchAccount(
        f"There is no account {name} at {server} in {config_dir}. There are: {known}."
    )


def account_of_key(
    config_dir: Path, server: str, name: str | None, key: "JWK"
) -> tuple[Account, str]:
    """Return the account with ``key`` that an order of Certbot's uses, and its CA's directory URL.

    That is not always the account ``name`` at ``server`` of Certbot's configuration. Certbot
    derives the name from the key, but the directory keeps its name after a key rollover; and
    ``certbot reconfigure`` tries what it is given at the staging server, and does not say so.
    Raises :class:`~certbot_dns_persist.errors.AccountError` if the account cannot be read.
    """
    named = accounts_directory(config_dir, server) / str(name)
    for directory, url in [(named, server), *_all_accounts(config_dir, server)]:
        with contextlib.suppress(AccountError):
            account = read_account(directory)
            if account.thumbprint == thumbprint(key):
                return account, url
    return read_account(named), server


def _all_accounts(config_dir: Path, server: str) -> Iterator[tuple[Path, str]]:
    """Yield the directory of each account and its CA's directory URL; those at ``server`` first.

    Certbot does not keep the URL's scheme; we take that of ``server``.
    """
    scheme, accounts = urllib.parse.urlsplit(server).scheme, config_dir / "accounts"
    here = accounts_directory(config_dir, server)
    # "**" does not lead through links, which Certbot makes from a CA's new name to its old one.
    found = [
        here.glob("*/regr.json"),
        accounts.glob("*/*/*/regr.json"),
        accounts.rglob("regr.json"),
    ]
    for regr in itertools.chain.from_iterable(map(sorted, found)):
        place = regr.parent.parent
        url = f"{scheme}://{place.relative_to(accounts).as_posix()}"
        yield regr.parent, server if place == here else url


def find_key(config_dir: Path, server: str, account_url: str) -> "JWK":
    """Return the private key of the account ``account_url``, from Certbot's files.

    Raises :class:`~certbot_dns_persist.errors.AccountError` if it is missing or damaged.
    """
    directory = accounts_directory(config_dir, server)
    return next(
        read_key(directory / name)
        for name, account in read_accounts(directory).items()
        if account.url == account_url
    )


def accounts_directory(config_dir: Path, server: str) -> Path:
    """Return where Certbot keeps the accounts at the CA whose ACME directory is ``server``."""
    return config_dir / "accounts" / server_path(server)


def server_path(server: str) -> str:
    """Return where Certbot keeps the accounts at a CA, below ``accounts/``."""
    url = urllib.parse.urlsplit(server)
    return os.path.normpath(f"{url.netloc}{url.path}")


def read_accounts(directory: Path) -> dict[str, Account]:
    """Return the accounts that Certbot keeps in ``directory``, by Certbot's id.

    Raises :class:`~certbot_dns_persist.errors.AccountError` if one of them is damaged.
    """
    try:
        places = sorted(place for place in directory.iterdir() if place.is_dir())
    except OSError:  # no account yet, or none that this user may see
        return {}
    return {place.name: read_account(place) for place in places}


def read_account(directory: Path) -> Account:
    """Return the account that Certbot keeps in ``directory`` (regr.json and private_key.json).

    Raises :class:`~certbot_dns_persist.errors.AccountError` if a file is missing or damaged.
    """
    # Checking the private key takes longer than everything else here, and we do not need it.
    url, key = _read_account(directory, without=_PRIVATE_MEMBERS)
    return Account(url=url, thumbprint=thumbprint(key))


def read_key(directory: Path) -> "JWK":
    """Return the private key of the account that Certbot keeps in ``directory``.

    Raises what :func:`read_account` does.
    """
    return _read_account(directory)[1]


def account_id(key: "JWK") -> str:
    """Return Certbot's id of the account with this key, which names the account's directory."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public: Any = key.public_key()
    pem = public.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(pem, usedforsecurity=False).hexdigest()


@dataclasses.dataclass(frozen=True)
class KeptAccount:
    """An account in Certbot's files, wherever Certbot finds it.

    Certbot links the directories of one server's accounts, or of one account, to those of an older
    server. The paths are below ``accounts/``.
    """

    id: str
    """Certbot's."""
    account: Account
    home: str
    """Its directory; a link if the directory is elsewhere."""
    links: tuple[str, ...]
    """Links to it."""
    servers: tuple[str, ...]
    """The directories of the servers at which Certbot finds it; the newest server is first."""


def kept_accounts(config_dir: Path) -> list[KeptAccount]:
    """Return Certbot's accounts at all CAs, each once; warn of those that are damaged."""
    root = config_dir / "accounts"
    places: dict[str, list[_Place]] = {}
    for place in _places(root):
        places.setdefault(os.path.realpath(root / place.path), []).append(place)
    found = []
    for real, them in sorted(places.items()):
        home, *others = sorted(them, key=lambda place: (place.through_link, place.is_link))
        try:
            account = read_account(Path(real))
        except AccountError as error:
            logger.warning("%s", error)
            continue
        found.append(
            KeptAccount(
                id=Path(home.path).name,
                account=account,
                home=home.path,
                links=tuple(place.path for place in others if place.is_link),
                servers=tuple(str(Path(place.path).parent) for place in [*others, home]),
            )
        )
    return found


def choose_account(config_dir: Path, server: str | None, name: str | None) -> KeptAccount:
    """Return the account ``name`` (Certbot's id or its URL) at ``server``, or the only one.

    Raises :class:`~certbot_dns_persist.errors.AccountError` if there is none, or there are several.
    """
    accounts = kept_accounts(config_dir)
    chosen = [
        kept
        for kept in accounts
        if (server is None or server_path(server) in kept.servers)
        and name in (None, kept.id, kept.account.url)
    ]
    if len(chosen) == 1:
        return chosen[0]
    where = f"in {config_dir}" if server is None else f"at {server} in {config_dir}"
    what = "account" if name is None else f"account {name}"
    known = "".join(
        f"\n  --account {kept.id} ({kept.account.url} at {kept.servers[0]})"
        for kept in chosen or accounts
    )
    if chosen:
        raise AccountError(f"There are several accounts {where}. Choose one:{known}")
    there = f"There are:{known}" if known else "Name Certbot's directory with --config-dir."
    raise NoSuchAccount(f"There is no {what} {where}. {there}")


@dataclasses.dataclass(frozen=True)
class _Place:
    path: str
    is_link: bool = False
    through_link: bool = False
    """Whether the directory of its server is a link."""


def _places(root: Path) -> Iterator[_Place]:
    """Yield the directories with accounts below ``root``, and the links to them."""
    for directory, names, files in os.walk(root):
        here = Path(directory)
        if "regr.json" in files:
            yield _Place(str(here.relative_to(root)))
        for path in (here / name for name in sorted(names)):
            if not path.is_symlink():
                continue
            if (path / "regr.json").exists():
                yield _Place(str(path.relative_to(root)), is_link=True)
                continue
            for below in sorted(path.iterdir()):  # a server's
                if (below / "regr.json").exists():
                    yield _Place(
                        str(below.relative_to(root)), below.is_symlink(), through_link=True
                    )


def closed_directory(config_dir: Path) -> Path | None:
    """Return the directory that this user may not enter on the way to Certbot's accounts.

    ``None`` if there is none.
    """
    accounts = config_dir / "accounts"
    try:
        next(accounts.iterdir(), None)
    except PermissionError:
        above = [place for place in reversed(accounts.parents) if not os.access(place, os.X_OK)]
        return next(iter(above), accounts)
    except OSError:  # no account yet
        pass
    return None


def _read_account(directory: Path, *, without: Collection[str] = ()) -> "tuple[str, JWK]":
    from josepy.errors import DeserializationError
    from josepy.jwk import JWK

    try:
        url = str(json.loads(_read(directory / "regr.json"))["uri"])
        members = dict(json.loads(_read(directory / "private_key.json")))
        wanted = {name: members[name] for name in members if name not in without}
        return url, JWK.json_loads(json.dumps(wanted))
    except (ValueError, KeyError, TypeError, RecursionError, DeserializationError) as error:
        raise AccountError(
            f"Certbot's account in {directory} cannot be used: its regr.json or private_key.json "
            "is damaged. Restore the directory from a backup, or choose another account with "
            "--account."
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AccountError(
            f"Certbot's account file {path} cannot be read: {error.strerror}. We need it, because "
            "records name the account. Restore it from a backup, or choose another account "
            "with --account."
        ) from error
