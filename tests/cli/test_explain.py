"""``certbot-dns-persist explain``: what values mean, in any form in which people paste them."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.companion import PROGRAM, Done, run

URI = "https://acme-v02.api.letsencrypt.org/acme/acct/1"
VALUE = f"letsencrypt.org; accounturi={URI}"
MINE = ["--issuer=letsencrypt.org", f"--account-uri={URI}"]
AT = "--at=2027-01-01T00:00:00Z"
Explain = Callable[..., Done]

BEFORE, AFTER = 1767225600, 1830000000


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Run the command; needs neither network nor files."""

    def explain(*arguments: str, stdin: str = "") -> Done:
        return run(
            [PROGRAM, "explain", *arguments],
            stdin=stdin,
            env={"COLUMNS": "80"},
            keep=tmp_path / "output.log",
        )

    return explain


def flat(done: Done) -> str:
    return " ".join(done.out.split())


def test_a_value_is_told_in_plain_words(explain: Explain) -> None:
    done = explain(AT, f"{VALUE}; policy=wildcard; persistUntil={AFTER}; flavour=sweet")
    assert done.returncode == 0, done.output
    assert done.out == (
        f"{VALUE}; policy=wildcard; persistUntil={AFTER}; flavour=sweet\n"
        "  CA       letsencrypt.org\n"
        f"  account  {URI}\n"
        "  covers   the name, its wildcard and, where the CA allows it, every name below\n"
        "  until    2027-12-28T13:20:00Z (in 361 days)\n"
        "  ignored  flavour=sweet (unknown to CAs)\n"
        "  verdict  Well-formed. letsencrypt.org accepts it for that account.\n"
    )


@pytest.mark.parametrize(
    "pasted",
    [
        f'"{VALUE}"',
        f"'{VALUE}'",
        f"\u201c{VALUE}\u201d",
        f'"{VALUE[:20]}" "{VALUE[20:]}"',
        VALUE.replace(";", r"\;"),
        f'_validation-persist.example.com. 300 IN TXT "{VALUE}"',
        f'_validation-persist IN 300 TXT "{VALUE[:9]}" "{VALUE[9:]}" ; a comment',
        f'IN TXT ( "{VALUE[:9]}" "{VALUE[9:]}" )',
        f'_validation-persist.example.com descriptive text "{VALUE}"',
        f'_validation-persist.example.com\ttext = "{VALUE}"',
    ],
)
def test_a_value_is_read_as_it_was_pasted(explain: Explain, pasted: str) -> None:
    done = explain(*MINE, AT, pasted)
    assert done.returncode == 0, done.output
    assert done.out.splitlines()[0] == VALUE


def test_what_a_zone_file_loses_is_told(explain: Explain) -> None:
    done = explain(f"_validation-persist.example.com. 300 IN TXT {VALUE}")
    assert done.returncode == 1
    assert "Put the value in quotes." in flat(done)


@pytest.mark.parametrize(
    ("arguments", "value", "words"),
    [
        ([], VALUE + ";", "Malformed, so no CA accepts it: it has an empty parameter"),
        ([], "letsencrypt.org", "the mandatory accounturi is missing"),
        ([], "", "(an empty value)"),
        ([], f"{VALUE}; persistUntil=soon", "'soon' is not a decimal number of UNIX seconds"),
        (MINE, VALUE.replace("/1", "/2"), "it names another account"),
        (MINE, VALUE.replace("letsencrypt", "other"), "it is for another CA, other.org"),
        (["--wildcard"], VALUE, "it lacks policy=wildcard"),
        ([*MINE, AT], f"{VALUE}; persistUntil={BEFORE}", "it expired"),
        (["--issuer=ca.example"], VALUE, "it is for another CA"),
    ],
)
def test_what_no_ca_or_not_this_one_accepts_is_told_with_why(
    explain: Explain, arguments: list[str], value: str, words: str
) -> None:
    done = explain(*arguments, value)
    assert done.returncode == 1, done.output
    assert words in flat(done)


@pytest.mark.parametrize("arguments", [[], MINE])
@pytest.mark.parametrize(
    ("value", "looks"),
    [
        ("v=spf1 -all", "looks like an SPF policy"),
        ('example.com. 300 IN TXT "v=spf1 exp=why.example.com -all"', "looks like an SPF policy"),
        ("v=DMARC1; p=none", "looks like a DMARC policy"),
        ("v=DKIM1; k=rsa; p=MIGf", "looks like a DKIM key"),
        ("google-site-verification=abc123", "looks like a proof to another service"),
        ("MS=ms12345678", "looks like a proof to another service"),
        ("hello; world", "does not begin with the name of a CA"),
    ],
)
def test_what_was_never_meant_as_a_record_is_told_with_what_one_looks_like(
    explain: Explain, arguments: list[str], value: str, looks: str
) -> None:
    done = explain(*arguments, value)
    assert done.returncode == 1, done.output
    assert f"Not a dns-persist-01 value, so no CA accepts it: it {looks}" in flat(done)
    assert "needed <issuer-domain-name>; accounturi=<account-uri>" in flat(done)
    assert "missing" not in done.out


def test_of_a_name_alone_it_is_told_what_has_to_follow(explain: Explain) -> None:
    done = explain("letsencrypt.org")
    assert "Malformed, so no CA accepts it: the mandatory accounturi is missing." in flat(done)
    assert "needed letsencrypt.org; accounturi=<account-uri>" in flat(done)


def test_a_missing_semicolon_is_told(explain: Explain) -> None:
    assert "It has no semicolon" in flat(explain(VALUE.replace(";", "")))
    assert "semicolon" not in explain(VALUE).out


def test_without_a_question_an_expired_value_is_well_formed(explain: Explain) -> None:
    done = explain(AT, f"{VALUE}; persistUntil={BEFORE}")
    assert done.returncode == 0
    assert "Well-formed, but it expired" in flat(done)
    assert "(365 days ago)" in flat(done)


def test_one_that_authorises_is_enough_for_a_question_but_all_have_to_be_well_formed(
    explain: Explain,
) -> None:
    values = [VALUE, "other.example; accounturi="]
    assert explain(*MINE, *values).returncode == 0
    assert explain(*values).returncode == 1


def test_values_are_read_from_what_dig_prints(explain: Explain) -> None:
    stdin = (
        "; <<>> DiG 9 <<>> TXT _validation-persist.example.com\n\n;; ANSWER SECTION:\n"
        f'_validation-persist.example.com. 300 IN TXT "other.example; accounturi=https://o/1"\n'
        f'_validation-persist.example.com. 300 IN TXT "{VALUE}"\n'
    )
    done = explain(*MINE, stdin=stdin)
    assert done.returncode == 0, done.output
    assert "it is for another CA, other.example" in flat(done)
    assert "Authorises. letsencrypt.org accepts it" in flat(done)


def test_an_unknown_policy_and_milliseconds_are_noticed(explain: Explain) -> None:
    done = explain(f"{VALUE}; policy=exact; persistUntil={AFTER}000")
    assert done.returncode == 0
    assert "policy=exact (only wildcard means anything)" in flat(done)
    assert "looks like milliseconds" in flat(done)


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        (
            f'_acme-persist.example.com. 300 IN TXT "v=acme-persist-01; ca=letsencrypt.org; '
            f'account={URI}; exp=2027-01-01T00:00:00Z"',
            [f"needed {VALUE}; persistUntil=1798761600", "at _validation-persist.example.com."],
        ),
        (
            '_persist-challenge.example.com. 300 IN TXT "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"',
            ["a one-time token", "needed <issuer-domain-name>; accounturi=<account-uri>"],
        ),
        (
            "v=acme-persist-01; ca=letsencrypt.org; account=12345",
            ["given as '12345'", "certbot show_account"],
        ),
    ],
)
def test_a_record_from_before_the_standard_comes_with_the_one_that_is_needed(
    explain: Explain, pasted: str, words: list[str]
) -> None:
    done = explain(pasted)
    assert done.returncode == 1, done.output
    for word in words:
        assert word in flat(done)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_validation-persist.*.example.com", "the record at _validation-persist.example.com"),
        ("_acme-challenge.example.com", "is for dns-01"),
        ("example.com", "is only right if that is an alias"),
    ],
)
def test_a_value_at_a_name_at_which_no_ca_looks_is_told(
    explain: Explain, name: str, words: str
) -> None:
    assert words in flat(explain(f'{name}. 300 IN TXT "{VALUE}"'))


def test_what_others_have_published_does_nothing_to_the_terminal(explain: Explain) -> None:
    done = explain(f"{VALUE}\x1b[31m; \x07")
    assert "\x1b" not in done.out
    assert "\x07" not in done.out


def test_at_a_terminal_it_is_said_what_is_awaited(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    os.write(ours, f"{VALUE}\n\x04".encode())
    done = subprocess.run(
        [PROGRAM, "explain"], stdin=theirs, capture_output=True, text=True, check=False, timeout=60
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert "one per line. Ctrl-D ends." in done.stderr


@pytest.mark.parametrize("arguments", [["--at=soon", VALUE], [], ["--issuer=not a name", VALUE]])
def test_what_cannot_be_explained_fails_with_3(explain: Explain, arguments: list[str]) -> None:
    done = explain(*arguments)
    assert done.returncode == 3
    assert done.out == ""
    assert "Traceback" not in done.error
