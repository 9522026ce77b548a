"""What is said of an account key rollover that was begun and not finished."""

import json
from pathlib import Path

import pytest
from support.home import ISSUER, SERVER, Home
from support.nameserver import Nameserver

from certbot_dns_persist.account import hashed_account_uri
from certbot_dns_persist.ca import key_change
from certbot_dns_persist.ca.key_change import NotReplaced
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.change import rollover
from certbot_dns_persist.cli import changing, main
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.providers.rfc2136 import Rfc2136
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.accounts import choose_account, read_key
from certbot_dns_persist.request.rollovers import note_sent


@pytest.fixture
def home(tmp_path: Path, nameserver: Nameserver) -> Home:
    """Two certificates that are renewed, each with an account of its own."""
    home = Home(tmp_path / "certbot")
    reading = {"resolvers": nameserver.endpoint, "check": "resolver"}
    for name in ("one", "two"):
        value = home.add_account(name)
        home.add_certificate(name, [f"{name}.example.test"], name, reading)
        nameserver.zones.set_values(validation_domain_name(f"{name}.example.test"), [value])
    return home


def test_check_warns_while_only_the_ca_knows_which_key_an_account_has(
    home: Home, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def check(*arguments: str) -> tuple[int, str]:
        status = main(["check", *arguments, *home.places[:4]])
        return status, capsys.readouterr().err

    kept = choose_account(home.config_dir, None, "one")
    key = rollover.make_key(read_key(home.config_dir / "accounts" / kept.home))
    begun = rollover.begin(home.config_dir, kept, SERVER, key)
    assert check("--all") == (0, "")
    assert "that is not finished" in caplog.text

    note_sent(begun)

    status, said = check("--all")
    assert status == 1
    (line,) = said.splitlines()
    assert f"Only the CA at {SERVER} knows which key the account {kept.account.url} has" in line
    assert f"begun at {begun.begun}, is not finished" in line
    assert line.endswith(
        f"rollover --config-dir {home.config_dir} --logs-dir {home.logs_dir} --account one"
    )
    assert check("--cert-name", "two") == (0, "")
    main(["check", "--all", "--json", *home.places[:4]])
    assert json.loads(capsys.readouterr().out)["status"] == "warning"


def test_if_the_ca_refuses_and_the_new_records_cannot_be_removed_the_next_step_is_told(
    tmp_path: Path,
    nameserver: Nameserver,
    nameserver_credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = Home(tmp_path / "certbot")
    home.add_account("one")
    account = choose_account(home.config_dir, None, "one").account
    home.journal.note_terms(account.url, Terms((ISSUER,), None, "https://ca.example/h/"))
    hashed = hashed_account_uri(
        "https://ca.example/h/",
        domain="one.example.test",
        thumbprint=account.thumbprint,
        account_url=account.url,
    )
    name, value = validation_domain_name("one.example.test"), f"{ISSUER}; accounturi={hashed}"
    nameserver.zones.set_values(name, [value])
    writing: dict[str, str | int] = {
        "resolvers": nameserver.endpoint,
        "check": "resolver",
        "provider": "rfc2136",
        "credentials": str(nameserver_credentials),
        "propagation_seconds": 10,
    }
    home.add_certificate("one", ["one.example.test"], "one", writing)

    def refuse(*_: object, **__: object) -> None:
        raise NotReplaced("The CA refuses.")

    def fail(provider: Rfc2136, name: str, value: str) -> None:
        raise ProviderError("The server is down.")

    monkeypatch.setattr(key_change, "require_key_change", lambda *_, **__: None)  # no CA
    monkeypatch.setattr(rollover, "send", refuse)
    monkeypatch.setattr(changing, "lock_certbot", lambda args: None)
    with monkeypatch.context() as broken:
        broken.setattr(Rfc2136, "remove_value", fail)
        assert main(["rollover", "--yes", *home.places[:4]]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "The CA refuses. So the old key stays. But this could not be undone: The server is down. "
    )
    assert said.endswith("--cancel\n")
    assert len(nameserver.values(name)) == 2
    assert main(["rollover", "--cancel", "--yes", *home.places[:4]]) == 0
    assert nameserver.values(name) == [value]
