"""Amazon Route 53, through ``boto3``.

Keys in the credentials file, each with the prefix ``dns_persist_route53_``, all of them optional:

=====================  ==========================================================================
``access_key_id``      of an AWS user, with ``secret_access_key``
``secret_access_key``  of an AWS user, with ``access_key_id``
``session_token``      with both of these, if they are temporary
``profile``            instead of these: a profile of AWS's own files
``hosted_zone_id``     write to this hosted zone, private or public, and to no other
=====================  ==========================================================================

Without keys and profile, boto3 finds its credentials as it does for certbot-dns-route53: in the
environment, in AWS's files or from the machine's role. ``examples/route53-policy.json`` has the
permissions that they need; for ``--dns-persist-fallback dns-01`` add the record name
``_acme-challenge.*`` there.

Route 53 has record sets: all TXT records at a name, with one TTL. A set can only be replaced as a
whole, and there is no condition for "if it is still as I read it". But a change batch is atomic,
DELETE fails unless the set is exactly as it says, and CREATE fails if there is one. So every change
deletes exactly what was read and creates what should be there instead; if that is refused because
another client was faster, it starts again. UPSERT would overwrite what others just wrote.

All names of a zone are read from as few pages as they are on, and changed in as few batches as AWS
takes.
"""

import dataclasses
import functools
import itertools
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from zope.interface import implementer

from certbot_dns_persist import errors
from certbot_dns_persist.options import MAX_TTL
from certbot_dns_persist.providers.common import (
    by_zone,
    file_of,
    likely_zones,
    missing_package,
    one_line,
    some,
    value_of,
    zones_above,
)
from certbot_dns_persist.providers.interface import (
    Addition,
    IAnsweringProvider,
    ILookingProvider,
    IManyProvider,
    ISettlingProvider,
    Seen,
    Settings,
)
from certbot_dns_persist.value.txt import quoted, unquoted
from certbot_dns_persist.wait import look_until

_T = TypeVar("_T")

_PREFIX = "dns_persist_route53_"
_KEYS = ("access_key_id", "secret_access_key")

_CONNECT = 10.0  # seconds to connect
_PAGE = 300  # record sets, the most that AWS sends at once
_FEW = 20  # record sets, if only one name is looked at
_MOST_RECORDS = 1000  # in all record sets of a change batch
_MOST_CHARACTERS = 32_000  # in all values of a change batch
_ANSWER = 30.0  # seconds to wait for an answer
_ATTEMPTS = 6  # per request: boto3 waits up to 1, 2, 4, 8 and 16 seconds between them
_TRIES = 50  # to make a change while others change the same set
_SYNC = 120.0  # seconds until all of Route 53's servers have a change; AWS says usually 60
_POLL = 3.0  # seconds; an AWS account has 5 requests a second for all programs

_UNKNOWN_KEY = {"InvalidClientTokenId", "UnrecognizedClientException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_SIGNATURE = {
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
}
_DENIED = {"AccessDenied", "AccessDeniedException"}
_THROTTLED = {"Throttling", "ThrottlingException", "PriorRequestNotComplete"}

_ESCAPE = re.compile(r"\\([0-7]{3})")  # of a character in a name, in octal
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")  # a name that AWS escapes nothing of
_NOT_PLAIN = re.compile(r"(\\[0-7]{3})|[^a-z0-9._-]")

RecordSet = Mapping[str, Any]
"""A ResourceRecordSet, as in boto3."""


@dataclasses.dataclass(frozen=True)
class _Zone:
    name: str
    id: str
    private: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


@dataclasses.dataclass(frozen=True)
class _Replacement:
    """What a change batch does at one name."""

    place: int
    """Of the addition that wants it."""
    before: RecordSet | None
    after: RecordSet

    @property
    def changes(self) -> list[tuple[str, RecordSet]]:
        return [*([("DELETE", self.before)] if self.before else []), ("CREATE", self.after)]

    @property
    def values(self) -> list[str]:
        """All values as AWS counts them, those that are deleted, too."""
        return [
            record["Value"]
            for _, texts in self.changes
            for record in texts.get("ResourceRecords", ())
        ]


class _BatchRefused(errors.ProviderError):
    """Nothing of a change batch was done (InvalidChangeBatch)."""


@implementer(IAnsweringProvider, ILookingProvider, IManyProvider, ISettlingProvider)
class Route53:
    """The public hosted zones of one AWS account."""

    writes = True
    KEYS = frozenset({*_KEYS, "session_token", "profile", "hosted_zone_id"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, without the network.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if boto3 is missing, or a key
        cannot be used.
        """
        self._settings = settings
        self._file = file_of(settings)
        self._check_keys()
        self._zone_id = self._get("hosted_zone_id").removeprefix("/hostedzone/")
        if not re.fullmatch("[A-Z0-9]{0,32}", self._zone_id):
            raise errors.ConfigurationError(
                f"{_PREFIX}hosted_zone_id in {self._file} must be the id of one hosted zone, "
                "like Z0123456789ABC. See: aws route53 list-hosted-zones"
            )
        self._session = self._make_session()
        self._chosen: dict[str, _Zone] = {}
        self._pending: list[tuple[_Zone, str, str]] = []  # zone, name and id of each addition

    def zone_for(self, name: str) -> str:
        """Return the hosted zone that ``name`` is in: the one that DNS shows, if the account has
        it, else the one with the longest name.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if there is none, or more than one
        of that name; or AWS cannot be asked.
        """
        return self._zone(name).name

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values of every record set at ``name``; an alias has none.

        Octets that are not UTF-8 are escaped as surrogates (PEP 383).

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no hosted zone has ``name``, or
        AWS cannot be asked.
        """
        texts = _of_type("TXT", self._read(self._zone(name), name))
        return list(dict.fromkeys(value for text in texts for value in _values(text)))

    def has_value(self, name: str, value: str) -> bool:
        """Whether the TXT ``value`` is at ``name``; errors as for :meth:`list_values`."""
        return value in self.list_values(name)

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Add one TXT record to those at ``name``; return the TTL in seconds that it has.

        All records of a set have one TTL. So we use the TTL of the records that are there, whatever
        ``ttl`` says, and tell the user.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if no hosted zone has ``name``;
        AWS cannot be asked, or refuses; ``name`` is an alias; or its TXT records have a routing
        policy.
        """
        zone = self._zone(name)
        texts, change = self._make(zone, name, value, min(max(ttl, 0), MAX_TTL))
        if change:
            self._pending.append((zone, name, change))
        return self._used(name, texts, ttl)

    def look_at_many(self, names: Sequence[str]) -> list[Seen | errors.ProviderError]:
        """Look at many names together, as :meth:`zone_for` and :meth:`list_values` at one."""
        seen: dict[str, Seen | errors.ProviderError] = {}
        for name, found in self._read_together(names).items():
            if isinstance(found, errors.ProviderError):
                seen[name] = found
            else:
                zone, sets = found
                values = [value for text in _of_type("TXT", sets) for value in _values(text)]
                seen[name] = Seen(zone.name, list(dict.fromkeys(values)))
        return [seen[name] for name in names]

    def add_many(self, additions: Sequence[Addition]) -> list[int | errors.ProviderError]:
        """Add many records, those of a zone in change batches; errors as for :meth:`add_value`.

        If AWS refuses a batch, of which then nothing was done, its records are added one after the
        other.
        """
        done: dict[int, int | errors.ProviderError] = {}
        together = self._read_together([addition.name for addition in additions])
        wanted: dict[_Zone, dict[str, _Replacement]] = {}
        for place, (name, value, ttl) in enumerate(additions):
            read = together[name]
            if isinstance(read, errors.ProviderError):
                done[place] = read
                continue
            zone, found = read
            texts = _of_type("TXT", found)
            its = wanted.setdefault(zone, {})
            if any(value in _values(text) for text in texts) or name in its:
                continue  # nothing to do, or after the other one
            try:
                self._check_replaceable(zone, name, found)
            except errors.ProviderError as error:
                done[place] = error
                continue
            before = texts[0] if texts else None
            after = _after(name, before, value, min(max(ttl, 0), MAX_TTL))
            its[name] = _Replacement(place, before, after)
        for zone, its in wanted.items():
            for batch in _batches(its):
                changes = [change for each in batch.values() for change in each.changes]
                try:
                    change_id = self._change(zone, some(batch), changes)
                except errors.ProviderError as error:
                    if not isinstance(error, _BatchRefused):
                        done |= {each.place: error for each in batch.values()}
                    continue
                self._pending.append((zone, some(batch), change_id))
                for name, each in batch.items():
                    done[each.place] = self._used(name, each.after, additions[each.place].ttl)
        for place, addition in enumerate(additions):
            if place not in done:
                try:
                    done[place] = self.add_value(*addition)
                except errors.ProviderError as error:
                    done[place] = error
        return [done[place] for place in range(len(additions))]

    def _used(self, name: str, texts: RecordSet, ttl: int) -> int:
        """Return the TTL of the set ``texts``; tell the user if it is not ``ttl``."""
        used: int = texts["TTL"]
        if used != ttl:
            self._settings.notify(
                f"The TTL at {name} is {used} seconds instead of {ttl}: records that are there "
                f"keep theirs, and Route 53 takes 0 to {MAX_TTL}."
            )
        return used

    def remove_value(self, name: str, value: str) -> None:
        """Remove the TXT record whose value is ``value``; does not wait for the servers.

        Raises as :meth:`add_value`, except that an alias has nothing to remove.
        """
        self._make(self._zone(name), name, value, None)

    def settle(self) -> None:
        """Return when all of Route 53's servers have what was added (INSYNC), or tell the user.

        The changes are accepted and will be made: nothing here is an error.
        """
        deadline = time.monotonic() + _SYNC
        pending, self._pending = self._pending, []
        for zone, name, change in pending:
            task = f"watch the change at {name} in the zone {zone}"
            try:
                status = look_until(
                    functools.partial(self._change_status, task, change),
                    lambda status: status == "INSYNC",
                    deadline - time.monotonic(),
                    pauses=(_POLL, _POLL),
                )
                if status != "INSYNC":
                    raise errors.ProviderError(
                        f"AWS calls it pending (PENDING) after {_SYNC:g} seconds."
                    )
            except errors.ProviderError as error:
                self._settings.notify(
                    f"Route 53 accepted the record at {name}, but it is unknown whether all of its "
                    f"servers have it. {error}"
                )
                return  # it would be the same for the others

    # What is done, in terms of record sets.

    def _make(
        self, zone: _Zone, name: str, value: str, new_ttl: int | None
    ) -> tuple[RecordSet, str | None]:
        """Add ``value`` at ``name``, in a new set with ``new_ttl``; if that is ``None``, remove it.

        Returns the new set, and the id of the change if one was made.
        """
        adding = new_ttl is not None
        refused: _BatchRefused | None = None
        latest: RecordSet | None = None
        for _ in range(_TRIES):
            found = self._read(zone, name)
            texts = _of_type("TXT", found)
            having = [text for text in texts if value in _values(text)]
            if bool(having) == adding:
                return having[0] if adding else {}, None
            self._check_replaceable(zone, name, found)
            before = texts[0] if texts else None
            if refused and before == latest:
                raise refused  # not because another client was faster
            latest = before

            after = _after(name, before, value, new_ttl)
            changes = [("DELETE", before)] if before else []
            changes += [("CREATE", after)] if after["ResourceRecords"] else []
            try:
                return after, self._change(zone, name, changes)
            except _BatchRefused as error:
                refused = error
            # So that clients that were refused together do not come back together.
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311
        raise errors.ProviderError(
            f"The TXT records at {name} in the Route 53 zone {zone} changed each of the {_TRIES} "
            "times that we tried to change them. Find out what keeps changing them (AWS "
            "CloudTrail says who: ChangeResourceRecordSets), then try again."
        )

    def _check_replaceable(self, zone: _Zone, name: str, found: list[RecordSet]) -> None:
        """Raise unless there is at most one TXT set at ``name``, and it is plain."""
        where = f"at {name} in the Route 53 zone {zone}"
        for alias in _of_type("CNAME", found):
            raise errors.ProviderError(
                f"No TXT record can be added {where}: the name is an alias (CNAME) for "
                f"{_target(alias)}. The record belongs there."
            )
        for text in _of_type("TXT", found):
            if "SetIdentifier" in text:
                kind = f"have a routing policy (one is called {text['SetIdentifier']!r})"
            elif "TrafficPolicyInstanceId" in text:
                kind = f"are made by the traffic policy instance {text['TrafficPolicyInstanceId']}"
            elif "AliasTarget" in text:
                kind = f"are Route 53's own kind of alias, for {_target(text)}"
            else:
                continue
            raise errors.ProviderError(
                f"The TXT records {where} cannot be changed from here: they {kind}, and a change "
                "would undo that. Replace them with a plain record set (simple routing) with the "
                "same values, then try again."
            )

    # What is asked of AWS.

    def _zone(self, name: str) -> _Zone:
        if name not in self._chosen:
            self._chosen[name] = self._found_zone(name)
        return self._chosen[name]

    def _found_zone(self, name: str) -> _Zone:
        tried = zones_above(name.lower())
        usable = [
            zone
            for zone in self._zones
            if zone.name in tried and (self._zone_id or not zone.private)
        ]
        if len({zone.name for zone in usable}) > 1:
            tried = likely_zones(self._settings, name.lower())  # asks DNS
        for candidate in tried:
            found = [zone for zone in usable if zone.name == candidate]
            if len(found) > 1:
                raise errors.ProviderError(
                    f"Cannot determine which hosted zone {name} belongs to: Route 53 has "
                    f"{len(found)} public ones called {candidate}, with the ids "
                    f"{', '.join(sorted(zone.id for zone in found))}. Compare their name servers "
                    "(aws route53 get-hosted-zone --id ID) with the domain's NS records, and put "
                    f"the one that serves it into {self._file}: {_PREFIX}hosted_zone_id = ID"
                )
            if found:
                return found[0]
        if self._zone_id:
            raise errors.ProviderError(
                f"{name} is not in the Route 53 zone {self._zones[0]}, which "
                f"{_PREFIX}hosted_zone_id in {self._file} names. Correct that line, or remove "
                "it to find the zone by its name."
            )
        hidden = [str(zone) for zone in self._zones if zone.private and zone.name in tried]
        aside = f" There are private ones, which no CA can see: {', '.join(hidden)}."
        raise errors.ProviderError(
            f"Cannot find the zone of {name}: the AWS account has no public hosted zone called "
            f"{' or '.join(tried)}.{aside if hidden else ''} Check whether "
            f"{self._source} belong to the account that has the zone: aws sts get-caller-identity"
        )

    @functools.cached_property
    def _zones(self) -> list[_Zone]:
        """The hosted zones that may be written to."""
        if self._zone_id:
            found = self._ask(
                f"look at the hosted zone {self._zone_id}",
                lambda client: [client.get_hosted_zone(Id=self._zone_id)["HostedZone"]],
                zone_id=self._zone_id,
            )
        else:
            found = self._ask(
                "list the hosted zones",
                lambda client: [
                    zone
                    for page in client.get_paginator("list_hosted_zones").paginate()
                    for zone in page["HostedZones"]
                ],
            )
        return [
            _Zone(
                _name(zone["Name"]),
                zone["Id"].removeprefix("/hostedzone/"),
                bool(zone.get("Config", {}).get("PrivateZone")),
            )
            for zone in found
        ]

    def _read(self, zone: _Zone, name: str) -> list[RecordSet]:
        """Return every record set at ``name``."""

        def read(client: Any) -> list[RecordSet]:
            # The list has no end at the name, only a start, and a page would be 300 sets.
            pages = client.get_paginator("list_resource_record_sets").paginate(
                HostedZoneId=zone.id, StartRecordName=name, PaginationConfig={"PageSize": _FEW}
            )
            listed = (found for page in pages for found in page["ResourceRecordSets"])
            here = name.lower()
            return list(itertools.takewhile(lambda found: _name(found["Name"]) == here, listed))

        return self._ask(f"list the records at {name} in the zone {zone}", read, zone_id=zone.id)

    def _read_together(
        self, names: Iterable[str]
    ) -> dict[str, tuple[_Zone, list[RecordSet]] | errors.ProviderError]:
        """Return the zone of each of ``names``, and every record set there; or why not."""
        zones, failed = by_zone(names, self._zone)
        read: dict[str, tuple[_Zone, list[RecordSet]] | errors.ProviderError] = {**failed}
        for zone, its in zones.items():
            # Where others come in the list is not sure enough.
            left = sorted(filter(_PLAIN.fullmatch, its), key=_order)
            for name in set(its).difference(left):
                read[name] = self._read_apart(zone, name)
            while left:
                try:
                    sets, end = self._page(zone, left)
                except errors.ProviderError as error:
                    read |= dict.fromkeys(left, error)
                    break
                # The first goes on after this page if nothing else is on it.
                covered = [name for name in left if end is None or _precedes(name, end)]
                for name in covered:
                    here = name.lower()
                    read[name] = (zone, [each for each in sets if _name(each["Name"]) == here])
                if not covered:
                    covered = left[:1]
                    read[left[0]] = self._read_apart(zone, left[0])
                left = left[len(covered) :]
        return read

    def _read_apart(
        self, zone: _Zone, name: str
    ) -> tuple[_Zone, list[RecordSet]] | errors.ProviderError:
        try:
            return zone, self._read(zone, name)
        except errors.ProviderError as error:
            return error

    def _page(self, zone: _Zone, names: Sequence[str]) -> tuple[list[RecordSet], str | None]:
        """Return the record sets from the first of ``names`` on; and the name that follows them,
        if there are more.
        """

        def read(client: Any) -> tuple[list[RecordSet], str | None]:
            page = client.list_resource_record_sets(
                HostedZoneId=zone.id,
                StartRecordName=names[0],
                MaxItems=str(_PAGE if len(names) > 1 else _FEW),
            )
            end = _name(page["NextRecordName"]) if page["IsTruncated"] else None
            return page["ResourceRecordSets"], end

        task = f"list the records at {some(names)} in the zone {zone}"
        return self._ask(task, read, zone_id=zone.id)

    def _change(self, zone: _Zone, name: str, changes: list[tuple[str, RecordSet]]) -> str:
        """Make all of ``changes`` or none; return the change's id.

        Raises :class:`_BatchRefused` if AWS refuses the batch.
        """
        batch = [{"Action": action, "ResourceRecordSet": target} for action, target in changes]
        change_id: str = self._ask(
            f"change the TXT records at {name} in the zone {zone}",
            lambda client: client.change_resource_record_sets(
                HostedZoneId=zone.id, ChangeBatch={"Changes": batch}
            )["ChangeInfo"]["Id"],
            zone_id=zone.id,
            unanswered=errors.OutcomeUnknown,
        )
        return change_id

    def _change_status(self, task: str, change: str) -> Any:
        return self._ask(task, lambda client: client.get_change(Id=change)["ChangeInfo"]["Status"])

    def _ask(
        self,
        task: str,
        ask: Callable[[Any], _T],
        zone_id: str | None = None,
        unanswered: type[errors.ProviderError] = errors.ProviderError,
    ) -> _T:
        """Return what ``ask`` returns for the client; raises our own error.

        That is ``unanswered`` if AWS may have got the request, and gave no answer to it.
        """
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.parsers import ResponseParserError

        kind: type[errors.ProviderError] = errors.ProviderError
        try:
            return ask(self._client)
        except ClientError as error:
            if error.response["Error"].get("Code") == "InvalidChangeBatch":
                kind = _BatchRefused
            elif error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
                kind = unanswered
            fault = self._refusal(error, zone_id)
        except BotoCoreError as error:
            errors.let_signals_through(error)
            if isinstance(error, HTTPClientError):
                kind = unanswered
            fault = self._trouble(error)
        except (ResponseParserError, KeyError, ValueError):
            kind = unanswered
            fault = (
                "the answer is not from Route 53. Check whether a proxy is in between, and "
                "AWS_ENDPOINT_URL or endpoint_url in AWS's files, if one of them is set"
            )
        # Outside the except clauses, so that no exception is chained: AWS's message on a
        # wrong signature contains the request's headers, including the session token.
        raise kind(f"Cannot {task} through Amazon Route 53: {fault}.")

    @functools.cached_property
    def _client(self) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=_ANSWER,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            user_agent_extra="certbot-dns-persist",
        )
        return self._session.client("route53", config=config)

    # What is said to the user.

    def _refusal(self, error: Any, zone_id: str | None) -> str:
        """Return what AWS answered (botocore.exceptions.ClientError), and what to do."""
        code = error.response["Error"].get("Code") or "no code"
        words = one_line(error.response["Error"].get("Message", "")).rstrip(".")
        request = error.response.get("ResponseMetadata", {}).get("RequestId") or "unknown"
        source = self._source
        if code in _UNKNOWN_KEY:
            return f"AWS does not know the access key ({code}). Correct or renew {source}"
        if code in _EXPIRED:
            return (
                f"the credentials have expired ({code}). Renew {source}, or set this machine's "
                "clock if it is wrong"
            )
        if code in _SIGNATURE:
            return (
                f"AWS rejects the signature ({code}). Most often the secret access key or the "
                "session token belongs to another access key id, or the clock is wrong. Correct "
                f"{source}"
            )
        if code in _DENIED and error.operation_name.startswith("AssumeRole"):
            return (
                f"AWS does not allow the role to be assumed ({code}: {words}). Correct the role's "
                f"trust policy, or role_arn in AWS's files. Asked with {source}"
            )
        if code in _DENIED:
            partition = self._client.meta.partition
            target = "*"
            if zone_id:
                target = f"arn:{partition}:route53:::hostedzone/{zone_id}"
            elif error.operation_name == "GetChange":
                target = f"arn:{partition}:route53:::change/*"
            return (
                f"AWS does not allow it ({code}: {words}). Allow route53:{error.operation_name} on "
                f"{target} (all that is needed is in examples/route53-policy.json of "
                f"certbot-dns-persist), or use others than {source}"
            )
        if code in _THROTTLED:
            return (
                f"AWS asked to slow down {_ATTEMPTS} times ({code}). All programs that use Route "
                "53 in the account share its 5 requests a second. Try again later"
            )
        if code == "NoSuchHostedZone":
            return (
                f"there is no such hosted zone in the AWS account. Correct {_PREFIX}hosted_zone_id "
                f"in {self._file}, or check whether {source} belong to another account"
            )
        if code == "InvalidChangeBatch":
            return f"AWS refused the change, and nothing was changed ({code}: {words})"
        return (
            f"AWS answered {code}: {words or 'no words'} (request id {request}). Look at "
            "https://health.aws.amazon.com/health/status, and try again"
        )

    def _trouble(self, error: Any) -> str:
        """Return why boto3 failed before any answer (botocore.exceptions.BotoCoreError)."""
        from botocore import exceptions

        if isinstance(error, exceptions.NoCredentialsError):
            return (
                f"no AWS credentials were found. Put {_PREFIX}access_key_id and "
                f"{_PREFIX}secret_access_key into {self._file}, or set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or give the machine a role"
            )
        if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
            return (
                f"{str(error).rstrip('.')}. Check the network, HTTPS_PROXY and, if it is set, "
                "AWS_ENDPOINT_URL"
            )
        # Some messages come from other programs (credential_process), which may print anything.
        return (
            f"the AWS credentials or settings cannot be used ({type(error).__name__}). Have AWS's "
            f"own program say why: aws sts get-caller-identity. They are {self._source}"
        )

    @property
    def _source(self) -> str:
        """The credentials, named by where they come from."""
        if self._get("access_key_id"):
            return f"the credentials in {self._file}"
        if profile := self._get("profile"):
            return f"the credentials of AWS's profile {profile}, which {self._file} names"
        return "the credentials that boto3 found (environment, AWS's files or the machine's role)"

    # Settings.

    def _get(self, key: str) -> str:
        return value_of(self._settings, key)

    def _check_keys(self) -> None:
        given = [key for key in (*_KEYS, "session_token") if self._get(key)]
        lacking = [key for key in _KEYS if given and key not in given]
        if lacking:
            raise errors.ConfigurationError(
                f"{_all(given)} in {self._file} cannot be used without {_all(lacking)}. Add what "
                "is missing, or remove all of them to let boto3 find credentials itself."
            )
        if given and self._get("profile"):
            raise errors.ConfigurationError(
                f"{_PREFIX}profile and {_all(given)} in {self._file} exclude each other. Keep one "
                "kind of credentials, and remove the other lines."
            )

    def _make_session(self) -> Any:
        # Debug lines of botocore show session tokens, and Certbot's log would keep them.
        logging.getLogger("botocore").setLevel(logging.INFO)
        try:
            import boto3
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise missing_package("route53", "boto3") from error
        try:
            return boto3.Session(
                aws_access_key_id=self._get("access_key_id") or None,
                aws_secret_access_key=self._get("secret_access_key") or None,
                aws_session_token=self._get("session_token") or None,
                profile_name=self._get("profile") or None,
            )
        except BotoCoreError as error:
            problem = str(error).rstrip(".")
        # Outside the except clause, so that no exception is chained: a parser's quotes the line.
        raise errors.ConfigurationError(
            f"AWS's own settings cannot be used: {problem}. They are in ~/.aws, or where "
            "AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE point; the profile comes from "
            f"{_PREFIX}profile in {self._file} or from AWS_PROFILE."
        )


def _after(name: str, before: RecordSet | None, value: str, new_ttl: int | None) -> RecordSet:
    """Return the set ``before`` with ``value``, in a new set with ``new_ttl``; if that is
    ``None``, without.
    """
    after = dict(before or {"Name": f"{name}.", "Type": "TXT", "TTL": new_ttl})
    records = [r for r in after.get("ResourceRecords", ()) if _value(r) != value]
    if new_ttl is not None:
        records.append({"Value": quoted(value, octal=True)})
    return {**after, "ResourceRecords": records}


def _batches(wanted: Mapping[str, _Replacement]) -> list[dict[str, _Replacement]]:
    """Return the replacements, by name, in groups that fit into a change batch each."""
    groups: list[dict[str, _Replacement]] = []
    records = characters = 0
    for name, each in wanted.items():
        values = each.values
        size = sum(map(len, values))
        records, characters = records + len(values), characters + size
        if not groups or records > _MOST_RECORDS or characters > _MOST_CHARACTERS:
            groups.append({})
            records, characters = len(values), size
        groups[-1][name] = each
    return groups


def _order(name: str) -> str:
    """Return what AWS sorts names by: the labels from right to left, written as AWS does."""
    return _reversed(
        _NOT_PLAIN.sub(lambda other: other[1] or f"\\{ord(other[0]):03o}", name.lower())
    )


def _precedes(name: str, other: str) -> bool:
    """Whether AWS is sure to list ``name``, which is plain, before ``other``.

    It does not document whether it sorts names as it writes them, or by their characters.
    """
    characters = _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), _reversed(other))
    return _order(name) < min(_order(other), characters)


def _reversed(name: str) -> str:
    return "".join(f"{label}." for label in reversed(name.split(".")))


def _all(keys: Iterable[str]) -> str:
    return " and ".join(_PREFIX + key for key in keys)


def _of_type(kind: str, found: Iterable[RecordSet]) -> list[RecordSet]:
    return [each for each in found if each["Type"] == kind]


def _target(alias: RecordSet) -> str:
    """Return what a CNAME, or an alias of Route 53's own kind, points to."""
    records = alias.get("ResourceRecords")
    return _name(records[0]["Value"] if records else alias["AliasTarget"]["DNSName"])


def _name(escaped: str) -> str:
    r"""Return a domain name as AWS writes it, ``\052.example.com.``, as we do.

    A dot or a backslash in a label stays escaped, or ``a\056b.example.com`` would be another name;
    so do characters that are not printable.
    """

    def plain(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 8))
        return character if "!" <= character <= "~" and character not in ".\\" else escape[0]

    return _ESCAPE.sub(plain, escaped).rstrip(".").lower()


def _values(texts: RecordSet) -> list[str]:
    """Return the TXT values of a set, each joined from its strings."""
    return [_value(record) for record in texts.get("ResourceRecords", ())]


def _value(record: Mapping[str, str]) -> str:
    return unquoted(record["Value"], octal=True)
