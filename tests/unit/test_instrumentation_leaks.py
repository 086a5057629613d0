"""The leak checks themselves: each kind of leak is found, and what belongs to pytest is not one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from support.leaks import leaks, look

import spanwise

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_no_leak() -> None:
    assert list(leaks(look())) == []


def test_a_thread_that_still_runs_is_found() -> None:
    before, end = look(), threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten", daemon=True)
    thread.start()
    found = list(leaks(before, grace=0.01))
    end.set()
    thread.join()
    assert found == ["thread 'forgotten' still runs"]


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    before, end = look(), threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    threading.Timer(0.01, end.set).start()
    assert list(leaks(before)) == []


def test_a_thread_of_pytests_own_is_no_leak() -> None:
    before, end = look(), threading.Event()
    thread = threading.Thread(target=end.wait, name="pytest_timeout tests/x.py")
    thread.start()
    found = list(leaks(before, grace=0.01))
    end.set()
    thread.join()
    assert found == []


def test_a_task_that_is_still_pending_is_found() -> None:
    async def main() -> list[str]:
        before = look()
        task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
        await asyncio.sleep(0)
        found = list(leaks(before))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    [found] = asyncio.run(main())
    assert "name='forgotten'" in found
    assert found.endswith("was neither awaited nor cancelled")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are read from /proc")
def test_a_child_process_that_was_not_waited_for_is_found_also_when_it_ended() -> None:
    before = look()
    child = subprocess.Popen([sys.executable, "-S", "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    child.stdout.close()
    found = list(leaks(before))
    child.wait()
    assert found == [f"child process {child.pid} was not ended and waited for"]
    assert list(leaks(before)) == []


@pytest.mark.usefixtures("isolated_provider")
def test_a_provider_and_a_set_up_that_stay_are_found(tmp_path: Path) -> None:
    before = look()
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    spanwise.configure(journal_dir=tmp_path)
    assert list(leaks(before)) == [
        "the global tracer provider was set: use the fixture isolated_provider",
        "spanwise.configure() was called and shutdown() was not",
    ]
