"""The record's text and its judgement: every rule of the drafts, both ways."""

from collections.abc import Callable

import pytest
import support.hypothesis_profile  # noqa: F401
from hypothesis import example, given
from hypothesis import strategies as st

from certbot_dns_persist.record import (
    MalformedRecord,
    ValidationRecord,
    evaluate,
    normalize_domain_name,
    parse_record,
    validation_domain_name,
)

CA = "ca.example"
URI = "https://ca.example/acct/1"
NOW = 1_800_000_000

blanks = st.text(" \t", max_size=3)
domain_names = st.from_regex(
    r"[a-z0-9]{1,10}(\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){0,4}", fullmatch=True
)
parameter_values = st.text("".join(map(chr, range(0x21, 0x7F))).replace(";", ""), max_size=300)
int64 = st.integers(-(2**63), 2**63 - 1)
records = st.builds(
    ValidationRecord,
    issuer_domain_name=domain_names,
    account_uri=parameter_values.filter(bool),
    policy=st.none() | st.just("wildcard"),
    persist_until=st.none() | int64,
)


def judge(*values: str, wildcard: bool = False, at: int = NOW) -> str:
    return evaluate(
        values, issuer_domain_names=[CA], account_uris=[URI], wildcard=wildcard, at=at
    ).verdict


@given(st.text())
@example("ca.example; accounturi=x; persistUntil=" + "9" * 5000)
@example("\ud800; accounturi=x")
@example("ß.example; accounturi=x")
def test_every_string_is_parsed_or_called_malformed(value: str) -> None:
    try:
        record = parse_record(value)
    except MalformedRecord:
        return
    assert record.account_uri in value


@given(st.text())
def test_every_string_is_judged(value: str) -> None:
    assert judge(value) in ("valid", "malformed", "unauthorized")


@given(records)
def test_what_is_formatted_is_parsed_to_the_same(record: ValidationRecord) -> None:
    assert parse_record(record.to_value()) == record


@given(records, blanks, blanks, st.sampled_from([str.lower, str.upper, str.title]))
def test_blanks_and_the_case_of_tags_do_not_matter(
    record: ValidationRecord, before: str, after: str, case: Callable[[str], str]
) -> None:
    parts = [p.partition("=") for p in record.to_value().split("; ")]
    written = ";".join(
        f"{before}{case(tag) if equals else tag}{after}{equals}{before}{content}{after}"
        for tag, equals, content in parts
    )
    assert parse_record(written) == record


@given(records, st.lists(st.sampled_from(["x=1", "X = ", "foo=accounturi", "tag-2=a=b"])))
def test_unknown_parameters_are_ignored_even_when_repeated(
    record: ValidationRecord, unknown: list[str]
) -> None:
    assert parse_record("; ".join([record.to_value(), *unknown])) == record


@given(
    issuer=st.sampled_from([CA, "other.example"]),
    uri=st.sampled_from([URI, URI.upper(), URI + "/", "https://ca.example/acct/2"]),
    policy=st.sampled_from([None, "wildcard"]),
    until=st.none() | st.integers(NOW - 2, NOW + 2),
    wildcard=st.booleans(),
)
def test_a_record_authorises_if_and_only_if_it_fits_in_every_respect(
    issuer: str, uri: str, policy: str | None, until: int | None, wildcard: bool
) -> None:
    fits = (
        issuer == CA
        and uri == URI
        and (policy == "wildcard" or not wildcard)
        and (until is None or until >= NOW)
    )
    value = ValidationRecord(issuer, uri, policy, until).to_value()
    assert judge(value, wildcard=wildcard) == ("valid" if fits else "unauthorized")


@given(st.lists(records), records)
def test_each_record_stands_alone(others: list[ValidationRecord], ours: ValidationRecord) -> None:
    values = [other.to_value() for other in others]
    result = evaluate(
        [*values, ours.to_value()],
        issuer_domain_names=[ours.issuer_domain_name],
        account_uris=[ours.account_uri],
        wildcard=False,
        at=-(2**63),
    )
    assert result.authorized
    assert [finding.value for finding in result.findings] == [*values, ours.to_value()]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "issuer-domain-name is missing"),
        ("; accounturi=x", "issuer-domain-name is missing"),
        ("ca.example", "accounturi is missing"),
        ("ca.example;", "empty parameter"),
        ("ca.example; accounturi=x;", "empty parameter"),
        ("ca.example;; accounturi=x", "empty parameter"),
        ("ca.example; accounturi=", "accounturi is empty"),
        ("ca.example; accounturi", "has no '='"),
        ("ca.example; =x; accounturi=x", "has no tag"),
        ("ca.example; accounturi=x; a_b=x", "the tag 'a_b'"),
        ("ca.example; accounturi=x; a-=x", "the tag 'a-'"),
        ("ca.example; accounturi=x; a b=x", "the tag 'a b'"),
        ("ca.example; accounturi=x; ACCOUNTURI=x", "given twice"),
        ("ca.example; accounturi=x; policy=a; Policy=b", "given twice"),
        ("ca.example; accounturi=x; persistUntil=1; persistuntil=1", "given twice"),
        ("ca.example; accounturi=x y", "not printable ASCII"),
        ("ca.example; accounturi=x\x7f", "not printable ASCII"),
        ("ca.example; accounturi=ä", "not printable ASCII"),
        ("ca.example; accounturi=x; unknown=ä", "not printable ASCII"),
        ("ca.example; accounturi=x; persistUntil=", "persistUntil"),
        ("ca.example; accounturi=x; persistUntil=1e9", "persistUntil"),
        ("ca.example; accounturi=x; persistUntil=+1", "persistUntil"),
        ("ca.example; accounturi=x; persistUntil=1_0", "persistUntil"),
        ("ca.example; accounturi=x; persistUntil=2027-01-01", "persistUntil"),
        ("ca.example; accounturi=x; persistUntil=\u0661", "not printable ASCII"),
        (f"ca.example; accounturi=x; persistUntil={2**63}", "64-bit"),
        ("ca_x.example; accounturi=x", "issuer-domain-name cannot be used"),
        (f"{'a.' * 126}bc; accounturi=x", "254 octets"),
        (f"{'a' * 64}.example; accounturi=x", "issuer-domain-name cannot be used"),
    ],
)
def test_malformed_values_are_named_with_the_fault(value: str, reason: str) -> None:
    with pytest.raises(MalformedRecord, match=reason):
        parse_record(value)


def test_the_last_second_of_persist_until_counts() -> None:
    value = f"{CA}; accounturi={URI}; persistUntil={NOW}"
    assert judge(value, at=NOW) == "valid"
    assert judge(value, at=NOW + 1) == "unauthorized"


@pytest.mark.parametrize("seconds", [-(2**63), -1, 2**63 - 1])
def test_persist_until_takes_all_that_64_bits_hold(seconds: int) -> None:
    record = parse_record(f"{CA}; accounturi={URI}; persistUntil={seconds}")
    assert record.persist_until == seconds
    assert record.expired(NOW) == (seconds < NOW)


@pytest.mark.parametrize("policy", ["wildcard", "WILDCARD", "WildCard"])
def test_policy_wildcard_is_case_insensitive(policy: str) -> None:
    assert judge(f"{CA}; accounturi={URI}; policy={policy}", wildcard=True) == "valid"


@pytest.mark.parametrize("policy", ["", "wild", "wildcards", "*"])
def test_any_other_policy_counts_as_absent(policy: str) -> None:
    value = f"{CA}; accounturi={URI}; policy={policy}"
    assert judge(value) == "valid"
    assert judge(value, wildcard=True) == "unauthorized"


@pytest.mark.parametrize("issuer", ["CA.Example", "ca.example.", "  ca.example\t", "ca。example"])
def test_issuer_domain_names_are_compared_after_normalisation(issuer: str) -> None:
    assert judge(f"{issuer}; accounturi={URI}") == "valid"


def test_issuer_domain_names_are_compared_as_a_labels() -> None:
    # Draft section 9.2 has "xn--nicode-example-9jb.com" here, which decodes to another name.
    assert normalize_domain_name("üNICODE-example.com.") == "xn--nicode-example-fsb.com"
    assert evaluate(
        ["xn--nicode-example-fsb.com; accounturi=x"],
        issuer_domain_names=["Ünicode-example.com"],
        account_uris=["x"],
        wildcard=False,
        at=NOW,
    ).authorized


@pytest.mark.parametrize("uri", [URI.upper(), URI.replace("acct", "%61cct"), URI + "/"])
def test_account_uris_are_compared_octet_for_octet(uri: str) -> None:
    assert judge(f"{CA}; accounturi={uri}") == "unauthorized"


def test_a_malformed_record_of_another_ca_is_none_of_our_business() -> None:
    assert judge("other.example; accounturi=") == "unauthorized"
    assert judge("v=spf1 -all") == "unauthorized"
    assert judge("other.example; accounturi=", f"{CA}; accounturi={URI}") == "valid"


def test_our_malformed_record_is_reported_unless_another_authorises() -> None:
    ours = f"{CA}; accounturi={URI}; accounturi={URI}"
    assert judge(ours, f"{CA}; accounturi=https://ca.example/acct/2") == "malformed"
    assert judge(ours, f"{CA}; accounturi={URI}") == "valid"


@pytest.mark.parametrize("domain", ["example.com", "*.example.com"])
def test_a_wildcard_is_proven_at_its_base_name(domain: str) -> None:
    assert validation_domain_name(domain) == "_validation-persist.example.com"


@pytest.mark.parametrize(
    ("value", "policy", "until"),
    [
        # draft -02 sections 10.1, 10.4, 10.5 and 10.6, with account URIs of our own
        (f"authority.example; accounturi={URI}", None, None),
        (f"authority.example; accounturi={URI}; policy=wildcard", "wildcard", None),
        (f"authority.example; accounturi={URI}; persistUntil=1767225600", None, 1767225600),
        (
            f"authority.example; accounturi={URI}; policy=wildcard; persistUntil=1767225600",
            "wildcard",
            1767225600,
        ),
    ],
)
def test_the_examples_of_the_draft_are_read(value: str, policy: str | None, until: int) -> None:
    record = parse_record(value)
    assert (record.issuer_domain_name, record.account_uri) == ("authority.example", URI)
    assert (record.policy, record.persist_until) == (policy, until)
