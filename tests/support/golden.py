"""Texts that are kept in ``tests/golden``, to compare with the current output.

``UPDATE_GOLDEN=1`` in the environment rewrites them.
"""

import difflib
import os
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).resolve().parents[1] / "golden"


def compare(name: str, text: str) -> None:
    """Fail with a unified diff unless ``text`` is what ``tests/golden/<name>`` holds."""
    path = DIRECTORY / name
    if os.environ.get("UPDATE_GOLDEN"):
        DIRECTORY.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    if text == kept:
        return
    diff = difflib.unified_diff(
        kept.splitlines(), text.splitlines(), f"tests/golden/{name}", "now", lineterm=""
    )
    shown = "\n".join(diff) or "Only the end of the last line differs."
    pytest.fail(
        f"{shown}\n\nIf that is intended: UPDATE_GOLDEN=1 python -m pytest tests/test_golden.py, "
        "and look at the difference that git shows.",
        pytrace=False,
    )
