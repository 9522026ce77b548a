"""What other authenticators' options become, for every kind of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.moving import Machine, Move, changes_of, move_of
from certbot_dns_persist.request.renewal import Renewal

OURS = "/etc/letsencrypt/hook.py"
MACHINE = Machine(
    providers=[
        "acme-dns",
        "cloudflare",
        "dns-google",
        "dns-ovh",
        "manual",
        "rfc2136",
        "route53",
        "script",
    ],
    takes_credentials=lambda path: path.endswith(".ini"),
    knows_us=lambda program: program == OURS,
)


def renewal(**parameters: Any) -> Renewal:
    server = {"server": "https://ca.example/directory", "account": "0123"}
    return Renewal("name", Path("name.conf"), b"", Path("cert.pem"), {**server, **parameters})


def moved(given: Mapping[str, str] | None = None, **parameters: Any) -> Move:
    return move_of(renewal(**parameters), given or {}, MACHINE)


def stays(given: Mapping[str, str] | None = None, **parameters: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        moved(given, **parameters)
    return str(raised.value)


@pytest.mark.parametrize("service", ["cloudflare", "rfc2136"])
def test_a_service_that_we_have_keeps_its_credentials_file(service: str) -> None:
    parameters: Any = {
        "authenticator": f"dns-{service}",
        f"dns_{service}_credentials": "/root/x.ini",
    }
    assert moved(**parameters) == Move({"provider": service, "credentials": "/root/x.ini"})


@pytest.mark.parametrize("plugin", ["dns-route53", "certbot-route53:auth"])
def test_route53_needs_no_file_under_its_former_name_either(plugin: str) -> None:
    assert moved(authenticator=plugin) == Move({"provider": "route53"})


@pytest.mark.parametrize(
    ("seconds", "ours"), [("10", {}), ("600", {"propagation_seconds": "600"}), ("None", {})]
)
def test_only_a_wait_longer_than_ours_is_kept(seconds: str, ours: dict[str, str]) -> None:
    move = moved(authenticator="dns-route53", dns_route53_propagation_seconds=seconds)
    assert move == Move({"provider": "route53", **ours})


def test_a_plugin_is_bridged_with_its_credentials_file() -> None:
    move = moved(authenticator="dns-ovh", dns_ovh_credentials="/root/ovh.ini")
    assert move == Move({"provider": "dns-ovh", "credentials": "/root/ovh.ini"})


def test_a_plugin_may_have_any_name_under_which_it_is_a_provider() -> None:
    move = moved(authenticator="acme-dns", acme_dns_credentials="/root/a.ini")
    assert move == Move({"provider": "acme-dns", "credentials": "/root/a.ini"})


def test_the_name_of_an_older_certbot_is_that_of_the_plugin() -> None:
    parameters: Any = {
        "authenticator": "certbot-dns-ovh:dns-ovh",
        "certbot_dns_ovh:dns_ovh_credentials": "/root/ovh.ini",
    }
    move = moved(**parameters)
    assert move == Move({"provider": "dns-ovh", "credentials": "/root/ovh.ini"})
    assert changes_of(renewal(**parameters), move.options) == {
        "authenticator": "dns-persist",
        "certbot_dns_ovh:dns_ovh_credentials": None,
        "dns_persist_provider": "dns-ovh",
        "dns_persist_credentials": "/root/ovh.ini",
    }


def test_other_options_of_a_plugin_go_into_a_file_and_so_does_a_file_that_is_no_ini() -> None:
    assert moved(
        authenticator="dns-google", dns_google_credentials="/root/g.json", dns_google_project="p"
    ) == Move(
        {"provider": "dns-google"},
        {
            "dns_persist_plugin_credentials": "/root/g.json",
            "dns_persist_plugin_project": "p",
        },
    )
    assert moved(authenticator="dns-google", dns_google_credentials="/root/g.json").wrapped == {
        "dns_persist_plugin_credentials": "/root/g.json"
    }


def test_a_plugin_that_is_not_installed_stays() -> None:
    assert "its plugin dns-linode is not installed here" in stays(authenticator="dns-linode")


def test_a_hook_that_reads_our_variables_becomes_a_script() -> None:
    for hook in (f"{OURS} --zone 'a b'", f"python3 {OURS}"):
        move = moved(
            authenticator="manual",
            pref_challs=["dns-01"],
            manual_auth_hook=hook,
            manual_cleanup_hook=OURS,
        )
        assert move == Move({"provider": "script", "script": hook})


@pytest.mark.parametrize(
    "hook",
    ["/root/acme-challenge.sh", f"{OURS} | logger", f"TOKEN=x {OURS}", f"{OURS} '", f"a=$b {OURS}"],
)
def test_any_other_hook_stays_with_what_to_do(hook: str) -> None:
    why = stays(authenticator="manual", pref_challs="dns", manual_auth_hook=hook)
    assert f"its hook {hook!r} is made for dns-01" in why
    assert "Or: Name the provider with --dns-persist-provider" in why


def test_a_person_who_publishes_goes_on_doing_so() -> None:
    assert moved(authenticator="manual", pref_challs="dns-01") == Move({"provider": "manual"})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"authenticator": "webroot", "webroot_path": ["/var/www"]}, "its authenticator webroot"),
        ({"authenticator": "standalone"}, "its authenticator standalone knows no DNS provider"),
        ({"authenticator": "nginx", "installer": "nginx"}, "its authenticator nginx"),
        ({"authenticator": "manual"}, "manual with http-01"),
        ({"authenticator": "manual", "pref_challs": ["http-01", "dns-01"]}, "manual with http-01"),
        ({}, "names no authenticator"),
    ],
)
def test_what_changes_no_dns_moves_only_with_a_provider(
    parameters: dict[str, Any], words: str
) -> None:
    assert words in stays(**parameters)
    given = {"provider": "rfc2136", "credentials": "/root/x.ini"}
    assert moved(given, **parameters) == Move(given)


def test_what_is_given_counts_more_than_what_was_saved() -> None:
    parameters: Any = {"authenticator": "dns-ovh", "dns_ovh_credentials": "/root/ovh.ini"}
    assert moved({"credentials": "/root/new.ini", "ttl": "60"}, **parameters).options == {
        "provider": "dns-ovh",
        "credentials": "/root/new.ini",
        "ttl": "60",
    }
    given = {"provider": "route53"}
    assert moved(given, **parameters) == Move(given)


def test_what_belongs_to_the_authenticator_goes_and_everything_else_stays() -> None:
    before = renewal(
        authenticator="webroot",
        webroot_path=["/var/www"],
        webroot_map={"example.com": "/var/www"},
        renew_hook="systemctl reload nginx",
        key_type="rsa",
        dns_persist_ttl="60",
    )
    assert changes_of(before, {"provider": "route53"}) == {
        "authenticator": "dns-persist",
        "webroot_path": None,
        "webroot_map": None,
        "dns_persist_ttl": None,
        "dns_persist_provider": "route53",
    }


def test_what_the_installer_needs_stays() -> None:
    before = renewal(authenticator="nginx", installer="nginx", nginx_server_root="/opt/nginx")
    assert "nginx_server_root" not in changes_of(before, {})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["dns-01"], ["dns-persist-01", "dns-01"]),
        ("dns", ["dns-persist-01", "dns-01"]),
        (["http-01"], ["dns-persist-01", "dns-01", "http-01"]),
        (["http-01", "dns-persist-01"], ["dns-persist-01", "dns-01", "http-01"]),
    ],
)
def test_the_challenge_comes_first_in_what_the_user_prefers(
    before: str | list[str], after: list[str]
) -> None:
    changes = changes_of(renewal(authenticator="dns-ovh", pref_challs=before), {})
    assert changes["pref_challs"] == after
    assert "pref_challs" not in changes_of(renewal(authenticator="dns-ovh"), {})
