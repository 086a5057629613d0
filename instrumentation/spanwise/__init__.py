"""spanwise records what an agent run did and what it waited for.

import spanwise

spanwise.configure(service_name="desk", journal_dir=".spanwise")

@spanwise.agent("risk")
async def assess(plan: str) -> str: ...
"""

from spanwise.carriers import extract, inject
from spanwise.errors import CheckFailedError, InputError, SpanwiseError, UnavailableError
from spanwise.recorded import waits_on
from spanwise.runtime import Telemetry, configure, shutdown
from spanwise.spans import (
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
from spanwise.waits import record_wait, waiting

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
