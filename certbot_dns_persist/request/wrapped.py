"""Credentials files that hold what Certbot had saved as options of another plugin.

Certbot passes a renewal only the options of its authenticator, so those of a bridged plugin have to
be in a file. It names the plugin's own credentials file, and has no secret of its own.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from configobj import ConfigObj, ConfigObjError

from certbot_dns_persist import files
from certbot_dns_persist.atomic import replace_file
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.request.lineages import our_lineages
from certbot_dns_persist.request.renewal import reason

_COMMENT = [
    "# Made by certbot-dns-persist migrate from the options that Certbot had saved for",
    "# this plugin. Renewal configurations name this file.",
]


def write(config_dir: Path, provider: str, keys: Mapping[str, str]) -> Path:
    """Write a file with ``keys`` for ``provider``, unless it is there; return its path.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if it cannot be written, or
    somebody else could change it.
    """
    content = ConfigObj(dict(sorted(keys.items())), interpolation=False, encoding="utf-8")
    content.initial_comment = _COMMENT
    written = io.BytesIO()
    folder = _folder(config_dir)
    try:
        content.write(written)
        octets = written.getvalue()
        # The same options make the same file, so that certificates which share them share it.
        path = folder / f"{provider}-{hashlib.sha256(octets).hexdigest()[:8]}.ini"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.require_private(path)
        if not path.exists():
            replace_file(path, octets, mode=0o600)
    except (OSError, ConfigObjError) as error:
        raise ConfigurationError(
            f"the options of {provider} cannot be written to a file in {folder}: {reason(error)}."
        ) from error
    return path


def tidy(config_dir: Path, paths: Iterable[Path]) -> None:
    """Remove those of ``paths`` that are such files, and that no lineage of ours names."""
    ours = [path for path in paths if path.parent == _folder(config_dir)]
    if not ours:
        return
    lineages, unusable = our_lineages(config_dir)
    named = {str(lineage.options.get("credentials")) for lineage in lineages}
    for path in ours if not unusable else ():
        if str(path) not in named:
            path.unlink(missing_ok=True)


def _folder(config_dir: Path) -> Path:
    return config_dir.absolute() / "dns-persist" / "migrated"
