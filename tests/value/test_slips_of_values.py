"""Slips of people who enter records by hand, each with its correction."""

import pytest

from certbot_dns_persist.value.explanation import Criteria, explain
from certbot_dns_persist.value.slips import (
    MOST_CHARACTERS,
    same_but_for_case,
    too_long,
    without_doubled_end,
    without_quotes,
    wrong_places,
)
from certbot_dns_persist.value.txt import quoted, relative

URI = "https://ca.example/my-account/1"
VALUE = f"ca.example; accounturi={URI}; policy=wildcard"
ANY = Criteria((), (), wildcard=False, at=1_800_000_000)

QUOTED_VALUES = [
    f'"{VALUE}"',
    f"'{VALUE}'",
    f"\u201c{VALUE}\u201d",
    VALUE.replace(";", "\\;"),
    f'"{VALUE}"'.replace(";", "\\;"),
    f'\\"{VALUE}\\"',
    f'"{VALUE[:20]}" "{VALUE[20:]}"',
]


@pytest.mark.parametrize("value", QUOTED_VALUES)
def test_quotes_and_backslashes_inside_a_value_are_taken_out(value: str) -> None:
    assert without_quotes(value) == VALUE
    # As dig shows what stands there.
    explained = explain(f"_validation-persist.example.com. 300 IN TXT {quoted(value)}", ANY)
    assert explained.pasted.value == value
    assert not explained.well_formed
    assert explained.needed == VALUE
    assert (explained.old, explained.other) == (None, None)
    assert [r for r in explained.remarks if r.startswith("It holds quotes or backslashes")]


@pytest.mark.parametrize(
    "value",
    [
        VALUE,
        f'{VALUE}; note="x"',
        f"{VALUE}; a.b=c",
        '"v=spf1 -all"',
        '"ca.example"',
        "",
        '"',
        '"' * 64_000,
        f'"{VALUE}"'.ljust(MOST_CHARACTERS + 1),
    ],
)
def test_what_is_a_record_or_none_either_way_is_left_as_it_is(value: str) -> None:
    assert without_quotes(value) is None


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        (URI, None),
        (URI.replace("my-account", "My-Account"), URI),
        (URI.upper(), URI),
        (URI + "/", None),
        (URI.replace("/1", "/2"), None),
    ],
)
def test_an_account_uri_in_other_letters_is_told_from_another_account(
    uri: str, same: str | None
) -> None:
    assert same_but_for_case(uri, [f"{URI}0", URI]) == same
    explained = explain(f"ca.example; accounturi={uri}", Criteria((), (URI,), False, 0))
    remarks = [f"Upper and lower case count in an account URI. The one asked for: {same}"]
    assert list(explained.remarks) == (remarks if same else [])


@pytest.mark.parametrize(
    ("name", "once"),
    [
        ("example.test.example.test", "example.test"),
        ("www.example.test.example.test", "www.example.test"),
        ("a.b.example.test.b.example.test", "a.b.example.test"),
        ("example.test", None),
        ("test.test", None),
        ("example.test.test", None),
    ],
)
def test_a_zones_name_at_the_end_twice_is_noticed(name: str, once: str | None) -> None:
    assert without_doubled_end(name) == once
    explained = explain(f'_validation-persist.{name}. 300 IN TXT "{VALUE}"', ANY)
    assert list(explained.remarks) == (
        [
            f"_validation-persist.{name} has {name.removeprefix(f'{once}.')} twice: the DNS "
            f"service appends the zone's name itself. CAs look at _validation-persist.{once}."
        ]
        if once
        else []
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_acme-challenge.example.com", "is for dns-01"),
        ("example.com", "A CA looks at _validation-persist.DOMAIN"),
        ("_acme-challenge.example.com.example.com", "has example.com twice"),
        ("_validation-persist." + "a." * 117 + "b", "would have 255 octets"),
    ],
)
def test_a_name_where_no_ca_looks_is_explained(name: str, words: str) -> None:
    (remark,) = explain(f'{name}. 300 IN TXT "{VALUE}"', ANY).remarks
    assert words in remark


def test_the_wrong_places_are_those_of_web_forms_and_of_dns_01() -> None:
    assert list(wrong_places("www.example.com", "example.com")) == [
        "_validation-persist.www.example.com.example.com",
        "_acme-challenge.www.example.com",
        "www.example.com",
    ]
    long = "a." * 116 + "b"
    assert list(wrong_places(long, long)) == [f"_acme-challenge.{long}", long]


@pytest.mark.parametrize(
    ("domain", "fits"),
    [
        ("a." * 116 + "b", True),
        ("*." + "a." * 116 + "b", True),
        ("a." * 116 + "bc", False),
        ("*." + "a." * 116 + "bc", False),
    ],
)
def test_a_domain_has_to_leave_room_for_the_label_before_it(domain: str, fits: bool) -> None:
    why = too_long(domain)
    if fits:
        assert why is None
    else:
        assert why is not None
        assert "would have 254 octets, and DNS allows 253" in why
        assert f"(*.{'a.' * 115}bc)" in why


@pytest.mark.parametrize(
    ("name", "zone", "host"),
    [
        ("_validation-persist.www.example.com", "example.com", "_validation-persist.www"),
        ("_validation-persist.example.com", "example.com", "_validation-persist"),
        ("example.com", "example.com", "@"),
        ("_validation-persist.notexample.com", "example.com", "_validation-persist.notexample.com"),
    ],
)
def test_a_host_is_relative_to_its_zone(name: str, zone: str, host: str) -> None:
    assert relative(name, zone) == host
