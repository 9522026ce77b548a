"""The site that Sphinx makes of ``docs``, and what its pages have from the code."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support.bootstrap import ROOT
from test_golden import templates

from certbot_dns_persist import errors
from certbot_dns_persist.judge.diagnosis import SEVERITIES_OF, Status
from certbot_dns_persist.judge.notice import NoticeKind


def test_what_pages_have_from_the_code_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "packaging" / "reference"), "--check"]
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
        [*command, "-d", str(tmp_path / "doctrees"), str(ROOT / "docs"), str(site)],
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


ERRORS = ROOT / "docs" / "reference" / "errors.md"
PACKAGE = ROOT / "certbot_dns_persist"


def quotes() -> list[str]:
    """Return the beginnings of messages on the page."""
    return re.findall(r"^- `(.+)`$", ERRORS.read_text("utf-8"), re.MULTILINE)


def said(tree: ast.AST) -> list[str]:
    """Return what a part of the source says, with one ellipsis for what is filled in."""
    return [re.sub(r"\{[^{}]*\}|%s", "…", text) for text in templates(tree)]


def raised(tree: ast.AST) -> Iterator[str]:
    """Yield the messages of our errors, as far as they have words of their own."""
    names = {name for name, each in vars(errors).items() if isinstance(each, type)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            if name in names and isinstance(node.exc.args[0], ast.Constant | ast.JoinedStr):
                (message, *_) = said(node.exc.args[0])
                if re.search("[a-z]{2}", message):
                    yield message


def text_is_listed(text: str, listed: tuple[str, ...]) -> bool:
    return any(line.startswith(listed) for line in text.splitlines())


def test_the_page_of_errors_has_each_that_the_code_raises_and_no_other() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))]
    listed = quotes()
    everything = "\n".join(text for tree in trees for text in said(tree))
    assert [quote for quote in listed if quote not in everything] == []
    assert all(re.search("[a-z]{2}", quote) for quote in listed)
    messages = [message for tree in trees for message in raised(tree)]
    assert len(messages) > 200
    missing = [text for text in messages if not text_is_listed(text, tuple(listed))]
    assert missing == [], f"Each needs a line, with cause and cure, in {ERRORS.name}"


def test_the_page_of_findings_has_each_status_and_each_notice_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "findings.md").read_text("utf-8")
    statuses, notices = text.partition("\n## Notices\n")[::2]
    for part, words in ((statuses, Status), (notices, NoticeKind)):
        rows = re.findall(r"^\| (`.+?`) \| (\w+)", part, re.MULTILINE)
        named = {word: severity for cell, severity in rows for word in re.findall("`(.+?)`", cell)}
        assert sorted(named) == sorted(words)
        if words is Status:
            assert named == {each: SEVERITIES_OF[each] for each in Status}
