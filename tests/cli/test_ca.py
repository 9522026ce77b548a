"""``certbot-dns-persist ca``: what a CA offers, without an account made or anything validated."""

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC
from support.acme2certifier import Acme2Certifier
from support.acme_ca import GOOGLE, Fault, TestCa
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, Done
from support.nameserver import Nameserver
from support.nameserver import serving as serving_dns
from support.pebble import ISSUER, Pebble
from support.raw_http import HEAD, dripping, serving, whole

from certbot_dns_persist import cli
from certbot_dns_persist.ca import http
from certbot_dns_persist.cli.offers import Offers
from certbot_dns_persist.errors import ChallengeError
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.lineages import Lineage

DOMAIN = "example.test"

Ask = Callable[..., Done]


@pytest.fixture(scope="module")
def dns() -> Iterator[Nameserver]:
    with serving_dns(DOMAIN, keys=[KEY]) as running:
        yield running


@pytest.fixture(scope="module")
def only_ca(dns: Nameserver) -> Iterator[TestCa]:
    with TestCa(dns=(dns.address, dns.port)) as running:
        yield running


@pytest.fixture(scope="module")
def registered(only_ca: TestCa, tmp_path_factory: pytest.TempPathFactory) -> Certbot:
    made = Certbot(
        tmp_path_factory.mktemp("certbot"), only_ca.directory_url, only_ca.root_certificate
    )
    made.register()
    return made


@pytest.fixture
def ca(only_ca: TestCa) -> Iterator[TestCa]:
    """A CA of draft -02, however the test before left it."""
    options = only_ca.options
    yield only_ca
    only_ca.options = options


@pytest.fixture
def ask(registered: Certbot, ca: TestCa) -> Ask:
    """Run the command for the account of ``registered``."""
    return asking(registered)


def asking(certbot: Certbot) -> Ask:
    companion = Companion(certbot)
    return lambda *arguments: companion("ca", "--server", certbot.server, *arguments)


def flat(text: str) -> str:
    return " ".join(text.split())


def told(done: Done, status: int) -> str:
    assert done.returncode == status, done.output
    return flat(done.out)


def sent(ca: TestCa, before: int) -> list[tuple[str, Any]]:
    """Return what was asked of the CA since then, without nonces."""
    return [
        (request.resource, request.payload)
        for request in ca.requests[before:]
        if request.resource != "newNonce"
    ]


COMMAND = "command certbot register --server "

ORDERED = [
    ("directory", None),
    ("directory", None),
    ("account", ""),
    ("newOrder", {"identifiers": [{"type": "dns", "value": DOMAIN}]}),
    ("authorization", ""),
]
DEACTIVATED = ("authorization", {"status": "deactivated"})


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        ("00", "-00"),
        ("01", "-01"),
        ("02", "-02"),
        ("transition", "-01 and -02"),
    ],
)
def test_an_order_shows_the_draft_and_leaves_nothing_pending(
    ca: TestCa, registered: Certbot, ask: Ask, draft: str, words: str
) -> None:
    ca.change(draft=draft, alternative_account_uri=True)
    before = len(ca.requests)
    found = json.loads(told(ask("-d", DOMAIN, "--json"), 0))
    assert sent(ca, before) == [*ORDERED, DEACTIVATED]
    assert ca.requests[-1].status == 200
    assert not ca.validations

    (account,) = ca.accounts
    plain = account.alternative_uri if draft in ("01", "transition") else account.url
    assert (found["offers"], found["source"], found["draft"]) == ("yes", "order", words)
    assert found["issuer_domain_names"] == ["ca.example"]
    assert found["account_uri"] == (None if draft == "02" else plain)
    assert (found["account_hash_prefix"] is not None) == (draft in ("02", "transition"))
    assert found["account_url"] == registered.account_url
    assert found["authorization"] == {
        "name": DOMAIN,
        "status": "pending",
        "challenges": ["dns-persist-01", "dns-01"],
    }
    text = told(ask("-d", f"*.{DOMAIN}"), 0)
    assert (
        f"offered yes, in the form of draft {words}: an order for *.{DOMAIN} has the challenge, "
        "beside dns-01 issuer ca.example record names the account as " in text
    )
    assert "We deactivated this authorization." in text


def test_a_valid_authorization_is_left_as_it_is(
    ca: TestCa, ask: Ask, dns: Nameserver, registered: Certbot
) -> None:
    ca.change(draft="01", jit=True)
    name = validation_domain_name(DOMAIN)
    dns.zones.set_values(name, [ca.record_value(DOMAIN)])
    before = len(ca.requests)
    text = told(ask("-d", DOMAIN), 0)
    dns.zones.set_values(name, [])
    assert sent(ca, before) == ORDERED
    assert "offered yes, in the form of draft -01" in text
    assert f"status {DOMAIN} is already proven: the CA validates just in time" in text


def test_what_a_valid_authorization_does_not_show_is_unknown(
    ca: TestCa, ask: Ask, registered: Certbot, dns: Nameserver
) -> None:
    ca.change(draft="00", challenges=("dns-persist-01",), authorization_reuse=True)
    name, reused = validation_domain_name(f"r.{DOMAIN}"), f"r.{DOMAIN}"
    dns.zones.set_values(name, [ca.record_value(reused)])
    reading = [f"--dns-persist-resolvers={dns.endpoint}", "--dns-persist-check=resolver"]
    done = registered.certonly(*reading, "-d", reused)
    assert done.returncode == 0, done.output
    assert "an earlier order of this account had the challenge" in told(ask(), 0)
    assert json.loads(told(ask("-d", reused, "--json"), 0))["source"] == "order"


def test_a_ca_that_does_not_offer_it_is_told_with_one_that_does(ca: TestCa, ask: Ask) -> None:
    ca.change(draft="01", challenges=("dns-01", "http-01"))
    text = told(ask("-d", f"no.{DOMAIN}"), 1)
    assert f"offered no: an order for no.{DOMAIN} offers only dns-01 and http-01" in text
    assert "--dns-persist-fallback dns-01" in text
    assert "Google Trust Services offered it as of 20" in text


@pytest.mark.parametrize("fault", [Fault.ELEVEN_ISSUERS, Fault.NO_ACCOUNT_HASH_PREFIX])
def test_a_challenge_that_cannot_be_used_is_a_fault(ca: TestCa, ask: Ask, fault: Fault) -> None:
    ca.change(draft="02", faults=[fault])
    text = told(ask("-d", DOMAIN), 1)
    assert "offered yes, in the form of draft -02" in text
    assert f"fault The CA's dns-persist-01 challenge for {DOMAIN}" in text


@pytest.mark.parametrize("name", [[], ["-d", DOMAIN]])
def test_without_an_account_only_the_directory_is_read(
    ca: TestCa, tmp_path: Path, name: list[str]
) -> None:
    ask = asking(Certbot(tmp_path, ca.directory_url, ca.root_certificate))
    before = len(ca.requests)
    text = told(ask(*name), 0)
    assert sent(ca, before) == [("directory", None)]
    assert "offered yes, in the form of draft -02: the directory says so" in text
    assert "issuer probably ca.example" in text
    assert "account none here, so we only read the directory" in text

    ca.change(draft="01")
    text = told(ask(*name), 3)
    assert "offered unknown: the directory does not say" in text
    assert (
        f"Make an account, then give a name of yours with -d: {COMMAND}{ca.directory_url}" in text
    )
    assert not (tmp_path / "etc").exists()


def test_a_ca_that_wants_accounts_to_be_bound_is_told(ca: TestCa, tmp_path: Path) -> None:
    ca.change(**GOOGLE)
    certbot = Certbot(tmp_path, ca.directory_url, ca.root_certificate)
    text = told(asking(certbot)(), 3)
    assert "EAB A new account needs an external account binding" in text
    assert text.count(f"{COMMAND}{ca.directory_url} --eab-kid ID --eab-hmac-key KEY") == 1
    ((kid, key),) = GOOGLE["external_accounts"].items()
    certbot.register("--eab-kid", kid, "--eab-hmac-key", key)
    found = json.loads(told(asking(certbot)("-d", DOMAIN, "--json"), 0))
    assert (found["draft"], found["directory"]["external_account_required"]) == ("-00", True)
    assert found["authorization"]["challenges"] == list(GOOGLE["challenges"])


def test_an_order_that_the_ca_refuses_is_told(ca: TestCa, ask: Ask) -> None:
    ca.change(challenges=("http-01",))
    done = ask("-d", f"*.{DOMAIN}")
    assert (done.returncode, done.out) == (3, "")
    assert flat(done.error) == (
        f"The CA at {ca.directory_url} refuses an order for *.{DOMAIN}: nothing offered here can "
        f"prove *.{DOMAIN}. Give a name that this account may get certificates for."
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("1.2.3.4 is an IP address", "1.2.3.4"),
        ("'a b' is not a domain name", "a b"),
    ],
)
def test_a_name_that_is_none_is_wrong_usage(ask: Ask, words: str, name: str) -> None:
    done = ask("-d", name)
    assert done.returncode == 3
    assert done.error.startswith(words)


def test_two_names_are_one_too_many(ask: Ask) -> None:
    done = ask("-d", "a.test", "-d", "b.test")
    assert (done.returncode, done.error) == (
        3,
        "Give one name with -d: one order shows what the CA offers.\n",
    )


def test_each_trouble_with_an_account_is_one_sentence(
    pebble: Pebble, certbot: Certbot, tmp_path: Path
) -> None:
    url = certbot.register()
    ask = asking(certbot)
    (regr,) = certbot.config_dir.glob("accounts/**/regr.json")
    key = regr.with_name("private_key.json")
    files = {path: path.read_text() for path in (regr, key)}
    key.chmod(0o600)

    def trouble() -> str:
        done = ask("-d", DOMAIN)
        assert (done.returncode, done.out) == (3, "")
        first, _, advice = flat(done.error).partition(". ")
        assert advice.endswith(f"make one with: certbot register --server {pebble.directory_url}")
        return first

    regr.write_text(json.dumps({**json.loads(files[regr]), "uri": f"{url}0"}))
    assert trouble().startswith(
        f"The CA at {pebble.directory_url} does not know the account {url}0: "
    )
    regr.write_text(files[regr])
    other = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    key.write_text(other.json_dumps())
    assert trouble().startswith(
        f"The CA at {pebble.directory_url} does not accept the account {url} with the key that "
        "Certbot has for it: "
    )
    key.write_text(files[key])
    assert certbot.run("unregister").returncode == 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert trouble().startswith(
        f"The CA at {pebble.directory_url} does not accept the account {url}, which may have been "
        "deactivated: "
    )


def test_pebble(pebble: Pebble, certbot: Certbot) -> None:
    certbot.register()
    found = json.loads(told(asking(certbot)("-d", DOMAIN, "--json"), 0))
    assert (found["offers"], found["draft"], found["fault"]) == ("yes", "-01", None)
    assert found["issuer_domain_names"] == [ISSUER]
    assert found["account_uri"] == certbot.account_url
    assert "We deactivated this authorization." in told(asking(certbot)("-d", DOMAIN), 0)


@pytest.mark.long  # installs that CA into an environment of its own
@pytest.mark.parametrize("jit", [False, True], ids=["asked", "jit"])
def test_acme2certifier_which_keeps_what_is_deactivated(
    tmp_path: Path, bind: Bind, domain: str, jit: bool
) -> None:
    with Acme2Certifier(bind.resolver.address, jit=jit) as ca:
        certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)
        done = certbot.run("register", "--agree-tos", "--email", "somebody@example.test")
        assert done.returncode == 0, done.output
        if jit:
            value = f"ca.example; accounturi={certbot.account_url}"
            bind.add_txt(validation_domain_name(domain), value)
        asked = asking(certbot)("-d", domain)
        if jit:  # its valid authorizations show no challenge
            text = told(asked, 3)
            assert f"{domain} is already proven" in text
            assert "give a name that is not proven yet" in text
        else:
            assert "offered yes, in the form of draft -01" in told(asked, 0)
            assert "We deactivated" not in asked.out
            assert "which we made, until it expires: it is pending after we" in flat(asked.error)


def in_process(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """Ask the CA at ``url``, which is none; return what is said of it."""
    places = [f"--config-dir={tmp_path}", f"--logs-dir={tmp_path}"]
    assert cli.main(["ca", "--server", url, *places, *arguments]) == 3
    out, error = capsys.readouterr()
    assert out == ""
    return flat(error)


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            lambda client: client.sendall(NOT_FOUND), "cannot be read: 404 Client Error", id="404"
        ),
        pytest.param(
            whole(b"<!doctype html><title>Welcome</title>"),
            "cannot be read: it is not JSON",
            id="html",
        ),
        pytest.param(
            whole(b" " * (http.MOST_OCTETS + 1)),
            f"more than the {http.MOST_OCTETS} octets",
            id="huge",
        ),
        pytest.param(
            dripping(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
            "there was no complete answer within 0.5 seconds",
            id="slow",
        ),
        pytest.param(
            whole(b'{"newOrder": 7, "newNonce": "https://ca.example/nonce"}'),
            "is not an ACME directory: it has no newAccount, newOrder.",
            id="other",
        ),
        pytest.param(whole(b"[]"), "it has no newNonce, newAccount, newOrder.", id="list"),
    ],
)
def test_a_directory_that_is_none_is_told(
    answer: Any,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.5)
    with serving(answer) as url:
        assert words in in_process(url, tmp_path, capsys)


def test_if_a_known_ca_cannot_be_reached_what_was_known_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # so that nobody is asked
    shown = in_process("https://dv.acme-v02.api.pki.goog/directory", tmp_path, capsys)
    assert shown.endswith(
        "/directory) offered dns-persist-01 in the form of draft -00 as of 2026-11."
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_offered_in_a_form_that_cannot_be_used_moves_no_certificate(
    registered: Certbot,
    ca: TestCa,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    dry_run: bool,
) -> None:
    ca.change(faults={Fault.DIRECTORY_NAME_NOT_IN_CHALLENGE})
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", registered.env["REQUESTS_CA_BUNDLE"])
    # The same account, where nothing is noted of what its CA has offered to other tests.
    shutil.copytree(registered.config_dir / "accounts", tmp_path / "accounts")
    config_dir = str(tmp_path)
    args = argparse.Namespace(
        config_dir=config_dir, logs_dir=config_dir, config=[], no_verify_ssl=False, dry_run=dry_run
    )
    lineage = Lineage("one", Path(), "dns-ovh", (DOMAIN,), registered.server, "", {})
    offers = Offers(args)
    asked = [request.resource for request in ca.requests].count("newOrder")
    for _ in range(2):  # the CA is asked once
        with pytest.raises(ChallengeError, match=r"challenge for \S+ is malformed"):
            offers.of(lineage)
    assert [request.resource for request in ca.requests].count("newOrder") == asked + 1
