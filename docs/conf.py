"""Make a site from these pages: ``python -m sphinx -W --keep-going -n docs .cache/site``.

The pages are plain Markdown, which forges show as it is. What Sphinx needs besides is added here
while it reads them: the contents come from the lists of the pages called ``index``, and links that
leave this directory lead to the repository.
"""

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SETUP = (HERE.parent / "setup.py").read_text("utf-8")


def _of_setup(pattern: str) -> Any:
    return re.findall(pattern, SETUP, re.MULTILINE)[0]


project = "certbot-dns-persist"
author = "certbot-dns-persist maintainers"
release = _of_setup(r'^ *version="([^"]+)"')
REPOSITORY = _of_setup(r'^URL = "([^"]+)"') + "/blob/main"

extensions = ["myst_parser"]
myst_heading_anchors = 3
root_doc = "index"
exclude_patterns = ["pictures/README.md"]

html_theme = "furo"
html_title = f"{project} {release}"
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def add_what_forges_need_not(_: Any, name: str, source: list[str]) -> None:
    """Add the contents to the page ``name``, and turn its links to files beside the pages."""
    page = HERE / f"{name}.md"
    source[0] = LINK.sub(lambda link: _turned(page, link), source[0])
    if page.name == "index.md":
        source[0] += "".join(f"\n{each}\n" for each in _contents(source[0]))


def _turned(page: Path, link: "re.Match[str]") -> str:
    if "://" in link[1]:
        return link[0]
    target = (page.parent / link[1]).resolve()
    if target.is_relative_to(HERE) or not target.exists():
        return link[0]  # if there is no such file, Sphinx says so
    return f"]({REPOSITORY}/{target.relative_to(HERE.parent)}{link[2] or ''})"


def _contents(text: str) -> list[str]:
    """Return a hidden table of contents for each heading above a list of pages."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    made = []
    for caption, part in zip(["", *parts[1::2]], parts[::2], strict=True):
        pages = re.findall(r"^(?:- |\| )\[[^]]+\]\(([^):]+)\.md\)", part, re.MULTILINE)
        if pages:
            title = [f":caption: {caption}"] if caption else []
            made.append("\n".join(["```{toctree}", ":hidden:", *title, "", *pages, "```"]))
    return made


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", add_what_forges_need_not)
    return {"parallel_read_safe": True}
