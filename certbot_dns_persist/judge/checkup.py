"""The state of each subject, judged as DNS answers. Pure: nothing is looked up."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge import hiding
from certbot_dns_persist.judge.diagnosis import (
    HEALING,
    SEVERITIES,
    Diagnosis,
    Severity,
    Status,
    diagnose,
)
from certbot_dns_persist.judge.notice import Notice, NoticeKind
from certbot_dns_persist.judge.plan import make_plans
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Inspection
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import Finding, Verdict
from certbot_dns_persist.request.subjects import Subject


@dataclasses.dataclass(frozen=True)
class Checked:
    """What DNS says of one subject."""

    subject: Subject
    standing: Standing
    diagnosis: Diagnosis
    notices: tuple[Notice, ...] = ()
    needed: bool = True
    """Whether a certificate, or the user who asks, needs a record there."""

    @property
    def domain(self) -> str:
        """The FQDN, without ``*.``."""
        return self.subject.request.domain

    @property
    def wildcard(self) -> bool:
        """Whether the record must carry ``policy=wildcard``."""
        return self.subject.request.wildcard

    @property
    def account_url(self) -> str:
        """The account that the record must be for."""
        return self.subject.request.account_url

    @property
    def server(self) -> str:
        """The CA's ACME directory URL; empty if it is not known."""
        return self.subject.request.server

    @property
    def options(self) -> Options:
        """How it was looked up, and what is to be published."""
        return self.subject.options

    @property
    def status(self) -> Status:
        """The state, in a word."""
        return self.diagnosis.status

    @property
    def reason(self) -> str:
        """The state, in sentences for a person; the last one says what to do next."""
        return self.diagnosis.reason

    @property
    def values(self) -> tuple[Finding, ...]:
        """Every TXT value that stands there, with the CA's verdict on it alone."""
        return self.standing.evaluation.findings

    @property
    def kinds(self) -> frozenset[tuple[Severity, str]]:
        """What was found: the status and the kinds of notices, each with its severity."""
        found = {(self.diagnosis.severity, str(self.diagnosis.status))}
        return frozenset(found | {(each.severity, str(each.kind)) for each in self.notices})

    def written(self, form: Callable[["Checked"], str]) -> str:
        """Return this in the words of ``form``; it must show nothing but what is in here."""
        return form(self)

    @property
    def severity(self) -> Severity:
        """The worst severity of all that was found."""
        return worst([self.diagnosis.severity, *(notice.severity for notice in self.notices)])

    @property
    def expected_value(self) -> str | None:
        """The TXT value that should be there: one that authorises already, else the one to publish.

        ``None`` if an option rules out every value, if the record there expires soon and only the
        user can say how long the next one should last, or if no certificate needs the record.
        """
        if not self.needed:
            return None
        authorizing = self.standing.evaluation.authorizing
        if authorizing and self.diagnosis.status != Status.EXPIRING:
            return next(reversed(authorizing))
        try:
            (plan,) = make_plans([self.standing], self.subject.options, "")
        except ConfigurationError:
            return None
        return None if plan.value in authorizing else plan.value

    @property
    def end(self) -> int | None:
        """When the last record that authorises expires or, if all have expired, did so.

        UNIX seconds; ``None`` if it never expires.
        """
        if self.diagnosis.status != Status.EXPIRED:
            return self.standing.end
        request = self.standing.request
        found = (finding.record for finding in self.standing.evaluation.findings)
        ours = [record for record in found if record is not None and request.is_ours(record)]
        return max(r.persist_until for r in ours if r.persist_until is not None)


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the worst of ``severities``, ``OK`` if there are none."""
    return max(severities, key=SEVERITIES.index, default=Severity.OK)


def check(
    inspected: Iterable[tuple[Subject, Inspection]], *, at: int, warn_days: int
) -> Iterator[Checked]:
    """Yield each subject with its diagnosis, as soon as its inspection comes.

    ``at`` is in UNIX seconds.
    """
    for subject, inspection in inspected:
        standing = Standing(subject.request, inspection.found, at)
        around = inspection.neighbourhood
        notices: tuple[Notice, ...] = ()
        if around is not None:
            notices = tuple(hiding.remarks(standing, around))
            if not standing.accepted:  # so the diagnosis says what to publish
                found = hiding.at_place(standing.found, around)
                standing = dataclasses.replace(standing, found=found)
        diagnosis = diagnose(standing, inspection, warn_days=warn_days, names=subject.names)
        yield Checked(subject, standing, diagnosis, (*_accepted_by_some(standing), *notices))


def _accepted_by_some(standing: Standing) -> Iterator[Notice]:
    """Yield a remark on each record that some CAs accept, if there is none that all do."""
    name = standing.found.canonical_name
    if not standing.doubtful:
        return
    # Servers rotate what they answer.
    for finding in sorted(standing.evaluation.findings, key=lambda found: found.value):
        if finding.verdict == Verdict.ACCEPTED_BY_SOME:
            reason = f'"{finding.value}" {finding.reason}. {HEALING}.'
            kind = NoticeKind.ACCEPTED_BY_SOME
            yield Notice(kind, Severity.OK, name, finding.value, reason)
