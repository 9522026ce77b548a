"""Prepared records as resources of Terraform, in its language HCL.

For Route 53, a resource is a whole record set, so it also holds the other values beside our record.
For Cloudflare, a resource is one record and does not affect others.
"""

import itertools
import re
from collections.abc import Callable, Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.record import VALIDATION_LABEL
from certbot_dns_persist.render.whole_sets import ALREADY_THERE
from certbot_dns_persist.value.txt import quoted


def render_route53(records: Sequence[PreparedRecord]) -> str:
    """Return an ``aws_route53_record`` for each name."""
    unique = _unique()
    blocks = _variables(records, "hosted zone")
    for each in record_sets(records):
        blocks.append(
            f"# For {' and '.join(each.domains)}\n"
            f'resource "aws_route53_record" "{unique(each.name)}" {{\n'
            f"  zone_id = var.{_variable(each)}\n"
            f"  name    = {_string(each.name)}\n"
            '  type    = "TXT"\n'
            f"  ttl     = {each.ttl}\n"
            "  records = [\n"
            + "".join(f"    {_route53_string(value)},\n" for value in each.ours)
            + "".join(f"    {_route53_string(value)}, # {ALREADY_THERE}\n" for value in each.others)
            + "  ]\n"
            "}\n"
        )
    return "\n".join(blocks)


def render_cloudflare(records: Sequence[PreparedRecord]) -> str:
    """Return a ``cloudflare_dns_record`` (version 5 of the provider) for each record."""
    unique = _unique()
    blocks = _variables(records, "zone")
    blocks += [
        f"# For {' and '.join(record.domains)}\n"
        f'resource "cloudflare_dns_record" "{unique(record.name)}" {{\n'
        f"  zone_id = var.{_variable(record)}\n"
        f"  name    = {_string(record.name)}\n"
        '  type    = "TXT"\n'
        f"  ttl     = {record.ttl}\n"
        f"  content = {_string(quoted(record.value))}\n"
        "}\n"
        for record in records
    ]
    return "\n".join(blocks)


def _route53_string(value: str) -> str:
    # The provider adds the outermost quotes; its manual says how to separate strings within.
    return _string(quoted(value, octal=True)[1:-1].replace('" "', '""'))


def _string(text: str) -> str:
    """Return ``text``, which is printable ASCII, as a quoted template of HCL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _variables(records: Sequence[PreparedRecord], what: str) -> list[str]:
    """Return the variables for the zones' ids, each once."""
    described = {
        _variable(record): f"{what} {record.zone}"
        if record.zone
        else f"{what} that holds {record.name}"
        for record in records
    }
    return [
        f'variable "{variable}" {{\n'
        "  type        = string\n"
        f"  description = {_string(f'The id of the {zone}')}\n"
        "}\n"
        for variable, zone in described.items()
    ]


def _variable(record: PreparedRecord | RecordSet) -> str:
    zone = record.zone or record.name.removeprefix(f"{VALIDATION_LABEL}.")
    return f"zone_id_of_{_identifier(zone)}"


def _identifier(name: str) -> str:
    return re.sub("[^a-z0-9]", "_", name.lower())


def _unique() -> Callable[[str], str]:
    """Return a function that makes a unique identifier from each name."""
    taken: set[str] = set()

    def unique(name: str) -> str:
        plain = _identifier(name).lstrip("_")
        plain = plain if plain[:1].isalpha() else f"_{plain}"
        numbered = (f"{plain}_{number}" for number in itertools.count(2))
        chosen = next(each for each in itertools.chain([plain], numbered) if each not in taken)
        taken.add(chosen)
        return chosen

    return unique
