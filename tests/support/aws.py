"""Route 53 on this machine: moto keeps zones and records, and a front is as strict as AWS.

What AWS enforces and moto does not: DELETE needs the record set exactly as it is, CREATE needs that
there is none, and a batch is atomic. TXT values have a form, an alias must be alone, a change is
pending for a while, and a policy says who may do what. A :class:`Fault` makes requests fail::

    with Aws() as aws:
        zone = aws.add_zone("example.test")
        aws.faults.append(Fault("ChangeResourceRecordSets", times=2, code="Throttling"))

Faults and policies do not apply to requests signed with :data:`ADMIN`: those come from the test
itself. Signatures are not checked.
"""

import dataclasses
import fnmatch
import functools
import io
import itertools
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import boto3
import botocore.session
import dns.exception
import dns.rdata
from botocore.config import Config
from dns.rdataclass import IN
from dns.rdatatype import TXT
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.route53.models import route53_backends
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

from .nameserver import Zones
from .stoppable import Stoppable

# What each session would read anew, for a tenth of a second.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

ADMIN = "AKIAADMIN"
"""The access key of the test itself."""

NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"

OPERATIONS = {
    ("GET", "hostedzone"): "ListHostedZones",
    ("POST", "hostedzone"): "CreateHostedZone",
    ("GET", "hostedzone/*"): "GetHostedZone",
    ("GET", "hostedzone/*/rrset"): "ListResourceRecordSets",
    ("POST", "hostedzone/*/rrset"): "ChangeResourceRecordSets",
    ("GET", "change/*"): "GetChange",
    ("POST", ""): "AssumeRole",  # of STS, which shares the endpoint
}
"""Those that are used here, by method and path."""

_zone_numbers = itertools.count(1)


@dataclasses.dataclass
class Fault:
    """How requests fail."""

    operation: str = "*"
    """Which requests, as AWS calls them."""
    times: float = math.inf
    """How many of them."""
    code: str | None = None
    """An error of AWS's is answered, with ``status`` and ``words``."""
    status: int = 400
    words: str = "These are the words of the test."
    """``{token}`` is replaced with the session token of the request."""
    body: str | None = None
    """The answer is this."""
    hang_up: bool = False
    """There is no answer: the connection ends."""
    delay: float = 0.0
    """Seconds before the answer."""
    meanwhile: Callable[[], object] | None = None
    """Called first; it does not change the answer."""
    done: bool = False
    """Only the answer is wrong: the request is carried out."""

    @property
    def answers(self) -> bool:
        return self.code is not None or self.body is not None or self.hang_up


@dataclasses.dataclass(frozen=True)
class Request:
    """One request of Route 53's API."""

    operation: str
    resource: str
    """The ARN, ``*`` where the operation has none."""
    body: bytes
    access_key: str
    token: str
    environ: dict[str, Any]

    @classmethod
    def parse(cls, environ: dict[str, Any]) -> "Request":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        path = environ["PATH_INFO"].removeprefix("/2013-04-01/").strip("/")
        parts = path.split("/")
        shape = "/".join("*" if at == 1 else part for at, part in enumerate(parts))
        signed = environ.get("HTTP_AUTHORIZATION", "")
        key = re.search("Credential=([^/]+)/", signed)
        return cls(
            operation=OPERATIONS.get((environ["REQUEST_METHOD"], shape), shape),
            resource=f"arn:aws:route53:::{'/'.join(parts[:2])}" if len(parts) > 1 else "*",
            body=environ["wsgi.input"].read(length),
            access_key=key[1] if key else "",
            token=environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""),
            environ=environ,
        )


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


@dataclasses.dataclass(frozen=True)
class Change:
    """One element of a change batch."""

    action: str
    name: str
    type: str
    element: ElementTree.Element

    @classmethod
    def parse(cls, element: ElementTree.Element) -> "Change":
        name = element.find(_tag("ResourceRecordSet", "Name"))
        assert name is not None
        name.text = _unescaped(name.text or "").rstrip(".") + "."
        kind = element.findtext(_tag("ResourceRecordSet", "Type"), "")
        return cls(element.findtext(_tag("Action"), ""), name.text, kind, element)

    @property
    def record_set(self) -> ElementTree.Element:
        found = self.element.find(_tag("ResourceRecordSet"))
        assert found is not None
        return found

    @property
    def key(self) -> tuple[str, str, str]:
        return self.name, self.type, self.record_set.findtext(_tag("SetIdentifier"), "")


class Aws(Stoppable):
    """One AWS account with Route 53, from construction until :meth:`stop`."""

    def __init__(self, served: Zones | None = None) -> None:
        """``served`` are the zones of Route 53's name servers: they get what is changed here."""
        self.faults: list[Fault] = []
        self.policy: Mapping[str, Any] | None = None
        """An IAM policy document; without, everything is allowed."""
        self.pending = 1
        """How often a change is called pending before it is in sync."""
        self.requests: list[Request] = []
        """All requests, oldest first, except the admin's."""
        self.served = served
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._respond, threaded=True, request_handler=_Handler
        )
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.admin = boto3.client(
            "route53",
            endpoint_url=self.endpoint,
            aws_access_key_id=ADMIN,
            aws_secret_access_key="admin",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=50),
        )

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that uses this account."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",  # needed only beside an endpoint of one's own
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/secret",
            "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjE-session-token",
        }

    def count(self, operation: str) -> int:
        """Return how many requests there were for an operation."""
        return [request.operation for request in self.requests].count(operation)

    def add_zone(self, name: str, *, private: bool = False) -> str:
        """Make a hosted zone; return its id."""
        more: dict[str, Any] = {}
        if private:
            more["VPC"] = {"VPCRegion": "us-east-1", "VPCId": "vpc-1"}
            more["HostedZoneConfig"] = {"PrivateZone": True}
        zone = self.admin.create_hosted_zone(
            Name=name, CallerReference=str(next(_zone_numbers)), **more
        )
        zone_id: str = zone["HostedZone"]["Id"].removeprefix("/hostedzone/")
        return zone_id

    def change(self, zone: str, action: str, name: str, values: Iterable[str], **more: Any) -> None:
        """Change a record set. ``values`` are written as AWS writes them: ``'"quoted"'``.

        It is TXT with a TTL of 300 seconds, unless ``more`` says something else. Without values it
        has neither.
        """
        records = [{"Value": value} for value in values]
        plain = {"ResourceRecords": records, "TTL": 300} if records else {}
        target = {"Name": name, "Type": "TXT", **plain, **more}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": target}]}
        self.admin.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def create(self, zone: str, name: str, *values: str, **more: Any) -> None:
        self.change(zone, "CREATE", name, values, **more)

    def record_sets(self, zone: str, name: str) -> list[dict[str, Any]]:
        """Return all record sets at a name, as boto3 has them."""
        found = self.admin.list_resource_record_sets(HostedZoneId=zone, StartRecordName=name)
        return [each for each in found["ResourceRecordSets"] if each["Name"] == f"{name}."]

    def written(self, zone: str, name: str) -> list[str]:
        """Return the TXT values at a name as AWS writes them, sorted."""
        sets = self.record_sets(zone, name)
        return sorted(record["Value"] for each in sets for record in each["ResourceRecords"])

    def ttl(self, zone: str, name: str) -> int:
        """Return the TTL of the one record set at a name."""
        (only,) = self.record_sets(zone, name)
        ttl: int = only["TTL"]
        return ttl

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for account in route53_backends.values():
            for backend in account.values():
                backend.reset()

    # The front.

    def _respond(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request.parse(environ)
        if request.access_key == ADMIN:
            answer: Answer | None = self._carry_out(request)
        else:
            self.requests.append(request)
            answer = self._as_things_are(request)
        if answer is None:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        start_response(f"{answer.status} .", [("Content-Type", "text/xml")])
        return [answer.body]

    def _as_things_are(self, request: Request) -> Answer | None:
        """Return the answer to a client, with faults and policy; ``None`` for no answer."""
        fault = self._next_fault(request.operation)
        if fault.meanwhile:
            fault.meanwhile()
        time.sleep(fault.delay)
        answer: Answer | None = None
        if fault.done or not fault.answers:
            answer = self._authorize(request) or self._carry_out(request)
        if fault.code is not None:
            words = fault.words.format(token=request.token)
            answer = _error(fault.code, words, fault.status)
        elif fault.body is not None:
            answer = Answer(200, fault.body.encode())
        return None if fault.hang_up else answer

    def _next_fault(self, operation: str) -> Fault:
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and fault.operation in ("*", operation):
                    fault.times -= 1
                    return fault
        return Fault()

    def _authorize(self, request: Request) -> Answer | None:
        action = f"route53:{request.operation}"
        if self.policy is None or _allows(
            self.policy["Statement"], action, request.resource, _context(request)
        ):
            return None
        return _error(
            "AccessDenied",
            f"User: arn:aws:iam::123456789012:user/certbot is not authorized to perform: {action} "
            f"because no identity-based policy allows the {action} action",
            403,
        )

    def _carry_out(self, request: Request) -> Answer:
        if request.operation == "ChangeResourceRecordSets":
            with self._lock:
                return self._change(request)
        if request.operation == "GetChange":
            with self._lock:
                return self._get_change(request.resource.rpartition("/")[2])
        answer = self._ask_moto(request.environ, request.body)
        names = re.sub(
            b"(?<=<Name>)[^<]+", lambda name: _escaped(name[0].decode()).encode(), answer.body
        )
        return Answer(answer.status, names)

    def _get_change(self, change: str) -> Answer:
        self._asked[change] += 1
        status = "PENDING" if self._asked[change] <= self.pending else "INSYNC"
        return _answer("GetChangeResponse", _change_info(change, status))

    def _change(self, request: Request) -> Answer:
        batch = ElementTree.fromstring(request.body)  # noqa: S314 - boto3 wrote it
        changes = [Change.parse(element) for element in batch.iter(_tag("Change"))]
        values = [value.text or "" for value in batch.iter(_tag("Value"))]
        if len(values) > 1000:
            return _error("InvalidChangeBatch", "[Number of records limit of 1000 exceeded.]")
        if sum(map(len, values)) > 32_000:
            return _error("InvalidChangeBatch", "[Number of characters limit of 32000 exceeded.]")
        now: dict[str, dict[tuple[str, str, str], ElementTree.Element]] = {}
        for change in changes:
            if change.name not in now:
                now[change.name] = self._record_sets_now(request, change.name)
        faults: list[str] = []
        for change in changes:
            faults += _faults(change, now[change.name])
            if change.action == "DELETE":
                now[change.name].pop(change.key, None)
            else:
                now[change.name][change.key] = change.record_set
        if faults:
            return _error("InvalidChangeBatch", f"[{', '.join(faults)}]")

        # moto's DELETE and CREATE do not check what is there, so send it the result instead.
        (container,) = batch.iter(_tag("Changes"))
        for change in changes:
            stays = change.key in now[change.name]
            if stays and change.action == "DELETE":
                container.remove(change.element)
            elif stays:
                change.element.find(_tag("Action")).text = "UPSERT"  # type: ignore[union-attr]
        answer = self._ask_moto(request.environ, ElementTree.tostring(batch))
        assert answer.status == 200, answer.body
        self._serve(changes, now)
        change_id = f"C{len(self._asked)}"
        self._asked[change_id] = 0
        return _answer("ChangeResourceRecordSetsResponse", _change_info(change_id, "PENDING"))

    def _record_sets_now(
        self, request: Request, name: str
    ) -> dict[tuple[str, str, str], ElementTree.Element]:
        environ = request.environ | {"REQUEST_METHOD": "GET", "QUERY_STRING": f"name={name}"}
        listed = ElementTree.fromstring(self._ask_moto(environ, b"").body)  # noqa: S314
        found = {}
        for element in listed.iter(_tag("ResourceRecordSet")):
            change = ElementTree.Element(_tag("Change"))
            change.append(element)
            parsed = Change.parse(change)
            if parsed.name == name:
                found[parsed.key] = element
        return found

    def _ask_moto(self, environ: Mapping[str, Any], body: bytes) -> Answer:
        forwarded = {
            **environ,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
        }
        chunks, status, _ = run_wsgi_app(self._moto, forwarded, buffered=True)
        return Answer(int(status.split()[0]), b"".join(chunks))

    def _serve(
        self,
        changes: Sequence[Change],
        now: Mapping[str, Mapping[tuple[str, str, str], ElementTree.Element]],
    ) -> None:
        """Have the name servers serve what stands at the names that were changed."""
        if self.served is None:
            return
        for name in {change.name for change in changes if change.type == "TXT"}:
            values, ttl = [], 1
            for (_, kind, _), record_set in now[name].items():
                if kind == "TXT":
                    values += [read(value.text or "") for value in record_set.iter(_tag("Value"))]
                    ttl = int(record_set.findtext(_tag("TTL"), "1"))
            self.served.set_values(name, values, ttl)


class _Handler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def read(written: str) -> str:
    """Return the text of a TXT value as AWS writes it.

    Its escapes are octal, those of zone files (RFC 1035 section 5.1) decimal.

    Raises :class:`dns.exception.SyntaxError`.
    """
    zone_file = re.sub(
        r"\\(?:([0-3][0-7]{2})|(.))",
        lambda escape: f"\\{int(escape[1], 8):03d}" if escape[1] else f"\\{escape[2]}",
        written,
    )
    rdata: Any = dns.rdata.from_text(IN, TXT, zone_file)
    octets: bytes = b"".join(rdata.strings)
    return octets.decode("utf-8", "surrogateescape")


def _faults(
    change: Change, now: Mapping[tuple[str, str, str], ElementTree.Element]
) -> Iterable[str]:
    """Yield why a change is impossible while ``now`` is at its name, in AWS's words."""
    target = f"resource record set [name='{change.name}', type='{change.type}']"
    standing = now.get(change.key)
    if change.action == "DELETE":
        if standing is None:
            yield f"Tried to delete {target} but it was not found"
        elif _plain(standing) != _plain(change.record_set):
            yield (
                f"Tried to delete {target} but the values provided do not match the current values"
            )
        return
    if change.action == "CREATE" and standing is not None:
        yield f"Tried to create {target} but it already exists"
    for _, other, _ in now:
        if other != change.type and "CNAME" in (other, change.type):
            yield (
                f"RRSet of type {change.type} with DNS name {change.name} is not permitted as a "
                f"conflicting RRSet of type {other} with the same DNS name already exists"
            )
    values = [value.text or "" for value in change.record_set.iter(_tag("Value"))]
    if len(values) != len(set(values)):
        yield f"Duplicate Resource Record: '{values}'"
    if change.type == "TXT":
        yield from filter(None, map(_malformed, values))


def _malformed(value: str) -> str | None:
    words = "Invalid Resource Record: 'FATAL problem: InvalidCharacterString"
    if not re.fullmatch(r'"([ -!#-\[\]-~]|\\.)*"( "([ -!#-\[\]-~]|\\.)*")*', value):
        return f"{words} (Value should be enclosed in quotation marks) encountered with '{value}''"
    try:
        read(value)
    except dns.exception.SyntaxError:
        return f"{words}: CharacterStringTooLong (Value is too long) encountered with '{value}''"
    return None


def _plain(element: ElementTree.Element) -> Any:
    """Return an element's content so that equal ones compare equal, in whatever order."""
    if len(element) == 0:
        return element.text or ""
    return sorted((child.tag, _plain(child)) for child in element)


def _allows(
    statements: Sequence[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Mapping[str, Sequence[str]],
) -> bool:
    """Whether one of these IAM statements, all with the effect Allow, allows an action."""
    return any(
        _matches(action, statement["Action"])
        and _matches(resource, statement["Resource"])
        and all(
            all(_matches(value, patterns) for value in context[key])
            for operator, keys in statement.get("Condition", {}).items()
            for key, patterns in keys.items()
            if operator in ("ForAllValues:StringEquals", "ForAllValues:StringLike")
        )
        for statement in statements
    )


def _matches(value: str, patterns: str | Sequence[str]) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _context(request: Request) -> dict[str, list[str]]:
    """Return Route 53's condition keys for a request."""
    if request.operation != "ChangeResourceRecordSets":
        return {}
    batch = ElementTree.fromstring(request.body)  # noqa: S314
    changes = [Change.parse(element) for element in batch.iter(_tag("Change"))]
    prefix = "route53:ChangeResourceRecordSets"
    return {
        f"{prefix}NormalizedRecordNames": [
            _escaped(change.name).lower().rstrip(".") for change in changes
        ],
        f"{prefix}RecordTypes": [change.type for change in changes],
        f"{prefix}Actions": [change.action for change in changes],
    }


def _escaped(name: str) -> str:
    """Write a name as AWS does, with octal escapes."""
    return re.sub(r"(\\[0-7]{3})|[^A-Za-z0-9._-]", lambda at: at[1] or f"\\{ord(at[0]):03o}", name)


def _unescaped(name: str) -> str:
    """Return a name with its characters, except what would not be the same name or XML then."""

    def plain(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 8))
        return character if "!" <= character <= "~" and character not in ".\\" else escape[0]

    return re.sub(r"\\([0-7]{3})", plain, name)


def _tag(*names: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{name}" for name in names)


def _change_info(change: str, status: str) -> str:
    return (
        f"<ChangeInfo><Id>/change/{change}</Id><Status>{status}</Status>"
        "<SubmittedAt>2024-01-01T00:00:00Z</SubmittedAt></ChangeInfo>"
    )


def _error(code: str, words: str, status: int = 400) -> Answer:
    what = f"<Type>Sender</Type><Code>{code}</Code><Message>{escape(words)}</Message>"
    request = "<RequestId>b25f48e8-84fd-11e6-80d9-574e0c4664cb</RequestId>"
    return _answer("ErrorResponse", f"<Error>{what}</Error>{request}", status)


def _answer(tag: str, content: str, status: int = 200) -> Answer:
    return Answer(status, f'<{tag} xmlns="{NAMESPACE}">{content}</{tag}>'.encode())
