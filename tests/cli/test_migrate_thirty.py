"""Thirty certificates of five authenticators and two CAs move at once, on Pebble and BIND."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from support import warm
from support.acme_ca import TestCa
from support.aws import Aws
from support.bind import Bind
from support.certbot import AGREE, Certbot
from support.cloudflare_api import CloudflareApi
from support.companion import run
from support.environments import Environment
from support.foreign import add_lineage
from support.nameserver import Zones
from support.pebble import Pebble

from certbot_dns_persist.record import validation_domain_name

TESTS = Path(__file__).parents[1]

Parameters = Mapping[str, str | list[str]]
ZONE = "example.test"

IN_HOUSE = '''\
import dns.query, dns.tsigkeyring, dns.update
from certbot.plugins import dns_common

class Authenticator(dns_common.DNSAuthenticator):
    """A plugin as companies have it, with an option of its own."""

    description = "In-house."

    @classmethod
    def add_parser_arguments(cls, add):
        super().add_parser_arguments(add, default_propagation_seconds=1)
        add("credentials", help="The server and its key.")
        add("zone", help="The zone.")

    def more_info(self):
        return self.description

    def _setup_credentials(self):
        needed = {"server": "the server", "name": "the key", "secret": "its secret"}
        self.file = self._configure_credentials("credentials", "credentials", needed)

    def _perform(self, domain, name, value):
        self._send(lambda update, at: update.add(at, 1, "TXT", f'"{value}"'), name)

    def _cleanup(self, domain, name, value):
        self._send(lambda update, at: update.delete(at, "TXT", f'"{value}"'), name)

    def _send(self, change, name):
        ring = dns.tsigkeyring.from_text({self.file.conf("name"): self.file.conf("secret")})
        update = dns.update.UpdateMessage(
            self.conf("zone"), keyring=ring, keyalgorithm="hmac-sha256"
        )
        change(update, name + ".")
        assert dns.query.tcp(update, self.file.conf("server"), timeout=5).rcode() == 0
'''

COMMAND = "from certbot_dns_persist.cli import main; raise SystemExit(main())"


class IntoBind(Zones):
    """What a service that imitates another publishes, served by BIND."""

    def __init__(self, bind: Bind) -> None:
        super().__init__([])
        self._bind = bind

    def set_values(self, name: str, values: Iterable[str], ttl: int = 1) -> None:
        self._bind.delete_txt(name)
        for value in values:
            self._bind.add_txt(name, value, ttl)


class Site:
    """A machine with accounts at two CAs and thirty certificates, each with its own hook."""

    def __init__(
        self, directory: Path, bind: Bind, cas: list[Certbot], api: CloudflareApi, aws: Aws
    ) -> None:
        self.directory, self.cas = directory, cas
        self.config_dir = cas[0].config_dir
        self.environment = Environment(directory / "environment")
        entry = "[certbot.plugins]\ndns-inhouse = certbot_dns_inhouse:Authenticator\n"
        self.environment.add_package("certbot_dns_inhouse", IN_HOUSE, entry)
        self.secrets = {name: directory / f"{name}.ini" for name in ("bind", "cloudflare", "house")}
        key, address = bind.key, bind.primary.address
        key.write_credentials(self.secrets["bind"], address, 53)
        for name, text in {
            "cloudflare": f"dns_cloudflare_api_token = {api.token(ZONE)}\n",
            "house": f"dns_inhouse_server = {address}\ndns_inhouse_name = {key.name}\n"
            f"dns_inhouse_secret = {key.secret}\n",
        }.items():
            self.secrets[name].touch(0o600)
            self.secrets[name].write_text(text)
        self.secrets["key"] = directory / "key"
        self.secrets["key"].write_text("\n".join([address, "53", key.name, key.secret]))
        hook = [sys.executable, str(TESTS / "support" / "update_txt.py"), str(directory / "key")]
        self.authenticators: dict[str, Parameters] = {
            "cloudflare": {
                "authenticator": "dns-cloudflare",
                "dns_cloudflare_credentials": str(self.secrets["cloudflare"]),
            },
            "hook": {
                "authenticator": "manual",
                "manual_auth_hook": shlex.join(hook),
                "manual_cleanup_hook": shlex.join(hook),
                "pref_challs": ["dns-01"],
            },
            "house": {
                "authenticator": "dns-inhouse",
                "dns_inhouse_credentials": str(self.secrets["house"]),
                "dns_inhouse_zone": ZONE,
                "dns_inhouse_propagation_seconds": "7",
            },
            "rfc2136": {
                "authenticator": "dns-rfc2136",
                "dns_rfc2136_credentials": str(self.secrets["bind"]),
            },
            "route53": {"authenticator": "dns-route53"},
        }
        self.env = {
            **cas[0].env,
            **aws.variables,
            "CLOUDFLARE_BASE_URL": api.url,
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONPATH": str(TESTS),
        }
        self.before: dict[str, bytes] = {}
        self.domains: dict[str, str] = {}

    def add(self, name: str, number: int, domain: str) -> None:
        """Add the certificate of a number, whose settings differ from its neighbours'."""
        names = [domain, f"*.{domain}"] if number % 3 == 0 else [domain]
        key = "key_type = rsa\nrsa_key_size = 2048" if number % 2 else "key_type = ecdsa"
        settings = dict(line.split(" = ") for line in key.splitlines())
        hook = {"renew_hook": f"touch '{self.directory}/hook, {name}'"}
        parameters = {**self.authenticators[name.partition("-")[0]], **settings, **hook}
        self.before[name] = add_lineage(self.cas[number % 2], name, names, parameters)
        self.domains[name] = domain

    def migrate(self, *arguments: str) -> str:
        places = ["--config-dir", self.config_dir, "--logs-dir", self.cas[0].logs_dir]
        command = [self.environment.site.parents[2] / "bin" / "python", "-c", COMMAND, "migrate"]
        words = [*map(str, [*command, *arguments, *places])]
        done = run(words, env=self.env, keep=self.directory / "output.log")
        assert done.returncode == 0, done.output
        return done.out

    def path(self, name: str) -> Path:
        return self.config_dir / "renewal" / f"{name}.conf"


@pytest.fixture
def site(tmp_path: Path, bind: Bind, pebble: Pebble, domain: str) -> Iterator[Site]:
    into = IntoBind(bind)
    with (
        TestCa(dns=(bind.resolver.address, 53), draft="02") as ca,
        CloudflareApi(ZONE, mirror=into) as api,
        Aws(into) as aws,
    ):
        bundle = tmp_path / "bundle.pem"
        roots = (pebble.ca_bundle, ca.root_certificate)
        bundle.write_text("".join(path.read_text() for path in roots))
        cas = [Certbot(tmp_path, url, bundle) for url in (pebble.directory_url, ca.directory_url)]
        for each in cas:
            registered = each.run("register", *AGREE)
            assert registered.returncode == 0, registered.output
        aws.add_zone(ZONE)
        made = Site(tmp_path, bind, cas, api, aws)
        for number in range(30):
            kind = [*made.authenticators][number % 5]
            made.add(f"{kind}-{number}", number, f"{kind}{number}.{domain}")
        yield made


@pytest.mark.long
def test_thirty_certificates_move_with_one_command_and_renew_without_credentials(
    site: Site, bind: Bind
) -> None:
    """As long as Certbot takes for thirty orders: it has to read what we have written."""
    reading = f"--dns-persist-resolvers={bind.resolver.address}"
    shown = site.migrate("--all", "--yes", reading)
    assert "stay" not in shown
    for name, domain in site.domains.items():
        before = site.authenticators[name.partition("-")[0]]["authenticator"]
        assert f"  {name}: from {before} to the provider" in shown
        assert len(bind.primary.values(validation_domain_name(domain))) == 1
        assert "authenticator = dns-persist\n" in site.path(name).read_text()
    for path in site.secrets.values():
        path.unlink()

    certificates = {name: site.cas[0].certificate(name).serial for name in site.domains}
    command = Certbot(site.directory, "").command("renew", "--force-renewal")
    command += ["--no-random-sleep-on-renew", "--non-interactive"]
    updates = bind.primary.update_count()
    done = warm.run(command, env=site.cas[0].env, merged=True, seconds=900)
    assert done.returncode == 0, done.stdout
    assert bind.primary.update_count() == updates
    for name, serial in certificates.items():
        assert site.cas[0].certificate(name).serial != serial
        assert (site.directory / f"hook, {name}").exists()
        key = site.cas[0].renewal(name)["key_type"]
        assert key == ("rsa" if int(name.partition("-")[2]) % 2 else "ecdsa")

    site.migrate("--all", "--back", "--yes")
    for name in site.domains:
        saved = site.cas[0].renewal(name)
        assert not [key for key in saved if key.startswith("dns_persist")]
        for key, value in site.authenticators[name.partition("-")[0]].items():
            assert saved[key] == (f"{value[0]}," if isinstance(value, list) else value)
    assert not [*site.config_dir.glob("dns-persist/migrated/*")]


@pytest.mark.long
def test_thirty_certificates_that_moved_come_back_to_the_byte(site: Site, bind: Bind) -> None:
    reading = f"--dns-persist-resolvers={bind.resolver.address}"
    site.migrate("--all", "--dry-run", reading)
    assert not [*site.config_dir.glob("dns-persist/migrated/*")]
    site.migrate("--all", "--yes", reading)
    assert not any(site.path(name).read_bytes() == text for name, text in site.before.items())
    site.migrate("--all", "--back", "--yes")
    for name, text in site.before.items():
        assert site.path(name).read_bytes() == text
