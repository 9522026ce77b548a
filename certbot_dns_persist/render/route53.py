"""Prepared records as change batches for ``aws route53 change-resource-record-sets``."""

import json
from collections.abc import Sequence

from certbot_dns_persist.prepare import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.strings import quoted


def render(records: Sequence[PreparedRecord]) -> str:
    """Return a batch for each hosted zone, as one batch cannot change several.

    Where the zone is not known, a name has a batch of its own. Route 53 knows record sets only as
    a whole, so each also has what stands beside our record.
    """
    batches: dict[str, list[RecordSet]] = {}
    for each in record_sets(records):
        batches.setdefault(each.zone or each.name, []).append(each)
    return "".join(
        json.dumps(
            {
                "Comment": _comment(place, sets),
                "Changes": [
                    {"Action": "UPSERT", "ResourceRecordSet": _record_set(each)} for each in sets
                ],
            },
            indent=2,
        )
        + "\n"
        for place, sets in batches.items()
    )


def _comment(place: str, sets: Sequence[RecordSet]) -> str:
    kept = all(each.looked for each in sets)
    others = "other values are kept" if kept else "other values are not known, and would go"
    return f"{others}: dns-persist-01 for {place}"[:256]  # AWS takes no more


def _record_set(each: RecordSet) -> dict[str, object]:
    return {
        "Name": f"{each.name}.",
        "Type": "TXT",
        "TTL": each.ttl,
        "ResourceRecords": [{"Value": quoted(value, octal=True)} for value in each.values],
    }
