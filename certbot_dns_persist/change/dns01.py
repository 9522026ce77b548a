"""The fallback for a CA that does not offer dns-persist-01 yet: ``dns-01``.

RFC 8555 section 8.4. The same provider publishes the record at ``_acme-challenge.<FQDN>``, we wait
for the same servers, and then remove it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from certbot_dns_persist import errors
from certbot_dns_persist.change import words
from certbot_dns_persist.change.interrupted import clear_up
from certbot_dns_persist.change.publisher import Publisher, TxtRecord
from certbot_dns_persist.change.surroundings import Surroundings, denied_for, patience
from certbot_dns_persist.judge import hiding
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.options import Options
from certbot_dns_persist.request.request import Proof
from certbot_dns_persist.shown import logger_of
from certbot_dns_persist.wait import look_until

if TYPE_CHECKING:
    from certbot_dns_persist.lookup.session import Lookup

logger = logger_of(__name__)

REASON = "dns-01, as the CA does not offer dns-persist-01"


class Dns01:
    """Publishes proofs for the duration of an order."""

    def __init__(
        self,
        options: Options,
        lookup: "Lookup",
        publisher: Publisher,
        surroundings: Surroundings,
    ) -> None:
        self._options = options
        self._lookup = lookup
        self._publisher = publisher
        self._notify = surroundings.notify

    def publish(self, proofs: Sequence[Proof]) -> None:
        """Publish ``proofs``; return when every server of each name serves its proof.

        Where the provider has the record and nobody serves it here, the CA decides.

        Raises :class:`~certbot_dns_persist.errors.Error` if that cannot be achieved.
        """
        names = ", ".join(sorted({proof.domain for proof in proofs}))
        self._notify(
            f"The CA does not offer dns-persist-01 for {names}. Using dns-01 instead, as "
            "--dns-persist-fallback says."
        )
        places = self._places(proofs)
        clear_up(self._publisher, [*places.values()], {})
        for proof in proofs:
            place = places[proof.name]
            if not self._publisher.writes(place.canonical_name):
                raise errors.ConfigurationError(
                    "--dns-persist-fallback dns-01 needs a provider that can write, because the "
                    "record for dns-01 changes each time; for "
                    f"{place.canonical_name} there is only "
                    f"{self._publisher.names(place.canonical_name)}. Choose another one with "
                    "--dns-persist-provider. Nothing was published."
                )
        records: dict[Proof, TxtRecord] = {}
        for proof in proofs:
            records[proof] = record = TxtRecord(
                name=places[proof.name].canonical_name,
                value=proof.value,
                ttl=self._options.ttl,
                domain=proof.domain,
                server=proof.server,
                account_url=proof.account_url,
            )
            try:
                self._publisher.add(record, REASON)
            except errors.ProviderError as error:
                raise errors.NotAuthorized(
                    f"The record for dns-01 at {record.name} could not be published, so "
                    f"{record.domain} was not proven. {error}\nFix that, then run the same "
                    "command again."
                ) from error
        self._publisher.settle()
        self._wait(records, places)

    def withdraw(self) -> None:
        """Remove what was published."""
        self._publisher.withdraw("end of dns-01")

    def _places(self, proofs: Sequence[Proof]) -> dict[str, Found]:
        """Return, by name, where the proofs are to be published.

        Raises :class:`~certbot_dns_persist.errors.Error` when that is unknown for one, or when the
        record would hide names that the options do not permit.
        """
        found = self._look(proofs)
        for name, place in found.items():
            if place.trouble:
                raise errors.LookupFailed(
                    f"{name} cannot be looked up: {place.trouble}. Nothing was published."
                )
        around = self._lookup.neighbourhoods(found.values())
        domains = {proof.name: proof.domain for proof in proofs}
        found_obstacles = [
            hiding.obstacle(domain, around[name], self._options.may_hide)
            for name, domain in domains.items()
        ]
        obstacles = [each for each in found_obstacles if each is not None]
        if obstacles:
            raise errors.NotAuthorized(hiding.refusal(obstacles))
        return {name: hiding.at_place(place, around[name]) for name, place in found.items()}

    def _look(self, proofs: Sequence[Proof]) -> dict[str, Found]:
        return self._lookup.find([proof.name for proof in proofs])

    def _wait(self, records: Mapping[Proof, TxtRecord], places: Mapping[str, Found]) -> None:
        """Wait until the proofs are seen; ``places`` is what was found before."""
        seconds = patience(self._options, terminal=False)
        proofs = [*records]
        found = look_until(
            lambda: self._look(proofs),
            lambda found: not _lagging(proofs, found),
            seconds,
            after=denied_for(places.values(), seconds),
        )
        lagging: list[str] = []
        accepted: dict[str, list[str]] = {}
        for proof, record in records.items():
            lines = _lagging([proof], found)
            served = proof.value in found[proof.name].values
            if lines and not served and self._publisher.vouches(record):
                accepted.setdefault(self._publisher.names(record.name), []).extend(lines)
            else:
                lagging += lines
        for names, lines in accepted.items():
            logger.warning(words.accepted_unseen("\n".join(lines), names, seconds))
        if lagging:
            raise errors.NotAuthorized(
                f"The records for dns-01 were published, but after {seconds} seconds these "
                "servers do not serve them:\n"
                + "\n".join(lagging)
                + "\nThey are removed again. --dns-persist-propagation-seconds sets how long "
                "to wait."
            )


def _lagging(proofs: Sequence[Proof], found: dict[str, Found]) -> list[str]:
    lines = []
    for proof in proofs:
        place = found[proof.name]
        if not place.answers:
            lines.append(f"  {proof.name}: {place.trouble or 'no server answers'}")
        lines += [
            f"  {place.canonical_name}: {server}"
            for server in place.answers
            if proof.value not in (server.values or ())
        ]
    return lines
