"""A purge while processes record: each closes its segment, one that cannot is told of, and nothing else is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support.receiver_bursts import slow_receiver

from spanwise.journal import closing, ledger, purge, reader, scan
from spanwise.journal.purge import Erased

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
RECORDS = """
import sys, threading, time
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(journal_dir="journal", endpoint=sys.argv[1] or None, shutdown_timeout=0.5)
with spanwise.workflow("secret"):
    pass
print("ready", flush=True)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    with spanwise.workflow("load"):
        with spanwise.step("inner"):
            time.sleep(0.001)
"""


def recording(folder: Path, endpoint: str = "") -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RECORDS, endpoint],
        cwd=folder, env=inherited, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def secrets(folder: Path) -> set[str]:
    return {span.trace_id for span in reader.read(folder) if span.name == "invoke_workflow secret"}


def everything_in(folder: Path) -> bytes:
    return b"".join(bytes(scan.content(path)) for stream in scan.streams(folder) for path in stream.segments)


def whole(folder: Path, erased: int) -> None:
    """Check that all that is counted as journaled is there, but for what was erased."""
    counts = ledger.read(folder)
    assert (counts.open, counts.buffered) == (0, 0)
    assert counts.started == counts.journaled + sum(counts.dropped.values())
    report = reader.ReadReport()
    ended = [span for span in reader.read(folder, report) if span.state == "ended"]
    assert (len(ended), report.skipped) == (counts.journaled - erased, [])
    for fates in counts.destinations.values():
        assert counts.journaled == sum(fates.values())


def test_processes_that_record_close_their_segments_for_a_purge_and_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with slow_receiver() as endpoint, ExitStack() as stack:
        processes = [stack.enter_context(recording(tmp_path, address)) for address in ("", "", endpoint)]
        gone = secrets(folder)
        found = purge.erase(folder, lambda trace_id, _: trace_id in gone)
        assert (found.spans, found.still_written) == (3, 0)
        assert not any(trace_id.encode() in everything_in(folder) for trace_id in gone)
        for process in processes:
            process.communicate("", timeout=60)
        assert [process.returncode for process in processes] == [0, 0, 0]
    assert Counter(len(stream.segments) for stream in scan.streams(folder)) == {2: 3}
    whole(folder, erased=3)


def test_a_process_that_cannot_answer_is_told_of_and_one_that_is_killed_is_purged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "PATIENCE", 2.0)
    folder = tmp_path / "journal"
    with recording(tmp_path) as stopped, recording(tmp_path) as going:
        gone = secrets(folder)
        stopped.send_signal(signal.SIGSTOP)
        found = purge.erase(folder, lambda trace_id, _: trace_id in gone)
        assert found == Erased(spans=1, still_written=1)
        assert list(folder.glob("*.close")) == []
        assert secrets(folder) < gone
        stopped.send_signal(signal.SIGKILL)
        stopped.communicate(timeout=60)
        assert purge.erase(folder, lambda trace_id, _: trace_id in gone) == Erased(spans=1)
        assert secrets(folder) == set()
        going.communicate("", timeout=60)
    whole(folder, erased=2)
