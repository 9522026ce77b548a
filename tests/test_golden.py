"""What users see stays as ``tests/golden`` has it, wherever in the package it comes from.

These tests run the programs and read the source as text, so that moving a module changes nothing
here. ``UPDATE_GOLDEN=1`` writes the files anew. What differs between runs and machines has a fixed
stand-in: paths, addresses, the time of day, and how each Python's argparse lays out its help.
"""

import ast
import hashlib
import importlib.util
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from support.bootstrap import ROOT
from support.certbot import PROGRAM as CERTBOT
from support.certbot import Certbot
from support.companion import PROGRAM, Companion, Done, run
from support.golden import compare
from support.nameserver import Nameserver, Zones
from support.need import need
from support.process import can_bind_port_53, claim_address, release_address
from support.zones import zone_text

PACKAGE = "certbot_dns_persist"
COMMANDS = [
    *("record", "check", "audit", "list", "publish", "rotate", "revoke", "prune", "migrate"),
    *("rollover", "inventory", "explain", "ca", "names", "wait"),
]
WIDE = {"COLUMNS": "10000", "NO_COLOR": "1"}
LOOPBACK = re.compile(r"\b127(\.\d+){3}\b")
NOW_SECONDS = 86400.0
"""How far from now a time may be to count as that of the run."""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help(tmp_path: Path, command: str) -> None:
    done = run([PROGRAM, *command.split(), "--help"], env=WIDE, keep=tmp_path / "output.log")
    assert done.returncode == 0, done.output
    compare(f"help-{command or 'all'}.txt", as_one_python_has_it(done.out))


def test_the_help_of_certbot_about_us(tmp_path: Path) -> None:
    env = {**Certbot(tmp_path, "").env, **WIDE}
    done = run([CERTBOT, "--help", "dns-persist"], env=env, keep=tmp_path / "output.log")
    _, title, ours = done.out.partition("\ndns-persist:\n")
    assert title, done.output
    compare("help-certbot.txt", as_one_python_has_it(title.strip() + "\n" + ours))


def test_the_manual_pages(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "packaging" / "manpages"), str(tmp_path)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1750000000"}
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    for page in sorted(tmp_path.iterdir()):
        text = re.sub(r'(?<="certbot\\-dns\\-persist )[^"]+', "VERSION", page.read_text("utf-8"))
        compare(page.name, as_one_python_has_it(text.replace(r"\-", "-")))


def as_one_python_has_it(text: str) -> str:
    """Return what argparse wrote, one line for each option, whatever Python's it is.

    From Python 3.13 on it is ``-d, --domain DOMAIN``; before, ``-d DOMAIN, --domain DOMAIN``.
    """
    text = re.sub(r"(?<![a-z-])(-\w) ([A-Z]+), (--[\w-]+ \2)(?!\w)", r"\1, \3", text)
    text = re.sub(r"\n {20,}", "  ", text)
    return re.sub(r"(?<=\S) {2,}", "  ", text)


# A small world: one CA, one account of ours, and names at which all kinds of things stand.

URI = "https://ca.example/acct/1"
VALUE = f"ca.example; accounturi={URI}"
WILDCARD = f"{VALUE}; policy=wildcard"
FOREIGN = "other.example; accounturi=https://other.example/1"
STRANGER = "ca.example; accounturi=https://ca.example/acct/2"
KNOWN = "https://ca.example/acct/3"
WHO = ["--issuer=ca.example", f"--account-uri={URI}"]
HASHED = [
    "--issuer=ca.example",
    f"--account-url={URI}",
    "--thumbprint=NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    "--hash-prefix=https://ca.example/account-hash/",
]

STANDING = {
    "ok": [VALUE],
    "wider": [WILDCARD],
    "wild": [WILDCARD],
    "narrower": [VALUE],
    "foreign": [FOREIGN],
    "unrelated": ["v=spf1 -all"],
    "twice": [VALUE, f"{VALUE}; policy=wildcard; persistUntil=32503680000"],
    "expired": [f"{VALUE}; persistUntil=1700000000"],
    "expiring": [f"{VALUE}; persistUntil=4070908800"],
    "later": [f"{VALUE}; persistUntil=32503680000"],
    "stranger": [VALUE, f"{STRANGER}; policy=wildcard"],
    "known": [VALUE, f"ca.example; accounturi={KNOWN}"],
    "mismatch": [STRANGER],
    "malformed": ["ca.example; accounturi"],
    "odd": [
        VALUE,
        "other.example; accounturi=a b",
        'other.example; accounturi=https://other.example/"quoted"\\;x',
        "other.example; accounturi=\x1b[31mred\x9b",
        f"other.example; accounturi=https://other.example/{'long/' * 80}",
        "OTHER.example.; policy=wildcard",
    ],
    "obsolete": ["acme-persist; ca=ca.example; account=1", f"v=persist1; issuer=ca.example; {URI}"],
    "caa": [VALUE],
    "lagging": [VALUE],
}
"""The TXT values at the names below example.test, by label."""

RECORDS = f"""
_validation-persist.alias CNAME fleet.other.test.
caa CAA 0 issue "ca.example; validationmethods=dns-01"
_acme-persist.ok TXT "{VALUE.replace(";", chr(92) + ";")}"
"""

NAMES = [
    *(f"{label}.example.test" for label in STANDING if label not in ("wild", "narrower")),
    "wild.example.test",
    "*.wild.example.test",
    "*.narrower.example.test",
    "alias.example.test",
    "missing.example.test",
    "*.missing.example.test",
    "bogus.example.test",
    "far.example.test",
    "fleet.elsewhere.example.test",
    "bücher.example.test",
]


FAR = {"far.example.test": {"ns1": ["127.0.0.1"]}}
"""A zone that is delegated, and that nobody serves."""


@pytest.fixture(scope="module")
def in_order() -> Iterator[None]:
    """Have values sent in the order in which they stand above; dnspython shuffles each answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "shuffle", lambda _: None)
        yield


@pytest.fixture(scope="module")
def world(in_order: None) -> Iterator[Nameserver]:
    """A resolver of all that, which is all that is asked."""
    with Nameserver(zones({"ns1": ["127.0.0.1"]}), resolver=True) as running:
        running.faults.below = "bogus.example.test"
        running.faults.bogus = True
        yield running


@pytest.fixture(scope="module")
def whole_world(in_order: None) -> Iterator[Nameserver]:
    """A resolver, and two authoritative servers, one of which lacks the record of ``lagging``."""
    need(can_bind_port_53(), "nobody may bind port 53 here")
    first, second = claim_address(), claim_address()
    served = zones({"ns1": [first], "ns2": [second]})
    behind = served.copy()
    behind.set_values("_validation-persist.lagging.example.test", [])
    with (
        Nameserver(served, address=first, port=53),
        Nameserver(behind, address=second, port=53),
        Nameserver(served, resolver=True) as running,
    ):
        yield running
    release_address(first)
    release_address(second)


def zones(nameservers: Mapping[str, Sequence[str]]) -> Zones:
    made = Zones.from_text(
        zone_text("example.test", nameservers, RECORDS, FAR), zone_text("other.test", nameservers)
    )
    for label, values in STANDING.items():
        made.set_values(f"_validation-persist.{label}.example.test", values)
    made.set_values("fleet.other.test", [VALUE])
    return made


@pytest.fixture
def asking(world: Nameserver) -> list[str]:
    return [f"--dns-persist-resolvers={world.endpoint}", "--dns-persist-check=resolver"]


@pytest.fixture
def alone(tmp_path: Path) -> Companion:
    """The command where there has never been a Certbot."""
    return Companion(Certbot(tmp_path / "nothing", "https://ca.example/directory"))


def shown(done: Done, tmp_path: Path, world: Nameserver | None = None) -> str:
    """Return all that a run has shown, for comparison."""
    error = "".join(f"stderr: {line}\n" for line in done.error.splitlines())
    text = f"{done.out}{error}exit status: {done.returncode}\n"
    return comparable(text, tmp_path, world)


def comparable(text: str, tmp_path: Path, world: Nameserver | None = None) -> str:
    """Return ``text`` without what is another each time."""
    text = text.replace(str(tmp_path), "TMP")
    if world:
        text = re.sub(rf"\b{world.port}\b", "PORT", text)
    text = LOOPBACK.sub("ADDRESS", text)
    text = text.replace(f'"host": "{socket.gethostname()}"', '"host": "HOST"')
    text = re.sub(r"\bcertbot-dns-persist \d[\w.+]*", "certbot-dns-persist VERSION", text)
    text = re.sub(r"\b(in \d+ days|\d+ days ago)\b", "DAYS", text)
    text = re.sub(r"\bexpires=-?\d+s", "expires=SECONDS", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z| UTC)", _date, text)
    return re.sub(r"\b\d{10}\b", lambda match: _now(match[0], float(match[0])), text)


def _date(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0]).ljust(14, "0")
    at = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return _now(match[0], at.timestamp())


def _now(text: str, at: float) -> str:
    return "NOW" if abs(at - time.time()) < NOW_SECONDS else text


LONG = r"(?s)(<style>|<script>).*?(?=</style>|</script>)"
"""What the HTML report has a hash of, too."""
DURATION = r"(?m)^(dns_persist_(?:record_expiry|check_timestamp|check_duration)_seconds\{.*\} ).*"


@pytest.mark.parametrize("command", ["check", "audit"])
def test_a_report(
    alone: Companion, world: Nameserver, asking: list[str], tmp_path: Path, command: str
) -> None:
    files = {"metrics": tmp_path / "metrics"} | (
        {"html": tmp_path / "html"} if command == "audit" else {}
    )
    arguments = [*WHO, *asking, "--from-file=-", "--warn-days=99999"]
    if command == "audit":
        arguments.append(f"--known-account={KNOWN}")
    outputs = [f"--{name}={path}" for name, path in files.items()]
    names = "\n".join([*NAMES, "not a name", f"{'x' * 64}.test"])

    done = alone(command, *arguments, *outputs, "--json", stdin=names)
    document = done.report
    assert len({record["status"] for record in document["records"]}) >= 7
    compare(f"{command}.json", shown(done, tmp_path, world))
    for name, path in files.items():
        text = re.sub(DURATION, r"\1…", re.sub(LONG, r"\1…", path.read_text("utf-8")))
        text = re.sub(rf"(?<= on ){re.escape(socket.gethostname())}(?=[ <])", "HOST", text)
        # Debian's checks take a page with long lines for one that was made from something else.
        suffix = ".txt" if name == "html" else ""
        compare(f"{command}.{name}{suffix}", comparable(text, tmp_path, world))

    for name, more in {"lines": [], "quiet": ["--quiet"]}.items():
        done = alone(command, *arguments, *more, stdin=names)
        compare(f"{command}.{name}", shown(done, tmp_path, world))


@pytest.mark.parametrize("command", ["check", "audit"])
@pytest.mark.parametrize("more", [[], ["--quiet"]])
def test_a_table(
    alone: Companion,
    world: Nameserver,
    asking: list[str],
    tmp_path: Path,
    command: str,
    more: list[str],
) -> None:
    names = ",".join(NAMES[:17])  # without a progress bar
    with alone.at_terminal(command, *WHO, *asking, *more, "-d", names) as screen:
        done = screen.finish()
    text = f"{done.output}exit status: {done.returncode}\n"
    compare(f"{command}{'-quiet' * bool(more)}.table", comparable(text, tmp_path, world))


FORMATS = [
    "text",
    "zone",
    "nsupdate",
    "json",
    "terraform-route53",
    "terraform-cloudflare",
    "route53",
    "octodns",
    "ansible",
    "dnscontrol",
]


@pytest.mark.parametrize("form", FORMATS)
def test_records(
    alone: Companion, world: Nameserver, asking: list[str], tmp_path: Path, form: str
) -> None:
    done = alone("record", *WHO, *asking, "-d", ",".join(NAMES), f"--format={form}")
    compare(f"record.{form}", shown(done, tmp_path, world))


@pytest.mark.parametrize("form", FORMATS)
def test_records_whose_zones_are_known(
    alone: Companion, whole_world: Nameserver, tmp_path: Path, form: str
) -> None:
    names = [f"{label}.example.test" for label in ("ok", "stranger", "odd", "lagging")]
    if form != "route53":  # of which a batch is for one zone
        names += ["*.wild.example.test", "alias.example.test"]
    asked = [f"--dns-persist-resolvers={whole_world.endpoint}", "-d", ",".join(names)]
    done = alone("record", *WHO, *asked, "--dns-persist-ttl=60", f"--format={form}")
    assert done.returncode == 0, done.output
    compare(f"record-in-zone.{form}", shown(done, tmp_path, whole_world))


@pytest.mark.parametrize("command", ["check", "audit"])
def test_a_report_of_all_servers(
    alone: Companion, whole_world: Nameserver, tmp_path: Path, command: str
) -> None:
    names = ["ok", "lagging", "missing", "mismatch"]
    asked = ["-d", ",".join(f"{label}.example.test" for label in names)]
    asked.append(f"--dns-persist-resolvers={whole_world.endpoint}")
    done = alone(command, *WHO, *asked, "--json")
    assert "inconsistent" in {record["status"] for record in done.report["records"]}
    compare(f"{command}-in-zone.json", shown(done, tmp_path, whole_world))


def test_values_explained(tmp_path: Path) -> None:
    values = "\n".join(
        json.dumps(value, ensure_ascii=False).replace("\\u001b", "\\027")
        for label in STANDING
        for value in STANDING[label]
    )
    texts = []
    for more in ([], [*WHO, "--at=2026-01-01T00:00:00Z"], [*WHO, "--wildcard"]):
        done = run(
            [PROGRAM, "explain", *more], stdin=values, keep=tmp_path / "log", env={"COLUMNS": "100"}
        )
        texts.append(f"$ explain {' '.join(more)}\n{shown(done, tmp_path)}")
    compare("explain.txt", "\n".join(texts))


REFUSED = [
    ["check"],
    ["check", "-d", "not a name", *WHO],
    ["check", "-d", "example.test", "--warn-days=x"],
    ["check", "-d", "example.test", "--issuer=ca.example"],
    ["check", "-d", "example.test", "--issuer=ca.example", "--account-uri=a b"],
    ["check", "--all", *WHO],
    ["check", "--from-file=TMP/none", *WHO],
    ["check", "-d", "example.test", *WHO, "--dns-persist-resolvers=nobody"],
    ["audit", "-d", "example.test", *WHO, "--known-account=a;b"],
    ["record", "-d", "example.test", "--offline"],
    ["record", "-d", "example.test", *WHO, "--offline", "--dns-persist-shared"],
    ["record", "-d", "example.test", *WHO, "--offline", "--format=octodns"],
    ["record", "-d", "example.test", *WHO, "--offline", "--dns-persist-until=2020-01-01"],
    ["record", "-d", "example.test", *HASHED, "--offline", "--format=zone"],
    ["record", "-d", "example.test", *HASHED, "--offline", "--dns-persist-shared"],
    ["publish", "--all"],
    ["revoke", "-d", "example.test"],
    ["prune", "--all"],
    ["migrate"],
    ["migrate", "--all"],
    ["migrate", "--all", "--cert-name=example.test"],
    ["migrate", "--cert-name=example.test", "--dns-persist-provider=nobody"],
    ["migrate", "--cert-name=example.test", "--back"],
    ["explain", "x; accounturi=y", "--at=never"],
]
"""What ends at once: nobody is asked."""


def test_refusals_and_warnings(alone: Companion, tmp_path: Path) -> None:
    def refusal(arguments: list[str]) -> str:
        ours = [argument.replace("TMP", str(tmp_path)) for argument in arguments]
        line = [PROGRAM, *ours] if arguments[0] == "explain" else alone.command(*ours)
        done = run(line, keep=tmp_path / "output.log", env=WIDE)
        assert "Traceback" not in done.output
        return f"$ {' '.join(arguments)}\n{shown(done, tmp_path)}"

    with ThreadPoolExecutor() as pool:
        compare("refusals.txt", "\n".join(pool.map(refusal, REFUSED)))


# What is said elsewhere, and what others read


def test_the_schemas_are_where_they_were() -> None:
    found = package().rglob("*-schema.json")
    compare(
        "schemas.txt",
        "".join(
            f"{path.relative_to(package()).as_posix()} "
            f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
            for path in sorted(found)
        ),
    )


#: SQL's.
STATEMENT = re.compile(r"\s*(BEGIN|CREATE|DELETE|INSERT|PRAGMA|SELECT|UPDATE) ")


def test_all_words() -> None:
    """Whatever the package may say in prose, wherever it stands, is as it was."""
    words: set[str] = set()
    for path in package().rglob("*.py"):
        words.update(templates(ast.parse(path.read_text("utf-8"))))
    prose = sorted(
        each for each in words if re.search(r" [A-Za-z]", each) and not STATEMENT.match(each)
    )
    assert len(prose) > 500
    compare("words.txt", "".join(each.replace("\n", r"\n") + "\n" for each in prose))


def package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def templates(node: ast.AST) -> Iterator[str]:
    """Yield all strings of the source with ``{}`` for what is filled in, less docstrings."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_part(part) for part in node.values)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from templates(part.value)
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from templates(child)


def _part(part: Any) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    conversion = f"!{chr(part.conversion)}" if part.conversion != -1 else ""
    form = ":" + "".join(map(_part, part.format_spec.values)) if part.format_spec else ""
    return f"{{{conversion}{form}}}"
