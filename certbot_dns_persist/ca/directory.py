"""The CA's ACME directory, of which we need the ``meta`` object.

RFC 8555 section 7.1.1 and draft section 3.2. Only -02 needs it; a record for the older drafts is
made from the challenge and the account alone.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

from certbot_dns_persist.ca import http
from certbot_dns_persist.ca.challenge import fault_of_names
from certbot_dns_persist.errors import ChallengeError, DirectoryError
from certbot_dns_persist.record import is_parameter_value, normalize_domain_name
from certbot_dns_persist.shown import logger_of, printable

logger = logger_of(__name__)


@dataclasses.dataclass(frozen=True)
class Directory:
    """The directory of one CA. A member that is missing or invalid is ``None``."""

    url: str
    caa_identities: tuple[str, ...] | None = None
    comparable: bool = True
    """Whether all of ``caa_identities`` are names that can be compared (draft section 3.2)."""
    issuer_domain_names: tuple[str, ...] | None = None
    account_hash_prefix: str | None = None
    external_account_required: bool = False
    """Whether a new account needs an external account binding (RFC 8555 section 7.3.4)."""
    new_nonce: str | None = None
    new_account: str | None = None
    new_order: str | None = None

    def require_acme(self) -> None:
        """Raise :class:`~certbot_dns_persist.errors.DirectoryError` if it is no ACME directory."""
        urls = {
            "newNonce": self.new_nonce,
            "newAccount": self.new_account,
            "newOrder": self.new_order,
        }
        if missing := [name for name, url in urls.items() if url is None]:
            raise DirectoryError(
                f"{self.url} is not an ACME directory: it has no {', '.join(missing)}. A CA's "
                "documentation says where its directory is."
            )


def fetch_directory(url: str, *, verify: bool = True) -> Directory:
    """Fetch the ACME directory at ``url``.

    ``requests`` checks the server's certificate, as in Certbot, unless ``verify`` is false
    (Certbot's ``--no-verify-ssl``). Raises :class:`~certbot_dns_persist.errors.DirectoryError`.
    """
    import requests

    def get() -> Any:
        with http.limit(requests.Session()) as session:
            response = session.get(url, verify=verify)
        response.raise_for_status()
        try:
            return response.json()
        except ValueError as error:
            raise ValueError(f"it is not JSON ({error})") from error

    try:
        document = http.within(http.SECONDS, get)
    except (
        OSError,  # also if REQUESTS_CA_BUNDLE is missing
        ValueError,
        RecursionError,  # JSON that nests too deep
    ) as error:
        raise DirectoryError(
            f"The CA's directory {url} cannot be read: {printable(http.cause(error)).rstrip('.')}"
        ) from error
    members = document if isinstance(document, dict) else {}
    meta = members.get("meta")
    return dataclasses.replace(
        parse_meta(url, meta if isinstance(meta, dict) else {}),
        new_nonce=_string(members.get("newNonce")),
        new_account=_string(members.get("newAccount")),
        new_order=_string(members.get("newOrder")),
    )


def check_against_directory(challenged: Collection[str], ca: Directory, domain: str) -> None:
    """Check that a challenge's issuerDomainNames fit the directory (draft section 3.2).

    Raises :class:`~certbot_dns_persist.errors.ChallengeError` if they do not; ``domain`` is for
    its message.
    """
    identities = ca.caa_identities or challenged
    if not ca.comparable:
        logger.debug(
            "The challenge's names are not compared with the caaIdentities of %s: not all of these "
            "are A-labels.",
            ca.url,
        )
        identities = challenged
    for offender, fault in (
        (
            set(ca.issuer_domain_names or ()).difference(challenged),
            "lacks {}, which the directory promises in issuerDomainNames",
        ),
        (
            set(challenged).difference(identities),
            "has {}, which is not among the directory's caaIdentities",
        ),
    ):
        if offender:
            raise ChallengeError(
                f"The CA's dns-persist-01 challenge for {domain} is malformed: issuerDomainNames "
                f"{fault.format(', '.join(sorted(offender)))} ({ca.url}). Please report this to "
                "the CA."
            )


def parse_meta(url: str, meta: dict[str, Any]) -> Directory:
    """Return the directory with the valid members of ``meta``."""
    names = meta.get("issuerDomainNames")
    listed: Any = meta.get("caaIdentities")
    prefix = meta.get("accountHashPrefix")
    identities = [_identity(name) for name in listed] if isinstance(listed, list) else None
    return Directory(
        url=url,
        caa_identities=None if identities is None else tuple(filter(None, identities)),
        comparable=not identities or (all(identities) and all(map(str.isascii, listed))),
        issuer_domain_names=None if fault_of_names(names) else tuple(names or ()),
        account_hash_prefix=(
            prefix if isinstance(prefix, str) and prefix and is_parameter_value(prefix) else None
        ),
        external_account_required=meta.get("externalAccountRequired") is True,
    )


def _string(member: object) -> str | None:
    return member if isinstance(member, str) else None


def _identity(name: object) -> str | None:
    """Return one of caaIdentities as a name in A-labels, in lower case, without trailing dot.

    ``None`` if it is no domain name.
    """
    if not isinstance(name, str):
        return None
    try:
        return normalize_domain_name(name)
    except ValueError:
        return None
