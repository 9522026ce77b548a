"""Messages at a terminal."""

import shutil
import textwrap
from typing import TextIO


def fitted(words: str, out: TextIO) -> str:
    """Return ``words``, wrapped to the width of the terminal if ``out`` is one.

    Lines that begin with a space have records to copy, and are not wrapped.
    """
    if not out.isatty():
        return words
    width = shutil.get_terminal_size().columns
    return "\n".join(
        line if line.startswith(" ") else textwrap.fill(line, width, break_on_hyphens=False)
        for line in words.split("\n")
    )
