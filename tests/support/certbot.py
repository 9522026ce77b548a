"""The real ``certbot`` command, in directories of its own."""

import codecs
import contextlib
import dataclasses
import fcntl
import json
import os
import re
import select
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from acme import client, errors, messages
from cryptography import x509
from josepy.errors import DeserializationError
from josepy.jwk import JWK

from . import warm
from .environments import lean_certbot
from .stoppable import Stoppable

SECONDS = 120.0
"""How long one run may take."""

INTERRUPT_AGAIN_SECONDS = 10.0

OTHER = os.environ.get("CERTBOT")
"""The command of another version, or the system's, that is to be tested instead of ours."""

PROGRAM = OTHER or str(Path(sys.executable).with_name("certbot"))
"""The command beside this Python: with all the plugins that tests are installed with."""

OUTPUT = "output.log"
"""The file that keeps the output of all runs of one :class:`Certbot`."""

AGREE = ("--agree-tos", "--register-unsafely-without-email")

TAKE_TERMINAL = """\
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the terminal whose Ctrl-C reaches the program, then becomes the program.

If the tests run in the background, their shell may have set that signal to be ignored.
"""


AUTHORIZATION = re.compile(r"https://localhost:\d+/authZ/[\w-]+")
"""One of Pebble's."""

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one run."""

    returncode: int
    output: str
    """Standard output and standard error, as they came."""
    log: str
    """What the run wrote to Certbot's debug log."""


@dataclasses.dataclass(frozen=True)
class Certificate:
    names: list[str]
    """Sorted."""
    serial: int


class Certbot:
    """Certbot with one CA, keeping its files below one directory."""

    def __init__(
        self,
        root: Path,
        server: str,
        ca_bundle: Path | None = None,
        *,
        program: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``server`` is the CA's directory URL, ``ca_bundle`` the roots that its HTTPS needs.

        ``program`` is the command, by default one with no plugins but ours.

        Without a server, a renewal uses the saved one; only then does Certbot also use the saved
        account.
        """
        self.config_dir, self.work_dir, self.logs_dir = root / "etc", root / "lib", root / "log"
        self.server = server
        self.program = program or OTHER or str(lean_certbot())
        # Certbot looks for the user's own cli.ini below XDG_CONFIG_HOME.
        self.env = {**os.environ, "XDG_CONFIG_HOME": str(root / "xdg"), **(env or {})}
        if ca_bundle is not None:
            self.env["REQUESTS_CA_BUNDLE"] = str(ca_bundle)

    def command(self, *arguments: str | Path) -> list[str]:
        """Return a command line with these arguments and our directories and CA."""
        places = ["--config-dir", self.config_dir, "--work-dir", self.work_dir]
        places += ["--logs-dir", self.logs_dir]
        # A renewal asks the lineage's own CA and account, unless it is a dry run.
        if self.server and (arguments[0] != "renew" or "--dry-run" in arguments):
            places += ["--server", self.server]
        places += ["--max-log-backups", "100"]  # a log for each run, also where Debian says 0
        return [self.program, *map(str, [*arguments, *places])]

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
        """Run to the end, without a terminal and without questions."""
        done = warm.run(
            self.command(*arguments, "--non-interactive"),
            env={**self.env, **(env or {})},
            merged=True,
            seconds=SECONDS,
        )
        self.work_dir.mkdir(parents=True, exist_ok=True)
        with (self.work_dir / OUTPUT).open("a") as file:
            file.write(done.stdout)
        log = self.log()
        if authorizations := set(AUTHORIZATION.findall(log)):
            self._deactivate(authorizations)
        return Result(done.returncode, done.stdout, log)

    def _deactivate(self, authorizations: Iterable[str]) -> None:
        """Make the CA ask again next time.

        Pebble reuses one authorization in a hundred even if it is told to reuse none, and then
        Certbot does not call the plugin.
        """
        trust: Any = self.env.get("REQUESTS_CA_BUNDLE", True)  # as requests takes it
        for regr in (self.config_dir / "accounts").glob("**/regr.json"):
            try:
                uri = json.loads(regr.read_text())["uri"]
                key = JWK.json_loads(regr.with_name("private_key.json").read_text())
            except (ValueError, DeserializationError):  # a test damaged it: Certbot cannot use it
                continue
            account = messages.RegistrationResource(body=messages.Registration(), uri=uri)
            network = client.ClientNetwork(key, account=account, verify_ssl=trust)
            for url in authorizations:
                # Another account's, or not valid: it cannot be reused.
                with contextlib.suppress(messages.Error, errors.Error, OSError):
                    nonce = client.ClientV2.get_directory(self.server, network)["newNonce"]
                    update = messages.UpdateAuthorization(status="deactivated")
                    network.post(url, update, new_nonce_url=nonce)

    def register(self, *arguments: str) -> str:
        """Make an account at the CA and return its URL."""
        done = self.run("register", *AGREE, *arguments)
        assert done.returncode == 0, done.output
        return self.account_url

    def certonly(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
        """Ask for a certificate; ``arguments`` are ours and ``-d NAME``."""
        return self.run("certonly", "--authenticator", "dns-persist", *AGREE, *arguments, env=env)

    def renew(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
        return self.run("renew", "--no-random-sleep-on-renew", *arguments, env=env)

    def at_terminal(self, *arguments: str | Path) -> "Screen":
        """Start with a terminal; without ``--non-interactive``, so questions are asked."""
        return Screen(self, self.command(*arguments))

    def certonly_at_terminal(self, *arguments: str | Path) -> "Screen":
        """:meth:`certonly`, at a terminal."""
        return self.at_terminal("certonly", "--authenticator", "dns-persist", *AGREE, *arguments)

    @property
    def account_url(self) -> str:
        """The URL of the only account."""
        (path,) = (self.config_dir / "accounts").glob("**/regr.json")
        url: str = json.loads(path.read_text())["uri"]
        return url

    def renewal(self, cert_name: str) -> dict[str, str]:
        """Return the options that a renewal will use, as written in ``renewal/NAME.conf``."""
        text = (self.config_dir / "renewal" / f"{cert_name}.conf").read_text()
        return dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))

    def certificate(self, cert_name: str) -> Certificate:
        """Return the current certificate of a lineage."""
        path = self.config_dir / "live" / cert_name / "cert.pem"
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return Certificate(
            sorted(names.get_values_for_type(x509.DNSName)), certificate.serial_number
        )

    def journal(self) -> list[dict[str, Any]]:
        """Return the changes in the log whose outcome is known, oldest first."""
        path = self.logs_dir / "dns-persist-changes.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if line["result"] != "intended"]

    @property
    def state_file(self) -> Path:
        """Where the plugin keeps which records stand."""
        return self.config_dir / "dns-persist" / "state.sqlite"

    def records(self) -> Any:
        """Return the content of the state, by table; ``None`` if there is none.

        Read without our own code.
        """
        if not self.state_file.exists():
            return None
        uri = f"file:{self.state_file}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as state:
            state.row_factory = sqlite3.Row
            return {
                table: [dict(row) for row in state.execute(f"SELECT * FROM {table}")]  # noqa: S608
                for table in ("records", "intentions", "keys", "terms", "replaced", "incomplete")
            }

    def log(self) -> str:
        """Return the debug log of the last run; each run has its own."""
        path = self.logs_dir / "letsencrypt.log"
        return path.read_text() if path.exists() else ""


class Screen(Stoppable):
    """A command at a terminal: read what it shows, answer, press Ctrl-C."""

    def __init__(
        self,
        certbot: Certbot,
        command: list[str],
        *,
        columns: int = 200,
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> None:
        """``stdout`` is a file for standard output, instead of the terminal."""
        self._certbot = certbot
        self._terminal, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        with stdout.open("w") if stdout else contextlib.nullcontext(theirs) as out:
            self._child = subprocess.Popen(
                [sys.executable, "-c", TAKE_TERMINAL, *command],
                env={**certbot.env, "TERM": "xterm", **(env or {})},
                stdin=theirs,
                stdout=out,
                stderr=theirs,
                start_new_session=True,
            )
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._shown = ""

    @property
    def raw(self) -> str:
        """All that was shown so far, as it came."""
        return self._shown

    @property
    def text(self) -> str:
        """All that was shown so far, without colours and movements of the cursor."""
        return CONTROL_SEQUENCE.sub("", self._shown).replace("\r\n", "\n")

    def wait_for(self, text: str, seconds: float = SECONDS) -> str:
        """Read until ``text`` is on the screen; return all that was shown so far."""
        self._read(lambda: text in self.text, f"{text!r} to appear", seconds)
        assert text in self.text, f"ended without showing {text!r}; shown:\n{self.text}"
        return self.text

    def enter(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def interrupt(self, seconds: float = SECONDS) -> Result:
        """Press Ctrl-C and read until the program has ended.

        Pressed again after a while, as a person would: Python can miss a signal that arrives just
        before it starts to wait for input.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.enter("\x03")
            try:
                return self.finish(INTERRUPT_AGAIN_SECONDS)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise

    def finish(self, seconds: float = SECONDS) -> Result:
        """Read until the program has ended."""
        self._read(lambda: False, "the program to end", seconds)
        return Result(self._child.wait(), self.text, self._certbot.log())

    def stop(self) -> None:
        """End the program, if it has not ended."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        os.close(self._terminal)

    def _read(self, enough: Callable[[], bool], what: str, seconds: float) -> None:
        """Read until ``enough()`` or until the program has ended and all is read."""
        deadline = time.monotonic() + seconds
        while not enough():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                raise TimeoutError(f"waited {seconds:g} seconds for {what}; shown:\n{self.text}")
            try:
                octets = os.read(self._terminal, 65536)
            except OSError:  # what Linux says when nobody has the other end open
                octets = b""
            if not octets:
                return
            self._shown += self._decoder.decode(octets)
