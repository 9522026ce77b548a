"""Prepared records in each format, read back by the tool that the format is for."""

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import dns.rdatatype
import dns.zone
import hcl2
import jsonschema
import pytest
import yaml
from octodns.provider.yaml import YamlProvider
from octodns.zone import Zone as OctoZone
from support.aws import Aws, read
from support.bind import Bind
from support.need import need
from support.process import find_program
from support.zones import zone_text

from certbot_dns_persist import render
from certbot_dns_persist.cli.record import FORMATS
from certbot_dns_persist.cli.record import OWNING as OWNING_FORMATS
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.prepared import PreparedRecord
from certbot_dns_persist.render import (
    ansible,
    dnscontrol,
    nsupdate,
    octodns,
    records_json,
    route53,
    terraform,
    zone,
)

URI = "https://ca.example/acct/1"
PLAIN = f"ca.example; accounturi={URI}"
LONG = f"ca.example; accounturi=https://ca.example/{'long/' * 60}1; policy=wildcard"
ODD = f'ca.example; accounturi={URI}?"quoted"&back\\slash&${{x}}&%{{y}}&$${{z}}'
OTHERS = ("other.example; accounturi=https://other.example/1", 'a "free" text', "")

BASE, WWW = "_validation-persist.example.test", "_validation-persist.www10.example.test"

RECORDS = [
    PreparedRecord(BASE, PLAIN, 300, ("example.test",), "example.test", beside=OTHERS),
    PreparedRecord(
        WWW, LONG, 60, ("www10.example.test", "*.www10.example.test"), zone="example.test"
    ),
    PreparedRecord("_validation-persist.www9.example.test", ODD, 60, ("a",), "example.test"),
    PreparedRecord("fleet.other.test", PLAIN, 300, ("b.example.test",), "other.test"),
    PreparedRecord("fleet.other.test", ODD, 300, ("c.example.test",), "other.test"),
]
"""Long ones, ones that need escapes, others beside them, two zones, two at one name."""

OURS = {
    "example.test": {BASE: [PLAIN], WWW: [LONG], RECORDS[2].name: [ODD]},
    "other.test": {"fleet.other.test": [PLAIN, ODD]},
}
ALL = {**OURS, "example.test": {**OURS["example.test"], BASE: [PLAIN, *OTHERS]}}


# Zone files


def test_zone_lines_are_accepted_by_named_checkzone_and_read_as_they_were(tmp_path: Path) -> None:
    program = find_program("named-checkzone")
    need(program, "named-checkzone is not installed")
    for origin, names in OURS.items():
        path = tmp_path / f"{origin}.zone"
        written = zone.render([record for record in RECORDS if record.zone == origin])
        path.write_text(zone_text(origin, {"ns1": ["127.0.0.1"]}, written))
        done = subprocess.run(
            [str(program), origin, path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        assert values_in(dns.zone.from_file(str(path), origin, relativize=False)) == names


def test_bind_serves_what_its_zone_file_got(tmp_path: Path, bind: Bind) -> None:
    """As read by a nameserver, and not only by a checker: through an update that it parses."""
    written = nsupdate.render([record for record in RECORDS if record.zone == "example.test"])
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(
        f'key "{bind.key.name}" {{ algorithm {bind.key.algorithm}; secret "{bind.key.secret}"; }};'
    )
    done = subprocess.run(
        [str(find_program("nsupdate")), "-k", key],
        input=f"server {bind.primary.address} 53\n{written}",
        capture_output=True,
        text=True,
        check=False,
    )
    key.unlink()
    assert done.returncode == 0, done.stderr
    assert {name: bind.primary.values(name) for name in OURS["example.test"]} == OURS[
        "example.test"
    ]


def values_in(read: dns.zone.Zone) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    rdata: Any
    for name, _, rdata in read.iterate_rdatas(dns.rdatatype.TXT):
        value = b"".join(rdata.strings).decode()
        found.setdefault(name.to_text(omit_final_dot=True), []).append(value)
    return found


def test_updates_of_many_records_are_divided() -> None:
    many = [
        PreparedRecord(f"n{number}.example.test", LONG, 60, ("x",), "example.test")
        for number in range(120)
    ]
    written = nsupdate.render(many)
    assert written.count("\nsend\n") == written.count("zone example.test.\n") == 3
    assert written.count("update add") == 120
    assert "delete" not in written


# JSON


def test_json_is_of_the_form_that_its_schema_describes() -> None:
    schema = json.loads(Path(render.__file__).with_name("record-schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    unknown = PreparedRecord("_validation-persist.x", PLAIN, 1, ("x",), looked=False)
    written = json.loads(records_json.render([*RECORDS, unknown]))
    jsonschema.validate(written, schema)
    assert [entry["value"] for entry in written["records"][:3]] == [PLAIN, LONG, ODD]
    assert written["records"][0]["beside"] == list(OTHERS)
    assert written["records"][-1]["beside"] is None
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"records": [{"name": "x"}]}, schema)


# Route 53


@pytest.fixture
def aws() -> Iterator[Aws]:
    with Aws() as running:
        yield running


def test_route53_takes_the_batches_and_keeps_what_others_have(aws: Aws) -> None:
    ids = {origin: aws.add_zone(origin) for origin in OURS}
    aws.create(ids["example.test"], BASE, f'"{OTHERS[0]}"')
    client = boto3.client(
        "route53",
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="not checked",
    )
    for origin, names in ALL.items():
        batch = json.loads(route53.render([each for each in RECORDS if each.zone == origin]))
        assert origin in batch["Comment"]
        client.change_resource_record_sets(HostedZoneId=ids[origin], ChangeBatch=batch)
        for name, values in names.items():
            assert sorted(map(read, aws.written(ids[origin], name))) == sorted(values)
    assert aws.ttl(ids["example.test"], WWW) == 60


def test_a_name_whose_zone_is_not_known_has_a_batch_of_its_own() -> None:
    unknown = [PreparedRecord(name, PLAIN, 1, ("x",)) for name in ("a.b.c", "d.b.c")]
    assert "a.b.c" in json.loads(route53.render(unknown[:1]))["Comment"]
    with pytest.raises(ConfigurationError, match=r"d\.b\.c \(its zone is unknown\): -d x"):
        route53.render(unknown)


# octoDNS


def test_octodns_reads_the_same_values(tmp_path: Path) -> None:
    files = octodns.render(RECORDS).removeprefix("---\n").split("---\n")
    assert [text.splitlines()[0] for text in files] == [f"# {origin}.yaml" for origin in ALL]
    for text, (origin, names) in zip(files, ALL.items(), strict=True):
        # It refuses an empty value and so do we not invent one: that one is left to see.
        (tmp_path / f"{origin}.yaml").write_text(f"---\n{text}")
        found = OctoZone(f"{origin}.", [])
        YamlProvider("test", str(tmp_path), escaped_semicolons=True).populate(found, lenient=True)
        assert {
            record.fqdn.removesuffix("."): sorted(v.to_raw_text() for v in record.values)
            for record in found.records
        } == {name: sorted(values) for name, values in names.items()}
        assert {record.ttl for record in found.records} <= {60, 300}


def test_octodns_reads_ours_without_leniency(tmp_path: Path) -> None:
    written = octodns.render([PreparedRecord(BASE, LONG, 300, ("example.test",), "example.test")])
    (tmp_path / "example.test.yaml").write_text(written)
    found = OctoZone("example.test.", [])
    YamlProvider("test", str(tmp_path), escaped_semicolons=True).populate(found)
    (only,) = found.records
    assert [value.to_raw_text() for value in only.values] == [LONG]


def test_a_record_at_the_apex_and_one_in_an_unknown_zone_have_a_name() -> None:
    apex = PreparedRecord("fleet.test", PLAIN, 300, ("a.test",), "fleet.test")
    unknown = PreparedRecord("_validation-persist.a.test", PLAIN, 300, ("a.test",))
    written = octodns.render([apex, unknown])
    assert '\n"":\n' in written
    assert "# a.test.yaml (the zone is unknown" in written


# Ansible


class _Unsafe(str):
    """A string that Ansible does not take for a template."""


class _Tasks(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Reads ``!unsafe`` as Ansible does."""


def _unsafe(loader: _Tasks, node: yaml.ScalarNode) -> _Unsafe:
    return _Unsafe(loader.construct_scalar(node))


_Tasks.add_constructor("!unsafe", _unsafe)

HOSTILE = (
    "{{ lookup('pipe', 'id') }}{% raw %}{# x #}",
    '"]\n- name: x # */ // ${x} \u2028 </script>',
    "'); process.exit(7); ('",
    "\x1b[31m\x9b\0\x7f\\",
    "é \U0001f600",
)
"""Values of strangers that try to be more than a value."""

HOSTILE_RECORDS = [
    PreparedRecord(BASE, PLAIN, 300, ("example.test",), "example.test", beside=(*OTHERS, *HOSTILE)),
    *RECORDS[1:],
]
EXPECTED = {**ALL, "example.test": {**ALL["example.test"], BASE: [PLAIN, *OTHERS, *HOSTILE]}}


def test_tasks_of_ansible_have_each_value_as_it_is_and_no_templates_of_others() -> None:
    written = ansible.render(HOSTILE_RECORDS)
    found: dict[str, dict[str, list[str]]] = {}
    for task in yaml.load(written, _Tasks):  # noqa: S506 a safe one
        arguments = task["community.general.nsupdate"]
        given = [task["name"], arguments["record"], arguments["zone"], *arguments["value"]]
        assert {type(each) for each in given} == {_Unsafe}
        assert arguments["type"] == "TXT"
        # The module puts quotes around what has none, and hands it to dnspython.
        values = [txt(value) for value in arguments["value"]]
        found.setdefault(arguments["zone"][:-1], {})[arguments["record"][:-1]] = values
    assert sorted_values(found) == sorted_values(EXPECTED)
    assert written.count("# there already, kept\n") == len(OTHERS) + len(HOSTILE)


def sorted_values(zones: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    return {
        origin: {name: sorted(values) for name, values in names.items()}
        for origin, names in zones.items()
    }


# DNSControl

_DSL = """
var found = {}, D_EXTEND = function(zone) {
  for (const [name, value, ttl] of [].slice.call(arguments, 1)) {
    const full = name === '@' ? zone : name + '.' + zone;
    ((found[zone] = found[zone] || {})[full] = found[zone][full] || []).push(value);
    if (ttl !== 300 && ttl !== 60) throw ttl;
  }
}, TXT = (...parts) => parts, TTL = seconds => seconds;
"""


def test_dnscontrol_has_each_value_as_it_is(tmp_path: Path) -> None:
    program = find_program("node")
    need(program, "node is not installed")
    written = dnscontrol.render(HOSTILE_RECORDS)
    assert written.isascii()
    assert written.count("// there already, kept\n") == len(OTHERS) + len(HOSTILE)
    script = tmp_path / "dnsconfig.js"
    script.write_text(f"{_DSL}{written}console.log(JSON.stringify(found));")
    done = subprocess.run([str(program), script], capture_output=True, text=True, check=True)
    assert sorted_values(json.loads(done.stdout)) == sorted_values(EXPECTED)


def test_dnscontrol_is_ecmascript_5_with_names_relative_to_the_zone() -> None:
    apex = PreparedRecord("fleet.test", PLAIN, 300, ("a.test",), "fleet.test", beside=(OTHERS[0],))
    unknown = PreparedRecord("_validation-persist.a.test", PLAIN, 60, ("a.test",))
    assert dnscontrol.render([apex, unknown]) == (
        "// Below the D() of a.test, and without these names there.\n"
        "// The zone is unknown; if it is a parent of this, make the names longer.\n"
        'D_EXTEND("a.test",\n'
        "  // For a.test\n"
        f'  TXT("_validation-persist", "{PLAIN}", TTL(60))\n'
        ");\n"
        "\n"
        "// Below the D() of fleet.test, and without these names there.\n"
        'D_EXTEND("fleet.test",\n'
        "  // For a.test\n"
        f'  TXT("@", "{PLAIN}", TTL(300)),\n'
        "  // there already, kept\n"
        f'  TXT("@", "{OTHERS[0]}", TTL(300))\n'
        ");\n"
    )


# Those that own a record set, and those of single records

REMARKING = ("text", "json")
"""Those that tell people of other values, beside the record."""


@pytest.mark.parametrize("form", FORMATS)
def test_whatever_order_dns_answers_in_the_same_is_printed_and_others_only_where_sets_are_owned(
    form: str,
) -> None:
    together = [record for record in RECORDS if record.zone == "example.test"]
    again = [dataclasses.replace(each, beside=each.beside[::-1]) for each in together]
    if form in OWNING_FORMATS:
        again.reverse()
        assert FORMATS[form](together) == FORMATS[form](again)
    assert ("other.example" in FORMATS[form](together)) == (form in (*OWNING_FORMATS, *REMARKING))


@pytest.mark.parametrize("form", ["octodns", "dnscontrol"])
def test_a_value_that_a_file_of_text_cannot_hold_is_not_replaced_by_another(form: str) -> None:
    odd = PreparedRecord(BASE, PLAIN, 300, ("example.test",), "example.test", beside=("\udcff",))
    with pytest.raises(ConfigurationError, match=f"{BASE} is not UTF-8"):
        FORMATS[form]([odd])


# Terraform


def test_terraform_has_the_attributes_of_the_providers_manual_for_route53() -> None:
    read_back = parse(terraform.render_route53(RECORDS))
    assert sorted(read_back["variable"]) == ["zone_id_of_example_test", "zone_id_of_other_test"]
    resources = read_back["resource"]["aws_route53_record"]
    assert {frozenset(each) for each in resources.values()} == {
        frozenset({"zone_id", "name", "type", "ttl", "records"})
    }
    found: dict[str, list[str]] = {}
    for each in resources.values():
        assert each["type"] == "TXT"
        # The provider puts quotes around each; AWS divides strings at quotes.
        found[each["name"]] = [
            read('"' + value.replace('""', '" "') + '"') for value in each["records"]
        ]
        assert each["zone_id"] == f"${{var.zone_id_of_{each['name'].split('.')[-2]}_test}}"
    assert sorted_values({"": found}) == sorted_values(
        {"": {name: values for names in ALL.values() for name, values in names.items()}}
    )


def test_terraform_has_the_attributes_of_the_providers_manual_for_cloudflare() -> None:
    resources = parse(terraform.render_cloudflare(RECORDS))["resource"]["cloudflare_dns_record"]
    assert len(resources) == len(RECORDS)
    assert {frozenset(each) for each in resources.values()} == {
        frozenset({"zone_id", "name", "type", "ttl", "content"})
    }
    found = [(each["name"], txt(each["content"])) for each in resources.values()]
    assert found == [(record.name, record.value) for record in RECORDS]


def test_names_that_look_alike_to_terraform_have_resources_of_their_own() -> None:
    names = ["a-b.example.test", "a.b.example.test", "1.example.test"]
    alike = [PreparedRecord(name, PLAIN, 300, (name,), "example.test") for name in names]
    for written in (terraform.render_route53(alike), terraform.render_cloudflare(alike)):
        (resources,) = parse(written)["resource"].values()
        assert set(resources) == {"a_b_example_test", "a_b_example_test_2", "_1_example_test"}


def parse(written: str) -> dict[str, Any]:
    """Return blocks by their labels, and strings as Terraform understands them."""
    blocks: dict[str, Any] = {}
    for kind, entries in hcl2.loads(written).items():
        if not isinstance(entries, list):
            continue
        for entry in entries:
            merge(blocks.setdefault(kind, {}), understood(entry))
    return blocks


def merge(into: dict[str, Any], entry: dict[str, Any]) -> None:
    for key, value in entry.items():
        if isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def understood(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            understood(key): understood(value)
            for key, value in node.items()
            if not key.startswith("__")
        }
    if isinstance(node, list):
        return [understood(each) for each in node]
    if isinstance(node, str) and node.startswith('"'):
        # A template without any interpolation is, but for $${ and %%{, a string of JSON's.
        return json.loads(node.replace("$${", "${").replace("%%{", "%{"))
    return node


def txt(content: str) -> str:
    rdata: Any = dns.rdata.from_text("IN", "TXT", content)
    return b"".join(rdata.strings).decode()
