"""What a test needs of the machine that it runs on."""

import os

import pytest

from .process import bound, free_port


def need(condition: object, reason: str) -> None:
    """Skip the test if ``condition`` is false; in CI, where everything must be there, fail."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_ipv6() -> None:
    """Skip or fail where ``::1`` cannot be used."""
    try:
        with bound("::1", free_port()):
            pass
    except OSError as error:
        need(False, f"IPv6 cannot be used on this machine: {error}")
