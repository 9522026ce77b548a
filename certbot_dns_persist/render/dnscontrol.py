"""Prepared records as JavaScript for DNSControl, which extends the domains in ``dnsconfig.js``.

DNSControl manages all records of a zone, so this also holds the other values beside our record.
"""

import json
from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.record import VALIDATION_LABEL
from certbot_dns_persist.render.whole_sets import ALREADY_THERE, require_text
from certbot_dns_persist.value.txt import relative


def render(records: Sequence[PreparedRecord]) -> str:
    """Return a ``D_EXTEND`` for each zone.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if a value is not text.
    """
    zones: dict[tuple[str, bool], list[RecordSet]] = {}
    for each in record_sets(records):
        require_text(each, "dnscontrol")
        zone = each.zone or each.name.removeprefix(f"{VALIDATION_LABEL}.")
        zones.setdefault((zone, each.zone is not None), []).append(each)
    return "\n".join(_zone(zone, known, sets) for (zone, known), sets in sorted(zones.items()))


def _zone(zone: str, known: bool, sets: Sequence[RecordSet]) -> str:
    presumed = (
        ""
        if known
        else "// The zone is unknown; if it is a parent of this, make the names longer.\n"
    )
    # No comma after the last argument: ECMAScript 5, which DNSControl reads, refuses one.
    return (
        f"// Below the D() of {zone}, and without these names there.\n{presumed}"
        f"D_EXTEND({json.dumps(zone)}" + "".join(_set(each, zone) for each in sets) + "\n);\n"
    )


def _set(each: RecordSet, zone: str) -> str:
    name, ttl = json.dumps(relative(each.name, zone)), f"TTL({each.ttl})"
    marked = [(value, f"For {' and '.join(each.domains)}") for value in each.ours]
    marked += [(value, ALREADY_THERE) for value in each.others]
    return "".join(
        f",\n  // {mark}\n  TXT({name}, {json.dumps(value)}, {ttl})" for value, mark in marked
    )
