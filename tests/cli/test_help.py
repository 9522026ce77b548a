"""What ``--help`` promises: the examples of every command work as they stand there."""

import argparse
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from support.bind import Bind
from support.companion import Companion, run
from support.issued import FOREIGN, Issued
from support.pebble import ISSUER
from support.postgres import Fleet

from certbot_dns_persist import cli
from certbot_dns_persist.cli import program

COMMANDS = {command.__name__.rpartition(".")[2]: command for command in program.COMMANDS}


def examples(name: str) -> list[str]:
    text = COMMANDS[name].EXAMPLES.replace("\\\n", "")
    return [line.strip() for line in re.findall(r"^  (?:\S.*)?certbot-dns-persist .*$", text, re.M)]


def subparser(name: str) -> argparse.ArgumentParser:
    (action,) = (a for a in program.parser()._actions if isinstance(a, argparse._SubParsersAction))
    made = action.choices[name]
    assert isinstance(made, argparse.ArgumentParser)
    return made


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_shows_two_examples_and_fits_a_terminal(name: str) -> None:
    assert len(examples(name)) >= 2
    for line in subparser(name).format_help().splitlines():
        assert len(line) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_a_command_does_not_have_is_told_with_that_commands_usage(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--nonsense"])
    assert ended.value.code == 3
    assert capsys.readouterr().err == (
        f"{subparser(name).format_usage()}"
        f"certbot-dns-persist {name}: unknown arguments: --nonsense\n"
    )


@pytest.mark.parametrize(
    ("name", "pointless"),
    [
        ("revoke", ["policy", "valid-for", "until", "issuer-domain-name", "shared", "ttl"]),
        ("prune", ["valid-for", "until", "issuer-domain-name", "ttl"]),
    ],
)
def test_what_only_removes_takes_no_option_that_shapes_a_new_record(
    name: str, pointless: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for option in pointless:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--all", f"--dns-persist-{option}=1"])
        assert ended.value.code == 3
        assert f"unknown arguments: --dns-persist-{option}=1" in capsys.readouterr().err
        assert f"--dns-persist-{option}" not in subparser(name).format_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_each_command_work(
    name: str,
    issued: Issued,
    companion: Companion,
    other_account: tuple[str, str],
    bind: Bind,
    bind_reading: list[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    env = dict(issued.certbot.env)
    if name == "inventory":
        fleet = Fleet(request.getfixturevalue("postgres"), ["web7"])
        fleet.ask("INSERT INTO dns_persist.host (name, hostname) VALUES ('web7', 'web7')")
        env["PGSERVICEFILE"] = str(fleet.write_service(tmp_path / "services", "inventory"))
    stands_for = {
        "https://acme-v02.api.letsencrypt.org/acme/acct/1": issued.url,
        "letsencrypt.org": ISSUER,
        "example.com": issued.domain,
        "NEW": other_account[0],
        "ID": issued.url,
        "/etc/letsencrypt/dns.ini": str(tmp_path / "bind.ini"),
        "dns.ini": str(tmp_path / "bind.ini"),
    }
    takes = subparser(name)._option_string_actions
    for value in FOREIGN:  # which would be told
        bind.delete_txt(issued.name, value)
    bind.settle()
    for file in ("answers.json", "a.json", "b.json"):
        (tmp_path / file).write_text(collected(issued.name, bind))
    if name == "audit":
        yesterday = companion("audit", "--all", "--json", *bind_reading)
        (tmp_path / "yesterday.json").write_text(yesterday.out)
    for example in examples(name):
        for theirs, ours in stands_for.items():
            example = re.sub(rf"(?<![\w-]){re.escape(theirs)}", ours, example)
        before, _, command = example.rpartition(" | ")
        words = shlex.split(command)
        extra = []
        if "--config-dir" in takes:
            extra += companion.command(name)[2:]
        if "--dns-persist-resolvers" in takes:
            extra += bind_reading
        if "--server" in takes and "--cert-name" not in words and "--all" not in words:
            extra += ["--server", issued.certbot.server]
        if "--account" in takes and "-d" in words and "--issuer" not in words:
            extra += ["--account", issued.url]
        if "--no-wait" in takes:  # for the TTL of the record
            extra.append("--no-wait")
        if "--yes" in takes and not {"--yes", "--dry-run"} & {*words}:
            extra.append("--yes")
        done = run(
            [companion.command(name)[0], *words[1:], *extra],
            stdin=output_of(before, bind),
            env=env,
            keep=tmp_path / "output.log",
            cwd=tmp_path,
        )
        assert done.returncode == 0, f"{example}\n{done.output}"


def collected(name: str, bind: Bind) -> str:
    """Return what massdns would print of a name."""
    values = bind.resolver.values(name)
    answers = [{"type": "TXT", "name": f"{name}.", "data": value} for value in values]
    told = {"name": f"{name}.", "type": "TXT", "status": "NOERROR", "data": {"answers": answers}}
    return json.dumps(told) + "\n"


def output_of(command: str, bind: Bind) -> str:
    """Run the left side of a pipe: ``dig``, as it were with the machine's own resolver."""
    if not command:
        return ""
    words = shlex.split(command)
    assert words[0] == "dig"
    asked = [*words, f"@{bind.resolver.address}"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout
