"""What a TXT value means, in words, for a terminal or an e-mail."""

import re
from collections.abc import Iterator

from certbot_dns_persist.record import ValidationRecord, Verdict, format_time
from certbot_dns_persist.render.labelled import labelled
from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.explanation import MILLISECONDS, Criteria, Explanation

#: Not wrapped, because they are there to be copied.
_TO_COPY = ("name", "account", "needed")

_HASHED = re.compile("/sha-256/[A-Za-z0-9_-]{43}$")

_DAY = 86400


def render(explained: Explanation, criteria: Criteria) -> str:
    """Return the value as it was read, then what it says and a CA's verdict."""
    lines = [printable(explained.pasted.value) or "(an empty value)"]
    for label, text in _parts(explained, criteria):
        lines += labelled(label, printable(text), to_copy=label in _TO_COPY)
    return "\n".join(lines)


def _parts(explained: Explanation, criteria: Criteria) -> Iterator[tuple[str, str]]:
    if explained.pasted.name:
        yield "name", explained.pasted.name
    record = explained.record
    if record:
        yield "CA", record.issuer_domain_name
        yield "account", record.account_uri
        if _HASHED.search(record.account_uri):
            yield "", "(a hash, of draft -02: only the CA and its holder know the account)"
        yield "covers", _covers(record)
        yield "until", _until(record, criteria.at)
    for ignored in explained.ignored:
        yield "ignored", ignored
    for remark in explained.remarks:
        yield "note", remark
    yield "verdict", _verdict(explained, criteria)
    old = explained.old
    if old:
        yield "form", f"It is {old.form}. No CA accepts it."
        for problem in old.problems:
            yield "missing", problem
    if explained.needed:
        yield "needed", explained.needed
        yield "", "(certbot-dns-persist record -d DOMAIN prints it for Certbot's account.)"


def _covers(record: ValidationRecord) -> str:
    if record.wildcard:
        return "the name, its wildcard and, where the CA allows it, every name below"
    return "the name itself, but no wildcard"


def _until(record: ValidationRecord, at: int) -> str:
    end = record.persist_until
    if end is None:
        return "no expiry"
    if end >= MILLISECONDS:
        return format_time(end)
    days = abs(end - at) // _DAY
    return f"{format_time(end)} ({f'{days} days ago' if end < at else f'in {days} days'})"


def _verdict(explained: Explanation, criteria: Criteria) -> str:
    finding = explained.finding
    if explained.other:
        return f"Not a dns-persist-01 value, so no CA accepts it: it {explained.other}."
    if explained.record is None:
        return f"Malformed, so no CA accepts it: {explained.fault}."
    if finding.verdict == Verdict.ACCEPTED_BY_SOME:
        return f"It {finding.reason}."
    if not finding.authorized:
        if not criteria.asks:
            return f"Well-formed, but it {finding.reason}."
        return f"Does not authorise: it {finding.reason}."
    issuer = explained.record.issuer_domain_name
    if not criteria.asks:
        return f"Well-formed. {issuer} accepts it for that account."
    return f"Authorises. {issuer} accepts it for that account{_scope(criteria)}."


def _scope(criteria: Criteria) -> str:
    return ", also for a wildcard" if criteria.wildcard else ""
