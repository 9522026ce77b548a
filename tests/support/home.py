"""Certbot's directory as orders would have made it: accounts and certificates, without a CA."""

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import josepy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.request.accounts import accounts_directory

SERVER = "https://127.0.0.1:9/directory"
"""Where no CA answers, so that what it said in the last order counts."""

ISSUER = "ca.example"


class Home:
    """Certbot's configuration and logs, below ``root``."""

    def __init__(self, root: Path) -> None:
        self.config_dir, self.logs_dir = root / "etc", root / "log"
        (self.config_dir / "renewal").mkdir(parents=True)
        self.journal = Journal(str(self.logs_dir), str(self.config_dir))

    @property
    def places(self) -> list[str]:
        """The options that name these directories and the CA."""
        places = {"config-dir": self.config_dir, "logs-dir": self.logs_dir, "server": SERVER}
        return [word for name, place in places.items() for word in (f"--{name}", str(place))]

    def add_account(self, name: str) -> str:
        """Add an account; return what its records have."""
        directory = accounts_directory(self.config_dir, SERVER) / name
        directory.mkdir(parents=True)
        key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        url = f"https://{ISSUER}/acct/{name}"
        (directory / "private_key.json").write_text(key.json_dumps())
        (directory / "regr.json").write_text(json.dumps({"uri": url}))
        self.journal.note_terms(url, Terms((ISSUER,), url))
        return f"{ISSUER}; accounturi={url}"

    def add_certificate(
        self,
        name: str,
        domains: Sequence[str],
        account: str,
        options: Mapping[str, str | int] | None = None,
    ) -> None:
        """Add one that ``account`` renews with these options of ours."""
        certificate = self.config_dir / "live" / name / "cert.pem"
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.write_bytes(_certificate(domains))
        parameters = {
            "authenticator": "dns-persist",
            "server": SERVER,
            "account": account,
            **{f"dns_persist_{key}": value for key, value in (options or {}).items()},
        }
        lines = [f"{key} = {value}" for key, value in parameters.items()]
        (self.config_dir / "renewal" / f"{name}.conf").write_text(
            "\n".join([f"cert = {certificate}", "[renewalparams]", *lines, ""])
        )


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(domains: Sequence[str]) -> bytes:
    now = datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, domains)), critical=True)
        .sign(_key(), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
