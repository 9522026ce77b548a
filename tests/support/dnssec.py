"""Zones with DNSSEC signatures, good and bad, made by BIND's own tools."""

import enum
import subprocess
from pathlib import Path

from .process import find_program


class Signatures(enum.Enum):
    """Whether a validating resolver believes a zone's records."""

    GOOD = "good"
    EXPIRED = "expired"
    """All signatures of the zone have expired."""
    OTHER_KEY = "other key"
    """The resolver trusts another key, as with a wrong DS record in the parent zone."""
    TAMPERED = "tampered"
    """The TXT records differ from those that were signed."""
    KEPT_UP = "kept up"
    """Good, and made by the server itself, also for what updates change."""


def missing() -> str | None:
    """Return why zones cannot be signed here; ``None`` if they can."""
    tools = [tool for tool in ("dnssec-keygen", "dnssec-signzone") if not find_program(tool)]
    return f"BIND's {' and '.join(tools)} are not installed" if tools else None


LONG_AGO = ["-s", "20200101000000", "-e", "20200201000000"]


def sign(path: Path, origin: str, signatures: Signatures) -> str:
    """Sign the zone file at ``path``; return the trust anchor as BIND's configuration has it."""
    keys = path.parent / f"{origin}.keys"
    keys.mkdir()
    if signatures is Signatures.KEPT_UP:
        return _make_key(keys, origin, "-k", "default")
    anchor = _make_key(keys, origin)
    period = LONG_AGO if signatures is Signatures.EXPIRED else []
    places: list[str | Path] = ["-K", keys, "-d", keys]
    _run("dnssec-signzone", "-S", "-z", "-P", *places, *period, "-o", origin, "-f", path, path)
    if signatures is Signatures.TAMPERED:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(_tampered(line) for line in lines))
    if signatures is Signatures.OTHER_KEY:
        other = path.parent / f"{origin}.other"
        other.mkdir()
        anchor = _make_key(other, origin)
    return anchor


def policy(origin: str) -> str:
    """Return the statements for a zone that the server signs with the key that we made."""
    return f'dnssec-policy default; key-directory "{origin}.keys";'


def _make_key(directory: Path, origin: str, *kind: str) -> str:
    kind = kind or ("-f", "KSK", "-a", "ECDSAP256SHA256")
    name = _run("dnssec-keygen", *kind, "-K", directory, origin)
    (line,) = (
        line
        for line in (directory / f"{name.strip()}.key").read_text().splitlines()
        if not line.startswith(";")
    )
    flags, protocol, algorithm, *key = line.split("DNSKEY")[1].split()
    return f'"{origin}" static-key {flags} {protocol} {algorithm} "{"".join(key)}";'


def _tampered(line: str) -> str:
    return line.replace("accounturi=", "accounturi=x") if "TXT" in line.split() else line


def _run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [str(find_program(program)), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
