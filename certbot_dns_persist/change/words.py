"""What will change in DNS, or why it cannot be changed, in words for a person."""

from collections.abc import Iterable, Mapping, Sequence

from certbot_dns_persist.judge.plan import Plan
from certbot_dns_persist.judge.prepared import zone_to_change
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.judge.words import lagging, what_stands
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import format_time
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.txt import to_copy

#: What there is to say, by domain, of records that stand at a wrong name.
Misplaced = Mapping[str, Sequence[str]]


def record_to_publish(plan: Plan) -> str:
    """Return one record in copy-and-paste form."""
    names = [standing.request.name for standing in plan.standings]
    return to_copy(
        f"For {plan.subjects}:",
        [name for name in names if name != plan.name],
        plan.name,
        zone_to_change(plan.standings[0].found),
        plan.ttl,
        plan.value,
    )


def missing_records(plans: Iterable[Plan], misplaced: Misplaced) -> str:
    """Return, per record that is missing, what to publish and what is there now."""
    return "\n\n".join(
        "\n".join(
            [
                record_to_publish(plan),
                *map(what_stands, plan.standings),
                *(f"  {told}" for s in plan.standings for told in misplaced[s.request.domain]),
            ]
        )
        for plan in plans
    )


def cannot_publish(plans: Iterable[Plan], why: str, misplaced: Misplaced) -> str:
    """Return the error for records that are missing and cannot be published from here."""
    return "\n\n".join(
        [
            f"Records are missing in DNS, and could not be published from here. {why}",
            missing_records(plans, misplaced),
        ]
    )


#: What to do then, except for a trial.
PUBLISH_ONCE = (
    "Publish what is missing beside what is there, then run the same command again. You only need "
    "to do that once: renewals use the same records."
)


def not_noted(name: str, value: str) -> str:
    """Return the warning that a record is published and noted nowhere."""
    return (
        f'The TXT record {name} with the value "{printable(value)}" is published, but is not noted '
        "anywhere: no later run knows that it is ours. Keep this message."
    )


def left_behind(name: str, value: str, why: str) -> str:
    """Return the warning that an interrupted run's record is still there."""
    return (
        f'The TXT record {name} with the value "{printable(value)}" was only meant to stand during '
        f"a run that was interrupted, and could not be removed. Please remove it. {why}"
    )


def not_removed(name: str) -> str:
    """Return why nothing is removed at ``name`` where that cannot be noted."""
    return (
        f"The removal of a TXT record at {name} can be noted neither in the state nor in the log, "
        "and we remove nothing without a trace. Fix what the warnings above say, then run the same "
        "command again."
    )


def by_hand(options: Options) -> str:
    """Return why a person has to publish, and which options have no effect."""
    unused = [
        option
        for option, value in (
            ("--dns-persist-credentials", options.credentials),
            ("--dns-persist-script", options.script),
        )
        if value is not None and options.providers == ("manual",)
    ]
    why = "The provider is manual: you publish them."
    if unused:
        why += f" (Without --dns-persist-provider, {' and '.join(unused)} cannot take effect.)"
    return why


def remembered(ttl: int, seconds: int) -> str:
    """Return the warning that resolvers may deny for ``ttl`` seconds what is awaited now."""
    then = (
        "We look again after that."
        if ttl <= seconds
        else f"We wait for {seconds} seconds, and look at their end; "
        "--dns-persist-propagation-seconds sets how long."
    )
    return (
        "Only resolvers could be asked. They answered that there is no record, and may repeat that "
        f"answer for {ttl} seconds although it is published now. {then}"
    )


def not_seen(standings: Iterable[Standing], seconds: int) -> str:
    """Return the error for records that not all servers serve after ``seconds``."""
    return (
        f"After {seconds} seconds these servers do not serve the records, and the CA may ask "
        f"any of them:\n{lagging(standings)}\n"
        "Nothing is lost: run the same command again when they do; it finds the records and "
        "continues. --dns-persist-propagation-seconds sets how long to wait."
    )


#: Why a record that stands may not be seen, and what helps.
_UNSEEN = """\
This may be why:
  - This machine sees another view of the zone than the CA does (split view). Name a resolver that \
sees what the CA sees with --dns-persist-resolvers; if the zone's servers answer this machine \
differently, too, add --dns-persist-check resolver.
  - The zone at the provider is not the one that DNS leads to: it is not delegated, or another \
server has a zone of that name. Compare the domain's NS records with the provider's name servers.
  - The servers get changes late (a secondary, a hidden primary): wait longer, with \
--dns-persist-propagation-seconds.
To find out, ask a resolver outside your network for the TXT records, as dig does with @ADDRESS, \
and compare."""


def accepted_unseen(unseen: str, names: str, seconds: int) -> str:
    """Return the warning that the providers ``names`` have what is not seen after ``seconds``."""
    return (
        f"{names} has the records, but after {seconds} seconds they cannot be seen from here:\n"
        f"{unseen}\n{_UNSEEN}\nThe CA looks for itself, and decides."
    )


def in_doubt(unseen: str, names: str) -> str:
    """Return the warning that nobody knows whether the providers ``names`` did what they say."""
    return (
        f"Whether these records are published is in doubt: {names} reported success, but cannot "
        f"tell what is in DNS, and no server shows them:\n{unseen}\n{_UNSEEN}"
    )


def vanished(unseen: str, names: str) -> str:
    """Return the warning that the providers ``names`` do not have what they accepted."""
    return (
        f"{names} accepted these records, but does not have them now:\n{unseen}\n"
        "Look into its log, for a CNAME at the name, and for a program that takes away what it "
        "does not know."
    )


def unseen(standings: Iterable[Standing]) -> str:
    """Return which servers do not show the records."""
    standings = list(standings)
    troubles = [
        f"  {s.request.name}: {printable(s.found.trouble)}" for s in standings if s.found.trouble
    ]
    shown = lagging(s for s in standings if not s.found.trouble)
    return "\n".join(filter(None, [*troubles, shown]))


def other_zone(name: str, provider: str, zone: str, seen: str) -> str:
    """Return the warning that ``provider`` has ``name`` in another zone than DNS shows."""
    return (
        f"{provider} writes {name} to its zone {zone}, but in DNS as it is seen from here the name "
        f"is in the zone {seen}. If that is so for the CA, too, it does not see the record: have "
        f"{zone} delegated to the provider's name servers, or publish in {seen}. If this machine "
        "sees another view of DNS, name a resolver outside with --dns-persist-resolvers."
    )


def not_replaced(standings: Iterable[Standing], seconds: int) -> str:
    """Return the error for records that not all servers serve in place of the old ones."""
    return (
        f"After {seconds} seconds these servers do not serve the new records:\n"
        f"{_without_new(standings)}"
    )


def taken_away(standings: Iterable[Standing]) -> str:
    """Return the error for new records that have disappeared before the old ones were removed."""
    return (
        "Another process or person has taken the new records away; these do not have them any "
        f"more:\n{_without_new(standings)}"
    )


def _without_new(standings: Iterable[Standing]) -> str:
    return "\n".join(
        f"  {standing.found.canonical_name}: {server}"
        for standing in standings
        for server in standing.lagging or standing.found.silent
    )


#: What to do about a record that expires soon.
NO_LATER_EXPIRY = (
    "No later expiry is configured. Run certbot certonly again with --dns-persist-valid-for DAYS "
    "and a provider that can write, or publish a record that lasts longer."
)

#: What to do about a record that lasts too long.
ROTATE = (
    "certbot-dns-persist rotate replaces it by one that ends when you say, with a provider that "
    "can write."
)


def too_long(standing: Standing, options: Options) -> str:
    """Return the warning that a record lasts longer than the options ask for."""
    asked = options.persist_until(standing.at)
    option = "--dns-persist-until" if options.valid_for is None else "--dns-persist-valid-for"
    lasts = "never expires" if standing.end is None else f"expires at {format_time(standing.end)}"
    until = "" if asked is None else f" ({format_time(asked)})"
    return (
        f"The record at {standing.found.canonical_name} that authorises {standing.request.domain} "
        f"{lasts}, later than {option}{until} asks for."
    )


def ends_early(requests: Iterable[ValidationRequest], end: int, renewal: int) -> str:
    """Return the warning that records expire at ``end``, before the next ``renewal``."""
    domains = ", ".join(request.domain for request in requests)
    return (
        f"The record of {domains} expires at {format_time(end)} (persistUntil), before Certbot "
        f"renews the certificate, around {format_time(renewal)}. Unless it is replaced until then, "
        "that renewal fails. Choose a later date, or give --dns-persist-valid-for with a provider "
        "that can write."
    )


def left_for(plan: Plan, standing: Standing) -> str:
    """Return the warning that an old record stays for ``standing``, which needs it or may."""
    domain, account = standing.request.domain, standing.request.account_url
    trouble = standing.found.trouble
    if trouble is None:
        return (
            f"The record at {plan.name} was left there: {domain} needs it with the account "
            f"{account}."
        )
    then = f"Run certbot-dns-persist prune when {domain} can be looked up."
    if account != plan.requests[0].account_url:
        then += (
            " If it does not need the record, remove that with: certbot-dns-persist revoke -d "
            f"{plan.requests[0].domain} --account {account} --also-needed-by {domain}"
        )
    return (
        f"The record at {plan.name} was left there: {domain} may need it with the account "
        f"{account}, and cannot be looked up: {printable(trouble)}. {then}"
    )


def dry_run(request: ValidationRequest, renewals: Sequence[Standing]) -> str:
    """Return what a trial that failed says of the ``renewals`` of its names, and what to do."""
    server, domain = request.server, request.domain
    told = [
        f"This was only a trial at {server}, with the account {request.account_url}, which needs "
        "a record of its own."
    ]
    there = [s for s in renewals if s.everywhere]
    lacking = [s for s in renewals if not s.everywhere]
    if there:
        told.append(f"Renewals are not affected: {_whose(there)} is there.")
    if lacking:
        told.append(
            f"But the next renewal is: {_whose(lacking)} is missing or not on every server. "
            "certbot-dns-persist check tells more."
        )
    if not renewals:
        told.append("Records for another CA or account, such as production's, are not affected.")
    told.append(
        f"For trials to succeed, publish the record for {server} once, which "
        f"certbot-dns-persist record --server {server} -d {domain} shows; a trial only removes "
        "what it has published itself. Or give the trial --dns-persist-provider and "
        "--dns-persist-credentials. Without a trial, certbot-dns-persist check says whether "
        "renewals will succeed."
    )
    return " ".join(told)


def _whose(standings: Iterable[Standing]) -> str:
    by_server: dict[str, list[str]] = {}
    for standing in standings:
        by_server.setdefault(standing.request.server, []).append(standing.request.domain)
    return "; ".join(f"the record of {', '.join(d)} at {s}" for s, d in by_server.items())


def changes(plans: Iterable[Plan]) -> str:
    """Return the plan as a diff: what is added, what is removed and when."""
    lines = []
    for plan in plans:
        lines.append(f"  {plan.name} TXT ({plan.reason})")
        lines.append(f"    + {plan.value}")
        lines += [
            f"    - {printable(value)} (once every server has the new one)" for value in plan.retire
        ]
    return "\n".join(lines)


def cannot_be_looked_up(standings: Iterable[Standing]) -> str:
    """Return the error for names that cannot be looked up."""
    lines = [
        f"{s.request.name} cannot be looked up, so it is unknown whether {s.request.domain} is "
        f"authorised: {s.found.trouble}."
        for s in standings
    ]
    return "\n".join(
        [
            *lines,
            "Nothing was changed. Check that the domain is delegated and that this machine's "
            "resolvers work (--dns-persist-resolvers names others); then run the same command "
            "again.",
        ]
    )


def interrupted(requests: Iterable[ValidationRequest]) -> str:
    """Return how to continue after Ctrl-C."""
    return (
        f"Stopped while waiting for {', '.join(request.name for request in requests)}. Nothing is "
        "lost: run the same command again when the record is published; it then continues."
    )


def tried_out(writer: str, name: str, place: str) -> str:
    """Return what is said before a writer that we do not know is tried out."""
    return (
        f"{name} has values of others, and we do not know whether {writer} leaves them alone. So "
        f"we try it out first, at a name that nobody uses: {place}."
    )


def failed_trial(writer: str, name: str, wrong: str) -> str:
    """Return why a writer that failed its trial is not used."""
    said = (
        f"Nothing was changed at {name}, which has values of others. We first tried out {writer} "
        f"at a name that nobody uses, and it failed: {wrong}"
    )
    if "--dns-persist-provider" in said:
        return said
    return f"{said} Use another provider (--dns-persist-provider)."
