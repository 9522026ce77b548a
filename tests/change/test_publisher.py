"""Who may decide what is published."""

from pathlib import Path

import pytest

from certbot_dns_persist.change.publisher import Publisher
from certbot_dns_persist.change.surroundings import lookup_of
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.options import options_of


def test_root_loads_no_provider_by_credentials_that_all_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certbot_dns_persist.providers.common.are_root", lambda: True)
    file = tmp_path / "dns.ini"
    file.write_text("dns_persist_provider = script\ndns_persist_script_command = true\n")
    file.chmod(0o602)
    options = options_of({"credentials": str(file)}, {})
    journal = Journal(str(tmp_path / "logs"), str(tmp_path / "config"))
    with pytest.raises(ConfigurationError, match=f"chmod o-w {file}"):
        Publisher(options, lookup_of(options), journal, print).writes("name.example.com")
    file.chmod(0o600)
    assert Publisher(options, lookup_of(options), journal, print).writes("name.example.com")
