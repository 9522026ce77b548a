"""Prepared records as YAML for octoDNS, a file for each zone.

octoDNS manages all values of a type at a name together, so a file also holds the other values
beside our record.
"""

import json
import re
from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.record import VALIDATION_LABEL
from certbot_dns_persist.render.whole_sets import ALREADY_THERE, require_text


def render(records: Sequence[PreparedRecord]) -> str:
    """Return the content of each zone's file, with the file's name in a comment.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if a value is not text.
    """
    zones: dict[tuple[str, bool], list[RecordSet]] = {}
    for each in record_sets(records):
        require_text(each, "octodns")
        zones.setdefault((each.zone or _presumed(each.name), each.zone is not None), []).append(
            each
        )
    return "".join(_file(zone, known, sets) for (zone, known), sets in sorted(zones.items()))


def _presumed(name: str) -> str:
    return name.removeprefix(f"{VALIDATION_LABEL}.")


def _file(zone: str, known: bool, sets: Sequence[RecordSet]) -> str:
    names = {each.name.removesuffix(zone).removesuffix("."): each for each in sets}
    presumed = (
        "" if known else " (the zone is unknown; if it is a parent of this, make the names longer)"
    )
    return f"---\n# {zone}.yaml{presumed}\n" + "".join(
        f"# For {' and '.join(each.domains)}\n"
        f"{_scalar(name)}:\n"
        f"  ttl: {each.ttl}\n"
        "  type: TXT\n"
        "  values:\n"
        + "".join(f"  - {_scalar(_escaped(value))}\n" for value in each.ours)
        + "".join(f"  - {_scalar(_escaped(value))}  # {ALREADY_THERE}\n" for value in each.others)
        for name, each in sorted(names.items(), key=lambda item: _natural(item[0]))
    )


def _escaped(value: str) -> str:
    """Return ``value`` as octoDNS takes it: semicolons escaped, no outer quotes."""
    value = value.replace(";", "\\;")
    return f'"{value}"' if value.startswith('"') else value


def _scalar(text: str) -> str:
    """Return a double-quoted scalar: every JSON string is one in YAML 1.2."""
    return json.dumps(text)


def _natural(name: str) -> list[str | int]:
    """Return the sort key that octoDNS requires: digits within a name compare as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", name)]
