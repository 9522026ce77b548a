"""What we show: text of strangers cannot control a terminal, a log or a page.

TXT values, names, the words of CAs and services, and files may hold anything. What is one line
of ours goes through :func:`printable` where it is put together; and whatever leaves us, through
:func:`shown`: the messages of our loggers, what Certbot shows for us, and the streams of the
command.
"""

import io
import logging
import re
from typing import TextIO

_PLAIN = re.compile(r"[ -~\n\t]*")


def printable(text: str) -> str:
    r"""Return ``text`` as one line for a terminal: control characters as ``\x1b``, for instance.

    So are line breaks, characters that change the direction of text, and those without a meaning.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def shown(text: str) -> str:
    """Return ``text`` as :func:`printable` does, but with its line breaks and tabs."""
    if _PLAIN.fullmatch(text) or text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def logger_of(name: str) -> logging.Logger:
    """Return the logger of a module of ours; whatever handler gets its messages gets them shown."""
    made = logging.getLogger(name)
    if not any(isinstance(each, _Shown) for each in made.filters):
        made.addFilter(_Shown())
    return made


class _Shown(logging.Filter):
    """Makes messages, and what is logged of exceptions, safe to show."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = shown(logging.Formatter().formatException(record.exc_info))
        return True


class ShownStream(io.TextIOBase):
    """A text stream that shows what is written to another one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        """The one that takes what is written."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the other stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the other stream treats what it cannot encode."""
        return self.stream.errors

    def write(self, text: str) -> int:
        """Write ``text``, shown."""
        self.stream.write(shown(text))
        return len(text)

    def flush(self) -> None:
        """Flush the other stream."""
        self.stream.flush()

    def fileno(self) -> int:
        """Return the descriptor of the other stream."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Whether the other stream is a terminal."""
        return self.stream.isatty()
