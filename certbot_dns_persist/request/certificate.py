"""The names in a certificate."""

from pathlib import Path


def names_of_certificate(path: Path) -> set[str]:
    """Return the domain names in the certificate at ``path``, wildcards with their ``*.``.

    Raises :class:`OSError` or :class:`ValueError` if it cannot be read.
    """
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(names.value.get_values_for_type(x509.DNSName))
