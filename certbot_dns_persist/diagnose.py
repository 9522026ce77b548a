"""How one request stands: a single status, and the sentence that goes with it."""

import dataclasses

from certbot_dns_persist import caa
from certbot_dns_persist.lookup import Inspection
from certbot_dns_persist.plan import Standing
from certbot_dns_persist.record import Finding, format_time


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """``status`` is a word of the contract for ``check``; ``reason`` is for a person."""

    status: str
    reason: str
    determined: bool = True
    """False when DNS does not say how the request stands, as far as it can be asked."""

    @property
    def severity(self) -> str:
        """Return how grave it is, in the words of :data:`SEVERITIES`."""
        return SEVERITIES_OF[self.status] if self.determined else "unknown"


#: From the best to the worst; what is unknown may be worse than a warning.
SEVERITIES = ("ok", "warning", "unknown", "critical")

SEVERITIES_OF = {
    "ok": "ok",
    "expiring": "warning",
    "inconsistent": "warning",
    "unreachable": "warning",
    "expired": "critical",
    "missing": "critical",
    "mismatch": "critical",
    "dnssec-bogus": "critical",
    "caa-forbids": "critical",
}
"""How grave each status is."""


def diagnose(standing: Standing, inspection: Inspection, *, warn_days: int) -> Diagnosis:
    """Return the gravest thing that keeps, or will keep, the CA from accepting the request."""
    name = standing.found.canonical_name
    if inspection.bogus:
        return Diagnosis(
            "dnssec-bogus",
            f"The DNSSEC signatures at {standing.request.name} do not verify, so CAs refuse "
            "whatever stands there. Have the zone's signatures and its DS record mended.",
        )
    if standing.found.trouble:
        return Diagnosis(
            "unreachable",
            f"{standing.request.name} cannot be looked up: {standing.found.trouble}.",
            determined=False,
        )
    if not standing.authorized:
        return _refused(standing, name)
    if inspection.caa_trouble:
        return Diagnosis(
            "unreachable",
            f"The CAA records of {standing.request.domain} cannot be looked up: "
            f"{inspection.caa_trouble}. A CA that cannot read them must refuse.",
            determined=False,
        )
    refusal = caa.forbids(inspection.caa, standing.request)
    if refusal:
        return Diagnosis(
            "caa-forbids", f"The CAA records of {standing.request.domain} forbid it: {refusal}."
        )
    if standing.lagging:
        servers = ", ".join(map(str, standing.lagging))
        return Diagnosis("inconsistent", f"{servers} does not serve the record at {name} yet.")
    if standing.found.silent:
        servers = "; ".join(f"{server} {server.trouble}" for server in standing.found.silent)
        return Diagnosis("unreachable", f"Not every server of {name} answers: {servers}.")
    if standing.found.warnings:
        return Diagnosis("unreachable", " ".join(standing.found.warnings))
    if standing.end is not None and standing.end < standing.at + warn_days * 86400:
        return Diagnosis("expiring", f"The record at {name} ends at {format_time(standing.end)}.")
    return Diagnosis("ok", f"The record at {name} authorises{_remark(standing)}.")


def _remark(standing: Standing) -> str:
    """Return what is not wrong, but could be better."""
    authorizing = standing.evaluation.authorizing
    if not standing.request.wildcard and all(record.wildcard for record in authorizing):
        return ", and more than is needed: policy=wildcard also covers every name below it"
    return ", but is of an older form and should be replaced" if standing.outdated else ""


def _refused(standing: Standing, name: str) -> Diagnosis:
    findings = standing.evaluation.findings
    if not findings:
        return Diagnosis("missing", f"There is no TXT record at {name}.")
    # Of several, the one that is closest to being right tells most.
    closest = max(findings, key=lambda finding: _closeness(standing, finding))
    reason = f'At {name}, "{closest.value}" {closest.reason}.'
    ours = closest.record is not None and standing.request.is_ours(closest.record)
    if ours and closest.record and closest.record.expired(standing.at):
        return Diagnosis("expired", reason)
    if not ours and closest.verdict != "malformed" and _closeness(standing, closest) == 0:
        return Diagnosis("missing", f"No record at {name} is for this CA.")
    return Diagnosis("mismatch", reason)


def _closeness(standing: Standing, finding: Finding) -> int:
    if finding.record is None:
        return 1 if finding.verdict == "malformed" else 0
    if standing.request.is_ours(finding.record):
        return 3
    return 2 if finding.record.issuer_domain_name in standing.request.issuer_domain_names else 0
