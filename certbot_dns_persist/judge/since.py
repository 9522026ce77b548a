"""What changed since an earlier audit. Pure: its report comes in as what JSON was read as.

What was not seen at one of the two times is not called new or gone.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.audit import MOST_CHARACTERS
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Severity
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.record import MalformedRecord, read_record
from certbot_dns_persist.request.known_accounts import KnownAccount
from certbot_dns_persist.value.txt import as_utf8

#: The version of the reports that are read.
VERSION = 1

#: The kinds of notices that are made here.
OWN = (NoticeKind.NEW, NoticeKind.NO_LONGER, NoticeKind.CHANGED, NoticeKind.NOT_COMPARED)

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

#: How many domains or accounts a sentence names.
_SOME = 5


@dataclasses.dataclass
class _Domain:
    """What a report says of a domain, for all accounts."""

    seen: bool = False
    """Whether a server answered."""
    values: dict[str, str] = dataclasses.field(default_factory=dict)
    """The TXT values, and what the audit called the first time."""
    states: dict[str, tuple[str, Mapping[str, str]]] = dataclasses.field(default_factory=dict)
    """For each account URI the status, and what the audit called each value."""
    met: bool = False
    """Whether the new audit has come to it."""


class Since:
    """Compares an audit with an earlier one."""

    def __init__(self, document: object, path: str) -> None:
        """``document`` is the JSON of the earlier one, and ``path`` where it was read.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if it is no such report.
        """
        top = _object(document, path, "it")
        version = top.get("version")
        if type(version) is int and version != VERSION:
            raise unusable(path, f"its version is {version}, and this release reads {VERSION}")
        if version is None or not {"checked_at", "records", "status"} <= {*top}:
            raise unusable(path, "it has no version, checked_at, records and status")
        self.checked_at = _text(top, "checked_at", path, "")
        if not _TIME.fullmatch(self.checked_at):
            raise unusable(path, "its checked_at is no time")
        self.status = _text(top, "status", path, "")
        self.program = top.get("program") if isinstance(top.get("program"), str) else None
        self.scope = _object(top.get("scope", {}), path, "its scope")
        if self.scope.get("command", "audit") != "audit":
            raise unusable(path, "it is the report of a check")
        self._domains: dict[str, _Domain] = {}
        self._accounts: set[str] = set()
        for number, record in enumerate(_list(top, "records", path, "")):
            self._read(record, path, f"records[{number}]")
        self._known = self._read_known(top, path)
        self.new_domains: list[str] = []
        self._new_accounts: dict[str, None] = {}

    def _read(self, item: object, path: str, place: str) -> None:
        record = _object(item, path, place)
        domain = self._domains.setdefault(_text(record, "domain", path, place), _Domain())
        told = {}
        for found in _objects(record, "found", path, place):
            told[_text(found, "value", path, place)] = _text(found, "verdict", path, place)
        for notice in _objects(record, "notices", path, place):
            kind, value = _text(notice, "code", path, place), notice.get("value")
            if isinstance(value, str) and value in told and kind not in OWN:
                told[value] = kind
        servers = _objects(record, "nameservers", path, place)
        domain.seen |= any(_text(each, "status", path, place) != "unreachable" for each in servers)
        domain.values = {**told, **domain.values}
        uri, status = (_text(record, name, path, place) for name in ("account_uri", "status"))
        domain.states[uri] = (status, told)
        self._accounts.update(filter(None, map(_account, told)))

    @staticmethod
    def _read_known(top: Mapping[str, Any], path: str) -> Collection[str] | None:
        if "known_accounts" not in top:
            return None
        known = _objects(top, "known_accounts", path, "")
        return {_text(each, "url", path, "known_accounts") for each in known}

    def compared(self, audited: Iterable[Checked]) -> Iterator[Checked]:
        """Yield each of ``audited`` with notices on what changed there."""
        for checked in audited:
            more = tuple(self._changes(checked))
            yield dataclasses.replace(checked, notices=(*checked.notices, *more))

    def _changes(self, checked: Checked) -> Iterator[Notice]:
        was, name = self._domains.get(checked.domain), checked.standing.found.canonical_name

        def notice(kind: NoticeKind, severity: Severity, value: str | None, reason: str) -> Notice:
            return Notice(kind, severity, name, value, reason)

        if was is None:
            self.new_domains.append(checked.domain)
            told = f"The audit of {self.checked_at} did not look at {checked.domain}."
            yield notice(NoticeKind.NOT_COMPARED, Severity.OK, None, told)
            return
        first, was.met = not was.met, True
        now = _told(checked)
        seen = any(server.values is not None for server in checked.standing.found.servers)
        if first and not (seen and was.seen):
            when = "now" if was.seen else f"at {self.checked_at}"
            told = f"What changed at {name} is unknown: it could not be looked up {when}."
            yield notice(NoticeKind.NOT_COMPARED, Severity.OK, None, told)
        elif first:
            for value in sorted({*now} - {*was.values}):
                yield notice(NoticeKind.NEW, _severity(now[value]), value, self._new(value))
            for value in sorted({*was.values} - {*now}):
                told = f'"{_shown(value)}" was seen at {self.checked_at}, and is no longer.'
                yield notice(NoticeKind.NO_LONGER, _severity(was.values[value]), value, told)
        before = was.states.get(checked.standing.request.account_uris.published)
        if before is None:
            return
        status, words = before
        for value in sorted({*now} & {*words}):
            if now[value] != words[value]:
                told = (
                    f'"{_shown(value)}" was {_shown(words[value])} at {self.checked_at}, and is '
                    f"{now[value]} now."
                )
                yield notice(NoticeKind.CHANGED, Severity.WARNING, value, told)
        if status != checked.status:
            told = f"This was {_shown(status)} at {self.checked_at}, and is {checked.status} now."
            yield notice(NoticeKind.CHANGED, Severity.WARNING, None, told)

    def _new(self, value: str) -> str:
        told = f'"{_shown(value)}" is new: it was not seen at {self.checked_at}.'
        account = _account(value)
        if account is None or account in self._accounts:
            return told
        self._new_accounts[account] = None
        return f"{told} No record in that report named its account."

    def differences(self, scope: Mapping[str, Any]) -> list[str]:
        """Return in what the earlier scope differs from this one, for people."""
        if not self.scope:
            return ["the earlier report does not say what was asked"]
        found = []
        for name in sorted({*scope, *self.scope} - {"command"}):
            then, now = self.scope.get(name), scope.get(name)
            if isinstance(then, list) and isinstance(now, (list, tuple)):
                both = {str(each) for each in then} & {*now}
                gone = [str(each) for each in then if str(each) not in both]
                more = [each for each in now if each not in both]
                if gone or more:
                    sides = [("then", gone), ("now", more)]
                    words = (f"only {when} {_some(them)}" for when, them in sides if them)
                    found.append(f"{name}: {', '.join(words)}")
            elif then != now:
                found.append(f"{name}: {_shown(str(then))} then, {now} now")
        return found

    def concluded(
        self, scope: Mapping[str, Any], known: Sequence[KnownAccount]
    ) -> dict[str, object]:
        """Return all of the comparison that is not about one domain; call this at the end."""
        now = {each.url for each in known}
        then = now if self._known is None else self._known
        return {
            "checked_at": self.checked_at,
            "program": self.program,
            "status": self.status,
            "scope_differences": self.differences(scope),
            "new_domains": self.new_domains,
            "missing_domains": [name for name, was in self._domains.items() if not was.met],
            "new_accounts": list(self._new_accounts),
            "newly_known_accounts": sorted(now - {*then}),
            "no_longer_known_accounts": sorted({*then} - now),
        }


def in_words(concluded: Mapping[str, Any]) -> list[str]:
    """Return what :meth:`Since.concluded` returned, for people."""
    words = [f"Compared with the audit of {concluded['checked_at']}, whose status was "]
    words[0] += f"{_shown(concluded['status'])}."
    for name, sentence in {
        "scope_differences": "The scope differs: {}.",
        "new_domains": "Not compared, as only this audit looks at them: {}.",
        "missing_domains": "Not compared, as only that audit looked at them: {}.",
        "new_accounts": "Accounts that no record named then: {}.",
        "newly_known_accounts": "Known now, and not then: {}.",
        "no_longer_known_accounts": "Known then, and not now: {}.",
    }.items():
        them = concluded[name]
        if them:
            shown = "; ".join(them) if name == "scope_differences" else _some(them)
            words.append(sentence.format(shown))
    return words


def _told(checked: Checked) -> dict[str, str]:
    """Return what the audit calls each TXT value, as its report has it."""
    told = {as_utf8(f.value): str(f.verdict) for f in checked.standing.evaluation.findings}
    for notice in checked.notices:
        value = None if notice.value is None else as_utf8(notice.value)
        if value is not None and value in told:
            told[value] = str(notice.kind)
    return told


def _severity(called: str) -> Severity:
    return Severity.OK if called == NoticeKind.UNRELATED else Severity.WARNING


def _account(value: str) -> str | None:
    try:
        return read_record(value).account_uri
    except MalformedRecord:
        return None


def _shown(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _some(them: Sequence[str]) -> str:
    more = f" and {len(them) - _SOME} more" if len(them) > _SOME else ""
    return ", ".join(map(_shown, them[:_SOME])) + more


# The report may be anybody's.


def unusable(path: str, why: str) -> ConfigurationError:
    """Return the error for a report that cannot be compared with."""
    return ConfigurationError(
        f"--since {path} cannot be used: {why}. It has to be what certbot-dns-persist audit "
        "--json printed."
    )


def _object(item: object, path: str, place: str) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise unusable(path, f"{place} is not an object")
    return item


def _list(of: Mapping[str, Any], name: str, path: str, place: str) -> Sequence[object]:
    found = of.get(name)
    if not isinstance(found, list):
        raise unusable(path, f"{_place(place, name)} is not a list")
    return found


def _objects(
    of: Mapping[str, Any], name: str, path: str, place: str
) -> Sequence[Mapping[str, Any]]:
    where = _place(place, name)
    return [_object(each, path, f"one of {where}") for each in _list(of, name, path, place)]


def _text(of: Mapping[str, Any], name: str, path: str, place: str) -> str:
    found = of.get(name)
    # Half of a surrogate pair is text to JSON only.
    if not isinstance(found, str) or re.search("[\ud800-\udfff]", found):
        raise unusable(path, f"{_place(place, name)} is not a text")
    return found


def _place(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
