"""Whether a domain's CAA records let this CA issue by ``dns-persist-01``.

RFC 8659 section 4 and RFC 8657. A perfect TXT record does not help against them. Pure: the
records come from :meth:`certbot_dns_persist.lookup.Lookup.caa`.
"""

from collections.abc import Iterable, Sequence

from certbot_dns_persist.request import ValidationRequest

_CRITICAL = 128
_KNOWN_TAGS = {
    "issue",
    "issuewild",
    "iodef",
    "contactemail",
    "contactphone",
    "issuemail",
    "issuevmc",
}


def forbids(records: Sequence[tuple[int, str, str]], request: ValidationRequest) -> str | None:
    """Return why ``records`` (flags, tag, value) forbid ``request``, ``None`` when they allow it.

    The account is always the plain ACME account URL here, never its hash (draft section 7.7).
    """
    for flags, tag, _ in records:
        if flags & _CRITICAL and tag.lower() not in _KNOWN_TAGS:
            return f"a CAA record has the critical property {tag!r}, which CAs do not know"
    issue = _values(records, "issue")
    # A wildcard needs both: its base name is proven by the same request.
    issuewild = (_values(records, "issuewild") or issue) if request.wildcard else []
    for tag, values in (("issue", issue), ("issuewild", issuewild)):
        refusals = [_refusal(value, request) for value in values]
        if values and all(refusals):
            return f"CAA {tag}: " + "; ".join(filter(None, refusals))
    return None


def _values(records: Iterable[tuple[int, str, str]], tag: str) -> list[str]:
    return [value for _, found, value in records if found.lower() == tag]


def _refusal(value: str, request: ValidationRequest) -> str | None:
    issuer, *parameters = (part.strip(" \t") for part in value.split(";"))
    if issuer.lower().removesuffix(".") not in request.issuer_domain_names:
        return f"{value!r} does not name this CA ({', '.join(request.issuer_domain_names)})"
    for parameter in parameters:
        tag, _, content = (part.strip(" \t") for part in parameter.partition("="))
        if tag.lower() == "accounturi" and content != request.account_url:
            return f"{value!r} is for another account than {request.account_url}"
        methods = [method.strip(" \t") for method in content.split(",")]
        if tag.lower() == "validationmethods" and "dns-persist-01" not in methods:
            return f"{value!r} does not list dns-persist-01 among its validationmethods"
    return None
