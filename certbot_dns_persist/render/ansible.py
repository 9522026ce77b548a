"""Prepared records as tasks of Ansible, with the module ``community.general.nsupdate``.

The module replaces all values of a type at a name, so a task also holds the other values beside our
record.
"""

import json
from collections.abc import Sequence

from certbot_dns_persist.judge.prepared import PreparedRecord, RecordSet, record_sets
from certbot_dns_persist.render.whole_sets import ALREADY_THERE
from certbot_dns_persist.value.txt import quoted

_HEAD = """\
---
# Tasks for ansible.builtin.import_tasks. Set nsupdate_server, nsupdate_key_name and
# nsupdate_key_secret (with Ansible Vault), and nsupdate_key_algorithm if it is not hmac-sha256.
"""


def render(records: Sequence[PreparedRecord]) -> str:
    """Return a file of tasks, one for each name."""
    return _HEAD + "".join(map(_task, record_sets(records)))


def _task(each: RecordSet) -> str:
    zone = f"    zone: {_unsafe(f'{each.zone}.')}\n" if each.zone else ""
    values = "".join(
        [f"      - {_unsafe(quoted(value))}\n" for value in each.ours]
        + [f"      - {_unsafe(quoted(value))}  # {ALREADY_THERE}\n" for value in each.others]
    )
    return (
        f"- name: {_unsafe(f'Publish {each.name} TXT for dns-persist-01')}\n"
        f"  # For {' and '.join(each.domains)}\n"
        "  community.general.nsupdate:\n"
        '    server: "{{ nsupdate_server }}"\n'
        '    key_name: "{{ nsupdate_key_name }}"\n'
        '    key_secret: "{{ nsupdate_key_secret }}"\n'
        "    key_algorithm: \"{{ nsupdate_key_algorithm | default('hmac-sha256') }}\"\n"
        f"{zone}"
        f"    record: {_unsafe(f'{each.name}.')}\n"
        "    type: TXT\n"
        f"    ttl: {each.ttl}\n"
        f"    value:\n{values}"
    )


def _unsafe(text: str) -> str:
    """Return a double-quoted scalar that Ansible does not expand as a template."""
    return f"!unsafe {json.dumps(text)}"
