from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, Tool, Toolbox, ToolCall, UnknownToolError, fetch, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = Clock()


def tool(function: Callable[..., Any], name: str | None = None) -> Tool:
    return Tool(name or function.__name__, "A tool.", {"type": "object", "properties": {}}, function)


def calls(*names: str, **arguments: Any) -> list[ToolCall]:
    return [ToolCall(f"call_{position}", name, arguments) for position, name in enumerate(names)]


def blocking(seconds: float) -> str:
    CLOCK.sleep_in_thread(seconds)
    return f"blocked {seconds}"


async def waiting(seconds: float) -> str:
    await CLOCK.sleep(seconds)
    return f"waited {seconds}"


def test_tools_are_offered_in_openai_s_form() -> None:
    schema = {"type": "object", "properties": {"seconds": {"type": "number"}}}
    box = Toolbox([Tool("blocking", "Blocks.", schema, blocking)])

    function = {"name": "blocking", "description": "Blocks.", "parameters": schema}
    assert box.definitions() == [{"type": "function", "function": function}]


@pytest.mark.parametrize(("function", "text"), [(blocking, "blocked 2.0"), (waiting, "waited 2.0")])
def test_a_tool_is_called_with_its_arguments_by_name(function: Callable[..., Any], text: str) -> None:
    box = Toolbox([tool(function, "it")])

    assert run_virtual(lambda: box.call(ToolCall("call_1", "it", {"seconds": 2.0}))) == (text, 2.0)


def test_what_a_tool_returns_becomes_text() -> None:
    box = Toolbox([tool(lambda: 42, "answer")])

    assert run_virtual(lambda: box.call(ToolCall("call_1", "answer")))[0] == "42"


@pytest.mark.parametrize(("concurrent", "seconds"), [(True, 3.0), (False, 6.0)])
@pytest.mark.parametrize("function", [blocking, waiting])
def test_a_batch_takes_its_longest_call_or_all_of_them(
    function: Callable[..., Any], seconds: float, *, concurrent: bool
) -> None:
    box = Toolbox([tool(function, "it")])
    batch = [ToolCall(str(n), "it", {"seconds": float(n)}) for n in (3, 1, 2)]

    texts, took = run_virtual(lambda: box.batch(batch, concurrent=concurrent))

    assert [text.split()[1] for text in texts] == ["3.0", "1.0", "2.0"]
    assert took == pytest.approx(seconds)


def test_the_event_loop_goes_on_while_a_blocking_tool_runs() -> None:
    entered, ticks = threading.Event(), threading.Event()

    def block() -> str:
        entered.set()
        assert ticks.wait(10), "the event loop stood still"
        return "done"

    async def main() -> str:
        running = asyncio.create_task(in_thread(block))
        while not entered.is_set():  # noqa: ASYNC110 - the event is a thread's
            await asyncio.sleep(0)
        ticks.set()
        return str(await running)

    assert asyncio.run(main()) == "done"


def test_a_blocking_tool_runs_in_another_thread_with_the_caller_s_context() -> None:
    place = contextvars.ContextVar("place", default="none")

    def look() -> str:
        with spanwise.step("inside"):
            same_thread = threading.current_thread() is threading.main_thread()
            return f"{place.get()}, main thread: {same_thread}"

    async def main() -> str:
        place.set("here")
        return await Toolbox([tool(look)]).call(ToolCall("call_1", "look"))

    with capture() as spans:
        text, _ = run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}

    assert text == "here, main thread: False"
    assert {span["name"]: names.get(span["parent_id"]) for span in spans()} == {
        "execute_tool look": None,
        "step inside": "execute_tool look",
    }


def test_a_call_is_a_span_with_the_tool_s_name_and_the_call_s_id() -> None:
    with capture() as spans:
        run_virtual(lambda: Toolbox([tool(waiting)]).call(ToolCall("call_7", "waiting", {"seconds": 1})))

    assert [(span["name"], span["attributes"]) for span in spans()] == [
        (
            "execute_tool waiting",
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "waiting",
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": "call_7",
            },
        )
    ]


def test_waiting_for_a_batch_is_a_wait_linked_to_its_last_call() -> None:
    box = Toolbox([tool(waiting, "long"), tool(waiting, "short")])
    batch = [ToolCall("1", "long", {"seconds": 2}), ToolCall("2", "short", {"seconds": 1})]

    async def main() -> None:
        with spanwise.agent("analyst"):
            await box.batch(batch)

    with capture() as spans:
        run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}
    wait = next(span for span in spans() if span["name"] == "wait tools")

    assert {span["name"] for span in spans() if names.get(span["parent_id"]) == "invoke_agent analyst"} == {
        "execute_tool long",
        "execute_tool short",
        "wait tools",
    }
    assert [names[link] for link, _ in wait["links"]] == ["execute_tool long"]


def test_an_unknown_tool_is_named_with_the_nearest_one() -> None:
    box = Toolbox([tool(waiting), tool(blocking)])

    with pytest.raises(UnknownToolError) as caught:
        run_virtual(lambda: box.call(ToolCall("call_1", "wating")))

    assert str(caught.value) == "no tool 'wating'; did you mean 'waiting'? Allowed: blocking, waiting"


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_failure_in_a_batch_is_raised_as_it_is_and_ends_the_batch(*, concurrent: bool) -> None:
    cause = KeyError("cause")
    broken = ValueError("broken")
    ended: list[str] = []

    async def fail() -> str:
        await CLOCK.sleep(1)
        raise broken from cause

    async def long() -> str:
        try:
            await CLOCK.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "never"

    box = Toolbox([tool(fail), tool(long)])

    async def main() -> tuple[BaseException, float]:
        with pytest.raises(ValueError, match="broken") as caught:
            await box.batch(calls("fail", "long"), concurrent=concurrent)
        return caught.value, asyncio.get_running_loop().time()

    with capture() as spans:
        found = run_virtual(main)[0]

    assert found == (broken, 1.0)
    assert broken.__cause__ is cause
    assert ended == (["cancelled"] if concurrent else [])
    errors = {span["name"]: span["attributes"].get("error.type") for span in spans() if span["status"] == "ERROR"}
    assert errors == {"execute_tool fail": "ValueError"} | (
        {"execute_tool long": "asyncio.exceptions.CancelledError"} if concurrent else {}
    )


def test_an_empty_batch_returns_nothing() -> None:
    assert run_virtual(lambda: Toolbox([]).batch([])) == ([], 0.0)


def test_cancelling_a_batch_cancels_its_calls() -> None:
    box = Toolbox([tool(waiting)])

    async def main() -> None:
        task = asyncio.create_task(box.batch(calls("waiting", "waiting", seconds=100)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture() as spans:
        assert run_virtual(main)[1] == 1.0
    assert [span["status"] for span in spans() if span["name"] == "execute_tool waiting"] == ["ERROR", "ERROR"]


@pytest.mark.parametrize(("concurrent", "seconds"), [(True, 3.5), (False, 6.5)])
def test_what_follows_a_call_runs_beside_the_calls_that_are_left(seconds: float, *, concurrent: bool) -> None:
    box = Toolbox([tool(waiting)])
    batch = [ToolCall(str(n), "waiting", {"seconds": n}) for n in (3, 1, 2)]

    async def check(text: str) -> str:
        await CLOCK.sleep(0.5)
        return f"{text}, checked"

    texts = ["waited 3, checked", "waited 1, checked", "waited 2, checked"]
    assert run_virtual(lambda: box.batch(batch, concurrent=concurrent, then=check)) == (texts, seconds)


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_failure_in_what_follows_ends_the_batch(*, concurrent: bool) -> None:
    async def check(text: str) -> str:
        raise ValueError(text)

    async def main() -> float:
        with pytest.raises(ValueError, match="waited 1"):
            await Toolbox([tool(waiting)]).batch(
                [ToolCall(str(n), "waiting", {"seconds": n}) for n in (1, 100)], concurrent=concurrent, then=check
            )
        return asyncio.get_running_loop().time()

    assert run_virtual(main)[0] == 1.0


def test_arguments_and_results_are_recorded_where_they_are_allowed() -> None:
    def called(allowed: str) -> dict[str, Any]:
        box = Toolbox([Tool("echo", "", {}, lambda text: f"<{text}>")])
        with capture(capture_content=allowed) as spans:
            asyncio.run(box.call(ToolCall("1", "echo", {"text": "ada@example.com"})))
        attributes = spans()[0]["attributes"]
        return {
            name: attributes[name] for name in attributes if name.startswith("gen_ai.tool.call.") and name[-3:] != ".id"
        }

    assert called("prompts") == {}
    assert called("tool_arguments,tool_results") == {
        "gen_ai.tool.call.arguments": '{"text":"[redacted:email]"}',
        "gen_ai.tool.call.result": "<[redacted:email]>",
    }


def test_what_is_fetched_is_a_retrieval_with_a_hash_of_the_question() -> None:
    async def main() -> list[int]:
        async def load() -> int:
            await CLOCK.sleep(1)
            return 7

        return [await fetch("prices", inputs, load) for inputs in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2})]

    with capture(fingerprints=True) as spans:
        assert run_virtual(main) == ([7, 7, 7], 3.0)
    first, second, third = (span["attributes"]["spanwise.request.hash"] for span in spans())
    assert first == second != third
    assert {span["name"] for span in spans()} == {"retrieval prices"}
