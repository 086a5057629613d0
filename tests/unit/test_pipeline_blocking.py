"""Agents from a program that is not async: one event loop in a thread, so that connections live on between calls."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import spanwise
from spanwise.testing import capture
from spanwise_pipeline import Clock, EventLoopThread, Flow, ModelClient
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Profile

PLACE = contextvars.ContextVar("place", default="outside")


async def where() -> tuple[int, str]:
    return id(asyncio.get_running_loop()), PLACE.get()


def test_all_calls_run_on_one_loop_in_the_caller_s_context() -> None:
    with EventLoopThread() as loop:
        first = loop.run(where)
        token = PLACE.set("here")
        second = loop.run(where)
        PLACE.reset(token)

    assert first[0] == second[0]
    assert (first[1], second[1]) == ("outside", "here")


def test_a_model_client_keeps_its_connection_between_calls() -> None:
    async def open_client() -> tuple[InProcessTransport, ModelClient]:
        transport = InProcessTransport(create_app(Profile("example")))
        return transport, ModelClient(
            base_url="http://in-process/v1", api_key="k", clock=Clock(1000), transport=transport
        )

    async def ask(client: ModelClient) -> str:
        reply = await client.chat(model="any", messages=[{"role": "user", "content": "a = 1\nState a."}])
        return reply.text

    with capture() as spans, EventLoopThread() as loop:
        _, client = loop.run(open_client)
        with spanwise.workflow("desk"):
            texts = [loop.run(ask, client) for _ in range(3)]
        loop.run(client.close)

    assert texts == ["a = 1"] * 3
    calls = [span for span in spans() if span["name"] == "chat any"]
    assert [span["attributes"].get("spanwise.connection.new", False) for span in calls] == [True, False, False]
    workflow = next(span for span in spans() if span["name"] == "invoke_workflow desk")
    assert {span["parent_id"] for span in calls} == {workflow["span_id"]}


def test_errors_come_back_as_they_are_and_the_loop_goes_on() -> None:
    async def fail() -> None:
        raise LookupError("nothing")

    with EventLoopThread() as loop:
        with pytest.raises(LookupError, match="nothing"):
            loop.run(fail)
        assert loop.run(where)[1] == "outside"


def test_several_threads_share_the_loop() -> None:
    async def meet(barrier: asyncio.Barrier) -> None:
        await barrier.wait()

    async def make() -> asyncio.Barrier:
        return asyncio.Barrier(3)

    with EventLoopThread() as loop:
        barrier = loop.run(make)
        threads = [threading.Thread(target=loop.run, args=(meet, barrier)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

    assert not any(thread.is_alive() for thread in threads)


def test_an_interrupted_call_is_cancelled_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    begun = threading.Event()

    async def work() -> None:
        async with Flow() as flow:
            flow.step("slow", slow)

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            ended.append("slow")

    def interrupted(_: Any, timeout: float | None = None) -> None:
        begun.wait()
        raise KeyboardInterrupt

    with EventLoopThread() as loop:
        monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.run(work)
        monkeypatch.undo()
        assert ended == ["slow"]


def test_leaving_the_block_cancels_what_still_runs() -> None:
    outcome: list[BaseException] = []
    begun = threading.Event()

    async def forever() -> None:
        begun.set()
        await asyncio.sleep(3600)

    def call() -> None:
        try:
            loop.run(forever)
        except BaseException as error:  # noqa: BLE001 - what the test is about
            outcome.append(error)

    with EventLoopThread() as loop:
        thread = threading.Thread(target=call)
        thread.start()
        begun.wait(5)
    thread.join(5)

    assert [type(error) for error in outcome] == [asyncio.CancelledError]


def test_it_must_be_open_and_called_from_elsewhere() -> None:
    async def inside(loop: EventLoopThread) -> str:
        with pytest.raises(RuntimeError) as caught:
            loop.run(where)
        return str(caught.value)

    closed = EventLoopThread()
    with pytest.raises(RuntimeError, match="the event loop is not open; use it inside its 'with' block"):
        closed.run(where)
    with EventLoopThread() as loop:
        message = loop.run(inside, loop)
    assert message == "run was called on the event loop's own thread; await the coroutine there"
