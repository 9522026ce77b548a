"""A Certbot DNS plugin, loaded and configured outside of Certbot, to be told what to write."""

import argparse
import importlib.metadata
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from certbot_dns_persist import errors
from certbot_dns_persist.providers import credentials
from certbot_dns_persist.providers.common import (
    ANOTHER,
    checked_flag,
    distribution,
    file_of,
    one_line,
    plugins,
    plugins_called,
    refuse_changeable,
)
from certbot_dns_persist.providers.interface import Settings

_T = TypeVar("_T")

PREFIX = "dns_persist_plugin_"
"""How the keys begin, in the credentials file, that are the plugin's options."""

_PLACE = re.compile(r"([a-z]+://)?[\w.:\[\]-]+(/[\w./-]{,16})?")
"""An address, a host name or a URL that is too short to contain a secret."""


def installed() -> set[str]:
    """Return the names of the Certbot plugins that may be asked for; nothing is imported.

    Some of them are refused, with the reason, when they are loaded.
    """
    return {entry.name for entry in plugins()}


class Plugin:
    """The plugin that Certbot knows by a name, with its credentials read."""

    def __init__(self, settings: Settings, name: str, options: Mapping[str, str]) -> None:
        """Find the plugin and import it; :meth:`prepare` comes next.

        ``options`` are its own, without their prefix. Raises
        :class:`~certbot_dns_persist.errors.ConfigurationError` if there is no such plugin, or it
        cannot be told what to write.
        """
        self._settings = settings
        self._options = options
        self._name = name
        self._file = file_of(settings)
        self.label = f"the Certbot plugin {name}"
        self.usual_wait = 0
        """Seconds that its authors say a change takes."""
        self._entry = self._found()
        self._class = self._loaded()
        self._configuration = self._configured()

    @property
    def package(self) -> str:
        """The name of the distribution that brings it, normalized as package indexes do."""
        return normalized(self._entry.dist.name) if self._entry.dist else ""

    @property
    def version(self) -> str:
        """That of its distribution."""
        return self._entry.dist.version if self._entry.dist else ""

    @property
    def own_file(self) -> str:
        """The credentials file that it reads, for messages."""
        return self._options.get("credentials") or self._file

    def prepared(self) -> Any:
        """Return a new object of the plugin, with its credentials read.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if it does not accept them.
        """
        made = self.ask(
            errors.ConfigurationError,
            "be configured",
            lambda: self._class(self._configuration, self._name),
        )

        # Replaces the functions that ask the user: the answers would be missing at each renewal,
        # and without a terminal nobody answers.
        def require(key: str, label: str, _validator: object = None) -> None:
            if not made.conf(key):
                raise self._missing(key.replace("-", "_"), label)

        made._configure = made._configure_file = require
        self.ask(errors.ConfigurationError, "use its configuration", made._setup_credentials)
        return made

    def keys(self) -> set[str]:
        """Return the keys in its credentials file, without the prefix that it expects."""
        prefix = self._name.replace("-", "_") + "_"
        path = self._options.get("credentials") or self._settings.credentials_file
        found = credentials.entries(path) if path else []
        return {key.removeprefix(prefix) for key, value in found if value.strip()}

    def ask(self, kind: type[errors.Error], task: str, call: Callable[[], _T]) -> _T:
        """Return what the plugin's code returns; what it raises becomes ``kind``."""
        try:
            return call()
        except errors.Error:
            raise
        except Exception as error:  # noqa: BLE001 - other people's code may raise anything
            errors.let_signals_through(error)
            words = self._words(error)
        # Outside the except clause, so that the plugin's exception, which may quote its
        # credentials, is not chained.
        raise kind(
            f"{self._subject} cannot {task}: {words.rstrip('.')}. It reads {self.own_file}, down "
            "to the first [section]."
        )

    # Loading and configuration

    def _found(self) -> importlib.metadata.EntryPoint:
        entries = plugins_called(self._name)
        if not entries:
            raise errors.ConfigurationError(
                f"There is no Certbot plugin {self._name}. Installed are: "
                f"{', '.join(sorted(installed())) or 'none'}. Install it where Certbot is, or "
                "correct --dns-persist-provider."
            )
        brought_by = sorted(distribution(entry) for entry in entries)
        if len(entries) > 1:
            raise errors.ConfigurationError(
                f"Several packages provide a Certbot plugin {self._name}: {', '.join(brought_by)}. "
                "Uninstall all but the one that you trust with your credentials."
            )
        self.label += f" ({brought_by[0]})"
        return entries[0]

    def _loaded(self) -> Any:
        """Return the plugin's class, after checking that it can be told what to write."""
        from certbot.plugins import dns_common

        loaded = self.ask(errors.ConfigurationError, "be imported", self._entry.load)
        if not (isinstance(loaded, type) and issubclass(loaded, dns_common.DNSAuthenticator)):
            raise self._refused(
                "it is not based on Certbot's DNSAuthenticator, and only such a plugin can be "
                "told what to write"
            )
        for method in ("perform", "cleanup"):
            if getattr(loaded, method) is not getattr(dns_common.DNSAuthenticator, method):
                raise self._refused(
                    f"it overrides Certbot's {method}(), so it cannot be told what to write"
                )
        return loaded

    def _configured(self) -> Any:
        """Return a Certbot configuration with the plugin's options."""
        from certbot import configuration
        from certbot.compat import misc

        # As Certbot does it, which knows nothing of a package before a colon.
        prefix = self._name.replace("-", "_") + "_"
        parser = _Parser()
        self.ask(
            errors.ConfigurationError,
            "name its options",
            lambda: self._class.inject_parser_options(parser, self._name),
        )
        given = dict(self._options)
        if prefix + "credentials" in parser.options and self._settings.credentials_file:
            given.setdefault("credentials", self._settings.credentials_file)
        if given.get("credentials"):
            file = Path(given["credentials"]).expanduser().absolute()
            refuse_changeable(file, f"The credentials file {file}")
            given["credentials"] = str(file)

        arguments = []
        for key, value in given.items():
            option = parser.options.get(prefix + key)
            if option is None:
                raise errors.ConfigurationError(
                    f"{self._subject} has no option for {PREFIX}{key} in {self._file}. It has: "
                    + ", ".join(PREFIX + dest.removeprefix(prefix) for dest in parser.options)
                )
            name, where = option.option_strings[0], f"{PREFIX}{key} in {self._file}"
            if option.type is bool:  # which takes any text for true, but for the empty one
                on = bool(value) and checked_flag(value, where)
                arguments.append(f"{name}={'true' if on else ''}")
            elif option.nargs != 0:
                arguments.append(f"{name}={value}")
            elif checked_flag(value, where):
                arguments.append(name)
        namespace = self.ask(
            errors.ConfigurationError, "be configured", lambda: parser.parse_args(arguments)
        )

        self.usual_wait = getattr(namespace, f"{prefix}propagation_seconds", 0)
        # We look instead of waiting. Some sleep themselves, and take 0 for their own default.
        setattr(namespace, f"{prefix}propagation_seconds", 1)
        # What Certbot's class needs, and what a plugin may reasonably read.
        for attribute, fixed in {
            "config_dir": misc.get_default_folder("config"),
            "work_dir": misc.get_default_folder("work"),
            "logs_dir": misc.get_default_folder("logs"),
            "http01_port": 80,
            "https_port": 443,
            "domains": [],
            "dry_run": False,
            "noninteractive_mode": True,
            "strict_permissions": False,
        }.items():
            setattr(namespace, attribute, fixed)
        config = configuration.NamespaceConfig(namespace)
        if hasattr(config, "set_argument_sources"):  # Certbot 2.7; without it, set_by_user() fails
            config.set_argument_sources({})
        return config

    # What is said to the user

    def _words(self, error: Exception) -> str:
        """Return what ``error`` says, with *** in place of anything from the credentials."""
        import certbot.errors

        words = str(error).strip()
        if not isinstance(error, certbot.errors.Error) or not words:
            words = f"{type(error).__name__}: {words}" if words else type(error).__name__
        for secret in sorted(self._secrets(), key=len, reverse=True):
            words = words.replace(secret, "***")
        return one_line(words)

    def _secrets(self) -> set[str]:
        entries = [(key, value) for key, value in self._options.items() if key != "credentials"]
        for path in (self._settings.credentials_file, self._options.get("credentials")):
            entries += credentials.entries(path) if path else ()
        texts = {text for key, text in entries if _may_be_secret(key, text)}
        quotings = (str, urllib.parse.quote, urllib.parse.quote_plus, _as_in_json)
        return {quoting(text) for text in texts for quoting in quotings}

    def _refused(self, reason: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f"{self._subject} cannot be used as a provider: {reason}. {ANOTHER}"
        )

    def _missing(self, key: str, label: str) -> errors.ConfigurationError:
        how = f"Add a line {PREFIX}{key} = … to {self._file}."
        if key == "credentials":
            how = "Name the file with --dns-persist-credentials FILE."
        return errors.ConfigurationError(f"{self._subject} needs its option {key} ({label}). {how}")

    @property
    def _subject(self) -> str:
        return self.label[0].upper() + self.label[1:]


def normalized(package: str) -> str:
    """Return the name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()


class _Parser(argparse.ArgumentParser):
    """Collects a plugin's options, and raises where its base class would exit."""

    def __init__(self) -> None:
        self.options: dict[str, argparse.Action] = {}
        super().__init__(add_help=False, allow_abbrev=False)

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        action = super().add_argument(*args, **kwargs)
        self.options[action.dest] = action
        return action

    def error(self, message: str) -> Any:
        raise ValueError(message)


def _may_be_secret(key: str, text: str) -> bool:
    """Whether to hide ``text``; not the address of a service, which helps to fix a fault."""
    if re.search("(server|host|endpoint|url|address|port)$", key) and _PLACE.fullmatch(text):
        return False
    return len(text) > 3 and text.lower() not in ("true", "false")


def _as_in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
