from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.command import hear_ctrl_c
from support.many_lines import contents, lines

from spanwise.errors import UnavailableError
from spanwise.journal.reader import ReadReport
from spanwise_profiling.sources import fast, parts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# As a user's: nothing keeps it from being run again by a process that imports it.
SCRIPT = """
import os, signal, sys
from spanwise_profiling.sources import fast, parts

fast.LEAST_IN_PARTS, parts.PART, parts.cores = 1, 2_000, lambda: 2

def progress(done):
    if "interrupt" in sys.argv:
        os.kill(os.getpid(), signal.SIGINT)

print("begins", flush=True)
print(len(fast.load(sys.argv[1], progress=progress)), "spans")
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that is read in many parts by two processes."""
    monkeypatch.setattr(fast, "LEAST_IN_PARTS", 1)
    monkeypatch.setattr(parts, "PART", 2_000)
    monkeypatch.setattr(parts, "cores", lambda: 2)
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(1, 400))
    return path


def one_process(path: Path, report: ReadReport | None = None) -> dict[str, object]:
    """Return the columns that one process makes of the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "cores", lambda: 1)
        return contents(fast.load(path, report))


def test_two_processes_make_the_columns_of_one(path: Path) -> None:
    whole, in_parts = ReadReport(), ReadReport()
    done: list[int] = []
    assert contents(fast.load(path, in_parts, done.append)) == one_process(path, whole)
    assert in_parts == whole
    assert len(done) > 50
    assert done == sorted(done)


def test_it_works_in_a_thread(path: Path) -> None:
    found: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: found.append(contents(fast.load(path))))
    thread.start()
    thread.join()
    assert found == [one_process(path)]


def run_script(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script without a guard on the file."""
    script = path.with_name("script.py")
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), str(path), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip


def test_a_script_without_a_guard_is_run_once(path: Path) -> None:
    done = run_script(path)
    assert (done.stdout, done.stderr) == (f"begins\n{len(fast.load(path))} spans\n", "")


def test_ctrl_c_ends_the_processes(path: Path) -> None:
    # Its pipes end when the last process that has them does: `run` would wait for one that is left.
    done = run_script(path, "interrupt")
    assert done.returncode == -signal.SIGINT
    assert done.stdout == "begins\n"
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_the_death_of_a_process_is_one_clear_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = parts.start

    def started_and_noted(descriptor: int) -> subprocess.Popen[bytes]:
        started.append(start(descriptor))
        return started[-1]

    monkeypatch.setattr(parts, "start", started_and_noted)
    message = f"{path}: a process that read it failed (ended with status -9); free some memory, try again"
    with pytest.raises(UnavailableError, match=f"^{re.escape(message)}$"):
        fast.load(path, progress=lambda _: started[0].kill())
    assert [process.poll() for process in started] == [-9, -9]


def test_where_no_process_starts_the_file_is_read_here(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_CODE", "raise SystemExit(1)")
    assert contents(fast.load(path)) == one_process(path)


def test_a_process_ends_with_the_one_that_started_it(path: Path) -> None:
    reading, writing = os.pipe()
    code = "from spanwise_profiling.sources import parts_process as p; p.main(0)"
    os.close(writing)
    done = subprocess.run([sys.executable, "-c", code], stdin=reading, capture_output=True, timeout=60, check=True)
    os.close(reading)
    assert (done.stdout, done.stderr) == (parts.READY, b"")
