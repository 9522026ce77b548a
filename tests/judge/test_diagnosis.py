"""The words of the contract for ``check``: closed sets that are text wherever they are shown."""

import enum
import json
from pathlib import Path

import pytest

from certbot_dns_persist import render
from certbot_dns_persist.judge.diagnosis import EXIT_STATUS_OF, SEVERITIES_OF, Severity, Status
from certbot_dns_persist.judge.notice import NoticeKind
from certbot_dns_persist.record import Verdict


@pytest.mark.parametrize("words", [Verdict, Status, Severity, NoticeKind])
def test_a_word_is_shown_and_compared_as_text(words: type[enum.Enum]) -> None:
    for word in words:
        assert word == word.value
        assert {word.value: 1}[word] == 1
        assert f"{word}|{word:>15}" == f"{word.value}|{word.value:>15}"
        assert (str(word), type(str(word))) == (word.value, str)
        assert json.dumps({word: [word]}, indent=2) == json.dumps(
            {word.value: [word.value]}, indent=2
        )


def test_the_schema_of_check_has_every_word_and_no_other() -> None:
    schema = json.loads(Path(render.__file__).with_name("check-schema.json").read_text("utf-8"))
    record = schema["$defs"]["record"]["properties"]
    assert set(record["status"]["enum"]) == set(Status)
    assert set(record["found"]["items"]["properties"]["verdict"]["enum"]) == set(Verdict)
    assert schema["$defs"]["severity"]["enum"] == list(Severity)


def test_every_status_has_a_severity_and_every_severity_an_exit_status() -> None:
    assert SEVERITIES_OF.keys() == set(Status)
    assert set(SEVERITIES_OF.values()) <= EXIT_STATUS_OF.keys() == set(Severity)
    assert sorted(EXIT_STATUS_OF.values()) == [0, 1, 2, 3]
