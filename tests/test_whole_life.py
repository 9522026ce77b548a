"""The whole life of a record, as two people live it: one has the server, the other one DNS."""

from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot, Result
from support.companion import Companion, Done
from support.pebble import ISSUER

from certbot_dns_persist.record import validation_domain_name


def ok(done: Done | Result) -> Done | Result:
    assert done.returncode == 0, done
    return done


def test_the_whole_life_of_a_record(
    certbot: Certbot,
    companion: Companion,
    bind: Bind,
    domain: str,
    bind_reading: list[str],
    bind_writing: list[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    name, neighbour = validation_domain_name(domain), "letsencrypt.org; accounturi=https://a/1"
    bind.add_txt(name, neighbour)
    names = ["-d", domain, "-d", f"*.{domain}"]

    # An account, and what to publish for it; somebody else publishes it.
    first = certbot.register()
    at_ca = ["--server", certbot.server]
    commands = companion("record", *names, *at_ca, *bind_reading, "--format", "nsupdate")
    assert commands.returncode == 0, commands.output
    bind.nsupdate(commands.out, tmp_path)
    old = f"{ISSUER}; accounturi={first}; policy=wildcard"
    assert bind.secondary.values(name) == sorted([neighbour, old])

    # The certificate, by a server that cannot write DNS.
    ok(certbot.certonly("--dns-persist-provider", "manual", *bind_reading, *names))
    assert certbot.certificate(domain).names == [f"*.{domain}", domain]
    ok(companion("check", "--all"))

    # Another account takes over, with credentials for this once.
    account, url = request.getfixturevalue("other_account")
    ok(companion("rotate", "--all", "--account", account, "--yes", "--no-wait", *bind_writing))
    new = f"{ISSUER}; accounturi={url}; policy=wildcard"
    assert bind.secondary.values(name) == sorted([neighbour, new])
    serial = certbot.certificate(domain).serial
    ok(certbot.renew("--force-renewal"))
    assert certbot.certificate(domain).serial != serial
    ok(companion("check", "--all"))
    ok(companion("audit", "--all", "--known-account", "https://a/1"))

    # The end.
    ok(companion("revoke", "--all", "--yes", *bind_writing))
    assert bind.secondary.values(name) == [neighbour]
    assert companion("check", "--all").returncode == 2
    failed = certbot.renew("--force-renewal")
    assert failed.returncode == 1
    for words in (f"Name:   {name}", f"Value:  {new}", f'"{neighbour}"', "is for another CA"):
        assert words in failed.output
    assert [line["action"] for line in certbot.journal()] == ["add", "remove", "remove"]
