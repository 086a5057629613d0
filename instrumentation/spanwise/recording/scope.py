"""What every span below a workflow or an agent inherits: their names, and a place to add up tokens.

It travels in OpenTelemetry's context, so it follows tasks, threads and callbacks wherever the current span does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanwise import conventions as c
from spanwise.content.fingerprints import Texts
from spanwise.otel.context import SPAN_KEY
from spanwise.otel.context import current as current_context
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

KEY: Final = otel_context.create_key("spanwise-scope")


class Usage:
    """Tokens used below a span; what is added here is added to all enclosing ones."""

    __slots__ = ("_lock", "_outer", "_texts", "calls", "input_tokens", "output_tokens")

    def __init__(self, outer: Usage | None = None) -> None:
        self._lock = own_threads.RLock()
        self._outer = outer
        self._texts: Texts | None = None
        self.calls = 0
        self.input_tokens = 0
        self.output_tokens = 0

    def add(self, input_tokens: int, output_tokens: int, calls: int = 1) -> None:
        """Count a model call, or, with `calls=0`, more tokens of one that was counted."""
        with self._lock:
            self.calls += calls
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
        if self._outer is not None:
            self._outer.add(input_tokens, output_tokens, calls)

    @property
    def texts(self) -> Texts:
        """What was returned below the outermost of these spans, made on first use."""
        if self._outer is not None:
            return self._outer.texts
        with self._lock:
            if self._texts is None:
                self._texts = Texts()
            return self._texts


class Scope(NamedTuple):
    """The enclosing workflow and agent."""

    workflow: str | None = None
    agent: str | None = None
    usage: Usage | None = None
    names: Mapping[str, str] = {}
    """Both as attributes of a span; the run's id, too, where it was begun in another process."""
    run_id: str | None = None

    def below_workflow(self, name: str, run_id: str | None) -> Scope:
        """Return the scope below a workflow's span: its name and run set, a token count of its own opened."""
        names = {c.WORKFLOW_NAME: name}
        if run_id is None and c.RUN_ID in self.names:
            names[c.RUN_ID] = self.names[c.RUN_ID]
        return Scope(name, None, Usage(self.usage), names, run_id or self.run_id)

    def below_agent(self, name: str) -> Scope:
        """Return the scope below an agent's span."""
        names = {**self.names, c.AGENT_NAME: name}
        return Scope(self.workflow, name, Usage(self.usage), names, self.run_id)


NONE: Final = Scope()


def of(context: Context) -> Scope:
    """Return the scope of `context`."""
    return context.get(KEY, NONE)  # type: ignore[return-value]  # pyright: ignore[reportReturnType] # a cast is a call


def current(context: Context | None = None) -> Scope:
    """Return the scope of `context` (default: the current one)."""
    return of(current_context() if context is None else context)


def with_span(context: Context, span: Span, scope: Scope | None = None) -> Context:
    """Return `context` with `span` as its current one, and below another `scope` where one is given."""
    if scope is None:
        return Context({**context, SPAN_KEY: span})
    return Context({**context, SPAN_KEY: span, KEY: scope})
