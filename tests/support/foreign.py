"""Lineages that other authenticators renew, as Certbot keeps them, made without a CA."""

import contextlib
import datetime
import ipaddress
from collections.abc import Mapping, Sequence

from configobj import ConfigObj
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .certbot import Certbot

KINDS = ("cert", "privkey", "chain", "fullchain")


def add_lineage(
    certbot: Certbot, name: str, names: Sequence[str], parameters: Mapping[str, str | list[str]]
) -> bytes:
    """Add a lineage whose certificate nobody has issued; return its renewal configuration.

    ``names`` are domain names, and perhaps IP addresses.
    ``account`` and ``server`` in ``parameters`` are by default those of ``certbot``.
    """
    archive, live = (certbot.config_dir / place / name for place in ("archive", "live"))
    for directory in (archive, live):
        directory.mkdir(parents=True)
    certificate, key = _certificate(names)
    for kind in KINDS:
        (archive / f"{kind}1.pem").write_bytes(key if kind == "privkey" else certificate)
        (live / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}1.pem")
    (account,) = certbot.config_dir.glob(f"accounts/{_place(certbot.server)}/*")
    content = ConfigObj(encoding="utf-8")
    content.initial_comment = ["# renew_before_expiry = 30 days"]
    content.update({"version": "5.8.0", "archive_dir": str(archive)})
    content.update({kind: str(live / f"{kind}.pem") for kind in KINDS})
    content["renewalparams"] = {"account": account.name, "server": certbot.server, **parameters}
    content.comments["renewalparams"] = ["", "Options used in the renewal process"]
    path = certbot.config_dir / "renewal" / f"{name}.conf"
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        content.write(file)
    return path.read_bytes()


def _place(server: str) -> str:
    return server.removeprefix("https://")


def _certificate(names: Sequence[str]) -> tuple[bytes, bytes]:
    now = datetime.datetime.now(datetime.timezone.utc)
    key, nobody = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=80))
        .not_valid_after(now + datetime.timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName(map(_alternative, names)), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _alternative(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)
