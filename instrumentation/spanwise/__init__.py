"""spanwise records what an agent run did and what it waited for.

import spanwise  # noqa: PLC0415 - the other kind is not to load it

spanwise.configure(service_name="desk", journal_dir=".spanwise")

@spanwise.agent("risk")
async def assess(plan: str) -> str: ...
"""

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
