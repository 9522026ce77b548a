"""Several accounts and CAs in one run: from the command line, lines of a list, or a file."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from certbot_dns_persist.account import hashed_account_uri
from certbot_dns_persist.cli import main
from certbot_dns_persist.inventory.holding import (
    ANOTHER,
    FleetAccount,
    HeldAccount,
    Holding,
    Host,
)
from certbot_dns_persist.render import inventoried
from certbot_dns_persist.request.declared import declared_in

ONE, TWO, THREE = (f"https://ca.example/acct/{number}" for number in (1, 2, 3))
ELSEWHERE = "https://two.example/acct/9"
KEY = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
OTHER_KEY = "4TLpAkYpEqSGBWPQZJkbRBA4NfGoHZ-VvBmYh1MmPXo"
PREFIX = "https://hash.example/"

Run = Callable[..., tuple[int, str, str]]
Values = Callable[..., list[tuple[str, str]]]
Listed = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command where there has never been a Certbot; return status, output and errors."""

    def run(command: str, *arguments: str | Path) -> tuple[int, str, str]:
        places = [f"--{name}-dir={tmp_path / name}" for name in ("config", "logs")]
        try:
            status = main([command, *map(str, arguments), *places])
        except SystemExit as ended:
            status = int(ended.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def values(run: Run) -> Values:
    """Return the domains and values that ``record`` prints."""

    def values(*arguments: str | Path) -> list[tuple[str, str]]:
        status, out, error = run("record", "--offline", "--format=zone", *arguments)
        assert status == 0, error
        return re.findall(r'^_validation-persist\.(\S+)\. .* "(.*)"$', out, re.MULTILINE)

    return values


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    def listed(*lines: str) -> str:
        path = tmp_path / "domains.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return f"--from-file={path}"

    return listed


def ca(issuer: str, *uris: str) -> list[str]:
    return [f"--issuer={issuer}", *(f"--account-uri={uri}" for uri in uris)]


def value(uri: str, issuer: str = "ca.example", more: str = "") -> str:
    return f"{issuer}; accounturi={uri}{more}"


def test_each_domain_needs_a_record_for_each_account_at_its_ca(values: Values) -> None:
    assert values("-d", "a.test", *ca("ca.example", ONE, TWO), *ca("two.example", ELSEWHERE)) == [
        ("a.test", value(ONE)),
        ("a.test", value(TWO)),
        ("a.test", value(ELSEWHERE, "two.example")),
    ]
    # The same in another order, as one CA may have several names.
    several = ["--account-uri", ONE, *ca("z.example"), *ca("ca.example", TWO)]
    assert values("-d", "a.test", *several) == [("a.test", value(ONE)), ("a.test", value(TWO))]
    hashing = ["--issuer=hash.example", f"--hash-prefix={PREFIX}"]
    for url, key in ((ONE, KEY), (TWO, OTHER_KEY)):
        hashing += [f"--account-url={url}", f"--thumbprint={key}"]
    assert {*values("-d", "a.test", *hashing, *ca("ca.example", THREE))} == {
        ("a.test", value(hashed(KEY, ONE), "hash.example")),
        ("a.test", value(hashed(OTHER_KEY, TWO), "hash.example")),
        ("a.test", value(THREE)),
    }


def hashed(key: str, url: str, domain: str = "a.test") -> str:
    return hashed_account_uri(PREFIX, domain=domain, thumbprint=key, account_url=url)


def test_a_line_of_a_list_names_its_account_or_chooses_one(values: Values, listed: Listed) -> None:
    file = listed(
        "a.test",
        f"b.test\tissuer=two.example account-uri={ELSEWHERE}#1  # a comment",
        "*.b.test issuer=ca.example",
        "b.test",
        f"c.test account-uri={THREE}#comment?",
        f"d.test account-uri={TWO} #",
        f"e.test issuer=hash.example account-url={ONE} thumbprint={KEY} hash-prefix={PREFIX}",
    )
    assert values(file, *ca("ca.example", ONE, TWO)) == [
        ("a.test", value(ONE)),
        ("a.test", value(TWO)),
        ("b.test", value(ONE, more="; policy=wildcard")),
        ("b.test", value(TWO, more="; policy=wildcard")),
        ("b.test", value(f"{ELSEWHERE}#1", "two.example")),
        ("c.test", value(f"{THREE}#comment?")),
        ("d.test", value(TWO)),
        ("e.test", value(hashed(KEY, ONE, "e.test"), "hash.example")),
    ]


def test_however_lines_name_an_account_it_is_one(run: Run, listed: Listed, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("")
    file = listed(
        "a.test",
        f"*.a.test account-uri={ONE}",
        f"b.test account-uri={TWO} issuer=two.example",
        f"*.b.test issuer=two.example account-uri={TWO}",
    )
    _, out, _ = run("check", file, *ca("ca.example", ONE), f"--answers={tmp_path}/none.json")
    assert [line.split("\t")[0] for line in out.splitlines()] == [
        "a.test,*.a.test",
        "b.test,*.b.test",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("b.test isuer=ca.example", "'isuer=ca.example' cannot follow a domain"),
        ("b.test c.test", "'b.test c.test' is not a domain name"),
        ("b.test issuer=", "'issuer=' cannot follow a domain"),
        ("b.test issuer=two.example", "give issuer= with account-uri="),
        ("b.test account-uri=acct", "account-uri 'acct' is not a URI"),
        ("b.test account-uri=https://x/;y", "account-uri 'https://x/;y' cannot be part"),
        ("b.test issuer=a..b", "issuer 'a..b' cannot be used"),
        (f"b.test account-url={ONE} thumbprint=x hash-prefix={PREFIX}", "thumbprint 'x' is not"),
        (f"bücher..test account-uri={ONE}", "not a domain name"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_file_and_number(
    run: Run, listed: Listed, tmp_path: Path, line: str, told: str
) -> None:
    file = listed("# ours", "a.test", line)
    status, out, error = run("record", "--offline", "--format=zone", file, *ca("ca.example", ONE))
    assert (status, out.count(" TXT ")) == (1, 1)
    assert f"{tmp_path}/domains.txt, line 3: " in error
    assert told in error


def test_lines_without_an_account_need_one_from_the_command_line(run: Run, listed: Listed) -> None:
    file = listed(f"a.test issuer=ca.example account-uri={ONE}", "b.test", "c.test")
    status, out, error = run("record", "--offline", "--format=zone", file)
    assert (status, out.count(" TXT ")) == (1, 1)
    assert "domains.txt, line 2 and 1 more: other lines name a CA and an account" in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--account-uri", ONE, *ca("ca.example", TWO), "--issuer=b.example"],
            "--issuer b.example",
        ),
        ([*ca("ca.example", ONE, TWO), f"--account-url={ONE}"], "its own --account-url"),
        ([*ca("ca.example", ONE), *ca("b.example", TWO), "--server=https://x/"], "--server is"),
        ([f"--known-accounts={__file__}"], "is not an account URI"),
        (["--issuer=ca.example", "--known-accounts=/nowhere"], "/nowhere cannot be read"),
        (["--issuer=ca.example"], "give --issuer with --account-uri"),
        (["--issuer=a.example", *["--hash-prefix=https://x/", "--hash-prefix=https://y/"]], "only"),
    ],
)
def test_accounts_that_belong_to_no_ca_are_refused(
    run: Run, arguments: list[str], told: str
) -> None:
    status, out, error = run("check", "-d", "a.test", *arguments)
    assert (status, out) == (3, "")
    assert told in error
    assert "Traceback" not in error


def test_commands_that_need_certbots_files_refuse_an_account_in_a_list(
    run: Run, listed: Listed
) -> None:
    file = listed(f"a.test issuer=ca.example account-uri={ONE}")
    status, _, error = run("rotate", file, "--yes")
    assert status == 1
    assert "domains.txt, line 1: rotate takes the CA and the account from Certbot's files" in error
    assert run("names", file) == (0, "_validation-persist.a.test\n", "")


HELD = HeldAccount(ONE, "https://ca.example/dir", (KEY,), (), ("ca.example",), None, former=False)
HASHING = HeldAccount(
    TWO, "https://hash.example/dir", (OTHER_KEY, KEY), (), ("hash.example",), PREFIX, former=False
)
LEFT = HeldAccount(THREE, "", (), (), ("ca.example",), None, former=True)


@pytest.fixture
def inventory(tmp_path: Path) -> tuple[Path, Path]:
    """What ``inventory list`` and ``inventory show`` print."""
    paths = tmp_path / "list.json", tmp_path / "show.json"
    accounts = [
        FleetAccount(ONE, (KEY,), (), False, "web1"),
        FleetAccount(TWO, (OTHER_KEY,), (), False, ANOTHER),
    ]
    with paths[0].open("w") as out:
        inventoried.hosts_as_json(list[Host](), accounts, out)
    with paths[1].open("w") as out:
        inventoried.host_as_json("web7", Holding([HELD, HASHING, LEFT], [], []), [], out)
    return paths


def test_accounts_come_from_lines_or_from_what_the_inventory_prints(
    values: Values, listed: Listed, tmp_path: Path, inventory: tuple[Path, Path]
) -> None:
    lines = tmp_path / "accounts.txt"
    lines.write_text(f"\ufeff# Ours.\n{ONE} # since 2026\n\n{TWO} {OTHER_KEY}\n")
    both = [("a.test", value(ONE)), ("a.test", value(TWO))]
    assert values("-d", "a.test", "--issuer=ca.example", "--known-accounts", lines) == both
    fleet, host = inventory
    assert values("-d", "a.test", "--issuer=ca.example", "--known-accounts", fleet) == both
    # A host's own says which CA each is at, and which it no longer has.
    for issuer, wanted in (
        ("ca.example", value(ONE)),
        ("hash.example", value(hashed(OTHER_KEY, TWO), "hash.example")),
    ):
        found = values("-d", "a.test", f"--issuer={issuer}", "--known-accounts", host)
        assert found == [("a.test", wanted)]
    file = listed(f"a.test account-url={ONE}", "b.test issuer=hash.example")
    assert values(file, "--known-accounts", host) == [
        ("a.test", value(ONE)),
        ("b.test", value(hashed(OTHER_KEY, TWO, "b.test"), "hash.example")),
    ]


def test_damaged_or_foreign_json_is_refused_with_the_place(
    run: Run, tmp_path: Path, inventory: tuple[Path, Path]
) -> None:
    good = json.loads(inventory[0].read_text())
    account = good["accounts"][0]
    for content, told in [
        (b'{"version": 1, "accounts": [', "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it has no version"),
        (b"\xff", "not text in UTF-8"),
        (b'{"version": 1, "records": []}', "it has no version, or no accounts"),
        (good | {"version": 2}, "its version is 2, and this release reads 1"),
        (good | {"accounts": [1]}, "accounts[0] is not an object"),
        (good | {"accounts": [account, account | {"url": "a b"}]}, "accounts[1].url"),
        (good | {"accounts": [account | {"former": "no"}]}, "accounts[0].former"),
        (good | {"accounts": [account | {"thumbprints": ["\x1b[31m"]}]}, "accounts[0].thumbprints"),
        (good | {"accounts": [account | {"host": ["x"]}]}, "accounts[0].host"),
    ]:
        path = tmp_path / "some.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        status, out, error = run(
            "check", "-d", "a.test", "--issuer=ca.example", "--known-accounts", path
        )
        assert (status, out) == (3, ""), error
        assert told in error
        assert str(path) in error


def test_a_bad_line_among_accounts_is_named() -> None:
    from certbot_dns_persist.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=r"accounts, line 3: 'https://x y' is not"):
        declared_in(b"# x\nhttps://x/1\nhttps://x y\n", "accounts")


def test_audit_knows_all_accounts_of_the_run_and_answers_may_be_judged_for_many(
    run: Run, listed: Listed, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    served = {
        "a.test": [value(ONE), value(ELSEWHERE, "two.example")],
        "b.test": [value(ELSEWHERE, "two.example"), value(THREE)],
    }
    answers.write_text(
        "".join(
            json.dumps(
                {
                    "name": f"_validation-persist.{domain}.",
                    "type": "TXT",
                    "status": "NOERROR",
                    "data": {
                        "answers": [
                            {"type": "TXT", "name": f"_validation-persist.{domain}.", "data": each}
                            for each in values
                        ]
                    },
                }
            )
            + "\n"
            for domain, values in served.items()
        )
    )
    file = listed(
        f"a.test issuer=ca.example account-uri={ONE}",
        f"b.test issuer=two.example account-uri={ELSEWHERE}",
        f"a.test issuer=two.example account-uri={ELSEWHERE}",
    )
    status, out, error = run("check", file, f"--answers={answers}")
    assert [line.split("\t")[:2] for line in out.splitlines()] == [
        ["a.test", "ok"],
        ["a.test", "ok"],
        ["b.test", "ok"],
    ]
    assert status == 0, error
    status, out, error = run("audit", file, f"--answers={answers}", "--json")
    assert status == 2, error
    document = json.loads(out)
    notices = [
        (record["domain"], record["account_uri"], notice["kind"])
        for record in document["records"]
        for notice in record["notices"]
    ]
    assert notices == [
        ("a.test", ONE, "known-account"),
        ("a.test", ELSEWHERE, "known-account"),
        ("b.test", ELSEWHERE, "other-ca"),
    ]
