"""TXT values in quotes: what we write, dnspython reads as the same octets."""

import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbot_dns_persist.value.txt import quoted

values = st.binary(max_size=600).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


@given(values)
def test_a_zone_files_reader_gets_the_same_octets(value: str) -> None:
    rdata = dns.rdata.from_text("IN", "TXT", quoted(value))
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
