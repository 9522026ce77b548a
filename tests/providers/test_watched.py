"""What becomes of a change is looked at, and compared with what was there before."""

from collections.abc import Callable

import pytest

from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.providers import watched
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.providers.watched import Watched, plain
from certbot_dns_persist.value.txt import quoted

NAME, ZONE = "_validation-persist.example.com", "example.com"
OURS = "ca.example; accounturi=https://ca.example/acct/1"
THEIRS = "other.example; accounturi=https://other.example/acct/9"
SPF = "v=spf1 -all"


class Service:
    """Two name servers, of which the second may lag some looks behind."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.elsewhere: dict[str, list[str]] = {}
        self.before: list[list[str]] = []
        self.lag = 0
        self.calls: list[tuple[str, str]] = []

    def observe(self, name: str) -> Served:
        if name != NAME:
            return Served(self.elsewhere.get(name, []), ZONE, {"ns1": self.elsewhere.get(name, [])})
        self.before.append([*self.values])
        behind = self.before[max(0, len(self.before) - 1 - self.lag)]
        both = list(dict.fromkeys([*self.values, *behind]))
        return Served(both, ZONE, {"ns1": [*self.values], "ns2": behind})


class Writer(Watched):
    """Writes into ``service`` as its ``writes`` says."""

    def __init__(self, service: Service, **keys: str) -> None:
        super().__init__(
            Settings(keys, None, lambda _: None, service.observe), "the writer", "dns_persist_x_"
        )
        self._forms = (plain, quoted)
        self._patience = 1
        self.service = service
        self.adds: Callable[[str], None] = service.values.append
        self.removes: Callable[[str], None] = lambda text: (
            service.values.remove(text) if text in service.values else None
        )

    def _write(self, action: str, name: str, zone: str | None, text: str, ttl: int | None) -> None:
        self.service.calls.append((action, text))
        (self.adds if action == "add" else self.removes)(text)

    def _version(self) -> str:
        return "writer 1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_SETTLE", 0.3)
    monkeypatch.setattr("certbot_dns_persist.wait.FIRST_PAUSE", 0.01)


def test_a_secondary_that_lags_is_waited_for_and_proves_no_loss() -> None:
    service = Service(THEIRS)
    service.lag = 2
    Writer(service).add_value(NAME, OURS, 300)
    assert sorted(service.values) == sorted([OURS, THEIRS])


def test_what_vanishes_late_is_told() -> None:
    service = Service(THEIRS, OURS)
    writer = Writer(service)
    looks = iter(range(9))
    observe = service.observe

    def later(name: str) -> Served:
        if next(looks) == 3:
            service.values.remove(THEIRS)
        return observe(name)

    writer._settings = Settings({}, None, lambda _: None, later)
    service.lag = 3  # so that the first look that shows the removal is not the last
    with pytest.raises(ProviderError, match=f'vanished with that:\n  "{THEIRS}"'):
        writer.remove_value(NAME, OURS)


def test_a_failure_that_destroyed_others_all_the_same_names_them() -> None:
    service = Service(THEIRS, SPF)
    writer = Writer(service)

    def fails(text: str) -> None:
        service.values[:] = [SPF]
        raise ProviderError("The service timed out.")

    writer.adds = fails
    with pytest.raises(ProviderError) as caught:
        writer.add_value(NAME, OURS, 300)
    assert str(caught.value).startswith("The service timed out. Other values there vanished")
    assert f'"{THEIRS}"' in str(caught.value)
    with pytest.raises(ProviderError, match="Nothing was changed"):
        writer.add_value(NAME, OURS, 300)


def test_a_removal_of_the_wrong_value_names_it() -> None:
    service = Service(THEIRS, OURS)
    writer = Writer(service)
    writer.removes = lambda text: service.values.remove(THEIRS)
    with pytest.raises(ProviderError, match=f'was told to remove [^!]*vanished[^!]*"{THEIRS}"'):
        writer.remove_value(NAME, OURS)
    assert service.calls == [("remove", OURS)]  # and no other form was tried


def test_every_form_is_tried_at_removal() -> None:
    service = Service(OURS)
    writer = Writer(service)
    writer.removes = lambda text: service.values.clear() if text == quoted(OURS) else None
    writer.remove_value(NAME, OURS)
    assert service.calls == [("remove", OURS), ("remove", quoted(OURS))]


def test_a_mangled_value_that_stays_is_an_error_that_names_it() -> None:
    service = Service()
    writer = Writer(service)
    mangled = OURS.replace(" ", "")
    writer.adds = lambda text: service.values.append(
        text.strip('"') if text.startswith('"') else text.replace(" ", "")
    )
    writer.removes = lambda text: None
    with pytest.raises(ProviderError) as caught:
        writer.add_value(NAME, OURS, 300)
    assert "only at the second try" in str(caught.value)
    assert f'remove it in your DNS service\'s own interface:\n  "{mangled}"' in str(caught.value)
    assert f'This may stay:\n  "{OURS}"' in str(caught.value)


def test_a_mangled_value_is_removed_in_the_form_that_it_has() -> None:
    service = Service()
    writer = Writer(service)
    mangled = OURS.replace(" ", "")
    writer.adds = lambda text: service.values.append(
        text.strip('"') if text.startswith('"') else text.replace(" ", "")
    )
    writer.add_value(NAME, OURS, 300)
    assert service.values == [OURS]
    assert ("remove", mangled) in service.calls
    assert writer.manner() == "quoted"


def test_what_is_written_at_another_name_is_named_with_what_stays() -> None:
    service = Service(THEIRS)
    writer = Writer(service)
    writer.adds = lambda text: service.elsewhere.setdefault(f"_acme-challenge.{ZONE}", []).append(
        text
    )
    writer.removes = lambda text: None
    with pytest.raises(ProviderError) as caught:
        writer.add_value(NAME, OURS, 300)
    assert f"but wrote _acme-challenge.{ZONE}" in str(caught.value)
    assert f'Please remove:\n  _acme-challenge.{ZONE}  "{OURS}"' in str(caught.value)


def test_who_may_be_slow_is_not_blamed_but_compared() -> None:
    service = Service(THEIRS)
    writer = Writer(service)
    writer._must_be_seen = False
    writer.adds = lambda text: None
    writer.add_value(NAME, OURS, 300)
    assert service.values == [THEIRS]

    def destroys(text: str) -> None:
        service.values[:] = []

    writer.adds = destroys
    with pytest.raises(ProviderError, match="vanished"):
        writer.add_value(NAME, OURS, 300)


@pytest.mark.parametrize(("said", "identity"), [("true", None), ("false", "writer 1")])
def test_who_is_vouched_for_needs_no_trial(said: str, identity: str | None) -> None:
    assert Writer(Service(), keeps_others=said).identity() == identity
