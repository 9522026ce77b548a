"""The command ``certbot-dns-persist``, for everything except issuing. One file per command."""

import argparse
import gc
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from certbot_dns_persist.cli import (
    audit,
    check,
    explain,
    prune,
    publish,
    record,
    revoke,
    rotate,
)
from certbot_dns_persist.cli.terminal import fitted
from certbot_dns_persist.errors import Error

COMMANDS = (record, check, audit, publish, rotate, revoke, prune, explain)

DESCRIPTION = """\
Manage the DNS records of the ACME challenge dns-persist-01: prepare, check, audit, rotate and
revoke them. Accounts, options and certificates are read from Certbot's files.
"""


class _Parser(argparse.ArgumentParser):
    """Exits with the command's own status for failure, not always with 2.

    To a monitoring system that runs ``check``, 2 means that a record is missing.
    """

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(self.get_default("failed") or 1, f"{self.prog}: {message}\n")


class _PrintVersion(argparse.Action):
    """Prints the installed release, which takes time to find: only if the user asks for it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        import importlib.metadata

        print(parser.prog, importlib.metadata.version("certbot-dns-persist"))
        parser.exit()


class _PrintCompletion(argparse.Action):
    """Prints the parser's completion for a shell."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.error(
                "--print-completion needs the Python package shtab: install it where this command "
                "is installed, with pip or as Debian's python3-shtab."
            )
        print(shtab.complete(parser, values))
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Return the parser, with a subparser for each command."""
    made = _Parser(prog="certbot-dns-persist", description=DESCRIPTION)
    made.add_argument(
        "--version", action=_PrintVersion, nargs=0, help="print name and version, and exit"
    )
    made.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh", "tcsh"),
        help="print the completion for this shell, and exit",
    )
    commands = made.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for command in COMMANDS:
        command.add(commands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    made = parser()
    args, unknown = made.parse_known_args(arguments)
    if unknown:
        args.parser.error(f"unknown arguments: {' '.join(unknown)}")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # values of strangers, in any locale
            stream.reconfigure(errors="backslashreplace")
    gc.freeze()  # imported modules are never garbage, and searching them takes 1/10 of the time
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except Error as error:
        print(fitted(str(error), sys.stderr), file=sys.stderr)
        return int(args.failed)
    except KeyboardInterrupt:
        print(_interrupted(args), file=sys.stderr)
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # as when "head" has read enough
            print(f"The command could not finish: {error}.", file=sys.stderr)
        # Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(args.failed)
    return status


def _interrupted(args: argparse.Namespace) -> str:
    if not hasattr(args, "yes"):  # it changes nothing
        return "Interrupted."
    return (
        "Interrupted. What was changed so far, and what may have been, is in "
        f"{Path(args.logs_dir) / 'dns-persist-changes.jsonl'}. Run the same command again: it "
        "looks at DNS and continues from there."
    )
