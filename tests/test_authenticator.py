"""What Certbot gets to see of an error that we did not expect."""

import argparse
import logging
from typing import Any

import pytest
from certbot import errors

from certbot_dns_persist import authenticator
from certbot_dns_persist.authenticator import Authenticator


@pytest.fixture
def plugin() -> Authenticator:
    return made(authenticator="dns-persist")


def made(verb: str = "certonly", **config: Any) -> Authenticator:
    """Return a plugin that Certbot made for ``verb``, with this configuration."""
    more = {"authenticator": None, "configurator": None, "quiet": False} | config
    return Authenticator(argparse.Namespace(verb=verb, **more), "dns-persist")


def fail(*_: Any) -> None:
    raise RecursionError("of \x1b a stranger")


def test_an_unexpected_error_is_certbots_with_a_sentence_and_the_details_in_its_log(
    plugin: Authenticator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plugin, "conf", fail)
    with pytest.raises(errors.Error) as caught:
        plugin.prepare()
    assert str(caught.value) == (
        r"An unexpected error stopped certbot-dns-persist: RecursionError: of \x1b a stranger. "
        "Certbot's log has the details."
    )
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.exc_text is not None
    assert "Traceback (most recent call last)" in record.exc_text
    assert "\x1b" not in record.exc_text


@pytest.mark.parametrize(
    ("plugin", "kind"),
    [
        (made(authenticator="dns-persist"), errors.Error),
        (made(configurator="dns-persist"), errors.Error),
        # Certbot prepares it among all others, and goes on with these.
        (made(), errors.PluginError),
        (made(authenticator="standalone"), errors.PluginError),
        (made("plugins", authenticator="dns-persist"), errors.PluginError),
    ],
)
def test_only_where_it_was_chosen_what_is_wrong_with_the_plugin_stops_certbot(
    plugin: Authenticator, kind: type[errors.Error], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "conf", fail)
    with pytest.raises(errors.Error) as caught:
        plugin.prepare()
    assert type(caught.value) is kind


def test_a_hint_that_fails_hides_no_words_of_the_ca(
    plugin: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "_hint", fail)
    assert plugin.auth_hint([]).startswith("An unexpected error stopped certbot-dns-persist: ")


@pytest.mark.parametrize("error", [errors.SignalExit("SIGTERM"), errors.PluginError("theirs")])
def test_certbots_own_errors_stay_what_they_are(error: errors.Error) -> None:
    with pytest.raises(errors.Error) as caught, authenticator._errors_for_certbot():
        raise error
    assert caught.value is error
