"""Any installed Certbot DNS plugin as a provider: ``--dns-persist-provider dns-ovh``.

The plugin reads its usual keys (``dns_ovh_endpoint``) from the credentials file. Its other options
may be in the same file, with ``dns_persist_plugin_`` in place of ``--dns-ovh-``:

=======================  ==========================================================================
``credentials``          a file for the plugin alone, for instance because it is not an INI file;
                         default the credentials file itself; empty for none
``propagation_seconds``  the longest that the service takes to serve a change; default what the
                         plugin's authors say, but at least 120
``keeps_others``         ``true``: use it beside values of others without trying it out first,
                         although we do not know it
any other                as the plugin documents
=======================  ==========================================================================

In a file with sections, the plugin sees only what is above them: give it a file of its own for each
zone with ``dns_persist_plugin_credentials``.

:mod:`~.tried` lists the plugins that we know; :mod:`~.watched` checks what each of them does.
"""

from functools import partial
from typing import Any

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.providers.common import ANOTHER, plugins_called
from certbot_dns_persist.providers.comparison import in_zone, listed, others
from certbot_dns_persist.providers.interface import IUntriedProvider, Served, Settings
from certbot_dns_persist.providers.plugin import PREFIX, Plugin, installed, normalized
from certbot_dns_persist.providers.tried import TRIED, Outcome, Tried
from certbot_dns_persist.providers.watched import PATIENCE, Watched, plain
from certbot_dns_persist.value.txt import quoted, to_octets

__all__ = ["Bridge", "installed"]


@implementer(IUntriedProvider)
class Bridge(Watched):
    """One Certbot DNS plugin, used to write the records that it is told to."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Load and configure the plugin that Certbot knows by ``name``.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is no such plugin,
        it cannot be bridged, or it does not accept its configuration.
        """
        super().__init__(settings, f"the Certbot plugin {name}", PREFIX)
        self._name = name
        refused = _refused(name)
        if refused is not None:
            raise self._refused(refused)
        options = dict(settings.credentials)
        waits = options.pop("propagation_seconds", None)
        options.pop("keeps_others", None)
        self._adapter = Plugin(settings, name, options)
        self._label = self._adapter.label
        self._known = _known(name, self._adapter.package)
        if self._known and not self._adapter.keys().isdisjoint(self._known.refused_keys):
            raise self._refused(self._known)
        self._plugin = self._adapter.prepared()
        self._plugin_of: dict[tuple[str, str], Any] = {}
        self._patience = max(self._adapter.usual_wait, PATIENCE)
        if waits is not None:
            self._patience = self._seconds(waits)
        self._forms = (quoted, plain) if self._known and self._known.quoted else (plain, quoted)
        self._by_domain: dict[str | None, bool] = {}
        """By zone, whether it wants the domain instead, as far as we know."""
        self._said_ttl = False

    # What Watched asks

    def _write(self, action: str, name: str, zone: str | None, text: str, ttl: int | None) -> None:
        plugin = self._plugin
        if self._known and self._known.one_each:
            if action == "add":
                self._plugin_of[name, text] = self._adapter.prepared()
            plugin = self._plugin_of.get((name, text), plugin)
        method = plugin._perform if action == "add" else plugin._cleanup
        # Certbot passes the domain that is being validated, but the record may be in another zone,
        # at the end of an alias. Most plugins look for their zone at this name, then above it, and
        # some strip it from the record's name. The zone works for nearly all of them; the others
        # know only the domain, which is what is below the record's first label.
        domains = [zone or name, name.partition(".")[2]]
        if zone in self._by_domain:
            domains = domains[1:] if self._by_domain[zone] else domains[:1]
        task = f"{action} the TXT record {name}{f' in the zone {zone}' if zone else ''}"
        failures = []
        for domain in dict.fromkeys(domains):
            try:
                self._adapter.ask(errors.ProviderError, task, partial(method, domain, name, text))
            except errors.ProviderError as error:
                failures.append(error)
                if action == "add" and self._is_there(name, text):
                    break  # it was written all the same
            else:
                self._by_domain[zone] = domain != (zone or name)
                return
        raise failures[0]

    def _version(self) -> str | None:
        if self._known is not None and self._known.covers(self._adapter.version):
            return None
        return self._adapter.label

    def _texts_to_remove(self, value: str, written: str | None) -> list[str]:
        texts = super()._texts_to_remove(value, written)
        if self._known and self._known.removed_inside:
            texts.insert(0, quoted(value)[1:-1])
        return list(dict.fromkeys(texts))

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

    def _refuse_to_destroy(self, name: str, value: str, served: Served) -> None:
        super()._refuse_to_destroy(name, value, served)
        longest = self._known.longest_beside if self._known else None
        cut = [v for v in others(served, value) if longest and len(to_octets(v)) > longest]
        if cut:
            raise errors.ProviderError(
                f"Nothing was changed at {name}{in_zone(served)}: {self._label} would split other "
                f"values there, which are longer than {longest} octets:\n{listed(cut)}\n"
                f"{ANOTHER}"
            )

    def _is_there(self, name: str, text: str) -> bool:
        now = self._look_until(name, bool, 0)
        return any(form(value) == text for value in now.values for form in self._forms)

    # What is said to the user

    def _refused(self, known: Tried) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f"{self._subject} cannot be used as a provider: {known.words}. {known.instead}"
        )

    @property
    def _read(self) -> str:
        return self._adapter.own_file


def _refused(name: str) -> Tried | None:
    """Return why the plugin ``name`` is refused, also if it is not installed; ``None`` if not."""
    packages = {normalized(e.dist.name) for e in plugins_called(name) if e.dist}
    for known in TRIED:
        refused = known.outcome is Outcome.REFUSED and not known.refused_keys
        if refused and known.plugin == name and (not packages or known.package in packages):
            return known
    return None


def _known(name: str, package: str) -> Tried | None:
    # Also of another version: that it needs quotes, for instance, is the better guess.
    return next((t for t in TRIED if (t.plugin, t.package) == (name, package)), None)
