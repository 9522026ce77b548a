"""The arguments that several commands share."""

import argparse
import contextlib
import re
from collections.abc import Collection
from typing import Any

from certbot_dns_persist import options
from certbot_dns_persist.cli import last_resort
from certbot_dns_persist.judge.standing import WARN_DAYS
from certbot_dns_persist.lookup.found import QUERIES_PER_SECOND

CONFIG_DIR, LOGS_DIR = "/etc/letsencrypt", "/var/log/letsencrypt"
"""Where Certbot keeps its files by default."""

PREFIX = "dns-persist-"
"""The prefix of our options, here as in Certbot."""

#: The plugin's options that determine the content of a record.
SHAPING = ("policy", "valid-for", "until", "issuer-domain-name", "shared")
#: Those that determine where to look for it.
LOOKING = ("resolvers", "check")
READING = (*SHAPING, *LOOKING)
#: Those that are needed only to remove or publish records.
REMOVING = ("provider", "credentials", "script", "propagation-seconds", "log")
WRITING = (*REMOVING, "ttl")


def command(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    *,
    summary: str,
    examples: str,
    usage: str = "WHAT [OPTION...]",
) -> argparse.ArgumentParser:
    """Add a command whose help shows ``examples``."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"%(prog)s {usage}",
        help=summary,
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    last_resort.add_option(made)
    made.set_defaults(parser=made)  # for its usage, if other arguments turn out to be wrong
    return made


def add_subject(parser: argparse.ArgumentParser) -> None:
    """Add the ways to name domains; the user gives exactly one of them."""
    group = parser.add_argument_group("which domains (give one of these)")
    group.add_argument(
        "--cert-name",
        action="append",
        default=[],
        metavar="NAME",
        help="all domains of this Certbot certificate; repeatable",
    )
    group.add_argument(
        "-d",
        "--domain",
        action="append",
        default=[],
        dest="domains",
        metavar="DOMAIN",
        help="this domain, wildcards as '*.example.com'; repeatable",
    )
    group.add_argument(
        "--all",
        action="store_true",
        help="every certificate whose authenticator is dns-persist",
    )
    group.add_argument(
        "--from-file",
        metavar="FILE",
        help="the domains in this file, one per line; - is standard input",
    )


def add_report(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add what ``check`` and ``audit`` report, and how; return the group, to add more to it."""
    group = parser.add_argument_group("the report")
    group.add_argument("--json", action="store_true", help="print JSON, for programs")
    group.add_argument(
        "--metrics",
        metavar="FILE",
        help="also write this file for the textfile collector of Prometheus' node exporter",
    )
    group.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print one line of summary, in the form of Nagios, then only what needs attention",
    )
    group.add_argument(
        "--warn-days",
        type=_days,
        default=WARN_DAYS,
        metavar="N",
        help="warn if a record expires in less than this many days (default: %(default)s)",
    )
    group.add_argument(
        "--no-caa",
        action="store_true",
        help="do not look up CAA records, which saves a query per domain",
    )
    add_rate(group)
    return group


def add_rate(group: "argparse._ActionsContainer") -> None:
    """Add the limit for queries."""
    group.add_argument(
        "--queries-per-second",
        type=_rate,
        default=round(QUERIES_PER_SECOND),
        metavar="N",
        help="limit the queries to each name server to this many per second (default: %(default)s)",
    )


def add_remove_up_to(group: "argparse._ActionsContainer") -> None:
    """Add how many names may be left without a record."""
    group.add_argument(
        "--remove-up-to",
        type=_names,
        metavar="N",
        help="leave up to this many names without any record of ours; needed if that is more than "
        "five, and more than a third of all names in our notes",
    )


def _names(text: str) -> int:
    with contextlib.suppress(ValueError):
        return options.whole_number(text, 0, 999_999_999)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of names from 0 to 999999999")


def _rate(text: str) -> int:
    with contextlib.suppress(ValueError):
        return options.whole_number(text, 1, 999_999_999)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of queries from 1 to 999999999")


def _days(text: str) -> int:
    with contextlib.suppress(ValueError):
        return options.whole_number(text, 0, 99_999)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 0 to 99999")


def add_directories(group: "argparse._ActionsContainer") -> None:
    """Add where Certbot's files are."""
    group.add_argument(
        "--config-dir",
        default=CONFIG_DIR,
        metavar="DIR",
        help="Certbot's configuration directory (default: %(default)s)",
    )
    group.add_argument(
        "--logs-dir",
        default=LOGS_DIR,
        metavar="DIR",
        help="Certbot's logs directory (default: %(default)s)",
    )


def add_config(group: "argparse._ActionsContainer") -> None:
    """Add what else Certbot reads."""
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="a configuration file that Certbot is given, besides its usual cli.ini; repeatable",
    )


def add_certbot(
    parser: argparse.ArgumentParser,
    *,
    server: str = "the certificate's, else Let's Encrypt's",
    account: str = "the certificate's, else the only one",
) -> None:
    """Add where Certbot's files are, and which CA and account to use.

    ``server`` and ``account`` say what the defaults of these two are.
    """
    group = parser.add_argument_group("Certbot")
    add_directories(group)
    add_config(group)
    group.add_argument(
        "--server",
        type=_directory_url,
        metavar="URL",
        help=f"the CA's ACME directory (default: {server})",
    )
    group.add_argument(
        "--account",
        metavar="ID",
        help=f"the account at the CA, by Certbot's id or its URL (default: {account})",
    )
    add_no_verify_ssl(group)


def _directory_url(given: str) -> str:
    if re.match("https?://[^/]", given, re.IGNORECASE):
        return given
    if "://" in given:
        raise argparse.ArgumentTypeError(f"{given!r} begins with neither https:// nor http://")
    raise argparse.ArgumentTypeError(f"{given!r} is no URL: write https://{given}")


def add_no_verify_ssl(group: "argparse._ActionsContainer") -> None:
    """Add what Certbot has for a CA whose certificate nobody has signed."""
    group.add_argument(
        "--no-verify-ssl",
        action="store_true",
        help="do not check the certificate of the CA's server",
    )


def add_identity(parser: argparse.ArgumentParser, *, known: str | None = None) -> None:
    """Add what replaces Certbot's files, for instance on a monitoring host.

    ``known`` is what else the accounts in a file are for.
    """
    group = parser.add_argument_group(
        "without Certbot's files",
        "Give --issuer with --account-uri (and --account-url, if it differs and CAA names\n"
        "it) or, if the CA hashes account URIs, with the other three. Of several accounts,\n"
        "each domain needs a record for each; they are at the CA whose --issuer precedes\n"
        "them. In a --from-file, a line may name its own: example.com issuer=NAME\n"
        "account-uri=URI, or some of them, to choose from the accounts given here.",
    )

    def add(name: str, metavar: str, words: str) -> None:
        group.add_argument(
            f"--{name}", action=_Part, dest="identity", default=[], metavar=metavar, help=words
        )

    add("issuer", "NAME", "the CA's issuer-domain-name, such as letsencrypt.org; repeatable")
    add("account-uri", "URI", "the account URI in the records; repeatable")
    add("account-url", "URL", "the ACME account URL; repeatable")
    add("thumbprint", "THUMBPRINT", "the RFC 7638 thumbprint of the account key; repeatable")
    add("hash-prefix", "PREFIX", "accountHashPrefix in the CA's directory; once for each CA")
    group.add_argument(
        "--known-accounts",
        metavar="FILE",
        help="the accounts in this file, at the CA of --issuer, or those that lines of --from-file "
        "choose: one per line (the account URI or, for a CA that hashes it, account URL, blank, "
        "and thumbprint), or what inventory list or show prints with --json"
        + (f"; {known}" if known else ""),
    )


class _Part(argparse.Action):
    """Collects what names CAs and accounts, in its order."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*before, (self.option_strings[0][2:], values)])


def add_inventory(parser: argparse.ArgumentParser, use: str, *, fleet: bool = False) -> None:
    """Add the inventory of a fleet; ``use`` is what for, ``fleet`` whether to ask it all."""
    group = parser.add_argument_group("a fleet of hosts")
    group.add_argument(
        "--inventory",
        metavar="URL",
        help=f"the inventory, postgresql://HOST/DATABASE without a password: {use}",
    )
    if fleet:
        group.add_argument(
            "--fleet",
            action="store_true",
            help="take certificates and accounts from the inventory, instead of from Certbot's "
            "files: --all is every certificate of the fleet, and --account may be the URL of any "
            "account there",
        )


def add_may_hide(group: "argparse._ActionsContainer") -> None:
    """Add the names that a record may hide from a wildcard."""
    group.add_argument(
        "--may-hide",
        f"--{PREFIX}may-hide",
        action="append",
        dest=f"{PREFIX}may-hide".replace("-", "_"),
        metavar="NAME",
        help="accept records even if they hide this name, and all names below it, from the "
        "wildcard that answers for it now, or if that cannot be checked; repeatable",
    )


def add_options(
    parser: argparse.ArgumentParser,
    names: Collection[str],
    title: str = "as for certbot (default: the certificate's options)",
) -> None:
    """Add the plugin's options ``names``; the ``title`` says what the defaults are."""
    group = parser.add_argument_group(title)

    def add(name: str, default: object = None, **details: Any) -> None:
        if name in names:
            group.add_argument(f"--{PREFIX}{name}", default=None, **details)

    options.add_arguments(add)
