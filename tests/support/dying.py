"""Runs of ``certbot-dns-persist`` that end, as by ``kill -9``, right before they change a file.

They use the Python of a certbot, so the releases of the packages that this one has.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from .certbot import SECONDS, Certbot

CODE = r"""
import os, signal, sys
root, moment, nth, log, *arguments = sys.argv[1:]
KINDS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink")
seen = 0

def watch(event, details):
    global seen
    if event not in KINDS:
        return
    path = str(details[1] if event in ("os.rename", "os.symlink") else details[0])
    if not path.startswith(root + "/"):
        return
    line = f"{event.removeprefix('os.')} {path.removeprefix(root + '/')}"
    print(line, file=log, flush=True)
    seen += moment in line
    if seen == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)

log = open(log, "w")
sys.addaudithook(watch)
from certbot_dns_persist.cli import main
sys.exit(main(arguments))
"""


class Dying:
    """The command, with the directories of one Certbot."""

    def __init__(self, certbot: Certbot) -> None:
        self._certbot = certbot

    def __call__(self, *arguments: str, before: str = "", nth: int = 1) -> list[str]:
        """Run until the ``nth`` change of a file whose line has ``before``.

        Returns the lines of all changes, as ``mkdir accounts/…``: the last was not made.
        """
        returncode, lines, said = self._run(before, nth, *arguments)
        assert returncode == -9, said
        return lines

    def changes(self, *arguments: str) -> list[str]:
        """Run to the good end; return the lines of all changes."""
        returncode, lines, said = self._run("", 0, *arguments)
        assert returncode == 0, said
        return lines

    def _run(self, before: str, nth: int, *arguments: str) -> tuple[int, list[str], str]:
        with tempfile.NamedTemporaryFile("r") as log:
            python = Path(self._certbot.program).with_name("python3")
            config_dir, logs_dir = self._certbot.config_dir, self._certbot.logs_dir
            done = subprocess.run(
                [
                    *(str(python), "-c", CODE, str(config_dir), before, str(nth), log.name),
                    *(*arguments, f"--config-dir={config_dir}", f"--logs-dir={logs_dir}"),
                ],
                env=self._certbot.env,
                cwd=config_dir,  # where Python finds no other release of the package
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            # Without the ends of the names of temporary files and the like.
            lines = [re.sub(r"\.[0-9a-f]{16}$", "", line) for line in log.read().splitlines()]
        return done.returncode, lines, done.stdout
