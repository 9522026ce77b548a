"""What is said of an account key rollover that was begun and not finished."""

import json
from pathlib import Path

import pytest
from support.home import SERVER, Home
from support.nameserver import Nameserver

from certbot_dns_persist.change import rollover
from certbot_dns_persist.cli import main
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
