"""Any installed Certbot DNS plugin as a provider: ``--dns-persist-provider dns-ovh``.

The plugin reads its usual keys (``dns_ovh_endpoint``) from the credentials file. Its other options
may be in the same file, with ``dns_persist_plugin_`` in place of ``--dns-ovh-``:

=======================  ==========================================================================
``credentials``          a file for the plugin alone, for instance because it is not an INI file;
                         default the credentials file itself; empty for none
``propagation_seconds``  the longest that the service takes to serve a change; default what the
                         plugin's authors say, but at least 120
any other                as the plugin documents
=======================  ==========================================================================

In a file with sections, the plugin sees only what is above them: give it a file of its own for each
zone with ``dns_persist_plugin_credentials``.

Plugins are made for the short values of dns-01, at names that nobody else uses. Some split a value
at its blanks, some keep one value per name, some delete all of them. So we look at the
authoritative servers after each change, until they show that the plugin writes the right value and
keeps those beside it.
"""

import argparse
import contextlib
import importlib.metadata
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.options import whole_number
from certbot_dns_persist.providers import credentials
from certbot_dns_persist.providers.common import distribution, file_of, flag, refuse_changeable
from certbot_dns_persist.providers.interface import IProvider, Served, Settings
from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.txt import quoted
from certbot_dns_persist.wait import look_until

_T = TypeVar("_T")

_GROUPS = ("certbot.plugins", "letsencrypt.plugins")  # Certbot reads both
_PREFIX = "dns_persist_plugin_"

_PATIENCE = 120  # seconds that a change may take, at least
_SETTLE = 10  # seconds in which a service may restore what it removes while it writes

_OURSELVES = "dns-persist"

_REFUSED = {
    _OURSELVES: "it is this plugin itself. Name the plugin or provider of your DNS service",
    "dns-multi": "it ignores the value that it is given and writes one derived from the "
    "token of a dns-01 challenge. Use a provider of your DNS service (--dns-persist-provider), or "
    "the provider script with a program that writes the record",
    "dns-route53": "it replaces all values at a name with its own, and so "
    "destroys the records of other CAs and accounts. Use --dns-persist-provider route53, which "
    "leaves them alone",
    "dns-standalone": "it serves a record only while Certbot runs, but this one has to stay. "
    "Use a provider of the DNS service that serves the zone",
}
"""Plugins that cannot work, whatever the configuration."""

_PLACE = re.compile(r"([a-z]+://)?[\w.:\[\]-]+(/[\w./-]{,16})?")
"""An address, a host name or a URL that is too short to contain a secret."""


def _as_it_is(value: str) -> str:
    return value


_Form = Callable[[str], str]

_FORMS: tuple[_Form, ...] = (_as_it_is, quoted)

_KNOWN_FORMS: dict[str, tuple[_Form, ...]] = {
    # It reads the value as a zone file does, where a semicolon starts a comment.
    "dns-rfc2136": (quoted,),
}


def installed() -> set[str]:
    """Return the names of the Certbot plugins that :class:`Bridge` can be asked for.

    Nothing is imported. Some of them are refused, with the reason, when they are loaded.
    """
    names = {entry.name for entry in _entries()}
    return {name for name in names if name.startswith("dns-")} - {_OURSELVES}


def _entries() -> Iterator[importlib.metadata.EntryPoint]:
    for group in _GROUPS:
        yield from importlib.metadata.entry_points(group=group)


@implementer(IProvider)
class Bridge:
    """One Certbot DNS plugin, used to write the records that it is told to."""

    writes = True

    def __init__(self, settings: Settings, name: str) -> None:
        """Load and configure the plugin that Certbot knows by ``name``.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is no such plugin,
        it cannot be bridged, or it does not accept its configuration.
        """
        self._settings = settings
        self._file = file_of(settings)
        self._name = name
        self._label = f"the Certbot plugin {name}"
        self._patience = _PATIENCE
        if name in _REFUSED:
            raise self._refused(_REFUSED[name])
        self._plugin = self._prepared(self._loaded())
        self._forms = _KNOWN_FORMS.get(name, _FORMS)
        self._written: dict[tuple[str, str], str] = {}
        self._proven: set[tuple[str, bool]] = set()
        self._destroyed_at: str | None = None
        self._said_ttl = False

    def zone_for(self, name: str) -> str | None:
        """Return the zone of ``name``, from DNS; the plugin cannot be asked.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the authoritative servers
        cannot be asked.
        """
        return self._settings.observe(name).zone

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values that the authoritative servers serve; the plugin cannot be asked.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if they cannot be asked.
        """
        return self._settings.observe(name).values

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Let the plugin add one TXT record; return the TTL in seconds.

        The plugin decides on the TTL; if it does not say which, ``ttl`` is returned.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the plugin fails, writes
        something else, or destroys other values at the name.
        """
        before = self._settings.observe(name)
        if value not in before.values:
            self._refuse_to_destroy(name, value, before)
            self._add(name, value, before)
        return self._ttl(ttl)

    def remove_value(self, name: str, value: str) -> None:
        """Let the plugin remove one TXT record.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the plugin fails, leaves it
        there, or destroys other values at the name.
        """
        before = self._settings.observe(name)
        there = value in before.values
        written = self._written.pop((name, value), None)
        if not there and written is None:
            # Never ask for what is not there: some plugins then remove everything.
            return
        self._refuse_to_destroy(name, value, before)
        for text in [form(value) for form in self._forms] if written is None else [written]:
            self._run(self._plugin._cleanup, "remove", name, before, text)
            if not there or self._is_proven("remove", value, before):
                return
            now = self._watched(name, value, before, present=False)
            if _changed(before, now, value, present=False):
                self._prove("remove", name, value, before, now)
                return
        raise errors.ProviderError(
            f"{self._subject} did not remove the TXT record {name}{_in(before)}: {self._patience} "
            f'seconds after it reported success, "{printable(value)}" is still served there. Find '
            f"it in your DNS service's own interface and remove it there. {self._slower}"
        )

    # One change

    def _add(self, name: str, value: str, before: Served) -> None:
        wrong: list[str] = []
        taken_back = True
        for form in self._forms:
            text = self._written[name, value] = form(value)
            try:
                self._run(self._plugin._perform, "add", name, before, text)
            except errors.ProviderError:
                del self._written[name, value]
                if not wrong:
                    raise
                break  # only the first attempt matters
            if self._is_proven("add", value, before):
                return
            known = [*before.values, *wrong]
            now = self._watched(name, value, before, present=True, known=known)
            if _changed(before, now, value, present=True):
                self._forms = (form,)
                self._prove("add", name, value, before, now)
                return
            del self._written[name, value]
            try:
                self._run(self._plugin._cleanup, "take back", name, before, text)
            except errors.ProviderError:
                taken_back = False  # report what it wrote, not why that stays
            mangled = _resembling(value, now, known)
            if not mangled:
                break
            wrong += mangled
        raise self._not_as_meant(name, value, before, wrong, taken_back)

    def _run(
        self,
        method: Callable[[str, str, str], None],
        verb: str,
        name: str,
        served: Served,
        text: str,
    ) -> None:
        # Certbot passes the domain that is being validated, but the record may be in another zone,
        # at the end of an alias. Most plugins look for their zone at this name, then above it, and
        # some strip it from the record's name. The zone itself works for all of them.
        self._ask(
            errors.ProviderError,
            f"{verb} the TXT record {name}{_in(served)}",
            lambda: method(served.zone or name, name, text),
        )

    def _watched(
        self,
        name: str,
        value: str,
        before: Served,
        *,
        present: bool,
        known: Iterable[str] | None = None,
    ) -> Served:
        """Look until a server has changed as expected or serves a mangled value, or time is up."""

        def done(now: Served) -> bool:
            return bool(
                _changed(before, now, value, present=present)
                or (known is not None and _resembling(value, now, known))
            )

        return self._look_until(name, done, self._patience)

    def _look_until(self, name: str, done: Callable[[Served], bool], seconds: int) -> Served:
        def look() -> Served:
            try:
                return self._settings.observe(name)
            except errors.ProviderError:
                # They could be asked before the change, so this may be temporary.
                return Served([], None)

        return look_until(look, done, seconds)

    # What is known of the plugin

    def _is_proven(self, action: str, value: str, before: Served) -> bool:
        """Whether the plugin no longer needs checking: the workflow looks at all names anyway."""
        beside = bool(set(before.values) - {value})
        return (action, True) in self._proven or (action, beside) in self._proven

    def _prove(self, action: str, name: str, value: str, before: Served, now: Served) -> None:
        """Note that the plugin did what it was told to. Raises if other values vanished."""
        present = action == "add"
        if _lost(before, now, value, present=present):
            now = self._look_until(
                name,
                lambda now: (
                    bool(_changed(before, now, value, present=present))
                    and not _lost(before, now, value, present=present)
                ),
                min(self._patience, _SETTLE),
            )
        lost = _lost(before, now, value, present=present)
        if lost:
            self._destroyed_at = name
            done = "added" if present else "removed"
            raise errors.ProviderError(
                f'{self._subject} {done} the TXT record {name} with the value "{printable(value)}"'
                f"{_in(before)}, but other values there vanished with that:\n{_listed(lost)}\n"
                "Restore them in your DNS service's own interface: other CAs, accounts or "
                f"services may rely on them. {self._alternative}"
            )
        self._proven.add((action, bool(set(before.values) - {value})))

    def _refuse_to_destroy(self, name: str, value: str, served: Served) -> None:
        others = [other for other in served.values if other != value]
        if self._destroyed_at is not None and others:
            raise errors.ProviderError(
                f"Nothing was changed at {name}{_in(served)}: {self._label} destroyed other "
                f"records at {self._destroyed_at}, and here it would destroy:\n"
                f"{_listed(others)}\n{self._alternative}"
            )

    def _ttl(self, ttl: int) -> int:
        # An attribute that Certbot's own plugins, and those modelled on them, have by convention.
        used = getattr(self._plugin, "ttl", getattr(self._plugin, "_ttl", ttl))
        if not isinstance(used, int):
            return ttl
        if used != ttl and not self._said_ttl:
            self._said_ttl = True
            self._settings.notify(
                f"{self._subject} decides on the TTL: {used} seconds instead of {ttl}."
            )
        return used

    # Loading and configuration

    def _loaded(self) -> Any:
        """Return the plugin's class, after checking that it can be told what to write."""
        from certbot.plugins import dns_common

        entries = [entry for entry in _entries() if entry.name == self._name]
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
        self._label += f" ({brought_by[0]})"
        loaded = self._ask(errors.ConfigurationError, "be imported", entries[0].load)
        if not (isinstance(loaded, type) and issubclass(loaded, dns_common.DNSAuthenticator)):
            raise self._refused(
                "it is not based on Certbot's DNSAuthenticator, and only such a plugin can be "
                f"told what to write. {self._alternative}"
            )
        for method in ("perform", "cleanup"):
            if getattr(loaded, method) is not getattr(dns_common.DNSAuthenticator, method):
                raise self._refused(
                    f"it overrides Certbot's {method}(), so it cannot be "
                    f"told what to write. {self._alternative}"
                )
        return loaded

    def _prepared(self, plugin_class: Any) -> Any:
        """Return the plugin, with its credentials read."""
        plugin = self._ask(
            errors.ConfigurationError,
            "be configured",
            lambda: plugin_class(self._configuration(plugin_class), self._name),
        )

        # Replaces the functions that ask the user: the answers would be missing at each renewal,
        # and without a terminal nobody answers.
        def require(key: str, label: str, _validator: object = None) -> None:
            if not plugin.conf(key):
                raise self._missing(key.replace("-", "_"), label)

        plugin._configure = plugin._configure_file = require
        self._ask(errors.ConfigurationError, "use its configuration", plugin._setup_credentials)
        return plugin

    def _configuration(self, plugin_class: Any) -> Any:
        """Return a Certbot configuration with the plugin's options."""
        from certbot import configuration
        from certbot.compat import misc

        prefix = self._name.replace("-", "_") + "_"
        parser = _Parser()
        plugin_class.inject_parser_options(parser, self._name)
        given = dict(self._settings.credentials)
        waits = given.pop("propagation_seconds", None)
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
                    f"{self._subject} has no option for {_PREFIX}{key} in {self._file}. It has: "
                    + ", ".join(_PREFIX + dest.removeprefix(prefix) for dest in parser.options)
                )
            if option.nargs != 0:
                arguments.append(f"{option.option_strings[0]}={value}")
            elif _flag(key, value):
                arguments.append(option.option_strings[0])
        namespace = parser.parse_args(arguments)

        usual = getattr(namespace, f"{prefix}propagation_seconds", 0)
        self._patience = _seconds(waits) if waits is not None else max(usual, _PATIENCE)
        setattr(namespace, f"{prefix}propagation_seconds", 0)
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
        }.items():
            setattr(namespace, attribute, fixed)
        return configuration.NamespaceConfig(namespace)

    # What is said to the user

    def _ask(self, kind: type[errors.Error], task: str, call: Callable[[], _T]) -> _T:
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
            f"{self._subject} cannot {task}: {words.rstrip('.')}. It reads {self._own_file}, down "
            "to the first [section]."
        )

    def _words(self, error: Exception) -> str:
        """Return what ``error`` says, with *** in place of anything from the credentials."""
        import certbot.errors

        words = str(error).strip()
        if not isinstance(error, certbot.errors.Error) or not words:
            words = f"{type(error).__name__}: {words}" if words else type(error).__name__
        for secret in sorted(self._secrets(), key=len, reverse=True):
            words = words.replace(secret, "***")
        return words

    def _secrets(self) -> set[str]:
        given = self._settings.credentials
        entries = [(key, value) for key, value in given.items() if key != "credentials"]
        for path in (self._settings.credentials_file, given.get("credentials")):
            entries += credentials.entries(path) if path else ()
        texts = {text for key, text in entries if _may_be_secret(key, text)}
        quotings = (str, urllib.parse.quote, urllib.parse.quote_plus, _as_in_json)
        return {quoting(text) for text in texts for quoting in quotings}

    def _not_as_meant(
        self, name: str, value: str, before: Served, wrong: list[str], taken_back: bool
    ) -> errors.ProviderError:
        """Return the error for a value that was added, in each form, and removed again."""
        now = self._look_until(
            name, lambda now: not {*wrong} & {*now.values}, min(self._patience, _SETTLE)
        )
        if wrong:
            said = (
                f"{self._subject} did not write the TXT record {name}{_in(before)} as it was told "
                f"to. Expected:\n{_listed([value])}\nServed:\n{_listed(wrong)}\n"
            )
        else:
            said = (
                f"{self._subject} reported success, but {self._patience} seconds later no server "
                f"serves the TXT record {name}{_in(before)} with the right value:\n"
                f"{_listed([value])}\nServed now:\n{_listed(now.values)}\n{self._slower} "
                f"Otherwise check that {self._own_file} is for the account that holds this zone. "
                "Or this machine sees another view of the zone than the CA does (split view): name "
                "a resolver that sees what the CA sees with --dns-persist-resolvers, and add "
                "--dns-persist-check resolver if the zone's servers answer this machine "
                "differently, too.\n"
            )
        left = [text for text in wrong if text in now.values]
        if left or not taken_back:
            said += f"It could not be removed again. Please remove:\n{_listed(left or [value])}\n"
        else:
            said += "It was removed again. "
        lost = [text for text in before.values if now.servers and text not in now.values]
        if lost:
            self._destroyed_at = name
            said += f"These other values vanished. Please restore them:\n{_listed(lost)}\n"
        return errors.ProviderError(said + self._alternative)

    def _refused(self, reason: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f"{self._subject} cannot be used as a provider: {reason.rstrip('.')}."
        )

    def _missing(self, key: str, label: str) -> errors.ConfigurationError:
        how = f"Add a line {_PREFIX}{key} = … to {self._file}."
        if key == "credentials":
            how = "Name the file with --dns-persist-credentials FILE."
        return errors.ConfigurationError(f"{self._subject} needs its option {key} ({label}). {how}")

    @property
    def _subject(self) -> str:
        return self._label[0].upper() + self._label[1:]

    @property
    def _own_file(self) -> str:
        return self._settings.credentials.get("credentials") or self._file

    @property
    def _slower(self) -> str:
        return (
            f"If the service is slower than that, set {_PREFIX}propagation_seconds in {self._file}."
        )

    @property
    def _alternative(self) -> str:
        return (
            "Use another provider (--dns-persist-provider): for instance script, with a program "
            "that writes the record, or manual, and publish it yourself."
        )


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


def _flag(key: str, value: str) -> bool:
    with contextlib.suppress(ValueError):
        return flag(value)
    raise errors.ConfigurationError(f"{_PREFIX}{key} must be true or false.")


def _seconds(value: str) -> int:
    with contextlib.suppress(ValueError):
        return whole_number(value, 0, 999_999)
    raise errors.ConfigurationError(
        f"{_PREFIX}propagation_seconds must be a whole number of seconds."
    )


# What servers serve


def _changed(before: Served, now: Served, value: str, *, present: bool) -> set[str]:
    """Return the servers that now serve ``value`` and did not before; reversed if not present."""

    def serving(served: Served) -> set[str]:
        return {server for server, values in served.servers.items() if value in values}

    if present:
        return serving(now) - serving(before)
    return (serving(before) - serving(now)) & now.servers.keys()


def _lost(before: Served, now: Served, value: str, *, present: bool) -> list[str]:
    """Return the other values that vanished from the servers that changed as expected."""
    return sorted(
        {
            other
            for server in _changed(before, now, value, present=present)
            for other in before.servers.get(server, ())
            if other != value and other not in now.servers[server]
        }
    )


def _resembling(value: str, now: Served, known: Iterable[str]) -> list[str]:
    """Return the new values that look like ``value`` cut off, in pieces or with quotes."""
    meant = _bare(value)
    return [
        other
        for other in now.values
        if other != value and other not in known and _bare(other) and meant.startswith(_bare(other))
    ]


def _bare(value: str) -> str:
    return re.sub(r'[\s"\\]', "", value).casefold()


def _in(served: Served) -> str:
    return f" in the zone {served.zone}" if served.zone else ""


def _listed(values: Iterable[str]) -> str:
    return "\n".join(f'  "{printable(value)}"' for value in values) or "  (nothing)"


# What may be secret


def _may_be_secret(key: str, text: str) -> bool:
    """Whether to hide ``text``; not the address of a service, which helps to fix a fault."""
    if re.search("(server|host|endpoint|url|address|port)$", key) and _PLACE.fullmatch(text):
        return False
    return len(text) > 3 and text.lower() not in ("true", "false")


def _as_in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
