"""Prepared records as a change batch for ``aws route53 change-resource-record-sets``."""

import json
import shlex
from collections.abc import Mapping, Sequence

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.prepared import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.render.whole_sets import ALREADY_THERE
from certbot_dns_persist.value.txt import quoted


def render(records: Sequence[PreparedRecord]) -> str:
    """Return the batch for the hosted zone of ``records``.

    Route 53 only changes whole record sets, so each also holds the other values beside our record.
    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the records are, or may be, in
    several zones: one batch cannot change these.
    """
    places: dict[str, list[RecordSet]] = {}
    for each in record_sets(records):
        places.setdefault(each.zone or each.name, []).append(each)
    if len(places) > 1:
        raise ConfigurationError(_several(places))
    ((place, sets),) = places.items()
    batch = {
        "Comment": _comment(place, sets),
        "Changes": [{"Action": "UPSERT", "ResourceRecordSet": _record_set(each)} for each in sets],
    }
    return json.dumps(batch, indent=2) + "\n"


def _several(places: Mapping[str, Sequence[RecordSet]]) -> str:
    lines = [
        f"  {place}{'' if sets[0].zone else ' (its zone is unknown)'}: "
        + shlex.join(word for each in sets for domain in each.domains for word in ("-d", domain))
        for place, sets in places.items()
    ]
    return "\n".join(
        [
            "A change batch of Route 53 is for one hosted zone, so run this once for each zone. "
            "The zones, and the names in each:",
            *lines,
        ]
    )


def _comment(place: str, sets: Sequence[RecordSet]) -> str:
    others = sum(len(each.others) for each in sets)
    kept = f"; {others} {ALREADY_THERE}" if others else ""
    return f"dns-persist-01 for {place}"[: 256 - len(kept)] + kept  # AWS takes no more


def _record_set(each: RecordSet) -> dict[str, object]:
    return {
        "Name": f"{each.name}.",
        "Type": "TXT",
        "TTL": each.ttl,
        "ResourceRecords": [
            {"Value": quoted(value, octal=True)} for value in (*each.ours, *each.others)
        ],
    }
