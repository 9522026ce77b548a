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
    assert list(found) == [(domain, tuple(sorted(them))) for domain, them in wanted.items()]
    assert len(found) == len(wanted)


def test_a_name_takes_little_more_than_its_letters() -> None:
    tracemalloc.start()
    try:
        found = Names(f"n{number:05}.example.test" for number in range(20_000))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(found) == 20_000
    assert taken < 20_000 * (len("n00000.example.test") + 20)
