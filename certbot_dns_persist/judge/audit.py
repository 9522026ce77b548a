"""Whose account each record at our names is for, and what it permits.

A record is a standing permission (draft section 7.11): whoever holds the key of the account that it
names can get certificates for the domain. So it is not enough to find the records that are missing;
an audit also finds those that should not be there. Pure: nothing is looked up.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import (
    HEALING,
    SEVERITIES,
    Diagnosis,
    Severity,
    Status,
)
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.judge.plan import supersedes
from certbot_dns_persist.lookup.found import Found
from certbot_dns_persist.record import (
    Finding,
    MalformedRecord,
    ValidationRecord,
    Verdict,
    format_time,
    normalize_domain_name,
    parse_record,
    read_record,
)
from certbot_dns_persist.request.known_accounts import KnownAccounts
from certbot_dns_persist.request.request import ValidationRequest
from certbot_dns_persist.request.subjects import Subject
from certbot_dns_persist.value.obsolete import NAMES, recognize
from certbot_dns_persist.value.slips import QUOTED, same_but_for_case, without_quotes

#: Characters of a value that are shown; TXT records may hold 64 KiB.
MOST_CHARACTERS = 300


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known before DNS is asked."""

    accounts: KnownAccounts
    noted: "Noted | None"
    """Our records that should be in DNS; ``None`` if there is no journal."""
    revoke: str = "certbot-dns-persist revoke"
    """How the command that removes our records of a domain begins."""
    prune: str = "certbot-dns-persist prune"
    """How the command that removes those that nobody needs begins."""
    published: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    """When each record that the log of changes leaves in place was published (RFC 3339), by name
    and value."""
    replaced: Callable[[str], Collection[str]] = lambda name: ()
    """Returns the values at a name that were replaced and are to be removed."""
    published_by: Callable[[str, str], Collection[str]] = lambda name, value: ()
    """Returns the other hosts of the fleet that published the record with this name and value."""
    of_fleet: bool = False
    """Whether what is needed is what the whole fleet needs, not this machine alone."""

    def at(self, name: str, value: str) -> PublishedRecord | None:
        """Return what is noted of a record."""
        found = self.noted.at(name) if self.noted is not None else ()
        return next((record for record in found if record.value == value), None)

    @cached_property
    def published_for(self) -> Collection[str]:
        """The account URIs in what was published, by the log of changes."""
        records = [_parsed(value) for _, value in self.published]
        return {record.account_uri for record in records if record}


@dataclasses.dataclass(frozen=True)
class Noted:
    """Our notes of what should be in DNS."""

    of: Callable[[str], Sequence[PublishedRecord]]
    """Returns the records that prove a domain."""
    at: Callable[[str], Sequence[PublishedRecord]]
    """Returns those at a name."""

    @classmethod
    def all(cls, records: Iterable[PublishedRecord]) -> "Noted":
        """Return notes that have been read."""
        by_domain: dict[str, list[PublishedRecord]] = {}
        by_name: dict[str, list[PublishedRecord]] = {}
        for record in records:
            by_domain.setdefault(record.domain, []).append(record)
            by_name.setdefault(record.name, []).append(record)
        return cls(lambda domain: by_domain.get(domain, []), lambda name: by_name.get(name, []))


def audit(checked: Checked, at_old_names: Mapping[str, Found], known: Known) -> Checked:
    """Return ``checked`` with the notices that go beside the diagnosis.

    ``at_old_names`` is what DNS holds, by name, at the domain's :func:`old_names`.
    """
    told = (*checked.notices, *notices(checked, known), *obsolete_notices(checked, at_old_names))
    return dataclasses.replace(checked, notices=told)


def old_names(subject: Subject) -> list[str]:
    """Return the names that articles from before the standard recommend."""
    return [f"{label}.{subject.request.domain}" for label in NAMES]


def not_needed(
    checked: Iterable[Checked], shared: Collection[str], where: str = "on this machine"
) -> Iterator[Checked]:
    """Yield each of ``checked``, none of whose domains a certificate needs: nothing can be missing.

    Names that are ``shared``, by an alias, with domains that are needed are left out. ``where`` is
    where the certificates are that we know of.
    """
    for each in checked:
        if each.standing.found.canonical_name in shared:
            continue
        domain = each.subject.request.domain
        reason = f"No certificate {where} needs a record for {domain} any more."
        yield dataclasses.replace(each, diagnosis=Diagnosis(Status.OK, reason), needed=False)


def notices(checked: Checked, known: Known) -> tuple[Notice, ...]:
    """Return the notices on each record at the name, and on those that are gone.

    The most severe comes first; the order does not depend on the order of a server's answer.
    """
    judge = _Judge(checked, known)
    told = map(judge.of, checked.standing.evaluation.findings)
    return tuple(
        sorted(
            (*filter(None, told), *judge.gone()),
            key=lambda n: (-SEVERITIES.index(n.severity), n.kind, n.value or ""),
        )
    )


def obsolete_notices(checked: Checked, at_old_names: Mapping[str, Found]) -> Iterator[Notice]:
    """Yield a notice on each record at a name where no CA looks.

    A name that cannot be looked up gets none: nobody needs it.
    """
    request = checked.subject.request
    for label, origin in NAMES.items():
        name = f"{label}.{request.domain}"
        for value in at_old_names[name].values if name in at_old_names else ():
            if recognize(value) is None and _parsed(value) is None:
                continue  # perhaps the answer of a wildcard TXT record of the zone
            yield Notice(
                NoticeKind.OBSOLETE,
                Severity.WARNING,
                name,
                value,
                f'No CA looks at {name}, {origin}; "{_shown(value)}" proves nothing there. '
                f"certbot-dns-persist record -d {request.domain} prints the record for "
                f"{request.name}; remove this one.",
            )


class _Judge:
    """Decides whose account each record at one name is for."""

    def __init__(self, checked: Checked, known: Known) -> None:
        self._needed = checked.needed
        self._request: ValidationRequest = checked.subject.request
        self._standing = checked.standing
        self._lineages = checked.subject.lineages
        self._authorizing = [f for f in checked.standing.evaluation.findings if f.authorized]
        self._known = known
        self._name = checked.standing.found.canonical_name

    def of(self, finding: Finding) -> Notice | None:
        """Return the notice on one value; ``None`` if it is exactly what is needed."""
        if finding.record is None:
            return self._unreadable(finding)
        if not self._request.is_ours(finding.record):
            return self._foreign(finding.value, finding.record)
        if not self._needed:
            return self._left_over(finding.value, finding.record)
        return self._ours(finding, finding.record)

    def _notice(self, kind: NoticeKind, severity: Severity, value: str, reason: str) -> Notice:
        return Notice(kind, severity, self._name, value, f'"{_shown(value)}" {reason}')

    def _unreadable(self, finding: Finding) -> Notice:
        value = finding.value
        old = recognize(value)
        if old is not None:
            return self._notice(
                NoticeKind.OBSOLETE,
                Severity.WARNING,
                value,
                f"is {old.form}, and no CA accepts it. certbot-dns-persist record -d "
                f"{self._request.domain} prints what is needed; then remove it.",
            )
        bare = without_quotes(value)
        if bare is not None:
            return self._notice(
                NoticeKind.MALFORMED,
                Severity.WARNING,
                value,
                f"is accepted by no CA: it {QUOTED}. If it is yours, enter it without them: "
                f"{_shown(bare)}",
            )
        if finding.verdict == Verdict.MALFORMED or _meant_as_record(value):
            return self._notice(
                NoticeKind.MALFORMED,
                Severity.WARNING,
                value,
                f"is malformed, so no CA accepts it: {_fault(value)}. Fix it or, if nobody needs "
                "it, remove it.",
            )
        return self._notice(
            NoticeKind.UNRELATED,
            Severity.OK,
            value,
            "is not a validation record, and CAs ignore it. If nobody published it there, it comes "
            "from a wildcard TXT record of the zone.",
        )

    def _left_over(self, value: str, record: ValidationRecord) -> Notice:
        account = self._known.accounts.by_url(self._request.account_url)
        if account is not None and account.former:
            return self._former(value, record, account.url)
        if record.expired(self._standing.at):
            return self._expired(value, record)
        noted = self._known.at(self._name, value)
        hosts = self._published_by(value, record)
        if hosts is not None and not self._known.of_fleet:
            return hosts  # and one of them may need it
        return self._not_needed(
            value,
            record,
            domain=self._request.domain,
            server=self._request.server,
            account_url=self._request.account_url,
            provider=noted.provider if noted else None,
        )

    def _published_by(self, value: str, record: ValidationRecord) -> Notice | None:
        """Return the notice on a record that other hosts published; ``None`` if none did."""
        hosts = sorted({*self._known.published_by(self._name, value)})
        if not hosts:
            return None
        more = f" and {len(hosts) - 1} more" if hosts[1:] else ""
        return self._notice(
            NoticeKind.KNOWN_ACCOUNT,
            Severity.OK,
            value,
            f"was published by the host {_shown(hosts[0])}{more} in the inventory, for the CA "
            f"{record.issuer_domain_name}.",
        )

    def _not_needed(
        self,
        value: str,
        record: ValidationRecord,
        *,
        domain: str,
        server: str,
        account_url: str,
        provider: str | None,
    ) -> Notice:
        if self._known.of_fleet:
            hosts = ", ".join(sorted({*self._known.published_by(self._name, value)}))
            return self._notice(
                NoticeKind.LEFT_OVER,
                Severity.WARNING,
                value,
                f"is a permission that no certificate in the inventory needs: it lets "
                f"{_account(record)} get certificates for {self._scope(record, domain)}. To remove "
                f"all that is left over, on {_shown(hosts)}: certbot-dns-persist prune --left-over",
            )
        written = f" ({provider} published it)" if provider else ""
        return self._notice(
            NoticeKind.LEFT_OVER,
            Severity.WARNING,
            value,
            f"is a permission that no certificate on this machine needs: it lets "
            f"{_account(record)} get certificates for {self._scope(record, domain)}. To remove "
            f"it: {self._known.revoke} -d {domain} --server {server} --account {account_url}"
            f"{written}. To remove all that is left over: {self._known.prune} --left-over",
        )

    def _expired(self, value: str, record: ValidationRecord) -> Notice:
        return self._notice(
            NoticeKind.EXPIRED,
            Severity.OK,
            value,
            f"is ours, expired at {_end(record)} and does no harm; certbot-dns-persist prune "
            "removes it.",
        )

    def _ours(self, finding: Finding, record: ValidationRecord) -> Notice | None:
        value, uris = finding.value, self._request.account_uris
        if record.expired(self._standing.at):
            # If nothing else authorises, the diagnosis is about this one.
            return self._expired(value, record) if self._standing.authorized else None
        if self._superseded(finding):
            return self._notice(
                NoticeKind.SUPERSEDED,
                Severity.OK,
                value,
                "is ours, and another record of ours permits all that it does; certbot-dns-persist "
                "prune removes it.",
            )
        if finding.verdict == Verdict.ACCEPTED_BY_SOME:
            if self._standing.doubtful:
                return None  # check has said so
            return self._notice(
                NoticeKind.ACCEPTED_BY_SOME, Severity.OK, value, f"{finding.reason}. {HEALING}."
            )
        if record.account_uri not in uris.accepted:
            return self._notice(
                NoticeKind.OUTDATED,
                Severity.OK,
                value,
                "is ours, in a form that this CA no longer accepts.",
            )
        if record.account_uri in uris.outdated:
            return self._notice(
                NoticeKind.OUTDATED,
                Severity.OK,
                value,
                "is ours, made with an earlier account key or for an earlier draft. The CA accepts "
                "it for now; certbot-dns-persist rotate replaces it.",
            )
        if record.wildcard and not self._request.wildcard:
            return self._notice(
                NoticeKind.WIDER,
                Severity.OK,
                value,
                f"is ours, and permits more than was requested: policy=wildcard also covers "
                f"*.{self._request.domain} and every name below it.",
            )
        unknown = self._known.noted is not None and self._known.at(self._name, value) is None
        if unknown and not self._known.published_by(self._name, value):
            return self._notice(
                NoticeKind.UNRECORDED,
                Severity.OK,
                value,
                "names our account, but this program did not log that it published it: it was "
                "published in another way, or before there was a log.",
            )
        return None

    def _superseded(self, finding: Finding) -> bool:
        """Whether another record makes this one superfluous; of two alike, the second is."""
        findings = self._standing.evaluation.findings
        return any(
            other.record is not None
            and supersedes(other.record, finding.value, self._standing)
            and (
                not finding.authorized
                or self._meaning(other) != self._meaning(finding)
                or findings.index(other) < findings.index(finding)
            )
            for other in self._authorizing
            if other.value != finding.value
        )

    def _meaning(self, finding: Finding) -> tuple[object, ...]:
        record = finding.record
        return (record.account_uri, record.policy, record.persist_until) if record else ()

    def _foreign(self, value: str, record: ValidationRecord) -> Notice:
        aliased = self._name != self._request.name
        account = self._known.accounts.who(
            record.account_uri,
            self._request.domain,
            aliased=aliased,
            issuer=record.issuer_domain_name,
        )
        noted = self._known.at(self._name, value)
        mine = None if noted is None else self._known.accounts.by_url(noted.account_url)
        account = account or mine
        if account is None and noted is None and (told := self._published_by(value, record)):
            return told
        if account is None and (noted or record.account_uri in self._known.published_for):
            url = noted.account_url if noted else record.account_uri
            return self._former(value, record, url)
        if account is not None and account.former:
            return self._former(value, record, account.url, account.whose)
        if noted is not None and mine and not self._known.accounts.may_need(noted.domain):
            return self._not_needed(
                value,
                record,
                domain=noted.domain,
                server=noted.server,
                account_url=noted.account_url,
                provider=noted.provider,
            )
        if account is not None:
            return self._notice(
                NoticeKind.KNOWN_ACCOUNT if account.declared else NoticeKind.OTHER_ACCOUNT,
                Severity.OK,
                value,
                f"is for {account.whose} and the CA {record.issuer_domain_name}.",
            )
        if record.expired(self._standing.at):
            return self._notice(
                NoticeKind.EXPIRED,
                Severity.WARNING,
                value,
                f"is for an unknown account, and expired at {_end(record)}. It no longer permits "
                "anything. Find out who published it, and remove it.",
            )
        right = same_but_for_case(record.account_uri, self._request.account_uris.accepted)
        slip = f"Upper and lower case aside, that is your account, {right}. " if right else ""
        same_ca = record.issuer_domain_name in self._request.issuer_domain_names
        known_ca = "" if same_ca else ", a CA that is not used here"
        return self._notice(
            NoticeKind.UNKNOWN_ACCOUNT if same_ca else NoticeKind.OTHER_CA,
            Severity.CRITICAL,
            value,
            f"is for an unknown account at {record.issuer_domain_name}{known_ca}. {slip}Whoever "
            f"holds that account's key can get certificates for {self._scope(record)}. If nobody "
            "in your organisation knows the account, remove exactly this TXT value at "
            f"{self._name} now and look for certificates that you did not order. If it is yours, "
            f"declare it: --known-account {_shown(record.account_uri)}",
        )

    def _former(
        self,
        value: str,
        record: ValidationRecord,
        account_url: str,
        whose: str = "a former account of this machine",
    ) -> Notice:
        """Return the notice on a record for an account that Certbot once had, usually here."""
        place = (self._name, value)
        noted = self._known.at(*place)
        when = (noted and noted.first_published) or self._known.published.get(place)
        published = f", published from here at {when}" if when else ""
        whose = f"is for {whose}, {_shown(account_url)}{published}"
        if record.expired(self._standing.at):
            return self._notice(
                NoticeKind.EXPIRED,
                Severity.OK,
                value,
                f"{whose}; it expired at {_end(record)} and does no harm.",
            )
        servers = {lineage.server for lineage in self._lineages}
        if self._needed and value in self._known.replaced(self._name):
            way = "certbot-dns-persist prune removes it once another authorises on every server."
        elif noted is not None and noted.server in servers:
            way = "certbot-dns-persist rotate removes it."
        else:
            way = f"Remove exactly this TXT value at {self._name}."
        return self._notice(
            NoticeKind.FORMER_ACCOUNT,
            Severity.WARNING,
            value,
            f"{whose}. Certbot no longer has it. If it was not deactivated, whoever holds its key "
            f"can get certificates for {self._scope(record)}. {way}",
        )

    def _scope(self, record: ValidationRecord, domain: str | None = None) -> str:
        """Return which names a record permits, and until when; ``domain`` is ours by default."""
        domain = domain or self._request.domain
        names = f"{domain}, *.{domain} and every name below" if record.wildcard else domain
        if self._name != self._request.name:
            names += " (and for every domain whose validation name is an alias of this one)"
        end = _end(record)
        return f"{names}, " + ("without a time limit" if end is None else f"until {end}")

    def gone(self) -> Iterator[Notice]:
        """Yield a notice on each record that we published for this account and do not find."""
        found = self._standing.found
        if found.trouble or not found.answers:
            return
        notes = self._known.noted
        for noted in notes.of(self._request.domain) if notes is not None else ():
            ours = (noted.server, noted.account_url) == (
                self._request.server,
                self._request.account_url,
            )
            if not ours or (noted.name == self._name and noted.value in found.values):
                continue
            if noted.doubt is not None:
                words = f'"{_shown(noted.value)}" is not in DNS; {noted.doubt}.'
                yield Notice(NoticeKind.GONE, Severity.OK, noted.name, noted.value, words)
                continue
            ended = noted.persist_until is not None and noted.persist_until < self._standing.at
            missed = self._needed and not ended and self._standing.authorized
            if noted.name == self._name:
                what = "is no longer in DNS"
                then = "For now, another record authorises." if self._standing.authorized else ""
            else:
                missed = False
                what = f"was published at {noted.name}, but CAs now look at {self._name}"
                then = "If it is still there, remove it."
            yield Notice(
                NoticeKind.GONE,
                # If nothing authorises, the diagnosis says so, and is critical.
                Severity.WARNING if missed else Severity.OK,
                noted.name,
                noted.value,
                f'"{_shown(noted.value)}" {what}: DNS was changed outside of this program after '
                f"{noted.last_changed}. {then}".rstrip(),
            )


def _parsed(value: str) -> ValidationRecord | None:
    try:
        return read_record(value)
    except MalformedRecord:
        return None


def _fault(value: str) -> str:
    try:
        parse_record(value)
    except MalformedRecord as error:
        return _shown(error.reason)
    raise ValueError(f"{value!r} is well-formed")


def _meant_as_record(value: str) -> bool:
    """Whether ``value`` was meant as a validation record, for any CA."""
    issuer, semicolon, _ = value.partition(";")
    if "accounturi" in value.lower():
        return True
    try:
        return bool(semicolon) and "." in normalize_domain_name(issuer.strip(" \t"))
    except ValueError:
        return False


def _account(record: ValidationRecord) -> str:
    return f"the account {_shown(record.account_uri)}"


def _end(record: ValidationRecord) -> str | None:
    return None if record.persist_until is None else format_time(record.persist_until)


def _shown(value: str) -> str:
    return value if len(value) <= MOST_CHARACTERS else f"{value[:MOST_CHARACTERS]}…"
