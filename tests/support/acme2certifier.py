"""acme2certifier, another CA with ``dns-persist-01``: a second opinion, with JIT.

It comes from PyPI, lives in a virtual environment of its own below ``.cache`` (it brings its own
versions of what we depend on), and signs with its ``openssl_ca_handler``. It speaks -01. What a
test must know of 0.46.3, where it differs from the drafts or RFC 8555:

- Of a TXT record it reads the first character-string only.
- Any POST to a challenge starts the validation: also POST-as-GET, also after a failure.
- A failed challenge has no ``error``, and its order stays ``pending``.
- With JIT it looks at DNS when an authorization is fetched, not at newOrder. One valid
  authorization makes the whole order ``ready``, and the valid one holds no challenge.
- persistUntil does not shorten the authorization.
"""

import datetime
import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .acme_ca.certificates import Issuer
from .bootstrap import CACHE, environment, lock
from .process import Process, free_port
from .stoppable import Stoppable

VERSION = "0.46.3"

# Its WSGI application, in a server that is one of its dependencies.
_SERVE = """
import sys
from werkzeug.serving import run_simple
from acme2certifier.share.acme2certifier_wsgi import application
port, certificate, key = sys.argv[1:]
run_simple("127.0.0.1", int(port), application, threaded=True, ssl_context=(certificate, key))
"""


class Acme2Certifier(Stoppable):
    """One running acme2certifier, in a directory of its own.

    with Acme2Certifier(dns_address="127.4.5.6", jit=True) as ca:
        ...  # ca.directory_url, ca.root_certificate
    """

    def __init__(
        self,
        dns_address: str,
        *,
        jit: bool = False,
        wildcards: bool = True,
        issuers: Sequence[str] = ("ca.example",),
    ) -> None:
        """``dns_address`` is its resolver, always on port 53.

        ``jit``: authorizations become valid without a challenge if DNS authorises already.
        ``wildcards``: records with ``policy=wildcard`` authorise wildcards. ``issuers`` are its
        names, for CAA and for persistent records.
        """
        python = _python()
        self._directory = tempfile.TemporaryDirectory(prefix="acme2certifier-")
        place = Path(self._directory.name)
        self.log = place / "acme2certifier.log"
        self.root_certificate = place / "root.pem"
        """For REQUESTS_CA_BUNDLE: the root of its HTTPS certificate; it issues from another."""
        self.issuing_root = place / "issuing.pem"
        tls = Issuer(datetime.datetime.now(datetime.timezone.utc))
        self.root_certificate.write_bytes(tls.root_pem)
        credentials = place / "server.pem"
        credentials.touch(mode=0o600)
        credentials.write_bytes(
            tls.server_credentials(datetime.datetime.now(datetime.timezone.utc))
        )
        _make_issuer(place)
        port = free_port()
        self.directory_url = f"https://localhost:{port}/directory"
        config = place / "acme_srv.cfg"
        config.write_text(_configuration(place, dns_address, jit, wildcards, issuers))
        self._process = Process(
            [python, "-c", _SERVE, str(port), credentials, credentials],
            log=self.log,
            env={**os.environ, "ACME_SRV_CONFIGFILE": str(config)},
            cwd=place,
        )
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        self._process.stop()
        self._directory.cleanup()

    def _answers(self) -> bool:
        trust = ssl.create_default_context(cafile=str(self.root_certificate))
        try:
            with urllib.request.urlopen(self.directory_url, context=trust, timeout=5):  # noqa: S310
                return True
        except OSError:
            return False


def _python() -> Path:
    """The Python of the virtual environment that holds acme2certifier, made on first use."""
    venv = CACHE / f"acme2certifier-{VERSION}"
    python, made = venv / "bin" / "python", venv / "made"
    with lock("acme2certifier"):
        if not made.is_file():
            print(f"Installing acme2certifier {VERSION} (takes a minute, once) ...", flush=True)
            for command in (
                [sys.executable, "-m", "venv", "--clear", str(venv)],
                [str(python), "-m", "pip", "install", "--quiet", f"acme2certifier=={VERSION}"],
            ):
                subprocess.run(command, env=environment(), check=True)
            made.touch()
    return python


def _configuration(
    place: Path, dns_address: str, jit: bool, wildcards: bool, issuers: Sequence[str]
) -> str:
    """Return ``acme_srv.cfg``: JSON in an INI file, where a per cent sign would be special."""
    return f"""
[DEFAULT]
debug: False
dns_server_list: {json.dumps([dns_address])}

[Directory]
caaidentities: {json.dumps(list(issuers))}

[DBhandler]
handler: wsgi
dbfile: {place}/acme_srv.db

[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {place}/issuing.key
issuing_ca_cert: {place}/issuing.pem
issuing_ca_crl: {place}/issuing.crl
ca_cert_chain_list: {json.dumps([f"{place}/issuing.pem"])}
cert_validity_days: 30
cert_save_path: {place}

[Challenge]
dns_persist_01_support: True
dns_persist_allow_policy_wildcard: {wildcards}
dns_persist_jit_validation: {jit}
"""


def _make_issuer(place: Path) -> None:
    """Write ``issuing.key``, ``issuing.pem`` and an empty ``issuing.crl``."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme2certifier test root")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name)
        .last_update(now - datetime.timedelta(days=1))
        .next_update(now + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    key_file = place / "issuing.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (place / "issuing.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (place / "issuing.crl").write_bytes(crl.public_bytes(serialization.Encoding.PEM))
