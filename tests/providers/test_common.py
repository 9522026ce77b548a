"""What several providers share."""

import pytest

from certbot_dns_persist.providers.common import file_of, flag, value_of, zones_above
from certbot_dns_persist.providers.interface import Settings


def test_the_most_specific_zone_that_a_name_may_be_in_comes_first() -> None:
    assert zones_above("_validation-persist.example.com") == [
        "_validation-persist.example.com",
        "example.com",
        "com",
    ]


def test_a_flag_is_true_or_false_in_any_case() -> None:
    assert [flag(text) for text in ("true", "False", "TRUE")] == [True, False, True]
    for text in ("", "yes", "1", "truefalse"):
        with pytest.raises(ValueError, match="not in tuple"):
            flag(text)


def test_a_key_that_is_not_there_is_empty_and_blanks_do_not_count() -> None:
    settings = Settings({"port": " 53\n"}, "/etc/dns.ini", print)
    assert (value_of(settings, "port"), value_of(settings, "server")) == ("53", "")


def test_without_a_file_the_option_for_it_is_named() -> None:
    assert file_of(Settings({}, "/etc/dns.ini", print)) == "/etc/dns.ini"
    assert "--dns-persist-credentials" in file_of(Settings({}, None, print))
