"""Waits: which become spans, who released them, and how short ones are added up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

import spanwise
from spanwise.testing import capture

SECOND = 10**9


def waits(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"].startswith("wait")]


def test_a_wait_becomes_a_span_below_the_waiter_with_a_link_to_the_releaser() -> None:
    with capture() as spans:
        with spanwise.step("releaser") as releaser:
            pass
        with spanwise.workflow("w"), spanwise.agent("waiter") as waiter:
            spanwise.record_wait("queue", "results", 1 * SECOND, 3 * SECOND, released_by=releaser.context)
    [wait] = waits(spans())
    assert wait | {"trace_id": 0, "span_id": 0} == {
        "name": "wait results",
        "trace_id": 0,
        "span_id": 0,
        "parent_id": waiter.context.span_id,
        "kind": "INTERNAL",
        "start_ns": 1 * SECOND,
        "end_ns": 3 * SECOND,
        "attributes": {
            "gen_ai.workflow.name": "w",
            "gen_ai.agent.name": "waiter",
            "spanwise.wait.kind": "queue",
            "spanwise.wait.resource": "results",
        },
        "links": [(releaser.context.span_id, {"spanwise.link.reason": "waits_on"})],
        "status": "UNSET",
    }


@pytest.mark.parametrize("released_by", [None, trace.INVALID_SPAN_CONTEXT])
def test_a_wait_whose_releaser_is_not_known_has_no_link(released_by: trace.SpanContext | None) -> None:
    with capture() as spans, spanwise.step("s"):
        spanwise.record_wait("timer", "t", 1, 2, released_by=released_by)
    assert [wait["links"] for wait in waits(spans())] == [[]]


def test_waits_shorter_than_the_threshold_are_summed_on_the_waiter() -> None:
    with capture(wait_threshold=1.0) as spans, spanwise.step("s"):
        spanwise.record_wait("lock", "a", 0, SECOND // 4)
        spanwise.record_wait("lock", "b", 0, SECOND // 2)
        spanwise.record_wait("lock", "c", 0, SECOND)
    assert [span["name"] for span in waits(spans())] == ["wait c"]
    [step] = [span for span in spans() if span["name"] == "step s"]
    assert step["attributes"] == {
        "spanwise.step.name": "s",
        "spanwise.wait.short.count": 2,
        "spanwise.wait.short.seconds": 0.75,
    }


@pytest.mark.parametrize("end_ns", [5, 4])
def test_no_time_and_a_clock_that_went_back_are_no_wait(end_ns: int) -> None:
    with capture() as spans, spanwise.step("s"):
        spanwise.record_wait("lock", "a", 5, end_ns)
    assert [span["attributes"] for span in spans()] == [{"spanwise.step.name": "s"}]


def test_a_wait_outside_of_any_span_is_not_recorded() -> None:
    with capture() as spans:
        spanwise.record_wait("lock", "a", 0, SECOND)
    assert spans() == []


def test_a_block_is_a_wait_also_when_it_fails_and_the_releaser_can_be_told_inside() -> None:
    def wait_for(releaser: trace.SpanContext) -> None:
        with spanwise.waiting("concurrency", "slots") as wait:
            wait.released_by = releaser
            raise TimeoutError

    with capture() as spans, spanwise.step("s") as step, pytest.raises(TimeoutError):
        wait_for(step.context)
    [recorded] = waits(spans())
    assert (recorded["name"], recorded["attributes"]["spanwise.wait.kind"], recorded["links"]) == (
        "wait slots", "concurrency", [(step.context.span_id, {"spanwise.link.reason": "waits_on"})],
    )  # fmt: skip
    assert recorded["end_ns"] > recorded["start_ns"]


def test_a_cancelled_wait_is_recorded() -> None:
    async def main() -> None:
        began = asyncio.Event()

        async def wait() -> None:
            with spanwise.step("s"), spanwise.waiting("lock", "l"):
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await began.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with capture() as spans:
        asyncio.run(main())
    assert [span["name"] for span in waits(spans())] == ["wait l"]
