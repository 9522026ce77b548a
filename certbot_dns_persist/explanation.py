"""What a TXT value means, and what keeps a CA from accepting it. Pure: no I/O, no clock."""

import dataclasses

from certbot_dns_persist import obsolete
from certbot_dns_persist.pasted import Pasted, read_pasted
from certbot_dns_persist.record import (
    VALIDATION_LABEL,
    Finding,
    MalformedRecord,
    ValidationRecord,
    evaluate,
    parse_record,
    validation_domain_name,
)

_KNOWN = ("accounturi", "policy", "persistuntil")

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

    @property
    def well_formed(self) -> bool:
        """Whether a CA can read it, as it was pasted."""
        return self.record is not None

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
    return Explanation(
        pasted=pasted,
        record=record,
        finding=_finding(pasted.value, record, question),
        fault=fault,
        ignored=_ignored(pasted.value) if record else (),
        remarks=tuple(_remarks(pasted, record)),
        old=obsolete.recognize(pasted.value),
    )


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
