"""The TXT value at ``_validation-persist.<FQDN>``: parse it, format it, judge it.

Pure: no I/O, no clock, nothing of this package. What :func:`evaluate` calls valid, the drafts allow
and every validator accepts that the CA is known to run; references are to
draft-ietf-acme-dns-persist-02.

The value is an RFC 8659 issue-value::

    letsencrypt.org; accounturi=https://ca.example/acct/1; policy=wildcard; persistUntil=1830000000
"""

import contextlib
import dataclasses
import datetime
import enum
import functools
import math
import re
import unicodedata
from collections.abc import Collection, Iterable

VALIDATION_LABEL = "_validation-persist"

#: The longest domain name, in octets, without the trailing dot (RFC 1035 section 2.3.4).
MAX_NAME_OCTETS = 253

# NFC joins at most four characters into one, which is at least one octet. We refuse longer names
# unread: NFC takes quadratic time for combining marks, and a stranger's TXT record may have 64 kB.
_MAX_NAME_CHARACTERS = 4 * (MAX_NAME_OCTETS + 1)

_INT64 = range(-(2**63), 2**63)
_WHITESPACE = " \t"
_LDH_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NORMAL_NAME = re.compile(rf"(?!.{{254}})(?:{_LDH_LABEL.pattern}\.)*{_LDH_LABEL.pattern}")
# RFC 8659 section 4.2: every printable ASCII octet except the space and the semicolon.
_PARAMETER_VALUE = re.compile(r"[\x21-\x3A\x3C-\x7E]*")
_TAG = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9])*")
_DECIMAL = re.compile(r"-?[0-9]+")
_SIGNED_DECIMAL = re.compile(r"[+-]?[0-9]+")

#: The last persistUntil that programs in Go can compare. Their ``time.Unix`` adds the seconds from
#: the year 1 to 1970; beyond this, the sum overflows a signed 64-bit integer, and seems long past.
LAST_COMPARABLE_SECOND = 2**63 - 1 - 62_135_596_800


class MalformedRecord(ValueError):
    """The value cannot be read as a validation record; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# UTS 46 section 4, table 1: what IDNA 2003 converts and IDNA 2008 keeps, which gives two domains.
_DEVIATIONS = {
    "\N{LATIN SMALL LETTER SHARP S}": "ss",
    "\N{LATIN CAPITAL LETTER SHARP S}": "ss",
    "\N{GREEK SMALL LETTER FINAL SIGMA}": "\N{GREEK SMALL LETTER SIGMA}",
    "\N{ZERO WIDTH NON-JOINER}": "",
    "\N{ZERO WIDTH JOINER}": "",
}
_KEPT = {kept: kept for kept in _DEVIATIONS} | {
    "\N{LATIN CAPITAL LETTER SHARP S}": "\N{LATIN SMALL LETTER SHARP S}"
}
_DEVIATION = re.compile(f"([{''.join(_DEVIATIONS)}])")


@functools.lru_cache(maxsize=1000)  # thousands of records have the same few names of CAs
def normalize_domain_name(name: str) -> str:
    """Return ``name`` as draft section 9.2 compares it: case-folded, NFC, A-labels, no final dot.

    Raises :class:`ValueError` if it is not a host name: a label or the name is empty or too long,
    or has characters that cannot be converted, or would be to another domain by some programs.
    """
    if _NORMAL_NAME.fullmatch(name):
        return name
    if len(name) > _MAX_NAME_CHARACTERS:
        raise ValueError(
            f"the name has {len(name)} characters, which are more than the {MAX_NAME_OCTETS} "
            "octets allowed"
        )
    if not name.isascii() and (found := _DEVIATION.search(name)):
        raise ValueError(_two_domains(name, found[0]))
    return _in_a_labels(name.casefold(), name)


def is_normal_domain_name(name: str) -> bool:
    """Whether ``name`` is as :func:`normalize_domain_name` returns it: for millions of names."""
    return _NORMAL_NAME.fullmatch(name) is not None


def _in_a_labels(folded: str, name: str) -> str:
    """Return ``folded``, which is ``name`` in lower case, in A-labels, or raise ValueError."""
    # Ideographic full stops are label separators, too (RFC 3490 section 3.1).
    labels = re.split("[.\u3002\uff0e\uff61]", unicodedata.normalize("NFC", folded))
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()
    normalized = ".".join(_a_label(label, name) for label in labels)
    if len(normalized) > MAX_NAME_OCTETS:
        raise ValueError(
            f"the name has {len(normalized)} octets, more than the {MAX_NAME_OCTETS} allowed"
        )
    return normalized


def _two_domains(name: str, deviation: str) -> str:
    """Return why ``name`` is refused for such a character, with its spelling in each domain."""
    spellings = []
    for becomes in (_DEVIATIONS.get, _KEPT.get):
        parts = [becomes(part, part.casefold()) for part in _DEVIATION.split(name)]
        with contextlib.suppress(ValueError):  # not everything may stand everywhere
            spellings.append(_in_a_labels("".join(parts), name))
    return (
        f"{name!r} is not a domain name: the character {deviation!r} means different domains to "
        f"different programs. Write the one that you mean: {' or '.join(spellings)}"
    )


def _a_label(label: str, name: str) -> str:
    if label.isascii():
        if not _LDH_LABEL.fullmatch(label):
            raise ValueError(f"{name!r} is not a domain name: it has the label {label!r}")
        return label
    import idna  # its tables are large, and only names that are not ASCII need them

    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"{name!r} is not a domain name: {error}") from error


def validation_domain_name(domain: str) -> str:
    """Return the name of the TXT record for ``domain`` (draft section 2), without any ``*.``."""
    return f"{VALIDATION_LABEL}.{domain.removeprefix('*.')}"


@dataclasses.dataclass(frozen=True)
class ValidationRecord:
    """The meaning of one record. Raises MalformedRecord for what cannot be written as a record.

    ``issuer_domain_name`` is normalised, ``policy`` is ``"wildcard"`` or ``None`` (any other value
    counts as absent, draft section 4.1 item 4), ``persist_until`` is in UNIX seconds.
    """

    issuer_domain_name: str
    account_uri: str
    policy: str | None = None
    persist_until: int | None = None

    def __post_init__(self) -> None:
        try:
            issuer = normalize_domain_name(self.issuer_domain_name)
        except ValueError as error:
            raise MalformedRecord(f"the issuer-domain-name cannot be used: {error}") from error
        object.__setattr__(self, "issuer_domain_name", issuer)
        _require_parameter_value("accounturi", self.account_uri)
        if not self.account_uri:
            raise MalformedRecord("the mandatory accounturi is empty")
        policy = (self.policy or "").lower()
        object.__setattr__(self, "policy", policy if policy == "wildcard" else None)
        if self.persist_until is not None and self.persist_until not in _INT64:
            raise MalformedRecord(
                f"persistUntil {self.persist_until} does not fit a signed 64-bit integer"
            )

    @property
    def wildcard(self) -> bool:
        """Whether the record also covers wildcards (draft section 5.1)."""
        return self.policy == "wildcard"

    def expired(self, at: int) -> bool:
        """Whether persistUntil is before ``at`` (UNIX seconds)."""
        return self.persist_until is not None and at > self.persist_until

    def to_value(self) -> str:
        """Return the TXT value; :func:`parse_record` reads it back as an equal record."""
        parts = [self.issuer_domain_name, f"accounturi={self.account_uri}"]
        if self.policy is not None:
            parts.append(f"policy={self.policy}")
        if self.persist_until is not None:
            parts.append(f"persistUntil={self.persist_until}")
        return "; ".join(parts)


@dataclasses.dataclass(frozen=True)
class _Validator:
    """How validators differ; Boulder and Pebble according to their sources of 2026."""

    name: str

    deployed: bool = True
    """Whether it is one of Let's Encrypt's two, which agree in this.

    Both accept any tag, and a plus sign before persistUntil, and compare times as Go does. Their
    DNS library escapes octets that are not printable ASCII: so a TAB is not a blank, and the values
    of unknown parameters may have any of these octets.
    """

    takes_repeated: bool = True
    """Whether it ignores unknown parameters that are repeated."""

    normalizes_issuer: bool = True
    """Whether it normalises the issuer-domain-name before it compares it."""

    @property
    def blanks(self) -> str:
        """The blanks that may surround every part."""
        return " " if self.deployed else _WHITESPACE


_STANDARD = _Validator("the standard", deployed=False)
_BOULDER = _Validator("Boulder")
_PEBBLE = _Validator("Pebble", takes_repeated=False, normalizes_issuer=False)

#: The validator of each CA, if we know what it runs; for other CAs, all validators count.
_VALIDATORS = {
    "letsencrypt.org": (_STANDARD, _BOULDER),
    "pebble.letsencrypt.org": (_STANDARD, _PEBBLE),
}
_ALL_VALIDATORS = (_STANDARD, _BOULDER, _PEBBLE)


def parse_record(value: str) -> ValidationRecord:
    """Return the record in ``value``, the joined strings of one TXT record.

    Parameters with unknown tags are ignored, even if repeated. Raises :class:`MalformedRecord` if
    the value violates RFC 8659 section 4.2 or draft section 4.1.
    """
    return _parse(value, _STANDARD)


def read_record(value: str) -> ValidationRecord:
    """Return the record in ``value``, even if only some deployed CAs can read it.

    Raises :class:`MalformedRecord`, as :func:`parse_record`, if no known validator can read it.
    """
    try:
        return _parse(value, _STANDARD)
    except MalformedRecord as error:
        try:
            return _parse(value, _BOULDER)  # Pebble reads nothing that both of these refuse
        except MalformedRecord:
            raise error from None


def _parse(value: str, validator: _Validator) -> ValidationRecord:
    issuer, *parameters = value.split(";")
    known: dict[str, str] = {}
    unknown: set[str] = set()
    for parameter in parameters:
        tag, content = _parse_parameter(parameter, validator)
        folded = tag.lower()
        if folded in known or (folded in unknown and not validator.takes_repeated):
            raise MalformedRecord(f"the parameter {tag} is given twice")
        if folded in ("accounturi", "policy", "persistuntil"):
            known[folded] = content
        else:
            unknown.add(folded)
    issuer = issuer.strip(validator.blanks)
    if not issuer:
        raise MalformedRecord("the issuer-domain-name is missing")
    if "accounturi" not in known:
        raise MalformedRecord("the mandatory accounturi is missing")
    return ValidationRecord(
        issuer_domain_name=issuer,
        account_uri=known["accounturi"],
        policy=known.get("policy"),
        persist_until=_parse_persist_until(known.get("persistuntil"), validator),
    )


def _parse_parameter(parameter: str, validator: _Validator) -> tuple[str, str]:
    blanks = validator.blanks
    stripped = parameter.strip(blanks)
    if not stripped:
        raise MalformedRecord("it has an empty parameter or ends in a semicolon")
    tag, equals, content = stripped.partition("=")
    tag, content = tag.rstrip(blanks), content.lstrip(blanks)
    if not equals:
        raise MalformedRecord(f"the parameter {stripped!r} has no '='")
    if not tag:
        raise MalformedRecord(f"the parameter {stripped!r} has no tag")
    if not validator.deployed:
        if not _TAG.fullmatch(tag):
            raise MalformedRecord(
                f"the tag {tag!r} is not made of letters, digits and inner hyphens"
            )
        _require_parameter_value(tag, content)
    elif " " in content:
        raise MalformedRecord(f"the value of {tag} holds a blank")
    return tag, content


def is_parameter_value(content: str) -> bool:
    """Whether ``content`` may follow a tag's ``=`` (RFC 8659 section 4.2)."""
    return _PARAMETER_VALUE.fullmatch(content) is not None


def _require_parameter_value(tag: str, content: str) -> None:
    if not is_parameter_value(content):
        raise MalformedRecord(
            f"the value of {tag} has a blank, a semicolon or an octet that is not printable ASCII"
        )


def _parse_persist_until(content: str | None, validator: _Validator) -> int | None:
    if content is None:
        return None
    form = _SIGNED_DECIMAL if validator.deployed else _DECIMAL
    # Check the length first: for thousands of digits, int() raises an error of its own.
    if not form.fullmatch(content) or len(content.lstrip("+-0")) > 19:
        raise MalformedRecord(
            f"persistUntil {content[:30]!r} is not a decimal number of UNIX seconds in 64 bits"
        )
    return int(content)


def comparable_end(persist_until: int | None) -> int | None:
    """Return a persistUntil that every validator can compare: one too far away means no end."""
    if persist_until is not None and persist_until > LAST_COMPARABLE_SECOND:
        return None
    return persist_until


class Verdict(str, enum.Enum):
    """The CA's answer (draft sections 4.3.2 and 9.3.1); compares and prints as its string.

    ``ACCEPTED_BY_SOME``: one validator accepts it and another refuses it; the standard counts as
    one. If we know what the CA runs, no other validator counts.
    """

    VALID = "valid"
    ACCEPTED_BY_SOME = "accepted-by-some"
    MALFORMED = "malformed"
    UNAUTHORIZED = "unauthorized"

    __str__ = str.__str__


@dataclasses.dataclass(frozen=True)
class Finding:
    """The CA's verdict on one value. ``record`` is ``None`` if no known validator can read it."""

    value: str
    verdict: Verdict
    reason: str
    record: ValidationRecord | None

    @property
    def authorized(self) -> bool:
        """Whether this value alone authorises, at every CA of that name as far as we know."""
        return self.verdict == Verdict.VALID

    @property
    def end(self) -> float:
        """When the record expires, in UNIX seconds; infinity if it never does."""
        until = None if self.record is None else self.record.persist_until
        return math.inf if until is None else until


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The CA's verdict on all values at one name.

    ``ACCEPTED_BY_SOME`` means that none certainly authorises, ``MALFORMED`` that a record for this
    CA cannot be read and no other one authorises; otherwise ``UNAUTHORIZED`` (draft sections 4.3.2
    and 9.3.1). Each finding has the verdict on its value alone; a value for another CA is
    unauthorized, even if it is malformed.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def authorized(self) -> bool:
        """Whether at least one of the values authorises."""
        return self.verdict == Verdict.VALID

    @functools.cached_property
    def authorizing(self) -> dict[str, ValidationRecord]:
        """The records that authorise, by value; the last one expires last."""
        return self._records(Verdict.VALID)

    @functools.cached_property
    def accepted(self) -> dict[str, ValidationRecord]:
        """The records that authorise or, if none does, those that some CAs accept; as above."""
        return self.authorizing or self._records(Verdict.ACCEPTED_BY_SOME)

    def _records(self, verdict: Verdict) -> dict[str, ValidationRecord]:
        found = sorted(self.findings, key=lambda finding: (finding.end, finding.value))
        return {
            each.value: each.record for each in found if each.verdict == verdict and each.record
        }

    @property
    def end(self) -> int | None:
        """When the last accepted record expires (UNIX seconds); ``None`` if one never does."""
        last = next(reversed(self.accepted.values()), None)
        return last.persist_until if last else None


def evaluate(
    values: Iterable[str],
    *,
    issuer_domain_names: Collection[str],
    account_uris: Collection[str],
    wildcard: bool,
    at: int,
) -> Evaluation:
    """Judge the values at a validation domain name as the CA would (draft sections 4.2, 4.3.2).

    ``values`` are the joined strings of each TXT record, ``issuer_domain_names`` the names that
    the CA offers, ``account_uris`` every account URI that it accepts for this account and name
    (compared octet by octet, RFC 3986 section 6.2.1), ``wildcard`` whether a ``*.`` name is
    requested, ``at`` the time of validation in UNIX seconds. Raises :class:`ValueError` if one of
    ``issuer_domain_names`` is not a domain name.
    """
    return _evaluate(tuple(values), tuple(issuer_domain_names), tuple(account_uris), wildcard, at)


@functools.lru_cache(maxsize=1000)  # thousands of names have the same record
def _evaluate(
    values: tuple[str, ...],
    issuer_domain_names: tuple[str, ...],
    account_uris: tuple[str, ...],
    wildcard: bool,
    at: int,
) -> Evaluation:
    issuers = frozenset(normalize_domain_name(name) for name in issuer_domain_names)
    findings = tuple(_judge(value, issuers, account_uris, wildcard, at) for value in values)
    verdicts = {finding.verdict for finding in findings}
    verdict = next((v for v in Verdict if v in verdicts), Verdict.UNAUTHORIZED)
    return Evaluation(verdict, findings)


def _judge(
    value: str, issuers: frozenset[str], account_uris: Collection[str], wildcard: bool, at: int
) -> Finding:
    # The CA drops records for other CAs before it reads the rest (draft section 4.3.2 step 2).
    issuer = value.partition(";")[0].strip(_WHITESPACE)
    try:
        named = normalize_domain_name(issuer)
    except ValueError:
        return Finding(
            value, Verdict.UNAUTHORIZED, "does not start with a CA's name", _record(value)
        )
    if named not in issuers:
        return Finding(value, Verdict.UNAUTHORIZED, f"is for another CA, {named}", _record(value))
    standard = _judge_as(_STANDARD, value, account_uris, wildcard, at)
    if standard.record and _reads_alike(standard.record, value):
        return standard
    validators = _VALIDATORS.get(named, _ALL_VALIDATORS)
    findings = {v: _judge_as(v, value, account_uris, wildcard, at) for v in validators}
    accepting = next((f for f in findings.values() if f.authorized), None)
    if accepting is None:
        return next((f for f in findings.values() if f.record), standard)
    refusals: dict[str, list[str]] = {}
    for validator, finding in findings.items():
        if not finding.authorized:
            tab = validator.deployed and "\t" in value
            reason = "a TAB is not a blank there" if tab else finding.reason
            refusals.setdefault(reason, []).append(validator.name)
    if not refusals:
        return accepting
    why = "; ".join(
        f"{' and '.join(names)} {'refuse' if len(names) > 1 else 'refuses'} it, as {reason}"
        for reason, names in refusals.items()
    )
    reason = f"is accepted by some CAs only: {why}"
    return Finding(value, Verdict.ACCEPTED_BY_SOME, reason, accepting.record)


def _reads_alike(record: ValidationRecord, value: str) -> bool:
    """Whether all validators agree on ``value``, because it is in the canonical form."""
    return record.to_value() == value and (record.persist_until or 0) <= LAST_COMPARABLE_SECOND


def _judge_as(
    validator: _Validator, value: str, account_uris: Collection[str], wildcard: bool, at: int
) -> Finding:
    """Return the verdict of one validator on a value that names its CA."""
    try:
        record = _parse(value, validator)
    except MalformedRecord as error:
        return Finding(value, Verdict.MALFORMED, error.reason, None)
    issuer = value.partition(";")[0].strip(validator.blanks)
    if not validator.normalizes_issuer and issuer != record.issuer_domain_name:
        reason = f"the issuer-domain-name is not written {record.issuer_domain_name}"
    elif record.account_uri not in account_uris:
        reason = f"names another account, {record.account_uri}"
    elif wildcard and not record.wildcard:
        reason = "lacks policy=wildcard, which a wildcard name needs"
    elif record.expired(at):
        reason = f"expired: its persistUntil was {format_time(record.persist_until or 0)}"
    elif validator.deployed and (record.persist_until or 0) > LAST_COMPARABLE_SECOND:
        reason = f"its persistUntil is more than {LAST_COMPARABLE_SECOND}, where time overflows"
    else:
        return Finding(value, Verdict.VALID, "authorises", record)
    return Finding(value, Verdict.UNAUTHORIZED, reason, record)


def _record(value: str) -> ValidationRecord | None:
    try:
        return read_record(value)
    except MalformedRecord:
        return None


def format_time(seconds: int) -> str:
    """Return UNIX ``seconds`` as RFC 3339 in UTC, or as a number if the year is out of range."""
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return f"{seconds} (UNIX seconds)"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> int:
    """Return the UNIX seconds of ``text``: an RFC 3339 date with a time zone, or UNIX seconds.

    Raises :class:`ValueError` for anything else.
    """
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    # Python 3.10 cannot read the Z of RFC 3339.
    moment = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return int(moment.timestamp())
