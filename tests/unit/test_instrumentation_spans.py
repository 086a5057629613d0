"""Each helper as context manager and decorator, plain and async: what it records, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise.helpers import factories as helpers
from spanwise.helpers.base import SpanHelper, error_type
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

RUN = "0" * 31 + "1"

HELPERS: list[tuple[Callable[[], SpanHelper], str, str, dict[str, Any]]] = [
    (
        lambda: spanwise.workflow("desk", run_id=RUN, variant="optimized", flags={"b": True, "a": 1}),
        "invoke_workflow desk",
        "INTERNAL",
        {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": "desk",
            "spanwise.run.id": RUN,
            "spanwise.run.variant": "optimized",
            "spanwise.run.flags": '{"a": 1, "b": true}',
        },
    ),
    (
        lambda: spanwise.agent("risk", step="risk_manager", role="judge"),
        "invoke_agent risk",
        "INTERNAL",
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "risk",
            "spanwise.step.name": "risk_manager",
            "spanwise.step.role": "judge",
        },
    ),
    (
        lambda: spanwise.plan("risk"),
        "plan risk",
        "INTERNAL",
        {"gen_ai.operation.name": "plan", "gen_ai.agent.name": "risk"},
    ),
    (spanwise.plan, "plan", "INTERNAL", {"gen_ai.operation.name": "plan"}),
    (
        lambda: spanwise.tool("prices", call_id="c1", tool_type="datastore"),
        "execute_tool prices",
        "INTERNAL",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "prices",
            "gen_ai.tool.type": "datastore",
            "gen_ai.tool.call.id": "c1",
        },
    ),
    (
        lambda: spanwise.llm_call(
            "m", provider="p", stream=True, max_tokens=9, temperature=0.5, seed=3, server=("h", 80)
        ),
        "chat m",
        "CLIENT",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "p",
            "gen_ai.request.model": "m",
            "gen_ai.request.stream": True,
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.seed": 3,
            "server.address": "h",
            "server.port": 80,
        },
    ),
    (
        lambda: spanwise.embeddings("e", dimensions=256),
        "embeddings e",
        "CLIENT",
        {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "e",
            "gen_ai.embeddings.dimension.count": 256,
        },
    ),
    (
        lambda: spanwise.retrieval("filings", top_k=5),
        "retrieval filings",
        "CLIENT",
        {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "filings", "gen_ai.retrieval.top_k": 5},
    ),
    (
        lambda: spanwise.cache_lookup("replies", tier="redis", kind="semantic", key_hash="ab", ttl=60.0),
        "cache_lookup replies",
        "INTERNAL",
        {
            "spanwise.cache.name": "replies",
            "spanwise.cache.tier": "redis",
            "spanwise.cache.kind": "semantic",
            "spanwise.cache.key_hash": "ab",
            "spanwise.cache.ttl": 60.0,
        },
    ),
    (
        lambda: spanwise.step("merge", role="join"),
        "step merge",
        "INTERNAL",
        {"spanwise.step.name": "merge", "spanwise.step.role": "join"},
    ),
]


def used_as_context_manager(helper: SpanHelper) -> None:
    with helper:
        pass


def used_as_async_context_manager(helper: SpanHelper) -> None:
    async def main() -> None:
        async with helper:
            await asyncio.sleep(0)

    asyncio.run(main())


def used_as_decorator(helper: SpanHelper) -> None:
    @helper
    def function() -> int:
        return 3

    assert function() == 3


def used_as_async_decorator(helper: SpanHelper) -> None:
    @helper
    async def function() -> int:
        await asyncio.sleep(0)
        return 3

    assert inspect.iscoroutinefunction(function)
    assert asyncio.run(function()) == 3


@pytest.mark.parametrize(
    "use", [used_as_context_manager, used_as_async_context_manager, used_as_decorator, used_as_async_decorator]
)
@pytest.mark.parametrize(("make", "name", "kind", "attributes"), HELPERS, ids=[one[1] for one in HELPERS])
def test_a_helper_records_one_span(
    make: Callable[[], SpanHelper], name: str, kind: str, attributes: dict[str, Any], use: Callable[[SpanHelper], None]
) -> None:
    with capture() as spans:
        use(make())
    [span] = spans()
    assert (span["name"], span["kind"], span["attributes"], span["status"]) == (name, kind, attributes, "UNSET")
    assert span["end_ns"] >= span["start_ns"]


def test_a_decorated_function_keeps_its_name_its_documentation_and_its_parameters() -> None:
    def assess(ticker: str, *, depth: int = 1) -> str:
        """Assess."""
        return ticker * depth

    traced = spanwise.agent("risk")(assess)
    assert (traced.__name__, traced.__doc__, inspect.signature(traced)) == (
        "assess", "Assess.", inspect.signature(assess),
    )  # fmt: skip
    with capture():
        assert traced("A", depth=2) == "AA"


def test_each_call_of_a_decorated_function_is_a_span_also_when_calls_overlap() -> None:
    @spanwise.tool("prices")
    async def prices(depth: int) -> None:
        await asyncio.sleep(0)
        if depth:
            await prices(depth - 1)

    async def main() -> None:
        await asyncio.gather(prices(1), prices(1))

    with capture() as spans:
        asyncio.run(main())
    assert sorted((span["name"], span["parent_id"] is None) for span in spans()) == [
        ("execute_tool prices", False), ("execute_tool prices", False),
        ("execute_tool prices", True), ("execute_tool prices", True),
    ]  # fmt: skip


def test_each_call_of_a_decorated_workflow_is_a_run_of_its_own() -> None:
    @spanwise.workflow("desk")
    def run() -> None:
        pass

    with capture() as spans:
        run()
        run()
    ids = [span["attributes"]["spanwise.run.id"] for span in spans()]
    assert [len(one) for one in ids] == [32, 32]
    assert ids[0] != ids[1]


def test_only_the_outermost_workflow_gets_a_run_id() -> None:
    with capture() as spans, spanwise.workflow("outer"), spanwise.workflow("inner"):
        pass
    assert ["spanwise.run.id" in span["attributes"] for span in spans()] == [True, False]


class RefusedError(Exception):
    status_code = 429


def test_an_exception_passes_as_the_same_object_with_its_own_traceback() -> None:
    error = KeyError("ticker")

    @spanwise.agent("risk")
    def assess() -> None:
        with spanwise.tool("prices"):
            raise error

    with capture() as spans, pytest.raises(KeyError) as caught:
        assess()
    assert caught.value is error
    assert (error.__context__, error.__cause__, error.args) == (None, None, ("ticker",))
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][-2:] == ["traced", "assess"]
    assert [(span["name"], span["status"], span["attributes"]["error.type"]) for span in spans()] == [
        ("invoke_agent risk", "ERROR", "KeyError"), ("execute_tool prices", "ERROR", "KeyError"),
    ]  # fmt: skip


def test_nothing_of_an_exception_but_its_type_is_recorded() -> None:
    with capture() as spans, pytest.raises(ValueError, match="secret"), spanwise.step("s"):
        raise ValueError("secret")
    assert "secret" not in str(spans())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), "ValueError"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (RefusedError(), "429"),
        (spanwise.InputError(), "spanwise.errors.InputError"),
    ],
)
def test_the_error_type_is_a_status_code_or_a_qualified_class_name(error: BaseException, expected: str) -> None:
    assert error_type(error) == expected


def test_a_failure_without_an_exception_can_be_recorded() -> None:
    with capture() as spans, spanwise.tool("prices") as span:
        span.fail("no_data")
    assert [(one["status"], one["attributes"]["error.type"]) for one in spans()] == [("ERROR", "no_data")]


def test_a_cancelled_task_closes_its_spans_and_stays_cancelled() -> None:
    async def main() -> bool:
        entered = asyncio.Event()

        async def work() -> None:
            async with spanwise.agent("risk"):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    with capture() as spans:
        assert asyncio.run(main())
    assert [(span["name"], span["status"], span["attributes"]["error.type"]) for span in spans()] == [
        ("invoke_agent risk", "ERROR", "asyncio.exceptions.CancelledError")
    ]


def test_closing_a_generator_around_a_span_is_no_error() -> None:
    def numbers() -> Generator[int]:
        with spanwise.step("s"):
            yield 1

    with capture() as spans:
        stream = numbers()
        next(stream)
        stream.close()
    assert [span["status"] for span in spans()] == ["UNSET"]


def test_a_span_ends_once() -> None:
    with capture() as spans:
        span = spanwise.step("s").start()
        span.end()
        span.end(ValueError())
    assert [one["status"] for one in spans()] == ["UNSET"]


def test_a_span_lasts_at_least_a_nanosecond_though_the_clock_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([2_000, 1_000])
    with capture() as spans, monkeypatch.context() as patched:
        patched.setattr("spanwise.otel.span.time.time_ns", lambda: next(clock))
        with spanwise.step("s"):
            pass
    assert [(span["start_ns"], span["end_ns"]) for span in spans()] == [(2_000, 2_001)]


def test_the_current_span_is_what_it_was_after_leaving() -> None:
    with capture() as spans, spanwise.step("outer"):
        with spanwise.step("first"):
            pass
        with spanwise.step("second"):
            pass
    outer, *inner = spans()
    assert [span["parent_id"] for span in inner] == [outer["span_id"]] * 2


def names(span: dict[str, Any]) -> tuple[str, Any, Any]:
    attributes = span["attributes"]
    return span["name"], attributes.get("gen_ai.workflow.name"), attributes.get("gen_ai.agent.name")


def test_names_reach_spans_in_threads_tasks_and_nested_agents() -> None:
    def in_thread() -> None:
        with spanwise.tool("t"):
            pass

    async def in_task() -> None:
        with spanwise.llm_call("m"):
            pass

    async def main() -> None:
        with spanwise.workflow("w"), spanwise.agent("outer"):
            with spanwise.agent("inner"):
                await asyncio.create_task(in_task())
                await asyncio.to_thread(in_thread)
            thread = threading.Thread(target=contextvars.copy_context().run, args=(in_thread,))
            thread.start()
            thread.join()
        with spanwise.step("outside"):
            pass

    with capture() as spans:
        asyncio.run(main())
    assert [names(span) for span in spans()] == [
        ("invoke_workflow w", "w", None),
        ("invoke_agent outer", "w", "outer"),
        ("invoke_agent inner", "w", "inner"),
        ("chat m", "w", "inner"),
        ("execute_tool t", "w", "inner"),
        ("execute_tool t", "w", "outer"),
        ("step outside", None, None),
    ]


def test_an_agent_is_not_the_agent_of_a_workflow_below_it() -> None:
    with capture() as spans, spanwise.workflow("outer"), spanwise.agent("a"), spanwise.workflow("inner"):
        spanwise.step("s").start().end()
    assert names(spans()[-1]) == ("step s", "inner", None)


def usage(span: dict[str, Any]) -> tuple[str, Any, Any]:
    attributes = span["attributes"]
    return span["name"], attributes.get("spanwise.usage.input_tokens"), attributes.get("spanwise.usage.output_tokens")


def test_tokens_are_summed_on_every_enclosing_agent_and_workflow() -> None:
    def call(input_tokens: int, output_tokens: int) -> None:
        with spanwise.llm_call("m") as span:
            span.usage(input_tokens, output_tokens, cached_tokens=1)

    async def main() -> None:
        with spanwise.workflow("w"):
            with spanwise.agent("outer"):
                call(1, 2)
                with spanwise.agent("inner"):
                    await asyncio.gather(*(asyncio.to_thread(call, 10, 20) for _ in range(5)))
            with spanwise.agent("idle"):
                pass

    with capture() as spans:
        asyncio.run(main())
    enclosing = [span for span in spans() if span["name"].startswith("invoke_")]
    assert [usage(span) for span in enclosing] == [
        ("invoke_workflow w", 51, 102),
        ("invoke_agent outer", 51, 102),
        ("invoke_agent inner", 50, 100),
        ("invoke_agent idle", None, None),
    ]


def test_a_model_call_records_its_answer_its_stream_and_its_cached_tokens() -> None:
    with capture() as spans, spanwise.llm_call("m", stream=True) as call:
        for _ in range(3):
            call.chunk()
        call.response(id="r1", model="m-2026", finish_reasons=["stop"])
        call.usage(7, 3, cached_tokens=4)
    attributes = spans()[0]["attributes"]
    first = attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first <= (spans()[0]["end_ns"] - spans()[0]["start_ns"]) / 1e9 + 0.001
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "r1",
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "spanwise.stream.chunks": 3,
    }


def test_a_cache_lookup_records_its_result() -> None:
    with capture() as spans, spanwise.cache_lookup("replies") as lookup:
        lookup.result("hit", age=1.5, saved_seconds=2.5, saved_tokens=100)
    assert spans()[0]["attributes"] == {
        "spanwise.cache.name": "replies",
        "spanwise.cache.tier": "memory",
        "spanwise.cache.kind": "exact",
        "spanwise.cache.result": "hit",
        "spanwise.cache.age": 1.5,
        "spanwise.cache.saved_seconds": 2.5,
        "spanwise.cache.saved_tokens": 100,
    }


def test_a_run_is_graded() -> None:
    with capture() as spans, spanwise.workflow("w", run_id=RUN) as run:
        run.grade("A+", 100)
    assert spans()[0]["attributes"] == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "w",
        "spanwise.run.id": RUN,
        "spanwise.quality.grade": "A+",
        "spanwise.quality.score": 100.0,
    }


def test_a_link_says_why_it_is_there() -> None:
    with capture() as spans, spanwise.step("first") as first:
        spanwise.step("second", links=[spanwise.waits_on(first.context, "spawned_by")]).start().end()
    assert spans()[1]["links"] == [(1, {"spanwise.link.reason": "spawned_by"})]


def test_every_public_helper_is_covered_here() -> None:
    kinds = {"workflow", "agent", "plan", "tool", "llm_call", "embeddings", "retrieval", "cache_lookup", "step"}
    made = {name for name in spanwise.__all__ if inspect.getmodule(getattr(spanwise, name)) is helpers}
    assert made - {"waits_on"} == kinds
