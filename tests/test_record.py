"""The record's text and its judgement: every rule of the drafts, both ways."""

import dataclasses
import datetime
import math
from collections.abc import Callable

import pytest
import support.hypothesis_profile  # noqa: F401
from hypothesis import example, given
from hypothesis import strategies as st
from support.differences import ALIKE, DIFFERENCES, Difference, fill_in

from certbot_dns_persist.record import (
    LAST_COMPARABLE_SECOND,
    MAX_NAME_OCTETS,
    Evaluation,
    Finding,
    MalformedRecord,
    ValidationRecord,
    Verdict,
    comparable_end,
    evaluate,
    format_time,
    is_parameter_value,
    normalize_domain_name,
    parse_record,
    parse_time,
    read_record,
    validation_domain_name,
)

CA = "ca.example"
URI = "https://ca.example/acct/1"
NOW = 1_800_000_000

blanks = st.text(" \t", max_size=3)
domain_names = st.from_regex(
    r"[a-z0-9]{1,10}(\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){0,4}", fullmatch=True
)
parameter_values = st.text("".join(map(chr, range(0x21, 0x7F))).replace(";", ""), max_size=50)
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


@pytest.mark.parametrize(
    ("name", "character", "domains"),
    [
        ("Faß.example", "ß", "fass.example or xn--fa-hia.example"),
        ("FAẞ.example.", "ẞ", "fass.example or xn--fa-hia.example"),
        ("βόλος.example", "ς", "xn--nxasmq6b.example or xn--nxasmm1c.example"),
        (
            "نامه\N{ZERO WIDTH NON-JOINER}ای.example",
            "\\u200c",
            "xn--mgba3gch31f.example or xn--mgba3gch31f060k.example",
        ),
        ("a\N{ZERO WIDTH JOINER}b.example", "\\u200d", "ab.example"),  # may not stand there
    ],
)
def test_a_name_that_means_two_domains_is_refused_with_both_spellings(
    name: str, character: str, domains: str
) -> None:
    with pytest.raises(ValueError, match=r"is not a domain name: ") as caught:
        normalize_domain_name(name)
    assert f"the character '{character}' means different domains" in str(caught.value)
    assert str(caught.value).endswith(f"Write the one that you mean: {domains}")


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
    assert judge(value) in ("valid", "accepted-by-some", "malformed", "unauthorized")


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
    issuer, *known = record.to_value().split("; ")
    assert parse_record("; ".join([issuer, *unknown, *known, *unknown])) == record


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


def test_the_last_second_that_every_validator_can_compare_counts() -> None:
    ends = [f"{CA}; accounturi={URI}; persistUntil={LAST_COMPARABLE_SECOND + n}" for n in (0, 1)]
    assert [judge(value) for value in ends] == [Verdict.VALID, Verdict.ACCEPTED_BY_SOME]
    assert [comparable_end(LAST_COMPARABLE_SECOND + n) for n in (0, 1)] == [
        LAST_COMPARABLE_SECOND,
        None,
    ]


@given(st.lists(records, max_size=5), records)
def test_each_record_stands_alone(others: list[ValidationRecord], ours: ValidationRecord) -> None:
    values = [other.to_value() for other in others]
    result = evaluate(
        [*values, ours.to_value()],
        issuer_domain_names=[ours.issuer_domain_name],
        account_uris=[ours.account_uri],
        wildcard=False,
        at=-(2**63),
    )
    assert result.authorized is ((ours.persist_until or 0) <= LAST_COMPARABLE_SECOND)
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
    assert parse_record(value).policy is None
    assert judge(value) == "valid"
    assert judge(value, wildcard=True) == "unauthorized"


@pytest.mark.parametrize("issuer", ["CA.Example", "ca.example.", "  ca.example\t", "ca。example"])
def test_issuer_domain_names_are_compared_after_normalisation(issuer: str) -> None:
    assert judge(f"{issuer}; accounturi={URI}") == "accepted-by-some"
    assert parse_record(f"{issuer}; accounturi={URI}") == ValidationRecord(CA, URI)


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_validators_disagree_on_authorises_only_where_none_is_known_to_refuse_it(
    difference: Difference,
) -> None:
    standard, boulder, pebble = difference[1:4]
    for ca, accepting in (
        (CA, [standard, boulder, pebble]),
        ("letsencrypt.org", [standard, boulder]),
        ("pebble.letsencrypt.org", [standard, pebble]),
    ):
        evaluation = evaluate(
            [fill_in(difference.value, ca, URI)],
            issuer_domain_names=[ca],
            account_uris=[URI],
            wildcard=difference.wildcard,
            at=NOW,
        )
        assert evaluation.authorized is all(accepting)
        assert evaluation.verdict == ("valid" if all(accepting) else "accepted-by-some")
        (finding,) = evaluation.findings
        assert finding.verdict == evaluation.verdict
        assert finding.record is not None
        assert finding.record.account_uri == URI
        assert evaluation.accepted == {finding.value: finding.record}
        if ca == CA:
            assert finding.reason.startswith("is accepted by some CAs only: ")
            assert difference.why in finding.reason


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        (f"{CA}.; accounturi={URI}", "Pebble refuses it, as the issuer-domain-name is not"),
        (f"{CA}; accounturi={URI}; persistUntil={2**63 - 1}", "Boulder and Pebble refuse it, as"),
    ],
)
def test_who_refuses_is_said_in_a_sentence(value: str, refusal: str) -> None:
    (finding,) = evaluate(
        [value], issuer_domain_names=[CA], account_uris=[URI], wildcard=False, at=NOW
    ).findings
    assert finding.reason.startswith(f"is accepted by some CAs only: {refusal} ")


@pytest.mark.parametrize("value", ALIKE)
def test_what_all_validators_accept_authorises(value: str) -> None:
    assert judge(fill_in(value, CA, URI)) == "valid"


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_validators_disagree_on_is_refused_where_all_of_them_refuse_it(
    difference: Difference,
) -> None:
    other = fill_in(difference.value, CA, "https://ca.example/acct/2")
    (finding,) = evaluate(
        [other], issuer_domain_names=[CA], account_uris=[URI], wildcard=False, at=NOW
    ).findings
    assert finding.verdict == "unauthorized"
    assert finding.reason == "names another account, https://ca.example/acct/2"
    # Some CA reads it, so it is a permission all the same.
    assert finding.record is not None
    assert finding.record == read_record(other)


def test_a_record_that_all_accept_counts_before_one_that_some_do() -> None:
    some, all_of_them = f"{CA}.; accounturi={URI}", f"{CA}; accounturi={URI}; persistUntil={NOW}"
    evaluation = evaluate(
        [some, all_of_them], issuer_domain_names=[CA], account_uris=[URI], wildcard=False, at=NOW
    )
    assert evaluation.verdict == "valid"
    assert list(evaluation.accepted) == [all_of_them]
    assert evaluation.end == NOW
    assert judge(some, "ca.example; accounturi") == "accepted-by-some"


@given(records)
def test_what_we_write_is_accepted_by_all_or_by_none(record: ValidationRecord) -> None:
    record = dataclasses.replace(
        record, persist_until=min(record.persist_until or 0, LAST_COMPARABLE_SECOND)
    )
    # The blank makes each validator read it: what is in canonical form is read once for all.
    canonical, blank = evaluate(
        [record.to_value(), f" {record.to_value()}"],
        issuer_domain_names=[record.issuer_domain_name],
        account_uris=[record.account_uri],
        wildcard=record.wildcard,
        at=NOW,
    ).findings
    assert canonical.verdict == blank.verdict
    assert canonical.verdict in ("valid", "unauthorized")


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1830000000", 1830000000),
        ("9" * 12, 10**12 - 1),
        ("1970-01-01T00:00:00Z", 0),
        ("2027-12-31T00:00:00Z", 1830211200),
        ("2027-12-31T00:00:00z", 1830211200),
        ("2027-12-31T01:30:00+01:30", 1830211200),
        ("2027-12-30T19:00:00-05:00", 1830211200),
        ("1969-12-31T23:59:59+00:00", -1),
    ],
)
def test_a_time_is_read_as_rfc_3339_or_unix_seconds(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "-1",
        "1e9",
        "9" * 13,
        "2027-12-31T00:00:00Z ",
        "2027-12-31T00:00:00ZZ",
        "2027-13-31T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - in the words of the library
        parse_time(text)


@pytest.mark.parametrize("text", ["2027-12-31T00:00:00", "2027-12-31"])
def test_a_time_without_its_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' has no time zone"):
        parse_time(text)


@given(st.integers(-62135596800, 253402300799))
def test_every_time_of_the_calendar_is_read_back_as_it_was_formatted(seconds: int) -> None:
    text = format_time(seconds)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    assert text.lstrip("0") == f"{moment.isoformat()}Z".lstrip("0")
    if moment.year >= 1000:
        assert parse_time(text) == seconds


@pytest.mark.parametrize("seconds", [-(2**63), -62135596801, 253402300800, 2**63 - 1])
def test_a_time_that_no_calendar_holds_is_a_count_of_seconds(seconds: int) -> None:
    assert format_time(seconds) == f"{seconds} (UNIX seconds)"


@pytest.mark.parametrize("name", ["a", "0.example", "a-b.example", "x" * 63, "a." * 126 + "b"])
def test_a_normal_name_stays_as_it_is(name: str) -> None:
    assert normalize_domain_name(name) == name
    assert normalize_domain_name(f"{name}.") == name
    assert normalize_domain_name(name.upper()) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "has the label ''"),
        (".", "has the label ''"),
        ("a..b", "has the label ''"),
        ("a.example..", "has the label ''"),
        ("-a.example", "has the label '-a'"),
        ("a-.example", "has the label 'a-'"),
        ("a_b.example", "has the label 'a_b'"),
        ("x" * 64, "has the label 'x"),
        ("ä" * 64, "is not a domain name: "),
        ("\u2488.example", "is not a domain name: "),
        ("a." * 126 + "bc", f"254 octets, more than the {MAX_NAME_OCTETS} allowed"),
        ("ä." * 50 + "example", "octets, more than the 253 allowed"),
        ("e\u0323\u0302" * 20_000, "60000 characters, which are more than the 253 octets"),
    ],
)
def test_what_is_no_host_name_is_named_with_the_fault(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        normalize_domain_name(name)


def test_a_name_of_combining_marks_is_read_up_to_the_length_that_dns_allows() -> None:
    decomposed = ".".join(["e\u0323\u0302" * 12] * 12)
    label = "xn--" + ("\u1ec7" * 12).encode("punycode").decode()
    assert normalize_domain_name(decomposed) == ".".join([label] * 12)


def test_a_value_as_long_as_dns_can_hold_is_judged() -> None:
    assert judge("a" + "\u0323\u0302" * 16_000) == "unauthorized"
    many = "".join(f"; tag{number}=1" for number in range(6_000))
    assert judge(f"{CA}; accounturi={URI}{many}") == "valid"


@pytest.mark.parametrize(
    ("content", "fits"),
    [("", True), ("!~:<", True), ("a;b", False), ("a b", False), ("a\x7f", False), ("é", False)],
)
def test_a_parameter_value_is_printable_ascii_without_blank_and_semicolon(
    content: str, fits: bool
) -> None:
    assert is_parameter_value(content) is fits


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"issuer_domain_name": "a_b"}, "issuer-domain-name cannot be used: 'a_b'"),
        ({"account_uri": ""}, "the mandatory accounturi is empty"),
        ({"account_uri": "a b"}, "the value of accounturi has a blank"),
        ({"persist_until": 2**63}, f"persistUntil {2**63} does not fit"),
        ({"persist_until": -(2**63) - 1}, "does not fit a signed 64-bit integer"),
    ],
)
def test_a_record_that_cannot_be_written_is_not_made(fields: dict[str, object], words: str) -> None:
    with pytest.raises(MalformedRecord, match=words) as error:
        dataclasses.replace(ValidationRecord(CA, URI), **fields)  # type: ignore[arg-type]
    assert error.value.reason == str(error.value)


@pytest.mark.parametrize(
    ("content", "until"),
    [("000000000000000000000000012", 12), ("-0", 0), ("-0000000000000000000000001", -1)],
)
def test_leading_zeros_of_persist_until_count_for_nothing(content: str, until: int) -> None:
    assert parse_record(f"{CA}; accounturi=x; persistUntil={content}").persist_until == until


@pytest.mark.parametrize("digits", [20, 5000])
def test_too_long_a_persist_until_is_named_by_its_beginning(digits: int) -> None:
    with pytest.raises(MalformedRecord) as error:
        parse_record(f"{CA}; accounturi=x; persistUntil={'9' * digits}")
    assert error.value.reason == (
        f"persistUntil '{'9' * min(digits, 30)}' is not a decimal number of UNIX seconds in 64 bits"
    )


def findings(*values: str, wildcard: bool = False) -> list[tuple[str, str]]:
    evaluation = evaluate(
        values, issuer_domain_names=[CA], account_uris=[URI], wildcard=wildcard, at=NOW
    )
    return [(finding.verdict, finding.reason) for finding in evaluation.findings]


@pytest.mark.parametrize(
    ("value", "verdict", "reason"),
    [
        (f"{CA}; accounturi={URI}", "valid", "authorises"),
        ("v=spf1 -all", "unauthorized", "does not start with a CA's name"),
        ("other.example; x", "unauthorized", "is for another CA, other.example"),
        (f"{CA}; x", "malformed", "the parameter 'x' has no '='"),
        (f"{CA}; accounturi=x", "unauthorized", "names another account, x"),
        (
            f"{CA}; accounturi={URI}; persistUntil={NOW - 1}",
            "unauthorized",
            "expired: its persistUntil was 2027-01-15T07:59:59Z",
        ),
        (
            f"{CA}; accounturi={URI}; persistUntil=0",
            "unauthorized",
            "expired: its persistUntil was 1970-01-01T00:00:00Z",
        ),
    ],
)
def test_each_value_has_a_verdict_and_a_reason(value: str, verdict: str, reason: str) -> None:
    assert findings(value) == [(verdict, reason)]


def test_a_record_without_the_wildcard_is_faulted_before_its_end() -> None:
    assert findings(f"{CA}; accounturi={URI}; persistUntil=1", wildcard=True) == [
        ("unauthorized", "lacks policy=wildcard, which a wildcard name needs")
    ]


def test_a_value_for_another_ca_is_read_all_the_same() -> None:
    record = ValidationRecord("other.example", URI)
    values = [record.to_value(), "other.example; accounturi=", "not a name; accounturi=x"]
    evaluation = evaluate(
        values, issuer_domain_names=[CA], account_uris=[URI], wildcard=False, at=NOW
    )
    assert [finding.record for finding in evaluation.findings] == [record, None, None]
    assert [finding.value for finding in evaluation.findings] == values


def test_the_callers_issuer_must_be_a_domain_name() -> None:
    with pytest.raises(ValueError, match="a_b"):
        evaluate([], issuer_domain_names=["a_b"], account_uris=[], wildcard=False, at=NOW)


@pytest.mark.parametrize(
    ("ends", "order", "end"),
    [
        ([], [], None),
        ([5], [5], NOW + 5),
        ([None], [None], None),
        ([None, 5], [5, None], None),
        ([7, 5, -1, 9], [5, 7, 9], NOW + 9),
        ([-1], [], None),
    ],
)
def test_what_authorises_is_in_the_order_of_its_end_and_the_last_end_counts(
    ends: list[int | None], order: list[int | None], end: int | None
) -> None:
    def record(end: int | None) -> ValidationRecord:
        return ValidationRecord(CA, URI, None, None if end is None else NOW + end)

    evaluation = evaluate(
        [record(each).to_value() for each in ends],
        issuer_domain_names=[CA],
        account_uris=[URI],
        wildcard=False,
        at=NOW,
    )
    expected = [record(each) for each in order]
    assert list(evaluation.authorizing.items()) == [(r.to_value(), r) for r in expected]
    assert evaluation.end == end
    assert evaluation.authorized is bool(order)


def test_a_finding_without_a_record_or_an_end_never_ends() -> None:
    assert Finding("x", Verdict.MALFORMED, "", None).end == math.inf
    assert Finding("x", Verdict.VALID, "", ValidationRecord(CA, URI)).end == math.inf
    assert Finding("x", Verdict.VALID, "", ValidationRecord(CA, URI, None, 0)).end == 0


def test_only_a_valid_finding_authorises() -> None:
    authorizing = [each for each in Verdict if Finding("x", each, "", None).authorized]
    assert authorizing == [Verdict.VALID]


RECORD = ValidationRecord(CA, URI)
FINDING = Finding(RECORD.to_value(), Verdict.VALID, "authorises", RECORD)


@pytest.mark.parametrize("value", [RECORD, FINDING, Evaluation(Verdict.VALID, (FINDING,))])
def test_equal_ones_count_once(value: object) -> None:
    assert len({value, dataclasses.replace(value)}) == 1  # type: ignore[type-var]
