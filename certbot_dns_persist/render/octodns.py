"""Prepared records as YAML for octoDNS, a file for each zone.

A file lists all types at a name, and octoDNS owns each type as a whole, so what stands beside our
record is in it as well.
"""

import json
import re
from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.record import VALIDATION_LABEL


def render(records: Sequence[PreparedRecord]) -> str:
    """Return what belongs into each zone's file, under its name."""
    zones: dict[tuple[str, bool], list[RecordSet]] = {}
    for each in record_sets(records):
        zones.setdefault((each.zone or _presumed(each.name), each.zone is not None), []).append(
            each
        )
    return "".join(_file(zone, known, sets) for (zone, known), sets in zones.items())


def _presumed(name: str) -> str:
    return name.removeprefix(f"{VALIDATION_LABEL}.")


def _file(zone: str, known: bool, sets: Sequence[RecordSet]) -> str:
    names = {each.name.removesuffix(zone).removesuffix("."): each for each in sets}
    presumed = (
        "" if known else " (the zone is not known; if it is a higher one, lengthen the names)"
    )
    return f"---\n# {zone}.yaml{presumed}\n" + "".join(
        f"# For {' and '.join(each.domains)}\n"
        f"{_scalar(name)}:\n"
        f"  ttl: {each.ttl}\n"
        "  type: TXT\n"
        "  values:\n" + "".join(f"  - {_scalar(_escaped(value))}\n" for value in each.values)
        for name, each in sorted(names.items(), key=lambda item: _natural(item[0]))
    )


def _escaped(value: str) -> str:
    """Return ``value`` as octoDNS has it: semicolons are escaped, outer quotes are not part."""
    value = value.replace(";", "\\;")
    return f'"{value}"' if value.startswith('"') else value


def _scalar(text: str) -> str:
    """Return a double-quoted scalar: YAML 1.2 has all of JSON's."""
    return json.dumps(text)


def _natural(name: str) -> list[str | int]:
    """Return what octoDNS sorts keys by, and insists on: numbers within count as such."""
    return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", name)]
