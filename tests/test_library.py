"""The judgement for other programs: what they import, and that it is the command's."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.companion import Companion
from support.nameserver import Nameserver

import certbot_dns_persist
from certbot_dns_persist import Result, check
from certbot_dns_persist.errors import ConfigurationError

ZDNS = ROOT / "tests" / "answers" / "zdns.ndjson"
ISSUERS, URI = ["ca.test"], "https://ca.test/acct/1"
DOMAINS = [f"{label}.answers.test" for label in ("ok", "two", "expired", "absent", "other-ca")]


def row(result: Result) -> tuple[object, ...]:
    found = sorted((each.value, each.verdict, each.reason) for each in result.values)
    return (result.domain, result.wildcard, result.status, result.reason, found)


def test_importing_the_package_loads_none_of_it() -> None:
    program = """
import sys, certbot_dns_persist
loaded = [name for name in sys.modules if name.startswith(("certbot_dns_persist.", "dns", "rich"))]
assert not loaded, loaded
from certbot_dns_persist import judge, check, Result
assert "dns" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("before", ["", "import certbot_dns_persist.judge.standing"])
def test_judge_can_be_called_whatever_was_imported_before(before: str) -> None:
    program = f"""
{before}
from certbot_dns_persist import judge
(one,) = judge([], ["a.test"], issuer_domain_names={ISSUERS}, account_uri="{URI}")
assert one.status == "unreachable"
import certbot_dns_persist
assert callable(certbot_dns_persist.judge)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_it_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_that"):
        certbot_dns_persist.nothing_like_that  # noqa: B018


def test_it_judges_answers_as_the_command_does(tmp_path: Path) -> None:
    companion = Companion(Certbot(tmp_path / "nothing", "https://ca.test/directory"))
    done = companion(
        *("check", "--issuer", "ca.test", "--account-uri", URI, "--json"),
        *("-d", ",".join(DOMAINS), "--answers", f"answers={ZDNS}"),
    )
    command = {
        record["domain"]: (
            *(record[key] for key in ("domain", "wildcard", "status", "reason")),
            [(found["value"], found["verdict"], found["reason"]) for found in record["found"]],
        )
        for record in done.report["records"]
    }
    with ZDNS.open("rb") as answers:
        results = certbot_dns_persist.judge(
            answers, DOMAINS, issuer_domain_names=ISSUERS, account_uri=URI
        )
        assert {result.domain: row(result) for result in results} == command


def test_bad_lines_are_raised_or_told() -> None:
    told: list[str] = []
    who = {"issuer_domain_names": ISSUERS, "account_uri": URI}
    with pytest.raises(ConfigurationError, match="answers: 1 line is not readable"):
        list(certbot_dns_persist.judge([b"{"], **who))  # type: ignore[arg-type]
    assert not list(certbot_dns_persist.judge([b"{"], fault=told.append, **who))  # type: ignore[arg-type]
    assert len(told) == 1


def test_it_looks_names_up(nameserver: Nameserver) -> None:
    nameserver.zones.set_values(
        "_validation-persist.example.test", [f"ca.test; accounturi={URI}; policy=wildcard"]
    )
    results = check(
        ["*.example.test", "example.test", "www.example.test"],
        issuer_domain_names=ISSUERS,
        account_uri=URI,
        resolvers=[(nameserver.address, nameserver.port)],
        authoritative=False,
        caa=False,
    )
    assert [(each.domain, each.wildcard, str(each.status)) for each in results] == [
        ("example.test", True, "ok"),
        ("www.example.test", False, "missing"),
    ]
