"""Certbot's lineages: the names in each certificate, and the options that it is renewed with."""

import ast
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

from configobj import ConfigObj, ConfigObjError

from certbot_dns_persist import files
from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.certificate import names_of_certificate

AUTHENTICATOR = "dns-persist"

#: The prefix of our options in the renewal configuration, as in ``dns_persist_ttl``.
_PREFIX = "dns_persist_"


@dataclasses.dataclass(frozen=True)
class Lineage:
    """One certificate that Certbot renews, as its renewal configuration describes it."""

    name: str
    path: Path
    """The renewal configuration."""
    authenticator: str
    domains: tuple[str, ...]
    """The names in the current certificate, sorted, wildcards with their ``*.``.

    Empty if another authenticator renews it: then we do not read the certificate.
    """
    server: str
    """The CA's ACME directory URL."""
    account: str
    """Certbot's id of the ACME account."""
    options: Mapping[str, str | bool]
    """Our options that were set, by name without prefix."""


def lineage_names(config_dir: Path) -> list[str]:
    """Return the names of all lineages, sorted; none if Certbot has never run.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if they cannot be listed.
    """
    directory = config_dir / "renewal"
    try:
        return sorted(path.stem for path in directory.iterdir() if path.suffix == ".conf")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(
            f"Certbot's renewal configurations in {directory} cannot be listed: "
            f"{error.strerror}. Run this as the user that runs Certbot, usually root."
        ) from error


def our_lineages(config_dir: Path) -> tuple[list[Lineage], list[str]]:
    """Return the lineages that our authenticator renews, and for each unreadable one why.

    Both are sorted by the lineages' names.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if they cannot be listed.
    """
    lineages, unusable = [], []
    for name in lineage_names(config_dir):
        try:
            lineage = read_lineage(config_dir, name)
        except ConfigurationError as error:
            unusable.append(str(error))
            continue
        if lineage.authenticator == AUTHENTICATOR:
            lineages.append(lineage)
    return lineages, unusable


def read_lineage(config_dir: Path, name: str) -> Lineage:
    """Return the lineage called ``name``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is none, or if its
    renewal configuration or its certificate cannot be read.
    """
    path = config_dir / "renewal" / f"{name}.conf"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        content = ConfigObj(lines, interpolation=False)
        certificate, parameters = _text(content, "cert"), content.get("renewalparams")
        server, account = _text(parameters, "server"), _text(parameters, "account", "")
        authenticator = _text(parameters, "authenticator", "")
    except (OSError, ConfigObjError, UnicodeDecodeError, _Unusable) as error:
        raise ConfigurationError(
            f"Certbot's renewal configuration {path} cannot be used: {_reason(error)}. The "
            f"certificates of {config_dir} are: {', '.join(lineage_names(config_dir)) or 'none'}."
        ) from error
    try:
        domains = names_of_certificate(Path(certificate)) if authenticator == AUTHENTICATOR else ()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The certificate {certificate} of the lineage {name} cannot be read: "
            f"{_reason(error)}. So its names are unknown."
        ) from error
    return Lineage(
        name=name,
        path=path,
        authenticator=authenticator,
        domains=tuple(sorted(domains)),
        server=server,
        account=account,
        options={
            key.removeprefix(_PREFIX): _value(value)
            for key, value in parameters.items()
            if key.startswith(_PREFIX) and value != "None"
        },
    )


def change_lineage(lineage: Lineage, changes: Mapping[str, str]) -> None:
    """Change what Certbot renews the lineage with.

    The keys are ``server``, ``account`` (Certbot's id) or the name of an option of ours. The file
    is replaced atomically, and keeps its owner and mode. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` if that fails.
    """
    try:
        content = ConfigObj(
            str(lineage.path), encoding="utf-8", file_error=True, interpolation=False
        )
        parameters = content["renewalparams"]
        for name, value in changes.items():
            parameters[name if name in ("server", "account") else f"{_PREFIX}{name}"] = value
        written = io.BytesIO()
        content.write(written)
        replace_file(files.followed(lineage.path), written.getvalue())
    except (OSError, ConfigObjError, KeyError) as error:
        raise ConfigurationError(
            f"Certbot's renewal configuration {lineage.path} cannot be changed: {error}."
        ) from error


def _value(text: str | list[str]) -> str | bool:
    # As Certbot reads it; ConfigObj makes a list of a value with commas.
    if isinstance(text, list):
        return ",".join(text)
    return bool(ast.literal_eval(text)) if text in ("True", "False") else text


class _Unusable(Exception):
    """The renewal configuration lacks a value; str() says which."""


def _text(section: object, key: str, default: str | None = None) -> str:
    """Return the value, or raise :class:`_Unusable` if it is not plain text."""
    value = section.get(key, default) if isinstance(section, Mapping) else None
    if not isinstance(value, str):
        raise _Unusable(f"it has no usable {key!r}")
    return value


def _reason(error: Exception) -> str:
    """Return what went wrong, without the path, which is in the message around it."""
    return (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")
