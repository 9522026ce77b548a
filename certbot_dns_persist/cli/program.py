"""The program: its parser, and what becomes of errors and interruptions."""

import argparse
import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from certbot_dns_persist.cli import (
    audit,
    ca,
    check,
    explain,
    inputs,
    inventory,
    last_resort,
    migrate,
    names,
    prune,
    publish,
    record,
    revoke,
    rollover,
    rotate,
    signals,
    wait,
)
from certbot_dns_persist.cli import list as listing
from certbot_dns_persist.cli.terminal import fitted
from certbot_dns_persist.errors import Error, UsageError, cannot_be_imported
from certbot_dns_persist.shown import ShownStream

COMMANDS = (
    *(record, check, audit, listing, publish, rotate, revoke, prune, migrate, rollover),
    *(inventory, explain, ca, names, wait),
)

DESCRIPTION = """\
Manage the DNS records of the ACME challenge dns-persist-01: prepare, check, audit, rotate and
revoke them. Accounts, options and certificates are read from Certbot's files.
"""


#: The exit status of every command if it is not used as it should be, or something unexpected
#: happens. To a monitoring system that is "unknown".
UNKNOWN = 3


class _Parser(argparse.ArgumentParser):
    """Exits with 3 instead of 2, which would mean that a record is missing."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UNKNOWN, f"{self.prog}: {message}\n")


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # values of strangers, in any locale
            stream.reconfigure(errors="backslashreplace")
    with (
        contextlib.redirect_stdout(ShownStream(sys.stdout)),
        contextlib.redirect_stderr(ShownStream(sys.stderr)),
    ):
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    args = argparse.Namespace(debug=False, failed=UNKNOWN)  # until they are known
    at_end = contextlib.ExitStack()
    try:
        args, unknown = parser().parse_known_args(arguments)
        if unknown:
            args.parser.error(f"unknown arguments: {' '.join(unknown)}")
        inputs.require_one_reader(args)
        last_resort.set_up_logging(args)
        signals.end_like_ctrl_c()
        gc.freeze()  # imported modules are never garbage, and searching them takes 1/10 of the time
        args.at_end = at_end  # closes what the command holds open
        status: int = args.run(args)
        sys.stdout.flush()
    except Error as error:
        print(fitted(str(error), sys.stderr), file=sys.stderr)
        return UNKNOWN if isinstance(error, UsageError) else int(args.failed)
    except KeyboardInterrupt as error:
        print(_interrupted(args), file=sys.stderr)
        return signals.exit_status(error)
    except BrokenPipeError:  # as when "head" has read enough
        _close_output()
        return int(args.failed)
    except ImportError as error:  # of what only some commands need
        print(cannot_be_imported(error), file=sys.stderr)
        return UNKNOWN
    except Exception as error:  # noqa: BLE001 - the last resort
        with contextlib.suppress(OSError):
            print(last_resort.sentence(args, error), file=sys.stderr)
        if isinstance(error, OSError):  # which standard output may be the cause of
            _close_output()
        return UNKNOWN
    finally:
        at_end.close()
    return status


def _close_output() -> None:
    """Have Python not complain when it closes the stream."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted(args: argparse.Namespace) -> str:
    if not hasattr(args, "yes") or args.command == "inventory":  # it changes nothing in DNS
        return "Interrupted."
    return (
        "Interrupted. What was changed so far, and what may have been, is in "
        f"{Path(args.logs_dir) / 'dns-persist-changes.jsonl'}. Run the same command again: it "
        "looks at DNS and continues from there."
    )
