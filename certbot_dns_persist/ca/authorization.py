"""The authorization object that a challenge belongs to; Certbot does not pass it to plugins.

It lists all challenges that the CA offers, and says whether it is for a wildcard (RFC 8555
section 7.1.4).
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca import http
from certbot_dns_persist.errors import DirectoryError
from certbot_dns_persist.shown import printable

if TYPE_CHECKING:
    from acme.client import ClientNetwork
    from josepy.jwk import JWK


@dataclasses.dataclass(frozen=True)
class Authorization:
    """Whether a wildcard is to be proven, and which challenges the CA offers."""

    wildcard: bool
    offered: tuple[str, ...]
    """The challenge types, in the CA's order."""


def fetch_authorization(
    achall: Any, account: Account, server: str, *, verify: bool
) -> Authorization:
    """Fetch the authorization that an annotated challenge belongs to, with two POST-as-GETs.

    ``server`` is the directory's URL, ``verify`` whether its certificate is checked. Raises
    :class:`~certbot_dns_persist.errors.DirectoryError` if the CA does not answer as RFC 8555
    says.
    """
    from acme import client, messages

    network = signing_network(achall.account_key, account.url, verify=verify)

    def ask() -> Any:
        directory = client.ClientV2.get_directory(server, network)
        challenge = network.post(achall.challb.uri, None, new_nonce_url=directory["newNonce"])
        # RFC 8555 section 7.5.1: the challenge has a link "up" to its authorization.
        url = challenge.links["up"]["url"]
        return network.post(url, None, new_nonce_url=directory["newNonce"]).json()

    try:
        content = http.within(http.SECONDS, ask)
        offered = tuple(str(challenge["type"]) for challenge in content["challenges"])
        return Authorization(content.get("wildcard") is True, offered)
    except faults_of_answers(messages.Error) as error:
        raise DirectoryError(
            f"The CA at {server} does not say which challenges it offers beside "
            f"{achall.challb.uri}: {printable(http.fault(error))}. Run the "
            "same command again when it answers."
        ) from error


def faults_of_answers(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what is raised if a CA does not answer as RFC 8555 says, and ``more``."""
    from acme import errors

    # OSError: all errors of requests, and a missing CA bundle. RecursionError: JSON that nests too
    # deep.
    return (errors.Error, OSError, KeyError, TypeError, ValueError, RecursionError, *more)


def signing_network(key: "JWK", account_url: str, *, verify: bool) -> "ClientNetwork":
    """Return a client that signs requests with the ``key`` of the account at ``account_url``."""
    from acme import client, messages

    network = client.ClientNetwork(
        key,
        account=messages.RegistrationResource(body=messages.Registration(), uri=account_url),
        alg=algorithm(key),
        verify_ssl=verify,
    )
    http.limit(network.session)
    return network


def algorithm(key: Any) -> Any:
    """Return the JWS algorithm for an account key (RFC 7518 section 3.1)."""
    from josepy import jwa

    if key.typ != "EC":
        return jwa.RS256
    return {256: jwa.ES256, 384: jwa.ES384, 521: jwa.ES512}[key.key.key_size]
