"""``--metrics``: numbers for Prometheus, in a file that a node exporter reads."""

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion
from support.pebble import ISSUER
from support.process import find_program

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

END = 4_000_000_000


def read(path: Path) -> Samples:
    return {
        (sample.name.removeprefix("dns_persist_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


@pytest.fixture
def certified(certbot: Certbot, domain: str, bind_writing: list[str]) -> str:
    """A domain with a certificate and a record that ends."""
    done = certbot.certonly(*bind_writing, f"--dns-persist-until={END}", "-d", domain)
    assert done.returncode == 0, done.output
    return domain


def test_the_metrics_say_what_check_and_audit_found(
    certbot: Certbot, companion: Companion, certified: str, bind: Bind, tmp_path: Path
) -> None:
    bind.add_txt(f"_validation-persist.{certified}", f"{ISSUER}; accounturi=https://x.example/1")
    checked, audited = tmp_path / "check.prom", tmp_path / "audit.prom"
    before = int(time.time())
    assert companion("check", "--all", "--metrics", checked).returncode == 0
    assert companion("audit", "--all", "--metrics", audited).returncode == 2

    record = {"domain": certified, "server": certbot.server, "account": certbot.account_url}

    def labels(command: str, **more: str) -> frozenset[tuple[str, str]]:
        return frozenset({"command": command, **record, **more}.items())

    for command, path, status in (("check", checked, 0), ("audit", audited, 2)):
        found = read(path)
        run = frozenset({("command", command)})
        began = found.pop(("check_timestamp_seconds", run))
        assert before <= began <= time.time()
        assert 0 < found.pop(("check_duration_seconds", run)) < 120
        told = found.pop(
            ("notices", labels(command, kind="unknown-account", severity="critical")), None
        )
        assert told == (1 if command == "audit" else None)
        assert found == {
            ("record_status", labels(command, status="ok", severity="ok")): 1,
            ("record_expiry_timestamp_seconds", labels(command)): END,
            ("record_expiry_seconds", labels(command)): END - began,
            ("check_status", run): status,
            ("check_records", run): 1,
            ("check_errors", run): 0,
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "audit.prom",
        "bind.ini",
        "check.prom",
    ]
    promtool = find_program("promtool")
    if promtool:
        for path in (checked, audited):
            said = subprocess.run(
                [promtool, "check", "metrics"], stdin=path.open(), check=False, capture_output=True
            )
            assert said.returncode == 0, said.stderr


def test_what_could_not_be_checked_is_counted(
    certbot: Certbot, companion: Companion, certified: str, tmp_path: Path
) -> None:
    (certbot.config_dir / "renewal" / "damaged.conf").write_text("server = nothing else\n")
    path = tmp_path / "check.prom"
    assert companion("check", "--all", "--metrics", path).returncode == 3
    found = read(path)
    run = frozenset({("command", "check")})
    assert (found["check_errors", run], found["check_status", run]) == (1, 3)
    assert found["check_records", run] == 1


WITHOUT = """\
import sys
sys.modules["prometheus_client"] = None
from certbot_dns_persist.cli import main
sys.exit(main())
"""


def test_without_the_library_it_is_named_before_anything_is_looked_up(
    tmp_path: Path,
) -> None:
    arguments = ["check", "--from-file", "/nonexistent", "--metrics", str(tmp_path / "check.prom")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "needs the Python package prometheus-client" in done.stderr


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("none/check.prom", "there is no directory"),
        (".", "not a regular file"),
        ("link", "it is a symbolic link, which we do not follow"),
        ("/dev/null", "not a regular file"),
        ("/dev/stdout", "it is a symbolic link, which we do not follow"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_anything_is_looked_up(
    companion: Companion, tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "file").write_text("of somebody else")
    (tmp_path / "link").symlink_to("file")
    done = companion("check", "--from-file", "/nonexistent", "--metrics", tmp_path / place)
    assert done.returncode == 3
    assert done.error.startswith("--metrics ")
    assert why in done.error
    assert done.out == ""
