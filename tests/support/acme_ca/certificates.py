"""The X.509 side: a root, an intermediate, and what is issued from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from .problem import Problem

_SubjectKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_DOMAIN_VALIDATED = ObjectIdentifier("2.23.140.1.2.1")
_CA_LIFETIME = timedelta(days=3650)
#: Certificates start in the past: a client's clock may be behind.
_BACKDATED = timedelta(hours=1)


class Issuer:
    """Keys made anew for every CA; nothing of them is ever written to disk."""

    def __init__(self, now: datetime) -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        root_name = _name("ACME test root")
        self._root = _ca_certificate(
            root_name, root_name, self._root_key.public_key(), self._root_key, now, path_length=1
        )
        self._intermediate = _ca_certificate(
            _name("ACME test intermediate"),
            root_name,
            self._key.public_key(),
            self._root_key,
            now,
            path_length=0,
        )

    @property
    def root_pem(self) -> bytes:
        return _pem(self._root)

    def issue(
        self,
        csr: x509.CertificateSigningRequest,
        domains: Iterable[str],
        now: datetime,
        lifetime: timedelta,
    ) -> tuple[x509.Certificate, bytes]:
        """A server certificate, and the chain (PEM, leaf first, without the root)."""
        key = csr.public_key()
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise Problem("badCSR", "the key is neither RSA nor EC")
        leaf = self._leaf(key, [x509.DNSName(domain) for domain in domains], now, lifetime)
        return leaf, _pem(leaf) + _pem(self._intermediate)

    def server_credentials(self, now: datetime) -> bytes:
        """Key and chain (PEM) for the CA's own HTTPS, good for the names of the loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
        leaf = self._leaf(key.public_key(), names, now, _CA_LIFETIME / 2)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key_pem + _pem(leaf) + _pem(self._intermediate)

    def _leaf(
        self,
        key: _SubjectKey,
        names: list[x509.GeneralName],
        now: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        # The common name is optional, and has room for 64 characters (RFC 5280, appendix A).
        common = next(
            (
                name.value
                for name in names
                if isinstance(name, x509.DNSName) and len(name.value) <= 64
            ),
            None,
        )
        subject = x509.Name([]) if common is None else _name(common)
        builder = _builder(
            subject,
            self._intermediate.subject,
            key,
            now - _BACKDATED,
            now + lifetime,
            self._key.public_key(),
        )
        server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        key_usage = _key_usage(encipherment=isinstance(key, rsa.RSAPublicKey))
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage, critical=True)
            .add_extension(server_auth, critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=common is None)
            .add_extension(
                x509.CertificatePolicies([x509.PolicyInformation(_DOMAIN_VALIDATED, None)]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )


def parse_csr(der: bytes) -> tuple[x509.CertificateSigningRequest, frozenset[str]]:
    """The request and the names in it, lower case; raises Problem ``badCSR``."""
    try:
        csr = x509.load_der_x509_csr(der)
        valid = csr.is_signature_valid
        names = _csr_names(csr)
        key = csr.public_key()
    except (ValueError, InvalidSignature) as error:
        raise Problem("badCSR", f"not a certificate signing request: {error}") from error
    if not valid:
        raise Problem("badCSR", "the request is not signed by its own key")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        raise Problem("badCSR", f"an RSA key of {key.key_size} bits")
    return csr, names


def spki(key: object) -> bytes:
    """What two equal public keys have in common."""
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _csr_names(csr: x509.CertificateSigningRequest) -> frozenset[str]:
    names = [
        str(attribute.value)
        for attribute in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    try:
        san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        san = x509.SubjectAlternativeName([])
    for name in san:
        if not isinstance(name, x509.DNSName):
            raise Problem("badCSR", f"a subject alternative name that is not for DNS: {name!r}")
        names.append(name.value)
    return frozenset(name.lower() for name in names)


def _ca_certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    path_length: int,
) -> x509.Certificate:
    builder = _builder(
        subject, issuer, key, now - _BACKDATED, now + _CA_LIFETIME, issuer_key.public_key()
    )
    return (
        builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=path_length), critical=True
        )
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: _SubjectKey,
    not_before: datetime,
    not_after: datetime,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _key_usage(*, ca: bool = False, encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
