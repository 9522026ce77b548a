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
with status 0 on success, also if there was nothing to do. Its output is shown.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import refuse_changeable
from certbot_dns_persist.providers.interface import IProvider, Settings

_SECONDS = 300
_SHOWN = 2000  # characters of a failing program's output


@implementer(IProvider)
class Script:
    """Runs the program. Values and zones come from the authoritative servers."""

    writes = True
    KEYS = frozenset({"command"})

    def __init__(self, settings: Settings) -> None:
        """Parse the command.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is none, its quotes
        do not match, or we run as root and others can change the program.
        """
        self._settings = settings
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

        program = shutil.which(self._command[0])
        if program is not None:
            refuse_changeable(Path(program), f"The program {program}")

    def zone_for(self, name: str) -> str | None:
        """Return the zone of ``name``, from DNS."""
        return self._settings.observe(name).zone

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values that the authoritative servers serve at ``name``."""
        return self._settings.observe(name).values

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Run the program to publish the value; return ``ttl`` (seconds).

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if it cannot be run, takes too
        long or fails.
        """
        self._run("publish", name, value, str(ttl))
        return ttl

    def remove_value(self, name: str, value: str) -> None:
        """Run the program to remove the value; errors as for :meth:`add_value`."""
        self._run("remove", name, value, "")

    def _run(self, action: str, name: str, value: str, ttl: str) -> None:
        described = {
            "DNS_PERSIST_ACTION": action,
            "DNS_PERSIST_NAME": name,
            "DNS_PERSIST_VALUE": value,
            "DNS_PERSIST_TTL": ttl,
            "DNS_PERSIST_ZONE": self.zone_for(name) or "",
        }
        task = f"The program {self._command[0]}, called to {action} the TXT record {name},"
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command, and no shell
                self._command,
                env={**os.environ, **described},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise errors.ProviderError(
                f"{task} did not end within {_SECONDS} seconds and was stopped. Run it by hand "
                "with the same environment to find out where it hangs."
            ) from error
        except OSError as error:
            raise errors.ProviderError(
                f"{task} cannot be run: {error.strerror}. Check --dns-persist-script and that the "
                "file is executable."
            ) from error
        output = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode:
            raise errors.ProviderError(
                f"{task} ended with status {done.returncode}. "
                + (f"It printed:\n{output[-_SHOWN:]}" if output else "It printed nothing.")
            )
        if output:
            self._settings.notify(f"{self._command[0]}:\n{output}")
