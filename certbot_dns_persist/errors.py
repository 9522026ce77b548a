"""What goes wrong, in words that a user can act on.

Every class here is raised on purpose: ``str(error)`` is a message for the person at the
terminal. Certbot sees none of them; the authenticator turns them into
:class:`certbot.errors.PluginError` in one place.
"""


class Error(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigurationError(Error):
    """An option or the credentials file cannot be used as it is."""


class AccountError(Error):
    """Who we are to the CA cannot be told: Certbot's account files are missing or unreadable."""


class NoSuchAccount(AccountError):
    """Certbot has no such account, so nothing can be renewed with it."""


class DirectoryError(Error):
    """The CA's directory could not be read."""


class ChallengeError(Error):
    """The CA sent a challenge that the draft calls malformed, or none that we can answer."""


class LookupFailed(Error):
    """DNS does not say what stands at a name."""


class ProviderError(Error):
    """A DNS service refused, failed or answered what it should not have."""


class NotAuthorized(Error):
    """No record authorises an order and none could be put there."""
