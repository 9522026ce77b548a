"""README.md, its neighbours and ``docs/``: commands do what they say, links lead somewhere.

A block that is indented, or fenced as ``sh``, holds commands. A scene below runs it as it stands,
against a nameserver and a CA. Everything else is fenced with its own language.
"""

import dataclasses
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import KEY, StartPebble
from markdown_it import MarkdownIt
from markdown_it.token import Token
from support.acme_ca import GOOGLE, TestCa
from support.bootstrap import ROOT, environment
from support.certbot import AGREE, Certbot, Result, Screen
from support.companion import Companion
from support.dying import Dying
from support.foreign import add_lineage
from support.nameserver import Nameserver, serving
from support.pebble import ISSUER, Pebble
from support.postgres import SUPERUSER, Fleet, Postgres, programs

from certbot_dns_persist.record import validation_domain_name

PAGES = [
    ROOT / "README.md",
    *(ROOT / f"{name}.md" for name in ("CODE_OF_CONDUCT", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
INDEXES = [page for page in PAGES if page.name == "index.md"]

DOMAIN = "example.com"
RECORD = validation_domain_name(DOMAIN)

NOT_RUN = {
    "python3 -m venv /opt/certbot": "installs from PyPI, as tests/packages does",
    "sudo python3 -m venv /opt/certbot": "so does this",
    "apt install ./dist": "tests/packages does it",
    "snap set certbot": "there is no snapd here; tests/packages tries what is in the snap",
    "systemctl enable": "there is no systemd here; systemd-analyze checks the units",
    "docker run": "needs a container engine",
    "dig": "asks servers of the Internet",
    "gcloud": "makes a key at Google",
    "git clone": "tests/test_demo.py tries what a fresh clone installs",
    "certbot certonly --authenticator dns-persist -d example.com \\\n"
    "    --dns-persist-provider dns-desec": "tests/plugins installs and tries that plugin",
}
"""What a block begins with, and why it has no scene."""


@dataclasses.dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def parsed(page: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


TOKENS = {page: list(parsed(page)) for page in PAGES}

LINKS = {
    page: {str(token.attrs["href"]) for token in tokens if token.type == "link_open"}
    for page, tokens in TOKENS.items()
}

BLOCKS = [
    Block(str(page.relative_to(ROOT)), token.map[0] + 1, token.info or "sh", token.content)
    for page, tokens in TOKENS.items()
    for token in tokens
    if token.type in ("code_block", "fence") and token.map
]


def blocks(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


class World:
    """A machine with Certbot that asks one nameserver and one CA."""

    def __init__(
        self,
        directory: Path,
        nameserver: Nameserver,
        server: str,
        trust: Path,
        postgres: Callable[[], Postgres],
    ) -> None:
        self.postgres = postgres
        """Starts the server for an inventory, or returns the one that runs."""
        self.directory, self.nameserver, self.trust = directory, nameserver, trust
        self.certbot = Certbot(directory / "certbot", server, trust)
        self.home, self._bin = directory / "home", directory / "bin"
        self.opt = directory / "opt"
        # What no page has to say: where files, nameserver and CA of a test are.
        self._reading = [
            f"--dns-persist-resolvers={nameserver.endpoint}",
            "--dns-persist-check=resolver",
        ]
        certbot, _, *places = self.certbot.command("certonly")
        orders = shlex.join([*places, *AGREE, *self._reading])
        companion, _, *places = Companion(self.certbot).command("check")
        others = f"""case "$1" in
            ca) set -- "$@" --server={server} ;;
            names) ;;
            record) set -- "$@" --server={server} {shlex.join(self._reading)} ;;
            inventory) ;;
            *) set -- "$@" {shlex.join(self._reading)} ;;
        esac"""
        for path, script in {
            self._bin / "certbot": f'exec {shlex.quote(certbot)} "$@" {orders}',
            self._bin / "certbot-dns-persist": f"{others}\n"
            f'exec {shlex.quote(companion)} "$@" {shlex.join(places)}',
            self._bin / "sudo": 'exec "$@"',
            **{
                self.opt / "bin" / program: f'exec {program} "$@"'
                for program in ("certbot", "certbot-dns-persist")
            },
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.home.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    def start(self, commands: str) -> Screen:
        """Start commands at a terminal; the first that fails or is unknown ends them."""
        commands = commands.replace("/etc/letsencrypt", str(self.certbot.config_dir))
        commands = commands.replace("/opt/certbot", str(self.opt))
        bash = shutil.which("bash")
        assert bash
        script = f"cd {shlex.quote(str(self.home))}\n{commands}"
        return Screen(self.certbot, [bash, "-ec", script], env={"PATH": str(self._bin)})

    def run(self, commands: str) -> Result:
        """Run commands that ask nothing, to their good end."""
        with self.start(commands) as screen:
            return ends_well(screen)

    def write_credentials(self) -> Path:
        self.certbot.config_dir.mkdir(parents=True, exist_ok=True)
        path = self.certbot.config_dir / "dns.ini"
        return KEY.write_credentials(path, self.nameserver.address, self.nameserver.port)

    def issue(self, *more: str) -> None:
        """Get a certificate, with its record."""
        provider = ["--dns-persist-provider", "rfc2136", "--dns-persist-ttl", "1"]
        provider += ["--dns-persist-credentials", str(self.write_credentials())]
        done = self.certbot.certonly(*provider, *self._reading, "-d", DOMAIN, *more)
        assert done.returncode == 0, done.output

    def issue_otherwise(self) -> None:
        """Have a certificate that certbot-dns-rfc2136 renews, and its account."""
        self.certbot.register()
        saved = {"authenticator": "dns-rfc2136", "renew_hook": "true"}
        file = {"dns_rfc2136_credentials": str(self.write_credentials())}
        add_lineage(self.certbot, DOMAIN, [DOMAIN], {**saved, **file})

    def collect(self, file: str, program: str) -> None:
        """Let a program have collected answers, and be one that prints them once more."""
        printed = ROOT / "tests" / "answers" / f"{program}.ndjson"
        shutil.copy(printed, self.home / file)
        (self.home / "domains.txt").write_text("ok.answers.test\nother-account.answers.test\n")
        path = self._bin / program
        path.write_text(
            f"#!{sys.executable}\nimport sys\n"
            "assert sys.stdin.readline() == '_validation-persist.ok.answers.test\\n'\n"
            f"sys.stdout.write(open({str(printed)!r}).read())\n"
        )
        path.chmod(0o755)

    def add_account(self) -> tuple[str, str]:
        """Make a second account; return Certbot's id of it and its URL."""
        trust = Path(self.certbot.env["REQUESTS_CA_BUNDLE"])
        elsewhere = Certbot(self.home / "elsewhere", self.certbot.server, trust)
        url = elsewhere.register()
        (account,) = elsewhere.config_dir.glob("accounts/*/*/*")
        copy = self.certbot.config_dir / account.relative_to(elsewhere.config_dir)
        shutil.copytree(account, copy)
        return account.name, url

    @property
    def values(self) -> list[str]:
        return self.nameserver.values(RECORD)


def ends_well(screen: Screen) -> Result:
    result = screen.finish()
    assert result.returncode == 0, result.output
    return result


Scene = Callable[[World, str], None]

SCENES: dict[str, Scene] = {}
"""By what a block begins with; the longest that fits is taken."""


def scene(beginning: str) -> Callable[[Scene], Scene]:
    def add(function: Scene) -> Scene:
        SCENES[beginning] = function
        return function

    return add


@scene("/opt/certbot/bin/certbot certonly")
def by_hand(world: World, commands: str) -> None:
    with world.start(commands) as screen:
        shown = screen.wait_for("policy=wildcard")
        (name,) = re.findall(r"Name: +(\S+)", shown)
        (value,) = re.findall(r"Value: +(.+)", shown)
        world.nameserver.zones.set_values(name, [value])
        ends_well(screen)
    assert world.certbot.certificate(DOMAIN).names == [f"*.{DOMAIN}", DOMAIN]


@scene("certbot certonly")
def with_a_provider(world: World, commands: str) -> None:
    world.write_credentials()
    world.run(commands)
    assert world.values == [f"{ISSUER}; accounturi={world.certbot.account_url}"]


BY_A_SERVICE = "certbot certonly --authenticator dns-persist -d example.com"


@scene(f"{BY_A_SERVICE} --dns-persist-provider route53")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider azure")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider cloudflare")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider digitalocean")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider google")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider hetzner")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider powerdns")
@scene(f"{BY_A_SERVICE} \\\n    --dns-persist-provider script")
def with_a_service_that_is_not_needed(world: World, commands: str) -> None:
    """The record is there. What these providers do, tests/providers try with their services."""
    value = f"{ISSUER}; accounturi={world.certbot.register()}"
    world.nameserver.zones.set_values(RECORD, [value])
    world.run(commands)
    assert world.certbot.certificate(DOMAIN).names == [DOMAIN]
    assert world.values == [value]


@scene("certbot register")
def before_the_first_certificate(world: World, commands: str) -> None:
    with world.start(commands) as screen:
        screen.wait_for("share your email address")
        screen.enter("n\n")
        shown = ends_well(screen).output
    value = f"{ISSUER}; accounturi={world.certbot.account_url}; policy=wildcard"
    assert re.search(
        rf'^{re.escape(RECORD)}\. \d+ IN TXT "{re.escape(value)}"', shown, re.MULTILINE
    )


@scene("certbot-dns-persist ca")
def what_a_directory_does_not_say(world: World, commands: str) -> None:
    with world.start(commands) as screen:
        result = screen.finish()
    assert result.returncode == 3
    assert "the directory does not say" in " ".join(result.output.split())


@scene("certbot register --server https://dv.acme-v02")
def google_trust_services(world: World, commands: str) -> None:
    ((kid, key),) = GOOGLE["external_accounts"].items()
    with TestCa(dns=(world.nameserver.address, world.nameserver.port), **GOOGLE) as ca:
        there = World(
            world.directory,
            world.nameserver,
            ca.directory_url,
            ca.root_certificate,
            world.postgres,
        )
        register_and_issue(
            there, commands.replace("B64_MAC_KEY", key).replace("KEY_ID", kid), "pki.goog"
        )
        assert ca.accounts[0].external_account == kid
        renewed = there.run("certbot renew --force-renewal")
        assert "1 renewed" in renewed.output or "all renewals succeeded" in renewed.output
        assert {done.type for done in ca.validations} == {"dns-persist-01"}


@scene("export REQUESTS_CA_BUNDLE")
def a_ca_of_our_own(world: World, commands: str) -> None:
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    assert bundle in commands
    register_and_issue(world, commands.replace(bundle, str(world.trust)), ISSUER)


def register_and_issue(world: World, commands: str, issuer: str) -> None:
    """Run commands that make an account, ask the CA what it offers, and get a certificate."""
    world.write_credentials()
    with world.start(commands) as screen:
        screen.wait_for("share your email address")
        screen.enter("n\n")
        shown = " ".join(ends_well(screen).output.split())
    assert "offered yes, in the form of draft -0" in shown
    (value,) = world.values
    assert value.startswith(f"{issuer}; accounturi={world.certbot.account_url}")


@scene("certbot certonly --server https://acme-staging-v02")
def on_trial(world: World, commands: str) -> None:
    world.write_credentials()
    shown = world.run(commands).output
    assert re.search(r"\bok\b", shown)
    assert world.values == [f"{ISSUER}; accounturi={world.certbot.account_url}"]


@scene("certbot-dns-persist revoke --cert-name staging")
def after_the_trial(world: World, commands: str) -> None:
    world.issue("--cert-name", "staging.example.com")
    assert world.values
    provider = f"--dns-persist-credentials {world.write_credentials()} --yes"
    with world.start(commands.replace("--yes", provider)) as screen:
        screen.wait_for("Are you sure")
        screen.enter("y\n")
        ends_well(screen)
    assert world.values == []


@scene("/opt/certbot/bin/certbot-dns-persist check")
@scene("certbot-dns-persist check --all")
@scene("certbot-dns-persist check --cert-name")
@scene("certbot-dns-persist audit --all")
def of_a_certificate(world: World, commands: str) -> None:
    world.issue()
    shown = world.run(commands).output
    if "--json" in commands:
        assert [record["status"] for record in json.loads(shown)["records"]] == ["ok"]
    elif "--quiet" not in commands:
        assert re.search(r"\bok\b", shown)
    for option in ("--html", "--metrics"):
        for file in re.findall(rf"{option} (\S+)", commands):
            assert DOMAIN in (world.home / file).read_text()


@scene("certbot-dns-persist audit --all --json > before.json")
def since_the_last_time(world: World, commands: str) -> None:
    world.issue()
    assert "Compared with the audit of " in world.run(commands).output
    assert "Compared with the audit of " in (world.home / "report.html").read_text()


@scene("certbot-dns-persist record --from-file domains.txt")
def for_a_repository(world: World, commands: str) -> None:
    (world.home / "domains.txt").write_text(f"{DOMAIN}\n")
    world.run(commands)
    (uri,) = re.findall(r"--account-uri (\S+)", commands)
    line = f'{RECORD}. 300 IN TXT "letsencrypt.org; accounturi={uri}"'
    assert line in (world.home / "persist.zone").read_text().splitlines()


@scene("certbot-dns-persist audit --from-file domains.txt --known-accounts")
def known_without_an_inventory(world: World, commands: str) -> None:
    uri = "https://acme-v02.api.letsencrypt.org/acme/acct/"
    world.nameserver.zones.set_values(
        RECORD, [f"letsencrypt.org; accounturi={uri}{number}" for number in (1, 2)]
    )
    (world.home / "domains.txt").write_text(f"{DOMAIN}\n")
    (world.home / "accounts.txt").write_text(f"{uri}2\n")
    assert "1 domain: 1 ok." in world.run(commands).output
    assert DOMAIN in (world.home / "dns-persist-audit.prom").read_text()


@scene("certbot-dns-persist wait --from-file domains.txt")
@scene("certbot-dns-persist check --from-file domains.txt")
def from_another_machine(world: World, commands: str) -> None:
    issuer, uri = re.findall(r"--(?:issuer|account-uri) (\S+)", commands)
    world.nameserver.zones.set_values(RECORD, [f"{issuer}; accounturi={uri}"])
    (world.home / "domains.txt").write_text(f"{DOMAIN}\n")
    told = r"\bok\b|serves the records: 1 of 1"
    assert re.search(told, world.run(commands).output)


@scene("certbot-dns-persist publish")
def what_is_there_already(world: World, commands: str) -> None:
    world.issue()
    assert "Nothing is missing" in world.run(commands).output


@scene("certbot-dns-persist publish -d example.com --issuer")
def for_an_account_elsewhere(world: World, commands: str) -> None:
    issuer, uri = re.findall(r"--(?:issuer|account-uri) (\S+)", commands)
    world.write_credentials()
    assert "Nothing here can verify" in world.run(commands).output
    assert world.values == [f"{issuer}; accounturi={uri}"]


@scene("certbot-dns-persist revoke -d example.com --issuer")
def for_an_account_elsewhere_no_more(world: World, commands: str) -> None:
    for_an_account_elsewhere(world, commands.replace("revoke", "publish"))
    assert "Removed: no name server that we can ask" in " ".join(world.run(commands).output.split())
    assert world.values == []


@scene("certbot-dns-persist revoke")
def only_looking(world: World, commands: str) -> None:
    world.issue()
    (value,) = world.values
    assert f"- {value} (revoked)" in " ".join(world.run(commands).output.split())
    assert world.values == [value]


@scene("certbot-dns-persist rotate")
def to_another_account(world: World, commands: str) -> None:
    world.issue()
    account, url = world.add_account()
    with world.start(commands.replace("--account ID", f"--account {account}")) as screen:
        if "--yes" not in commands:
            screen.wait_for("[y/N]")
            screen.enter("y\n")
        ends_well(screen)
    assert world.values == [f"{ISSUER}; accounturi={url}"]


@scene("certbot-dns-persist migrate")
def from_another_authenticator(world: World, commands: str) -> None:
    world.issue_otherwise()
    if "--back" in commands:
        world.run("certbot-dns-persist migrate --all --yes")
    value = f"{ISSUER}; accounturi={world.certbot.account_url}"
    if "--print" in commands:
        world.nameserver.zones.set_values(RECORD, [value])
    asks = "--all\n" in commands
    with world.start(commands) as screen:
        if asks:
            screen.wait_for("[y/N]")
            screen.enter("y\n")
        ends_well(screen)
    saved = world.certbot.renewal(DOMAIN)
    back = "--back" in commands or commands.endswith("--dry-run\n")
    assert saved["authenticator"] == ("dns-rfc2136" if back else "dns-persist")
    assert saved["renew_hook"] == "true"
    assert world.values == ([] if commands.endswith("--dry-run\n") else [value])


@scene("sudo /opt/certbot/bin/certbot -q renew")
def as_a_timer_does(world: World, commands: str) -> None:
    world.issue()
    assert re.search(r"\bok\b", world.run(commands).output)


@scene("certbot renew --force-renewal")
def all_of_them_anew(world: World, commands: str) -> None:
    world.issue()
    before = world.certbot.certificate(DOMAIN).serial
    world.run(commands)
    assert world.certbot.certificate(DOMAIN).serial != before


@scene("certbot unregister")
def another_account(world: World, commands: str) -> None:
    before = world.certbot.register()
    with world.start(commands) as screen:
        screen.wait_for("Are you sure")
        screen.enter("d\n")
        screen.wait_for("share your email address")
        screen.enter("n\n")
        ends_well(screen)
    assert world.certbot.account_url != before


@scene("certbot-dns-persist rollover")
def a_new_key(world: World, commands: str) -> None:
    world.issue()
    before = world.certbot.renewal(DOMAIN)["account"]
    if "--cancel" in commands:  # one that was begun
        Dying(world.certbot)("rollover", "--yes", before="rollover.json", nth=2)
    with world.start(commands) as screen:
        if "--yes" not in commands:
            screen.wait_for("[y/N]")
            screen.enter("y\n")
        ends_well(screen)
    assert (world.certbot.renewal(DOMAIN)["account"] == before) == ("--cancel" in commands)


def as_superuser(server: Postgres) -> str:
    """Return a command after which PostgreSQL's own programs reach a server."""
    where = f"PGHOST={server.directory} PGPORT={server.port} PGUSER={SUPERUSER}"
    return f'export {where} PATH="$PATH:{programs()}"'


@scene("createdb inventory")
def the_tables_of_an_inventory(world: World, commands: str) -> None:
    server = world.postgres()
    world.run(f"{as_superuser(server)}\n{commands}")
    with_it = "SELECT count(*) FROM dns_persist.schema_version"
    assert server.execute(with_it, database="inventory") != [(0,)]
    server.execute("DROP DATABASE inventory")


@scene("psql inventory")
def the_roles_of_an_inventory(world: World, commands: str) -> None:
    server = world.postgres()
    fleet = Fleet(server, [])
    commands = commands.replace("psql inventory", f"psql {fleet.database}")
    names = re.findall(r"CREATE ROLE (\w+)", commands)
    try:
        world.run(f"{as_superuser(server)}\n{commands}")
        may = "SELECT has_schema_privilege('dns_persist', 'USAGE')"
        for name in names:
            assert server.execute_as(name, may, database=fleet.database) == [(True,)]
    finally:
        for name in names:
            server.execute(f"DROP ROLE IF EXISTS {name}")


def in_a_fleet(world: World, commands: str, name: str) -> tuple[Fleet, Result]:
    """Run commands as one of a fleet, after the host web7 has pushed its certificate."""
    world.issue()
    fleet = Fleet(world.postgres(), ["web7"])
    push = "certbot-dns-persist inventory push postgresql:///?service=inventory"
    services = [
        fleet.write_service(world.directory / each, "inventory", each) for each in ("web7", name)
    ]
    first, then = (f"export PGSERVICEFILE={path}" for path in services)
    commands = re.sub(r"\bweb7\b", fleet.role("web7"), commands)
    return fleet, world.run("\n".join([first, push, then, commands]))


@scene("certbot-dns-persist inventory push")
@scene("certbot-dns-persist inventory list")
@scene("certbot-dns-persist inventory show")
def of_a_fleet(world: World, commands: str) -> None:
    fleet, done = in_a_fleet(world, commands, "auditor" if " show " in commands else "web7")
    assert "1 account, 1 record and 1 certificate" in " ".join(done.output.split())
    assert (RECORD in done.output) == (" show " in commands)
    assert ('"history"' in done.output) == ("--json" in commands)
    assert fleet.ask("SELECT name FROM dns_persist.record") == [(RECORD,)]


@scene("certbot-dns-persist inventory list 'postgresql:///?service=inventory' --json >")
def accounts_that_the_inventory_prints(world: World, commands: str) -> None:
    _, done = in_a_fleet(world, commands.replace("letsencrypt.org", ISSUER), "web7")
    assert re.search(r"\bok\b", done.output)


@scene("certbot-dns-persist audit --all --inventory")
@scene("certbot-dns-persist audit --all --fleet")
@scene("certbot-dns-persist check --all --fleet")
def as_one_who_knows_the_fleet(world: World, commands: str) -> None:
    _, done = in_a_fleet(world, commands, "auditor" if "--fleet" in commands else "web7")
    assert re.search(r"\bok\b", done.output)
    if "--html" in commands:
        assert DOMAIN in (world.home / "report.html").read_text()


@scene("certbot-dns-persist revoke --lost-host")
def a_host_that_was_lost(world: World, commands: str) -> None:
    commands = re.sub(r"(dns\.ini|web7)$", r"\1 --yes", commands, flags=re.MULTILINE)
    fleet, done = in_a_fleet(world, commands, "admin")
    assert "Forgotten." in done.output
    assert world.values == []
    assert fleet.ask("SELECT name FROM dns_persist.host") == []


@pytest.fixture(scope="module")
def nameserver() -> Iterator[Nameserver]:
    with serving(DOMAIN, keys=[KEY]) as running:
        yield running


@pytest.fixture(scope="module")
def ca(nameserver: Nameserver, start_pebble: StartPebble) -> Pebble:
    return start_pebble(nameserver.endpoint)


@pytest.fixture
def world(
    nameserver: Nameserver, ca: Pebble, tmp_path: Path, request: pytest.FixtureRequest
) -> World:
    nameserver.zones.set_values(RECORD, [])
    postgres = partial(request.getfixturevalue, "postgres")
    return World(tmp_path, nameserver, ca.directory_url, ca.ca_bundle, postgres)


@scene("certbot-dns-persist names --from-file domains.txt | zdns TXT")
def answers_of_zdns(world: World, commands: str) -> None:
    world.collect("answers.json", "zdns")
    with world.start(commands) as screen:
        result = screen.finish()
    assert result.returncode == 2
    assert "2 domains: 1 mismatch, 1 ok." in " ".join(result.output.split())
    assert "They do not tell" in result.output


@scene("certbot-dns-persist audit --from-file domains.txt --quiet")
def answers_from_two_places(world: World, commands: str) -> None:
    world.collect("answers.json", "zdns")
    world.collect("more.json", "massdns")
    with world.start(commands) as screen:
        result = screen.finish()
    assert result.returncode == 2
    assert "unknown-account" in result.output


@scene(".venv/bin/python -m pytest")
@scene(".venv/bin/python -m ruff check")
def in_the_clone(world: World, commands: str) -> None:
    commands = commands.replace(" format .", " format --check .")  # we change nothing here
    commands = commands.replace("-m pytest", "-m pytest -p no:cacheprovider")
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


COMMANDS = [block for block in blocks("sh") if not block.text.startswith(tuple(NOT_RUN))]


def scenes_of(block: Block) -> list[str]:
    return [beginning for beginning in SCENES if block.text.startswith(beginning)]


def test_each_block_has_a_scene() -> None:
    """Or is listed in ``NOT_RUN``; both are in this file."""
    assert [str(block) for block in COMMANDS if not scenes_of(block)] == []


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, marks=() if block.page == "README.md" else pytest.mark.docs)
        for block in COMMANDS
    ],
    ids=str,
)
def test_the_commands_of_a_page_do_what_it_says(block: Block, world: World) -> None:
    SCENES[max(scenes_of(block), key=len)](world, block.text)


@pytest.mark.parametrize("beginning", [*SCENES, *NOT_RUN])
def test_what_this_file_knows_is_on_a_page(beginning: str) -> None:
    assert any(block.text.startswith(beginning) for block in blocks("sh"))


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_on_a_page_runs(block: Block, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", block.text]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_block_is_of_a_known_language() -> None:
    assert {block.language for block in BLOCKS} <= {"ini", "python", "sh", "text"}


def test_the_readme_is_no_longer_than_a_newcomer_reads() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) < 700


def anchors(page: Path) -> set[str]:
    """Return what a forge calls the headings of a page."""
    tokens = TOKENS.get(page) or list(parsed(page))
    headings = [
        after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def test_links_in_docs_to_headings_lead_to_headings() -> None:
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in sorted(LINKS[page])
        for parts in [urlsplit(link)]
        if not parts.scheme
        and parts.fragment
        and parts.fragment
        not in anchors((page.parent / parts.path).resolve() if parts.path else page)
    ]
    assert lost == []


def test_links_in_docs_to_files_lead_to_files() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {link.path}"
        for page in PAGES[1:]
        for link in map(urlsplit, sorted(LINKS[page]))
        if not link.scheme and link.path and not (page.parent / link.path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("index", INDEXES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_index_names_every_page_beside_it(index: Path) -> None:
    assert {page.name for page in index.parent.glob("*.md")} - LINKS[index] == {index.name}
