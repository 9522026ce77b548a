"""Certbot and Pebble run, and a terminal is a terminal."""

from pathlib import Path

import pytest
from support.certbot import Certbot
from support.pebble import Pebble


@pytest.fixture
def certbot(tmp_path: Path, nameserver_pebble: Pebble) -> Certbot:
    return Certbot(
        tmp_path / "certbot", nameserver_pebble.directory_url, nameserver_pebble.ca_bundle
    )


def test_an_account_is_made_at_the_ca(certbot: Certbot, nameserver_pebble: Pebble) -> None:
    base = nameserver_pebble.directory_url.removesuffix("/dir")
    assert certbot.register().startswith(f"{base}/my-account/")


def test_the_screen_shows_questions_and_ctrl_c_ends_certbot(certbot: Certbot) -> None:
    with certbot.at_terminal("register") as screen:
        screen.wait_for("Enter email address")
        assert screen.interrupt().returncode != 0
