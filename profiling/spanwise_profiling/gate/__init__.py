"""Whether runs keep their limits, and whether they are worse than a baseline: one list of checks and one verdict.

Counts decide alone, because they need no statistics. Seconds decide a regression only between interleaved runs, and
only where the change is at least the margin and its interval excludes zero. What could not be measured is never a pass.
"""

from __future__ import annotations

from spanwise_profiling.gate.limits import Limit, check_limits
from spanwise_profiling.gate.regression import Rules, check_regression
from spanwise_profiling.gate.result import Check, GateResult

__all__ = ["Check", "GateResult", "Limit", "Rules", "check_limits", "check_regression"]
