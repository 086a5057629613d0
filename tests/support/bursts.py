"""Bursts of spans in a process of their own: how long they take, what is lost, and how much memory they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

BURST = """
import asyncio, json, sys, time
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spans, where = int(sys.argv[1]), sys.argv[2]
def resident(field):  # MiB
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024
telemetry = spanwise.configure(journal_dir="journal", **json.loads(sys.argv[3]))
text = "What moves the price of this share today? " * 10
def burst():
    for number in range(spans):
        with spanwise.step("work") as step:
            step.set("number", number).set("text", text)
async def in_a_loop():
    burst()
with spanwise.step("warm"):
    pass
before, began = resident("VmRSS"), time.perf_counter()
if where == "loop":
    asyncio.run(in_a_loop())
else:
    burst()
emitted = time.perf_counter() - began
telemetry.flush(120)
took = time.perf_counter() - began
peak = resident("VmHWM")
counts = telemetry.ledger()
spanwise.shutdown()
print(json.dumps({"emitted_s": emitted, "seconds": took, "grown_mib": peak - before, "started": counts.started,
                  "journaled": counts.journaled, "dropped": counts.dropped, "open": counts.open,
                  "buffered": counts.buffered}))
"""


def burst(folder: Path, spans: int, *, where: str = "thread", **settings: Any) -> dict[str, Any]:
    """Run a burst (`where`: `thread`, or `loop` for one whose thread runs an event loop) and return its figures."""
    folder.mkdir()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BURST, str(spans), where, json.dumps(settings)],
        cwd=folder, env=inherited, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures_of(found: dict[str, Any]) -> str:
    """Return the figures of a burst in a line."""
    lost = ", ".join(f"{number} {reason}" for reason, number in found["dropped"].items()) or "none"
    return (
        f"burst of {found['started']} spans: {found['emitted_s']:.2f} s to record, {found['seconds']:.2f} s until all "
        f"is on disk, lost {lost}, memory grew by {found['grown_mib']:.0f} MiB"
    )
