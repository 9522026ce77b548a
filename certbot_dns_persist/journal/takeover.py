"""The state as earlier releases kept it, in ``records.json``, read to be taken over."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.notes import PublishedRecord

_VERSION = 1

_MEMBERS = {
    name: kind
    for name, kind in get_type_hints(PublishedRecord).items()
    if name not in ("temporary", "doubt")  # earlier releases did not note these
}


class Damaged(Exception):
    """What was read does not have the format that we write; str() says how."""


class Newer(Exception):
    """What was read is from a newer release; str() says so."""

    @classmethod
    def of(cls, version: object) -> "Newer":
        """Return what to raise for content of this ``version``."""
        return cls(
            f"it has the version {version}, which this release does not know. "
            "Update certbot-dns-persist"
        )


@dataclasses.dataclass(frozen=True)
class Earlier:
    """The content of ``records.json``."""

    records: Sequence[PublishedRecord]
    keys: Mapping[str, Sequence[str]]
    """The thumbprints of each account's keys by account URL, the current one last."""
    terms: Mapping[str, Terms]
    """What each account's CA stated last, by account URL."""
    replaced: Mapping[str, Sequence[str]]
    """The values still to be removed, by name."""
    incomplete: bool
    """Whether it lacks records that were published before it was created."""


def read(octets: bytes) -> Earlier:
    """Return what ``records.json`` holds, which may have been edited by hand.

    The first releases did not note keys and terms. Raises :class:`Damaged` or :class:`Newer`.
    """
    try:
        content = json.loads(octets)
        if content["version"] != _VERSION:
            raise Newer.of(content["version"])
        return Earlier(
            records=[_checked(entry) for entry in content["records"]],
            keys={
                str(url): [str(key) for key in known]
                for url, known in content.get("keys", {}).items()
            },
            terms={str(url): _terms(entry) for url, entry in content.get("terms", {}).items()},
            replaced={
                str(name): [str(value) for value in values]
                for name, values in content.get("replaced", {}).items()
            },
            incomplete=content.get("incomplete") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def _checked(entry: dict[str, Any]) -> PublishedRecord:
    """Return the record in ``entry``.

    Only its name and value are required. Raises :class:`TypeError` if a member has the wrong type.
    """
    members: dict[str, Any] = {"name": entry["name"], "value": entry["value"]}
    for name, kind in _MEMBERS.items():
        members.setdefault(name, entry.get(name, "" if kind is str else None))
        if not isinstance(members[name], kind):
            raise TypeError(f"{name} of a record is not of type {kind}")
    return PublishedRecord(**members)


def _terms(entry: dict[str, Any]) -> Terms:
    plain, prefix = entry.get("plain"), entry.get("hash_prefix")
    return Terms(
        issuer_domain_names=tuple(str(name) for name in entry["issuer_domain_names"]),
        plain=None if plain is None else str(plain),
        hash_prefix=None if prefix is None else str(prefix),
    )
