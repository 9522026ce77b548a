"""``certbot-dns-persist wait``: for whoever's pull request publishes the records."""

from collections.abc import Iterable, Iterator

import pytest
from support.nameserver import Nameserver, serving

from certbot_dns_persist.cli import program, wait
from certbot_dns_persist.lookup.found import Found, ServerAnswer

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
    published: list[str] = []

    def publish_one(looks: int, missing: Iterable[Found]) -> float:
        names = [found.name for found in missing]
        assert names == [[A, B], [B]][looks]  # what is served is not asked for again
        server.zones.set_values(names[0], [VALUE])
        published.append(names[0])
        return 0.0

    monkeypatch.setattr(wait, "pause", publish_one)
    assert waited(server, "--timeout=600") == 0
    assert published == [A, B]
    told = capsys.readouterr()
    assert told.err == "Waiting for 2 of 2 records.\n"
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


def test_pauses_grow_and_are_as_long_as_caches_keep_what_they_have() -> None:
    zone = Found(A, A, "example.test", (ServerAnswer("ns1", "192.0.2.1", (), ttl=900),))
    assert [wait.pause(looks, [zone]) for looks in (0, 1, 4, 5, 1000)] == [2, 4, 32, 60, 60]
    resolver = ServerAnswer("192.0.2.2", "192.0.2.2", ())
    denied = Found(A, A, None, (resolver,), negative_ttl=300)
    assert wait.pause(0, [denied]) == 300
    stale = Found(B, B, None, (ServerAnswer("192.0.2.2", "192.0.2.2", ("x",), ttl=90),))
    assert wait.pause(0, [denied, stale]) == 90
    assert wait.pause(0, [denied, stale, zone]) == 2
    unknown = Found(A, A, None, (), trouble="no resolver answers")
    assert wait.pause(0, [unknown]) == 2
