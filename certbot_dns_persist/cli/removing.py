"""What ``prune`` and ``revoke`` share: which records to remove and why, and removing them."""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from certbot_dns_persist.change.publisher import TxtRecord
from certbot_dns_persist.change.surroundings import patience
from certbot_dns_persist.cli.changing import Group
from certbot_dns_persist.errors import Error, ProviderError
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import ServerAnswer
from certbot_dns_persist.value.txt import printable
from certbot_dns_persist.wait import look_until


@dataclasses.dataclass(frozen=True)
class Removal:
    """A record of ours to remove."""

    standing: Standing
    value: str
    reason: str

    @property
    def name(self) -> str:
        """The name of the record, after CNAMEs."""
        return self.standing.found.canonical_name


@dataclasses.dataclass(frozen=True)
class Removals:
    """What to remove for the subjects of one group."""

    group: Group
    removals: Sequence[Removal]

    def carry_out(self) -> list[str]:
        """Remove them; return messages on what is left to do."""
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
                    f'Remove {removal.name} TXT "{removal.value}" yourself: its provider is manual.'
                )
        return left

    def wait(self) -> list[str]:
        """Wait until no server serves them any more; return a message for each that still does."""

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
    *,
    ask_all: bool,
) -> tuple[list[Removals], list[str]]:
    """Return what to remove, and messages on records that may or may not be there.

    We remove the values that ``choose`` returns, with their reasons. If DNS does not show a record,
    we ask the provider, and note the record as gone if the provider does not have it either. With
    ``ask_all`` we ask it for every name, otherwise only if our notes have more than DNS. Raises
    :class:`~certbot_dns_persist.errors.LookupFailed` if the records cannot be looked up.
    """
    found, doubts = [], []
    for group in groups:
        removals = []
        for seen in group.look():
            unseen = _unseen(group, seen)
            try:
                standing = _with_provider(group, seen) if unseen or ask_all else seen
                gone, unknown = _gone(group, standing, unseen)
                doubts += [_doubt(group, record) for record in unknown]
            except Error as error:
                standing, gone = seen, []
                doubts.append(f"{seen.found.canonical_name}: the provider cannot say. {error}")
            if not args.dry_run:
                for record in gone:
                    group.journal.gone(record)
            removals += [
                Removal(standing, value, why) for value, why in choose(group, standing).items()
            ]
        if removals:
            found.append(Removals(group, removals))
    return found, list(dict.fromkeys(doubts))


def _unseen(group: Group, standing: Standing) -> list[PublishedRecord]:
    """Return the account's records in our notes for this name that DNS does not show."""
    found, account_url = standing.found, standing.request.account_url
    return [
        record
        for record in group.journal.published(name=found.canonical_name)
        if record.account_url == account_url and record.value not in found.values
    ]


def _with_provider(group: Group, standing: Standing) -> Standing:
    """Return ``standing`` with the provider's own values, as if it were one more server."""
    listed = group.publisher.listed(standing.found.canonical_name)
    servers = [ServerAnswer(name, name, tuple(values)) for name, values in listed.items()]
    found = dataclasses.replace(standing.found, servers=(*standing.found.servers, *servers))
    return dataclasses.replace(standing, found=found)


def _gone(
    group: Group, standing: Standing, unseen: Iterable[PublishedRecord]
) -> tuple[list[PublishedRecord], list[PublishedRecord]]:
    """Return which of ``unseen`` are gone, and for which that is unknown."""
    found = standing.found
    gone, unknown = [], []
    for record in unseen:
        if record.value in found.values:
            continue  # the provider has it
        stands = group.publisher.stands(record.name, record.value)
        # What a person published was seen from here before it was noted.
        if stands is None and record.provider == "manual":
            stands = False
        if stands is None:
            unknown.append(record)
        elif not (stands or found.silent or found.warnings):
            gone.append(record)
    return gone, unknown


def _doubt(group: Group, record: PublishedRecord) -> str:
    return (
        f'{record.name} TXT "{printable(record.value)}" is noted as published (through '
        f"{record.provider}), but cannot be seen from here. "
        f"{group.publisher.names(record.name)} cannot tell whether it is gone, so it stays noted. "
        "--dns-persist-resolvers names a resolver that sees what the CA sees."
    )


def describe(found: Iterable[Removals]) -> str:
    """Return what to remove, for people."""
    lines = []
    name = None
    for together in found:
        for removal in together.removals:
            if removal.name != name:
                name = removal.name
                lines.append(f"  {name} TXT")
            lines.append(f"    - {printable(removal.value)} ({removal.reason})")
    return "\n".join(lines)
