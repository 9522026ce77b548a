"""The options: what they take, and how they refuse the rest."""

import argparse
from typing import Any

import pytest

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.options import (
    Options,
    add_arguments,
    check_options,
    options_of,
    too_wide,
    whole_number,
)

DEFAULTS: dict[str, object] = {}
add_arguments(lambda name, **keywords: DEFAULTS.update({name: keywords.get("default")}))


def check(**given: object) -> Options:
    values = DEFAULTS | {name.replace("_", "-"): value for name, value in given.items()}
    return check_options(values.__getitem__, ["manual", "rfc2136"])


def test_the_defaults_are_those_of_the_contract() -> None:
    assert check() == Options(
        providers=("manual",),
        credentials=None,
        propagation_seconds=None,
        ttl=300,
        policy="auto",
        valid_for=None,
        until=None,
        issuer_domain_name=None,
        resolvers=(),
        check="authoritative",
        shared=False,
        fallback="error",
        script=None,
    )


def test_what_nobody_gave_is_the_default_also_without_a_parser() -> None:
    assert check_options(lambda name: None, ["manual"]) == Options() == check()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"until": "yesterday"}, "--dns-persist-until 'yesterday' is not a date"),
        ({"until": "2027-01-01"}, "with a time zone"),
        ({"until": "2027-01-01T00:00:00"}, "with a time zone"),
        ({"until": "2027-13-01T00:00:00Z"}, "is not a date with"),
        ({"until": "-5"}, "is not a date"),
        ({"until": "1900000000", "valid_for": "90"}, "exclude each other"),
        ({"valid_for": "0"}, "--dns-persist-valid-for '0' is not a whole number of days between 1"),
        ({"valid_for": "a year"}, "not a whole number of days"),
        ({"valid_for": "9" * 30}, "not a whole number of days"),
        ({"ttl": "-1"}, "--dns-persist-ttl '-1' is not a whole number of seconds between 0"),
        ({"ttl": str(2**31)}, "2147483647"),
        ({"ttl": "5m"}, "--dns-persist-ttl '5m'"),
        ({"propagation_seconds": "-3"}, "--dns-persist-propagation-seconds '-3'"),
        ({"provider": "bind"}, "--dns-persist-provider 'bind' is unknown. It can be: manual, rfc"),
        ({"provider": "rfc2136,"}, "--dns-persist-provider '' is unknown"),
        ({"provider": "rfc2136, bind"}, "--dns-persist-provider 'bind' is unknown"),
        ({"provider": ""}, "--dns-persist-provider '' is unknown"),
        ({"policy": "all"}, "--dns-persist-policy 'all' is unknown. It can be: auto, wildcard, ex"),
        ({"check": "both"}, "--dns-persist-check 'both' is unknown"),
        ({"resolvers": "dns.example"}, "--dns-persist-resolvers: 'dns.example' is not an address"),
        ({"resolvers": "192.0.2.1:0"}, "'192.0.2.1:0' is not an address"),
        ({"resolvers": "192.0.2.1:65536"}, "is not an address"),
        ({"resolvers": "192.0.2.1, [::1"}, "'\\[::1' is not an address"),
        ({"resolvers": "[192.0.2.1]:x"}, "is not an address"),
        ({"resolvers": "192.0.2.1:+53"}, "is not an address"),
        ({"resolvers": "192.0.2.1:"}, "is not an address"),
        ({"fallback": "http-01"}, "--dns-persist-fallback 'http-01' is unknown. It can be: error,"),
        ({"ttl": ""}, "--dns-persist-ttl '' is not a whole number"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check(**given)


@pytest.mark.parametrize(
    "text", ["2027-12-31T23:59:59Z", "2027-12-31T23:59:59+00:00", "2028-01-01T00:59:59+01:00"]
)
def test_a_date_is_rfc_3339(text: str) -> None:
    assert check(until=text).until == 1830297599


def test_a_date_may_be_unix_seconds() -> None:
    assert check(until="1830297599").until == 1830297599


def test_resolvers_are_addresses_with_or_without_a_port() -> None:
    assert check(resolvers="192.0.2.1,192.0.2.1:5353, ::1,[::1]:5353,[2001:db8::1]").resolvers == (
        ("192.0.2.1", 53),
        ("192.0.2.1", 5353),
        ("::1", 53),
        ("::1", 5353),
        ("2001:db8::1", 53),
    )


def test_a_renewal_leaves_the_providers_name_to_whoever_needs_it() -> None:
    values = DEFAULTS | {"provider": "uninstalled"}
    assert check_options(values.__getitem__, None).providers == ("uninstalled",)


def test_several_providers_are_taken_each_once() -> None:
    assert check(provider="rfc2136, manual,rfc2136").providers == ("rfc2136", "manual")


def test_numbers_that_certbot_read_back_as_such_are_taken() -> None:
    assert check(ttl=60, valid_for=90).valid_for == 90


def test_valid_for_counts_from_now() -> None:
    assert check(valid_for="90").persist_until(1_000_000) == 1_000_000 + 90 * 86400
    assert check(until="1830297599").persist_until(1_000_000) == 1830297599
    assert check().persist_until(1_000_000) is None


@pytest.mark.parametrize(
    ("given", "saved", "end"),
    [
        ({}, {"valid_for": "90"}, 90 * 86400),
        ({"until": "1830297599"}, {"valid_for": "90"}, 1830297599),
        ({"valid-for": "9"}, {"until": "1830297599", "ttl": "60"}, 9 * 86400),
        ({"valid-for": None}, {"until": "1830297599"}, 1830297599),
    ],
)
def test_an_end_that_is_given_replaces_any_that_was_saved(
    given: dict[str, object], saved: dict[str, str], end: int
) -> None:
    assert options_of(given, saved).persist_until(0) == end


def test_a_number_may_be_either_bound() -> None:
    assert (check(valid_for="1").valid_for, check(valid_for="36500").valid_for) == (1, 36500)
    assert (check(ttl="0").ttl, check(ttl="2147483647").ttl) == (0, 2147483647)
    assert whole_number("-3", -3, -3) == -3


@pytest.mark.parametrize("text", ["", "4", "-1", "+1", " 1", "1.0", "1_0", "\u0661", "9" * 5000])
def test_anything_else_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number between 0 and 3"):
        whole_number(text, 0, 3)


def test_blanks_around_what_was_typed_do_not_count() -> None:
    assert check(policy=" exact ", ttl=" 60\n") == check(policy="exact", ttl="60")


def test_what_was_given_comes_before_what_was_saved_and_that_before_the_default() -> None:
    options = options_of({"ttl": "60", "policy": None}, {"ttl": "90", "policy": "exact"})
    assert (options.ttl, options.policy, options.check) == (60, "exact", "authoritative")


def test_what_is_saved_of_an_option_that_takes_no_value_is_whether_it_was_given() -> None:
    assert options_of({}, {"shared": True}).shared is True
    assert options_of({"shared": None}, {}).shared is False


def test_a_wildcard_that_the_policy_forbids_is_named_with_the_option() -> None:
    assert str(too_wide("*.example.com")).startswith("*.example.com can only be proven by")
    assert "--dns-persist-policy exact" in str(too_wide("*.example.com"))


def test_a_parser_takes_every_option_and_hands_it_on_as_it_was_typed() -> None:
    parser = argparse.ArgumentParser()

    def add(name: str, **details: Any) -> None:
        parser.add_argument(f"--{name}", **details)

    add_arguments(add)
    args = parser.parse_args(["--ttl", " 60", "--shared"])
    assert vars(args) == {
        **{name.replace("-", "_"): default for name, default in DEFAULTS.items()},
        "ttl": " 60",
        "shared": True,
    }
