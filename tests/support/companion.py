"""The real ``certbot-dns-persist`` command."""

import functools
import importlib.resources
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from . import warm
from .certbot import OUTPUT, SECONDS, Certbot, Screen

PROGRAM = os.environ.get("COMPANION") or str(Path(sys.executable).with_name("certbot-dns-persist"))
"""The command, also another installation's."""


class Done:
    """The result of one run."""

    def __init__(self, returncode: int, out: str, error: str) -> None:
        self.returncode = returncode
        self.out = out
        self.error = error

    @property
    def output(self) -> str:
        """Both streams, for messages of assertions."""
        return f"{self.out}\n--- standard error:\n{self.error}"

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def report(self) -> Any:
        """The output of ``check --json`` or ``audit --json``, validated against our schema."""
        report_schema().validate(self.json)
        return self.json


class Companion:
    """The command beside one Certbot: with its directories, and its CA trusted."""

    def __init__(self, certbot: Certbot) -> None:
        self._certbot = certbot

    def command(self, command: str, *arguments: str | Path) -> list[str]:
        """Return a command line with these arguments and our directories."""
        places = ["--config-dir", self._certbot.config_dir, "--logs-dir", self._certbot.logs_dir]
        return [PROGRAM, command, *map(str, [*arguments, *places])]

    def __call__(
        self,
        command: str,
        *arguments: str | Path,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run to the end without a terminal."""
        return run(
            self.command(command, *arguments),
            stdin=stdin,
            env={**self._certbot.env, **(env or {})},
            keep=self._certbot.work_dir / OUTPUT,
        )

    def at_terminal(
        self,
        command: str,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> Screen:
        """Start at a terminal of 80 columns; ``stdout`` is a file that standard output goes to."""
        line = self.command(command, *arguments)
        return Screen(self._certbot, line, columns=80, env=env, stdout=stdout)


@functools.cache
def report_schema() -> jsonschema.Draft202012Validator:
    place = importlib.resources.files("certbot_dns_persist") / "render" / "check-schema.json"
    schema = json.loads(place.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    # Named properties must be known; any other must match a pattern.
    checker = jsonschema.FormatChecker(["date-time"])
    return jsonschema.Draft202012Validator(schema, format_checker=checker)


def run(
    command: list[str],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    keep: Path,
    cwd: Path | None = None,
) -> Done:
    """Run any command line of ours; what it says is also added to the file ``keep``."""
    done = warm.run(
        command, env={**os.environ, **(env or {})}, cwd=cwd, stdin=stdin, seconds=SECONDS
    )
    keep.parent.mkdir(parents=True, exist_ok=True)
    with keep.open("a") as file:
        file.write(done.stdout + done.stderr)
    return Done(done.returncode, done.stdout, done.stderr)


def ok(done: Done) -> Done:
    assert done.returncode == 0, done.output
    return done


def failed(done: Done) -> Done:
    assert done.returncode == 1, done.output
    return done
