"""What a TXT value means, and what keeps a CA from accepting it. Pure: no I/O, no clock."""

import dataclasses
import re

from certbot_dns_persist.record import (
    VALIDATION_LABEL,
    Finding,
    MalformedRecord,
    ValidationRecord,
    evaluate,
    normalize_domain_name,
    parse_record,
    validation_domain_name,
)
from certbot_dns_persist.value import obsolete
from certbot_dns_persist.value.pasted import Pasted, read_pasted

_KNOWN = ("accounturi", "policy", "persistuntil")

#: How values for other ends begin, in any case, and what they look like.
_OTHERS = {
    r"v=spf1\b": "an SPF policy, which says who may send mail for a domain",
    r"v=dmarc1\b": "a DMARC policy, which says what becomes of forged mail",
    r"v=dkim1\b": "a DKIM key, by which mail is told from forged mail",
    r"v=(stsv1|tlsrptv1|bimi1)\b": "a policy for mail (MTA-STS, TLS-RPT or BIMI)",
    r"[\w.-]*verif[\w.-]*[=:]|ms=ms": "a proof for another service that the domain is yours",
}

#: Within so many characters a value says what it is for. The patterns above take quadratic time,
#: and a stranger's TXT record may hold 64 kB.
_BEGINNING = 200

#: Above that, a time in seconds is in the year 5138 or later.
MILLISECONDS = 10**11


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of each value. Nothing asked of CA or account: any will do."""

    issuers: tuple[str, ...]
    account_uris: tuple[str, ...]
    wildcard: bool
    at: int
    """UNIX seconds."""

    @property
    def asks(self) -> bool:
        """Whether it is about authorising something, and not only about the form."""
        return bool(self.issuers or self.account_uris or self.wildcard)


@dataclasses.dataclass(frozen=True)
class Explanation:
    """One value."""

    pasted: Pasted
    record: ValidationRecord | None
    """``None`` when the value is malformed."""
    finding: Finding
    """What the CA of the question makes of it or, when none is asked for, the CA that it names."""
    fault: str | None
    """Why it is malformed."""
    ignored: tuple[str, ...]
    """Parameters that a CA passes over, each with why."""
    remarks: tuple[str, ...]
    """What is wrong beside the value itself, a sentence each."""
    old: obsolete.Obsolete | None
    """What the value stands for, when it is of a form from before the standard."""
    other: str | None
    """What tells that it was never meant as a record, in words that go on after "it"."""

    @property
    def well_formed(self) -> bool:
        """Whether a CA can read it, as it was pasted."""
        return self.record is not None

    @property
    def needed(self) -> str | None:
        """The value that is needed in its place, as far as it can be told from this one."""
        if self.old:
            return self.old.needed
        if self.other is None and not _is_name(self.pasted.value):
            return None
        issuer = "<issuer-domain-name>" if self.other else self.pasted.value
        return f"{issuer}; accounturi=<account-uri>"

    @property
    def authorizes(self) -> bool:
        """Whether it alone answers the question."""
        return self.finding.authorized


def explain(text: str, question: Question) -> Explanation:
    """Explain one value, in any form in which people paste them."""
    pasted = read_pasted(text)
    record, fault = None, None
    try:
        record = parse_record(pasted.value)
    except MalformedRecord as error:
        fault = error.reason
    other = None if record else _other(pasted.value)
    return Explanation(
        pasted=pasted,
        record=record,
        finding=_finding(pasted.value, record, question),
        fault=fault,
        ignored=_ignored(pasted.value) if record else (),
        remarks=tuple(_remarks(pasted, record)),
        old=None if other else obsolete.recognize(pasted.value),
        other=other,
    )


def _other(value: str) -> str | None:
    """Return what tells that ``value`` was never meant as a record; ``None`` when it may be."""
    for beginning, looks in _OTHERS.items():
        if re.match(beginning, value[:_BEGINNING], re.IGNORECASE):
            return f"looks like {looks}"
    meant = any(f"{tag}=" in value.lower() for tag in _KNOWN)
    if meant or not value or _is_name(value.partition(";")[0]) or obsolete.recognize(value):
        return None
    return "does not begin with the name of a CA"


def _is_name(text: str) -> bool:
    """Whether ``text`` could be an issuer-domain-name; all CAs' have a dot."""
    try:
        return "." in normalize_domain_name(text.strip())
    except ValueError:
        return False


def _finding(value: str, record: ValidationRecord | None, question: Question) -> Finding:
    own_issuer = [record.issuer_domain_name] if record else []
    own_account = [record.account_uri] if record else []
    (finding,) = evaluate(
        [value],
        issuer_domain_names=question.issuers or own_issuer,
        account_uris=question.account_uris or own_account,
        wildcard=question.wildcard,
        at=question.at,
    ).findings
    return finding


def _ignored(value: str) -> tuple[str, ...]:
    reasons = []
    for parameter in value.split(";")[1:]:
        tag, _, content = (part.strip() for part in parameter.partition("="))
        if tag.lower() not in _KNOWN:
            reasons.append(f"{tag}={content} (no CA knows it)")
        elif tag.lower() == "policy" and content.lower() != "wildcard":
            reasons.append(f"{tag}={content} (only wildcard means anything)")
    return tuple(reasons)


def _remarks(pasted: Pasted, record: ValidationRecord | None) -> list[str]:
    remarks = [pasted.warning] if pasted.warning else []
    if pasted.name:
        remarks += _remarks_on_name(pasted.name)
    if ";" not in pasted.value and "accounturi=" in pasted.value.lower():
        remarks.append("It has no semicolon, and one stands before accounturi and what follows.")
    if record and (record.persist_until or 0) >= MILLISECONDS:
        remarks.append("Its persistUntil is in seconds; this one looks like milliseconds.")
    return remarks


def _remarks_on_name(name: str) -> list[str]:
    label, _, domain = name.partition(".")
    right = validation_domain_name(domain) if domain else VALIDATION_LABEL
    if label in obsolete.NAMES:
        return [f"No CA looks at {name} ({obsolete.NAMES[label]}), but at {right}."]
    if label == VALIDATION_LABEL and domain.startswith("*."):
        return [f"No CA looks at {name}: a wildcard is proven by the record at {right}."]
    if label == "_acme-challenge":
        return [f"{name} is for dns-01; a persistent record is looked for at {right}."]
    if name == "@" or label == VALIDATION_LABEL:
        return []
    return [
        f"A CA looks at {VALIDATION_LABEL} and the domain, so at {name} only if that is an alias "
        "(CNAME) for it."
    ]
