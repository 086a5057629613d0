"""Forked children and server workers: each records into a stream of its own, and no span is counted or lost twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support import journal_files
from support.otlp_receiver import receiving
from support.servers import eventually

from spanwise import conventions as c
from spanwise.journal import ledger
from spanwise.journal.format import START
from spanwise.journal.ledger import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.slow
QUIET = """
import os, warnings, spanwise
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, forking with threads is warned of
"""


def run(text: str, folder: Path, *, arguments: Sequence[str] = ()) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", QUIET + text, *arguments],
        cwd=folder, env=inherited, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


FORKS_IN_A_SPAN = """
spanwise.configure(journal_dir="journal")
with spanwise.step("before"):
    pass
with spanwise.workflow("desk", run_id="d" * 32) as run:
    child = os.fork()
    if not child:
        with spanwise.tool("in the child"):
            pass
        run.span.end()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
with spanwise.step("after"):
    pass
"""


def test_a_fork_in_the_middle_of_a_span_leaves_the_span_to_the_parent_and_gives_the_child_a_stream(
    tmp_path: Path,
) -> None:
    run(FORKS_IN_A_SPAN, tmp_path)
    folder = tmp_path / "journal"
    spans = {span["name"]: span for span in journal_files.spans(folder)}
    assert Counter(journal_files.names(folder)) == Counter(
        {"step before": 1, "invoke_workflow desk": 1, "execute_tool in the child": 1, "step after": 1}
    )
    assert spans["execute_tool in the child"]["parentSpanId"] == spans["invoke_workflow desk"]["spanId"]
    assert sorted(ledger.processes(folder).values(), key=lambda one: one.started) == [
        Counts(started=1, journaled=1), Counts(started=3, journaled=3),
    ]  # fmt: skip
    assert set(journal_files.names(folder, START)) <= {"invoke_workflow desk", "execute_tool in the child"}


FORKS_WHILE_A_MODULE_LOADS = """
import builtins, signal, sys, threading
from spanwise.process.imports import apart_from_forks
builtins.begun, builtins.forked = threading.Event(), threading.Event()
with open("slow.py", "w") as module:
    module.write("begun.set(); forked.wait(0.3)")
sys.path.insert(0, ".")

def load():
    with apart_from_forks():
        import slow

threading.Thread(target=load).start()
begun.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    import slow
    os._exit(0)
forked.set()
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_waits_for_what_a_thread_of_ours_loads_as_the_child_could_never_load_it(tmp_path: Path) -> None:
    run(FORKS_WHILE_A_MODULE_LOADS, tmp_path)


FORKS_UNUSED = """
spanwise.configure(journal_dir="journal")
with spanwise.step("parent"):
    pass
child = os.fork()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_that_records_nothing_leaves_nothing(tmp_path: Path) -> None:
    run(FORKS_UNUSED, tmp_path)
    assert list(ledger.processes(tmp_path / "journal").values()) == [Counts(started=1, journaled=1)]


MEASURES = """
import socket
telemetry = spanwise.configure(metrics_port=0)
port = telemetry.metrics_port
def tools():
    return sum(sum(row[1]) for metric, rows in telemetry.metrics.snapshot() for row in rows
               if metric.name == "gen_ai_execute_tool_duration_seconds")
with spanwise.tool("parent"):
    pass
child = os.fork()
if not child:
    before = tools()
    with spanwise.tool("child"):
        pass
    os._exit(0 if (before, tools(), telemetry.metrics_port) == (0, 1, None) else 1)
assert os.waitpid(child, 0)[1] == 0
assert tools() == 1
socket.create_connection(("127.0.0.1", port)).close()
"""


def test_a_childs_metrics_begin_anew_and_the_port_stays_the_parents(tmp_path: Path) -> None:
    run(MEASURES, tmp_path)


FORKS_UNDER_LOAD = """
import threading
spanwise.configure(journal_dir="journal")
stop = threading.Event()
def load():
    while not stop.is_set():
        with spanwise.step("load"):
            pass
threads = [threading.Thread(target=load) for _ in range(3)]
for thread in threads: thread.start()
for number in range(20):
    child = os.fork()
    if not child:
        for _ in range(50):
            with spanwise.step("child"):
                pass
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads: thread.join()
"""


def test_children_forked_while_other_threads_record_hang_nowhere_and_count_exactly(tmp_path: Path) -> None:
    run(FORKS_UNDER_LOAD, tmp_path)
    folder = tmp_path / "journal"
    children = [counts for counts in ledger.processes(folder).values() if counts.started == 50]
    assert len(children) == 20
    assert children == [Counts(started=50, journaled=50)] * 20
    assert Counter(journal_files.names(folder))["step child"] == 1000
    total = ledger.read(folder)
    assert (total.started, total.open, total.buffered, total.dropped) == (total.journaled, 0, 0, {})


SENDS = """
import sys
spanwise.configure(journal_dir="journal", endpoint=sys.argv[1])
with spanwise.step("parent"):
    pass
child = os.fork()
if not child:
    with spanwise.step("child"):
        pass
    spanwise.shutdown()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_sends_what_it_records(tmp_path: Path) -> None:
    with receiving() as receiver:
        run(SENDS, tmp_path, arguments=[receiver.address])
    assert Counter(receiver.spans) == Counter({"step parent": 1, "step child": 1})
    delivered = {"delivered": 1, "pending": 0, "set_aside": 0, "filtered": 0, "expired": 0}
    assert (
        list(ledger.processes(tmp_path / "journal").values())
        == [Counts(started=1, journaled=1, destinations={"otlp": delivered})] * 2
    )


FORKS_IN_A_LOOP = """
import asyncio
spanwise.configure(journal_dir="journal", journal_interval=60)
async def main():
    with spanwise.workflow("first"):
        pass
    with spanwise.workflow("parent"):
        with spanwise.step("waits in the parent"):
            pass
        child = os.fork()
        if not child:
            with spanwise.tool("child"):
                pass
            return 0
    assert os.waitpid(child, 0)[1] == 0
    return child
child = asyncio.run(main())
if not child:
    os._exit(0)
"""


def test_a_child_forked_amid_a_loop_writes_what_is_its_own_and_nothing_of_the_parents(tmp_path: Path) -> None:
    run(FORKS_IN_A_LOOP, tmp_path)
    folder = tmp_path / "journal"
    assert Counter(journal_files.names(folder)) == Counter(
        {
            "invoke_workflow first": 1,
            "step waits in the parent": 1,
            "invoke_workflow parent": 1,
            "execute_tool child": 1,
        }
    )
    assert ledger.read(folder) == Counts(started=4, journaled=4)


FORKS_WITH_CAUSALITY = """
import asyncio
from spanwise import causality  # noqa: PLC0415 - asyncio loads only where causality is wanted
spanwise.configure(journal_dir="journal", causality="on", wait_threshold=0.0)

async def work(name):
    with spanwise.tool(name):
        await asyncio.sleep(0.001)

async def main(name):
    with spanwise.workflow(name):
        await asyncio.gather(work(name + " slow"), work(name + " quick"))

asyncio.run(main("before"))
child = os.fork()
if not child:
    assert causality.active_mode() == "on"
    asyncio.run(main("child"))
    spanwise.shutdown()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
asyncio.run(main("after"))
"""


def test_waits_are_followed_in_a_forked_child_as_in_its_parent(tmp_path: Path) -> None:
    run(FORKS_WITH_CAUSALITY, tmp_path)
    spans = [span for span in journal_files.spans(tmp_path / "journal") if span["name"].startswith("invoke_workflow")]
    named = {span["name"]: {one["key"] for one in span["attributes"]} for span in spans}
    assert {name: c.CPU_SECONDS in keys for name, keys in named.items()} == {
        "invoke_workflow before": True, "invoke_workflow child": True, "invoke_workflow after": True,
    }  # fmt: skip


POOL = """
import multiprocessing
spanwise.configure(journal_dir="journal")
def work(number):
    with spanwise.tool(f"work {number}"):
        with spanwise.step("inner"):
            pass
    return number
if __name__ == "__main__":
    with spanwise.workflow("desk"):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(work, range(10)) == list(range(10))
            pool.close()
            pool.join()
"""


def test_workers_of_a_multiprocessing_pool_lose_nothing(tmp_path: Path) -> None:
    run(POOL, tmp_path)
    folder = tmp_path / "journal"
    assert Counter(name.partition(" ")[0] for name in journal_files.names(folder)) == Counter(
        {"execute_tool": 10, "step": 10, "invoke_workflow": 1}
    )
    assert ledger.read(folder) == Counts(started=21, journaled=21)


SERVED = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(journal_dir="journal")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    with spanwise.workflow("request"):
        with spanwise.tool("work"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""


def test_a_prefork_server_with_recycled_workers_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    server = subprocess.Popen(
        [
            sys.executable, "-m", "gunicorn", "served:app", "--preload", "--workers", "2", "--max-requests", "7",
            "--bind", "127.0.0.1:0", "--worker-class", "uvicorn.workers.UvicornWorker", "--graceful-timeout", "10",
        ],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    folder = tmp_path / "journal"
    try:
        asked = _ask_until_recycled(_address(server), folder)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    eventually(lambda: ledger.read(folder).journaled, lambda found: found >= 3 * asked, within=10)
    recorded = Counter(journal_files.names(folder))
    assert recorded == {"GET /": asked, "invoke_workflow request": asked, "execute_tool work": asked}
    assert ledger.read(folder) == Counts(started=3 * asked, journaled=3 * asked)


def _ask_until_recycled(address: str, folder: Path) -> int:
    """Ask until more processes have answered than there are workers, which look only now and then at their limit.

    Returns how many requests reached a worker; one that is leaving may close a connection that nobody has answered.
    """
    asked = 0
    for number in range(1, 20_000):
        with suppress(ConnectionError), urllib.request.urlopen(address, timeout=10) as answer:
            asked += answer.read() == b"done"
        if number >= 60 and not number % 20 and len(ledger.processes(folder)) > 2:
            return asked
    pytest.fail("no worker was recycled")


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    seen: list[Any] = []
    for line in server.stdout:
        seen.append(line)
        if "Listening at:" in line:
            return line.split("Listening at: ")[1].split()[0]
    pytest.fail("".join(seen))
