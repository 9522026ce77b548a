"""The state of a request in DNS at one moment. Pure: nothing is looked up."""

import dataclasses
from collections.abc import Collection, Mapping
from functools import cached_property

from certbot_dns_persist.lookup.found import Found, ServerAnswer
from certbot_dns_persist.options import Options
from certbot_dns_persist.record import Evaluation, Verdict
from certbot_dns_persist.request.request import ValidationRequest

#: Days before its persistUntil from which a record expires soon, without --…-valid-for.
WARN_DAYS = 30


@dataclasses.dataclass(frozen=True)
class Standing:
    """What DNS says about one request at one moment."""

    request: ValidationRequest
    found: Found
    at: int
    """UNIX seconds."""

    @cached_property
    def evaluation(self) -> Evaluation:
        """The judgement of every value that any server serves."""
        return self.request.evaluate(self.found.values, self.at)

    @property
    def authorized(self) -> bool:
        """Whether at least one server serves a record that authorises."""
        return self.evaluation.authorized

    @property
    def accepted(self) -> bool:
        """Whether a CA may accept it: a record authorises, or would do so at some CAs."""
        return bool(self.evaluation.accepted)

    @property
    def doubtful(self) -> bool:
        """Whether nothing better stands than a record that some CAs accept and others refuse."""
        return self.accepted and not self.authorized

    @cached_property
    def lagging(self) -> list[ServerAnswer]:
        """The servers that answer without a record that is as good as any other's."""
        # A value is judged alone: the server, and what else it serves, make no difference.
        accepted = self.evaluation.accepted.keys()
        return [s for s in self.found.answers if accepted.isdisjoint(s.values or ())]

    def why_not(self, server: ServerAnswer) -> str:
        """Say why what ``server`` serves does not authorise."""
        if server.values is None:
            return server.trouble or "gives no answer"
        findings = self.request.evaluate(server.values, self.at).findings
        ours = [f for f in findings if f.record and self.request.is_ours(f.record)]
        for finding in [*ours, *(f for f in findings if f.verdict == Verdict.MALFORMED)]:
            return f"serves a record that {finding.reason}"
        return "does not serve a record that authorises" if findings else "serves no record"

    @property
    def everywhere(self) -> bool:
        """Whether every server that answers serves a record that authorises."""
        return self.authorized and not self.lagging

    @property
    def end(self) -> int | None:
        """When the last accepted record expires (UNIX seconds); ``None`` if one never does."""
        return self.evaluation.end

    @property
    def outdated(self) -> bool:
        """Whether all that authorises is in an older form, or made with an earlier key."""
        records, outdated = self.evaluation.authorizing.values(), self.request.account_uris.outdated
        return bool(records) and all(record.account_uri in outdated for record in records)

    def without(self, values: Collection[str]) -> "Standing":
        """Return the standing as it would be without ``values``."""
        servers = tuple(
            dataclasses.replace(
                server, values=tuple(value for value in server.values if value not in values)
            )
            if server.values is not None
            else server
            for server in self.found.servers
        )
        return dataclasses.replace(self, found=dataclasses.replace(self.found, servers=servers))

    def with_lists(self, listed: Mapping[str, Collection[str]]) -> "Standing":
        """Return the standing as if each provider, with what it lists, were one more server."""
        lists = [ServerAnswer(name, name, tuple(values)) for name, values in listed.items()]
        found = dataclasses.replace(self.found, servers=(*self.found.servers, *lists))
        return dataclasses.replace(self, found=found)


def ends_soon(standing: Standing, options: Options) -> bool:
    """Whether what authorises now expires so soon that it should be published anew."""
    days = WARN_DAYS if options.valid_for is None else options.valid_for / 3
    return standing.end is not None and standing.end < standing.at + days * 86400


def lasts_too_long(standing: Standing, options: Options) -> bool:
    """Whether what is accepted now lasts longer than the options ask for."""
    asked = options.persist_until(standing.at)
    if asked is None or not standing.accepted:
        return False
    return standing.end is None or standing.end > asked
