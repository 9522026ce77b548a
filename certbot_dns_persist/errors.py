"""Our errors, with messages that a user can act on.

Every class here is raised on purpose: ``str(error)`` is a message for the person at the
terminal. Certbot sees none of them; the authenticator turns them into
:class:`certbot.errors.PluginError` in one place.
"""

import sys


class Error(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigurationError(Error):
    """An option or the credentials file cannot be used."""


class UsageError(ConfigurationError):
    """The command line itself is wrong, whatever there is in files and DNS."""


class AccountError(Error):
    """Our ACME account cannot be determined: Certbot's account files are missing or unreadable."""


class NoSuchAccount(AccountError):
    """Certbot has no such account, so nothing can be renewed with it."""


class AmbiguousAccount(AccountError):
    """Certbot has several accounts, and nothing says which is meant."""


class UnknownAccount(AccountError):
    """Certbot does not know which account to renew with, so nothing can be renewed."""


class DirectoryError(Error):
    """The CA's directory could not be read."""


class ChallengeError(Error):
    """The CA sent a challenge that the draft calls malformed, or none that we can answer."""


class LookupFailed(Error):
    """DNS does not say what stands at a name."""


class ProviderError(Error):
    """Records cannot be changed: a DNS service refused, failed or sent an invalid answer."""


class OutcomeUnknown(ProviderError):
    """A DNS service did not answer, so it is unknown whether it did what it was told to do."""


class BrokenProvider(OutcomeUnknown):
    """So it is because a provider failed as it may not."""


class Busy(ProviderError):
    """Another process is changing the records at a name, and does not end."""


class CannotLock(ProviderError):
    """Other processes cannot be kept from changing a name at the same time."""


class InventoryError(Error):
    """The fleet's inventory cannot be used as asked: a wrong release, role or host."""


class InventoryAway(InventoryError):
    """The inventory's database cannot be reached, or does not answer in time."""


class InventoryBusy(InventoryError):
    """Another session has what we wait for, and does not give it back."""


class NotAuthorized(Error):
    """No record authorises an order, and none could be published."""


def let_signals_through(error: BaseException) -> None:
    """Raise what Certbot's signal handlers raise, if ``error`` is that or comes from it.

    That is an :class:`Exception`: who catches all of them, as SDKs do, would continue after it.
    """
    certbot = sys.modules.get("certbot.errors")
    each: BaseException | None = error if certbot is not None else None
    while each is not None:
        if isinstance(each, certbot.SignalExit):  # type: ignore[union-attr]
            raise each from None
        each = each.__cause__ or each.__context__


def cannot_be_imported(error: Exception) -> str:
    """Return what to tell of an ``error`` that a module of ours raised while it was imported."""
    return (
        "certbot-dns-persist cannot be used: a package that it needs is missing, too old or "
        f"damaged ({type(error).__name__}: {error}). Reinstall it the way it was installed, for "
        f"{sys.executable}."
    )
