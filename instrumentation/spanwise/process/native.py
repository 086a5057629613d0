"""Modules in C, each of which takes the place of one in Python that does the same.

They are compiled as spanwise is installed. Where that could not be done, Python does their work and is slower.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

PURE_PYTHON: Final = "SPANWISE_PURE_PYTHON"
"""The environment variable that keeps C away, as spanwise is installed or as it runs."""


def module(name: str, *, interface: int) -> Any:
    """Return a module in C; none where it is not to be used.

    Args:
        name: of the module.
        interface: what its `INTERFACE` has to be; raised in both with each change of what they ask of one another, so
            that one compiled before its checkout was brought up to date is left alone.
    """
    if os.environ.get(PURE_PYTHON):
        return None
    try:
        found = importlib.import_module(name)
    except ImportError:  # it was not compiled
        return None
    return found if getattr(found, "INTERFACE", None) == interface else None
