"""Certificates that other authenticators have issued: thirty of five move at once.

Certbot issues all of them, with the real plugins, from two Pebbles. These ask BIND's primary, as
the plugins wait for no other server.
"""

import contextlib
import dataclasses
import http.server
import json
import shlex
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from configobj import ConfigObj
from conftest import StartPebble
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from support import warm
from support.aws import Aws
from support.bind import Bind
from support.certbot import PROGRAM, Certbot
from support.cloudflare_api import CloudflareApi
from support.companion import Companion, failed, ok
from support.inwx_api import InwxApi
from support.killed import was_killed
from support.nameserver import Zones, txt
from support.pebble import Pebble
from support.process import claim_address, find_program, release_address
from support.zones import absolute, zone_text

from certbot_dns_persist.record import validation_domain_name

pytestmark = pytest.mark.long

ZONE = "example.test"
DOMAIN = f"thirty.{ZONE}"
ISSUERS = ("one.test", "two.test")
MOMENTS = ("before", "after")

HOOK = """\
#!/bin/sh
# Authenticates with "add" and cleans up with "delete"; also for the provider script.
set -eu
name=${{DNS_PERSIST_NAME:-_acme-challenge.$CERTBOT_DOMAIN}}
value=${{DNS_PERSIST_VALUE:-$CERTBOT_VALIDATION}}
case ${{DNS_PERSIST_ACTION:-$1}} in
    publish | add) change="add $name ${{DNS_PERSIST_TTL:-1}} TXT \\"$value\\"" ;;
    remove | delete) change="delete $name TXT \\"$value\\"" ;;
esac
printf 'server {server} 53\\n%s\\nsend\\n' "$change" | {nsupdate} -k {key}
"""


class IntoBind(Zones):
    """What a service that imitates another publishes, served by BIND."""

    def __init__(self, bind: Bind) -> None:
        text = zone_text(ZONE, {"ns1": ["127.0.0.1"]})
        super().__init__(Zones.from_text(text).zones.values())
        self._bind = bind

    def set_values(self, name: str, values: Iterable[str], ttl: int = 1) -> None:
        super().set_values(name, values, ttl)
        update = self._bind.primary.update(ZONE)
        update.delete(absolute(name), "TXT")
        for value in self.values(name):
            update.add(absolute(name), ttl, txt(value))
        self._bind.primary.send(update)
        self._bind.settle()


@dataclasses.dataclass(frozen=True)
class Kind:
    """An authenticator."""

    plugin: str
    options: Sequence[str]
    provider: str = ""
    """What its certificates move to; empty if nothing says that."""

    @property
    def name(self) -> str:
        return self.plugin.removeprefix("dns-")


@dataclasses.dataclass(frozen=True)
class Issued:
    """A certificate whose settings differ from its neighbours'."""

    kind: Kind
    number: int

    @property
    def name(self) -> str:
        return f"{self.kind.name}-{self.number}"

    @property
    def domain(self) -> str:
        return f"{self.kind.name}{self.number}.{DOMAIN}"

    @property
    def ca(self) -> int:
        """Which of the two has issued it."""
        return self.number // 2 % 2

    @property
    def is_rsa(self) -> bool:
        return self.number % 2 == 1

    @property
    def has_wildcard(self) -> bool:
        return bool(self.kind.provider) and self.number % 3 == 0

    @property
    def hooks(self) -> Sequence[str]:
        return ("pre", "deploy", "post") if self.number == 0 else ("deploy",)


class Site:
    """A machine with an account at each of two CAs, and certificates with hooks of their own."""

    def __init__(self, directory: Path, bind: Bind, pebbles: Sequence[Pebble]) -> None:
        self.directory, self.bind, self.pebbles = directory, bind, pebbles
        bundle = directory / "bundle.pem"
        bundle.write_text("".join(pebble.ca_bundle.read_text() for pebble in pebbles))
        root = directory / "certbot"
        urls = [pebble.directory_url for pebble in pebbles]
        self.cas = [Certbot(root, url, bundle, program=PROGRAM) for url in urls]
        self.config_dir = self.cas[0].config_dir
        self.companion = Companion(self.cas[0])
        self.accounts: list[str] = []
        self.issued: list[Issued] = []
        self.bare = self.cas[0].env
        """The environment without what leads to a service."""
        names = {"cloudflare", "inwx", "rfc2136", "hook"}
        self.secrets = {name: directory / f"{name}.ini" for name in names}

    @contextlib.contextmanager
    def services(self) -> Iterator[None]:
        """Run the services, which have no records and new credentials."""
        into, key = IntoBind(self.bind), self.bind.key
        with (
            CloudflareApi(ZONE, mirror=into) as api,
            Aws(into) as aws,
            InwxApi(into) as inwx,
        ):
            aws.add_zone(ZONE)
            aws.pending = 0
            key.write_credentials(self.secrets["rfc2136"], self.bind.primary.address, 53)
            for name, text in {
                "cloudflare": f"dns_cloudflare_api_token = {api.token(ZONE)}\n",
                "inwx": f"dns_inwx_url = {inwx.url}\ndns_inwx_username = user\n"
                "dns_inwx_password = hushhush\ndns_inwx_shared_secret = hushhush\n",
                "hook": f'key "{key.name}" {{\n'
                f'algorithm {key.algorithm};\nsecret "{key.secret}";\n}};\n',
            }.items():
                self.secrets[name].touch(0o600)
                self.secrets[name].write_text(text)
            leading = {**aws.variables, "CLOUDFLARE_BASE_URL": api.url, "no_proxy": "127.0.0.1"}
            for each in self.cas:
                each.env = {**self.bare, **leading}
            yield
        for each in self.cas:
            each.env = self.bare

    # Issue

    def kinds(self) -> list[Kind]:
        """Return the authenticators that know a DNS service, by name."""
        secrets, now = self.secrets, "propagation-seconds=0"
        hook = self.directory / "hook"
        made = f"{self.config_dir}/dns-persist/migrated/dns-inwx-"
        return [
            Kind(
                "dns-cloudflare",
                [f"credentials={secrets['cloudflare']}", now],
                f"cloudflare with credentials {secrets['cloudflare']}\n",
            ),
            Kind(
                "dns-inwx",
                [f"credentials={secrets['inwx']}", now, "follow-cnames="],  # it asks no resolver
                f"dns-inwx with credentials {made}",
            ),
            Kind(
                "manual",
                [f"auth-hook={hook} add", f"cleanup-hook={hook} delete"],
                f"script with script {hook} add\n",
            ),
            Kind(
                "dns-rfc2136",
                [f"credentials={secrets['rfc2136']}", now],
                f"rfc2136 with credentials {secrets['rfc2136']}\n",
            ),
            Kind("dns-route53", [], "route53\n"),
        ]

    def issue_all(self) -> None:
        """Let each authenticator issue its certificates."""
        self.accounts = [self._register(each) for each in self.cas]
        nsupdate, key = find_program("nsupdate"), self.secrets["hook"]
        hook = self.directory / "hook"
        server = self.bind.primary.address
        hook.write_text(HOOK.format(server=server, nsupdate=nsupdate, key=key))
        hook.chmod(0o700)
        for kind in self.kinds():
            for number in range(6):
                more = ["--preferred-challenges=dns"] if kind.plugin == "manual" else []
                self._issue(Issued(kind, number), *more)
        with self._at("standalone0") as address:
            where = [f"--http-01-address={address}", f"--http-01-port={self.pebbles[0].http_port}"]
            self._issue(Issued(Kind("standalone", []), 0), *where)
        web = self.directory / "web"
        web.mkdir()
        with self._at("webroot2") as address, _serving(web, address, self.pebbles[1].http_port):
            self._issue(Issued(Kind("webroot", [f"path={web}"]), 2))

    def _register(self, certbot: Certbot) -> str:
        """Make an account at a CA; return its URL."""
        known = {*self.config_dir.glob("accounts/**/regr.json")}
        certbot.run("register", "--agree-tos", "--register-unsafely-without-email")
        (made,) = {*self.config_dir.glob("accounts/**/regr.json")} - known
        url: str = json.loads(made.read_text())["uri"]
        return url

    @contextlib.contextmanager
    def _at(self, label: str) -> Iterator[str]:
        """Give a domain an address."""
        address = claim_address()
        update = self.bind.primary.update(ZONE)
        update.replace(absolute(f"{label}.{DOMAIN}"), 1, "A", address)
        self.bind.primary.send(update)
        try:
            yield address
        finally:
            release_address(address)

    def _issue(self, each: Issued, *more: str) -> None:
        names = [each.domain, f"*.{each.domain}"] if each.has_wildcard else [each.domain]
        done = self.cas[each.ca].run(
            "certonly",
            f"--authenticator={each.kind.plugin}",
            *(f"--{each.kind.plugin}-{option}" for option in each.kind.options),
            f"--cert-name={each.name}",
            *(f"--domain={name}" for name in names),
            *(["--key-type=rsa", "--rsa-key-size=2048"] if each.is_rsa else ["--key-type=ecdsa"]),
            *(
                f"--{hook}-hook=touch {shlex.quote(str(self.mark(hook, each)))}"
                for hook in each.hooks
            ),
            *more,
        )
        assert done.returncode == 0, done.output
        self.issued.append(each)

    def mark(self, hook: str, each: Issued) -> Path:
        """Return the file that a hook of a certificate makes."""
        return self.directory / f"{hook}, {each.name}"

    # Look

    @property
    def thirty(self) -> list[Issued]:
        """Those that can move as they are."""
        return [each for each in self.issued if each.kind.provider]

    @property
    def reading(self) -> str:
        return f"--dns-persist-resolvers={self.bind.resolver.address}"

    def octets(self, each: Issued) -> bytes:
        """Return the renewal configuration as it is."""
        return (self.config_dir / "renewal" / f"{each.name}.conf").read_bytes()

    def certificate(self, each: Issued) -> x509.Certificate:
        path = self.config_dir / "live" / each.name / "cert.pem"
        return x509.load_pem_x509_certificate(path.read_bytes())

    def has_moved(self, each: Issued) -> bool:
        """Whether it is renewed by us, and its record is in DNS."""
        moved = self.cas[0].renewal(each.name)["authenticator"] == "dns-persist"
        policy = "; policy=wildcard" if each.has_wildcard else ""
        value = f"{ISSUERS[each.ca]}; accounturi={self.accounts[each.ca]}{policy}"
        there = self.bind.primary.values(validation_domain_name(each.domain))
        assert there in ([value], []), there
        return moved and there == [value]

    # Each test begins alike

    def keep(self) -> None:
        shutil.copytree(self.directory / "certbot", self.directory / "kept", symlinks=True)

    def restore(self) -> None:
        """Let files and records be as they were when all was issued."""
        shutil.rmtree(self.directory / "certbot")
        shutil.copytree(self.directory / "kept", self.directory / "certbot", symlinks=True)
        update = self.bind.primary.update(ZONE)
        for each in self.issued:
            update.delete(absolute(validation_domain_name(each.domain)))
            for hook in each.hooks:
                self.mark(hook, each).unlink(missing_ok=True)
        self.bind.primary.send(update)
        self.bind.settle()


@contextlib.contextmanager
def _serving(web: Path, address: str, port: int) -> Iterator[None]:
    """Serve a directory by HTTP."""
    handler = partial(_Quiet, directory=str(web))
    with http.server.ThreadingHTTPServer((address, port), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory, bind: Bind, start_pebble: StartPebble
) -> Site:
    """A machine where all certificates are issued: Certbot takes a second for each."""
    where = f"{bind.primary.address}:53"
    pebbles = [start_pebble(where, issuers=[issuer], retry_after=0) for issuer in ISSUERS]
    made = Site(tmp_path_factory.mktemp("site"), bind, pebbles)
    with made.services():
        made.issue_all()
    made.keep()
    return made


@pytest.fixture
def site(machine: Site) -> Iterator[Site]:
    machine.restore()
    with machine.services():
        yield machine


def test_thirty_certificates_of_five_authenticators_move_with_one_command_and_renew(
    site: Site,
) -> None:
    """As long as Certbot takes for all orders: it has to read what we have written."""
    before = {each.name: site.octets(each) for each in site.issued}
    command = ("migrate", "--all", "--yes", site.reading)
    done = failed(site.companion(*command))
    for each in site.thirty:
        assert f"  {each.name}: from {each.kind.plugin} to the provider {each.kind.provider}" in (
            done.out
        )
        assert site.has_moved(each)
    for name in ("standalone-0", "webroot-2"):
        plugin = name.partition("-")[0]
        assert f"{name} stays as it is: its authenticator {plugin} knows no DNS" in done.out
    moved = ", ".join(sorted(each.name for each in site.thirty))
    assert f"Moved: {moved}. They are renewed with dns-persist from now on" in done.out
    file = f"--dns-persist-credentials={site.secrets['rfc2136']}"
    ok(site.companion(*command, "--dns-persist-provider=rfc2136", file))
    assert all(map(site.has_moved, site.issued))

    for path in site.secrets.values():
        path.unlink()
    serials = {each.name: site.certificate(each).serial_number for each in site.issued}
    updates = site.bind.primary.update_count()
    renew = site.cas[0].command("renew", "--force-renewal", "--no-random-sleep-on-renew")
    renewed = warm.run([*renew, "--non-interactive"], env=site.bare, merged=True, seconds=600)
    assert renewed.returncode == 0, renewed.stdout
    assert site.bind.primary.update_count() == updates
    for each in site.issued:
        certificate = site.certificate(each)
        assert certificate.serial_number != serials[each.name]
        assert isinstance(certificate.public_key(), RSAPublicKey) == each.is_rsa
        for hook in each.hooks:
            assert site.mark(hook, each).exists()

    ok(site.companion("migrate", "--all", "--back", "--yes"))
    for each in site.issued:
        old = before[each.name].decode().splitlines()
        assert ConfigObj(site.octets(each).decode().splitlines()) == ConfigObj(old)
    assert not [*site.config_dir.glob("dns-persist/migrated/*")]


REPLACE, DROP = (
    "certbot_dns_persist.request.renewal:replace_file",
    "certbot_dns_persist.request.renewal:drop_kept",
)

ADDITIONS = (
    "certbot_dns_persist.providers.cloudflare:Cloudflare.add_many",
    "certbot_dns_persist.providers.bridge:Bridge.add_value",
    "certbot_dns_persist.providers.script:Script.add_value",
    "certbot_dns_persist.providers.rfc2136:Rfc2136.add_many",
    "certbot_dns_persist.providers.route53:Route53.add_many",
)


def test_however_often_it_is_killed_thirty_certificates_move_and_come_back_to_the_byte(
    site: Site,
) -> None:
    """Each run finds what the one before has left, and is killed a step later."""
    before = {each.name: site.octets(each) for each in site.issued}
    plugins = [f"--from={kind.plugin}" for kind in site.kinds()]
    command = site.companion.command("migrate", *plugins, "--yes", site.reading)[1:]

    def as_before(each: Issued) -> bool:
        return site.octets(each) == before[each.name]

    def killed(where: str, call: int, moment: str, *more: str) -> bool:
        died = was_killed(site.cas[0], [*command, *more], where, call, moment)
        assert all(as_before(each) or site.has_moved(each) for each in site.issued)
        return died

    ok(site.companion("migrate", *plugins, "--dry-run", site.reading))
    assert all(map(as_before, site.issued))
    assert not [*site.config_dir.glob("dns-persist/migrated/*")]

    for where in ADDITIONS:
        for moment in MOMENTS:
            assert killed(where, 1, moment)
    # After four certificates, of the next one, what is kept of it, then its configuration.
    moves = [(REPLACE, call, moment) for call in (9, 10) for moment in MOMENTS]
    while all(killed(*step) for step in moves):
        continue
    ok(site.companion("migrate", *plugins, "--yes", site.reading))
    assert all(map(site.has_moved, site.thirty))

    returns = [(where, 5, moment) for where in (REPLACE, DROP) for moment in MOMENTS]
    while all(killed(*step, "--back") for step in returns):
        continue
    ok(site.companion("migrate", "--all", "--back", "--yes"))
    assert all(map(as_before, site.issued))
    assert not [*site.config_dir.glob("dns-persist/migrated/*")]
