"""The reference systems, each a plain program on the pipeline runtime."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError, nearest

if TYPE_CHECKING:
    from spanwise_pipeline.system import System

NAMES: Final = ("trading", "hedge_fund", "marketing", "orchestrator", "matching")


def system_named(name: str) -> System:
    """Return a system; raises `InputError` with the nearest name."""
    if name not in NAMES:
        raise InputError(f"unknown system {name!r}; {nearest(name, NAMES)}")
    system: System = import_module(f"{__name__}.{name}").SYSTEM
    return system
