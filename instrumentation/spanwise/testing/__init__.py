"""Test kit for traced programs: spans in memory as plain dicts, and an event loop on a virtual clock.

with capture() as spans:
    run_my_agent()
assert [span["name"] for span in spans()] == ["invoke_agent risk"]
"""

from spanwise.testing.kit import CountingIds, PlainSpan, capture, captured_telemetry, plain
from spanwise.testing.virtual_clock import VirtualLoop, run_virtual

__all__ = ["CountingIds", "PlainSpan", "VirtualLoop", "capture", "captured_telemetry", "plain", "run_virtual"]
