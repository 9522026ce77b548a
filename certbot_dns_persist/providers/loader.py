"""Finds the provider that an option names, ours or anybody's.

Providers register in the entry-point group ``certbot_dns_persist.providers``; the object behind
an entry point is called with one :class:`~.interface.Settings`. Any other installed Certbot plugin
is reached through the :class:`~.bridge.Bridge`.
"""

import difflib
import importlib.metadata
from typing import Any

from zope.interface import Invalid
from zope.interface.exceptions import (
    BrokenImplementation,
    BrokenMethodImplementation,
    DoesNotImplement,
    MultipleInvalid,
)
from zope.interface.interface import Method
from zope.interface.verify import verifyObject

from certbot_dns_persist import errors
from certbot_dns_persist.providers import bridge
from certbot_dns_persist.providers.common import GROUP, distribution, is_plugin, place_of
from certbot_dns_persist.providers.interface import (
    IAnsweringProvider,
    ILookingProvider,
    IManyProvider,
    IProvider,
    ISettlingProvider,
    IUntriedProvider,
    Provider,
    Settings,
)
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)


def available() -> list[str]:
    """Return the names of all installed providers, sorted. None of them is imported."""
    ours = {entry.name for entry in importlib.metadata.entry_points(group=GROUP)}
    return sorted(ours | bridge.installed())


def load(name: str, settings: Settings) -> Provider:
    """Make the provider called ``name`` and hold it to its contract.

    :raises errors.ConfigurationError: no such provider, it cannot be imported, it does not accept
        the settings, or it lacks something of the interfaces that it declares, of which
        :class:`IProvider` must be one. A fault in a third party's provider is reported with the
        name and version of its distribution.
    """
    entries = list(importlib.metadata.entry_points(group=GROUP, name=name))
    if is_plugin(name):
        return bridge.Bridge(settings, name)
    if not entries:
        raise errors.ConfigurationError(
            f"There is no DNS provider called {name!r}. Installed are: {', '.join(available())}. "
            "Choose one of them with --dns-persist-provider, or install the package that brings "
            f"{name!r}."
        )
    if len(entries) > 1:
        # Whichever came first on the path would be handed the credentials.
        raise errors.ConfigurationError(
            f"Several packages bring a DNS provider called {name!r}: "
            f"{', '.join(sorted(map(distribution, entries)))}. Uninstall all but the one that you "
            "trust with your credentials."
        )
    return _make(entries[0], settings)


def _make(entry: importlib.metadata.EntryPoint, settings: Settings) -> Provider:
    blame = f"The DNS provider {entry.name!r} of the package {distribution(entry)}"
    advice = "Update or reinstall that package, or tell its authors"
    try:
        factory = entry.load()
    except Exception as error:  # importing other people's code raises anything
        errors.let_signals_through(error)
        raise errors.ConfigurationError(
            f"{blame} cannot be imported from {entry.value}: {type(error).__name__}: {error}. "
            f"{advice}."
        ) from error
    _warn_of_unknown_keys(entry.name, factory, settings)
    try:
        provider: Provider = factory(settings)
    except errors.Error:
        raise
    except Exception as error:  # noqa: BLE001 - so does calling it
        errors.let_signals_through(error)
        fault = place_of(error)
    else:
        faults = _faults(provider)
        if not faults:
            return provider
        fault = f"it breaks the contract IProvider: {'; '.join(faults)}"
    raise errors.ConfigurationError(f"{blame} cannot be used: {fault}. {advice}.")


def _warn_of_unknown_keys(name: str, factory: Any, settings: Settings) -> None:
    """Warn of keys in the credentials file that are not among the provider's ``KEYS``."""
    known = getattr(factory, "KEYS", settings.credentials)
    prefix = f"dns_persist_{name.replace('-', '_')}_"
    for key in sorted(settings.credentials.keys() - set(known)):
        alike = difflib.get_close_matches(key, known, 1)
        meant = f" Did you mean {prefix}{alike[0]}?" if alike else ""
        logger.warning(
            "The credentials file %s has %s%s, which the provider %s does not know and ignores.%s",
            settings.credentials_file,
            prefix,
            key,
            name,
            meant,
        )


def _faults(provider: Provider) -> list[str]:
    """Say what ``provider`` lacks to be what it says it is, one clause a fault."""
    optional = (
        ISettlingProvider,
        IAnsweringProvider,
        ILookingProvider,
        IManyProvider,
        IUntriedProvider,
    )
    more = [each for each in optional if each.providedBy(provider)]
    faults: dict[str, None] = {}
    for interface in (IProvider, *more):
        try:
            verifyObject(interface, provider)
        except MultipleInvalid as several:
            faults |= dict.fromkeys(map(_in_words, several.exceptions))
        except Invalid as single:
            faults[_in_words(single)] = None
    return [*faults]


def _in_words(fault: Any) -> str:
    # str(fault) differs between releases of zope.interface, and shows the object's repr, in which
    # a careless provider's credentials may stand.
    match fault:
        case DoesNotImplement():
            return "its class lacks @implementer(IProvider)"
        case BrokenImplementation():
            return f"it lacks {_declared(fault.name)}"
        case BrokenMethodImplementation():
            return f"its {_declared(fault.method)}: {fault.mess}"
    return type(fault).__name__


def _declared(element: Any) -> str:
    """Show a method as ``name(arguments)``, an attribute as ``name``, as the contract has it."""
    signature = element.getSignatureString() if isinstance(element, Method) else ""
    return f"{element.getName()}{signature}"
