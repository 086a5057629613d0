"""A program that is interrupted at any bytecode: no span that ended is lost, written twice, or waits for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spanwise.journal.reader import read

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, signal, sys, time
import spanwise

folder, durability, stop = sys.argv[1], sys.argv[2], getattr(__builtins__, sys.argv[3])
telemetry = spanwise.configure(journal_dir=folder, durability=durability)
done = interrupted = 0
with spanwise.step("s"):  # what an import is interrupted at is left to Python
    pass
until = time.monotonic() + 3

def work():
    global done
    while time.monotonic() < until:
        with spanwise.step("s"):
            pass
        done += 1

def interrupt(number, frame):
    global interrupted
    while frame is not None:
        if frame.f_code is work.__code__:
            interrupted += 1
            raise stop
        frame = frame.f_back

signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
while time.monotonic() < until:
    try:
        work()
    except stop:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
flushed = telemetry.flush()
counts = telemetry.ledger()
print(json.dumps([flushed, done, interrupted, counts.started, counts.open, counts.buffered, counts.journaled,
                  counts.dropped]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["interval", "sync"])
@pytest.mark.parametrize("stop", ["KeyboardInterrupt", "SystemExit"])
def test_an_interrupt_loses_no_span_that_ended(tmp_path: Path, durability: str, stop: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), durability, stop],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    flushed, ended, interrupted, started, opened, buffered, journaled, dropped = json.loads(done.stdout)
    assert flushed
    assert interrupted > 50
    assert (buffered, dropped) == (0, {})
    assert started == opened + journaled
    assert ended + 1 <= journaled <= ended + 1 + interrupted
    written = [span.span_id for span in read(tmp_path) if span.state == "ended"]
    assert len(written) == len(set(written)) == journaled
