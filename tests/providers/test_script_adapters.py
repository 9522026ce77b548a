"""The adapters in ``examples/script``, with hooks that change a real nameserver."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KEY
from support.bootstrap import ROOT
from support.nameserver import Nameserver

from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.providers.script import Script

NAME = "_validation-persist.www.example.test"
OURS = "ca.example; accounturi=https://ca.example/acct/1"
THEIRS = "other.example; accounturi=https://other.example/acct/9"

UPDATE = f"""\
export PYTHONPATH={ROOT / "tests"} DNS_PERSIST_ZONE=example.test DNS_PERSIST_TTL=300
update() {{ {sys.executable} {ROOT / "tests" / "support" / "update_txt.py"} KEY; }}
"""

# It knows lego's arguments and none of our variables.
LEGO = """\
[ "$DNS_PERSIST_ZONE" = example.test ] || exit 9
action=$1 name=$2 value=$3
unset DNS_PERSIST_ACTION DNS_PERSIST_NAME DNS_PERSIST_VALUE
case $action in present) action=publish ;; cleanup) action=remove ;; *) exit 8 ;; esac
export DNS_PERSIST_ACTION=$action DNS_PERSIST_NAME="${name%.}" DNS_PERSIST_VALUE="$value"
update
"""

HOOK = """\
[ "$CERTBOT_DOMAIN" = www.example.test ] || exit 9
name=${DNS_PERSIST_NAME:-_acme-challenge.$CERTBOT_DOMAIN}
unset DNS_PERSIST_ACTION DNS_PERSIST_NAME DNS_PERSIST_VALUE
export DNS_PERSIST_ACTION=ACTION DNS_PERSIST_NAME="$name" DNS_PERSIST_VALUE="$CERTBOT_VALIDATION"
update
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, nameserver: Nameserver) -> Write:
    """Write a hook that may change ``nameserver``."""
    key = tmp_path / "key"
    key.write_text("\n".join([nameserver.address, str(nameserver.port), KEY.name, KEY.secret]))

    def write(name: str, source: str) -> Path:
        path = tmp_path / name
        path.write_text("#!/bin/sh\nset -eu\n" + UPDATE.replace("KEY", str(key)) + source)
        path.chmod(0o700)
        return path

    return write


def script(nameserver: Nameserver, *command: Path) -> Script:
    def observe(name: str) -> Served:
        return Served(nameserver.values(name), "example.test")

    return Script(Settings({"command": shlex.join(map(str, command))}, None, print, observe))


def test_a_program_for_lego_publishes_and_removes(write: Write, nameserver: Nameserver) -> None:
    nameserver.zones.set_values(NAME, [THEIRS])
    provider = script(nameserver, ROOT / "examples" / "script" / "lego-exec", write("lego", LEGO))
    provider.add_value(NAME, OURS, 300)
    assert nameserver.values(NAME) == sorted([OURS, THEIRS])
    provider.remove_value(NAME, OURS)
    assert nameserver.values(NAME) == [THEIRS]


def test_hooks_for_certbot_publish_and_remove(write: Write, nameserver: Nameserver) -> None:
    nameserver.zones.set_values(NAME, [THEIRS])
    add = write("add", HOOK.replace("ACTION=ACTION", "ACTION=publish"))
    clean = write("clean", HOOK.replace("ACTION=ACTION", "ACTION=remove"))
    adapter = ROOT / "examples" / "script" / "certbot-hooks"
    provider = script(nameserver, adapter, add, clean)
    provider.add_value(NAME, OURS, 300)
    assert nameserver.values(NAME) == sorted([OURS, THEIRS])
    provider.remove_value(NAME, OURS)
    assert nameserver.values(NAME) == [THEIRS]


def test_what_a_hook_says_of_its_failure_is_passed_on(write: Write, nameserver: Nameserver) -> None:
    for adapter in ("lego-exec", "certbot-hooks"):
        broken = write("broken", "echo the zone is locked >&2\nexit 3\n")
        path = ROOT / "examples" / "script" / adapter
        with pytest.raises(ProviderError, match=r"status 3[^$]*the zone is locked"):
            script(nameserver, path, broken, broken).add_value(NAME, OURS, 300)
