"""What must be proven for one name, made from the challenge, the account and the directory."""

import dataclasses
from collections.abc import Iterable

from certbot_dns_persist.account import Account
from certbot_dns_persist.challenge import DNSPersist01
from certbot_dns_persist.record import (
    Evaluation,
    ValidationRecord,
    evaluate,
    validation_domain_name,
)


@dataclasses.dataclass(frozen=True)
class ValidationRequest:
    """One FQDN that a CA wants proven for one account; the wildcard shares its base's request."""

    domain: str
    """The FQDN, without ``*.``, normalised."""

    wildcard: bool
    """Whether the record must carry ``policy=wildcard``."""

    server: str
    """The CA's ACME directory URL."""

    issuer_domain_names: tuple[str, ...]
    """The names that the CA offers, sorted; a record may use any of them."""

    account_url: str
    account_uris: tuple[str, ...]
    """Every account URI that the CA accepts in a record here; a new record has the first."""

    @property
    def name(self) -> str:
        """The validation domain name, where the TXT record is looked up."""
        return validation_domain_name(self.domain)

    def evaluate(self, values: Iterable[str], at: int) -> Evaluation:
        """Judge ``values`` as the CA would at ``at`` (UNIX seconds)."""
        return evaluate(
            values,
            issuer_domain_names=self.issuer_domain_names,
            account_uris=self.account_uris,
            wildcard=self.wildcard,
            at=at,
        )

    def is_ours(self, record: ValidationRecord) -> bool:
        """Whether ``record`` belongs to this account at this CA, whatever else it says."""
        return record.issuer_domain_name in self.issuer_domain_names and record.account_uri in {
            *self.account_uris,
            self.account_url,
        }


def make_request(
    domain: str,
    *,
    wildcard: bool,
    server: str,
    challenge: DNSPersist01,
    account: Account,
) -> ValidationRequest:
    """Return the request that ``challenge`` makes for ``domain``.

    Raises :class:`~certbot_dns_persist.errors.ChallengeError` when the challenge is malformed.
    """
    stated = challenge.stated_account_uri(domain)
    return ValidationRequest(
        domain=domain,
        wildcard=wildcard,
        server=server,
        issuer_domain_names=challenge.issuer_domain_names(domain),
        account_url=account.url,
        account_uris=(stated or account.url,),
    )
