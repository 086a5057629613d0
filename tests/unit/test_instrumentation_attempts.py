"""A model call that takes several requests, and what it says of its tokens."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

import spanwise
from spanwise.testing import capture


def usage(span: dict[str, Any]) -> tuple[Any, Any]:
    return tuple(span["attributes"][f"spanwise.usage.{name}_tokens"] for name in ("input", "output"))


def test_usage_that_is_told_several_times_counts_once_above_the_call_and_none_is_a_count_that_is_not_known() -> None:
    with capture() as spans, spanwise.workflow("w"), spanwise.agent("a"):
        with spanwise.llm_call("m") as call:
            call.usage(25, 1)
            call.usage(25, 15, cached_tokens=5, cache_written_tokens=3, reasoning_tokens=4)
        with spanwise.llm_call("m") as call:
            call.usage(10, None)
            call.usage(None, 7)
    workflow, agent, first, second = spans()

    assert [usage(span) for span in (workflow, agent)] == [(35, 22)] * 2
    assert {name: count for name, count in first["attributes"].items() if name.startswith("gen_ai.usage.")} == {
        "gen_ai.usage.input_tokens": 25,
        "gen_ai.usage.output_tokens": 15,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.cache_write.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 4,
    }
    assert [second["attributes"][f"gen_ai.usage.{name}_tokens"] for name in ("input", "output")] == [10, 7]


@dataclass
class RefusedError(Exception):
    status_code: int


def test_the_requests_of_a_call_are_spans_below_it_where_there_are_several() -> None:
    with capture() as spans, spanwise.llm_call("m", stream=True) as call:
        with pytest.raises(RefusedError), call.attempt():
            raise RefusedError(429)
        with call.attempt() as attempt, spanwise.tool("inside"):
            attempt.set("spanwise.connection.seconds", 0.5)
            attempt.chunk()
    model, first, second, inside = spans()

    assert [span["name"] for span in (model, first, second, inside)] == [
        "chat m", "attempt", "attempt", "execute_tool inside",
    ]  # fmt: skip
    assert model["attributes"]["spanwise.attempts"] == 2
    assert model["attributes"]["spanwise.stream.chunks"] == 1
    assert (first["status"], first["attributes"]) == (
        "ERROR", {"spanwise.retry.attempt": 1, "error.type": "429", "spanwise.retry.scheduled": True},
    )  # fmt: skip
    assert second["attributes"] == {"spanwise.retry.attempt": 2, "spanwise.connection.seconds": 0.5}
    assert [span["parent_id"] for span in (first, second, inside)] == [model["span_id"]] * 2 + [second["span_id"]]
    assert model["start_ns"] <= first["start_ns"] <= first["end_ns"] <= second["start_ns"] <= model["end_ns"]


def test_a_call_that_is_answered_at_once_has_no_span_of_its_request() -> None:
    with capture() as spans, spanwise.llm_call("m") as call, call.attempt() as attempt:
        attempt.set("spanwise.connection.seconds", 0.5)
    [model] = spans()

    assert model["attributes"]["spanwise.connection.seconds"] == 0.5
    assert "spanwise.attempts" not in model["attributes"]


def test_the_last_request_that_fails_is_not_marked_as_tried_again() -> None:
    def ask() -> None:
        with spanwise.llm_call("m") as call:
            with suppress(RefusedError), call.attempt():
                raise RefusedError(500)
            with call.attempt():
                raise RefusedError(503)

    with capture() as spans, pytest.raises(RefusedError):
        ask()

    told = [(span["attributes"]["error.type"], span["attributes"].get("spanwise.retry.scheduled")) for span in spans()]
    assert told == [("503", None), ("500", True), ("503", None)]
