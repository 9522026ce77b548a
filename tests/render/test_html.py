"""The page that ``audit --html`` writes, read in a real browser."""

import dataclasses
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from support import browser as browser_support
from support.bind import Bind
from support.browser import Browser
from support.certbot import Certbot
from support.companion import Companion
from support.need import need
from support.pebble import ISSUER

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.cli.outputs import OutputFile
from certbot_dns_persist.judge.audit import Known, notices
from certbot_dns_persist.judge.checkup import Checked, worst
from certbot_dns_persist.judge.diagnosis import Severity, diagnose
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer
from certbot_dns_persist.options import options_of
from certbot_dns_persist.render.evidence import Evidence, Scope
from certbot_dns_persist.render.html import Html
from certbot_dns_persist.request.known_accounts import KnownAccounts
from certbot_dns_persist.request.request import make_request
from certbot_dns_persist.request.subjects import Subject

AT = 1_800_000_000
DAY = 86400
URL = "https://acme-v02.api.example/acme/acct/1234567890"
KEY = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
HOSTILE = (
    "<script>document.title = 'owned'</script><img src=https://evil.example/x.png>; accounturi="
)
TRICKY = "]]></script><script>document.title='owned'</script><!-- \u2028 $& \u202e \ue000"
ROWS = "#records > tbody > tr:not(.detail)"
OWN = ("data:", "chrome:")
"""What the browser asks for that is no request: parts of the page, and its own first tab."""

DOMAINS = f"{ROWS} > th .toggle"


def checked(domain: str, *values: str, ours: str | None = "", wildcard: bool = False) -> Checked:
    """Return what an audit makes of a domain; ``{uri}`` in a value stands for our account."""
    request = make_request(
        domain,
        wildcard=wildcard,
        shared=False,
        terms=Terms(("ca.example",), None, "https://acme-v02.api.example/acme/account-hash/"),
        account=Account(URL, KEY),
        earlier_keys=lambda: [],
        server="https://acme-v02.api.example/directory",
    )
    own = [] if ours is None else [f"ca.example; accounturi={{uri}}{ours}"]
    all_values = [v.replace("{uri}", request.account_uris.published) for v in (*own, *values)]
    servers = tuple(
        ServerAnswer(f"{name}.dns.example", f"192.0.2.{number}", tuple(all_values))
        for number, name in enumerate(("ns1", "ns2"), start=1)
    )
    found = Found(request.name, request.name, "example", servers)
    standing = Standing(request, found, AT)
    diagnosis = diagnose(standing, Inspection(domain, found, bogus=False), warn_days=30)
    result = Checked(
        Subject(request, options_of({"resolvers": "192.0.2.53,[2001:db8::53]:5353"}, {})),
        standing,
        diagnosis,
    )
    return dataclasses.replace(result, notices=notices(result, Known(KnownAccounts([]), None)))


SOME = [
    checked("fine.example"),
    checked("wild.example", wildcard=True, ours="; policy=wildcard"),
    checked("soon.example", ours=f"; persistUntil={AT + 12 * DAY}"),
    checked("later.example", ours=f"; persistUntil={AT + 200 * DAY}"),
    checked("past.example", ours=f"; persistUntil={AT - 40 * DAY}"),
    checked("missing.example", ours=None),
    checked("stranger.example", "ca.example; accounturi=https://ca.example/acct/666"),
    checked("hostile.example", HOSTILE, TRICKY, "v=spf1 -all"),
]


def many(count: int) -> Iterator[Checked]:
    """Yield as many domains of all kinds, hashed account URIs and ends all different."""
    for number in range(count):
        domain = f"host-{number:05}.department-{number % 17}.example.com"
        stranger = f"ca.example; accounturi=https://ca.example/acct/{number}; policy=wildcard"
        kind = number % 20
        end = f"; persistUntil={AT + (number * 37 % 500) * DAY + number}"
        if kind == 1:
            yield checked(domain, ours=None)
        elif kind == 2:
            yield checked(domain, stranger, ours=end)
        elif kind == 3:
            yield checked(domain, "v=spf1 include:_spf.example.com -all")
        elif kind == 4:
            yield checked(domain, "ca.example; accounturi={uri};", ours=end)
        elif kind < 14:
            yield checked(domain, ours=end)
        else:
            yield checked(domain, wildcard=True, ours="; policy=wildcard")


def write(path: Path, audited: list[Checked], troubles: list[str] | None = None) -> Path:
    scope = Scope(
        "audit", domains=("*.example", "<i>"), options=("--known-account=https://x.example/",)
    )
    evidence = Evidence(scope, program="certbot-dns-persist 1.2.3", host="web-1.example.com")
    page = Html(OutputFile("--html", path).write, at=AT, evidence=evidence)
    for each in audited:
        page.add(each)
    severity = worst(each.severity for each in audited)
    page.conclude(Severity.CRITICAL if troubles else severity, troubles or [])
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    need(not browser_support.missing(), str(browser_support.missing()))
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    """The page about ``SOME``, open; at the end nothing was loaded and nothing blocked."""
    browser.requests()
    browser.complaints()
    path = write(tmp_path / "report.html", SOME, ["damaged.conf: <b>cannot</b> be read"])
    browser.open(path)
    return browser


@pytest.fixture(autouse=True)
def nothing_is_loaded_and_nothing_blocked(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "browser" in request.fixturenames:
        browser = request.getfixturevalue("browser")
        asked = [url for url in browser.requests() if not url.startswith(OWN)]
        assert len(asked) == 1, asked
        assert asked[0].startswith("file://")
        assert asked[0].endswith(".html")
        assert browser.complaints() == []


def open_rows(page: Browser) -> list[str]:
    return page.texts("#records tr.detail")


def test_the_gravest_come_first_and_are_counted(page: Browser) -> None:
    assert page.texts("#verdict") == ["5 of 8 domains should be looked at, 3 of them now."]
    assert page.texts("#counts button") == ["3\nCritical", "0\nUnknown", "2\nWarning", "3\nOK"]
    assert page.texts(DOMAINS) == [
        "missing.example",
        "past.example",
        "stranger.example",
        "hostile.example",
        "soon.example",
        "fine.example",
        "later.example",
        "wild.example",
    ]
    assert page.texts("#shown") == ["All 8 domains."]
    assert "web-1.example.com" in page.texts("header")[0]
    assert "2027-01-15 08:00:00 UTC" in page.texts("header")[0]


def test_the_page_says_what_was_asked_of_whom_and_by_which_release(page: Browser) -> None:
    (facts,) = page.texts("#facts")
    assert facts.splitlines() == [
        "Program",
        "certbot-dns-persist 1.2.3",
        "Scope",
        "audit of *.example, <i> with --known-account=https://x.example/",
        "Accounts",
        f"{URL} at https://acme-v02.api.example/directory",
        "Resolvers",
        "192.0.2.53, [2001:db8::53]:5353",
    ]


def test_what_never_expires_is_not_shown_as_good(page: Browser) -> None:
    assert page.one("[data-slot=never]").get_attribute("class") == "plain"
    assert page.one("[data-slot='2027-08']").get_attribute("class") == "ok"


def test_a_column_sorts_both_ways_by_the_keyboard_and_says_so(page: Browser) -> None:
    head = page.one("[data-sort=domain]")
    page.run("document.querySelector('[data-sort=domain] button').focus()")
    page.press(Keys.ENTER)
    up = page.texts(DOMAINS)
    assert up == sorted(up)
    assert head.get_attribute("aria-sort") == "ascending"
    page.press(Keys.SPACE)
    assert page.texts(DOMAINS) == up[::-1]
    assert head.get_attribute("aria-sort") == "descending"
    assert len(page.all("[aria-sort]")) == 1

    page.one("[data-sort=end] button").click()
    assert page.texts(DOMAINS)[:3] == ["past.example", "soon.example", "later.example"]
    assert page.texts(f"{ROWS} > td:nth-child(5)")[1] == "2027-01-27\nin 12 days"
    assert "no expiry" in page.texts(f"{ROWS} > td:nth-child(5)")
    page.one("[data-sort=notices] button").click()
    assert page.texts(DOMAINS)[0] == "hostile.example"


def test_text_and_severity_filter_and_are_reset(page: Browser) -> None:
    page.one("#find").send_keys("acct/666")
    page.wait_for("#shown", "1 of 8 domains.")
    assert page.texts(DOMAINS) == ["stranger.example"]
    page.one("#reset").click()
    page.wait_for("#shown", "All 8 domains.")

    warning = page.one("#counts .warning")
    warning.click()
    assert page.texts(DOMAINS) == ["hostile.example", "soon.example"]
    assert warning.get_attribute("aria-pressed") == "true"
    page.one("#counts .critical").click()
    assert len(page.texts(DOMAINS)) == 5
    page.one("#find").send_keys("soon EXPIRING")
    page.wait_for("#shown", "1 of 8 domains.")
    page.one("#find").clear()
    page.one("#find").send_keys("nothing has this")
    page.wait_for("#shown", "0 of 8 domains.")


def test_the_timeline_names_what_has_no_expiry_and_selects_what_expires(page: Browser) -> None:
    labels = [b.get_attribute("aria-label") for b in page.all("#bars button")]
    assert labels[0] == "1 record expired"
    assert labels[1] == "1 record expiring in 2027-01"
    assert labels[-1] == "4 records without an expiry"
    assert page.texts("#next") == [
        "Next: soon.example in 12 days (2027-01-27), later.example in 200 days (2027-08-03)."
    ]
    page.one("[data-slot='2027-08']").click()
    assert page.texts(DOMAINS) == ["later.example"]
    page.one("[data-slot='2027-08']").click()
    assert len(page.texts(DOMAINS)) == len(SOME)


def test_a_row_expands_to_its_findings_values_and_servers(page: Browser) -> None:
    toggle = page.all(DOMAINS)[2]
    assert toggle.get_attribute("aria-expanded") == "false"
    toggle.click()
    assert toggle.get_attribute("aria-expanded") == "true"
    (shown,) = open_rows(page)
    for said in (
        "unknown-account",
        "whoever holds that account's key can get certificates for stranger.example",
        "_validation-persist.stranger.example",
        "ca.example; accounturi=https://ca.example/acct/666",
        SOME[6].subject.request.account_uris.published,
        "https://acme-v02.api.example/directory",
        "ns1.dns.example (192.0.2.1): ok; ns2.dns.example (192.0.2.2): ok",
    ):
        assert said.lower() in shown.lower()
    toggle.click()
    assert open_rows(page) == []

    page.one("#expand").click()
    assert len(open_rows(page)) == len(SOME)
    needed = SOME[5].expected_value
    assert needed
    assert f"What is needed\n{needed}" in open_rows(page)[0]
    page.one("#expand").click()
    assert open_rows(page) == []


def test_a_hostile_value_is_text(page: Browser) -> None:
    page.all(DOMAINS)[3].click()
    (shown,) = open_rows(page)
    assert HOSTILE in shown
    assert "]]></script><script>document.title='owned'</script><!--" in shown
    assert r"\u202e" in shown  # would turn the text around
    assert page.run("return document.title") == "dns-persist-01 on web-1.example.com"
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.run("return document.scripts.length") == 2
    assert page.texts("#errors li") == ["damaged.conf: <b>cannot</b> be read"]


def test_whatever_is_printed_shows_the_findings(page: Browser) -> None:
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert len(open_rows(page)) == 5
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert open_rows(page) == []


@pytest.mark.browser
@pytest.mark.parametrize(("dark", "color"), [(True, 230), (False, 27)])
def test_on_a_phone_reasons_are_visible_and_nothing_is_cut_off(
    tmp_path: Path, dark: bool, color: int
) -> None:
    need(not browser_support.missing(), str(browser_support.missing()))
    with Browser(tmp_path / "profile", dark=dark, width=390) as narrow:
        narrow.open(write(tmp_path / "report.html", SOME))
        script = "return [document.documentElement.scrollWidth, innerWidth]"
        assert narrow.run(script) == [390, 390]
        reasons = narrow.texts(".why")
        assert len(reasons) == 5
        assert "There is no TXT record" in reasons[0]
        assert "unknown account" in reasons[2]
        narrow.one("#expand").click()
        assert narrow.run(script) == [390, 390]
        assert not any(each.is_displayed() for each in narrow.all(".why"))
        text = narrow.run("return getComputedStyle(document.body).color")
        assert text.startswith(f"rgb({color}, ")
        assert faintest(narrow) >= 4.5


def faintest(page: Browser) -> float:
    """Return the least contrast of a text of all that the page can show, without pictures."""
    contrasts = page.contrasts()
    assert len(contrasts) > 100
    text, least = min(contrasts, key=lambda each: each[1])
    print(f"{text!r} has a contrast of {least:.2f}")
    return least


def test_every_text_is_readable_on_a_screen_and_on_paper(page: Browser) -> None:
    page.one("#expand").click()
    assert faintest(page) >= 4.5
    page.run("document.body.style.color = '#808080'")
    assert faintest(page) < 4.5
    page.run("document.body.style.color = ''")
    with page.paper():
        assert faintest(page) >= 4.5


def test_on_a_wide_screen_the_beginning_of_a_reason_stands_below_its_domain(page: Browser) -> None:
    assert len(page.texts(".why")) == 5
    assert all(each.is_displayed() for each in page.all(".why"))
    page.all(DOMAINS)[0].click()
    assert [each.is_displayed() for each in page.all(".why")] == [False, *[True] * 4]


def test_on_paper_a_long_finding_begins_right_below_and_leaves_no_page_half_empty(
    browser: Browser, tmp_path: Path
) -> None:
    long = [
        checked(f"hostile-{number}.example", HOSTILE, TRICKY, "v=spf1 -all") for number in range(6)
    ]
    browser.open(write(tmp_path / "report.html", long))
    pages = browser.printed_pages()
    browser.run("document.styleSheets[0].insertRule('.detail { break-inside: avoid !important }')")
    assert pages < browser.printed_pages()


def test_every_control_has_a_name(page: Browser) -> None:
    page.one("#expand").click()
    for element in page.all("button, input"):
        if element.is_displayed():
            assert element.accessible_name, element.get_attribute("outerHTML")


def test_a_thousand_records_fit_into_300_kilobytes_and_are_shown(
    browser: Browser, tmp_path: Path
) -> None:
    path = write(tmp_path / "many.html", list(many(1000)))
    assert path.stat().st_size < 300_000
    browser.open(path)
    assert len(browser.texts(DOMAINS)) == 1000
    browser.one("#find").send_keys("department-3.")
    browser.wait_for("#shown", "59 of 1,000 domains.")


def test_of_thousands_of_records_the_rest_is_shown_on_demand(
    browser: Browser, tmp_path: Path
) -> None:
    browser.open(write(tmp_path / "more.html", list(many(1200))))
    assert len(browser.texts(DOMAINS)) == 1000
    assert browser.texts("#more") == ["Show 200 more domains"]
    browser.one("#more").click()
    assert len(browser.texts(DOMAINS)) == 1200


def test_without_scripts_the_page_says_the_gravest_as_text(tmp_path: Path) -> None:
    text = write(tmp_path / "report.html", SOME, ["damaged.conf: <b>"]).read_text()
    start, end = text.index("<noscript>"), text.index("</noscript>")
    said = text[start:end]
    assert "3 critical, 0 unknown, 2 warning, 3 ok" in said
    assert "damaged.conf: &lt;b&gt;" in said
    assert "stranger.example" in said
    assert "fine.example" not in said
    assert "<script" not in said
    assert "<script" not in text[end : text.index('<script type="application/json"')]


def test_only_its_owner_may_read_a_new_page_and_an_old_one_stays_as_readable(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "report.html", SOME)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    write(path, SOME[:1])
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert "missing.example" not in path.read_text()
    assert sorted(tmp_path.iterdir()) == [path]


def test_audit_writes_the_page_beside_its_report(
    certbot: Certbot,
    companion: Companion,
    domain: str,
    bind: Bind,
    bind_writing: list[str],
    browser: Browser,
    tmp_path: Path,
) -> None:
    assert certbot.certonly(*bind_writing, "-d", domain).returncode == 0
    name = f"_validation-persist.{domain}"
    bind.add_txt(name, f"{ISSUER}; accounturi=https://x.example/1")
    path = tmp_path / "report.html"
    audited = companion("audit", "--all", "--html", path)
    assert audited.returncode == 2, audited.output
    assert f"{domain}\tunknown-account\t" in audited.out
    browser.open(path)
    assert browser.texts(DOMAINS) == [domain]
    browser.one("#expand").click()
    assert "unknown-account" in open_rows(browser)[0]


def test_a_page_that_cannot_be_written_is_told_before_anything_is_looked_up(
    companion: Companion, tmp_path: Path
) -> None:
    done = companion("audit", "--from-file", "/nonexistent", "--html", tmp_path / "none" / "x.html")
    assert done.returncode == 3
    assert done.error.startswith("--html ")
