"""Run agents: dataflow scheduler, model client, tools, cache and limits.

Names load on first use, so that the simulated provider, which lives below this package, starts without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spanwise_pipeline.caches.cache import Cache, CacheStatistics
    from spanwise_pipeline.caches.codecs import Codec, JsonCodec, TypedCodec
    from spanwise_pipeline.caches.keys import file_hash
    from spanwise_pipeline.caches.redis_store import RedisStore
    from spanwise_pipeline.caches.semantic import Semantic
    from spanwise_pipeline.caches.stores import LocalStore, Store
    from spanwise_pipeline.calls.circuit import Breaker, Circuit, CircuitOpenError, CircuitStatistics
    from spanwise_pipeline.calls.client import ModelClient
    from spanwise_pipeline.calls.errors import IncompleteReplyError
    from spanwise_pipeline.calls.fallback import Fallback
    from spanwise_pipeline.calls.formats import InvalidReplyError
    from spanwise_pipeline.calls.hedging import Hedging
    from spanwise_pipeline.calls.reply import Reply
    from spanwise_pipeline.calls.retrying import Retries, RetryBudget, RetryBudgetStatistics
    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.flags import Duration, Flags, flag, load_presets
    from spanwise_pipeline.limits.adaptive import AdaptiveLimit
    from spanwise_pipeline.limits.concurrency import ConcurrencyLimit, LimitStatistics
    from spanwise_pipeline.limits.model import ModelLimits
    from spanwise_pipeline.limits.rates import RateLimit, RateStatistics, RequestTooLargeError, Reservation
    from spanwise_pipeline.limits.reserving import Reserve
    from spanwise_pipeline.loop_thread import EventLoopThread
    from spanwise_pipeline.pools import Pool, PoolClosedError, PoolStatistics, ProcessPool, ThreadPool, WorkerError
    from spanwise_pipeline.remote import fetch
    from spanwise_pipeline.resources import (
        Data,
        Folder,
        Limits,
        Need,
        Processes,
        Resources,
        SharedStore,
        Threads,
        UndeclaredError,
    )
    from spanwise_pipeline.rubric import Grade, Task, expected_facts, facts_of, grade_sections
    from spanwise_pipeline.scheduling.background import Background
    from spanwise_pipeline.scheduling.fan import NoGoodResultError
    from spanwise_pipeline.scheduling.flow import Flow
    from spanwise_pipeline.scheduling.plan import PlanError, PlannedStep, PlanReader, run_plan
    from spanwise_pipeline.scheduling.progress import StepEvent, report_partial
    from spanwise_pipeline.scheduling.slots import FlowStatistics
    from spanwise_pipeline.scheduling.step import (
        Step,
        StepCancelledError,
        StepDeadlineError,
        StepSkippedError,
        StepTypeError,
    )
    from spanwise_pipeline.system import CacheUse, Claim, Outcome, Published, System, SystemContext
    from spanwise_pipeline.tools import Tool, Toolbox, ToolCall, UnknownToolError, in_thread
    from spanwise_pipeline.writer import Receipt, WriteError, Writer, WriterStatistics

_HOME: Final = {
    "caches.cache": ("Cache", "CacheStatistics"),
    "caches.codecs": ("Codec", "JsonCodec", "TypedCodec"),
    "caches.keys": ("file_hash",),
    "caches.redis_store": ("RedisStore",),
    "caches.semantic": ("Semantic",),
    "caches.stores": ("LocalStore", "Store"),
    "calls.circuit": ("Breaker", "Circuit", "CircuitOpenError", "CircuitStatistics"),
    "calls.client": ("ModelClient",),
    "calls.errors": ("IncompleteReplyError",),
    "calls.fallback": ("Fallback",),
    "calls.formats": ("InvalidReplyError",),
    "calls.hedging": ("Hedging",),
    "calls.reply": ("Reply",),
    "calls.retrying": ("Retries", "RetryBudget", "RetryBudgetStatistics"),
    "clock": ("Clock",),
    "flags": ("Duration", "Flags", "flag", "load_presets"),
    "limits.adaptive": ("AdaptiveLimit",),
    "limits.concurrency": ("ConcurrencyLimit", "LimitStatistics"),
    "limits.model": ("ModelLimits",),
    "limits.rates": ("RateLimit", "RateStatistics", "RequestTooLargeError", "Reservation"),
    "limits.reserving": ("Reserve",),
    "loop_thread": ("EventLoopThread",),
    "pools": ("Pool", "PoolClosedError", "PoolStatistics", "ProcessPool", "ThreadPool", "WorkerError"),
    "remote": ("fetch",),
    "resources": (
        "Data",
        "Folder",
        "Limits",
        "Need",
        "Processes",
        "Resources",
        "SharedStore",
        "Threads",
        "UndeclaredError",
    ),
    "rubric": ("Grade", "Task", "expected_facts", "facts_of", "grade_sections"),
    "scheduling.background": ("Background",),
    "scheduling.fan": ("NoGoodResultError",),
    "scheduling.flow": ("Flow",),
    "scheduling.plan": ("PlanError", "PlanReader", "PlannedStep", "run_plan"),
    "scheduling.progress": ("StepEvent", "report_partial"),
    "scheduling.slots": ("FlowStatistics",),
    "scheduling.step": ("Step", "StepCancelledError", "StepDeadlineError", "StepSkippedError", "StepTypeError"),
    "system": ("CacheUse", "Claim", "Outcome", "Published", "System", "SystemContext"),
    "tools": ("Tool", "ToolCall", "Toolbox", "UnknownToolError", "in_thread"),
    "writer": ("Receipt", "WriteError", "Writer", "WriterStatistics"),
}
_MODULE_OF: Final = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AdaptiveLimit",
    "Background",
    "Breaker",
    "Cache",
    "CacheStatistics",
    "CacheUse",
    "Circuit",
    "CircuitOpenError",
    "CircuitStatistics",
    "Claim",
    "Clock",
    "Codec",
    "ConcurrencyLimit",
    "Data",
    "Duration",
    "EventLoopThread",
    "Fallback",
    "Flags",
    "Flow",
    "FlowStatistics",
    "Folder",
    "Grade",
    "Hedging",
    "IncompleteReplyError",
    "InvalidReplyError",
    "JsonCodec",
    "LimitStatistics",
    "Limits",
    "LocalStore",
    "ModelClient",
    "ModelLimits",
    "Need",
    "NoGoodResultError",
    "Outcome",
    "PlanError",
    "PlanReader",
    "PlannedStep",
    "Pool",
    "PoolClosedError",
    "PoolStatistics",
    "ProcessPool",
    "Processes",
    "Published",
    "RateLimit",
    "RateStatistics",
    "Receipt",
    "RedisStore",
    "Reply",
    "RequestTooLargeError",
    "Reservation",
    "Reserve",
    "Resources",
    "Retries",
    "RetryBudget",
    "RetryBudgetStatistics",
    "Semantic",
    "SharedStore",
    "Step",
    "StepCancelledError",
    "StepDeadlineError",
    "StepEvent",
    "StepSkippedError",
    "StepTypeError",
    "Store",
    "System",
    "SystemContext",
    "Task",
    "ThreadPool",
    "Threads",
    "Tool",
    "ToolCall",
    "Toolbox",
    "TypedCodec",
    "UndeclaredError",
    "UnknownToolError",
    "WorkerError",
    "WriteError",
    "Writer",
    "WriterStatistics",
    "expected_facts",
    "facts_of",
    "fetch",
    "file_hash",
    "flag",
    "grade_sections",
    "in_thread",
    "load_presets",
    "report_partial",
    "run_plan",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
