"""Whether an account's URL and key belong together, and the CA accepts them now.

Whoever runs DNS may publish what we print, and a record for an account that is no longer ours
would be useless, or would authorise a stranger. So draft section 4.5 requires a proof first. We
change nothing at the CA.
"""

from typing import TYPE_CHECKING, Any

from certbot_dns_persist.ca import http
from certbot_dns_persist.ca.authorization import faults_of_answers, signing_network
from certbot_dns_persist.errors import AccountError, DirectoryError
from certbot_dns_persist.shown import printable

if TYPE_CHECKING:
    from acme import messages
    from josepy.jwk import JWK


def require_valid_account(key: "JWK", account_url: str, server: str, *, verify: bool) -> None:
    """Ask the CA for the account at ``account_url``, signed with its ``key``.

    A POST-as-GET (RFC 8555 section 6.3) to exactly ``account_url``: the payload is the empty
    string, and we follow no redirect. ``server`` is the directory's URL, ``verify`` whether its
    certificate is checked. Raises :class:`~certbot_dns_persist.errors.AccountError` if the CA
    does not show a valid account, :class:`~certbot_dns_persist.errors.DirectoryError` if it does
    not answer as RFC 8555 says.
    """
    from acme import client, messages

    network = signing_network(key, account_url, verify=verify)

    def ask() -> Any:
        new_nonce = client.ClientV2.get_directory(server, network)["newNonce"]
        return network.post(account_url, None, new_nonce_url=new_nonce, allow_redirects=False)

    try:
        answer = http.within(http.SECONDS, ask)
        if answer.status_code != 200:
            raise DirectoryError(
                f"The CA answers {answer.status_code} instead of showing the account "
                f"{account_url}, so the account cannot be verified."
            )
        status = answer.json()["status"]
    except messages.Error as error:
        raise AccountError(
            f"{_refusal(error, server, account_url)}: {printable(str(error.detail)).rstrip('.')}. "
            "A record that names it would be useless. Choose another account with --account, or "
            f"make one with: certbot register --server {server}"
        ) from error
    except faults_of_answers() as error:
        raise DirectoryError(
            f"The account {account_url} cannot be verified: the CA at {server} does not answer as "
            f"it should: {printable(http.fault(error))}. Run the same command again when it does."
        ) from error
    if status != "valid":
        raise AccountError(
            f"The account {account_url} is {status!r}, not valid, so a record that names it would "
            "be useless. Choose another account with --account."
        )


def _refusal(error: "messages.Error", server: str, account_url: str) -> str:
    """Return what the error of a CA means that was asked for an account (RFC 8555 section 6.7)."""
    kind = str(error.typ).rpartition(":")[2]
    if kind == "accountDoesNotExist":
        return f"The CA at {server} does not know the account {account_url}"
    if kind in ("malformed", "badSignatureAlgorithm", "badPublicKey"):
        return (
            f"The CA at {server} does not accept the account {account_url} with the key that "
            "Certbot has for it"
        )
    if kind == "unauthorized":  # RFC 8555 section 7.3.6
        return (
            f"The CA at {server} does not accept the account {account_url}, which may have been "
            "deactivated"
        )
    return f"The CA at {server} does not accept the account {account_url}"
