"""A provider of somebody else's: the example package, installed as its readers would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.certbot import Certbot
from support.nameserver import Nameserver
from support.pebble import Pebble

from certbot_dns_persist.record import validation_domain_name

PACKAGE = Path(__file__).parents[2] / "examples" / "provider-package"
NAME = validation_domain_name("example.test")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory that the package is installed into."""
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for file in PACKAGE.glob("*.*"):
        (source / file.name).write_text(file.read_text())
    install = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target]
    subprocess.run([sys.executable, "-m", *map(str, install), str(source)], check=True)
    return str(target)


def test_a_certificate_through_the_example_and_its_renewal_without_credentials(
    tmp_path: Path, installed: str, nameserver: Nameserver, nameserver_pebble: Pebble
) -> None:
    certbot = Certbot(
        tmp_path / "certbot",
        nameserver_pebble.directory_url,
        nameserver_pebble.ca_bundle,
        env={"PYTHONPATH": installed},
    )
    records, credentials = tmp_path / "records.json", tmp_path / "credentials.ini"
    records.write_text(json.dumps({NAME: ["foreign"]}))
    credentials.touch(0o600)
    credentials.write_text(f"dns_persist_jsonfile_path = {records}\n")
    options = [
        "--dns-persist-provider=jsonfile",
        f"--dns-persist-credentials={credentials}",
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
        "--dns-persist-propagation-seconds=0",
    ]
    lacking = certbot.certonly(*options, "-d", "example.test")
    assert lacking.returncode == 1
    assert "dns_persist_jsonfile_zone is missing in" in lacking.output

    with credentials.open("a") as file:
        file.write("dns_persist_jsonfile_zone = example.test\n")
    published = certbot.certonly(*options, "-d", "example.test")
    assert "After 0 seconds these servers do not serve the records" in published.output
    nameserver.zones.set_values(NAME, json.loads(records.read_text())[NAME])
    assert len(nameserver.values(NAME)) == 2
    done = certbot.certonly(*options, "-d", "example.test")
    assert done.returncode == 0, done.output
    credentials.unlink()
    done = certbot.renew("--force-renewal")
    assert done.returncode == 0, done.output
