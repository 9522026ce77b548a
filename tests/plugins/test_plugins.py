"""Real plugins from the package index, each against a server that behaves as its service does.

They are as pinned in our list of plugins; so what it says of them is what these tests see. Each
test starts one process with the plugin, which costs seconds, as much of the plugin's own libraries
is imported there.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.dns_apis import Api, Server
from support.nameserver import Nameserver, serving
from support.plugin_catalogue import (
    CPANEL,
    HARMFUL,
    REFUSED,
    UNKNOWN,
    USED,
    Trial,
    known,
    pinned,
)
from support.plugin_environment import Child, installed

from certbot_dns_persist.change import probe
from certbot_dns_persist.providers.tried import Outcome

NAME = "_validation-persist.www.example.com"
OTHER_NAME = "_validation-persist.mail.example.com"
URI = "https://ca.example/acct/1"
OURS = f"ca.example; accounturi={URI}; policy=wildcard"
SHORTER = f"ca.example; accounturi={URI}"
THEIRS = "other.example; accounturi=https://other.example/acct/9"
SPF = "v=spf1 -all"


class World:
    """One plugin, its service and a nameserver."""

    def __init__(self, api: Api, nameserver: Nameserver, start: Callable[[], Child]) -> None:
        self.api = api
        self.nameserver = nameserver
        self.start = start

    def values(self, name: str) -> list[str]:
        return self.nameserver.values(name)

    def all_values(self) -> dict[str, list[str]]:
        names = {
            str(name).rstrip(".") for z in self.nameserver.zones.zones.values() for name in z.nodes
        }
        return {name: values for name in sorted(names) if (values := self.values(name))}


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    stops: list[Callable[[], Any]] = []
    with serving("example.com", keys=[], port_53=False) as nameserver:

        def make(plugin: str, requirements: list[str], trial: Trial, *, unknown: bool) -> World:
            site = installed(requirements)
            api = trial.api(nameserver.zones)
            server = Server(api)
            stops.append(server.stop)
            for name in trial.own_file:
                (tmp_path / name).touch(0o600)
                (tmp_path / name).write_text(_service_account())
            file = tmp_path / "dns.ini"
            file.touch(0o600)
            file.write_text(trial.credentials.format(port=server.port, directory=tmp_path) + "\n")

            def start() -> Child:
                child = Child(
                    site,
                    {
                        "plugin": plugin,
                        "credentials": str(file),
                        "directory": str(tmp_path),
                        "port": server.port,
                        "resolver": [nameserver.address, nameserver.port],
                        "patience": 3,
                        "unknown": unknown,
                    },
                )
                stops.append(child.stop)
                return child

            return World(api, nameserver, start)

        yield make
        for stop in reversed(stops):
            stop()


def _service_account() -> str:
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        capture_output=True,
        check=True,
        text=True,
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": made.stdout,
            "client_email": "a@p.example",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )


@pytest.mark.parametrize(("plugin", "package"), USED, ids=[package for _, package in USED])
def test_our_record_comes_and_goes_and_those_of_others_stay(
    make: Make, plugin: str, package: str
) -> None:
    trial, tried = USED[plugin, package], known(plugin, package)
    world = make(plugin, [pinned(tried), *trial.libraries], trial, unknown=False)
    world.api.seed(NAME, THEIRS, SPF)
    world.api.seed(OTHER_NAME, THEIRS)
    child = world.start()

    # A plugin that looks for a part of the value would take the longer one for the shorter.
    assert child.do("add", NAME, OURS) is None
    assert world.values(NAME) == sorted([OURS, THEIRS, SPF])
    assert child.do("add", NAME, SHORTER) is None
    assert world.values(NAME) == sorted([OURS, SHORTER, THEIRS, SPF])
    assert child.do("add", OTHER_NAME, OURS) is None
    assert world.values(OTHER_NAME) == sorted([OURS, THEIRS])
    assert not any(call for call in world.api.calls if probe.LABEL in str(call))

    if "only the run that added a record" in tried.words:
        another = world.start()
        assert "did not remove" in (refused := str(another.do("remove", NAME, SHORTER))) or (
            "cannot remove" in refused
        )
        assert world.values(NAME) == sorted([OURS, SHORTER, THEIRS, SPF])
        remover = child
    else:
        remover = world.start()  # as a renewal or a rotation is
    assert remover.do("remove", NAME, SHORTER) is None
    assert world.values(NAME) == sorted([OURS, THEIRS, SPF])
    assert world.values(OTHER_NAME) == sorted([OURS, THEIRS])
    assert remover.do("remove", NAME, OURS) is None
    assert world.values(NAME) == sorted([THEIRS, SPF])
    assert remover.do("remove", OTHER_NAME, OURS) is None
    assert world.all_values() == {NAME: sorted([THEIRS, SPF]), OTHER_NAME: [THEIRS]}
    assert tried.outcome is not Outcome.REFUSED


@pytest.mark.parametrize("plugin", REFUSED)
def test_what_is_refused_is_refused_before_any_request_with_what_to_use_instead(
    make: Make, plugin: str
) -> None:
    tried = known(plugin)
    world = make(plugin, [pinned(tried), *REFUSED[plugin]], Trial(Api, ""), unknown=False)
    refused = world.start().do("load", NAME)
    assert refused == (
        f"The Certbot plugin {plugin} cannot be used as a provider: {tried.words}. {tried.instead}"
    )
    assert world.api.calls == []


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        ("dns-joker", "Told to add"),  # keeps one value
        ("dns-ionos", "Told to remove"),  # removes all
        ("dns-aliyun", "Told to remove"),  # removes whatever comes first
        ("dns-dreamhost", "did not write"),  # mangles
        ("dns-porkbun", "_acme-challenge.example.com"),  # another name
    ],
)
def test_a_trial_catches_what_would_do_harm_if_we_did_not_know_it(
    make: Make, plugin: str, words: str
) -> None:
    trial, tried = HARMFUL[plugin], known(plugin)
    world = make(plugin, [pinned(tried), *trial.libraries], trial, unknown=True)
    world.api.seed(NAME, THEIRS, SPF)
    world.api.seed("_acme-challenge.example.com", "somebody's")
    before = world.all_values()

    refused = str(world.start().do("add", NAME, OURS))

    assert f"Nothing was changed at {NAME}" in refused
    assert words in refused
    assert world.all_values() == before


def test_who_passes_the_trial_is_used_by_any_name_that_it_has_in_certbot(make: Make) -> None:
    plugin, requirement = UNKNOWN
    world = make(plugin, [requirement], CPANEL, unknown=False)
    world.api.seed(NAME, THEIRS, SPF)
    child = world.start()
    assert child.do("add", NAME, OURS) is None
    assert "we try it out first" in child.told[0]
    assert world.all_values() == {NAME: sorted([OURS, THEIRS, SPF])}
    another = world.start()
    assert another.do("remove", NAME, OURS) is None
    assert "we try it out first" not in "".join(another.told)
    assert world.all_values() == {NAME: sorted([THEIRS, SPF])}


def test_netcups_new_api_is_refused_and_its_old_one_is_not(make: Make) -> None:
    trial, tried = USED["dns-netcup", "certbot-dns-netcup"], known("dns-netcup")
    for line, told in (("dns_netcup_api_v1_key = k", tried.instead), ("", "None")):
        both = Trial(trial.api, f"{trial.credentials}\n{line}")
        world = make("dns-netcup", [pinned(tried)], both, unknown=False)
        assert told in str(world.start().do("load", NAME))


def test_azures_plugin_does_not_write_beside_values_that_it_would_split(make: Make) -> None:
    trial, tried = USED["dns-azure", "certbot-dns-azure-modern"], known("dns-azure")
    world = make("dns-azure", [pinned(tried), *trial.libraries], trial, unknown=False)
    world.api.seed(NAME, f"{THEIRS}{'1' * 255}")
    refused = world.start().do("add", NAME, OURS)
    assert f"Nothing was changed at {NAME}" in str(refused)
    assert world.api.calls == []
