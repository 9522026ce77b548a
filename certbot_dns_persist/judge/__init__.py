"""Judging what DNS holds and planning what to change; nothing is changed here.

The package is called like a function of the library, so it is one, too.
"""

import importlib
import sys
import types
from typing import Any


class _Judge(types.ModuleType):
    """This package, once something of it is imported; until then, the package above has judge()."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return importlib.import_module("certbot_dns_persist.library").judge(*args, **named)


sys.modules[__name__].__class__ = _Judge
