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
    from spanwise_pipeline.calls.hedging import Hedging
    from spanwise_pipeline.calls.reply import Reply
    from spanwise_pipeline.calls.retrying import Retries, RetryBudget, RetryBudgetStatistics
    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.flow import Flow, Step, StepCancelledError, StepSkippedError
    from spanwise_pipeline.limits.adaptive import AdaptiveLimit
    from spanwise_pipeline.limits.concurrency import ConcurrencyLimit, LimitStatistics
    from spanwise_pipeline.limits.model import ModelLimits
    from spanwise_pipeline.limits.rates import RateLimit, RateStatistics, RequestTooLargeError, Reservation
    from spanwise_pipeline.limits.reserving import Reserve
    from spanwise_pipeline.remote import fetch
    from spanwise_pipeline.system import CacheUse, Outcome, Published, System, SystemContext
    from spanwise_pipeline.tools import Tool, Toolbox, ToolCall, UnknownToolError, in_thread

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
    "calls.hedging": ("Hedging",),
    "calls.reply": ("Reply",),
    "calls.retrying": ("Retries", "RetryBudget", "RetryBudgetStatistics"),
    "clock": ("Clock",),
    "flow": ("Flow", "Step", "StepCancelledError", "StepSkippedError"),
    "limits.adaptive": ("AdaptiveLimit",),
    "limits.concurrency": ("ConcurrencyLimit", "LimitStatistics"),
    "limits.model": ("ModelLimits",),
    "limits.rates": ("RateLimit", "RateStatistics", "RequestTooLargeError", "Reservation"),
    "limits.reserving": ("Reserve",),
    "remote": ("fetch",),
    "system": ("CacheUse", "Outcome", "Published", "System", "SystemContext"),
    "tools": ("Tool", "ToolCall", "Toolbox", "UnknownToolError", "in_thread"),
}
_MODULE_OF: Final = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AdaptiveLimit",
    "Breaker",
    "Cache",
    "CacheStatistics",
    "CacheUse",
    "Circuit",
    "CircuitOpenError",
    "CircuitStatistics",
    "Clock",
    "Codec",
    "ConcurrencyLimit",
    "Fallback",
    "Flow",
    "Hedging",
    "IncompleteReplyError",
    "JsonCodec",
    "LimitStatistics",
    "LocalStore",
    "ModelClient",
    "ModelLimits",
    "Outcome",
    "Published",
    "RateLimit",
    "RateStatistics",
    "RedisStore",
    "Reply",
    "RequestTooLargeError",
    "Reservation",
    "Reserve",
    "Retries",
    "RetryBudget",
    "RetryBudgetStatistics",
    "Semantic",
    "Step",
    "StepCancelledError",
    "StepSkippedError",
    "Store",
    "System",
    "SystemContext",
    "Tool",
    "ToolCall",
    "Toolbox",
    "TypedCodec",
    "UnknownToolError",
    "fetch",
    "file_hash",
    "in_thread",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
