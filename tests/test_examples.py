"""What ``examples/`` offers to be copied works, as far as that can be tried without the services.

The demo has its own test, the provider package too.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hcl2
import pytest
import yaml
from support.bind import Bind
from support.bootstrap import ROOT
from support.companion import PROGRAM, Companion
from support.issued import FOREIGN, Issued
from support.need import need
from support.pebble import ISSUER

EXAMPLES = ROOT / "examples"


def test_the_alerts_use_metrics_that_check_and_audit_write(
    issued: Issued, companion: Companion, tmp_path: Path
) -> None:
    written = ""
    for command in ("check", "audit"):
        path = tmp_path / f"{command}.prom"
        companion(command, "--all", "--metrics", path)
        written += path.read_text()
    (group,) = yaml.safe_load((EXAMPLES / "prometheus-alerts.yml").read_text())["groups"]
    known = {*re.findall(r"^# TYPE (\w+)", written, re.MULTILINE)}
    labels = {*re.findall(r"[{,](\w+)=", written), "instance"}
    assert len(group["rules"]) == 5
    for rule in group["rules"]:
        assert {*re.findall(r"\bdns_persist_\w+", rule["expr"])} <= known
        texts = " ".join([rule["expr"], *rule["annotations"].values()])
        used = {*re.findall(r"\$labels\.(\w+)", texts)} | {*re.findall(r"(\w+)=~?\"", texts)}
        assert used <= labels


def test_the_alert_on_unknown_accounts_fires_from_what_the_audit_unit_runs(
    issued: Issued, companion: Companion, bind: Bind, tmp_path: Path
) -> None:
    (group,) = yaml.safe_load((EXAMPLES / "prometheus-alerts.yml").read_text())["groups"]
    (alert,) = (r for r in group["rules"] if r["alert"] == "UnknownAccountMayGetCertificates")
    metric, label = re.fullmatch(r"(\w+)\{(.*)\} > 0", alert["expr"]).groups()  # type: ignore[union-attr]

    def fires() -> bool:
        files = []
        for command in ("check", "audit"):
            text = (EXAMPLES / "systemd" / f"dns-persist-{command}.service").read_text()
            (line,) = re.findall(r"^ExecStart=(.*)$", text.replace("\\\n", " "), re.MULTILINE)
            _, *words = line.split()
            assert words[0] == command
            files.append(tmp_path / Path(words[-1]).name)
            companion(*words[:-1], files[-1])
        found = "".join(path.read_text() for path in {*files})
        assert len({*files}) == 2  # the collector reads both
        values = re.findall(rf"^{metric}\{{.*{label}.*\}} (\S+)$", found, re.MULTILINE)
        return any(float(value) > 0 for value in values)

    for value in FOREIGN:
        bind.delete_txt(issued.name, value)
    assert not fires()
    bind.add_txt(issued.name, f"{ISSUER}; accounturi=https://stranger.example/1")
    assert fires()


def test_the_workflow_fails_when_dns_drifts(
    issued: Issued, bind: Bind, bind_reading: list[str], tmp_path: Path
) -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci-workflow.yml").read_text())
    step = workflow["jobs"]["check"]["steps"][-1]["run"]
    (tmp_path / "domains.txt").write_text(f"{issued.domain}\n")
    environment = {
        **os.environ,
        "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}",
        **{name: str(value) for name, value in workflow["env"].items()},
        "ISSUER": ISSUER,
        "ACCOUNT_URI": issued.url,
    }

    def run() -> int:
        script = f"{step.rstrip()} {' '.join(bind_reading)}"
        command = ["bash", "-e", "-c", script]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode

    assert run() == 0
    bind.delete_txt(issued.name)
    assert run() == 2


@pytest.mark.parametrize(
    ("file", "resource", "attributes"),
    [
        ("route53.tf", "aws_route53_record", {"zone_id", "name", "type", "ttl", "records"}),
        ("cloudflare.tf", "cloudflare_dns_record", {"zone_id", "name", "type", "ttl", "content"}),
    ],
)
def test_terraform_can_read_its_files(file: str, resource: str, attributes: set[str]) -> None:
    content = hcl2.loads((EXAMPLES / "terraform" / file).read_text())
    (block,) = content["resource"]
    ((kind, named),) = block.items()
    assert kind.strip('"') == resource
    (body,) = named.values()
    assert {key for key in body if not key.startswith("__")} == attributes | {"lifecycle"}
    used = {*re.findall(r"var\.(\w+)", (EXAMPLES / "terraform" / file).read_text())}
    declared = {name.strip('"') for variable in content["variable"] for name in variable}
    assert used == declared


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    need(analyze is not None, "systemd-analyze is not installed")
    for unit in (EXAMPLES / "systemd").iterdir():
        program = (
            r"/usr/bin/certbot-dns-persist|/opt/certbot/bin/certbot|/usr/local/libexec/push-if-due"
        )
        (tmp_path / unit.name).write_text(re.sub(program, sys.executable, unit.read_text()))
    units = sorted(tmp_path.iterdir())
    assert len(units) == 10
    command = [str(analyze), "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
