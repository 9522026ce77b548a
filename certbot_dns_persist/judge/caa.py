"""Whether a domain's CAA records let this CA issue by ``dns-persist-01``.

RFC 8659 section 4 and RFC 8657. If they forbid it, the best TXT record does not help. Pure: the
records come with an :class:`~certbot_dns_persist.lookup.found.Inspection`.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from certbot_dns_persist.record import is_parameter_value
from certbot_dns_persist.request.request import ValidationRequest

_CRITICAL = 128
# Those of RFC 8659 section 4; a CA need not know any other.
_KNOWN_TAGS = {"issue", "issuewild", "iodef"}
_TAG = re.compile("[A-Za-z0-9-]+")


def forbids(
    records: Sequence[tuple[int, str, str]],
    request: ValidationRequest,
    names: Collection[str] = (),
) -> str | None:
    """Return why ``records`` (flags, tag, value) forbid ``request``; ``None`` if they allow it.

    ``names`` are the domain names to be proven; by default the request's domain and, if it is
    for a wildcard, that too. Here the account is always the plain ACME account URL, never its
    hash (draft section 7.7).
    """
    if not records:
        return None
    for flags, tag, _ in records:
        if flags & _CRITICAL and tag.lower() not in _KNOWN_TAGS:
            return f"a CAA record has the critical property {tag!r}, which CAs do not know"
    issue, issuewild = _values(records, "issue"), _values(records, "issuewild")
    relevant = []
    if request.domain in names or not names:
        relevant.append(("issue", issue))
    if f"*.{request.domain}" in names or (request.wildcard and not names):
        # RFC 8659 section 4.3: for wildcards, issuewild goes before issue.
        relevant.append(("issuewild", issuewild) if issuewild else ("issue", issue))
    for tag, values in relevant:
        refusals = [_refusal(value, request) for value in values]
        if values and all(refusals):
            return f"CAA {tag}: " + "; ".join(filter(None, refusals))
    return None


def _values(records: Iterable[tuple[int, str, str]], tag: str) -> list[str]:
    return [value for _, found, value in records if found.lower() == tag]


def _refusal(value: str, request: ValidationRequest) -> str | None:
    issuer, parameters = _parse(value)
    if parameters is None:
        return f"{value!r} is malformed, so no CA may issue"  # RFC 8659 section 4.2
    if issuer not in request.issuer_domain_names:
        return f"{value!r} does not name this CA ({', '.join(request.issuer_domain_names)})"
    accounts = [content for tag, content in parameters if tag == "accounturi"]
    methods = [content for tag, content in parameters if tag == "validationmethods"]
    if len(accounts) > 1 or len(methods) > 1:
        return f"{value!r} has a parameter twice, which no CA can satisfy"  # RFC 8657 section 3
    if accounts and accounts[0] != request.account_url:
        return f"{value!r} is for an account other than {request.account_url}"
    if methods and "dns-persist-01" not in methods[0].split(","):
        return f"{value!r} does not list dns-persist-01 among its validationmethods"
    return None


def _parse(value: str) -> tuple[str, list[tuple[str, str]] | None]:
    """Return the issuer's name and the parameters; ``None`` for those that cannot be read."""
    name, _, rest = value.partition(";")
    issuer = name.strip(" \t").lower().removesuffix(".")
    parameters = []
    # Unlike in a TXT record, nothing may follow the semicolon.
    for parameter in rest.split(";") if rest.strip(" \t") else ():
        tag, equals, content = (part.strip(" \t") for part in parameter.partition("="))
        if not (equals and _TAG.fullmatch(tag) and is_parameter_value(content)):
            return issuer, None
        parameters.append((tag.lower(), content))
    return issuer, parameters
