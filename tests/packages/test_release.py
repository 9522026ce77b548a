"""What the forge runs: its workflows are well-formed, and their commands work where they can."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import tools
from support.bootstrap import CACHE, ROOT
from support.packages import tracked, version

FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))
FORMS = [FORGE / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "provider.yml")]
BIN = Path(sys.executable).parent
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"
"""Where actionlint finds shellcheck, which reads the commands of the workflows."""

FILES = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.dependabot": [FORGE / "dependabot.yml"],
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [FORGE / "ISSUE_TEMPLATE" / "config.yml"],
}
"""By the schema that ``check-jsonschema`` has for them."""

NOT_RUN = {
    "apt-get": "installs into the system; .ci/run does the same on a system of ours",
    "chown": "gives the clone to root, which only a container needs",
    ".ci/run": "is what runs this test",
    "packaging/build deb": "tests/packages/test_debian.py",
    "packaging/build --output rpms rpm": "tests/packages/test_rpm.py",
    "dnf": "needs Fedora",
    "packaging/build sdist\ndnf": "needs Fedora",
    "sudo snap": "needs a machine of the forge",
}
"""What a command of a workflow begins with, and why no test here runs it, or which one does."""


def run(*command: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("schema", FILES)
def test_a_file_of_the_forge_fits_its_schema(schema: str) -> None:
    done = run(BIN / "check-jsonschema", "--builtin-schema", schema, *FILES[schema])
    assert done.returncode == 0, done.stdout


def test_the_workflows_pass_actionlint() -> None:
    done = run(tools.actionlint(), *WORKFLOWS, env={**os.environ, "PATH": PATH})
    assert done.returncode == 0, done.stdout


def test_strangers_can_make_no_workflow_do_anything() -> None:
    """Of what zizmor knows: injected commands, rights that are not needed, and so on."""
    done = run(BIN / "zizmor", "--offline", "--no-progress", "--strict-collection", FORGE)
    assert done.returncode == 0, done.stdout


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the steps of all workflows, each with ``workflow/job``."""
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            for step in job.get("steps", ()):
                yield f"{path.stem}/{name}", step


def test_every_action_of_others_is_one_that_nobody_can_replace() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each)] == []


def commands(job: str) -> list[str]:
    """Return what a job runs, less what cannot run here."""
    found = [step["run"] for name, step in steps() if name == job and "run" in step]
    assert found
    return [each for each in found if not each.startswith(tuple(NOT_RUN))]


RUN = ("release/python", "release/attest", "release/pypi", "release/forge")
"""The jobs that :func:`test_a_tag_makes_a_release` runs."""


def test_every_command_is_run_or_it_is_said_why_not() -> None:
    assert [name for name, _ in steps() if name not in RUN and commands(name)] == []
    everything = [step["run"] for _, step in steps() if "run" in step]
    for beginning in NOT_RUN:
        assert any(each.startswith(beginning) for each in everything), beginning


class Forge:
    """A machine of the forge with a clone of what is to be released."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clone = directory, directory / "clone"
        for name in tracked():
            copy = self.clone / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)
        (self.clone / ".cache").symlink_to(CACHE)  # for the tools; their versions are pinned
        (directory / "bin").mkdir()
        gh = directory / "bin" / "gh"
        gh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shlex.quote(str(directory / "gh"))}\n')
        gh.chmod(0o755)
        self.git("init", "--quiet")
        (self.clone / ".git" / "info" / "exclude").write_text("/.cache\n")  # it is a link here
        self.git("config", "user.name", "nobody")
        self.git("config", "user.email", "nobody@example.org")

    def git(self, *arguments: str) -> None:
        done = run("git", *arguments, cwd=self.clone)
        assert done.returncode == 0, done.stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A release")

    def runs(self, command: str, tag: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ,
            "PATH": f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_REF_NAME": tag,
            "GITHUB_REPOSITORY": "somebody/certbot-dns-persist",
            "GITHUB_OUTPUT": str(self.directory / "output"),
        }
        return run("bash", "-e", "-c", command, cwd=self.clone, env=environment)


def test_a_tag_makes_a_release(tmp_path: Path) -> None:
    forge, tag = Forge(tmp_path), f"v{version()}"
    build, *_ = commands("release/python")
    forge.commit()
    refused = forge.runs(build, "v9.9")
    assert refused.returncode == 1
    assert refused.stdout.splitlines() == [
        "This is not release v9.9:",
        f"- setup.py has version {version()}.",
        "- setup.py has a URL or an address in .example, which is no real place.",
    ]

    setup = forge.clone / "setup.py"
    setup.write_text(setup.read_text().replace('.example"', '.example.org"'))
    forge.commit()
    for command in commands("release/python"):
        done = forge.runs(command, tag)
        assert done.returncode == 0, done.stdout
    dist = forge.clone / "dist"
    stem = f"certbot_dns_persist-{version()}"
    sdist, wheel, sbom = f"{stem}.tar.gz", f"{stem}-py3-none-any.whl", f"{stem}.cdx.json"
    assert {path.name for path in dist.iterdir()} == {sdist, wheel, sbom}
    notes = (forge.clone / "notes.md").read_text()
    assert notes.lstrip().startswith("### Added\n- The Certbot authenticator")
    assert "\n## " not in notes

    bom = json.loads((dist / sbom).read_text())
    subject = bom["metadata"]["component"]
    assert subject["purl"] == f"pkg:pypi/certbot-dns-persist@{version()}"
    needed = {component["name"] for component in bom["components"]}
    assert {"acme", "certbot", "boto3", "psycopg"} <= needed
    assert not needed & {"certbot-dns-persist", "pip", "pytest"}
    assert str(CACHE) not in (dist / sbom).read_text()

    for command in [*commands("release/attest"), *commands("release/forge")]:
        done = forge.runs(command, tag)
        assert done.returncode == 0, done.stdout
    assert (tmp_path / "output").read_text() == f"sbom=dist/{sbom}\n"
    checked = run("sha256sum", "--check", "SHA256SUMS", cwd=dist)
    assert checked.stdout.splitlines() == [f"{name}: OK" for name in sorted((sdist, wheel, sbom))]
    asked = (tmp_path / "gh").read_text().splitlines()
    assert asked[:3] == ["release", "create", tag]
    assert set(asked[-4:]) == {f"dist/{name}" for name in (sdist, wheel, sbom, "SHA256SUMS")}
    for command in commands("release/pypi"):
        assert forge.runs(command, tag).returncode == 0
    assert {path.name for path in dist.iterdir()} == {sdist, wheel, "SHA256SUMS"}
