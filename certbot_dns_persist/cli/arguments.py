"""The arguments that several commands take, and what comes of them."""

import argparse
import contextlib
import dataclasses
import functools
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from certbot_dns_persist import options
from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.errors import ConfigurationError, Error
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.checkup import Checked, worst
from certbot_dns_persist.judge.diagnosis import EXIT_STATUS_OF
from certbot_dns_persist.judge.standing import WARN_DAYS
from certbot_dns_persist.lookup.session import Lookup
from certbot_dns_persist.lookup.transport import QUERIES_PER_SECOND
from certbot_dns_persist.record import is_parameter_value, normalize_domain_name
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.render.text import printable
from certbot_dns_persist.request.accounts import closed_directory, find_key
from certbot_dns_persist.request.subjects import Given, Identity, Subject, Subjects, normalize

UNKNOWN = EXIT_STATUS_OF["unknown"]

#: How many domains it takes for a progress bar.
PROGRESS_FROM = 20

_THUMBPRINT = re.compile("[A-Za-z0-9_-]{43}")
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986 section 3.1
CONFIG_DIR, LOGS_DIR = "/etc/letsencrypt", "/var/log/letsencrypt"
"""Where Certbot has its files, unless told otherwise."""

PREFIX = "dns-persist-"
"""What our options begin with, here as in Certbot."""


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
    made.set_defaults(parser=made)  # for its usage, when the rest of the line turns out to be wrong
    return made


def add_subject(parser: argparse.ArgumentParser) -> None:
    """Add what a command is about; exactly one of them is needed."""
    group = parser.add_argument_group("what it is about (one of these)")
    group.add_argument(
        "--cert-name",
        action="append",
        default=[],
        metavar="NAME",
        help="all domains of this certificate of Certbot's; repeatable",
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
        help="the domains in this file, one a line; - is standard input",
    )


def add_report(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add what ``check`` and ``audit`` report, and how; return the group, for more of it."""
    group = parser.add_argument_group("the report")
    group.add_argument("--json", action="store_true", help="print JSON, for programs")
    group.add_argument(
        "--metrics",
        metavar="FILE",
        help="also write this file for the textfile collector of Prometheus' node exporter",
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", help="print only what is not as it should be"
    )
    group.add_argument(
        "--warn-days",
        type=_days,
        default=WARN_DAYS,
        metavar="N",
        help="warn when a record ends in fewer days than that (default: %(default)s)",
    )
    group.add_argument(
        "--no-caa",
        action="store_true",
        help="do not look at CAA records, which saves a query for each domain",
    )
    group.add_argument(
        "--queries-per-second",
        type=_rate,
        default=round(QUERIES_PER_SECOND),
        metavar="N",
        help="at most so many questions to each name server per second (default: %(default)s)",
    )
    return group


def _rate(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of questions from 1 to 999999999")
    return int(text)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days between 0 and 99999")
    return int(text)


def add_certbot(parser: argparse.ArgumentParser) -> None:
    """Add where Certbot's files are, and which CA and account are meant."""
    group = parser.add_argument_group("Certbot")
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
    group.add_argument(
        "--server",
        metavar="URL",
        help="the CA's ACME directory (default: the certificate's, else Let's Encrypt's)",
    )
    group.add_argument(
        "--account",
        metavar="ID",
        help="the account there, by Certbot's id or its URL (default: the certificate's, else the "
        "only one)",
    )
    group.add_argument(
        "--no-verify-ssl",
        action="store_true",
        help="do not check the certificate of the CA's server",
    )


def add_identity(parser: argparse.ArgumentParser) -> None:
    """Add what stands in for Certbot's files, for instance on a monitoring host."""
    group = parser.add_argument_group(
        "without Certbot's files",
        "--issuer with --account-uri (and --account-url, if that is another and CAA names\n"
        "it) or, for CAs that hash it, with the other three",
    )
    group.add_argument(
        "--issuer",
        action="append",
        default=[],
        metavar="NAME",
        help="the CA's issuer-domain-name, such as letsencrypt.org; repeatable",
    )
    group.add_argument("--account-uri", metavar="URI", help="the account URI in the records")
    group.add_argument("--account-url", metavar="URL", help="the ACME account URL")
    group.add_argument("--thumbprint", help="the RFC 7638 thumbprint of the account key")
    group.add_argument(
        "--hash-prefix", metavar="PREFIX", help="accountHashPrefix in the CA's directory"
    )


#: The plugin's options that say what a record holds.
SHAPING = ("policy", "valid-for", "until", "issuer-domain-name", "shared")
#: Where it is looked for.
LOOKING = ("resolvers", "check")
READING = (*SHAPING, *LOOKING)
#: Those that only matter to whoever removes or writes one.
REMOVING = ("provider", "credentials", "script", "propagation-seconds")
WRITING = (*REMOVING, "ttl")


def add_options(parser: argparse.ArgumentParser, names: Collection[str]) -> None:
    """Add the plugin's options ``names``; those that a certificate is renewed with are defaults."""
    group = parser.add_argument_group("as for certbot (default: as the certificate is renewed)")

    def add(name: str, default: object = None, **details: Any) -> None:
        if name in names:
            group.add_argument(f"--{PREFIX}{name}", default=None, **details)

    options.add_arguments(add)


def find_subjects(args: argparse.Namespace) -> tuple[Iterator[Subject], Subjects, int]:
    """Return the subjects, who makes them (for its troubles), and how many there are at most.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` when the arguments do not go
    together.
    """
    said = given(args)
    options.options_of(said.options, {})  # once, rather than in trouble with every domain
    subjects = Subjects(Path(args.config_dir), journal(args), said)
    ways = [args.cert_name, args.domains, args.all, args.from_file]
    if sum(map(bool, ways)) != 1:
        raise ConfigurationError(
            "Say what it is about, with exactly one of --cert-name, -d, --all and --from-file."
        )
    if not subjects.without_certbot:
        _refuse_closed(args)
    if args.all or args.cert_name:
        if subjects.without_certbot:
            raise ConfigurationError(
                "--issuer is for names without Certbot's files: give them with -d or --from-file."
            )
        found = list(subjects.of_lineages(args.cert_name or None))
        return iter(found), subjects, len(found)
    if args.from_file:
        domains = list(_domains_in(args.from_file, subjects))
    else:
        domains = [normalize(part.strip()) for name in args.domains for part in name.split(",")]
    return subjects.of_domains(domains), subjects, len(domains)


def _refuse_closed(args: argparse.Namespace) -> None:
    """Say once what would otherwise be said of every file of Certbot's."""
    closed = closed_directory(Path(args.config_dir))
    if closed is None:
        return
    advice = "Run this as the user that runs Certbot, usually root."
    if hasattr(args, "issuer"):
        advice += (
            " To do without Certbot's files, name the domains with -d or --from-file, and give "
            "--issuer and --account-uri."
        )
    raise ConfigurationError(
        f"Certbot's directory {closed} cannot be read: Permission denied. {advice}"
    )


def lookup_for(args: argparse.Namespace) -> Callable[[options.Options], Lookup]:
    """Return how names are looked up: at the pace that ``args`` say, if they can say one."""
    rate = getattr(args, "queries_per_second", QUERIES_PER_SECOND)
    return functools.partial(Lookup.of, queries_per_second=rate)


def journal(args: argparse.Namespace) -> Journal:
    """Return the change log of the Certbot installation that is meant."""
    return _journal(args.logs_dir, args.config_dir)


@functools.cache  # so that what is wrong with it is said once
def _journal(logs_dir: str, config_dir: str) -> Journal:
    return Journal(logs_dir, config_dir)


def require_valid_account(args: argparse.Namespace, server: str, account_url: str) -> None:
    """Have the CA say that an account of Certbot's is valid.

    Raises :class:`~certbot_dns_persist.errors.Error` when it does not.
    """
    from certbot_dns_persist.ca import account_status

    key = find_key(Path(args.config_dir), server, account_url)
    account_status.require_valid_account(key, account_url, server, verify=not args.no_verify_ssl)


def command_line(args: argparse.Namespace, command: str) -> str:
    """Return how a command line for the same Certbot begins, to be pasted into a shell."""
    parts = ["certbot-dns-persist", command]
    for option, value, default in (
        ("--config-dir", args.config_dir, CONFIG_DIR),
        ("--logs-dir", args.logs_dir, LOGS_DIR),
    ):
        if value != default:
            parts += [option, value]
    return shlex.join(parts)


def rebuild_state(args: argparse.Namespace, *, at: int) -> None:
    """Rebuild the notes of which records are ours, when they were lost.

    ``at`` is UNIX seconds. To be called before anything reads them.
    """
    if _identity(args) is not None:
        return
    from certbot_dns_persist.change.rebuild import rebuild

    config_dir = Path(args.config_dir)
    # Each lineage's own CA and account, whatever this run is about.
    said = dataclasses.replace(given(args), server=None, account=None)
    subjects = Subjects(config_dir, journal(args), said)
    rebuild(journal(args), subjects, config_dir, lookup_for(args), at=at)


def _domains_in(path: str, subjects: Subjects) -> Iterator[str]:
    source: Any = sys.stdin.fileno() if path == "-" else path
    try:
        # Windows' editors put a mark before the first line.
        with open(source, encoding="utf-8-sig") as file:  # noqa: PTH123  # takes descriptors, too
            for number, line in enumerate(file, start=1):
                domain = line.partition("#")[0].strip()
                try:
                    if domain:
                        yield normalize(domain)
                except ConfigurationError as error:
                    subjects.troubles.append(f"{path}, line {number}: {error}")
    except OSError as error:
        raise ConfigurationError(
            f"The domains in {path} cannot be read: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The domains in {path} cannot be read: it is no text in UTF-8."
        ) from error


def given(args: argparse.Namespace) -> Given:
    """Return what the command line says of CA, account and options."""
    collected: dict[str, Any] = {}
    own: list[str] = []
    options.add_arguments(lambda name, **_: own.append(name))
    for name in own:
        collected[name] = getattr(args, f"{PREFIX}{name}".replace("-", "_"), None)
    return Given(
        server=args.server,
        account=args.account,
        identity=_identity(args),
        options=collected,
        verify=not args.no_verify_ssl,
        offline=getattr(args, "offline", False),
    )


def _identity(args: argparse.Namespace) -> Identity | None:
    """Return who asks, when the command line says all of it; ``None`` when it says nothing."""
    if not hasattr(args, "issuer"):  # a command that changes something needs Certbot's files
        return None
    issuers, uri = args.issuer, args.account_uri
    url, thumbprint, prefix = args.account_url, args.thumbprint, args.hash_prefix
    if not (issuers or uri or url or thumbprint or prefix):
        return None
    plain = uri and not thumbprint and not prefix
    hashed = url and thumbprint and prefix and not uri
    if not issuers or not (plain or hashed):
        raise ConfigurationError(
            "Without Certbot's files, give --issuer with --account-uri or, for a CA that hashes "
            "account URIs, with --account-url, --thumbprint and --hash-prefix."
        )
    if args.account is not None:
        raise ConfigurationError("--account is for Certbot's files, --issuer for doing without.")
    for option, value in (
        ("--account-uri", uri),
        ("--account-url", url),
        ("--hash-prefix", prefix),
    ):
        if value and not is_parameter_value(value):
            raise ConfigurationError(
                f"{option} {value!r} cannot stand in a record: it holds a blank, a semicolon or "
                "something else than printable ASCII."
            )
        if value and not _SCHEME.match(value):
            raise ConfigurationError(f"{option} {value!r} is no URI: it does not begin as one.")
    names = tuple(sorted(map(_issuer, issuers)))
    if plain:
        return Identity(Terms(names, uri), Account(url or uri, ""))
    if not _THUMBPRINT.fullmatch(thumbprint):
        raise ConfigurationError(
            f"--thumbprint {thumbprint!r} is no SHA-256 thumbprint in base64url, which has 43 "
            "characters (RFC 7638)."
        )
    return Identity(Terms(names, None, prefix), Account(url, thumbprint))


def _issuer(name: str) -> str:
    try:
        return normalize_domain_name(name)
    except ValueError as error:
        raise ConfigurationError(f"--issuer {name!r} cannot be used: {error}.") from error


def file_reports(args: argparse.Namespace, *, at: int) -> "list[Report]":
    """Return the reports that go into files; called before any work, as it may be in vain.

    ``at`` is UNIX seconds. Raises :class:`~certbot_dns_persist.errors.ConfigurationError` when one
    cannot be written.
    """
    reports: list[Report] = []
    if args.metrics is not None:
        from certbot_dns_persist.render.metrics import Metrics

        reports.append(Metrics(Path(args.metrics), command=args.command, at=at))
    if getattr(args, "html", None) is not None:  # of audit
        from certbot_dns_persist.render.html import Html

        reports.append(Html(Path(args.html), at=at))
    return reports


def report(
    args: argparse.Namespace,
    checked: Iterable[Checked],
    source: Subjects,
    *,
    at: int,
    count: int,
    files: "Sequence[Report]" = (),
) -> int:
    """Show what was ``checked`` as ``args`` want it; return the exit status.

    ``count`` is how many there are at most; ``at`` is UNIX seconds; ``files`` are reports beside
    that on standard output.
    """
    reports = [_report(args, at), *files]
    severities: set[str] = set()
    try:
        with progress(count) as advance:
            for each in checked:
                severities.add(each.severity)
                for one in reports:
                    one.add(each)
                advance()
    except Error as error:  # there is no resolver; the report is finished all the same
        source.troubles.append(str(error))
    if not severities and not source.troubles:
        source.troubles.append("There is nothing to check: no domain was named or found.")
    for trouble in source.troubles:
        print(printable(trouble), file=sys.stderr)
    if source.troubles:
        severities.add("critical" if source.lost_accounts else "unknown")
    severity = worst(severities)
    for one in reports:
        one.conclude(severity, source.troubles)
    return EXIT_STATUS_OF[severity]


class Report(Protocol):
    """One way to show what was checked."""

    def add(self, checked: Checked) -> None:
        """Take one domain; called in their order."""

    def conclude(self, severity: str, troubles: Sequence[str]) -> None:
        """Finish. ``severity`` is that of all; ``troubles`` are what could not be checked."""


def _report(args: argparse.Namespace, at: int) -> Report:
    if args.json:
        return Json(sys.stdout, at=at)
    if not sys.stdout.isatty():
        return Lines(sys.stdout, quiet=args.quiet)
    from rich.console import Console

    from certbot_dns_persist.render.table import OnScreen

    return OnScreen(Console(), quiet=args.quiet)


@contextlib.contextmanager
def progress(count: int) -> Iterator[Callable[[], None]]:
    """Yield what to call for each of ``count`` that is done: a bar on standard error shows it.

    Only at a terminal, and only when there is something to wait for.
    """
    if count < PROGRESS_FROM or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Looking up", total=count)
        yield lambda: bar.advance(task)
