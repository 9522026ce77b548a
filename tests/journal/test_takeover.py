"""The notes of earlier releases, in JSON, are taken over."""

import json
import time
from pathlib import Path

import pytest
from support.journals import ADDED, RFC3339, Files

from certbot_dns_persist.ca.terms import Terms

OLD = {
    "name": "_validation-persist.old.example",
    "value": "ca.example; accounturi=https://ca.example/acct/1",
    "ttl": 60,
    "provider": "route53",
    "zone": "old.example",
    "server": "https://ca.example/directory",
    "account_url": "https://ca.example/acct/1",
    "domain": "old.example",
    "persist_until": None,
    "first_published": "2026-01-01T00:00:00Z",
    "last_changed": "2026-02-01T00:00:00Z",
}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def write(files: Files, *records: dict[str, object], **more: object) -> None:
    """Write what an earlier release writes."""
    files.earlier.parent.mkdir(parents=True, exist_ok=True)
    files.earlier.write_text(json.dumps({"version": 1, "records": records, **more}))


def test_all_of_it_is_taken_over_and_the_file_is_renamed(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    url = OLD["account_url"]
    assert isinstance(url, str)
    terms = {"issuer_domain_names": ["ca.example"], "plain": None, "hash_prefix": "acme:"}
    write(files, OLD, keys={url: ["one", "two"]}, terms={url: terms}, replaced={"a.example": ["v"]})
    before = files.earlier.read_bytes()

    journal = files.journal()
    (record,) = journal.published()
    assert {key: getattr(record, key) for key in OLD} == OLD
    assert journal.earlier_keys(url, "two") == ["one"]
    assert journal.terms(url) == Terms(("ca.example",), None, "acme:")
    assert journal.replaced("a.example") == ["v"]
    assert not files.earlier.exists()
    assert files.earlier.with_name("records.json.imported").read_bytes() == before
    assert not journal.lost()
    assert caplog.text == ""


def test_only_a_name_and_a_value_are_required(files: Files) -> None:
    write(files, {"name": "a.example", "value": "b"})
    files.done(ADDED)
    assert [record.name for record in files.journal().published()] == [ADDED.name, "a.example"]


def test_what_an_earlier_release_notes_later_is_taken_over_again(files: Files) -> None:
    files.done(ADDED)
    newer = {**OLD, "last_changed": "2026-03-01T00:00:00Z", "ttl": 120}
    for step in (OLD, newer, OLD):
        write(files, step, incomplete=True)
        assert len(files.journal().published()) == 2
    old = files.journal().published(name=str(OLD["name"]))[0]
    assert (old.ttl, old.last_changed) == (120, "2026-03-01T00:00:00Z")
    assert not files.journal().lost()


def test_what_was_incomplete_still_is(files: Files) -> None:
    write(files, OLD, incomplete=True)
    assert files.journal().lost()
    assert len(files.journal().published()) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"version": 1, "records": [{"name": "torn',
        "[]",
        "{}",
        '{"version": 1, "records": [{"name": "lacks the rest"}]}',
        '{"version": 1, "records": ["no object"]}',
        "\xff",
        "[" * 200_000,
        json.dumps({"version": 1, "records": [{**OLD, "persist_until": "next year"}]}),
    ],
)
def test_a_damaged_one_is_put_aside_with_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    files.earlier.parent.mkdir(parents=True)
    files.earlier.write_text(content, encoding="latin-1")

    journal = files.journal()
    assert (journal.published(), journal.published()) == ([], [])
    assert caplog.text.count("records.json") == 1
    assert files.earlier.read_text(encoding="latin-1") == content  # a reader moves nothing

    caplog.clear()
    files.done(ADDED)
    aside = files.earlier.with_name(f"records.json.damaged-{RFC3339}")
    assert aside.read_text(encoding="latin-1") == content
    assert caplog.text.count(str(aside)) == 1
    assert [record.value for record in files.journal().published()] == [ADDED.value]
    assert files.journal().lost()


def test_one_of_a_newer_release_is_left_alone(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.earlier.parent.mkdir(parents=True)
    files.earlier.write_text('{"version": 2}')

    files.done(ADDED)

    assert files.earlier.read_text() == '{"version": 2}'
    assert files.journal().published() == []
    assert "Update certbot-dns-persist" in caplog.text
    assert len(files.lines()) == 2


def test_twenty_thousand_records_take_less_than_two_seconds(files: Files) -> None:
    """Of processor time, as the machine may be busy."""
    write(files, *({**OLD, "value": f"{OLD['value']}/{n}"} for n in range(20_000)))
    journal = files.journal()
    start = time.process_time()
    assert journal.has_published()
    assert time.process_time() - start < 2
    assert len(journal.published()) == 20_000


@pytest.mark.usefixtures("somebody")
def test_who_may_only_read_reads_both(caplog: pytest.LogCaptureFixture) -> None:
    files = Files(Path())
    files.done(ADDED)
    write(files, OLD)
    files.state.parent.chmod(0o500)
    try:
        assert len(files.journal().published()) == 2
        assert len(files.journal().published(name=str(OLD["name"]))) == 1
        assert files.earlier.exists()
    finally:
        files.state.parent.chmod(0o700)
    assert caplog.text == ""


@pytest.mark.usefixtures("somebody")
def test_who_may_only_read_reads_it_beside_a_state_that_has_not_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = Files(Path())
    write(files, OLD)
    files.state.touch()
    files.state.parent.chmod(0o500)
    try:
        assert len(files.journal().published()) == 1
    finally:
        files.state.parent.chmod(0o700)
    assert caplog.text == ""


@pytest.mark.usefixtures("somebody")
@pytest.mark.parametrize("with_state", [True, False])
def test_who_may_only_read_reads_it_also_after_something_could_not_be_noted(
    with_state: bool,
) -> None:
    files = Files(Path())
    if with_state:
        files.done(ADDED)
    write(files, OLD)
    files.state.parent.chmod(0o500)
    try:
        journal = files.journal()
        before = journal.published()
        assert len(before) == 1 + with_state
        (intention,) = journal.intended(ADDED)
        assert not intention.in_state
        journal.note_key(ADDED.account_url, "one")
        assert journal.published() == before
    finally:
        files.state.parent.chmod(0o700)
