"""Account key rollovers as they stand on disk, so that whoever comes next can finish them.

Below Certbot's configuration directory, ``dns-persist/rollover/OLD`` holds what is needed for it:
OLD is Certbot's id of the account, ``account`` is the account's future directory with the new key,
and ``rollover.json`` says what is replaced. There is no rollover until that file is there.
"""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certbot_dns_persist import files
from certbot_dns_persist.account import Account, thumbprint
from certbot_dns_persist.atomic import replace_file, sync_directory
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.accounts import KeptAccount, account_id, read_key, server_path
from certbot_dns_persist.request.renewal import Renewal

if TYPE_CHECKING:
    from josepy.jwk import JWK

KEY = "private_key.json"
NOTE, _ACCOUNT = "rollover.json", "account"


@dataclasses.dataclass(frozen=True)
class Rollover:
    """A rollover that was begun and is not finished."""

    directory: Path
    kept: KeptAccount
    """The account with its old key."""
    server: str
    """The CA's ACME directory URL."""
    new_id: str
    """Certbot's id of the account with its new key."""
    begun: str
    """RFC 3339, UTC."""
    sent: bool = False
    """Whether the CA may have been told."""

    @property
    def account(self) -> Account:
        """The account with its new key."""
        return Account(self.kept.account.url, thumbprint(self.new_key()))

    @property
    def prepared(self) -> Path:
        """The future directory of the account."""
        return self.directory / _ACCOUNT

    def new_key(self) -> "JWK":
        """Return the new key.

        Raises :class:`~certbot_dns_persist.errors.AccountError` if it cannot be read.
        """
        return read_key(self.prepared)

    def concerns(self, server: str | None, name: str | None) -> bool:
        """Whether it is for that account, at that server; ``None`` is any."""
        return (server is None or server_path(server) in self.kept.servers) and name in (
            None,
            self.kept.id,
            self.new_id,
            self.kept.account.url,
        )


def uses(renewal: Renewal, kept: KeptAccount, account_id: str) -> bool:
    """Whether Certbot renews with the account by that id of it."""
    return renewal.account == account_id and server_path(renewal.server) in kept.servers


def begin(config_dir: Path, kept: KeptAccount, server: str, key: "JWK", *, at: str) -> Rollover:
    """Put the new ``key`` of an account on the disk, and return the rollover; ``at`` is RFC 3339.

    Raises :class:`OSError` if that fails.
    """
    directory = rollovers_directory(config_dir) / kept.id
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.require_private(directory)
    prepared = directory / _ACCOUNT
    prepared.mkdir(mode=0o700, parents=True)
    copy_account(config_dir / "accounts" / kept.home, prepared, key.json_dumps())
    begun = Rollover(directory, kept, server, account_id(key), at)
    _write(begun)
    for above in (directory.parent, directory.parent.parent, config_dir):
        sync_directory(above)
    return begun


def sweep(config_dir: Path) -> None:
    """Remove what runs have left that were killed before a rollover began, or after it ended."""
    with contextlib.suppress(OSError):
        for directory in rollovers_directory(config_dir).iterdir():
            if not (directory / NOTE).exists():
                shutil.rmtree(directory, ignore_errors=True)


def note_sent(rollover: Rollover) -> None:
    """Note that the CA is about to be told. Raises :class:`OSError` if that fails."""
    _write(dataclasses.replace(rollover, sent=True))


def is_switched(config_dir: Path, rollover: Rollover) -> bool:
    """Whether Certbot already uses the new key: its old directory goes last."""
    return not (config_dir / "accounts" / rollover.kept.home).exists()


def copy_account(source: Path, target: Path, key: str | None = None) -> None:
    """Write an account of Certbot's into the directory ``target``, perhaps with another key.

    Owners are those of ``source``, and the key is readable for its owner only, as with Certbot.
    Raises :class:`OSError` if that fails.
    """
    _own(target, source.stat())
    for path in sorted(filter(Path.is_file, source.iterdir())):
        octets = path.read_bytes()
        mode = path.stat().st_mode & 0o777
        if path.name == KEY:
            octets, mode = (octets if key is None else key.encode()), 0o400
        replace_file(target / path.name, octets, mode=mode)
        _own(target / path.name, path.stat())


def _own(path: Path, status: os.stat_result) -> None:
    """Give ``path`` an owner and a group, as far as this user may; a link is not followed."""
    now = path.lstat()
    if (now.st_uid, now.st_gid) != (status.st_uid, status.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


def rollovers_directory(config_dir: Path) -> Path:
    """Return where rollovers are until they are finished."""
    return config_dir / "dns-persist" / "rollover"


def any_begun(config_dir: Path) -> bool:
    """Whether there may be a rollover that is not finished, as far as this user may know."""
    try:
        return any(rollovers_directory(config_dir).iterdir())
    except OSError:
        return False


def begun_rollovers(config_dir: Path) -> Iterator[Rollover]:
    """Yield the rollovers that are not finished, as far as this user may read them.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the note of one is damaged.
    """
    try:
        directories = sorted(rollovers_directory(config_dir).iterdir())
    except OSError:  # there was never one, or it is another user's
        return
    for directory in directories:
        path = directory / NOTE
        try:
            yield _read(directory, json.loads(files.read(path)))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"An account key rollover was begun, and {path} cannot be read: {error}. The "
                f"account's new key is in {directory / _ACCOUNT}: keep it."
            ) from error


def _write(rollover: Rollover) -> None:
    kept = dataclasses.asdict(rollover.kept)
    note = {
        "version": 1,
        "kept": kept,
        "server": rollover.server,
        "new_id": rollover.new_id,
        "begun": rollover.begun,
        "sent": rollover.sent,
    }
    replace_file(rollover.directory / NOTE, json.dumps(note, indent=1).encode(), mode=0o600)


def _read(directory: Path, note: Any) -> Rollover:
    kept = note["kept"]
    return Rollover(
        directory=directory,
        kept=KeptAccount(
            id=str(kept["id"]),
            account=Account(str(kept["account"]["url"]), str(kept["account"]["thumbprint"])),
            home=str(kept["home"]),
            links=tuple(map(str, kept["links"])),
            servers=tuple(map(str, kept["servers"])),
        ),
        server=str(note["server"]),
        new_id=str(note["new_id"]),
        begun=str(note["begun"]),
        sent=bool(note["sent"]),
    )
