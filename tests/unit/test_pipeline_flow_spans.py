"""Steps as spans: their place below the workflow, what they carry, and links to what released them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.steps import add, failing, sleeper

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def recorded(main: Callable[[], Coroutine[Any, Any, Any]]) -> list[dict[str, Any]]:
    async def run() -> None:
        with spanwise.workflow("desk"):
            await main()

    with capture() as spans:
        run_virtual(run)
    return spans()


def shape(spans: list[dict[str, Any]]) -> set[tuple[str, str | None, tuple[tuple[str, str], ...]]]:
    """(name, parent's name, (reason, name of the linked span) ...) of each span."""
    names = {span["span_id"]: span["name"] for span in spans}
    return {
        (
            span["name"],
            names.get(span["parent_id"]),
            tuple((attributes["spanwise.link.reason"], names[linked]) for linked, attributes in span["links"]),
        )
        for span in spans
    }


def test_steps_are_spans_below_the_workflow_linked_to_what_released_them() -> None:
    async def main() -> None:
        async with Flow() as flow:
            slow = flow.step("slow", sleeper(2), agent="analyst")
            fast = flow.step("fast", sleeper(1), role="gather")
            flow.step("join", sleeper(1), slow, fast)

    assert shape(recorded(main)) == {
        ("invoke_workflow desk", None, ()),
        ("invoke_agent analyst", "invoke_workflow desk", ()),
        ("step fast", "invoke_workflow desk", ()),
        ("step join", "invoke_workflow desk", (("waits_on", "invoke_agent analyst"),)),
        ("wait steps", "invoke_workflow desk", (("waits_on", "step join"),)),
    }


def test_a_step_whose_inputs_were_all_there_is_linked_to_the_latest_of_them() -> None:
    async def main() -> None:
        async with Flow() as flow:
            slow = flow.step("slow", sleeper(2))
            fast = flow.step("fast", sleeper(1))
            await slow
            flow.step("late", sleeper(1), slow, fast)

    late = ("step late", "invoke_workflow desk", (("waits_on", "step slow"),))
    assert late in shape(recorded(main))


def test_a_dynamic_step_is_linked_to_the_step_that_added_it() -> None:
    async def main() -> None:
        async with Flow() as flow:
            opening = flow.step("opening", sleeper(1))

            async def moderate() -> None:
                round_one = flow.step("round 1", sleeper(1), opening)
                await flow.step("round 2", sleeper(1), round_one)

            flow.step("moderate", moderate)

    assert shape(recorded(main)) == {
        ("invoke_workflow desk", None, ()),
        ("step opening", "invoke_workflow desk", ()),
        ("step moderate", "invoke_workflow desk", ()),
        ("step round 1", "invoke_workflow desk", (("waits_on", "step opening"), ("spawned_by", "step moderate"))),
        ("step round 2", "invoke_workflow desk", (("waits_on", "step round 1"), ("spawned_by", "step moderate"))),
        ("wait round 2", "step moderate", (("waits_on", "step round 2"),)),
        ("wait steps", "invoke_workflow desk", (("waits_on", "step moderate"),)),
    }


def test_the_join_is_linked_to_the_last_step_that_ran_not_to_a_skipped_one() -> None:
    async def main() -> None:
        async with Flow() as flow:
            bad = flow.step("bad", failing(1, ValueError("broken")))
            flow.step("skipped", add, bad)
            bad.error()

    assert ("wait steps", "invoke_workflow desk", (("waits_on", "step bad"),)) in shape(recorded(main))


def test_step_spans_carry_step_agent_workflow_and_role() -> None:
    async def main() -> None:
        async with Flow() as flow:
            flow.step("report", sleeper(1), agent="analyst", role="analyse")
            flow.step("tidy", sleeper(1), role="clean")

    found = {span["name"]: span["attributes"] for span in recorded(main)}

    assert found["invoke_agent analyst"] == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.workflow.name": "desk",
        "gen_ai.agent.name": "analyst",
        "spanwise.step.name": "report",
        "spanwise.step.role": "analyse",
    }
    assert found["step tidy"] == {
        "gen_ai.workflow.name": "desk",
        "spanwise.step.name": "tidy",
        "spanwise.step.role": "clean",
    }


def test_a_failed_step_s_span_has_the_type_of_its_error() -> None:
    async def main() -> None:
        async with Flow() as flow:
            flow.step("bad", failing(1, ValueError("broken"))).error()

    bad = next(span for span in recorded(main) if span["name"] == "step bad")
    assert (bad["status"], bad["attributes"]["error.type"]) == ("ERROR", "ValueError")
