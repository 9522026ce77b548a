"""``docs/pictures``: pictures of real runs, which show no machine and fetch nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import browser
from support.bootstrap import ROOT
from support.need import need
from support.process import find_program

PICTURES = ROOT / "docs" / "pictures"
MADE = [
    "audit.svg",
    "check.svg",
    "demo.svg",
    "manual.svg",
    "report-dark.jpg",
    "report-phone.jpg",
    "report.jpg",
]
"""By ``packaging/pictures``."""

PLACES = re.compile(r"https?://([^/:\s\"'<]+)")
ALLOWED = {"ca.example.com", "localhost", "www.w3.org"}


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_small_and_stands_on_a_page(name: str) -> None:
    assert (PICTURES / name).stat().st_size < 150_000
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md")]
    assert any(f"pictures/{name})" in page for page in pages)


@pytest.mark.parametrize("name", [name for name in MADE if name.endswith(".svg")])
def test_a_picture_names_no_place_but_those_of_examples(name: str) -> None:
    text = (PICTURES / name).read_text(encoding="utf-8")
    assert set(PLACES.findall(text)) <= ALLOWED
    assert not re.search(r"/(home|tmp|work|opt|usr)/|\.cache|\.venv", text.replace("&#47;", "/"))


@pytest.mark.browser
def test_the_program_makes_the_pictures(tmp_path: Path) -> None:
    need(not browser.missing(), str(browser.missing()))
    need(bool(find_program("unshare")), "unshare is not installed")
    made = subprocess.run(
        [sys.executable, ROOT / "packaging" / "pictures", "--output", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == MADE
    audit = (tmp_path / "audit.svg").read_text(encoding="utf-8")
    for said in ("unknown", "missing", "expiring", "shop.example.test"):
        assert said in audit
