"""The state of requests, in words for a person."""

from collections.abc import Iterable

from certbot_dns_persist.judge import slips
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.record import format_time
from certbot_dns_persist.shown import printable


def what_stands(standing: Standing) -> str:
    """Return what is at the name now, and why each value does not authorise."""
    found, name = standing.found, standing.found.canonical_name
    if found.trouble:
        return f"  {name}: {printable(found.trouble)}"
    lines = [f"  Now at {name}:"]
    findings = standing.evaluation.findings
    for finding in findings:
        slip = slips.of_value(standing, finding)
        reason = f"{finding.reason}; it {slip}" if slip else finding.reason
        lines.append(f'    "{printable(finding.value)}"\n      {printable(reason)}')
    if not findings:
        lines.append(f"    no TXT record ({_asked(standing)})")
    lines += [printable(f"    {server} {server.trouble}") for server in found.silent]
    return "\n".join(lines)


def why_doubtful(standing: Standing) -> str:
    """Return, in words that go on after a record, why not every CA accepts the best of them."""
    best = [*standing.evaluation.accepted][-1]
    return next(f.reason for f in standing.evaluation.findings if f.value == best)


def _asked(standing: Standing) -> str:
    return "asked: " + ", ".join(str(server) for server in standing.found.answers)


def lagging(standings: Iterable[Standing]) -> str:
    """Return which servers do not serve an authorising record, per name."""
    return "\n".join(
        printable(f"  {standing.found.canonical_name}: {server} {standing.why_not(server)}")
        for standing in standings
        for server in standing.lagging or standing.found.silent
    )


def why_due(standing: Standing) -> str:
    """Return the warning that what authorises now will not do so for long, or not at every CA."""
    if standing.doubtful:
        return (
            f"For {standing.request.domain}, nothing better stands at "
            f"{standing.found.canonical_name} than a record that {why_doubtful(standing)}. Whether "
            "this CA accepts it, the CA decides now."
        )
    subject = (
        f"The record at {standing.found.canonical_name} that authorises {standing.request.domain}"
    )
    if standing.outdated:
        return (
            f"{subject} is accepted, but was made with an earlier account key or for an earlier "
            "draft, and should be replaced."
        )
    end = "" if standing.end is None else f" at {format_time(standing.end)}"
    return (
        f"{subject} expires{end} (persistUntil); after that, it can no longer be used to renew "
        "certificates."
    )
