"""The names in a certificate, and how long one lasts."""

import warnings
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


def lifetime_of_certificate(path: Path) -> int:
    """Return for how long the certificate at ``path`` is valid in all, in seconds.

    Raises :class:`OSError` or :class:`ValueError` if it cannot be read.
    """
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    # Their zone does not matter here, and cryptography before 42 has no others.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lifetime = certificate.not_valid_after - certificate.not_valid_before
    return int(lifetime.total_seconds())
