"""The credentials file: one INI file with the keys of all providers.

    dns_persist_rfc2136_server = 192.0.2.53
    dns_persist_rfc2136_name = certbot.

A file made for Certbot's own plugin of the same service works as it is: ``dns_rfc2136_server``
means what ``dns_persist_rfc2136_server`` means.

Nothing that stands in the file is ever shown, except the names of its keys and sections.
"""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path

from certbot_dns_persist import errors

logger = logging.getLogger(__name__)

#: What Certbot's own plugin of a service takes for a key that its file does not have, where our
#: provider takes something else.
_THEIR_DEFAULTS: Mapping[str, Mapping[str, str]] = {"rfc2136": {"algorithm": "HMAC-MD5"}}


def read(path: str | None, provider: str) -> dict[str, str]:
    """Return the keys that the file at ``path`` holds for ``provider``, without their prefix.

    ``None``, for no file, has no keys. A file that everybody may read is warned about, as Certbot
    does.

    :raises errors.ConfigurationError: the file is missing, cannot be read or understood, or says
        two different things of one key.
    """
    if path is None:
        return {}
    entries = _parse(path, _text(path))
    _warn_of_permissions(path)

    service = provider.replace("-", "_")
    ours = _with_prefix(entries, f"dns_persist_{service}_")
    theirs = _with_prefix(entries, f"dns_{service}_")
    for key in sorted(ours.keys() & theirs.keys()):
        if ours[key] != theirs[key]:
            raise errors.ConfigurationError(
                f"The credentials file {path} gives two different values to one thing: "
                f"dns_persist_{service}_{key} and dns_{service}_{key}. Remove one of the two lines."
            )
    found = dict(_THEIR_DEFAULTS.get(service, {})) if theirs and not ours else {}
    for key, value in (theirs | ours).items():
        if not isinstance(value, str):
            prefix = "dns_persist" if key in ours else "dns"
            raise errors.ConfigurationError(
                f"The value of {prefix}_{service}_{key} in the credentials file {path} holds a "
                "comma, which makes a list of it. Put the value between double quotes."
            )
        found[key] = value
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = "does not exist. Check the path given with --dns-persist-credentials"
    except IsADirectoryError:
        problem = "is a directory. Give the file in it with --dns-persist-credentials"
    except PermissionError:
        problem = (
            "may not be read by the user that runs this. Run as its owner (root, for Certbot), or "
            f"see who that is with: ls -l {shlex.quote(path)}"
        )
    except OSError as error:
        problem = f"cannot be read: {error.strerror}. Check the path and the file system"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8. Save it as such"
    # Outside the except clauses, so that no exception is chained: a decoding error holds the text.
    raise errors.ConfigurationError(f"The credentials file {path} {problem}.")


def _parse(path: str, text: str) -> Mapping[str, str | list[str]]:
    import configobj

    try:
        parsed = configobj.ConfigObj(text.splitlines(), interpolation=False)
    except configobj.ConfigObjError as error:
        lines = sorted({fault.line_number for fault in error.errors})
    else:
        if parsed.sections:
            raise errors.ConfigurationError(
                f"The credentials file {path} has a section, [{parsed.sections[0]}]. Sections are "
                "not understood yet: move its keys above it, or into a file of their own, and "
                "delete the line."
            )
        return dict(parsed)
    # Outside the except clause, so that no exception is chained: configobj's hold the line itself.
    where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}"
    raise errors.ConfigurationError(
        f"The credentials file {path} cannot be understood at {where}. A line is empty, a comment "
        "that starts with #, or KEY = VALUE with a key that stands there once; a value with quotes "
        "or # in it goes between quotes of the other kind."
    )


def _with_prefix(entries: Mapping[str, str | list[str]], prefix: str) -> dict[str, str | list[str]]:
    return {key[len(prefix) :]: entries[key] for key in entries if key.startswith(prefix)}


def _warn_of_permissions(path: str) -> None:
    from certbot.compat import filesystem

    if filesystem.has_world_permissions(path):
        logger.warning(
            "Unsafe permissions on credentials configuration file: %s. Mend them with: "
            "chmod 600 %s",
            path,
            shlex.quote(path),
        )
