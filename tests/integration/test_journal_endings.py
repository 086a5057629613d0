"""Every way in which a process can end leaves what has ended on disk, and the process its own exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support import journal_files

from spanwise.journal import ledger
from spanwise.journal.ledger import Counts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
BEGIN = """
import asyncio, os, signal, sys, threading, time
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(journal_dir="journal", journal_interval=60)  # nothing is written by the clock here
def record(number=3):
    with spanwise.step("outer"):
        for _ in range(number):
            with spanwise.step("inner"):
                pass
"""
OPEN = """
outer = spanwise.step("outer").start()
for _ in range(3):
    with spanwise.step("inner"):
        pass
"""


def program(text: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BEGIN + text],
        cwd=folder, env=inherited | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def ended(text: str, folder: Path) -> tuple[int, str, Counter[str], Counts]:
    """Run a program to its end; returns status, standard error, the names of its spans and its ledger."""
    process = program(text, folder)
    _, error = process.communicate(timeout=60)
    journal = folder / "journal"
    return process.returncode, error, Counter(journal_files.names(journal)), ledger.read(journal)


WHOLE = Counter({"step inner": 3, "step outer": 1})
ACCOUNT = Counts(started=4, journaled=4)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param("record()", 0, id="normal exit"),
        pytest.param("record()\nsys.exit(3)", 3, id="SystemExit"),
        pytest.param("record()\nos._exit(7)", 7, id="os._exit after the outermost span"),
        pytest.param("threading.Thread(target=record).start()", 0, id="a thread that outlives the main one"),
        pytest.param(
            "async def main():\n    record()\nasyncio.run(main())\nos._exit(5)", 5, id="os._exit after the loop's end"
        ),
        pytest.param("record()\nsignal.raise_signal(signal.SIGKILL)", -9, id="kill -9 after the outermost span"),
    ],
)
def test_what_has_ended_is_written_and_the_status_is_the_programs(tmp_path: Path, text: str, status: int) -> None:
    assert ended(text, tmp_path) == (status, "", WHOLE, ACCOUNT)


IN_A_COROUTINE = """
from spanwise.recording import telemetry as runtime
async def main():
    record()
    {}
    os._exit(5)
asyncio.run(main())
"""
WRITTEN_BY_ITSELF = """began = time.monotonic()
    while runtime.active().ledger().journaled < 4 and time.monotonic() < began + 20:
        await asyncio.sleep(0)"""


@pytest.mark.parametrize(
    "before", [WRITTEN_BY_ITSELF, "runtime.active().flush()"], ids=["milliseconds later", "flushed"]
)
def test_inside_a_coroutine_a_run_is_written_soon_after_its_end_whatever_the_interval(
    tmp_path: Path, before: str
) -> None:
    assert ended(IN_A_COROUTINE.format(before), tmp_path) == (5, "", WHOLE, ACCOUNT)


def test_what_os_exit_inside_a_coroutine_loses_is_counted(tmp_path: Path) -> None:
    status, error, names, account = ended(IN_A_COROUTINE.format("pass"), tmp_path)
    assert (status, error) == (5, "")
    assert names.total() == account.journaled
    assert account == Counts(started=4, journaled=account.journaled, dropped=account.dropped)
    assert account.dropped.keys() <= {"crash"}
    assert account.journaled + sum(account.dropped.values()) == 4


def test_an_uncaught_exception_keeps_its_traceback_and_the_spans(tmp_path: Path) -> None:
    status, error, names, account = ended(OPEN + "raise KeyError('ticker')", tmp_path)
    assert (status, names) == (1, Counter({"step inner": 3}))
    assert error.splitlines()[-1] == "KeyError: 'ticker'"
    assert "spanwise" not in error
    assert account == Counts(started=4, journaled=3, dropped={"crash": 1})


TERMINATED = """
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def terminated(folder: Path, text: str, *, signals: int = 1) -> tuple[int, str, str]:
    process = program(text, folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def test_sigterm_writes_what_has_ended_and_ends_the_process_as_before(tmp_path: Path) -> None:
    assert terminated(tmp_path, OPEN + TERMINATED) == (-signal.SIGTERM, "", "")
    assert Counter(journal_files.names(tmp_path / "journal")) == Counter({"step inner": 3})
    assert ledger.read(tmp_path / "journal") == Counts(started=4, journaled=3, dropped={"crash": 1})


HANDLED_BEFORE = """
import signal, os
signal.signal(signal.SIGTERM, lambda number, frame: (print("theirs", flush=True), os._exit(4)))
"""


def test_a_handler_that_was_there_is_called_after_the_write(tmp_path: Path) -> None:
    text = f"spanwise.shutdown(){HANDLED_BEFORE}spanwise.configure(journal_dir='journal', journal_interval=60)"
    assert terminated(tmp_path, text + OPEN + TERMINATED) == (4, "theirs\n", "")
    assert Counter(journal_files.names(tmp_path / "journal")) == Counter({"step inner": 3})


def test_an_ignored_sigterm_stays_ignored_and_ending_recording_puts_the_handler_back(tmp_path: Path) -> None:
    text = """
before = signal.getsignal(signal.SIGTERM)
spanwise.shutdown()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL is not before
signal.signal(signal.SIGTERM, signal.SIG_IGN)
spanwise.configure(journal_dir="journal")
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
"""
    assert ended(text, tmp_path)[:2] == (0, "")


UNDER_LOAD = """
def load():
    while True:
        with spanwise.step("load"):
            pass
for _ in range(2):
    threading.Thread(target=load, daemon=True).start()
record()
print("ready", flush=True)
load()
"""


def test_sigterm_under_load_leaves_an_account_that_adds_up(tmp_path: Path) -> None:
    assert terminated(tmp_path, UNDER_LOAD) == (-signal.SIGTERM, "", "")
    folder = tmp_path / "journal"
    account = ledger.read(folder)
    assert account.journaled == len(journal_files.names(folder)) > 0
    assert account.started == account.journaled + sum(account.dropped.values())
    assert account.dropped.keys() <= {"crash"}


STUCK = """
from spanwise.journal.stream import Stream  # noqa: PLC0415 - likewise
Stream.append = lambda self, *record: time.sleep(3600)
spanwise.shutdown()
spanwise.configure(journal_dir="journal", shutdown_timeout=0.2)
"""


def test_a_disk_that_hangs_holds_the_end_up_no_longer_than_the_setting(tmp_path: Path) -> None:
    text = (
        STUCK
        + OPEN
        + "import atexit; began = time.monotonic()\n"
        + "spanwise.shutdown(); assert time.monotonic() - began < 5, time.monotonic() - began"
    )
    status, error, names, account = ended(text, tmp_path)
    assert (status, error, names) == (0, "", Counter())
    assert account == Counts(started=4, dropped={"crash": 4})
