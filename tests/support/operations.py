"""Random operations of a process on a few names, through any provider."""

import contextlib
import dataclasses
import os
import random
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection

from certbot_dns_persist.change.ensure import Ensure
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.change.surroundings import Surroundings
from certbot_dns_persist.cli.signals import end_like_ctrl_c
from certbot_dns_persist.errors import Error
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.plan import make_plans
from certbot_dns_persist.judge.retire import ours
from certbot_dns_persist.lookup.found import Found, Neighbourhood
from certbot_dns_persist.lookup.session import Address, Lookup
from certbot_dns_persist.options import Options
from certbot_dns_persist.providers import route53
from certbot_dns_persist.record import validation_domain_name
from certbot_dns_persist.request.request import AccountUris, ValidationRequest

SERVER, CA = "https://ca.example/dir", "ca.example"
ACCOUNT, STAGING = "https://ca.example/acct/1", "https://staging.example/acct/2"


class Quick(Lookup):
    """A look-up that knows that no wildcard is around: whom we would ask is not at port 53."""

    def neighbourhoods(self, found: Iterable[Found]) -> dict[str, Neighbourhood]:
        return {each.name: Neighbourhood(each.name, each.canonical_name) for each in found}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where processes work, on which names, and how they reach the service."""

    address: str
    port: int
    directory: str
    options: Options
    environment: Mapping[str, str]
    needed: tuple[str, ...]
    """Domains whose records nobody revokes."""
    others: tuple[str, ...]

    @property
    def journal(self) -> Journal:
        return Journal(self.directory, self.directory)

    def ensure(self, *, dry_run: bool = False) -> Ensure:
        lookup = Quick([Address(self.address, self.port)], authoritative=False)
        publisher = Publisher(self.options, lookup, self.journal, _quiet, temporary=dry_run)
        here = Surroundings(notify=_quiet, dry_run=dry_run, ca_decides=True)
        return Ensure(self.options, lookup, publisher, here)


def request(domain: str, url: str = ACCOUNT, *, wildcard: bool = False) -> ValidationRequest:
    return ValidationRequest(domain, wildcard, SERVER, (CA,), url, AccountUris(url))


def work(place: Place, seed: int, count: int, done: Connection) -> None:
    """Do ``count`` operations, and send a domain after each that made sure of its record."""
    os.environ.update(place.environment)
    route53._POLL = 0.01
    end_like_ctrl_c()
    with contextlib.suppress(KeyboardInterrupt):
        _work(place, random.Random(seed), count, done)  # noqa: S311


def _work(place: Place, chance: random.Random, count: int, done: Connection) -> None:
    for _ in range(count):
        domain = chance.choice([*place.needed, *place.others])
        wildcard = chance.random() < 0.5
        kind = chance.choice(["order", "order", "rotate", "dry run", "revoke"])
        try:
            if kind == "dry run":
                ensure = place.ensure(dry_run=True)
                ensure.authorize([request(domain, STAGING)])
                ensure.withdraw()
            elif kind == "revoke":
                revoke(place, chance.choice(place.others))
            else:
                if kind == "rotate":
                    rotate(place, request(domain, wildcard=wildcard))
                else:
                    place.ensure().authorize([request(domain)])
                done.send(domain)
        except Error:  # another process, or a fault of the service
            done.send(None)


def rotate(place: Place, wanted: ValidationRequest) -> None:
    """Replace the records of the account by one with another policy."""
    ensure = place.ensure()
    standings = ensure.look([wanted])
    ensure.clear_up(standings)
    (plan,) = make_plans(standings, place.options, "rotation")
    retire = tuple(value for value in ours(standings[0]) if value != plan.value)
    introduced = ensure.introduce([dataclasses.replace(plan, retire=retire)])
    ensure.take_over(introduced, lambda: None, list)


def revoke(place: Place, domain: str) -> None:
    ensure = place.ensure()
    standings = ensure.look([request(domain)])
    ensure.clear_up(standings)
    for value in ours(standings[0]):
        name = validation_domain_name(domain)
        record = TxtRecord(name, value, 300, domain, SERVER, ACCOUNT)
        ensure._publisher.remove(record, "revoked")


def _quiet(words: str) -> None:
    pass
