"""The forms of a TXT value: what we write, dnspython and we ourselves read as the same octets."""

from typing import Any

import dns.rdata
import pytest
import support.hypothesis_profile  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st

from certbot_dns_persist.value.txt import (
    from_octets,
    from_strings,
    quoted,
    to_octets,
    to_strings,
    unescaped,
    unquoted,
)

values = st.binary(max_size=600).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


@given(values)
def test_a_zone_files_reader_gets_the_same_octets(value: str) -> None:
    rdata: Any = dns.rdata.from_text("IN", "TXT", quoted(value))
    assert b"".join(rdata.strings) == value.encode("utf-8", "surrogateescape")
    assert all(len(string) <= 255 for string in rdata.strings)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", '""'),
        ("plain; with=blanks", '"plain; with=blanks"'),
        ('say "a\\b"', '"say \\"a\\\\b\\""'),
        ("\x01é", '"\\001\\303\\251"'),
    ],
)
def test_some_services_want_octal(value: str, written: str) -> None:
    assert quoted(value, octal=True) == written


def test_255_octets_are_one_string_and_256_are_two() -> None:
    assert quoted("x" * 255) == f'"{"x" * 255}"'
    assert quoted("x" * 256) == f'"{"x" * 255}" "x"'


@given(values, st.booleans())
def test_what_was_quoted_is_read_back(value: str, octal: bool) -> None:
    assert unquoted(quoted(value, octal=octal), octal=octal) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"one" "two"', "onetwo"),
        ('"one""two"\n', "onetwo"),
        ('"say \\"a\\\\b\\""', 'say "a\\b"'),
        ('"\\195\\169"', "é"),
        ('"\\255"', "\udcff"),
        ('"\\256"', "256"),  # no octet: the escape is of the first digit alone
        ('""', ""),
    ],
)
def test_strings_in_quotes_are_joined_and_their_escapes_undone(text: str, value: str) -> None:
    assert unquoted(text) == value


def test_octal_escapes_are_read_as_such() -> None:
    assert unquoted('"\\303\\251\\400"', octal=True) == "é400"


def test_escapes_outside_of_quotes_are_undone() -> None:
    assert unescaped("\\042a\\; b\\195\\169") == "*a; bé"


@pytest.mark.parametrize("text", ["", "plain", "a \\195", '"one" two', 'half "', '"one" "tw'])
def test_what_is_not_in_quotes_throughout_is_the_value_itself(text: str) -> None:
    assert unquoted(text) == text


@given(values)
def test_a_value_and_its_strings_are_the_same_octets(value: str) -> None:
    strings = to_strings(value)
    assert b"".join(strings) == to_octets(value)
    assert all(len(string) == 255 for string in strings[:-1])
    assert len(strings[-1]) <= 255
    assert from_strings(strings) == value


@given(st.binary())
def test_octets_that_are_not_utf_8_survive(octets: bytes) -> None:
    assert to_octets(from_octets(octets)) == octets
