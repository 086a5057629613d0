"""What users' type checkers must see of the public surface: checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from opentelemetry.trace import SpanContext

import spanwise
from spanwise.helpers.base import SpanHelper
from spanwise.helpers.factories import Agent, CacheLookup, Retrieval, ToolExecution, Workflow
from spanwise.helpers.model_call import ModelCall
from spanwise.helpers.waits import Wait
from spanwise.journal.ledger import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@spanwise.workflow("desk")
def plain(ticker: str, *, depth: int = 1) -> list[float]:
    return [float(depth)] * len(ticker)


@spanwise.agent("risk")
async def asynchronous(ticker: str, /, *rest: int, **options: bool) -> str:
    return ticker


class Desk:
    @spanwise.tool("prices")
    def prices(self, ticker: str) -> float:
        return 1.0


def decorators_keep_signatures() -> None:
    assert_type(plain("A", depth=2), list[float])
    assert_type(Desk().prices("A"), float)
    keeps: Callable[[str], Coroutine[Any, Any, str]] = asynchronous
    coroutine: Coroutine[Any, Any, str] = keeps("A")
    coroutine.close()
    plain(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain("A", width=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def awaited() -> None:
    assert_type(await asynchronous("A", 1, verbose=True), str)
    await asynchronous("A", verbose="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def context_managers_know_their_helper() -> None:
    with spanwise.workflow("desk", flags={"parallel": True}) as run:
        assert_type(run, Workflow)
    async with spanwise.agent("risk") as agent:
        assert_type(agent, Agent)
        assert_type(agent.context, SpanContext)
    with spanwise.llm_call("m") as call:
        assert_type(call, ModelCall)
        call.input([{"role": "user", "content": "x"}])
        call.output("x", finish_reason="stop")
    with spanwise.tool("add") as tool:
        assert_type(tool, ToolExecution)
        tool.arguments({"a": 1})
    with spanwise.embeddings("m") as vector:
        assert_type(vector, ModelCall)
    with spanwise.cache_lookup("replies") as lookup:
        assert_type(lookup, CacheLookup)
        lookup.result("hit", saved_tokens=3)
        lookup.result("found")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with spanwise.retrieval("filings") as search, spanwise.step("merge") as step:
        assert_type(search, Retrieval)
        assert_type(step.set("a", 1).set("b", ["x"]), SpanHelper)
    with spanwise.waiting("lock", "l") as wait:
        assert_type(wait, Wait)
    with spanwise.waiting("patience", "l"):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pass


def configuring() -> None:
    telemetry = spanwise.configure(service_name="desk", journal_dir=".spanwise", metrics_port=0)
    assert_type(telemetry, spanwise.Telemetry)
    assert_type(telemetry.ledger(), Counts)
    assert_type(telemetry.flush(timeout=1), bool)
    assert_type(telemetry.metrics_port, int | None)
    assert_type(telemetry.write_error, OSError | None)
    spanwise.configure(capture_content=["prompts"], redact_patterns=["A-[0-9]+"], span_hook="m:f", otlp_content="none")
    spanwise.configure("desk")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
