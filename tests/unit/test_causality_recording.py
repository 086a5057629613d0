"""What is recorded: waits with their releaser, once; CPU time, a blocked loop and collector pauses on spans."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.real_time import spend

import spanwise
from spanwise import causality
from spanwise import conventions as c
from spanwise.causality.driver import Driver, state
from spanwise.causality.edges import edge_of
from spanwise.causality.releases import driver_of
from spanwise.causality.spans import NOBODY
from spanwise.errors import InputError
from spanwise.testing import capture, run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from spanwise.testing import PlainSpan


@contextmanager
def recording(*, wait_threshold: float = 0.0, mode: Any = "on") -> Generator[Callable[[], list[PlainSpan]]]:
    with capture(wait_threshold=wait_threshold) as spans:
        causality.start(mode)
        try:
            yield spans
        finally:
            causality.stop()


def waits(spans: list[PlainSpan]) -> list[tuple[str, str, str, str | None]]:
    """Return waiter, kind, resource and releaser of each recorded wait, by the names of their spans."""
    names = {span["span_id"]: span["name"] for span in spans}
    return [
        (
            names[span["parent_id"]], span["attributes"][c.WAIT_KIND], span["attributes"][c.WAIT_RESOURCE],
            names[span["links"][0][0]] if span["links"] else None,
        )
        for span in spans if c.WAIT_KIND in span["attributes"]
    ]  # fmt: skip


def recorded(program: Callable[[], Coroutine[Any, Any, Any]], **options: Any) -> list[PlainSpan]:
    with recording(**options) as spans:
        asyncio.run(program())
        return spans()


def named(spans: list[PlainSpan], name: str) -> dict[str, Any]:
    [span] = [span for span in spans if span["name"] == name]
    attributes: dict[str, Any] = span["attributes"]
    return attributes


@spanwise.agent("slow")
async def slow() -> None:
    await asyncio.sleep(0.05)


@spanwise.agent("quick")
async def quick() -> None:
    await asyncio.sleep(0.002)


def test_the_wait_for_parallel_agents_is_linked_to_the_one_that_ended_it() -> None:
    async def main() -> None:
        with spanwise.workflow("desk"):
            await asyncio.gather(slow(), quick())

    found = waits(recorded(main))
    assert ("invoke_workflow desk", "task", "gather", "invoke_agent slow") in found
    assert [one for one in found if one[2] == "sleep"] == [
        ("invoke_agent slow", "timer", "sleep", None),
        ("invoke_agent quick", "timer", "sleep", None),
    ]


def test_the_path_does_not_jump_to_a_sibling_that_ended_later_but_was_not_waited_for() -> None:
    """The shape of jaeger-ui issue 2371: by times alone the last one to end looks like the cause."""

    async def main() -> None:
        with spanwise.workflow("desk"):
            background = asyncio.create_task(slow())
            await asyncio.create_task(quick())
            with spanwise.step("merge"):
                await asyncio.sleep(0.002)
            with spanwise.step("report"):
                await background

    with recording() as spans:
        run_virtual(main)  # on the clock of a busy machine, the slow one may have ended before it is waited for
    found = [one for one in waits(spans()) if one[1] == "task"]
    assert found == [
        ("invoke_workflow desk", "task", "quick", "invoke_agent quick"),
        ("step report", "task", "slow", "invoke_agent slow"),
    ]


def test_a_lock_is_released_by_the_span_that_held_it() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def use(name: str) -> None:
            with spanwise.step(name):
                async with lock:
                    await asyncio.sleep(0.002)

        with spanwise.workflow("desk"):
            await asyncio.gather(use("first"), use("second"))

    assert ("step second", "lock", "Lock", "step first") in waits(recorded(main))


def test_a_wait_that_is_recorded_by_hand_is_not_recorded_twice() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            with spanwise.waiting("concurrency", "slots"):
                await asyncio.sleep(0.002)
                child = asyncio.create_task(inner())
                await child
            await asyncio.sleep(0.002)

    async def inner() -> None:
        await asyncio.sleep(0.001)  # a task of its own: its waits are nobody else's

    assert sorted(waits(recorded(main))) == [
        ("step s", "concurrency", "slots", None),
        ("step s", "timer", "sleep", None),
        ("step s", "timer", "sleep", None),
    ]


def test_short_waits_are_summed_on_the_waiter() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            for _ in range(5):
                await asyncio.sleep(0)

    spans = recorded(main, wait_threshold=10.0)
    assert waits(spans) == []
    assert named(spans, "step s")[c.WAIT_SHORT_COUNT] == 5
    assert named(spans, "step s")[c.WAIT_SHORT_SECONDS] > 0


def test_short_waits_are_summed_on_the_span_that_was_current_in_each_of_them() -> None:
    async def main() -> None:
        with spanwise.step("outer"):
            await asyncio.sleep(0)
            with spanwise.step("inner"):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    spans = recorded(main, wait_threshold=10.0)
    assert (named(spans, "step outer")[c.WAIT_SHORT_COUNT], named(spans, "step inner")[c.WAIT_SHORT_COUNT]) == (2, 2)


def test_short_waits_of_a_span_are_summed_when_the_mode_is_changed_under_it() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            await asyncio.sleep(0)
            causality.start("on")
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    assert named(recorded(main, wait_threshold=10.0), "step s")[c.WAIT_SHORT_COUNT] == 2


def test_what_a_task_waits_for_while_causality_is_off_is_no_wait() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            await asyncio.sleep(0)
            causality.stop()
            await asyncio.sleep(0.01)
            causality.start("on")

    spans = recorded(main, wait_threshold=0.005)
    assert [span["name"] for span in spans if c.WAIT_KIND in span["attributes"]] == []


def test_a_wait_that_is_too_short_to_be_recorded_has_no_cause_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Driver] = []

    def ask(waiter: Driver, _: Any, **__: Any) -> None:
        asked.append(waiter)

    monkeypatch.setattr("spanwise.causality.driver.edge_of", ask)

    async def main() -> None:
        with spanwise.step("s"):
            await asyncio.sleep(0.001)

    recorded(main, wait_threshold=10.0)
    assert asked == []


def test_of_many_waits_that_nobody_is_known_to_have_ended_the_first_eight_are_spans() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            for _ in range(11):
                await asyncio.sleep(0.001)
            await asyncio.create_task(quick())

    spans = recorded(main)
    assert [one for one in waits(spans) if one[0] == "step s"] == [
        *[("step s", "timer", "sleep", None)] * 8,
        ("step s", "task", "quick", "invoke_agent quick"),
    ]
    assert named(spans, "step s")[c.WAIT_SHORT_COUNT] == 3
    assert named(spans, "step s")[c.WAIT_SHORT_SECONDS] > 0.003


def test_a_long_wait_is_recorded_however_many_came_before_it() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            for seconds in (*[0.001] * 10, 0.11):
                await asyncio.sleep(seconds)

    spans = recorded(main)
    assert [one[2] for one in waits(spans)] == ["sleep"] * 9
    assert named(spans, "step s")[c.WAIT_SHORT_COUNT] == 2


def test_of_many_waits_those_that_somebody_is_known_to_have_ended_are_all_spans() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            loop = asyncio.get_running_loop()
            for _ in range(10):
                await asyncio.sleep(0.001)
                answer = loop.create_future()
                with spanwise.step("helper"):
                    helper = loop.create_task(resolve(answer))
                await answer
                await helper

    async def resolve(answer: asyncio.Future[None]) -> None:
        await asyncio.sleep(0)
        answer.set_result(None)

    found = [one for one in waits(recorded(main)) if one[0] == "step s"]
    assert found.count(("step s", "future", "future", "step helper")) == 10


def test_the_cause_of_a_wait_like_eight_before_it_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def ask(*arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return edge_of(*arguments, **options)

    monkeypatch.setattr("spanwise.causality.driver.edge_of", ask)

    async def main() -> None:
        with spanwise.step("s"):
            loop = asyncio.get_running_loop()
            for _ in range(20):
                answer = loop.create_future()
                loop.call_later(0.001, answer.set_result, None)
                await answer

    assert named(recorded(main), "step s")[c.WAIT_SHORT_COUNT] == 12
    assert asked == 8


def test_a_future_of_the_host_may_call_anything_release() -> None:
    class Lease(asyncio.Future[None]):
        def release(self) -> None: ...

    async def main() -> None:
        with spanwise.step("s"):
            loop = asyncio.get_running_loop()
            for _ in range(10):
                lease = Lease(loop=loop)
                loop.call_later(0.001, lease.set_result, None)
                await lease

    state.failures.clear()
    spans = recorded(main)
    assert [one[1:] for one in waits(spans)] == [("unknown", "unknown", None)] * 8
    assert named(spans, "step s")[c.WAIT_SHORT_COUNT] == 2
    assert not state.failures


def test_a_task_that_outlives_the_span_it_was_made_in_records_no_waits_after_it() -> None:
    async def background() -> None:
        for _ in range(20):
            await asyncio.sleep(0.001)

    async def main() -> None:
        with spanwise.step("s"):
            task = asyncio.create_task(background())
            await asyncio.sleep(0.0025)
        await task
        assert isinstance(driver := driver_of(task), Driver)
        assert driver.gathered is NOBODY

    spans = recorded(main)
    ended = next(span["end_ns"] for span in spans if span["name"] == "step s")
    assert all(span["start_ns"] < ended for span in spans if c.WAIT_KIND in span["attributes"])


def test_a_wait_that_a_task_without_a_span_of_its_own_ended_names_that_task() -> None:
    async def refresh(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.sleep(0.002)

    async def main() -> None:
        lock = asyncio.Lock()
        with spanwise.step("s"):
            task = asyncio.create_task(refresh(lock), name="prices")
            await asyncio.sleep(0)
            async with lock:
                pass
            await task
            await asyncio.sleep(0.002)

    here = f"{main.__qualname__.rpartition('.')[0]}.refresh"
    said = [
        (span["attributes"][c.WAIT_RESOURCE], span["attributes"][c.WAIT_RELEASED_BY], span["links"])
        for span in recorded(main)
        if c.WAIT_KIND in span["attributes"]
    ]
    assert [one for one in said if one[0] == "Lock"] == [("Lock", f"task prices ({here})", [])]
    assert {one[1] for one in said if one[0] == "sleep"} == {"unknown"}


def test_waits_that_a_task_outside_of_any_span_ended_are_all_recorded() -> None:
    async def main() -> None:
        awaited: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

        async def wake() -> None:
            for _ in range(10):
                (await awaited.get()).set_result(None)

        waker = asyncio.create_task(wake(), name="waker")
        with spanwise.step("s"):
            for _ in range(10):
                future = asyncio.get_running_loop().create_future()
                awaited.put_nowait(future)
                await future
        await waker

    said = [span["attributes"][c.WAIT_RELEASED_BY] for span in recorded(main) if c.WAIT_KIND in span["attributes"]]
    assert [one.partition(" (")[0] for one in said] == ["task waker"] * 10


def test_a_task_that_is_gone_is_named_by_its_function() -> None:
    async def refresh() -> None: ...

    driver = Driver(coroutine := refresh())
    assert driver.title == f"({refresh.__qualname__})"
    coroutine.close()


def test_a_wait_has_the_times_of_the_suspension() -> None:
    async def main() -> None:
        with spanwise.step("s"):
            before.append(time.time_ns())
            await asyncio.sleep(0.005)
            before.append(time.time_ns())

    before: list[int] = []
    spans = recorded(main)
    [wait] = [span for span in spans if span["name"] == "wait sleep"]
    step = next(span for span in spans if span["name"] == "step s")
    assert step["start_ns"] <= wait["start_ns"] < wait["end_ns"] <= step["end_ns"]
    assert wait["end_ns"] - wait["start_ns"] >= 4_900_000
    assert before[0] - 100_000 < wait["start_ns"] < wait["end_ns"] < before[1] + 100_000


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_cpu_time_belongs_to_the_span_that_is_current_and_a_blocking_call_uses_none() -> None:
    async def main() -> None:
        with spanwise.workflow("desk"):
            with spanwise.step("computes"):
                burn(0.02)
            with spanwise.step("blocks"):
                spend(0.02)
            with spanwise.step("waits"):
                await asyncio.sleep(0.02)

    spans = recorded(main)
    cpu = {name: named(spans, f"step {name}")[c.CPU_SECONDS] for name in ("computes", "blocks", "waits")}
    assert 0.019 < cpu["computes"] < 0.03
    assert cpu["blocks"] < 0.01
    assert cpu["waits"] < 0.01
    assert named(spans, "invoke_workflow desk")[c.CPU_SECONDS] < 0.01


@pytest.mark.slow
def test_the_span_that_blocks_the_loop_is_named_and_no_other() -> None:
    async def main() -> None:
        with spanwise.workflow("desk"):
            with spanwise.tool("blocking"):
                spend(0.12)
            with spanwise.tool("polite"):
                await asyncio.sleep(0.12)

    spans = recorded(main)
    assert named(spans, "execute_tool blocking")[c.LOOP_BLOCKED_SECONDS] >= 0.12
    assert [span["name"] for span in spans if c.LOOP_BLOCKED_SECONDS in span["attributes"]] == ["execute_tool blocking"]


def test_collector_pauses_are_on_the_spans_that_were_open() -> None:
    with recording() as spans:
        with spanwise.step("outer"), spanwise.step("collects"):
            gc.collect()
        assert named(spans(), "step collects")[c.GC_PAUSE_SECONDS] > 0
        assert named(spans(), "step outer")[c.GC_PAUSE_SECONDS] >= named(spans(), "step collects")[c.GC_PAUSE_SECONDS]


def test_sampled_takes_one_trace_in_ten() -> None:
    async def main() -> None:
        for number in range(20):
            with spanwise.workflow(str(number)):
                await asyncio.sleep(0.001)

    spans = recorded(main, mode="sampled")
    assert len(waits(spans)) == 2
    assert sum(c.CPU_SECONDS in span["attributes"] for span in spans) == 2


def test_off_records_nothing_of_it() -> None:
    async def main() -> None:
        with spanwise.workflow("w"):
            await asyncio.sleep(0.002)

    spans = recorded(main, mode="off")
    assert [span["name"] for span in spans] == ["invoke_workflow w"]
    assert not {c.CPU_SECONDS, c.GC_PAUSE_SECONDS} & set(spans[0]["attributes"])


@pytest.mark.usefixtures("isolated_provider")
def test_configure_switches_it_and_shutdown_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spanwise.configure().settings.causality == "off"
    assert causality.active_mode() == "off"
    spanwise.configure(causality="on")
    assert causality.active_mode() == "on"
    monkeypatch.setenv("SPANWISE_CAUSALITY", "sampled")
    spanwise.configure()
    assert causality.active_mode() == "sampled"
    spanwise.shutdown()
    assert causality.active_mode() == "off"
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    spanwise.configure()
    assert causality.active_mode() == "off"


@pytest.mark.usefixtures("isolated_provider")
def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match="'sometimes' cannot be used; give off, sampled or on"):
        spanwise.configure(causality="sometimes")  # type: ignore[arg-type]
