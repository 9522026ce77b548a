"""Against moto behind a front that is as strict as AWS: the traps of Route 53, and its bad days."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.exceptions import ClientError
from certbot.errors import SignalExit
from support.at_once import at_once
from support.aws import NAMESPACE, Aws, Fault
from support.certbot import Certbot
from support.nameserver import Nameserver
from support.pebble import ISSUER, Pebble
from support.process import free_port

from certbot_dns_persist.errors import ConfigurationError, OutcomeUnknown, ProviderError
from certbot_dns_persist.providers import loader, route53
from certbot_dns_persist.providers.interface import Addition, Seen, Served, Settings
from certbot_dns_persist.providers.route53 import Route53
from certbot_dns_persist.record import validation_domain_name

NAME = "_validation-persist.www.example.test"
OURS = "ca.example; accounturi=https://ca.example/acct/1; persistUntil=1830000000"
OURS_WRITTEN = f'"{OURS}"'

FOREIGN = [
    r'"caf\303\251 \101lt"',
    r'"other.example\; accounturi=https://other.example/1"',
    r'"quotes \" and \\ backslashes"',
    '"two" "strings"',
    '""',
]
"""Values that we would write otherwise, as AWS has them."""

POLICY = Path(__file__).parents[2] / "examples" / "route53-policy.json"

FILE_SECRET = "wJalrXUtnFEMI/from/the/file"
FILE_TOKEN = "session-token-from-the-file"

Make = Callable[..., Route53]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    """An AWS account that boto3 finds in the environment, and nothing else of this machine."""
    for variable in os.environ:
        if variable.startswith("AWS_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(route53, "_POLL", 0.01)
    monkeypatch.setattr(route53, "_ATTEMPTS", 2)
    with Aws() as running:
        for variable, value in running.variables.items():
            monkeypatch.setenv(variable, value)
        yield running


@pytest.fixture
def secrets(aws: Aws) -> list[str]:
    """What nobody may read anywhere."""
    variables = aws.variables
    return [
        variables["AWS_SECRET_ACCESS_KEY"],
        variables["AWS_SESSION_TOKEN"],
        FILE_SECRET,
        FILE_TOKEN,
    ]


@pytest.fixture(autouse=True)
def no_secret_is_logged(
    secrets: list[str], caplog: pytest.LogCaptureFixture, told: list[str]
) -> Iterator[None]:
    caplog.set_level("DEBUG")
    yield
    logged = [record.getMessage() for record in caplog.get_records("call")]
    for secret in secrets:
        assert secret not in "".join(logged + told)


@pytest.fixture
def zone(aws: Aws) -> str:
    return aws.add_zone("example.test")


@pytest.fixture
def told() -> list[str]:
    """What the user was told."""
    return []


@pytest.fixture
def make(aws: Aws, told: list[str]) -> Make:
    """Make a provider; keyword arguments are its credentials."""
    return lambda **keys: Route53(Settings(keys, "/etc/dns.ini", told.append))


@pytest.fixture
def provider(make: Make, zone: str) -> Route53:
    return make()


@pytest.fixture
def refused(secrets: list[str]) -> Callable[..., str]:
    """Assert that a call fails with these words, and shows no secret; return the message."""

    def refused(
        words: str,
        call: Callable[..., object],
        *arguments: Any,
        kind: type[Exception] = ProviderError,
    ) -> str:
        with pytest.raises(kind, match=words) as caught:
            call(*arguments)
        link: BaseException | None = caught.value
        while link:
            for secret in secrets:
                assert secret not in f"{link} {link!r}"
            link = link.__context__
        return str(caught.value)

    return refused


Refused = Callable[..., str]


# Adding, listing, removing.


def test_a_value_that_is_added_is_listed(
    provider: Route53, aws: Aws, zone: str, told: list[str]
) -> None:
    assert provider.list_values(NAME) == []

    assert provider.add_value(NAME, OURS, 300) == 300

    assert provider.list_values(NAME) == [OURS]
    assert aws.written(zone, NAME) == [OURS_WRITTEN]
    assert aws.ttl(zone, NAME) == 300
    assert told == []


def test_adding_a_value_again_changes_nothing(
    provider: Route53, aws: Aws, zone: str, told: list[str]
) -> None:
    provider.add_value(NAME, OURS, 300)

    assert provider.add_value(NAME, OURS, 60) == 300

    assert aws.count("ChangeResourceRecordSets") == 1
    assert aws.written(zone, NAME) == [OURS_WRITTEN]
    assert len(told) == 1
    assert "300 seconds instead of 60" in told[0]


def test_removing_what_is_not_there_changes_nothing(provider: Route53, aws: Aws, zone: str) -> None:
    provider.remove_value(NAME, OURS)
    aws.create(zone, NAME, *FOREIGN)
    provider.remove_value(NAME, OURS)

    assert aws.count("ChangeResourceRecordSets") == 0
    assert aws.written(zone, NAME) == sorted(FOREIGN)


def test_removing_the_last_value_removes_the_set(provider: Route53, aws: Aws, zone: str) -> None:
    provider.add_value(NAME, OURS, 300)
    provider.remove_value(NAME, OURS)
    provider.remove_value(NAME, OURS)

    assert aws.record_sets(zone, NAME) == []
    provider.add_value(NAME, OURS, 60)
    assert aws.ttl(zone, NAME) == 60


def test_what_others_wrote_stays_byte_for_byte(
    provider: Route53, aws: Aws, zone: str, told: list[str]
) -> None:
    aws.create(zone, NAME, *FOREIGN, TTL=7200)
    aws.create(zone, NAME, '0 issue "ca.example"', Type="CAA")

    assert provider.add_value(NAME, OURS, 300) == 7200
    both = sorted([*FOREIGN, OURS_WRITTEN, '0 issue "ca.example"'])
    assert aws.written(zone, NAME) == both
    assert len(told) == 1
    assert "7200 seconds instead of 300" in told[0]

    provider.remove_value(NAME, OURS)
    assert aws.written(zone, NAME) == sorted([*FOREIGN, '0 issue "ca.example"'])
    assert {each["TTL"] for each in aws.record_sets(zone, NAME) if each["Type"] == "TXT"} == {7200}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"caf\303\251 \101lt"', "caf\u00e9 Alt"),
        (r'"a\;b"', "a;b"),
        (r'"quotes \" and \\ backslashes"', 'quotes " and \\ backslashes'),
        (r'"\\101"', r"\101"),
        (r'"\377"', b"\xff".decode("utf-8", "surrogateescape")),
        (r'"\303" "\251"', "\u00e9"),
        ('"two" "strings"', "twostrings"),
        ('""', ""),
    ],
)
def test_a_value_is_the_same_however_it_is_written(
    provider: Route53, aws: Aws, zone: str, written: str, value: str
) -> None:
    aws.create(zone, NAME, written)

    assert provider.list_values(NAME) == [value]
    provider.add_value(NAME, value, 300)
    assert aws.written(zone, NAME) == [written]
    provider.remove_value(NAME, value)
    assert aws.record_sets(zone, NAME) == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        'quotes " and \\ and \\" and ; and  blanks',
        "\\101 \\\\",
        "tab\tand\x00and\x7f",
        "caf\u00e9",
        b"\xff\xfe not UTF-8".decode("utf-8", "surrogateescape"),
        "<&>'",
        "x" * 255,
        "y" * 256,
        "\u00e9" * 150,
    ],
)
def test_any_value_comes_back_as_it_was(provider: Route53, value: str) -> None:
    provider.add_value(NAME, value, 300)
    assert provider.list_values(NAME) == [value]

    provider.remove_value(NAME, value)
    assert provider.list_values(NAME) == []


def test_a_value_over_255_octets_becomes_several_strings(
    provider: Route53, aws: Aws, zone: str
) -> None:
    provider.add_value(NAME, "v" * 300, 300)

    assert aws.written(zone, NAME) == [f'"{"v" * 255}" "{"v" * 45}"']
    assert provider.list_values(NAME) == ["v" * 300]


@pytest.mark.parametrize(("asked", "used"), [(-1, 0), (2**31, 2**31 - 1)])
def test_a_ttl_out_of_bounds_becomes_the_nearest(
    provider: Route53, aws: Aws, zone: str, told: list[str], asked: int, used: int
) -> None:
    assert provider.add_value(NAME, OURS, asked) == used

    assert aws.ttl(zone, NAME) == used
    assert f"{used} seconds instead of {asked}" in told[0]


# Others who write at the same time.


@pytest.mark.parametrize("adding", [True, False])
@pytest.mark.parametrize(
    ("action", "values", "ttl"),
    [
        ("UPSERT", [*FOREIGN, OURS_WRITTEN, '"new"'], 300),
        ("UPSERT", [*FOREIGN, OURS_WRITTEN], 60),
        ("UPSERT", FOREIGN[1:], 300),
        ("DELETE", [*FOREIGN, '"wanted"'], 300),
    ],
)
def test_what_changes_between_reading_and_writing_is_not_lost(
    provider: Route53,
    aws: Aws,
    zone: str,
    adding: bool,
    action: str,
    values: list[str],
    ttl: int,
) -> None:
    standing = [*FOREIGN, '"wanted"']
    aws.create(zone, NAME, *standing)

    def meanwhile() -> None:
        aws.change(zone, action, NAME, values, TTL=ttl)

    aws.faults.append(Fault("ChangeResourceRecordSets", times=1, meanwhile=meanwhile))

    if adding:
        provider.add_value(NAME, OURS, 300)
    else:
        provider.remove_value(NAME, "wanted")

    expected = set() if action == "DELETE" else {*values}
    expected |= {OURS_WRITTEN} if adding else set()
    assert aws.written(zone, NAME) == sorted(expected)
    if expected:
        assert aws.ttl(zone, NAME) == ttl


def test_a_set_that_others_create_first_is_joined(provider: Route53, aws: Aws, zone: str) -> None:
    aws.faults.append(
        Fault(
            "ChangeResourceRecordSets",
            times=1,
            meanwhile=lambda: aws.create(zone, NAME, *FOREIGN, TTL=60),
        )
    )

    assert provider.add_value(NAME, OURS, 300) == 60

    assert aws.written(zone, NAME) == sorted([*FOREIGN, OURS_WRITTEN])


def test_ten_writers_at_once_lose_nothing(make: Make, aws: Aws, zone: str) -> None:
    aws.create(zone, NAME, *FOREIGN, *(f'"old {number}"' for number in range(10)), TTL=7200)
    providers = [make() for _ in range(10)]

    def write(number: int) -> None:
        providers[number].add_value(NAME, f"new {number}", 300)
        providers[number].remove_value(NAME, f"old {number}")

    for provider in providers:
        provider.zone_for(NAME)
    at_once(10, write)

    expected = [*FOREIGN, *(f'"new {number}"' for number in range(10))]
    assert aws.written(zone, NAME) == sorted(expected)
    assert aws.ttl(zone, NAME) == 7200


def test_a_set_that_never_rests_is_given_up(
    provider: Route53, aws: Aws, zone: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route53, "_TRIES", 3)
    ttls = iter(range(1, 100))

    def meanwhile() -> None:
        aws.change(zone, "UPSERT", NAME, FOREIGN, TTL=next(ttls))

    aws.faults.append(Fault("ChangeResourceRecordSets", meanwhile=meanwhile))

    message = refused("changed each of the 3 times", provider.add_value, NAME, OURS, 300)

    assert f"{NAME} in the Route 53 zone example.test ({zone})" in message
    assert aws.written(zone, NAME) == sorted(FOREIGN)


def test_a_change_that_aws_refuses_for_another_reason_is_told_soon(
    provider: Route53, aws: Aws, zone: str, refused: Refused
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    words = "[Number of records limit of 400 exceeded.]"
    aws.faults.append(Fault("ChangeResourceRecordSets", code="InvalidChangeBatch", words=words))

    message = refused("limit of 400 exceeded", provider.add_value, NAME, OURS, 300)

    assert f"change the TXT records at {NAME} in the zone example.test ({zone})" in message
    assert "nothing was changed" in message
    assert aws.count("ChangeResourceRecordSets") == 1
    assert aws.written(zone, NAME) == sorted(FOREIGN)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("trouble", [{"hang_up": True}, {"delay": 1.0, "hang_up": True}])
def test_an_answer_that_is_lost_does_no_harm(
    make: Make,
    aws: Aws,
    zone: str,
    monkeypatch: pytest.MonkeyPatch,
    done: bool,
    trouble: dict[str, Any],
) -> None:
    monkeypatch.setattr(route53, "_ANSWER", 0.5)
    aws.create(zone, NAME, *FOREIGN, '"old"')
    provider = make()

    aws.faults.append(Fault("ChangeResourceRecordSets", times=1, done=done, **trouble))
    provider.add_value(NAME, OURS, 300)
    aws.faults.append(Fault("ChangeResourceRecordSets", times=1, done=done, **trouble))
    provider.remove_value(NAME, "old")

    assert aws.written(zone, NAME) == sorted([*FOREIGN, OURS_WRITTEN])


# What cannot be changed from here.


def test_nothing_is_added_beside_an_alias(
    provider: Route53, aws: Aws, zone: str, refused: Refused
) -> None:
    aws.create(zone, NAME, "_acme.example.net.", Type="CNAME")

    assert provider.list_values(NAME) == []
    provider.remove_value(NAME, OURS)
    message = refused(
        r"alias \(CNAME\) for _acme\.example\.net\.", provider.add_value, NAME, OURS, 1
    )

    assert NAME in message
    assert aws.count("ChangeResourceRecordSets") == 0
    assert aws.written(zone, NAME) == ["_acme.example.net."]


def test_an_alias_that_appears_meanwhile_is_not_overwritten(
    provider: Route53, aws: Aws, zone: str, refused: Refused
) -> None:
    def meanwhile() -> None:
        aws.create(zone, NAME, "_acme.example.net.", Type="CNAME")

    aws.faults.append(Fault("ChangeResourceRecordSets", times=1, meanwhile=meanwhile))

    refused("alias", provider.add_value, NAME, OURS, 300)

    assert aws.written(zone, NAME) == ["_acme.example.net."]


@pytest.mark.parametrize(
    "policy",
    [
        {"SetIdentifier": "blue", "Weight": 10},
        {"SetIdentifier": "blue", "Region": "eu-west-1"},
        {"SetIdentifier": "blue", "MultiValueAnswer": True},
    ],
)
def test_records_with_a_routing_policy_are_left_alone(
    provider: Route53, aws: Aws, zone: str, refused: Refused, policy: dict[str, Any]
) -> None:
    aws.create(zone, NAME, *FOREIGN[:2], **policy)
    aws.create(zone, NAME, *FOREIGN[2:], **{**policy, "SetIdentifier": "green"})
    before = aws.record_sets(zone, NAME)
    assert "twostrings" in provider.list_values(NAME)

    provider.add_value(NAME, "twostrings", 300)
    provider.remove_value(NAME, OURS)
    refused("routing policy .*'blue'.*simple routing", provider.add_value, NAME, OURS, 300)
    refused("routing policy", provider.remove_value, NAME, "twostrings")

    assert aws.record_sets(zone, NAME) == before
    assert aws.count("ChangeResourceRecordSets") == 0


def test_aliases_of_route_53s_own_kind_are_left_alone(
    provider: Route53, aws: Aws, zone: str, refused: Refused
) -> None:
    target = {"HostedZoneId": zone, "DNSName": "t.example.test.", "EvaluateTargetHealth": False}
    aws.create(zone, NAME, AliasTarget=target)
    before = aws.record_sets(zone, NAME)

    assert provider.list_values(NAME) == []
    provider.remove_value(NAME, OURS)
    refused(r"own kind of alias, for t\.example\.test,", provider.add_value, NAME, OURS, 300)

    assert aws.record_sets(zone, NAME) == before


def test_records_of_a_traffic_policy_are_left_alone(
    provider: Route53, aws: Aws, refused: Refused
) -> None:
    aws.faults.append(
        Fault(
            "ListResourceRecordSets",
            body=f'<ListResourceRecordSetsResponse xmlns="{NAMESPACE}"><ResourceRecordSets>'
            f"<ResourceRecordSet><Name>{NAME}.</Name><Type>TXT</Type><TTL>60</TTL><ResourceRecords>"
            "<ResourceRecord><Value>&quot;x&quot;</Value></ResourceRecord></ResourceRecords>"
            "<TrafficPolicyInstanceId>d29f8d4e</TrafficPolicyInstanceId></ResourceRecordSet>"
            "</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>20</MaxItems>"
            "</ListResourceRecordSetsResponse>",
        )
    )

    refused("traffic policy instance d29f8d4e", provider.add_value, NAME, OURS, 300)

    assert aws.count("ChangeResourceRecordSets") == 0


# Finding the zone.


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("example.test", "example.test"),
        (NAME, "example.test"),
        ("_validation-persist.deep.child.example.test", "child.example.test"),
        ("child.example.test", "child.example.test"),
        ("notexample.test", "test"),
        ("WWW.Example.Test", "example.test"),
    ],
)
def test_the_zone_with_the_longest_name_is_taken(
    provider: Route53, aws: Aws, name: str, longest: str
) -> None:
    aws.add_zone("child.example.test")
    aws.add_zone("test")
    aws.add_zone("deep.child.example.test", private=True)

    assert provider.zone_for(name) == longest


def test_zones_are_listed_to_the_last_page_and_once(provider: Route53, aws: Aws, zone: str) -> None:
    *_, last = [aws.add_zone(f"n{number}.test") for number in range(120)]
    elsewhere = "_validation-persist.n119.test"

    provider.add_value(elsewhere, OURS, 300)
    provider.add_value(NAME, OURS, 300)

    assert aws.written(last, elsewhere) == [OURS_WRITTEN]
    assert aws.written(zone, NAME) == [OURS_WRITTEN]
    assert aws.count("ListHostedZones") == 2


def test_a_private_zone_of_the_same_name_is_passed_over(make: Make, aws: Aws) -> None:
    private = aws.add_zone("example.test", private=True)
    public = aws.add_zone("example.test")
    aws.create(private, NAME, *FOREIGN)

    make().add_value(NAME, OURS, 300)

    assert aws.written(public, NAME) == [OURS_WRITTEN]
    assert aws.written(private, NAME) == sorted(FOREIGN)


def test_several_public_zones_of_one_name_are_told_apart_by_the_user(
    make: Make, aws: Aws, refused: Refused
) -> None:
    first, second = aws.add_zone("example.test"), aws.add_zone("example.test")
    for zone in (first, second):
        aws.create(zone, NAME, *FOREIGN)

    message = refused("2 public ones called example.test", make().add_value, NAME, OURS, 300)

    assert first in message
    assert second in message
    assert "/etc/dns.ini: dns_persist_route53_hosted_zone_id = ID" in message
    make(hosted_zone_id=f"/hostedzone/{second}").add_value(NAME, OURS, 300)
    assert aws.written(first, NAME) == sorted(FOREIGN)
    assert aws.written(second, NAME) == sorted([*FOREIGN, OURS_WRITTEN])
    assert aws.count("ListHostedZones") == 1


@pytest.mark.parametrize("served", ["example.test", "child.example.test", None])
def test_of_nested_zones_the_one_that_dns_asks_is_written_to(
    aws: Aws, zone: str, served: str | None
) -> None:
    """The account has both; whether the inner one is delegated only DNS knows."""
    inner = aws.add_zone("child.example.test")
    name = "_validation-persist.child.example.test"

    def observe(asked: str) -> Served:
        assert asked == name  # others are in one zone only, so DNS need not be asked
        if served is None:
            raise ProviderError("no name server answers")
        return Served([], served)

    provider = Route53(Settings({}, None, print, observe))
    provider.add_value(name, OURS, 300)
    provider.add_value(NAME, OURS, 300)
    written, other = (zone, inner) if served == "example.test" else (inner, zone)
    assert aws.written(written, name) == [OURS_WRITTEN]
    assert aws.written(other, name) == []
    assert aws.written(zone, NAME) == [OURS_WRITTEN]


def test_a_zone_that_is_named_may_be_private(make: Make, aws: Aws) -> None:
    private = aws.add_zone("example.test", private=True)
    aws.add_zone("example.test")

    make(hosted_zone_id=private).add_value(NAME, OURS, 300)

    assert aws.written(private, NAME) == [OURS_WRITTEN]


def test_a_name_outside_of_the_zone_that_is_named_is_an_error(
    make: Make, zone: str, refused: Refused
) -> None:
    provider = make(hosted_zone_id=zone)

    message = refused("is not in the Route 53 zone", provider.add_value, "other.test", OURS, 300)

    assert f"other.test is not in the Route 53 zone example.test ({zone})" in message
    assert "dns_persist_route53_hosted_zone_id in /etc/dns.ini" in message


def test_a_zone_that_is_not_there_tells_what_was_looked_for(
    make: Make, aws: Aws, refused: Refused
) -> None:
    private = aws.add_zone("example.test", private=True)
    aws.add_zone("other.test", private=True)

    message = refused("Cannot find the zone of", make().add_value, NAME, OURS, 300)

    assert f"called {NAME} or www.example.test or example.test or test." in message
    assert f"private ones, which no CA can see: example.test ({private})." in message


# Many names at once.


def numbered(count: int) -> list[str]:
    return [f"_validation-persist.{number:03}.example.test" for number in range(count)]


def test_many_names_are_read_from_the_pages_they_are_on(
    provider: Route53, aws: Aws, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route53, "_PAGE", 4)
    monkeypatch.setattr(route53, "_FEW", 2)
    names = numbered(9)
    for name in names[:6]:
        aws.create(zone, name, *FOREIGN)
        aws.create(zone, name, "192.0.2.1", Type="A")
    aws.create(zone, "_validation-persist.000a.example.test", '"not asked for"')
    theirs = provider.list_values(names[0])
    aws.requests.clear()

    seen = provider.look_at_many([*reversed(names), "_v.nobodys.test"])
    assert seen[:3] == [Seen("example.test", [])] * 3
    assert seen[3:9] == [Seen("example.test", theirs)] * 6
    assert "Cannot find the zone of _v.nobodys.test" in str(seen[9])
    assert aws.count("ListResourceRecordSets") <= 6


@pytest.mark.parametrize("last", ["_validation-persist.001.example.test", NAME])
def test_a_page_that_ends_within_a_name_is_not_the_end_of_it(
    provider: Route53, aws: Aws, zone: str, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(route53, "_PAGE", 1)
    monkeypatch.setattr(route53, "_FEW", 1)
    names = ["_validation-persist.000.example.test", last]
    for name in names:
        aws.create(zone, name, "192.0.2.1", Type="A")
        aws.create(zone, name, OURS_WRITTEN)
    assert provider.look_at_many(names) == [Seen("example.test", [OURS])] * 2


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("a-b.example.test", "a.example.test"),
        ("example.test", "a.example.test"),
        ("*.example.test", "a.example.test"),
        ("z.a.example.test", "b.example.test"),
    ],
)
def test_names_are_sorted_as_aws_documents_it(lower: str, upper: str) -> None:
    """By the labels from right to left, with the dot that ends a name."""
    names = [f"_v.{upper}", f"_v.{lower}"]
    assert sorted(names, key=route53._order) == names[::-1]


@pytest.mark.parametrize(
    ("limit", "most", "batches"), [("_MOST_RECORDS", 10, 3), ("_MOST_CHARACTERS", 299, 4)]
)
def test_a_batch_has_no_more_than_aws_takes(
    provider: Route53,
    aws: Aws,
    zone: str,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    most: int,
    batches: int,
) -> None:
    monkeypatch.setattr(route53, limit, most)
    names = numbered(8)
    for name in names[:4]:
        aws.create(zone, name, '"theirs"', '"more of theirs"')
    assert provider.add_many([Addition(name, OURS, 300) for name in names]) == [300] * 8
    assert aws.count("ChangeResourceRecordSets") == batches
    for name in names:
        before = ['"more of theirs"', '"theirs"'] if name in names[:4] else []
        assert aws.written(zone, name) == sorted([*before, OURS_WRITTEN])


def test_a_zone_full_of_long_values_is_changed_in_batches_that_aws_takes(
    provider: Route53, aws: Aws, zone: str
) -> None:
    """It takes seconds, as there are 400 names: with less than that no limit is reached."""
    names = numbered(400)
    outcomes = provider.add_many([Addition(name, OURS + "x" * 100, 300) for name in names])
    assert outcomes == [300] * 400
    assert aws.count("ChangeResourceRecordSets") == 3
    assert aws.count("ListResourceRecordSets") == 1


def test_only_the_records_at_the_name_are_read(provider: Route53, aws: Aws, zone: str) -> None:
    for number in range(50):
        aws.create(zone, f"zz{number}.example.test", '"not ours"')
    aws.create(zone, NAME, *FOREIGN)

    assert len(provider.list_values(NAME)) == len(FOREIGN)
    assert provider.list_values("_validation-persist.zz.example.test") == []

    assert aws.count("ListResourceRecordSets") == 2


def test_a_name_that_aws_escapes_is_the_same_name(provider: Route53, aws: Aws, zone: str) -> None:
    name = "0/25.*.example.test"
    provider.add_value(name, OURS, 300)
    provider.add_value(name, "more", 300)

    assert provider.list_values(name) == [OURS, "more"]
    assert aws.count("ChangeResourceRecordSets") == 2


def test_a_label_with_a_dot_in_it_is_not_taken_for_ours(
    provider: Route53, aws: Aws, zone: str
) -> None:
    others = [
        r"_validation-persist\056www.example.test",
        r"_validation-persist.www\056example.test",
    ]
    for other in others:
        aws.create(zone, other, *FOREIGN, OURS_WRITTEN)
    assert provider.list_values(NAME) == []
    assert provider.look_at_many([NAME, f"a.{NAME}"]) == [Seen("example.test", [])] * 2
    assert provider.add_many([Addition(n, OURS, 300) for n in (NAME, f"a.{NAME}")]) == [300, 300]
    assert aws.written(zone, NAME) == [OURS_WRITTEN]
    provider.remove_value(NAME, OURS)
    assert aws.written(zone, NAME) == []
    for other in others:
        assert aws.written(zone, other) == sorted([*FOREIGN, OURS_WRITTEN])


ODD = [
    r"\052",
    r"\052.1",
    r"\041",
    r"\134",
    r"\134\134",
    r"\056",
    r"\000",
    r"\040",
    r"\377",
    r"\303\251",
]
ODD += [r"a\056b", r"a\134056b", r"\137v", r"\141\142", r"\176", r"\057", "_", "-", "0", "zz", "v"]
"""Labels that AWS may hold."""


@pytest.mark.parametrize("sorted_as_written", [False, True])
@pytest.mark.parametrize("page", ["1", "5"])
def test_a_zone_full_of_odd_names_is_read_and_changed_as_any(
    provider: Route53,
    aws: Aws,
    zone: str,
    page: str,
    sorted_as_written: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(route53, "_PAGE", page)
    if sorted_as_written:
        monkeypatch.setattr("moto.route53.models.reverse_domain_name", as_written)
    for label in ODD:
        aws.create(zone, f"{label}.example.test", *FOREIGN)
        aws.create(zone, f"{label}._validation-persist.example.test", *FOREIGN)
    before = written_in(aws, zone)
    names = [f"{each}.example.test" for each in ("_v", "ab", "a", "*", "a/b", "v", "0")]
    names += [f"{each}._validation-persist.example.test" for each in ("_v", "ab", "*", "v")]
    values = [provider.list_values(name) for name in names]
    assert [bool(each) for each in values] == [
        name[:2] in ("_v", "ab", "*.", "v.", "0.") for name in names
    ]
    assert provider.look_at_many(names) == [Seen("example.test", each) for each in values]
    assert provider.add_many([Addition(name, OURS, 300) for name in names]) == [300] * len(names)
    for name in names:
        written = re.sub(r"[*/]", lambda at: f"\\{ord(at[0]):03o}", name)
        before[f"{written}."] = sorted([*before.get(f"{written}.", []), OURS_WRITTEN])
    assert written_in(aws, zone) == before


def as_written(name: str) -> str:
    """Return what names are sorted by if their escapes are, too."""
    escaped = re.sub(
        r"(\\[0-7]{3})|[^A-Za-z0-9._-]", lambda at: at[1] or f"\\{ord(at[0]):03o}", name
    )
    return "".join(f"{label}." for label in reversed(escaped.removesuffix(".").split(".")))


def written_in(aws: Aws, zone: str) -> dict[str, list[str]]:
    """Return all TXT values of a zone as AWS writes them, by name."""
    found = aws.admin.list_resource_record_sets(HostedZoneId=zone)
    assert not found["IsTruncated"]
    return {
        each["Name"]: sorted(record["Value"] for record in each["ResourceRecords"])
        for each in found["ResourceRecordSets"]
        if each["Type"] == "TXT"
    }


@pytest.mark.parametrize("many", [False, True])
def test_a_change_that_gets_no_answer_is_called_unknown(
    provider: Route53, aws: Aws, zone: str, many: bool
) -> None:
    aws.faults.append(Fault("ChangeResourceRecordSets", hang_up=True))
    additions = [Addition(NAME, OURS, 300), Addition(f"a.{NAME}", OURS, 300)]
    for outcome in provider.add_many(additions if many else additions[:1]):
        assert isinstance(outcome, OutcomeUnknown)


def test_a_change_that_was_never_sent_is_not_called_unknown(
    provider: Route53, aws: Aws, zone: str
) -> None:
    provider.zone_for(NAME)
    aws.faults.append(Fault("ListResourceRecordSets", hang_up=True))
    with pytest.raises(ProviderError) as unsent:
        provider.add_value(NAME, OURS, 300)
    assert not isinstance(unsent.value, OutcomeUnknown)


# Waiting for all of Route 53's servers.


def test_an_addition_is_waited_for_and_a_removal_is_not(
    provider: Route53, aws: Aws, zone: str, told: list[str]
) -> None:
    aws.pending = 3
    provider.add_value(NAME, OURS, 300)
    provider.add_value(NAME, f"{OURS}1", 300)
    assert aws.count("GetChange") == 0
    provider.settle()
    assert aws.count("GetChange") == 8
    provider.settle()

    provider.remove_value(NAME, OURS)
    provider.settle()
    assert aws.count("GetChange") == 8
    assert told == []


def test_a_change_that_stays_pending_is_told(
    provider: Route53, aws: Aws, zone: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route53, "_SYNC", 0.1)
    aws.pending = 10**9

    assert provider.add_value(NAME, OURS, 300) == 300
    provider.settle()

    assert len(told) == 1
    assert f"accepted the record at {NAME}" in told[0]
    assert "PENDING" in told[0]
    assert aws.written(zone, NAME) == [OURS_WRITTEN]


def test_without_the_right_to_watch_the_user_is_told_and_the_record_stands(
    provider: Route53, aws: Aws, zone: str, told: list[str]
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    aws.policy = policy_without("route53:GetChange", zone)

    assert provider.add_value(NAME, OURS, 300) == 300
    provider.settle()

    assert len(told) == 1
    assert "Allow route53:GetChange on arn:aws:route53:::change/*" in told[0]
    assert aws.written(zone, NAME) == sorted([*FOREIGN, OURS_WRITTEN])


# Failures in words.


def policy_without(action: str, zone: str) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(POLICY.read_text().replace("YOUR_HOSTED_ZONE_ID", zone))
    for statement in policy["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        statement["Action"] = [each for each in actions if each != action]
    return policy


@pytest.mark.parametrize(
    ("action", "target", "named"),
    [
        ("ListHostedZones", r"\*", False),
        ("GetHostedZone", "arn:aws:route53:::hostedzone/{zone}", True),
        ("ListResourceRecordSets", "arn:aws:route53:::hostedzone/{zone}", False),
        ("ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/{zone}", False),
    ],
)
def test_a_right_that_lacks_is_named_with_its_zone(
    make: Make, aws: Aws, zone: str, refused: Refused, action: str, target: str, named: bool
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    aws.policy = policy_without(f"route53:{action}", zone)
    provider = make(hosted_zone_id=zone) if named else make()

    words = f"Allow route53:{action} on {target.format(zone=zone)} "
    message = refused(words, provider.add_value, NAME, OURS, 300)

    assert "user/certbot is not authorized" in message
    assert "examples/route53-policy.json" in message
    assert aws.written(zone, NAME) == sorted(FOREIGN)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("InvalidClientTokenId", 403, "does not know the access key"),
        ("ExpiredToken", 403, "have expired.*Renew the credentials that boto3 found"),
        ("SignatureDoesNotMatch", 403, "rejects the signature.*clock"),
        ("Throttling", 400, "slow down 2 times.*5 requests a second"),
        ("PriorRequestNotComplete", 400, "slow down"),
        ("NoSuchHostedZone", 404, "no such hosted zone"),
        ("InternalFailure", 500, r"answered InternalFailure.*request id b25f48e8.*health\.aws"),
    ],
)
@pytest.mark.parametrize("operation", ["ListHostedZones", "ChangeResourceRecordSets"])
def test_what_aws_refuses_is_told_without_secrets_and_nothing_is_lost(
    provider: Route53,
    aws: Aws,
    zone: str,
    refused: Refused,
    operation: str,
    code: str,
    status: int,
    words: str,
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    canonical = "The Canonical String was 'POST x-amz-security-token:{token}'"
    said = canonical if code == "SignatureDoesNotMatch" else "Words of the test."
    aws.faults.append(Fault(operation, code=code, status=status, words=said))

    message = refused(words, provider.add_value, NAME, OURS, 300)

    assert "through Amazon Route 53: " in message
    if operation == "ChangeResourceRecordSets":
        assert f"{NAME} in the zone example.test ({zone})" in message
    assert aws.written(zone, NAME) == sorted(FOREIGN)


@pytest.mark.parametrize("code", ["Throttling", "PriorRequestNotComplete"])
@pytest.mark.parametrize(
    "operation",
    ["ListHostedZones", "ListResourceRecordSets", "ChangeResourceRecordSets", "GetChange"],
)
def test_who_is_asked_to_slow_down_comes_again(
    provider: Route53, aws: Aws, zone: str, told: list[str], operation: str, code: str
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    aws.faults.append(Fault(operation, times=1, code=code, words="Rate exceeded"))

    assert provider.add_value(NAME, OURS, 300) == 300
    provider.settle()

    assert told == []
    assert aws.written(zone, NAME) == sorted([*FOREIGN, OURS_WRITTEN])


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>Please log in</body></html>",
        "not XML",
        f'<ListHostedZonesResponse xmlns="{NAMESPACE}"/>',
    ],
)
@pytest.mark.parametrize("operation", ["ListHostedZones", "ListResourceRecordSets"])
def test_what_is_not_route_53_is_found_out(
    provider: Route53, aws: Aws, zone: str, refused: Refused, operation: str, body: str
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    aws.faults.append(Fault(operation, body=body))

    refused("the answer is not from Route 53.*proxy", provider.add_value, NAME, OURS, 300)

    assert aws.written(zone, NAME) == sorted(FOREIGN)


def test_connections_that_end_are_told(
    provider: Route53, aws: Aws, zone: str, refused: Refused
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    aws.faults.append(Fault("ChangeResourceRecordSets", hang_up=True))

    message = refused("Connection was closed", provider.add_value, NAME, OURS, 300)

    assert aws.endpoint in message
    assert aws.count("ChangeResourceRecordSets") == 2
    assert aws.written(zone, NAME) == sorted(FOREIGN)


def test_an_endpoint_that_is_down_is_named(
    make: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    message = refused("Could not connect.*AWS_ENDPOINT_URL", make().add_value, NAME, OURS, 300)

    assert endpoint in message


def test_a_proxy_of_the_environment_is_used(
    make: Make, aws: Aws, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://route53.invalid")
    monkeypatch.setenv("http_proxy", aws.endpoint)
    assert make().add_value(NAME, OURS, 300) == 300
    assert aws.written(zone, NAME) == [OURS_WRITTEN]


def test_an_endpoint_that_is_no_url_is_told(
    make: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "route53")

    refused("Check .* AWS_ENDPOINT_URL", make().add_value, NAME, OURS, 300)


def test_a_machine_without_credentials_is_told_where_to_put_them(
    make: Make, zone: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    message = refused("no AWS credentials were found", make().add_value, NAME, OURS, 300)

    assert "dns_persist_route53_access_key_id" in message
    assert "/etc/dns.ini" in message
    assert "AWS_ACCESS_KEY_ID" in message


def test_half_of_the_credentials_is_told(
    make: Make, zone: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    refused("PartialCredentialsError.*get-caller-identity", make().add_value, NAME, OURS, 300)


def test_what_a_program_for_credentials_says_is_not_repeated(
    make: Make,
    zone: str,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    program = f"{sys.executable} -c \"import sys; sys.exit('{FILE_SECRET}')\""
    (tmp_path / "config").write_text(f"[profile vault]\ncredential_process = {program}\n")

    provider = make(profile="vault")
    message = refused("CredentialRetrievalError", provider.add_value, NAME, OURS, 300)

    assert "AWS's profile vault, which /etc/dns.ini names" in message


def test_a_role_that_may_not_be_assumed_is_told(
    make: Make, aws: Aws, zone: str, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile dns]\nrole_arn = arn:aws:iam::123456789012:role/dns\n"
        "credential_source = Environment\n"
    )
    words = "User: certbot is not authorized to perform: sts:AssumeRole"
    aws.faults.append(Fault("AssumeRole", code="AccessDenied", status=403, words=words))

    message = refused("allow the role to be assumed", make(profile="dns").zone_for, NAME)

    assert words in message
    assert "the credentials of AWS's profile dns, which /etc/dns.ini names" in message


def test_a_zone_id_that_is_not_there_is_named(make: Make, aws: Aws, refused: Refused) -> None:
    provider = make(hosted_zone_id="Z0123")

    message = refused("no such hosted zone", provider.add_value, NAME, OURS, 300)

    assert "dns_persist_route53_hosted_zone_id in /etc/dns.ini" in message
    assert "Z0123" in message


# Settings.


def test_the_keys_of_the_file_are_used(make: Make, aws: Aws, zone: str) -> None:
    make(
        access_key_id="AKIAFILE", secret_access_key=FILE_SECRET, session_token=FILE_TOKEN
    ).add_value(NAME, OURS, 300)

    assert {(r.access_key, r.token) for r in aws.requests} == {("AKIAFILE", FILE_TOKEN)}


def test_a_profile_is_used(make: Make, aws: Aws, zone: str, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        f"[dns]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = {FILE_SECRET}\n"
    )

    make(profile="dns").add_value(NAME, OURS, 300)

    assert {request.access_key for request in aws.requests} == {"AKIAPROFILE"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"access_key_id": "A"}, "route53_access_key_id in .* without .*route53_secret_access_key"),
        (
            {"secret_access_key": FILE_SECRET},
            "route53_secret_access_key in /etc/dns.ini .* without .*route53_access_key_id",
        ),
        (
            {"session_token": FILE_TOKEN, "access_key_id": " "},
            "without dns_persist_route53_access_key_id and dns_persist_route53_secret_access_key",
        ),
        (
            {"access_key_id": "A", "secret_access_key": FILE_SECRET, "profile": "dns"},
            "dns_persist_route53_profile and .* exclude each other",
        ),
        (
            {"hosted_zone_id": "example.test"},
            "route53_hosted_zone_id in /etc/dns.ini .*list-hosted",
        ),
        ({"profile": "nobody"}, r"profile \(nobody\) could not be found.*route53_profile"),
    ],
)
def test_settings_that_cannot_be_used_are_named_with_their_file_and_not_shown(
    make: Make, aws: Aws, refused: Refused, keys: dict[str, str], words: str
) -> None:
    refused(words, lambda: make(**keys), kind=ConfigurationError)

    assert aws.requests == []


def test_files_of_aws_that_are_damaged_are_named_and_not_shown(
    make: Make, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(f"[default]\n{FILE_SECRET}\n")

    message = refused("settings cannot be used", lambda: make(profile="x"), kind=ConfigurationError)

    assert str(tmp_path / "config") in message


def test_a_boto3_that_is_missing_is_named(
    make: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    refused(r"pip install 'certbot-dns-persist\[route53\]'", make, kind=ConfigurationError)


def test_boto3_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, certbot_dns_persist.providers.route53; sys.exit('boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_loader_finds_it_and_holds_it_to_its_contract(told: list[str]) -> None:
    assert isinstance(loader.load("route53", Settings({}, None, told.append)), Route53)


# The policy that users copy.


def test_the_policy_allows_all_that_is_needed(
    make: Make, aws: Aws, zone: str, told: list[str]
) -> None:
    aws.create(zone, NAME, *FOREIGN)
    aws.policy = policy_without("", zone)

    for provider in (make(), make(hosted_zone_id=zone)):
        provider.add_value(NAME, OURS, 300)
        provider.settle()
        assert OURS in provider.list_values(NAME)
        provider.remove_value(NAME, OURS)

    assert aws.written(zone, NAME) == sorted(FOREIGN)
    assert told == []
    granted = json.dumps(aws.policy)
    used = {request.operation for request in aws.requests}
    assert used == set(route53_actions(aws.policy))
    assert zone in granted


def route53_actions(policy: dict[str, Any]) -> Iterator[str]:
    for statement in policy["Statement"]:
        for action in statement["Action"]:
            yield action.removeprefix("route53:")


@pytest.mark.parametrize(
    ("action", "name", "more"),
    [
        ("CREATE", "www.example.test", {}),
        ("CREATE", "_acme-challenge.example.test", {}),
        ("CREATE", NAME, {"Type": "SPF"}),
        ("UPSERT", NAME, {}),
    ],
)
def test_the_policy_allows_nothing_else(
    aws: Aws, zone: str, action: str, name: str, more: dict[str, str]
) -> None:
    aws.policy = policy_without("", zone)
    record_set = {"Name": name, "Type": "TXT", "TTL": 1, "ResourceRecords": [{"Value": '"x"'}]}
    change = {"Action": action, "ResourceRecordSet": record_set | more}

    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("route53").change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": [change]}
        )


# The whole way.


def test_a_certificate_and_its_renewal_without_anything_of_aws(
    aws: Aws,
    nameserver: Nameserver,
    nameserver_pebble: Pebble,
    tmp_path: Path,
    secrets: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in aws.variables:
        monkeypatch.delenv(variable)
    certbot = Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )
    name = validation_domain_name("example.test")
    aws.served = nameserver.zones
    aws.pending = 0
    zone = aws.add_zone("example.test")
    aws.create(zone, name, *FOREIGN)

    done = certbot.certonly(
        "--dns-persist-provider=route53",
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
        *("-d", "example.test"),
        env=aws.variables,
    )

    assert done.returncode == 0, done.output
    record = f"{ISSUER}; accounturi={certbot.account_url}"
    assert aws.written(zone, name) == sorted([*FOREIGN, f'"{record}"'])
    assert record in nameserver.values(name)
    (line,) = certbot.journal()
    assert (line["provider"], line["zone"], line["result"]) == ("route53", "example.test", "ok")
    for secret in secrets:
        assert secret not in done.output + done.log + json.dumps(line)

    asked, serial = len(aws.requests), certbot.certificate("example.test").serial
    done = certbot.renew("--force-renewal")

    assert done.returncode == 0, done.output
    assert certbot.certificate("example.test").serial != serial
    assert len(aws.requests) == asked
    assert certbot.journal() == [line]


def test_a_signal_during_a_request_is_no_fault_of_the_service(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK takes every exception for one of the connection."""

    def end(*_: object, **__: object) -> None:
        raise SignalExit

    monkeypatch.setattr(AWSHTTPConnectionPool, "urlopen", end)
    monkeypatch.setattr(AWSHTTPSConnectionPool, "urlopen", end)
    with pytest.raises(SignalExit):
        make().list_values(NAME)
