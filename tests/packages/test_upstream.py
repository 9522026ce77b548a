"""The patches of ``contrib/certbot``: they apply to the releases that they name, and work."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import StartPebble
from support import upstream
from support.bind import Bind
from support.bootstrap import ROOT
from support.certbot import Certbot
from support.environments import OURS

CONTRIB = ROOT / "contrib"

OWN_TESTS = [
    "acme/src/acme/_internal/tests/challenges_test.py",
    "acme/src/acme/_internal/tests/client_test.py",
    "certbot/src/certbot/_internal/tests/auth_handler_test.py",
    "certbot/src/certbot/_internal/tests/cli_test.py::ParseTest::test_preferred_challenges",
    "certbot/src/certbot/_internal/tests/renewal_test.py::RestoreRequiredConfigElementsTest",
]
"""Certbot's own tests of what the patches change, which they add to."""

Ordered = Callable[[Path, int], list[float]]


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return upstream.patched(tmp_path_factory.mktemp("upstream") / "patched")


@pytest.fixture
def ordered(
    tmp_path: Path,
    bind: Bind,
    bind_writing: list[str],
    domain: str,
    start_pebble: StartPebble,
) -> Ordered:
    """Get a certificate with Certbot from a source; return how long it slept, each time.

    The CA asks to wait for so many seconds.
    """

    def order(source: Path, retry_after: int) -> list[float]:
        place = tmp_path / f"{source.name}-{retry_after}"
        place.mkdir()
        environment = upstream.certbot_from(source, place / "venv")
        (environment.site / upstream.SLEEPS.name).symlink_to(upstream.SLEEPS)
        pebble = start_pebble(f"{bind.resolver.address}:53", retry_after=retry_after)
        certbot = Certbot(
            place,
            pebble.directory_url,
            pebble.ca_bundle,
            program=str(environment.certbot),
            env={"SLEPT": str(place / "slept")},
        )
        done = certbot.certonly(*bind_writing, "-d", domain)
        assert done.returncode == 0, done.output
        assert certbot.certificate(domain).names == [domain]
        return [float(line) for line in (place / "slept").read_text().splitlines()]

    return order


def test_a_change_has_at_most_one_line_of_context_on_each_side() -> None:
    for patch in upstream.PATCHES:
        lines = patch.read_text(encoding="utf-8").splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith("@@"))
        for number in range(start, len(lines)):
            if lines[number].startswith(" "):
                around = [*lines[number - 1 : number], *lines[number + 1 : number + 2]]
                assert any(line[:1] in "+-" for line in around), f"{patch.name}:{number + 1}"


def test_the_notes_and_the_notice_name_each_patch_and_release() -> None:
    notes = (CONTRIB / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(certbot/(.+?\.patch)\)", notes) == [p.name for p in upstream.PATCHES]
    for text in (notes, (CONTRIB / "NOTICE").read_text(encoding="utf-8")):
        for package, version in upstream.RELEASES.items():
            assert f"{package} {version}" in text


def test_the_series_applies_and_passes_certbots_own_tests_of_what_it_changes(
    patched: Path, tmp_path: Path
) -> None:
    environment = upstream.certbot_from(patched, tmp_path / "venv", without=[OURS])
    done = subprocess.run(
        [environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OWN_TESTS],
        cwd=patched,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout


def test_a_certificate_takes_a_moment_where_the_release_waits_for_two_seconds(
    patched: Path, ordered: Ordered
) -> None:
    released = ordered(upstream.sources(), 0)
    assert released[0] == 1  # for the authorization
    assert 1 in released[1:]  # for the order
    slept = ordered(patched, 0)
    assert slept[0] == 0.05
    assert min(slept[1:]) <= 0.05
    assert 1 not in slept


def test_a_ca_that_says_how_long_to_wait_is_obeyed(patched: Path, ordered: Ordered) -> None:
    slept = ordered(patched, 4)
    assert slept[0] == 0.05  # nothing has been said yet
    # Said in the answer to finalize; half of the time as a date, which has no fractions.
    assert 1 < slept[-1] <= 4
