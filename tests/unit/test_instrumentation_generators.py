"""A decorated function of any kind: its span ends once, as it does, and nothing is current across a yield."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from support.ends import ends

import spanwise
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

BROKEN = "broken"


def current_id() -> int:
    return trace.get_current_span().get_span_context().span_id


@spanwise.tool("numbers")
def numbers(count: int, *, fail: bool = False) -> Generator[int, Any, str]:
    for number in range(count):
        with spanwise.step("inside"):
            yield number
    if fail:
        raise ValueError(BROKEN)
    return "done"


@spanwise.tool("numbers")
async def async_numbers(count: int, *, fail: bool = False) -> AsyncGenerator[int, Any]:
    for number in range(count):
        with spanwise.step("inside"):
            await asyncio.sleep(0)
            yield number
    if fail:
        raise ValueError(BROKEN)


def exhausted() -> None:
    assert list(numbers(2)) == [0, 1]


def broken_off() -> None:
    for _ in numbers(2):
        break


def closed() -> None:
    stream = numbers(2)
    next(stream)
    stream.close()


def abandoned() -> None:
    stream = numbers(2)
    next(stream)
    del stream
    gc.collect()


def failed() -> None:
    with pytest.raises(ValueError, match=BROKEN):
        list(numbers(1, fail=True))


def interrupted() -> None:
    stream = numbers(2)
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt())


@pytest.mark.parametrize(
    ("use", "status", "error"),
    [
        (exhausted, "UNSET", None),
        (broken_off, "UNSET", None),
        (closed, "UNSET", None),
        (abandoned, "UNSET", None),
        (failed, "ERROR", "ValueError"),
        (interrupted, "ERROR", "KeyboardInterrupt"),
    ],
)
def test_a_generators_span_ends_as_it_does(use: Callable[[], None], status: str, error: str | None) -> None:
    with capture() as spans:
        use()
        assert current_id() == 0
    outer = [end for end in ends(spans()) if end[0] == "execute_tool numbers"]
    assert outer == [("execute_tool numbers", status, error)]
    assert {span["parent_id"] for span in spans()[1:]} == {spans()[0]["span_id"]}
    assert all(span["end_ns"] <= spans()[0]["end_ns"] for span in spans())


def test_nothing_of_a_generator_is_current_at_its_reader_and_its_own_context_comes_back() -> None:
    seen: list[int] = []

    @spanwise.agent("a")
    def talk() -> Iterator[int]:
        with spanwise.step("inner"):
            seen.append(current_id())
            yield 1
            seen.append(current_id())
        yield 2
        seen.append(current_id())

    with capture() as spans, spanwise.workflow("reader") as reader:
        one, other = talk(), talk()
        for _ in zip(one, other, strict=True):
            assert current_id() == reader.context.span_id
    a, b = (span["span_id"] for span in spans() if span["name"] == "invoke_agent a")
    c, d = (span["span_id"] for span in spans() if span["name"] == "step inner")
    assert seen == [c, d, c, d, a, b]
    assert [span["attributes"].get("gen_ai.workflow.name") for span in spans()] == ["reader"] * 5


def test_a_generator_hears_what_is_sent_and_thrown_and_its_result_is_returned() -> None:
    @spanwise.step("s")
    def echo() -> Generator[Any, Any, str]:
        got = yield "first"
        try:
            yield got
        except KeyError as error:
            yield error
        return "result"

    def delegate() -> Generator[Any, Any, None]:
        result = yield from echo()
        yield result

    error = KeyError("k")
    with capture() as spans:
        stream = delegate()
        assert [next(stream), stream.send("sent"), stream.throw(error), next(stream)] == [
            "first", "sent", error, "result",
        ]  # fmt: skip
    assert ends(spans()) == [("step s", "UNSET", None)]


async def all_of_it() -> None:
    assert [number async for number in async_numbers(2)] == [0, 1]


async def closed_early() -> None:
    stream = async_numbers(2)
    await anext(stream)
    await stream.aclose()


async def abandoned_to_the_loop() -> None:
    stream = async_numbers(2)
    await anext(stream)
    del stream
    gc.collect()
    await asyncio.get_running_loop().shutdown_asyncgens()
    for _ in range(10):
        await asyncio.sleep(0)


async def fails() -> None:
    with pytest.raises(ValueError, match=BROKEN):
        async for _ in async_numbers(1, fail=True):
            pass


async def cancelled() -> None:
    @spanwise.tool("numbers")
    async def forever() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in forever():
            began.set()

    began = asyncio.Event()
    task = asyncio.create_task(read())
    await began.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("use", "status", "error"),
    [
        (all_of_it, "UNSET", None),
        (closed_early, "UNSET", None),
        (abandoned_to_the_loop, "UNSET", None),
        (fails, "ERROR", "ValueError"),
        (cancelled, "ERROR", "asyncio.exceptions.CancelledError"),
    ],
)
def test_an_async_generators_span_ends_as_it_does(use: Callable[[], Any], status: str, error: str | None) -> None:
    async def main() -> None:
        await use()
        assert current_id() == 0

    with capture() as spans:
        asyncio.run(main())
    outer = [end for end in ends(spans()) if end[0] == "execute_tool numbers"]
    assert outer == [("execute_tool numbers", status, error)]


def test_nothing_of_an_async_generator_is_current_at_its_reader() -> None:
    async def main() -> None:
        with spanwise.step("reader") as reader:
            async for _ in async_numbers(3):
                assert current_id() == reader.context.span_id

    with capture():
        asyncio.run(main())


def test_a_decorated_function_stays_the_kind_that_it_is() -> None:
    assert inspect.isgeneratorfunction(numbers)
    assert inspect.isasyncgenfunction(async_numbers)
    assert numbers.__name__ == "numbers"


class Desk:
    """Every kind of method."""

    def __init__(self) -> None:
        self.name = "desk"

    @spanwise.tool("method")
    def method(self) -> str:
        return self.name

    @spanwise.tool("class above")
    @classmethod
    def class_above(cls) -> str:
        return cls.__name__

    @classmethod
    @spanwise.tool("class below")
    def class_below(cls) -> str:
        return cls.__name__

    @spanwise.tool("static")
    @staticmethod
    def static() -> str:
        return "static"

    @spanwise.tool("async method")
    async def async_method(self) -> str:
        return self.name

    @spanwise.tool("generator method")
    def generator_method(self) -> Iterator[str]:
        yield self.name


class Callable_:  # noqa: N801 - an object that is called
    async def __call__(self, number: int) -> int:
        await asyncio.sleep(0)
        return number


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_methods_partials_and_callable_objects_can_be_decorated() -> None:
    desk: Any = Desk()
    with capture() as spans:
        assert (desk.method(), desk.class_above(), Desk.class_below(), desk.static()) == (
            "desk", "Desk", "Desk", "static",
        )  # fmt: skip
        assert asyncio.run(desk.async_method()) == "desk"
        assert list(desk.generator_method()) == ["desk"]
        assert spanwise.tool("partial")(functools.partial(int, base=2))("11") == 3
        assert asyncio.run(spanwise.tool("async partial")(functools.partial(double, 4))()) == 8
        assert asyncio.run(spanwise.tool("object")(Callable_())(5)) == 5
        assert list(spanwise.tool("generator partial")(functools.partial(numbers, 1))()) == [0]
    assert [span["attributes"]["gen_ai.tool.name"] for span in spans() if span["name"] != "step inside"] == [
        "method", "class above", "class below", "static", "async method", "generator method", "partial",
        "async partial", "object", "generator partial", "numbers",
    ]  # fmt: skip
    assert all(span["end_ns"] > span["start_ns"] for span in spans())


def test_a_span_in_an_undecorated_generator_that_another_task_closes_is_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stream() -> AsyncIterator[int]:
        with spanwise.step("s"):
            yield 1

    async def main() -> None:
        opened: Any = stream()
        await asyncio.create_task(anext(opened))
        await asyncio.create_task(opened.aclose())

    with capture() as spans:
        asyncio.run(main())
    assert (ends(spans()), caplog.records) == ([("step s", "UNSET", None)], [])
