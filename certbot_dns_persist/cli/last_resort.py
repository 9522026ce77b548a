"""Unexpected errors: a sentence for the user, and details for whoever fixes them."""

import argparse
import logging
import os
import platform
import time
import traceback
from pathlib import Path

from certbot_dns_persist import files
from certbot_dns_persist.record import format_time
from certbot_dns_persist.shown import printable, shown

#: In Certbot's logs directory: what is there to know of such errors.
LOG = "dns-persist-debug.log"

_MOST_CHARACTERS = 500


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that shows the details."""
    parser.add_argument(
        "--debug",
        action="store_true",
        help="show on standard error what is done, and details of unexpected errors",
    )


def set_up_logging(args: argparse.Namespace) -> None:
    """Let what we log go to standard error."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if args.debug:
        logging.getLogger("certbot_dns_persist").setLevel(logging.DEBUG)


def sentence(args: argparse.Namespace, error: Exception) -> str:
    """Return what to tell the user of ``error``, after its details were put where they can be read.

    With ``--debug``, they are part of what is returned.
    """
    said = printable(str(error))[:_MOST_CHARACTERS].rstrip(".")
    told = f"The command could not finish: {type(error).__name__}{said and f': {said}'}."
    if not isinstance(error, OSError | MemoryError):
        told += " That is a fault of certbot-dns-persist."
    details = "".join(traceback.format_exception(error))
    if args.debug:
        return f"{told}\n{details}"
    where = _note(args, details)
    if where is not None:
        return f"{told} {where} has the details."
    return f"{told} For the details, run the same command with --debug."


def _note(args: argparse.Namespace, details: str) -> Path | None:
    """Append ``details`` to the log; return where it is, or ``None`` if that is not possible."""
    if not hasattr(args, "logs_dir"):  # as explain, which reads none of Certbot's files
        return None
    import importlib.metadata

    path = Path(args.logs_dir) / LOG
    head = (
        f"{format_time(int(time.time()))} certbot-dns-persist {args.command}, release "
        f"{importlib.metadata.version('certbot-dns-persist')}, Python {platform.python_version()}"
    )
    try:
        with files.opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            os.write(descriptor, shown(f"{head}\n{details}\n").encode("utf-8", "backslashreplace"))
    except OSError:
        return None
    return path
