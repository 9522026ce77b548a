"""What ``prune`` and ``revoke`` share: what is to be removed, for which reason, and how it goes."""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from certbot_dns_persist.change.publisher import TxtRecord
from certbot_dns_persist.change.surroundings import patience
from certbot_dns_persist.cli.changing import Group
from certbot_dns_persist.errors import ProviderError
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.value.txt import printable
from certbot_dns_persist.wait import look_until


@dataclasses.dataclass(frozen=True)
class Removal:
    """A record of ours that is to go."""

    standing: Standing
    value: str
    reason: str

    @property
    def name(self) -> str:
        """Where it stands."""
        return self.standing.found.canonical_name


@dataclasses.dataclass(frozen=True)
class Removals:
    """What is to go for the subjects of one group."""

    group: Group
    removals: Sequence[Removal]

    def carry_out(self) -> list[str]:
        """Remove them; return, in words, what is left to do."""
        left = []
        for removal in self.removals:
            request = removal.standing.request
            record = TxtRecord(
                name=removal.name,
                value=removal.value,
                ttl=self.group.options.ttl,
                domain=request.domain,
                server=request.server,
                account_url=request.account_url,
            )
            try:
                written = self.group.publisher.writes(removal.name)
                self.group.publisher.remove(record, removal.reason)
            except ProviderError as error:
                left.append(f'{removal.name} TXT "{removal.value}" could not be removed. {error}')
                continue
            if not written:
                left.append(
                    f'{removal.name} TXT "{removal.value}" is yours to remove: the provider for '
                    "it is manual."
                )
        return left

    def wait(self) -> list[str]:
        """Wait until no server serves them any more; return, in words, where one still does."""

        def look() -> list[str]:
            requests = list(dict.fromkeys(removal.standing.request for removal in self.removals))
            found = {s.request: s.found for s in self.group.ensure.look(requests)}
            return [
                f'{removal.name} TXT "{removal.value}" is still served by {server}.'
                for removal in self.removals
                for server in found[removal.standing.request].answers
                if removal.value in (server.values or ())
            ]

        seconds = patience(self.group.options, terminal=False)
        return look_until(look, lambda still: not still, seconds, lambda still, left: None)


def find_removals(
    args: argparse.Namespace,
    groups: Iterable[Group],
    choose: Callable[[Group, Standing], Mapping[str, str]],
) -> list[Removals]:
    """Return what is to go: the values that ``choose`` returns, with their reasons.

    What is gone already is noted on the way. Raises
    :class:`~certbot_dns_persist.errors.LookupFailed` when DNS does not say what stands.
    """
    found = []
    for group in groups:
        standings = group.look()
        if not args.dry_run:
            _note_gone(group, standings)
        removals = [
            Removal(standing, value, reason)
            for standing in standings
            for value, reason in choose(group, standing).items()
        ]
        if removals:
            found.append(Removals(group, removals))
    return found


def _note_gone(group: Group, standings: Iterable[Standing]) -> None:
    """Note of the account's records which no server has any more that they are gone."""
    for standing in standings:
        found, request = standing.found, standing.request
        if found.silent or found.warnings:
            continue  # it may be there
        for noted in group.journal.standing():
            ours = (noted.name, noted.account_url) == (found.canonical_name, request.account_url)
            if ours and noted.value not in found.values:
                group.journal.gone(noted)


def describe(found: Iterable[Removals]) -> str:
    """Return what is to go, for a person to read."""
    lines = []
    name = None
    for together in found:
        for removal in together.removals:
            if removal.name != name:
                name = removal.name
                lines.append(f"  {name} TXT")
            lines.append(f"    - {printable(removal.value)} ({removal.reason})")
    return "\n".join(lines)
