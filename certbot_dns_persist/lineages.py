"""Certbot's lineages: which names each certificate has, and with which options it is renewed."""

import ast
import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from configobj import ConfigObj, ConfigObjError

from certbot_dns_persist.certificate import names_of_certificate
from certbot_dns_persist.errors import ConfigurationError

AUTHENTICATOR = "dns-persist"

#: Where the renewal configuration keeps our options: ``dns_persist_ttl`` and the like.
_PREFIX = "dns_persist_"


@dataclasses.dataclass(frozen=True)
class Lineage:
    """One certificate that Certbot looks after, as its renewal configuration describes it."""

    name: str
    path: Path
    """The renewal configuration."""
    authenticator: str
    domains: tuple[str, ...]
    """The names of the current certificate, sorted, wildcards with their ``*.``."""
    server: str
    """The CA's ACME directory URL."""
    account: str
    """Certbot's id of the ACME account."""
    options: Mapping[str, str | bool]
    """Our options that were set, by their name without prefix."""


def lineage_names(config_dir: Path) -> list[str]:
    """Return the names of all lineages, sorted."""
    return sorted(path.stem for path in (config_dir / "renewal").glob("*.conf"))


def read_lineage(config_dir: Path, name: str) -> Lineage:
    """Return the lineage called ``name``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` when there is none, or when its
    renewal configuration or its certificate cannot be read.
    """
    path = config_dir / "renewal" / f"{name}.conf"
    try:
        content = ConfigObj(str(path), encoding="utf-8", file_error=True, interpolation=False)
        certificate, parameters = content["cert"], content["renewalparams"]
        server, account = parameters["server"], parameters.get("account", "")
        authenticator = parameters.get("authenticator", "")
    except (OSError, ConfigObjError, UnicodeDecodeError, KeyError, TypeError) as error:
        reason = "there is no such file" if not path.exists() else f"it cannot be read: {error}"
        known = ", ".join(lineage_names(config_dir)) or "none"
        raise ConfigurationError(
            f"Certbot's renewal configuration {path} cannot be used: {reason}. The certificates of "
            f"{config_dir} are: {known}."
        ) from error
    try:
        domains = names_of_certificate(Path(certificate))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The certificate {certificate} of the lineage {name} cannot be read: {error}. So it "
            "is unknown which names it is for."
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
    """Let the lineage be renewed with ``changes`` from now on, as if Certbot had been told so.

    The keys are ``server``, ``account`` (Certbot's id) or the name of an option of ours. The file
    is replaced at once, and keeps its mode. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` when it cannot be.
    """
    new = lineage.path.with_name(f"{lineage.path.name}.new")
    try:
        content = ConfigObj(
            str(lineage.path), encoding="utf-8", file_error=True, interpolation=False
        )
        parameters = content["renewalparams"]
        for name, value in changes.items():
            parameters[name if name in ("server", "account") else f"{_PREFIX}{name}"] = value
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        shutil.copy2(lineage.path, new)  # its mode; what it says is replaced next
        with new.open("wb") as file:
            content.write(file)
        new.replace(lineage.path)
    except (OSError, ConfigObjError, KeyError) as error:
        raise ConfigurationError(
            f"Certbot's renewal configuration {lineage.path} cannot be changed: {error}."
        ) from error


def _value(text: str | list[str]) -> str | bool:
    # As Certbot reads them back; ConfigObj makes a list of what has commas.
    if isinstance(text, list):
        return ",".join(text)
    return bool(ast.literal_eval(text)) if text in ("True", "False") else text
