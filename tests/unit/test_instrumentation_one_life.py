"""Every kind of function and every kind of stream, with every way to end: one span, ended once, told as it was."""

from __future__ import annotations

import asyncio
import functools
import gc
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

import spanwise
from spanwise.testing import PlainSpan, capture

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator

BROKEN: Final = ValueError("broken")
STOPPED: Final = KeyboardInterrupt()
LEFT: Final = SystemExit(3)
ENDS: Final[list[tuple[BaseException | None, str, str | None]]] = [
    (None, "UNSET", None),
    (BROKEN, "ERROR", "ValueError"),
    (STOPPED, "ERROR", "KeyboardInterrupt"),
    (LEFT, "ERROR", "SystemExit"),
    (asyncio.CancelledError("enough"), "ERROR", "asyncio.exceptions.CancelledError"),
    (GeneratorExit(), "UNSET", None),
]
"""What a function ends with, and the status and error type that its span has."""


def ended(spans: list[PlainSpan], name: str = "execute_tool t") -> list[tuple[str, str | None, bool]]:
    """Return status, error type and whether it lasted of each span of that name."""
    return [
        (span["status"], span["attributes"].get("error.type"), span["end_ns"] > span["start_ns"])
        for span in spans
        if span["name"] == name
    ]


def body(error: BaseException | None) -> str:
    if error is not None:
        raise error
    return "done"


async def async_body(error: BaseException | None) -> str:
    return body(error)


class Desk:
    """Every kind of method, decorated."""

    @spanwise.tool("t")
    def method(self, error: BaseException | None) -> str:
        return body(error)

    @spanwise.tool("t")
    async def async_method(self, error: BaseException | None) -> str:
        return body(error)

    @classmethod
    @spanwise.tool("t")
    def of_class(cls, error: BaseException | None) -> str:
        return body(error)

    @spanwise.tool("t")
    @classmethod
    async def async_of_class(cls, error: BaseException | None) -> str:
        return body(error)

    @spanwise.tool("t")
    @staticmethod
    def static(error: BaseException | None) -> str:
        return body(error)


def managed(error: BaseException | None) -> str:
    with spanwise.tool("t"):
        return body(error)


async def async_managed(error: BaseException | None) -> str:
    async with spanwise.tool("t"):
        return body(error)


def generated(error: BaseException | None) -> str:
    @spanwise.tool("t")
    def values() -> Generator[int, None, str]:
        yield 1
        return body(error)

    def reader() -> Generator[int, None, str]:
        return (yield from values())

    reading = reader()
    try:
        while True:
            next(reading)
    except StopIteration as stop:
        return str(stop.value)


async def async_generated(error: BaseException | None) -> str:
    @spanwise.tool("t")
    async def values() -> AsyncGenerator[str]:
        yield "done"
        body(error)

    [value] = [value async for value in values()]
    return value


def run(call: Callable[..., Any], error: BaseException | None) -> Any:
    """Call `call`; what it returns is driven by hand where it is a coroutine, since a loop has a say in some ends."""
    outcome = call(error)
    if not hasattr(outcome, "send"):
        return outcome
    try:
        outcome.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError


KINDS: Final[dict[str, Callable[..., Any]]] = {
    "with": managed,
    "async with": async_managed,
    "function": spanwise.tool("t")(body),
    "coroutine": spanwise.tool("t")(async_body),
    "generator": generated,
    "async generator": async_generated,
    "method": Desk().method,
    "async method": Desk().async_method,
    "class method": Desk.of_class,
    "async class method": Desk.async_of_class,
    "static method": Desk.static,
    "partial": spanwise.tool("t")(functools.partial(body)),
    "async partial": spanwise.tool("t")(functools.partial(async_body)),
}


@pytest.mark.parametrize(("error", "status", "kind"), ENDS, ids=[type(one[0]).__name__ for one in ENDS])
@pytest.mark.parametrize("call", KINDS.values(), ids=KINDS)
def test_whatever_a_call_ends_with_its_span_ends_once_and_says_so(
    call: Callable[..., Any], error: BaseException | None, status: str, kind: str | None
) -> None:
    with capture() as spans:
        if error is None:
            assert run(call, None) == "done"
        else:
            with pytest.raises(type(error)) as caught:
                run(call, error)
            assert caught.value is error
            assert (error.__cause__, error.__context__) == (None, None)
    assert ended(spans()) == [(status, kind, True)]


def test_a_coroutine_that_is_closed_or_collected_before_its_end_ends_its_span() -> None:
    class Never:
        def __await__(self) -> Generator[None, None, None]:
            yield

    @spanwise.tool("t")
    async def waits() -> None:
        await Never()

    with capture() as spans:
        begun: Any = waits()
        begun.send(None)
        begun.close()
        assert len(ended(spans())) == 1
        begun = waits()
        begun.send(None)
        del begun
        gc.collect()
    assert ended(spans()) == [("UNSET", None, True)] * 2


@pytest.mark.parametrize("cleans_up", [False, True])
def test_an_async_generator_that_no_loop_closes_any_more_ends_its_span_when_it_is_collected(
    cleans_up: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    @spanwise.tool("t")
    async def values() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            if cleans_up:
                await asyncio.sleep(0)

    async def begun() -> Any:
        stream = values()
        await anext(stream)
        return stream

    with capture() as spans:
        loop = asyncio.new_event_loop()
        stream = loop.run_until_complete(begun())
        loop.close()
        assert ended(spans()) == []
        del stream
        gc.collect()
    assert ended(spans()) == [("UNSET", None, True)]


def test_an_async_generator_hears_what_is_sent_and_thrown() -> None:
    @spanwise.tool("t")
    async def echo() -> AsyncGenerator[Any, Any]:
        got = yield "first"
        try:
            yield got
        except KeyError as error:
            yield error

    async def main() -> list[Any]:
        stream = echo()
        return [await anext(stream), await stream.asend("sent"), await stream.athrow(error), await anext(stream, "end")]

    error = KeyError("k")
    with capture() as spans:
        assert asyncio.run(main()) == ["first", "sent", error, "end"]
    assert ended(spans()) == [("UNSET", None, True)]


def chunks(error: BaseException | None) -> Iterator[int]:
    yield from (1, 2)
    if error is not None:
        raise error


async def async_chunks(error: BaseException | None) -> AsyncIterator[int]:
    for chunk in (1, 2):
        yield chunk
    if error is not None:
        raise error


def begin(source: Any) -> Any:
    """Return the stream of a model call whose second chunk tells its tokens."""
    call: Any = spanwise.llm_call("m", stream=True)

    def note(chunk: int) -> None:
        if chunk == 2:
            call.usage(10, 30)

    return call.start().stream(source, note)


async def read(stream: Any, *, end: str) -> None:
    """Read two chunks of a stream of either kind, and then end as it is said."""
    is_async = hasattr(stream, "__anext__")
    for _ in range(2):
        await anext(stream) if is_async else next(stream)
    if end == "closed":
        await stream.aclose() if is_async else stream.close()
    elif end in {"exhausted", "failed"}:
        with pytest.raises((StopAsyncIteration if is_async else StopIteration) if end == "exhausted" else OSError):
            await anext(stream) if is_async else next(stream)


async def cancelled(stream: Any) -> None:
    async def reader() -> None:
        await read(stream, end="goes on")
        began.set()
        await anext(stream)

    began = asyncio.Event()
    task = asyncio.create_task(reader())
    await began.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def endless() -> AsyncIterator[int]:
    for chunk in (1, 2):
        yield chunk
    await asyncio.Event().wait()


def stopping() -> Iterator[int]:
    yield from (1, 2)
    raise asyncio.CancelledError


async def stopped(stream: Any) -> None:
    await read(stream, end="goes on")
    with pytest.raises(asyncio.CancelledError):
        next(stream)


def ending(end: str, source: Callable[..., Any]) -> Callable[[], Awaitable[None]]:
    async def use() -> None:
        await read(begin(source(OSError("x") if end == "failed" else None)), end=end)

    return use


STREAMS: Final[dict[str, tuple[Callable[[], Awaitable[None]], str, str | None]]] = {
    "exhausted": (ending("exhausted", chunks), "UNSET", None),
    "broken off": (ending("closed", chunks), "UNSET", None),
    "abandoned": (ending("abandoned", chunks), "UNSET", None),
    "cancelled": (lambda: stopped(begin(stopping())), "ERROR", "asyncio.exceptions.CancelledError"),
    "failed": (ending("failed", chunks), "ERROR", "OSError"),
    "async exhausted": (ending("exhausted", async_chunks), "UNSET", None),
    "async broken off": (ending("closed", async_chunks), "UNSET", None),
    "async abandoned": (ending("abandoned", async_chunks), "UNSET", None),
    "async cancelled": (lambda: cancelled(begin(endless())), "ERROR", "asyncio.exceptions.CancelledError"),
    "async failed": (ending("failed", async_chunks), "ERROR", "OSError"),
}


@pytest.mark.parametrize(("use", "status", "kind"), STREAMS.values(), ids=STREAMS)
def test_however_a_stream_ends_its_span_says_what_was_known_by_then(
    use: Callable[[], Awaitable[None]], status: str, kind: str | None
) -> None:
    async def main() -> float:
        began = time.perf_counter()
        await use()
        gc.collect()
        assert len(spans()) == 1  # also while the loop goes on
        return time.perf_counter() - began

    with capture() as spans:
        took = asyncio.run(main())
    [span] = spans()
    about = span["attributes"]
    assert (span["status"], about.get("error.type")) == (status, kind)
    assert (about["spanwise.stream.chunks"], about["gen_ai.usage.output_tokens"]) == (2, 30)
    seconds = 30 / about["spanwise.stream.tokens_per_second"]
    assert 0 < about["gen_ai.response.time_to_first_chunk"] < seconds < took


def test_a_stream_that_ends_before_its_first_chunk_claims_nothing_of_one() -> None:
    with capture() as spans, pytest.raises(OSError, match="refused"):
        next(spanwise.llm_call("m", stream=True).start().stream(fails_at_once()))
    assert (
        spans()[0]["attributes"]
        .keys()
        .isdisjoint(
            {"spanwise.stream.chunks", "gen_ai.response.time_to_first_chunk", "spanwise.stream.tokens_per_second"}
        )
    )


def fails_at_once() -> Iterator[int]:
    yield int(body(OSError("refused")))


def test_an_exception_keeps_its_cause_and_its_context_through_spans_of_every_kind() -> None:
    async def missing() -> None:
        raise KeyError("first")

    @spanwise.agent("a")
    async def outer() -> None:
        async with spanwise.step("s"):
            [_ async for _ in values()]

    @spanwise.tool("t")
    async def values() -> AsyncIterator[int]:
        yield 1
        try:
            await missing()
        except KeyError as error:
            raise broken from error

    broken = ValueError("broken")
    with capture() as spans, pytest.raises(ValueError, match="broken") as caught:
        asyncio.run(outer())
    assert caught.value is broken
    assert isinstance(broken.__cause__, KeyError)
    assert broken.__context__ is broken.__cause__
    assert [span["status"] for span in spans()] == ["ERROR"] * 3
