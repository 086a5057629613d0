"""Two populations of runs compared: what changed, by how much, how sure that is, and where it comes from.

A run is the unit. Runs are paired by task or seed where both sides have them, tests are exact, and a verdict needs both
a small p and a shift of at least the margin. Counts that are the same in every run are compared exactly, and first.
"""

from __future__ import annotations

from spanwise_profiling.comparison.compare import compare, judge
from spanwise_profiling.comparison.result import Comparison

__all__ = ["Comparison", "compare", "judge"]
