"""Many domain names, each once, in little memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from certbot_dns_persist.request.names import Names

names = st.tuples(st.sampled_from(["", "*."]), st.text("ab.", min_size=1, max_size=4)).map("".join)


@given(st.lists(names, max_size=300))
def test_each_domain_comes_once_in_its_order_with_what_is_wanted_of_it(
    asked: list[str],
) -> None:
    wanted: dict[str, set[str]] = {}
    for name in asked:
        wanted.setdefault(name.removeprefix("*."), set()).add(name)
    found = Names(asked)
    assert list(found) == [(domain, (tuple(sorted(them)), 0)) for domain, them in wanted.items()]
    assert len(found) == len(wanted)


@given(st.lists(st.tuples(names, st.integers(0, 3)), max_size=100))
def test_what_is_wanted_for_some_accounts_is_not_wanted_for_others(
    asked: list[tuple[str, int]],
) -> None:
    wanted: dict[str, dict[int, set[str]]] = {}
    found = Names()
    for name, who in asked:
        wanted.setdefault(name.removeprefix("*."), {}).setdefault(who, set()).add(name)
        found.add(name, who)
    needs = {
        domain: tuple((tuple(sorted(them)), who) for who, them in by_who.items())
        for domain, by_who in wanted.items()
    }
    assert list(found) == [(domain, need) for domain, some in needs.items() for need in some]
    for domain, some in list(needs.items())[::2]:
        assert found.wanted(domain) == found.take(domain) == some
        assert found.wanted(domain) == found.take(domain) == ()
        assert domain in found
    assert list(found.left()) == list(needs.items())[1::2]


def test_a_name_takes_little_more_than_its_letters() -> None:
    tracemalloc.start()
    try:
        found = Names()
        for number in range(20_000):
            found.add(f"n{number:05}.example.test", number % 9)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(found) == 20_000
    assert taken < 20_000 * (len("n00000.example.test") + 20)


def test_two_names_in_one_are_neither() -> None:
    """As a stranger's answer may have it: they stand one after the other in memory."""
    for number in range(2000):  # the hash of some leads to the first
        one, two = f"a{number}.test", f"b{number}.test"
        found = Names([one, two])
        assert f"{one}\n{two}" not in found
        assert found.take(f"{one}\n{two}") == ()
