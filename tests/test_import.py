"""Importing the plugin, which every run of Certbot does, costs little and cannot fail."""

import subprocess
import sys

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
