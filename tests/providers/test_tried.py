"""The list of plugins that we tried, and where else it is written."""

import os
import re
from collections import Counter

from support.bootstrap import ROOT
from support.plugin_catalogue import IN_OTHER_TESTS, REFUSED, USED, refused

from certbot_dns_persist.providers.tried import CERTBOT, DATE, TRIED, Outcome, Tried

PAGE = ROOT / "docs" / "providers" / "other-plugins.md"

BEGIN = "<!-- What follows is certbot_dns_persist/providers/tried.py, shown by a test. -->\n"
END = "<!-- The end of that. -->\n"


def test_the_page_shows_the_list() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}{_shown()}{END}{after}"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert text == wanted, "UPDATE_GOLDEN=1 writes it anew"


def _shown() -> str:
    lines = [
        f"Tried on {DATE} with Certbot {CERTBOT}, each against a server that behaves as its "
        "service does.\n",
        "| plugin | package | result |",
        "|---|---|---|",
        *(_row(each) for each in TRIED if each.outcome is not Outcome.REFUSED),
        "\nRefused, before anything is written:\n",
        "| plugin | package | why, and what to use instead |",
        "|---|---|---|",
        *(_row(each) for each in TRIED if each.outcome is Outcome.REFUSED and each.version),
    ]
    return "\n".join([*lines, ""])


def _row(tried: Tried) -> str:
    words = tried.words[:1].upper() + tried.words[1:]
    told = f"{words}. {tried.instead}".strip() if words else ""
    if tried.outcome is not Outcome.REFUSED:
        told = f"{tried.outcome.value}. {told}".strip().removesuffix(".")
    return f"| {tried.plugin} | {tried.package} {tried.version} | {told} |"


def test_each_plugin_is_listed_once_in_order() -> None:
    places = [(each.plugin, each.package) for each in TRIED]
    assert places == sorted(places)
    assert max(Counter(places).values()) == 1


def test_whoever_is_listed_is_tried_by_a_test_and_pinned() -> None:
    used = [each for each in TRIED if each.outcome is not Outcome.REFUSED]
    elsewhere = {each for each in used if each.plugin in IN_OTHER_TESTS}
    assert {(e.plugin, e.package) for e in used if e not in elsewhere} == USED.keys()
    assert {each.plugin for each in elsewhere} == IN_OTHER_TESTS
    assert sorted(REFUSED) == sorted(refused())
    assert all(each.version for each in TRIED if each.plugin != "dns-persist")
    assert all(re.fullmatch(r"[a-z0-9-]+", each.package) for each in TRIED)


def test_who_is_refused_is_told_why_and_what_to_use_instead() -> None:
    for each in TRIED:
        if each.outcome is Outcome.REFUSED or each.refused_keys:
            assert each.words, each
            assert not each.words.endswith("."), each
            assert each.instead.endswith("."), each


def test_a_version_that_its_authors_call_incompatible_is_another_one() -> None:
    tried = Tried("dns-x", "certbot-dns-x", "2.8.1", Outcome.WORKS, earlier=("0.9",))
    assert tried.covers("0.9")
    assert not tried.covers("0.8")
    assert tried.covers("2.8.1")
    assert tried.covers("2.9")
    assert not tried.covers("3.0.0")
    assert not tried.covers("1.9.9")
    early = Tried("dns-x", "certbot-dns-x", "0.3.1", Outcome.WORKS)
    assert early.covers("0.3.9")
    assert not early.covers("0.4.0")
