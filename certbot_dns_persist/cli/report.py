"""What ``check`` and ``audit`` show: progress, reports and exit status."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from certbot_dns_persist.cli.outputs import OutputFile
from certbot_dns_persist.cli.setting import Asked
from certbot_dns_persist.errors import Error
from certbot_dns_persist.judge.checkup import Checked, worst
from certbot_dns_persist.judge.diagnosis import EXIT_STATUS_OF, Severity
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.console import console
from certbot_dns_persist.render.evidence import Evidence, Scope
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.render.plugin_output import PluginOutput
from certbot_dns_persist.shown import printable

UNKNOWN = EXIT_STATUS_OF[Severity.UNKNOWN]

#: The number of domains from which there is a progress bar.
PROGRESS_FROM = 20


def file_reports(args: argparse.Namespace, *, at: int) -> list["Report"]:
    """Return the reports that go into files; call this before any other work.

    ``at`` is UNIX seconds. Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if one
    cannot be written.
    """
    reports: list[Report] = []
    if args.metrics is not None:
        from certbot_dns_persist.render.metrics import Metrics

        # The node exporter, which reads it, runs as another user.
        file = OutputFile("--metrics", Path(args.metrics), mode=0o644)
        reports.append(Metrics(file.write, command=args.command, at=at))
    if getattr(args, "html", None) is not None:  # of audit
        from certbot_dns_persist.render.html import Html

        # For its owner only: it shows which hashed account is whose.
        file = OutputFile("--html", Path(args.html))
        reports.append(Html(file.write, at=at, evidence=evidence(args)))
    return reports


#: What of the command line says where things go, not what is looked at.
_OUTPUTS = frozenset(["command", "debug", "html", "json", "logs_dir", "metrics", "quiet", "since"])
#: What has a place of its own in the scope.
_SUBJECTS = frozenset(["all", "cert_name", "domains", "from_file"])


def evidence(args: argparse.Namespace) -> Evidence:
    """Return what all reports say of this run; the same each time."""
    if not hasattr(args, "evidence"):
        args.evidence = _evidence(args)
    found: Evidence = args.evidence
    return found


def _evidence(args: argparse.Namespace) -> Evidence:
    import importlib.metadata
    import socket

    scope = Scope(
        command=args.command,
        certificates=tuple(args.cert_name),
        domains=tuple(each.strip() for given in args.domains for each in given.split(",")),
        all=args.all,
        from_file=args.from_file,
        options=tuple(_options(args)),
    )
    release = importlib.metadata.version("certbot-dns-persist")
    return Evidence(
        scope,
        program=f"certbot-dns-persist {release}",
        host=socket.gethostname(),
        asks_dns=not args.answers,
    )


def _options(args: argparse.Namespace) -> Iterator[str]:
    """Yield the options that say how or with what the subjects are judged, sorted."""
    for name, value in sorted(vars(args).items()):
        an_option = isinstance(value, (bool, int, str, list)) and name not in _OUTPUTS | _SUBJECTS
        if not an_option or value == args.parser.get_default(name):
            continue
        flag = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, tuple):  # a part of an identity
                yield "--{}={}".format(*each)
            else:
                yield flag if each is True else f"{flag}={each}"


def show(
    args: argparse.Namespace,
    checked: Iterable[Checked],
    asked: Asked,
    *,
    at: int,
    files: Sequence["Report"] = (),
) -> int:
    """Show what was ``checked``, as ``args`` say; return the exit status.

    ``checked`` are the results for the subjects of ``asked``; ``at`` is UNIX seconds; ``files``
    are reports in addition to that on standard output.
    """
    reports = [_report(args, at), *files]
    severities: set[Severity] = set()
    accounts: set[str] = set()
    no_resolver: list[str] = []
    try:
        with progress(asked.count) as advance:
            for each in checked:
                severities.add(each.severity)
                accounts.add(each.account_url)
                for one in reports:
                    one.add(each)
                advance()
    except Error as error:  # there is no resolver; we still finish the report
        no_resolver.append(str(error))
    in_doubt = [words for url, words in asked.keys_in_doubt.items() if url in accounts]
    troubles = in_doubt + asked.troubles + no_resolver
    if not severities and not troubles:
        troubles.append("There is nothing to check: no domain was given or found.")
    for trouble in troubles:
        print(printable(trouble), file=sys.stderr)
    if getattr(args, "since", None) is not None:  # of audit
        for remark in evidence(args).remarks():
            print(printable(remark), file=sys.stderr)
    if in_doubt:
        severities.add(Severity.WARNING)
    if len(troubles) > len(in_doubt):
        severities.add(Severity.CRITICAL if asked.lost_accounts else Severity.UNKNOWN)
    severity = worst(severities)
    for one in reports:
        one.conclude(severity, troubles)
    return EXIT_STATUS_OF[severity]


class Report(Protocol):
    """One way to show what was checked."""

    def add(self, checked: Checked) -> None:
        """Add one domain; called for each in order."""

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Finish. ``severity`` is the worst; ``troubles`` say what could not be checked."""


def _report(args: argparse.Namespace, at: int) -> Report:
    if args.json:
        untold: Sequence[str] = ()
        if args.answers:
            from certbot_dns_persist.judge.answers import UNTOLD

            untold = list(UNTOLD)
        return Json(sys.stdout, at=at, untold=untold, evidence=evidence(args))
    if not sys.stdout.isatty() and args.quiet:
        return PluginOutput(sys.stdout, command=args.command, at=at, warn_days=args.warn_days)
    if not sys.stdout.isatty():
        return Lines(sys.stdout, quiet=False, at_once=not args.answers)
    from certbot_dns_persist.render.table import OnScreen

    return OnScreen(console(), quiet=args.quiet)


@contextlib.contextmanager
def progress(count: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of ``count`` domains, for a bar on standard error.

    There is a bar only at a terminal, and only for many domains.
    """
    if count < PROGRESS_FROM or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("Looking up", total=count)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def countdown(seconds: int, words: str) -> Iterator[None]:
    """Show on standard error, at a terminal, how much of ``seconds`` is left."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    text = f"{words}, {seconds} seconds"
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        bar.add_task(text, total=None)
        yield
