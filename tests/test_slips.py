"""Records that were entered with a slip: told, with the correction, by an order and by commands."""

from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import PROGRAM, Companion, run
from support.pebble import ISSUER

from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.value.txt import quoted

URI = "https://ca.example/my-account/1"
VALUE = f"ca.example; accounturi={URI}"
WHO = ("--issuer", "ca.example", "--account-uri", URI)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f'"{VALUE}"', f"which only zone files need. Enter it without them: {VALUE}"),
        (VALUE.replace(";", "\\;"), f"which only zone files need. Enter it without them: {VALUE}"),
        (VALUE.replace("my-a", "My-A"), f"upper and lower case count. Enter it as {URI}"),
    ],
)
@pytest.mark.parametrize("command", ["check", "audit"])
def test_a_slip_in_the_value_is_told_with_its_correction(
    companion: Companion, bind: Bind, domain: str, value: str, words: str, command: str
) -> None:
    bind.add_txt(validation_domain_name(domain), value)
    resolver = f"--dns-persist-resolvers={bind.resolver.address}"
    done = companion(command, *WHO, resolver, "-d", domain, "--json")
    assert done.returncode == 2, done.output
    (record,) = done.report["records"]
    assert record["status"] == "mismatch"
    assert words in record["reason"]
    assert record["expected_value"] == VALUE
    if command == "audit":
        (notice,) = record["notices"]
        assert VALUE in notice["reason"] or URI in notice["reason"]


def test_an_order_and_explain_tell_every_slip_in_a_value_with_its_correction(
    certbot: Certbot, bind: Bind, domain: str, bind_reading: list[str], tmp_path: Path
) -> None:
    uri = certbot.register()
    value = f"{ISSUER}; accounturi={uri}"
    who = ("--issuer", ISSUER, "--account-uri", uri)
    slips = {
        "quoted": (f'"{value}"', "which only zone files need", value),
        "escaped": (value.replace(";", "\\;"), "which only zone files need", value),
        "case": (value.replace("my-account", "My-Account"), "pper and lower case count", uri),
    }
    for label, (slip, *_) in slips.items():
        bind.add_txt(validation_domain_name(f"{label}.{domain}"), slip)
    before = bind.primary.records("example.test")

    domains = ",".join(f"{label}.{domain}" for label in slips)
    ordered = certbot.certonly(*bind_reading, "-d", domains)
    assert ordered.returncode == 1, ordered.output
    shown = " ".join(ordered.output.split())
    for label, (slip, why, right) in slips.items():
        told = shown.partition(f"Now at {validation_domain_name(f'{label}.{domain}')}:")[2]
        told = told.partition("Now at ")[0]
        assert why in told
        assert f"Enter it without them: {right}" in told or f"Enter it as {right}" in told
        explained = run([PROGRAM, "explain", *who, quoted(slip)], keep=tmp_path / "explained")
        assert explained.returncode == 1, explained.output
        said = " ".join(explained.out.split())
        assert why in said
        assert right in said
    assert bind.primary.records("example.test") == before
    assert certbot.journal() == []


@pytest.mark.long
def test_a_record_at_a_wrong_name_is_told_with_the_right_one(
    certbot: Certbot, companion: Companion, bind: Bind, domain: str, bind_reading: list[str]
) -> None:
    value = f"{ISSUER}; accounturi={certbot.register()}"
    name = validation_domain_name(domain)
    host = name.removesuffix(".example.test")
    server = ("--server", certbot.server)
    for place, why in (
        (f"{name}.example.test", "has the zone's name twice"),
        (f"_acme-challenge.{domain}", "is the name for dns-01"),
        (domain, "is the domain itself"),
    ):
        bind.add_txt(place, value)
        words = (
            f'A record that would authorise stands at {place} instead: "{value}". That name {why}'
        )
        right = f"Put it at {name} (in a DNS web form: {host})."
        asked = len(bind.resolver.queries())

        ordered = certbot.certonly(*bind_reading, "-d", domain)
        shown = " ".join(ordered.output.split())
        assert ordered.returncode == 1
        assert words in shown
        assert right in shown
        assert f"Host (relative to example.test): {host}" in shown

        for command in ("check", "audit"):
            done = companion(command, *server, *bind_reading, "-d", domain)
            assert done.returncode == 2, done.output
            assert f"\tmissing\tThere is no TXT record at {name}." in done.out
            assert words in done.out
            assert right in done.out

        ours = {question for question, kind in bind.resolver.queries()[asked:] if kind == "TXT"}
        assert not ours & {name, place}
        bind.delete_txt(place, value)

    # Beside a record, nobody looks for another.
    bind.add_txt(name, value)
    before = len(bind.primary.queries()), len(bind.secondary.queries())
    assert companion("check", *server, *bind_reading, "-d", domain).returncode == 0
    asked_primary = bind.primary.queries()[before[0] :] + bind.secondary.queries()[before[1] :]
    assert not [question for question, _ in asked_primary if "_acme-challenge" in question]


@pytest.mark.parametrize("labels", [116, 117])
def test_a_domain_that_leaves_no_room_for_the_label_is_refused_before_any_order(
    certbot: Certbot, companion: Companion, bind_reading: list[str], labels: int
) -> None:
    domain = "a." * (labels - 6) + "example.test"
    too_long = len(validation_domain_name(domain)) > 253
    assert too_long is (labels == 117)
    words = "would have 254 octets, and DNS allows 253" if too_long else "Records are missing"
    ordered = certbot.certonly(*bind_reading, "-d", domain)
    assert ordered.returncode == 1
    assert words in " ".join(ordered.output.split())
    for command in ("record", "check"):
        done = companion(command, *WHO, *bind_reading, "-d", domain)
        assert ("would have 254 octets" in done.error) is too_long, done.output
