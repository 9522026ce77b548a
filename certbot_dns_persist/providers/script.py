"""A user's program that publishes and removes records.

Its command line comes from ``--dns-persist-script`` or, per zone, from
``dns_persist_script_command`` in the credentials file. No shell is involved; what it needs to know
is in environment variables:

========================  ==========================================================
``DNS_PERSIST_ACTION``    ``publish`` or ``remove``
``DNS_PERSIST_NAME``      the record's name, without trailing dot
``DNS_PERSIST_VALUE``     the TXT value, without quotes
``DNS_PERSIST_TTL``       its TTL in seconds; empty for ``remove``
``DNS_PERSIST_ZONE``      the zone that the name is in; empty if it is unknown
========================  ==========================================================

The program adds or removes this one value and leaves every other value at the name alone. It exits
with status 0 on success, also if there was nothing to do. The end of its output is shown. After 300
seconds it is stopped, and so is all that it has started; likewise if we are.

We look at the zone's servers afterwards, as :mod:`~.watched` does, and before a program touches a
name with values of others, it is tried out at a name that nobody uses. These keys are for that, as
``dns_persist_script_…`` in the credentials file:

========================  ==========================================================
``propagation_seconds``   the longest that a change takes to be served; default 120
``keeps_others``          ``true``: the program leaves other values alone, so do not
                          try it out
========================  ==========================================================
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import refuse_changeable
from certbot_dns_persist.providers.interface import IUntriedProvider, Settings
from certbot_dns_persist.providers.watched import Watched
from certbot_dns_persist.wait import look_until

_SECONDS = 300.0
_GRACE = 5.0  # seconds to end in, when asked to, and when killed
_SHOWN = 2000  # characters of a program's output
_READ = 5 * _SHOWN  # octets of it: a character has up to four


@implementer(IUntriedProvider)
class Script(Watched):
    """Runs the program. Values and zones come from the authoritative servers."""

    KEYS = frozenset({"command", "keeps_others", "propagation_seconds"})

    # A program may hand the record to something slower than we wait for.
    _must_be_seen = False

    def __init__(self, settings: Settings) -> None:
        """Parse the command.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is none, its quotes
        do not match, or we run as root and others can change the program.
        """
        try:
            self._command = shlex.split(settings.credentials.get("command", ""))
        except ValueError as error:
            raise errors.ConfigurationError(
                f"The command of the provider script cannot be parsed: {error}. Quote it as for "
                "a shell, in --dns-persist-script or dns_persist_script_command."
            ) from error
        if not self._command:
            raise errors.ConfigurationError(
                "The provider script needs a program: name it with --dns-persist-script COMMAND, "
                "or with dns_persist_script_command in the credentials file."
            )
        super().__init__(settings, f"the program {self._command[0]}", "dns_persist_script_")
        waits = settings.credentials.get("propagation_seconds")
        if waits is not None:
            self._patience = self._seconds(waits)

        self._program = shutil.which(self._command[0])
        if self._program is not None:
            refuse_changeable(Path(self._program), f"The program {self._program}")
        for file in self._files:  # what an interpreter or an adapter runs, too
            refuse_changeable(file, f"The file {file}, an argument of {self._command[0]},")

    @property
    def _files(self) -> list[Path]:
        """The arguments that are files."""
        return [path for path in map(Path, self._command[1:]) if _is_file(path)]

    def _version(self) -> str:
        # A program has no version: it is another one when its file or its arguments change.
        content = b""
        for path in (Path(self._program or ""), *self._files):
            with contextlib.suppress(OSError):
                content += path.read_bytes()
        mark = hashlib.sha256(content + "\0".join(self._command).encode()).hexdigest()[:16]
        return f"the program {self._command[0]} (SHA-256 {mark}…)"

    def _write(self, action: str, name: str, zone: str | None, text: str, ttl: int | None) -> None:
        called = "publish" if action == "add" else "remove"
        self._run(called, name, zone or "", text, "" if ttl is None else str(ttl))

    def _run(self, action: str, name: str, zone: str, value: str, ttl: str) -> None:
        described = {
            "DNS_PERSIST_ACTION": action,
            "DNS_PERSIST_NAME": name,
            "DNS_PERSIST_VALUE": value,
            "DNS_PERSIST_TTL": ttl,
            "DNS_PERSIST_ZONE": zone,
        }
        task = f"The program {self._command[0]}, called to {action} the TXT record {name},"
        try:
            # No pipe: what it leaves running in the background would keep that open.
            with tempfile.TemporaryFile() as printed:
                status = _status(self._command, {**os.environ, **described}, printed)
                printed.seek(max(printed.seek(0, os.SEEK_END) - _READ, 0))
                output = printed.read(_READ).decode("utf-8", "replace").strip()
        except OSError as error:
            raise errors.ProviderError(
                f"{task} cannot be run: {error.strerror}. Check --dns-persist-script and that the "
                "file is executable."
            ) from error
        if len(output) > _SHOWN:
            output = f"…{output[-_SHOWN:]}"
        said = f"It printed:\n{output}" if output else "It printed nothing."
        if status is None:
            raise errors.OutcomeUnknown(
                f"{task} did not end within {_SECONDS:g} seconds, so it was stopped, with all that "
                "it had started. Run it by hand with the same environment to find out where it "
                f"hangs. {said}"
            )
        if status:
            raise errors.ProviderError(f"{task} ended with status {status}. {said}")
        if output:
            self._settings.notify(f"{self._command[0]}:\n{output}")


def _status(
    command: Sequence[str], environment: Mapping[str, str], printed: IO[bytes]
) -> int | None:
    """Run a program; return its exit status, ``None`` if it had to be stopped.

    If it ends by itself, what it leaves running goes on. Raises :class:`OSError`.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, and no shell
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # with a process group that all of its children are in
        )
        started.append(process)

    try:
        # In another thread no signal interrupts it, so nothing is started that we do not know of.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(start).result()
        return started[0].wait(_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        for process in started:
            if process.returncode is None:  # as when a signal ends us
                _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it has started: first asked to, then killed. It takes seconds."""

    def ended() -> bool:
        return process.poll() is not None and not _signalled(process, 0)

    try:
        _signalled(process, signal.SIGTERM)
        look_until(ended, bool, _GRACE, pauses=(0.02, 0.2))
    finally:
        if not ended():  # later, its number may be somebody else's
            _signalled(process, signal.SIGKILL)
            look_until(ended, bool, _GRACE, pauses=(0.02, 0.2))


def _signalled(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to a program and its children; return whether there is one to send it to."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # all of them are another user's now, as after sudo
        pass
    return True


def _is_file(path: Path) -> bool:
    with contextlib.suppress(OSError):  # as of a value that is too long for a path
        return path.is_file()
    return False
