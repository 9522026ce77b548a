"""Pebble, the test CA that offers ``dns-persist-01`` as draft -01 describes it."""

import datetime
import ipaddress
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import tools
from .process import Process, free_port
from .stoppable import Stoppable

ISSUER = "pebble.test"


class Pebble(Stoppable):
    """One running Pebble, from construction until :meth:`stop`."""

    def __init__(
        self,
        directory: Path,
        dnsserver: str,
        *,
        issuers: Sequence[str] = (ISSUER,),
        env: Mapping[str, str] | None = None,
        retry_after: int = 1,
    ) -> None:
        """Start in ``directory``, validating through the resolver ``dnsserver`` (ADDRESS:PORT).

        ``issuers`` are the CA's names, for CAA and for persistent records. ``env`` changes how
        Pebble behaves; by default it validates at once, rejects no nonce and reuses no
        authorization. ``retry_after`` is the seconds that it asks clients to wait; 0 for none said.
        """
        program = tools.pebble()
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "pebble.log"
        self.ca_bundle = directory / "ca.pem"
        """The root that clients must trust, for instance by ``REQUESTS_CA_BUNDLE``."""
        make_certificate(self.ca_bundle, directory / "cert.pem", directory / "key.pem")
        port, management = free_port(), free_port()
        self.http_port = free_port()
        """The port that it connects to for http-01."""
        self.directory_url = f"https://localhost:{port}/dir"
        self.management_url = f"https://localhost:{management}"
        config = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(directory / "cert.pem"),
            "privateKey": str(directory / "key.pem"),
            "httpPort": self.http_port,
            "tlsPort": free_port(),
            "caaIdentities": list(issuers),
            "keyAlgorithm": "ecdsa",
            "retryAfter": {"authz": retry_after, "order": retry_after},
        }
        (directory / "pebble.json").write_text(json.dumps({"pebble": config}, indent=2))
        self._process = Process(
            [program, "-config", directory / "pebble.json", "-dnsserver", dnsserver],
            log=self.log,
            env={
                **os.environ,
                "PEBBLE_VA_NOSLEEP": "1",
                "PEBBLE_WFE_NONCEREJECT": "0",
                "PEBBLE_AUTHZREUSE": "0",
                **(env or {}),
            },
        )
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        self._process.stop()

    def _answers(self) -> bool:
        trust = ssl.create_default_context(cafile=str(self.ca_bundle))
        try:
            with urllib.request.urlopen(self.directory_url, context=trust, timeout=5):  # noqa: S310
                return True
        except urllib.error.URLError:
            return False


def make_certificate(ca_path: Path, certificate_path: Path, key_path: Path) -> None:
    """Write a new CA, and a certificate and key for ``localhost`` that it issued."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = _common_name("A test's CA"), _common_name("localhost")

    def builder(
        subject: x509.Name, public_key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca_usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(ca_usage, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        builder(name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    ca_path.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
