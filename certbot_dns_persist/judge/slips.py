"""Slips of people who enter records by hand, where a request would be authorised but for them.

Pure: nothing is looked up.
"""

from collections.abc import Mapping, Sequence

from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.record import Finding
from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.slips import (
    QUOTED,
    same_but_for_case,
    without_quotes,
    wrong_places,
)
from certbot_dns_persist.value.txt import relative


def of_value(standing: Standing, finding: Finding) -> str | None:
    """Return which slip a value at the name has, and the correction; ``None`` for none known.

    It goes on after the value.
    """
    request, record = standing.request, finding.record
    bare = without_quotes(finding.value)
    if bare is not None and request.evaluate([bare], standing.at).accepted:
        return f"{QUOTED}. Enter it without them: {bare}"
    if record is None or record.issuer_domain_name not in request.issuer_domain_names:
        return None
    if request.is_ours(record):
        return None
    uri = same_but_for_case(record.account_uri, request.account_uris.accepted)
    if uri is None:
        return None
    return f"has the account URI in other letters: upper and lower case count. Enter it as {uri}"


def misplaced(standing: Standing, elsewhere: Mapping[str, Sequence[str]]) -> list[str]:
    """Return, a sentence each, which records stand at a wrong name and would authorise at theirs.

    ``elsewhere`` are the values at other names of the zone.
    """
    request, zone = standing.request, standing.found.zone
    if zone is None:
        return []
    return [
        f'A record that would authorise stands at {place} instead: "{printable(value)}". That name '
        f"{why}. Put it at {request.name} (in a DNS web form: {relative(request.name, zone)})."
        for place, why in wrong_places(request.domain, zone).items()
        for value in elsewhere.get(place, ())
        if request.evaluate([without_quotes(value) or value], standing.at).accepted
    ]
