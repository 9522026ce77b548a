"""The site that Sphinx makes of ``docs``, and what its pages have from the code."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support.bootstrap import ROOT


def test_what_pages_have_from_the_code_is_up_to_date() -> None:
    command = [sys.executable, ROOT / "packaging" / "reference", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


class Page(HTMLParser):
    """What can be linked to in a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = {""}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value and tag != "link":
                self.links.append(value)


@pytest.mark.docs
def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"]
    site = tmp_path / "site"
    done = subprocess.run(
        [*command, "-d", tmp_path / "doctrees", ROOT / "docs", site],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert site / "index.html" in pages
    broken = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in page.links
        if not leads_somewhere(path, link, pages)
    ]
    assert broken == []


def leads_somewhere(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Whether a link of a page does, unless it leaves the site and the repository."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        _, ours, path = link.partition("/blob/main/")
        return not ours or (ROOT / path.partition("#")[0]).exists()
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target in pages:
        return unquote(parts.fragment) in pages[target].ids
    return target.exists()
