"""Two processes that change the records of one name, and processes that cannot lock it."""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import certbot.errors
import pytest
from support.nameserver import Nameserver
from zope.interface import directlyProvides

from certbot_dns_persist.change import locks
from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.locks import Locks
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.change.surroundings import Surroundings
from certbot_dns_persist.errors import Busy, NotAuthorized
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.plan import make_plans
from certbot_dns_persist.lookup.found import Found, Neighbourhood
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.providers import loader
from certbot_dns_persist.providers.interface import IAnsweringProvider, IProvider
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.request import AccountUris, ValidationRequest

CA, URI, OTHER_URI = "ca.example", "https://ca.example/acct/1", "https://ca.example/acct/2"
DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
PLAIN = f"{CA}; accounturi={URI}"
WIDE = f"{PLAIN}; policy=wildcard"
ENDS = f"{PLAIN}; persistUntil=4000000000"
THEIRS = f"{CA}; accounturi={OTHER_URI}"
FOREIGN = "v=spf1 -all"


def request(uri: str = URI, *, wildcard: bool = False) -> ValidationRequest:
    return ValidationRequest(
        DOMAIN, wildcard, "https://ca.example/dir", (CA,), uri, AccountUris(uri)
    )


class Interrupted(Lookup):
    """Looks up, and at one look something else happens just before the answer arrives."""

    def __init__(self, address: Address) -> None:
        super().__init__([address], authoritative=False)
        self.looks = 0
        self.then: dict[int, Callable[[], None]] = {}

    def find(self, names: Collection[str]) -> dict[str, Found]:
        self.looks += 1
        found = super().find(names)
        self.then.pop(self.looks, lambda: None)()
        return found

    def neighbourhoods(self, found: Iterable[Found]) -> dict[str, Neighbourhood]:
        """There is no wildcard; whom we would ask is not at port 53, which takes seconds."""
        return {each.name: Neighbourhood(each.name, each.canonical_name) for each in found}


class World:
    """A name at a server, and processes with one configuration directory that change it."""

    def __init__(self, nameserver: Nameserver, credentials: Path, directory: Path) -> None:
        self.nameserver, self.directory = nameserver, directory
        self.options = Options(
            providers=("rfc2136",), credentials=str(credentials), propagation_seconds=5
        )

    def lookup(self) -> Interrupted:
        return Interrupted(Address(self.nameserver.address, self.nameserver.port))

    def ensure(self, lookup: Lookup | None = None, *, dry_run: bool = False) -> Ensure:
        lookup = lookup or self.lookup()
        publisher = Publisher(self.options, lookup, self.journal, print, temporary=dry_run)
        return Ensure(self.options, lookup, publisher, Surroundings(notify=print, dry_run=dry_run))

    @property
    def journal(self) -> Journal:
        return Journal(str(self.directory), str(self.directory))

    @property
    def locks(self) -> Path:
        return self.directory / "dns-persist" / "locks"

    @property
    def values(self) -> list[str]:
        values = self.nameserver.values(NAME)
        assert FOREIGN in values
        return [value for value in values if value != FOREIGN]

    def stand(self, *values: str) -> None:
        self.nameserver.zones.set_values(NAME, [FOREIGN, *values])


@pytest.fixture
def world(nameserver: Nameserver, nameserver_credentials: Path, tmp_path: Path) -> World:
    return World(nameserver, nameserver_credentials, tmp_path)


def replace(
    world: World,
    lookup: Lookup,
    asked: ValidationRequest,
    between: Callable[[], object] = lambda: None,
) -> list[str]:
    """Replace the records there by one for ``asked``; return the names where something is left.

    ``between`` happens when what takes over was seen, and nothing is removed yet.
    """
    ensure = world.ensure(lookup)
    standings = ensure.look([asked])
    (plan,) = make_plans(standings, world.options, "rotation")
    retire = tuple(v for v in standings[0].found.values if v not in (plan.value, FOREIGN))
    plan = dataclasses.replace(plan, retire=retire)

    def nobody_else() -> list[ValidationRequest]:
        between()
        return []

    left = ensure.take_over(ensure.introduce([plan]), lambda: None, nobody_else)
    return [plan.name for plan in left]


def test_two_that_replace_each_others_record_never_remove_both(world: World) -> None:
    """One wants the plain record and the other the wide one; each sees both, and removes one."""
    world.stand(PLAIN, WIDE)
    wide: list[str] = []

    def meanwhile() -> None:
        wide.extend(replace(world, world.lookup(), request(wildcard=True)))

    plain = replace(world, world.lookup(), request(), meanwhile)

    assert world.values == [WIDE]
    assert (plain, wide) == ([NAME], [])


def test_what_takes_over_and_is_gone_again_replaces_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.stand(WIDE)

    left = replace(world, world.lookup(), request(), lambda: world.stand(WIDE))

    assert world.values == [WIDE]
    assert left == [NAME]
    assert "The record that was to take over" in caplog.text


def test_nothing_else_is_changed_if_the_new_record_is_gone_again_after_the_wait(
    world: World,
) -> None:
    """The wait for another process, which removes what was seen a moment before."""
    world.stand(PLAIN, WIDE)
    ensure = world.ensure()
    (standing,) = ensure.look([request()])
    (plan,) = make_plans([standing], world.options, "rotation")
    plan = dataclasses.replace(plan, retire=(WIDE,))

    with pytest.raises(NotAuthorized, match="has taken the new records away"):
        ensure.take_over(
            ensure.introduce([plan]),
            lambda: world.stand(WIDE),
            lambda: pytest.fail("it went on"),
        )

    assert world.values == [WIDE]


def test_what_is_to_be_removed_and_is_needed_again_is_published_again(world: World) -> None:
    """Another process removes it between the look and the replacement."""
    world.stand(PLAIN, WIDE)
    ensure = world.ensure()
    (standing,) = ensure.look([request()])
    (plan,) = make_plans([standing], world.options, "rotation")
    world.journal.note_replaced({NAME: [PLAIN]})
    world.stand(WIDE)

    introduced = ensure.introduce([dataclasses.replace(plan, retire=(WIDE,))])
    ensure.take_over(introduced, lambda: None, list)

    assert world.values == [PLAIN]
    assert world.journal.replaced(NAME) == []


def test_what_the_provider_no_longer_has_replaces_nothing_though_servers_still_show_it(
    world: World,
) -> None:
    """As where changes reach the name servers late."""
    world.stand(PLAIN, WIDE)
    with Nameserver(world.nameserver.zones, resolver=True) as late:
        late.freeze()
        lookup = Interrupted(Address(late.address, late.port))

        left = replace(world, lookup, request(), lambda: world.stand(WIDE))

    assert world.values == [WIDE]
    assert left == [NAME]


def test_what_another_certificate_has_come_to_need_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.stand(PLAIN, ENDS)
    ensure = world.ensure()
    (standing,) = ensure.look([request(OTHER_URI)])
    (plan,) = make_plans([standing], world.options, "rotation")
    plan = dataclasses.replace(plan, retire=(PLAIN, ENDS))

    introduced = ensure.introduce([plan])
    assert ensure.take_over(introduced, lambda: None, lambda: [request()]) == [plan]
    assert world.values == sorted([PLAIN, ENDS, THEIRS])
    assert f"{DOMAIN} needs it with the account {URI}" in caplog.text


def test_a_refresh_beside_one_who_rotates_leaves_a_record_of_each(world: World) -> None:
    soon = f"{PLAIN}; persistUntil=1900000000"
    world.stand(soon)
    world.options = dataclasses.replace(world.options, valid_for=36500)
    lookup = world.lookup()
    # The record that expires soon is seen, and then another process replaces it.
    lookup.then[1] = lambda: rotated.extend(replace(world, world.lookup(), request(OTHER_URI)))
    rotated: list[str] = []

    world.ensure(lookup).authorize([request()])

    assert rotated == []
    kept = [value.partition("; persistUntil=")[0] for value in world.values]
    assert kept == sorted([PLAIN, THEIRS])


def test_what_a_dry_run_has_published_stays_if_another_run_relies_on_it(world: World) -> None:
    world.stand()
    dry = world.ensure(dry_run=True)
    dry.authorize([request()])
    alone = world.ensure(dry_run=True)
    alone.authorize([request()])  # another dry run finds it, and needs it no longer than that
    alone.withdraw()
    assert world.values == [PLAIN]

    world.ensure().authorize([request()])
    dry.withdraw()

    assert world.values == [PLAIN]
    (noted,) = world.journal.published(name=NAME)
    assert not noted.temporary


def test_what_a_dry_run_has_published_does_not_stay_for_a_note_of_what_was_gone(
    world: World,
) -> None:
    world.stand()
    world.ensure().authorize([request()])
    world.stand()  # somebody has removed it, and our note of it stands
    dry = world.ensure(dry_run=True)
    dry.authorize([request()])
    assert world.values == [PLAIN]
    assert world.journal.published(name=NAME)[0].temporary  # whoever comes next removes it

    dry.withdraw()

    assert world.values == []
    assert world.journal.published(name=NAME) == []


def test_nobody_publishes_or_removes_while_another_process_holds_the_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SECONDS", 0.1)
    world.stand()
    with (
        Locks(world.locks).hold([NAME]),
        pytest.raises(NotAuthorized, match="is being changed by"),
    ):
        world.ensure().authorize([request()])
    assert world.values == []
    dry = world.ensure(dry_run=True)
    dry.authorize([request()])
    assert world.values == [PLAIN]
    with Locks(world.locks).hold([NAME]):
        dry.withdraw()
    assert world.values == [PLAIN]


def test_without_locks_records_are_published_with_a_warning_and_none_is_removed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.stand(WIDE)
    world.locks.parent.mkdir()
    world.locks.write_text("")  # where the directory should be

    left = replace(world, world.lookup(), request())

    assert world.values == sorted([WIDE, PLAIN])
    assert left == [NAME]
    assert "We publish all the same, and remove nothing but what this run needed" in caplog.text


def test_without_locks_a_run_still_removes_what_it_has_added_for_itself_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a zone would fill with what dry runs and dns-01 leave."""
    world.stand()
    world.locks.parent.mkdir()
    world.locks.write_text("")
    for _ in range(2):
        dry = world.ensure(dry_run=True)
        dry.authorize([request()])
        assert world.values == [PLAIN]
        dry.withdraw()
        assert world.values == []
    assert "could not be removed" not in caplog.text
    relied_on = world.ensure(dry_run=True)
    relied_on.authorize([request()])
    world.ensure().authorize([request()])
    relied_on.withdraw()
    assert world.values == [PLAIN]


@pytest.mark.parametrize("ending", [KeyboardInterrupt(15), certbot.errors.SignalExit()])
def test_a_signal_while_a_refreshed_record_is_awaited_ends_the_run(
    world: World, ending: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that expires soon still authorises, so other troubles with it are only told."""
    world.stand(f"{PLAIN}; persistUntil=1900000000")
    world.options = dataclasses.replace(world.options, valid_for=36500)
    lookup = world.lookup()

    def end() -> None:
        raise ending

    lookup.then[2] = end  # in the wait

    with pytest.raises(type(ending)) as raised:
        world.ensure(lookup).authorize([request()])

    assert raised.value is ending
    assert len(world.values) == 2
    if isinstance(ending, KeyboardInterrupt):
        assert "run the same command again" in capsys.readouterr().out


def test_an_order_that_relies_on_a_record_marked_as_replaced_takes_the_mark_away(
    world: World,
) -> None:
    """No certificate needs it yet, so prune would remove it before the CA looks."""
    world.stand(PLAIN)
    world.journal.note_replaced({NAME: [PLAIN, THEIRS]})

    world.ensure(dry_run=True).authorize([request()])
    assert PLAIN in world.journal.replaced(NAME)
    world.ensure().authorize([request()])

    assert world.journal.replaced(NAME) == [THEIRS]
    world.stand(PLAIN, WIDE)
    world.journal.note_replaced({NAME: [PLAIN]})
    world.ensure().authorize([request()])
    assert PLAIN in world.journal.replaced(NAME)  # the wide one does as much


def test_what_was_removed_while_an_order_came_to_rely_on_it_is_published_again(
    world: World,
) -> None:
    world.stand(PLAIN)
    world.journal.note_replaced({NAME: [PLAIN]})
    lookup = world.lookup()
    lookup.then[1] = world.stand  # as prune does

    world.ensure(lookup).authorize([request()])

    assert world.values == [PLAIN]


class Slow:
    """A service of which each change may take minutes; it has nothing at any name."""

    writes = True

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.free: list[list[str]] = []
        """Which of the names another process could change during each change."""

    def zone_for(self, name: str) -> str | None:
        return None

    def list_values(self, name: str) -> list[str]:
        return []

    def add_value(self, name: str, value: str, ttl: int) -> int:
        free = []
        for each in SEVERAL:
            with contextlib.suppress(Busy), Locks(self.directory, seconds=0).hold([each]):
                free.append(each)
        self.free.append(free)
        return ttl

    def remove_value(self, name: str, value: str) -> None:
        pass


SEVERAL = [f"_validation-persist.n{number}.example.test" for number in range(3)]


@pytest.mark.parametrize(
    ("interface", "busy"), [(IProvider, 1), (IAnsweringProvider, 3)], ids=["program", "service"]
)
def test_where_a_change_may_take_minutes_only_its_own_name_is_locked(
    world: World, monkeypatch: pytest.MonkeyPatch, interface: object, busy: int
) -> None:
    slow = Slow(world.locks)
    directlyProvides(slow, interface)
    monkeypatch.setattr(loader, "load", lambda name, settings: slow)
    publisher = Publisher(world.options, world.lookup(), world.journal, print)
    records = [
        TxtRecord(name, PLAIN, 300, DOMAIN, "https://ca.example/dir", URI) for name in SEVERAL
    ]

    assert publisher.add_all([(record, "") for record in records]) == [None] * 3

    assert [len(SEVERAL) - len(free) for free in slow.free] == [busy] * 3
