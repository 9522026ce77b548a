"""How one request stands: a single status, and the sentence that goes with it."""

import dataclasses
from collections.abc import Collection

from certbot_dns_persist.judge import caa
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Inspection
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

#: What ``check`` and ``audit`` exit with for the worst that they found, as monitoring plugins do.
EXIT_STATUS_OF = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}

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


def diagnose(
    standing: Standing, inspection: Inspection, *, warn_days: int, names: Collection[str] = ()
) -> Diagnosis:
    """Return the gravest thing that keeps, or will keep, the CA from accepting the request.

    ``names`` are the domain names to be proven, wildcards with their ``*.``; by default the
    request's domain and, if it is for a wildcard, that. A reason ends with what to do next.
    """
    request, found = standing.request, standing.found
    if inspection.bogus:
        return Diagnosis(
            "dnssec-bogus",
            f"The DNSSEC signatures at {request.name} do not verify, so CAs refuse whatever "
            "stands there. Have the zone's signatures and its DS record mended.",
        )
    if found.trouble:
        return Diagnosis(
            "unreachable",
            f"{request.name} cannot be looked up: {found.trouble}. Check that the domain is "
            "delegated, and the resolvers that are asked.",
            determined=False,
        )
    if not standing.authorized:
        refused = _refused(standing)
        return dataclasses.replace(refused, reason=" ".join([refused.reason, *_unheard(standing)]))
    if inspection.caa_trouble:
        return Diagnosis(
            "unreachable",
            f"The record at {found.canonical_name} authorises, but the CAA records of "
            f"{request.domain} cannot be looked up: {inspection.caa_trouble}. A CA that cannot "
            "read them must refuse.",
            determined=False,
        )
    refusal = caa.forbids(inspection.caa, request, names)
    if refusal:
        return Diagnosis(
            "caa-forbids",
            f"The CAA records of {request.domain} forbid it: {refusal}. The record at "
            f"{found.canonical_name} authorises; change the CAA records.",
        )
    warnings = _warnings(standing, warn_days)
    if warnings:
        # The first gives the status; no other may stay hidden behind it until it is too late.
        return Diagnosis(warnings[0][0], " ".join(reason for _, reason in warnings))
    return Diagnosis("ok", f"The record at {found.canonical_name} authorises{_remark(standing)}.")


def _warnings(standing: Standing, warn_days: int) -> list[tuple[str, str]]:
    """Return what is not well although the CA accepts the request: status and reason of each."""
    name = standing.found.canonical_name
    warnings = []
    if standing.lagging:
        servers = "; ".join(f"{server} {standing.why_not(server)}" for server in standing.lagging)
        warnings.append(
            (
                "inconsistent",
                f"The record at {name} is not on every server yet: {servers}. The CA may ask any "
                "of them; if that lasts, see why the zone does not get there.",
            )
        )
    if standing.end is not None and standing.end < standing.at + warn_days * 86400:
        warnings.append(
            (
                "expiring",
                f"The record at {name} ends at {format_time(standing.end)}. Publish one that ends "
                f"later{_how(standing)}.",
            )
        )
    return warnings + [("unreachable", reason) for reason in _unheard(standing)]


def _unheard(standing: Standing) -> list[str]:
    """Return, a sentence each, which servers say nothing of the name."""
    found = standing.found
    silent = "; ".join(f"{server} {server.trouble}" for server in found.silent)
    sentences = [f"Not every server of {found.canonical_name} answers: {silent}."] if silent else []
    return [*sentences, *found.warnings]


def _remark(standing: Standing) -> str:
    """Return what is not wrong, but could be better."""
    authorizing = standing.evaluation.authorizing.values()
    if not standing.request.wildcard and all(record.wildcard for record in authorizing):
        return ", and more than is needed: policy=wildcard also covers every name below it"
    return ", but is of an older form and should be replaced" if standing.outdated else ""


def _refused(standing: Standing) -> Diagnosis:
    request, name = standing.request, standing.found.canonical_name
    findings = standing.evaluation.findings
    if not findings:
        return Diagnosis(
            "missing", f"There is no TXT record at {name}. Publish it{_how(standing)}."
        )
    # Of several, the one that is closest to being right tells most; in whichever order they come.
    closest = max(
        findings,
        key=lambda finding: (_closeness(standing, finding), finding.end, finding.value),
    )
    closeness = _closeness(standing, closest)
    there = f'At {name}, "{closest.value}"'
    if closeness == _FOREIGN:
        return Diagnosis(
            "missing",
            f"No record at {name} is for this CA ({', '.join(request.issuer_domain_names)}). "
            f"Publish one beside what is there{_how(standing)}.",
        )
    if closeness == _EXPIRED:
        return Diagnosis(
            "expired", f"{there} {closest.reason}. Publish one that ends later{_how(standing)}."
        )
    if closeness == _MALFORMED:
        reason = f"{there} is malformed: {closest.reason}. Put a correct one in its place"
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
        reason = f"{there} {closest.reason}. Put one that has it in its place"
    return Diagnosis("mismatch", f"{reason}{_how(standing)}.")


def _how(standing: Standing) -> str:
    """Return the command that shows what to publish, as an aside."""
    request = standing.request
    domain = f"'*.{request.domain}'" if request.wildcard else request.domain
    return f" (certbot-dns-persist record -d {domain} shows it)"


# How close a record that does not authorise is to doing so.
_FOREIGN, _MALFORMED, _OTHER_ACCOUNT, _OURS, _EXPIRED = range(5)


def _closeness(standing: Standing, finding: Finding) -> int:
    request, record = standing.request, finding.record
    if finding.verdict == "malformed":
        return _MALFORMED
    if record is None or record.issuer_domain_name not in request.issuer_domain_names:
        return _FOREIGN
    if not request.is_ours(record):
        return _OTHER_ACCOUNT
    endless = dataclasses.replace(record, persist_until=None).to_value()
    return _EXPIRED if request.evaluate([endless], standing.at).authorized else _OURS
