"""A run of our command that ends the way of kill -9 at a chosen call of a chosen function.

    python -m support.killed MODULE:NAME CALL before|after ARGUMENT...

``CALL`` is 1 for the first call; the arguments are those of ``certbot-dns-persist``.
"""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from .certbot import Certbot

TESTS = Path(__file__).parents[1]


def was_killed(
    certbot: Certbot, arguments: Sequence[str], where: str, call: int, moment: str
) -> bool:
    """Run the command beside ``certbot``; return whether it got to that call."""
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.killed", where, str(call), moment, *arguments],
        env={**certbot.env, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode != 0


def _main(where: str, call: str, moment: str, *arguments: str) -> int:
    from certbot_dns_persist.cli import main

    module, _, names = where.partition(":")
    *above, name = names.split(".")
    holder: Any = reduce(getattr, above, importlib.import_module(module))
    whole, calls = getattr(holder, name), 0

    def dying(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == int(call) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        returned = whole(*given, **named)
        if calls == int(call):
            os.kill(os.getpid(), signal.SIGKILL)
        return returned

    setattr(holder, name, dying)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
