"""The judgement of ``check`` for other programs: of names that we look up, or of others' answers.

See ``docs/library.md``. Import the two functions from the package itself, which loads this module,
and dnspython, when one of them is first used.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.judge.alike import check_names
from certbot_dns_persist.judge.answers import Everything, Faults
from certbot_dns_persist.judge.answers import judge as judge_answers
from certbot_dns_persist.judge.checkup import Checked as Result
from certbot_dns_persist.judge.standing import WARN_DAYS
from certbot_dns_persist.lookup.found import QUERIES_PER_SECOND, Address, Around
from certbot_dns_persist.lookup.session import Lookup
from certbot_dns_persist.record import normalize_domain_name
from certbot_dns_persist.request.applicants import Given, Identity
from certbot_dns_persist.request.names import Names, Need
from certbot_dns_persist.request.subjects import Subject, Subjects, Trouble, normalize

__all__ = ["Result", "check", "judge"]


def check(
    names: Iterable[str],
    *,
    issuer_domain_names: Sequence[str],
    account_uri: str,
    account_url: str | None = None,
    resolvers: Sequence[tuple[str, int]] = (),
    authoritative: bool = True,
    caa: bool = True,
    queries_per_second: float = QUERIES_PER_SECOND,
    warn_days: int = WARN_DAYS,
    at: int | None = None,
) -> Iterator[Result]:
    """Look names up, and yield one result for each domain, in the order of its first mention.

    ``names`` may begin with ``*.``; a name and its wildcard give one result. The CA offers the
    ``issuer_domain_names``; ``account_uri`` is what records for the account name, and
    ``account_url``, by default the same, what CAA records may name. ``resolvers`` are addresses
    with ports, by default the system's; the zones' own servers are asked for the records, unless
    ``authoritative`` is false. No server is sent more than ``queries_per_second``. A record that
    expires in less than ``warn_days`` days after ``at`` (UNIX seconds, by default now) is reported.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` for a name that cannot have a
    record, and :class:`~certbot_dns_persist.errors.Error` if there is no resolver.
    """
    subjects = _Subjects(issuer_domain_names, account_uri, account_url)
    wanted = Names(map(normalize, names))
    lookup = Lookup(
        [Address(host, port) for host, port in resolvers],
        authoritative=authoritative,
        queries_per_second=queries_per_second,
    )
    inspected = lookup.inspect(
        (domain for domain, _ in wanted), caa=caa, around=Around.FEW, elsewhere=True
    )
    # The same names once more: so no list of them is kept.
    together = zip(wanted, inspected, strict=True)
    yield from check_names(together, subjects.all, at=_now(at), warn_days=warn_days)


def judge(
    answers: Iterable[bytes] | Mapping[str, Iterable[bytes]],
    names: Iterable[str] | None = None,
    *,
    issuer_domain_names: Sequence[str],
    account_uri: str,
    account_url: str | None = None,
    warn_days: int = WARN_DAYS,
    at: int | None = None,
    fault: Callable[[str], None] | None = None,
) -> Iterator[Result]:
    """Judge the lines that ``zdns TXT`` or ``massdns -t TXT -o J`` printed, as they come.

    ``answers`` are the lines, such as a file opened in binary mode, or those of each vantage point
    by its name. With ``names``, each domain of these gives one result; those without a line come
    last, and other lines are left out. Without, every line gives a result, and no wildcard is
    asked for. ``fault`` is called at the end, with a sentence for each thing that is wrong with
    the lines; without it, that raises :class:`~certbot_dns_persist.errors.ConfigurationError`.
    The other arguments are those of :func:`check`. CAA, DNSSEC, wildcards and what each
    authoritative server serves are not in such answers.
    """
    faults = Faults()
    subjects = _Subjects(issuer_domain_names, account_uri, account_url)
    yield from judge_answers(
        answers if isinstance(answers, Mapping) else {"answers": answers},
        Everything() if names is None else Names(map(normalize, names)),
        subjects.all,
        alike=True,
        at=_now(at),
        warn_days=warn_days,
        faults=faults,
    )
    for told in faults.troubles():
        if fault is None:
            raise ConfigurationError(told)
        fault(told)


class _Subjects:
    """What is needed of each domain, for one account."""

    def __init__(
        self, issuer_domain_names: Sequence[str], account_uri: str, account_url: str | None
    ) -> None:
        issuers = tuple(sorted(map(normalize_domain_name, issuer_domain_names)))
        account = Account(account_url or account_uri, "")
        identity = Identity(Terms(issuers, account_uri), account)
        nowhere = Path("/nonexistent")  # an identity does without Certbot's files
        journal = Journal(str(nowhere), str(nowhere))
        source = Subjects(nowhere, journal, Given(identities=((identity,),)))
        self._of = source.of_domain

    def all(self, domain: str, need: Need) -> list[Subject]:
        (subject,) = self._of(domain, *need)
        if isinstance(subject, Trouble):
            raise ConfigurationError(subject.reason)
        return [subject]


def _now(at: int | None) -> int:
    return int(time.time()) if at is None else at
