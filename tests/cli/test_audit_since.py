"""``audit --since``: what changed since an earlier report, and what a report says it knew."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.companion import report_schema

from certbot_dns_persist.cli import main

OURS, FRIEND, STRANGER = (f"https://ca.example/acct/{number}" for number in (1, 2, 3))
WHO = ["--issuer=ca.example", f"--account-uri={OURS}"]


def value(uri: str, more: str = "") -> str:
    return f"ca.example; accounturi={uri}{more}"


class Audited:
    """One audit of collected answers."""

    def __init__(self, status: int, out: str, error: str) -> None:
        self.status, self.out, self.error = status, out, error

    @property
    def report(self) -> Any:
        document = json.loads(self.out)
        report_schema().validate(document)
        return document

    @property
    def changes(self) -> list[tuple[str, str, str | None]]:
        return [
            (record["domain"], notice["code"], notice["value"])
            for record in self.report["records"]
            for notice in record["notices"]
            if notice["code"] in ("new-record", "removed-record", "changed", "not-compared")
        ]


Audit = Callable[..., Audited]


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    """Audit what is served, by domain: values, or ``None`` where a look-up fails."""

    def audit(served: dict[str, Sequence[str] | None], *arguments: str | Path) -> Audited:
        answers = tmp_path / "answers.json"
        answers.write_text("".join(line(*each) for each in served.items()))
        names = tmp_path / "domains.txt"
        names.write_text("".join(f"{domain}\n" for domain in served))
        places = [f"--{name}-dir={tmp_path / name}" for name in ("config", "logs")]
        fixed = [*WHO, f"--from-file={names}", f"--answers=here={answers}", *places]
        return Audited(main(["audit", *fixed, *map(str, arguments)]), *capsys.readouterr())

    return audit


def line(domain: str, values: Sequence[str] | None) -> str:
    name = f"_validation-persist.{domain}."
    answers = [{"type": "TXT", "name": name, "data": each} for each in values or ()]
    status = "SERVFAIL" if values is None else "NOERROR"
    told = {"name": name, "type": "TXT", "status": status, "data": {"answers": answers}}
    return json.dumps(told) + "\n"


@pytest.fixture
def before(audit: Audit, tmp_path: Path) -> Path:
    """The report of an audit in which all was well, but for one failure."""
    done = audit(
        {
            "same.test": [value(OURS), value(FRIEND)],
            "more.test": [value(OURS)],
            "less.test": [value(OURS), value(FRIEND), "v=spf1"],
            "gone.test": [value(OURS)],
            "silent.test": None,
            "later.test": [value(OURS)],
        },
        "--json",
        f"--known-account={FRIEND}",
    )
    path = tmp_path / "before.json"
    path.write_text(done.out)
    return path


AFTER = {
    "same.test": [value(FRIEND), value(OURS)],
    "more.test": [value(OURS), value(STRANGER), "unrelated"],
    "less.test": [value(OURS)],
    "silent.test": [value(OURS)],
    "later.test": None,
    "fresh.test": [value(OURS)],
}


def test_new_removed_and_otherwise_judged_records_are_told_and_nothing_unseen_is(
    audit: Audit, before: Path, tmp_path: Path
) -> None:
    done = audit(AFTER, "--json", f"--since={before}", f"--known-account={FRIEND}")
    assert done.status == 2, done.error
    assert done.changes == [
        ("more.test", "new-record", value(STRANGER)),
        ("more.test", "new-record", "unrelated"),
        ("less.test", "removed-record", value(FRIEND)),
        ("less.test", "removed-record", "v=spf1"),
        ("silent.test", "not-compared", None),
        ("silent.test", "changed", None),
        ("later.test", "not-compared", None),
        ("later.test", "changed", None),
        ("fresh.test", "not-compared", None),
    ]
    since = done.report["since"]
    assert since["checked_at"] == json.loads(before.read_text())["checked_at"]
    assert since["new_accounts"] == [STRANGER]
    assert since["new_domains"] == ["fresh.test"]
    assert since["missing_domains"] == ["gone.test"]
    assert since["scope_differences"] == []
    reasons = {
        notice["value"]: (notice["severity"], notice["reason"])
        for record in done.report["records"]
        for notice in record["notices"]
        if notice["code"] in ("new-record", "removed-record")
    }
    assert reasons["unrelated"][0] == reasons["v=spf1"][0] == "ok"
    severity, told = reasons[value(STRANGER)]
    assert severity == "warning"
    assert "No record in that report named its account." in told


def test_the_same_again_is_no_change_and_a_change_alone_is_a_warning(
    audit: Audit, tmp_path: Path
) -> None:
    path, fine = tmp_path / "before.json", {"a.test": [value(OURS), value(FRIEND)]}
    first = audit(fine, "--json", f"--known-account={FRIEND}")
    path.write_text(first.out)
    same = audit(fine, f"--known-account={FRIEND}", f"--since={path}")
    assert same.status == 0, same.error
    assert "Compared with the audit of " in same.error
    # The report of a comparison is compared as any other.
    path.write_text(audit(fine, "--json", f"--known-account={FRIEND}", f"--since={path}").out)
    page = tmp_path / "page.html"
    less = audit({"a.test": [value(OURS)]}, "--quiet", f"--since={path}", f"--html={page}")
    assert less.status == 1
    summary, told = less.out.splitlines()
    assert summary.startswith("DNS-PERSIST AUDIT WARNING - removed-record: a.test;")
    assert told.startswith("a.test\tremoved-record\t")
    assert "The scope differs: options: only then --known-account=" in less.error
    assert f"Known then, and not now: {FRIEND}." in less.error
    for words in ("removed-record", "Compared with the audit of", "The scope differs"):
        assert words in page.read_text()


def test_a_record_that_is_judged_otherwise_now_is_a_change(audit: Audit, tmp_path: Path) -> None:
    path, served = tmp_path / "before.json", {"a.test": [value(OURS), value(FRIEND)]}
    path.write_text(audit(served, "--json", f"--known-account={FRIEND}").out)
    (record,) = audit(served, "--json", f"--since={path}").report["records"]
    told = {notice["code"]: notice["reason"] for notice in record["notices"]}
    assert "was known-account at " in told["changed"]
    assert told["changed"].endswith("and is unknown-account now.")


def test_a_report_names_the_accounts_that_counted_as_known_and_their_source(
    audit: Audit, tmp_path: Path
) -> None:
    key = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    known, page = tmp_path / "accounts.txt", tmp_path / "page.html"
    known.write_text(f"# ours\n{FRIEND} {key}\n")
    done = audit(
        {"a.test": [value(OURS)]},
        *("--json", f"--known-accounts={known}", f"--known-account={STRANGER}", f"--html={page}"),
    )
    found = [(a["url"], a["thumbprints"], a["source"]) for a in done.report["known_accounts"]]
    assert found == [
        (OURS, [], "the command line, or a list of domains"),
        (FRIEND, [key], f"{known}, line 2"),
        (STRANGER, [], "--known-account"),
    ]
    assert f"{FRIEND}, thumbprint {key}; from {known}, line 2" in page.read_text()


def test_standard_input_is_not_read_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *WHO, "--from-file=-", "--since=-"]) == 3
    assert "only once, not by --from-file and --since." in capsys.readouterr().err


def test_what_is_no_report_of_audit_is_refused_with_the_place(
    audit: Audit, before: Path, tmp_path: Path
) -> None:
    good: dict[str, Any] = json.loads(before.read_text())
    record = good["records"][0]

    def changed(**members: object) -> dict[str, Any]:
        return good | {"records": [record | members]}

    for content, told in [
        (b"", "it is not JSON"),
        (b"\xff\xfe{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[1]", "it is not an object"),
        (b"{}", "it has no version"),
        (b'{"version": 1, "accounts": [], "hosts": []}', "it has no version, checked_at"),
        (good | {"version": 7}, "its version is 7, and this release reads 1"),
        (good | {"checked_at": "\x1b[31m"}, "its checked_at is no time"),
        (good | {"scope": good["scope"] | {"command": "check"}}, "the report of a check"),
        (good | {"records": {}}, "records is not a list"),
        (good | {"records": [record, None]}, "records[1] is not an object"),
        (changed(domain=7), "records[0].domain is not a text"),
        (changed(domain="\ud800"), "records[0].domain is not a text"),
        (changed(found=[{"value": "x"}]), "records[0].verdict is not a text"),
        (changed(nameservers=None), "records[0].nameservers is not a list"),
        (good | {"known_accounts": [{}]}, "url is not a text"),
    ]:
        path = tmp_path / "some.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        done = audit({"same.test": [value(OURS)]}, f"--since={path}")
        assert (done.status, done.out) == (3, ""), told
        assert f"--since {path} cannot be used: " in done.error
        assert told in done.error
        assert "\x1b" not in done.error
    done = audit({"same.test": [value(OURS)]}, "--since=/nowhere.json")
    assert (done.status, done.out) == (3, "")
    assert "--since /nowhere.json cannot be read" in done.error


def test_a_report_of_an_older_release_is_compared_as_far_as_it_goes(
    audit: Audit, before: Path
) -> None:
    old = json.loads(before.read_text())
    for name in ("scope", "program", "host", "accounts", "known_accounts", "resolvers"):
        del old[name]
    before.write_text(json.dumps(old, indent=2))
    done = audit(AFTER, "--json", f"--since={before}", f"--known-account={FRIEND}")
    assert ("less.test", "removed-record", value(FRIEND)) in done.changes
    since = done.report["since"]
    assert since["scope_differences"] == ["the earlier report does not say what was asked"]
    assert since["newly_known_accounts"] == since["no_longer_known_accounts"] == []
