"""spanwise records what an agent run did and what it waited for.

import spanwise  # noqa: PLC0415 - the other kind is not to load it

spanwise.configure(service_name="desk", journal_dir=".spanwise")

@spanwise.agent("risk")
async def assess(plan: str) -> str: ...

Names load on first use, so that what reads recordings, as most of the command line does, starts without OpenTelemetry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spanwise.errors import CheckFailedError, InputError, SpanwiseError, UnavailableError
    from spanwise.helpers.factories import (
        agent,
        cache_lookup,
        embeddings,
        llm_call,
        plan,
        retrieval,
        step,
        tool,
        workflow,
    )
    from spanwise.helpers.propagation import extract, inject
    from spanwise.helpers.waits import waiting
    from spanwise.recording.telemetry import Telemetry
    from spanwise.recording.waits import record_wait, waits_on
    from spanwise.setup import configure, shutdown

_HOME: Final = {
    "errors": ("CheckFailedError", "InputError", "SpanwiseError", "UnavailableError"),
    "helpers.factories": (
        "agent", "cache_lookup", "embeddings", "llm_call", "plan", "retrieval", "step", "tool", "workflow",
    ),
    "helpers.propagation": ("extract", "inject"),
    "helpers.waits": ("waiting",),
    "recording.telemetry": ("Telemetry",),
    "recording.waits": ("record_wait", "waits_on"),
    "setup": ("configure", "shutdown"),
}  # fmt: skip
_MODULE_OF: Final = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "CheckFailedError",
    "InputError",
    "SpanwiseError",
    "Telemetry",
    "UnavailableError",
    "agent",
    "cache_lookup",
    "configure",
    "embeddings",
    "extract",
    "inject",
    "llm_call",
    "plan",
    "record_wait",
    "retrieval",
    "shutdown",
    "step",
    "tool",
    "waiting",
    "waits_on",
    "workflow",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # All names at once: one that is used for the first time as the interpreter ends could not be imported any more.
    for public, module in _MODULE_OF.items():
        globals()[public] = getattr(import_module(f"{__name__}.{module}"), public)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
