"""``contrib/``: what it says of DNS and CAs is so, and the tests that it names exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from conftest import StartPebble
from markdown_it import MarkdownIt
from support import bind as bind_support
from support.bind import Bind
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.need import need
from support.pebble import ISSUER, Pebble

from certbot_dns_persist.record import validation_domain_name

CONTRIB = ROOT / "contrib"
DRAFT = CONTRIB / "draft-operational-considerations.md"
REPORT = CONTRIB / "implementation-report.md"

ZONES = {
    "example.com": "* A 192.0.2.80\n* MX 10 mx.example.com.\n",
    "example.net": "* CNAME lb.cdn.example.\n",
    "example.org": "* CNAME lb.cdn.example.\n",
    "cdn.example": "lb A 192.0.2.9\n",
}


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head and backquotes."""
    below = page.read_text(encoding="utf-8").partition(f"# {heading}\n")[2]
    table = re.findall(r"^\|.*\|$", re.split(r"\n#", below)[0], re.MULTILINE)
    assert len(table) > 2, heading
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table[2:]]


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    need(not bind_support.missing(), str(bind_support.missing()))
    with Bind(tmp_path_factory.mktemp("bind"), ZONES) as running:
        yield running


@pytest.fixture(scope="module")
def pebble(bind: Bind, start_pebble: StartPebble) -> Pebble:
    return start_pebble(f"{bind.resolver.address}:53")


def told(answer: dns.message.Message) -> str:
    if answer.rcode() == dns.rcode.NXDOMAIN:
        return "no such name"
    found = [rdata.to_text() for rrset in answer.answer for rdata in rrset]
    return ", ".join(found) or "no data"


@pytest.mark.parametrize(
    ("host", "question", "before", "after"), rows(DRAFT, "What a record hides")
)
def test_a_record_hides_what_the_draft_should_say(
    bind: Bind, host: str, question: str, before: str, after: str
) -> None:
    name, rdtype = question.split()
    assert told(bind.primary.ask(name, rdtype)) == before
    bind.add_txt(validation_domain_name(host), f"{ISSUER}; accounturi=https://ca.example/1")
    try:
        assert told(bind.primary.ask(name, rdtype)) == after
    finally:
        bind.delete_txt(validation_domain_name(host))


def test_one_record_behind_a_wildcard_permits_what_the_draft_should_say(
    bind: Bind, certbot: Certbot, bind_reading: list[str]
) -> None:
    names = [name for name, _ in rows(DRAFT, "What a wildcard permits")]
    before = [bind.primary.records(zone) for zone in ("example.net", "example.org")]
    value = f"{ISSUER}; accounturi={certbot.register()}; policy=wildcard"
    bind.add_txt("lb.cdn.example", value)
    done = certbot.certonly(*bind_reading, "-d", ",".join(names), "--cert-name", "all")
    assert done.returncode == 0, done.output
    assert certbot.certificate("all").names == sorted(names)
    assert [bind.primary.records(zone) for zone in ("example.net", "example.org")] == before


def test_the_report_names_tests_that_exist_for_every_clause() -> None:
    text = REPORT.read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[^`:]+)::(\w+)`", text))
    assert len(named) > 40
    for file, test in sorted(named):
        assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
    for heading in ("Drafts", "Clauses"):
        for row in rows(REPORT, heading):
            assert "::" in row[-1], row


def test_links_lead_to_files() -> None:
    for page in CONTRIB.glob("*.md"):
        for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
            for child in token.children or ():
                target = str(child.attrs.get("href", ""))
                if target and "://" not in target:
                    assert (page.parent / target.partition("#")[0]).exists(), (page.name, target)
