"""``certbot-dns-persist revoke``: remove our records."""

import argparse
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from certbot_dns_persist.cli import arguments, changing, fleet, removing, setting
from certbot_dns_persist.cli.identity import who
from certbot_dns_persist.cli.removing import Party, Place, Removal
from certbot_dns_persist.judge.retire import needed_by, not_needed, ours
from certbot_dns_persist.request.subjects import Subject, only_subjects
from certbot_dns_persist.shown import logger_of, printable

logger = logger_of(__name__)

EXAMPLES = """\
  certbot-dns-persist revoke -d example.com
  certbot-dns-persist revoke --cert-name example.com --yes

On a host without Certbot, what was published there for an account elsewhere:
  certbot-dns-persist revoke -d example.com --issuer letsencrypt.org \\
      --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1 \\
      --dns-persist-provider rfc2136 --dns-persist-credentials dns.ini

exit status: 0 no server serves them any more, 1 something is left, or may be, 3 wrong usage or an
unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    group = changing.add_command(
        commands,
        "revoke",
        run,
        summary="Remove our records, so that the account is no longer authorised.",
        examples=EXAMPLES,
        options=(*arguments.LOOKING, *arguments.REMOVING),
        writes=False,
        alone=True,
    )
    group.add_argument(
        "--also-needed-by",
        action="append",
        default=[],
        metavar="NAME",
        help="remove records even if this other certificate, this other domain, or this other host "
        "of the inventory needs them; repeatable",
    )
    group.add_argument(
        "--lost-host",
        metavar="HOST",
        help="instead of naming domains: remove every record that this host of the inventory "
        "published, as it no longer exists; with the provider that is given",
    )


def run(args: argparse.Namespace) -> int:
    """Remove every record of the account at the CA; return the exit status."""
    fleet.require(args)
    published_by = _published_by(args)
    not_from_here = _not_from_here(args)

    def choose(place: Place) -> dict[str, str]:
        free, _ = _needing(args, place)
        kept = not_from_here(place)
        return {
            value: "revoked"
            for value in free
            if value not in kept and not published_by(place.name, value)
        }

    def others(asked: changing.Asked) -> Iterator[Subject]:
        return _who_else(args, asked)

    found = removing.Search(args, choose, others, ask_all=True)
    needed = _needed(args, found.places, published_by)
    needed += [why for place in found.places for why in not_from_here(place).values()]
    if not found.removals:
        if not found.doubts and not needed:
            changing.say(
                args,
                "There is nothing to revoke: DNS, the provider and our notes have no record of "
                "this account.",
            )
        return changing.conclude([*found.doubts, *needed])
    plan = ["To be removed:", found.describe(), *found.doubts, *needed]
    plan += _consequences(found.removals)
    if not found.agreed("\n".join(plan)):
        return 0 if args.dry_run else changing.FAILED
    left = found.carry_out() or found.wait()
    if not left:
        changing.say(args, "Removed: no name server that we can ask serves them any more.")
    if args.lost_host is None:
        changing.say(args, _afterwards(found.places))
    elif not left:
        _note_revoked(args, found.removals)
    return changing.conclude([*left, *found.doubts, *needed])


def _ours(place: Place) -> list[str]:
    return list(dict.fromkeys(v for standing in place.standings_asked for v in ours(standing)))


def _not_from_here(args: argparse.Namespace) -> Callable[[Place], dict[str, str]]:
    """Return what tells which records of the account, at a place, stay, and why.

    Without Certbot's files, the account is somebody else's: only what we published for the named
    domains is ours to remove. The place may be where the aliases of others lead, too.
    """
    if not who(args).identities:
        return lambda place: {}
    journal = setting.journal(args)

    def kept(place: Place) -> dict[str, str]:
        noted = {each.value: each.domain for each in journal.published(names={place.name})}
        named = {party.subject.request.domain for party in place.asked} | {*args.also_needed_by}
        return {
            value: f'{place.name} TXT "{printable(value)}" stays: {_whose(noted.get(value))}'
            for value in _ours(place)
            if noted.get(value) not in named
        }

    return kept


def _whose(domain: str | None) -> str:
    if domain is None:
        return (
            "our notes do not say that it was published from this host. If it has to go, remove "
            "that value at the DNS service."
        )
    return f"it was published for {domain}. To remove it, add --also-needed-by {domain}."


def _who_else(args: argparse.Namespace, asked: changing.Asked) -> Iterator[Subject]:
    """Yield the subjects that the command does not name: of other certificates, or left over."""
    saved = asked.source.as_saved()
    if saved.needed_domains is None:
        logger.warning(
            "A certificate cannot be read (certbot-dns-persist check --all says which), so it is "
            "unknown whether it needs one of the records."
        )
    domains = {subject.request.domain for subject in asked.subjects}
    for subject in (*only_subjects(saved.of_lineages(but=args.cert_name)), *saved.left_over()):
        # Without Certbot's files, the command does not speak for a certificate that there is.
        certificate = asked.source.without_certbot and subject.lineages
        if args.cert_name or certificate or subject.request.domain not in domains:
            yield subject


def _unconfirmed(args: argparse.Namespace, subject: Subject) -> list[str]:
    """Return the names of those who need what ``subject`` needs, as --also-needed-by lacks them."""
    domain = subject.request.domain
    if domain in args.also_needed_by:
        return []
    names = [lineage.name for lineage in subject.lineages] or [domain]
    return [name for name in names if name not in args.also_needed_by]


def _needing(args: argparse.Namespace, place: Place) -> tuple[list[str], list[Party]]:
    """Return which of our values at a place may go, and whom the others are left for."""
    others = [party for party in place.others if _unconfirmed(args, party.subject)]
    free, needing = not_needed([o.standing for o in others], place.name, _ours(place))
    return free, [party for party in others if party.standing in needing]


def _published_by(args: argparse.Namespace) -> Callable[[str, str], list[str]]:
    """Return what tells which other hosts, of those not confirmed, published a record."""
    found = fleet.holders(args)
    confirmed = {args.lost_host, *args.also_needed_by}
    return lambda name, value: [host for host in found(name, value) if host not in confirmed]


def _note_revoked(args: argparse.Namespace, removals: Iterable[Removal]) -> None:
    """Tell the inventory what a lost host no longer has in DNS."""
    inventory = fleet.inventory(args)
    if inventory is None:
        return
    gone = [(removal.place.name, value) for removal in removals for value in removal.values]
    inventory.revoked(args.lost_host, gone)
    changing.say(
        args,
        "The inventory has them no longer. If nothing else of that host is needed: "
        f"certbot-dns-persist inventory forget URL {shlex.quote(args.lost_host)}",
    )


def _needed(
    args: argparse.Namespace,
    places: Iterable[Place],
    published_by: Callable[[str, str], list[str]],
) -> list[str]:
    """Say which records are left because others need them, and how to remove them as well."""
    lines: list[str] = []
    names: dict[str, None] = {}
    for place in places:
        _, needing = _needing(args, place)
        who = []
        for party in needing:
            unconfirmed = _unconfirmed(args, party.subject)
            names |= dict.fromkeys(unconfirmed)
            domain = party.subject.request.domain
            lineages = ", ".join(lineage.name for lineage in party.subject.lineages)
            named = f"the certificate {lineages} ({domain})" if lineages else domain
            if trouble := party.standing.found.trouble:
                lines.append(
                    f"A record at {place.name} stays: {named} may also need it, and cannot be "
                    f"looked up: {printable(trouble)}."
                )
            else:
                who.append(named)
        hosts = sorted({host for value in _ours(place) for host in published_by(place.name, value)})
        names |= dict.fromkeys(hosts)
        who += [f"the host {host}, as the inventory says" for host in map(printable, hosts)]
        if who:
            lines.append(f"A record at {place.name} stays: it is also needed by {'; '.join(who)}.")
    if names:
        options = shlex.join(word for name in names for word in ("--also-needed-by", name))
        lines.append(f"To remove what others need, too, add {options}")
    return lines


def _consequences(removals: Iterable[Removal]) -> list[str]:
    """Say for which certificates the next renewal fails, or publishes the records again."""
    needed: dict[str, list[Subject]] = {}
    for removal in removals:
        place = removal.place
        lose = needed_by(place.standings_of_others, place.name, list(removal.values))
        others = [p for p in place.others if p.standing in lose and not p.standing.found.trouble]
        for party in (*place.asked, *others):
            for lineage in party.subject.lineages:
                needed.setdefault(lineage.name, []).append(party.subject)
    lines = []
    for name, together in needed.items():
        then = "fails."
        if together[0].options.providers != ("manual",):
            then = (
                "PUBLISHES THEM AGAIN, because its provider can write. Prevent that with\n"
                f"  certbot delete --cert-name {name}"
            )
        domains = ", ".join(
            dict.fromkeys(
                domain
                for subject in together
                for domain in (subject.request.domain, f"*.{subject.request.domain}")
                if any(domain in lineage.domains for lineage in subject.lineages)
            )
        )
        lines.append(f"The certificate {name} needs them ({domains}): its next renewal {then}")
    return lines


def _afterwards(places: Iterable[Place]) -> str:
    requests = {
        (s.request.server, s.request.account_url): None
        for place in places
        for s in place.standings_asked
    }
    commands = [
        f"  certbot unregister --server {server}  (the account {account_url})"
        if server
        else f"  certbot unregister, where the account is  ({account_url})"
        for server, account_url in requests
    ]
    return "\n".join(
        [
            "Resolvers may keep the records in their caches until the TTL ends, and the CA may "
            "already have validated the domains. If the account key was stolen, do not wait: "
            "deactivate the account, which works at once and for all of its records:",
            *commands,
        ]
    )
