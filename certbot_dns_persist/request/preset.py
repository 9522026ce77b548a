"""What Certbot's configuration file, cli.ini, sets for every run.

It counts as what the user types, so it comes before renewal configurations. Only Certbot's own
parser knows what is in it; that loads every plugin, so we do not ask it without need.
"""

import contextlib
import dataclasses
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from certbot_dns_persist import options
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.renewal import PREFIX

#: What may decide on the CA, the account or the authenticator. The last two and "dns-" begin names.
_DECISIVE = re.compile(
    "server|account|authenticator|configurator|staging|test-cert|dry-run|no-verify-ssl|config-dir|"
    "logs-dir|apache|nginx|standalone|webroot|manual|dns-.*"
)
_KEY = re.compile(r"\s*(?:--)?([A-Za-z][\w-]*)")

#: Certbot's names of what we ask for, besides our options.
_ASKED = ("server", "account", "authenticator", "no_verify_ssl", "config_dir", "logs_dir")


@dataclasses.dataclass(frozen=True)
class Preset:
    """The values that count as set by the user, by Certbot's name; ``None`` is one, too.

    If the CA is set, so is the account: to ``None`` if it is not in the file itself. Certbot then
    ignores the account in renewal configurations.
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    files: tuple[Path, ...] = ()
    """Those that set them."""

    def get(self, name: str, saved: Any) -> Any:
        """Return the value of ``name``, by default what is ``saved`` for a renewal."""
        return self.values.get(name, saved)

    @property
    def forgets_accounts(self) -> bool:
        """Whether Certbot ignores the accounts in renewal configurations."""
        return "account" in self.values and self.values["account"] is None

    def with_saved_accounts(self) -> "Preset":
        """Return it as if Certbot did not ignore them."""
        values = {name: value for name, value in self.values.items() if name != "account"}
        return dataclasses.replace(self, values=values) if self.forgets_accounts else self

    @property
    def options(self) -> dict[str, Any]:
        """Our options, by name without prefix, with underscores."""
        return {
            name.removeprefix(PREFIX): value
            for name, value in self.values.items()
            if name.startswith(PREFIX)
        }

    @property
    def where(self) -> str:
        """The files, for messages."""
        return " and ".join(map(str, self.files))


NOTHING_SET = Preset()


def read_preset(more: Sequence[str] = (), places: Sequence[str] = ()) -> Preset:
    """Return what the usual configuration files, and ``more``, set for Certbot.

    ``places`` are Certbot's options for its directories. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` if Certbot cannot read them.
    """
    from certbot._internal import constants

    usual = [Path(path).expanduser() for path in constants.CLI_DEFAULTS["config_files"]]
    # Path.is_file raises where a directory may not be searched.
    there = [path for path in usual if os.path.isfile(path)]  # noqa: PTH113
    files = dict.fromkeys([*there, *map(Path, more)])
    try:
        deciding = tuple(path for path in files if _decides(path.read_text().splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(files, error) from error
    if not deciding:
        return Preset()
    arguments = ["renew", "--disable-hook-validation", *places]
    for path in more:
        arguments += ["--config", path]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            values = _parsed(arguments)
    except (Exception, SystemExit) as error:  # plugins of others, and how argparse refuses
        refusal = said.getvalue().strip().rpartition("\n")[2]
        raise _unusable(deciding, refusal or error) from error
    return Preset(values, deciding)


def _decides(lines: Iterable[str]) -> bool:
    """Whether a file may set what we ask for; Certbot also takes the beginning of a name."""
    for line in lines:
        if found := _KEY.match(line):
            key = found[1].replace("_", "-")
            if _DECISIVE.fullmatch(key) or any(
                name.startswith(key) for name in _DECISIVE.pattern.split("|")
            ):
                return True
    return False


def _parsed(arguments: list[str]) -> dict[str, Any]:
    from certbot._internal import cli
    from certbot._internal.plugins import disco, selection

    parsed: Any = cli.prepare_and_parse_args(disco.PluginsRegistry.find_all(), arguments)
    # In the oldest releases, it is a function instead.
    set_by_user = getattr(parsed, "set_by_user", None) or getattr(cli, "set_by_cli")  # noqa: B009
    ours = [f"{PREFIX}{option.name}".replace("-", "_") for option in options.OPTIONS]
    values = {name: getattr(parsed, name) for name in (*_ASKED, *ours) if set_by_user(name)}
    if "authenticator" in values:  # also by --standalone and the like
        values["authenticator"], _ = selection.cli_plugin_requests(parsed)
    return values


def _unusable(files: Iterable[Path], why: object) -> ConfigurationError:
    return ConfigurationError(
        f"Certbot's configuration ({' and '.join(map(str, files))}) cannot be used: "
        f"{str(why).rstrip('.')}. So which CA, account and options Certbot uses is unknown. Fix "
        "it, or give --server, --account and the options that are needed."
    )
