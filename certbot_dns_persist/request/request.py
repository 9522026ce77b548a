"""What must be proven for one name, made from the CA's terms and the account."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

from certbot_dns_persist.account import ANY_DOMAIN, Account, hashed_account_uri
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.record import (
    Evaluation,
    ValidationRecord,
    evaluate,
    validation_domain_name,
)


@dataclasses.dataclass(frozen=True)
class AccountUris:
    """The account URIs that a CA accepts in a record for one name and account, by kind.

    A new record has ``published``. ``current`` are the others in the newest form and made with
    the account's current key; ``outdated`` are accepted, but should be replaced. ``bound`` are
    those of any kind that serve no other domain, ``shared`` the hashed ones that serve every
    domain of the account, and ``plain`` those that are not hashed, which do so, too.
    """

    published: str
    current: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    bound: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()

    @functools.cached_property
    def accepted(self) -> tuple[str, ...]:
        """All of them."""
        return (self.published, *self.current, *self.outdated)

    def serves_all_of(self, old: str) -> bool:
        """Whether ``published`` works for every name that ``old`` does, other aliases included."""
        return (
            old == self.published
            or old in self.bound
            or any({old, self.published} <= alike for alike in (self.shared, self.plain))
        )


@dataclasses.dataclass(frozen=True)
class ValidationRequest:
    """One FQDN to prove for one account; a wildcard shares its base's request."""

    domain: str
    """The FQDN, without ``*.``, normalised."""

    wildcard: bool
    """Whether the record must carry ``policy=wildcard``."""

    server: str
    """The CA's ACME directory URL."""

    issuer_domain_names: tuple[str, ...]
    """The names that the CA offers, sorted; a record may use any of them."""

    account_url: str
    account_uris: AccountUris

    @property
    def name(self) -> str:
        """The validation domain name, at which the CA looks for the TXT record."""
        return validation_domain_name(self.domain)

    def evaluate(self, values: Iterable[str], at: int) -> Evaluation:
        """Judge ``values`` as the CA would at ``at`` (UNIX seconds)."""
        return evaluate(
            values,
            issuer_domain_names=self.issuer_domain_names,
            account_uris=self.account_uris.accepted,
            wildcard=self.wildcard,
            at=at,
        )

    def is_ours(self, record: ValidationRecord) -> bool:
        """Whether ``record`` belongs to this account at this CA, whatever else it says."""
        return record.issuer_domain_name in self.issuer_domain_names and record.account_uri in {
            *self.account_uris.accepted,
            self.account_url,
        }


def make_request(
    domain: str,
    *,
    wildcard: bool,
    shared: bool,
    terms: Terms,
    account: Account,
    earlier_keys: Callable[[], Sequence[str]],
    server: str,
) -> ValidationRequest:
    """Return what must be proven for ``domain`` on the CA's ``terms``.

    ``earlier_keys`` returns thumbprints; it is called for -02 only, for which ``shared`` selects
    the form that serves every domain.
    """
    if terms.hash_prefix is not None:
        uris = _hashed_uris(terms.hash_prefix, domain, account, earlier_keys(), shared=shared)
        if terms.plain is not None:
            # The CA is in transition, and still accepts what was published for the older draft.
            plain = _plain_uris(terms.plain, account.url).accepted
            uris = dataclasses.replace(uris, outdated=(*uris.outdated, *plain))
    else:
        uris = _plain_uris(terms.plain or account.url, account.url)
    return ValidationRequest(
        domain=domain,
        wildcard=wildcard,
        server=server,
        issuer_domain_names=terms.issuer_domain_names,
        account_url=account.url,
        account_uris=uris,
    )


@functools.lru_cache(maxsize=100)  # one account often has thousands of names
def _plain_uris(stated: str, url: str) -> AccountUris:
    """Return the URI that the CA states, and the account URL, which it accepts, too (-01, 4.1)."""
    others = () if stated == url else (url,)
    return AccountUris(stated, others, plain=frozenset((stated, url)))


def _hashed_uris(
    prefix: str, domain: str, account: Account, earlier_keys: Sequence[str], *, shared: bool
) -> AccountUris:
    """Return the hashed account URIs that a CA accepts (draft section 4.2), by kind."""

    def hashed(key: str) -> tuple[str, str]:
        bound, for_all = (
            hashed_account_uri(prefix, domain=name, thumbprint=key, account_url=account.url)
            for name in (domain, ANY_DOMAIN)
        )
        return bound, for_all

    now, before = hashed(account.thumbprint), [hashed(key) for key in earlier_keys]
    published, other = reversed(now) if shared else now
    return AccountUris(
        published=published,
        current=(other,),
        outdated=tuple(uri for pair in before for uri in pair),
        bound=frozenset(bound for bound, _ in (now, *before)),
        shared=frozenset(for_all for _, for_all in (now, *before)),
    )


@dataclasses.dataclass(frozen=True)
class Proof:
    """What one dns-01 challenge requires."""

    domain: str
    value: str
    server: str
    account_url: str

    @property
    def name(self) -> str:
        """The validation domain name of dns-01."""
        return f"_acme-challenge.{self.domain}"
