"""Recording beside what patches threads, locks and event loops, in other interpreters, and as an interpreter ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CONFIGURE = "import spanwise; telemetry = spanwise.configure(journal_dir='journal', causality='on')\n"
COUNTED = """
assert telemetry.flush(5), "the journal was not written"
counts = telemetry.ledger()
print(counts.started, counts.open, counts.journaled)
"""
GREENLETS = """
def work(name):
    for _ in range(10):
        with spanwise.workflow(name), spanwise.agent(name):
            {module}.sleep(0.001)
threads = [{module}.spawn(work, str(number)) for number in range(3)]
for one in threads:
    one.{wait}()
"""
PATCHES = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all(); import gevent\n",
    "eventlet": "import eventlet; eventlet.monkey_patch()\n",
}
WAITS = {"gevent": "get", "eventlet": "wait"}


def said(code: str, folder: Path) -> tuple[list[str], list[str]]:
    """Run a program and return the lines of its output and of its errors."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("module", sorted(PATCHES))
@pytest.mark.parametrize("order", ["first", "after import", "after configure", "after a span"])
def test_greenlets_record_whenever_threads_were_patched(module: str, order: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    before = {
        "first": "",
        "after import": "import spanwise\n",
        "after configure": CONFIGURE,
        "after a span": f"{CONFIGURE}with spanwise.workflow('before'): pass\n",
    }[order]
    configure = "" if "configure" in before else CONFIGURE
    work = GREENLETS.format(module=module, wait=WAITS[module])
    output, errors = said(before + PATCHES[module] + configure + work + COUNTED, tmp_path)
    spans = 60 + (order == "after a span")
    assert output == [f"{spans} 0 {spans}"]
    assert [line for line in errors if "RLock(s) were not greened" not in line] == []  # which eventlet says of anyone


NESTED = """
import asyncio
async def inner():
    with spanwise.agent("inner"):
        await asyncio.sleep(0.001)
async def main():
    with spanwise.workflow("outer"):
        asyncio.get_event_loop().run_until_complete(inner())
        await asyncio.gather(inner(), inner())
asyncio.run(main())
telemetry.flush(5)
print(telemetry.ledger().open)
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_causality_leaves_loops_that_nest_asyncio_replaced_alone(order: str, tmp_path: Path) -> None:
    pytest.importorskip("nest_asyncio")
    apply = "import nest_asyncio; nest_asyncio.apply()\n"
    output, errors = said((apply + CONFIGURE if order == "before" else CONFIGURE + apply) + NESTED, tmp_path)
    assert output == ["0"]
    assert [line.partition(":")[0] for line in errors] == (["causality stays off"] if order == "before" else [])


INTERPRETER = """
import sys
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
code = '''
import sys
sys.path[:] = {path!r}
import spanwise
telemetry = spanwise.configure(causality={causality!r})
import asyncio
async def main():
    with spanwise.workflow("run"):
        await asyncio.gather(asyncio.sleep(0.001), asyncio.sleep(0.002))
asyncio.run(main())
spanwise.shutdown()
'''
one = interpreters.create({isolated})
problem = interpreters.run_string(one, code)
assert problem is None, problem
interpreters.destroy(one)
"""


def in_an_interpreter(causality: str) -> str:
    isolated = "isolated=False" if sys.version_info < (3, 13) else "'legacy'"
    return INTERPRETER.format(path=sys.path, causality=causality, isolated=isolated)


@pytest.mark.parametrize("causality", ["off", "on"])
@pytest.mark.parametrize("main", ["off", "on"])
def test_a_sub_interpreter_can_configure_and_the_main_one_goes_on(main: str, causality: str, tmp_path: Path) -> None:
    going = """
import asyncio
from spanwise import causality
causality.start({main!r})
async def run():
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, None)
    await future
    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(20)))
asyncio.run(run())
"""
    code = going.format(main=main) + in_an_interpreter(causality) + "asyncio.run(run())\n"
    assert said(code, tmp_path) == ([], [])


def test_spans_of_a_generator_closed_as_the_interpreter_ends_raise_nothing(tmp_path: Path) -> None:
    code = """
def generator(act):
    try:
        yield
    finally:
        act()
def agent():
    with spanwise.agent("late") as span:
        span.set("a", 1)
def waiting():
    with spanwise.waiting("queue", "late"): pass
@spanwise.tool("late")
def tool(): pass
kept = [generator(act) for act in (agent, waiting, tool, lambda: spanwise.llm_call("m").start().end())]
for one in kept: next(one)
class Cycle: pass
cycle = Cycle()
cycle.itself, cycle.kept = cycle, kept
"""
    for configure in ("import spanwise\n", CONFIGURE):
        assert said(configure + code, tmp_path) == ([], [])
