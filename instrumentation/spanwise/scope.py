"""What every span below a workflow or an agent inherits: their names, and a place to add up tokens.

It travels in OpenTelemetry's context, so it follows tasks, threads and callbacks wherever the current span does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

from opentelemetry import context as otel_context

from spanwise import conventions as c

_KEY: Final = otel_context.create_key("spanwise-scope")


class Usage:
    """Tokens used below a span; what is added here is added to all enclosing ones."""

    __slots__ = ("_lock", "_outer", "calls", "input_tokens", "output_tokens")

    def __init__(self, outer: Usage | None = None) -> None:
        self._lock = threading.Lock()
        self._outer = outer
        self.calls = 0
        self.input_tokens = 0
        self.output_tokens = 0

    def add(self, input_tokens: int, output_tokens: int) -> None:
        """Count one model call."""
        with self._lock:
            self.calls += 1
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
        if self._outer is not None:
            self._outer.add(input_tokens, output_tokens)


@dataclass(frozen=True, slots=True)
class Scope:
    """The enclosing workflow and agent."""

    workflow: str | None = None
    agent: str | None = None
    usage: Usage | None = None

    def attributes(self) -> dict[str, str]:
        """Return the names as span attributes."""
        names = {c.WORKFLOW_NAME: self.workflow, c.AGENT_NAME: self.agent}
        return {key: value for key, value in names.items() if value is not None}

    def within(self, *, workflow: str | None = None, agent: str | None = None) -> Scope:
        """Return the scope below a workflow or agent span: its name set, its own token count opened."""
        inner = Usage(self.usage)
        if workflow is not None:
            return Scope(workflow=workflow, agent=None, usage=inner)
        return replace(self, agent=agent, usage=inner)


_NONE: Final = Scope()


def current(context: otel_context.Context | None = None) -> Scope:
    """Return the scope of `context` (default: the current one)."""
    value = otel_context.get_value(_KEY, context)
    return value if isinstance(value, Scope) else _NONE


def bind(scope: Scope, context: otel_context.Context | None = None) -> otel_context.Context:
    """Return `context` with `scope` in it."""
    return otel_context.set_value(_KEY, scope, context)
