"""Tools that agents call: plain or async functions with a JSON schema, called one by one or as one concurrent batch.

A blocking function runs in a worker thread with the caller's context, so that its spans nest and the event loop goes
on. Each call is a span.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Mapping  # noqa: TC003 - codecs ask for the fields' types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import spanwise
from spanwise.errors import nearest
from spanwise_pipeline.clock import remember_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from opentelemetry.trace import SpanContext


class UnknownToolError(LookupError):
    """A model asked for a tool that was not offered."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model sees it and as it is called."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments, an object."""
    function: Callable[..., Any]
    """Takes the arguments by name; blocking or a coroutine function; returns text."""

    def definition(self) -> dict[str, Any]:
        """Return the tool in OpenAI's form."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asks for."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Toolbox:
    """The tools of one agent."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def definitions(self) -> list[dict[str, Any]]:
        """Return all tools in OpenAI's form."""
        return [tool.definition() for tool in self._tools.values()]

    async def call(self, call: ToolCall) -> str:
        """Run one tool and return its text.

        Raises:
            UnknownToolError: no tool of that name; names the nearest one.
        """
        return (await self._call(call))[0]

    async def batch(
        self, calls: Sequence[ToolCall], *, concurrent: bool = True, then: Callable[[str], Awaitable[str]] | None = None
    ) -> list[str]:
        """Run `calls` and return their texts in order.

        The first failure ends the batch and cancels what still runs; that failure itself is raised, however the batch
        ran.

        Args:
            calls: what the model asked for.
            concurrent: all at once, or one after another.
            then: applied to each text as soon as it is there, beside the calls that are still to come or run.
        """
        if not concurrent and then is None:
            return [await self.call(call) for call in calls]
        failure: Exception | None = None
        try:
            return await self._group(calls, concurrent=concurrent, then=then or _unchanged)
        except ExceptionGroup as failures:
            failure = failures.exceptions[0]
        raise failure

    async def _group(
        self,
        calls: Sequence[ToolCall],
        *,
        concurrent: bool,
        then: Callable[[str], Awaitable[str]],
    ) -> list[str]:
        last: list[SpanContext] = []

        async def called(call: ToolCall) -> str:
            text, span = await self._call(call)
            last.append(span)
            return text

        async def finished(call: ToolCall) -> str:
            return await then(await called(call))

        async def followed(text: str) -> str:
            return await then(text)

        tasks: list[asyncio.Task[str]] = []
        async with asyncio.TaskGroup() as group:
            for call in calls:
                work = finished(call) if concurrent else followed(await called(call))
                tasks.append(group.create_task(work, name=call.name))
            if tasks:
                with spanwise.waiting("task", "tools") as wait:
                    await asyncio.wait(tasks)
                    wait.released_by = last[-1] if last else None
        return [task.result() for task in tasks]

    async def _call(self, call: ToolCall) -> tuple[str, SpanContext]:
        tool = self._tools.get(call.name)
        if tool is None:
            raise UnknownToolError(f"no tool {call.name!r}; {nearest(call.name, self._tools)}")
        with spanwise.tool(tool.name, call_id=call.id) as span:
            span.arguments(call.arguments)
            asynchronous = inspect.iscoroutinefunction(tool.function)
            work = tool.function(**call.arguments) if asynchronous else in_thread(tool.function, **call.arguments)
            text = str(await work)
            span.result(text)
            return text, span.context


async def _unchanged(text: str) -> str:
    return text


async def in_thread(function: Callable[..., Any], /, *positional: Any, **named: Any) -> Any:
    """Run a blocking function in a worker thread with this context."""
    remember_loop()
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(function, *positional, **named))
