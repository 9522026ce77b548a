"""Lineages that other authenticators renew, as Certbot keeps them, made without a CA."""

import datetime
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .certbot import Certbot

KINDS = ("cert", "privkey", "chain", "fullchain")


def add_lineage(
    certbot: Certbot, name: str, domains: Sequence[str], parameters: Mapping[str, str]
) -> bytes:
    """Add a lineage whose certificate nobody has issued; return its renewal configuration.

    ``parameters`` are as they are written there; ``account`` and ``server`` are by
    default those of ``certbot``.
    """
    archive, live = (certbot.config_dir / place / name for place in ("archive", "live"))
    for directory in (archive, live):
        directory.mkdir(parents=True)
    certificate, key = _certificate(domains)
    for kind in KINDS:
        (archive / f"{kind}1.pem").write_bytes(key if kind == "privkey" else certificate)
        (live / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}1.pem")
    (account,) = certbot.config_dir.glob(f"accounts/{_place(certbot.server)}/*")
    lines = ["# renew_before_expiry = 30 days", "version = 5.8.0", f"archive_dir = {archive}"]
    lines += [f"{kind} = {live / kind}.pem" for kind in KINDS]
    lines += ["", "# Options used in the renewal process", "[renewalparams]"]
    saved = {"account": account.name, "server": certbot.server, **parameters}
    lines += [f"{key} = {value}" for key, value in saved.items()]
    path = certbot.config_dir / "renewal" / f"{name}.conf"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path.read_bytes()


def _place(server: str) -> str:
    return server.removeprefix("https://")


def _certificate(domains: Sequence[str]) -> tuple[bytes, bytes]:
    now = datetime.datetime.now(datetime.timezone.utc)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=80))
        .not_valid_after(now + datetime.timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, domains)), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
