"""What a TXT value means, and what keeps a CA from accepting it. Pure: no I/O, no clock."""

import dataclasses
import re

from certbot_dns_persist.record import (
    VALIDATION_LABEL,
    Finding,
    MalformedRecord,
    ValidationRecord,
    Verdict,
    comparable_end,
    evaluate,
    normalize_domain_name,
    parse_record,
    read_record,
    validation_domain_name,
)
from certbot_dns_persist.value import obsolete
from certbot_dns_persist.value.pasted import Pasted, read_pasted
from certbot_dns_persist.value.slips import (
    QUOTED,
    same_but_for_case,
    too_long,
    without_doubled_end,
    without_quotes,
)

_KNOWN = ("accounturi", "policy", "persistuntil")

#: How values for other purposes begin (in any case), and what they look like.
_OTHERS = {
    r"v=spf1\b": "an SPF policy, which says who may send mail for a domain",
    r"v=dmarc1\b": "a DMARC policy, which says what to do with forged mail",
    r"v=dkim1\b": "a DKIM key, which shows whether mail is forged",
    r"v=(stsv1|tlsrptv1|bimi1)\b": "a policy for mail (MTA-STS, TLS-RPT or BIMI)",
    r"[\w.-]*verif[\w.-]*[=:]|ms=ms": "a proof to another service that you own the domain",
}

#: Within so many characters a value says what it is for. The patterns above take quadratic time,
#: and a stranger's TXT record may hold 64 kB.
_BEGINNING = 200

#: Above that, a time in seconds is in the year 5138 or later.
MILLISECONDS = 10**11


@dataclasses.dataclass(frozen=True)
class Criteria:
    """What each value must authorise. Without issuers or account URIs, any will do."""

    issuers: tuple[str, ...]
    account_uris: tuple[str, ...]
    wildcard: bool
    at: int
    """UNIX seconds."""

    @property
    def asks(self) -> bool:
        """Whether they ask for authorisation, and not only for a valid form."""
        return bool(self.issuers or self.account_uris or self.wildcard)


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What one value means."""

    pasted: Pasted
    record: ValidationRecord | None
    """``None`` when no CA can read the value."""
    finding: Finding
    """The verdict of the CA in the criteria or, if there is none, of the CA that it names."""
    fault: str | None
    """Why it is malformed by the standard, even if some CAs read it."""
    ignored: tuple[str, ...]
    """Parameters that a CA ignores, each with the reason."""
    remarks: tuple[str, ...]
    """What is wrong besides the value itself, a sentence each."""
    old: obsolete.Obsolete | None
    """What the value stands for, when it is of a form from before the standard."""
    bare: str | None
    """The record that it would be without the quotes or backslashes that stand in it."""
    other: str | None
    """Why it was never meant as a record, in words that follow "it"."""

    @property
    def well_formed(self) -> bool:
        """Whether every CA that follows the standard can read it, as it was pasted."""
        return self.fault is None

    @property
    def needed(self) -> str | None:
        """The value that is needed instead, as far as this one determines it."""
        if self.old:
            return self.old.needed
        if self.record and self.finding.verdict == Verdict.ACCEPTED_BY_SOME:
            end = comparable_end(self.record.persist_until)
            return dataclasses.replace(self.record, persist_until=end).to_value()
        if self.bare:
            return self.bare
        if self.other is None and not _is_name(self.pasted.value):
            return None
        issuer = "<issuer-domain-name>" if self.other else self.pasted.value
        return f"{issuer}; accounturi=<account-uri>"

    @property
    def authorizes(self) -> bool:
        """Whether this value alone authorises what the criteria ask for."""
        return self.finding.authorized


def explain(text: str, criteria: Criteria) -> Explanation:
    """Return what one value means, in any form that people paste."""
    pasted = read_pasted(text)
    record, fault = None, None
    try:
        record = read_record(pasted.value)
        parse_record(pasted.value)
    except MalformedRecord as error:
        fault = error.reason
    bare = without_quotes(pasted.value)
    other = None if record or bare else _other(pasted.value)
    return Explanation(
        pasted=pasted,
        record=record,
        finding=_finding(pasted.value, record, criteria),
        fault=fault,
        ignored=_ignored(pasted.value) if record else (),
        remarks=tuple(_remarks(pasted, record, bare, criteria)),
        bare=bare,
        old=None if other or bare else obsolete.recognize(pasted.value),
        other=other,
    )


def _other(value: str) -> str | None:
    """Return why ``value`` was never meant as a record; ``None`` if it may have been."""
    for beginning, looks in _OTHERS.items():
        if re.match(beginning, value[:_BEGINNING], re.IGNORECASE):
            return f"looks like {looks}"
    meant = any(f"{tag}=" in value.lower() for tag in _KNOWN)
    if meant or not value or _is_name(value.partition(";")[0]) or obsolete.recognize(value):
        return None
    return "does not begin with the name of a CA"


def _is_name(text: str) -> bool:
    """Whether ``text`` could be an issuer-domain-name; those of all CAs have a dot."""
    try:
        return "." in normalize_domain_name(text.strip())
    except ValueError:
        return False


def _finding(value: str, record: ValidationRecord | None, criteria: Criteria) -> Finding:
    own_issuer = [record.issuer_domain_name] if record else []
    own_account = [record.account_uri] if record else []
    (finding,) = evaluate(
        [value],
        issuer_domain_names=criteria.issuers or own_issuer,
        account_uris=criteria.account_uris or own_account,
        wildcard=criteria.wildcard,
        at=criteria.at,
    ).findings
    return finding


def _ignored(value: str) -> tuple[str, ...]:
    reasons = []
    for parameter in value.split(";")[1:]:
        tag, _, content = (part.strip() for part in parameter.partition("="))
        if tag.lower() not in _KNOWN:
            reasons.append(f"{tag}={content} (unknown to CAs)")
        elif tag.lower() == "policy" and content.lower() != "wildcard":
            reasons.append(f"{tag}={content} (only wildcard means anything)")
    return tuple(reasons)


def _remarks(
    pasted: Pasted, record: ValidationRecord | None, bare: str | None, criteria: Criteria
) -> list[str]:
    remarks = [pasted.warning] if pasted.warning else []
    if pasted.name:
        remarks += _remarks_on_name(pasted.name)
    if bare:
        remarks.append(f"It {QUOTED}. In a DNS web form, enter it without them.")
    uri = same_but_for_case(record.account_uri, criteria.account_uris) if record else None
    if uri:
        remarks.append(f"Upper and lower case count in an account URI. The one asked for: {uri}")
    if ";" not in pasted.value and "accounturi=" in pasted.value.lower():
        remarks.append("It has no semicolon; one must stand before accounturi.")
    if record and (record.persist_until or 0) >= MILLISECONDS:
        remarks.append("persistUntil is in seconds; this one looks like milliseconds.")
    return remarks


def _remarks_on_name(name: str) -> list[str]:
    label, _, domain = name.partition(".")
    right = validation_domain_name(domain) if domain else VALIDATION_LABEL
    once = without_doubled_end(domain)
    if once and label in (VALIDATION_LABEL, "_acme-challenge"):
        return [
            f"{name} has {domain.removeprefix(once + '.')} twice: the DNS service appends the "
            f"zone's name itself. CAs look at {validation_domain_name(once)}."
        ]
    if domain and (why := too_long(domain)):
        return [why]
    if label in obsolete.NAMES:
        return [f"No CA looks at {name} ({obsolete.NAMES[label]}), but at {right}."]
    if label == VALIDATION_LABEL and domain.startswith("*."):
        return [f"No CA looks at {name}: a wildcard is proven by the record at {right}."]
    if label == "_acme-challenge":
        return [f"{name} is for dns-01; CAs look for a persistent record at {right}."]
    if name == "@" or label == VALIDATION_LABEL:
        return []
    return [
        f"A CA looks at {VALIDATION_LABEL}.DOMAIN, so {name} is only right if that is an alias "
        "(CNAME) for it."
    ]
