"""What a killed run has left is found, and finished or cleared, by the next one."""

import contextlib
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import pytest
from support.nameserver import Nameserver

from certbot_dns_persist.change import locks
from certbot_dns_persist.change.dns01 import Dns01
from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.locks import Locks
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.change.surroundings import Surroundings
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.lookup.found import Found, Neighbourhood
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.providers.interface import Addition
from certbot_dns_persist.providers.rfc2136 import Rfc2136
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.request import AccountUris, Proof, ValidationRequest

CA, URI, OTHER_URI = "ca.example", "https://ca.example/acct/1", "https://ca.example/acct/2"
DOMAIN = "example.test"
NAME = validation_domain_name(DOMAIN)
OURS = f"{CA}; accounturi={URI}"
FOREIGN = "v=spf1 -all"
SECRET = "hush"

Moment = Literal["before", "after"]


class Quick(Lookup):
    """A look-up that knows that no wildcard is around: whom we would ask is not at port 53."""

    def neighbourhoods(self, found: Iterable[Found]) -> dict[str, Neighbourhood]:
        return {each.name: Neighbourhood(each.name, each.canonical_name) for each in found}


class Place:
    """Where a run works; a process of its own can be made from it."""

    def __init__(self, address: str, port: int, credentials: str, directory: str) -> None:
        self.address, self.port, self.directory = address, port, directory
        self.options = Options(
            providers=("rfc2136",), credentials=credentials, propagation_seconds=5
        )

    @property
    def journal(self) -> Journal:
        return Journal(self.directory, self.directory)

    def lookup(self) -> Lookup:
        return Quick([Address(self.address, self.port)], authoritative=False)

    def publisher(self, *, temporary: bool = False) -> Publisher:
        return Publisher(self.options, self.lookup(), self.journal, print, temporary=temporary)

    def ensure(self, *, dry_run: bool = False) -> Ensure:
        return Ensure(
            self.options,
            self.lookup(),
            self.publisher(temporary=dry_run),
            Surroundings(notify=print, dry_run=dry_run),
        )

    def dns01(self) -> Dns01:
        here = Surroundings(notify=print)
        return Dns01(self.options, self.lookup(), self.publisher(temporary=True), here)


def request(uri: str = URI) -> ValidationRequest:
    return ValidationRequest(DOMAIN, False, "https://ca.example/dir", (CA,), uri, AccountUris(uri))


PROOF = Proof(DOMAIN, "proof", "https://ca.example/dir", URI)
RECORD = TxtRecord(NAME, OURS, 300, DOMAIN, "https://ca.example/dir", URI)


def publish(place: Place) -> None:
    place.ensure().authorize([request()])


def remove(place: Place) -> None:
    place.publisher().remove(RECORD, "revoked")


def dry_run(place: Place) -> None:
    place.ensure(dry_run=True).authorize([request()])


def dns01(place: Place) -> None:
    place.dns01().publish([PROOF])


Work = Callable[[Place], None]


def _killed(place: Place, work: Work, action: str, moment: Moment) -> None:
    """Do ``work``, and die the way of kill -9 at the first change, before or after it is made."""
    change = getattr(Rfc2136, action)

    def dying(self: Rfc2136, *arguments: object) -> None:
        if moment == "after":
            change(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(Rfc2136, action, dying)
    work(place)


def _killed_at_the_end(place: Place, work: Work) -> None:
    work(place)
    os.kill(os.getpid(), signal.SIGKILL)


def killed(place: Place, work: Work, action: str = "add_many", moment: Moment = "after") -> None:
    in_a_process(_killed, place, work, action, moment)


def in_a_process(target: Callable[..., None], *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture
def place(nameserver: Nameserver, nameserver_credentials: Path, tmp_path: Path) -> Place:
    nameserver.zones.set_values(NAME, [FOREIGN])
    return Place(
        nameserver.address, nameserver.port, str(nameserver_credentials), str(tmp_path / "etc")
    )


def noted(place: Place) -> list[tuple[str, bool]]:
    """Return the values that are noted, and whether each is in doubt."""
    return [(record.value, record.doubt is not None) for record in place.journal.published()]


def logged(place: Place) -> list[str]:
    return [record.value for record in place.journal.logged()]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_killed_run_was_publishing_is_in_doubt_until_the_next_has_looked(
    place: Place, nameserver: Nameserver, moment: Moment
) -> None:
    killed(place, publish, moment=moment)
    assert noted(place) == [(OURS, True)]
    assert logged(place) == [OURS]
    assert (OURS in nameserver.values(NAME)) == (moment == "after")

    publish(place)

    assert sorted(nameserver.values(NAME)) == [OURS, FOREIGN]
    assert noted(place) == [(OURS, False)]
    assert logged(place) == [OURS]
    assert place.journal.interrupted([NAME]) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_killed_run_was_removing_is_in_doubt_until_the_next_has_looked(
    place: Place, nameserver: Nameserver, moment: Moment
) -> None:
    publish(place)
    killed(place, remove, "remove_value", moment)
    assert noted(place) == [(OURS, True)]

    ensure = place.ensure()
    ensure.clear_up(ensure.look([request()]))

    there = moment == "before"
    assert (OURS in nameserver.values(NAME)) == there
    assert noted(place) == ([(OURS, False)] if there else [])
    assert logged(place) == ([OURS] if there else [])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_killed_run_was_publishing_and_nobody_needs_is_found_or_cleared(
    place: Place, nameserver: Nameserver, moment: Moment
) -> None:
    killed(place, publish, moment=moment)

    ensure = place.ensure()
    ensure.clear_up(ensure.look([request(OTHER_URI)]))

    there = moment == "after"
    assert noted(place) == ([(OURS, False)] if there else [])
    assert logged(place) == ([OURS] if there else [])
    assert (OURS in nameserver.values(NAME)) == there


def test_what_neither_dns_nor_the_provider_can_tell_stays_in_doubt(
    place: Place, nameserver: Nameserver
) -> None:
    killed(place, publish, moment="before")
    Path(str(place.options.credentials)).unlink()

    ensure = place.ensure()
    ensure.clear_up(ensure.look([request()]))

    assert noted(place) == [(OURS, True)]


def test_a_change_that_another_process_is_making_is_left_to_it(place: Place) -> None:
    publisher = place.publisher()
    change = publisher._change("add", RECORD, "", "rfc2136", None)
    publisher.journal.intended(change)
    assert place.journal.interrupted([NAME]) == []

    ensure = place.ensure()
    ensure.clear_up(ensure.look([request()]))

    assert noted(place) == [(OURS, True)]


def test_what_the_provider_refused_to_add_is_in_doubt_and_forgotten_when_it_is_not_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been added all the same, as when only the answer was lost."""

    def refuse(self: Rfc2136, additions: Sequence[Addition]) -> list[ProviderError]:
        return [ProviderError("REFUSED")] * len(additions)

    publisher = place.publisher()
    with monkeypatch.context() as patched:
        patched.setattr(Rfc2136, "add_many", refuse)
        with pytest.raises(ProviderError):
            publisher.add(RECORD, "")
    assert noted(place) == [(OURS, True)]

    ensure = place.ensure()
    ensure.clear_up(ensure.look([request(OTHER_URI)]))

    assert noted(place) == []
    assert logged(place) == []


def test_the_record_of_a_killed_dry_run_is_taken_away_by_the_next(
    place: Place, nameserver: Nameserver
) -> None:
    in_a_process(_killed_at_the_end, place, dry_run)
    assert OURS in nameserver.values(NAME)
    assert place.journal.published()[0].temporary

    again = place.ensure(dry_run=True)
    again.authorize([request()])
    assert OURS in nameserver.values(NAME)
    again.withdraw()

    assert nameserver.values(NAME) == [FOREIGN]
    assert noted(place) == []


def test_the_record_of_a_killed_dry_run_is_taken_away_by_a_run_that_does_not_need_it(
    place: Place, nameserver: Nameserver
) -> None:
    killed(place, dry_run)
    place.ensure().authorize([request(OTHER_URI)])
    assert sorted(nameserver.values(NAME)) == [OURS.replace(URI, OTHER_URI), FOREIGN]
    assert len(noted(place)) == 1


def test_the_record_of_a_killed_dry_run_that_authorises_an_order_stays(
    place: Place, nameserver: Nameserver
) -> None:
    in_a_process(_killed_at_the_end, place, dry_run)
    publish(place)
    dry_run(place)
    assert OURS in nameserver.values(NAME)
    assert not place.journal.published()[0].temporary


def test_the_proof_of_a_killed_fallback_is_taken_away_by_the_next(
    place: Place, nameserver: Nameserver
) -> None:
    in_a_process(_killed_at_the_end, place, dns01)
    assert nameserver.values(PROOF.name) == [PROOF.value]

    again = place.dns01()
    again.publish([Proof(DOMAIN, "another", PROOF.server, URI)])
    assert nameserver.values(PROOF.name) == ["another"]
    again.withdraw()
    assert nameserver.values(PROOF.name) == []
    assert noted(place) == []


def test_the_record_of_a_dry_run_that_goes_on_is_left_to_it(
    place: Place, nameserver: Nameserver
) -> None:
    first = place.ensure(dry_run=True)
    first.authorize([request()])
    place.ensure().authorize([request(OTHER_URI)])
    assert OURS in nameserver.values(NAME)
    first.withdraw()
    assert OURS not in nameserver.values(NAME)


def test_removing_what_is_gone_already_is_noted_as_such(
    place: Place, nameserver: Nameserver
) -> None:
    publish(place)
    nameserver.zones.set_values(NAME, [FOREIGN])
    remove(place)
    log = Path(place.directory) / "dns-persist-changes.jsonl"
    assert '"result": "was gone already"' in log.read_text().splitlines()[-1]
    assert noted(place) == []
    assert logged(place) == []


def test_an_interrupted_change_is_judged_while_nobody_else_may_change_the_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's holder may be about to make it."""
    killed(place, publish, moment="after")
    monkeypatch.setattr(locks, "SECONDS", 0)
    held = Locks(place.journal.state_file.parent / "locks")
    with held.hold([NAME]):
        ensure = place.ensure()
        ensure.clear_up(ensure.look([request(OTHER_URI)]))
        assert noted(place) == [(OURS, True)]

    ensure.clear_up(ensure.look([request(OTHER_URI)]))
    assert noted(place) == [(OURS, False)]


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("needed", [URI, OTHER_URI])
def test_what_was_left_stops_no_run_that_finds_its_record(
    place: Place,
    nameserver: Nameserver,
    caplog: pytest.LogCaptureFixture,
    needed: str,
    *,
    dry: bool,
) -> None:
    """Without credentials, as a renewal that finds its record needs none."""
    in_a_process(_killed_at_the_end, place, dry_run)
    nameserver.zones.set_values(NAME, [OURS, OURS.replace(URI, OTHER_URI)])
    Path(str(place.options.credentials)).unlink()

    ensure = place.ensure(dry_run=dry)
    assert ensure.authorize([request(needed)])
    if dry:
        ensure.withdraw()

    assert ("was only meant to stand during" in caplog.text) == (dry or needed == OTHER_URI)
    assert OURS in nameserver.values(NAME)


@pytest.mark.parametrize("method", ["list_values", "remove_value"])
def test_a_provider_that_fails_as_it_may_not_stops_no_run_that_finds_its_record(
    place: Place,
    nameserver: Nameserver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    in_a_process(_killed_at_the_end, place, dry_run)
    nameserver.zones.set_values(NAME, [OURS, OURS.replace(URI, OTHER_URI)])

    def fail(self: Rfc2136, name: str, value: str = "") -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(Rfc2136, method, fail)
    assert place.ensure().authorize([request(OTHER_URI)])
    monkeypatch.undo()

    assert "was only meant to stand during" in caplog.text
    assert "rfc2136 failed unexpectedly (KeyError at " in caplog.text
    assert SECRET not in caplog.text
    place.ensure().authorize([request(OTHER_URI)])
    assert nameserver.values(NAME) == [OURS.replace(URI, OTHER_URI)]
    assert noted(place) == []


@pytest.fixture
def unnoted(place: Place) -> Place:
    """A place whose state is of a newer release, and whose log is a directory."""
    state = place.journal.state_file
    state.parent.mkdir(parents=True, mode=0o700)
    with contextlib.closing(sqlite3.connect(state)) as newer:
        newer.execute("PRAGMA user_version = 2")
    (Path(place.directory) / "dns-persist-changes.jsonl").mkdir()
    return place


def test_where_nothing_can_be_noted_an_order_publishes_and_nothing_is_removed(
    unnoted: Place, nameserver: Nameserver, caplog: pytest.LogCaptureFixture
) -> None:
    publish(unnoted)

    assert OURS in nameserver.values(NAME)
    assert f'The TXT record {NAME} with the value "{OURS}" is published, but is not' in caplog.text
    with pytest.raises(ProviderError, match="we remove nothing without a trace"):
        remove(unnoted)
    assert OURS in nameserver.values(NAME)


def test_a_dry_run_takes_its_record_away_though_nothing_can_be_noted(
    unnoted: Place, nameserver: Nameserver
) -> None:
    ensure = unnoted.ensure(dry_run=True)
    ensure.authorize([request()])
    assert OURS in nameserver.values(NAME)
    ensure.withdraw()
    assert nameserver.values(NAME) == [FOREIGN]
