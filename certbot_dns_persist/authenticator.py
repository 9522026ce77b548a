"""The plugin that Certbot calls: options and challenges in, responses out. No logic of its own.

Certbot imports this module in every run, for any certificate, and stops if that fails. So we
import only what Certbot itself has loaded; everything else is imported where it is used.
"""

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acme import challenges
from certbot import achallenges, errors, interfaces
from certbot.display import util as display_util
from certbot.plugins import common

from certbot_dns_persist import options
from certbot_dns_persist.ca.challenge import DNS_CHALLENGES, DNSPersist01
from certbot_dns_persist.errors import Error, cannot_be_imported
from certbot_dns_persist.shown import logger_of, shown

if TYPE_CHECKING:
    from certbot_dns_persist.change.dns01 import Dns01
    from certbot_dns_persist.change.ensure import Ensure
    from certbot_dns_persist.lookup.session import Lookup
    from certbot_dns_persist.request.order import Order

logger = logger_of(__name__)


@contextlib.contextmanager
def _errors_for_certbot(kind: type[errors.Error] = errors.PluginError) -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise kind(shown(str(error))) from error
    except errors.Error:  # Certbot's own, also what its signal handlers raise
        raise
    except Exception as error:
        raise kind(_unexpected(error)) from error


def _unexpected(error: Exception) -> str:
    """Return what to tell of an unexpected error, and log its details."""
    logger.debug("An unexpected error in certbot-dns-persist.", exc_info=error)
    return shown(
        f"An unexpected error stopped certbot-dns-persist: {type(error).__name__}: "
        f"{str(error)[:500]}. Certbot's log has the details."
    )


@contextlib.contextmanager
def _importing(kind: type[errors.Error] = errors.PluginError) -> Iterator[None]:
    """Raise what is wrong with the packages that we need as an error of Certbot's."""
    try:
        yield
    except Exception as error:  # an import runs other people's code
        raise kind(cannot_be_imported(error)) from error


class Authenticator(common.Plugin, interfaces.Authenticator):
    """Proves control of domains with persistent DNS records."""

    description = "Obtain certificates with one long-lived DNS record (dns-persist-01)."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._order: Order | None = None
        self._ensure: Ensure | None = None
        self._dns01: Dns01 | None = None
        self._preferred: list[str] = []

    @classmethod
    def add_parser_arguments(cls, add: Callable[..., None]) -> None:
        """Declare the options."""
        options.add_arguments(add)

    def more_info(self) -> str:
        """Say what this plugin does."""
        return (
            "This plugin proves control of a domain by a TXT record at "
            "_validation-persist.<domain> that names the CA and the ACME account. It looks for "
            "the record first, publishes it if it is missing, and leaves it there for every "
            "renewal."
        )

    def prepare(self) -> None:
        """Check the options, before any order is placed."""
        kind = self._kind_of_errors
        with _importing(kind):
            import certbot_dns_persist.lookup.session  # noqa: F401 - so that it fails here
            from certbot_dns_persist.request import order
            from certbot_dns_persist.request.rollovers import any_begun

        with _errors_for_certbot(kind):
            if self.conf("credentials"):
                # A renewal runs in another directory; Certbot saves this value for it.
                path = Path(self.conf("credentials")).expanduser().absolute()
                setattr(self.config, self.dest("credentials"), str(path))
            if any_begun(Path(self.config.config_dir)):
                self._finish_rollover()
            order.check_order(self.config, self._options)
            order.warn_of_expired_records(self.config)
        if self.config.verb == "reconfigure":  # which orders with a copy of the configuration
            self._follow_our_order()

    @property
    def _kind_of_errors(self) -> type[errors.Error]:
        """What to raise before an order.

        Certbot prepares every plugin before the user chooses one, and continues only after errors
        of plugins. Of the chosen one it shows these behind a sentence that it "is not working", and
        other errors as they are.
        """
        chosen = self.name in (self.config.authenticator, self.config.configurator)
        return errors.Error if chosen and self.config.verb != "plugins" else errors.PluginError

    def _follow_our_order(self) -> None:
        """Have Certbot ask for challenges in our order if the user prefers one of DNS.

        With ``--preferred-challenges dns``, Certbot would ask for dns-01 only. It keeps the very
        list, so we empty that.
        """
        preferred: list[str] = self.config.pref_challs
        if not DNS_CHALLENGES.isdisjoint(preferred):
            self._preferred = list(preferred)
            preferred.clear()

    def _restore_preference(self) -> None:
        """Undo that, as Certbot saves the preference for renewals.

        Without ours, which Certbot could not use with another authenticator or without this plugin.
        """
        self.config.pref_challs[:] = [kind for kind in self._preferred if kind != DNSPersist01.typ]
        self._preferred = []

    def _finish_rollover(self) -> None:
        """Let Certbot use the new key of its account if the CA has that already."""
        with _importing():
            from certbot_dns_persist.change import rollover
            from certbot_dns_persist.request import order

        rollover.finish_for_certbot(self.config, lambda: order.journal(self.config))

    def get_chall_pref(self, identifier: str) -> Iterable[type[challenges.Challenge]]:
        """Return dns-persist-01, and what we accept only to explain that the CA lacks it."""
        with _importing():
            from certbot_dns_persist.request import order

        with _errors_for_certbot():
            order.refuse_unprovable(identifier)
        self._follow_our_order()
        return [DNSPersist01, challenges.DNS01, challenges.HTTP01]

    def perform(
        self, achalls: list[achallenges.AnnotatedChallenge]
    ) -> list[challenges.ChallengeResponse]:
        """Make sure that DNS authorises every name; return the responses."""
        if self._preferred:
            self._restore_preference()
        with _importing():
            from certbot_dns_persist.change.dns01 import Dns01
            from certbot_dns_persist.change.ensure import Ensure
            from certbot_dns_persist.change.publisher import Publisher
            from certbot_dns_persist.change.surroundings import Surroundings
            from certbot_dns_persist.render import live
            from certbot_dns_persist.request import order

        with _errors_for_certbot():
            checked = self._options
            lookup = self._lookup(checked)
            self._order = order.read_order(self.config, checked, achalls)
            terminal = not self.config.noninteractive_mode and _at_a_terminal()
            here = Surroundings(
                notify=_notify,
                watch=functools.partial(live.watching, terminal),
                terminal=terminal,
                dry_run=self._order.trial,
                renewals=functools.partial(order.requests_of_renewals, self.config),
                ca_decides=True,
                subset=self.config.allow_subset_of_names,
                shorten=self.config.verb in ("certonly", "run"),
                renewal=order.next_renewal(self.config, int(time.time())),
            )
            journal = order.journal(self.config)
            # One each, as a publisher withdraws all that was added through it.
            persistent, temporary = (
                Publisher(checked, lookup, journal, here.notify, temporary=withdrawn)
                for withdrawn in (here.dry_run, True)
            )
            self._ensure = Ensure(checked, lookup, persistent, here)
            self._dns01 = Dns01(checked, lookup, temporary, here)
            self._ensure.authorize(list(self._order.requests.values()))
            if self._order.proofs:
                self._dns01.publish(self._order.proofs)
        return [achall.chall.response(achall.account_key) for achall in achalls]

    def cleanup(self, achalls: list[achallenges.AnnotatedChallenge]) -> None:
        """Leave persistent records in place, except those that a trial published."""
        with _errors_for_certbot():
            if self._dns01 is not None:
                self._dns01.withdraw()
            if self._order is not None and self._order.trial and self._ensure is not None:
                self._ensure.withdraw()

    def auth_hint(self, failed_achalls: list[achallenges.AnnotatedChallenge]) -> str:
        """Explain why the CA refused: what DNS serves now, and what is wrong with it."""
        try:
            explained = shown(self._hint(failed_achalls))
        except errors.Error:
            raise
        except Exception as error:  # noqa: BLE001 - the CA's own words must still be shown
            return _unexpected(error)
        if self.config.quiet:
            logger.error(explained)  # with --quiet, Certbot does not show hints
        return explained

    def _hint(self, failed_achalls: list[achallenges.AnnotatedChallenge]) -> str:
        with _importing():
            from certbot_dns_persist.judge import hint
            from certbot_dns_persist.request import order

        domains = dict.fromkeys(map(order.domain_of, failed_achalls))
        known = self._order.requests if self._order is not None else {}
        requests = [known[domain] for domain in domains if domain in known]
        if not requests:
            return (
                "These names used dns-01, and all of their authoritative servers had the records. "
                "Wait until the caches of the CA's resolvers expire, then run the same command "
                "again."
            )
        inspections = self._lookup(self._options).inspect(
            (r.domain for r in requests), elsewhere=True
        )
        said = order.kinds_of_errors(failed_achalls)
        published = () if self._ensure is None else self._ensure.unseen
        return hint.explain(
            requests, inspections, said=said, published=published, at=int(time.time())
        )

    @functools.cached_property
    def _options(self) -> options.Options:
        known = None
        # A renewal may need no provider.
        if self.config.verb != "renew" and self.conf("provider") is not None:
            with _importing():
                from certbot_dns_persist.providers import loader
            known = loader.available()
        return options.check_options(self.conf, known)

    @staticmethod
    def _lookup(checked: options.Options) -> "Lookup":
        from certbot_dns_persist.change.surroundings import lookup_of

        return lookup_of(checked)


def _notify(words: str) -> None:
    display_util.notify(shown(words))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
