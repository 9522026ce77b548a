"""``migrate``, on Pebble and BIND: certificates of other authenticators become ours, and back."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from certbot._internal import lock
from support.acme_ca import TestCa
from support.bind import Bind
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.companion import Companion, failed, ok
from support.environments import OURS, Environment
from support.foreign import add_lineage
from support.killed import was_killed
from support.pebble import ISSUER

from certbot_dns_persist.record import validation_domain_name

TESTS = Path(__file__).parents[1]

GONE = "https://127.0.0.1:9/directory"
"""Where no CA answers."""

Parameters = Mapping[str, str | list[str]]


class Machine:
    """A machine with an account, and certificates that other authenticators renew."""

    def __init__(self, certbot: Certbot, bind: Bind, domain: str, directory: Path) -> None:
        self.certbot, self.bind, self.domain, self.directory = certbot, bind, domain, directory
        self.value = f"{ISSUER}; accounturi={certbot.register()}"
        self.reading = [f"--dns-persist-resolvers={bind.resolver.address}"]
        self.credentials = bind.key.write_credentials(
            directory / "theirs.ini", bind.primary.address, 53
        )
        self.before: dict[str, bytes] = {}

    def add(self, name: str, parameters: Parameters, *domains: str) -> None:
        """Add a certificate for ``domains``, by default one named after it."""
        self.before[name] = add_lineage(
            self.certbot,
            name,
            domains or [f"{name}.{self.domain}"],
            {"renew_hook": f"touch {self.directory / name}", **parameters},
        )

    def add_rfc2136(self, name: str, *domains: str, **more: str | list[str]) -> None:
        """Add one that certbot-dns-rfc2136 renews."""
        file = {"dns_rfc2136_credentials": str(self.credentials)}
        self.add(name, {"authenticator": "dns-rfc2136", **file, **more}, *domains)

    def add_script(self, name: str) -> None:
        """Add one that a hook publishes for, which can be the provider ``script``, too."""
        key, file = self.bind.key, self.directory / "key"
        file.write_text("\n".join([self.bind.primary.address, "53", key.name, key.secret]))
        program = TESTS / "support" / "update_txt.py"
        hook = shlex.join([sys.executable, str(program), str(file)])
        manual: Parameters = {"authenticator": "manual", "manual_auth_hook": hook}
        self.add(name, {**manual, "pref_challs": ["dns-01"]})

    @property
    def all(self) -> list[str]:
        """The arguments to move all of them."""
        places = ["--config-dir", str(self.certbot.config_dir)]
        places += ["--logs-dir", str(self.certbot.logs_dir)]
        return ["migrate", "--all", "--yes", *places, *self.reading]

    def path(self, name: str) -> Path:
        return self.certbot.config_dir / "renewal" / f"{name}.conf"

    def as_before(self, *names: str) -> bool:
        return all(self.path(name).read_bytes() == self.before[name] for name in names)

    def moved(self) -> list[str]:
        return [
            name
            for name in sorted(self.before)
            if self.certbot.renewal(name)["authenticator"] == "dns-persist"
        ]

    def values(self, domain: str) -> list[str]:
        return self.bind.primary.values(validation_domain_name(domain))


@pytest.fixture
def machine(certbot: Certbot, bind: Bind, domain: str, tmp_path: Path) -> Machine:
    return Machine(certbot, bind, domain, tmp_path)


@pytest.mark.long
@pytest.mark.oldest_certbot
def test_certificates_move_are_renewed_without_credentials_and_go_back(
    machine: Machine, companion: Companion, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end, as Certbot has to read what we write."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    domain, certbot = machine.domain, machine.certbot
    machine.add_rfc2136("one", domain, f"*.{domain}", pref_challs=["dns-01"], key_type="rsa")
    machine.add_script("two")
    machine.add_rfc2136("three", dns_rfc2136_propagation_seconds="600")
    machine.add("web", {"authenticator": "webroot", "webroot_path": ["/var/www"]})
    machine.path("one").chmod(0o640)
    updates = bind.primary.update_count()

    shown = ok(companion("migrate", "--from", "dns-rfc2136", "--dry-run", *machine.reading)).out
    provider = f"rfc2136 with credentials {machine.credentials}"
    assert f"one: from dns-rfc2136 to the provider {provider}" in shown
    assert f"+ {machine.value}; policy=wildcard" in shown
    assert f"{certbot.server} offers dns-persist-01" in shown
    assert machine.as_before("one", "two", "three", "web")
    assert bind.primary.update_count() == updates

    done = failed(companion("migrate", "--all", "--yes", *machine.reading))
    assert "two: from manual to the provider script with script" in done.out
    assert "web stays as it is: its authenticator webroot knows no DNS provider" in done.out
    assert machine.moved() == ["one", "three", "two"], done.output
    assert machine.as_before("web")
    assert machine.values(domain) == [f"{machine.value}; policy=wildcard"]
    assert machine.values(f"two.{domain}") == [machine.value]
    assert machine.path("one").stat().st_mode & 0o777 == 0o640
    saved = certbot.renewal("one")
    assert saved["pref_challs"] == "dns-persist-01, dns-01"
    assert saved["key_type"] == "rsa"
    assert "dns_rfc2136_credentials" not in saved
    assert certbot.renewal("three")["dns_persist_propagation_seconds"] == "600"

    machine.credentials.unlink()
    (machine.directory / "key").unlink()
    serial, updates = certbot.certificate("one").serial, bind.primary.update_count()
    for name in ("one", "two"):
        renewed = certbot.renew("--force-renewal", "--cert-name", name)
        assert renewed.returncode == 0, renewed.output
        assert (machine.directory / name).exists()  # its deploy hook ran
    assert certbot.certificate("one").serial != serial
    assert bind.primary.update_count() == updates

    done = ok(companion("migrate", "--all", "--back", "--yes"))
    assert "one: to dns-rfc2136, with what else has changed since" in done.out
    assert "three: to dns-rfc2136, as it was" in done.out
    assert machine.as_before("three", "web")
    back = certbot.renewal("one")
    assert (
        back.items()
        >= {
            "authenticator": "dns-rfc2136",
            "dns_rfc2136_credentials": str(machine.credentials),
            "pref_challs": "dns-01,",
            "renew_hook": f"touch {machine.directory / 'one'}",
            "key_type": "rsa",
        }.items()
    )
    assert not [key for key in back if key.startswith("dns_persist_")]
    # What an interrupted run has kept, of a certificate that it did not come to.
    kept = certbot.config_dir / "dns-persist" / "migrated" / "three.conf"
    kept.write_bytes(machine.before["three"] + b"# as it was once\n")
    done = ok(companion("migrate", "--all", "--back", "--yes"))
    assert "There is nothing to put back" in done.out
    assert machine.as_before("three")
    assert not kept.exists()


def test_what_cannot_move_stays_with_the_reason_and_the_others_move(
    machine: Machine, companion: Companion
) -> None:
    machine.add_rfc2136("good")
    machine.add_rfc2136("lost", dns_rfc2136_credentials=str(machine.directory / "none.ini"))
    machine.add_rfc2136("far", "example.invalid")
    machine.add_rfc2136("addressed", f"addressed.{machine.domain}", "192.0.2.1")
    machine.add("odd", {"authenticator": "dns-nobody"})
    machine.add_rfc2136("bare", account="0123")
    accounts = machine.certbot.config_dir / "accounts"
    (account,) = accounts.glob("*/*/*")
    shutil.copytree(account, accounts / "127.0.0.1:9" / "directory" / account.name)
    machine.add_rfc2136("down", server="https://127.0.0.1:9/directory")
    machine.path("broken").write_text("[renewalparams")
    machine.path("unsigned").write_bytes(
        machine.path("good").read_bytes().replace(b"live/good/cert.pem", b"live/none.pem")
    )
    done = failed(companion("migrate", "--all", "--yes", *machine.reading))
    reasons = {
        "lost": "The credentials file .*none.ini does not exist",
        "far": "its name _validation-persist.example.invalid cannot be looked up",
        "addressed": "its certificate has the IP address 192.0.2.1",
        "odd": "its plugin dns-nobody is not installed here",
        "down": "Whether https://127.0.0.1:9/directory offers dns-persist-01 is unknown",
        "bare": "There is no account 0123 at",
        "broken": "Certbot's renewal configuration .*broken.conf cannot be used",
        "unsigned": "The certificate .*none.pem of the lineage unsigned cannot be read",
    }
    for name, why in reasons.items():
        assert re.search(f"^{name} stays as it is: {why}", done.out, re.M), done.output
    assert machine.moved() == ["good"]
    assert "Moved: good. It is renewed with dns-persist from now on" in done.out
    assert machine.values(f"lost.{machine.domain}") == []


@pytest.mark.long
def test_a_certificate_of_a_deactivated_account_stays_and_no_record_names_it(
    machine: Machine, companion: Companion, tmp_path: Path
) -> None:
    machine.add_rfc2136("one")
    accounts = machine.certbot.config_dir / "accounts"
    shutil.copytree(accounts, tmp_path / "kept")
    assert machine.certbot.run("unregister").returncode == 0
    shutil.copytree(tmp_path / "kept", accounts, dirs_exist_ok=True)
    done = failed(companion("migrate", "--all", "--yes", *machine.reading))
    assert re.search("one stays as it is: The CA at .* does not accept the account", done.error)
    assert machine.as_before("one")
    assert machine.values(f"one.{machine.domain}") == []


def test_an_authenticator_in_cli_ini_is_told_as_it_would_go_on_to_renew(
    machine: Machine, companion: Companion
) -> None:
    machine.add_rfc2136("one")
    # Certbot looks for the file when it is imported, which a fork of it would not do again.
    machine.certbot.env["PYTHON_AT_START"] = "1"
    path = Path(machine.certbot.env["XDG_CONFIG_HOME"]) / "letsencrypt" / "cli.ini"
    path.parent.mkdir(parents=True)
    path.write_text("authenticator = dns-rfc2136\n")
    done = failed(companion("migrate", "--all", "--yes", *machine.reading))
    assert f"{path} sets the authenticator dns-rfc2136 for all certificates" in done.error
    assert machine.as_before("one")


@pytest.mark.long
def test_printed_records_are_for_others_to_publish_and_then_the_certificate_moves(
    machine: Machine, companion: Companion, bind: Bind
) -> None:
    machine.add("one", {"authenticator": "manual", "pref_challs": ["dns-01"]})
    asking = ("migrate", "--cert-name", "one", "--yes", *machine.reading)
    done = failed(companion(*asking))
    assert "its records are missing in DNS, and its provider is manual" in done.error
    done = failed(companion(*asking, "--print"))
    name = validation_domain_name(f"one.{machine.domain}")
    assert f"Name:   {name}" in done.out
    assert f"Value:  {machine.value}" in done.out
    assert "one can move when its records are in DNS" in done.error
    assert machine.as_before("one")
    bind.add_txt(name, machine.value)
    done = ok(companion(*asking))
    assert "one: from manual to the provider manual; its records are in DNS" in done.out
    assert machine.moved() == ["one"]
    done = ok(companion(*asking))
    assert "one is renewed by dns-persist already" in done.out


@pytest.mark.long
def test_a_person_at_a_terminal_publishes_while_we_wait(
    machine: Machine, companion: Companion, bind: Bind
) -> None:
    machine.add("one", {"authenticator": "manual", "pref_challs": ["dns-01"]})
    machine.add("two", {"authenticator": "standalone"})
    provider = "--dns-persist-provider=manual"
    with companion.at_terminal("migrate", "--all", provider, *machine.reading) as screen:
        screen.wait_for("Continue? [y/N]")
        screen.enter("y\n")
        screen.wait_for("Please publish in DNS")
        for name in ("one", "two"):
            domain = f"{name}.{machine.domain}"
            screen.wait_for(validation_domain_name(domain))
            bind.add_txt(validation_domain_name(domain), machine.value)
        result = screen.finish()
    assert result.returncode == 0, result.output
    assert machine.moved() == ["one", "two"]


@pytest.mark.long
def test_certificates_that_share_a_name_share_its_record(
    machine: Machine, companion: Companion
) -> None:
    domain = machine.domain
    machine.add_rfc2136("one", domain, f"www.{domain}")
    machine.add_rfc2136("two", f"*.{domain}")
    machine.add_rfc2136("three", domain, dns_rfc2136_propagation_seconds="500")  # other options
    ok(companion("migrate", "--all", "--yes", *machine.reading))
    assert machine.moved() == ["one", "three", "two"]
    assert machine.values(domain) == [f"{machine.value}; policy=wildcard"]
    assert machine.values(f"www.{domain}") == [machine.value]
    ok(companion("check", "--all"))


@pytest.mark.long
def test_a_record_that_is_not_on_every_server_moves_nothing_yet(
    machine: Machine, companion: Companion, bind: Bind
) -> None:
    machine.add_rfc2136("one")
    asking = ("migrate", "--all", "--yes", *machine.reading)
    bind.hold_back()
    try:
        done = failed(companion(*asking, "--dns-persist-propagation-seconds=1"))
    finally:
        bind.catch_up()
    assert "one stays as it is: its records are not on all servers" in done.error
    assert machine.as_before("one")
    ok(companion(*asking))
    assert machine.moved() == ["one"]


@pytest.mark.long
@pytest.mark.oldest_certbot
def test_with_the_fallback_a_certificate_moves_before_its_ca_offers_the_challenge(
    bind: Bind, domain: str, tmp_path: Path
) -> None:
    """With another CA, which offers dns-01 alone, and then both."""
    with TestCa(dns=(bind.resolver.address, 53), draft="01", challenges=["dns-01"]) as ca:
        certbot = Certbot(tmp_path / "certbot", ca.directory_url, ca.root_certificate)
        machine = Machine(certbot, bind, domain, tmp_path)
        companion = Companion(certbot)
        machine.add_rfc2136("one", pref_challs=["dns-01"])
        machine.add("two", {"authenticator": "manual", "pref_challs": ["dns-01"]})
        asking = ("migrate", "--all", "--yes", *machine.reading)
        done = failed(companion(*asking))
        assert "does not offer dns-persist-01, as an order shows. With --dns-persist-fallback" in (
            done.error
        )
        assert machine.as_before("one", "two")
        done = failed(companion(*asking, "--dns-persist-fallback=dns-01"))
        assert "two stays as it is" in done.out
        assert "dns-01 needs a provider that can write" in done.out
        assert machine.moved() == ["one"]
        assert machine.values(f"one.{domain}") == []
        renewed = certbot.renew("--force-renewal", "--cert-name", "one")
        assert renewed.returncode == 0, renewed.output
        ca.change(challenges=["dns-01", "dns-persist-01"])
        renewed = certbot.renew("--force-renewal", "--cert-name", "one")
        assert renewed.returncode == 0, renewed.output
        assert len(machine.values(f"one.{domain}")) == 1


@pytest.mark.long
def test_a_certbot_without_the_plugin_says_what_the_documentation_explains(
    machine: Machine, companion: Companion, tmp_path: Path
) -> None:
    """With a real one, whose words they are."""
    machine.add_rfc2136("one", pref_challs=["dns-01"])
    machine.add_rfc2136("two")
    ok(companion("migrate", "--all", "--yes", *machine.reading))
    program = str(Environment(tmp_path / "environment", without={OURS}).certbot)
    other = Certbot(tmp_path / "certbot", machine.certbot.server, program=program)
    shown = other.renew("--force-renewal").output
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for message in (
        "Unrecognized challenges: dns-persist-01. Skipping the file.",
        "The requested dns-persist plugin does not appear to be installed",
    ):
        assert message in shown
        assert message in page


@pytest.mark.long
def test_what_changes_while_a_person_is_asked_is_left_alone(
    machine: Machine, companion: Companion
) -> None:
    machine.add_rfc2136("one")
    with companion.at_terminal("migrate", "--all", *machine.reading) as screen:
        screen.wait_for("Continue? [y/N]")
        changed = machine.before["one"].replace(b"dns-rfc2136", b"webroot")
        machine.path("one").write_bytes(changed)
        screen.enter("y\n")
        result = screen.finish()
    assert result.returncode == 1
    assert "was changed by another process meanwhile" in " ".join(result.output.split())
    assert machine.path("one").read_bytes() == changed


def test_a_certbot_that_runs_is_waited_for_and_told(machine: Machine) -> None:
    """In a process of its own, whose patience is shorter."""
    machine.add_rfc2136("one")
    patient = "from certbot_dns_persist.cli import changing, main; changing.LOCK_SECONDS = 0.1; "
    held = lock.lock_dir(str(machine.certbot.config_dir))
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"{patient}raise SystemExit(main())", *machine.all],
            env=machine.certbot.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        held.release()
    assert done.returncode == 1, done.stderr
    assert "Certbot has been running for more than 0.1 seconds" in done.stderr
    assert machine.as_before("one")
    assert machine.values(f"one.{machine.domain}") == [machine.value]


ADD, REPLACE, DROP = (
    "certbot_dns_persist.providers.rfc2136:Rfc2136.add_many",
    "certbot_dns_persist.request.renewal:replace_file",
    "certbot_dns_persist.request.renewal:drop_kept",
)


STEPS = [
    (where, call, moment)
    for where, call in ((ADD, 1), (ADD, 2), *((REPLACE, call) for call in (1, 2, 3, 4)))
    for moment in ("before", "after")
]
"""Of a move of two certificates: each record, what is kept of each, and each configuration."""

BETWEEN = (REPLACE, 2, "after")


@pytest.mark.parametrize(
    ("where", "call", "moment"),
    [BETWEEN, *(pytest.param(*step, marks=pytest.mark.long) for step in STEPS if step != BETWEEN)],
)
def test_a_run_that_is_killed_is_finished_by_the_next(
    machine: Machine, companion: Companion, where: str, call: int, moment: str
) -> None:
    """Wherever it is killed, each certificate is as before, or moved with its records in DNS."""
    machine.add_rfc2136("one", dns_rfc2136_propagation_seconds="500")
    machine.add_rfc2136("two")  # other options, so that it is published apart
    assert was_killed(machine.certbot, machine.all, where, call, moment)
    for name in ("one", "two"):
        published = machine.values(f"{name}.{machine.domain}") == [machine.value]
        assert machine.as_before(name) or (name in machine.moved() and published)
    ok(companion("migrate", "--all", "--yes", *machine.reading))
    assert machine.moved() == ["one", "two"]
    for name in ("one", "two"):
        assert machine.values(f"{name}.{machine.domain}") == [machine.value]
    ok(companion("check", "--all"))
    ok(companion("migrate", "--all", "--back", "--yes"))
    assert machine.as_before("one", "two")


@pytest.mark.long
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("where", "call"), [(REPLACE, 1), (DROP, 1), (REPLACE, 2), (DROP, 2)])
def test_a_return_that_is_killed_is_finished_by_the_next(
    machine: Machine, companion: Companion, where: str, call: int, moment: str
) -> None:
    machine.add_rfc2136("one")
    machine.add_rfc2136("two")
    ok(companion("migrate", "--all", "--yes", *machine.reading))
    assert was_killed(machine.certbot, [*machine.all, "--back"], where, call, moment)
    assert all(machine.as_before(name) or name in machine.moved() for name in ("one", "two"))
    ok(companion("migrate", "--all", "--back", "--yes"))
    assert machine.as_before("one", "two")
    done = ok(companion("migrate", "--all", "--back", "--yes"))
    assert "There is nothing to put back" in done.out


def test_a_certificate_that_was_made_anew_since_goes_back_only_by_its_name(
    machine: Machine, companion: Companion
) -> None:
    for name in ("one", "two"):
        machine.add_rfc2136(name)
    ok(companion("migrate", "--all", "--yes", *machine.reading))
    archive = machine.certbot.config_dir / "archive"
    kept = machine.certbot.config_dir / "dns-persist" / "migrated" / "one.conf"
    moved = kept.stat().st_mtime
    os.utime(archive / "one" / "cert1.pem", (moved + 9, moved + 9))  # as if issued again
    os.utime(archive / "two" / "cert1.pem", (moved - 9, moved - 9))

    done = failed(companion("migrate", "--all", "--back", "--yes"))

    assert f"one stays as it is: it was made anew after {kept} was kept" in done.out
    assert "--back --cert-name one. If not, remove that file." in done.out
    assert "Put back: two. Its records are still in DNS" in done.out
    assert machine.moved() == ["one"]
    assert machine.as_before("two")
    ok(companion("migrate", "--back", "--cert-name", "one", "--yes"))
    assert machine.as_before("one")


def test_if_the_ca_does_not_answer_the_first_advice_is_to_wait_for_it(
    machine: Machine, companion: Companion
) -> None:
    machine.add_rfc2136("one")
    path = machine.path("one")
    path.write_text(path.read_text().replace(machine.certbot.server, GONE))
    accounts = machine.certbot.config_dir / "accounts"
    place = accounts / GONE.removeprefix("https://")
    shutil.copytree(accounts / machine.certbot.server.removeprefix("https://"), place)

    done = failed(companion("migrate", "--all", "--yes", *machine.reading))

    assert f"The CA's directory {GONE} cannot be read: Connection refused" in done.error
    assert (
        "The CA could not be asked now: run the same command again later. Or: With "
        "--dns-persist-fallback dns-01 it can move all the same"
    ) in done.error


@pytest.mark.parametrize(
    "arguments", [[], ["--all", "--cert-name", "one"], ["--all", "--dns-persist-provider=nobody"]]
)
def test_wrong_usage_exits_with_3(arguments: list[str], companion: Companion) -> None:
    assert companion("migrate", *arguments).returncode == 3
