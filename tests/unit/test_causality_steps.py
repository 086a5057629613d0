"""Steps in C: used where they could be compiled, safe against whatever is put into them, and the same as in Python.

Each test of causality runs on both: here as the environment has it, and in `test_native_in_python.py` in Python.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib
import importlib.util
import sys
import threading
import time
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.context import get_current

import spanwise
from spanwise import causality
from spanwise.causality import primitives as p
from spanwise.causality import steps
from spanwise.causality.driver import Driver, state
from spanwise.causality.futures import TracedFuture
from spanwise.causality.spans import Gathered

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType

in_c = pytest.mark.skipif(steps.compiled is None, reason="steps run in Python here")


@pytest.fixture
def switched_on() -> Iterator[None]:
    causality.start("on")
    yield
    causality.stop()


@in_c
def test_both_have_the_same_limits() -> None:
    assert (steps.compiled.LONG_NS, steps.compiled.REFRESH_NS) == (steps.LONG_NS, steps.REFRESH_NS)


@in_c
def test_a_step_that_was_never_set_up_raises() -> None:
    with pytest.raises(RuntimeError, match="`coroutine`, `gathered` and `reading`"):
        Driver.__new__(Driver).send(None)


@in_c
@pytest.mark.parametrize("field", ["gathered", "reading"])
@pytest.mark.parametrize("value", [None, object(), 3])
def test_a_field_that_c_reads_takes_only_its_own_type(field: str, value: object) -> None:
    driver = Driver(None)
    kept = getattr(driver, field)
    with pytest.raises(TypeError, match="must be a spanwise"):
        setattr(driver, field, value)
    with pytest.raises(TypeError):
        delattr(driver, field)
    assert getattr(driver, field) is kept


@in_c
def test_sums_and_readings_hold_whole_numbers_only() -> None:
    sums = steps.Sums()
    sums.cpu = 2**62
    assert sums.cpu == 2**62
    for wrong in ("1", 1.5, None):
        with pytest.raises(TypeError):
            sums.cpu = wrong  # type: ignore[assignment]
    with pytest.raises(OverflowError):
        sums.cpu = 2**63


class Plain(Driver):
    """Counts what a step calls, and fails where it is told to."""

    __slots__ = ("calls", "fails")

    def __init__(self, coroutine: Any) -> None:
        super().__init__(coroutine)
        self.calls: list[str] = []
        self.fails = ""

    def _told(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails:
            raise KeyboardInterrupt(name)

    def _resume(self, now: int, *, thrown: bool = False) -> None:
        self._told("resume")

    def _look_up(self, context: Any) -> None:
        self._told("look_up")
        self.context = context

    def _finish(self) -> None:
        self._told("finish")


class Suspended:
    def __await__(self) -> Generator[str]:
        yield "awaited"


async def suspended_once() -> str:
    await Suspended()
    return "result"


@pytest.mark.parametrize("fails", ["resume", "look_up", "finish"])
def test_an_interrupt_inside_a_step_reaches_the_loop(fails: str) -> None:
    coroutine = suspended_once()
    driver = Plain(coroutine)
    if fails == "finish":
        driver.send(None)
    driver.fails = fails
    with pytest.raises(KeyboardInterrupt, match=fails):
        driver.send(None)
    coroutine.close()


def test_a_step_calls_what_it_must_and_ends_as_a_coroutine_does() -> None:
    driver = Plain(suspended_once())
    assert driver.send(None) == driver.awaited == "awaited"
    assert driver.context is not None
    with pytest.raises(StopIteration) as stopped:
        driver.send(None)
    assert (stopped.value.value, driver.calls) == ("result", ["resume", "look_up", "resume", "finish"])


@in_c
@pytest.mark.parametrize(("of_this_thread", "calls"), [(True, ["look_up"]), (False, ["resume", "look_up"])])
def test_a_short_wait_reads_the_cpu_clock_where_that_is_due(of_this_thread: bool, calls: list[str]) -> None:  # noqa: FBT001
    driver = Plain(suspended_once())
    driver.gathered, driver.reading = Gathered(0, 2**62), steps.Reading()
    driver.reading.thread = threading.get_ident() if of_this_thread else 1
    before = (time.thread_time_ns(), time.perf_counter_ns())
    driver.send(None)
    read = (driver.reading.cpu, driver.reading.due - steps.REFRESH_NS)
    after = (time.thread_time_ns(), time.perf_counter_ns())
    assert driver.calls == calls
    assert of_this_thread == all(
        earlier <= one <= later for earlier, one, later in zip(before, read, after, strict=True)
    )


@pytest.mark.parametrize("value", [(1, 2), StopIteration(3), None, KeyError("k")])
def test_whatever_a_coroutine_returns_arrives_as_it_is(value: object) -> None:
    async def returning() -> object:
        return value

    with pytest.raises(StopIteration) as stopped:
        Plain(returning()).send(None)
    assert stopped.value.value is value


def test_what_a_coroutine_raises_keeps_its_traceback() -> None:
    raised = ValueError("host's")

    async def failing() -> None:
        raise raised

    with pytest.raises(ValueError, match="host's") as caught:
        Plain(failing()).send(None)
    traceback: TracebackType | None = caught.value.__traceback__
    names = []
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert (caught.value, names) == (raised, ["test_what_a_coroutine_raises_keeps_its_traceback", "failing"])


@pytest.mark.usefixtures("switched_on")
def test_what_asyncio_says_of_a_future_that_is_done_stays() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        assert type(future) is TracedFuture
        future.set_result(1)
        release = future.release
        with pytest.raises(asyncio.InvalidStateError):
            future.set_result(2)
        assert (future.result(), future.release) == (1, release)

    asyncio.run(main())


@in_c
def test_the_method_takes_futures_only() -> None:
    with pytest.raises(TypeError, match=r"doesn't apply to|requires a"):
        TracedFuture.set_result(3, 4)  # type: ignore[arg-type]


@pytest.mark.usefixtures("switched_on")
def test_a_future_that_cannot_say_who_resolves_it_is_resolved_all_the_same() -> None:
    class Odd:
        """In the place of OpenTelemetry's span: raises whatever is asked."""

        def __getattribute__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

    async def main() -> int:
        context: Any = importlib.import_module("opentelemetry.context")
        trace: Any = importlib.import_module("opentelemetry.trace")
        token = context.attach(trace.set_span_in_context(Odd()))
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(3)
        finally:
            context.detach(token)
        return await future

    assert contextvars.copy_context().run(asyncio.run, main()) == 3


async def each_way() -> None:
    """Resolve futures by callbacks, by the task itself and by another, and wait without one."""
    loop = asyncio.get_running_loop()
    for value in (None, "text", object()):
        future: asyncio.Future[object] = loop.create_future()
        loop.call_soon(future.set_result, value)
        await future
    given = loop.create_future()
    given.set_result(asyncio.create_task(asyncio.sleep(0)))
    await given.result()


@pytest.mark.usefixtures("switched_on", "isolated_provider")
def test_steps_and_futures_leave_nothing_behind() -> None:
    async def many(number: int) -> None:
        for _ in range(number):
            await asyncio.gather(each_way(), each_way())

    def counted(*held: object) -> list[int]:
        gc.collect()
        return [tracemalloc.get_traced_memory()[0], *map(sys.getrefcount, held)]

    async def main() -> list[int]:
        with spanwise.workflow("run"):
            identity = trace.get_current_span().get_span_context()
            loop: Any = asyncio.get_running_loop()
            held = (identity, get_current(), loop, loop._thread_id, each_way.__code__, p.RUN_HANDLE, p.UNKNOWN)
            await many(500)
            before = counted(*held)
            await many(2_000)
            return [after - earlier for after, earlier in zip(counted(*held), before, strict=True)]

    tracemalloc.start()
    try:
        grown, *references = asyncio.run(main())
    finally:
        tracemalloc.stop()
    assert grown < 64_000  # what the interpreter keeps for later; an object lost each time were 128,000
    assert [number for number in references if number > 1_000] == []
    assert list(state.failures) == []


@in_c
def test_the_module_can_be_made_twice_and_neither_holds_the_other() -> None:
    spec = steps.compiled.__spec__
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    assert other.Step is not steps.compiled.Step
    with pytest.raises(TypeError, match="must be a spanwise"):
        other.Step().gathered = steps.Sums()
    gone = weakref.ref(other.Step)
    del other
    gc.collect()
    assert gone() is None


def test_a_driver_in_a_cycle_is_collected() -> None:
    class Marker:
        pass

    class Marked(Driver):
        __slots__ = ("marker",)
        marker: Marker

    coroutine = suspended_once()
    driver = Marked(coroutine)
    driver.marker = Marker()
    driver.awaited = driver
    gone = weakref.ref(driver.marker)
    coroutine.close()
    del driver
    gc.collect()
    assert gone() is None
