"""Google Cloud DNS, through its API (https://cloud.google.com/dns/docs/reference/rest/v1).

Keys in the credentials file, each with the prefix ``dns_persist_google_``, all of them optional:

===================  ============================================================================
``service_account``  the JSON file of a service account, or another JSON file of Google's for
                     credentials, such as one for workload identity federation
``project``          the project that has the zones (default: the one of those credentials)
``managed_zone``     write to the managed zone of this name, and to no other
``metadata``         ``true``: this is a machine of Google's, whose metadata service is to be
                     asked for credentials; nobody asks it otherwise
===================  ============================================================================

A JSON file of a service account, as certbot-dns-google takes, may also be given in place of the
credentials file. Without keys, credentials come from where Google's programs look for them
(application default credentials): the file in ``GOOGLE_APPLICATION_CREDENTIALS``, or the one that
``gcloud auth application-default login`` writes. ``google-auth`` turns them into access tokens.

The service has record sets: all TXT records at a name, with one TTL. A change is atomic: it fails
unless its deletions are exactly what is there, and its additions are new. So each change deletes
what was read and adds what should be there; if another program was faster, it starts again. All
records that are missing in a zone are added in one change.
"""

import functools
import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from certbot_dns_persist import errors, files
from certbot_dns_persist.providers.common import missing_package, refuse_changeable
from certbot_dns_persist.providers.http import (
    FailedError,
    HttpManyProvider,
    RacedError,
    Text,
    Texts,
    Zone,
)
from certbot_dns_persist.providers.interface import Addition, Settings
from certbot_dns_persist.value.txt import quoted, unquoted

_SCOPE = "https://www.googleapis.com/auth/ndev.clouddns.readwrite"
_PAGE = 1000  # record sets; Google may send fewer
_PERMISSIONS = (
    "dns.changes.create, dns.managedZones.list, dns.resourceRecordSets.create, .delete, .list and "
    ".update"
)


class Google(HttpManyProvider):
    """The public managed zones of one project."""

    LABEL = "google"
    SERVICE = "Google Cloud DNS"
    URL = "https://dns.googleapis.com"
    HINT = "Look at https://status.cloud.google.com"
    KEYS = frozenset({"service_account", "project", "managed_zone", "metadata", "api_url"})

    def __init__(self, settings: Settings) -> None:
        """Check the settings, as :class:`HttpManyProvider` does, and read files of credentials."""
        super().__init__(settings)
        for logger in ("google", "urllib3.util.retry"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        try:
            import google.auth  # noqa: F401
        except ImportError as error:
            raise missing_package("google", "google-auth") from error
        metadata = self._flag("metadata")
        self._source = ""
        self._project = self._get("project")
        self._credentials = self._from_metadata() if metadata else self._from_file()
        if not self._project:
            raise errors.ConfigurationError(
                f"{self._source} name no project. Put the one that has the zones into "
                f"{self._file}: {self._key('project')} = ID"
            )

    def _from_metadata(self) -> Any:
        import google.auth.compute_engine as compute_engine

        if self._get("service_account"):
            raise errors.ConfigurationError(
                f"{self._key('metadata')} and {self._key('service_account')} in {self._file} "
                "exclude each other. Remove one of the two lines."
            )
        self._source = "the credentials of this machine's metadata service"
        return compute_engine.Credentials(scopes=[_SCOPE])

    def _from_file(self) -> Any:
        import google.auth
        from google.auth.exceptions import GoogleAuthError

        given = self._get("service_account") or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        config = os.environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
        path = Path(given or f"{config}/application_default_credentials.json").expanduser()
        self._source = f"the credentials in {path}"
        refuse_changeable(path, f"The file {path}")
        try:
            info = json.loads(files.read(files.followed(path)))
            with warnings.catch_warnings():
                # Of files by strangers; this one is the user's, and nobody else can change it.
                warnings.simplefilter("ignore", DeprecationWarning)
                found, project = google.auth.load_credentials_from_dict(info, scopes=[_SCOPE])
        except FileNotFoundError:
            problem = "no such file"
        except OSError as error:
            problem = str(error.strerror)
        except (GoogleAuthError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"it is not what Google writes ({type(error).__name__})"
        else:
            self._project = self._project or project or info.get("quota_project_id") or ""
            return found
        # Outside the except clauses, so that no exception is chained: they may quote the file.
        raise errors.ConfigurationError(
            f"The provider google cannot read {path}: {problem}. Put the path of a service "
            f"account's JSON file into {self._file} as {self._key('service_account')}, or give "
            "that file itself with --dns-persist-credentials; on a machine of Google's, put "
            f"{self._key('metadata')} = true there."
        )

    def _headers(self) -> Mapping[str, str]:
        from google.auth.exceptions import GoogleAuthError, TransportError

        headers: dict[str, str] = {}
        try:
            self._credentials.before_request(self._transport, "GET", self._url, headers)
            self._hide(str(self._credentials.token))
            return headers
        except (GoogleAuthError, ValueError) as error:
            words = f"gives no access token ({type(error).__name__})"
            may_pass = isinstance(error, TransportError) or getattr(error, "retryable", False)
        advice = f"It was asked with {self._source}. " + (
            "Check this machine's network, and HTTPS_PROXY if it needs a proxy"
            if may_pass
            else "They were deleted or disabled, or this machine's clock is wrong; see: gcloud iam "
            "service-accounts keys list"
        )
        # Outside the except clause, so that no exception is chained: they quote answers.
        raise FailedError(words, advice, may_pass=may_pass)

    @functools.cached_property
    def _transport(self) -> Any:
        from google.auth.transport.requests import Request

        return functools.partial(Request(), timeout=30)

    def _said(self, body: Any) -> tuple[str, str]:
        error = body["error"]
        reasons = [each.get("reason", "") for each in error.get("errors", ())]
        return str(next(iter(reasons), "")), str(error["message"])

    def _advice(self, failed: FailedError) -> str:
        if failed.status in (401, 403) and failed.code not in _TOO_FAST:
            return (
                f"In the project {self._project}, the account needs the permissions {_PERMISSIONS} "
                "(examples/google-role.yaml of certbot-dns-persist), and the API must be enabled: "
                f"gcloud services enable dns.googleapis.com. It is the one of {self._source}"
            )
        return super()._advice(failed)

    @property
    def _whose(self) -> str:
        return f"{self._source} for the project {self._project}"

    def _zones_called(self, name: str) -> list[Zone]:
        def fetch(token: str) -> tuple[list[Any], str | None]:
            query = {"dnsName": f"{name}."} | ({"pageToken": token} if token else {})
            answer = self._send("GET", self._path("managedZones"), query=query)
            with self._documented():
                return answer.get("managedZones", []), answer.get("nextPageToken")

        rows = self._pages(fetch, "")
        only = self._get("managed_zone")
        with self._documented():
            zones = [Zone(row["dnsName"].rstrip("."), row["name"], row) for row in rows]
            return [zone for zone in zones if only in ("", zone.id)]

    def _unserved(self, zone: Zone) -> str | None:
        if zone.row.get("visibility") == "private":
            return f"the managed zone {zone.id} is private, so no CA sees it"
        return None

    def _how_to_choose(self) -> str:
        return (
            "Compare their name servers (gcloud dns managed-zones describe NAME) with the domain's "
            f"NS records, and put the one that serves it into {self._file}: "
            f"{self._key('managed_zone')} = NAME"
        )

    def _read_many(self, zone: Zone, names: Sequence[str]) -> dict[str, Texts]:
        rows = self._listed(zone, len(names)) if len(names) > 1 else None
        if rows is None:
            queries = [{"name": f"{name}.", "type": "TXT"} for name in names]
            rows = [row for query in queries for row in self._page(zone, query)[0]]
        with self._documented():
            sets = {row["name"].lower(): row for row in rows}
            found = {name: sets.get(f"{name}.") for name in names}
            return {name: _texts(row) if row else Texts() for name, row in found.items()}

    def _listed(self, zone: Zone, most: int) -> list[Any] | None:
        """Return the TXT record sets of a zone; ``None`` if there are more than ``most`` pages."""
        rows: list[Any] = []
        more: dict[str, str] = {}
        for _ in range(most):
            page, token = self._page(zone, {"maxResults": str(_PAGE), **more})
            rows += page
            if not token:
                return rows
            more = {"pageToken": token}
        return None

    def _page(self, zone: Zone, query: Mapping[str, str]) -> tuple[list[Any], str | None]:
        """Return the TXT record sets on a page, and what the next one is asked for with."""
        answer = self._send("GET", self._path("managedZones", zone.id, "rrsets"), query=query)
        with self._documented():
            rows = [row for row in answer.get("rrsets", []) if row["type"] == "TXT"]
            return rows, answer.get("nextPageToken")

    def _check_changeable(self, found: Texts) -> None:
        if found.row and "routingPolicy" in found.row:
            raise FailedError(
                "has a routing policy for these records, which a change would undo",
                "Replace it with a plain record set with the same values, then try again",
            )

    def _insert_many(
        self, zone: Zone, additions: Sequence[Addition], found: Mapping[str, Texts]
    ) -> None:
        before = [found[each.name].row for each in additions if found[each.name].row]
        after = [_with(found[each.name].row, each) for each in additions]
        self._replace(zone, before, after)

    def _delete(self, zone: Zone, name: str, value: str, found: Texts) -> None:
        self._check_changeable(found)
        left = [record.row for record in found.records if record.value != value]
        after = [_set(found.row, left)] if left else []
        self._replace(zone, [found.row], after)

    def _replace(self, zone: Zone, before: Sequence[Any], after: Sequence[Any]) -> None:
        """Delete exactly the record sets ``before``, and create those ``after``; all or none."""
        change = {"deletions": before, "additions": after}
        change = {kind: sets for kind, sets in change.items() if sets}
        try:
            self._send("POST", self._path("managedZones", zone.id, "changes"), body=change)
        except FailedError as failed:
            # Deletions that are not there, or not so; additions that are there.
            if failed.status in (404, 409, 412) and "entity.change" in failed.words:
                raced = RacedError(failed)
            else:
                raise
        else:
            return
        raise raced

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            return self._request(method, path, **arguments)
        except FailedError as failed:
            if failed.code in _TOO_FAST:  # Google answers 403 for that
                failed.status, failed.may_pass = 429, True
                failed.advice = self._advice(failed)
            raise

    def _path(self, *parts: str) -> str:
        parts = tuple(quote(part, safe="") for part in ("projects", self._project, *parts))
        return "/dns/v1/" + "/".join(parts)


def _texts(row: Any) -> Texts:
    """Return the TXT records of a record set as the API shows it."""
    ttl = int(row["ttl"])
    # With a routing policy they are in there: we see them, and change nothing.
    texts = [*row.get("rrdatas", ()), *_rrdatas(row.get("routingPolicy"))]
    return Texts([Text(unquoted(text), ttl, text) for text in texts], row)


def _with(row: Any, addition: Addition) -> Any:
    """Return a record set as it was, or a new one if it is ``None``, with one record more."""
    row = row or {"name": f"{addition.name}.", "type": "TXT", "ttl": addition.ttl}
    return _set(row, [*row.get("rrdatas", ()), quoted(addition.value)])


def _set(row: Any, texts: list[Any]) -> Any:
    """Return a record set with the name and TTL of another, and these records."""
    return {key: row[key] for key in ("name", "type", "ttl")} | {"rrdatas": texts}


def _rrdatas(node: Any) -> list[Any]:
    """Return all record data somewhere in a routing policy, of which there are several kinds."""
    if isinstance(node, list):
        return [text for child in node for text in _rrdatas(child)]
    if not isinstance(node, dict):
        return []
    return [*node.get("rrdatas", ()), *_rrdatas([*node.values()])]


_TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
