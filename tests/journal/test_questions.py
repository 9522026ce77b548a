"""What is asked of the state, and how SQLite finds the answer."""

import dataclasses
from pathlib import Path

import pytest
from support.journals import ADDED, RECORD, REMOVED, Files

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.notes import Outcome


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_records_are_found_by_name_and_by_domain(files: Files) -> None:
    others = [
        dataclasses.replace(RECORD, name=f"n{n}.example", domain=f"d{n}.example")
        for n in range(1200)
    ]
    journal = files.journal()
    journal.rebuild([RECORD, *others], complete=True)
    journal.intended(dataclasses.replace(ADDED, name="doubtful.example"))

    assert journal.published(name=ADDED.name) == [RECORD]
    assert journal.published(name="nobody.example") == []
    assert len(journal.published(names=[f"n{n}.example" for n in range(1100)])) == 1100
    assert journal.published(domains=["d7.example"]) == [others[7]]
    assert [r.name for r in journal.published(domains=["example.com"])] == [
        ADDED.name,
        "doubtful.example",
    ]
    assert journal.published(domains=[]) == []
    assert len(journal.published()) == 1202
    assert journal.count_names() == 1202
    assert journal.has_published()


def test_no_question_about_a_few_names_reads_all_records(files: Files) -> None:
    journal = files.journal()
    journal.rebuild([RECORD], complete=True)
    connection = journal._state._database._connection
    assert connection is not None
    asked: list[str] = []
    connection.set_trace_callback(asked.append)

    journal.published(name=ADDED.name)
    journal.published(names=[ADDED.name, "other.example"])
    journal.published(domains=["example.com", "other.example"])
    journal.note_key(ADDED.account_url, "one")
    journal.note_terms(ADDED.account_url, Terms(("ca.example",), None, "acme:"))
    journal.note_replaced({ADDED.name: [ADDED.value]})
    journal.replaced(ADDED.name)
    journal.earlier_keys(ADDED.account_url, "two")
    temporary = dataclasses.replace(ADDED, value="temporary", temporary=True)
    for change in (ADDED, temporary, REMOVED):
        (intention,) = journal.intended(change)
        journal.interrupted([ADDED.name])
        journal.abandoned([ADDED.name])
        journal.done(Outcome(intention))

    connection.set_trace_callback(None)
    assert len(asked) > 50
    for statement in asked:
        if statement.startswith(("BEGIN", "COMMIT", "PRAGMA")) or "LIMIT 1" in statement:
            continue
        for *_, how in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert not how.startswith("SCAN") or "CONSTANT ROW" in how, (statement, how)


def test_what_several_services_have_is_noted_until_the_last_has_removed_it(files: Files) -> None:
    files.done(ADDED)
    journal = files.journal()
    first, second = journal.intended(REMOVED, dataclasses.replace(REMOVED, provider="route53"))
    journal.done(Outcome(first))
    (record,) = journal.published()
    assert record.doubt is not None
    journal.done(Outcome(second))
    assert journal.published() == []


def test_a_removal_that_follows_one_that_was_killed_in_the_same_second_is_all_there_is(
    files: Files,
) -> None:
    """The log does not take the two for removals from two services."""
    files.done(ADDED)
    files.journal().intended(REMOVED)
    files.done(REMOVED)
    assert files.journal().logged() == []


def test_a_removal_from_several_services_that_was_killed_in_between_may_have_left_a_record(
    files: Files,
) -> None:
    files.done(ADDED)
    journal = files.journal()
    first, _ = journal.intended(REMOVED, dataclasses.replace(REMOVED, provider="route53"))
    journal.done(Outcome(first))
    assert [entry.value for entry in journal.logged()] == [ADDED.value]
