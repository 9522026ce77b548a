"""Prepared records as JSON, in the form that ``record-schema.json`` beside this file describes."""

import json
from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord
from certbot_dns_persist.record import parse_record
from certbot_dns_persist.value.txt import zone_line

#: The version of the form, as that of ``check``'s.
VERSION = 1


def render(records: Sequence[PreparedRecord]) -> str:
    """Return one JSON object."""
    return json.dumps({"version": VERSION, "records": list(map(_object, records))}, indent=2) + "\n"


def _object(record: PreparedRecord) -> dict[str, object]:
    said = parse_record(record.value)
    return {
        "name": record.name,
        "type": "TXT",
        "ttl": record.ttl,
        "value": record.value,
        "zone_file": zone_line(record.name, record.ttl, record.value),
        "zone": record.zone,
        "domains": list(record.domains),
        "aliases": record.aliases,
        "issuer_domain_name": said.issuer_domain_name,
        "account_uri": said.account_uri,
        "wildcard": said.wildcard,
        "persist_until": said.persist_until,
        "there": record.there if record.looked else None,
        "authorized": list(record.authorized) if record.looked else None,
        "beside": list(record.beside) if record.looked else None,
    }
