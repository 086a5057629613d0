"""Whatever the host hands over (objects whose methods raise, wrong types): it goes on, and its spans are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import spanwise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refuse(*_: Any, **__: Any) -> Any:
    raise RuntimeError("not to be asked")


class Hostile:
    """An object that answers no question."""

    __str__ = __repr__ = __eq__ = __bool__ = __len__ = __format__ = __int__ = __float__ = __index__ = __iter__ = refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = refuse
    __hash__ = object.__hash__


class HostileText(str):
    """A text that answers no question."""

    __slots__ = ()
    __str__ = __repr__ = __eq__ = __len__ = __format__ = __hash__ = refuse


VALUES = [Hostile(), HostileText("x"), "half \ud800", None, b"\xff", 5, 1 << 90, float("nan"), [[]], {"a": Hostile()}]


def workflow(bad: Any) -> None:
    with spanwise.workflow(bad, run_id=bad, variant=bad, flags={"flag": bad}) as run:
        run.grade(bad, bad)
    with spanwise.workflow("w", flags=bad):
        pass


def agent(bad: Any) -> None:
    with spanwise.agent(bad, step=bad, role=bad), spanwise.plan(), spanwise.step(bad, role=bad):
        pass
    with spanwise.plan(bad):
        pass


def tool(bad: Any) -> None:
    with spanwise.tool(bad, call_id=bad, tool_type=bad) as span:
        span.arguments(bad)
        span.result(bad)
        span.set(bad, bad).set("one", bad)
        span.fail(bad)


def model_call(bad: Any) -> None:
    with spanwise.llm_call(
        bad, provider=bad, stream=bad, max_tokens=bad, temperature=bad, seed=bad, server=(bad, bad), attempt=bad
    ) as call:
        call.usage(bad, bad, cached_tokens=bad)
        call.usage(1, 2, cached_tokens=bad)
        call.response(id=bad, model=bad, finish_reasons=[bad])
        call.response(id="r", model="m", finish_reasons=bad)
        call.instructions(bad)
        call.input(bad, tools=bad)
        call.input([bad, {"role": bad, "content": bad}], tools=[bad])
        call.output(bad, tool_calls=[bad], finish_reason=bad)
    with spanwise.embeddings(bad, provider=bad, dimensions=bad):
        pass


def lookups(bad: Any) -> None:
    with spanwise.retrieval(bad, top_k=bad) as search:
        search.query(bad)
        search.documents(bad)
        search.documents([bad])
    with spanwise.cache_lookup(bad, tier=bad, kind=bad, key_hash=bad, ttl=bad) as lookup:
        lookup.result(bad, age=bad, saved_seconds=bad, saved_tokens=bad)


def waits(bad: Any) -> None:
    with spanwise.step("waiter"):
        spanwise.record_wait(bad, bad, 1, 10**12)
        with spanwise.waiting(bad, bad):
            pass


@pytest.mark.parametrize("content", ["none", "all"])
@pytest.mark.parametrize("use", [workflow, agent, tool, model_call, lookups, waits])
@pytest.mark.usefixtures("isolated_provider")
def test_nothing_that_a_value_does_reaches_the_host_or_loses_a_span(
    use: Callable[[Any], None], content: str, tmp_path: Path
) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, capture_content=content, wait_threshold=0.0)
    for bad in VALUES:
        use(bad)
    assert telemetry.flush()
    counts = telemetry.ledger()
    spanwise.shutdown()
    assert (counts.journaled, counts.dropped) == (counts.started, {})
    assert counts.started >= len(VALUES)
