"""CAs and accounts that are named without Certbot's files: by options, or by a line of a list."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.errors import UsageError
from certbot_dns_persist.record import is_parameter_value, normalize_domain_name
from certbot_dns_persist.request.applicants import Identity
from certbot_dns_persist.request.known_accounts import KnownAccount

#: What names a CA and accounts there: as options with ``--`` before, in a list with ``=`` after.
ISSUER, URI, URL, THUMBPRINT, PREFIX = KEYS = (
    *("issuer", "account-uri", "account-url", "thumbprint", "hash-prefix"),
)

_THUMBPRINT = re.compile("[A-Za-z0-9_-]{43}")
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986 section 3.1

Part = tuple[str, str]
"""One of ``KEYS``, and its value."""


class Identities:
    """The accounts of one run, each at its CA."""

    def __init__(self, parts: Sequence[Part], known: Iterable[KnownAccount] = ()) -> None:
        """``parts`` are from the command line, in its order; ``known`` are declared accounts.

        Several accounts belong to the CA whose ``issuer`` precedes them. If only a CA is given, the
        accounts are those that are known. Raises
        :class:`~certbot_dns_persist.errors.UsageError`.
        """
        self._cas = [_ca(group, "--") for group in _groups(parts)]
        given = [identity for ca in self._cas for identity in ca.identities]
        for ca in self._cas:
            if given and not ca.identities:
                raise UsageError(f"--issuer {' '.join(ca.issuers)}: no account follows it.")
        only = self._cas[0] if len(self._cas) == 1 else None
        declared = [found for each in known if (found := _of_known(each, only))]
        self.default = tuple(dict.fromkeys(given or (declared if only else ())))
        """Those that every domain is for, unless it names others."""
        self._all = tuple(dict.fromkeys([*given, *declared]))
        self._only = only

    def named(self, parts: Sequence[Part]) -> tuple[Identity, ...]:
        """Return those that the ``parts`` of a line name.

        These are all of the run that have these parts. If there is none, it is the one that the
        line itself gives; for a CA that it leaves out, the command line's counts. Raises
        :class:`~certbot_dns_persist.errors.UsageError`.
        """
        own = _ca(parts, "", whole=False)
        chosen = tuple(each for each in self._all if own.fits(each))
        if chosen:
            return chosen
        more: list[Part] = []
        if self._only is not None:
            if not own.issuers:
                more += [(ISSUER, issuer) for issuer in self._only.issuers]
            if THUMBPRINT in dict(parts) and own.prefix is None and self._only.prefix:
                more.append((PREFIX, self._only.prefix))
        made = _ca([*parts, *more], "")
        if not made.identities:
            raise incomplete("")
        return made.identities


def incomplete(dashes: str) -> UsageError:
    """Return the error for what names no CA, or no account there."""

    def key(name: str) -> str:
        return f"--{name}" if dashes else f"{name}="

    return UsageError(
        f"Without Certbot's files, give {key(ISSUER)} with {key(URI)} or, for a CA that hashes "
        f"account URIs, with {key(URL)}, {key(THUMBPRINT)} and {key(PREFIX)}."
    )


@dataclasses.dataclass(frozen=True)
class _Ca:
    """A CA, and accounts there; in a line of a list, what it says of these."""

    issuers: tuple[str, ...]
    uris: tuple[str, ...]
    urls: tuple[str, ...]
    thumbprints: tuple[str, ...]
    prefix: str | None
    identities: tuple[Identity, ...] = ()

    def fits(self, identity: Identity) -> bool:
        """Whether all that this says is true of ``identity``."""
        terms, account = identity.terms, identity.account
        plain = terms.plain or (None if terms.hash_prefix else account.url)
        return (
            {*self.issuers} <= {*terms.issuer_domain_names}
            and {*self.uris} <= {plain}
            and {*self.urls} <= {account.url}
            and {*self.thumbprints} <= {account.thumbprint}
            and self.prefix in (None, terms.hash_prefix)
        )


def _groups(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Yield the parts of each CA: it begins with an issuer that follows what is of another."""
    keys = [key for key, _ in parts]
    if max(keys.count(URI) + keys.count(THUMBPRINT), keys.count(URL)) <= 1:
        if parts:
            yield parts
        return
    group: list[Part] = []
    for part in parts:
        seen = [key for key, _ in group]
        if part[0] == ISSUER and ISSUER in seen[:-1] and seen[-1] != ISSUER:
            yield group
            group = []
        group.append(part)
    yield group


def _ca(parts: Sequence[Part], dashes: str, *, whole: bool = True) -> _Ca:
    """Return the CA that ``parts`` describe; unless ``whole``, nothing is missing there.

    ``dashes`` stand before the keys where they are options.
    """

    def values(wanted: str) -> tuple[str, ...]:
        return tuple(value for key, value in parts if key == wanted)

    for key, value in parts:
        if key in (URI, URL, PREFIX):
            _require_uri(f"{dashes}{key}", value)
    issuers = tuple(sorted({_issuer(f"{dashes}{ISSUER}", name) for name in values(ISSUER)}))
    uris, urls, thumbprints, prefixes = map(values, (URI, URL, THUMBPRINT, PREFIX))
    for value in thumbprints:
        if not _THUMBPRINT.fullmatch(value):
            raise UsageError(
                f"{dashes}{THUMBPRINT} {value!r} is not a SHA-256 thumbprint in base64url, which "
                "has 43 characters (RFC 7638)."
            )
    if len({*prefixes}) > 1:
        raise UsageError(f"{dashes}{PREFIX} {prefixes[1]!r}: a CA has only one.")
    ca = _Ca(issuers, uris, urls, thumbprints, prefixes[0] if prefixes else None)
    if not whole or not (uris or urls or thumbprints):
        return ca
    plain = uris and not thumbprints and not prefixes
    hashed = urls and thumbprints and prefixes and not uris
    if not issuers or not (plain or hashed):
        raise incomplete(dashes)
    if plain and len(urls) not in (0, len(uris)):
        raise _unpaired(f"{dashes}{URI}", f"{dashes}{URL}")
    if hashed and len(urls) != len(thumbprints):
        raise _unpaired(f"{dashes}{URL}", f"{dashes}{THUMBPRINT}")
    if plain:
        pairs = zip(uris, urls or uris, strict=True)
        found = [Identity(Terms(issuers, uri), Account(url, "")) for uri, url in pairs]
    else:
        pairs = zip(urls, thumbprints, strict=True)
        terms = Terms(issuers, None, ca.prefix)
        found = [Identity(terms, Account(url, thumbprint)) for url, thumbprint in pairs]
    return dataclasses.replace(ca, identities=tuple(found))


def _of_known(known: KnownAccount, ca: _Ca | None) -> Identity | None:
    """Return a declared account at its own CA, or else at ``ca``; ``None`` if it has none."""
    theirs, given = known.issuer_domain_names, ca.issuers if ca else ()
    issuers = theirs or given
    if known.former or not issuers or (theirs and given and not {*theirs} & {*given}):
        return None
    prefix = known.hash_prefix if theirs else (ca.prefix if ca else None)
    current, *earlier = known.thumbprints or ("",)
    if prefix and not current:
        return None
    plain = known.uris[0] if known.uris else None if prefix else known.url
    terms = Terms(issuers, plain, prefix)
    return Identity(terms, Account(known.url, current if prefix else ""), tuple(earlier))


def _unpaired(one: str, other: str) -> UsageError:
    return UsageError(f"Of several accounts of a CA, each has its own {one} and its own {other}.")


def _require_uri(what: str, value: str) -> None:
    if not is_parameter_value(value):
        raise UsageError(
            f"{what} {value!r} cannot be part of a record: it has a blank, a semicolon or "
            "a character that is not printable ASCII."
        )
    if not _SCHEME.match(value):
        raise UsageError(
            f"{what} {value!r} is not a URI: it does not begin with a scheme such as https:."
        )


def _issuer(what: str, name: str) -> str:
    try:
        return normalize_domain_name(name)
    except ValueError as error:
        raise UsageError(f"{what} {name!r} cannot be used: {error}.") from error
