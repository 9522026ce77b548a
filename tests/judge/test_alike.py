"""One judgement for many domains says what one of their own says."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import pytest
from test_answers import subjects
from test_plan import DAY, NOW, ours

from certbot_dns_persist.judge.alike import Alike, check_names
from certbot_dns_persist.judge.checkup import Checked, check
from certbot_dns_persist.lookup.found import (
    Found,
    Inspection,
    Level,
    Neighbourhood,
    ServerAnswer,
    ZoneRecord,
)
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.render.as_json import Json
from certbot_dns_persist.render.lines import Lines
from certbot_dns_persist.request.names import Names

OURS = (ours(),)


def inspection(domain: str, *answers: tuple[str, ...] | None, **more: Any) -> Inspection:
    """Return what two servers say, and ``more``: fields of the inspection, or else of what is
    found."""
    name = validation_domain_name(domain)
    servers = tuple(
        ServerAnswer(f"ns{number}", f"192.0.2.{number}", values, None if values else "times out")
        for number, values in enumerate(answers, 1)
    )
    found = Found(name, name, domain.partition(".")[2], servers)
    plain = Inspection(domain, found, bogus=False)
    of_found = {key: value for key, value in more.items() if hasattr(found, key)}
    rest = {key: value for key, value in more.items() if key not in of_found}
    return dataclasses.replace(plain, found=dataclasses.replace(found, **of_found), **rest)


def around(domain: str, **more: Any) -> Neighbourhood:
    name = validation_domain_name(domain)
    zone = domain.partition(".")[2]
    return dataclasses.replace(Neighbourhood(name, name, zone), **more)


HIDDEN = Level("a.test", (ZoneRecord("A", "192.0.2.1"),))

KINDS: dict[str, Callable[[str], Inspection]] = {
    "fine": lambda d: inspection(d, OURS, OURS),
    "at the top of a zone": lambda d: inspection(d, OURS, OURS, zone=d),
    "with a neighbourhood": lambda d: inspection(d, OURS, OURS, neighbourhood=around(d)),
    "nothing": lambda d: inspection(d, (), ()),
    "lagging": lambda d: inspection(d, OURS, ()),
    "expiring": lambda d: inspection(d, (ours(persist_until=NOW + DAY),)),
    "expired": lambda d: inspection(d, (ours(persist_until=NOW - DAY),)),
    "of another account": lambda d: inspection(d, (ours(account_uri="https://ca.example/2"),)),
    "names the domain": lambda d: inspection(d, (f"{d}; accounturi=https://ca.example/acct/1",)),
    "forbidden": lambda d: inspection(d, OURS, caa=((0, "issue", "else.example"),)),
    "bogus": lambda d: inspection(d, OURS, bogus=True),
    "CAA not known": lambda d: inspection(d, OURS, caa_trouble=f"{d} times out"),
    "not found": lambda d: inspection(d, trouble=f"No resolver could be asked for {d}"),
    "warned of": lambda d: inspection(d, OURS, warnings=(f"The servers of {d} are odd.",)),
    "one silent": lambda d: inspection(d, OURS, None),
    "an alias": lambda d: inspection(d, OURS, canonical_name=f"all.{d}"),
    "by a wildcard": lambda d: inspection(d, OURS, neighbourhood=around(d, synthesized=True)),
    "hiding": lambda d: inspection(d, OURS, neighbourhood=around(d, levels=(HIDDEN,))),
    "elsewhere": lambda d: inspection(d, (), elsewhere={f"_acme-challenge.{d}": OURS}),
    "nothing, looked for": lambda d: inspection(d, (), elsewhere={f"_acme-challenge.{d}": ()}),
    "placed elsewhere": lambda d: inspection(
        d, (ours(persist_until=NOW - DAY),), neighbourhood=around(d, place=f"at.{d}", zone="at")
    ),
}

#: Those of which one judgement holds for the next domain, too.
ALIKE = [
    *("fine", "at the top of a zone", "with a neighbourhood", "nothing", "lagging", "expiring"),
    *("expired", "of another account", "forbidden", "bogus", "nothing, looked for"),
]


def judged(kind: str) -> tuple[list[Checked], list[Checked]]:
    """Return what is said of several domains one by one, and what is said of them together."""
    names = Names(["one.a.test", "two.a.test", "three.a.test", "*.three.a.test", "*.four.a.test"])
    for name in ("five.a.test", "six.a.test"):
        names.add(name, 1)  # for two accounts
    wanted = [(each, KINDS[kind](each[0])) for each in names]
    one_by_one = check(
        ((subject, seen) for (name, need), seen in wanted for subject in subjects(name, need)),
        at=NOW,
        warn_days=30,
    )
    return list(one_by_one), list(check_names(wanted, subjects, at=NOW, warn_days=30))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_of_many_domains_is_what_is_said_of_each(kind: str) -> None:
    plain, quick = judged(kind)
    assert len(plain) == len(quick) == 8
    for one, other in zip(plain, quick, strict=True):
        for name in (
            *("domain", "wildcard", "status", "severity", "reason", "values", "end", "kinds"),
            *("expected_value", "server", "account_url", "options", "subject", "diagnosis"),
            *("notices", "needed"),
        ):
            assert getattr(one, name) == getattr(other, name), (name, one.domain)
        assert one.standing.found == other.standing.found
    for report in (lambda out: Json(out, at=NOW), lambda out: Lines(out, quiet=False)):
        said = [io.StringIO(), io.StringIO()]
        for out, some in zip(said, (plain, quick), strict=True):
            for each in some:
                report(out).add(each)
        assert said[0].getvalue() == said[1].getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_what_holds_for_one_domain_only_is_judged_for_each(kind: str) -> None:
    alike = [each.domain for each in judged(kind)[1] if isinstance(each, Alike)]
    # The first of a kind is judged alone: one for the domain, one for a wildcard, two accounts.
    assert alike == (["two.a.test", "six.a.test", "six.a.test"] if kind in ALIKE else [])
