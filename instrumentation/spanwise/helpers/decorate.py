"""A span around each call of a function, whatever kind of function it is.

A generator's span begins with its first value and ends with it. Its context is current only while its own code runs: at
each `yield` the reader gets back the context that it had, and the generator finds its own again when it goes on.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from spanwise.otel import task_hook
from spanwise.otel.context import attach, current

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import TracebackType

    from opentelemetry.context import Context

    from spanwise.helpers.base import SpanHelper

P = ParamSpec("P")
R = TypeVar("R")


def traced(span: SpanHelper, function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` with a span like `span` around each call; it stays the kind of function that it is."""
    target: Any = function
    if isinstance(target, classmethod | staticmethod):
        method = cast("Any", target)
        return cast("Callable[P, R]", type(method)(traced(span, method.__func__)))
    kind = type(cast("object", target))
    kinds = ((inspect.isasyncgenfunction, _async_generator), (inspect.isgeneratorfunction, _generator))
    for is_one, wrap in (*kinds, (inspect.iscoroutinefunction, _coroutine)):
        if is_one(target) or is_one(getattr(kind, "__call__", None)):  # noqa: B004 - an object may have one
            return cast("Callable[P, R]", wrap(span, target))
    return _plain(span, function)


def _switch(context: Context) -> None:
    """Make `context` current; what ran until now was the span's that is current so far."""
    if task_hook.watcher is not None:
        task_hook.watcher.leaving()
    attach(context)


def _plain(span: SpanHelper, function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def traced(*args: P.args, **kwargs: P.kwargs) -> R:
        with span.fresh():
            return function(*args, **kwargs)

    return traced


def _coroutine(span: SpanHelper, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def traced_async(*args: Any, **kwargs: Any) -> Any:
        with span.fresh():
            return await function(*args, **kwargs)

    return traced_async


def _generator(span: SpanHelper, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def traced_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = span.fresh()
        return (yield from _Steps(call, function(*args, **kwargs)))

    return traced_generator


class _Steps(Generator[Any, Any, Any]):
    """A generator whose every step runs in the context of a span that ends with it."""

    def __init__(self, call: SpanHelper, inner: Generator[Any, Any, Any]) -> None:
        self._call = call
        self._inner = inner
        self._context = call.inside()

    def send(self, value: Any, /) -> Any:
        given = self._step(self._inner.send, value)
        self._call.yielded()
        return given

    def throw(self, kind: Any, value: Any = None, where: TracebackType | None = None, /) -> Any:
        del where  # the exception has it
        given = self._step(self._inner.throw, kind if value is None else value)
        self._call.yielded()
        return given

    def close(self) -> None:
        self._step(self._inner.close)
        self._call.end()

    def _step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        outside = current()
        _switch(self._context)
        try:
            return resume(*arguments)
        except StopIteration:
            self._call.end()
            raise
        except BaseException as error:
            self._call.end(error)
            raise
        finally:
            self._context = current()
            _switch(outside)


def _async_generator(span: SpanHelper, function: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def traced_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = _AsyncSteps(span.fresh(), function(*args, **kwargs))
        resume: Callable[[], Awaitable[Any]] = steps.begin
        try:
            while True:
                try:
                    item = await resume()
                except StopAsyncIteration:
                    return
                try:
                    steps.call.yielded()
                    sent = yield item
                except GeneratorExit:
                    await steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - what the reader throws is the generator's to handle
                    resume = functools.partial(steps.throw, error)
                else:
                    resume = functools.partial(steps.send, sent)
        finally:
            steps.call.end()

    return traced_async_generator


class _AsyncSteps:
    """An async generator whose every step runs in the context of a span."""

    def __init__(self, call: SpanHelper, inner: AsyncGenerator[Any, Any]) -> None:
        self.call = call
        self._inner = inner
        self._context = call.inside()

    async def begin(self) -> Any:
        return await self._step(self._inner.__anext__())

    async def send(self, value: Any) -> Any:
        return await self._step(self._inner.asend(value))

    async def throw(self, error: BaseException) -> Any:
        return await self._step(self._inner.athrow(error))

    async def close(self) -> None:
        await self._step(self._inner.aclose())

    def __del__(self) -> None:
        # A loop that is closed closes no generator: one that is collected then runs nothing of its own any more.
        self.call.end()

    async def _step(self, step: Awaitable[Any]) -> Any:
        outside = current()
        _switch(self._context)
        try:
            return await step
        except StopAsyncIteration:
            self.call.end()
            raise
        except BaseException as error:
            self.call.end(error)
            raise
        finally:
            self._context = current()
            _switch(outside)
