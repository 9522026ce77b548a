"""Why the CA refused, as far as DNS shows."""

from collections.abc import Iterable, Sequence

from certbot_dns_persist.errors import Error
from certbot_dns_persist.judge.diagnosis import Status, diagnose
from certbot_dns_persist.judge.standing import WARN_DAYS, Standing
from certbot_dns_persist.judge.words import what_stands
from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.request.request import ValidationRequest


def explain(
    requests: Sequence[ValidationRequest], inspections: Iterable[Inspection], *, at: int
) -> str:
    """Return, for each request that the CA refused, what DNS serves now and the likely cause.

    ``inspections`` are those of their domains, in the same order, and may be made one by one;
    ``at`` is in UNIX seconds.
    """
    lines = []
    try:
        for request, inspection in zip(requests, inspections, strict=True):
            standing = Standing(request, inspection.found, at)
            diagnosis = diagnose(standing, inspection, warn_days=WARN_DAYS)
            lines.append(f"{request.domain}: {diagnosis.reason}\n{what_stands(standing)}")
            if diagnosis.status in (Status.OK, Status.EXPIRING):
                lines.append(
                    "  So the CA saw something else: a cached answer, which lasts for the "
                    "record's TTL, or a server that this machine does not reach. Its own message "
                    "is above. Wait, then run the same command again."
                )
    except Error as error:
        return f"DNS cannot be asked what it serves now: {error}"
    account = requests[0].account_url if requests else ""
    return "\n".join([f"The CA looked for a record of the account {account}.", *lines])
