"""What no certificate needs: ``prune --left-over``, and the ``revoke`` that audit prints."""

import re
import shlex
from pathlib import Path

import pytest
from dns.rcode import Rcode
from support.nameserver import Nameserver
from test_removing import FOREIGN, SHARED, World
from test_removing import world as world

from certbot_dns_persist.journal.notes import Change
from certbot_dns_persist.record import validation_domain_name

PRUNE = ("prune", "--left-over", "--yes")
READING = ["--dns-persist-check=resolver"]


@pytest.fixture
def reading(nameserver: Nameserver) -> list[str]:
    return [*READING, f"--dns-persist-resolvers={nameserver.endpoint}"]


def delete(world: World, *names: str) -> None:
    """Delete certificates, as ``certbot delete`` does."""
    for name in names:
        (world.home.config_dir / "renewal" / f"{name}.conf").unlink()


@pytest.fixture
def deleted(world: World) -> World:
    """Two of three certificates are gone, and their records are not."""
    for number in (1, 2, 3):
        world.add(f"c{number}", f"n{number}.example.test")
    world.publish("c1", "c2", "c3")
    world.stand("n2.example.test", *world.values("n2.example.test"), FOREIGN)
    delete(world, "c1", "c2")
    return world


def test_what_is_left_over_goes_through_the_provider_of_another_certificate(
    deleted: World,
) -> None:
    looked = deleted("prune", "--left-over", "--dry-run")
    assert looked.status == 0, looked.error
    assert looked.out.splitlines()[:5] == [
        "To be removed:",
        "  _validation-persist.n1.example.test TXT",
        f"    - {deleted.old} (left over)",
        "  _validation-persist.n2.example.test TXT",
        f"    - {deleted.old} (left over)",
    ]
    done = deleted(*PRUNE)
    assert done.status == 0, done.error
    assert done.out.endswith("Removed.\n")
    found = [deleted.values(f"n{number}.example.test") for number in (1, 2, 3)]
    assert found == [[], [FOREIGN], [deleted.old]]
    assert [noted.domain for noted in deleted.home.journal.published()] == ["n3.example.test"]

    again = deleted(*PRUNE)
    assert (again.status, again.out) == (0, "There is nothing to prune.\n")


def test_the_revoke_that_audit_prints_removes_it(deleted: World) -> None:
    audited = deleted("audit", "--all", "--no-caa")
    printed = re.search(r"certbot-dns-persist (revoke .*n1\.example\.test .*?) \(rfc", audited.out)
    assert printed, audited.out
    assert re.search(r"To remove all that is left over: \S+ prune .*--left-over", audited.out)
    done = deleted(*shlex.split(printed[1]), "--yes")
    assert "its provider is manual" not in done.error
    assert deleted.values("n1.example.test") == []
    assert deleted.values("n2.example.test") == [deleted.old, FOREIGN]


def test_without_another_certificate_the_credentials_must_be_given(
    deleted: World, reading: list[str], nameserver_credentials: Path
) -> None:
    delete(deleted, "c3")
    without = deleted(*PRUNE, *reading)
    assert without.status == 1
    assert without.error.startswith("The provider rfc2136 needs dns_persist_rfc2136_server, ")
    assert without.error.endswith("So 3 of the records were not removed.\n")
    assert deleted.values("n1.example.test") == [deleted.old]

    done = deleted(*PRUNE, *reading, f"--dns-persist-credentials={nameserver_credentials}")
    assert done.status == 0, done.error
    assert not deleted.home.journal.published()


def test_credentials_that_are_gone_are_passed_over(deleted: World, tmp_path: Path) -> None:
    broken = {"credentials": str(tmp_path / "gone.ini")}
    deleted.add("aaa", "aaa.example.test", **broken)
    done = deleted(*PRUNE)
    assert done.status == 0, done.error
    assert deleted.values("n1.example.test") == []


def test_what_we_did_not_publish_stays(deleted: World) -> None:
    wildcard = f"{deleted.old}; policy=wildcard"
    deleted.stand("n1.example.test", deleted.old, wildcard)
    assert deleted(*PRUNE).status == 0
    assert deleted.values("n1.example.test") == [wildcard]


def test_what_a_certificate_needs_by_an_alias_stays(world: World) -> None:
    world.add("one", "n1.example.test")
    world.add("two", "n2.example.test")
    for domain in ("n1.example.test", "n2.example.test"):
        world.alias(domain)
    world.publish("one")
    delete(world, "one")
    done = world(*PRUNE)
    assert (done.status, done.out) == (0, "There is nothing to prune.\n"), done.error
    assert world.nameserver.values(SHARED) == [world.old]


def test_while_a_certificate_cannot_be_read_nothing_is_left_over(deleted: World) -> None:
    (deleted.home.config_dir / "renewal" / "damaged.conf").write_text("server = nothing else\n")
    done = deleted(*PRUNE)
    assert done.status == 1
    assert "A certificate cannot be read" in done.error
    assert deleted.values("n1.example.test") == [deleted.old]


def test_a_domain_that_cannot_be_looked_up_does_not_keep_the_others(deleted: World) -> None:
    (noted,) = deleted.home.journal.published(domains=["n1.example.test"])
    domain = "gone.other.test"
    gone = validation_domain_name(domain)
    where = (gone, noted.value, 300, "rfc2136", None)
    change = Change("add", *where, "given up", noted.server, noted.account_url, domain)
    deleted.home.journal.note(change)
    deleted.nameserver.faults.below = domain
    deleted.nameserver.faults.rcode = Rcode.SERVFAIL
    done = deleted(*PRUNE)
    assert done.status == 1
    assert f"{gone} cannot be looked up (" in done.error
    assert "so what we noted there stays" in done.error
    assert deleted.values("n1.example.test") == []
    assert [n.name for n in deleted.home.journal.published() if n.name == gone] == [gone]


def test_many_names_go_only_if_their_number_is_given(world: World) -> None:
    world.add("stays", "stays.example.test")
    world.add("many", *(f"n{number}.example.test" for number in range(7)))
    world.publish("stays", "many")
    delete(world, "many")
    refused = world(*PRUNE)
    assert refused.status == 1
    assert "add --remove-up-to 7" in refused.error
    assert world(*PRUNE, "--remove-up-to", "7").status == 0
    assert len(world.home.journal.published()) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--all"], "Give exactly one of --cert-name, -d, --all, --left-over and --from-file."),
        (["--account", "old"], "it excludes --account"),
    ],
)
def test_it_stands_alone(world: World, more: list[str], words: str) -> None:
    done = world(*PRUNE, *more)
    assert done.status == 3
    assert words in done.error
