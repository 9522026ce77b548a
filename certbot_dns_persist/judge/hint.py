"""Why the CA refused, as far as DNS shows."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from certbot_dns_persist.errors import Error
from certbot_dns_persist.judge.diagnosis import Status, diagnose
from certbot_dns_persist.judge.standing import WARN_DAYS, Standing
from certbot_dns_persist.judge.words import what_stands
from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.shown import printable

#: The kind of error of a CA that cannot read a record (section 9.3.1).
MALFORMED = "malformed"


def explain(
    requests: Sequence[ValidationRequest],
    inspections: Iterable[Inspection],
    *,
    said: Mapping[str, Collection[str]],
    published: Collection[ValidationRequest] = (),
    at: int,
) -> str:
    """Return, for each request that the CA refused, what DNS serves now and the likely cause.

    ``inspections`` are those of their domains, in the same order, and may be made one by one;
    ``said`` are the kinds of the CA's errors (RFC 8555 section 6.7), by domain; ``published`` are
    those whose records the provider has, though nobody served them; ``at`` is UNIX seconds.
    """
    lines = []
    try:
        for request, inspection in zip(requests, inspections, strict=True):
            standing = Standing(request, inspection.found, at)
            if request in published and not standing.accepted:
                lines.append(f"{request.domain}: {_not_yet(request)}\n{what_stands(standing)}")
                continue
            diagnosis = diagnose(standing, inspection, warn_days=WARN_DAYS)
            lines.append(
                f"{request.domain}: {printable(diagnosis.reason)}\n{what_stands(standing)}"
            )
            if diagnosis.status in (Status.OK, Status.EXPIRING):
                lines.append(_cause(standing, said.get(request.domain, ())))
    except Error as error:
        return f"DNS cannot be asked what it serves now: {error}"
    account = requests[0].account_url if requests else ""
    return "\n".join([f"The CA looked for a record of the account {account}.", *lines])


def _not_yet(request: ValidationRequest) -> str:
    return (
        f"The provider has the record at {request.name}, but no server that we asked shows it, nor "
        "probably one that the CA asked. It need not be published again: find out why, as the "
        "warning above says, or wait until the servers have it. Then run the same command again."
    )


def _cause(standing: Standing, said: Collection[str]) -> str:
    """Return why a CA may refuse although a record stands, and what to do."""
    if standing.doubtful:
        return "  So this CA is probably one of those that refuse it."
    if MALFORMED in said:
        return (
            "  So the CA could not read a record that the standard allows. certbot-dns-persist "
            "rotate writes it anew in the plainest form. If it is in that form already, send the "
            "CA its own words above."
        )
    return (
        "  So the CA saw something else: an answer from a cache, which lasts for the record's TTL, "
        "or a server that this machine does not reach. Its own words are above. Wait, then run the "
        "same command again."
    )
