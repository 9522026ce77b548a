"""The layout of the package: its floors hold, and docs/design.md shows all of it."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from support.bootstrap import ROOT

PACKAGE = ROOT / "certbot_dns_persist"
LINTER = Path(sys.executable).with_name("lint-imports")

# A line of the picture: a package or module, then words; a package's modules follow a colon.
_ENTRY = re.compile(r" {2}([a-z_0-9]+)(/|\.py) {2,}(.*)")


def test_the_floors_hold_and_a_breach_is_found(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert lint(tmp_path).returncode == 0, lint(tmp_path).stdout
    ground = tmp_path / PACKAGE.name / "record.py"
    ground.write_text(ground.read_text("utf-8") + "import certbot_dns_persist.judge.plan\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "certbot_dns_persist.record -> certbot_dns_persist.judge.plan" in done.stdout


def lint(directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LINTER, "--no-cache"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_shows_every_package_and_module_and_no_other() -> None:
    assert sorted(shown()) == sorted(
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    )


def shown() -> list[str]:
    """Return the modules in the picture of docs/design.md, as paths below the package."""
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    picture = text.partition("\n```text\ncertbot_dns_persist/\n")[2].partition("\n```")[0]
    found = []
    for line in re.sub(r"\n {4,}", " ", picture).splitlines():
        entry = _ENTRY.fullmatch(line)
        assert entry, line
        name, kind, words = entry.groups()
        if kind == ".py":
            found.append(f"{name}.py")
        else:
            modules = words.partition(": ")[2]
            found += [f"{name}/{each.split()[0]}.py" for each in modules.split(" · ")]
    return found


def test_what_runs_before_a_commit_is_what_tests_run_checks() -> None:
    checks = runpy.run_path(str(ROOT / "tests" / "run"))["CHECKS"]
    configured = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (local,) = configured["repos"]
    hooks = {hook["name"]: hook["entry"] for hook in local["hooks"]}
    assert hooks == {
        name: shlex.join(map(str, [".venv/bin/python", *arguments])).replace(
            f".venv/bin/python {ROOT}/", ""
        )
        for name, arguments in checks.items()
    }
