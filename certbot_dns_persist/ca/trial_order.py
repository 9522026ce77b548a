"""An order that shows what a CA offers for a name, and is never finalised.

RFC 8555 sections 7.4 and 7.5. The CA keeps it until it expires; the authorization that is pending
because of it is deactivated.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from certbot_dns_persist.ca import http
from certbot_dns_persist.ca.authorization import faults_of_answers, signing_network
from certbot_dns_persist.ca.challenge import DNSPersist01
from certbot_dns_persist.ca.directory import Directory
from certbot_dns_persist.errors import ChallengeError, DirectoryError
from certbot_dns_persist.shown import logger_of, printable

if TYPE_CHECKING:
    from josepy.jwk import JWK

logger = logger_of(__name__)


@dataclasses.dataclass(frozen=True)
class TrialOrder:
    """What the order for one name showed."""

    name: str
    """The name, which may begin with ``*.``."""
    status: str
    """Of the authorization: ``pending``, or ``valid`` if the CA asks for nothing."""
    offered: tuple[str, ...]
    """The challenge types, in the CA's order. A valid authorization shows only what it took."""
    challenge: DNSPersist01 | None
    deactivated: bool
    """Whether the authorization was pending and is deactivated now."""

    @property
    def tells(self) -> bool:
        """Whether it shows if the CA offers ``dns-persist-01``."""
        return self.challenge is not None or self.status == "pending"


def place_trial_order(
    key: "JWK", account_url: str, directory: Directory, name: str, *, verify: bool
) -> TrialOrder:
    """Order a certificate for ``name``, read its authorization, and leave it at that.

    ``key`` is that of the account at ``account_url``. If the authorization is pending, it is
    deactivated: no other order of the account for ``name`` may be under way, as a CA may give the
    same authorization to both. A valid one stays as it is. Raises
    :class:`~certbot_dns_persist.errors.ChallengeError` if the CA refuses the order,
    :class:`~certbot_dns_persist.errors.DirectoryError` if it does not answer as RFC 8555 says.
    """
    from acme import messages

    network = signing_network(key, account_url, verify=verify)

    def post(url: Any, payload: Any) -> Any:
        def ask() -> Any:
            return network.post(url, payload, new_nonce_url=directory.new_nonce)

        return http.within(http.SECONDS, ask).json()

    identifier = messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name)
    try:
        (url,) = post(directory.new_order, messages.NewOrder(identifiers=[identifier]))[
            "authorizations"
        ]
        content = post(url, None)
        status = str(content["status"])
        deactivated = status == "pending" and _deactivate(
            lambda: post(url, messages.UpdateAuthorization(status="deactivated")), url
        )
        found = [dict(challenge) for challenge in content["challenges"]]
        offered = tuple(str(challenge["type"]) for challenge in found)
        ours = [each for each in found if each["type"] == DNSPersist01.typ]
        challenge = cast(DNSPersist01, DNSPersist01.from_json(ours[0])) if ours else None
    except messages.Error as error:
        raise ChallengeError(
            f"The CA at {directory.url} refuses an order for {name}: "
            f"{printable(str(error.detail)).rstrip('.')}. Give a name that this account may get "
            "certificates for."
        ) from error
    except faults_of_answers() as error:
        raise DirectoryError(
            f"The CA at {directory.url} does not answer an order for {name} as it should: "
            f"{printable(http.fault(error))}. Run the "
            "same command again when it does."
        ) from error
    return TrialOrder(name, status, offered, challenge, deactivated)


def _deactivate(post: Callable[[], Any], url: str) -> bool:
    """Deactivate the authorization at ``url`` (RFC 8555 section 7.5.2); warn if it stays."""
    from acme import messages

    try:
        status = post()["status"]
        if status != "deactivated":
            raise ValueError(f"it is {status} after we deactivated it")
    except faults_of_answers(messages.Error) as error:
        logger.warning(
            "The CA keeps the pending authorization %s, which we made, until it expires: %s",
            printable(url),
            printable(http.cause(error)),
        )
        return False
    return True
