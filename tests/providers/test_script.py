"""The provider for a program of the user's."""

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import KEY
from support.certbot import Certbot
from support.nameserver import Nameserver
from support.pebble import Pebble

from certbot_dns_persist.errors import ConfigurationError, OutcomeUnknown, ProviderError
from certbot_dns_persist.providers import script
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.providers.script import Script
from certbot_dns_persist.record import validation_domain_name

NAME = validation_domain_name("example.test")

Make = Callable[..., Script]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Make:
    """Make the provider with a shell script of these lines."""

    def make(*lines: str, mode: int = 0o700) -> Script:
        program = tmp_path / "my program"
        program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        program.chmod(mode)
        served = Served(["there"], "example.test")
        settings = Settings(
            {"command": shlex.quote(str(program)), "propagation_seconds": "0"},
            None,
            said.append,
            lambda _: served,
        )
        return Script(settings)

    return make


def test_everything_is_in_the_environment(make: Make, said: list[str]) -> None:
    provider = make("env | grep ^DNS_PERSIST_ | sort")
    assert provider.add_value(NAME, "a value; with = signs $HOME `id`", 300) == 300
    provider.remove_value(NAME, "v")
    publish, remove = said
    assert publish.splitlines()[1:] == [
        "DNS_PERSIST_ACTION=publish",
        f"DNS_PERSIST_NAME={NAME}",
        "DNS_PERSIST_TTL=300",
        "DNS_PERSIST_VALUE=a value; with = signs $HOME `id`",
        "DNS_PERSIST_ZONE=example.test",
    ]
    assert "DNS_PERSIST_ACTION=remove" in remove
    assert "DNS_PERSIST_TTL=\n" in remove


def test_what_stands_is_asked_of_the_zones_servers(make: Make) -> None:
    assert make().list_values(NAME) == ["there"]
    assert make().zone_for(NAME) == "example.test"


def test_a_failure_is_told_with_the_programs_words(make: Make) -> None:
    with pytest.raises(ProviderError) as caught:
        make("echo the zone is locked >&2", "exit 3").add_value(NAME, "v", 300)
    for words in ("my program", "publish", NAME, "status 3", "the zone is locked"):
        assert words in str(caught.value)


def test_output_that_is_no_text_and_very_long_is_cut(make: Make, said: list[str]) -> None:
    with pytest.raises(ProviderError) as caught:
        make("head -c 100000 /dev/zero | tr '\\0' '\\377'", "exit 1").add_value(NAME, "v", 300)
    assert len(str(caught.value)) < 3000
    make("head -c 100000 /dev/zero | tr '\\0' x; echo; echo the end").add_value(NAME, "v", 300)
    assert len(said[0]) < 3000
    assert said[0].endswith("xxx\nthe end")


@pytest.mark.parametrize("part", ["program", "folder above", "folder of a link"])
def test_root_runs_no_program_that_others_can_change(
    make: Make, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.common.are_root", lambda: True)
    program = tmp_path / "my program"
    changeable = {"program": program, "folder above": tmp_path, "folder of a link": tmp_path}[part]
    make("true").add_value(NAME, "v", 300)
    changeable.chmod(0o777)
    command = shlex.quote(str(program))
    if part == "folder of a link":
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "hook").symlink_to(program)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        command = "hook"
    with pytest.raises(ConfigurationError) as caught:
        Script(Settings({"command": command}, None, print, lambda _: Served([], None)))
    assert f"{changeable} may be written by everybody (mode 0777)" in str(caught.value)
    assert f"chmod o-w {shlex.quote(str(changeable))}" in str(caught.value)


@pytest.mark.parametrize("command", [[sys.executable], [sys.executable, "-I"]])
def test_root_lets_no_interpreter_run_a_file_that_others_can_change(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.common.are_root", lambda: True)
    hook = tmp_path / "hook.py"
    hook.write_text("print()\n")
    settings = Settings(
        {"command": shlex.join([*command, str(hook), "an argument", "x" * 9999])}, None, print
    )
    hook.chmod(0o600)
    Script(settings)
    hook.chmod(0o666)
    with pytest.raises(ConfigurationError) as caught:
        Script(settings)
    assert f"The file {hook}, an argument of {sys.executable}, is not used" in str(caught.value)
    assert f"chmod o-w {shlex.quote(str(hook))}" in str(caught.value)


def test_a_program_that_is_not_executable_or_missing_is_named(make: Make) -> None:
    provider = make(mode=0o600)
    with pytest.raises(ProviderError, match="cannot be run: Permission denied"):
        provider.add_value(NAME, "v", 300)
    nothing = Served([], None)
    missing = Script(Settings({"command": "/none/program"}, None, print, lambda _: nothing))
    with pytest.raises(ProviderError, match="cannot be run: No such file or directory"):
        missing.add_value(NAME, "v", 300)


CHILDREN = ["sleep 60 &", "(trap '' TERM; sleep 60; sleep 60) &", "echo started", "echo ready >&3"]
"""What a program starts: a child, and one with a child of its own that does not end when asked."""


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[int]:
    """Open a fifo for reading, without waiting; it ends when nobody holds it any more."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield number
    os.close(number)


def at_its_end(fifo: int) -> bool:
    """Whether nobody holds it any more, or will soon: who was killed takes a moment to end."""
    return bool(select.select([fifo], [], [], 20)[0]) and not os.read(fifo, 99)


@pytest.mark.parametrize("waiting", ["exec sleep 60", "trap '' TERM; sleep 60; sleep 60", "wait"])
def test_a_program_that_hangs_is_stopped_with_all_that_it_started(
    make: Make, fifo: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: str
) -> None:
    monkeypatch.setattr(script, "_SECONDS", 2.0)
    monkeypatch.setattr(script, "_GRACE", 0.3)
    lines = [f"exec 3> '{tmp_path / 'fifo'}'", *CHILDREN]
    with pytest.raises(OutcomeUnknown) as caught:
        make(*lines, waiting).remove_value(NAME, "v")
    assert os.read(fifo, 99) == b"ready\n"
    assert at_its_end(fifo)
    for words in ("my program", f"remove the TXT record {NAME}", "within 2 seconds", "started"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("number", "slow"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGTERM, 2)],
)
def test_what_a_program_started_ends_if_a_signal_ends_us(
    fifo: int, tmp_path: Path, number: signal.Signals, slow: int
) -> None:
    """``slow`` is how many seconds it takes us to know that the program was started."""
    program = tmp_path / "program"
    program.write_text(
        "\n".join(["#!/bin/sh", f"exec 3> '{tmp_path / 'fifo'}'", *CHILDREN, "wait"])
    )
    program.chmod(0o700)
    code = f"""
import signal, subprocess, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
started = subprocess.Popen.__init__
def start(*arguments, **more):
    started(*arguments, **more)
    time.sleep({slow})
subprocess.Popen.__init__ = start
from certbot_dns_persist.cli import signals
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.providers import script
signals.end_like_ctrl_c()
script._GRACE = 0.3
settings = Settings({{"command": {str(program)!r}}}, None, print, lambda _: Served([], None))
script.Script(settings).remove_value({NAME!r}, "v")
"""
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as running:
        try:
            assert select.select([fifo], [], [], 60)[0]
            assert os.read(fifo, 99) == b"ready\n"
            running.send_signal(number)
            assert running.wait(60) != 0
        finally:
            running.kill()
    assert at_its_end(fifo)


def test_a_program_that_leaves_something_running_has_ended(
    make: Make, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.script._SECONDS", 10)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)
    try:
        make(f"cat '{fifo}' &", "echo done").add_value(NAME, "v", 300)
    finally:
        os.write(end, b"x")
        os.close(end)
    assert said[0].endswith("done")


@pytest.mark.parametrize("command", ["", "  ", "'half a quote"])
def test_a_command_that_is_none_is_refused(command: str) -> None:
    with pytest.raises(ConfigurationError, match="--dns-persist-script"):
        Script(Settings({"command": command}, None, print))


def test_a_certificate_through_a_script_and_its_renewal_without(
    tmp_path: Path, nameserver: Nameserver, nameserver_pebble: Pebble
) -> None:
    certbot = Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )
    program = Path(__file__).parents[1] / "support" / "update_txt.py"
    copy = tmp_path / "update.py"
    copy.write_text(program.read_text())
    key = tmp_path / "key"
    key.write_text("\n".join([nameserver.address, str(nameserver.port), KEY.name, KEY.secret]))
    command = shlex.join([sys.executable, str(copy), str(key)])
    env = {"PYTHONPATH": str(program.parents[1])}
    nameserver.zones.set_values(NAME, ["foreign"])
    done = certbot.certonly(
        "--dns-persist-provider=script",
        f"--dns-persist-script={command}",
        f"--dns-persist-resolvers={nameserver.endpoint}",
        "--dns-persist-check=resolver",
        *("-d", "example.test", "-d", "*.example.test"),
        env=env,
    )
    assert done.returncode == 0, done.output
    assert "publish: NOERROR" in done.output
    assert len(nameserver.values(NAME)) == 2
    assert "foreign" in nameserver.values(NAME)
    copy.unlink()
    done = certbot.renew("--force-renewal")
    assert done.returncode == 0, done.output
