"""The names in a certificate, how long one lasts and when it ends."""

import calendar
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import SubjectAlternativeName


def names_of_certificate(path: Path) -> set[str]:
    """Return the domain names in the certificate at ``path``, wildcards with their ``*.``.

    Raises :class:`OSError` or :class:`ValueError` if it cannot be read.
    """
    from cryptography.x509 import DNSName

    names = _alternative_names(path)
    return set(names.get_values_for_type(DNSName)) if names else set()


def addresses_of_certificate(path: Path) -> list[str]:
    """Return the IP addresses in the certificate at ``path``; errors as for its names."""
    from cryptography.x509 import IPAddress

    names = _alternative_names(path)
    return sorted(map(str, names.get_values_for_type(IPAddress))) if names else []


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


def end_of_certificate(path: Path) -> int:
    """Return when the certificate at ``path`` ends, in UNIX seconds; errors as for its names."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    with warnings.catch_warnings():  # as above
        warnings.simplefilter("ignore")
        return calendar.timegm(certificate.not_valid_after.timetuple())


def _alternative_names(path: Path) -> "SubjectAlternativeName | None":
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    return extension.value
