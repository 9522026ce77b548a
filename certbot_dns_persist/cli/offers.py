"""Whether the CAs of certificates offer dns-persist-01; each is asked once for each account."""

import argparse
import secrets
from pathlib import Path

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.directory import Directory, fetch_directory
from certbot_dns_persist.ca.offer import Offer, offer_of, offer_of_order
from certbot_dns_persist.ca.terms import stated_terms
from certbot_dns_persist.ca.trial_order import TrialOrder, place_trial_order
from certbot_dns_persist.cli import setting
from certbot_dns_persist.errors import AccountError, ChallengeError, DirectoryError, Error
from certbot_dns_persist.request.accounts import find_account, find_key
from certbot_dns_persist.request.lineages import Lineage
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)


class Offers:
    """What CAs offer: from our notes of earlier orders, else from an order that goes no further."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._known: dict[tuple[str, str], Offer | Error] = {}
        self.silent: set[str] = set()
        """The directory URLs of CAs that could not be asked."""

    def of(self, lineage: Lineage) -> Offer:
        """Return whether the lineage's CA offers the challenge to its account.

        Raises :class:`~certbot_dns_persist.errors.AccountError` if the account is missing, or the
        CA does not accept it, and :class:`~certbot_dns_persist.errors.ChallengeError` if what the
        CA offers cannot be used.
        """
        account = find_account(Path(self._args.config_dir), lineage.server, lineage.account)
        key = lineage.server, account.url
        if key not in self._known:
            try:
                self._known[key] = self._find_out(lineage, account)
            except (AccountError, ChallengeError) as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, Error):
            raise known
        return known

    def _find_out(self, lineage: Lineage, account: Account) -> Offer:
        journal = setting.journal(self._args)
        noted = journal.terms(account.url)
        if noted is not None:
            return offer_of(lineage.server, noted=noted)
        try:
            directory = fetch_directory(lineage.server, verify=setting.verifies(self._args))
            directory.require_acme()
        except DirectoryError as error:
            logger.warning("%s", error)
            self.silent.add(lineage.server)
            return offer_of(lineage.server)
        offer = offer_of(lineage.server, directory=directory)
        try:
            setting.require_valid_account(self._args, lineage.server, account.url)
            trial = self._order(lineage, account, directory)
        except DirectoryError as error:
            logger.warning("%s", error)
            self.silent.add(lineage.server)
            return offer
        except ChallengeError as error:
            logger.warning("%s", error)  # an account may be limited to certain names
            return offer
        if trial.challenge is not None:
            # What the CA wants may differ from what its directory lets expect.
            terms = stated_terms(trial.challenge, trial.name, account, lambda: directory)
            if not self._args.dry_run:
                journal.note_terms(account.url, terms)
        return offer_of_order(offer, trial)

    def _order(self, lineage: Lineage, account: Account, directory: Directory) -> TrialOrder:
        """Order a name of which nobody has an authorization, and for which nobody has an order."""
        key = find_key(Path(self._args.config_dir), lineage.server, account.url)
        name = f"{secrets.token_hex(8)}.{lineage.domains[0].removeprefix('*.')}"
        verify = setting.verifies(self._args)
        return place_trial_order(key, account.url, directory, name, verify=verify)
