"""``rotate``, ``revoke``, ``prune`` and ``publish``, on Pebble and BIND."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, failed, ok
from support.issued import Issued
from support.process import wait_until

from certbot_dns_persist.record import validation_domain_name

DAY = 86400


@pytest.fixture
def lagging(bind: Bind) -> Iterator[Bind]:
    bind.hold_back()
    yield bind
    bind.catch_up()


def test_rotating_to_a_new_account_lets_a_renewal_in_the_middle_succeed(
    issued: Issued, companion: Companion, lagging: Bind, other_account: tuple[str, str]
) -> None:
    account, url = other_account
    old, new = issued.value(issued.url), issued.value(url)
    arguments = ["--cert-name", issued.domain, "--account", account, "--yes", "--no-wait"]
    with subprocess.Popen(
        companion.command("rotate", *arguments),
        env=issued.certbot.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as rotating:
        wait_until(lambda: new in lagging.primary.values(issued.name), "the new record")
        assert rotating.poll() is None
        assert old in lagging.primary.values(issued.name)
        renewed = issued.certbot.renew("--force-renewal")
        assert renewed.returncode == 0, renewed.output
        assert rotating.poll() is None
        lagging.catch_up()
        shown, _ = rotating.communicate(timeout=60)
    assert rotating.returncode == 0, shown
    assert issued.values == [new]
    assert issued.certbot.renewal(issued.domain)["account"] == account
    ok(companion("check", "--all"))
    renewed = issued.certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output
    assert issued.values == [new]


def test_without_a_terminal_nothing_is_changed_unasked(
    issued: Issued, companion: Companion, other_account: tuple[str, str]
) -> None:
    before = issued.values
    arguments = ["--cert-name", issued.domain, "--account", other_account[0]]
    done = failed(companion("rotate", *arguments))
    assert "there is no terminal to ask for confirmation. Add --yes" in done.error
    done = ok(companion("rotate", *arguments, "--dry-run"))
    assert f"+ {issued.value(other_account[1])}" in done.out
    assert f"- {issued.value(issued.url)} (once every server has the new one)" in done.out
    assert f"will be renewed with: account {other_account[0]}" in done.out
    assert "nothing was changed" in done.out
    failed(companion("revoke", "--cert-name", issued.domain))
    ok(companion("revoke", "--cert-name", issued.domain, "--dry-run"))
    assert issued.values == before
    assert issued.certbot.renewal(issued.domain)["account"] != other_account[0]


def test_a_rotation_that_is_not_seen_in_time_removes_nothing_and_goes_on_later(
    issued: Issued, companion: Companion, lagging: Bind, other_account: tuple[str, str]
) -> None:
    account, url = other_account
    arguments = ["--cert-name", issued.domain, "--account", account, "--yes", "--no-wait"]
    done = failed(companion("rotate", *arguments, "--dns-persist-propagation-seconds", "1"))
    assert "After 1 seconds these servers do not serve the new records" in done.error
    assert "Nothing was removed: what authorised before still does" in done.error
    assert issued.value(issued.url) in lagging.primary.values(issued.name)
    assert issued.certbot.renewal(issued.domain)["account"] != account
    lagging.catch_up()
    ok(companion("rotate", *arguments))
    assert issued.values == [issued.value(url)]
    assert issued.certbot.renewal(issued.domain)["account"] == account


def test_a_rotation_that_cannot_publish_leaves_all_as_it_was(
    issued: Issued, companion: Companion, other_account: tuple[str, str]
) -> None:
    before = issued.values
    (issued.certbot.config_dir.parent.parent / "bind.ini").unlink()
    done = failed(
        companion("rotate", "--cert-name", issued.domain, "--account", other_account[0], "--yes")
    )
    assert "bind.ini" in done.error
    assert "Nothing was removed" in done.error
    assert issued.values == before


def test_a_rotation_that_could_not_remove_is_finished_by_prune(
    issued: Issued, companion: Companion, other_account: tuple[str, str], tmp_path: Path
) -> None:
    adding = ["--dns-persist-provider", "script", "--dns-persist-script", "/bin/false"]
    new = issued.value(other_account[1])
    issued.bind.add_txt(issued.name, new)
    arguments = ["--cert-name", issued.domain, "--account", other_account[0], "--yes", "--no-wait"]
    done = failed(companion("rotate", *arguments, *adding))
    assert "some old ones could not be removed" in done.error
    assert sorted(issued.values) == sorted([new, issued.value(issued.url)])
    renewal = issued.certbot.renewal(issued.domain)
    assert (renewal["account"], renewal["dns_persist_provider"]) == (other_account[0], "rfc2136")
    done = ok(companion("prune", "--cert-name", issued.domain, "--yes"))
    assert "(replaced)" in done.out
    assert issued.values == [new]


def test_what_an_account_that_is_gone_had_published_is_replaced(
    issued: Issued, companion: Companion, other_account: tuple[str, str]
) -> None:
    old = issued.certbot.renewal(issued.domain)["account"]
    (path,) = (issued.certbot.config_dir / "accounts").glob(f"**/{old}")
    shutil.rmtree(path)
    done = failed(companion("rotate", "--cert-name", issued.domain, "--yes"))
    assert f"There is no account {old}" in done.error
    ok(
        companion(
            "rotate",
            "--cert-name",
            issued.domain,
            "--account",
            other_account[1],
            "--yes",
            "--no-wait",
        )
    )
    assert issued.values == [issued.value(other_account[1])]


def test_the_policy_and_the_end_can_be_rotated(issued: Issued, companion: Companion) -> None:
    rotate = ("rotate", "--cert-name", issued.domain, "--yes")
    ok(companion(*rotate, "--dns-persist-policy", "wildcard"))
    assert issued.values == [issued.value(issued.url, "; policy=wildcard")]
    done = ok(companion(*rotate))
    assert "There is nothing to rotate" in done.out
    until = "2099-01-01T00:00:00Z"
    ok(companion(*rotate, "--dns-persist-policy", "exact", "--dns-persist-until", until))
    assert issued.values == [issued.value(issued.url, "; persistUntil=4070908800")]
    assert issued.certbot.renewal(issued.domain)["dns_persist_until"] == until
    renewed = issued.certbot.renew("--force-renewal")
    assert renewed.returncode == 0, renewed.output


@pytest.mark.long
def test_an_end_that_moves_is_not_rotated_for_its_own_sake_until_it_is_near(
    issued: Issued, companion: Companion, other_account: tuple[str, str]
) -> None:
    rotate = ("rotate", "--cert-name", issued.domain, "--yes")
    now = int(time.time())

    def ends() -> list[int]:
        return [round((int(v.partition("persistUntil=")[2]) - now) / DAY) for v in issued.values]

    def replace(days: int) -> None:
        (value,) = issued.values
        issued.bind.delete_txt(issued.name, value)
        issued.bind.add_txt(issued.name, issued.value(url, f"; persistUntil={now + days * DAY}"))

    ok(companion(*rotate, "--dns-persist-valid-for", "90"))
    standing, url = issued.values, issued.url
    assert ends() == [90]
    for again in ([], ["--dns-persist-valid-for", "90"]):
        done = ok(companion(*rotate, *again))
        assert "There is nothing to rotate" in done.out
        assert "extended when less than a third of that time is left" in done.out
    assert issued.values == standing

    ok(companion(*rotate, "--dns-persist-valid-for", "180"))  # which the certificate has not yet
    assert ends() == [180]
    replace(61)
    assert "nothing to rotate" in ok(companion(*rotate)).out
    for days in (59, 200):  # near its end, and later than it would be made now
        replace(days)
        ok(companion(*rotate))
        assert ends() == [180]
    replace(100)
    url = other_account[1]
    ok(companion(*rotate, "--account", url))
    assert issued.values[0].startswith(issued.value(url))
    assert ends() == [180]
    issued.bind.add_txt(issued.name, issued.value(url, f"; persistUntil={now + DAY}"))
    ok(companion(*rotate))  # what is superfluous goes, whatever stays
    assert ends() == [180]


def test_without_a_certificate_what_is_asked_for_is_done(
    certbot: Certbot, companion: Companion, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    certbot.register()
    names = ["-d", domain, "--server", certbot.server, *bind_writing, "--yes"]
    for command, days in (("publish", "90"), ("rotate", "180")):
        ok(companion(command, *names, "--dns-persist-valid-for", days))
    (value,) = bind.primary.values(validation_domain_name(domain))
    assert int(value.partition("persistUntil=")[2]) > time.time() + 179 * DAY


def test_a_record_that_another_certificate_needs_is_not_rotated_away(
    issued: Issued,
    companion: Companion,
    other_account: tuple[str, str],
    bind_writing: list[str],
) -> None:
    old = issued.certbot.renewal(issued.domain)["account"]
    done = issued.certbot.certonly(
        *bind_writing, "--cert-name", "second", "-d", issued.domain, "--account", old
    )
    assert done.returncode == 0, done.output
    arguments = ["--account", other_account[0], "--yes", "--no-wait"]
    refused = failed(companion("rotate", "--cert-name", "second", *arguments))
    assert "A certificate that you did not name needs the record" in refused.error
    assert issued.values == [issued.value(issued.url)]
    ok(companion("rotate", "--all", *arguments))
    assert issued.values == [issued.value(other_account[1])]
    ok(companion("check", "--all"))


def test_all_names_of_a_certificate_change_their_account_together(
    issued: Issued, companion: Companion, other_account: tuple[str, str], bind_writing: list[str]
) -> None:
    certbot = issued.certbot
    more = ["--expand", "-d", issued.domain, "-d", f"www.{issued.domain}"]
    more += ["--account", certbot.renewal(issued.domain)["account"]]
    done = certbot.certonly(*bind_writing, "--cert-name", issued.domain, *more)
    assert done.returncode == 0, done.output
    arguments = ["-d", issued.domain, "--account", other_account[0], "--yes"]
    refused = failed(companion("rotate", *arguments))
    assert f"also has www.{issued.domain}, and all of its names must change" in refused.error
    assert issued.values == [issued.value(issued.url)]


def test_a_record_that_a_wildcard_needs_is_not_narrowed_unasked(
    certbot: Certbot, companion: Companion, bind: Bind, domain: str, bind_writing: list[str]
) -> None:
    done = certbot.certonly(*bind_writing, "-d", domain, "-d", f"*.{domain}")
    assert done.returncode == 0, done.output
    before = bind.primary.values(validation_domain_name(domain))
    refused = failed(companion("rotate", "-d", domain, "--dns-persist-valid-for", "90", "--yes"))
    assert f"Add -d '*.{domain}'" in refused.error
    assert bind.primary.values(validation_domain_name(domain)) == before
