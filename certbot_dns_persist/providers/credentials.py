"""The credentials file: one INI file with the keys of all providers.

    dns_persist_rfc2136_server = 192.0.2.53
    dns_persist_rfc2136_name = certbot.

A file made for Certbot's own plugin of the same service works as it is: ``dns_rfc2136_server``
means what ``dns_persist_rfc2136_server`` means.

So does the key of a DNS server as ``tsig-keygen`` prints it, for BIND's ``named.conf``: it is the
name, algorithm and secret of ``dns_persist_rfc2136``, whose server is named in a line beside it.

The JSON file of a service account at Google, which certbot-dns-google takes, is one, too: it is
``dns_persist_google_service_account``.

A section named after a zone applies to the names in that zone: its keys override those at the top,
and ``dns_persist_provider`` names the provider, or several if several services serve the zone. If
several zones match, the longest counts::

    [example.com]
    dns_persist_provider = route53, cloudflare

    [example.org]
    dns_persist_provider = rfc2136
    dns_persist_rfc2136_server = 198.51.100.53

Nothing in the file is ever shown, except the names of its keys and sections.
"""

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from certbot_dns_persist import errors, files
from certbot_dns_persist.providers.common import (
    is_loopback,
    is_plugin,
    refuse_changeable,
    zones_above,
)
from certbot_dns_persist.record import normalize_domain_name
from certbot_dns_persist.shown import logger_of

logger = logger_of(__name__)

_PROVIDER = "dns_persist_provider"

#: Defaults of Certbot's own plugins, where ours differ: they apply to files made for those.
_THEIR_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "rfc2136": {"algorithm": "HMAC-MD5", "server_proto_pref": "tcp_first"}
}


_KEY_CLAUSE = re.compile(r'\s*(algorithm|secret)\s+"?([^"\s;{}]+)"?\s*;\s*')
_KEY_STATEMENT = re.compile(
    rf'^[ \t]*key\s+"?([^"\s;{{}}]+)"?\s*\{{((?:{_KEY_CLAUSE.pattern})+)\}}\s*;[ \t]*$',
    re.MULTILINE,
)
"""A key in BIND's configuration: its name, and its clauses."""

_Entries = Mapping[str, str | list[str]]


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What a credentials file says, for each name."""

    file: str | None
    """Its path; ``None`` if there is none."""
    _top: _Entries = dataclasses.field(default_factory=dict, repr=False)
    _sections: Mapping[str, _Entries] = dataclasses.field(default_factory=dict, repr=False)

    def section(self, name: str) -> str | None:
        """Return the longest zone above ``name`` that has a section; ``None`` without one."""
        return next((zone for zone in zones_above(name) if zone in self._sections), None)

    def providers(self, name: str, default: Sequence[str]) -> list[str]:
        """Return the names of the providers that write ``name``.

        ``default`` are those of the command line. They apply if the file names none; but if it has
        sections, a name that none of them covers must not fall back to ``manual`` silently.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the file has sections, but
        no provider is named for ``name``.
        """
        for entries in reversed(self._levels(name)):
            named = entries.get(_PROVIDER)
            if named is None:
                continue
            listed = named.split(",") if isinstance(named, str) else named
            return [provider.strip() for provider in listed if provider.strip()]
        if self._sections and self.section(name) is None and list(default) == ["manual"]:
            raise errors.ConfigurationError(
                f"No section of the credentials file {self.file} covers {name}; there are "
                f"[{'], ['.join(sorted(self._sections))}]. Add one named after its zone, or a "
                f"{_PROVIDER} above the sections (or --dns-persist-provider) for all others."
            )
        return list(default)

    def keys(self, provider: str, name: str) -> dict[str, str]:
        """Return the keys of ``provider`` that apply to ``name``, without their prefix.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the file gives a key two
        different values.
        """
        keys: dict[str, str] = {}
        for entries in self._levels(name):
            keys |= self._keys_of(provider, entries)
        return keys

    def _keys_of(self, provider: str, entries: _Entries) -> dict[str, str]:
        service = provider.replace("-", "_")
        ours = _with_prefix(entries, f"dns_persist_{service}_")
        theirs = _with_prefix(entries, f"dns_{service}_")
        if is_plugin(provider):
            # A bridged plugin reads the file itself; these are its other options.
            service, ours, theirs = "plugin", _with_prefix(entries, "dns_persist_plugin_"), {}
        for key in sorted(ours.keys() & theirs.keys()):
            if ours[key] != theirs[key]:
                raise errors.ConfigurationError(
                    f"The credentials file {self.file} gives one setting two different values, as "
                    f"dns_persist_{service}_{key} and as dns_{service}_{key}. Remove one of the "
                    "two lines."
                )
        found = dict(_THEIR_DEFAULTS.get(service, {})) if theirs and not ours else {}
        for key, value in (theirs | ours).items():
            if not isinstance(value, str):
                prefix = "dns_persist" if key in ours else "dns"
                raise errors.ConfigurationError(
                    f"The value of {prefix}_{service}_{key} in the credentials file {self.file} "
                    "contains a comma, which makes it a list. Put the value in double quotes."
                )
            found[key] = value
        return found

    def _levels(self, name: str) -> list[_Entries]:
        """Return the entries that apply to ``name``, the most specific last."""
        section = self.section(name)
        return [self._top] if section is None else [self._top, self._sections[section]]


def read(path: str | None) -> Credentials:
    """Return the content of the file at ``path``; nothing if that is ``None``.

    Warns of a file that everybody may read, as Certbot does.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if the file is missing, cannot be
    read or parsed, or has a section that is not named after a zone.
    """
    if path is None:
        return Credentials(None)
    text = _text(path)
    _warn_of_permissions(path)
    if text.lstrip().startswith("{"):
        return Credentials(path, {"dns_persist_google_service_account": path})
    parsed = _parse(path, text)
    sections = {}
    for title in parsed.sections:
        try:
            zone = normalize_domain_name(title)
        except ValueError as error:
            raise errors.ConfigurationError(
                f"The section [{title}] of the credentials file {path} is not named after a DNS "
                f"zone: {error}. Name it after the zone that its keys are for, as in "
                "[example.com]."
            ) from error
        if parsed[title].sections:
            raise errors.ConfigurationError(
                f"The section [{title}] of the credentials file {path} contains another section, "
                f"[[{parsed[title].sections[0]}]], which has no meaning. Remove that line."
            )
        sections[zone] = dict(parsed[title])
    top = {key: parsed[key] for key in parsed.scalars}
    return Credentials(path, top, sections)


def read_for_changes(path: str | None) -> Credentials:
    """Return the content of the file at ``path``, as :func:`read` does.

    It decides which program changes DNS, and where. So, for root, it must be a file that nobody
    else can change: else we raise :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    found = read(path)
    if path is not None:
        refuse_changeable(Path(path), f"The credentials file {path}")
    return found


def _text(path: str) -> str:
    try:
        return files.read(files.followed(Path(path))).decode("utf-8-sig")
    except FileNotFoundError:
        problem = "does not exist. Check the path given with --dns-persist-credentials"
    except IsADirectoryError:
        problem = "is a directory. Give the file in it with --dns-persist-credentials"
    except PermissionError:
        problem = (
            "may not be read by this user. Run this as its owner (root, for Certbot); to see who "
            f"that is: ls -l {shlex.quote(path)}"
        )
    except OSError as error:
        problem = f"cannot be read: {error.strerror}. Check the path and the file system"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8. Save it as such"
    # Outside the except clauses, so that no exception is chained: a decoding error holds the text.
    raise errors.ConfigurationError(f"The credentials file {path} {problem}.")


def _parse(path: str, text: str) -> Any:
    parsed, lines = _understood(text)
    if not lines:
        return parsed
    where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}"
    raise errors.ConfigurationError(
        f"The credentials file {path} cannot be parsed at {where}. A line is empty, a comment that "
        "starts with #, or KEY = VALUE with a key that occurs once; a value that contains quotes "
        "or # must be in quotes of the other kind."
    )


def _understood(text: str) -> tuple[Any, list[int]]:
    """Return what can be parsed of an INI file, and the numbers of the lines that cannot.

    Raises nothing that could be chained: configobj's exceptions contain the line itself.
    """
    import configobj

    lines = _KEY_STATEMENT.sub(_as_entries, "\n".join(text.splitlines())).splitlines()
    try:
        return configobj.ConfigObj(lines, interpolation=False), []
    except configobj.ConfigObjError as error:
        return error.config, sorted({fault.line_number for fault in error.errors})


def _as_entries(statement: re.Match[str]) -> str:
    """Return the entries that say the same, on as many lines."""
    said = {"name": statement[1], **dict(_KEY_CLAUSE.findall(statement[2]))}
    said = {key: said[key] for key in ("name", "algorithm", "secret") if key in said}
    lines = [f'dns_persist_rfc2136_{key} = "{value}"' for key, value in said.items()]
    return "\n".join([*lines, *[""] * (statement[0].count("\n") + 1 - len(lines))])


def entries(path: str) -> list[tuple[str, str]]:
    """Return every key and value in any credentials file, INI or JSON.

    As far as it can be read and parsed: this is for finding out what may be a secret.
    """
    try:
        text = files.read(files.followed(Path(path).expanduser())).decode("utf-8-sig", "replace")
    except OSError:
        return []
    try:
        return list(_leaves("", json.loads(text)))
    except RecursionError:  # JSON may nest as deep as it likes
        return []
    except ValueError:
        return list(_leaves("", _understood(text)[0]))


def names_this_machine(path: str | None) -> bool:
    """Whether the file at ``path`` says that a DNS server is on this machine."""
    named = [value for key, value in entries(path) if key.endswith("_server")] if path else []
    return any(map(is_loopback, named))


def _leaves(key: str, node: object) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _leaves(name, child)
    elif isinstance(node, list):
        for child in node:
            yield from _leaves(key, child)
    elif isinstance(node, str):
        yield key, node


def _with_prefix(entries: _Entries, prefix: str) -> dict[str, str | list[str]]:
    return {key[len(prefix) :]: entries[key] for key in entries if key.startswith(prefix)}


def _warn_of_permissions(path: str) -> None:
    from certbot.compat import filesystem

    if filesystem.has_world_permissions(path):
        logger.warning(
            "Unsafe permissions on credentials configuration file: %s. Fix them with: chmod 600 %s",
            path,
            shlex.quote(path),
        )
