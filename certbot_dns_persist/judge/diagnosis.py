"""The state of one request: a status, and the sentence that explains it."""

import dataclasses
import enum
from collections.abc import Collection

from certbot_dns_persist.judge import caa, slips
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.record import Finding, Verdict, format_time


class Severity(str, enum.Enum):
    """How severe something is, from best to worst; compares and prints as its word.

    What is unknown may be worse than a warning.
    """

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    CRITICAL = "critical"

    __str__ = str.__str__
    __hash__ = str.__hash__  # Enum's own is slow, and differs from that of an equal string


SEVERITIES = tuple(Severity)

#: The exit statuses of ``check`` and ``audit``, by the worst severity, as for monitoring plugins.
EXIT_STATUS_OF = {
    Severity.OK: 0,
    Severity.WARNING: 1,
    Severity.CRITICAL: 2,
    Severity.UNKNOWN: 3,
}


class Status(str, enum.Enum):
    """The state of one request, as ``check`` names it; compares and prints as that word."""

    OK = "ok"
    EXPIRING = "expiring"
    INCONSISTENT = "inconsistent"
    UNREACHABLE = "unreachable"
    EXPIRED = "expired"
    MISSING = "missing"
    MISMATCH = "mismatch"
    DNSSEC_BOGUS = "dnssec-bogus"
    CAA_FORBIDS = "caa-forbids"

    __str__ = str.__str__
    __hash__ = str.__hash__


#: What to do about a record that some CAs accept and others refuse.
HEALING = "certbot-dns-persist rotate puts one in its place that every CA accepts"

SEVERITIES_OF = {
    Status.OK: Severity.OK,
    Status.EXPIRING: Severity.WARNING,
    Status.INCONSISTENT: Severity.WARNING,
    Status.UNREACHABLE: Severity.WARNING,
    Status.EXPIRED: Severity.CRITICAL,
    Status.MISSING: Severity.CRITICAL,
    Status.MISMATCH: Severity.CRITICAL,
    Status.DNSSEC_BOGUS: Severity.CRITICAL,
    Status.CAA_FORBIDS: Severity.CRITICAL,
}
"""The severity of each status."""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """``status`` is part of the interface of ``check``; ``reason`` is for a person."""

    status: Status
    reason: str
    determined: bool = True
    """False if the status cannot be determined from what DNS answers."""

    @property
    def severity(self) -> Severity:
        """The severity of the status."""
        return SEVERITIES_OF[self.status] if self.determined else Severity.UNKNOWN


def diagnose(
    standing: Standing, inspection: Inspection, *, warn_days: int, names: Collection[str] = ()
) -> Diagnosis:
    """Return the worst thing that keeps, or will keep, the CA from accepting the request.

    ``names`` are the domain names to be proven, wildcards with their ``*.``; by default the
    request's domain and, if it is for a wildcard, that too. A reason ends with what to do next.
    """
    request, found = standing.request, standing.found
    if inspection.bogus:
        return Diagnosis(
            Status.DNSSEC_BOGUS,
            f"The DNSSEC signatures at {request.name} do not verify, so CAs refuse whatever "
            "is there. Have the zone's signatures and its DS record fixed.",
        )
    if found.trouble:
        return Diagnosis(
            Status.UNREACHABLE,
            f"{request.name} cannot be looked up: {found.trouble}. Check that the domain is "
            "delegated, and that the resolvers work.",
            determined=False,
        )
    if not standing.accepted:
        refused = _refused(standing)
        misplaced = slips.misplaced(standing, inspection.elsewhere)
        return dataclasses.replace(
            refused, reason=" ".join([refused.reason, *misplaced, *_not_answering(standing)])
        )
    if inspection.caa_trouble:
        return Diagnosis(
            Status.UNREACHABLE,
            f"The record at {found.canonical_name} {_does(standing)}, but the CAA records of "
            f"{request.domain} cannot be looked up: {inspection.caa_trouble}. A CA that cannot "
            "read them must refuse.",
            determined=False,
        )
    refusal = caa.forbids(inspection.caa, request, names)
    if refusal:
        return Diagnosis(
            Status.CAA_FORBIDS,
            f"The CAA records of {request.domain} forbid it: {refusal}. The record at "
            f"{found.canonical_name} {_does(standing)}; change the CAA records.",
        )
    warnings = _warnings(standing, warn_days)
    if warnings:
        # The first gives the status; do not hide the others behind it until it is too late.
        return Diagnosis(warnings[0][0], " ".join(reason for _, reason in warnings))
    return Diagnosis(
        Status.OK, f"The record at {found.canonical_name} {_does(standing)}{_remark(standing)}."
    )


def _does(standing: Standing) -> str:
    return "is accepted by some CAs only" if standing.doubtful else "authorises"


def _warnings(standing: Standing, warn_days: int) -> list[tuple[Status, str]]:
    """Return what is wrong although the CA accepts the request: a status and reason for each."""
    name = standing.found.canonical_name
    warnings = []
    if standing.lagging:
        servers = "; ".join(f"{server} {standing.why_not(server)}" for server in standing.lagging)
        warnings.append(
            (
                Status.INCONSISTENT,
                f"The record at {name} is not on every server yet: {servers}. The CA may ask any "
                "of them; if that lasts, find out why they do not get the zone.",
            )
        )
    if standing.end is not None and standing.end < standing.at + warn_days * 86400:
        warnings.append(
            (
                Status.EXPIRING,
                f"The record at {name} expires at {format_time(standing.end)}. Publish one that "
                f"expires later{_how(standing)}.",
            )
        )
    return warnings + [(Status.UNREACHABLE, reason) for reason in _not_answering(standing)]


def _not_answering(standing: Standing) -> list[str]:
    """Return a sentence for each reason why servers say nothing about the name."""
    found = standing.found
    silent = "; ".join(f"{server} {server.trouble}" for server in found.silent)
    sentences = [f"Not every server of {found.canonical_name} answers: {silent}."] if silent else []
    return [*sentences, *found.warnings]


def _remark(standing: Standing) -> str:
    """Return what is not wrong, but could be better."""
    if standing.doubtful:
        return f", and this one may refuse it. {HEALING}{_how(standing)}"
    authorizing = standing.evaluation.authorizing.values()
    if not standing.request.wildcard and all(record.wildcard for record in authorizing):
        return ", and permits more than is needed: policy=wildcard also covers every name below it"
    return ", but is in an older form and should be replaced" if standing.outdated else ""


def _refused(standing: Standing) -> Diagnosis:
    request, name = standing.request, standing.found.canonical_name
    findings = standing.evaluation.findings
    if not findings:
        return Diagnosis(
            Status.MISSING, f"There is no TXT record at {name}. Publish it{_how(standing)}."
        )
    # Of several, explain the one that is closest to being right, whatever their order.
    closest = max(
        findings,
        key=lambda finding: (_closeness(standing, finding), finding.end, finding.value),
    )
    closeness = _closeness(standing, closest)
    there = f'At {name}, "{closest.value}"'
    if closeness == _FOREIGN:
        return Diagnosis(
            Status.MISSING,
            f"No record at {name} is for this CA ({', '.join(request.issuer_domain_names)}). "
            f"Publish one beside what is there{_how(standing)}.",
        )
    if closeness == _SLIP:
        return Diagnosis(Status.MISMATCH, f"{there} {slips.of_value(standing, closest)}.")
    if closeness == _EXPIRED:
        return Diagnosis(
            Status.EXPIRED,
            f"{there} {closest.reason}. Publish one that expires later{_how(standing)}.",
        )
    if closeness == _MALFORMED:
        reason = f"{there} is malformed: {closest.reason}. Replace it with a correct one"
    elif closeness == _OTHER_ACCOUNT:
        reason = (
            f"{there} {closest.reason}; ours is {request.account_url}. Publish one for ours "
            "beside it"
        )
    elif closest.record and closest.record.account_uri not in request.account_uris.accepted:
        reason = (
            f"{there} names our account as {closest.record.account_uri}, but this CA wants it as "
            f"{request.account_uris.published}. Publish that"
        )
    else:
        reason = f"{there} {closest.reason}. Replace it with one that has it"
    return Diagnosis(Status.MISMATCH, f"{reason}{_how(standing)}.")


def _how(standing: Standing) -> str:
    """Return the command that shows what to publish, as an aside."""
    request = standing.request
    domain = f"'*.{request.domain}'" if request.wildcard else request.domain
    return f" (certbot-dns-persist record -d {domain} shows it)"


# How close a record that does not authorise is to doing so.
_FOREIGN, _MALFORMED, _OTHER_ACCOUNT, _OURS, _EXPIRED, _SLIP = range(6)


def _closeness(standing: Standing, finding: Finding) -> int:
    request, record = standing.request, finding.record
    if slips.of_value(standing, finding):
        return _SLIP
    if finding.verdict == Verdict.MALFORMED:
        return _MALFORMED
    if record is None or record.issuer_domain_name not in request.issuer_domain_names:
        return _FOREIGN
    if not request.is_ours(record):
        return _OTHER_ACCOUNT
    endless = dataclasses.replace(record, persist_until=None).to_value()
    return _EXPIRED if request.evaluate([endless], standing.at).authorized else _OURS
