"""``certbot-dns-persist check`` for a person at a terminal, and for whoever reads a pipe."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certbot import Certbot
from support.companion import Companion, run
from support.nameserver import Nameserver, Zones
from support.zones import zone_text

URI = "https://ca.example/acct/1"
VALUE = f"ca.example; accounturi={URI}"
LONG = "a-rather-long-label-that-somebody-chose.and-another-one-below-it.example.test"
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
NAMES = [f"n{number}.example.test" for number in range(30)]


@pytest.fixture(scope="module")
def server() -> Iterator[Nameserver]:
    """Holds a record for example.test, a bad one for bad.example.test, and 30 for ``NAMES``."""
    zones = Zones.from_text(zone_text("example.test", {"ns1": ["127.0.0.1"]}))
    for name in ["example.test", LONG, *NAMES]:
        zones.set_values(f"_validation-persist.{name}", [VALUE])
    zones.set_values("_validation-persist.bad.example.test", [f"{VALUE}0\x1b[2J\x9b"])
    with Nameserver(zones, resolver=True) as running:
        yield running


@pytest.fixture
def asking(server: Nameserver) -> list[str]:
    who = ["--issuer", "ca.example", "--account-uri", URI, "--no-caa"]
    return [*who, f"--dns-persist-resolvers={server.endpoint}", "--dns-persist-check=resolver"]


@pytest.fixture
def alone(tmp_path: Path) -> Companion:
    """The command where there has never been a Certbot."""
    return Companion(Certbot(tmp_path / "nothing", "https://ca.example/directory"))


@pytest.fixture
def several() -> list[str]:
    return ["-d", f"bad.example.test,example.test,{LONG},*.missing.example.test"]


def test_a_table_fits_80_columns_and_shows_the_gravest_last(
    alone: Companion, asking: list[str], several: list[str]
) -> None:
    with alone.at_terminal("check", *asking, *several) as screen:
        done = screen.finish()
    assert done.returncode == 2, done.output
    assert max(map(len, done.output.splitlines())) == 80
    cells = [
        [cell.strip() for cell in line.split("│")[1:3]]
        for line in done.output.splitlines()
        if line.startswith("│")
    ]
    statuses = [status for status, _ in cells if status]
    assert statuses == ["ok", "ok", "mismatch", "missing"]
    text = " ".join(part for _, part in cells)
    assert (
        "missing.example.test, *.missing.example.test There is no TXT record at "
        "_validation-persist.missing.example.test. Publish it (certbot-dns-persist record -d "
        "'*.missing.example.test' shows it)."
    ) in text
    assert LONG in text.replace(" ", "")
    assert done.output.endswith("4 domains: 2 ok, 1 mismatch, 1 missing.\n")
    assert COLOUR.search(screen.raw)
    assert r"0\x1b[2J\x9b" in text  # other people's values do nothing to the terminal


def test_quiet_shows_only_what_is_not_ok(
    alone: Companion, asking: list[str], several: list[str]
) -> None:
    with alone.at_terminal("check", "-q", *asking, *several) as screen:
        done = screen.finish()
    assert done.returncode == 2
    assert "ok" not in re.findall(r"^│ (\S+)", done.output, re.MULTILINE)
    assert "missing" in re.findall(r"^│ (\S+)", done.output, re.MULTILINE)
    with alone.at_terminal("check", "-q", *asking, "-d", "example.test") as screen:
        done = screen.finish()
    assert (done.returncode, done.output) == (0, "1 domain: 1 ok.\n")
    summary, *lines = alone("check", "-q", *asking, *several).out.splitlines()
    assert summary.startswith("DNS-PERSIST CRITICAL - mismatch: ")
    assert [line.split("\t")[1] for line in lines] == ["mismatch", "missing"]


def test_no_color_is_respected(alone: Companion, asking: list[str], several: list[str]) -> None:
    with alone.at_terminal("check", *asking, *several, env={"NO_COLOR": "1"}) as screen:
        screen.finish()
    assert not COLOUR.search(screen.raw)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_bar_is_shown_at_the_terminal_and_kept_out_of_a_pipe(
    alone: Companion, asking: list[str], tmp_path: Path, arguments: list[str]
) -> None:
    out = tmp_path / "out"
    many = ["-d", ",".join(NAMES)]
    with alone.at_terminal("check", *asking, *arguments, *many, stdout=out) as screen:
        shown = screen.wait_for("Looking up")
        assert screen.finish().returncode == 0, shown
    text = out.read_text()
    assert "\x1b" not in text
    if arguments:
        assert len(json.loads(text)["records"]) == len(NAMES)
    else:
        assert [line.split("\t")[:2] for line in text.splitlines()] == [
            [name, "ok"] for name in NAMES
        ]


def test_few_names_and_pipes_have_no_bar(
    alone: Companion, asking: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with alone.at_terminal("check", *asking, "-d", "example.test", stdout=out) as screen:
        assert screen.finish().output == ""
    done = alone("check", *asking, "-d", ",".join(NAMES))
    assert (done.returncode, done.error) == (0, "")


def test_ctrl_c_ends_with_words(alone: Companion, asking: list[str], server: Nameserver) -> None:
    server.faults.delay = 1.0
    try:
        with alone.at_terminal("check", *asking, "-d", ",".join(NAMES)) as screen:
            screen.wait_for("Looking up")
            done = screen.interrupt()
    finally:
        server.heal()
    assert done.returncode == 130
    assert done.output.rstrip().endswith("Interrupted.")
    assert "Traceback" not in done.output


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_pipe_that_is_closed_early_is_no_error_of_ours(
    alone: Companion, asking: list[str], arguments: list[str]
) -> None:
    with subprocess.Popen(
        alone.command("check", *asking, *arguments, "-d", ",".join(NAMES)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_full_disk_ends_with_words(
    alone: Companion, asking: list[str], arguments: list[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            alone.command("check", *asking, *arguments, "-d", "example.test"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.startswith(
        "The command could not finish: OSError: [Errno 28] No space left on device. "
    )


def test_a_locale_without_the_characters_of_a_value_is_no_obstacle(
    alone: Companion, asking: list[str], server: Nameserver
) -> None:
    server.zones.set_values("_validation-persist.umlaut.example.test", [f"{VALUE}ü\u2603"])
    narrow = {"PYTHONIOENCODING": "latin-1"}
    command = alone.command("check", *asking, "-d", "umlaut.example.test")
    done = subprocess.run(command, env={**os.environ, **narrow}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (2, b"")
    assert rb"1\u2603" in done.stdout.replace(b"\xfc", b"")


def test_octets_that_are_no_text_have_a_place_in_json(
    alone: Companion, asking: list[str], server: Nameserver
) -> None:
    name = "_validation-persist.octets.example.test"
    octets = f'_validation-persist.octets TXT "{VALUE}\\255"'
    zone = Zones.from_text(zone_text("example.test", {"ns1": ["127.0.0.1"]}, octets))
    with Nameserver(zone, resolver=True) as other:
        resolvers = f"--dns-persist-resolvers={other.endpoint}"
        done = alone("check", "--json", *asking, resolvers, "-d", "octets.example.test")
    assert done.returncode == 2
    (record,) = done.report["records"]
    assert record["found"][0]["value"] == VALUE + r"\xff"
    assert record["reason"].startswith(f'At {name}, "{VALUE}\\xff" is malformed')


def test_five_hundred_names_need_no_more_open_files_than_a_few_do(
    alone: Companion, asking: list[str], tmp_path: Path
) -> None:
    names = "".join(f"m{number}.example.test\n" for number in range(500))
    command = alone.command("check", *asking, "--json", "--from-file", "-")
    done = run(
        ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", *command],
        stdin=names,
        keep=tmp_path / "output",
    )
    assert done.returncode == 2, done.output
    assert [record["domain"] for record in done.report["records"]] == names.split()
    # On a busy machine, a server may not answer in time; nothing may come from a lack of files.
    statuses = [record["status"] for record in done.report["records"]]
    assert {*statuses} <= {"missing", "unreachable"}
    assert statuses.count("missing") > 450
    assert "open files" not in done.output
    assert done.error == ""
