"""Limits that calls keep, so that a provider need not refuse them: places, requests and tokens a minute.

Whoever waits is served in order, runs take turns, and every wait is recorded.
"""

from __future__ import annotations

from spanwise_pipeline.limits.concurrency import ConcurrencyLimit, LimitStatistics

__all__ = ["ConcurrencyLimit", "LimitStatistics"]
