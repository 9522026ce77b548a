"""Certbot's renewal configurations as files: read, changed key by key, kept, and put back."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from configobj import ConfigObj, ConfigObjError

from certbot_dns_persist import files
from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.errors import ConfigurationError

AUTHENTICATOR = "dns-persist"

#: The prefix of our options in the renewal configuration, as in ``dns_persist_ttl``.
PREFIX = "dns_persist_"

PREFERRED = "pref_challs"
"""The challenges that the user prefers; Certbot uses no others, and the first that is offered."""

Value = str | list[str] | Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Renewal:
    """One renewal configuration, as it is in its file."""

    name: str
    """The lineage's."""
    path: Path
    octets: bytes
    certificate: Path
    parameters: Mapping[str, Any]
    """What Certbot renews the lineage with; a value with commas is a list."""

    @property
    def authenticator(self) -> str:
        """The plugin that renews it; empty if none is named."""
        return self.text("authenticator")

    @property
    def server(self) -> str:
        """The CA's ACME directory URL."""
        return self.text("server")

    @property
    def account(self) -> str:
        """Certbot's id of the ACME account."""
        return self.text("account")

    def text(self, key: str) -> str:
        """Return the value of a parameter as Certbot's command line has it; empty without one."""
        value = self.parameters.get(key, "")
        if isinstance(value, list):
            return ",".join(value)
        return value if isinstance(value, str) and value != "None" else ""


def lineage_names(config_dir: Path) -> list[str]:
    """Return the names of all lineages, sorted; none if Certbot has never run.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if they cannot be listed.
    """
    return _names_in(config_dir / "renewal")


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted(path.stem for path in directory.iterdir() if path.suffix == ".conf")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(
            f"Certbot's renewal configurations in {directory} cannot be listed: "
            f"{error.strerror}. Run this as the user that runs Certbot, usually root."
        ) from error


def read_renewal(config_dir: Path, name: str) -> Renewal:
    """Return the renewal configuration of the lineage called ``name``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is none, or it cannot be
    used.
    """
    path = config_dir / "renewal" / f"{name}.conf"
    try:
        return _read(name, path, path.read_bytes())
    except (OSError, ConfigObjError, UnicodeDecodeError, _Unusable) as error:
        raise ConfigurationError(
            f"Certbot's renewal configuration {path} cannot be used: {reason(error)}. The "
            f"certificates of {config_dir} are: {', '.join(lineage_names(config_dir)) or 'none'}."
        ) from error


def _read(name: str, path: Path, octets: bytes) -> Renewal:
    content = _parsed(octets)
    parameters = content.get("renewalparams")
    certificate = _text(content, "cert")
    _text(parameters, "server")
    _text(parameters, "account", "")
    _text(parameters, "authenticator", "")
    return Renewal(name, path, octets, Path(certificate), parameters)


def rewritten(octets: bytes, changes: Mapping[str, Value | None]) -> bytes:
    """Return a renewal configuration with these parameters; ``None`` removes one.

    Everything else, comments included, stays as ConfigObj writes it, as in Certbot. Raises
    :class:`configobj.ConfigObjError` or :class:`KeyError` if that is not possible.
    """
    content = _parsed(octets)
    parameters = content["renewalparams"]
    for key, value in changes.items():
        if value is None:
            parameters.pop(key, None)
        else:
            parameters[key] = value
    written = io.BytesIO()
    content.write(written)
    return written.getvalue()


def belongs_to(key: str, plugin: str) -> bool:
    """Whether Certbot takes the parameter ``key`` for an option of ``plugin``."""
    return key.startswith(f"{plugin.replace('-', '_')}_")


def is_moved(key: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the parameter ``key`` changes when a lineage comes to this authenticator.

    ``parameters`` are those before. What belongs to the authenticator goes, as in Certbot, unless
    it is the installer, too.
    """
    if key in ("authenticator", PREFERRED) or key.startswith(PREFIX):
        return True
    plugin = str(parameters.get("authenticator", ""))
    return plugin != parameters.get("installer") and belongs_to(key, plugin)


def undone(before: bytes, now: bytes) -> bytes:
    """Return the configuration ``now`` with the parameters that a move changes as they were.

    That is ``before`` itself, to the byte, if nothing else has changed meanwhile. Raises what
    :func:`rewritten` does.
    """
    old, new = (_parsed(octets)["renewalparams"] for octets in (before, now))
    moved = [key for key in {**new, **old} if is_moved(key, old)]
    if rewritten(before, {key: new.get(key) for key in moved}) == rewritten(now, {}):
        return before
    return rewritten(now, {key: old.get(key) for key in moved})


def replace(path: Path, new: Callable[[bytes], bytes], *, expected: bytes | None = None) -> None:
    """Replace the content of a renewal configuration with what ``new`` makes of it, atomically.

    The file keeps its owner and mode, and a link is followed. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` if that fails, or the content is not the
    ``expected`` one; then it is as it was.
    """
    try:
        real = files.followed(path)
        octets = real.read_bytes()
        if expected not in (None, octets):
            raise ConfigurationError(
                f"{path} was changed by another process meanwhile, so we did not change it. Run "
                "the same command again."
            )
        replace_file(real, new(octets))
    except (OSError, ConfigObjError, UnicodeDecodeError, KeyError) as error:
        raise ConfigurationError(
            f"Certbot's renewal configuration {path} cannot be changed: {reason(error)}."
        ) from error


def kept_names(config_dir: Path) -> list[str]:
    """Return the names of the lineages whose configuration before the move is kept, sorted.

    Raises what :func:`lineage_names` does.
    """
    return _names_in(kept_path(config_dir, "").parent)


def kept_path(config_dir: Path, name: str) -> Path:
    """Return where the configuration of a lineage before its move is kept."""
    return config_dir / "dns-persist" / "migrated" / f"{name}.conf"


def keep(config_dir: Path, renewal: Renewal) -> None:
    """Keep the configuration as it is now, for :func:`kept`.

    It says which programs Certbot runs, so nobody else may change it: raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` if somebody could, or it cannot be kept.
    """
    path = kept_path(config_dir, renewal.name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.require_private(path)
        replace_file(path, renewal.octets, mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"The renewal configuration of {renewal.name} cannot be kept as {path}: "
            f"{reason(error)}. So it was not changed."
        ) from error


def kept(config_dir: Path, name: str) -> Renewal:
    """Return the configuration of the lineage ``name`` before it was moved.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if there is none, or somebody
    else may have changed it.
    """
    path = kept_path(config_dir, name)
    try:
        files.require_private(path)
        return _read(name, path, files.read(path))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"it was not moved by certbot-dns-persist migrate: there is no {path}."
        ) from error
    except (OSError, ConfigObjError, UnicodeDecodeError, _Unusable) as error:
        raise ConfigurationError(
            f"its renewal configuration before it was moved, {path}, cannot be used: "
            f"{reason(error)}."
        ) from error


def made_since_kept(config_dir: Path, renewal: Renewal) -> bool:
    """Whether the lineage was made after the configuration that is kept under its name.

    Certbot writes these two files when it makes a lineage, and never again; ``certbot delete``
    removes them.
    """
    first = Path(os.path.realpath(renewal.certificate)).with_name("cert1.pem")
    for path in (renewal.certificate.with_name("README"), first):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > kept_path(config_dir, renewal.name).stat().st_mtime:
                return True
    return False


def drop_kept(config_dir: Path, name: str) -> None:
    """Remove the configuration that is kept, if there is one."""
    with contextlib.suppress(OSError):
        kept_path(config_dir, name).unlink()


def _parsed(octets: bytes) -> Any:
    return ConfigObj(io.BytesIO(octets), encoding="utf-8", interpolation=False)


class _Unusable(Exception):
    """The renewal configuration lacks a value; str() says which."""


def _text(section: object, key: str, default: str | None = None) -> str:
    """Return the value, or raise :class:`_Unusable` if it is not plain text."""
    value = section.get(key, default) if isinstance(section, Mapping) else None
    if not isinstance(value, str):
        raise _Unusable(f"it has no usable {key!r}")
    return value


def reason(error: Exception) -> str:
    """Return what went wrong, without the path, which is in the message around it."""
    return (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")
