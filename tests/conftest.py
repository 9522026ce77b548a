"""The servers that tests run against.

Two worlds to choose from. ``bind`` and ``pebble``: BIND as primary, secondary and resolver, and a
CA that validates through that resolver; started once a process, so each test takes a ``domain`` of
its own. ``nameserver`` and ``nameserver_pebble``: one small server of ours, which any user may
run and which can be made to misbehave.
"""

import collections
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import support.hypothesis_profile  # noqa: F401
from support import bind as bind_support
from support import postgres as postgres_support
from support import tools
from support.bind import Bind
from support.certbot import OUTPUT, Certbot
from support.companion import Companion
from support.issued import Issued
from support.nameserver import Nameserver, serving
from support.need import need
from support.pebble import Pebble
from support.postgres import Postgres
from support.zones import Key

ZONES = {"example.test": "", "child.example.test": "", "other.test": ""}
"""What ``bind`` serves: a zone, a zone delegated from it, and one elsewhere."""

KEY = Key("test-key", "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzISE=")

SECRETS = re.compile(
    rf"{KEY.secret[:40]}"
    r"|cfut_\d{36}"  # Cloudflare's tokens
    r"|wJalrXUtnFEMI|session-token"  # AWS's secret keys and session tokens
    r"|(?<![\w+/-])hush(?![\w+/-])"  # what stands for a secret elsewhere, but not within base64
    r"|hush-?hush|hush(/|%2F)hush"
)

WRITTEN = (
    "letsencrypt.log*",
    OUTPUT,
    "*.jsonl",
    "dns-persist-debug.log",
    "state.sqlite",
    "renewal/*.conf",
)

# How long an example takes says how busy the machine is, and here more is run than it has cores.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

StartPebble = Callable[..., Pebble]

_NOBODY = 65534

PACKAGES = Path(__file__).with_name("packages")
PLUGINS = Path(__file__).with_name("plugins")
PROVIDERS = Path(__file__).with_name("providers")

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is a step of its own in ``.ci/run`` by what it needs."""
    for item in items:
        if PACKAGES in item.path.parents:
            item.add_marker("packages")
        if PLUGINS in item.path.parents:
            item.add_marker("plugins")
        if PROVIDERS in item.path.parents:
            item.add_marker("services")
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how long the tests of each file took, waiting included, when there are several."""
    seconds: collections.Counter[str] = collections.Counter()
    tests: collections.Counter[str] = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.location[0]
                seconds[file] += report.duration  # type: ignore[assignment]
                tests[file] += report.when == "call"
    if len(seconds) < 2:
        return
    terminalreporter.write_sep("=", "seconds and tests by file")
    for file, spent in seconds.most_common():
        terminalreporter.write_line(f"{spent:8.1f} {tests[file]:5} {file}")


@pytest.fixture(autouse=True)
def no_secret_shows(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Search what a test has logged, said and written for the secrets that it used."""
    secrets = SECRETS.pattern
    if "bind" in request.fixturenames:
        secrets += "|" + re.escape(request.getfixturevalue("bind").key.secret)
    caplog.set_level("DEBUG")
    yield
    for record in caplog.get_records("call"):
        assert not re.search(secrets, f"{record.getMessage()} {record.exc_text}")
    for pattern in WRITTEN:
        for path in filter(Path.is_file, tmp_path.rglob(pattern)):
            assert not re.search(secrets, path.read_text(errors="replace")), path


@pytest.fixture
def domain() -> str:
    """A name in ``example.test`` that no other test uses."""
    return f"n{next(_numbers)}.example.test"


@pytest.fixture(scope="session")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """BIND with ``ZONES``; a test that holds the secondary back lets it catch up at its end."""
    need(not bind_support.missing(), str(bind_support.missing()))
    with Bind(tmp_path_factory.mktemp("bind"), ZONES) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL; each test takes a ``support.postgres.Fleet`` of its own."""
    need(not postgres_support.missing(), str(postgres_support.missing()))
    os.environ["PGCONNECT_TIMEOUT"] = "100"  # of a busy machine
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def pebble_is_built() -> None:
    try:
        tools.pebble()
    except (OSError, subprocess.CalledProcessError) as error:
        need(False, f"Pebble cannot be built: {error}")


@pytest.fixture(scope="session")
def pebble(
    bind: Bind, tmp_path_factory: pytest.TempPathFactory, pebble_is_built: None
) -> Iterator[Pebble]:
    """A CA that asks ``bind``'s resolver."""
    with Pebble(tmp_path_factory.mktemp("pebble"), f"{bind.resolver.address}:53") as running:
        yield running


@pytest.fixture(scope="module")
def start_pebble(
    tmp_path_factory: pytest.TempPathFactory, pebble_is_built: None
) -> Iterator[StartPebble]:
    """Start a CA: ``start_pebble("127.0.0.1:5300", issuers=[...], env={...})``."""
    running: list[Pebble] = []

    def start(dnsserver: str, **options: Any) -> Pebble:
        running.append(Pebble(tmp_path_factory.mktemp("pebble"), dnsserver, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def certbot(tmp_path: Path, pebble: Pebble) -> Certbot:
    """Certbot, new each time, with ``pebble`` as its CA."""
    return Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle)


@pytest.fixture
def other_account(certbot: Certbot, pebble: Pebble, tmp_path: Path) -> tuple[str, str]:
    """A second account at the CA, in ``certbot``'s directory: Certbot's id and the URL."""
    elsewhere = Certbot(tmp_path / "elsewhere", pebble.directory_url, pebble.ca_bundle)
    url = elsewhere.register()
    (path,) = (elsewhere.config_dir / "accounts").glob("**/regr.json")
    account = path.parent
    target = certbot.config_dir / account.relative_to(elsewhere.config_dir)
    shutil.copytree(account, target)
    return account.name, url


@pytest.fixture
def issued(certbot: Certbot, bind: Bind, domain: str, bind_writing: list[str]) -> Issued:
    return Issued(certbot, bind, domain, bind_writing)


@pytest.fixture
def companion(certbot: Certbot) -> Companion:
    """The command ``certbot-dns-persist``, with the files of ``certbot``."""
    return Companion(certbot)


@pytest.fixture
def nameserver(request: pytest.FixtureRequest) -> Iterator[Nameserver]:
    """A resolver and primary of ``example.test`` and ``other.test`` that takes updates.

    At port 53 if we may use it, where the zones' own server is asked for what a record would hide.
    A test marked ``port_53_blocked`` cannot reach that.
    """
    blocked = request.node.get_closest_marker("port_53_blocked")
    with serving("example.test", "other.test", keys=[KEY], port_53=not blocked) as running:
        yield running


@pytest.fixture
def nameserver_pebble(
    nameserver: Nameserver, tmp_path_factory: pytest.TempPathFactory, pebble_is_built: None
) -> Iterator[Pebble]:
    """A CA that asks ``nameserver``."""
    with Pebble(tmp_path_factory.mktemp("pebble"), nameserver.endpoint) as running:
        yield running


@pytest.fixture
def bind_credentials(tmp_path: Path, bind: Bind) -> Path:
    """A credentials file for provider ``rfc2136`` and ``bind``'s primary."""
    return bind.key.write_credentials(tmp_path / "bind.ini", bind.primary.address, 53)


@pytest.fixture
def bind_reading(bind: Bind) -> list[str]:
    """Our options, to look into ``bind`` and write nothing."""
    return [f"--dns-persist-resolvers={bind.resolver.address}"]


@pytest.fixture
def bind_writing(bind_reading: list[str], bind_credentials: Path) -> list[str]:
    """Our options, to write to ``bind``'s primary."""
    return [
        *bind_reading,
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={bind_credentials}",
    ]


@pytest.fixture
def nameserver_credentials(tmp_path: Path, nameserver: Nameserver) -> Path:
    """A credentials file for provider ``rfc2136`` and ``nameserver``."""
    return KEY.write_credentials(tmp_path / "ns.ini", nameserver.address, nameserver.port)


@pytest.fixture
def reading(nameserver: Nameserver) -> list[str]:
    """Our options, to look into ``nameserver`` and write nothing."""
    return [f"--dns-persist-resolvers={nameserver.endpoint}", "--dns-persist-check=resolver"]


@pytest.fixture
def writing(reading: list[str], nameserver_credentials: Path) -> list[str]:
    """Our options, to write into ``nameserver``."""
    return [
        *reading,
        "--dns-persist-provider=rfc2136",
        f"--dns-persist-credentials={nameserver_credentials}",
        "--dns-persist-propagation-seconds=10",
        # Where the zones' own server is not at port 53, nobody can be asked about these.
        "--dns-persist-may-hide=a.example.test,b.example.test,www.example.test,x.other.test",
    ]


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be an ordinary user, in a directory of their own, which others may look into."""
    with tempfile.TemporaryDirectory() as place:
        monkeypatch.chdir(place)
        if os.geteuid() != 0:
            yield
            return
        os.chown(place, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
        yield
        os.seteuid(0)
