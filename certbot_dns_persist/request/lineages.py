"""Certbot's lineages: the names in each certificate, and the options that it is renewed with."""

import ast
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.certificate import names_of_certificate
from certbot_dns_persist.request.preset import NOTHING_SET, Preset
from certbot_dns_persist.request.renewal import (
    AUTHENTICATOR,
    PREFIX,
    Renewal,
    lineage_names,
    read_renewal,
    reason,
    replace,
    rewritten,
)


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
    saved: Mapping[str, str | bool] = dataclasses.field(default_factory=dict)
    """What the renewal configuration itself has of these: server, account and our options."""


def our_lineages(config_dir: Path, preset: Preset = NOTHING_SET) -> tuple[list[Lineage], list[str]]:
    """Return the lineages that our authenticator renews, and for each unreadable one why.

    Both are sorted by the lineages' names.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if they cannot be listed.
    """
    lineages, unusable = [], []
    for name in lineage_names(config_dir):
        try:
            lineage = read_lineage(config_dir, name, preset)
        except ConfigurationError as error:
            unusable.append(str(error))
            continue
        if lineage.authenticator == AUTHENTICATOR:
            lineages.append(lineage)
    return lineages, unusable


def read_lineage(config_dir: Path, name: str, preset: Preset = NOTHING_SET) -> Lineage:
    """Return the lineage called ``name``, as Certbot renews it with this ``preset``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is none, or if its
    renewal configuration or its certificate cannot be read.
    """
    renewal = read_renewal(config_dir, name)
    authenticator = preset.get("authenticator", renewal.authenticator)
    saved = {
        key.removeprefix(PREFIX): _value(value)
        for key, value in renewal.parameters.items()
        if key.startswith(PREFIX) and value != "None"
    }
    return Lineage(
        name=name,
        path=renewal.path,
        authenticator=authenticator,
        domains=names_of(renewal) if authenticator == AUTHENTICATOR else (),
        server=preset.get("server", renewal.server),
        account=preset.get("account", renewal.account) or "",
        options={**saved, **preset.options},
        saved={"server": renewal.server, "account": renewal.account, **saved},
    )


def names_of(renewal: Renewal) -> tuple[str, ...]:
    """Return the names in the lineage's certificate, sorted, wildcards with their ``*.``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if it cannot be read.
    """
    try:
        return tuple(sorted(names_of_certificate(renewal.certificate)))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The certificate {renewal.certificate} of the lineage {renewal.name} cannot be read: "
            f"{reason(error)}. So its names are unknown."
        ) from error


def change_lineage(lineage: Lineage, changes: Mapping[str, str]) -> None:
    """Change what Certbot renews the lineage with.

    The keys are ``server``, ``account`` (Certbot's id) or the name of an option of ours. The file
    is replaced atomically, and keeps its owner and mode. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` if that fails.
    """
    own = {
        name if name in ("server", "account") else f"{PREFIX}{name}": value
        for name, value in changes.items()
    }
    replace(lineage.path, lambda octets: rewritten(octets, own))


def _value(text: str | list[str]) -> str | bool:
    # As Certbot reads it; ConfigObj makes a list of a value with commas.
    if isinstance(text, list):
        return ",".join(text)
    return bool(ast.literal_eval(text)) if text in ("True", "False") else text
