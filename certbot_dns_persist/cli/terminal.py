"""Words where a person reads them."""

import shutil
import textwrap
from typing import TextIO


def fitted(words: str, out: TextIO) -> str:
    """Return ``words`` broken where the terminal ends; as they are when ``out`` is none.

    Lines that begin with a space hold records, to be copied as they are.
    """
    if not out.isatty():
        return words
    width = shutil.get_terminal_size().columns
    return "\n".join(
        line if line.startswith(" ") else textwrap.fill(line, width, break_on_hyphens=False)
        for line in words.split("\n")
    )
