"""Changes for the system's log: one line each, which nothing in DNS can break or make long."""

import json
import logging
import logging.handlers
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

#: The longest message in octets, all of it: RFC 3164 section 4.1.
MOST = 1024

_IDENT = "certbot-dns-persist: "
#: For priority and ident.
_BESIDES = len(_IDENT) + len("<999>")
#: How long to wait, in seconds, for a daemon that does not read.
_PATIENCE = 1.0
#: What may be cut: the file has all of it, with the same id.
_CUT = ("reason", "value", "result", "name", "zone", "user", "host", "provider")


def send(entries: Iterable[Mapping[str, Any]], socket: Path) -> None:
    """Send an entry of the log as one message each.

    Raises :class:`OSError` if nobody takes them.
    """
    handler = _Handler(str(socket), logging.handlers.SysLogHandler.LOG_AUTH)
    handler.ident = _IDENT
    handler.append_nul = False
    try:
        for entry in entries:
            made = {"name": __name__, "levelno": logging.INFO, "levelname": "INFO"}
            handler.emit(logging.makeLogRecord({**made, "msg": line(entry)}))
    finally:
        handler.close()


def line(entry: Mapping[str, Any]) -> str:
    """Return an entry of the log as JSON in ASCII without control characters.

    If it would be too long, the longest texts are cut, and ``cut`` is true.
    """
    shown = dict(entry)
    while len(text := _dumped(shown)) > MOST - _BESIDES:
        longest = max(_CUT, key=lambda name: len(_dumped(shown.get(name))))
        shown = {
            **shown,
            longest: str(shown[longest])[: len(str(shown[longest])) // 2],
            "cut": True,
        }
    return text


def _dumped(value: object) -> str:
    return json.dumps(value).replace("\x7f", "\\u007f")  # the one that json leaves as it is


class _Handler(logging.handlers.SysLogHandler):
    """The standard library's, of which we hear what goes wrong, and which waits for nobody."""

    def _connect_unixsocket(self, address: str) -> None:
        super()._connect_unixsocket(address)  # type: ignore[misc]
        self.socket.settimeout(_PATIENCE)  # type: ignore[attr-defined]

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # it is called while the error is handled
