"""``--answers``: what zdns and massdns print, judged as the command's own look-ups are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import bind as bind_support
from support.bind import Bind
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.companion import Companion, Done
from support.foreign import add_lineage
from support.need import need

FILES = ROOT / "tests" / "answers"
ZDNS, MASSDNS = FILES / "zdns.ndjson", FILES / "massdns.ndjson"
ZONE = "answers.test"
RECORDS = (FILES / f"{ZONE}.zone").read_text(encoding="utf-8")
WHO = ("--issuer", "ca.test", "--account-uri", "https://ca.test/acct/1")
LABELS = dict.fromkeys(re.findall(r"^_validation-persist\.(\S+)", RECORDS, re.MULTILINE))
NOWHERE = "refused.elsewhere.invalid"
DOMAINS = [*(f"{label}.{ZONE}" for label in [*LABELS, "absent"]), NOWHERE]


@pytest.fixture
def alone(tmp_path: Path) -> Companion:
    """The command where there has never been a Certbot."""
    return Companion(Certbot(tmp_path / "nothing", "https://ca.test/directory"))


@pytest.fixture
def asked(tmp_path: Path) -> tuple[str, ...]:
    """For whom is asked, and for what."""
    path = tmp_path / "domains"
    path.write_text("".join(f"{domain}\n" for domain in [*DOMAINS, f"*.wild.{ZONE}"]))
    return (*WHO, "--from-file", str(path))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """BIND with the zone that the files were collected from."""
    need(not bind_support.missing(), str(bind_support.missing()))
    with Bind(tmp_path_factory.mktemp("bind"), {ZONE: RECORDS}) as running:
        yield running


def judged(done: Done) -> dict[str, Any]:
    """Return by domain what the answers alone decide."""
    return {
        record["domain"]: (record["status"], record["persist_until"], record["found"])
        for record in done.report["records"]
    }


def test_collected_answers_are_judged_as_direct_ones(
    alone: Companion, asked: tuple[str, ...], served: Bind
) -> None:
    resolver = f"--dns-persist-resolvers={served.resolver.address}"
    direct = judged(alone("check", *asked, resolver, "--no-caa", "--json"))
    assert direct.pop(NOWHERE)[0] == "unreachable"
    assert {status for status, _, _ in direct.values()} >= {"ok", "expired", "missing", "mismatch"}
    for file in (ZDNS, MASSDNS):
        collected = judged(alone("check", *asked, "--answers", file, "--json"))
        assert collected.pop(NOWHERE)[0] == "missing"  # which zones there are, they do not tell
        assert collected == direct


def test_expiring_records_are_found_in_answers_too(alone: Companion) -> None:
    done = alone(
        "check", *WHO, "-d", f"ending.{ZONE}", "--warn-days=99999", f"--answers={ZDNS}", "--json"
    )
    (record,) = done.report["records"]
    assert (record["status"], done.returncode) == ("expiring", 1)


def test_what_such_answers_do_not_tell_is_said_once(
    alone: Companion, asked: tuple[str, ...]
) -> None:
    done = alone("check", *asked, "--answers", MASSDNS)
    assert done.error.count("They do not tell") == 1
    for word in ("each authoritative server", "CAA", "DNSSEC", "wildcards"):
        assert word in done.error
    told = alone("check", *asked, "--answers", MASSDNS, "--json").report["untold"]
    assert told == ["authoritative-servers", "caa", "dnssec", "wildcards", "zones"]


def test_bad_lines_are_named_with_their_file_and_a_silent_name_is_not_answered(
    alone: Companion, tmp_path: Path
) -> None:
    file = tmp_path / "some.json"
    file.write_bytes(b"\x1b[31m{\n\n" + ZDNS.read_bytes() + b"[" * 100_000)
    done = alone("check", *WHO, "-d", f"ok.{ZONE},silent.test", "--answers", f"here={file}")
    assert done.returncode == 3
    assert "here: 2 lines are not readable: line 1: it is not JSON" in done.error
    assert r"\x1b[31m{" in done.error
    assert "Traceback" not in done.output
    assert "silent.test\tunreachable\t" in done.out
    assert "not answered: here has no line" in done.out


def test_places_and_standard_input_are_judged_together(
    alone: Companion, asked: tuple[str, ...]
) -> None:
    alike = alone(
        *("check", *asked, "--json", "--answers", f"paris={ZDNS}", "--answers", "-"),
        stdin=MASSDNS.read_text("utf-8"),
    )
    assert judged(alike) == judged(alone("check", *asked, "--json", f"--answers={ZDNS}"))
    names = {n["name"] for record in alike.report["records"] for n in record["nameservers"]}
    assert names == {"paris", "standard input"}


def test_audit_says_whose_the_records_in_the_answers_are(
    alone: Companion, asked: tuple[str, ...]
) -> None:
    for file in (ZDNS, MASSDNS):
        done = alone("audit", *asked, "--json", "--answers", file)
        assert done.returncode == 2
        kinds = {
            record["domain"].partition(".")[0]: {notice["kind"] for notice in record["notices"]}
            for record in done.report["records"]
        }
        assert kinds["other-account"] == {"unknown-account"}
        assert kinds["two"] == {"other-ca"}
        assert kinds["malformed"] == {"malformed"}
        assert kinds["absent"] == set()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--answers", "a=x", "--answers", "a=y"], "a is given twice"),
        (["--answers", "/nowhere/at/all"], "No such file"),
        (["--answers", "-", "--answers", "b=-"], "can be read only once"),
    ],
)
def test_answers_that_cannot_be_used_are_wrong_usage(
    alone: Companion, arguments: list[str], why: str
) -> None:
    done = alone("check", *WHO, "-d", "a.test", *arguments)
    assert done.returncode == 3
    assert why in done.error


def test_names_are_printed_to_feed_a_collector(alone: Companion, asked: tuple[str, ...]) -> None:
    done = alone("names", *asked[-2:])
    assert done.out.splitlines() == [f"_validation-persist.{domain}" for domain in DOMAINS]
    assert (done.error, done.returncode) == ("", 0)
    assert alone("names", "-d", "*.a.test,a.test").out == "_validation-persist.a.test\n"


def test_names_of_all_certificates_need_no_ca(alone: Companion, tmp_path: Path) -> None:
    certbot = Certbot(tmp_path / "certbot", "https://127.0.0.1:1/directory")
    (certbot.config_dir / "accounts" / "127.0.0.1:1" / "directory" / "id").mkdir(parents=True)
    for name, domains in {"one": ["a.test", "*.a.test"], "two": ["b.test", "a.test"]}.items():
        add_lineage(certbot, name, domains, {"authenticator": "dns-persist"})
    done = Companion(certbot)("names", "--all")
    assert done.out == "_validation-persist.a.test\n_validation-persist.b.test\n", done.output
    unknown = Companion(certbot)("names", "--cert-name", "three")
    assert unknown.returncode == 1
    assert "three" in unknown.error
