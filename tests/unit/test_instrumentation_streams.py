"""One span, ended once, for every way in which a stream can end, with what was known of it."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ends import ends
from support.real_time import spend

import spanwise
from spanwise.recording.tracer import OwnTracer
from spanwise.testing import PlainSpan, capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def chunks(number: int, error: BaseException | None = None) -> Iterator[int]:
    yield from range(number)
    if error is not None:
        raise error


async def async_chunks(number: int, error: BaseException | None = None) -> AsyncIterator[int]:
    for chunk in range(number):
        await asyncio.sleep(0)
        yield chunk
    if error is not None:
        raise error


def stream_end(spans: list[PlainSpan]) -> tuple[str, Any, Any, bool]:
    [span] = spans
    attributes = span["attributes"]
    return (
        span["status"], attributes.get("error.type"), attributes.get("spanwise.stream.chunks"),
        "gen_ai.response.time_to_first_chunk" in attributes,
    )  # fmt: skip


@pytest.mark.parametrize("error", [ConnectionError("reset"), KeyboardInterrupt()])
def test_a_stream_that_fails_in_the_middle_ends_its_span_with_the_same_exception(error: BaseException) -> None:
    call = spanwise.llm_call("m", stream=True)
    with capture() as spans, pytest.raises(type(error)) as caught:
        list(call.start().stream(chunks(2, error)))
    assert caught.value is error
    assert stream_end(spans()) == ("ERROR", type(error).__name__, 2, True)


def test_an_exhausted_stream_records_what_was_known_of_it() -> None:
    call = spanwise.llm_call("m", stream=True)

    def note(chunk: int) -> None:
        if chunk == 2:
            call.usage(10, 30)

    with capture() as spans:
        began = time.perf_counter()
        stream = call.start().stream(chunks(3), note)
        assert spans() == []
        assert list(stream) == [0, 1, 2]
        took = time.perf_counter() - began
        assert list(stream) == []
    assert stream_end(spans()) == ("UNSET", None, 3, True)
    attributes = spans()[0]["attributes"]
    assert attributes["gen_ai.usage.output_tokens"] == 30
    seconds = 30 / attributes["spanwise.stream.tokens_per_second"]
    assert attributes["gen_ai.response.time_to_first_chunk"] <= seconds * 1.000001 <= took * 1.000001


def test_no_chunk_seems_to_come_after_the_end_however_late_the_span_could_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(self: OwnTracer, *arguments: Any, **more: Any) -> Any:
        spend(0.02)  # somebody else had the processor
        return start(self, *arguments, **more)

    start = OwnTracer.start
    monkeypatch.setattr(OwnTracer, "start", late)
    with capture() as spans:
        assert list(spanwise.llm_call("m", stream=True).start().stream(chunks(1))) == [0]
    [span] = spans()
    assert span["attributes"]["gen_ai.response.time_to_first_chunk"] <= (span["end_ns"] - span["start_ns"]) / 1e9


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_abandoned_ends_its_span_when_it_is_collected(read: int) -> None:
    with capture() as spans:
        stream: Any = spanwise.llm_call("m", stream=True).start().stream(chunks(3))
        for _ in range(read):
            next(stream)
        del stream
        gc.collect()
        assert stream_end(spans()) == ("UNSET", None, read or None, bool(read))


def test_a_stream_that_is_broken_off_or_closed_ends_its_span_and_closes_its_source() -> None:
    class Source:
        closed = 0
        request_id = "r-1"

        def __iter__(self) -> Iterator[int]:
            return iter((1, 2))

        def close(self) -> None:
            self.closed += 1

    source = Source()
    with capture() as spans:
        for _ in spanwise.llm_call("broken off").start().stream(chunks(3)):
            break
        with spanwise.llm_call("closed").start().stream(source) as stream:
            assert (next(stream), stream.request_id) == (1, "r-1")
        assert ends(spans()) == [("chat broken off", "UNSET", None), ("chat closed", "UNSET", None)]
    assert source.closed == 1


def test_inside_a_with_block_the_block_ends_the_span() -> None:
    with capture() as spans:
        with spanwise.llm_call("m", stream=True) as call:
            assert list(call.stream(chunks(3))) == [0, 1, 2]
            assert spans() == []
            call.usage(1, 2)
        assert stream_end(spans()) == ("UNSET", None, 3, True)
        assert spans()[0]["attributes"]["gen_ai.usage.output_tokens"] == 2


def test_what_is_no_stream_is_an_error_of_the_caller_and_ends_the_span() -> None:
    nothing: Any = 3
    with capture() as spans:
        with pytest.raises(TypeError, match="not iterable"):
            spanwise.llm_call("m").start().stream(nothing)
        gc.collect()
        assert ends(spans()) == [("chat m", "UNSET", None)]


@pytest.mark.parametrize("looked", [True, False])
def test_a_stream_that_is_read_in_parts_counts_every_chunk_once(*, looked: bool) -> None:
    seen: list[int] = []
    with capture() as spans:
        with spanwise.llm_call("m", stream=True) as call:
            stream = call.stream(chunks(6), seen.append) if looked else call.stream(chunks(6))
            for one in stream:
                if one == 2:
                    break
            assert next(stream) == 3
            assert list(stream) == [4, 5]
            assert list(call.stream(chunks(2))) == [0, 1]
        assert stream_end(spans()) == ("UNSET", None, 8, True)
    assert seen == (list(range(6)) if looked else [])


@pytest.mark.parametrize("looked", [True, False])
def test_a_stream_that_fails_inside_a_block_fails_the_call_with_what_it_had_read(*, looked: bool) -> None:
    error = ConnectionError("reset")
    with capture() as spans:
        with pytest.raises(ConnectionError) as caught, spanwise.llm_call("m", stream=True) as call:
            list(call.stream(chunks(3, error), id if looked else None))
        assert caught.value is error
        assert stream_end(spans()) == ("ERROR", "ConnectionError", 3, True)


def test_an_async_stream_ends_its_span_exhausted_closed_abandoned_failed_and_cancelled() -> None:
    def begun(name: str, source: AsyncIterator[int]) -> Any:
        return spanwise.llm_call(name, stream=True).start().stream(source)

    async def never() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def read(stream: Any, began: asyncio.Event) -> None:
        async for _ in stream:
            began.set()

    async def main() -> None:
        assert [chunk async for chunk in begun("exhausted", async_chunks(2))] == [0, 1]
        async with begun("closed", async_chunks(2)) as stream:
            await anext(stream)
        stream = begun("abandoned", async_chunks(2))
        await anext(stream)
        del stream
        gc.collect()
        with pytest.raises(ConnectionError):
            await read(begun("failed", async_chunks(1, ConnectionError())), asyncio.Event())
        began = asyncio.Event()
        task = asyncio.create_task(read(begun("cancelled", never()), began))
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with capture() as spans:
        asyncio.run(main())
    counts = [span["attributes"]["spanwise.stream.chunks"] for span in spans()]
    assert [(*end, count) for end, count in zip(ends(spans()), counts, strict=True)] == [
        ("chat exhausted", "UNSET", None, 2),
        ("chat closed", "UNSET", None, 1),
        ("chat abandoned", "UNSET", None, 1),
        ("chat failed", "ERROR", "ConnectionError", 1),
        ("chat cancelled", "ERROR", "asyncio.exceptions.CancelledError", 1),
    ]  # fmt: skip


def test_the_values_of_a_decorated_model_call_are_its_chunks() -> None:
    @spanwise.llm_call("sync", stream=True)
    def answer() -> Iterator[str]:
        yield from "abc"

    @spanwise.llm_call("async", stream=True)
    async def async_answer() -> AsyncIterator[str]:
        for letter in "ab":
            yield letter

    async def main() -> None:
        assert [letter async for letter in async_answer()] == ["a", "b"]

    with capture() as spans:
        assert list(answer()) == ["a", "b", "c"]
        asyncio.run(main())
    assert [span["attributes"]["spanwise.stream.chunks"] for span in spans()] == [3, 2]
