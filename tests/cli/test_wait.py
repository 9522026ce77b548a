"""``certbot-dns-persist wait``: for whoever's pull request publishes the records."""

import time
import types
from collections.abc import Iterator

import pytest
from support.nameserver import Nameserver, serving

from certbot_dns_persist.cli import program

URI = "https://ca.example/acct/1"
VALUE = f"ca.example; accounturi={URI}"
A, B = "_validation-persist.a.example.test", "_validation-persist.b.example.test"


@pytest.fixture
def server() -> Iterator[Nameserver]:
    with serving("example.test", keys=[], port_53=False) as running:
        yield running


def waited(server: Nameserver, *arguments: str) -> int:
    asked = [
        *("wait", "-d", "a.example.test,b.example.test", "--issuer=ca.example"),
        *(f"--account-uri={URI}", f"--dns-persist-resolvers={server.endpoint}"),
        "--dns-persist-check=resolver",
    ]
    args = program.parser().parse_args([*asked, *arguments])
    return int(args.run(args))


def test_it_returns_when_the_last_record_is_served(
    server: Nameserver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def publish_one(seconds: float) -> None:
        assert seconds == [2, 3][len(asked)]
        asked.append([name for name in (A, B) if not server.values(name)])
        server.zones.set_values(asked[-1][0], [VALUE])

    clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=publish_one)
    monkeypatch.setattr("certbot_dns_persist.wait.time", clock)
    assert waited(server, "--timeout=600") == 0
    assert asked == [[A, B], [B]]
    told = capsys.readouterr()
    assert told.err == "Waiting for 2 of 2 records.\nWaiting for 1 of 2 records.\n"
    assert told.out == "Every server that answers serves the records: 2 of 2.\n"


def test_if_time_is_up_it_says_what_is_missing(
    server: Nameserver, capsys: pytest.CaptureFixture[str]
) -> None:
    server.zones.set_values(A, [VALUE])
    assert waited(server, "--timeout=0") == 1
    told = capsys.readouterr()
    assert told.out.startswith("b.example.test\tmissing\t")
    assert told.out.count("\n") == 1
    assert told.err == "1 of 2 records are not served everywhere yet.\n"
