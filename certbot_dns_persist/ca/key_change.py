"""Replacing the key of an account (RFC 8555 section 7.3.5), which acme and Certbot cannot do."""

import enum
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from certbot_dns_persist.ca import http
from certbot_dns_persist.ca.authorization import (
    algorithm,
    faults_of_answers,
    signing_network,
)
from certbot_dns_persist.errors import AccountError, DirectoryError
from certbot_dns_persist.shown import printable

if TYPE_CHECKING:
    from acme.client import ClientNetwork
    from acme.messages import Directory
    from josepy.jwk import JWK

_T = TypeVar("_T")

#: What a CA calls a request that is signed with another key than the account's, or for an account
#: that it does not have or has deactivated (RFC 8555 section 6.7). Other errors do not say that.
_REFUSALS = ("accountDoesNotExist", "malformed", "unauthorized")


class Holder(enum.Enum):
    """Which of two keys a CA accepts for an account."""

    OLD = "old"
    NEW = "new"
    NEITHER = "neither"


class NotReplaced(AccountError):
    """The CA refused the new key, and still accepts the old one."""


def require_key_change(key: "JWK", account_url: str, server: str, *, verify: bool) -> None:
    """Check that the CA lets an account replace its key, and accepts ``key`` for this one now.

    ``server`` is the directory's URL, ``verify`` whether its certificate is checked. Raises
    :class:`~certbot_dns_persist.errors.DirectoryError` or
    :class:`~certbot_dns_persist.errors.AccountError`.
    """
    ca = _Ca(account_url, server, verify=verify)
    if not ca.changes_keys(key):
        raise DirectoryError(
            f"The CA at {server} does not let an account replace its key: its directory has no "
            "keyChange (RFC 8555 section 7.3.5). To get another key, make another account, and "
            "replace the records with certbot-dns-persist rotate."
        )
    if not ca.accepts(key):
        raise AccountError(
            f"The CA at {server} does not accept the key in Certbot's files for the account "
            f"{account_url}. If somebody else has replaced it, only the CA's support can help; "
            "certbot-dns-persist revoke removes the records that name the account."
        )


def change_key(old: "JWK", new: "JWK", account_url: str, server: str, *, verify: bool) -> None:
    """Give the account the ``new`` key; from then on, the CA refuses the ``old`` one.

    If there is no answer that says so, we ask the CA which of the two it accepts. Raises
    :class:`NotReplaced` if it refused, :class:`~certbot_dns_persist.errors.AccountError` if it
    accepts neither, and :class:`~certbot_dns_persist.errors.DirectoryError` if the outcome is
    unknown: it may still have our request.
    """
    from acme import errors, messages

    ca = _Ca(account_url, server, verify=verify)
    refused = True
    try:
        ca.replace(old, new)
    except messages.Error as error:
        # After an error of its own, the CA may have replaced the key all the same.
        refused = not str(error.typ).endswith(":serverInternal")
        said = printable(str(error.detail)).rstrip(".")
    except errors.ConflictError:
        said = "another account has the new key"
    except faults_of_answers() as error:
        refused = False
        said = printable(http.fault(error))
    else:
        return
    now = ca.holder(old, new)
    if now is Holder.NEITHER:
        raise AccountError(neither(account_url, server))
    if now is Holder.OLD and refused:
        raise NotReplaced(
            f"The CA at {server} did not replace the key of the account {account_url}: {said}."
        )
    if now is Holder.OLD:
        raise DirectoryError(
            f"The CA at {server} did not answer as it should when it was told to replace the key "
            f"of the account {account_url}: {said}. It still accepts the old key."
        )


def holder(old: "JWK", new: "JWK", account_url: str, server: str, *, verify: bool) -> Holder:
    """Return which key the CA accepts for the account; nothing is changed.

    Raises :class:`~certbot_dns_persist.errors.DirectoryError` if that cannot be determined now.
    """
    return _Ca(account_url, server, verify=verify).holder(old, new)


def neither(account_url: str, server: str) -> str:
    """Return what it means that the CA accepts neither key."""
    return (
        f"The CA at {server} accepts neither the old nor the new key for the account "
        f"{account_url}. It was deactivated, or somebody else has replaced its key."
    )


class _Ca:
    """The CA of an account, asked by several keys."""

    def __init__(self, account_url: str, server: str, *, verify: bool) -> None:
        self._account_url, self._server, self._verify = account_url, server, verify

    def changes_keys(self, key: "JWK") -> bool:
        """Whether the directory has keyChange."""
        return self._answered(lambda: "keyChange" in self._open(key)[0].to_partial_json())

    def accepts(self, key: "JWK") -> bool:
        """Whether the CA shows the account, valid, to whoever has ``key``."""
        from acme import messages

        def ask() -> bool:
            directory, network = self._open(key)
            try:
                # POST-as-GET (RFC 8555 section 6.3).
                answer = network.post(
                    self._account_url,
                    None,
                    new_nonce_url=directory["newNonce"],
                    allow_redirects=False,
                )
            except messages.Error as error:
                if str(error.typ).rpartition(":")[2] not in _REFUSALS:
                    raise
                return False
            return bool(answer.status_code == 200 and answer.json()["status"] == "valid")

        return self._answered(ask)

    def holder(self, old: "JWK", new: "JWK") -> Holder:
        """Return which of the two keys the CA accepts."""
        if self.accepts(new):
            return Holder.NEW
        return Holder.OLD if self.accepts(old) else Holder.NEITHER

    def replace(self, old: "JWK", new: "JWK") -> None:
        """Send the request: a JWS of the new key within one of the old key."""
        from acme.jws import JWS

        def send() -> None:
            directory, network = self._open(old)
            url = directory["keyChange"]
            payload = {"account": self._account_url, "oldKey": old.public_key().to_json()}
            inner = JWS.sign(
                json.dumps(payload).encode(), key=new, alg=algorithm(new), nonce=None, url=url
            )
            # It takes another nonce once if the CA refuses the first.
            network.post(url, inner, new_nonce_url=directory["newNonce"])

        http.within(http.SECONDS, send)

    def _open(self, key: "JWK") -> "tuple[Directory, ClientNetwork]":
        from acme import client

        network = signing_network(key, self._account_url, verify=self._verify)
        return client.ClientV2.get_directory(self._server, network), network

    def _answered(self, ask: Callable[[], _T]) -> _T:
        from acme import messages

        try:
            return http.within(http.SECONDS, ask)
        except faults_of_answers(messages.Error) as error:
            raise DirectoryError(
                f"The CA at {self._server} does not say which key the account {self._account_url} "
                f"has: {printable(http.fault(error))}. Run the same "
                "command again when it answers."
            ) from error
