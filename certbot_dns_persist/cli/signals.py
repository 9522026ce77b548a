"""Signals that end a program, turned into what Ctrl-C is."""

import signal
import threading
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise :class:`KeyboardInterrupt`, so that a change is noted.

    A signal that was ignored, as by nohup, still is.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def exit_status(error: KeyboardInterrupt) -> int:
    """Return the exit status of a program that ``error`` has ended, as shells have it."""
    number = error.args[0] if error.args else signal.SIGINT
    return 128 + int(number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in _ENDING:  # what is noted now must not be interrupted
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)
