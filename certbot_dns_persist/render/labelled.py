"""Lines of text, each with a label before it, for a terminal or an e-mail."""

import shutil
import textwrap

#: The widest that text is set, however wide the terminal is.
_WIDEST = 100


def labelled(label: str, text: str, *, to_copy: bool = False) -> list[str]:
    """Return ``text`` as lines, the first of which begins with ``label``, of at most 8 characters.

    What is there to copy is not wrapped.
    """
    if to_copy:
        return [f"  {label:<9}{text}"]
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    return textwrap.wrap(
        text,
        width=width,
        initial_indent=f"  {label:<9}",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )
