"""What ``prune``, ``revoke`` and ``rotate`` remove when others change the same names, and how much.

Certbot's files are made by hand, and no CA is asked; the DNS server is real.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dns.name
import pytest
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from support.home import SERVER, Home
from support.nameserver import Faults, Nameserver

from certbot_dns_persist import files
from certbot_dns_persist.change import locks
from certbot_dns_persist.change.locks import Locks
from certbot_dns_persist.cli import changing, main
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.journal import state
from certbot_dns_persist.journal.notes import Change, Intention, Outcome
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.found import Found, ServerAnswer
from certbot_dns_persist.lookup.session import Lookup
from certbot_dns_persist.providers.rfc2136 import Rfc2136
from certbot_dns_persist.record import validation_domain_name

FOREIGN = "v=spf1 -all"
SHARED = "_shared.other.test"


@dataclasses.dataclass
class Done:
    status: int
    out: str
    error: str


class World:
    """Certificates of two accounts, ``old`` and ``new``, for names of one server."""

    def __init__(
        self,
        root: Path,
        nameserver: Nameserver,
        writing: dict[str, str | int],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.nameserver, self.home = nameserver, Home(root)
        self.old, self.new = self.home.add_account("old"), self.home.add_account("new")
        self._writing, self._monkeypatch, self._capsys = writing, monkeypatch, capsys
        self.waits = False
        """Whether rotations wait for caches."""

    def add(self, name: str, *domains: str, account: str = "old", **options: str | int) -> None:
        """Add a certificate, with these options of ours, too."""
        self.home.add_certificate(name, domains, account, {**self._writing, **options})

    def publish(self, *names: str) -> None:
        """Publish the records of certificates, so that they are noted."""
        assert self("publish", *(w for n in names for w in ("--cert-name", n)), "--yes").status == 0

    def values(self, domain: str) -> list[str]:
        return self.nameserver.values(validation_domain_name(domain))

    def stand(self, domain: str, *values: str) -> None:
        self.nameserver.zones.set_values(validation_domain_name(domain), values)

    def alias(self, domain: str) -> None:
        """Make the name for a domain an alias of ``SHARED``."""
        name, target = (
            dns.name.from_text(each) for each in (validation_domain_name(domain), SHARED)
        )
        zone = self.nameserver.zones.closest(name)
        assert zone
        rdata = dns.rdata.from_text("IN", "CNAME", target.to_text())
        zone.put(name, RdataType.CNAME, 1, [rdata])

    def __call__(self, command: str, *arguments: str) -> Done:
        places = self.home.places
        if command == "rotate":  # at the CA of its certificates
            places = [*places[:4], *([] if self.waits else ["--no-wait"])]
        status = main([command, *arguments, *places])
        shown = self._capsys.readouterr()
        return Done(status, shown.out, shown.err)

    def at_terminal(self, command: str, *arguments: str, meanwhile: Callable[[], object]) -> Done:
        """Run a command at a terminal, and answer its question with yes after ``meanwhile()``."""

        before = []

        def answer(_: str) -> str:
            before.append(self._capsys.readouterr().out)
            meanwhile()
            return "y"

        with self._monkeypatch.context() as patched:
            patched.setattr(changing, "at_terminal", lambda: True)
            patched.setattr("builtins.input", answer)
            done = self(command, *arguments)
        return dataclasses.replace(done, out="".join(before) + done.out)

    def at_look(self, number: int, then: Callable[[], object]) -> None:
        """Let something happen right after DNS was looked at for the ``number``-th time."""
        looks = 0
        find = Lookup.find

        def counted(lookup: Lookup, names: list[str]) -> object:
            nonlocal looks
            looks += 1
            found = find(lookup, names)
            if looks == number:
                then()
            return found

        self._monkeypatch.setattr(Lookup, "find", counted)


@pytest.fixture
def world(
    tmp_path: Path,
    nameserver: Nameserver,
    nameserver_credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    writing: dict[str, str | int] = {
        "resolvers": nameserver.endpoint,
        "check": "resolver",
        "provider": "rfc2136",
        "credentials": str(nameserver_credentials),
        "propagation_seconds": 10,
    }
    monkeypatch.setattr(changing, "require_valid_accounts", lambda args, groups: None)  # no CA
    return World(tmp_path / "certbot", nameserver, writing, monkeypatch, capsys)


# Between the question and the answer


def test_what_another_command_has_changed_while_prune_asks_is_looked_at_again(
    world: World,
) -> None:
    world.add("one", "n1.example.test")
    wide = f"{world.old}; policy=wildcard"
    world.stand("n1.example.test", FOREIGN, world.old, wide)

    def rotate() -> None:
        done = world("rotate", "--cert-name", "one", "--dns-persist-policy", "exact", "--yes")
        assert done.status == 0, done.error
        assert world.values("n1.example.test") == [world.old, FOREIGN]

    done = world.at_terminal("prune", "--cert-name", "one", meanwhile=rotate)

    assert f"- {world.old} (superseded)" in done.out
    assert world.values("n1.example.test") == [world.old, FOREIGN]
    assert done.status == 1
    assert f'"{world.old}" stays: it is needed now.' in done.error


def test_what_a_certificate_has_come_to_need_while_prune_asks_stays(world: World) -> None:
    """A rotation to another account and back is what the renewal files say, not DNS."""
    world.add("one", "n1.example.test")
    world.stand("n1.example.test", world.old, world.new)
    world.home.journal.note_replaced({validation_domain_name("n1.example.test"): [world.new]})

    done = world.at_terminal(
        *("prune", "--all"), meanwhile=lambda: world.add("one", "n1.example.test", account="new")
    )

    assert f"- {world.new} (replaced)" in done.out
    assert world.new in world.values("n1.example.test")


def test_two_that_prune_at_the_same_time_never_remove_both_of_two_twins(world: World) -> None:
    world.add("one", "n1.example.test")
    ends = f"{world.old}; persistUntil=4000000000"
    world.stand("n1.example.test", world.old, ends)

    def another() -> None:
        # It saw the plain record only after somebody had published one that ends later.
        world.stand("n1.example.test", ends)

    done = world.at_terminal("prune", "--all", meanwhile=another)

    assert f"- {ends} (superseded)" in done.out
    assert world.values("n1.example.test") == [ends]


def test_what_prune_relies_on_must_stand_when_the_name_is_locked(world: World) -> None:
    world.add("one", "n1.example.test")
    ends = f"{world.old}; persistUntil=4000000000"
    world.stand("n1.example.test", world.old, ends)
    world.at_look(1, lambda: world.stand("n1.example.test", ends))

    done = world("prune", "--all", "--yes")

    assert done.status == 1
    assert world.values("n1.example.test") == [ends]


def test_revoke_leaves_what_another_certificate_has_come_to_need_while_it_asks(
    world: World,
) -> None:
    world.add("one", "n1.example.test")
    world.stand("n1.example.test", world.old)

    done = world.at_terminal(
        *("revoke", "--cert-name", "one"), meanwhile=lambda: world.add("two", "n1.example.test")
    )

    assert done.status == 1
    assert "stays: it is needed now" in done.error
    assert world.values("n1.example.test") == [world.old]


def test_a_rotation_that_has_changed_while_it_was_shown_is_not_made(world: World) -> None:
    world.add("one", "n1.example.test")
    world.publish("one")
    wide = f"{world.old}; policy=wildcard"

    done = world.at_terminal(
        *("rotate", "--all", "--account", "new"),
        meanwhile=lambda: world.stand("n1.example.test", world.old, wide),
    )

    assert done.status == 1
    assert "has changed while you were asked, so nothing was changed" in done.error
    assert world.values("n1.example.test") == sorted([world.old, wide])
    again = world.at_terminal("rotate", "--all", "--account", "new", meanwhile=lambda: None)
    assert again.status == 0, again.error
    assert world.values("n1.example.test") == [world.new]


def test_a_certificate_that_was_changed_while_a_rotation_waited_is_left_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second rotation was planned for the account of before, and ends later."""
    world.add("one", "n1.example.test")
    world.publish("one")

    def another(_: object) -> None:
        world.add("one", "n1.example.test", account="new")
        world.stand("n1.example.test", world.old, world.new, f"{world.old}; policy=wildcard")

    monkeypatch.setattr(changing, "lock_certbot", another)  # it waits for the other one

    done = world("rotate", "--all", "--dns-persist-policy", "wildcard", "--yes")

    assert done.status == 1
    assert "The certificate one was changed by another process meanwhile" in done.error
    renewal = (world.home.config_dir / "renewal" / "one.conf").read_text()
    assert "policy" not in renewal
    assert world.new in world.values("n1.example.test")


def test_nothing_is_removed_while_another_process_holds_the_name_or_without_locks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = [f"n{number}.example.test" for number in range(3)]
    world.add("one", *domains)
    world.publish("one")
    monkeypatch.setattr(locks, "SECONDS", 0.1)
    directory = world.home.config_dir / "dns-persist" / "locks"

    with Locks(directory).hold([validation_domain_name(domain) for domain in domains]):
        held = world("revoke", "--all", "--yes")
    shutil.rmtree(directory)
    directory.write_text("")
    without = world("revoke", "--all", "--yes")

    assert held.status == without.status == 1
    assert "is being changed by" in held.error
    assert "cannot be locked" in without.error
    for done in (held, without):
        assert "So 3 of the records were not removed." in done.error
        assert "Removed" not in done.out
    assert all(world.values(domain) == [world.old] for domain in domains)


def test_a_process_that_hangs_with_many_names_is_not_waited_for_once_a_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = [f"n{number}.example.test" for number in range(9)]
    world.add("one", *domains)
    waited: list[float] = []
    now = 0.0

    def wait(_: int, seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds
        raise TimeoutError

    clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
    held = SimpleNamespace(opened=files.opened, require_private=files.require_private, lock=wait)
    monkeypatch.setattr(locks, "time", clock)
    monkeypatch.setattr(locks, "files", held)
    done = world("publish", "--all", "--yes")

    assert done.status == 1
    assert "is being changed by another process" in done.error
    assert sum(waited) == 2 * locks.SECONDS
    assert not any(world.values(domain) for domain in domains)


def test_what_a_killed_run_has_left_is_removed_when_the_user_agrees_and_not_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("one", "n1.example.test")
    world.add("two", "n1.example.test", account="new")
    wide = f"{world.old}; policy=wildcard"
    left = world.old.replace("/old", "/lost")
    name = validation_domain_name("n1.example.test")
    change = Change(
        action="add",
        name=name,
        value=left,
        ttl=300,
        provider="rfc2136",
        zone="example.test",
        reason="",
        server=SERVER,
        account_url="https://ca.example/acct/lost",
        domain="n1.example.test",
        temporary=True,
    )
    everything = sorted([world.old, wide, world.new, left])
    world.stand("n1.example.test", *everything)
    (intention,) = world.home.journal.intended(change)
    world.home.journal.done(Outcome(intention))
    monkeypatch.setattr(state, "has_ended", lambda *run: True)  # as if we had been killed
    refusing = [("prune", "--all"), ("revoke", "--cert-name", "one"), ("rotate", "--all")]

    for command, *arguments in refusing:
        to = ["--account", "new"] if command == "rotate" else []
        for more in (["--dry-run"], []):  # and without a terminal
            world(command, *arguments, *to, *more)
            assert world.values("n1.example.test") == everything, (command, more)
    assert world("prune", "--all", "--yes").status == 0
    assert left not in world.values("n1.example.test")


def test_a_record_that_has_vanished_stays_noted_while_a_server_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("one", "n1.example.test")
    world.publish("one")
    find = Lookup.find

    def without_an_answer(lookup: Lookup, names: list[str]) -> dict[str, Found]:
        silent = ServerAnswer("ns9.example.test", "192.0.2.9", None, "does not answer")
        return {
            name: dataclasses.replace(found, servers=(*found.servers, silent))
            for name, found in find(lookup, names).items()
        }

    def vanish() -> None:
        world.stand("n1.example.test")
        monkeypatch.setattr(Lookup, "find", without_an_answer)

    world.at_look(1, vanish)
    done = world("revoke", "--all", "--yes")

    assert done.status == 1
    assert "may still be there: not all of its name servers answer." in done.error
    assert [record.value for record in world.home.journal.published()] == [world.old]


# All together


def test_removals_are_noted_together_and_one_that_fails_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = [f"n{number}.example.test" for number in range(4)]
    world.add("one", *domains)
    world.publish("one")
    remove, intended, noted = Rfc2136.remove_value, Journal.intended, []

    def refuse(provider: Rfc2136, name: str, value: str) -> None:
        if "n1" in name:
            raise ProviderError("It is refused.")
        remove(provider, name, value)

    def count(journal: Journal, *changes: Change) -> list[Intention]:
        noted.append(len(changes))
        return intended(journal, *changes)

    monkeypatch.setattr(Rfc2136, "remove_value", refuse)
    monkeypatch.setattr(Journal, "intended", count)
    done = world("revoke", "--all", "--yes")

    assert done.status == 1
    assert done.error.count("could not be removed. It is refused.") == 1
    assert noted == [4]
    assert [domain for domain in domains if world.values(domain)] == ["n1.example.test"]
    assert [record.domain for record in world.home.journal.published()] == ["n1.example.test"]


@pytest.mark.parametrize("made", [False, True])
def test_what_an_interruption_leaves_of_many_removals_is_found_out_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    domains = [f"n{number}.example.test" for number in range(4)]
    world.add("one", *domains)
    world.publish("one")
    remove = Rfc2136.remove_value

    def interrupt(provider: Rfc2136, name: str, value: str) -> None:
        if "n1" not in name or made:
            remove(provider, name, value)
        if "n1" in name:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Rfc2136, "remove_value", interrupt)
        world("revoke", "--all", "--yes")

    noted = {record.domain: record.doubt for record in world.home.journal.published()}
    assert [*noted] == domains[1:]
    assert "interrupted by KeyboardInterrupt" in str(noted.pop("n1.example.test"))
    assert {*noted.values()} == {None}
    assert world("revoke", "--all", "--yes").status == 0
    assert not any(world.values(domain) for domain in domains)
    assert world.home.journal.published() == []


# Who else needs it


def test_revoke_leaves_what_other_certificates_and_aliases_need_until_they_are_named(
    world: World,
) -> None:
    world.add("one", "n1.example.test", "www.example.test")
    world.add("two", "n1.example.test")
    world.add("three", "n3.example.test")
    for domain in ("www.example.test", "n3.example.test"):
        world.alias(domain)
    world.publish("one")
    arguments = ("revoke", "--cert-name", "one", "--yes")

    done = world(*arguments)

    assert done.status == 1
    assert done.error.splitlines()[-3:] == [
        "A record at _validation-persist.n1.example.test stays: it is also needed by the "
        "certificate two (n1.example.test).",
        f"A record at {SHARED} stays: it is also needed by the certificate three "
        "(n3.example.test).",
        "To remove what others need, too, add --also-needed-by two --also-needed-by three",
    ]
    assert world.values("n1.example.test") == [world.old]
    assert world.nameserver.values(SHARED) == [world.old]

    done = world(*arguments, "--also-needed-by", "two")

    assert done.status == 1
    assert done.error.splitlines()[-1].endswith("add --also-needed-by three")
    assert "The certificate two needs them (n1.example.test)" in done.out
    assert world.values("n1.example.test") == []
    assert world.nameserver.values(SHARED) == [world.old]

    done = world(*arguments, "--also-needed-by", "n3.example.test")

    assert (done.status, done.error) == (0, "")
    assert world.nameserver.values(SHARED) == []


def test_revoke_leaves_what_was_published_for_an_alias_without_a_certificate(world: World) -> None:
    world.add("one", "n1.example.test")
    world.add("two", "n2.example.test")
    for domain in ("n1.example.test", "n2.example.test"):
        world.alias(domain)
    world.publish("one")
    (world.home.config_dir / "renewal" / "one.conf").unlink()

    done = world("revoke", "--cert-name", "two", "--yes")

    assert done.status == 1
    assert f"A record at {SHARED} stays: it is also needed by n1.example.test." in done.error
    assert world.nameserver.values(SHARED) == [world.old]
    both = ("-d", "n1.example.test", "-d", "n2.example.test", "--account", "old")
    assert world("revoke", *both, "--yes").status == 0
    assert world.nameserver.values(SHARED) == []


def test_what_a_certificate_that_cannot_be_looked_up_may_need_stays(world: World) -> None:
    """Its name may be an alias of any other: what we cannot see is not what is not there."""
    world.add("one", "n1.example.test")
    world.publish("one")
    world.add("dead", "dead.example.test", "*.dead.example.test")
    broken = validation_domain_name("dead.example.test")
    world.nameserver.faults = Faults(below=broken, rcode=Rcode.SERVFAIL)
    wide = f"{world.old}; policy=wildcard"
    ends = f"{wide}; persistUntil=4000000000"
    arguments = ("revoke", "--cert-name", "one", "--yes")

    # It may live by either of these, but not by the plain one.
    world.stand("n1.example.test", world.old, wide, ends)
    pruned = world("prune", "--cert-name", "one", "--yes")
    assert (pruned.status, world.values("n1.example.test")) == (0, [wide])
    revoked = world(*arguments)
    assert revoked.status == 1
    name = validation_domain_name("n1.example.test")
    assert (
        f"A record at {name} stays: the certificate dead (dead.example.test) may also need it, and "
        "cannot be looked up: "
    ) in revoked.error
    assert revoked.error.endswith("add --also-needed-by dead\n")

    world.stand("n1.example.test", world.old, wide)
    narrowed = world("rotate", "--cert-name", "one", "--dns-persist-policy", "exact", "--yes")
    assert narrowed.status == 1
    assert world.values("n1.example.test") == [world.old, wide]
    moved = world("rotate", "--cert-name", "one", "--account", "new", "--yes")
    assert moved.status == 1
    assert wide in world.values("n1.example.test")
    assert world.new in world.values("n1.example.test")
    world("prune", "--all", "--cert-name", "one", "--yes")
    assert wide in world.values("n1.example.test")

    old = ("revoke", "-d", "n1.example.test", "--account", "old", "--yes")
    done = world(*old, "--also-needed-by", "dead.example.test")
    assert (done.status, world.values("n1.example.test")) == (0, [world.new]), done.error


def test_revoking_a_domain_or_all_asks_nobody_who_was_named(world: World) -> None:
    world.add("one", "n1.example.test", "n2.example.test")
    world.add("two", "n1.example.test", account="new")
    world.publish("one", "two")

    assert world("revoke", "-d", "n1.example.test", "--yes").status == 0

    assert world.values("n1.example.test") == []
    assert world.values("n2.example.test") == [world.old]
    assert world("revoke", "--all", "--yes").status == 0
    assert world.values("n2.example.test") == []


def test_certificates_with_different_options_that_share_a_record_rotate_together(
    world: World,
) -> None:
    world.add("one", "n1.example.test")
    world.add("two", "n2.example.test", ttl=77)
    for domain in ("n1.example.test", "n2.example.test"):
        world.alias(domain)
    world.publish("one", "two")

    alone = world("rotate", "--cert-name", "one", "--account", "new", "--yes")
    together = world("rotate", "--all", "--account", "new", "--yes")

    assert alone.status == 1
    assert "A certificate that you did not name needs the record" in alone.error
    assert (together.status, together.error) == (0, "")
    assert world.nameserver.values(SHARED) == [world.new]


def test_certbot_is_locked_only_when_no_group_waits_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that waits in vain keeps no other from being rotated."""
    world.add("one", "n1.example.test")
    world.add("two", "n2.example.test", ttl=77)
    world.add("zero", "n0.example.test", ttl=78, propagation_seconds=1)
    world.publish("zero", "one", "two")
    at_lock: list[list[str]] = []

    def lock(_: object) -> None:
        at_lock.append([v for n in (1, 2) for v in world.values(f"n{n}.example.test")])

    monkeypatch.setattr(changing, "lock_certbot", lock)
    hidden = validation_domain_name("n0.example.test")
    world.nameserver.faults = Faults(below=hidden, lie=[world.old])

    done = world("rotate", "--all", "--account", "new", "--yes")

    assert at_lock[0].count(world.new) == 2
    assert at_lock[0].count(world.old) == 2
    assert done.status == 1
    assert "n0.example.test" in done.error
    assert world.values("n1.example.test") == world.values("n2.example.test") == [world.new]


# How much


def test_many_names_lose_their_records_only_if_their_number_is_given(world: World) -> None:
    many = [f"n{number}.example.test" for number in range(12)]
    world.add("many", *many)
    world.add("few", *(f"f{number}.example.test" for number in range(3)))
    world.publish("many", "few")
    arguments = ("revoke", "--cert-name", "many", "--yes")

    dry, refused, low = (
        world(*arguments, *more) for more in (["--dry-run"], [], ["--remove-up-to", "11"])
    )

    words = (
        "This would leave 12 names without any record of ours; our notes have records at 15 names. "
        "If you mean that, add --remove-up-to 12."
    )
    assert (dry.status, words in dry.out) == (0, True)
    for done in (refused, low):
        assert done.status == 1
        assert f"{words} Nothing was changed." in done.error
    assert all(world.values(domain) for domain in many)
    assert world("revoke", "--cert-name", "few", "--yes").status == 0
    assert world(*arguments, "--remove-up-to", "12").status == 0
    assert not any(world.values(domain) for domain in many)


def test_prune_may_not_leave_many_names_without_a_record_but_removes_any_number_beside_others(
    world: World,
) -> None:
    domains = [f"n{number}.example.test" for number in range(8)]
    world.add("one", *domains)
    expired = f"{world.old}; persistUntil=1700000000"
    for domain in domains:
        world.stand(domain, expired)

    refused = world("prune", "--all", "--yes")

    assert refused.status == 1
    assert "add --remove-up-to 8." in refused.error
    assert world.values(domains[0]) == [expired]
    for domain in domains:
        world.stand(domain, expired, world.old)
    assert world("prune", "--all", "--yes").status == 0
    assert {tuple(world.values(domain)) for domain in domains} == {(world.old,)}


def test_rotating_all_in_an_emergency_is_not_stopped(world: World) -> None:
    domains = [f"n{number}.example.test" for number in range(12)]
    world.add("one", *domains)
    world.publish("one")

    done = world("rotate", "--all", "--account", "new", "--yes")

    assert done.status == 0, done.error
    assert {tuple(world.values(domain)) for domain in domains} == {(world.new,)}


def test_pruning_with_nothing_to_prune_asks_each_name_once_and_no_provider(world: World) -> None:
    domains = [f"n{number}.example.test" for number in range(30)]
    for number, domain in enumerate(domains):
        world.add(f"c{number}", domain)
        world.stand(domain, world.old)
    world.home.config_dir.joinpath("..", "..", "ns.ini").resolve().unlink()

    done = world("prune", "--all", "--yes")

    assert (done.status, done.out) == (0, "There is nothing to prune.\n")
    asked = world.nameserver.queries
    assert {asked[validation_domain_name(domain), "TXT"] for domain in domains} == {1}
    assert world("prune", "--cert-name", "c0", "--yes").status == 0
    counts = [asked[validation_domain_name(domain), "TXT"] for domain in domains]
    assert counts == [2, *[1] * 29]
