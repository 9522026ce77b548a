"""What runs Certbot in containers: the files are well-formed, and what they run works where it can.

There are no containers here: what the image installs goes into a virtual environment, and the loop
of the compose file runs as any program does.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.bind import Bind
from support.bootstrap import ROOT, environment
from support.certbot import Certbot
from support.issued import Issued
from support.packages import version
from support.process import Process
from support.wheel import wheel

from noxfile import find_python

CONTAINER = ROOT / "packaging" / "container"
DOCKERFILES = [CONTAINER / "Dockerfile", CONTAINER / "Dockerfile.debian"]
COMPOSE = CONTAINER / "compose.yaml"
LOOP = CONTAINER / "renew-loop"
KUBERNETES = ROOT / "examples" / "kubernetes" / "certbot.yaml"
BIN = Path(sys.executable).parent

Loop = Callable[..., Process]


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end; return what it printed, and show all of it when it fails."""
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def instructions(path: Path, name: str) -> list[str]:
    """Return the arguments of the instructions of a Dockerfile that have a name."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return re.findall(rf"^{name} (.*)$", text.replace("\\\n", ""), re.MULTILINE)


def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    return {document["kind"]: document for document in documents}


def test_the_files_pass_their_linters() -> None:
    run(BIN / "hadolint", *DOCKERFILES)
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    run(BIN / "shellcheck", LOOP)
    run(BIN / "kubernetes-validate", "--strict", KUBERNETES)


def test_what_an_image_takes_from_the_clone_is_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for path in DOCKERFILES:
        for arguments in instructions(path, "COPY"):
            source = arguments.split()[-2]
            assert any(source == each or source.startswith(f"{each}/") for each in taken)
            assert "*" in source or (ROOT / source).exists()


def test_everything_agrees_on_the_user_the_command_and_the_release() -> None:
    (user,) = {*instructions(DOCKERFILES[0], "USER"), *instructions(DOCKERFILES[1], "USER")}
    pod = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    security = pod["securityContext"]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert pod["containers"][0]["image"] == f"certbot-dns-persist:{version()}"
    service = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["certbot"]
    assert service["entrypoint"] == [LOOP.name]
    assert (CONTAINER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(
        DOCKERFILES[0]
    )


def test_the_image_gets_the_plugin_and_keeps_its_certbot(tmp_path: Path) -> None:
    """With the newest Python that is here, and a release of Certbot that is not the newest."""
    python = next(filter(None, map(find_python, ("3.14", "3.13", "3.12", "3.11", "3.10"))))
    venv, copied = tmp_path / "venv", tmp_path / "copied"
    run(python, "-m", "venv", venv)
    run(venv / "bin" / "pip", "install", "--quiet", "certbot==5.0.0", env=environment())
    before = run(venv / "bin" / "pip", "list", "--format=freeze")
    copied.mkdir()
    (copied / wheel().name).write_bytes(wheel().read_bytes())
    install, _ = instructions(DOCKERFILES[0], "RUN")
    path = f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = install.replace("/tmp/", f"{copied}/")  # noqa: S108
    run("sh", "-ec", command, env={**environment(), "PATH": path, "EXTRAS": "[completion]"})
    assert list(copied.iterdir()) == []
    after = run(venv / "bin" / "pip", "list", "--format=freeze").splitlines()
    assert "certbot==5.0.0" in after
    assert set(before.splitlines()) <= set(after)
    assert any(line.startswith("shtab==") for line in after)
    places = [f"--{name}-dir={tmp_path / name}" for name in ("config", "work", "logs")]
    assert "* dns-persist" in run(venv / "bin" / "certbot", "plugins", *places)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Start the loop with a command for ``certbot``; the pauses are a second, if not given."""

    def start(certbot: str, interval: str = "1", jitter: str = "0") -> Process:
        program = tmp_path / "bin" / "certbot"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{certbot}\n")
        program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        more = {"PATH": path, "INTERVAL": interval, "JITTER": jitter}
        return Process([LOOP, "--quiet"], log=tmp_path / "loop.log", env={**os.environ, **more})

    return start


def test_the_loop_renews_what_is_due_until_it_is_stopped(issued: Issued, loop: Loop) -> None:
    program, _, *places = issued.certbot.command("renew")
    environ = " ".join(f"{key}='{issued.certbot.env[key]}'" for key in ("REQUESTS_CA_BUNDLE",))
    with loop(f'shift 3; {environ} exec {program} renew -n {" ".join(places)} "$@"') as running:
        running.wait_until(lambda: running.log.read_text().count("renew-loop: done") > 1)
    assert "fail" not in running.log.read_text()
    assert issued.certbot.log().count("not due for renewal") == 1


def test_a_signal_reaches_a_certbot_at_work_and_its_end_is_waited_for(loop: Loop) -> None:
    certbot = "trap 'sleep 0.2; echo ended; exit 0' TERM; echo working; sleep 50 & wait"
    with loop(certbot) as running:
        running.wait_until(lambda: "working" in running.log.read_text())
        os.kill(running.pid, signal.SIGTERM)
        running.wait_for_end()
    assert running.log.read_text().splitlines()[:2] == ["working", "ended"]
    assert running.log.read_text().count("working") == 1


def test_a_signal_ends_a_pause_at_once(loop: Loop) -> None:
    with loop("echo working", "86400", "86400") as running:
        os.kill(running.pid, signal.SIGTERM)
        running.wait_for_end()
    assert running.log.read_text() == ""


def test_after_a_failure_the_loop_goes_on(loop: Loop) -> None:
    with loop("echo asked: $*; exit 1") as running:
        running.wait_until(lambda: running.log.read_text().count("Certbot failed") > 1)
    first = running.log.read_text().splitlines()[0]
    assert first == "asked: renew --non-interactive --no-random-sleep-on-renew --quiet"


@pytest.mark.parametrize(
    ("interval", "jitter", "named"),
    [
        ("0", "0", "INTERVAL"),
        ("12h", "0", "INTERVAL"),
        ("100000", "0", "INTERVAL"),
        ("1", "-1", "JITTER"),
    ],
)
def test_the_loop_takes_no_senseless_pauses(
    loop: Loop, interval: str, jitter: str, named: str
) -> None:
    with loop("echo never", interval, jitter) as running:
        assert running.wait_for_end() == 2
    assert running.log.read_text().startswith(f"renew-loop: {named} is ")


def test_the_job_gets_a_certificate_and_then_keeps_it(
    certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str], tmp_path: Path
) -> None:
    settings = manifests()["ConfigMap"]["data"]["cli.ini"]
    settings = settings.replace("you@example.com", "you@example.org").replace(
        "/data", f"{tmp_path}"
    )
    (tmp_path / "cli.ini").write_text(settings.replace("example.com", domain))
    (container,) = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ]
    arguments = [each.replace("/etc/certbot", f"{tmp_path}") for each in container["args"]]
    program, server = certbot.program, f"--server={certbot.server}"
    first = run(program, *arguments, server, *bind_writing, env=certbot.env)
    assert "Successfully received certificate" in first
    chain = tmp_path / "config" / "live" / domain / "fullchain.pem"
    received = chain.read_bytes()
    again = run(program, *arguments, server, env=certbot.env)
    assert "not yet due for renewal" in again
    assert chain.read_bytes() == received
