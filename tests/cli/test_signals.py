"""A command that is ended in the middle of a change, by the real signals."""

from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, ok
from support.pebble import ISSUER

from certbot_dns_persist.record import validation_domain_name


@pytest.mark.parametrize(("signal", "status"), [("TERM", 143), ("HUP", 129)])
def test_what_a_publication_has_begun_when_it_is_ended_is_noted_by_the_next(
    certbot: Certbot,
    companion: Companion,
    bind: Bind,
    domain: str,
    bind_reading: list[str],
    bind_writing: list[str],
    tmp_path: Path,
    signal: str,
    status: int,
) -> None:
    """End to end, as a signal ends a process."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nkill -{signal} $PPID\nsleep 60\n")
    program.chmod(0o700)
    url = certbot.register()
    names = ["-d", domain, "--server", certbot.server, "--yes"]
    script = ["--dns-persist-provider=script", f"--dns-persist-script={program}"]

    done = companion("publish", *names, *bind_reading, *script)

    assert done.returncode == status, done.output
    assert "Interrupted. What was changed so far" in done.error
    value = f"{ISSUER}; accounturi={url}"
    (line,) = certbot.journal()
    assert (line["value"], line["result"]) == (
        value,
        "interrupted by KeyboardInterrupt; the outcome is unknown",
    )
    assert certbot.records()["records"] == []
    assert [each["value"] for each in certbot.records()["intentions"]] == [value]

    bind.add_txt(validation_domain_name(domain), value)  # it had come so far
    audited = companion("audit", "-d", domain, "--server", certbot.server, *bind_reading)
    assert "this program did not log" not in audited.out

    ok(companion("publish", *names, *bind_writing))
    assert [each["value"] for each in certbot.records()["records"]] == [value]
    assert certbot.records()["intentions"] == []
    assert (certbot.journal()[-1]["id"], certbot.journal()[-1]["result"]) == (line["id"], "ok")
