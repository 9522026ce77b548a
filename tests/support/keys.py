"""RSA keys, which take long to make: only where a test needs them, and once for each process."""

import functools

from cryptography.hazmat.primitives.asymmetric import rsa


@functools.cache
def rsa_key(size: int = 2048) -> rsa.RSAPrivateKey:
    """Return the same key each time, of ``size`` bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=size)
