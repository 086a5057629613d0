"""More spans at once than can be written: a thread slows down and loses nothing, an event loop goes on and counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support import journal_files
from support.bursts import burst, figures_of

from spanwise.journal import ledger
from spanwise.journal.ledger import Counts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.alone]
SPANS = 60_000
GROWTH = 128.0
"""MiB that the process may grow by."""


def test_a_burst_from_a_thread_loses_nothing_and_stays_within_its_memory(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    found = burst(tmp_path / "a", SPANS)
    figure(figures_of(found))
    assert (found["started"], found["journaled"], found["dropped"]) == (SPANS + 1, SPANS + 1, {})
    assert found["grown_mib"] <= GROWTH
    assert ledger.read(tmp_path / "a" / "journal") == Counts(started=SPANS + 1, journaled=SPANS + 1)
    assert len(journal_files.spans(tmp_path / "a" / "journal")) == SPANS + 1


def test_a_burst_from_a_thread_with_an_event_loop_is_journaled_or_counted(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    found = burst(tmp_path / "a", SPANS, where="loop", buffer_size="4 MiB")
    figure(figures_of(found))
    dropped = found["dropped"]["buffer_full"]
    assert found["dropped"].keys() == {"buffer_full"}
    assert found["started"] == found["journaled"] + dropped == SPANS + 1
    assert found["grown_mib"] <= GROWTH
    assert len(journal_files.spans(tmp_path / "a" / "journal")) == found["journaled"]


def adds_up(counts: Counts) -> bool:
    return counts.started == counts.open + counts.buffered + counts.journaled + sum(counts.dropped.values())


MANY = """
import sys, threading, spanwise
spanwise.configure(journal_dir="journal")
def record(thread):
    with spanwise.workflow(f"{sys.argv[1]}.{thread}"):
        for number in range(2_000):
            with spanwise.step(f"{sys.argv[1]}.{thread}.{number}"):
                pass
threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_four_processes_of_four_threads_record_into_one_folder(tmp_path: Path) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", MANY, str(number)], cwd=tmp_path, env=inherited)
        for number in range(4)
    ]
    folder = tmp_path / "journal"
    readings = []
    while any(process.poll() is None for process in processes):
        readings.append(ledger.read(folder))
    assert [process.returncode for process in processes] == [0] * 4
    each = Counts(started=8_004, journaled=8_004)
    assert list(ledger.processes(folder).values()) == [each] * 4
    names = Counter(journal_files.names(folder))
    assert (len(names), set(names.values())) == (4 * 8_004, {1})
    wrong = [
        one for one in readings if one.started != one.open + one.buffered + one.journaled + sum(one.dropped.values())
    ]
    assert wrong == []
    assert [one.dropped for one in readings if one.dropped] == []


RUN = """
import json, os, spanwise, sys
spanwise.configure(journal_dir="journal")
with spanwise.workflow("desk", run_id=sys.argv[1]):
    with spanwise.agent(sys.argv[2]):
        pass
os._exit(0)
"""


def test_one_run_goes_on_in_another_process(tmp_path: Path) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    for agent in ("morning", "evening"):
        command = [sys.executable, "-W", "error", "-c", RUN, "e" * 32, agent]
        assert subprocess.run(command, cwd=tmp_path, env=inherited, timeout=60, check=False).returncode == 0
    runs = [span for span in journal_files.spans(tmp_path / "journal") if span["name"] == "invoke_workflow desk"]
    assert len({span["traceId"] for span in runs}) == 2
    assert [attribute(span, "spanwise.run.id") for span in runs] == ["e" * 32] * 2


def attribute(span: dict[str, Any], name: str) -> str:
    found: str = next(one["value"]["stringValue"] for one in span["attributes"] if one["key"] == name)
    return found
