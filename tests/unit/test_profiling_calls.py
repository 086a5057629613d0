"""Counts of tokens as tools write them, and calls that several instrumentations recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import agent, chat, run_of, span, workflow

from spanwise import conventions as c
from spanwise_profiling import calls, dialects, prices
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces
from spanwise_profiling.usage import usage_of

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.usage import Usage

INPUT, OUTPUT, CACHED, WRITTEN, REASONING = calls.COUNTS


def model_call(**attributes: Any) -> SpanRecord:
    known = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-sonnet-4-5"}
    return span(3, 2, 7, attributes={**known, **{name.replace("__", "."): value for name, value in attributes.items()}})


def counted(**attributes: Any) -> tuple[Any, ...]:
    [record] = dialects.translated([model_call(**attributes)])
    return tuple(record.attributes.get(name) for name in calls.COUNTS)


def usage(*records: SpanRecord) -> Usage:
    [run] = runs_of(build_traces(dialects.translated(records)))
    return usage_of(run, prices.load())


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # what is sound stays
        ({INPUT: 130_213, OUTPUT: 100, CACHED: 128_955}, (130_213, 100, 128_955, None, None)),
        ({INPUT: 0, OUTPUT: 0}, (0, 0, None, None, None)),
        # counts as other types, and counts that are none
        ({INPUT: 130_213.0, OUTPUT: "100"}, (130_213, 100, None, None, None)),
        ({INPUT: "7.0", OUTPUT: " 3 "}, (7, 3, None, None, None)),
        ({INPUT: -1, OUTPUT: -1}, (None, None, None, None, None)),
        ({INPUT: float("nan"), OUTPUT: float("inf"), CACHED: True}, (None, None, None, None, None)),
        ({INPUT: "many", OUTPUT: (7,), CACHED: "9" * 400}, (None, None, None, None, None)),
        # the better of two sources
        ({INPUT: 0, "llm.token_count.prompt": 7, "llm.usage.completion_tokens": 3}, (7, 3, None, None, None)),
        ({INPUT: "x", "gen_ai.usage.prompt_tokens": "7"}, (7, None, None, None, None)),
        # input that leaves out what came from the cache, and what was written to it
        (
            {INPUT: 5, OUTPUT: 100, "gen_ai.usage.cache_read_input_tokens": 128_955,
             "gen_ai.usage.cache_creation_input_tokens": 1_253},
            (130_213, 100, 128_955, 1_253, None),
        ),
        ({INPUT: 5, OUTPUT: 100, CACHED: 128_955, WRITTEN: 1_253}, (130_213, 100, 128_955, 1_253, None)),
        # only the total tells
        ({INPUT: 500, OUTPUT: 10, CACHED: 400, "gen_ai.usage.total_tokens": 910}, (900, 10, 400, None, None)),
        ({INPUT: 500, OUTPUT: 10, CACHED: 400, "gen_ai.usage.total_tokens": 510}, (500, 10, 400, None, None)),
        ({INPUT: 500, OUTPUT: 10, CACHED: 400, "gen_ai.usage.total_tokens": 7}, (500, 10, 400, None, None)),
        # output that leaves out reasoning
        ({INPUT: 50, OUTPUT: 20, "gen_ai.usage.reasoning_tokens": 100}, (50, 120, None, None, 100)),
        ({INPUT: 50, OUTPUT: 20, REASONING: 10, "llm.usage.total_tokens": 80}, (50, 30, None, None, 10)),
        ({INPUT: 50, OUTPUT: 20, REASONING: 10, "llm.usage.total_tokens": 70}, (50, 20, None, None, 10)),
        ({INPUT: 50, OUTPUT: 20, CACHED: 40, REASONING: 10, "llm.usage.total_tokens": 120}, (90, 30, 40, None, 10)),
        # each tool's names for the parts
        ({INPUT: 90, OUTPUT: 9, "gen_ai.usage.input_tokens.cached": 80, "gen_ai.usage.input_tokens.cache_write": 5,
          "gen_ai.usage.output_tokens.reasoning": 4}, (90, 9, 80, 5, 4)),
        ({"llm.token_count.prompt": 90, "llm.token_count.completion": 9,
          "llm.token_count.prompt_details.cache_read": 80, "llm.token_count.prompt_details.cache_write": 5,
          "llm.token_count.completion_details.reasoning": 4}, (90, 9, 80, 5, 4)),
        ({"ai.usage.promptTokens": 90, "ai.usage.completionTokens": 9, "ai.usage.cachedInputTokens": 80,
          "ai.usage.reasoningTokens": 4}, (90, 9, 80, None, 4)),
        ({INPUT: 90, OUTPUT: 9, "gen_ai.usage.details.cache_read_tokens": 80,
          "gen_ai.usage.details.cache_write_tokens": 5, "gen_ai.usage.details.reasoning_tokens": 4}, (90, 9, 80, 5, 4)),
        ({INPUT: 90, OUTPUT: 9, "gen_ai.usage.cache_creation.input_tokens": 5}, (90, 9, None, 5, None)),
        ({INPUT: 90, OUTPUT: 9, "gen_ai.usage.cache_write_input_tokens": 5}, (90, 9, None, 5, None)),
    ],
)  # fmt: skip
def test_counts_are_whole_whatever_a_tool_makes_of_them(attributes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert counted(**attributes) == expected


def test_a_call_that_was_read_mostly_from_the_cache_is_priced_so() -> None:
    parts = {"gen_ai.usage.cache_read_input_tokens": 128_955, "gen_ai.usage.cache_creation_input_tokens": 1_253}
    total = usage(model_call(**{INPUT: 5, OUTPUT: 100, **parts})).total
    assert (total.input_tokens, total.cached_tokens, total.written_tokens) == (130_213, 128_955, 1_253)
    assert total.cost == pytest.approx((5 * 3 + 128_955 * 0.3 + 1_253 * 3.75 + 100 * 15) / 1e6)
    nothing = usage(model_call(**{INPUT: -1, OUTPUT: -1})).total
    assert (nothing.input_tokens, nothing.output_tokens, nothing.cost, nothing.unpriced) == (0, 0, None, 1)


@pytest.mark.parametrize(
    ("told", "kept"),
    [(0.5, 0.5), (250.0, 0.25), (5, 5.0), (6_000, None), (-1, None), ("x", None), (float("nan"), None)],
)
def test_a_first_chunk_is_within_its_call_in_seconds_or_milliseconds(told: Any, kept: float | None) -> None:
    record = replace(model_call(), attributes={"gen_ai.system": "x", "gen_ai.server.time_to_first_token": told})
    [record] = dialects.translated([record])
    assert record.attributes.get(c.RESPONSE_TIME_TO_FIRST_CHUNK) is None or kept is not None
    own = replace(record, attributes={c.OPERATION_NAME: "chat", c.RESPONSE_TIME_TO_FIRST_CHUNK: told})
    [own] = dialects.translated([own])
    assert own.attributes.get(c.RESPONSE_TIME_TO_FIRST_CHUNK) == kept


def call(number: int, parent: int, start: float = 1, end: float = 9, **more: Any) -> SpanRecord:
    """Return a call of a model with the attributes `more` alone; `model` names the model."""
    record = chat(number, start, end, parent=parent, model=more.pop("model", "gpt-4o"))
    attributes = {name: value for name, value in record.attributes.items() if name not in calls.COUNTS}
    return replace(record, attributes={**attributes, **more})


TOP = (workflow(1, 0, 20), agent(2, 0, 20, parent=1))
USED: dict[str, Any] = {INPUT: 100, OUTPUT: 20}
ANSWER_R: dict[str, Any] = {c.RESPONSE_ID: "r"}
ANSWER_S: dict[str, Any] = {c.RESPONSE_ID: "s"}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        # the same call, recorded by a framework and by the client below it
        ((call(3, 2, **USED), call(4, 3, **USED)), (1, 100, 20)),
        ((call(3, 2, **USED), span(4, 1, 9, parent=3), call(5, 4, **USED)), (1, 100, 20)),
        ((call(3, 2, **USED), call(4, 3, **USED), call(5, 4, **USED)), (1, 100, 20)),
        # only one of them knows the tokens
        ((call(3, 2), call(4, 3, **USED)), (1, 100, 20)),
        ((call(3, 2, **USED), call(4, 3)), (1, 100, 20)),
        ((call(3, 2, **{INPUT: 100}), call(4, 3, **USED)), (1, 100, 20)),
        # a failed attempt below the call that was repeated
        ((call(3, 2, **USED), call(4, 3), call(5, 3, **USED)), (1, 100, 20)),
        # a wrapper that sums up several calls
        ((call(3, 2, **{INPUT: 200, OUTPUT: 40}), call(4, 3, 1, 4, **USED), call(5, 3, 5, 8, **USED)), (2, 200, 40)),
        ((call(3, 2), call(4, 3, 1, 4, **USED), call(5, 3, 5, 8, **USED)), (2, 200, 40)),
        # calls that are not one
        ((call(3, 2, 1, 4, **USED), call(4, 2, 5, 8, **USED)), (2, 200, 40)),
        ((call(3, 2, **USED), agent(4, 2, 8, parent=3), call(5, 4, **USED)), (2, 200, 40)),
        # the same response, told twice
        ((call(3, 2, **ANSWER_R), call(4, 2, **ANSWER_R, **USED)), (1, 100, 20)),
        ((call(3, 2, **ANSWER_R, **USED), call(4, 2, **ANSWER_S, **USED)), (2, 200, 40)),
    ],
)  # fmt: skip
def test_one_call_is_one_call_whoever_recorded_it(
    records: tuple[SpanRecord, ...], expected: tuple[int, int, int]
) -> None:
    for order in (records, records[::-1]):
        total = usage(*TOP, *order).total
        assert (total.calls, total.input_tokens, total.output_tokens) == expected
        assert total.cost is not None


def test_a_call_learns_what_only_its_inner_recording_knows() -> None:
    known: dict[str, Any] = {**USED, CACHED: 90, c.RESPONSE_MODEL: "gpt-4o-2024-08-06"}
    inner = call(4, 3, model="gpt-4o", **known)
    [one] = usage(*TOP, call(3, 2, model="router", **USED), inner).calls
    assert (one.model, one.cached_tokens, one.cost is not None) == ("router", 90, True)


def test_a_tool_that_is_called_over_mcp_is_one_call() -> None:
    tool = {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: "search"}
    client = {"mcp.method.name": "tools/call", c.TOOL_NAME: "search"}
    records = (span(3, 1, 9, parent=2, attributes=tool), span(4, 2, 8, parent=3, attributes=client),
               span(5, 3, 7, parent=4, attributes=client), span(6, 1, 2, parent=2, attributes=client))  # fmt: skip
    [run] = runs_of(build_traces(dialects.translated([*TOP, *records])))
    assert run.totals.tool_calls == 2


def test_calls_in_a_circle_or_in_a_deep_chain_are_settled() -> None:
    circle = [replace(call(3, 4, **USED)), replace(call(4, 3, **USED))]
    assert len(calls.once(circle)) == 2
    chain = [call(number, number - 1, **USED) for number in range(3, 2_000)]
    settled = calls.once([*TOP, *chain])
    assert sum(record.attributes.get(c.OPERATION_NAME) == "chat" for record in settled) == 1
    assert run_of(*settled).totals.llm_calls == 1
