# ruff: noqa: PT012 - the flow's whole block is what must raise
"""Deadlines, background steps, places and their order, progress, maps and races."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.steps import add, failing, sleeper

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import (
    Background,
    Clock,
    Flow,
    FlowStatistics,
    NoGoodResultError,
    Step,
    StepCancelledError,
    StepDeadlineError,
    StepSkippedError,
    StepTypeError,
    ThreadPool,
    report_partial,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def outcomes(flow: Flow) -> dict[str, str]:
    return {step.name: f"{step.state}: {step.failure}" if step.failure else step.state for step in flow.steps}


def left_running() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}


class Recorded:
    """The spans of a run."""

    def __init__(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        async def run() -> Any:
            with spanwise.workflow("desk"):
                return await main()

        with capture() as spans:
            self.result, self.seconds = run_virtual(run)
        self.spans = {span["name"]: span for span in spans()}


# Deadlines


def test_a_step_that_is_too_slow_ends_at_its_deadline_and_fails_only_what_needs_it() -> None:
    async def main() -> tuple[dict[str, str], set[str]]:
        async with Flow() as flow:
            late = flow.step("late", sleeper(100), deadline=3)
            flow.step("needs late", add, late)
            flow.step("other", sleeper(5))
            assert isinstance(await settled(late), StepDeadlineError)
        return outcomes(flow), left_running()

    assert run_virtual(main) == (
        (
            {
                "late": "failed: step 'late' did not end within its deadline of 3 s",
                "needs late": "skipped: step 'needs late' was skipped: 'late', which it needs, failed",
                "other": "done",
            },
            set(),
        ),
        5.0,
    )


async def settled(step: Step[Any]) -> BaseException | None:
    await step.wait_until_done()
    return step.error()


def test_a_deadline_counts_from_when_the_inputs_are_done_in_system_seconds() -> None:
    async def main() -> str:
        async with Flow(clock=Clock(10)) as flow:
            first = flow.step("first", sleeper(5))
            late = flow.step("late", sleeper(100), first, deadline=20)
            await settled(late)
        return late.state

    assert run_virtual(main) == ("failed", 7.0)


def test_a_step_that_ends_in_time_is_not_touched_by_its_deadline() -> None:
    async def main() -> int:
        async with Flow() as flow:
            step = flow.step("quick", sleeper(2, 7), deadline=3)
            flow.step("slow", sleeper(5))
        return step.result() or 0

    assert run_virtual(main) == (7, 5.0)


def test_a_deadline_is_the_error_of_the_step_s_span() -> None:
    async def main() -> None:
        async with Flow() as flow:
            await settled(flow.step("late", sleeper(100), deadline=3))

    span = Recorded(main).spans["step late"]
    assert (span["status"], span["attributes"]["error.type"]) == (
        "ERROR",
        "spanwise_pipeline.scheduling.step.StepDeadlineError",
    )


def test_a_step_that_suppresses_its_cancellation_keeps_its_result() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "what there was"
        return "all"

    async def main() -> str:
        async with Flow() as flow:
            step = flow.step("stubborn", stubborn, deadline=1)
        return step.result()

    assert run_virtual(main) == ("what there was", 1.0)


def test_a_run_s_deadline_keeps_results_and_names_what_was_running() -> None:
    async def main() -> tuple[list[str], dict[str, str], set[str]]:
        with pytest.raises(ExceptionGroup) as caught:
            async with Flow(deadline=4) as flow:
                flow.step("quick", sleeper(1, "here"))
                slow = flow.step("slow", sleeper(100))
                flow.step("after", add, slow)
        return [str(error) for error in caught.value.exceptions], outcomes(flow), left_running()

    (errors, states, left), seconds = run_virtual(main)

    late = "the run did not end within its deadline of 4 s"
    assert (errors, seconds, left) == ([f"step 'slow' did not end: {late}"], 4.0, set())
    assert states == {
        "quick": "done",
        "slow": f"failed: step 'slow' did not end: {late}",
        "after": f"skipped: step 'after' was skipped: {late}",
    }


def test_a_step_that_is_added_after_the_run_s_deadline_is_skipped() -> None:
    async def main() -> str:
        async with Flow(deadline=1) as flow:
            await asyncio.sleep(2)
            step = flow.step("too late", sleeper(1))
        return f"{step.state}: {step.failure}"

    assert run_virtual(main)[0] == (
        "skipped: step 'too late' was skipped: the run did not end within its deadline of 1 s"
    )


@pytest.mark.parametrize("deadline", [0, -1])
def test_a_deadline_must_be_above_0(deadline: float) -> None:
    async def main() -> None:
        async with Flow() as flow:
            flow.step("step", sleeper(1), deadline=deadline)

    with pytest.raises(ValueError, match=f"step 'step': a deadline must be above 0 s, this is {deadline}"):
        run_virtual(main)
    with pytest.raises(ValueError, match="a flow's deadline must be above 0 s"):
        Flow(deadline=deadline)


# Cancelling one step


def test_a_cancelled_step_ends_and_what_needs_it_is_skipped() -> None:
    async def main() -> tuple[dict[str, str], set[str]]:
        async with Flow() as flow:
            running = flow.step("running", sleeper(100))
            waiting = flow.step("waiting", add, flow.step("before", sleeper(3)))
            flow.step("needs running", add, running)
            unbegun = flow.step("unbegun", sleeper(1))
            unbegun.cancel()
            await asyncio.sleep(1)
            running.cancel()
            waiting.cancel()
            running.cancel()
        return outcomes(flow), left_running()

    assert run_virtual(main) == (
        (
            {
                "running": "cancelled: step 'running' was cancelled",
                "before": "done",
                "waiting": "cancelled: step 'waiting' was cancelled",
                "needs running": "skipped: step 'needs running' was skipped: 'running', which it needs, was cancelled",
                "unbegun": "cancelled: step 'unbegun' was cancelled",
            },
            set(),
        ),
        3.0,
    )


# What is no step


def test_a_function_that_is_no_coroutine_function_is_named() -> None:
    def plain() -> int:
        return 5

    async def main() -> str:
        async with Flow() as flow:
            wrong: Any = plain
            return str(await settled(flow.step("plain", wrong)))

    assert run_virtual(main)[0] == (
        "step 'plain': its function is no coroutine function (it returned int); "
        "write 'async def', or add it with blocking_step"
    )


def test_a_forgotten_await_is_named() -> None:
    async def forgetful() -> Any:
        return sleeper(1)()

    async def main() -> str:
        async with Flow() as flow:
            return str(await settled(flow.step("forgetful", forgetful)))

    assert run_virtual(main)[0] == "step 'forgetful' returned a coroutine: an 'await' is missing in its function"


def test_a_result_of_another_type_than_promised_is_named() -> None:
    async def main() -> list[str]:
        async with Flow() as flow:
            wrong = flow.step("wrong", sleeper(1, "text"), returns=(dict, list))
            right = flow.step("right", sleeper(1, {}), returns=dict)
            error = await settled(wrong)
            assert isinstance(error, StepTypeError)
        return [str(error), right.state]

    assert run_virtual(main)[0] == ["step 'wrong' returned str, and must return dict or list", "done"]


def test_a_blocking_function_runs_in_a_pool_and_its_queue_time_is_a_wait() -> None:
    clock = Clock()

    def work(seconds: float) -> float:
        clock.sleep_in_thread(seconds)
        return seconds

    async def main() -> list[float]:
        pool = ThreadPool("files", 1)
        async with Flow() as flow:
            given = flow.step("given", sleeper(1, 2.0))
            steps = [flow.blocking_step(f"work {n}", work, given, pool=pool, role="read") for n in range(2)]
        await pool.close()
        return [step.result() for step in steps]

    recorded = Recorded(main)
    assert (recorded.result, recorded.seconds) == ([2.0, 2.0], 5.0)
    wait = recorded.spans["wait files"]
    assert wait["attributes"]["spanwise.wait.kind"] == "executor"
    assert wait["parent_id"] == recorded.spans["step work 1"]["span_id"]
    assert [linked for linked, _ in wait["links"]] == [recorded.spans["step work 0"]["span_id"]]


# Places


def test_at_most_so_many_steps_run_at_once_and_the_wait_is_recorded() -> None:
    async def main() -> FlowStatistics:
        async with Flow(at_once=2) as flow:
            for n in range(5):
                flow.step(f"{n}", sleeper(1))
            await asyncio.sleep(0.5)
            assert repr(flow) == "<Flow: 0/5 done, 5 running, 0 waiting>"
        return flow.statistics()

    recorded = Recorded(main)
    assert recorded.seconds == 3.0
    assert recorded.result == FlowStatistics(
        steps=5, waiting=0, running=0, done=5, failed=0, skipped=0, cancelled=0, background=0, peak_running=5
    )
    assert recorded.spans["wait steps"]["attributes"]["spanwise.wait.kind"] in {"task", "concurrency"}


def test_the_longest_path_goes_first_where_asked_for() -> None:
    async def main(order: Any) -> float:
        async with Flow(at_once=2, order=order) as flow:
            for n in range(3):
                flow.step(f"short {n}", sleeper(2), expected=2)
            head = flow.step("head", sleeper(1), expected=1)
            flow.step("tail", sleeper(5), head, expected=5)
        return asyncio.get_running_loop().time()

    assert run_virtual(lambda: main("ready"))[0] == 8.0
    assert run_virtual(lambda: main("longest_path"))[0] == 6.0


def test_a_place_that_is_given_to_a_step_that_is_being_cancelled_goes_on() -> None:
    async def main() -> tuple[list[str], set[str]]:
        async with Flow(at_once=1) as flow:
            steps = [flow.step(f"{n}", sleeper(1)) for n in range(3)]
            await asyncio.sleep(0.5)
            steps[0].cancel()
            steps[1].cancel()
        return [step.state for step in steps], left_running()

    assert run_virtual(main) == ((["cancelled", "cancelled", "done"], set()), 1.5)


def test_places_must_be_at_least_one() -> None:
    with pytest.raises(ValueError, match="at_once must be at least 1, this is -1"):
        Flow(at_once=-1)


# Background steps


def test_a_background_step_does_not_hold_the_answer_and_is_drained() -> None:
    loop_time: list[float] = []

    async def main() -> tuple[str, set[str]]:
        async with Background() as background:
            async with Flow(background=background) as flow:
                answer = flow.step("answer", sleeper(2, "yes"))
                check = flow.step("verify", sleeper(3), answer, background=True)
                note = flow.step("note", sleeper(1), check, background=True)
            loop_time.append(asyncio.get_running_loop().time())
            assert (answer.result(), check.state, note.state) == ("yes", "running", "waiting")
            assert repr(background) == "<Background: 2 steps running>"
        return note.state, left_running()

    assert run_virtual(main) == (("done", set()), 6.0)
    assert loop_time == [2.0]


def test_without_anyone_to_take_it_over_the_block_waits_for_background_steps() -> None:
    async def main() -> str:
        async with Flow() as flow:
            check = flow.step("verify", sleeper(3), background=True)
        return check.state

    assert run_virtual(main) == ("done", 3.0)


def test_a_step_in_front_that_needs_a_background_step_waits_for_it() -> None:
    async def main() -> float:
        async with Background() as background, Flow(background=background) as flow:
            check = flow.step("verify", sleeper(3), background=True)
            flow.step("critical", sleeper(1), check)
        return asyncio.get_running_loop().time()

    assert run_virtual(main)[0] == 4.0


def test_a_background_step_that_fails_is_told_at_the_end() -> None:
    broken = ValueError("broken")

    async def main() -> list[BaseException]:
        with pytest.raises(ExceptionGroup, match="background steps failed") as caught:
            async with Background() as background, Flow(background=background) as flow:
                flow.step("verify", failing(1, broken), background=True)
        return list(caught.value.exceptions)

    assert run_virtual(main)[0] == [broken]


def test_background_steps_are_cancelled_with_the_block_that_drains_them() -> None:
    async def block() -> None:
        async with Background() as background:
            async with Flow(background=background) as flow:
                flow.step("verify", sleeper(100), background=True)
            async with Flow(background=background) as flow:
                flow.step("more", sleeper(100), background=True)

    async def main() -> set[str]:
        task = asyncio.create_task(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return left_running()

    assert run_virtual(main) == (set(), 1.0)


def test_a_failed_block_cancels_its_background_steps() -> None:
    async def main() -> tuple[str, set[str]]:
        with pytest.raises(LookupError):
            async with Background() as background, Flow(background=background) as flow:
                check = flow.step("verify", sleeper(100), background=True)
                await asyncio.sleep(1)
                raise LookupError
        return check.state, left_running()

    assert run_virtual(main) == (("cancelled", set()), 1.0)


# Progress


def test_progress_tells_what_happens_as_it_happens() -> None:
    async def writes() -> str:
        for part in ("a", "b"):
            await asyncio.sleep(1)
            report_partial(part)
        return "ab"

    async def main() -> list[tuple[str, str, Any, float]]:
        now = asyncio.get_running_loop().time
        async with Flow() as flow:
            flow.step("writer", writes)
            flow.step("bad", failing(1.5, ValueError("broken"))).examined = True
            flow.step("next", sleeper(1), flow.steps[1])
            return [(event.step.name, event.kind, event.value, now()) async for event in flow.progress()]

    assert run_virtual(main)[0] == [
        ("writer", "started", None, 0.0),
        ("bad", "started", None, 0.0),
        ("writer", "partial", "a", 1.0),
        ("next", "skipped", None, 1.5),
        ("bad", "failed", None, 1.5),
        ("writer", "partial", "b", 2.0),
        ("writer", "done", "ab", 2.0),
    ]


def test_whoever_comes_late_gets_what_is_done_and_whoever_leaves_holds_up_nobody() -> None:
    async def main() -> list[list[str]]:
        flow = Flow()
        early = asyncio.create_task(events(flow))
        await asyncio.sleep(0)
        async with flow:
            one = flow.step("one", sleeper(1, 1))
            flow.step("two", sleeper(2))
            await one
            async for _ in flow.progress():
                break
            late = await events(flow)
        return [await early, late]

    async def events(flow: Flow) -> list[str]:
        return [f"{event.step.name} {event.kind}" async for event in flow.progress()]

    assert run_virtual(main)[0] == [
        ["one started", "two started", "one done", "two done"],
        ["one done", "two started", "two done"],
    ]


def test_a_part_of_a_result_can_only_be_reported_by_a_step() -> None:
    with pytest.raises(RuntimeError, match="report_partial is for functions that run as a step of a flow"):
        report_partial("a")


# Maps


def test_a_map_runs_a_function_on_each_item_so_many_at_once() -> None:
    async def double(item: int) -> int:
        await asyncio.sleep(1)
        return item * 2

    async def main() -> tuple[list[int], list[str]]:
        async with Flow(at_once=3) as flow:
            items = flow.step("items", sleeper(1, [1, 2, 3, 4, 5]))
            doubled = flow.map("double", double, items, at_once=2, role="compute")
            total = flow.step("total", add_all, doubled)
        assert total.result() == 30
        return doubled.result(), [step.name for step in flow.steps][3:]

    names = [f"double[{n}]" for n in range(5)]
    assert run_virtual(main) == (([2, 4, 6, 8, 10], names), 4.0)


async def add_all(values: list[int]) -> int:
    return sum(values)


def test_a_map_over_nothing_is_an_empty_list() -> None:
    async def main() -> list[Any]:
        async with Flow() as flow:
            mapped = flow.map("nothing", sleeper(1), [])
        return mapped.result()

    assert run_virtual(main) == ([], 0.0)


def test_a_map_fails_with_what_its_items_raised_and_keeps_the_other_results() -> None:
    async def check(item: int) -> int:
        await asyncio.sleep(item)
        if item % 2:
            raise ValueError(item)
        return item

    async def main() -> tuple[str, dict[str, str]]:
        async with Flow() as flow:
            error = await settled(flow.map("check", check, [1, 2, 3, 4]))
            one = await settled(flow.map("one", check, [1, 2]))
        assert repr(one) == "ValueError(1)"
        return repr(error), outcomes(flow)

    error, states = run_virtual(main)[0]
    assert error == ("ExceptionGroup(\"2 of the 4 items of 'check' failed\", [ValueError(1), ValueError(3)])")
    assert (states["check[1]"], states["check[2]"]) == ("done", "failed: 3")


def test_a_map_over_something_else_than_a_list_is_refused() -> None:
    async def main() -> str:
        async with Flow() as flow:
            return str(await settled(flow.map("each", sleeper(1), flow.step("text", sleeper(1, "abc")))))

    assert run_virtual(main)[0] == "step 'each' maps over a list, and was given str"


# Races


def test_the_first_good_answer_wins_and_the_others_are_cancelled_and_counted() -> None:
    async def main() -> tuple[str, dict[str, str]]:
        async with Flow(at_once=3) as flow:
            given = flow.step("given", sleeper(1))
            race = flow.race(
                "ask",
                {"bad": sleeper(1, ""), "fast": sleeper(3, "fast"), "slow": sleeper(50, "slow")},
                given,
                good=lambda answer: answer != "",
            )
        return race.result(), outcomes(flow)

    recorded = Recorded(main)
    assert recorded.result == (
        "fast",
        {
            "given": "done",
            "ask": "done",
            "ask/bad": "done",
            "ask/fast": "done",
            "ask/slow": "cancelled: step 'ask/slow' was cancelled",
        },
    )
    assert recorded.seconds == 4.0
    race, slow = recorded.spans["step ask"], recorded.spans["step ask/slow"]
    assert race["attributes"]["spanwise.race.winner"] == "fast"
    assert race["attributes"]["spanwise.race.lost.seconds"] == 4.0
    assert (slow["attributes"]["spanwise.race.lost"], slow["status"]) == (True, "ERROR")


def test_candidates_that_are_staggered_start_when_none_is_good_yet() -> None:
    began: dict[str, float] = {}

    def candidate(name: str, seconds: float, error: Exception | None = None) -> Any:
        async def run() -> str:
            began[name] = asyncio.get_running_loop().time()
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
            return name

        return run

    async def main() -> str:
        async with Flow() as flow:
            race = flow.race(
                "ask",
                {"broken": candidate("broken", 1, ValueError("down")), "slow": candidate("slow", 10),
                 "hedge": candidate("hedge", 2), "never": candidate("never", 1)},
                stagger=3,
            )  # fmt: skip
        winner: str = race.result()
        return winner

    assert run_virtual(main) == ("hedge", 6.0)
    assert began == {"broken": 0.0, "slow": 1.0, "hedge": 4.0}


def test_a_race_without_a_winner_fails_with_all_that_was_wrong() -> None:
    async def main() -> BaseException | None:
        async with Flow() as flow:
            race = flow.race(
                "ask", {"down": failing(1, ValueError("down")), "bad": sleeper(2, "")}, good=lambda answer: answer != ""
            )
            return await settled(race)

    error, seconds = run_virtual(main)
    assert isinstance(error, ExceptionGroup)
    assert (str(error), seconds) == ("race 'ask' has no winner (2 sub-exceptions)", 2.0)
    assert [type(one) for one in error.exceptions] == [ValueError, NoGoodResultError]
    assert str(error.exceptions[1]) == "race 'ask': 1 of 2 results would not do"


def test_a_race_that_is_too_late_leaves_nothing_running() -> None:
    async def main() -> tuple[list[str], set[str]]:
        async with Flow() as flow:
            race = flow.race("ask", {"one": sleeper(10), "two": sleeper(20)}, deadline=2)
            assert isinstance(await settled(race), StepDeadlineError)
            left = left_running()
        return [step.state for step in flow.steps], left

    assert run_virtual(main) == ((["failed", "cancelled", "cancelled"], set()), 2.0)


def test_a_race_needs_candidates() -> None:
    async def main() -> None:
        async with Flow() as flow:
            flow.race("ask", {})

    with pytest.raises(ValueError, match="race 'ask' has no candidates"):
        run_virtual(main)


def test_a_step_that_was_skipped_or_cancelled_says_so() -> None:
    async def main() -> list[type[Any]]:
        async with Flow() as flow:
            first = flow.step("first", sleeper(1))
            second = flow.step("second", add, first)
            first.cancel()
        return [type(step.failure) for step in (first, second)]

    assert run_virtual(main)[0] == [StepCancelledError, StepSkippedError]
