"""A provider of somebody else's: the example package, installed as its readers would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.nameserver import Nameserver
from support.pebble import Pebble

from certbot_dns_persist.record import validation_domain_name

# Adds values to the file of the first argument, as if the disk were full at so many octets, if any.
ADD = """\
import resource, sys
from certbot_dns_persist.providers.loader import load
from certbot_dns_persist.providers.interface import Settings

path, name, most, *values = sys.argv[1:]
if int(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
credentials = {"path": path, "zone": "example.test"}
provider = load("jsonfile", Settings(credentials, None, notify=print))
for value in values:
    provider.add_value(name, value, 300)
"""

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


def adding(installed: str, records: Path, most: int, *values: str) -> "subprocess.Popen[str]":
    """Add values in a process of its own that may write files of ``most`` octets; 0: any size."""
    return subprocess.Popen(
        [sys.executable, "-c", ADD, records, NAME, str(most), *values],
        env={**os.environ, "PYTHONPATH": f"{installed}:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_disk_that_is_full_loses_nothing(tmp_path: Path, installed: str) -> None:
    records = tmp_path / "records.json"
    before = json.dumps({"other.example.test": ["foreign " + "x" * 200]})
    records.write_text(before)
    full = adding(installed, records, 250, "y" * 100)
    _, said = full.communicate(timeout=60)
    assert full.returncode == 1
    assert f"The records in {records} cannot be used" in said
    assert records.read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {"records.json", "records.json.lock"}


def test_changes_at_the_same_time_all_survive_and_so_does_the_files_mode(
    tmp_path: Path, installed: str
) -> None:
    records = tmp_path / "records.json"
    records.write_text(json.dumps({NAME: ["foreign"]}))
    records.chmod(0o640)
    values = [str(number) for number in range(60)]
    for process in [adding(installed, records, 0, *values[start::3]) for start in range(3)]:
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "")
    assert sorted(json.loads(records.read_text())[NAME]) == sorted(["foreign", *values])
    assert records.stat().st_mode & 0o777 == 0o640
