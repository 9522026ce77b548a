"""Packages as pip installs them, for the loader to find; some are broken."""

import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from certbot_dns_persist.errors import ConfigurationError, ProviderError
from certbot_dns_persist.providers import loader
from certbot_dns_persist.providers.interface import Settings
from certbot_dns_persist.providers.manual import Manual

SETTINGS = Settings({"token": "hush-hush"}, "/etc/dns.ini", print)

SOUND = """\
from zope.interface import implementer
from certbot_dns_persist.providers.interface import IProvider

@implementer(IProvider)
class Provider:
    writes = True
    def __init__(self, settings): pass
    def zone_for(self, name): return "example.com"
    def list_values(self, name): return []
    def add_value(self, name, value, ttl): return ttl
    def remove_value(self, name, value): pass
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package whose provider goes by the name ``acmedns``."""

    def install(source: str, distribution: str = "acme-dns-provider") -> None:
        module = distribution.replace("-", "_")
        site = tmp_path / module
        metadata = site / f"{module}-1.2.3.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2.3\n"
        )
        (metadata / "entry_points.txt").write_text(
            f"[certbot_dns_persist.providers]\nacmedns = {module}:Provider\n"
        )
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)

    return install


def refusal(name: str = "acmedns") -> str:
    with pytest.raises(ConfigurationError) as caught:
        loader.load(name, SETTINGS)
    assert "hush-hush" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_our_own_providers_are_available() -> None:
    assert {"manual", "rfc2136"} <= set(loader.available())
    assert isinstance(loader.load("manual", SETTINGS), Manual)


def test_our_own_providers_keep_the_contract() -> None:
    credentials = {"server": "192.0.2.53", "name": "key", "secret": "c2VjcmV0"}
    provider = loader.load("rfc2136", Settings(credentials, "/etc/dns.ini", print))
    assert provider.writes


def test_a_misspelt_key_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    credentials = {"server": "192.0.2.53", "name": "key", "secret": "aHVzaA==", "prot": "5353"}
    loader.load("rfc2136", Settings(credentials, "/etc/dns.ini", print))
    (warning,) = caplog.messages
    assert "/etc/dns.ini has dns_persist_rfc2136_prot" in warning
    assert "Did you mean dns_persist_rfc2136_port?" in warning
    assert "5353" not in warning


def test_anybodys_provider_is_loaded(install: Install) -> None:
    install(SOUND)
    assert "acmedns" in loader.available()
    assert loader.load("acmedns", SETTINGS).zone_for("www.example.com") == "example.com"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    message = refusal("acmednz")
    assert "'acmednz'" in message
    assert "manual, powerdns, rfc2136" in message


def test_a_package_that_cannot_be_imported_is_named(install: Install) -> None:
    install("import a_module_that_nobody_has")
    message = refusal()
    assert "acme-dns-provider 1.2.3" in message
    assert "a_module_that_nobody_has" in message


def test_a_package_without_the_class_that_it_registers_is_named(install: Install) -> None:
    install("")
    assert "acme-dns-provider 1.2.3" in refusal()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("@implementer(IProvider)", "", "its class lacks @implementer(IProvider)"),
        ("def list_values", "def values", "it lacks list_values(name)"),
        ("writes = True", "", "it lacks writes"),
        ("name, value, ttl):", "name, value):", "its add_value(name, value, ttl): implementation"),
        ("remove_value(self, name, value)", "remove_value(self, name, value, ttl)", "too many"),
        ("def list_values", "list_values = 1\n    def values", "its list_values(name)"),
    ],
)
def test_a_broken_contract_is_told_by_fault_and_package(
    install: Install, old: str, new: str, fault: str
) -> None:
    install(SOUND.replace(old, new))
    message = refusal()
    assert fault in message
    assert "acme-dns-provider 1.2.3" in message


@pytest.mark.parametrize(
    ("interface", "method", "fault"),
    [
        ("IAnsweringProvider", "def has_value(self, name): pass", "its has_value(name, value): "),
        ("IAnsweringProvider", "def has(self, name, value): pass", "it lacks has_value(name, val"),
        ("ISettlingProvider", "def settle(self, names): pass", "its settle(): "),
        ("IManyProvider", "def add_many(self): pass", "its add_many(additions): "),
    ],
)
def test_what_a_provider_declares_beside_the_contract_is_verified_too(
    install: Install, interface: str, method: str, fault: str
) -> None:
    install(SOUND.replace("IProvider", interface) + f"    {method}\n")
    message = refusal()
    assert message.count(fault) == 1
    assert "lacks @implementer" not in message


def test_all_faults_are_told_at_once(install: Install) -> None:
    install("class Provider:\n    def __init__(self, settings): self.token = settings\n")
    message = refusal()
    assert "lacks @implementer(IProvider)" in message
    for method in ("zone_for", "list_values", "add_value", "remove_value", "writes"):
        assert f"it lacks {method}" in message


def test_what_a_constructor_raises_is_not_shown_as_it_may_quote_secrets(install: Install) -> None:
    install("def Provider(settings): raise ValueError(settings.credentials['token'])")
    message = refusal()
    assert "acme-dns-provider 1.2.3" in message
    assert "ValueError at " in message
    assert "acme_dns_provider.py, line 1" in message


def test_a_providers_own_words_about_the_settings_are_passed_on(install: Install) -> None:
    install(
        """\
        from certbot_dns_persist.errors import ConfigurationError
        def Provider(settings): raise ConfigurationError("the key is missing")
        """
    )
    assert refusal() == "the key is missing"


def test_two_packages_with_one_name_get_no_credentials(install: Install) -> None:
    install(SOUND)
    install(SOUND, "evil-twin")
    message = refusal()
    assert "acme-dns-provider 1.2.3, evil-twin 1.2.3" in message


def test_manual_says_what_may_be_taken_away_and_claims_nothing() -> None:
    told: list[str] = []
    manual = Manual(Settings({}, None, told.append))

    assert not manual.writes
    assert manual.add_value("example.com", "value", 60) == 60
    manual.remove_value("_validation-persist.example.com", "old value")
    assert told == [
        'The TXT record _validation-persist.example.com with the value "old value" may now be '
        "removed."
    ]
    with pytest.raises(ProviderError, match="'manual' cannot list"):
        manual.list_values("example.com")
    with pytest.raises(ProviderError, match="'manual' cannot determine the zone"):
        manual.zone_for("example.com")
