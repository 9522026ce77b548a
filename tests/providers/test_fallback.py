"""The fallback to dns-01 through a program of the user's and through a bridged plugin."""

import shlex
import sys
from pathlib import Path

import pytest
from conftest import KEY
from support.acme_ca import TestCa
from support.certbot import PROGRAM, Certbot
from support.nameserver import Nameserver

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("provider", ["script", "dns-rfc2136"])
def test_dns_01_is_published_and_taken_away_again(
    tmp_path: Path, nameserver: Nameserver, nameserver_credentials: Path, provider: str
) -> None:
    key = tmp_path / "key"
    key.write_text("\n".join([nameserver.address, str(nameserver.port), KEY.name, KEY.secret]))
    command = shlex.join([sys.executable, str(TESTS / "support" / "update_txt.py"), str(key)])
    foreign = "somebody else's proof"
    nameserver.zones.set_values("_acme-challenge.example.test", [foreign])
    with TestCa(dns=(nameserver.address, nameserver.port), challenges=["dns-01"]) as ca:
        env = {"PYTHONPATH": str(TESTS)}
        certbot = Certbot(
            tmp_path / "certbot", ca.directory_url, ca.root_certificate, program=PROGRAM, env=env
        )
        done = certbot.certonly(
            f"--dns-persist-provider={provider}",
            f"--dns-persist-script={command}",
            f"--dns-persist-credentials={nameserver_credentials}",
            f"--dns-persist-resolvers={nameserver.endpoint}",
            "--dns-persist-check=resolver",
            "--dns-persist-fallback=dns-01",
            *("-d", "example.test", "-d", "*.example.test"),
        )
        assert done.returncode == 0, done.output
        # Where somebody else's value is, a program is tried out first, with three more values, one
        # of which it removes twice.
        assert len(nameserver.updates) == (4 + 7 if provider == "script" else 4)
    assert nameserver.values("_acme-challenge.example.test") == [foreign]
