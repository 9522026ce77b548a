"""Importing the plugin, which every run of Certbot does, costs little and cannot fail."""

import subprocess
import sys

import pytest
from support.bootstrap import ROOT

HEAVY = {"azure", "boto3", "botocore", "cloudflare", "google", "psycopg", "rich", "dns", "asyncio"}


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import certbot_dns_persist.authenticator"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "certbot_dns_persist" in modules
    assert not HEAVY & modules


NAMES = [
    "check",
    "-d",
    "ok.answers.test",
    "--issuer",
    "ca.test",
    "--account-uri",
    "https://ca.test/1",
]
ANSWERS = [*NAMES, "--answers", str(ROOT / "tests" / "answers" / "zdns.ndjson"), "--quiet"]


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ANSWERS])
def test_the_command_loads_what_asks_dns_and_draws_tables_only_where_it_does(
    arguments: list[str],
) -> None:
    program = """
import contextlib
import sys
from certbot_dns_persist.cli import program
with contextlib.suppress(SystemExit):
    program.main()
sys.exit(" ".join(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    modules = {each.partition(".")[0] for each in done.stderr.splitlines()[-1].split()}
    assert "certbot_dns_persist" in modules
    assert not (HEAVY | {"acme", "certbot", "cryptography", "requests"}) & modules


def test_the_plugin_loads_where_nothing_but_certbot_is_installed() -> None:
    missing = "dns", "rich", "zope", "zope.interface", "idna"
    program = f"""
import sys
import certbot.main
for name in {missing}:
    for loaded in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
        del sys.modules[loaded]
    sys.modules[name] = None
import certbot_dns_persist.authenticator
"""
    subprocess.run([sys.executable, "-c", program], check=True)
