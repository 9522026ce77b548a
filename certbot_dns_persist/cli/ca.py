"""``certbot-dns-persist ca``: whether a CA offers the challenge, and in which form."""

import argparse
import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certbot_dns_persist.cli import arguments, changing, setting
from certbot_dns_persist.errors import (
    AccountError,
    ChallengeError,
    DirectoryError,
    NoSuchAccount,
    UsageError,
)
from certbot_dns_persist.request.accounts import find_account, find_key
from certbot_dns_persist.request.applicants import DEFAULT_SERVER
from certbot_dns_persist.request.subjects import normalize

if TYPE_CHECKING:
    from certbot_dns_persist.account import Account
    from certbot_dns_persist.ca.directory import Directory
    from certbot_dns_persist.ca.trial_order import TrialOrder
    from certbot_dns_persist.render.offered import Findings

EXAMPLES = """\
  certbot-dns-persist ca -d example.com
  certbot-dns-persist ca --server https://dv.acme-v02.api.pki.goog/directory \\
      -d example.com --json

Without -d, or without an account at the CA, we only read its directory. With both, we begin an
order for the name, look at what the CA offers, and deactivate the authorization if it is pending.
No account is made, nothing is validated, and no certificate is issued.

exit status: 0 the CA offers dns-persist-01; 1 it does not, or in a form that cannot be used; 3 that
cannot be determined, wrong usage or an unexpected error
"""

UNKNOWN = 3


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "ca",
        summary="Say whether a CA offers dns-persist-01, in which draft, and what it needs.",
        examples=EXAMPLES,
        usage="[OPTION...]",
    )
    parser.add_argument(
        "-d",
        "--domain",
        action="append",
        default=[],
        dest="domains",
        metavar="DOMAIN",
        help="begin an order for this name, wildcards as '*.example.com'; the account must be "
        "allowed to get certificates for it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments.add_certbot(parser, server="Let's Encrypt's", account="the only one")
    parser.set_defaults(run=run, failed=UNKNOWN)


def run(args: argparse.Namespace) -> int:
    """Say what the CA offers; return the exit status."""
    from certbot_dns_persist.ca.offer import Answer
    from certbot_dns_persist.render import offered

    if len(args.domains) > 1:
        raise UsageError("Give one name with -d: one order shows what the CA offers.")
    with setting.usage():
        name = normalize(args.domains[0].strip()) if args.domains else None
    usual = setting.preset(args).get("server", DEFAULT_SERVER)
    server = args.server or usual
    # As for Certbot: another server has other accounts.
    preset = setting.preset(args).get("account", None) if server == usual else None
    findings = _find_out(args, server, args.account or preset, name)
    sys.stdout.write((offered.as_json if args.json else offered.as_text)(findings))
    if findings.fault:
        return 1
    return {Answer.YES: 0, Answer.NO: 1, Answer.UNKNOWN: UNKNOWN}[findings.offer.answer]


def _find_out(
    args: argparse.Namespace, server: str, account_name: str | None, name: str | None
) -> "Findings":
    """Return what the directory, our notes and an order for ``name`` say.

    Raises :class:`~certbot_dns_persist.errors.Error`.
    """
    from certbot_dns_persist.ca.offer import offer_of
    from certbot_dns_persist.render.offered import Findings

    directory = _directory(args, server)
    account = _account(args, server, account_name, needed=name is not None)
    noted = setting.journal(args).terms(account.url) if account else None
    offer = offer_of(server, directory=directory, noted=noted)
    findings = Findings(offer, directory, account.url if account else None, None, noted, None)
    if name is None or account is None:
        return findings
    return _ordered(findings, account, _order(args, account, directory, name))


def _directory(args: argparse.Namespace, server: str) -> "Directory":
    from certbot_dns_persist.ca.directory import fetch_directory
    from certbot_dns_persist.ca.offer import known_ca, offer_of

    try:
        directory = fetch_directory(server, verify=setting.verifies(args))
        directory.require_acme()
    except DirectoryError as error:
        if known_ca(server):
            raise DirectoryError(f"{error}\n{offer_of(server).in_words}") from error
        raise DirectoryError(
            f"{error}\nRun the same command again when the CA answers, or name its directory with "
            "--server."
        ) from error
    return directory


def _account(
    args: argparse.Namespace, server: str, name: str | None, *, needed: bool
) -> "Account | None":
    """Return the account at the CA, ``None`` if there is none, or none is ``needed`` or named."""
    if needed or args.account:
        with contextlib.suppress(*([] if name else [NoSuchAccount])):
            return find_account(Path(args.config_dir), server, name)
    else:
        with contextlib.suppress(AccountError):
            return find_account(Path(args.config_dir), server, name)
    return None


def _order(
    args: argparse.Namespace, account: "Account", directory: "Directory", name: str
) -> "TrialOrder":
    """Begin an order, while no Certbot is running that may have one for the same name."""
    from certbot_dns_persist.ca.trial_order import place_trial_order

    changing.lock_certbot(args)
    setting.require_valid_account(args, directory.url, account.url)
    key = find_key(Path(args.config_dir), directory.url, account.url)
    return place_trial_order(key, account.url, directory, name, verify=setting.verifies(args))


def _ordered(findings: "Findings", account: "Account", trial: "TrialOrder") -> "Findings":
    """Return ``findings`` with what the ``trial`` order shows."""
    from certbot_dns_persist.ca.offer import offer_of_order
    from certbot_dns_persist.ca.terms import stated_terms

    findings = dataclasses.replace(findings, trial=trial)
    if not trial.tells:
        return findings
    offer = offer_of_order(findings.offer, trial)
    findings = dataclasses.replace(findings, offer=offer, terms=None)
    if trial.challenge is None:
        return findings
    domain = trial.name.removeprefix("*.")
    try:
        terms = stated_terms(trial.challenge, domain, account, lambda: findings.directory)
    except ChallengeError as error:
        return dataclasses.replace(findings, fault=str(error))
    return dataclasses.replace(findings, terms=terms)
