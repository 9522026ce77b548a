"""The Debian package: built by Debian's tools, installed beside Debian's own certbot.

Only CI installs it, and takes it away again: anybody else's system is left alone.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from support.bind import Bind
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.need import need
from support.packages import build
from support.pebble import Pebble

from certbot_dns_persist.record import validation_domain_name

NAME = "certbot-dns-persist"
PACKAGE = f"python3-{NAME}"
DEBIANS_NAMES = {"zope-interface": "zope.interface"}
CERTBOT = "/usr/bin/certbot"
UNIT = Path("/lib/systemd/system/certbot.service")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
"""What systemd gives to a service, and little else."""

LOCK = ("-o", "DPkg::Lock::Timeout=300")


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end; return what it printed, and show all of it when it fails."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def as_root(*command: str | Path) -> str:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return run(*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *command)


def is_installed() -> bool:
    show = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", PACKAGE]
    return subprocess.run(show, capture_output=True, check=False).stdout.startswith(b"i")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the packages."""
    need(shutil.which("dpkg-buildpackage"), "needs dpkg-buildpackage: packages dpkg-dev, debhelper")
    missing = subprocess.run(
        ["dpkg-checkbuilddeps"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    need(missing.returncode == 0, f"cannot build a Debian package: {missing.stderr.strip()}")
    return build(tmp_path_factory.mktemp("deb"), "deb")


@pytest.fixture(scope="module")
def package(built: Path) -> Path:
    (path,) = built.glob(f"{PACKAGE}_*_all.deb")
    return path


@pytest.fixture(scope="module")
def installed(package: Path) -> Iterator[None]:
    """The package is installed, until these tests end."""
    need(Path(CERTBOT).exists() and UNIT.exists(), "needs Debian's own certbot, package certbot")
    if os.environ.get("CI") != "true":
        pytest.skip("would install a package into this system; done with CI=true only")
    can = os.geteuid() == 0 or (
        shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False).returncode == 0
    )
    need(can, "needs root, or sudo without a password, to install a package")
    need(not is_installed(), f"{PACKAGE} is installed already, and not by this test")
    try:
        as_root("apt-get", "install", "-q", "-y", "--no-install-recommends", *LOCK, package)
        yield
    finally:
        as_root("apt-get", "purge", "-q", "-y", *LOCK, PACKAGE)


@pytest.fixture
def certbot(installed: None, tmp_path: Path, pebble: Pebble) -> Certbot:
    """Debian's certbot, which finds its directories and its CA in the user's cli.ini.

    For a command line that names none of them, such as the timer's.
    """
    certbot = Certbot(tmp_path / "certbot", pebble.directory_url, pebble.ca_bundle, program=CERTBOT)
    settings = Path(certbot.env["XDG_CONFIG_HOME"], "letsencrypt", "cli.ini")
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"config-dir = {certbot.config_dir}\n"
        f"work-dir = {certbot.work_dir}\n"
        f"logs-dir = {certbot.logs_dir}\n"
        f"server = {pebble.directory_url}\n"
    )
    return certbot


def timers_command() -> list[str]:
    """Return the command line that Debian's timer runs."""
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    return shlex.split(command)


def run_timers_command(certbot: Certbot) -> str:
    """Run it as the service does, with next to nothing in the environment; return its output."""
    passed_on = "XDG_CONFIG_HOME", "REQUESTS_CA_BUNDLE"
    done = subprocess.run(
        timers_command(),
        env={"PATH": PATH, **{name: certbot.env[name] for name in passed_on}},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def make_due(certbot: Certbot, cert_name: str) -> None:
    """Have a certificate renewed from ten years before its end on, by Certbot's own setting."""
    path = certbot.config_dir / "renewal" / f"{cert_name}.conf"
    before = path.read_text()
    after = re.sub(
        r"^# *renew_before_expiry = .*$", "renew_before_expiry = 3650 days", before, flags=re.M
    )
    assert after != before
    path.write_text(after)


def test_lintian_finds_nothing(built: Path) -> None:
    need(shutil.which("lintian"), "needs lintian")
    (changes,) = built.glob("*.changes")
    run("lintian", "--allow-root", "--fail-on", "error,warning", changes)


def test_the_package_holds_the_module_and_its_manual_and_no_tests(package: Path) -> None:
    listed = run("dpkg-deb", "--contents", package).splitlines()
    names = {line.split()[5].removeprefix(".") for line in listed if not line.startswith("d")}
    kept = {name for name in names if not name.startswith("/usr/share/doc/")}
    modules = {name for name in kept if name.startswith("/usr/lib/python3/dist-packages/certbot_")}
    assert "/usr/lib/python3/dist-packages/certbot_dns_persist/py.typed" in modules
    assert not any("__pycache__" in name for name in modules)
    assert kept - modules - {f"/usr/share/lintian/overrides/{PACKAGE}"} == {
        "/usr/bin/certbot-dns-persist",
        "/usr/share/man/man1/certbot-dns-persist.1.gz",
        "/usr/share/man/man7/certbot-dns-persist-plugin.7.gz",
    }


def test_the_package_depends_on_whatever_the_metadata_requires(package: Path) -> None:
    """Certbot 2.1 refuses to run at all when one of them is missing."""
    depends = run("dpkg-deb", "--field", package, "Depends")
    names = {depend.split()[0].removesuffix(":any") for depend in depends.split(", ")}
    required = [
        requirement for requirement in requires(NAME) or [] if "extra ==" not in requirement
    ]
    assert len(required) > 5
    for requirement in required:
        name = re.split(r"[^\w.-]", requirement)[0]
        assert f"python3-{DEBIANS_NAMES.get(name, name)}" in names


def test_debians_certbot_and_python_find_what_was_installed(
    installed: None, tmp_path: Path
) -> None:
    shown = run(ROOT / "debian" / "tests" / "smoke", env={"AUTOPKGTEST_TMP": str(tmp_path)})
    assert "* dns-persist" in shown
    assert "/usr/lib/python3/dist-packages/certbot_dns_persist/authenticator.py" in shown


def test_debians_timer_renews_without_credentials_and_without_a_word(
    certbot: Certbot, bind: Bind, bind_credentials: Path, domain: str
) -> None:
    issued = certbot.certonly(
        *("--dns-persist-provider", "rfc2136", "--dns-persist-credentials", bind_credentials),
        *("--dns-persist-resolvers", bind.resolver.address, "-d", domain),
    )
    assert issued.returncode == 0, issued.output
    records = bind.primary.values(validation_domain_name(domain))
    assert len(records) == 1
    bind_credentials.unlink()
    journal, updates = certbot.journal(), bind.primary.update_count()

    serial = certbot.certificate(domain).serial
    assert run_timers_command(certbot) == ""
    assert certbot.certificate(domain).serial == serial  # not due

    make_due(certbot, domain)
    assert run_timers_command(certbot) == ""
    assert certbot.certificate(domain).serial != serial
    assert bind.primary.update_count() == updates
    assert bind.primary.values(validation_domain_name(domain)) == records
    assert certbot.journal() == journal


def test_the_command_calls_the_record_good(
    certbot: Certbot, bind: Bind, bind_credentials: Path, domain: str
) -> None:
    ours = [f"--config-dir={certbot.config_dir}", f"--logs-dir={certbot.logs_dir}", "--all"]
    issued = certbot.certonly(
        *("--dns-persist-provider", "rfc2136", "--dns-persist-credentials", bind_credentials),
        *("--dns-persist-resolvers", bind.resolver.address, "-d", domain),
    )
    assert issued.returncode == 0, issued.output
    assert domain in run("/usr/bin/certbot-dns-persist", "check", *ours, env=certbot.env)


def test_a_provider_whose_sdk_debian_does_not_have_says_what_is_missing(
    certbot: Certbot, bind: Bind, domain: str, tmp_path: Path
) -> None:
    credentials = tmp_path / "cloudflare.ini"
    credentials.write_text("dns_persist_cloudflare_api_token = hush\n")
    credentials.chmod(0o600)
    shown = certbot.certonly(
        *("--dns-persist-provider", "cloudflare", "--dns-persist-credentials", credentials),
        *("--dns-persist-resolvers", bind.resolver.address, "-d", domain),
    )
    assert shown.returncode == 1
    assert "needs the Python package cloudflare" in " ".join(shown.output.split())
    assert "Traceback" not in shown.output
