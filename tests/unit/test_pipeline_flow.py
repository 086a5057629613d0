# ruff: noqa: PT012 - the flow's whole block is what must raise
from __future__ import annotations

import asyncio
import contextvars
import itertools
import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.steps import add, failing, sleeper

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import ConcurrencyLimit, Flow, Step, StepCancelledError, StepSkippedError

if TYPE_CHECKING:
    from collections.abc import Sequence

Graph = list[tuple[float, list[int]]]
"""For each step: its seconds, and the earlier steps that it needs."""


def random_graph(seed: int) -> Graph:
    draw = random.Random(seed)
    count = draw.randint(1, 40)
    return [
        (draw.lognormvariate(0, 1), draw.sample(range(position), min(position, draw.randint(0, 4))))
        for position in range(count)
    ]


def longest_path(graph: Graph) -> float:
    ends: list[float] = []
    for seconds, needed in graph:
        ends.append(max((ends[other] for other in needed), default=0.0) + seconds)
    return max(ends)


def makespan(graph: Graph) -> float:
    async def main() -> None:
        async with Flow() as flow:
            steps: list[Step[None]] = []
            for position, (seconds, needed) in enumerate(graph):
                steps.append(flow.step(str(position), sleeper(seconds), *(steps[other] for other in needed)))

    return run_virtual(main)[1]


def test_the_makespan_of_200_random_graphs_is_their_longest_path() -> None:
    graphs = [random_graph(seed) for seed in range(200)]

    for graph in graphs:
        assert math.isclose(makespan(graph), longest_path(graph), rel_tol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_makespan_of_any_graph_is_its_longest_path(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    seconds = st.integers(0, 50).map(float)
    graph: Graph = [
        (data.draw(seconds), data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=4) if n else st.just([])))
        for n in range(count)
    ]

    assert makespan(graph) == longest_path(graph)


def test_results_come_as_arguments_in_the_order_of_the_inputs() -> None:
    async def join(*words: str) -> str:
        return " ".join(words)

    async def main() -> str:
        async with Flow() as flow:
            slow = flow.step("slow", sleeper(2, "first"))
            fast = flow.step("fast", sleeper(1, "second"))
            joined = flow.step("join", join, slow, fast)
        return joined.result()

    assert run_virtual(main) == ("first second", 2.0)


def test_a_diamond_waits_for_its_slower_side_only() -> None:
    async def main() -> int:
        async with Flow() as flow:
            top = flow.step("top", add)
            left, right = flow.step("left", add, top), flow.step("right", add, top)
            bottom = flow.step("bottom", add, left, right)
        return bottom.result()

    assert run_virtual(main)[0] == 5


def test_a_thousand_steps_at_once_take_as_long_as_one() -> None:
    async def main() -> int:
        async with Flow() as flow:
            start = flow.step("start", sleeper(1, 0))
            fan = [flow.step(f"fan {n}", sleeper(3, 1), start) for n in range(1000)]
            total = flow.step("total", add, *fan)
        return total.result()

    assert run_virtual(main) == (1001, 4.0)


def test_a_thousand_steps_in_a_chain_run_one_after_another() -> None:
    async def main() -> int:
        async with Flow() as flow:
            last = flow.step("0", add)
            for n in range(1, 1000):
                last = flow.step(str(n), add, last)
        return last.result()

    assert run_virtual(main)[0] == 1000


def test_a_thousand_steps_behind_a_failed_one_are_skipped_without_recursing() -> None:
    async def main() -> list[Step[Any]]:
        async with Flow() as flow:
            last: Step[Any] = flow.step("first", failing(1, ValueError("broken")))
            for n in range(1000):
                last = flow.step(str(n), add, last)
            flow.steps[0].error()
        return list(flow.steps)

    first, *others = run_virtual(main)[0]
    assert all(isinstance(step.failure, StepSkippedError) for step in others)
    assert {id(step.failure.__cause__) for step in others if step.failure is not None} == {id(first.failure)}


def test_steps_can_be_added_from_inside_steps() -> None:
    async def main() -> tuple[int, list[str]]:
        async with Flow() as flow:

            async def spread(value: int) -> int:
                parts = [flow.step(f"part {n}", sleeper(n, value * n)) for n in range(1, 4)]
                total = flow.step("sum", add, *parts)
                return await total

            result = flow.step("spread", spread, flow.step("begin", sleeper(1, 10)))
        return result.result(), [step.name for step in flow.steps]

    expected = (61, ["begin", "spread", "part 1", "part 2", "part 3", "sum"])
    assert run_virtual(main) == (expected, 4.0)


def test_steps_can_be_added_while_others_run() -> None:
    async def main() -> float:
        async with Flow() as flow:
            first = flow.step("first", sleeper(1, 2))
            flow.step("long", sleeper(5))
            late = flow.step("late", sleeper(await first), first)
        return late.result() or 0.0

    assert run_virtual(main)[1] == 5.0


def test_a_step_outside_the_block_is_refused() -> None:
    async def main() -> list[str]:
        flow = Flow()
        messages: list[str] = []
        for _ in range(2):
            with pytest.raises(RuntimeError) as caught:
                flow.step("stray", add)
            messages.append(str(caught.value))
            async with flow:
                pass
        return messages

    message = "step 'stray' was added outside of the flow's 'async with' block"
    assert run_virtual(main)[0] == [message, message]


def test_the_result_of_a_running_step_is_an_error() -> None:
    async def main() -> None:
        async with Flow() as flow:
            step = flow.step("slow", sleeper(1))
            with pytest.raises(asyncio.InvalidStateError, match="step 'slow' is not done; await it"):
                step.result()

    run_virtual(main)


def test_a_failed_step_fails_only_what_depends_on_it() -> None:
    broken = ValueError("broken")

    async def main() -> tuple[Sequence[BaseException], dict[str, str]]:
        with pytest.raises(ExceptionGroup) as caught:
            async with Flow() as flow:
                bad = flow.step("bad", failing(1, broken))
                good = flow.step("good", sleeper(5, "fine"))
                child = flow.step("child", add, bad, good)
                flow.step("grandchild", add, child)
                flow.step("other", sleeper(1, "fine"), good)
        return caught.value.exceptions, {step.name: repr(step) for step in flow.steps}

    (errors, states), seconds = run_virtual(main)

    assert (errors, seconds) == ((broken,), 6.0)
    assert states == {
        "bad": "<Step bad: failed>",
        "good": "<Step good: done>",
        "child": "<Step child: skipped>",
        "grandchild": "<Step grandchild: skipped>",
        "other": "<Step other: done>",
    }


def test_a_skipped_step_says_what_it_lacked_and_keeps_the_first_cause() -> None:
    broken = ValueError("broken")

    async def main() -> list[tuple[str, BaseException | None]]:
        async with Flow() as flow:
            bad = flow.step("bad", failing(1, broken))
            child = flow.step("child", add, bad)
            grandchild = flow.step("grandchild", add, child)
            bad.error()
        return [(str(step.failure), step.failure.__cause__) for step in (child, grandchild) if step.failure]

    assert run_virtual(main)[0] == [
        ("step 'child' was skipped: 'bad', which it needs, failed", broken),
        ("step 'grandchild' was skipped: 'child', which it needs, was skipped", broken),
    ]


def test_an_error_that_was_looked_at_is_not_raised_again() -> None:
    async def main() -> str:
        async with Flow() as flow:
            bad = flow.step("bad", failing(1, ValueError("broken")))
            flow.step("child", add, bad)
            try:
                await bad
            except ValueError as error:
                return str(error)
        return "not raised"

    assert run_virtual(main)[0] == "broken"


def test_an_error_that_passes_through_a_waiting_step_is_raised_once() -> None:
    broken = ValueError("broken")

    async def main() -> Sequence[BaseException]:
        with pytest.raises(ExceptionGroup) as caught:
            async with Flow() as flow:

                async def lead() -> None:
                    await flow.step("bad", failing(1, broken))

                flow.step("lead", lead)
        return caught.value.exceptions

    assert run_virtual(main)[0] == (broken,)


def test_several_failures_are_raised_together() -> None:
    async def main() -> list[str]:
        with pytest.raises(ExceptionGroup, match="steps failed") as caught:
            async with Flow() as flow:
                flow.step("one", failing(2, ValueError("one")))
                flow.step("two", failing(1, KeyError("two")))
        return [repr(error) for error in caught.value.exceptions]

    assert run_virtual(main)[0] == ["ValueError('one')", "KeyError('two')"]


def test_an_exception_in_the_block_cancels_every_step_and_is_raised_as_it_is() -> None:
    cleaned: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            cleaned.append("careful")

    async def main() -> tuple[list[str], BaseException]:
        with pytest.raises(LookupError) as caught:
            async with Flow() as flow:
                running = flow.step("running", careful)
                flow.step("failed", failing(0.5, ValueError("before")))
                flow.step("waiting", add, running)
                await asyncio.sleep(1)
                flow.step("unstarted", careful)
                raise LookupError("block")
        return [f"{step.name}: {step.failure!r}" for step in flow.steps], caught.value

    (states, error), seconds = run_virtual(main)

    assert seconds == 1.0
    assert cleaned == ["careful"]
    assert error.__notes__ == ["step 'failed' failed too: ValueError('before')"]
    assert states == [
        "running: StepCancelledError(\"step 'running' was cancelled\")",
        "failed: ValueError('before')",
        "waiting: StepSkippedError(\"step 'waiting' was skipped: 'running', which it needs, was cancelled\")",
        "unstarted: StepCancelledError(\"step 'unstarted' was cancelled before it began\")",
    ]


def test_cancelling_the_block_ends_every_step_and_every_span() -> None:
    async def block() -> None:
        with spanwise.workflow("desk"):
            async with Flow() as flow:
                slow = flow.step("slow", sleeper(100), agent="risk")
                flow.step("next", sleeper(1), slow)

    async def main() -> set[str]:
        task = asyncio.create_task(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return {other.get_name() for other in asyncio.all_tasks() if other is not asyncio.current_task()}

    with capture() as spans:
        left, seconds = run_virtual(main)

    assert (left, seconds) == (set(), 1.0)
    assert {(span["name"], span["status"]) for span in spans()} == {
        ("invoke_workflow desk", "ERROR"),
        ("invoke_agent risk", "ERROR"),
        ("wait steps", "UNSET"),
    }


def test_a_second_cancellation_does_not_leave_a_slow_ending_step_behind() -> None:
    ended: list[float] = []

    async def reluctant() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)
            ended.append(asyncio.get_running_loop().time())

    async def block() -> None:
        async with Flow() as flow:
            flow.step("reluctant", reluctant)

    async def main() -> None:
        task = asyncio.create_task(block())
        for _ in range(2):
            await asyncio.sleep(1)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert (run_virtual(main)[1], ended) == (6.0, [6.0])


def test_a_step_that_survives_its_cancellation_starts_nothing_more() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "survived"
        return "slept"

    async def main() -> list[str]:
        with pytest.raises(LookupError):
            async with Flow() as flow:
                first = flow.step("stubborn", stubborn)
                flow.step("next", sleeper(1), first)
                await asyncio.sleep(1)
                raise LookupError
        return [f"{first.result()}", *(repr(step.failure) for step in flow.steps[1:])]

    expected = ["survived", "StepCancelledError(\"step 'next' was cancelled before it began\")"]
    assert run_virtual(main) == (expected, 1.0)


def test_whoever_waits_for_a_cancelled_step_from_outside_is_told() -> None:
    async def main() -> str:
        steps: list[Step[Any]] = []

        async def wait() -> str:
            try:
                await steps[0]
            except StepCancelledError as error:
                return str(error)
            return "done"

        with pytest.raises(LookupError):
            async with Flow() as flow:
                steps.append(flow.step("never", sleeper(1)))
                waiter = asyncio.create_task(wait())
                raise LookupError
        return await waiter

    assert run_virtual(main)[0] == "step 'never' was cancelled before it began"


def test_steps_run_in_the_context_in_which_the_flow_was_opened() -> None:
    place = contextvars.ContextVar("place", default="outside")

    async def read() -> str:
        value = place.get()
        place.set("changed by a step")
        return value

    async def main() -> list[str]:
        place.set("here")
        async with Flow() as flow:
            steps = [flow.step(str(n), read) for n in range(2)]
        return [step.result() for step in steps] + [place.get()]

    assert run_virtual(main)[0] == ["here", "here", "here"]


def test_a_flow_with_a_limit_runs_that_many_steps_at_once() -> None:
    limit = ConcurrencyLimit("steps", 3)

    async def main() -> None:
        async with Flow(limit=limit) as flow:
            for n in range(10):
                flow.step(str(n), sleeper(1))

    assert run_virtual(main)[1] == 4.0
    assert (limit.statistics().peak_in_use, limit.statistics().waits, limit.statistics().in_use) == (3, 7, 0)


def test_steps_of_a_flow_can_need_steps_of_another_one() -> None:
    async def main() -> int:
        async with Flow() as first:
            one = first.step("one", sleeper(3, 1))
            async with Flow() as second:
                two = second.step("two", add, one)
            return two.result()

    assert run_virtual(main) == (2, 3.0)


def test_every_graph_of_four_steps_gives_every_step_its_inputs() -> None:
    edges = list(itertools.combinations(range(4), 2))
    for chosen in itertools.chain.from_iterable(itertools.combinations(edges, n) for n in range(len(edges) + 1)):
        graph: Graph = [(float(n + 1), [low for low, high in chosen if high == n]) for n in range(4)]
        assert makespan(graph) == longest_path(graph)
