"""The steps of an account key rollover, each of which a run that is killed leaves to the next one.

The new key is on the disk before the CA hears of it. As soon as the CA has it, the account gets a
new directory in Certbot's files, as Certbot's id of an account is a hash of its key; then the
renewal configurations name that, and last the old directory goes. All of it under Certbot's lock.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from certbot_dns_persist.atomic import sync_directory
from certbot_dns_persist.ca import key_change
from certbot_dns_persist.ca.key_change import Holder
from certbot_dns_persist.errors import ConfigurationError, Error
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.record import format_time
from certbot_dns_persist.request import rollovers
from certbot_dns_persist.request.accounts import KeptAccount, read_key
from certbot_dns_persist.request.renewal import (
    Renewal,
    lineage_names,
    read_renewal,
    replace,
    rewritten,
)
from certbot_dns_persist.request.rollovers import Rollover
from certbot_dns_persist.shown import logger_of

if TYPE_CHECKING:
    from certbot.configuration import NamespaceConfig
    from josepy.jwk import JWK

logger = logger_of(__name__)

#: The least size of a new RSA key, in bits: what Certbot makes.
RSA_BITS = 2048


def make_key(old: "JWK") -> "JWK":
    """Return a new private key of the type and size of ``old``, RSA of 2048 bits or more."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from josepy.jwk import JWKEC, JWKRSA

    key = old.key
    if isinstance(old, JWKEC):
        return JWKEC(key=ec.generate_private_key(key.curve))
    size = max(RSA_BITS, key.key_size)
    return JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=size))


def renewals_with(config_dir: Path, kept: KeptAccount, *new_ids: str) -> list[Renewal]:
    """Return the renewal configurations that name the account by its id, or one of ``new_ids``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if one that may name it cannot be
    read.
    """
    found = []
    for name in lineage_names(config_dir):
        try:
            renewal = read_renewal(config_dir, name)
        except ConfigurationError:
            path = config_dir / "renewal" / f"{name}.conf"
            with contextlib.suppress(OSError):
                if kept.id.encode() not in path.read_bytes():
                    continue  # Certbot cannot use it either
            raise
        if any(rollovers.uses(renewal, kept, each) for each in (kept.id, *new_ids)):
            found.append(renewal)
    return found


def begin(config_dir: Path, kept: KeptAccount, server: str, key: "JWK") -> Rollover:
    """Put the new ``key`` on the disk.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if that fails.
    """
    try:
        return rollovers.begin(config_dir, kept, server, key, at=format_time(int(time.time())))
    except OSError as error:
        raise ConfigurationError(
            f"The new key of the account {kept.account.url} cannot be kept below "
            f"{rollovers.rollovers_directory(config_dir)}: {error.strerror}. Nothing was changed."
        ) from error


def holder(config_dir: Path, rollover: Rollover, *, verify: bool) -> Holder:
    """Return which key the CA accepts.

    Raises :class:`~certbot_dns_persist.errors.Error` if that cannot be determined.
    """
    return key_change.holder(
        _old_key(config_dir, rollover),
        rollover.new_key(),
        rollover.kept.account.url,
        rollover.server,
        verify=verify,
    )


def send(config_dir: Path, rollover: Rollover, *, verify: bool) -> None:
    """Let the CA replace the key.

    Raises what :func:`~certbot_dns_persist.ca.key_change.change_key` does, and
    :class:`~certbot_dns_persist.errors.ConfigurationError` if a file cannot be read or written.
    """
    old, new = _old_key(config_dir, rollover), rollover.new_key()
    try:
        rollovers.note_sent(rollover)
    except OSError as error:
        raise ConfigurationError(
            f"The CA was not told of the new key, because {rollover.directory} cannot be written: "
            f"{error.strerror}."
        ) from error
    key_change.change_key(old, new, rollover.kept.account.url, rollover.server, verify=verify)


def _old_key(config_dir: Path, rollover: Rollover) -> "JWK":
    home = config_dir / "accounts" / rollover.kept.home
    return read_key(home if home.exists() else former(config_dir, rollover.kept.id))


def switch(config_dir: Path, rollover: Rollover, journal: Journal) -> None:
    """Let Certbot use the new key, which the CA has; whatever of this is done already stays so.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if a file cannot be changed.
    """
    kept = rollover.kept
    try:
        _install(config_dir, rollover)
    except OSError as error:
        raise ConfigurationError(
            f"The account's new directory cannot be written: {error.filename or ''} "
            f"{error.strerror}."
        ) from error
    journal.note_key(kept.account.url, kept.account.thumbprint)
    journal.note_key(kept.account.url, rollover.account.thumbprint)
    for renewal in renewals_with(config_dir, kept):
        change = {"account": rollover.new_id}
        replace(renewal.path, lambda octets: rewritten(octets, change))  # noqa: B023
    try:
        _remove_old(config_dir, kept)
    except OSError as error:
        raise ConfigurationError(
            f"The account's old directory cannot be moved away: {error.filename or ''} "
            f"{error.strerror}."
        ) from error


def _install(config_dir: Path, rollover: Rollover) -> None:
    """Write the account's new directory, and links to it where there are links to the old one."""
    accounts = config_dir / "accounts"
    new = accounts / _renamed(rollover.kept.home, rollover.new_id)
    new.mkdir(mode=0o700, exist_ok=True)
    rollovers.copy_account(rollover.prepared, new)
    sync_directory(new.parent)
    for link in rollover.kept.links:
        path = accounts / _renamed(link, rollover.new_id)
        if not os.path.lexists(path):
            path.symlink_to(new.absolute())


def _renamed(place: str, new_id: str) -> str:
    return str(Path(place).with_name(new_id))


def _remove_old(config_dir: Path, kept: KeptAccount) -> None:
    """Move the account's old directory out of Certbot's sight, and remove the links to it."""
    accounts = config_dir / "accounts"
    for place in (*kept.links, kept.home):
        path = accounts / place
        if path.is_symlink():
            if place == kept.home:  # the directory is elsewhere, and not ours to move
                _copy_away(config_dir, path)
            path.unlink()
        elif path.exists():
            _move_away(config_dir, path)


def _copy_away(config_dir: Path, account: Path) -> None:
    target = former(config_dir, account.name)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    rollovers.copy_account(account, target)


def _move_away(config_dir: Path, account: Path) -> None:
    target = former(config_dir, account.name)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists():  # of a run that was killed while it copied
        shutil.rmtree(target)
    shutil.move(account, target)
    sync_directory(target.parent)


def former(config_dir: Path, account_id: str) -> Path:
    """Return where an account's directory goes when its key is not in use."""
    return config_dir / "dns-persist" / "former-accounts" / account_id


def end(rollover: Rollover) -> None:
    """Forget the rollover, which is finished, or of which the CA never heard."""
    # First what says that there is one.
    (rollover.directory / rollovers.NOTE).unlink(missing_ok=True)
    shutil.rmtree(rollover.directory, ignore_errors=True)


def give_up(config_dir: Path, rollover: Rollover) -> None:
    """End a rollover whose new key the CA does not accept; keep the key if the CA was told of it.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if that fails.
    """
    if rollover.sent:
        target = former(config_dir, rollover.new_id)
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            rollovers.copy_account(rollover.prepared, target)
        except OSError as error:
            raise ConfigurationError(
                f"The new key cannot be kept as {target}: {error.strerror}. Nothing was changed."
            ) from error
    end(rollover)


def finish_for_certbot(config: "NamespaceConfig", journal: Callable[[], Journal]) -> None:
    """Finish what an interrupted rollover has left, so that the order of Certbot uses the new key.

    Only if the CA has it: otherwise the old key still works, and the next rollover goes on. It is
    called before Certbot reads the account, and while it holds its lock. It never fails.
    """
    config_dir = Path(config.config_dir)
    try:
        for rollover in rollovers.begun_rollovers(config_dir):
            if not rollover.sent or not rollover.concerns(config.server, None):
                continue
            if rollovers.is_switched(config_dir, rollover):
                continue
            verify = not config.no_verify_ssl
            if holder(config_dir, rollover, verify=verify) is not Holder.NEW:
                continue
            switch(config_dir, rollover, journal())
            if config.account == rollover.kept.id:
                config.account = rollover.new_id
            logger.warning(
                "A rollover of the account key was interrupted after the CA had accepted the new "
                "key. Certbot now uses it; its id of the account is %s. To finish, run: "
                "certbot-dns-persist rollover",
                rollover.new_id,
            )
    except (Error, OSError) as error:
        logger.warning("%s", unfinished_in_doubt(error))


def unfinished_in_doubt(error: Exception) -> str:
    """Return what to tell if it cannot be determined how far a rollover has come."""
    return (
        f"A rollover of the account key was begun, and cannot be finished now: {error} If the CA "
        "refuses the account below, run: certbot-dns-persist rollover"
    )
